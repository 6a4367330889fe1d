"""A data set of which no more is held than what is asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from governance.checks import tables
from governance.checks.base import MissingColumn, UnsuitableData
from governance.checks.model import ROWS_AT_ONCE

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

_CELLS_AT_ONCE = 1 << 24


class Reader:
    """A data set in a file: single columns and the whole of it are read once and kept, batches and chosen rows are not.

    name: how error messages call it. texts: columns to read as texts, see ``tables.read_table``. Reading raises UnreadableInput, and UnsuitableData for no rows.
    """

    def __init__(self, path: Path, name: str, texts: frozenset[str] = frozenset()) -> None:
        self.path, self.name, self.texts = path, name, texts
        self._columns: dict[str, pd.Series] = {}
        self._frame: pd.DataFrame | None = None

    @property
    def frame(self) -> pd.DataFrame:
        """All of it, for which a large one needs much memory. Set, it stands for the file."""
        if self._frame is None:
            self._frame = tables.read_table(self.path, name=self.name, texts=self.texts)
        return self._frame

    @frame.setter
    def frame(self, frame: pd.DataFrame) -> None:
        self._frame = frame

    @cached_property
    def names(self) -> list[str]:
        """The names of its columns, in order."""
        if self._frame is not None:
            return list(self._frame.columns)
        return tables.column_names(self.path, name=self.name)

    @cached_property
    def row_count(self) -> int:
        """Its number of rows, at least one."""
        read = self._frame if self._frame is not None else next(iter(self._columns.values()), None)
        rows = tables.count_rows(self.path, name=self.name) if read is None else len(read)
        if not rows:
            raise UnsuitableData(f"The data set {self.name} has no rows.")
        return rows

    def column(self, name: str, needed_for: str) -> pd.Series:
        """Return a column. Raises MissingColumn."""
        self.require([name], needed_for)
        if self._frame is not None:
            return self._frame[name]
        if name not in self._columns:
            self._columns.update(self._read([name]))
        return self._columns[name]

    def coded(self, name: str, needed_for: str) -> tuple[np.ndarray, pd.Index]:
        """Return the place of each row's value among the different ones, -1 without a value, and those in the order in which they come.

        That is what ``Series.factorize`` gives, without the column being held. Raises MissingColumn.
        """
        import numpy as np
        import pandas as pd

        self.require([name], needed_for)
        parts = [(codes.astype(np.int32), own) for codes, own in (batch[name].factorize() for batch in self.batches([name]))]
        places, different = pd.concat([pd.Series(own) for _, own in parts]).factorize()
        placed, start = [], 0
        for codes, own in parts:
            placed.append(np.append(places[start : start + len(own)], -1).astype(np.int32)[codes])  # -1 is the last place
            start += len(own)
        return np.concatenate(placed), different

    def require(self, names: Sequence[str], needed_for: str) -> None:
        """Raise MissingColumn for a name that is none of its columns'."""
        for name in names:
            if name not in self.names:
                raise MissingColumn(name, self.name, needed_for)

    def columns_in_turn(self, names: Sequence[str]) -> Iterator[tuple[str, pd.Series]]:
        """Yield the columns one after the other: of a small set all are read together, of a large one so many as fit into memory."""
        if self._frame is not None:
            yield from ((name, self._frame[name]) for name in names)
            return
        at_once = max(1, _CELLS_AT_ONCE // self.row_count) if names else 1
        for start in range(0, len(names), at_once):
            yield from self._read(names[start : start + at_once]).items()

    def batches(self, names: Sequence[str], rows: int = ROWS_AT_ONCE, *, start: int = 0) -> Iterator[pd.DataFrame]:
        """Yield all rows of these columns, so many at a time; they are numbered on from batch to batch.

        start: how many rows to leave out, a multiple of `rows`.
        """
        if self._frame is not None:
            for first in range(start, len(self._frame), rows):
                yield self._frame.iloc[first : first + rows][list(names)]
            return
        # A table of no columns would have no rows.
        for batch in tables.batches(
            self.path, list(names) or self.names[:1], rows, name=self.name, texts=self.texts, start=start
        ):
            yield batch if names else batch[[]]

    def rows(self, places: np.ndarray, names: Sequence[str]) -> pd.DataFrame:
        """Return the rows at these places, in this order, with these columns; numbered from 0."""
        import numpy as np
        import pandas as pd

        wanted = np.unique(places)
        parts: list[pd.DataFrame] = []
        start = 0
        for batch in self.batches(names):
            first, last = np.searchsorted(wanted, [start, start + len(batch)]).tolist()
            if first < last or not parts:
                parts.append(batch.iloc[wanted[first:last] - start])
            start += len(batch)
            if last == len(wanted):
                break
        found = pd.concat([part for part in parts if len(part)] or parts)
        return found.iloc[np.searchsorted(wanted, places)].reset_index(drop=True)

    def _read(self, names: Sequence[str]) -> dict[str, pd.Series]:
        """Return columns as ``read_table`` gives them, and without the memory that it takes to read a text file in one go."""
        import pandas as pd

        parts = list(tables.batches(self.path, names, ROWS_AT_ONCE, name=self.name, texts=self.texts))
        return {name: pd.concat([part[name] for part in parts]) if len(parts) > 1 else parts[0][name] for name in names}
