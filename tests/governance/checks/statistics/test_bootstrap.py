"""Intervals are compared with scipy's on the same draws, and the delta method with the bootstrap it stands for."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics

from governance.checks.statistics import weighted
from governance.checks.statistics.bootstrap import MOST_ROWS, Bootstrap, accelerated, delta_interval, influence_error
from governance.checks.statistics.paired import f1_of_counts

EXACT = {"rel": 1e-9, "abs": 1e-9}
RANDOM = np.random.default_rng(11)


@pytest.mark.parametrize("skewed", [True, False])
def test_the_bca_interval_agrees_with_scipy_on_the_same_draws(skewed: bool) -> None:
    values = RANDOM.exponential(2.0, 60) if skewed else RANDOM.normal(2.0, 1.0, 60)
    statistic = weighted.mean(values)
    drawn = statistic.of(RANDOM.multinomial(60, np.full(60, 1 / 60), size=2000))
    before = SimpleNamespace(bootstrap_distribution=drawn)
    theirs = stats.bootstrap((values,), np.mean, n_resamples=0, bootstrap_result=before, method="BCa", vectorized=True)
    found = accelerated(drawn, statistic.value, statistic.influence())
    assert found == pytest.approx(tuple(theirs.confidence_interval), **EXACT)


def test_equal_seeds_draw_equal_rows_and_every_row_counts_as_often() -> None:
    values = RANDOM.exponential(2.0, 300)
    (first,), (again,) = (Bootstrap(400, 5).intervals([weighted.mean(values)]) for _ in range(2))
    assert first == again != Bootstrap(400, 6).intervals([weighted.mean(values)])[0]
    weights = np.concatenate(list(Bootstrap(20_000, 1)._weights(300)))
    assert weights.shape == (20_000, 300) and (weights.sum(axis=1) == 300).all()
    assert weights.mean(axis=0) == pytest.approx(1.0, abs=0.05)
    assert weights.var(axis=0) == pytest.approx(1 - 1 / 300, abs=0.08)
    assert first.method == "95 % BCa bootstrap interval, 400 resamples of rows"


def test_many_rows_take_the_delta_method_whose_error_is_that_of_the_bootstrap() -> None:
    n = MOST_ROWS + 1
    positive = RANDOM.random(n) < 0.1
    scores = RANDOM.normal(positive * 1.0, 1.0)
    statistic = weighted.average_precision(positive, scores)
    (interval,) = Bootstrap(100, 0).intervals([statistic])
    assert interval == delta_interval(statistic) and interval.method == "95 % interval by the delta method"
    drawn = np.concatenate([statistic.of(weights) for weights in Bootstrap(600, 0)._weights(n)])
    assert influence_error(statistic.influence()) == pytest.approx(drawn.std(), rel=0.1)
    mean = weighted.mean(scores)
    theirs = stats.norm.interval(0.95, scores.mean(), stats.sem(scores))
    found = delta_interval(mean)
    assert (found.low, found.high) == pytest.approx(theirs, **EXACT)


def test_draws_of_cells_are_draws_of_rows() -> None:
    truth, decided = RANDOM.random(200) < 0.4, RANDOM.random(200) < 0.5
    counts = np.array([(truth & decided).sum(), (~truth & decided).sum(), (truth & ~decided).sum(), (~truth & ~decided).sum()])
    assert f1_of_counts(counts[None, :])["f1"][0] == pytest.approx(metrics.f1_score(truth, decided), **EXACT)
    found = Bootstrap(10_000, 2).counted(counts, f1_of_counts)["f1"]

    def f1(rows: np.ndarray, axis: int) -> np.ndarray:
        return 2 * np.sum(truth[rows] & decided[rows], axis=axis) / np.sum(truth[rows] * 1 + decided[rows], axis=axis)

    theirs = stats.bootstrap((np.arange(200),), f1, n_resamples=10_000, method="percentile", rng=np.random.default_rng(4))
    assert (found.low, found.high) == pytest.approx(tuple(theirs.confidence_interval), abs=0.006)


def test_too_few_rows_or_draws_have_no_interval() -> None:
    (interval,) = Bootstrap().intervals([weighted.mean(np.ones(1))])
    assert (interval.low, interval.high, interval.method) == (None, None, "too few rows for an interval")
    assert Bootstrap(unit="queries").counted(np.array([0, 0, 0, 3]), f1_of_counts)["f1"].method == (
        "too few queries for an interval"
    )
    (constant,) = Bootstrap().intervals([weighted.mean(np.full(20, 0.25))])
    assert (constant.low, constant.high) == (0.25, 0.25)


def test_an_interval_of_the_delta_method_stays_in_the_range_of_the_number() -> None:
    found = delta_interval(weighted.mean(np.array([0.0] * 99 + [1.0]), 0.0, 1.0))
    assert found.low == 0.0 and found.high == pytest.approx(0.01 + stats.norm.ppf(0.975) * 0.01, **EXACT)
