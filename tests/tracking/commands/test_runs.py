"""Runs and their tags: the change, its event, and who may not."""

from __future__ import annotations

import pytest

from core import access
from core.errors import Denied, Invalid
from tests.cast import actor
from tests.tracking.conftest import events
from tracking import queries
from tracking.commands import experiments, run_data, runs
from tracking.models import Experiment


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
