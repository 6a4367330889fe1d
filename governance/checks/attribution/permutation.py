"""Attribution by permutation: how much worse a model gets when a feature's values are shuffled between the rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from governance.checks.attribution.answers import Answers
from governance.checks.base import UnsuitableData
from governance.checks.subject import Subject

if TYPE_CHECKING:
    import pandas as pd

_ROWS_AT_ONCE = 50_000


class Goodness:
    """How good answers are, the higher the better: ROC AUC of probabilities, accuracy of labels, both in [0, 1], R squared of numbers."""

    def __init__(self, subject: Subject, kind: str, chosen: np.ndarray) -> None:
        """Raise UnsuitableData for rows of one class, or one value of a regression's target: it is not defined on them."""
        if kind == "number" and subject.target.dtype.kind not in "biuf":
            raise UnsuitableData("The target of a regression must be numbers.")
        self._kind = kind
        self._truth = subject.target[chosen].astype(float) if kind == "number" else subject.positives[chosen]
        self.name = {"probability": "ROC AUC", "label": "accuracy", "number": "R squared"}[kind]
        if kind == "number" and self._truth.min() == self._truth.max():
            raise UnsuitableData("The target does not vary, so R squared is not defined.")
        if kind == "probability" and (self._truth.all() or not self._truth.any()):
            raise UnsuitableData("The rows used hold only one class, so the ROC AUC is not defined. Use more rows.")

    def of(self, answers: np.ndarray, rows: np.ndarray | None = None) -> float:
        """Return the goodness on all rows, or on those at these places (NaN where R squared is not defined on them)."""
        from governance.checks.statistics.ranking import roc_auc

        truth, given = (self._truth, answers) if rows is None else (self._truth[rows], answers[rows])
        if self._kind == "probability":
            return roc_auc(truth, given)
        if self._kind == "label":
            return float(((given == 1.0) == truth).mean())
        spread = float(((truth - truth.mean()) ** 2).sum())
        return 1.0 - float(((given - truth) ** 2).sum()) / spread if spread else float("nan")

    def resamples(self, number: int, random: np.random.Generator) -> list[np.ndarray]:
        """Return so many bootstrap samples of the rows, as places; of a binary target each with as many rows of each class."""
        classes = (
            [np.arange(len(self._truth))]
            if self._kind == "number"
            else [np.flatnonzero(self._truth), np.flatnonzero(~self._truth)]
        )
        return [np.concatenate([random.choice(each, len(each)) for each in classes if len(each)]) for _ in range(number)]


def drops(
    answers: Answers,
    rows: pd.DataFrame,
    goodness: Goodness,
    repeats: int,
    resamples: list[np.ndarray],
    random: np.random.Generator,
    progress: Callable[[float, str], None],
) -> tuple[float, np.ndarray, np.ndarray]:
    """Return the goodness on the rows as they are, how much each shuffle of a feature lowers it, and that in each resample.

    Shapes: (repeats, m), and (resamples, m), the mean over the repeats; resamples in which it is not defined are left out.
    Source: Breiman 2001, section 10; Fisher, Rudin and Dominici 2019, section 3.
    """
    unchanged = answers(rows)
    baseline = goodness.of(unchanged)
    in_resamples = np.array([goodness.of(unchanged, places) for places in resamples])
    units = np.empty((repeats, rows.shape[1]))
    resampled = np.empty((len(resamples), rows.shape[1]))
    for index, feature in enumerate(rows.columns):
        progress(index / rows.shape[1], f"Shuffling {feature}")
        shuffled = _shuffled(answers, rows, feature, repeats, random)
        units[:, index] = [baseline - goodness.of(each) for each in shuffled]
        lowered = [[goodness.of(each, places) for each in shuffled] for places in resamples]
        resampled[:, index] = in_resamples - np.mean(lowered, axis=1)
    return baseline, units, resampled[np.isfinite(resampled).all(axis=1)]


def _shuffled(
    answers: Answers, rows: pd.DataFrame, feature: object, repeats: int, random: np.random.Generator
) -> list[np.ndarray]:
    """Return the answers after each shuffle of a feature, asked for in few calls: each goes to another process."""
    orders = [random.permutation(len(rows)) for _ in range(repeats)]
    at_once = max(1, _ROWS_AT_ONCE // len(rows))
    given: list[np.ndarray] = []
    for start in range(0, repeats, at_once):
        part = orders[start : start + at_once]
        changed = rows.iloc[np.tile(np.arange(len(rows)), len(part))].reset_index(drop=True)
        changed[feature] = rows[feature].array.take(np.concatenate(part))
        given += np.split(answers(changed), len(part))
    return given
