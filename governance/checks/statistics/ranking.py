"""How well scores rank the positives above the negatives."""

from __future__ import annotations

import math

import numpy as np

Z_95 = 1.959963984540054  # the 97.5 % quantile of the standard normal distribution


def midranks(values: np.ndarray) -> np.ndarray:
    """Return the rank of each value from 1, ties sharing their mean rank. Shape (n,)."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray(((last - counts + 1 + last) / 2.0)[inverse])


def roc_auc(positive: np.ndarray, scores: np.ndarray) -> float:
    """Return the area under the ROC curve in [0, 1]; 0.5 is chance.

    positive: bool, both classes present. Source: Mann and Whitney 1947; Hanley and McNeil 1982.
    """
    m = int(positive.sum())
    n = len(positive) - m
    return float((midranks(scores)[positive].sum() - m * (m + 1) / 2.0) / (m * n))


def delong_interval(positive: np.ndarray, scores: np.ndarray) -> tuple[float, float] | None:
    """Return the 95 % interval of the ROC AUC, cut to [0, 1], or None with fewer than two rows of a class.

    Source: DeLong, DeLong and Clarke-Pearson, Biometrics 44 (1988), 837-845; midranks after Sun and Xu, IEEE Signal
    Processing Letters 21 (2014), 1389-1393.
    """
    error = delong_standard_error(positive, scores)
    if error is None:
        return None
    area = roc_auc(positive, scores)
    return max(0.0, area - Z_95 * error), min(1.0, area + Z_95 * error)


def delong_standard_error(positive: np.ndarray, scores: np.ndarray) -> float | None:
    """Return the standard error of the ROC AUC, or None with fewer than two rows of a class. Source: as above."""
    m = int(positive.sum())
    n = len(positive) - m
    if m < 2 or n < 2:
        return None
    ranks = midranks(scores)
    above_negatives = (ranks[positive] - midranks(scores[positive])) / n
    below_positives = 1.0 - (ranks[~positive] - midranks(scores[~positive])) / m
    return math.sqrt(float(np.var(above_negatives, ddof=1)) / m + float(np.var(below_positives, ddof=1)) / n)


def average_precision(positive: np.ndarray, scores: np.ndarray) -> float:
    """Return the area under the precision-recall steps, in [0, 1]; chance is the share of positives.

    positive: bool, at least one True. Source: Manning, Raghavan and Schuetze 2008, section 8.4, without interpolation.
    """
    true_positives, false_positives, _ = cumulative_counts(positive, scores)
    precision = true_positives / (true_positives + false_positives)
    return float(np.sum(np.diff(true_positives, prepend=0.0) / true_positives[-1] * precision))


def cumulative_counts(positive: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (true positives, false positives, threshold) per different score, from the highest down."""
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    last_of_tie = np.append(np.nonzero(np.diff(ranked))[0], len(ranked) - 1)
    true_positives = np.cumsum(positive[order])[last_of_tie].astype(float)
    return true_positives, 1.0 + last_of_tie - true_positives, ranked[last_of_tie]


def roc_points(positive: np.ndarray, scores: np.ndarray, most: int) -> list[tuple[float, float, float | None]]:
    """Return (false positive rate, true positive rate, threshold) from (0, 0) to (1, 1), at most `most` points.

    Of more points an even choice is kept, with both ends. The first point has no threshold: it is above every score.
    """
    true_positives, false_positives, thresholds = cumulative_counts(positive, scores)
    kept = np.unique(np.linspace(0, len(thresholds) - 1, min(most - 1, len(thresholds))).round().astype(int))
    negatives = max(float(false_positives[-1]), 1.0)
    points: list[tuple[float, float, float | None]] = [(0.0, 0.0, None)]
    for index in kept.tolist():
        rates = float(false_positives[index]) / negatives, float(true_positives[index] / true_positives[-1])
        points.append((*rates, float(thresholds[index])))
    return points
