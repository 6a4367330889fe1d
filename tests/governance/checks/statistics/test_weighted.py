"""Weighted numbers are compared with scikit-learn's, influence with what a small change of a weight does."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from sklearn import metrics

from governance.checks.statistics import weighted
from governance.checks.statistics.weighted import Statistic

EXACT = {"rel": 1e-9, "abs": 1e-9}
RANDOM = np.random.default_rng(3)
TRUTH = RANDOM.normal(5.0, 2.0, 80)
PREDICTED = TRUTH + RANDOM.normal(0.3, 1.0, 80)
POSITIVE = RANDOM.random(80) < 0.3
SCORES = np.clip(RANDOM.random(80) * 0.7 + 0.3 * POSITIVE, 0.0, 1.0)
TIED = SCORES.round(1)


def r_squared(truth: np.ndarray, predicted: np.ndarray) -> Statistic:
    found = weighted.r_squared(truth, predicted)
    assert found is not None
    return found


CASES: dict[str, tuple[Statistic, Callable[[np.ndarray], float]]] = {
    "mean": (weighted.mean(TRUTH), lambda w: float(np.average(TRUTH, weights=w))),
    "rmse": (
        weighted.root_mean_square(PREDICTED - TRUTH),
        lambda w: metrics.root_mean_squared_error(TRUTH, PREDICTED, sample_weight=w),
    ),
    "r2": (r_squared(TRUTH, PREDICTED), lambda w: metrics.r2_score(TRUTH, PREDICTED, sample_weight=w)),
    "average precision": (
        weighted.average_precision(POSITIVE, SCORES),
        lambda w: metrics.average_precision_score(POSITIVE, SCORES, sample_weight=w),
    ),
    "average precision with ties": (
        weighted.average_precision(POSITIVE, TIED),
        lambda w: metrics.average_precision_score(POSITIVE, TIED, sample_weight=w),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_weighted_number_agrees_with_scikit_learn(name: str) -> None:
    statistic, theirs = CASES[name]
    weights = np.vstack([np.ones(80), RANDOM.multinomial(80, np.full(80, 1 / 80), size=5)])
    assert statistic.of(weights) == pytest.approx([theirs(each) for each in weights], **EXACT)
    assert statistic.value == pytest.approx(statistic.of(np.ones((1, 80)))[0], **EXACT)


@pytest.mark.parametrize("name", CASES)
def test_influence_is_the_derivative_by_the_weight_of_a_row(name: str) -> None:
    statistic, _ = CASES[name]
    step = 1e-5
    more, less = (statistic.of(1.0 + sign * step * np.eye(80)) for sign in (1, -1))
    assert statistic.influence() == pytest.approx((more - less) / (2 * step), rel=1e-5, abs=1e-8)
    assert statistic.influence().sum() == pytest.approx(0.0, abs=1e-9)


def test_a_difference_is_the_difference_of_values_draws_and_influence() -> None:
    mine, theirs = weighted.average_precision(POSITIVE, SCORES), weighted.average_precision(POSITIVE, TIED)
    gap, weights = mine - theirs, RANDOM.multinomial(80, np.full(80, 1 / 80), size=3)
    assert gap.value == mine.value - theirs.value
    assert (gap.of(weights) == mine.of(weights) - theirs.of(weights)).all()
    assert (gap.influence() == mine.influence() - theirs.influence()).all()
    assert (gap.lowest, gap.highest) == (-1.0, 1.0)


def test_what_a_draw_leaves_undefined_is_no_number() -> None:
    only_first = np.zeros((1, 80))
    only_first[0, int(np.flatnonzero(~POSITIVE)[0])] = 80
    assert np.isnan(weighted.average_precision(POSITIVE, SCORES).of(only_first)).all()
    assert np.isnan(r_squared(TRUTH, PREDICTED).of(only_first)).all()
    assert weighted.r_squared(np.full(4, 0.1), np.arange(4.0)) is None
    perfect = weighted.root_mean_square(np.zeros(4))
    assert perfect.value == 0 and not perfect.influence().any()
