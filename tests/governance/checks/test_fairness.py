"""The rates and gaps are compared with fairlearn, their intervals and the calibration with scipy."""

from __future__ import annotations

import time
import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any

import fairlearn.metrics as fairlearn
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import precision_score

from governance.checks.base import Finding, Measurement, Result, Table, UnsuitableData
from governance.checks.catalogue import build
from governance.checks.fairness import Fairness
from governance.checks.groups import Feature, band_names
from governance.checks.statistics.parity import gap, ratio
from governance.checks.statistics.rates import Share
from governance.checks.subject import DatasetSpec, Subject
from tests.governance.checks.conftest import GERMAN_CREDIT, save

EXACT = {"rel": 1e-9, "abs": 1e-9}
AGE, HALF = Feature("age", edges=(25, 40, 60)), Feature("age", "half", (35,))
CHECK = Fairness(("sex", AGE, HALF), threshold=0.7, intersections=(("sex", "half"),))
NAMES = {"sex": ["sex"], "age": ["age"], "half": ["half"], "sex&half": ["sex", "half"]}


def measured(results: Any) -> dict[tuple[str, str], Measurement]:
    found = [each for each in results if isinstance(each, Measurement)]
    keyed = {(each.metric, each.slice): each for each in found}
    assert len(keyed) == len(found)
    return keyed


def tables(results: Any) -> dict[str, list[dict[str, Any]]]:
    return {
        each.name: [dict(zip(each.columns, row, strict=True)) for row in each.rows] for each in results if isinstance(each, Table)
    }


@pytest.fixture(scope="module")
def results(credit: Any) -> list[Result]:
    return list(CHECK.run(credit.subject()))


def columns(credit: Any) -> pd.DataFrame:
    bands = {
        feature.label: np.asarray(band_names(feature.edges, whole=True))[np.digitize(credit.test["age"], feature.edges)]
        for feature in (AGE, HALF)
    }
    return pd.DataFrame({"sex": credit.test["sex"], **bands})


def slices(frame: pd.DataFrame, names: list[str]) -> pd.Series:
    """The slice that each row belongs to."""
    return frame[names].apply(lambda row: "&".join(f"{name}={row[name]}" for name in names), axis=1)


def frame_of(credit: Any, feature: str, metrics: Any) -> Any:
    groups = slices(columns(credit), NAMES[feature])
    return fairlearn.MetricFrame(metrics=metrics, y_true=credit.truth, y_pred=credit.scores >= 0.7, sensitive_features=groups)


@pytest.mark.parametrize("feature", NAMES)
@pytest.mark.parametrize("kind", ["ratio", "difference"])
@pytest.mark.parametrize("criterion", ["demographic_parity", "equal_opportunity", "equalized_odds"])
def test_every_criterion_agrees_with_fairlearn(
    credit: Any, results: list[Result], feature: str, kind: str, criterion: str
) -> None:
    groups, decided = slices(columns(credit), NAMES[feature]), credit.scores >= 0.7
    expected = getattr(fairlearn, f"{criterion}_{kind}")(credit.truth, decided, sensitive_features=groups)
    assert measured(results)[f"{criterion}_{kind}", feature].value == pytest.approx(expected, **EXACT)


@pytest.mark.parametrize("feature", NAMES)
def test_predictive_parity_is_that_of_precision(credit: Any, results: list[Result], feature: str) -> None:
    frame, found = frame_of(credit, feature, precision_score), measured(results)
    assert found["predictive_parity_difference", feature].value == pytest.approx(frame.difference(), **EXACT)
    assert found["predictive_parity_ratio", feature].value == pytest.approx(frame.ratio(), **EXACT)


def test_a_group_without_rows_of_a_class_hides_no_gap(credit: Any) -> None:
    """There fairlearn takes the rate for 0."""
    found = measured(Fairness(("sex", AGE), threshold=0.7, intersections=(("sex", "age"),)).run(credit.subject()))
    old_women = found["false_positive_rate", "sex=female&age=60 and over"]
    assert (old_women.value, old_women.n, old_women.method) == (None, 0, "not computed: no rows")
    for kind in ("ratio", "difference"):
        given = found[f"equalized_odds_{kind}", "sex&age"]
        assert given.value is None
        assert given.method == "not computed: a group has no rows to take its false positive rate of"


@pytest.mark.parametrize("feature", NAMES)
def test_every_rate_agrees_with_fairlearn(credit: Any, results: list[Result], feature: str) -> None:
    functions = {
        "selection_rate": fairlearn.selection_rate,
        "true_positive_rate": fairlearn.true_positive_rate,
        "false_positive_rate": fairlearn.false_positive_rate,
        "positive_predictive_value": precision_score,
        "count": fairlearn.count,
    }
    frame, found = frame_of(credit, feature, functions), measured(results)
    for slice_, row in frame.by_group.iterrows():
        for metric in list(functions)[:4]:
            assert found[metric, slice_].value == pytest.approx(row[metric], **EXACT)
        assert found["selection_rate", slice_].n == row["count"]
        quotient = row["selection_rate"] / frame.by_group["selection_rate"].max()
        assert found["impact_ratio", slice_].value == pytest.approx(quotient, **EXACT)


@pytest.mark.parametrize("feature", NAMES)
def test_the_intervals_are_those_of_the_two_groups_furthest_apart(credit: Any, results: list[Result], feature: str) -> None:
    decided, found = credit.scores >= 0.7, measured(results)
    by_group = pd.Series(decided).groupby(slices(columns(credit), NAMES[feature])).agg(["sum", "count", "mean"])
    low, high = by_group.loc[by_group["mean"].idxmin()], by_group.loc[by_group["mean"].idxmax()]
    risk = stats.contingency.relative_risk(int(low["sum"]), int(low["count"]), int(high["sum"]), int(high["count"]))
    katz, given = risk.confidence_interval(0.95), found["demographic_parity_ratio", feature]
    assert (given.ci_low, given.ci_high) == pytest.approx((katz.low, katz.high), **EXACT)
    assert given.method == "lowest / highest selection rate; 95 % Katz interval"
    limits = [stats.binomtest(int(each["sum"]), int(each["count"])).proportion_ci(0.95, "wilson") for each in (high, low)]
    newcombe = (
        high["mean"] - low["mean"] - np.hypot(high["mean"] - limits[0].low, limits[1].high - low["mean"]),
        high["mean"] - low["mean"] + np.hypot(limits[0].high - high["mean"], low["mean"] - limits[1].low),
    )
    given = found["demographic_parity_difference", feature]
    assert (given.ci_low, given.ci_high) == pytest.approx(newcombe, **EXACT)
    lowest = found["impact_ratio", by_group["mean"].idxmin()]
    assert (lowest.ci_low, lowest.ci_high) == pytest.approx((katz.low, katz.high), **EXACT)
    highest = found["impact_ratio", by_group["mean"].idxmax()]
    assert (highest.value, highest.ci_low, highest.method) == (1.0, None, "selection rate / highest selection rate")


@pytest.mark.parametrize("feature", NAMES)
def test_calibration_by_group_agrees_with_scipy(credit: Any, results: list[Result], feature: str) -> None:
    found, gaps = measured(results), {}
    for slice_, rows in pd.DataFrame({"score": credit.scores, "truth": credit.truth}).groupby(
        slices(columns(credit), NAMES[feature])
    ):
        difference = rows["score"] - rows["truth"]
        gaps[slice_] = difference
        interval = stats.ttest_1samp(difference, 0).confidence_interval(0.95)
        given = found["calibration_gap", slice_]
        assert (given.value, given.ci_low, given.ci_high) == pytest.approx((difference.mean(), *interval), **EXACT)
        bands = rows.groupby(pd.cut(rows["score"], np.linspace(0, 1, 11), include_lowest=True), observed=True)
        error = (bands["score"].mean() - bands["truth"].mean()).abs() @ bands.size() / len(rows)
        assert found["calibration_error", slice_].value == pytest.approx(error, **EXACT)
    highest, lowest = (pick(gaps.values(), key=lambda each: each.mean()) for pick in (max, min))
    welch = stats.ttest_ind(highest, lowest, equal_var=False).confidence_interval(0.95)
    given = found["calibration_difference", feature]
    assert given.value == pytest.approx(highest.mean() - lowest.mean(), **EXACT)
    assert (given.ci_low, given.ci_high) == pytest.approx(tuple(welch), **EXACT)


def test_the_table_of_selection_rates_holds_each_group_once(results: list[Result]) -> None:
    rows, found = tables(results)["selection_rates"], measured(results)
    ages, halves = ["under 25", "25 to 39", "40 to 59", "60 and over"], ["under 35", "35 and over"]
    assert [(row["feature"], row["group"]) for row in rows] == [
        ("sex", "female"),
        ("sex", "male"),
        *(("age", age) for age in ages),
        *(("half", half) for half in halves),
        *(("sex&half", f"{sex} & {half}") for sex in ("female", "male") for half in halves),
    ]
    assert list(rows[0]) == ["feature", "group", "rows", "selected", "selection_rate", "ci_low", "ci_high", "impact_ratio"]
    assert rows[1]["impact_ratio"] == found["impact_ratio", "sex=male"].value
    assert rows[8]["selection_rate"] == found["selection_rate", "sex=female&half=under 35"].value


def test_the_curves_of_the_groups_add_up_to_their_calibration(credit: Any, results: list[Result]) -> None:
    rows = pd.DataFrame(tables(results)["group_calibration"])
    assert set(rows["feature"]) == {"sex", "age", "half"}
    for (feature, group), curve in rows.groupby(["feature", "group"]):
        mask = (columns(credit)[feature] == group).to_numpy()
        assert curve["rows"].sum() == mask.sum()
        assert curve["mean_score"] @ curve["rows"] == pytest.approx(credit.scores[mask].sum(), **EXACT)
        assert curve["share_favourable"] @ curve["rows"] == pytest.approx(credit.truth[mask].sum(), **EXACT)
        assert (curve["ci_low"] <= curve["share_favourable"]).all() and (curve["share_favourable"] <= curve["ci_high"]).all()


def test_small_groups_are_pointed_out(credit: Any) -> None:
    check = Fairness(("sex", AGE), intersections=(("sex", "age"),), minimum_group=50)
    found = list(check.run(credit.subject()))
    notes = {each.location: each for each in found if isinstance(each, Finding)}
    ages = slices(columns(credit), ["age"]).value_counts()
    both = slices(columns(credit), ["sex", "age"]).value_counts()
    assert set(notes) == {*ages[ages < 50].index, "sex&age"} > {"sex&age"}
    assert {(each.rule, each.severity) for each in notes.values()} == {("small-group", "low")}
    small = both[both < 50]
    assert notes["sex&age"].message.startswith(f"{len(small)} of {len(both)} groups have fewer than 50 rows")
    assert all(f"{slice_} ({size})" in notes["sex&age"].message for slice_, size in small.items())
    assert measured(found)["smallest_group", "age"].value == ages.min()
    assert measured(found)["smallest_group", "sex&age"].value == both.min()


def test_rows_without_a_value_form_a_group_of_their_own(credit: Any, tmp_path: Any) -> None:
    frame = credit.test.copy()
    frame.loc[:9, "sex"] = None
    frame["age_again"] = frame["age"].astype(float)
    frame.loc[:4, "age_again"] = None
    frame.to_csv(tmp_path / "gaps.csv", index=False)
    check = Fairness(("sex", Feature("age_again", "age", (40,))))
    found = measured(check.run(credit.subject(path=tmp_path / "gaps.csv")))
    assert found["selection_rate", "sex=missing"].n == 10
    assert found["selection_rate", "age=missing"].n == 5


def test_the_favourable_label_of_the_policy_wins(credit: Any) -> None:
    found = measured(Fairness(("sex",), favourable="0", threshold=0.5).run(credit.subject()))
    female = (credit.test["sex"] == "female").to_numpy()
    assert found["selection_rate", "sex=female"].value == pytest.approx((1 - credit.scores[female] >= 0.5).mean(), **EXACT)


def test_one_group_cannot_be_compared(credit: Any, tmp_path: Any) -> None:
    credit.test[credit.test["sex"] == "male"].to_csv(tmp_path / "men.csv", index=False)
    with pytest.raises(UnsuitableData, match=r"one group only \(male\)"):
        list(Fairness(("sex",)).run(credit.subject(path=tmp_path / "men.csv")))


@pytest.mark.parametrize(
    "given, reason",
    [
        ({"sensitive": []}, "at least one feature"),
        ({"sensitive": ["sex", {"column": "gender", "name": "sex"}]}, "names a feature twice: sex, sex"),
        ({"intersections": [["sex"]]}, r"two or more different features, got \['sex'\]"),
        ({"intersections": [["sex", "sex"]]}, "two or more different features"),
        ({"intersections": [["sex", "race"]]}, "'intersections' names 'race', which is not in 'sensitive': sex, age, sex&age"),
        ({"intersections": [["age", "sex"], ["sex", "age"]]}, "has the name of an intersection: sex&age"),
        ({"sensitive": ["sex", "age"], "intersections": [["age", "sex"], ["sex", "age"]]}, "the same features twice"),
        ({"left_out_below": 1.5}, "a maximum of 1"),
    ],
)
def test_parameters_that_are_unclear_are_refused(given: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        build("fairness", {"sensitive": ["sex", "age", "sex&age"], **given})


def test_parameters_come_as_a_policy_writes_them() -> None:
    half = {"column": "age", "name": "half", "edges": [35]}
    given = {
        "sensitive": ["sex", {"column": "age", "edges": [25, 40, 60]}, half],
        "threshold": 0.7,
        "intersections": [["sex", "half"]],
    }
    assert build("fairness", given) == CHECK


def test_nobody_selected_has_no_ratio(credit: Any) -> None:
    found = measured(Fairness(("sex",), threshold=1.0).run(credit.subject()))
    given = found["demographic_parity_ratio", "sex"]
    assert (given.value, given.method) == (None, "not computed: the highest selection rate is 0")
    assert found["demographic_parity_difference", "sex"].value == 0.0
    given = found["predictive_parity_difference", "sex"]
    assert (given.value, given.method) == (None, "not computed: a group has no rows to take its positive predictive value of")
    assert found["impact_ratio", "sex=male"].value is None


def test_everybody_selected_is_parity_of_which_nothing_is_certain(credit: Any) -> None:
    found = measured(Fairness(("sex",), threshold=0.0).run(credit.subject()))
    given = found["demographic_parity_ratio", "sex"]
    assert (given.value, given.ci_low, given.method) == (1.0, None, "lowest / highest selection rate; no interval: both are 1")


def test_labels_alone_have_no_calibration(credit: Any, saved: Any) -> None:
    from sklearn.svm import LinearSVC

    numbers = credit.test[["age", "duration_months"]]
    model = saved(LinearSVC().fit(numbers, credit.truth), example=numbers)
    found = list(Fairness(("sex",)).run(credit.subject(model)))
    keyed = measured(found)
    for key in [("calibration_gap", "sex=male"), ("calibration_difference", "sex"), ("scoring_rate", "sex=male")]:
        assert keyed[key].value is None and "labels and no probabilities" in keyed[key].method
    assert keyed["selection_rate", "sex=male"].value is not None
    assert set(tables(found)) == {"selection_rates", "impact_ratios"}


@pytest.fixture(scope="module")
def champion(credit: Any, tmp_path_factory: Any) -> Any:
    """A model of fewer features, and where it is saved."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    train, few = pd.read_csv(GERMAN_CREDIT).iloc[:600], ["age", "duration_months"]
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(train[few], train["good_credit"])
    return model, few, save(model, tmp_path_factory.mktemp("champion") / "model", "skops", train[few])


def test_a_champion_adds_one_table_and_changes_nothing_else(credit: Any, results: list[Result], champion: Any) -> None:
    model, few, folder = champion
    found = list(CHECK.run(replace(credit.subject(), champion=credit.subject(folder))))
    assert found[:-1] == results and isinstance(found[-1], Table)
    rows = tables(found)["parity_against_champion"]
    decided, keyed = model.predict_proba(credit.test[few])[:, 1] >= 0.7, measured(results)
    assert len(rows) == 4 * 8
    for row in rows:
        assert row["version"] == keyed[row["metric"], row["feature"]].value
        groups = slices(columns(credit), NAMES[row["feature"]])
        criterion, _, kind = row["metric"].rpartition("_")
        if criterion == "predictive_parity":
            frame = fairlearn.MetricFrame(metrics=precision_score, y_true=credit.truth, y_pred=decided, sensitive_features=groups)
            expected = getattr(frame, kind)()
        else:
            expected = getattr(fairlearn, row["metric"])(credit.truth, decided, sensitive_features=groups)
        assert row["champion"] == pytest.approx(expected, **EXACT)
        assert row["change"] == pytest.approx(row["version"] - expected, **EXACT)


def test_the_champion_decides_for_the_favourable_label_of_the_policy(credit: Any, champion: Any) -> None:
    model, few, folder = champion
    check = Fairness(("sex",), favourable=0)
    rows = tables(check.run(replace(credit.subject(), champion=credit.subject(folder))))["parity_against_champion"]
    decided = model.predict_proba(credit.test[few])[:, 0] >= 0.5
    expected = fairlearn.demographic_parity_difference(1 - credit.truth, decided, sensitive_features=credit.test["sex"])
    (row,) = [row for row in rows if row["metric"] == "demographic_parity_difference"]
    assert row["champion"] == pytest.approx(expected, **EXACT)


def test_a_champion_that_cannot_be_asked_is_said_and_costs_nothing(credit: Any, results: list[Result], tmp_path: Path) -> None:
    found = list(CHECK.run(replace(credit.subject(), champion=credit.subject(tmp_path))))
    assert found[:-1] == results
    note = found[-1]
    assert isinstance(note, Finding) and (note.rule, note.severity) == ("champion-not-measured", "info")
    assert note.message.startswith("Parity cannot be compared with the champion.")


class Scored(Subject):
    """A subject whose model has answered already."""

    def scores(self) -> np.ndarray:
        return np.asarray(self.__dict__["given"])

    def decisions(self, threshold: float) -> np.ndarray:
        return self.scores() >= threshold


def many_rows(n: int) -> Scored:
    random = np.random.default_rng(11)
    scores = random.random(n)
    frame = pd.DataFrame(
        {"sex": random.choice(["female", "male"], n), "race": random.choice(list("ABCDE"), n), "y": random.random(n) < scores}
    )
    many = Scored(None, DatasetSpec(Path("many.csv"), "y"))
    many.reader.frame = frame
    many.__dict__["given"] = scores
    return many


def test_many_rows_take_at_most_three_times_what_fairlearn_takes() -> None:
    many = many_rows(50_000)
    check = Fairness(("sex", "race"), intersections=(("sex", "race"),))
    list(check.run(many_rows(10)))  # what is imported late is not measured
    started = time.process_time()
    found = measured(check.run(many))
    ours, started = time.process_time() - started, time.process_time()
    frame = fairlearn.MetricFrame(
        metrics=fairlearn.selection_rate,
        y_true=many.positives,
        y_pred=many.decisions(0.5),
        sensitive_features=many.frame[["sex", "race"]],
    )
    theirs = time.process_time() - started
    for (sex, race), rate in frame.by_group.items():
        assert found["selection_rate", f"sex={sex}&race={race}"].value == pytest.approx(rate, **EXACT)
    assert ours < 3 * theirs


def test_many_rows_are_counted_in_little_memory() -> None:
    n = 100_000
    many = many_rows(n)
    tracemalloc.start()
    try:
        list(Fairness(("sex", "race"), intersections=(("sex", "race"),)).run(many))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 60 * n + 1_000_000


@given(st.lists(st.builds(lambda part, more: Share(part, part + more), st.integers(0, 50), st.integers(1, 50)), min_size=2))
def test_gap_and_ratio_stay_in_range_and_never_hide_a_missing_group(shares: list[Share]) -> None:
    difference, quotient = gap(shares), ratio(shares)
    assert difference is not None and 0.0 <= difference.value <= 1.0
    low, high = difference.interval
    assert low is not None and high is not None and -1.0 <= low <= difference.value <= high <= 1.0
    if not any(share.part for share in shares):
        assert quotient is None
    else:
        assert quotient is not None and 0.0 <= quotient.value <= 1.0
        low, high = quotient.interval
        assert low is not None and high is not None and 0.0 <= low <= quotient.value <= high
    assert gap([*shares, Share(0, 0)]) is None and ratio([*shares, Share(0, 0)]) is None
