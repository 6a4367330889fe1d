"""Models that runs produce (MLflow 3), before they are registered under a name."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from django.db import transaction

from core import audit, sql
from core.access import Actor
from core.audit import Event
from core.errors import Denied, Invalid, NotFound
from tracking import limits
from tracking.clock import now_ms
from tracking.commands.experiments import active_experiment_location
from tracking.models import LoggedModelStatus
from tracking.names import random_name
from tracking.queries import readable, writable


@transaction.atomic
def create_logged_model(
    *,
    actor: Actor,
    experiment_id: int,
    name: str | None = None,
    model_type: str = "",
    source_run_id: str = "",
    params: Mapping[str, str] | None = None,
    tags: Mapping[str, str] | None = None,
) -> str:
    """Create a model that waits for its files, and return its id. Without a name it gets a random one.

    Raises NotFound for an experiment the actor may not see, Denied, and Invalid for a deleted one or bad names.
    """
    if name is not None:
        limits.check_logged_model_name(name)
    _check_pairs(params)
    _check_pairs(tags)
    if len(model_type) > 500 or len(source_run_id) > 32:
        raise Invalid("The model type has at most 500 characters, and a run id 32.")
    location = active_experiment_location(actor, experiment_id)
    model_id, now = f"m-{uuid.uuid4().hex}", now_ms()
    sql.run(
        "INSERT INTO tracking_loggedmodel (id, experiment_id, name, model_type, status, artifact_uri, source_run_id, created_ms,"
        " updated_ms, created_by_id) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
        [
            model_id,
            experiment_id,
            name or random_name(),
            model_type,
            LoggedModelStatus.PENDING.value,
            f"{location.rstrip('/')}/models/{model_id}/artifacts",
            source_run_id,
            now,
            now,
            actor.user_id,
        ],
    )
    _write("tracking_loggedmodelparam", model_id, params, "")
    _write("tracking_loggedmodeltag", model_id, tags, "")
    _record(
        actor,
        Event.LOGGED_MODEL_CREATED,
        model_id,
        experiment_id,
        after={"name": name or "", "source_run_id": source_run_id, "params": dict(params or {}), "tags": dict(tags or {})},
    )
    return model_id


@transaction.atomic
def finish_logged_model(*, actor: Actor, model_id: str, status: LoggedModelStatus) -> None:
    """Say how storing the model's files ended. Raises NotFound, Denied."""
    experiment_id = _open(actor, model_id)
    sql.run("UPDATE tracking_loggedmodel SET status = %s, updated_ms = %s WHERE id = %s", [status.value, now_ms(), model_id])
    _record(actor, Event.LOGGED_MODEL_UPDATED, model_id, experiment_id, after={"status": status.value})


@transaction.atomic
def delete_logged_model(*, actor: Actor, model_id: str) -> None:
    """Mark a model as deleted; a deleted one stays so. Raises NotFound, Denied."""
    experiment_id = _open(actor, model_id)
    now = now_ms()
    if sql.run(
        "UPDATE tracking_loggedmodel SET deleted_ms = %s, updated_ms = %s WHERE id = %s AND deleted_ms IS NULL",
        [now, now, model_id],
    ):
        _record(actor, Event.LOGGED_MODEL_DELETED, model_id, experiment_id)


@transaction.atomic
def set_logged_model_tags(*, actor: Actor, model_id: str, tags: Mapping[str, str]) -> None:
    """Set tags of a model. Raises NotFound, Denied, Invalid."""
    _check_pairs(tags)
    experiment_id = _open(actor, model_id)
    _write("tracking_loggedmodeltag", model_id, tags, "ON CONFLICT (model_id, key) DO UPDATE SET value = excluded.value")
    _touch(model_id)
    _record(actor, Event.LOGGED_MODEL_UPDATED, model_id, experiment_id, after={"tags": dict(tags)})


@transaction.atomic
def delete_logged_model_tag(*, actor: Actor, model_id: str, key: str) -> None:
    """Remove a tag of a model. Raises NotFound, also for a tag that is not there, and Denied."""
    experiment_id = _open(actor, model_id)
    if not sql.run("DELETE FROM tracking_loggedmodeltag WHERE model_id = %s AND key = %s", [model_id, key]):
        raise NotFound(f"The model has no tag {key!r}.")
    _record(actor, Event.LOGGED_MODEL_UPDATED, model_id, experiment_id, before={"tag": key})


@transaction.atomic
def log_logged_model_params(*, actor: Actor, model_id: str, params: Mapping[str, str]) -> None:
    """Add parameters to a model. Raises NotFound, Denied, and Invalid for one that is there already: they never change."""
    _check_pairs(params)
    experiment_id = _open(actor, model_id)
    if _write("tracking_loggedmodelparam", model_id, params, "ON CONFLICT (model_id, key) DO NOTHING") < len(params):
        raise Invalid("One of these parameters is logged already; parameters never change.", code="BAD_REQUEST")
    _record(actor, Event.LOGGED_MODEL_UPDATED, model_id, experiment_id, after={"params": dict(params)})


def _open(actor: Actor, model_id: str) -> int:
    """Return the experiment of a model that the actor may change: also of a deleted one, as on MLflow's server."""
    may_read, reader = readable(actor, "m.experiment_id")
    may_write, writer = writable(actor, "m.experiment_id")
    row = sql.fetch_one(
        f"SELECT m.experiment_id, {may_write} FROM tracking_loggedmodel m WHERE m.id = %s AND {may_read}{sql.for_update('m')}",
        [*writer, model_id, *reader],
    )
    if row is None:
        raise NotFound(f"There is no logged model {model_id!r}, or you may not see it.")
    if not row[1]:
        raise Denied(
            f"You may read the model {model_id} but not change it: it needs experiment:write; ask the experiment's owner."
        )
    return int(row[0])


def _touch(model_id: str) -> None:
    sql.run("UPDATE tracking_loggedmodel SET updated_ms = %s WHERE id = %s", [now_ms(), model_id])


def _check_pairs(pairs: Mapping[str, str] | None) -> None:
    for key, value in (pairs or {}).items():
        if not key or len(key) > limits.MAX_KEY or len(value) > limits.MAX_EXPERIMENT_TAG * 5:
            raise Invalid(f"A model's tag or parameter has a key of 1 to {limits.MAX_KEY} characters.")


def _write(table: str, model_id: str, pairs: Mapping[str, str] | None, suffix: str) -> int:
    rows = [(model_id, key, value) for key, value in (pairs or {}).items()]
    return sql.insert(table, {"model_id": "text", "key": "text", "value": "text"}, rows, suffix)


def _record(actor: Actor, event: Event, model_id: str, experiment_id: int, **change: Any) -> None:
    audit.record(actor, event, subject=("logged_model", model_id), scope=f"experiment:{experiment_id}", **change)
