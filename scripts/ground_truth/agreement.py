"""Numbers of a check beside those of a reference, and the tables of them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

from governance.checks.base import Check, Measurement
from governance.checks.subject import Subject

EXACT = 1e-9


@dataclass(frozen=True)
class Pair:
    """One number that a check measured, and that of the reference. tolerance: the most that they may differ by, in their unit."""

    ours: float | None
    reference: float | None
    tolerance: float = EXACT

    @property
    def difference(self) -> float:
        """How far they are apart, in their unit; infinite if only one of them is defined."""
        if self.ours is None or self.reference is None:
            return 0.0 if self.ours is None and self.reference is None else math.inf
        return abs(self.ours - self.reference)

    @property
    def allowed(self) -> float:
        """The tolerance, which of a number beyond 1 is a share of it: doubles have 15 digits, wherever the point stands."""
        return self.tolerance * max(1.0, abs(self.reference or 0.0)) if self.tolerance == EXACT else self.tolerance


@dataclass(frozen=True)
class Agreement:
    """All numbers of one metric on one data set, at least one. derived: how the tolerance came about where it is not 1e-9."""

    metric: str
    method: str
    reference: str
    data: str
    pairs: tuple[Pair, ...]
    derived: str = ""

    @property
    def farthest(self) -> Pair:
        """The pair with the greatest difference for what it may have."""
        return max(self.pairs, key=lambda each: each.difference / each.allowed)

    @property
    def holds(self) -> bool:
        """Whether no pair differs by more than it may, and one at least is defined."""
        defined = any(each.ours is not None for each in self.pairs)
        return defined and all(each.difference <= each.allowed for each in self.pairs)


Found = Mapping[tuple[str, str], Measurement]


@dataclass
class Chapter:
    """What was compared for one check. emitted: every metric that it emitted on the way, compared or not."""

    check: str
    rows: list[Agreement] = field(default_factory=list)
    emitted: set[str] = field(default_factory=set)

    def run(self, check: Check, subject: Subject) -> Found:
        """Run the check as the sandbox does, and return its measurements by metric and slice."""
        found = {(each.metric, each.slice): each for each in check.run(subject) if isinstance(each, Measurement)}
        self.emitted |= {metric for metric, _ in found}
        return found

    def add(self, metric: str, method: str, reference: str, data: str, pairs: Iterable[Pair], derived: str = "") -> None:
        """Note what was compared, if there was anything."""
        if found := tuple(pairs):
            self.rows.append(Agreement(metric, method, reference, data, found, derived))

    def values(
        self, found: Found, metric: str, method: str, reference: str, data: str, expected: Mapping[str, float | None] | float
    ) -> None:
        """Compare the values of a metric exactly. expected: by slice; a bare number is that of the whole set."""
        by_slice = expected if isinstance(expected, Mapping) else {"": expected}
        pairs = [Pair(found[metric, slice_].value, plain(value)) for slice_, value in by_slice.items()]
        self.add(metric, method, reference, data, pairs)

    def ends(
        self,
        found: Found,
        metric: str,
        method: str,
        reference: str,
        data: str,
        expected: Mapping[str, tuple[Any, Any]] | tuple[Any, Any],
    ) -> None:
        """Compare both ends of the intervals of a metric exactly, as `values` does."""
        by_slice = expected if isinstance(expected, Mapping) else {"": expected}
        pairs = []
        for slice_, (low, high) in by_slice.items():
            each = found[metric, slice_]
            pairs += [Pair(each.ci_low, plain(low)), Pair(each.ci_high, plain(high))]
        self.add(interval_of(metric), method, reference, data, pairs)


def interval_of(metric: str) -> str:
    """Return how the interval of a metric is called on the page."""
    return f"{metric}, interval"


def plain(value: Any) -> float | None:
    """Return the number of a reference; NaN is one that is not defined."""
    number = math.nan if value is None else float(value)
    return None if math.isnan(number) else number


def by(package: str, function: str) -> str:
    """Return how a reference is named: its package with the version that is installed, and the function."""
    return f"{package} {version(package)}: `{function}`"


_COLUMNS = ("metric", "method and source", "reference", "data", "numbers", "ours", "reference", "difference", "tolerance")


def table(rows: Iterable[Agreement]) -> Iterator[str]:
    """Yield the lines of a table in Markdown, metric by metric; what is as in the line above is not said again."""
    yield f"| {' | '.join(_COLUMNS)} |"
    yield "| --- | --- | --- | --- | ---: | ---: | ---: | ---: | ---: |"
    said: tuple[str, ...] = ()
    order = {metric: place for place, metric in enumerate(dict.fromkeys(each.metric for each in rows))}
    for each in sorted(rows, key=lambda row: order[row.metric]):
        pair, heading = each.farthest, (f"`{each.metric}`", each.method, each.reference)
        cells = ("", "", "") if heading == said else heading
        said = heading
        tolerance = f"{EXACT:g}" if pair.tolerance == EXACT else f"{pair.tolerance:.2g} ({each.derived})"
        numbers = (len(each.pairs), _written(pair.ours), _written(pair.reference), f"{pair.difference:.1e}", tolerance)
        yield f"| {' | '.join([*cells, each.data, *map(str, numbers)])} |"


def _written(value: float | None) -> str:
    return "none" if value is None else f"{value:.12g}"
