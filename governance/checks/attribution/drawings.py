"""Tables of Shapley values, from which pages draw the summary of all rows and the explanation of some."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from governance.checks import perturbations
from governance.checks.attribution.explained import Explained
from governance.checks.base import Cell, Table

if TYPE_CHECKING:
    import pandas as pd

_MOST_ROWS = 60
_MOST_FEATURES = 12
_MOST_LOCAL = 20
_BAND = (5.0, 95.0)  # percentiles; a few extreme values would leave no colour to the others


def attribution_values(explained: Explained) -> Table:
    """Return the Shapley values of at most 60 rows and the 12 greatest features, with each value's place between low and high.

    scaled: 0 at the 5th percentile of the explained rows or below, 1 at the 95th or above; None of categories and what is missing.
    """
    rows: list[tuple[Cell, ...]] = []
    for feature in explained.ranked()[:_MOST_FEATURES]:
        column = explained.rows.iloc[:, feature]
        scaled = _scaled(column)
        rows += [
            (str(column.name), int(explained.places[row]) + 1, scaled[row], float(explained.found.values[row, feature]))
            for row in range(min(_MOST_ROWS, len(column)))
        ]
    return Table("attribution_values", "Shapley values of rows", ("feature", "row", "scaled", "shapley"), tuple(rows))


def _scaled(column: pd.Series) -> list[float | None]:
    if column.dtype.kind not in "biuf":
        return [None] * len(column)
    values = perturbations.numbers(column)
    known = values[np.isfinite(values)]
    if not len(known):
        return [None] * len(column)
    low, high = np.percentile(known, _BAND)
    if low == high:
        low, high = known.min(), known.max()
    between = np.clip((values - low) / (high - low), 0.0, 1.0) if low < high else np.where(np.isfinite(values), 0.5, np.nan)
    return [None if np.isnan(each) else float(each) for each in between]


def local_explanations(explained: Explained, threshold: float) -> Table:
    """Return why some rows are answered as they are: base and Shapley values add up to the answer, up to the additivity error.

    Of probabilities the most certain, the most uncertain and a rejected row (the middle one), of labels a selected and a rejected one,
    of numbers the lowest, the middle and the highest. Beyond 20 features the rest is one line. row: in the data set, from 1.
    """
    rows: list[tuple[Cell, ...]] = []
    for example, row in _examples(explained.found.answers, explained.kind, threshold).items():
        about: tuple[Cell, ...] = (
            example,
            int(explained.places[row]) + 1,
            float(explained.found.answers[row]),
            explained.found.base,
        )
        rows += [(*about, *line) for line in _lines(explained, row)]
    columns = ("example", "row", "answer", "base", "feature", "value", "shapley", "error")
    return Table("local_explanations", "Explanations of rows", columns, tuple(rows))


def _examples(answers: np.ndarray, kind: str, threshold: float) -> dict[str, int]:
    """Return example -> explained row; those that there are, each row once."""
    rising = np.argsort(answers, kind="stable").tolist()
    if kind == "number":
        wanted = {"lowest": rising, "middle": rising[len(rising) // 2 :], "highest": rising[::-1]}
    else:
        rejected = [row for row in rising if answers[row] < threshold]
        middle_out = rejected[len(rejected) // 2 :] + rejected[: len(rejected) // 2]
        certainty = np.abs(answers - threshold)
        if kind == "label":
            wanted = {"selected": [row for row in rising if answers[row] >= threshold], "rejected": middle_out}
        else:
            certain = np.argsort(-certainty, kind="stable").tolist()
            wanted = {"most certain": certain, "most uncertain": certain[::-1], "rejected": middle_out}
    chosen: dict[str, int] = {}
    for example, rows in wanted.items():
        left = [row for row in rows if row not in chosen.values()]
        if left:
            chosen[example] = left[0]
    return chosen


def _lines(explained: Explained, row: int) -> list[tuple[Cell, ...]]:
    """Return feature, value, Shapley value and its standard error, the greatest first."""
    values, errors = explained.found.values[row], explained.found.errors[row]
    order = np.argsort(-np.abs(values), kind="stable")
    shown, rest = order[:_MOST_LOCAL], order[_MOST_LOCAL:]
    lines: list[tuple[Cell, ...]] = [
        (str(explained.rows.columns[place]), _plain(explained.rows.iloc[row, place]), float(values[place]), _known(errors[place]))
        for place in shown.tolist()
    ]
    if len(rest):
        lines.append((f"{len(rest)} others", None, float(values[rest].sum()), None))
    return lines


def _known(error: float) -> float | None:
    return None if np.isnan(error) else float(error)


def _plain(value: Any) -> Cell:
    """Return a feature's value as a table holds it: numbers and texts as they are, nothing for what is missing."""
    import pandas as pd

    if pd.api.types.is_scalar(value) and pd.isna(value):
        return None
    plain = value.item() if isinstance(value, np.generic) else value
    return plain if isinstance(plain, str | int | float) and not isinstance(plain, bool) else str(plain)
