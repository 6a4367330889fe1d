"""Which features the predictions depend on."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Literal

from governance.checks.base import CheckError, Measurement, Result
from governance.checks.subject import Subject

if TYPE_CHECKING:
    import numpy as np

    from governance.checks.attribution.attributions import Attributions, Measured

Tell = Callable[[float, str], None]


@dataclass(frozen=True)
class Explainability:
    """Measure how much each feature matters to the model, by asking it.

    `attribution` (slice = feature). By `permutation`: the mean drop of the goodness when the feature's values are shuffled
    between rows: ROC AUC if the model gives probabilities, else accuracy (both in [0, 1]), or R squared for a regression; the
    interval is Student's t over the repeats: the chance of shuffling, not that of the sample. By `shapley`: the mean absolute
    Shapley value in the unit of the answers (probability of the favourable label, 1 or 0 for the label, or the prediction);
    the interval is Student's t over the explained rows. About 0 means that the model does not use the feature; correlated
    features share their importance. `explainability.features`, `.rows`, `.baseline` (goodness, or the mean answer over the
    background) say what it rests on, and of Shapley values `.background`, `.model_rows`, `.sampling_error` (the greatest
    standard error of one value, 0 if every coalition was asked for), and `.additivity_error`, `.mean_additivity_error`.

    `explainability.stability`: mean Kendall tau-b of the ten greatest features over resamples of the rows, in [-1, 1].
    `explainability.ranking_shift`: Kendall distance to the champion's ranking on the same rows, in [0, 1], 0 the same order;
    `explainability.top_overlap`: share of the five greatest features that both have; None without a champion that answers.
    `explainability.sensitive_share`, `.forbidden_share`: share of all absolute attribution, in [0, 1], by feature and together;
    a forbidden feature with an interval above 0 or a share above `largest_forbidden` is a finding. Equal seeds give equal numbers.
    Raises MissingColumn, UnsuitableData, ModelLoadFailed, ModelPredictFailed.

    Source: Breiman 2001, section 10, and Fisher, Rudin and Dominici 2019, section 3 (permutation); Lundberg and Lee 2017,
    and Castro, Gómez and Tejada 2009 (Shapley values, see `statistics.shapley`).
    """

    name: ClassVar[str] = "explainability"
    revision: ClassVar[str] = "2"
    needs_model: ClassVar[bool] = True
    needs_dataset: ClassVar[bool] = True
    compares: ClassVar[bool] = True

    task: Literal["binary", "regression"] = field(default="binary", metadata={"description": "What the model predicts."})
    rows: int = field(
        default=1000,
        metadata={"minimum": 2, "maximum": 100_000, "description": "Rows shuffled; more are sampled down. Permutation alone."},
    )
    repeats: int = field(
        default=5, metadata={"minimum": 2, "maximum": 100, "description": "Shuffles per feature. Permutation alone."}
    )
    method: Literal["permutation", "shapley"] = field(
        default="permutation", metadata={"description": "How attribution is measured: over all rows, or for each one too."}
    )
    explained: int = field(
        default=100, metadata={"minimum": 2, "maximum": 10_000, "description": "Rows explained by Shapley values."}
    )
    background: int = field(
        default=50, metadata={"minimum": 1, "maximum": 10_000, "description": "Rows that an explained one is set against."}
    )
    budget: int = field(
        default=200_000,
        metadata={
            "minimum": 10,
            "maximum": 20_000_000,
            "description": "Rows that each model answers at most for Shapley values; fewer rows are explained where it does not do.",
        },
    )
    threshold: float = field(
        default=0.5,
        metadata={"minimum": 0, "maximum": 1, "description": "Score from which a row is decided favourably, for the examples."},
    )
    resamples: int = field(
        default=20, metadata={"minimum": 2, "maximum": 200, "description": "Bootstrap samples for the ranking's stability."}
    )
    sensitive: tuple[str, ...] = field(default=(), metadata={"description": "Features whose share of attribution is told."})
    forbidden: tuple[str, ...] = field(default=(), metadata={"description": "Features that the model must not use."})
    largest_forbidden: float = field(
        default=0.01,
        metadata={
            "minimum": 0,
            "maximum": 1,
            "description": "Share of attribution above which a forbidden feature is a finding even if chance may explain it.",
        },
    )

    def run(self, subject: Subject) -> Iterator[Result]:
        """Yield what it rests on, the attribution of every feature, stability, shift, shares and findings, and the tables."""
        from governance.checks.attribution import report

        report.require(subject, self.sensitive, "the sensitive features")
        report.require(subject, self.forbidden, "the forbidden features")
        measured = self._measure(subject, subject.seed, _telling(subject, 0.6, 0.8 if subject.champion else 1.0))
        found = measured.attributions
        yield from measured.rests_on
        attributions = [_attribution(found, index) for index in range(len(found.features))]
        yield from attributions
        yield report.stability(found)
        yield from report.ranking_shift(found, self._champions(subject))
        yield from report.shares("explainability.sensitive_share", found, self.sensitive)
        forbidden = report.shares("explainability.forbidden_share", found, self.forbidden)
        yield from forbidden
        yield from report.forbidden_findings(forbidden, self.largest_forbidden)
        yield report.ranking(found, attributions)
        yield from measured.drawings

    def _measure(self, subject: Subject, seed: int, tell: Tell) -> Measured:
        return (self._by_shapley if self.method == "shapley" else self._by_permutation)(subject, seed, tell)

    def _by_permutation(self, subject: Subject, seed: int, tell: Tell) -> Measured:
        import numpy as np

        from governance.checks.attribution import report
        from governance.checks.attribution.answers import Answers
        from governance.checks.attribution.attributions import Attributions, Measured
        from governance.checks.attribution.permutation import Goodness, drops

        random = np.random.default_rng(seed)
        chosen = sample(random, subject.row_count, self.rows)
        features = subject.rows(chosen)
        answers = Answers(subject, self.task)
        goodness = Goodness(subject, answers.kind, chosen)
        resamples = goodness.resamples(self.resamples, _apart(seed))
        baseline, units, resampled = drops(answers, features, goodness, self.repeats, resamples, random, tell)
        method = f"mean drop of {goodness.name} over {self.repeats} shuffles; 95 % t interval over the shuffles"
        names = tuple(map(str, features.columns))
        found = Attributions(names, units, resampled, len(chosen), "permutation", method)
        return Measured(found, report.rests_on(found, baseline, goodness.name))

    def _by_shapley(self, subject: Subject, seed: int, tell: Tell) -> Measured:
        import numpy as np

        from governance.checks.attribution import drawings, report
        from governance.checks.attribution.answers import IN_WORDS, Answers
        from governance.checks.attribution.attributions import Attributions, Measured
        from governance.checks.attribution.explained import explain

        answers = Answers(subject, self.task)
        most = (self.explained, self.background, self.budget)
        explained = explain(answers, subject, most, np.random.default_rng(seed), tell)
        answer = IN_WORDS[answers.kind]
        method = f"mean absolute Shapley value of {answer}, {explained.how}; 95 % t interval over the rows explained"
        names = tuple(map(str, explained.rows.columns))
        resampled = explained.resampled(self.resamples, _apart(seed))
        found = Attributions(names, explained.magnitudes, resampled, len(explained.places), "Shapley values", method, lowest=0.0)
        rests_on = report.rests_on(found, explained.found.base, f"mean of {answer} over the background")
        tables = (drawings.attribution_values(explained), drawings.local_explanations(explained, self.threshold))
        return Measured(found, (*rests_on, *report.costs(explained), *report.consistency(explained)), tables)

    def _champions(self, subject: Subject) -> Attributions | str:
        """Return the attributions of the version in place on the same rows, or why there are none: its faults are not the candidate's."""
        if subject.champion is None:
            return "no version is in place to compare with"
        try:
            return self._measure(subject.champion, subject.seed, _telling(subject, 0.8, 1.0)).attributions
        except CheckError as cause:
            return f"the version in place could not be measured. {cause.message}"


def _attribution(found: Attributions, index: int) -> Measurement:
    mean, half = mean_and_half_width(found.units[:, index].tolist())
    low = max(found.lowest, mean - half)
    return Measurement("attribution", mean, found.features[index], found.rows, low, mean + half, found.method)


def _telling(subject: Subject, start: float, end: float) -> Tell:
    return lambda done, text: subject.progress(start + (end - start) * done, text)


def _apart(seed: int) -> np.random.Generator:
    """Return a source of chance for the resamples, so that their number leaves all other numbers as they are."""
    import numpy as np

    return np.random.default_rng([seed, 1])


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
