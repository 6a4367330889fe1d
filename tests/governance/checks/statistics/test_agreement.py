"""Rankings are compared as scipy compares them, and shares have the interval of a ratio."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from governance.checks.statistics import agreement
from governance.checks.statistics.ratio import ratio_and_half_width


def test_tau_is_scipys_with_and_without_ties() -> None:
    random = np.random.default_rng(4)
    for values in (random.normal(size=(2, 9)), random.integers(3, size=(2, 12)).astype(float)):
        assert agreement.kendall_tau(*values) == pytest.approx(stats.kendalltau(*values).statistic, abs=1e-9)
    assert agreement.kendall_tau(np.ones(4), np.arange(4.0)) is None


def test_the_distance_counts_pairs_the_other_way_round() -> None:
    assert agreement.kendall_distance(np.array([3.0, 2.0, 1.0]), np.array([3.0, 1.0, 2.0])) == pytest.approx(1 / 3)
    assert agreement.kendall_distance(np.arange(5.0), -np.arange(5.0)) == 1.0
    assert agreement.kendall_distance(np.array([1.0, 1.0, 0.0]), np.array([2.0, 1.0, 0.0])) == pytest.approx(1 / 6), (
        "a tie: one half"
    )
    one, other = np.random.default_rng(2).normal(size=(2, 15))
    assert agreement.kendall_distance(one, other) == pytest.approx((1 - stats.kendalltau(one, other).statistic) / 2, abs=1e-9)
    assert agreement.kendall_distance(np.ones(1), np.ones(1)) is None


def test_the_greatest_are_above_zero() -> None:
    assert agreement.greatest(np.array([0.0, 3.0, -4.0, 3.0, 5.0]), 3) == [4, 1, 3]
    assert agreement.greatest(np.array([0.0, 3.0]), 3) == [1]
    assert agreement.overlap({"a", "b"}, {"b"}) == 0.5 and agreement.overlap(set(), set()) is None


def test_the_interval_of_a_ratio_is_that_of_a_mean_where_all_wholes_are_equal() -> None:
    parts = np.array([1.0, 3.0, 2.0, 2.5])
    ratio, half = ratio_and_half_width(parts, np.full(4, 10.0))
    low, high = stats.t.interval(0.95, 3, loc=np.mean(parts / 10), scale=stats.sem(parts / 10))
    assert (ratio - half, ratio + half) == pytest.approx((low, high), rel=1e-9)
    # In proportion to the whole there is nothing uncertain about the ratio.
    assert ratio_and_half_width(parts * 0.2, parts) == pytest.approx((0.2, 0.0), abs=1e-12)
