"""What the tests of the registry start from."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from django.conf import LazySettings

from artifacts import commands as artifacts
from core.access import Actor
from core.models import User
from registry import commands
from registry.models import RegisteredModel
from tests.cast import actor
from tracking.models import Experiment, InputDataset, LoggedModel, Run, RunInput, RunTag

MLMODEL = b"""
flavors:
  sklearn: {pickled_model: model.pkl, sklearn_version: 1.5.0}
run_id: %s
utc_time_created: 2026-03-01 10:00:00
"""


@pytest.fixture(autouse=True)
def artifact_root(tmp_path: Path, settings: LazySettings) -> Path:
    """A store of each test's own."""
    settings.ARTIFACT_ROOT = str(tmp_path / "artifacts")
    return tmp_path


@pytest.fixture
def someone(dana: User) -> Actor:
    """Dana, acting."""
    return actor(dana)


@pytest.fixture
def credit(someone: Actor) -> RegisteredModel:
    """An empty registered model of Dana's."""
    return commands.create_model(actor=someone, name="credit")


def put(who: Actor, path: str, content: bytes) -> None:
    """Store a file in the artifact tree."""
    artifacts.put_file(actor=who, path=path, stream=io.BytesIO(content), expected_bytes=len(content))


class Training:
    """An experiment with a run that logged a model."""

    def __init__(self, who: Actor, experiment: Experiment, run_id: str = "a" * 32) -> None:
        self.who, self.experiment = who, experiment
        self.run = Run.objects.create(
            id=run_id,
            experiment=experiment,
            name="train",
            artifact_uri=f"mlflow-artifacts:/{experiment.pk}/{run_id}/artifacts",
        )
        self.logged = LoggedModel.objects.create(
            id="m-" + run_id,
            experiment=experiment,
            name="model",
            source_run_id=run_id,
            artifact_uri=f"mlflow-artifacts:/{experiment.pk}/models/m-{run_id}/artifacts",
            created_ms=1,
            updated_ms=1,
        )
        self.folder = f"{experiment.pk}/models/m-{run_id}/artifacts"

    def upload(self, **files: bytes) -> None:
        """Store the files of the logged model: MLmodel and requirements.txt if nothing is said."""
        given = files or {"MLmodel": MLMODEL % self.run.pk.encode(), "requirements.txt": b"scikit-learn==1.5.0\n"}
        for name, content in given.items():
            put(self.who, f"{self.folder}/{name}", content)

    def used(self, **digests: str) -> None:
        """Say that the run read data sets."""
        for name, digest in digests.items():
            dataset = InputDataset.objects.create(experiment=self.experiment, name=name, digest=digest)
            RunInput.objects.create(run=self.run, dataset=dataset)

    def tagged(self, **tags: str) -> None:
        """Tag the run; underscores stand for dots."""
        for key, value in tags.items():
            RunTag.objects.create(run=self.run, key=key.replace("_", "."), value=value)

    def register(self, name: str = "credit", **given: Any) -> Any:
        """Register the logged model as the next version."""
        return commands.register_version(
            actor=self.who, model_name=name, source=f"models:/{self.logged.pk}", logged_model_id=self.logged.pk, **given
        )


@pytest.fixture
def training(someone: Actor) -> Training:
    """A run of Dana's in an experiment that only she may read."""
    from core.access import grant

    experiment = Experiment.objects.create(name="own", artifact_location="mlflow-artifacts:/own", created_ms=1, updated_ms=1)
    grant(experiment, "experiment_manage", users=[someone.user_id or 0])
    return Training(someone, experiment)
