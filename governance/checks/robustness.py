"""How much the answers change when the rows do."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar, Literal

from governance.checks import perturbations
from governance.checks.base import Finding, Measurement, ModelPredictFailed, Result, Table, UnsuitableData
from governance.checks.explainability import mean_and_half_width, sample
from governance.checks.labels import equals_label
from governance.checks.perturbations import Observed
from governance.checks.subject import Subject
from governance.checks.tasks.measured import measured_share

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from governance.checks.statistics.random_search import RandomSearch

_WILSON = "95 % Wilson interval"
_NOT_APPLICABLE = {
    "noise": "no number varies",
    "missing": "no feature has a value",
    "swapped": "no feature has two categories",
    "out_of_range": "no number varies",
    "unseen": "no feature holds texts",
}
_SAME_UP_TO = 1e-6  # standard deviations; a sum over other rows may round otherwise


@dataclass(frozen=True)
class Robustness:
    """Measure how often the decision flips when a row is changed as errors, unusual cases or an opponent would.

    Slice = the feature changed, "" for all it applies to at once. Binary, in [0, 1], shares of the rows used:
    `robustness.noise.flipped` (numbers, within the observed range), `.missing.flipped` (every feature),
    `.swapped.flipped` (texts and truth values: another category, drawn by its frequency), `.out_of_range.flipped` (numbers,
    above or below by lot), `.unseen.flipped` (texts: one that never occurs), and `.unchanged.flipped`, the same rows asked
    again. Whole numbers stay whole. A row without a value stays as it is, and counts as not flipped.
    Regression: the same as `robustness.noise.change` and so on, mean absolute change of the prediction in standard deviations
    of the predictions, at least 0. `robustness.worst_flipped` (or `worst_change`): the greatest of a single feature.
    `robustness.adversarial.flipped` (binary; slice `radius=0.25`, in standard deviations, every number moved at most so
    far within the observed range): share of the rows searched for which a flip was found, a lower bound that does not fall
    as the radius grows; `robustness.adversarial.features`, mean number of features that such a change moves, at least 1.
    What the model refuses to answer is None with the reason in `method`, and a finding. Equal seeds give equal numbers.
    Raises MissingColumn, UnsuitableData, ModelLoadFailed, ModelPredictFailed (for rows as they are).

    Source: Hendrycks and Dietterich 2019 (flips under perturbation); Andriushchenko et al. 2020 (Square Attack, the search).
    """

    name: ClassVar[str] = "robustness"
    revision: ClassVar[str] = "1"
    needs_model: ClassVar[bool] = True
    needs_dataset: ClassVar[bool] = True

    task: Literal["binary", "regression"] = field(default="binary", metadata={"description": "What the model predicts."})
    threshold: float = field(
        default=0.5,
        metadata={"minimum": 0, "maximum": 1, "description": "Score from which a row is decided favourably."},
    )
    rows: int = field(
        default=500, metadata={"minimum": 2, "maximum": 100_000, "description": "Rows used; more are sampled down."}
    )
    noise: float = field(default=0.1, metadata={"minimum": 0, "description": "Noise in standard deviations of the feature."})
    beyond: float = field(
        default=0.5, metadata={"minimum": 0, "description": "Distance from the observed range, as a share of that range."}
    )
    search_rows: int = field(
        default=50, metadata={"minimum": 1, "maximum": 10_000, "description": "Rows searched for adversarial changes."}
    )
    search_steps: int = field(
        default=40,
        metadata={"minimum": 2, "maximum": 10_000, "description": "Changes tried per row, shared out over the radii."},
    )
    radii: tuple[float, ...] = field(
        default=(0.1, 0.25, 0.5, 1.0),
        metadata={"minItems": 1, "description": "Farthest adversarial moves in standard deviations, rising."},
    )

    def __post_init__(self) -> None:
        """Raise ValueError for radii that are none, not positive or do not rise, and for fewer than two steps for each."""
        if not self.radii or self.radii[0] <= 0 or any(low >= high for low, high in pairwise(self.radii)):
            raise ValueError(f"'radii' must be positive and rise, got {list(self.radii)}")
        if self.search_steps < 2 * len(self.radii):
            raise ValueError(f"'search_steps' must be at least {2 * len(self.radii)}, two for each of 'radii'")

    def run(self, subject: Subject) -> Iterator[Result]:
        """Yield the control, each perturbation, the worst, the adversarial search, findings on refusals, and the table."""
        import numpy as np

        random = np.random.default_rng(subject.seed)
        chosen = sample(random, subject.row_count, self.rows)
        answers = _Numbers(subject, chosen) if self.task == "regression" else _Decisions(subject, chosen, self.threshold)
        rows = subject.rows(chosen)
        features: dict[Hashable, Observed] = {
            name: perturbations.observe(column, chosen) for name, column in subject.reader.columns_in_turn(subject.feature_names)
        }
        yield from _control(answers, rows)
        outcomes = []
        trials = self._trials(features, random)
        for index, trial in enumerate(trials):
            subject.progress(0.6 + 0.2 * index / len(trials), f"Trying {trial.kind} of {trial.feature or 'all features'}")
            outcomes.append(trial.measure(answers, rows))
        measured = [measurement for measurement, _ in outcomes]
        yield from measured
        yield _worst(measured, answers.unit)
        yield from _findings([refusal for _, refusal in outcomes if refusal is not None])
        if isinstance(answers, _Decisions):
            yield from self._adversarial(subject, answers, rows, features, random)
        yield _table(measured, answers.unit)

    def _trials(self, features: dict[Hashable, Observed], random: np.random.Generator) -> list[_Trial]:
        trials = []
        for kind, method, change in self._kinds(random):
            found = {name: change(feature) for name, feature in features.items()}
            changed = {name: column for name, column in found.items() if column is not None}
            trials.append(_Trial(kind, "", changed, method))
            trials.extend(_Trial(kind, str(name), {name: column}, method) for name, column in changed.items())
        return trials

    def _kinds(self, random: np.random.Generator) -> Iterator[tuple[str, str, Callable[[Observed], pd.Series | None]]]:
        """Yield the name of each perturbation, the words for it, and what changes a feature or says None: not for this one."""
        noise, beyond = f"normal noise of {self.noise:g} standard deviations", f"{self.beyond:g} of the range above or below it"
        yield "noise", noise, lambda feature: perturbations.noisy(feature, self.noise, random)
        yield "missing", "value removed", perturbations.missing
        yield "swapped", "another category, drawn by its frequency", lambda feature: perturbations.swapped(feature, random)
        yield "out_of_range", beyond, lambda feature: perturbations.beyond_range(feature, self.beyond, random)
        yield "unseen", "a category never seen", perturbations.unseen

    def _adversarial(
        self,
        subject: Subject,
        answers: _Decisions,
        rows: pd.DataFrame,
        features: dict[Hashable, Observed],
        random: np.random.Generator,
    ) -> Iterator[Result]:
        places = sample(random, len(rows), self.search_rows)
        numbers = {name: feature for name, feature in features.items() if feature.spread is not None}
        if not numbers:
            yield from _not_searched(self.radii, len(places), "no number varies")
            return
        search = _search(answers, rows, numbers, places, random)
        steps, more = divmod(self.search_steps, len(self.radii))
        for index, radius in enumerate(self.radii):
            subject.progress(0.8 + 0.2 * index / len(self.radii), f"Searching within {radius:g} standard deviations")
            try:
                search.widen(radius, steps + (index < more))
            except ModelPredictFailed as cause:
                refusal = _refusal("adversarial", "", cause, answers, rows)
                yield from _not_searched(self.radii[index:], len(places), refusal.reason)
                yield from _findings([refusal])
                return
            yield self._found(radius, search)
        yield _features_changed(search)

    def _found(self, radius: float, search: RandomSearch) -> Measurement:
        from governance.checks.statistics.rates import Share

        share = Share(int(search.found.sum()), len(search.found))
        method = f"random search, {self.search_steps} changes per row over all radii, a lower bound; {_WILSON}"
        return measured_share("robustness.adversarial.flipped", f"radius={radius:g}", share, method)


class _Decisions:
    """What a binary model answers, and how many decisions differ from those on the rows as they are."""

    unit = "flipped"

    def __init__(self, subject: Subject, chosen: np.ndarray, threshold: float) -> None:
        """Raise UnsuitableData for a favourable label that no row has: nothing could flip, which must not look robust."""
        _ = subject.positives
        decided, scores = subject.decisions(threshold), subject.scores()
        self._subject, self._has_scores = subject, scores is not None
        self._from = threshold if self._has_scores else 0.5
        self.before = (decided.astype(float) if scores is None else scores)[chosen]

    def ask(self, rows: pd.DataFrame) -> np.ndarray:
        """Return the score of each row in [0, 1], or 1 or 0 for the label. Shape (n,). Raises ModelPredictFailed."""
        if not self._has_scores:
            return equals_label(self._subject.labels(rows), self._subject.favourable).astype(float)
        scores = self._subject.score(rows)
        # A missing score would be below the threshold, and so count as a decision against the person.
        if scores.dtype.kind not in "biuf" or not bool(((scores >= 0) & (scores <= 1)).all()):
            raise ModelPredictFailed("it gave probabilities that are missing or outside 0 to 1")
        return scores

    def measure(self, metric: str, slice_: str, after: np.ndarray, method: str) -> Measurement:
        """Return the share of flips."""
        from governance.checks.statistics.rates import Share

        flipped, _ = self.flips(self.before, after)
        return measured_share(metric, slice_, Share(int(flipped.sum()), len(flipped)), f"{method}; {_WILSON}")

    def flips(self, before: np.ndarray, after: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return whether each decision is flipped, and how far its score is from that (negative: beyond). Shape (n,) each."""
        import numpy as np

        favourable = before >= self._from
        distance = np.where(favourable, after - self._from, self._from - after)
        return np.asarray(favourable != (after >= self._from)), distance


class _Numbers:
    """What a regression answers, and how far that is from the predictions on the rows as they are."""

    unit = "change"

    def __init__(self, subject: Subject, chosen: np.ndarray) -> None:
        """Raise UnsuitableData for predictions that are no finite numbers, or all the same."""
        self._subject = subject
        predicted = subject.predict()
        if not _are_finite(predicted):
            raise UnsuitableData("The prediction of a regression must be finite numbers.")
        self.before = predicted.astype(float)[chosen]
        self._spread = float(self.before.std())
        if not self._spread:
            raise UnsuitableData("The predictions do not vary on the rows used, so no change can be compared with that.")

    def ask(self, rows: pd.DataFrame) -> np.ndarray:
        """Return the prediction for each row in units of the target. Shape (n,). Raises ModelPredictFailed."""
        predicted = self._subject.labels(rows)
        if not _are_finite(predicted):
            raise ModelPredictFailed("it gave predictions that are no finite numbers")
        return predicted.astype(float)

    def measure(self, metric: str, slice_: str, after: np.ndarray, method: str) -> Measurement:
        """Return the mean absolute change in standard deviations of the predictions."""
        changes = (abs(after - self.before) / self._spread).tolist()
        mean, half = mean_and_half_width(changes)
        explained = f"{method}; mean in standard deviations of the predictions, 95 % t interval"
        return Measurement(metric, mean, slice_, len(changes), max(0.0, mean - half), mean + half, explained)


_Answers = _Decisions | _Numbers


@dataclass(frozen=True)
class _Refusal:
    """A change after which the model gave no answer, and what it said."""

    kind: str
    feature: str
    reason: str


@dataclass(frozen=True)
class _Trial:
    """One change of the rows: which perturbation, of which feature ("" for all), the new columns, and words for it."""

    kind: str
    feature: str
    columns: dict[Hashable, pd.Series]
    method: str

    def measure(self, answers: _Answers, rows: pd.DataFrame) -> tuple[Measurement, _Refusal | None]:
        """Ask once and return the measurement, None if the model refuses, and how it did."""
        metric = f"robustness.{self.kind}.{answers.unit}"
        if not self.columns:
            reason = f"not computed: {_NOT_APPLICABLE[self.kind]}"
            return Measurement(metric, None, self.feature, len(rows), method=reason), None
        try:
            after = answers.ask(_changed(rows, self.columns))
        except ModelPredictFailed as cause:
            refusal = _refusal(self.kind, self.feature, cause, answers, rows)
            return Measurement(metric, None, self.feature, len(rows), method=f"not computed: {refusal.reason}"), refusal
        return answers.measure(metric, self.feature, after, self.method), None


def _refusal(kind: str, feature: str, cause: ModelPredictFailed, answers: _Answers, rows: pd.DataFrame) -> _Refusal:
    """Return what the model said. Raises ModelPredictFailed of one that answers nothing any more: that is no refusal."""
    answers.ask(rows.iloc[:1])
    said = cause.message.partition(". Call predict")[0].strip().splitlines()[0].rstrip(".")
    return _Refusal(kind, feature, said)


def _changed(rows: pd.DataFrame, columns: dict[Hashable, pd.Series]) -> pd.DataFrame:
    changed = rows.copy()
    for name, column in columns.items():
        changed[name] = column.array
    return changed


def _are_finite(values: np.ndarray) -> bool:
    import numpy as np

    return values.dtype.kind in "biuf" and bool(np.all(np.isfinite(values)))


def _control(answers: _Answers, rows: pd.DataFrame) -> Iterator[Result]:
    """Ask for the rows as they are: a model that answers otherwise each time would look as if the changes did it."""
    control = answers.measure(f"robustness.unchanged.{answers.unit}", "", answers.ask(rows), "same rows asked again")
    yield control
    if control.value is not None and control.value > _SAME_UP_TO:
        yield Finding(
            "answers-vary",
            "medium",
            "unchanged",
            f"Asked for the same rows again, the model answered otherwise ({control.metric} = {control.value:.3g}). Every "
            "number of this check holds that too. Fix the model's seeds, or average over its randomness.",
        )


def _search(
    answers: _Decisions,
    rows: pd.DataFrame,
    features: dict[Hashable, Observed],
    places: np.ndarray,
    random: np.random.Generator,
) -> RandomSearch:
    import numpy as np

    from governance.checks.statistics.random_search import Box, RandomSearch

    searched = rows.iloc[places].reset_index(drop=True)
    before = answers.before[places]
    spreads = [feature.spread for feature in features.values() if feature.spread is not None]
    box = Box(
        np.array([spread.low for spread in spreads]),
        np.array([spread.high for spread in spreads]),
        np.array([spread.deviation for spread in spreads]),
        np.array([feature.values.dtype.kind in "iu" for feature in features.values()]),
    )

    def ask(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        columns = {name: perturbations.with_numbers(searched[name], values[:, index]) for index, name in enumerate(features)}
        return answers.flips(before, answers.ask(_changed(searched, columns)))

    return RandomSearch(np.column_stack([perturbations.numbers(searched[name]) for name in features]), box, ask, random)


def _features_changed(search: RandomSearch) -> Measurement:
    changed = search.features_changed()
    mean = float(changed.mean()) if len(changed) else None
    method = "mean over the rows flipped, an upper bound" if len(changed) else "not computed: no flip was found"
    return Measurement("robustness.adversarial.features", mean, "", len(changed), method=method)


def _not_searched(radii: tuple[float, ...], rows: int, reason: str) -> Iterator[Measurement]:
    for radius in radii:
        yield Measurement("robustness.adversarial.flipped", None, f"radius={radius:g}", rows, method=f"not computed: {reason}")
    yield Measurement("robustness.adversarial.features", None, "", 0, method=f"not computed: {reason}")


def _worst(measured: list[Measurement], unit: str) -> Measurement:
    single = [each for each in measured if each.slice]
    known = [each for each in single if each.value is not None]
    if not known:
        return Measurement(f"robustness.worst_{unit}", None, method="not computed: no change of a single feature was answered")
    worst = max(known, key=lambda each: each.value or 0.0)
    refused = f", {len(single) - len(known)} refused and not counted" if len(known) < len(single) else ""
    method = f"{worst.metric} of {worst.slice}, the greatest of {len(known)}{refused}; its own 95 % interval"
    return Measurement(f"robustness.worst_{unit}", worst.value, "", worst.n, worst.ci_low, worst.ci_high, method)


def _findings(refusals: list[_Refusal]) -> Iterator[Finding]:
    for kind in dict.fromkeys(each.kind for each in refusals):
        refused = [each for each in refusals if each.kind == kind]
        features = ", ".join(each.feature or "all at once" for each in refused)
        yield Finding(
            f"refuses-{kind.replace('_', '-')}",
            "low",
            kind,
            f"The model gives no answer to rows changed by {kind!r} ({features}). {refused[0].reason}. "
            "That may be meant; make sure that whoever asks in production handles it.",
        )


def _table(measured: list[Measurement], unit: str) -> Table:
    ranked = sorted(measured, key=lambda each: (each.value is None, -(each.value or 0.0), each.metric, each.slice))
    return Table(
        "perturbations",
        "Perturbations, the worst first",
        ("perturbation", "feature", unit, "ci_low", "ci_high"),
        tuple((each.metric.split(".")[1], each.slice, each.value, each.ci_low, each.ci_high) for each in ranked),
    )
