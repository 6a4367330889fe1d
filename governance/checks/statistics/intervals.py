"""Intervals of how two shares, or two means, differ."""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy.special import stdtrit

from governance.checks.statistics.ranking import Z_95
from governance.checks.statistics.rates import Share

Interval = tuple[float | None, float | None]
NO_INTERVAL: Interval = (None, None)


@dataclass(frozen=True)
class Mean:
    """The mean of n numbers. variance: of the numbers, divided by n - 1; 0 for a single one, of which nothing is known."""

    value: float
    variance: float
    n: int

    @property
    def interval(self) -> Interval:
        """The 95 % interval by the t distribution, or None twice if the numbers do not vary. Source: Student, Biometrika 6 (1908), 1-25."""
        if not self.variance:
            return NO_INTERVAL
        half = _t_95(self.n - 1) * math.sqrt(self.variance / self.n)
        return self.value - half, self.value + half


def newcombe(first: Share, second: Share) -> Interval:
    """Return the 95 % interval of first - second in [-1, 1], of two independent shares, or None twice if one has no rows.

    Source: Newcombe, Statistics in Medicine 17 (1998), 873-890, method 10: the Wilson limits of both, without continuity correction.
    """
    (low_1, high_1), (low_2, high_2) = first.interval, second.interval
    if low_1 is None or high_1 is None or low_2 is None or high_2 is None:
        return NO_INTERVAL
    share_1, share_2 = first.part / first.whole, second.part / second.whole
    difference = share_1 - share_2
    return (
        difference - math.hypot(share_1 - low_1, high_2 - share_2),
        difference + math.hypot(high_1 - share_1, share_2 - low_2),
    )


def katz(first: Share, second: Share) -> Interval:
    """Return the 95 % interval of first / second, from 0; it may reach beyond 1.

    None twice if `second` is 0 or without rows, or if both are 1: the interval would have no width and look certain. If `first` is 0,
    it begins at 0 and ends where it does with 1/2 added to the counts, as the logarithm of 0 is infinite.
    Source: Katz, Baptista, Azen and Pike, Biometrics 34 (1978), 469-474, method C; with 1/2 added: Walter, Biometrika 62 (1975), 371-374.
    """
    if not first.whole or not second.part or (first.part == first.whole and second.part == second.whole):
        return NO_INTERVAL
    added = 0.0 if first.part else 0.5
    part_1, whole_1, part_2, whole_2 = first.part + added, first.whole + added, second.part + added, second.whole + added
    ratio = part_1 / whole_1 / (part_2 / whole_2)
    error = math.sqrt(1 / part_1 - 1 / whole_1 + 1 / part_2 - 1 / whole_2)
    return (ratio * math.exp(-Z_95 * error) if first.part else 0.0), ratio * math.exp(Z_95 * error)


def welch(first: Mean, second: Mean) -> Interval:
    """Return the 95 % interval of first - second, of two independent means, or None twice if one of them does not vary.

    Source: Welch, Biometrika 34 (1947), 28-35, with the degrees of freedom of Satterthwaite, Biometrics 2 (1946), 110-114.
    """
    if not first.variance or not second.variance:
        return NO_INTERVAL
    error_1, error_2 = first.variance / first.n, second.variance / second.n
    freedom = (error_1 + error_2) ** 2 / (error_1**2 / (first.n - 1) + error_2**2 / (second.n - 1))
    half = _t_95(freedom) * math.sqrt(error_1 + error_2)
    difference = first.value - second.value
    return difference - half, difference + half


def _t_95(freedom: float) -> float:
    return float(stdtrit(freedom, 0.975))
