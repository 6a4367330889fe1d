"""Robustness beside what the same changes do to the model of scikit-learn that is asked."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd

from governance.checks.robustness import Robustness
from scripts.ground_truth.agreement import EXACT, Chapter, Found, Pair, by
from scripts.ground_truth.data import Answering, Rows, classifier, regressor

_DERIVED = "5 standard errors of a share of n rows, sqrt(p(1-p)/n + 1/n²)"


class _Gaps(Answering):
    """A model that takes the mean of what it was trained on where a number is missing, and a text of its own for a text."""

    means: pd.Series

    def predict(self, rows: pd.DataFrame) -> Any:
        """Return the labels or numbers of these rows."""
        return super().predict(self._filled(rows))

    def probabilities(self, rows: pd.DataFrame) -> tuple[list[Any], Any] | None:
        """Return the classes and the probability of each."""
        return super().probabilities(self._filled(rows))

    def _filled(self, rows: pd.DataFrame) -> pd.DataFrame:
        filled = rows.copy()
        for name in rows:
            if name in self.means.index:
                filled[name] = pd.to_numeric(rows[name], errors="coerce").astype(float).fillna(self.means[name])
            else:
                filled[name] = rows[name].astype(object).where(rows[name].notna(), "none")
        return filled


def flips(chapter: Chapter, rows: Rows, draws: int) -> None:
    """Compare the share of decisions that flip, where the change is the same for all rows or its expectation is known."""
    rows = rows.only(rows.features)
    model = _gaps(rows, classifier(rows))
    found = chapter.run(Robustness(rows=len(rows.test)), rows.subject(model))
    given = rows.test[rows.features].reset_index(drop=True)
    before = _favourable(model, given)
    numbers = [name for name in given if given[name].dtype.kind in "iuf"]
    words = [name for name in given if name not in numbers]
    name = rows.name
    asked = by("scikit-learn", "Pipeline.predict_proba on the changed rows")

    def flipped(**changes: object) -> np.ndarray:
        return np.asarray(_favourable(model, given.assign(**changes)) != before)

    chapter.values(found, "robustness.unchanged.flipped", "the same rows again", asked, name, 0.0)
    gone = {each: float(flipped(**{each: np.nan if each in numbers else None}).mean()) for each in given}
    chapter.values(found, "robustness.missing.flipped", "Hendrycks and Dietterich 2019", asked, name, gone)
    if words:
        unseen = {each: float(flipped(**{each: "unseen"}).mean()) for each in words}
        chapter.values(found, "robustness.unseen.flipped", "Hendrycks and Dietterich 2019", asked, name, unseen)
        swapped = {each: _expected_swap(given[each], flipped) for each in words}
        _expected(chapter, found, "robustness.swapped.flipped", name, swapped, f"{asked}, over all categories", len(given))
    beyond = {each: np.mean([flipped(**{each: end}) for end in _ends(given[each])], axis=0) for each in numbers}
    _expected(chapter, found, "robustness.out_of_range.flipped", name, beyond, f"{asked}, over both ends", len(given))
    random = np.random.default_rng(17)
    noisy = {}
    for each in numbers:
        noisy[each] = np.mean([flipped(**{each: _noisy(given[each], random)}) for _ in range(draws)], axis=0)
    _expected(chapter, found, "robustness.noise.flipped", name, noisy, f"{asked}, {draws} draws", len(given))
    single = max(each.value or 0.0 for (metric, slice_), each in found.items() if slice_ in given.columns and "flipped" in metric)
    chapter.values(found, "robustness.worst_flipped", "greatest of a single feature", "max", name, single)


def search(chapter: Chapter, rows: Rows, columns: list[str]) -> None:
    """Compare the search with the box of a linear model, whose nearest decision is known. columns: two numbers."""
    rows = rows.only(columns)
    model = classifier(rows)
    radii = (0.25, 0.5, 1.0)
    found = chapter.run(
        Robustness(rows=len(rows.test), search_rows=len(rows.test), search_steps=60, radii=radii), rows.subject(model)
    )
    given = rows.test[columns].astype(float)
    margin = model.decision_function(given)
    weights = [float(model.decision_function(given.assign(**{name: given[name] + 1}))[0] - margin[0]) for name in columns]
    expected = {}
    for radius in radii:
        reach = np.zeros(len(given))
        for name, weight in zip(columns, weights, strict=True):
            values, away = given[name], -np.sign(margin) * np.sign(weight)
            ends = np.clip(values + away * radius * values.std(ddof=0), values.min(), values.max())
            reach += np.abs(weight * (ends - values))
        expected[f"radius={radius:g}"] = float((np.abs(margin) <= reach).mean())
    chapter.values(
        found, "robustness.adversarial.flipped", "random search, Andriushchenko et al. 2020; of two features it finds every flip",
        "the corner of the box that is nearest to the decision of a linear model", rows.name, expected,
    )  # fmt: skip


def changes(chapter: Chapter, rows: Rows, draws: int) -> None:
    """Compare how much a regression changes where the change is the same for all rows."""
    rows = rows.only(rows.features)
    model = _gaps(rows, regressor(rows))
    found = chapter.run(Robustness(task="regression", rows=len(rows.test)), rows.subject(model))
    given = rows.test[rows.features].reset_index(drop=True)
    before = np.asarray(model.predict(given), dtype=float)
    asked = by("scikit-learn", "Pipeline.predict on the changed rows")

    def change(**moved: object) -> float:
        return float(np.abs(np.asarray(model.predict(given.assign(**moved))) - before).mean() / before.std())

    chapter.values(found, "robustness.unchanged.change", "the same rows again", asked, rows.name, 0.0)
    source = "mean absolute change in standard deviations"
    gone = {name: change(**{name: np.nan}) for name in given}
    chapter.values(found, "robustness.missing.change", source, asked, rows.name, gone)
    numbers = [name for name in given if given[name].dtype.kind in "iuf"]
    words = [name for name in given if name not in numbers]
    unseen = {name: change(**{name: "unseen"}) for name in words}
    chapter.values(found, "robustness.unseen.change", source, asked, rows.name, unseen)
    random, noise, beyond = np.random.default_rng(19), {}, {}
    for name in numbers:
        ends = [np.abs(np.asarray(model.predict(given.assign(**{name: end}))) - before) for end in _ends(given[name])]
        beyond[name] = np.array(ends) / before.std()
        noise[name] = np.array(
            [
                np.abs(np.asarray(model.predict(given.assign(**{name: _noisy(given[name], random)}))) - before) / before.std()
                for _ in range(draws)
            ]
        )
    swapped = {name: _swaps(given[name], model, given, before) / before.std() for name in words}
    for metric, drawn in (("out_of_range", beyond), ("noise", noise), ("swapped", swapped)):
        pairs = []
        for name, each in drawn.items():
            error = math.sqrt(float(each.var(axis=0).mean()) / len(given)) * math.sqrt(1 + 1 / len(each))
            pairs.append(Pair(found[f"robustness.{metric}.change", name].value, float(each.mean()), max(5 * error, EXACT)))
        derived = "5 standard errors of the mean change of n rows by chance"
        chapter.add(f"robustness.{metric}.change", source, asked, rows.name, pairs, derived)
    single = max(each.value or 0.0 for (metric, slice_), each in found.items() if slice_ and metric.endswith(".change"))
    chapter.values(found, "robustness.worst_change", "greatest of a single feature", "max", rows.name, single)


def _gaps(rows: Rows, model: object) -> _Gaps:
    made = _Gaps(model, rows.features)
    made.means = rows.train[rows.features].mean(numeric_only=True)
    return made


def _favourable(model: _Gaps, rows: pd.DataFrame) -> np.ndarray:
    given = model.probabilities(rows)
    assert given is not None
    return np.asarray(given[1][:, given[0].index(1)] >= 0.5)


def _ends(column: pd.Series) -> tuple[float, float]:
    """Return half of the range above and below it, outwards to whole numbers where the column has them."""
    distance = 0.5 * (column.max() - column.min())
    if column.dtype.kind in "iu":
        distance = math.ceil(distance)
    return float(column.max() + distance), float(column.min() - distance)


def _noisy(column: pd.Series, random: np.random.Generator) -> pd.Series:
    moved = np.clip(column + 0.1 * column.std(ddof=0) * random.standard_normal(len(column)), column.min(), column.max())
    return moved.round().astype(column.dtype) if column.dtype.kind in "iu" else moved


def _expected_swap(column: pd.Series, flipped: object) -> np.ndarray:
    """Return the probability of a flip of each row when it gets another category by its frequency."""
    counts = column.value_counts()
    weighted, other = np.zeros(len(column)), np.zeros(len(column))
    for category, count in counts.items():
        elsewhere = (column != category).to_numpy()
        weighted += count * (flipped(**{str(column.name): category}) & elsewhere)  # type: ignore[operator]
        other += count * elsewhere
    return weighted / other


def _swaps(column: pd.Series, model: _Gaps, given: pd.DataFrame, before: np.ndarray) -> np.ndarray:
    """Return how much the answer to each row changes with every other category, each as often as it is drawn. Shape (draws, n)."""
    random, draws = np.random.default_rng(23), 60
    counts = column.value_counts()
    moved = {
        category: np.abs(np.asarray(model.predict(given.assign(**{str(column.name): category}))) - before)
        for category in counts.index
    }
    chances = {own: counts.drop(own) / counts.drop(own).sum() for own in counts.index}
    drawn = np.empty((draws, len(column)))
    for place, own in enumerate(column):
        others = random.choice(chances[own].index.to_numpy(), size=draws, p=chances[own].to_numpy())
        drawn[:, place] = [moved[each][place] for each in others]
    return drawn


def _expected(
    chapter: Chapter, found: Found, metric: str, data: str, chances: dict[str, np.ndarray], reference: str, rows: int
) -> None:
    """Compare a share of flips by lot with its expectation. chances: of a flip by row, by feature."""
    pairs = []
    for feature, chance in chances.items():
        mean = float(chance.mean())
        tolerance = 5 * math.sqrt(mean * (1 - mean) / rows + 1 / rows**2)
        pairs.append(Pair(found[metric, feature].value, mean, tolerance))
    chapter.add(metric, "Hendrycks and Dietterich 2019, by lot", reference, data, pairs, _DERIVED)
