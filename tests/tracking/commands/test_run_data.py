"""What is logged to a run: what is kept of it, in which order, and what is refused."""

from __future__ import annotations

import math
import sys
import threading

import pytest
from django.db import connection, connections

from core import access
from core.errors import Invalid
from tests.tracking.conftest import events
from tracking import at_once, logged_models, queries
from tracking.at_once import log_at_once
from tracking.commands import experiments, run_data, runs
from tracking.models import MetricPoint as StoredPoint
from tracking.models import Run
from tracking.points import MetricPoint, stored


def test_parameters_never_change_and_a_batch_is_all_or_nothing(dana_acts, run_id) -> None:
    run_data.log_batch(actor=dana_acts, run_id=run_id, params=[("lr", "0.1")])
    run_data.log_batch(actor=dana_acts, run_id=run_id, params=[("lr", "0.1"), ("depth", "3")])
    with pytest.raises(Invalid, match="never change"):
        run_data.log_batch(
            actor=dana_acts,
            run_id=run_id,
            params=[("lr", "0.2"), ("new", "1")],
            metrics=[MetricPoint("m", 1.0, 1)],
            tags=[("t", "1")],
        )
    with pytest.raises(Invalid, match="twice"):
        run_data.log_batch(actor=dana_acts, run_id=run_id, params=[("a", "1"), ("a", "1")])
    found = queries.run(dana_acts, run_id)
    assert sorted((p.key, p.value) for p in found.params) == [("depth", "3"), ("lr", "0.1")]
    assert (found.metrics, len(events("run.logged"))) == ([], 2)


def test_the_latest_metric_is_the_greatest_step_then_time_then_value(dana_acts, run_id) -> None:
    for value, timestamp, step in ((1.0, 10, 5), (9.0, 99, 4), (3.0, 11, 5), (2.0, 11, 5), (3.0, 11, 5)):
        run_data.log_batch(actor=dana_acts, run_id=run_id, metrics=[MetricPoint("m", value, timestamp, step)])
    (latest,) = queries.run(dana_acts, run_id).metrics
    assert (latest.value, latest.timestamp, latest.step) == (3.0, 11, 5)
    assert StoredPoint.objects.count() == 4, "an equal point is stored once"


def test_a_batch_is_logged_again_without_doubling_and_with_what_is_new(dana_acts, run_id) -> None:
    """As a client does that lost the answer: all of it again, or with more."""
    first = [
        MetricPoint("loss", 1.0, 10, 0),
        MetricPoint("loss", 0.5, 20, 1),
        MetricPoint("loss", 0.5, 20, 1),
        MetricPoint("acc", 0.7, 20, 1),
    ]
    more = [*first, MetricPoint("loss", 0.75, 15, 0), MetricPoint("acc", 0.8, 30, 2), MetricPoint("f1", 0.6, 30, 2)]
    for metrics, params, tags in (
        (first, [("lr", "0.1")], [("phase", "one")]),
        (first, [("lr", "0.1")], [("phase", "one")]),
        (first, [], []),
        (more, [("lr", "0.1"), ("depth", "3")], [("phase", "two")]),
    ):
        run_data.log_batch(actor=dana_acts, run_id=run_id, metrics=metrics, params=params, tags=tags)
        kept = {(p.timestamp, p.value) for p in queries.metric_points(dana_acts, [run_id], "loss")}
        assert kept >= {(10, 1.0), (20, 0.5)}, "also those that are not the newest, from the first time on"
    found = queries.run(dana_acts, run_id)
    assert {m.key: (m.value, m.step) for m in found.metrics} == {"loss": (0.5, 1), "acc": (0.8, 2), "f1": (0.6, 2)}
    assert [(p.timestamp, p.value) for p in queries.metric_points(dana_acts, [run_id], "loss")] == [
        (10, 1.0),
        (15, 0.75),
        (20, 0.5),
    ]
    assert [p.value for p in queries.metric_points(dana_acts, [run_id], "acc")] == [0.7, 0.8]
    assert {p.key: p.value for p in found.params} == {"lr": "0.1", "depth": "3"}
    assert {t.key: t.value for t in found.tags}["phase"] == "two"
    assert len(events("run.logged")) == 4, "what was asked for again is told again"


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite logs step by step")
def test_at_once_nothing_is_written_to_a_run_that_may_not_be_written_to(dana_acts, mallory, run_id, experiment) -> None:
    points = stored([MetricPoint("loss", 1.0, 10, 0)])

    def log(actor: access.Actor) -> bool:
        return log_at_once(actor, run_id, points, {"lr": "0.1"}, {"phase": "one"}, {"metrics": 1})

    stranger = access.Actor(user_id=mallory.pk, username="mallory", roles=frozenset({"data-scientist"}))
    assert not log(stranger)
    runs.delete_run(actor=dana_acts, run_id=run_id)
    assert not log(dana_acts)
    found = queries.run(dana_acts, run_id)
    assert (found.metrics, found.params, [t for t in found.tags if t.key == "phase"], events("run.logged")) == ([], [], [], [])
    runs.restore_run(actor=dana_acts, run_id=run_id)
    assert log(dana_acts)
    assert not log(dana_acts), "the parameter is there"
    assert log_at_once(dana_acts, run_id, points, {}, {}, {"metrics": 1}), "points that are there need no second look"
    event, _ = events("run.logged")
    assert (event.scope, event.subject_id, event.actor) == (f"experiment:{experiment}", run_id, "dana")


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite logs step by step")
def test_an_event_never_names_another_experiment_than_the_runs(dana_acts, run_id, experiment) -> None:
    """A process that outlives its database may remember the run of another one."""
    other = experiments.create_experiment(actor=dana_acts, name="elsewhere")
    Run.objects.filter(pk=run_id).update(experiment_id=other)
    at_once._experiment_of(run_id)
    Run.objects.filter(pk=run_id).update(experiment_id=experiment)
    run_data.log_batch(actor=dana_acts, run_id=run_id, params=[("lr", "0.1")])
    (event,) = events("run.logged")
    assert event.scope == f"experiment:{experiment}"


def test_numbers_come_back_as_they_were(dana_acts, run_id) -> None:
    values = {"a": 0.1 + 0.2, "b": 5e-324, "c": math.inf, "d": -math.inf, "e": math.nan, "f": -0.0, "g": 1 / 3}
    run_data.log_batch(actor=dana_acts, run_id=run_id, metrics=[MetricPoint(k, v, 1) for k, v in values.items()])
    got = {point.key: point.value for point in queries.run(dana_acts, run_id).metrics}
    largest = sys.float_info.max
    assert got == {"a": 0.1 + 0.2, "b": 5e-324, "c": largest, "d": -largest, "e": "NaN", "f": 0.0, "g": 1 / 3}


@pytest.mark.parametrize("key", ["a;b", "a$b", "../x", "/x", "a//b", ".", "", "x" * 251, "a\n"])
def test_a_bad_name_is_refused(dana_acts, run_id, key) -> None:
    for attempt in ({"metrics": [MetricPoint(key, 1.0, 1)]}, {"params": [(key, "1")]}, {"tags": [(key, "1")]}):
        with pytest.raises(Invalid):
            run_data.log_batch(actor=dana_acts, run_id=run_id, **attempt)


def test_nobody_logs_metrics_to_anothers_model(dana_acts, mallory, run_id, experiment) -> None:
    model_id = logged_models.create_logged_model(actor=dana_acts, experiment_id=experiment, name="m", params={"p": "1"})
    run_data.log_batch(actor=dana_acts, run_id=run_id, metrics=[MetricPoint("acc", 0.9, 1, 0, model_id, "d", "x")])
    found = queries.logged_model(dana_acts, model_id)
    assert [(m.key, m.value, m.run_id, m.dataset_name) for m in found.metrics] == [("acc", 0.9, run_id, "d")]
    who = access.Actor(user_id=mallory.pk, username="mallory", roles=frozenset({"data-scientist"}))
    theirs = runs.create_run(actor=who, experiment_id=experiments.create_experiment(actor=who, name="mine")).run_id
    with pytest.raises(Invalid, match="not yours"):
        run_data.log_batch(actor=who, run_id=theirs, metrics=[MetricPoint("acc", 1.0, 1, 0, model_id)])


@pytest.mark.django_db(transaction=True)
def test_parallel_writers_to_one_run_lose_nothing(dana_acts, run_id) -> None:
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for step in range(5):
                run_data.log_batch(
                    actor=dana_acts,
                    run_id=run_id,
                    metrics=[
                        MetricPoint("shared", float(step), step, step),
                        MetricPoint(f"m{number}", 1.0, step, step),
                    ],
                    params=[(f"p{number}", "1"), ("same", "1")],
                    tags=[("a", "1"), ("b", "2")] if number % 2 else [("b", "2"), ("a", "1")],
                )
        except BaseException as error:
            failures.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    found = queries.run(dana_acts, run_id)
    assert {m.key: m.step for m in found.metrics} == {"shared": 4, "m0": 4, "m1": 4, "m2": 4, "m3": 4}
    assert len(found.params) == 5
    assert connection.vendor in ("sqlite", "postgresql")
