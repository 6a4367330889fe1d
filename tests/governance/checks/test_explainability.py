"""Attributions are compared with scikit-learn's and with what must be true of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.inspection import permutation_importance

from governance.checks import catalogue
from governance.checks.attribution.answers import Answers
from governance.checks.attribution.permutation import Goodness, drops
from governance.checks.base import Finding, Measurement, MissingColumn, ModelPredictFailed, Table, UnsuitableData
from governance.checks.explainability import Explainability, mean_and_half_width
from governance.checks.subject import DatasetSpec, Subject

Rule = Callable[[pd.DataFrame], Any]


class Ruled:
    """A model that is a function of the rows: a probability, a label or a number."""

    def __init__(self, rule: Rule, gives: str = "number") -> None:
        self._rule, self._gives = rule, gives

    def load(self) -> None:
        """Nothing: it is here."""

    def predict(self, rows: pd.DataFrame) -> Any:
        answer = np.asarray(self._rule(rows))
        return (answer >= 0.5).astype(int) if self._gives == "probability" else answer

    def probabilities(self, rows: pd.DataFrame) -> Any:
        if self._gives != "probability":
            return None
        chance = np.asarray(self._rule(rows), dtype=float)
        return [0, 1], np.column_stack([1 - chance, chance])

    def example(self) -> None:
        raise NotImplementedError


WEIGHTS = {"a": 4.0, "b": -2.0, "c": 1.0, "d": 0.25, "unused": 0.0}
NUMBERS = pd.DataFrame(np.random.default_rng(8).normal(size=(40, 5)), columns=list(WEIGHTS))
SHAPLEY = Explainability(task="regression", method="shapley", explained=40, background=40)
PERMUTED = Explainability(task="regression", repeats=10)


def weighted(weights: dict[str, float]) -> Rule:
    return lambda rows: sum(weight * rows[name] for name, weight in weights.items())


@pytest.fixture
def asked(tmp_path: Path) -> Any:
    """A function that sets rows and a rule in place of a data set and a model. The target of numbers is what `truth` weighs."""

    def subject(
        rule: Rule,
        rows: pd.DataFrame = NUMBERS,
        gives: str = "number",
        champion: Subject | None = None,
        truth: dict[str, float] = WEIGHTS,
    ) -> Subject:
        target = weighted(truth)(rows) if gives == "number" else np.arange(len(rows)) % 2
        rows.assign(y=target).to_parquet(tmp_path / "rows.parquet")
        (tmp_path / "MLmodel").write_text("flavors: {}")
        spec = DatasetSpec(tmp_path / "rows.parquet", "y", 1)
        return Subject(tmp_path, spec, predictor=Ruled(rule, gives), champion=champion)

    return subject


def measured(results: Any, metric: str) -> dict[str, Measurement]:
    """Measurements of a metric by slice."""
    return {each.slice: each for each in results if isinstance(each, Measurement) and each.metric == f"explainability.{metric}"}


def findings(results: Any, rule: str) -> list[Finding]:
    return [each for each in results if isinstance(each, Finding) and each.rule == rule]


def table(results: Any, name: str) -> pd.DataFrame:
    found = next(each for each in results if isinstance(each, Table) and each.name == name)
    return pd.DataFrame(found.rows, columns=list(found.columns))


def attributions(results: Any) -> dict[str, Measurement]:
    return {each.slice: each for each in results if isinstance(each, Measurement) and each.metric == "attribution"}


def test_the_ranking_agrees_with_scikit_learn(credit: Any) -> None:
    results = list(Explainability(repeats=20).run(credit.subject()))
    found = attributions(results)
    features = credit.test[list(found)]
    theirs = permutation_importance(credit.pipeline, features, credit.truth, scoring="roc_auc", n_repeats=20, random_state=1)
    for index, feature in enumerate(found):
        ours, width = found[feature], 4 * theirs.importances_std[index] / np.sqrt(20) + 1e-9
        assert ours.value == pytest.approx(theirs.importances_mean[index], abs=2 * width)
    table = next(each for each in results if isinstance(each, Table))
    assert [row[0] for row in table.rows] == sorted(found, key=lambda name: -(found[name].value or 0))
    assert table.rows[0][0] == "status"


def test_an_unused_feature_has_no_attribution_at_all(credit: Any, saved: Any) -> None:
    from sklearn.tree import DecisionTreeClassifier

    columns = ["duration_months", "people_liable"]
    model = DecisionTreeClassifier(max_depth=1).fit(credit.test[columns], credit.truth)
    found = attributions(Explainability().run(credit.subject(saved(model, example=credit.test[columns]))))
    assert found["people_liable"].value == 0.0 == found["people_liable"].ci_high
    assert (found["duration_months"].value or 0) > 0.02


def test_equal_seeds_give_equal_numbers(credit: Any) -> None:
    check = Explainability(rows=150, repeats=2)
    first, again = list(check.run(credit.subject())), list(check.run(credit.subject()))
    other = list(check.run(replace(credit.subject(), seed=9)))
    assert first == again != other
    assert next(each.value for each in first if getattr(each, "metric", "") == "explainability.rows") == 150


def test_labels_are_judged_by_accuracy_and_numbers_by_r_squared(credit: Any, saved: Any) -> None:
    from sklearn.linear_model import LinearRegression
    from sklearn.svm import LinearSVC

    columns = ["duration_months", "age"]
    svc = LinearSVC().fit(credit.test[columns], credit.truth)
    found = attributions(Explainability().run(credit.subject(saved(svc, "svc", example=credit.test[columns]))))
    assert "accuracy" in found["age"].method
    line = LinearRegression().fit(credit.test[columns], credit.test["credit_amount"])
    subject = credit.subject(saved(line, "line", example=credit.test[columns]), target="credit_amount")
    found = attributions(Explainability(task="regression").run(subject))
    assert (found["duration_months"].value or 0) > (found["age"].value or 0) and "R squared" in found["age"].method


def test_the_interval_is_students() -> None:
    drops = [0.1, 0.2, 0.15, 0.3]
    mean, half = mean_and_half_width(drops)
    low, high = stats.t.interval(0.95, 3, loc=np.mean(drops), scale=stats.sem(drops))
    assert (mean - half, mean + half) == pytest.approx((low, high), rel=1e-9)


def test_shapley_values_of_a_linear_model_are_known(asked: Any) -> None:
    results = list(SHAPLEY.run(asked(weighted(WEIGHTS))))
    expected = (NUMBERS - NUMBERS.mean()).abs() * [abs(weight) for weight in WEIGHTS.values()]
    found = attributions(results)
    for name in WEIGHTS:
        low, high = stats.t.interval(0.95, 39, loc=expected[name].mean(), scale=max(stats.sem(expected[name]), 1e-300))
        one = found[name]
        assert (one.value, one.ci_low, one.ci_high) == pytest.approx((expected[name].mean(), low, high), abs=1e-9)
    assert found["unused"].value == 0.0
    assert measured(results, "baseline")[""].value == pytest.approx(weighted(WEIGHTS)(NUMBERS).mean(), abs=1e-9)
    assert measured(results, "model_rows")[""].value == 40 * 40 * 30 + 160
    assert measured(results, "sampling_error")[""].value == 0.0
    assert (measured(results, "additivity_error")[""].value or 0) < 1e-12 and not findings(results, "answers-vary")
    assert table(results, "feature_attribution")["feature"].tolist() == list(WEIGHTS)
    share = measured(replace(SHAPLEY, sensitive=("a",)).run(asked(weighted(WEIGHTS))), "sensitive_share")["a"]
    assert share.value == pytest.approx(expected["a"].sum() / expected.to_numpy().sum(), abs=1e-9)
    assert 0 < (share.ci_low or 0) < (share.value or 0) < (share.ci_high or 0) < 1


def test_some_rows_are_explained_one_by_one(asked: Any, credit: Any) -> None:
    local = table(SHAPLEY.run(asked(weighted(WEIGHTS))), "local_explanations")
    answers = weighted(WEIGHTS)(NUMBERS)
    by_example = dict(list(local.groupby("example")))
    assert by_example["lowest"]["row"].iloc[0] == answers.argmin() + 1
    assert by_example["highest"]["row"].iloc[0] == answers.argmax() + 1
    for each in by_example.values():
        row = each["row"].iloc[0] - 1
        assert each["base"].iloc[0] + each["shapley"].sum() == pytest.approx(each["answer"].iloc[0], abs=1e-9)
        for feature, value, shapley in zip(each["feature"], each["value"], each["shapley"], strict=True):
            assert value == NUMBERS[feature][row]
            assert shapley == pytest.approx(WEIGHTS[feature] * (value - NUMBERS[feature].mean()), abs=1e-9)

    results = list(Explainability(method="shapley", explained=400, background=5, budget=40_000).run(credit.subject()))
    local = table(results, "local_explanations")
    assert list(dict.fromkeys(local["example"])) == ["most certain", "most uncertain", "rejected"]
    scores = credit.scores
    rejected = local[local["example"] == "rejected"]
    assert rejected["answer"].iloc[0] == pytest.approx(scores[rejected["row"].iloc[0] - 1]) and rejected["answer"].iloc[0] < 0.5
    certain = local[local["example"] == "most certain"]["row"].iloc[0] - 1
    assert abs(scores[certain] - 0.5) == np.abs(scores - 0.5).max()
    assert certain not in rejected["row"].tolist() and (local["error"] > 0).any()
    for feature, value in zip(rejected["feature"], rejected["value"], strict=True):
        assert value == credit.test[feature][rejected["row"].iloc[0] - 1], "texts stay texts and numbers numbers"


def test_values_are_drawn_between_low_and_high_and_categories_have_no_place(asked: Any) -> None:
    rows = NUMBERS.assign(colour=["red", "blue"] * 20, hole=NUMBERS["b"].where(NUMBERS["b"] > 0), same=1, old=NUMBERS["c"] > 0)
    rule = lambda each: each["a"] + 0.5 * (each["colour"] == "red") + each["hole"].fillna(9.0) + 2 * each["same"] + each["old"]  # noqa: E731
    drawn = table(replace(SHAPLEY, budget=60_000).run(asked(rule, rows)), "attribution_values").set_index(["feature", "row"])
    assert drawn.loc["colour"]["scaled"].isna().all() and drawn.loc["same"]["scaled"].eq(0.5).all()
    low, high = np.percentile(rows["a"].iloc[[int(row) - 1 for row in drawn.loc["a"].index]], (5, 95))
    for row, scaled in drawn.loc["a"]["scaled"].items():
        assert scaled == pytest.approx(np.clip((rows["a"][row - 1] - low) / (high - low), 0, 1))
    for row, scaled in drawn.loc["hole"]["scaled"].items():
        assert pd.isna(scaled) == pd.isna(rows["hole"][row - 1])
    assert set(drawn.loc["old"]["scaled"]) == {0.0, 1.0}


def test_a_drawing_holds_the_greatest_features_and_the_rest_of_a_row_is_one_line(asked: Any) -> None:
    rows = pd.DataFrame(np.random.default_rng(5).normal(size=(90, 25)), columns=[f"f{index:02d}" for index in range(25)])
    check = Explainability(method="shapley", explained=90, background=2, threshold=0.7)
    rule = lambda each: 1 / (1 + np.exp(-each.to_numpy() @ np.arange(25.0) / 25))  # noqa: E731
    results = list(check.run(asked(rule, rows, "probability")))
    drawn = table(results, "attribution_values")
    assert drawn.groupby("feature").size().tolist() == [60] * 12 and "f24" in set(drawn["feature"])
    local = table(results, "local_explanations")
    for _, each in local.groupby("example"):
        assert len(each) == 21 and each["feature"].iloc[-1] == "5 others"
        assert each["base"].iloc[0] + each["shapley"].sum() == pytest.approx(each["answer"].iloc[0], abs=1e-9)
    assert local[local["example"] == "rejected"]["answer"].iloc[0] < 0.7


def test_decisions_without_probabilities_are_explained_as_one_and_zero(asked: Any) -> None:
    rows = NUMBERS[["a", "b"]]
    results = list(Explainability(method="shapley").run(asked(lambda each: (each["a"] > 0).astype(int), rows, "label")))
    found = attributions(results)
    chosen = (rows["a"] > 0).mean()
    assert found["a"].value == pytest.approx(2 * chosen * (1 - chosen), abs=1e-9) and found["b"].value == 0.0
    assert list(dict.fromkeys(table(results, "local_explanations")["example"])) == ["selected", "rejected"]


@pytest.mark.parametrize("check", [SHAPLEY, PERMUTED])
def test_equal_seeds_give_equal_explanations(asked: Any, check: Explainability) -> None:
    check = replace(check, explained=20, background=10, rows=30)
    subject = asked(weighted(WEIGHTS))
    first, again, other = (list(check.run(replace(subject, seed=seed))) for seed in (3, 3, 4))
    assert first == again != other


def test_the_budget_cuts_the_rows_and_is_never_exceeded(credit: Any) -> None:
    results = list(Explainability(method="shapley", budget=2000).run(credit.subject()))
    assert (measured(results, "model_rows")[""].value or 0) <= 2000
    assert 2 <= (measured(results, "rows")[""].value or 0) < 100
    with pytest.raises(UnsuitableData, match="take 34 at least"):
        list(Explainability(method="shapley", budget=20).run(credit.subject()))


def test_a_model_that_answers_otherwise_each_time_is_found_out(asked: Any) -> None:
    random = np.random.default_rng(0)
    noisy = lambda rows: weighted(WEIGHTS)(rows) + random.normal(scale=0.001, size=len(rows))  # noqa: E731
    results = list(SHAPLEY.run(asked(noisy)))
    worst, mean = (measured(results, metric)[""].value or 0 for metric in ("additivity_error", "mean_additivity_error"))
    assert 0.0001 < mean < worst < 0.02
    assert [each.severity for each in findings(results, "answers-vary")] == ["medium"]
    # 32 bits of precision are no inconsistency.
    rounded = list(SHAPLEY.run(asked(lambda rows: np.float32(weighted(WEIGHTS)(rows)))))
    assert not findings(rounded, "answers-vary") and attributions(rounded)["unused"].value == 0.0


def test_what_is_no_number_or_no_probability_is_refused(asked: Any) -> None:
    def only_as_they_are(rows: pd.DataFrame) -> Any:
        mixed = ~rows["a"].isin(NUMBERS["a"]) | (rows["b"] != rows["a"].map(dict(zip(NUMBERS["a"], NUMBERS["b"], strict=True))))
        return np.where(mixed, np.inf, rows["a"])

    with pytest.raises(ModelPredictFailed, match="no finite numbers"):
        list(SHAPLEY.run(asked(only_as_they_are)))
    with pytest.raises(ModelPredictFailed, match="outside 0 to 1"):
        list(
            Explainability(method="shapley").run(
                asked(lambda rows: np.where(np.isinf(only_as_they_are(rows)), 2, 0.4), gives="probability")
            )
        )


@pytest.mark.parametrize("check", [SHAPLEY, PERMUTED])
def test_a_ranking_is_stable_if_no_resample_changes_it(asked: Any, check: Explainability) -> None:
    far, near = {"a": 64.0, "b": 16.0, "c": 4.0, "d": 1.0}, dict.fromkeys("abcd", 1.0)
    clear, alike = (measured(check.run(asked(weighted(each), truth=each)), "stability")[""] for each in (far, near))
    assert (clear.value, clear.ci_low, clear.ci_high) == (1.0, 1.0, 1.0)
    assert -1 <= (alike.ci_low or 0) < (alike.value or 0) < 0.95
    alone = measured(check.run(asked(weighted({"a": 1.0}))), "stability")[""]
    assert alone.value is None and alone.method.startswith("not computed: fewer than two features")


def test_a_resample_of_all_rows_is_the_whole(asked: Any, credit: Any) -> None:
    for subject, task in ((asked(weighted(WEIGHTS)), "regression"), (credit.subject(), "binary")):
        answers, rows = Answers(subject, task), subject.features  # type: ignore[arg-type]
        goodness = Goodness(subject, answers.kind, np.arange(len(rows)))
        whole, random = [np.arange(len(rows))], np.random.default_rng(0)
        _, units, resampled = drops(answers, rows, goodness, 3, whole, random, lambda done, text: None)
        assert resampled[0] == pytest.approx(units.mean(axis=0), abs=1e-12)
    positive = credit.truth == 1
    for places in goodness.resamples(3, np.random.default_rng(1)):
        assert (
            positive[places].sum() == positive.sum()
            and len(places) == len(positive)
            and len(set(places.tolist())) < len(positive)
        )


@pytest.mark.parametrize("check", [SHAPLEY, PERMUTED])
def test_the_ranking_is_compared_with_the_champions_on_the_same_rows(asked: Any, check: Explainability) -> None:
    check = replace(check, explained=30, background=12, rows=35)
    champion = asked(weighted(WEIGHTS))
    same = list(check.run(asked(weighted(WEIGHTS), champion=champion)))
    assert measured(same, "ranking_shift")[""].value == 0.0 and measured(same, "top_overlap")[""].value == 1.0
    # Exchanging the first two of four turns one pair of six round.
    moved = list(
        check.run(asked(weighted({**WEIGHTS, "a": -2.0, "b": 4.0}), champion=champion, truth={**WEIGHTS, "a": -2.0, "b": 4.0}))
    )
    assert measured(moved, "ranking_shift")[""].value == pytest.approx(1 / 6)
    assert measured(moved, "top_overlap")[""].value == 1.0
    # The champion uses one of four: half of the pairs are the other way round or tied there.
    narrow = list(check.run(asked(weighted(WEIGHTS), champion=asked(weighted({"d": 1.0})))))
    assert (measured(narrow, "ranking_shift")[""].value or 0) >= 0.5 and measured(narrow, "top_overlap")[""].value == 0.25
    alone = list(check.run(asked(weighted(WEIGHTS))))
    assert "no version is in place" in measured(alone, "ranking_shift")[""].method
    assert attributions(alone) == attributions(same)


def test_a_champion_that_fails_is_not_the_candidates_fault(asked: Any) -> None:
    def fails(rows: pd.DataFrame) -> Any:
        raise KeyError("gone")

    results = list(SHAPLEY.run(asked(weighted(WEIGHTS), champion=asked(fails))))
    shift = measured(results, "ranking_shift")[""]
    assert shift.value is None and "could not be measured" in shift.method and "gone" in shift.method
    assert len(attributions(results)) == 5
    with pytest.raises(ModelPredictFailed):
        list(SHAPLEY.run(asked(fails, champion=asked(weighted(WEIGHTS)))))


@pytest.mark.parametrize("check", [SHAPLEY, PERMUTED])
def test_a_forbidden_feature_that_is_used_is_found(asked: Any, check: Explainability) -> None:
    check = replace(check, forbidden=("b", "unused"), sensitive=("a",))
    results = list(check.run(asked(weighted(WEIGHTS))))
    share = measured(results, "forbidden_share")
    assert (share["b"].ci_low or 0) > 0 and share["unused"].value == 0.0 and share[""].value == share["b"].value
    assert [(each.severity, each.location) for each in findings(results, "forbidden-feature")] == [("high", "b")]
    assert not findings(check.run(asked(weighted({**WEIGHTS, "b": 0.0}))), "forbidden-feature")
    assert measured(results, "sensitive_share")["a"].value > share["b"].value  # type: ignore[operator]
    constant = measured(replace(SHAPLEY, forbidden=("b",)).run(asked(lambda rows: np.ones(len(rows)))), "forbidden_share")
    assert constant["b"].value is None and "no feature has any" in constant["b"].method


def test_a_feature_used_for_one_row_is_found_by_its_share(asked: Any) -> None:
    one_row = lambda rows: rows["a"] + 10 * (rows["b"] == NUMBERS["b"].max())  # noqa: E731
    check = replace(SHAPLEY, forbidden=("b",))
    share = measured(check.run(asked(one_row)), "forbidden_share")["b"]
    assert 0.01 < (share.value or 0) < 0.5 and share.ci_low is not None
    below = replace(check, largest_forbidden=0.9)
    assert len(findings(check.run(asked(one_row)), "forbidden-feature")) == 1
    assert bool(findings(below.run(asked(one_row)), "forbidden-feature")) == (share.ci_low > 0)


def test_a_forbidden_feature_must_exist_and_may_be_left_out_by_the_model(credit: Any) -> None:
    assert "sex" in credit.test.columns
    results = list(Explainability(repeats=2, forbidden=("sex",)).run(credit.subject()))
    left_out = measured(results, "forbidden_share")["sex"]
    assert (left_out.value, left_out.method) == (0.0, "the model does not take it") and not findings(results, "forbidden-feature")
    for names in ({"forbidden": ("sexx",)}, {"sensitive": ("sexx",)}):
        with pytest.raises(MissingColumn, match="sexx"):
            list(Explainability(**names).run(credit.subject()))  # type: ignore[arg-type]


def test_older_policies_stay_valid_and_new_ones_are_described() -> None:
    assert catalogue.build("explainability", {"rows": 500, "repeats": 3}) == Explainability(rows=500, repeats=3)
    given = {"method": "shapley", "explained": 10, "background": 5, "budget": 500, "forbidden": ["sex"], "resamples": 3}
    schema = catalogue.parameters_schema(Explainability)
    jsonschema.validate(given, schema)
    assert catalogue.build("explainability", given) == Explainability(
        method="shapley", explained=10, background=5, budget=500, forbidden=("sex",), resamples=3
    )
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"method": "lime"}, schema)
