"""Flips are counted exactly on models whose boundary is known, and agree with the probability of crossing it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pandas as pd
import pytest
from scipy import stats

from governance.checks import catalogue
from governance.checks.base import Finding, Measurement, ModelPredictFailed, Table, UnsuitableData
from governance.checks.perturbations import another, noisy, numbers, observe, swapped, with_numbers
from governance.checks.robustness import Robustness
from governance.checks.statistics.random_search import Box, RandomSearch
from governance.checks.subject import DatasetSpec, Subject

Rule = Callable[[pd.DataFrame], Any]


class Ruled:
    """A model that is a function of the rows: of a probability, or of a label. It remembers what it was asked."""

    def __init__(self, rule: Rule, *, scores: bool = True) -> None:
        self._rule = rule
        self._scores = scores
        self.asked: list[pd.DataFrame] = []

    def load(self) -> None:
        """Nothing: it is here."""

    def predict(self, rows: pd.DataFrame) -> Any:
        answer = np.asarray(self._rule(rows), dtype=float)
        self.asked += [] if self._scores else [rows]
        return (answer >= 0.5).astype(int) if self._scores else answer

    def probabilities(self, rows: pd.DataFrame) -> Any:
        if not self._scores:
            return None
        self.asked.append(rows)
        chance = np.asarray(self._rule(rows), dtype=float)
        return [0, 1], np.column_stack([1 - chance, chance])

    def example(self) -> None:
        raise NotImplementedError


def subject(tmp_path: Path, frame: pd.DataFrame, model: Rule | Ruled, favourable: Any = 1) -> Subject:
    path = tmp_path / "rows.parquet"
    frame.assign(y=np.arange(len(frame)) % 2).to_parquet(path)
    (tmp_path / "MLmodel").write_text("flavors: {}")
    return Subject(tmp_path, DatasetSpec(path, "y", favourable), predictor=model if isinstance(model, Ruled) else Ruled(model))


def measured(results: Any) -> dict[tuple[str, str], Measurement]:
    """Measurements by what follows `robustness.`, and slice."""
    return {(each.metric.removeprefix("robustness."), each.slice): each for each in results if isinstance(each, Measurement)}


def values(results: Any) -> dict[tuple[str, str], float | None]:
    return {key: each.value for key, each in measured(results).items()}


FRAME = pd.DataFrame(
    {
        "size": np.arange(20) % 10,
        "weight": np.linspace(1.0, 2.0, 20),
        "colour": ["red", "blue"] * 10,
        "old": [True, False, False, False] * 5,
    }
)


def test_a_model_that_looks_at_nothing_never_flips(tmp_path: Path) -> None:
    results = list(Robustness().run(subject(tmp_path, FRAME, lambda rows: np.full(len(rows), 0.7))))
    found = measured(results)
    features = found.pop(("adversarial.features", ""))
    assert features.value is None and "no flip was found" in features.method
    assert {each.value for each in found.values()} == {0.0} and {each.n for each in found.values()} == {20}
    assert not any(isinstance(each, Finding) for each in results)
    kinds = {"noise": 2, "missing": 4, "swapped": 2, "out_of_range": 2, "unseen": 1}
    assert {kind: sum(metric == f"{kind}.flipped" and slice_ != "" for metric, slice_ in found) for kind in kinds} == kinds
    assert [slice_ for metric, slice_ in found if metric == "adversarial.flipped"] == [
        f"radius={radius}" for radius in (0.1, 0.25, 0.5, 1)
    ]


@pytest.mark.parametrize(
    "rule, flipped",
    [
        (lambda rows: rows["size"] < 3, {("missing", "size"): 0.3}),
        (lambda rows: rows["size"].between(0, 9), {("missing", "size"): 1.0, ("out_of_range", "size"): 1.0}),
        (lambda rows: rows["weight"].between(1, 2), {("missing", "weight"): 1.0, ("out_of_range", "weight"): 1.0}),
        (
            lambda rows: rows["colour"].eq("red"),
            {("missing", "colour"): 0.5, ("swapped", "colour"): 1.0, ("unseen", "colour"): 0.5},
        ),
        (lambda rows: rows["colour"].isin(["red", "blue"]), {("missing", "colour"): 1.0, ("unseen", "colour"): 1.0}),
        (lambda rows: rows["old"].eq(True), {("missing", "old"): 0.25, ("swapped", "old"): 1.0}),
    ],
)
@pytest.mark.parametrize("scores", [True, False])
def test_only_the_feature_that_decides_flips_exactly_as_often(tmp_path: Path, rule: Rule, flipped: Any, scores: bool) -> None:
    def chance(rows: pd.DataFrame) -> Any:
        return np.where(rule(rows), 0.9, 0.1) if scores else rule(rows)

    results = list(Robustness(noise=0).run(subject(tmp_path, FRAME, Ruled(chance, scores=scores))))
    found = {
        (metric.removesuffix(".flipped"), slice_): value
        for (metric, slice_), value in values(results).items()
        if slice_ in FRAME.columns and not (metric == "out_of_range.flipped" and ("out_of_range", slice_) not in flipped)
    }
    assert {key: value for key, value in found.items() if value} == pytest.approx(flipped)
    for kind in {kind for kind, _ in flipped}:
        assert values(results)[(f"{kind}.flipped", "")] == pytest.approx(next(v for (k, _), v in flipped.items() if k == kind))
    worst = measured(results)[("worst_flipped", "")]
    assert worst.value == max(
        value for (_, slice_), value in values(results).items() if slice_ in FRAME.columns if value is not None
    )
    table = next(each for each in results if isinstance(each, Table))
    assert table.columns == ("perturbation", "feature", "flipped", "ci_low", "ci_high")
    assert [row[2] for row in table.rows] == sorted((row[2] for row in table.rows), reverse=True)


def test_the_threshold_decides_what_a_flip_is(tmp_path: Path) -> None:
    made = subject(tmp_path, FRAME, lambda rows: np.where(rows["colour"].eq("red"), 0.6, 0.2))
    shares = {t: values(Robustness(threshold=t).run(made))[("swapped.flipped", "colour")] for t in (0.1, 0.2, 0.5, 0.6, 0.7)}
    assert shares == {0.1: 0.0, 0.2: 0.0, 0.5: 1.0, 0.6: 1.0, 0.7: 0.0}


def test_noise_flips_as_often_as_the_normal_distribution_says(tmp_path: Path) -> None:
    x = np.random.default_rng(3).normal(50.0, 12.0, 4000)
    made = subject(tmp_path, pd.DataFrame({"x": x}), lambda rows: np.where(rows["x"] >= 55.0, 0.8, 0.2))
    found = measured(Robustness(noise=0.3, rows=4000).run(made))[("noise.flipped", "x")]
    crossing = stats.norm.sf(np.abs(x - 55.0) / (0.3 * x.std()))
    standard_error = math.sqrt(float((crossing * (1 - crossing)).sum())) / len(x)
    assert found.value == pytest.approx(crossing.mean(), abs=3 * standard_error)
    assert standard_error < 0.005 and crossing.mean() > 0.05  # so that the line above can fail
    assert found.ci_low is not None and found.ci_high is not None
    low, high = stats.binomtest(round((found.value or 0) * 4000), 4000).proportion_ci(method="wilson")
    assert (found.ci_low, found.ci_high) == pytest.approx((low, high), abs=1e-9)


def test_another_category_is_drawn_by_its_frequency() -> None:
    counts = np.array([100, 300, 500, 100])
    own = np.repeat([0, 1, 2, 3], 5000)
    drawn = another(own, counts, np.random.default_rng(1))
    assert not (drawn == own).any()
    for category in range(4):
        happened = np.bincount(drawn[own == category], minlength=4)
        others = np.delete(np.arange(4), category)
        expected = counts[others] / counts[others].sum() * 5000
        assert stats.chisquare(happened[others], expected).pvalue > 0.001


@pytest.mark.parametrize("kind, rule", [("missing", lambda rows: rows.isna()), ("unseen", lambda rows: rows.eq("unseen"))])
def test_a_refusal_is_a_fact_and_not_an_error(tmp_path: Path, kind: str, rule: Any) -> None:
    def chance(rows: pd.DataFrame) -> Any:
        if rule(rows["colour"]).any():
            raise ValueError("I know no such colour.\nRead the manual.")
        return np.full(len(rows), 0.7)

    results = list(Robustness().run(subject(tmp_path, FRAME, chance)))
    refused = measured(results)[(f"{kind}.flipped", "colour")]
    assert (
        refused.value is None
        and refused.method == "not computed: The model could not score the data: ValueError: I know no such colour"
    )
    assert values(results)[("missing.flipped", "size")] == 0.0 and values(results)[(f"{kind}.flipped", "")] is None
    rules = {each.rule: each for each in results if isinstance(each, Finding)}
    assert rules[f"refuses-{kind}"].severity == "low" and "(all at once, colour)" in rules[f"refuses-{kind}"].message
    assert "refused and not counted" in measured(results)[("worst_flipped", "")].method
    table = next(each for each in results if isinstance(each, Table))
    assert [row[2] for row in table.rows[-2:]] == [None, None] and table.rows[-3][2] == 0.0


def test_a_missing_probability_is_a_refusal_and_no_decision_against_the_person(tmp_path: Path) -> None:
    results = list(Robustness().run(subject(tmp_path, FRAME, lambda rows: 0.7 + 0 * rows["size"])))
    refused = measured(results)[("missing.flipped", "size")]
    assert refused.value is None and "missing or outside 0 to 1" in refused.method


def test_a_model_that_is_gone_refuses_nothing(tmp_path: Path) -> None:
    class Mortal(Ruled):
        def probabilities(self, rows: pd.DataFrame) -> Any:
            if self.asked and self.asked[-1].isna().any(axis=None):
                raise BrokenPipeError("gone")
            found = super().probabilities(rows)
            if rows.isna().any(axis=None):
                raise BrokenPipeError("gone")
            return found

    with pytest.raises(ModelPredictFailed, match="gone"):
        list(Robustness().run(subject(tmp_path, FRAME, Mortal(lambda rows: np.full(len(rows), 0.7)))))


@pytest.mark.parametrize("scores", [True, False])
def test_the_search_finds_a_flip_exactly_within_the_distance_to_the_boundary(tmp_path: Path, scores: bool) -> None:
    random = np.random.default_rng(5)
    frame = pd.DataFrame({"x": np.linspace(0.0, 10.0, 40), "a": random.normal(size=40), "b": random.normal(size=40)})
    model = Ruled(lambda rows: 1 / (1 + np.exp(-(rows["x"] - 6.1))) if scores else rows["x"] >= 6.1, scores=scores)
    made = subject(tmp_path, frame, model)
    found = values(Robustness(search_steps=8).run(made))  # one direction and its opposite
    distance = (frame["x"] - 6.1).abs() / frame["x"].std(ddof=0)
    for radius in (0.1, 0.25, 0.5, 1.0):
        assert found[("adversarial.flipped", f"radius={radius:g}")] == (distance <= radius).mean()
    assert 0 < (distance <= 0.1).mean() < (distance <= 1).mean() < 1
    assert values(Robustness(search_steps=200).run(made))[("adversarial.features", "")] == 1.0


def test_with_scores_the_search_comes_near_the_best_change_of_a_linear_model() -> None:
    random = np.random.default_rng(2)
    rows, weights = random.normal(size=(200, 8)), np.array([3.0, -2.0, 1.5, 1.0, -1.0, 0.7, -0.5, 0.2])
    margin = rows @ weights
    asked = []

    def ask(changed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        asked.append(changed)
        return (changed @ weights > 0) != (margin > 0), np.sign(margin) * (changed @ weights)

    box = Box(np.full(8, -9.0), np.full(8, 9.0), np.full(8, 2.0), np.zeros(8, dtype=bool))
    search, before = RandomSearch(rows, box, ask, random), 0.0
    for radius in (0.1, 0.2, 0.3):
        search.widen(radius, 25)
        best = np.abs(margin) <= radius * 2.0 * np.abs(weights).sum()  # no change within the radius does more
        assert not (search.found & ~best).any() and search.found.sum() > 0.9 * best.sum() and search.found.mean() >= before
        assert np.abs(np.stack(asked) - rows).max() == pytest.approx(radius * 2.0)
        before = search.found.mean()
        if radius == 0.1:
            early = search.found.copy()
    assert np.abs(asked[-1] - rows)[early].max() <= 0.2 + 1e-9  # a row found is not moved farther later
    assert len(asked) == 75 and best.mean() < 0.95


def test_a_change_found_is_narrowed_to_few_features() -> None:
    random = np.random.default_rng(4)
    rows, weights = random.normal(size=(100, 8)), np.array([3.0, -2.0, 1.5, 1.0, -1.0, 0.7, -0.5, 0.2])
    margin = rows @ weights

    def ask(changed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return (changed @ weights > 0) != (margin > 0), np.sign(margin) * (changed @ weights)

    search = RandomSearch(rows, Box(np.full(8, -9.0), np.full(8, 9.0), np.ones(8), np.zeros(8, dtype=bool)), ask, random)
    search.widen(0.5, 20)
    found, at_first = search.found.copy(), search.features_changed().mean()
    search.widen(0.5, 100)
    heaviest_first = np.cumsum(-np.sort(-np.abs(weights))) * 0.5
    needed = np.searchsorted(heaviest_first, np.abs(margin[search.found])) + 1
    assert (search.features_changed() >= needed).all() and (search.found >= found).all() and found.sum() > 40
    assert search.features_changed().mean() < 1.15 * needed.mean() < 0.9 * at_first


def test_whole_numbers_stay_whole_and_types_stay(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "int": np.arange(30) * 7,
            "small": np.arange(30).astype("uint8"),
            "gaps": pd.array([None, *range(29)], dtype="Int64"),
            "single": np.linspace(0, 1, 30).astype("float32"),
            "kind": pd.Categorical(["a", "b", "c"] * 10),
            "same": 4,
            "day": pd.date_range("2026-01-01", periods=30),
        }
    )
    model = Ruled(lambda rows: np.full(len(rows), 0.7))
    found = values(Robustness(noise=0.5, beyond=0.5).run(subject(tmp_path, frame, model)))
    assert {slice_ for metric, slice_ in found if metric == "noise.flipped"} == {"", "int", "small", "gaps", "single"}
    assert {slice_ for metric, slice_ in found if metric == "swapped.flipped"} == {"", "kind"}
    for asked in model.asked:
        for name in ("int", "small", "gaps", "single", "kind", "day"):
            whole = asked[name].dtype == frame[name].dtype
            assert whole or asked[name].isna().all() or (asked[name] == "unseen").all()
    limits = {name: (model_range.min(), model_range.max()) for name, model_range in frame[["int", "small"]].items()}
    seen = {name: pd.concat([asked[name] for asked in model.asked]).dropna() for name in limits}
    assert (seen["int"].min(), seen["int"].max()) == (-102, 305)  # 0 to 203, and half of that, rounded outwards, beyond
    assert (seen["small"].min(), seen["small"].max()) == (0, 44)  # there is no uint8 below 0
    inside = [
        asked for asked in model.asked if asked["int"].between(*limits["int"]).all() and not asked["int"].equals(frame["int"])
    ]
    assert len(inside) > 2 and all((asked["int"] % 1 == 0).all() for asked in inside)
    assert any(asked["gaps"].isna().sum() == 1 and not asked["gaps"].equals(frame["gaps"]) for asked in model.asked)


def test_no_move_of_a_whole_number_leaves_the_radius_or_the_range() -> None:
    asked = []

    def ask(changed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        asked.append(changed)
        return np.zeros(3, dtype=bool), np.zeros(3)

    rows = np.array([[0.0], [5.0], [np.nan]])
    RandomSearch(rows, Box(*(np.array([each]) for each in (0.0, 9.0, 2.7, True))), ask, np.random.default_rng(0)).widen(1.0, 10)
    seen = np.stack(asked)[:, :, 0]
    assert set(seen[:, 0]) == {0.0, 2.0} and set(seen[:, 1]) == {3.0, 7.0} and np.isnan(seen[:, 2]).all()


def test_noise_ends_where_the_observed_range_does_and_no_type_overflows() -> None:
    feature = observe(pd.Series([0, 1, 2, 300], dtype="int16"), np.arange(4))
    changed = pd.concat([noisy(feature, 3.0, np.random.default_rng(seed)) for seed in range(20)])
    assert (changed.min(), changed.max()) == (0, 300) and changed.dtype == "int16" and changed.nunique() > 20
    for kind in ("int64", "uint64", "int8"):
        limits = np.iinfo(kind)
        for far, end in ((1e30, limits.max), (-1e30, limits.min)):
            assert float(with_numbers(pd.Series([1], dtype=kind), np.array([far]))[0]) == pytest.approx(float(end))


def test_what_is_swapped_occurs_and_gaps_stay() -> None:
    column = pd.Series(["a", "b", None, "a", "c"])
    changed = swapped(observe(column, np.arange(5)), np.random.default_rng(0))
    assert changed is not None and changed.isna().tolist() == [False, False, True, False, False]
    assert set(changed.dropna()) <= {"a", "b", "c"} and not (changed == column).any()
    assert numbers(pd.Series(pd.array([1, None], dtype="Int64"))).tolist() == pytest.approx([1.0, np.nan], nan_ok=True)


def test_each_change_is_asked_for_once_and_on_no_more_rows_than_allowed(tmp_path: Path) -> None:
    model = Ruled(lambda rows: np.full(len(rows), 0.7))
    list(Robustness(rows=12, search_rows=5, search_steps=9).run(subject(tmp_path, FRAME, model)))
    changes = 1 + (2 + 1) + (4 + 1) + (2 + 1) + (2 + 1) + (1 + 1)  # as they are; each kind by feature, and at once
    assert [len(rows) for rows in model.asked] == [20] + [12] * changes + [5] * 9


def test_equal_seeds_give_equal_numbers(tmp_path: Path) -> None:
    made = subject(tmp_path, FRAME, lambda rows: 1 / (1 + np.exp(5 - rows["size"].fillna(0))))
    check = Robustness(rows=15, noise=0.5, search_rows=8)
    first, again, other = (list(check.run(replace(made, seed=seed))) for seed in (4, 4, 5))
    assert first == again != other


def test_a_regression_is_measured_by_the_change_of_its_predictions(tmp_path: Path) -> None:
    model = Ruled(lambda rows: 3 * rows["weight"] + 40 * rows["old"].eq(True), scores=False)
    only = Ruled(lambda rows: 7 * rows["colour"].eq("red"), scores=False)
    found = measured(Robustness(task="regression", rows=20).run(subject(tmp_path, FRAME, only)))
    assert found[("swapped.change", "colour")].value == pytest.approx(2.0)  # by 7, of predictions that are 0 or 7
    assert found[("missing.change", "colour")].value == pytest.approx(1.0) == found[("unseen.change", "")].value
    assert found[("noise.change", "size")].value == 0.0 == found[("unchanged.change", "")].value
    assert found[("worst_change", "")].value == pytest.approx(2.0) and not any("adversarial" in metric for metric, _ in found)
    results = list(Robustness(task="regression").run(subject(tmp_path, FRAME, model)))
    assert measured(results)[("missing.change", "weight")].value is None
    assert next(each for each in results if isinstance(each, Table)).columns[2] == "change"


def test_noise_changes_a_regression_by_the_mean_of_the_folded_normal(tmp_path: Path) -> None:
    frame = pd.DataFrame({"x": np.random.default_rng(8).normal(size=3000)})
    made = subject(tmp_path, frame, Ruled(lambda rows: -4 * rows["x"], scores=False))
    found = measured(Robustness(task="regression", rows=3000).run(made))[("noise.change", "x")]
    folded = stats.foldnorm(0, scale=0.1)
    assert found.value == pytest.approx(folded.mean(), abs=3 * folded.std() / math.sqrt(3000))
    assert (found.ci_high or 0) - (found.value or 0) == pytest.approx(1.96 * folded.std() / math.sqrt(3000), rel=0.1)


def test_what_does_not_apply_says_so(tmp_path: Path) -> None:
    only_texts = measured(Robustness().run(subject(tmp_path, FRAME[["colour"]], lambda rows: np.full(len(rows), 0.7))))
    for key in (
        ("noise.flipped", ""),
        ("out_of_range.flipped", ""),
        ("adversarial.flipped", "radius=1"),
        ("adversarial.features", ""),
    ):
        assert only_texts[key].value is None and only_texts[key].method == "not computed: no number varies"
    only_numbers = measured(Robustness().run(subject(tmp_path, FRAME[["size"]], lambda rows: np.full(len(rows), 0.7))))
    assert only_numbers[("swapped.flipped", "")].method == "not computed: no feature has two categories"
    assert only_numbers[("unseen.flipped", "")].value is None


def test_a_search_that_the_model_refuses_is_not_measured(tmp_path: Path) -> None:
    def chance(rows: pd.DataFrame) -> Any:
        if len(rows) == 6:
            raise ValueError("not six")
        return np.full(len(rows), 0.7)

    results = list(Robustness(search_rows=6).run(subject(tmp_path, FRAME, chance)))
    assert {value for (metric, _), value in values(results).items() if metric.startswith("adversarial")} == {None}
    assert [each.rule for each in results if isinstance(each, Finding)] == ["refuses-adversarial"]


def test_a_model_that_answers_otherwise_each_time_is_pointed_out(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    results = list(Robustness().run(subject(tmp_path, FRAME, lambda rows: random.random(len(rows)))))
    assert (values(results)[("unchanged.flipped", "")] or 0) > 0
    assert [(each.rule, each.severity) for each in results if isinstance(each, Finding)] == [("answers-vary", "medium")]


def test_what_could_not_flip_does_not_look_robust(tmp_path: Path) -> None:
    made = subject(tmp_path, FRAME, Ruled(lambda rows: rows["size"] > 4, scores=False), favourable="yes")
    with pytest.raises(UnsuitableData, match=r"No row of .* has the favourable label"):
        list(Robustness().run(made))
    constant = subject(tmp_path, FRAME, Ruled(lambda rows: np.full(len(rows), 3.0), scores=False))
    with pytest.raises(UnsuitableData, match="do not vary"):
        list(Robustness(task="regression").run(constant))


@pytest.mark.parametrize(
    "given, sentence",
    [
        ({"radii": []}, "'radii' must be positive and rise"),
        ({"radii": [0.5, 0.25]}, r"'radii' must be positive and rise, got \[0.5, 0.25\]"),
        ({"radii": [0]}, "'radii' must be positive and rise"),
        ({"search_steps": 7}, "'search_steps' must be at least 8"),
        ({"noise": -1}, "'noise': expected a minimum of 0"),
    ],
)
def test_a_wrong_parameter_is_refused(given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        catalogue.build("robustness", given)
    assert catalogue.build("robustness", {"radii": [0.1, 1], "search_steps": 4}) == Robustness(radii=(0.1, 1.0), search_steps=4)
    jsonschema.Draft202012Validator.check_schema(catalogue.parameters_schema(Robustness))


def test_a_real_model_from_end_to_end(credit: Any) -> None:
    results = list(Robustness(rows=200).run(credit.subject()))
    found = values(results)
    assert found[("unchanged.flipped", "")] == 0.0
    assert found[("missing.flipped", "age")] is None  # its logistic regression takes no NaN
    assert [each.rule for each in results if isinstance(each, Finding)] == ["refuses-missing"]
    singles = [value or 0.0 for (metric, slice_), value in found.items() if slice_ and "adversarial" not in metric]
    assert found[("worst_flipped", "")] == max(singles) > 0.2
    assert (found[("noise.flipped", "age")] or 0) < (found[("out_of_range.flipped", "age")] or 0)
    searched = [found[("adversarial.flipped", f"radius={radius:g}")] or 0.0 for radius in (0.1, 0.25, 0.5, 1.0)]
    assert searched == sorted(searched) and searched[-1] > 0
    # A flip of a linear model by numbers alone needs a radius of at least its margin over the sum of what they weigh.
    linear = credit.pipeline[-1]
    reach = np.abs(linear.coef_[0][-3:] / credit.pipeline[0].named_transformers_["remainder"].scale_)
    deviations = credit.test[["duration_months", "credit_amount", "age"]].std(ddof=0).to_numpy()
    margins = np.abs(credit.pipeline.decision_function(credit.test))
    within = float((margins <= reach @ deviations).mean())
    assert searched[-1] <= within + 3 * math.sqrt(within * (1 - within) / 50)
