"""What a drawing is made from: a table of one run beside the champion's of the same name, and safe ways to read them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any

from django.utils.safestring import SafeString

from governance.queries import CheckRunRow, TableRow

Record = dict[str, Any]
Point = tuple[float, float]


@dataclass(frozen=True)
class Comparison:
    """A table to draw. version and other are how the two versions are called; other is empty where nothing is compared."""

    run: CheckRunRow
    table: TableRow
    twin: TableRow | None
    limits: Mapping[str, float]
    version: str
    other: str

    @property
    def records(self) -> list[Record]:
        return records(self.table)

    @property
    def champion(self) -> list[Record]:
        return records(self.twin) if self.twin else []

    def before(self, value: str, *keys: str) -> dict[tuple[str, ...], float | None]:
        """Return the champion's column by what the columns ``keys`` say."""
        return {tuple(str(row.get(key)) for key in keys): number(row.get(value)) for row in self.champion}

    def measured(self, metric: str) -> float | None:
        """Return what the run measured over all rows."""
        return next((m.value for m in self.run.measurements if m.metric == metric and not m.slice), None)

    @property
    def bars(self) -> str:
        """Say which mark stands for whom in a drawing of bars."""
        return f"Bar {self.version}, ring {self.other}." if self.twin else f"{self.version}."

    @property
    def curves(self) -> str:
        """Say which line stands for whom in a drawing of curves."""
        return f"{self.version} solid{f', {self.other} dashed' if self.twin else ''}."


@dataclass(frozen=True)
class Drawing:
    """A drawing, what to say under its title, and the indexes of rows that have nothing to tell and are left out below it."""

    svg: SafeString
    note: str
    without: frozenset[int] = frozenset()


def records(table: TableRow) -> list[Record]:
    """Return the rows of a table by the names of its columns."""
    return [dict(zip(table.columns, row, strict=False)) for row in table.rows]


def number(value: Any) -> float | None:
    """Return a finite number, or None for anything else: tables of plug-ins hold what they like."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not isfinite(value):
        return None
    return float(value)


def points(rows: list[Record], x: str, y: str) -> list[Point]:
    """Return the points of two columns, without rows in which one is missing."""
    found = ((number(row.get(x)), number(row.get(y))) for row in rows)
    return [(a, b) for a, b in found if a is not None and b is not None]


def groups(rows: list[Record], *keys: str) -> Iterator[tuple[tuple[str, ...], list[Record]]]:
    """Yield the rows by what the columns ``keys`` say, in the order in which each is first met."""
    found: dict[tuple[str, ...], list[Record]] = {}
    for row in rows:
        found.setdefault(tuple(str(row.get(name) or "") for name in keys), []).append(row)
    yield from found.items()
