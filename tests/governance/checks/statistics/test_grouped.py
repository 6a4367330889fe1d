"""Counts by group are compared with counting each group by itself."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import confusion_matrix

from governance.checks.statistics import grouped, rates

EXACT = {"rel": 1e-9, "abs": 1e-9}
ROWS, GROUPS = 900, 4
RANDOM = np.random.default_rng(3)
CODES = RANDOM.integers(0, GROUPS, ROWS).astype(np.int16)
SCORES = RANDOM.random(ROWS).round(2)  # some of them on the border of two bands
POSITIVE = RANDOM.random(ROWS) < SCORES**2
DECIDED = SCORES >= 0.6


def test_each_group_has_the_confusion_matrix_of_scikit_learn() -> None:
    found = grouped.confusions(CODES, GROUPS, POSITIVE, DECIDED)
    for group, each in enumerate(found):
        mask = np.equal(CODES, group)
        ((tn, fp), (fn, tp)) = confusion_matrix(POSITIVE[mask], DECIDED[mask]).tolist()
        assert each == rates.Confusion(tp, fp, fn, tn)
        assert grouped.shares(CODES, GROUPS, DECIDED)[group] == rates.Share(int(DECIDED[mask].sum()), int(mask.sum()))


def test_a_group_of_one_kind_of_row_keeps_its_place() -> None:
    none, all_of_them = grouped.confusions(np.array([0, 1]), 2, np.array([False, True]), np.array([False, True]))
    assert none == rates.Confusion(0, 0, 0, 1) and all_of_them == rates.Confusion(1, 0, 0, 0)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_each_group_is_calibrated_as_if_it_were_alone(dtype: type) -> None:
    scores = SCORES.astype(dtype)
    for group, each in enumerate(grouped.calibrations(CODES, GROUPS, POSITIVE, scores, 10)):
        mask = np.equal(CODES, group)
        alone = rates.calibration(POSITIVE[mask], scores[mask].astype(float), 10)
        assert [(band.low, band.high, band.positives.whole) for band in each.bands] == [(*row[:2], row[4]) for row in alone]
        assert [band.mean_score for band in each.bands] == pytest.approx([row[2] for row in alone], **EXACT)
        assert [band.positives.value for band in each.bands] == pytest.approx([row[3] for row in alone], **EXACT)
        error = sum(rows * abs(score - share) for _, _, score, share, rows in alone) / mask.sum()
        assert each.error == pytest.approx(error, **EXACT)
        test = stats.ttest_1samp(scores[mask].astype(float) - POSITIVE[mask], 0)
        assert each.gap.value == pytest.approx(float((scores[mask].astype(float) - POSITIVE[mask]).mean()), **EXACT)
        assert each.gap.interval == pytest.approx(tuple(test.confidence_interval(0.95)), **EXACT)


def test_what_does_not_vary_has_no_interval() -> None:
    codes, positive = np.repeat([0, 1], 500), np.zeros(1000, dtype=bool)
    for each in grouped.calibrations(codes, 2, positive, np.full(1000, 0.1), 10):
        assert each.gap.value == pytest.approx(0.1, **EXACT) and each.gap.interval == (None, None)
