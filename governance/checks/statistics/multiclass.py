"""How well one of several classes is told from the others."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from governance.checks.statistics.ranking import Z_95, placements


@dataclass(frozen=True, eq=False)
class ClassCounts:
    """Rows by class, for one set of rows or for r draws of it: each array has the shape (r, classes).

    support: rows whose truth is the class. chosen: rows decided to be it. right: rows that are both.
    """

    support: np.ndarray
    chosen: np.ndarray
    right: np.ndarray

    @property
    def precision(self) -> np.ndarray:
        """Right rows out of those decided to be the class; 0 if there is none."""
        return _ratio(self.right, self.chosen, 0.0)

    @property
    def recall(self) -> np.ndarray:
        """Right rows out of those of the class; 0 if there is none."""
        return _ratio(self.right, self.support, 0.0)

    @property
    def f1(self) -> np.ndarray:
        """Harmonic mean of precision and recall; 0 if the class is neither true nor decided."""
        return _ratio(2 * self.right, self.support + self.chosen, 0.0)

    def summary(self) -> Mapping[str, np.ndarray]:
        """Return the numbers over all classes by name, shape (r,), NaN where one is not defined.

        Macro: the mean over the classes that are true or decided; weighted: by rows of the class; balanced accuracy: the mean
        recall of the classes that are true. Each is in [0, 1]; kappa in [-1, 1], 0 at chance.
        Source: Sokolova and Lapalme 2009, table 3 (macro); Brodersen et al. 2010 (balanced accuracy); Cohen 1960 (kappa).
        """
        rows = self.support.sum(axis=1)
        seen, present = (self.support + self.chosen) > 0, self.support > 0
        accuracy = self.right.sum(axis=1) / rows
        by_chance = np.sum(self.support * self.chosen, axis=1) / rows**2
        numbers = {
            "accuracy": accuracy,
            "balanced_accuracy": _mean(self.recall, present),
            "cohen_kappa": np.where(by_chance < 1, (accuracy - by_chance) / np.where(by_chance < 1, 1 - by_chance, 1.0), np.nan),
        }
        for name, values in (("precision", self.precision), ("recall", self.recall), ("f1", self.f1)):
            numbers[f"{name}.macro"] = _mean(values, seen)
            numbers[f"{name}.weighted"] = np.sum(values * self.support, axis=1) / rows
        return numbers


@dataclass(frozen=True, eq=False)
class Cells:
    """The combinations of truth and decision that rows have, so that draws of the rows can be counted.

    truth, decided: class of each cell from 0, shape (c,). counts: rows of each, shape (c,). classes: how many there are.
    """

    truth: np.ndarray
    decided: np.ndarray
    counts: np.ndarray
    classes: int

    def of(self, drawn: np.ndarray) -> ClassCounts:
        """Return the counts by class of r draws. drawn: rows per cell, shape (r, c)."""
        right = self.truth == self.decided
        return ClassCounts(
            drawn @ _indicator(self.truth, self.classes),
            drawn @ _indicator(self.decided, self.classes),
            drawn[:, right] @ _indicator(self.truth[right], self.classes),
        )

    @property
    def measured(self) -> ClassCounts:
        """The counts of the rows themselves, with r = 1."""
        return self.of(self.counts[None, :].astype(float))


def cells(classes: int, truth: np.ndarray, *decided: np.ndarray) -> list[Cells]:
    """Return the cells of one or more decisions on the same rows, shape (n,), classes from 0; all share one order of cells."""
    code = truth.astype(np.int64)
    for each in decided:
        code = code * classes + each
    found, counts = np.unique(code, return_counts=True)
    parts = []
    for _ in decided:
        found, last = np.divmod(found, classes)
        parts.append(last)
    return [Cells(found, each, counts, classes) for each in reversed(parts)]


@dataclass(frozen=True, eq=False)
class Area:
    """A mean of ROC areas, or the difference of two on the same rows.

    areas: how many it is the mean of. influence: what each row adds to the error, shape (n,). enough: whether each class has
    two rows, without which there is no error. lowest: end of its range, whose other end is 1.
    """

    value: float
    areas: int
    influence: np.ndarray
    enough: bool
    lowest: float = 0.0

    def __sub__(self, other: Area) -> Area:
        """Return the difference of two areas on the same rows, as one number."""
        return Area(self.value - other.value, self.areas, self.influence - other.influence, self.enough and other.enough, -1.0)

    @property
    def error(self) -> float:
        """The standard error, of one area or of the difference of two that of DeLong et al. (1988)."""
        return math.sqrt(float(np.sum(self.influence**2)))

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % normal interval, cut to the range."""
        half = Z_95 * self.error
        return max(self.lowest, self.value - half), min(1.0, self.value + half)


def one_vs_rest(truth: np.ndarray, table: np.ndarray, classes: tuple[int, ...] | None = None) -> Area | None:
    """Return the mean area under the ROC curve of each class against all others, or None if none is defined.

    truth: class of each row from 0, shape (n,). table: probability of each class, shape (n, classes). A class without rows, or with
    all of them, has no area and does not count. classes: those to count, all by default.
    Source: Provost and Domingos 2001, unweighted; Fawcett 2006, section 10.
    """
    chosen = range(table.shape[1]) if classes is None else classes
    rows = np.arange(len(truth))
    return _mean_area([area for each in chosen if (area := _area(rows, truth == each, table[:, each]))], len(truth))


def hand_till(truth: np.ndarray, table: np.ndarray) -> Area | None:
    """Return M, the mean over all pairs of classes of the area between the two, each by both probabilities, or None.

    truth, table: as for `one_vs_rest`; 0.5 is chance whatever the shares of the classes.
    Source: Hand and Till, Machine Learning 45 (2001), 171-186, equation 7.
    """
    places = [np.flatnonzero(truth == each) for each in range(table.shape[1])]
    present = [each for each, rows in enumerate(places) if len(rows)]
    areas = []
    for first, second in combinations(present, 2):
        rows = np.concatenate([places[first], places[second]])
        positive = np.arange(len(rows)) < len(places[first])
        areas += [_area(rows, positive, table[rows, first]), _area(rows, ~positive, table[rows, second])]
    return _mean_area([area for area in areas if area], len(truth))


_OneArea = tuple[float, np.ndarray, np.ndarray, bool]


def _area(rows: np.ndarray, positive: np.ndarray, scores: np.ndarray) -> _OneArea | None:
    """Return the area, the rows it rests on, what each adds to its error, and whether both classes have two."""
    m = int(positive.sum())
    n = len(positive) - m
    if not m or not n:
        return None
    above, below = placements(positive, scores)
    value, influence = float(above.mean()), np.empty(len(rows))
    influence[positive] = (above - value) / math.sqrt(m * max(m - 1, 1))
    influence[~positive] = (below - value) / math.sqrt(n * max(n - 1, 1))
    return value, rows, influence, m > 1 and n > 1


def _mean_area(areas: list[_OneArea], rows: int) -> Area | None:
    if not areas:
        return None
    influence = np.zeros(rows)
    for _, places, each, _ in areas:
        influence[places] += each / len(areas)
    return Area(math.fsum(each[0] for each in areas) / len(areas), len(areas), influence, all(each[3] for each in areas))


def _indicator(values: np.ndarray, classes: int) -> np.ndarray:
    return np.asarray(values[:, None] == np.arange(classes), dtype=float)


def _ratio(part: np.ndarray, whole: np.ndarray, otherwise: float) -> np.ndarray:
    return np.where(whole > 0, part / np.where(whole > 0, whole, 1.0), otherwise)


def _mean(values: np.ndarray, counted: np.ndarray) -> np.ndarray:
    return np.asarray(np.sum(values * counted, axis=1) / np.sum(counted, axis=1))
