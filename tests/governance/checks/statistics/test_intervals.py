"""Intervals are compared with scipy, and with the figures that Newcombe published."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from governance.checks.statistics.intervals import Mean, katz, newcombe, welch
from governance.checks.statistics.rates import Share

EXACT = {"rel": 1e-9, "abs": 1e-9}


@st.composite
def shares(draw: st.DrawFn, least: int = 0) -> Share:
    whole = draw(st.integers(max(least, 1), 5000))
    return Share(draw(st.integers(least, whole)), whole)


def wilson(share: Share) -> tuple[float, float]:
    interval = stats.binomtest(share.part, share.whole).proportion_ci(0.95, "wilson")
    return interval.low, interval.high


@pytest.mark.parametrize(
    "first, second, published",
    [
        ((56, 70), (48, 80), (0.0524, 0.3339)),
        ((9, 10), (3, 10), (0.1705, 0.8090)),
        ((6, 7), (2, 7), (0.0582, 0.8062)),
        ((5, 56), (0, 29), (-0.0381, 0.1926)),
        ((0, 10), (0, 20), (-0.1611, 0.2775)),
        ((0, 10), (0, 10), (-0.2775, 0.2775)),
        ((10, 10), (0, 20), (0.6791, 1.0)),
        ((10, 10), (0, 10), (0.6075, 1.0)),
    ],
)
def test_newcombe_gives_what_he_published(
    first: tuple[int, int], second: tuple[int, int], published: tuple[float, float]
) -> None:
    assert newcombe(Share(*first), Share(*second)) == pytest.approx(published, abs=5.1e-5)


@given(shares(), shares())
def test_newcombe_squares_and_adds_the_distances_to_the_wilson_limits(first: Share, second: Share) -> None:
    (low_1, high_1), (low_2, high_2) = wilson(first), wilson(second)
    share_1, share_2 = first.part / first.whole, second.part / second.whole
    expected = (
        share_1 - share_2 - math.sqrt((share_1 - low_1) ** 2 + (high_2 - share_2) ** 2),
        share_1 - share_2 + math.sqrt((high_1 - share_1) ** 2 + (share_2 - low_2) ** 2),
    )
    assert newcombe(first, second) == pytest.approx(expected, **EXACT)


@given(shares(1), shares(1))
def test_katz_agrees_with_the_relative_risk_of_scipy(first: Share, second: Share) -> None:
    if first.part == first.whole and second.part == second.whole:
        assert katz(first, second) == (None, None)
        return
    reference = stats.contingency.relative_risk(first.part, first.whole, second.part, second.whole).confidence_interval(0.95)
    assert katz(first, second) == pytest.approx((reference.low, reference.high), **EXACT)


def test_a_share_of_nothing_has_a_ratio_from_zero_to_that_with_a_half_added() -> None:
    error = math.sqrt(1 / 0.5 - 1 / 40.5 + 1 / 20.5 - 1 / 50.5)
    expected = 0.0, (0.5 / 40.5) / (20.5 / 50.5) * math.exp(stats.norm.ppf(0.975) * error)
    assert katz(Share(0, 40), Share(20, 50)) == pytest.approx(expected, **EXACT)


def test_where_nothing_can_be_said_there_is_no_interval() -> None:
    assert newcombe(Share(0, 0), Share(1, 2)) == (None, None)
    assert katz(Share(1, 2), Share(0, 2)) == katz(Share(0, 0), Share(1, 2)) == (None, None)
    assert Mean(0.5, 0.0, 1).interval == (None, None)
    assert welch(Mean(0.5, 0.0, 1), Mean(0.5, 0.1, 9)) == (None, None)


def test_means_agree_with_the_t_tests_of_scipy() -> None:
    random = np.random.default_rng(7)
    first, second = random.normal(0.2, 0.3, 12), random.normal(0.0, 0.1, 40)
    means = [Mean(float(each.mean()), float(each.var(ddof=1)), len(each)) for each in (first, second)]
    one = stats.ttest_1samp(first, 0).confidence_interval(0.95)
    assert means[0].interval == pytest.approx((one.low, one.high), **EXACT)
    two = stats.ttest_ind(first, second, equal_var=False).confidence_interval(0.95)
    assert welch(*means) == pytest.approx((two.low, two.high), **EXACT)
