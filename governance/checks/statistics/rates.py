"""Shares of rows, their intervals, and the errors of probabilities."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from governance.checks.statistics.ranking import Z_95


@dataclass(frozen=True)
class Share:
    """`part` out of `whole` rows. `value` is in [0, 1], or None when there is no row to divide by."""

    part: int
    whole: int

    @property
    def value(self) -> float | None:
        """The share itself."""
        return self.part / self.whole if self.whole else None

    @property
    def interval(self) -> tuple[float | None, float | None]:
        """The 95 % score interval. Source: Wilson, JASA 22 (1927), 209-212."""
        if not self.whole:
            return None, None
        share, spread = self.part / self.whole, Z_95**2 / self.whole
        centre = (share + spread / 2) / (1 + spread)
        half = Z_95 / (1 + spread) * math.sqrt(share * (1 - share) / self.whole + spread / (4 * self.whole))
        # At the ends the exact value is 0 or 1; rounding must not push it beyond.
        low = 0.0 if self.part == 0 else max(0.0, centre - half)
        return low, 1.0 if self.part == self.whole else min(1.0, centre + half)


@dataclass(frozen=True)
class Confusion:
    """Rows by truth and decision."""

    true_positives: int
    false_positives: int
    false_negatives: int
    true_negatives: int

    @property
    def accuracy(self) -> Share:
        """Right decisions out of all rows."""
        right = self.true_positives + self.true_negatives
        return Share(right, right + self.false_positives + self.false_negatives)

    @property
    def precision(self) -> Share:
        """True positives out of the rows decided favourably."""
        return Share(self.true_positives, self.true_positives + self.false_positives)

    @property
    def recall(self) -> Share:
        """True positives out of the rows that are positive; also the true positive rate."""
        return Share(self.true_positives, self.true_positives + self.false_negatives)

    @property
    def selection_rate(self) -> Share:
        """Rows decided favourably out of all rows."""
        return Share(self.true_positives + self.false_positives, self.accuracy.whole)

    @property
    def false_positive_rate(self) -> Share:
        """False positives out of the rows that are negative."""
        return Share(self.false_positives, self.false_positives + self.true_negatives)

    @property
    def f1(self) -> float | None:
        """Harmonic mean of precision and recall in [0, 1], or None if nothing is positive. Source: van Rijsbergen 1979."""
        weight = 2 * self.true_positives + self.false_positives + self.false_negatives
        return 2 * self.true_positives / weight if weight else None


def confusion(positive: np.ndarray, decided: np.ndarray) -> Confusion:
    """Count the rows; both arrays bool, shape (n,)."""
    return Confusion(
        int((positive & decided).sum()),
        int((~positive & decided).sum()),
        int((positive & ~decided).sum()),
        int((~positive & ~decided).sum()),
    )


def log_loss(positive: np.ndarray, scores: np.ndarray) -> float:
    """Return the mean negative log likelihood in nats, 0 at best. Source: Good 1952."""
    return float(np.mean(row_log_loss(positive, scores)))


def row_log_loss(positive: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Return the negative log likelihood of each row in nats. scores: probability of the positive class, shape (n,)."""
    return log_loss_of(np.where(positive, scores, 1 - scores))


def log_loss_of(of_truth: np.ndarray) -> np.ndarray:
    """Return the negative log likelihood of each row in nats. of_truth: probability given to what is true, shape (n,).

    A probability of exactly 0 or 1 is moved inwards by the precision of its type, or one certain mistake would be infinite.
    """
    smallest = float(np.finfo(of_truth.dtype).eps)
    return np.asarray(-np.log(np.clip(of_truth.astype(float), smallest, 1 - smallest)))


def brier(positive: np.ndarray, scores: np.ndarray) -> float:
    """Return the mean squared error of the probabilities, in [0, 1], 0 at best. Source: Brier 1950."""
    return float(np.mean(row_brier(positive, scores)))


def row_brier(positive: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Return the squared error of the probability of each row, in [0, 1]."""
    return np.asarray((scores.astype(float) - positive) ** 2)


def calibration(positive: np.ndarray, scores: np.ndarray, bins: int) -> list[tuple[float, float, float, float, int]]:
    """Return (low, high, mean score, share of positives, rows) for each band of equal width that has rows.

    Source: reliability diagrams, DeGroot and Fienberg 1983; bands are open below and closed above, but for the first.
    """
    edges = np.linspace(0.0, 1.0, bins + 1)
    band = np.clip(np.searchsorted(edges[1:-1], scores), 0, bins - 1)
    rows = []
    for index in range(bins):
        inside = band == index
        if inside.any():
            mean_score, share = float(scores[inside].mean()), float(positive[inside].mean())
            rows.append((float(edges[index]), float(edges[index + 1]), mean_score, share, int(inside.sum())))
    return rows
