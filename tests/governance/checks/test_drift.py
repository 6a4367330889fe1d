"""Every distance is compared with scipy, or with the textbook's formula written out a second time."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.spatial.distance import jensenshannon
from scipy.stats.contingency import association

from governance.checks import execute
from governance.checks.base import Measurement, MissingColumn, MissingInput, ModelPredictFailed, Table, UnsuitableData
from governance.checks.catalogue import build
from governance.checks.drift import Drift, bin_names
from governance.checks.statistics import distance
from governance.checks.subject import DatasetSpec, Subject
from tests.governance.checks.conftest import FEATURES, GERMAN_CREDIT

EXACT = {"rel": 1e-9, "abs": 1e-9}
CHECK = Drift("train")
Compare = Callable[..., list[Any]]


def measured(results: Any) -> dict[tuple[str, str], Measurement]:
    return {(each.metric, each.slice): each for each in results if isinstance(each, Measurement)}


def table(results: Any, name: str) -> list[dict[str, Any]]:
    found = next(each for each in results if isinstance(each, Table) and each.name == name)
    return [dict(zip(found.columns, row, strict=True)) for row in found.rows]


def textbook_psi(before: list[float], now: list[float]) -> float:
    """The sum over rows per bin; with a bin empty in one set, 1/2 is added to each."""
    used = [(b, n) for b, n in zip(before, now, strict=True) if b or n]
    extra = 0.5 if any(not b or not n for b, n in used) else 0.0
    total = [sum(each) + extra * len(used) for each in zip(*used, strict=True)]
    shares = [((b + extra) / total[0], (n + extra) / total[1]) for b, n in used]
    return math.fsum((n - b) * math.log(n / b) for b, n in shares)


def deciles(before: list[float], now: list[float]) -> list[list[int]]:
    """Rows per bin, cut at the lowest value that at least 1/10, 2/10, … of the reference do not exceed."""
    below, total = Counter(before), 0
    edges = set()
    for value in sorted(below):
        reached = {Fraction(i, 10) for i in range(1, 10) if Fraction(total, len(before)) < Fraction(i, 10)}
        total += below[value]
        if any(Fraction(total, len(before)) >= each for each in reached):
            edges.add(value)
    counted = [Counter(sum(value > edge for edge in edges) for value in values) for values in (before, now)]
    return [[each[index] for index in range(len(edges) + 1)] for each in counted]


@pytest.fixture(scope="module")
def train(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("drift") / "train.csv"
    pd.read_csv(GERMAN_CREDIT).iloc[:600].to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def results(credit: Any, train: Path) -> list[Any]:
    return list(CHECK.run(replace(credit.subject(), others={"train": train})))


@pytest.fixture
def compared(tmp_path: Path) -> Compare:
    """A function that compares two tables without a model, as Parquet, so that their types stay as they are."""

    def compare(reference: dict[str, Any], now: dict[str, Any], **parameters: Any) -> list[Any]:
        for name, columns in (("reference", reference), ("now", now)):
            pd.DataFrame(columns).to_parquet(tmp_path / f"{name}.parquet")
        spec = DatasetSpec(tmp_path / "now.parquet", "target")
        return list(Drift("train", **parameters).run(Subject(None, spec, others={"train": tmp_path / "reference.parquet"})))

    return compare


def test_every_number_agrees_with_scipy(credit: Any, train: Path, results: list[Any]) -> None:
    before, found = pd.read_csv(train), measured(results)
    numbers = 0
    for name in FEATURES:
        old, new = before[name], credit.test[name]
        if old.dtype.kind in "iuf":
            numbers += 1
            counts = deciles(old.tolist(), new.tolist())
            ks = stats.ks_2samp(old, new, method="asymp")
            assert found["drift.ks", name].value == pytest.approx(ks.statistic, **EXACT)
            assert found["drift.ks", name].n == 400
            outside = np.mean([not old.min() <= value <= old.max() for value in new])
            assert found["drift.out_of_range", name].value == pytest.approx(outside, **EXACT)
            assert ("drift.chi2", name) not in found and ("drift.unseen", name) not in found
        else:
            counts = pd.crosstab(["b"] * 600 + ["n"] * 400, pd.concat([old, new]).to_numpy()).to_numpy().tolist()
            expected = association(np.asarray(counts), method="cramer")
            assert found["drift.chi2", name].value == pytest.approx(expected, **EXACT)
            p_value = stats.chi2_contingency(counts, correction=False).pvalue
            assert found["drift.chi2", name].method.endswith(f"p = {p_value:.3g}")
            assert found["drift.unseen", name].value == 0.0
        assert found["drift.psi", name].value == pytest.approx(textbook_psi(*counts), **EXACT)
        shares = [np.asarray(each) / sum(each) for each in counts]
        assert found["drift.js", name].value == pytest.approx(jensenshannon(*shares, base=2), **EXACT)
        assert found["drift.missing", name].value == 0.0
    assert numbers == 3
    assert found["drift.features", ""].value == len(FEATURES)


def test_the_predictions_on_both_sets_are_compared(credit: Any, train: Path, results: list[Any]) -> None:
    old = credit.pipeline.predict_proba(pd.read_csv(train)[FEATURES])[:, 1]
    found = measured(results)
    expected = stats.ks_2samp(old, credit.scores, method="asymp").statistic
    assert found["drift.prediction_ks", ""].value == pytest.approx(expected, **EXACT)
    assert found["drift.prediction_psi", ""].value == pytest.approx(
        textbook_psi(*deciles(old.tolist(), credit.scores.tolist())), **EXACT
    )
    assert found["drift.prediction_psi", ""].n == 400


def test_the_tables_put_the_worst_first(credit: Any, results: list[Any]) -> None:
    found, rows = measured(results), table(results, "feature_drift")
    psi = {name: found["drift.psi", name].value or 0 for name in FEATURES}
    assert [row["feature"] for row in rows] == sorted(psi, key=lambda name: -psi[name])
    assert found["drift.worst_psi", ""].value == rows[0]["psi"] == max(psi.values()) > 0
    assert found["drift.worst_psi", ""].method.endswith(rows[0]["feature"])
    assert {row["kind"] for row in rows} == {"number", "category"}
    age = next(row for row in rows if row["feature"] == "age")
    assert age["ks_or_cramers_v"] == found["drift.ks", "age"].value and age["js"] == found["drift.js", "age"].value
    bins = table(results, "drift_bins")
    assert list(dict.fromkeys(row["feature"] for row in bins)) == [row["feature"] for row in rows]
    for name in FEATURES:
        for share in ("share_reference", "share_now"):
            assert math.fsum(row[share] for row in bins if row["feature"] == name) == pytest.approx(1, **EXACT)
    young = next(row for row in bins if row["feature"] == "age")
    assert young["share_now"] == pytest.approx((credit.test["age"] <= float(young["bin"].removeprefix("up to "))).mean(), **EXACT)


def test_a_set_has_not_drifted_from_itself(credit: Any) -> None:
    check = build("drift", {"reference": "same"})
    results = list(check.run(replace(credit.subject(), others={"same": credit.test_path})))
    drift = {key: each.value for key, each in measured(results).items() if key[0].startswith("drift.")}
    assert drift.pop(("drift.features", "")) == len(FEATURES)
    assert len(drift) == 5 * len(FEATURES) + 3 and set(drift.values()) == {0.0}


def test_the_result_can_be_written_as_json(results: list[Any]) -> None:
    document = execute.document(results, None, 1.0)
    assert len(json.loads(json.dumps(document, allow_nan=False))["tables"]) == 2
    assert all(each["value"] is not None for each in document["measurements"])


def test_the_model_sees_only_the_columns_it_takes(credit: Any, train: Path, tmp_path: Path, saved: Any) -> None:
    from sklearn.linear_model import LogisticRegression

    columns, before = ["duration_months", "age"], pd.read_csv(train)
    model = LogisticRegression().fit(before[columns], before["good_credit"])
    before[sorted(before.columns)].to_csv(tmp_path / "sorted.csv", index=False)
    subject = replace(credit.subject(saved(model, example=before[columns])), others={"train": tmp_path / "sorted.csv"})
    found = measured(CHECK.run(subject))
    old, new = (model.predict_proba(each[columns])[:, 1] for each in (before, credit.test))
    expected = stats.ks_2samp(old, new, method="asymp").statistic
    assert found["drift.prediction_ks", ""].value == pytest.approx(expected, **EXACT)
    assert found["drift.features", ""].value == 2


def test_labels_are_compared_as_categories(credit: Any, train: Path, saved: Any) -> None:
    from sklearn.svm import LinearSVC

    columns, before = ["duration_months", "age"], pd.read_csv(train)
    svc = LinearSVC().fit(before[columns], before["good_credit"])
    subject = replace(credit.subject(saved(svc, example=before[columns])), others={"train": train})
    found = measured(CHECK.run(subject))
    counts = [[int((svc.predict(each[columns]) == label).sum()) for label in (0, 1)] for each in (before, credit.test)]
    assert found["drift.prediction_psi", ""].value == pytest.approx(textbook_psi(*counts), **EXACT)
    expected = association(np.asarray(counts), method="cramer")
    assert found["drift.prediction_chi2", ""].value == pytest.approx(expected, **EXACT) != 0
    assert ("drift.prediction_ks", "") not in found


def test_a_regression_is_compared_by_its_numbers(credit: Any, train: Path, saved: Any) -> None:
    from sklearn.linear_model import LinearRegression

    columns, before = ["duration_months", "age"], pd.read_csv(train)
    line = LinearRegression().fit(before[columns], before["credit_amount"])
    subject = credit.subject(saved(line, example=before[columns]), target="credit_amount")
    found = measured(Drift("train", task="regression").run(replace(subject, others={"train": train})))
    expected = stats.ks_2samp(line.predict(before[columns]), line.predict(credit.test[columns]), method="asymp").statistic
    assert found["drift.prediction_ks", ""].value == pytest.approx(expected, **EXACT)


def test_without_a_model_the_features_are_all_columns_but_the_target(compared: Compare) -> None:
    found = measured(compared({"a": [1, 2]}, {"a": [1, 2], "target": [0, 1]}))
    assert found["drift.features", ""].value == 1
    prediction = found["drift.prediction_psi", ""]
    assert prediction.value is None and prediction.method == "not computed: no model is given"


def test_what_is_not_there_is_named(credit: Any, train: Path, tmp_path: Path, compared: Compare) -> None:
    with pytest.raises(MissingInput, match="'train'"):
        list(CHECK.run(credit.subject()))
    pd.read_csv(train).drop(columns="age").to_csv(tmp_path / "ageless.csv", index=False)
    with pytest.raises(MissingColumn, match="'age' is not in the data set train"):
        list(CHECK.run(replace(credit.subject(), others={"train": tmp_path / "ageless.csv"})))
    with pytest.raises(UnsuitableData, match="no feature to compare"):
        compared({"a": [1]}, {"target": [1]})
    for wrong, sentence in (({}, "'reference' is required"), ({"reference": ""}, "must name a data set")):
        with pytest.raises(ValueError, match=sentence):
            build("drift", wrong)
    with pytest.raises(ValueError, match="minimum of 2"):
        build("drift", {"reference": "train", "bins": 1})


def test_a_model_that_cannot_score_the_reference_is_an_error(credit: Any, train: Path, tmp_path: Path) -> None:
    pd.read_csv(train).assign(age="old").to_csv(tmp_path / "words.csv", index=False)
    with pytest.raises(ModelPredictFailed):
        list(CHECK.run(replace(credit.subject(), others={"train": tmp_path / "words.csv"})))


def test_rows_without_a_value_are_a_bin_of_their_own(compared: Compare) -> None:
    before = {"x": [1.0, 2.0, 3.0, None], "word": ["a", "a", "b", "b"]}
    now = {"x": [1.0, None, None, None], "word": ["a", None, None, "b"]}
    results = compared(before, now, bins=3)
    found = measured(results)
    assert found["drift.missing", "x"].value == pytest.approx(0.5, **EXACT)
    assert found["drift.missing", "x"].method == "now 0.75, in the reference 0.25"
    assert found["drift.psi", "x"].value == pytest.approx(textbook_psi([1, 1, 1, 1], [1, 0, 0, 3]), **EXACT)
    assert found["drift.psi", "x"].method == "4 bins; 1/2 added to each, as some are empty in one set"
    assert (found["drift.ks", "x"].n, found["drift.psi", "x"].n) == (1, 4)
    assert found["drift.ks", "x"].value == pytest.approx(stats.ks_2samp([1, 2, 3], [1]).statistic, **EXACT)
    assert found["drift.psi", "word"].value == pytest.approx(textbook_psi([2, 2, 0], [1, 1, 2]), **EXACT)
    assert found["drift.chi2", "word"].value == pytest.approx(
        association(np.asarray([[2, 2, 0], [1, 1, 2]]), method="cramer"), **EXACT
    )
    assert found["drift.unseen", "word"].value == 0.0
    missing = next(row for row in table(results, "drift_bins") if (row["feature"], row["bin"]) == ("word", "missing"))
    assert (missing["share_reference"], missing["share_now"]) == (0.0, 0.5)


@pytest.mark.parametrize(
    "before, now, reason",
    [
        ([1.0, 2.0], [None, None], "the evaluation set has no value"),
        ([None, None], [1.0, 2.0], "the reference has no value"),
        ([None, None], [None, None], "the reference has no value"),
    ],
)
def test_a_number_that_is_missing_everywhere_has_no_ks(compared: Compare, before: Any, now: Any, reason: str) -> None:
    # Of a column without any value Parquet does not say what type the values would have.
    found = measured(compared({"x": pd.Series(before)}, {"x": pd.Series(now)}))
    assert found["drift.ks", "x"].value is None and found["drift.ks", "x"].method == f"not computed: {reason}"
    assert (found["drift.out_of_range", "x"].value is None) == (before[0] is None)
    both = before == now
    assert (found["drift.psi", "x"].value == 0.0, found["drift.js", "x"].value) == (both, 0.0 if both else 1.0)


def test_texts_that_are_all_missing_are_still_categories(compared: Compare) -> None:
    # In CSV such a column has no type, and pandas reads it as numbers.
    results = compared({"word": ["a", "b"]}, {"word": pd.Series([None, None], dtype=float)})
    found = measured(results)
    assert found["drift.chi2", "word"].value == pytest.approx(1.0, **EXACT)
    assert (found["drift.missing", "word"].value, found["drift.unseen", "word"].value) == (1.0, 0.0)
    assert table(results, "feature_drift")[0]["kind"] == "category"


def test_a_constant_that_changed_has_drifted_either_way(compared: Compare) -> None:
    psi = textbook_psi([6, 0], [0, 6])
    for value in (4, 5, 6):
        found = measured(compared({"x": [5] * 6, "word": ["5"] * 6}, {"x": [value] * 6, "word": [str(value)] * 6}))
        moved = value != 5
        for name, test, outside in (("x", "drift.ks", "drift.out_of_range"), ("word", "drift.chi2", "drift.unseen")):
            assert found["drift.psi", name].value == pytest.approx(psi if moved else 0.0, **EXACT)
            assert found["drift.js", name].value == found[test, name].value == found[outside, name].value == float(moved)
        assert found["quality.constant_features", ""].value == 2


def test_the_type_a_value_is_stored_in_is_no_drift(compared: Compare) -> None:
    before = {"whole": [1, 2, 3], "flag": [True, False, True], "code": ["1", "2", "x"], "same": [7, 8, 9]}
    now = {"whole": [1.0, 2.0, 3.0], "flag": [True, False, True], "code": ["1", "2", "x"], "same": [7, 8, 9]}
    assert measured(compared(before, now))["drift.worst_psi", ""].value == 0.0
    # A column of codes whose only letter is gone has become numbers, with a gap even fractions.
    found = measured(compared({"code": ["1", "2", "2", "x"]}, {"code": [1.0, 2.0, None, None]}))
    assert found["drift.unseen", "code"].value == 0.0
    assert found["drift.psi", "code"].value == pytest.approx(textbook_psi([1, 2, 1, 0], [1, 1, 0, 2]), **EXACT)


def test_booleans_and_dates_as_text_are_categories(compared: Compare) -> None:
    before = {"flag": [True, True, False, False], "day": ["2026-01-01", "2026-01-02"] * 2}
    now = {"flag": [True, True, True, False], "day": ["2026-01-01", "2026-01-02", "2026-01-03", "2026-01-04"]}
    found = measured(compared(before, now))
    assert found["drift.psi", "flag"].value == pytest.approx(0.25 * math.log(3), **EXACT)
    assert found["drift.unseen", "day"].value == 0.5
    assert {name for metric, name in found if metric == "drift.chi2"} == {"flag", "day"}


def test_dates_stored_as_such_are_numbers_whatever_their_unit(compared: Compare) -> None:
    before, now = pd.to_datetime(["2026-01-01", "2026-01-02"]), pd.to_datetime(["2026-01-02", "2026-01-03"])
    same = measured(compared({"day": before.as_unit("ms")}, {"day": before.as_unit("ns")}))
    assert same["drift.ks", "day"].value == same["drift.psi", "day"].value == 0.0
    moved = measured(compared({"day": before}, {"day": now}))
    assert moved["drift.ks", "day"].value == moved["drift.out_of_range", "day"].value == 0.5


def test_infinity_is_a_value(compared: Compare) -> None:
    before, now = [1.0, 2.0, 3.0, math.inf], [-math.inf, 2.0, 3.0, math.inf]
    found = measured(compared({"x": before}, {"x": now}, bins=4))
    assert found["drift.ks", "x"].value == pytest.approx(stats.ks_2samp(before, now).statistic, **EXACT)
    assert found["drift.out_of_range", "x"].value == 0.25
    assert math.isfinite(found["drift.psi", "x"].value or 0)


def test_one_row_is_enough(compared: Compare) -> None:
    found = measured(compared({"x": [1.0], "word": ["a"]}, {"x": [2.0], "word": ["a"]}))
    assert found["drift.ks", "x"].value == 1.0 and found["drift.psi", "word"].value == 0.0
    assert found["drift.psi", "x"].value == pytest.approx(textbook_psi([1, 0], [0, 1]), **EXACT)
    assert found["quality.duplicate_rows", ""].value == 0.0


def test_a_column_of_keys_is_measured_and_its_table_stays_short(compared: Compare) -> None:
    before, now = [f"key {i}" for i in range(20_000)], [f"key {i}" for i in range(5_000, 20_000)] + ["new"] * 5_000
    results = compared({"key": before, "x": [1, 2] * 10_000}, {"key": now, "x": [1, 2] * 10_000})
    found = measured(results)
    assert found["drift.unseen", "key"].value == 0.25
    counts = [[1] * 20_000 + [0], [0] * 5_000 + [1] * 15_000 + [5_000]]
    assert found["drift.psi", "key"].value == pytest.approx(textbook_psi(*counts), **EXACT)
    rows = [row for row in table(results, "drift_bins") if row["feature"] == "key"]
    assert len(rows) == 51 and (rows[0]["bin"], rows[-1]["bin"]) == ("new", "19951 others")
    assert math.fsum(row["share_now"] for row in rows) == pytest.approx(1, **EXACT)


def test_the_table_of_bins_keeps_the_worst_of_many_features(compared: Compare) -> None:
    values = list(range(60))
    before = {f"x{index}": values for index in range(90)}
    results = compared(before, {**before, "x89": [value + 30 for value in values]}, bins=60)
    rows = table(results, "drift_bins")
    assert len(rows) == 5000 == execute.MOST_ROWS and rows[0]["feature"] == "x89"


def test_the_quality_of_the_evaluation_set(compared: Compare) -> None:
    now = {
        "x": [1.0, 1.0, 1.0, 2.0, None],
        "same": [3, 3, 3, 3, 3],
        "none": pd.Series([None] * 5, dtype=float),
        "list": [[1], [1], [1], [2], [2]],
        "target": [0, 0, 1, 1, 1],
    }
    found = measured(compared({"x": [1.0], "same": [3], "none": [1.0], "list": [[1]]}, now))
    assert found["quality.duplicate_rows", ""].value == pytest.approx(1 / 5, **EXACT)
    assert found["quality.constant_features", ""].value == 2
    assert found["quality.missing", ""].value == pytest.approx(6 / 25, **EXACT)
    assert found["quality.missing", ""].n == 5
    assert found["drift.unseen", "list"].value == pytest.approx(2 / 5, **EXACT)


@pytest.mark.parametrize(
    "edges, names",
    [
        ([], ["any value"]),
        ([3.0], ["up to 3", "over 3"]),
        ([1.0, 2.5], ["up to 1", "over 1 to 2.5", "over 2.5"]),
        ([math.nextafter(5.0, -math.inf), 5.0], ["under 5", "5", "over 5"]),
        ([1.0000001, 1.0000002], ["up to 1.0000001", "over 1.0000001 to 1.0000002", "over 1.0000002"]),
        ([1234567.0], ["up to 1234567", "over 1234567"]),
    ],
)
def test_bins_are_named_by_their_edges(edges: list[float], names: list[str]) -> None:
    assert bin_names(edges) == names


def test_a_quarter_that_moves_between_halves() -> None:
    assert distance.psi(np.asarray([[50, 50], [25, 75]])) == pytest.approx(0.25 * math.log(3), **EXACT)
    assert distance.psi(np.asarray([[50, 0, 50], [25, 0, 75]])) == pytest.approx(0.25 * math.log(3), **EXACT)
    one_empty = np.asarray([[1, 0, 2], [3, 1, 0]])
    before, now = np.asarray([1.5, 0.5, 2.5]) / 4.5, np.asarray([3.5, 1.5, 0.5]) / 5.5
    assert distance.psi(one_empty) == pytest.approx(stats.entropy(now, before) + stats.entropy(before, now), **EXACT)


@pytest.mark.parametrize("n, bins", [(10, 10), (100, 10), (7, 3), (1000, 7), (29, 29)])
def test_quantile_bins_hold_equally_many_rows(n: int, bins: int) -> None:
    values = np.random.default_rng(n).permutation(n).astype(float)
    counts = distance.bin_counts(values, distance.quantile_edges(values, bins))
    held = [count for count in counts.tolist() if count]
    assert len(held) == bins and max(held) - min(held) <= 1 and sum(held) == n


@settings(max_examples=60)
@given(st.lists(st.integers(0, 20), min_size=1, max_size=40), st.sampled_from([2, 4, 8]))
def test_edges_agree_with_numpy(values: list[int], bins: int) -> None:
    edges = distance.quantile_edges(np.asarray(values, float), bins).tolist()
    expected = np.unique(np.quantile(values, np.arange(1, bins) / bins, method="inverted_cdf")).tolist()
    assert edges == ([math.nextafter(min(values), -math.inf)] if expected[0] == min(values) else []) + expected


Counts = st.integers(1, 12).flatmap(
    lambda bins: st.tuples(*[st.lists(st.integers(0, 1000), min_size=bins, max_size=bins).filter(any)] * 2)
)


@settings(max_examples=60)
@given(Counts)
def test_distances_agree_with_scipy_on_any_counts(given: tuple[list[int], list[int]]) -> None:
    counts = np.asarray(given)
    used = counts[:, counts.any(axis=0)]
    assert distance.psi(counts) == pytest.approx(textbook_psi(*given), **EXACT)
    assert distance.psi(counts) == pytest.approx(distance.psi(counts[::-1]), **EXACT)
    # Near 0 the root blows rounding up, so the divergences are compared and not their roots.
    assert distance.jensen_shannon(counts) ** 2 == pytest.approx(jensenshannon(*given, base=2) ** 2, **EXACT)
    value, p_value = distance.cramers_v(counts)
    theirs = stats.chi2_contingency(used, correction=False)
    assert value**2 == pytest.approx(theirs.statistic / used.sum(), **EXACT)
    assert p_value == pytest.approx(theirs.pvalue, **EXACT)
    assert 0 <= value <= 1 and 0 <= distance.jensen_shannon(counts) <= 1 and distance.psi(counts) >= 0


@settings(max_examples=60)
@given(*[st.lists(st.integers(-5, 5) | st.floats(-9, 9), min_size=2, max_size=40)] * 2)
def test_kolmogorov_smirnov_agrees_with_scipy(before: list[float], now: list[float]) -> None:
    statistic, p_value = distance.kolmogorov_smirnov(np.asarray(before, float), np.asarray(now, float))
    assert statistic == pytest.approx(stats.ks_2samp(before, now, method="asymp").statistic, **EXACT)
    effective = len(before) * len(now) / (len(before) + len(now))
    assert p_value == pytest.approx(stats.kstwobign.sf(statistic * math.sqrt(effective)), **EXACT)
