"""Diabetes, compared with scikit-learn."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics
from sklearn.datasets import load_diabetes
from sklearn.linear_model import LinearRegression

from governance.checks.base import Measurement, Table
from governance.checks.performance import Performance
from tests.governance.checks.answering import Answering, Rows

EXACT = {"rel": 1e-9, "abs": 1e-9}
THEIRS = {
    "rmse": metrics.root_mean_squared_error,
    "mae": metrics.mean_absolute_error,
    "r2": metrics.r2_score,
    "mape": metrics.mean_absolute_percentage_error,
    "median_absolute_error": metrics.median_absolute_error,
    "max_error": metrics.max_error,
}
COMPARED = ("rmse", "mae", "r2", "mape")


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Any:
    frame = load_diabetes(as_frame=True).frame
    frame["older"] = np.where(frame["age"] > 0, "yes", "no")
    train, test = frame.iloc[:200], frame.iloc[200:].reset_index(drop=True)
    rows = Rows.write(tmp_path_factory.mktemp("diabetes"), test, "target")
    models = [
        Answering(LinearRegression().fit(train[columns], train["target"]), columns)
        for columns in (["bmi", "bp", "s5", "sex"], ["bmi"])
    ]
    results = list(Performance(task="regression", slices=("older",)).run(rows.subject(*models)))
    return rows, models, results, {(each.metric, each.slice): each for each in results if isinstance(each, Measurement)}


@pytest.mark.parametrize("slice_", ["", "older=yes", "older=no"])
def test_every_metric_and_difference_agrees_with_scikit_learn(case: Any, slice_: str) -> None:
    rows, models, _, found = case
    kept = rows.frame[rows.frame["older"] == slice_.partition("=")[2]] if slice_ else rows.frame
    for metric, score in THEIRS.items():
        mine, theirs = (score(kept["target"], each.predict(kept)) for each in models)
        assert found[metric, slice_].value == pytest.approx(mine, **EXACT), metric
        if metric in COMPARED:
            gap = found[f"{metric}.difference", slice_]
            assert gap.value == pytest.approx(mine - theirs, **EXACT), metric
            assert gap.ci_low < gap.value < gap.ci_high and gap.n == len(kept)
            assert found[metric, slice_].ci_low < mine < found[metric, slice_].ci_high


def test_paired_intervals_are_those_of_pairs(case: Any) -> None:
    """The errors of two models on one row go together, so the difference is known better than each number."""
    rows, models, _, found = case
    errors = [np.abs(each.predict(rows.frame) - rows.frame["target"]) for each in models]
    low, high = stats.ttest_rel(*errors).confidence_interval(0.95)
    gap = found["mae.difference", ""]
    assert (gap.ci_low, gap.ci_high) == pytest.approx((low, high), abs=0.15)
    assert gap.method.startswith("this version minus the champion on the same rows; 95 % BCa bootstrap interval")
    assert gap.ci_high - gap.ci_low < found["mae", ""].ci_high - found["mae", ""].ci_low


def test_the_tables_show_the_residuals_and_the_comparison(case: Any) -> None:
    rows, models, results, found = case
    tables = {each.name: each for each in results if isinstance(each, Table)}
    residuals = rows.frame["target"] - models[0].predict(rows.frame)
    table = tables["residuals"]
    assert table.columns == ("lowest_prediction", "highest_prediction", "rows", "mean", "q05", "q25", "q50", "q75", "q95")
    assert sum(row[2] for row in table.rows) == len(residuals) and len(table.rows) == 10
    assert sum(row[2] * row[3] for row in table.rows) / len(residuals) == pytest.approx(residuals.mean(), **EXACT)
    compared = tables["against_champion"]
    assert compared.columns == ("metric", "this_version", "champion", "difference", "ci_low", "ci_high")
    assert [row[0] for row in compared.rows] == list(COMPARED)
    for metric, mine, theirs, gap, low, high in compared.rows:
        each = found[f"{metric}.difference", ""]
        assert (mine - theirs, gap, low, high) == (each.value, each.value, each.ci_low, each.ci_high)


def test_what_is_not_defined_says_so(case: Any, tmp_path: Any) -> None:
    rows, models, _, _ = case
    flat = Rows.write(tmp_path, rows.frame.iloc[:8].assign(target=0.0), "target")
    results = list(Performance(task="regression", resamples=100).run(flat.subject(*models)))
    found = {each.metric: each for each in results if isinstance(each, Measurement)}
    for metric, says in (("r2", "the target does not vary"), ("mape", "the target is 0 in some row")):
        assert found[metric].value is None and found[metric].method == f"not computed: {says}"
        assert found[f"{metric}.difference"].value is None and found[f"{metric}.difference"].method == f"not computed: {says}"
    assert found["max_error"].ci_low is None and found["rmse.difference"].value is not None
