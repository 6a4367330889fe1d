"""Read a list that the organisation keeps as a data set, row by row and as text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from governance.checks.base import MissingColumn

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Row:
    """One row. place: how to find it. package: the name in its column, normalised (PEP 503), "" if it is no name."""

    place: str
    package: str
    cells: Mapping[str, str]

    def __getitem__(self, column: str) -> str:
        """Return the text of a cell without spaces around it, "" for an empty one."""
        return self.cells[column]


def rows(frame: pd.DataFrame, name: str, columns: Sequence[str], needed_for: str) -> Iterator[Row]:
    """Yield the rows of the data set `name`, counted from 1. Raises MissingColumn unless it has all columns."""
    for column in columns:
        if column not in frame.columns:
            raise MissingColumn(column, name, needed_for)
    given = frame[list(columns)]
    filled = given.astype(object).where(given.notna(), "")
    for number, values in enumerate(filled.itertuples(index=False, name=None), 1):
        cells = {column: str(value).strip() for column, value in zip(columns, values, strict=True)}
        yield Row(f"{name}, row {number}", _normal(cells["package"]), cells)


def _normal(package: str) -> str:
    from packaging.utils import InvalidName, canonicalize_name

    try:
        return canonicalize_name(package, validate=True)
    except InvalidName:
        return ""
