"""Experiments, runs and what is logged to them: the change, its event, and who may not."""

from __future__ import annotations

import math
import sys
import threading

import pytest
from django.db import connection, connections

from core import access
from core.errors import AlreadyExists, Conflict, Denied, Invalid, NotFound
from core.models import AuditEvent
from tests.cast import actor
from tracking import logged_models, queries
from tracking.commands import experiments, lineage, run_data, runs
from tracking.commands.lineage import DatasetInput
from tracking.commands.run_data import MetricPoint
from tracking.models import Experiment, LoggedModelStatus
from tracking.models import MetricPoint as StoredPoint


@pytest.fixture
def dana_acts(dana):
    return actor(dana)


@pytest.fixture
def experiment(dana_acts) -> int:
    return experiments.create_experiment(actor=dana_acts, name="churn", tags={"team": "red"})


@pytest.fixture
def run_id(dana_acts, experiment) -> str:
    return runs.create_run(actor=dana_acts, experiment_id=experiment, name="first", start_ms=1000, tags={"k": "v"}).run_id


def events(action: str) -> list[AuditEvent]:
    return list(AuditEvent.objects.filter(action=action))


def test_an_experiment_belongs_to_who_made_it(dana_acts, mallory, experiment) -> None:
    found = queries.experiment(dana_acts, experiment)
    assert (found.name, found.artifact_location) == ("churn", f"mlflow-artifacts:/{experiment}")
    assert [(tag.key, tag.value) for tag in found.tags] == [("team", "red")]
    assert events("experiment.created")[0].scope == f"experiment:{experiment}"
    for attempt in (
        lambda who: queries.experiment(who, experiment),
        lambda who: queries.experiment_by_name(who, "churn"),
        lambda who: experiments.rename_experiment(actor=who, experiment_id=experiment, name="mine"),
        lambda who: experiments.delete_experiment(actor=who, experiment_id=experiment),
        lambda who: experiments.set_experiment_tag(actor=who, experiment_id=experiment, key="a", value="b"),
        lambda who: runs.create_run(actor=who, experiment_id=experiment),
        lambda who: logged_models.create_logged_model(actor=who, experiment_id=experiment),
    ):
        with pytest.raises(NotFound):
            attempt(actor(mallory))
    with pytest.raises(Denied):
        experiments.create_experiment(actor=actor(mallory), name="own")


def test_a_reader_may_look_but_not_write(dana_acts, ravi, mallory, run_id, experiment) -> None:
    access.grant(Experiment.objects.get(pk=experiment), "experiment_read", users=[mallory.pk])
    for reader in (actor(ravi), actor(mallory)):
        assert queries.run(reader, run_id).name == "first"
        for attempt in (
            lambda who: runs.set_run_tag(actor=who, run_id=run_id, key="a", value="b"),
            lambda who: run_data.log_batch(actor=who, run_id=run_id, params=[("p", "1")]),
            lambda who: runs.delete_run(actor=who, run_id=run_id),
            lambda who: experiments.delete_experiment(actor=who, experiment_id=experiment),
        ):
            with pytest.raises(Denied):
                attempt(reader)


def test_writing_is_less_than_deleting(dana_acts, mallory, experiment) -> None:
    access.grant(Experiment.objects.get(pk=experiment), "experiment_write", users=[mallory.pk])
    experiments.set_experiment_tag(actor=actor(mallory), experiment_id=experiment, key="a", value="b")
    with pytest.raises(Denied):
        experiments.delete_experiment(actor=actor(mallory), experiment_id=experiment)


def test_a_name_stays_taken_while_its_experiment_is_deleted(dana_acts, experiment) -> None:
    experiments.delete_experiment(actor=dana_acts, experiment_id=experiment)
    with pytest.raises(AlreadyExists):
        experiments.create_experiment(actor=dana_acts, name="churn")
    with pytest.raises(Conflict):
        experiments.rename_experiment(actor=dana_acts, experiment_id=experiment, name="other")
    with pytest.raises(NotFound):
        experiments.delete_experiment(actor=dana_acts, experiment_id=experiment)
    experiments.restore_experiment(actor=dana_acts, experiment_id=experiment)
    experiments.rename_experiment(actor=dana_acts, experiment_id=experiment, name="other")
    assert queries.experiment_by_name(dana_acts, "other").experiment_id == experiment


def test_an_experiment_takes_its_runs_along(dana_acts, experiment, run_id) -> None:
    experiments.delete_experiment(actor=dana_acts, experiment_id=experiment)
    with pytest.raises(Invalid, match="deleted"):
        run_data.log_batch(actor=dana_acts, run_id=run_id, params=[("p", "1")])
    with pytest.raises(Invalid, match="deleted"):
        runs.create_run(actor=dana_acts, experiment_id=experiment)
    experiments.restore_experiment(actor=dana_acts, experiment_id=experiment)
    assert queries.run(dana_acts, run_id).lifecycle_stage == "active"


@pytest.mark.parametrize(
    "location",
    ["runs:/x/y", "s3://b/x#f", "s3://b/x?a=../b", "mlflow-artifacts:/a/../b", "mlflow-artifacts:/0/x", "mlflow-artifacts:/"],
)
def test_a_location_that_leads_elsewhere_is_refused(dana_acts, location) -> None:
    with pytest.raises(Invalid):
        experiments.create_experiment(actor=dana_acts, name="x", artifact_location=location)


def test_nobody_moves_into_the_place_of_anothers_experiment(dana_acts, pat, mallory) -> None:
    experiments.create_experiment(actor=dana_acts, name="x", artifact_location="mlflow-artifacts:/team")
    eve = actor(mallory)
    eve = access.Actor(user_id=eve.user_id, username="eve", roles=frozenset({"data-scientist"}))
    with pytest.raises(NotFound):
        experiments.create_experiment(actor=eve, name="y", artifact_location="mlflow-artifacts:/team/secret")
    experiments.create_experiment(actor=dana_acts, name="z", artifact_location="mlflow-artifacts:/team/own")


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


def test_the_name_of_a_run_and_its_tag_are_one(dana_acts, experiment) -> None:
    run_id = runs.create_run(actor=dana_acts, experiment_id=experiment, tags={"mlflow.runName": "by-tag"}).run_id
    assert queries.run(dana_acts, run_id).name == "by-tag"
    runs.set_run_tag(actor=dana_acts, run_id=run_id, key="mlflow.runName", value="renamed")
    assert queries.run(dana_acts, run_id).name == "renamed"
    runs.update_run(actor=dana_acts, run_id=run_id, name="again", status="FINISHED", end_ms=5)
    found = queries.run(dana_acts, run_id)
    assert (found.name, found.status, found.end_ms) == ("again", "FINISHED", 5)
    assert [tag.value for tag in found.tags] == ["again"]
    with pytest.raises(Invalid, match="differ"):
        runs.create_run(actor=dana_acts, experiment_id=experiment, name="a", tags={"mlflow.runName": "b"})


def test_deleting_a_run_twice_is_one_event(dana_acts, run_id) -> None:
    for _ in range(2):
        runs.delete_run(actor=dana_acts, run_id=run_id)
    with pytest.raises(Invalid, match="deleted"):
        runs.set_run_tag(actor=dana_acts, run_id=run_id, key="a", value="b")
    for _ in range(2):
        runs.restore_run(actor=dana_acts, run_id=run_id)
    assert (len(events("run.deleted")), len(events("run.restored"))) == (1, 1)


def test_an_input_noted_twice_is_kept_once_as_it_was_first(dana_acts, run_id) -> None:
    first = DatasetInput("d", "1", "local", "{}", tags=[("mlflow.data.context", "train")])
    lineage.log_inputs(actor=dana_acts, run_id=run_id, datasets=[first, DatasetInput("e", "2")])
    lineage.log_inputs(actor=dana_acts, run_id=run_id, datasets=[DatasetInput("d", "1", tags=[("mlflow.data.context", "eval")])])
    uses = {use.dataset["name"]: use for use in queries.run(dana_acts, run_id).dataset_inputs}
    assert uses["d"].dataset["source_type"] == "local"
    assert [tag.value for tag in uses["d"].tags] == ["train"]
    experiment = queries.run(dana_acts, run_id).experiment_id
    assert queries.dataset_summaries(dana_acts, [experiment]) == [(experiment, "d", "1", "train"), (experiment, "e", "2", None)]


def test_nobody_logs_metrics_to_anothers_model(dana_acts, mallory, run_id, experiment) -> None:
    model_id = logged_models.create_logged_model(actor=dana_acts, experiment_id=experiment, name="m", params={"p": "1"})
    run_data.log_batch(actor=dana_acts, run_id=run_id, metrics=[MetricPoint("acc", 0.9, 1, 0, model_id, "d", "x")])
    found = queries.logged_model(dana_acts, model_id)
    assert [(m.key, m.value, m.run_id, m.dataset_name) for m in found.metrics] == [("acc", 0.9, run_id, "d")]
    who = access.Actor(user_id=mallory.pk, username="mallory", roles=frozenset({"data-scientist"}))
    theirs = runs.create_run(actor=who, experiment_id=experiments.create_experiment(actor=who, name="mine")).run_id
    with pytest.raises(Invalid, match="not yours"):
        run_data.log_batch(actor=who, run_id=theirs, metrics=[MetricPoint("acc", 1.0, 1, 0, model_id)])


def test_a_logged_model_lives_and_ends(dana_acts, experiment) -> None:
    model_id = logged_models.create_logged_model(actor=dana_acts, experiment_id=experiment, params={"p": "1"}, tags={"t": "x"})
    logged_models.finish_logged_model(actor=dana_acts, model_id=model_id, status=LoggedModelStatus.READY)
    logged_models.set_logged_model_tags(actor=dana_acts, model_id=model_id, tags={"t": "y"})
    logged_models.log_logged_model_params(actor=dana_acts, model_id=model_id, params={"q": "2"})
    with pytest.raises(Invalid):
        logged_models.log_logged_model_params(actor=dana_acts, model_id=model_id, params={"p": "3"})
    found = queries.logged_model(dana_acts, model_id)
    assert (found.status, [t.value for t in found.tags], sorted(p.key for p in found.params)) == (
        "LOGGED_MODEL_READY",
        ["y"],
        ["p", "q"],
    )
    for _ in range(2):
        logged_models.delete_logged_model(actor=dana_acts, model_id=model_id)
    with pytest.raises(NotFound):
        queries.logged_model(dana_acts, model_id)
    assert queries.logged_model(dana_acts, model_id, deleted_too=True).deleted_ms


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
