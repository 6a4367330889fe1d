"""Numbers with their intervals, as measurements."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from governance.checks.base import Measurement

if TYPE_CHECKING:
    from governance.checks.statistics.bootstrap import Bootstrap, Interval
    from governance.checks.statistics.rates import Share
    from governance.checks.statistics.weighted import Statistic

WILSON = "95 % Wilson interval"
DELONG = "DeLong et al. 1988, 95 % interval"
TANGO = "95 % score interval, Tango 1998"
FEW_ROWS = "too few rows for an interval"


def measured_share(metric: str, slice_: str, share: Share, method: str) -> Measurement:
    """Return a share with its Wilson interval; n is the number of rows divided by."""
    low, high = share.interval
    return Measurement(metric, share.value, slice_, share.whole, low, high, method if share.whole else "not computed: no rows")


def with_interval(metric: str, slice_: str, value: float | None, n: int, interval: Interval, method: str = "") -> Measurement:
    """Return a number with its interval; `method` says how the number came about, the interval says its own."""
    return Measurement(
        metric, value, slice_, n, interval.low, interval.high, "; ".join(each for each in (method, interval.method) if each)
    )


@dataclass(frozen=True)
class Difference:
    """A number of this version beside the champion's on the same rows, with the interval of their difference.

    mine, champion: None where one is not defined. method: how the interval was found, or why there is nothing.
    """

    metric: str
    n: int
    mine: float | None
    champion: float | None
    low: float | None
    high: float | None
    method: str

    @property
    def value(self) -> float | None:
        """This version minus the champion."""
        return None if self.mine is None or self.champion is None else self.mine - self.champion


def undefined(metric: str, n: int, reason: str, mine: float | None = None, champion: float | None = None) -> Difference:
    """Return a difference that cannot be computed."""
    return Difference(metric, n, mine, champion, None, None, f"not computed: {reason}")


def paired(
    bootstrap: Bootstrap, mine: Mapping[str, Statistic | None], champion: Mapping[str, Statistic | None], n: int, reason: str
) -> list[Difference]:
    """Return the difference of each number, in the order of the names. reason: why one may be missing."""
    both = {
        metric: (first, second)
        for metric, first in mine.items()
        if first is not None and (second := champion.get(metric)) is not None
    }
    intervals = dict(zip(both, bootstrap.intervals([first - second for first, second in both.values()]), strict=True))
    found = []
    for metric in mine:
        if metric in both:
            (first, second), interval = both[metric], intervals[metric]
            found.append(Difference(metric, n, first.value, second.value, interval.low, interval.high, interval.method))
        else:
            known = [each.value if each is not None else None for each in (mine[metric], champion.get(metric))]
            found.append(undefined(metric, n, reason, *known))
    return found
