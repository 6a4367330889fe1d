"""Attribution by Shapley values: what each feature adds to the answer for a row, against rows drawn from the data set."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from governance.checks.attribution.answers import Answers
from governance.checks.base import UnsuitableData
from governance.checks.statistics.shapley import Estimate, Plan, estimate, plan
from governance.checks.subject import Subject

if TYPE_CHECKING:
    import pandas as pd

_ROUNDING = 1e-6  # of the greatest answer; models that count in 32 bits round so, and otherwise among other rows


@dataclass(frozen=True)
class Explained:
    """The Shapley values of some rows of a data set.

    planned: how they were had. places: which rows of the data set, shape (e,). rows: the same rows' features. kind: of the answers.
    found: values and what they rest on.
    """

    planned: Plan
    places: np.ndarray
    rows: pd.DataFrame
    kind: str
    found: Estimate

    @property
    def how(self) -> str:
        """How they were had, in words."""
        rounds, background = self.planned.rounds, self.planned.background
        if not rounds:
            return f"all coalitions against {background} rows"
        return f"{rounds * background} permutations, each with its reverse, against {background} rows"

    @property
    def rounding(self) -> float:
        """What a difference of answers must exceed to be one, in their unit."""
        return _ROUNDING * float(np.abs(self.found.answers).max())

    @property
    def magnitudes(self) -> np.ndarray:
        """The absolute Shapley values, shape (e, m), exactly 0 where only rounding is left of them."""
        absolute = np.abs(self.found.values)
        return np.where(absolute <= self.rounding, 0.0, absolute)

    def ranked(self) -> list[int]:
        """Return the places of the features, the greatest mean absolute value first."""
        return [int(place) for place in np.argsort(-self.magnitudes.mean(axis=0), kind="stable")]

    def resampled(self, number: int, random: np.random.Generator) -> np.ndarray:
        """Return the mean absolute values in so many bootstrap samples of the explained rows, shape (number, m)."""
        places = random.integers(len(self.places), size=(number, len(self.places)))
        return np.asarray(np.stack([self.magnitudes[each].mean(axis=0) for each in places]))


def explain(
    answers: Answers,
    subject: Subject,
    most: tuple[int, int, int],
    random: np.random.Generator,
    progress: Callable[[float, str], None],
) -> Explained:
    """Return the Shapley values of rows drawn from the data set. most: of explained rows, background rows and model rows.

    Raises UnsuitableData for fewer than two rows, no features, or so many that the budget does not do.
    """
    explained, background, budget = most
    rows, features = subject.row_count, len(subject.feature_names)
    if rows < 2 or not features:
        raise UnsuitableData("Shapley values need two rows or more, and a feature. Use a larger data set.")
    planned = plan(features, min(explained, rows), min(background, rows), budget)
    if planned is None:
        least = Plan(features, 2, 1, 1).model_rows
        raise UnsuitableData(
            f"A budget of {budget} model rows does not do for {features} features, which take {least} at least. "
            "Raise 'budget', or use method: permutation."
        )
    # Both are drawn before the budget cuts them, so that another model with fewer or more features is asked about the same rows.
    places, against = (random.permutation(rows) for _ in range(2))
    places, against = places[: planned.explained], against[: planned.background]
    pool = subject.rows(np.concatenate([places, against]))
    found = estimate(_asking(answers, pool), planned, random, lambda done: progress(done, "Explaining rows"))
    return Explained(planned, places, pool.iloc[: planned.explained], answers.kind, found)


def _asking(answers: Answers, pool: pd.DataFrame) -> Callable[[np.ndarray], np.ndarray]:
    import pandas as pd

    columns = [(name, pool[name].array) for name in pool.columns]

    def ask(places: np.ndarray) -> np.ndarray:
        # Taken from the columns themselves, so that types, categories and missing values stay as they are.
        return answers(pd.DataFrame({name: column.take(places[:, index]) for index, (name, column) in enumerate(columns)}))

    return ask
