"""Histories of metrics: their order, and samples of them."""

from __future__ import annotations

import pytest

from tracking import queries
from tracking.commands import run_data
from tracking.points import MetricPoint


def test_history_is_by_time_step_and_value(dana_acts, run_id) -> None:
    points = [(1.0, 30, 0), (2.0, 10, 2), (3.0, 20, 1), (0.5, 10, 2), (4.0, 10, 1)]
    run_data.log_batch(actor=dana_acts, run_id=run_id, metrics=[MetricPoint("m", *p) for p in points])
    listed = queries.metric_points(dana_acts, [run_id], "m")
    assert [(p.timestamp, p.step, p.value) for p in listed] == [
        (10, 1, 4.0),
        (10, 2, 0.5),
        (10, 2, 2.0),
        (20, 1, 3.0),
        (30, 0, 1.0),
    ]
    sampled = queries.sampled_points(dana_acts, [run_id], "m", steps=None, most=2)
    assert {p.step for p in sampled} == {0, 2}


@pytest.mark.parametrize(("count", "most"), [(0, 1), (1, 1), (5, 5), (100, 7), (100, 2), (3, 1)])
def test_samples_are_spread_from_first_to_last(count, most) -> None:
    chosen = queries.spread(count, most)
    assert len(chosen) == min(count, most)
    if most > 1 and count:
        assert (chosen[0], chosen[-1]) == (0, count - 1)


def test_shares_are_those_of_ntile() -> None:
    assert queries.spread(10, 4) == [0, 3, 6, 9]
    assert queries.spread(11, 3) == [0, 4, 10]
