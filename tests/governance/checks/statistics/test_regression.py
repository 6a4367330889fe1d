"""The median's interval is compared with the binomial distribution that it rests on, the bands with pandas."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import quantile_test

from governance.checks.statistics.regression import QUANTILES, median_interval, percentage_errors, residual_bands

RANDOM = np.random.default_rng(29)


@pytest.mark.parametrize("n", [6, 7, 40, 301])
def test_the_medians_interval_agrees_with_scipy(n: int) -> None:
    values = RANDOM.exponential(1.0, n)
    low, high = (quantile_test(values, q=0, p=0.5, alternative=side).confidence_interval(0.975) for side in ("greater", "less"))
    assert median_interval(values) == (low.low, high.high)
    assert median_interval(values[:5]) is None


def test_the_bands_hold_every_row_once_and_agree_with_pandas() -> None:
    predicted = RANDOM.normal(0.0, 1.0, 200)
    truth = predicted + RANDOM.normal(0.2, 0.5, 200)
    bands = residual_bands(truth, predicted, 10)
    frame = pd.DataFrame({"residual": truth - predicted, "predicted": predicted})
    frame["band"] = pd.qcut(frame["predicted"].rank(method="first"), 10, labels=False)
    assert len(bands) == 10
    for band, (_, rows) in zip(bands, frame.groupby("band"), strict=True):
        assert band[:3] == (rows["predicted"].min(), rows["predicted"].max(), len(rows))
        assert band[3:] == pytest.approx([rows["residual"].mean(), *rows["residual"].quantile(list(QUANTILES))], rel=1e-9)


def test_equal_predictions_are_in_one_band() -> None:
    assert [band[:3] for band in residual_bands(np.arange(20.0), np.full(20, 3.0), 10)] == [(3.0, 3.0, 20)]


def test_a_percentage_of_nothing_is_no_number() -> None:
    assert percentage_errors(np.array([1.0, 0.0]), np.array([1.0, 1.0])) is None
    assert percentage_errors(np.array([-2.0, 4.0]), np.array([-1.0, 5.0])) == pytest.approx([0.5, 0.25])
