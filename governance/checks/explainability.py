"""Which features the predictions depend on."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Literal

from governance.checks.base import Measurement, Result, Table, UnsuitableData
from governance.checks.subject import Subject, equals_label

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

Goodness = Callable[["pd.DataFrame"], float]


@dataclass(frozen=True)
class Explainability:
    """Measure by permutation how much each feature matters to the model.

    `attribution` (slice = feature) is the mean drop of the goodness when the feature's values are shuffled between rows:
    ROC AUC if the model gives probabilities, else accuracy (both in [0, 1]), or R squared for a regression. About 0 means
    that the model does not use it; correlated features share their importance. The interval is Student's t over the
    repeats: it shows the chance of shuffling, not that of the sample. `explainability.features`, `explainability.rows`,
    `explainability.baseline` say what it rests on. Equal seeds give equal numbers.
    Raises MissingColumn, UnsuitableData, ModelLoadFailed, ModelPredictFailed.

    Source: Breiman 2001, section 10; Fisher, Rudin and Dominici 2019, section 3.
    """

    name: ClassVar[str] = "explainability"
    revision: ClassVar[str] = "1"
    needs_model: ClassVar[bool] = True
    needs_dataset: ClassVar[bool] = True

    task: Literal["binary", "regression"] = field(default="binary", metadata={"description": "What the model predicts."})
    rows: int = field(
        default=1000, metadata={"minimum": 2, "maximum": 100_000, "description": "Rows used; more are sampled down."}
    )
    repeats: int = field(default=5, metadata={"minimum": 2, "maximum": 100, "description": "Shuffles per feature."})

    def run(self, subject: Subject) -> Iterator[Result]:
        """Yield the attribution of every feature, what it rests on, and the table, the greatest drop first."""
        import numpy as np

        random = np.random.default_rng(subject.seed)
        chosen = sample(random, len(subject.frame), self.rows)
        features = subject.features.iloc[chosen].reset_index(drop=True)
        method, goodness = self._goodness(subject, chosen)
        baseline = goodness(features)
        yield Measurement("explainability.features", float(features.shape[1]), n=len(chosen), method="count")
        yield Measurement("explainability.rows", float(len(chosen)), n=len(chosen), method="count")
        yield Measurement("explainability.baseline", baseline, n=len(chosen), method=method)
        measured = []
        for index, feature in enumerate(features.columns):
            subject.progress(0.3 + 0.7 * index / features.shape[1], f"Shuffling {feature}")
            drops = [baseline - goodness(_shuffled(features, feature, random)) for _ in range(self.repeats)]
            measured.append(self._attribution(str(feature), drops, len(chosen), method))
        yield from measured
        yield _table(measured)

    def _attribution(self, feature: str, drops: list[float], rows: int, method: str) -> Measurement:
        mean, half = mean_and_half_width(drops)
        explained = f"mean drop of {method} over {self.repeats} shuffles; 95 % t interval over the shuffles"
        return Measurement("attribution", mean, feature, rows, mean - half, mean + half, explained)

    def _goodness(self, subject: Subject, chosen: np.ndarray) -> tuple[str, Goodness]:
        if self.task == "regression":
            return "R squared", _r_squared(subject, subject.target[chosen])
        positive = subject.positives[chosen]
        if subject.scores() is None:
            return "accuracy", _accuracy(subject, positive)
        if positive.all() or not positive.any():
            raise UnsuitableData("The rows used hold only one class, so the ROC AUC is not defined. Use more rows.")
        return "ROC AUC", _roc_auc(subject, positive)


def mean_and_half_width(drops: list[float]) -> tuple[float, float]:
    """Return the mean and half the width of its 95 % interval. At least two values. Source: Student 1908."""
    from scipy.special import stdtrit

    mean = math.fsum(drops) / len(drops)
    variance = math.fsum((drop - mean) ** 2 for drop in drops) / (len(drops) - 1)
    return mean, float(stdtrit(len(drops) - 1, 0.975)) * math.sqrt(variance / len(drops))


def sample(random: np.random.Generator, rows: int, most: int) -> np.ndarray:
    """Return the places of at most so many of the rows, rising: all of them, or drawn without replacement."""
    import numpy as np

    return np.arange(rows) if rows <= most else np.sort(random.choice(rows, size=most, replace=False))


def _shuffled(features: pd.DataFrame, feature: object, random: np.random.Generator) -> pd.DataFrame:
    changed = features.copy()
    changed[feature] = features[feature].take(random.permutation(len(features))).array
    return changed


def _roc_auc(subject: Subject, positive: np.ndarray) -> Goodness:
    from governance.checks.statistics.ranking import roc_auc

    return lambda features: roc_auc(positive, subject.score(features))


def _accuracy(subject: Subject, positive: np.ndarray) -> Goodness:
    def goodness(features: pd.DataFrame) -> float:
        decided = equals_label(subject.labels(features), subject.favourable)
        return float((decided == positive).mean())

    return goodness


def _r_squared(subject: Subject, truth: np.ndarray) -> Goodness:
    spread = float(((truth - truth.mean()) ** 2).sum())
    if not spread:
        raise UnsuitableData("The target does not vary, so R squared is not defined.")
    return lambda features: 1.0 - float(((subject.labels(features) - truth) ** 2).sum()) / spread


def _table(measured: list[Measurement]) -> Table:
    ranked = sorted(measured, key=lambda each: (-(each.value or 0.0), each.slice))
    return Table(
        "feature_attribution",
        "Feature attribution by permutation",
        ("feature", "attribution", "ci_low", "ci_high"),
        tuple((each.slice, each.value, each.ci_low, each.ci_high) for each in ranked),
    )
