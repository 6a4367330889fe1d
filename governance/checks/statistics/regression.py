"""How far predicted numbers lie from true ones."""

from __future__ import annotations

import math

import numpy as np
from scipy.stats import binom

from governance.checks.statistics.distance import quantile_edges

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


def median_interval(values: np.ndarray) -> tuple[float, float] | None:
    """Return an interval that holds the median with at least 95 %, whatever the distribution, or None with fewer than 6 rows.

    Both ends are values of rows. Source: Thompson, Annals of Mathematical Statistics 7 (1936), 122-128; Hahn and Meeker 1991, section 5.2.
    """
    lower = int(binom.ppf(0.025, len(values), 0.5))
    if lower < 1:
        return None
    ordered = np.sort(values)
    return float(ordered[lower - 1]), float(ordered[len(values) - lower])


def percentage_errors(truth: np.ndarray, predicted: np.ndarray) -> np.ndarray | None:
    """Return each absolute error as a fraction of the truth, or None if a true value is 0: shape (n,)."""
    return np.abs((truth - predicted) / truth) if bool(np.all(truth != 0)) else None


def residual_bands(truth: np.ndarray, predicted: np.ndarray, bands: int) -> list[tuple[float | int, ...]]:
    """Return (lowest and highest prediction, rows, mean residual, and its QUANTILES) for each band of equal rows by prediction.

    A residual is the truth less the prediction. Equal predictions are in one band, so that there may be fewer.
    Source: Draper and Smith 1998, chapter 2; quantiles by linear interpolation.
    """
    band = np.searchsorted(quantile_edges(predicted, bands), predicted)
    found: list[tuple[float | int, ...]] = []
    for each in np.unique(band).tolist():
        inside = band == each
        residuals, placed = (truth - predicted)[inside], predicted[inside]
        quantiles = np.quantile(residuals, QUANTILES).tolist()
        found.append((float(placed.min()), float(placed.max()), len(placed), math.fsum(residuals) / len(placed), *quantiles))
    return found
