"""How far a number might lie from the one measured, had other rows been drawn."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri

from governance.checks.statistics.ranking import Z_95
from governance.checks.statistics.weighted import Statistic

MOST_ROWS = 10_000
_CELLS_AT_ONCE = 2_000_000
_FEWEST_DEFINED = 0.9


@dataclass(frozen=True)
class Interval:
    """Both ends of a 95 % interval and how it was found; no ends where there is none, and then why."""

    low: float | None
    high: float | None
    method: str


@dataclass(frozen=True)
class Bootstrap:
    """Draws rows with replacement, as often as `resamples`, the same ones for the same seed.

    unit: what a row is called. Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993.
    """

    resamples: int = 1000
    seed: int = 0
    unit: str = "rows"

    def intervals(self, statistics: Sequence[Statistic]) -> list[Interval]:
        """Return an interval for each number; all rest on the same rows, and the same draws are made for all.

        Up to 10,000 rows it is the bias-corrected and accelerated one (section 14.3), the acceleration from the influence of
        each row. With more rows the number is as good as normal, and the standard error of the delta method, to which that of
        the bootstrap converges, needs one pass over the rows.
        """
        if not statistics:
            return []
        rows = statistics[0].rows
        if rows < 2:
            return [self._none() for _ in statistics]
        if rows > MOST_ROWS:
            return [delta_interval(each) for each in statistics]
        blocks = [[each.of(weights) for each in statistics] for weights in self._weights(rows)]
        return [
            self._accelerated(np.concatenate([block[place] for block in blocks]), each) for place, each in enumerate(statistics)
        ]

    def counted(self, counts: np.ndarray, numbers: Callable[[np.ndarray], Mapping[str, np.ndarray]]) -> dict[str, Interval]:
        """Return an interval for each number that depends on the rows in a few cells alone: percentiles (section 13.3).

        counts: rows in each cell, shape (c,). numbers: counts for r draws, shape (r, c) -> values by name, shape (r,), NaN where
        not defined. To draw all rows anew is to draw the counts of a multinomial distribution, however many rows there are.
        """
        total = int(counts.sum())
        random = np.random.default_rng(self.seed)
        drawn = random.multinomial(total, counts / total, size=self.resamples).astype(float)
        return {name: self._percentiles(values, total) for name, values in numbers(drawn).items()}

    def _weights(self, rows: int) -> Iterator[np.ndarray]:
        """Yield how often each row is drawn, shape (r, rows), in blocks that fit into memory."""
        random = np.random.default_rng(self.seed)
        at_once = max(1, _CELLS_AT_ONCE // rows)
        for start in range(0, self.resamples, at_once):
            size = min(at_once, self.resamples - start)
            drawn = random.integers(0, rows, (size, rows)) + np.arange(size)[:, None] * rows
            yield np.bincount(drawn.ravel(), minlength=size * rows).reshape(size, rows).astype(float)

    def _accelerated(self, drawn: np.ndarray, statistic: Statistic) -> Interval:
        defined = drawn[np.isfinite(drawn)]
        if len(defined) < _FEWEST_DEFINED * self.resamples:
            return self._none()
        low, high = accelerated(defined, statistic.value, statistic.influence())
        return Interval(low, high, f"95 % BCa bootstrap interval, {self.resamples} resamples of {self.unit}")

    def _percentiles(self, drawn: np.ndarray, total: int) -> Interval:
        defined = drawn[np.isfinite(drawn)]
        if total < 2 or len(defined) < _FEWEST_DEFINED * self.resamples:
            return self._none()
        low, high = np.quantile(defined, [0.025, 0.975]).tolist()
        return Interval(low, high, f"95 % percentile bootstrap interval, {self.resamples} resamples of {self.unit}")

    def _none(self) -> Interval:
        return Interval(None, None, f"too few {self.unit} for an interval")


def accelerated(drawn: np.ndarray, value: float, influence: np.ndarray) -> tuple[float, float]:
    """Return the 95 % BCa interval from the numbers of the resamples, shape (r,), and the influence of each row.

    Where all resamples lie on one side of the value, no correction can be estimated, and the percentiles are returned.
    Source: Efron, JASA 82 (1987), 171-185; Efron and Tibshirani 1993, section 14.3.
    """
    below = (np.mean(drawn < value) + np.mean(drawn <= value)) / 2
    spread = float(np.sum(influence**2))
    if not 0 < below < 1 or not spread:
        low, high = np.quantile(drawn, [0.025, 0.975]).tolist()
        return low, high
    bias = float(ndtri(below))
    acceleration = float(np.sum(influence**3)) / (6 * spread**1.5)
    shifted = bias + np.array([-Z_95, Z_95])
    low, high = np.quantile(drawn, ndtr(bias + shifted / (1 - acceleration * shifted))).tolist()
    return low, high


def delta_interval(statistic: Statistic) -> Interval:
    """Return the 95 % normal interval with the standard error from the influence of each row, cut to the number's range.

    Source: Efron, The Jackknife, the Bootstrap and Other Resampling Plans, 1982, chapter 6.
    """
    half = Z_95 * influence_error(statistic.influence())
    low, high = max(statistic.lowest, statistic.value - half), min(statistic.highest, statistic.value + half)
    return Interval(low, high, "95 % interval by the delta method")


def influence_error(influence: np.ndarray) -> float:
    """Return the standard error of a number from the derivative by the weight of each row, shape (n,), at least 2.

    Of a mean it is the usual one, with n - 1 below the sum.
    """
    rows = len(influence)
    return math.sqrt(float(np.sum(influence**2)) * rows / (rows - 1))
