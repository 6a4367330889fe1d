"""German Credit, cut into what the data scientist trains on and what nobody but the checks sees."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

SOURCE = Path(__file__).parent / "data" / "german_credit.csv.gz"
_SEED = 7
_TRAINING_ROWS = 700


def split() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return (training, validation): 700 and 300 rows, always the same."""
    rows = pd.read_csv(SOURCE).sample(frac=1, random_state=_SEED).reset_index(drop=True)
    return rows[:_TRAINING_ROWS], rows[_TRAINING_ROWS:].reset_index(drop=True)
