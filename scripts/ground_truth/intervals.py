"""Intervals as the papers define them, by other ways than the checks take, and how far two bootstraps may be apart."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import stats
from scipy.optimize import brentq

Z = float(stats.norm.ppf(0.975))
BOOTSTRAP = (
    "5 standard errors of the ends of two bootstraps: sqrt(p(1-p)) / f(z) for the percentile and 1/2 / f(0) for the bias, "
    "by sqrt(1/B + 1/B') and the standard error"
)


def wilson(part: int, whole: int) -> tuple[float, float]:
    """Return the 95 % interval of a share."""
    found = stats.binomtest(int(part), int(whole)).proportion_ci(0.95, method="wilson")
    return float(found.low), float(found.high)


def newcombe(first: tuple[int, int], second: tuple[int, int]) -> tuple[float, float]:
    """Return the 95 % interval of the difference of two independent shares, each as (part, whole): method 10 of Newcombe 1998."""
    (low_1, high_1), (low_2, high_2) = wilson(*first), wilson(*second)
    one, two = first[0] / first[1], second[0] / second[1]
    return one - two - math.sqrt((one - low_1) ** 2 + (high_2 - two) ** 2), one - two + math.sqrt(
        (high_1 - one) ** 2 + (two - low_2) ** 2
    )


def katz(first: tuple[int, int], second: tuple[int, int]) -> tuple[float, float]:
    """Return the 95 % interval of the ratio of two independent shares, each as (part, whole)."""
    found = stats.contingency.relative_risk(*map(int, (*first, *second))).confidence_interval(0.95)
    return float(found.low), float(found.high)


def tango(first_alone: int, second_alone: int, rows: int) -> tuple[float, float]:
    """Return the 95 % score interval of a difference of paired shares, the likeliest nuisance found numerically (Tango 1998)."""

    def nuisance(difference: float) -> float:
        lowest, highest = max(0.0, -difference), (1.0 - difference) / 2

        def slope(share: float) -> float:
            return (
                first_alone / (share + difference)
                + second_alone / share
                - 2 * (rows - first_alone - second_alone) / (1 - 2 * share - difference)
            )

        inside = (highest - lowest) * 1e-12
        return float(brentq(slope, lowest + inside, highest - inside, xtol=1e-16, rtol=1e-15))

    def score(difference: float) -> float:
        variance = rows * (2 * nuisance(difference) + difference - difference**2)
        return (first_alone - second_alone - rows * difference) / math.sqrt(variance)

    middle = (first_alone - second_alone) / rows
    near, far = 1e-9, 0.4  # the models that are compared here are nearer to one another than that
    return (
        float(brentq(lambda each: score(each) - Z, middle - far, middle - near, xtol=1e-15)),
        float(brentq(lambda each: score(each) + Z, middle + near, middle + far, xtol=1e-15)),
    )


def delong(positive: np.ndarray, scores: Sequence[np.ndarray]) -> tuple[float, float]:
    """Return the 95 % interval of an area, or of the first less the second, from every pair of rows (DeLong et al. 1988)."""
    rows, columns = [], []
    for each in scores:
        above, below = each[positive], each[~positive]
        rows.append(_share_below(np.sort(below), above))
        columns.append(1 - _share_below(np.sort(above), below))
    of_positives, of_negatives = (each[0] if len(each) == 1 else each[0] - each[1] for each in (rows, columns))
    area = float(np.mean(of_positives))
    error = math.sqrt(np.var(of_positives, ddof=1) / len(of_positives) + np.var(of_negatives, ddof=1) / len(of_negatives))
    lowest = 0.0 if len(scores) == 1 else -1.0
    return max(lowest, area - Z * error), min(1.0, area + Z * error)


def _share_below(ordered: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return the share of the ordered numbers below each value, ties counting half."""
    below, up_to = (np.searchsorted(ordered, values, side=side) for side in ("left", "right"))
    return np.asarray((below + up_to) / 2 / len(ordered))


def bootstrap(
    data: Sequence[np.ndarray], statistic: Any, method: str, resamples: int, ours: int
) -> tuple[tuple[float, float], float]:
    """Return the interval of scipy's bootstrap of rows, and how far one of `ours` resamples may be from it (see BOOTSTRAP)."""
    found = stats.bootstrap(
        data,
        statistic,
        paired=True,
        n_resamples=resamples,
        method=method,
        vectorized=False,
        rng=np.random.default_rng(3),
    )
    density = stats.norm.pdf
    of_end = math.sqrt(0.025 * 0.975) / density(Z)
    of_bias = 2 * 0.5 / density(0) if method == "BCa" else 0.0
    error = math.hypot(of_end, of_bias) * math.sqrt(1 / resamples + 1 / ours) * float(found.standard_error)
    return (float(found.confidence_interval.low), float(found.confidence_interval.high)), 5 * error
