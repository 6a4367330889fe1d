"""The numbers are compared with scikit-learn, and DeLong's interval with its definition."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy.stats import binomtest, norm, ttest_1samp
from sklearn import metrics

from governance.checks.base import Measurement, MissingColumn, Table, UnsuitableData
from governance.checks.groups import Feature
from governance.checks.performance import Performance
from governance.checks.statistics import ranking, rates

EXACT = {"rel": 1e-9, "abs": 1e-9}


def measured(results: Any) -> dict[tuple[str, str], Measurement]:
    return {(each.metric, each.slice): each for each in results if isinstance(each, Measurement)}


def tables(results: Any) -> dict[str, Table]:
    return {each.name: each for each in results if isinstance(each, Table)}


@pytest.fixture(scope="module")
def results(credit: Any) -> list[Any]:
    return list(Performance(threshold=0.6, slices=("sex", Feature("age", edges=(25, 40)))).run(credit.subject()))


@pytest.mark.parametrize("slice_", ["", "sex=female", "sex=male", "age=under 25", "age=25 to 39", "age=40 and over"])
def test_every_metric_agrees_with_scikit_learn(credit: Any, results: list[Any], slice_: str) -> None:
    bands = {"under 25": (0, 25), "25 to 39": (25, 40), "40 and over": (40, 200)}
    rows = np.ones(len(credit.test), dtype=bool)
    if slice_.startswith("sex"):
        rows = (credit.test["sex"] == slice_.partition("=")[2]).to_numpy()
    elif slice_:
        low, high = bands[slice_.partition("=")[2]]
        rows = credit.test["age"].between(low, high, inclusive="left").to_numpy()
    truth, scores = credit.truth[rows], credit.scores[rows]
    decided = (scores >= 0.6).astype(int)
    expected = {
        "roc_auc": metrics.roc_auc_score(truth, scores),
        "pr_auc": metrics.average_precision_score(truth, scores),
        "log_loss": metrics.log_loss(truth, scores, labels=[0, 1]),
        "brier": metrics.brier_score_loss(truth, scores),
        "accuracy": metrics.accuracy_score(truth, decided),
        "precision": metrics.precision_score(truth, decided),
        "recall": metrics.recall_score(truth, decided),
        "f1": metrics.f1_score(truth, decided),
    }
    found = measured(results)
    for metric, value in expected.items():
        assert found[metric, slice_].value == pytest.approx(value, **EXACT), metric


def test_the_wilson_interval_agrees_with_scipy(credit: Any, results: list[Any]) -> None:
    accuracy = measured(results)["accuracy", "sex=female"]
    assert accuracy.n is not None and accuracy.value is not None
    interval = binomtest(round(accuracy.value * accuracy.n), accuracy.n).proportion_ci(0.95, method="wilson")
    assert (accuracy.ci_low, accuracy.ci_high) == (pytest.approx(interval.low, **EXACT), pytest.approx(interval.high, **EXACT))


@pytest.mark.parametrize("slice_", ["", "sex=female", "age=under 25"])
def test_every_number_has_an_interval_around_it(results: list[Any], slice_: str) -> None:
    found = measured(results)
    for metric in ("accuracy", "precision", "recall", "f1", "roc_auc", "pr_auc", "log_loss", "brier"):
        each = found[metric, slice_]
        assert each.value is not None and each.ci_low is not None and each.ci_high is not None, metric
        assert each.ci_low < each.value < each.ci_high, metric
    assert "95 % BCa bootstrap interval, 1000 resamples of rows" in found["brier", slice_].method
    assert found["f1", slice_].method == "decided at 0.6; 95 % percentile bootstrap interval, 1000 resamples of rows"


def test_the_bootstrap_interval_of_a_mean_is_near_that_of_student(credit: Any, results: list[Any]) -> None:
    errors = (credit.scores - credit.truth) ** 2
    low, high = ttest_1samp(errors, 0.0).confidence_interval(0.95)
    brier = measured(results)["brier", ""]
    assert (brier.ci_low, brier.ci_high) == pytest.approx((low, high), abs=0.1 * (high - low))


def test_a_single_row_has_numbers_and_no_bootstrap(credit: Any, tmp_path: Any) -> None:
    good = credit.test[credit.test["good_credit"] == 1].head(1)
    good.to_csv(tmp_path / "one.csv", index=False)
    found = measured(Performance().run(credit.subject(path=tmp_path / "one.csv")))
    assert found["brier", ""].value is not None
    assert found["brier", ""].ci_low is None and "too few rows for an interval" in found["brier", ""].method


@pytest.mark.parametrize("part, whole", [(0, 7), (7, 7), (1, 1000), (0, 1)])
def test_the_wilson_interval_holds_at_the_ends(part: int, whole: int) -> None:
    interval = binomtest(part, whole).proportion_ci(0.95, method="wilson")
    assert rates.Share(part, whole).interval == pytest.approx((interval.low, interval.high), **EXACT)
    assert rates.Share(0, 0).interval == (None, None)


def delong_by_definition(positive: np.ndarray, scores: np.ndarray) -> float:
    """The variance from all pairs, as the paper writes it."""
    x, y = scores[positive][:, None], scores[~positive][None, :]
    psi = (x > y) + 0.5 * (x == y)
    m, n = psi.shape
    return math.sqrt(psi.mean(axis=1).var(ddof=1) / m + psi.mean(axis=0).var(ddof=1) / n)


@pytest.mark.parametrize("digits", [1, 2, 12])
def test_delong_agrees_with_its_definition_with_and_without_ties(credit: Any, digits: int) -> None:
    positive, scores = credit.truth == 1, credit.scores.round(digits)
    error = ranking.delong_standard_error(positive, scores)
    assert error == pytest.approx(delong_by_definition(positive, scores), **EXACT)
    low, high = ranking.delong_interval(positive, scores) or (None, None)
    area = metrics.roc_auc_score(positive, scores)
    assert low == pytest.approx(area - norm.ppf(0.975) * error, **EXACT)
    assert high == pytest.approx(area + norm.ppf(0.975) * error, **EXACT)


def test_delong_on_a_case_worked_by_hand() -> None:
    """Positives 3, 2 against negatives 2, 1: pairs 1, 1, 1/2, 1, so the area is 7/8."""
    positive, scores = np.array([True, True, False, False]), np.array([3.0, 2.0, 2.0, 1.0])
    assert ranking.roc_auc(positive, scores) == 7 / 8
    assert ranking.delong_standard_error(positive, scores) == pytest.approx(math.sqrt(0.03125 / 2 + 0.03125 / 2 * 2 * 2 / 4))


def test_the_curves_are_bounded_and_whole(credit: Any, results: list[Any]) -> None:
    found = tables(results)
    curve = found["roc_curve"].rows
    assert len(curve) <= 200 and curve[0][:2] == (0.0, 0.0) and curve[-1][:2] == (1.0, 1.0)
    all_points = {
        (round(float(x), 9), round(float(y), 9))
        for x, y, _ in zip(*metrics.roc_curve(credit.truth, credit.scores, drop_intermediate=False), strict=True)
    }
    assert all((round(float(x or 0), 9), round(float(y or 0), 9)) in all_points for x, y, _ in curve)
    precision, recall, thresholds = metrics.precision_recall_curve(credit.truth, credit.scores)
    theirs = {float(at): (x, y) for x, y, at in zip(recall, precision, thresholds, strict=False)}
    steps = found["pr_curve"].rows
    assert found["pr_curve"].columns == ("recall", "precision", "threshold") and 100 < len(steps) <= 200
    assert all(theirs[float(at or 0)] == pytest.approx((x, y), **EXACT) for x, y, at in steps)
    assert steps[0][2] == credit.scores.max() and steps[-1][::2] == (1.0, credit.scores.min())
    assert sum(row[4] for row in found["calibration"].rows) == len(credit.test)  # type: ignore[misc]
    matrix = metrics.confusion_matrix(credit.truth, credit.scores >= 0.6)
    assert found["confusion_matrix"].rows == (
        ("favourable", matrix[1, 1], matrix[1, 0]),
        ("unfavourable", matrix[0, 1], matrix[0, 0]),
    )


def test_calibration_agrees_with_scikit_learn(credit: Any) -> None:
    from sklearn.calibration import calibration_curve

    share, mean = calibration_curve(credit.truth, credit.scores, n_bins=10)
    ours = rates.calibration(credit.truth == 1, credit.scores, 10)
    assert [row[2] for row in ours] == pytest.approx(mean, **EXACT)
    assert [row[3] for row in ours] == pytest.approx(share, **EXACT)


def test_a_model_of_labels_only_is_measured_without_scores(credit: Any, saved: Any) -> None:
    from sklearn.svm import LinearSVC

    train = credit.test[["age", "credit_amount"]]
    model = LinearSVC().fit(train, credit.truth)
    found = measured(Performance().run(credit.subject(saved(model, example=train))))
    assert found["roc_auc", ""].value is None and "no probabilities" in found["roc_auc", ""].method
    assert found["accuracy", ""].value == pytest.approx((model.predict(train) == credit.truth).mean())


def test_what_is_not_defined_says_so(credit: Any, tmp_path: Any) -> None:
    only_good = credit.test[credit.test["good_credit"] == 1]
    only_good.to_csv(tmp_path / "good.csv", index=False)
    found = measured(Performance().run(credit.subject(path=tmp_path / "good.csv")))
    assert found["roc_auc", ""].value is None and "one class" in found["roc_auc", ""].method
    with pytest.raises(UnsuitableData, match="favourable label 7"):
        list(Performance().run(credit.subject(favourable=7)))


def test_a_missing_column_names_column_set_and_remedy(credit: Any, tmp_path: Any) -> None:
    credit.test.drop(columns=["age"]).to_csv(tmp_path / "short.csv", index=False)
    with pytest.raises(MissingColumn, match=r"'age' is not in the data set Q3; .*model signature.*Add the column"):
        list(Performance().run(credit.subject(path=tmp_path / "short.csv", name="Q3")))
    with pytest.raises(MissingColumn, match="'region'"):
        list(Performance(slices=("region",)).run(credit.subject()))


def test_a_regression_agrees_with_scikit_learn(credit: Any, saved: Any) -> None:
    from sklearn.linear_model import LinearRegression

    columns = ["duration_months", "age"]
    model = LinearRegression().fit(credit.test[columns], credit.test["credit_amount"])
    subject = credit.subject(saved(model, example=credit.test[columns]), target="credit_amount")
    found = measured(Performance(task="regression", slices=("sex",)).run(subject))
    for slice_, rows in (("", slice(None)), ("sex=female", credit.test["sex"] == "female")):
        truth, predicted = credit.test["credit_amount"][rows], model.predict(credit.test[columns][rows])
        assert found["rmse", slice_].value == pytest.approx(metrics.root_mean_squared_error(truth, predicted), **EXACT)
        assert found["mae", slice_].value == pytest.approx(metrics.mean_absolute_error(truth, predicted), **EXACT)
        assert found["r2", slice_].value == pytest.approx(metrics.r2_score(truth, predicted), **EXACT)


@pytest.mark.parametrize("form", ["parquet", "csv.gz"])
def test_the_form_of_the_file_does_not_change_the_numbers(credit: Any, results: list[Any], form: str, tmp_path: Any) -> None:
    path = tmp_path / f"test.{form}"
    credit.test.to_parquet(path) if form == "parquet" else credit.test.to_csv(path, index=False)
    found = measured(Performance(threshold=0.6).run(credit.subject(credit.cloudpickle, path=path)))
    assert found["roc_auc", ""] == measured(results)["roc_auc", ""]
