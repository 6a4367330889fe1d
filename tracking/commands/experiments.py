"""Experiments: create, rename, delete and restore them, and set their tags."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlparse, urlsplit

from django.db import IntegrityError, transaction

from artifacts import paths
from core import access, audit, sql
from core.access import Actor, Permission
from core.audit import Event
from core.errors import AlreadyExists, Conflict, Denied, Invalid, NotFound
from tracking import limits
from tracking.clock import now_ms
from tracking.models import Experiment, ExperimentTag, Lifecycle
from tracking.queries import artifact_scope, manageable, readable, writable


@transaction.atomic
def create_experiment(*, actor: Actor, name: str, artifact_location: str = "", tags: Mapping[str, str] | None = None) -> int:
    """Create an experiment that its creator manages, and return its id.

    Raises AlreadyExists, also if a deleted experiment has the name; Invalid for a bad name, tag or artifact location.
    """
    access.require(actor, Permission.EXPERIMENT_CREATE)
    limits.check_experiment_name(name)
    for key, value in (tags or {}).items():
        limits.check_experiment_tag(key, value)
    location = _artifact_location(actor, artifact_location)
    now = now_ms()
    try:
        with transaction.atomic():
            experiment = Experiment.objects.create(
                name=name, artifact_location=location, created_ms=now, updated_ms=now, created_by_id=actor.user_id
            )
    except IntegrityError:
        raise AlreadyExists(
            f"There is an experiment named {name!r} already; a deleted one keeps its name until it is removed."
        ) from None
    if not location:
        experiment.artifact_location = paths.uri(str(experiment.pk))
        experiment.save(update_fields=["artifact_location"])
    ExperimentTag.objects.bulk_create([ExperimentTag(experiment=experiment, key=k, value=v) for k, v in (tags or {}).items()])
    if actor.user_id is not None:
        access.grant(experiment, "experiment_manage", users=[actor.user_id])
    _record_experiment(
        actor, Event.EXPERIMENT_CREATED, experiment.pk, after={"name": name, "artifact_location": experiment.artifact_location}
    )
    return int(experiment.pk)


@transaction.atomic
def rename_experiment(*, actor: Actor, experiment_id: int, name: str) -> None:
    """Give an experiment another name. Raises NotFound, Denied, Conflict for a deleted one, Invalid for a taken or bad name."""
    limits.check_experiment_name(name)
    before = _open_experiment(actor, experiment_id, manageable)
    if before.lifecycle_stage != Lifecycle.ACTIVE:
        raise Conflict("The experiment is deleted; restore it before it is renamed.")
    try:
        with transaction.atomic():
            Experiment.objects.filter(pk=experiment_id).update(name=name, updated_ms=now_ms())
    except IntegrityError:
        raise Invalid(f"There is an experiment named {name!r} already.", code="BAD_REQUEST") from None
    _record_experiment(actor, Event.EXPERIMENT_UPDATED, experiment_id, before={"name": before.name}, after={"name": name})


@transaction.atomic
def delete_experiment(*, actor: Actor, experiment_id: int) -> None:
    """Mark an experiment and all its runs as deleted. Raises NotFound, also if it is deleted already, and Denied."""
    _move_experiment(actor, experiment_id, Lifecycle.ACTIVE, Lifecycle.DELETED, Event.EXPERIMENT_DELETED)


@transaction.atomic
def restore_experiment(*, actor: Actor, experiment_id: int) -> None:
    """Bring back a deleted experiment and all its runs. Raises NotFound, also if it is not deleted, and Denied."""
    _move_experiment(actor, experiment_id, Lifecycle.DELETED, Lifecycle.ACTIVE, Event.EXPERIMENT_RESTORED)


@transaction.atomic
def set_experiment_tag(*, actor: Actor, experiment_id: int, key: str, value: str) -> None:
    """Set a tag of an active experiment. Raises NotFound, Denied, Invalid."""
    limits.check_experiment_tag(key, value)
    _active_experiment(actor, experiment_id)
    sql.run(
        "INSERT INTO tracking_experimenttag (experiment_id, key, value) VALUES (%s, %s, %s)"
        " ON CONFLICT (experiment_id, key) DO UPDATE SET value = excluded.value",
        [experiment_id, key, value],
    )
    _record_experiment(actor, Event.EXPERIMENT_TAGGED, experiment_id, after={"key": key, "value": value})


@transaction.atomic
def delete_experiment_tag(*, actor: Actor, experiment_id: int, key: str) -> None:
    """Remove a tag. Raises NotFound, also for a tag that is not there, and Denied."""
    _active_experiment(actor, experiment_id)
    if not sql.run("DELETE FROM tracking_experimenttag WHERE experiment_id = %s AND key = %s", [experiment_id, key]):
        raise NotFound(f"The experiment has no tag {key!r}.")
    _record_experiment(actor, Event.EXPERIMENT_TAGGED, experiment_id, before={"key": key})


def _artifact_location(actor: Actor, given: str) -> str:
    """Return a location fit to keep, "" for the default. One on this server may not reach into another experiment's."""
    if not given:
        return ""
    if len(given) > limits.MAX_LOCATION:
        raise Invalid(f"An artifact location has at most {limits.MAX_LOCATION} characters.")
    try:
        parts = urlsplit(given)
    except ValueError:
        raise Invalid(f"{given[:200]!r} is no artifact location.") from None
    if parts.scheme == "runs" or parts.fragment or "#" in given or urlparse(given).params or ".." in parts.query:
        raise Invalid("An artifact location must be no `runs:/` address and have no fragment, parameters or `..` in its query.")
    if parts.scheme in ("", "file"):
        raise Invalid(
            "This server keeps no artifacts in local paths; leave the location out, or give a remote one such as s3://."
        )
    path = paths.path_of(given)
    if path is None:
        if parts.scheme in paths.NAMES_A_HOST or parts.scheme == paths.SCHEME:
            raise Invalid(
                f"An artifact location must not name another host, as {parts.scheme}:// does: clients would be sent there."
            )
        return given
    if not path or path.split("/")[0].isdigit():
        raise Invalid("A location on this server must begin with a name that is no number: numbers belong to experiments.")
    artifact_scope(actor, path, write=True)
    return paths.uri(path)


@dataclass(frozen=True)
class _Experiment:
    name: str
    lifecycle_stage: str
    artifact_location: str


def _open_experiment(actor: Actor, experiment_id: int, right: Any, lock: Callable[[str], str] = sql.for_update) -> _Experiment:
    may_read, reader = readable(actor, "e.id")
    may, who = right(actor, "e.id")
    row = sql.fetch_one(
        f"SELECT e.name, e.lifecycle_stage, e.artifact_location, {may} FROM tracking_experiment e WHERE e.id = %s AND {may_read}"
        + lock("e"),
        [*who, experiment_id, *reader],
    )
    if row is None:
        raise NotFound(f"There is no experiment {experiment_id}, or you may not see it.")
    if not row[3]:
        raise Denied(f"You may read experiment {experiment_id} but not change it; ask its owner.")
    return _Experiment(row[0], row[1], row[2])


def _active_experiment(actor: Actor, experiment_id: int, lock: Callable[[str], str] = sql.for_update) -> _Experiment:
    found = _open_experiment(actor, experiment_id, writable, lock)
    if found.lifecycle_stage != Lifecycle.ACTIVE:
        raise Invalid(f"The experiment {experiment_id} is deleted; restore it first.")
    return found


def active_experiment_location(actor: Actor, experiment_id: int) -> str:
    """Return where an experiment that the actor may log to keeps its artifacts, and keep it from being deleted meanwhile.

    Who begins a run does not wait for who begins another. Raises NotFound, Denied, Invalid if it is deleted.
    """
    return _active_experiment(actor, experiment_id, sql.for_share).artifact_location


def _move_experiment(actor: Actor, experiment_id: int, seen: str, to: str, event: Event) -> None:
    if _open_experiment(actor, experiment_id, manageable).lifecycle_stage != seen:
        raise NotFound(f"There is no {seen} experiment {experiment_id}.")
    now = now_ms()
    sql.run("UPDATE tracking_experiment SET lifecycle_stage = %s, updated_ms = %s WHERE id = %s", [to, now, experiment_id])
    runs = sql.run(
        "UPDATE tracking_run SET lifecycle_stage = %s, deleted_ms = %s WHERE experiment_id = %s AND lifecycle_stage = %s",
        [to, now if to == Lifecycle.DELETED else None, experiment_id, seen],
    )
    _record_experiment(actor, event, experiment_id, runs=runs)


def _record_experiment(actor: Actor, event: Event, experiment_id: int, **change: Any) -> None:
    audit.record(actor, event, subject=("experiment", experiment_id), scope=f"experiment:{experiment_id}", **change)
