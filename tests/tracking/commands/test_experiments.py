"""Experiments: the change, its event, and who may not."""

from __future__ import annotations

import pytest

from core import access
from core.errors import AlreadyExists, Conflict, Denied, Invalid, NotFound
from tests.cast import actor
from tests.tracking.conftest import events
from tracking import logged_models, queries
from tracking.commands import experiments, run_data, runs
from tracking.models import Experiment


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
