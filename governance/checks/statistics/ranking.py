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
    found = delong(positive, scores)
    if found is None:
        return None
    area, error = found
    return max(0.0, area - Z_95 * error), min(1.0, area + Z_95 * error)


def delong(positive: np.ndarray, scores: np.ndarray) -> tuple[float, float] | None:
    """Return the ROC AUC and its standard error, or None with fewer than two rows of a class. Source: as above."""
    if not _has_two_of_each(positive):
        return None
    above_negatives, below_positives = placements(positive, scores)
    return float(above_negatives.mean()), _error(above_negatives, below_positives)


def delong_difference(positive: np.ndarray, scores: np.ndarray, others: np.ndarray) -> tuple[float, float] | None:
    """Return the 95 % interval of the ROC AUC of `scores` less that of `others` on the same rows, cut to [-1, 1].

    None with fewer than two rows of a class. Source: as above, the case of two correlated areas.
    """
    if not _has_two_of_each(positive):
        return None
    mine, theirs = placements(positive, scores), placements(positive, others)
    difference = float(mine[0].mean() - theirs[0].mean())
    half = Z_95 * _error(mine[0] - theirs[0], mine[1] - theirs[1])
    return max(-1.0, difference - half), min(1.0, difference + half)


def delong_standard_error(positive: np.ndarray, scores: np.ndarray) -> float | None:
    """Return the standard error of the ROC AUC, or None with fewer than two rows of a class. Source: as above."""
    found = delong(positive, scores)
    return None if found is None else found[1]


def placements(positive: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the share of negatives below each positive, shape (m,), and of positives above each negative, shape (n,).

    A tie counts half; the mean of either is the ROC AUC. Both classes must be present. Source: as above.
    """
    ranks = midranks(scores)
    above, below = ranks[positive], ranks[~positive]
    above_negatives = (above - midranks(scores[positive])) / len(below)
    return above_negatives, 1.0 - (below - midranks(scores[~positive])) / len(above)


def _has_two_of_each(positive: np.ndarray) -> bool:
    positives = int(positive.sum())
    return positives >= 2 and len(positive) - positives >= 2


def _error(above_negatives: np.ndarray, below_positives: np.ndarray) -> float:
    variances = [float(np.var(each, ddof=1)) / len(each) for each in (above_negatives, below_positives)]
    return math.sqrt(sum(variances))


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


def precision_recall_points(positive: np.ndarray, scores: np.ndarray, most: int) -> list[tuple[float, float, float]]:
    """Return (recall, precision, threshold) from the highest threshold down, at most `most` points, the ends among them.

    positive: bool, at least one True. Source: Manning, Raghavan and Schuetze 2008, section 8.4.
    """
    true_positives, false_positives, thresholds = cumulative_counts(positive, scores)
    kept = np.unique(np.linspace(0, len(thresholds) - 1, min(most, len(thresholds))).round().astype(int))
    recall, precision = true_positives / true_positives[-1], true_positives / (true_positives + false_positives)
    return list(zip(recall[kept].tolist(), precision[kept].tolist(), thresholds[kept].tolist(), strict=True))
