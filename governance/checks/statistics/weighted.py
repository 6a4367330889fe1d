"""Numbers that rest on rows, as functions of how often each row counts."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from governance.checks.statistics import ranking

_ROUNDING = 1e-12  # below this share of the largest spread, what is left of a difference of sums is rounding


@dataclass(frozen=True, eq=False)
class Statistic:
    """A number that rests on n rows, and what is needed for its interval.

    of: how often each row counts, shape (r, n) -> the number for each of the r weightings, shape (r,), NaN where it is not
    defined; n weights of 1 give `value`. influence: gives the derivative of the number by the weight of each row, shape (n,),
    whose sum is 0. lowest, highest: the range of the number.
    """

    rows: int
    value: float
    of: Callable[[np.ndarray], np.ndarray]
    influence: Callable[[], np.ndarray]
    lowest: float = -math.inf
    highest: float = math.inf

    def __sub__(self, other: Statistic) -> Statistic:
        """Return the difference of two numbers that rest on the same rows, as one number."""
        return Statistic(
            self.rows,
            self.value - other.value,
            lambda weights: self.of(weights) - other.of(weights),
            lambda: self.influence() - other.influence(),
            self.lowest - other.highest,
            self.highest - other.lowest,
        )


def mean(values: np.ndarray, lowest: float = -math.inf, highest: float = math.inf) -> Statistic:
    """Return the mean of a value per row, shape (n,), at least one."""
    value = float(values.mean())
    return Statistic(
        len(values),
        value,
        lambda weights: np.asarray(weights @ values / weights.sum(axis=1)),
        lambda: (values - value) / len(values),
        lowest,
        highest,
    )


def root_mean_square(errors: np.ndarray) -> Statistic:
    """Return the root of the mean squared error, in the unit of the errors. errors: shape (n,), at least one."""
    squares = errors**2
    value = math.sqrt(float(squares.mean()))

    def influence() -> np.ndarray:
        return (squares - value**2) / (2 * value * len(squares)) if value else np.zeros(len(squares))

    return Statistic(len(errors), value, lambda weights: np.sqrt(weights @ squares / weights.sum(axis=1)), influence, 0.0)


def r_squared(truth: np.ndarray, predicted: np.ndarray) -> Statistic | None:
    """Return the coefficient of determination, at most 1, or None if the truth does not vary.

    Source: Draper and Smith 1998, chapter 1; the mean is that of the rows as they are weighted.
    """
    centred, squares = truth - truth.mean(), (truth - predicted) ** 2
    spread = float(np.sum(centred**2))
    if not spread:
        return None
    value = 1.0 - float(np.sum(squares)) / spread

    def of(weights: np.ndarray) -> np.ndarray:
        around = weights @ centred**2 - (weights @ centred) ** 2 / weights.sum(axis=1)
        defined = around > _ROUNDING * spread
        return np.where(defined, 1.0 - weights @ squares / np.where(defined, around, 1.0), np.nan)

    return Statistic(len(truth), value, of, lambda: ((1.0 - value) * centred**2 - squares) / spread, highest=1.0)


def average_precision(positive: np.ndarray, scores: np.ndarray) -> Statistic:
    """Return the area under the precision-recall steps, in [0, 1], as `ranking.average_precision` does.

    positive: bool, at least one True. Tied scores count together.
    """
    order = np.argsort(-scores, kind="stable")
    last_of_tie = np.append(np.nonzero(np.diff(scores[order]))[0], len(scores) - 1)
    ranked = positive[order].astype(float)

    def of(weights: np.ndarray) -> np.ndarray:
        in_order = weights[:, order]
        chosen = np.cumsum(in_order, axis=1)[:, last_of_tie]
        right = np.cumsum(in_order * ranked, axis=1)[:, last_of_tie]
        steps = np.diff(right, axis=1, prepend=0.0)
        total = np.sum(steps * right / np.where(chosen > 0, chosen, 1.0), axis=1)
        defined = right[:, -1] > 0
        return np.where(defined, total / np.where(defined, right[:, -1], 1.0), np.nan)

    value = ranking.average_precision(positive, scores)

    def influence() -> np.ndarray:
        right, chosen = np.cumsum(ranked)[last_of_tie], last_of_tie + 1.0
        precision, steps = right / chosen, np.diff(np.cumsum(ranked)[last_of_tie], prepend=0.0)
        # A row moves the precision at its own score and at every lower one, in proportion to the positives found there.
        lower = np.cumsum((steps / chosen)[::-1])[::-1], np.cumsum((steps * precision / chosen)[::-1])[::-1]
        tie = np.repeat(np.arange(len(last_of_tie)), np.diff(last_of_tie, prepend=-1))
        moved = np.empty(len(scores))
        moved[order] = (ranked * (precision[tie] - value + lower[0][tie]) - lower[1][tie]) / right[-1]
        return moved

    return Statistic(len(scores), value, of, influence, 0.0, 1.0)
