"""Counts and sums by group, each in one pass over the rows.

codes: the group of each row, whole numbers in [0, groups), shape (n,). positive, decided: bool, shape (n,). scores: in [0, 1], shape (n,).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from governance.checks.statistics.intervals import Mean
from governance.checks.statistics.rates import Confusion, Share

_ROUNDING = 1e-20  # what equal numbers can seem to vary by


def confusions(codes: np.ndarray, groups: int, positive: np.ndarray, decided: np.ndarray) -> list[Confusion]:
    """Return the rows of each group by truth and decision."""
    cells = codes.astype(np.intp)
    cells *= 2
    cells += positive
    cells *= 2
    cells += decided
    return [
        Confusion(true_positives, false_positives, false_negatives, true_negatives)
        for true_negatives, false_positives, false_negatives, true_positives in np.bincount(cells, minlength=4 * groups)
        .reshape(groups, 4)
        .tolist()
    ]


def shares(codes: np.ndarray, groups: int, chosen: np.ndarray) -> list[Share]:
    """Return the share of each group's rows that are chosen. chosen: bool, shape (n,)."""
    cells = codes.astype(np.intp)
    cells *= 2
    cells += chosen
    counts = np.bincount(cells, minlength=2 * groups).reshape(groups, 2)
    return [Share(chosen_rows, other_rows + chosen_rows) for other_rows, chosen_rows in counts.tolist()]


@dataclass(frozen=True)
class Band:
    """Rows of a group whose scores are in one band. mean_score: in [0, 1]. positives: out of all rows of the band."""

    low: float
    high: float
    mean_score: float
    positives: Share


@dataclass(frozen=True)
class Calibration:
    """How the scores of a group compare with what came true.

    gap: mean of score - truth, in [-1, 1]; above 0 the group is promised too much. error: in [0, 1], 0 at best: the distance of mean
    score and share of positives, averaged over the bands by their rows. bands: those that have rows, rising.

    Source: Naeini, Cooper and Hauskrecht, AAAI 2015 (expected calibration error); the gap is calibration in the large of Cox,
    Biometrika 45 (1958), 562-565, as a difference.
    """

    gap: Mean
    error: float
    bands: tuple[Band, ...]


def calibrations(codes: np.ndarray, groups: int, positive: np.ndarray, scores: np.ndarray, bins: int) -> list[Calibration]:
    """Return the calibration of each group in bands of equal width, open below and closed above but for the first."""
    edges = np.linspace(0.0, 1.0, bins + 1)
    cells = np.searchsorted(edges[1:-1], scores)
    cells += codes.astype(np.intp) * bins
    rows = np.bincount(cells, minlength=groups * bins).reshape(groups, bins)
    score_sums = np.bincount(cells, scores, groups * bins).reshape(groups, bins)
    positives = np.bincount(cells, positive, groups * bins).reshape(groups, bins).astype(int)
    gaps = _gaps(codes, np.subtract(scores, positive, dtype=float), rows.sum(axis=1))
    errors = np.abs(score_sums - positives).sum(axis=1) / rows.sum(axis=1)
    return [
        Calibration(
            gaps[group],
            float(errors[group]),
            tuple(
                Band(
                    float(edges[band]),
                    float(edges[band + 1]),
                    float(score_sums[group, band] / rows[group, band]),
                    Share(int(positives[group, band]), int(rows[group, band])),
                )
                for band in np.flatnonzero(rows[group]).tolist()
            ),
        )
        for group in range(groups)
    ]


def _gaps(codes: np.ndarray, differences: np.ndarray, rows: np.ndarray) -> list[Mean]:
    """Return mean and variance by group, the variance around the mean: a difference of large sums would lose its digits."""
    means = np.bincount(codes, differences, len(rows)) / rows
    differences -= means[codes]
    differences *= differences
    squares = np.bincount(codes, differences, len(rows))
    variances = squares / np.maximum(rows - 1, 1)
    variances[variances < _ROUNDING] = 0.0
    return [Mean(*each) for each in zip(means.tolist(), variances.tolist(), rows.tolist(), strict=True)]
