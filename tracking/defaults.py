"""The experiment that MLflow's client logs to when the user names none."""

from __future__ import annotations

from django.contrib.auth.models import Group

from core.access import Role, grant
from tracking.clock import now_ms
from tracking.models import Experiment

DEFAULT_EXPERIMENT_ID = 0


def ensure_default_experiment(**_: object) -> None:
    """Make experiment 0, which every data scientist may log to, as on an MLflow server."""
    now = now_ms()
    experiment, created = Experiment.objects.get_or_create(
        pk=DEFAULT_EXPERIMENT_ID,
        defaults={"name": "Default", "artifact_location": "mlflow-artifacts:/0", "created_ms": now, "updated_ms": now},
    )
    if created:
        group = Group.objects.get_or_create(name=Role.DATA_SCIENTIST.value)[0]
        grant(experiment, "experiment_write", groups=[group.pk])
