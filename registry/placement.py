"""Give a version a stage or an alias: the one door. Only the commands of ``workflows`` may import it."""

from __future__ import annotations

from datetime import datetime

from django.db import connection, transaction
from django.utils import timezone

from core import audit
from core.access import Actor
from core.audit import Event
from core.errors import Conflict
from core.sql import Statement, fetch, run
from registry import lineage, stages
from registry.models import AliasAssignment, ModelVersion, RegisteredModel, StageAssignment, StageTransition


def assign_stage(
    version: ModelVersion, stage: str, *, actor: Actor, archive_existing: bool = False, request_id: int | None = None
) -> list[ModelVersion]:
    """End the version's stage and begin another, in the caller's transaction; return the versions archived on the way.

    archive_existing: every other version in the target stage moves to Archived in the same transaction.
    Raises Conflict when the stage graph has no such step, or when another change got there first.
    """
    _require_transaction()
    now = timezone.now()
    held = stages.current_stage(version)
    if held != stage and not StageTransition.objects.filter(from_stage_id=held, to_stage_id=stage).exists():
        raise Conflict(f"The stage graph has no step from {held} to {stage}.", code="no_such_step")
    displaced = []
    if archive_existing:
        others = StageAssignment.objects.filter(model_id=version.model_id, stage_id=stage, valid_to__isnull=True)
        displaced = [row.version for row in others.exclude(version=version).select_related("version__model")]
        for other in displaced:
            _move(other, stage, "Archived", actor, now, request_id)
    _move(version, held, stage, actor, now, request_id)
    return displaced


def assign_alias(
    model: RegisteredModel, alias: str, version: ModelVersion, *, actor: Actor, request_id: int | None = None
) -> None:
    """Point an alias at a version, ending what it pointed at; pointing it there again changes nothing.

    The caller holds the model's row, so nobody else moves the alias meanwhile.
    """
    _require_transaction()
    at = connection.ops.adapt_datetimefield_value(timezone.now())
    ended = fetch(
        """UPDATE registry_aliasassignment SET valid_to = %s
            WHERE model_id = %s AND alias = %s AND valid_to IS NULL AND version_id <> %s
           RETURNING (SELECT v.number FROM registry_modelversion v WHERE v.id = registry_aliasassignment.version_id)""",
        [at, model.pk, alias, version.pk],
    )
    columns = "registry_aliasassignment (model_id, alias, version_id, valid_from, assigned_by, request_id)"
    values = [model.pk, alias, version.pk, at, actor.username, request_id]
    begun: list[Statement] = []
    if ended:
        begun = [(f"INSERT INTO {columns} VALUES (%s, %s, %s, %s, %s, %s)", values)]
    elif not run(
        f"""INSERT INTO {columns} SELECT %s, %s, %s, %s, %s, %s WHERE NOT EXISTS
              (SELECT 1 FROM registry_aliasassignment WHERE model_id = %s AND alias = %s AND valid_to IS NULL)""",
        [*values, model.pk, alias],
    ):
        return
    audit.record(
        actor,
        Event.ALIAS_ASSIGNED,
        subject=("model_version", f"{model.name}/{version.number}"),
        scope=f"model:{model.pk}",
        before={"alias": alias, "version": ended[0][0] if ended else None},
        after={"alias": alias, "version": version.number, "request": request_id},
        beside=begun,
    )


def remove_alias(model: RegisteredModel, alias: str, *, actor: Actor) -> bool:
    """End an alias; return whether there was one."""
    _require_transaction()
    current = AliasAssignment.objects.select_related("version").filter(model=model, alias=alias, valid_to__isnull=True).first()
    if current is None:
        return False
    _end_alias(current, timezone.now())
    audit.record(
        actor,
        Event.ALIAS_REMOVED,
        subject=("model_version", f"{model.name}/{current.version.number}"),
        scope=f"model:{model.pk}",
        before={"alias": alias, "version": current.version.number},
    )
    return True


def _move(version: ModelVersion, held: str, stage: str, actor: Actor, now: datetime, request_id: int | None) -> None:
    ended = StageAssignment.objects.filter(version=version, stage_id=held, valid_to__isnull=True).update(valid_to=now)
    if not ended:
        raise Conflict(f"{version} left {held} just now; look again before you move it.")
    StageAssignment.objects.create(
        version=version,
        model_id=version.model_id,
        stage_id=stage,
        valid_from=now,
        assigned_by=actor.username,
        request_id=request_id,
    )
    updated = int(now.timestamp() * 1000)
    ModelVersion.objects.filter(pk=version.pk).update(updated_ms=updated)
    RegisteredModel.objects.filter(pk=version.model_id).update(updated_ms=updated)
    lineage.stage_changed(version, held, stage, at=now)
    audit.record(
        actor,
        Event.STAGE_ASSIGNED,
        subject=("model_version", f"{version.model.name}/{version.number}"),
        scope=f"model:{version.model_id}",
        before={"stage": held},
        after={"stage": stage, "request": request_id},
    )


def _end_alias(current: AliasAssignment, now: datetime) -> None:
    if not AliasAssignment.objects.filter(pk=current.pk, valid_to__isnull=True).update(valid_to=now):
        raise Conflict(f"The alias {current.alias} was moved by someone else just now; try again.")


def _require_transaction() -> None:
    if not transaction.get_connection().in_atomic_block:
        raise RuntimeError("a placement is written with its decision and its event, in one transaction")
