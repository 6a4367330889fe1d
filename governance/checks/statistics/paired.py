"""How two models differ in their decisions on the same rows."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.optimize import bisect

from governance.checks.statistics.ranking import Z_95

_EXACT = 1e-14


@dataclass(frozen=True)
class Discordant:
    """Rows that one of two models decides rightly: the first alone, or the second alone; out of `rows`, at least one."""

    first_alone: int
    second_alone: int
    rows: int

    @property
    def difference(self) -> float:
        """The first model's share of right decisions less the second's, in [-1, 1]."""
        return (self.first_alone - self.second_alone) / self.rows

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % score interval of the difference: it leaves out 0 if and only if McNemar's test rejects at 5 %.

        Source: Tango, Statistics in Medicine 17 (1998), 891-908; McNemar, Psychometrika 12 (1947), 153-157.
        """
        low, high = -1.0, 1.0
        if self.second_alone < self.rows:
            low = float(bisect(lambda each: self._score(each) - Z_95, -1.0, self.difference, xtol=_EXACT))
        if self.first_alone < self.rows:
            high = float(bisect(lambda each: self._score(each) + Z_95, self.difference, 1.0, xtol=_EXACT))
        return low, high

    def _score(self, difference: float) -> float:
        """Return the score statistic of a true difference in [-1, 1]; standard normal for many rows, falling."""
        gap = self.first_alone - self.second_alone - self.rows * difference
        b = (2 * self.rows - self.first_alone + self.second_alone) * difference - self.first_alone - self.second_alone
        c = -self.second_alone * difference * (1 - difference)
        # The likeliest share of rows that the second decides rightly alone, if the difference were the one given.
        share = (math.sqrt(max(b * b - 8 * self.rows * c, 0.0)) - b) / (4 * self.rows)
        variance = self.rows * (2 * share + difference * (1 - difference))
        # No variance is left where the difference is one of the ends, or 0 without any row that differs.
        return gap / math.sqrt(variance) if variance > 0 else math.copysign(math.inf, gap) if gap else 0.0


def discordant(right: np.ndarray, others: np.ndarray) -> Discordant:
    """Count the rows; right, others: whether each model decides the row rightly, bool, shape (n,), at least one row."""
    return Discordant(int((right & ~others).sum()), int((others & ~right).sum()), len(right))


def decision_cells(positive: np.ndarray, decided: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return the rows by truth and both decisions, shape (8,): what `decision_differences` reads. All bool, shape (n,)."""
    return np.bincount(4 * positive.astype(np.int8) + 2 * decided.astype(np.int8) + others, minlength=8)


def decision_differences(cells: np.ndarray) -> Mapping[str, np.ndarray]:
    """Return the differences of `precision` and `f1`, shape (r,), NaN where one is not defined. cells: shape (r, 8)."""
    truth, mine, theirs = (np.array([place >> bit & 1 for place in range(8)], dtype=bool) for bit in (2, 1, 0))
    found: list[tuple[np.ndarray, np.ndarray]] = []
    for decided in (mine, theirs):
        right, selected = cells[:, truth & decided].sum(axis=1), cells[:, decided].sum(axis=1)
        found.append((_ratio(right, selected), _ratio(2 * right, selected + cells[:, truth].sum(axis=1))))
    return {"precision": found[0][0] - found[1][0], "f1": found[0][1] - found[1][1]}


def f1_of_counts(cells: np.ndarray) -> Mapping[str, np.ndarray]:
    """Return `f1`, shape (r,), NaN where nothing is positive. cells: true positives, false ones of both kinds, and the rest."""
    return {"f1": _ratio(2 * cells[:, 0], 2 * cells[:, 0] + cells[:, 1] + cells[:, 2])}


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.where(whole > 0, part / np.maximum(whole, 1), np.nan)
