"""Models that answer in this process without files of their own, for checks of many small models."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from governance.checks.subject import DatasetSpec, Subject
from scripts.ground_truth.data import Answering

__all__ = ["Answering", "Rows"]


@dataclass(frozen=True)
class Rows:
    """An evaluation set in a folder that also serves as the folder of models without a signature."""

    folder: Path
    frame: pd.DataFrame
    target: str
    favourable: Any = 1

    @classmethod
    def write(cls, folder: Path, frame: pd.DataFrame, target: str, favourable: Any = 1) -> Rows:
        """Write the set as Parquet, which keeps every digit."""
        (folder / "MLmodel").write_text("flavors: {}\n")
        frame.to_parquet(folder / "rows.parquet", index=False)
        return cls(folder, frame, target, favourable)

    def subject(self, predictor: Any, champion: Any = None, **more: Any) -> Subject:
        """Return a subject for the model, beside another one if there is one."""
        spec = DatasetSpec(self.folder / "rows.parquet", self.target, self.favourable)
        other = None if champion is None else Subject(self.folder, spec, predictor=champion)
        return Subject(self.folder, spec, predictor=predictor, champion=other, **more)
