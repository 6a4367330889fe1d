"""Paired intervals are compared with their definitions: Tango's with a maximised likelihood, DeLong's with all pairs of rows."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.stats import chi2, norm
from sklearn import metrics

from governance.checks.statistics import paired, ranking
from governance.checks.statistics.paired import Discordant

EXACT = {"rel": 1e-9, "abs": 1e-9}
RANDOM = np.random.default_rng(17)
POSITIVE = RANDOM.random(120) < 0.4
SCORES = RANDOM.normal(POSITIVE * 1.2, 1.0)
OTHERS = 0.5 * SCORES + RANDOM.normal(POSITIVE * 0.3, 0.6)


def score_by_definition(pairs: Discordant, difference: float) -> float:
    """Standardise the difference with the likeliest share of the second kind that allows the true difference."""
    b, c, n = pairs.first_alone, pairs.second_alone, pairs.rows

    def unlikely(share: float) -> float:
        both = [(b, share + difference), (c, share), (n - b - c, 1 - 2 * share - difference)]
        return -sum(count * math.log(chance) for count, chance in both if count)

    bounds = (max(0.0, -difference) + 1e-13, (1 - difference) / 2 - 1e-13)
    share = minimize_scalar(unlikely, bounds=bounds, method="bounded", options={"xatol": 1e-13}).x
    return (b - c - n * difference) / math.sqrt(n * (2 * share + difference - difference**2))


@pytest.mark.parametrize("b, c, n", [(43, 9, 200), (3, 1, 44), (9, 20, 35), (150, 86, 1600)])
def test_tangos_limits_are_where_the_score_is_the_normal_quantile(b: int, c: int, n: int) -> None:
    pairs = Discordant(b, c, n)
    low, high = pairs.interval
    assert score_by_definition(pairs, low) == pytest.approx(norm.ppf(0.975), abs=1e-5)
    assert score_by_definition(pairs, high) == pytest.approx(norm.ppf(0.025), abs=1e-5)
    assert pairs._score(0.0) == pytest.approx((b - c) / math.sqrt(b + c), **EXACT)  # McNemar's


def test_tangos_interval_leaves_out_zero_just_when_mcnemars_test_rejects() -> None:
    rejects = [c for c in range(31) if (30 - 2 * c) ** 2 / 30 > chi2.ppf(0.95, 1)]
    intervals = {c: Discordant(30 - c, c, 100).interval for c in range(31)}
    assert rejects == [c for c, (low, high) in intervals.items() if low > 0 or high < 0]


@pytest.mark.parametrize("b, c, n", [(0, 0, 10), (10, 0, 10), (0, 10, 10), (0, 3, 10), (1, 0, 1)])
def test_tangos_interval_holds_at_the_ends(b: int, c: int, n: int) -> None:
    low, high = Discordant(b, c, n).interval
    mirrored = Discordant(c, b, n).interval
    assert -1 <= low <= (b - c) / n <= high <= 1 and high - low > 0
    assert (low, high) == pytest.approx((-mirrored[1], -mirrored[0]), **EXACT)
    if not b + c:  # what is left of the score there: n times the square of the limit is z squared times (1 - limit)
        z = norm.ppf(0.975)
        assert high == pytest.approx(z**2 / (n + z**2), **EXACT)


def psi(positive: np.ndarray, scores: np.ndarray) -> np.ndarray:
    x, y = scores[positive][:, None], scores[~positive][None, :]
    return np.asarray((x > y) + 0.5 * (x == y))


@pytest.mark.parametrize("digits", [0, 12])
def test_the_paired_delong_interval_agrees_with_its_definition(digits: int) -> None:
    scores, others = SCORES.round(digits), OTHERS.round(digits)
    mine, theirs = psi(POSITIVE, scores), psi(POSITIVE, others)
    m, n = mine.shape
    s10 = np.cov(mine.mean(axis=1), theirs.mean(axis=1), ddof=1)
    s01 = np.cov(mine.mean(axis=0), theirs.mean(axis=0), ddof=1)
    contrast = np.array([1, -1])
    error = math.sqrt(contrast @ (s10 / m + s01 / n) @ contrast)
    gap = metrics.roc_auc_score(POSITIVE, scores) - metrics.roc_auc_score(POSITIVE, others)
    expected = (gap - norm.ppf(0.975) * error, gap + norm.ppf(0.975) * error)
    assert ranking.delong_difference(POSITIVE, scores, others) == pytest.approx(expected, **EXACT)
    assert ranking.delong_difference(POSITIVE, scores, 2 * scores + 1) == (0.0, 0.0)
    assert ranking.delong_difference(np.array([True, False, False]), scores[:3], others[:3]) is None


def test_differences_of_counts_agree_with_scikit_learn() -> None:
    decided, others = SCORES > 0.5, OTHERS > 0.4
    cells = paired.decision_cells(POSITIVE, decided, others)
    found = paired.decision_differences(cells[None, :])
    for name, score in (("precision", metrics.precision_score), ("f1", metrics.f1_score)):
        assert found[name][0] == pytest.approx(score(POSITIVE, decided) - score(POSITIVE, others), **EXACT)
    right, wrong = decided == POSITIVE, others == POSITIVE
    pairs = paired.discordant(right, wrong)
    assert pairs.difference == pytest.approx(right.mean() - wrong.mean(), **EXACT)
    nobody = np.zeros((1, 8))
    assert all(np.isnan(values).all() for values in paired.decision_differences(nobody).values())
