"""The stage graph, and where a version stands in it."""

from __future__ import annotations

from datetime import datetime

from django.db import connection

from core.access import Actor
from core.errors import Invalid
from core.sql import Statement, fetch
from registry.models import ModelVersion, Stage, StageAssignment, StageTransition

_DEFAULT_STAGES = ("None", "Staging", "Production", "Archived")


def ensure_stages(**_: object) -> None:
    """Make MLflow's four stages with every step between them allowed, unless an installation has its own graph."""
    if Stage.objects.exists():
        return
    stages = Stage.objects.bulk_create(
        [Stage(name=name, position=i, is_initial=i == 0) for i, name in enumerate(_DEFAULT_STAGES)]
    )
    StageTransition.objects.bulk_create([StageTransition(from_stage=a, to_stage=b) for a in stages for b in stages if a is not b])


def canonical_stage(name: str) -> str:
    """Return a stage's own spelling, whatever the case it was asked in. Raises Invalid, naming the stages there are."""
    names = list(Stage.objects.order_by("position").values_list("name", flat=True))
    for known in names:
        if known.lower() == name.lower():
            return known
    raise Invalid(f"There is no stage {name!r}; the stages are {', '.join(names)}.", code="unknown_stage")


# In which every version begins.
INITIAL = "SELECT name FROM registry_stage WHERE is_initial"


def initial() -> str:
    """Return the stage in which every version begins."""
    ((name,),) = fetch(INITIAL)
    return str(name)


def beginning(version: ModelVersion, stage: str, *, actor: Actor, at: datetime) -> Statement:
    """Return the statement that puts a new version into the stage in which every version begins."""
    return (
        "INSERT INTO registry_stageassignment (version_id, model_id, stage_id, valid_from, assigned_by) VALUES (%s, %s, %s, %s, %s)",
        [version.pk, version.model_id, stage, connection.ops.adapt_datetimefield_value(at), actor.username],
    )


def current_stage(version: ModelVersion) -> str:
    """Return the stage a version holds now."""
    return str(StageAssignment.objects.values_list("stage_id", flat=True).get(version=version, valid_to__isnull=True))
