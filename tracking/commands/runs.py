"""Runs and their tags. Every call that writes to one run waits for the one before it."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from django.db import transaction

from core import audit, sql
from core.access import Actor
from core.audit import Event
from core.canonical import LARGEST_INTEGER
from core.errors import Denied, Invalid, NotFound
from core.sql import Statement
from tracking import limits
from tracking.clock import now_ms
from tracking.commands.experiments import active_experiment_location
from tracking.models import Lifecycle, RunStatus
from tracking.names import random_name
from tracking.queries import no_run, readable, writable
from tracking.records import Pair, RunRecord

RUN_NAME_TAG = "mlflow.runName"


@dataclass(frozen=True)
class OpenRun:
    """A run that may be written to, locked until the transaction ends."""

    run_id: str
    experiment_id: int
    name: str
    artifact_uri: str
    lifecycle_stage: str

    @property
    def scope(self) -> str:
        """Return what its events are searched by."""
        return f"experiment:{self.experiment_id}"


@transaction.atomic
def create_run(
    *,
    actor: Actor,
    experiment_id: int,
    name: str = "",
    user_id: str = "",
    start_ms: int = 0,
    tags: Mapping[str, str] | None = None,
) -> RunRecord:
    """Begin a run and return it. Without a name it takes that of the tag ``mlflow.runName``, else a random one.

    Raises NotFound, Denied, and Invalid for a deleted experiment, bad tags, or a name that differs from the tag's.
    """
    kept = _first_tags(tags or {})
    name = _run_name(name, kept)
    location = active_experiment_location(actor, experiment_id)
    record = RunRecord(
        run_id := uuid.uuid4().hex,
        experiment_id,
        name,
        user_id[:256],
        RunStatus.RUNNING.value,
        start_ms,
        None,
        Lifecycle.ACTIVE.value,
        f"{location.rstrip('/')}/{run_id}/artifacts",
        tags_json=msgspec.json.encode([Pair(key, value) for key, value in kept.items()]).decode(),
    )
    run = (
        "INSERT INTO tracking_run (id, experiment_id, name, user_id_text, status, start_ms, lifecycle_stage, artifact_uri,"
        " created_by_id) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)",
        [
            run_id,
            experiment_id,
            name,
            record.user_id,
            record.status,
            start_ms,
            record.lifecycle_stage,
            record.artifact_uri,
            actor.user_id,
        ],
    )
    audit.record(
        actor,
        Event.RUN_CREATED,
        subject=("run", run_id),
        scope=f"experiment:{experiment_id}",
        beside=[run, *tagging(run_id, kept)],
        after={"name": name, "tags": kept},
    )
    return record


@transaction.atomic
def update_run(
    *, actor: Actor, run_id: str, status: str | None = None, end_ms: int | None = None, name: str | None = None
) -> None:
    """Change what is given; an empty name is ignored. Raises NotFound, Denied, and Invalid for a deleted run."""
    found = open_run(actor, run_id)
    changes: dict[str, Any] = {}
    if status is not None:
        changes["status"] = status
    if end_ms is not None:
        changes["end_ms"] = end_ms
    if name:
        limits.check_run_name(name)
        changes["name"] = name
        sql.run(*tagging(run_id, {RUN_NAME_TAG: name})[0])
    if not changes:
        return
    columns = ", ".join(f"{column} = %s" for column in changes)
    sql.run(f"UPDATE tracking_run SET {columns} WHERE id = %s", [*changes.values(), run_id])
    audit.record(actor, Event.RUN_UPDATED, subject=("run", run_id), scope=found.scope, after=_safe_integers(changes))


@transaction.atomic
def delete_run(*, actor: Actor, run_id: str) -> None:
    """Mark a run as deleted; a deleted one stays so. Raises NotFound, Denied."""
    _move_run(actor, run_id, Lifecycle.DELETED, Event.RUN_DELETED)


@transaction.atomic
def restore_run(*, actor: Actor, run_id: str) -> None:
    """Bring back a deleted run; an active one stays so. Raises NotFound, Denied."""
    _move_run(actor, run_id, Lifecycle.ACTIVE, Event.RUN_RESTORED)


@transaction.atomic
def set_run_tag(*, actor: Actor, run_id: str, key: str, value: str) -> None:
    """Set a tag of a run; the tag ``mlflow.runName`` renames it. Raises NotFound, Denied, Invalid."""
    kept = run_tags({key: value})
    found = open_run(actor, run_id)
    audit.record(
        actor,
        Event.RUN_TAGGED,
        subject=("run", run_id),
        scope=found.scope,
        beside=applying(found, kept),
        after={"key": key, "value": kept[key]},
    )


@transaction.atomic
def delete_run_tag(*, actor: Actor, run_id: str, key: str) -> None:
    """Remove a tag of a run. Raises NotFound, also for a tag that is not there; Denied; Invalid for a deleted run."""
    found = open_run(actor, run_id)
    if not sql.run("DELETE FROM tracking_runtag WHERE run_id = %s AND key = %s", [run_id, key]):
        raise NotFound(f"The run has no tag {key!r}.")
    audit.record(actor, Event.RUN_TAGGED, subject=("run", run_id), scope=found.scope, before={"key": key})


def open_run(actor: Actor, run_id: str, *, deleted_too: bool = False) -> OpenRun:
    """Lock a run to write to it, in the transaction of the caller. Raises NotFound, Denied, and Invalid for a deleted run."""
    may_read, reader = readable(actor, "r.experiment_id")
    may_write, writer = writable(actor, "r.experiment_id")
    row = sql.fetch_one(
        f"SELECT r.id, r.experiment_id, r.name, r.artifact_uri, r.lifecycle_stage, {may_write} FROM tracking_run r"
        f" WHERE r.id = %s AND {may_read}{sql.for_update('r')}",
        [*writer, run_id, *reader],
    )
    if row is None:
        raise no_run(run_id)
    if not row[5]:
        raise Denied(f"You may read run {run_id} but not write to it: it needs experiment:write; ask the experiment's owner.")
    if row[4] != Lifecycle.ACTIVE and not deleted_too:
        raise Invalid(f"The run {run_id} is deleted; restore it before anything is logged to it.")
    return OpenRun(*row[:5])


def run_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Return tags as they are kept: long values are cut as MLflow cuts them. Raises Invalid for a bad key."""
    for key in tags:
        limits.check_key("tag", key)
    return {key: value[: limits.MAX_RUN_TAG] for key, value in tags.items()}


def applying(found: OpenRun, tags: Mapping[str, str]) -> list[Statement]:
    """Return the statements that set tags of an open run.

    The tag ``mlflow.runName`` renames it, and an empty one is left out. Raises Invalid for a bad name.
    """
    name = tags.get(RUN_NAME_TAG)
    statements = tagging(found.run_id, {key: value for key, value in tags.items() if value or key != RUN_NAME_TAG})
    if name and name != found.name:
        limits.check_run_name(name)
        statements.append(("UPDATE tracking_run SET name = %s WHERE id = %s", [name, found.run_id]))
    return statements


def tagging(run_id: str, tags: Mapping[str, str]) -> list[Statement]:
    """Return the statements that set tags of a run as they are given; none for no tags."""
    rows = [(run_id, key, value) for key, value in tags.items()]
    suffix = "ON CONFLICT (run_id, key) DO UPDATE SET value = excluded.value"
    return [sql.insertion("tracking_runtag", {"run_id": "text", "key": "text", "value": "text"}, rows, suffix)] if rows else []


def _move_run(actor: Actor, run_id: str, to: str, event: Event) -> None:
    found = open_run(actor, run_id, deleted_too=True)
    if found.lifecycle_stage == to:
        return
    deleted_ms = now_ms() if to == Lifecycle.DELETED else None
    sql.run("UPDATE tracking_run SET lifecycle_stage = %s, deleted_ms = %s WHERE id = %s", [to, deleted_ms, run_id])
    audit.record(actor, event, subject=("run", run_id), scope=found.scope)


def _first_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Return tags as a new run keeps them: there the protocol lets keys have any sign and values be long. Raises Invalid."""
    if any(not 0 < len(key) <= limits.MAX_KEY for key in tags):
        raise Invalid(f"The name of a tag has 1 to {limits.MAX_KEY} characters.")
    if any(len(value) > limits.MAX_FIRST_TAG for value in tags.values()):
        raise Invalid(f"The value of a tag has at most {limits.MAX_FIRST_TAG} characters.")
    return dict(tags)


def _run_name(name: str, tags: dict[str, str]) -> str:
    tagged = tags.get(RUN_NAME_TAG, "")
    if RUN_NAME_TAG in tags and not tagged:
        raise Invalid(f"The tag {RUN_NAME_TAG} is empty; leave it out for a random name.", code="BAD_REQUEST")
    if name and tagged and name != tagged:
        raise Invalid(f"The run's name {name!r} and its tag {RUN_NAME_TAG} {tagged!r} differ; give one of them.")
    chosen = name or tagged or random_name()
    limits.check_run_name(chosen)
    tags[RUN_NAME_TAG] = chosen
    return chosen


def _safe_integers(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values fit for canonical JSON, which has no larger integers."""
    return {
        key: str(value) if isinstance(value, int) and abs(value) > LARGEST_INTEGER else value for key, value in values.items()
    }
