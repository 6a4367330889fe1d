"""Attributions are compared with scikit-learn's and with what must be true of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import stats
from sklearn.inspection import permutation_importance

from governance.checks.base import Measurement, Table
from governance.checks.explainability import Explainability, mean_and_half_width


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
