"""Create experiments and runs, and log to them. Every call that writes to one run waits for the one before it."""

from __future__ import annotations

import hashlib
import json
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlparse, urlsplit

import msgspec
from django.db import IntegrityError, transaction

from artifacts import commands as artifact_commands
from artifacts import paths
from artifacts.queries import FileInfo
from artifacts.store import Source
from core import access, audit, sql
from core.access import Actor, Permission
from core.audit import Event
from core.errors import AlreadyExists, Conflict, Denied, Invalid, NotFound
from tracking import limits
from tracking.models import Experiment, ExperimentTag, Lifecycle, RunStatus
from tracking.names import random_name
from tracking.queries import artifact_scope, manageable, readable, run_artifact_uri, writable
from tracking.records import Pair, RunRecord

RUN_NAME_TAG = "mlflow.runName"
MODEL_HISTORY_TAG = "mlflow.log-model.history"


@dataclass(frozen=True, slots=True)
class MetricPoint:
    """A measured value. model_id: the logged model it was measured on, if any."""

    key: str
    value: float
    timestamp_ms: int
    step: int = 0
    model_id: str = ""
    dataset_name: str = ""
    dataset_digest: str = ""


@dataclass(frozen=True)
class DatasetInput:
    """A data set as a client describes it, with the tags of its use."""

    name: str
    digest: str
    source_type: str = ""
    source: str = ""
    schema: str | None = None
    profile: str | None = None
    tags: Sequence[tuple[str, str]] = field(default_factory=tuple)


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


# --- experiments ---------------------------------------------------------------------------------------------------------------


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


def _open_experiment(actor: Actor, experiment_id: int, right: Any) -> _Experiment:
    may_read, reader = readable(actor, "e.id")
    may, who = right(actor, "e.id")
    row = sql.fetch_one(
        f"SELECT e.name, e.lifecycle_stage, e.artifact_location, {may} FROM tracking_experiment e WHERE e.id = %s AND {may_read}"
        + sql.for_update("e"),
        [*who, experiment_id, *reader],
    )
    if row is None:
        raise NotFound(f"There is no experiment {experiment_id}, or you may not see it.")
    if not row[3]:
        raise Denied(f"You may read experiment {experiment_id} but not change it; ask its owner.")
    return _Experiment(row[0], row[1], row[2])


def _active_experiment(actor: Actor, experiment_id: int) -> _Experiment:
    found = _open_experiment(actor, experiment_id, writable)
    if found.lifecycle_stage != Lifecycle.ACTIVE:
        raise Invalid(f"The experiment {experiment_id} is deleted; restore it first.")
    return found


def active_experiment_location(actor: Actor, experiment_id: int) -> str:
    """Return where an experiment that the actor may log to keeps its artifacts. Raises NotFound, Denied, Invalid if deleted."""
    return _active_experiment(actor, experiment_id).artifact_location


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


# --- runs ----------------------------------------------------------------------------------------------------------------------


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
    sql.run(
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
    _write_tags(run_id, kept)
    audit.record(
        actor, Event.RUN_CREATED, subject=("run", run_id), scope=f"experiment:{experiment_id}", after={"name": name, "tags": kept}
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
        _write_tags(run_id, {RUN_NAME_TAG: name})
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
        raise NotFound(f"There is no run {run_id!r}, or you may not see it.")
    if not row[5]:
        raise Denied(f"You may read run {run_id} but not write to it: it needs experiment:write; ask the experiment's owner.")
    if row[4] != Lifecycle.ACTIVE and not deleted_too:
        raise Invalid(f"The run {run_id} is deleted; restore it before anything is logged to it.")
    return OpenRun(*row[:5])


def _move_run(actor: Actor, run_id: str, to: str, event: Event) -> None:
    found = open_run(actor, run_id, deleted_too=True)
    if found.lifecycle_stage == to:
        return
    deleted_ms = now_ms() if to == Lifecycle.DELETED else None
    sql.run("UPDATE tracking_run SET lifecycle_stage = %s, deleted_ms = %s WHERE id = %s", [to, deleted_ms, run_id])
    audit.record(actor, event, subject=("run", run_id), scope=found.scope)


# --- logging -------------------------------------------------------------------------------------------------------------------


@transaction.atomic
def log_batch(
    *,
    actor: Actor,
    run_id: str,
    metrics: Sequence[MetricPoint] = (),
    params: Sequence[tuple[str, str]] = (),
    tags: Sequence[tuple[str, str]] = (),
) -> None:
    """Log metrics, parameters and tags to a run: all of them or none.

    Raises NotFound, Denied, and Invalid for bad names or numbers, a deleted run, a parameter given twice or changed.
    """
    limits.check_batch(len(metrics), len(params), len(tags))
    for point in metrics:
        limits.check_key("metric", point.key)
        limits.check_point(point.timestamp_ms)
        if bool(point.dataset_name) != bool(point.dataset_digest):
            raise Invalid(f"The metric {point.key!r} names a data set by half: give both its name and its digest.")
    for key, _ in params:
        limits.check_key("parameter", key)
    kept_tags = run_tags(dict(tags))
    kept_params = {key: value[: limits.MAX_PARAM] for key, value in params}
    if len(kept_params) < len(params):
        raise Invalid("A parameter is given twice in one batch.")
    found = open_run(actor, run_id)
    _write_params(run_id, kept_params)
    _write_metrics(actor, run_id, metrics)
    _set_run_tags(found, kept_tags)
    if metrics or params or tags:
        points = [(p.key, repr(p.value), p.timestamp_ms, p.step, p.model_id) for p in metrics]
        content = msgspec.json.encode([points, kept_params, kept_tags])
        audit.record(
            actor,
            Event.RUN_LOGGED,
            subject=("run", run_id),
            scope=found.scope,
            metrics=len(metrics),
            params=len(kept_params),
            tags=len(kept_tags),
            digest="sha256:" + hashlib.sha256(content).hexdigest(),
        )


@transaction.atomic
def set_run_tag(*, actor: Actor, run_id: str, key: str, value: str) -> None:
    """Set a tag of a run; the tag ``mlflow.runName`` renames it. Raises NotFound, Denied, Invalid."""
    kept = run_tags({key: value})
    found = open_run(actor, run_id)
    _set_run_tags(found, kept)
    audit.record(actor, Event.RUN_TAGGED, subject=("run", run_id), scope=found.scope, after={"key": key, "value": kept[key]})


@transaction.atomic
def delete_run_tag(*, actor: Actor, run_id: str, key: str) -> None:
    """Remove a tag of a run. Raises NotFound, also for a tag that is not there; Denied; Invalid for a deleted run."""
    found = open_run(actor, run_id)
    if not sql.run("DELETE FROM tracking_runtag WHERE run_id = %s AND key = %s", [run_id, key]):
        raise NotFound(f"The run has no tag {key!r}.")
    audit.record(actor, Event.RUN_TAGGED, subject=("run", run_id), scope=found.scope, before={"key": key})


@transaction.atomic
def log_inputs(*, actor: Actor, run_id: str, datasets: Sequence[DatasetInput] = (), model_ids: Sequence[str] = ()) -> None:
    """Note which data sets and logged models a run used. One noted before stays as it was.

    Raises NotFound for a run or model the actor may not see, Denied, Invalid.
    """
    for given in datasets:
        _check_dataset(given)
    found = open_run(actor, run_id)
    _link_datasets(found, datasets)
    _link_models(actor, run_id, [(model_id, 0) for model_id in model_ids], "input")
    audit.record(
        actor,
        Event.RUN_INPUTS_LOGGED,
        subject=("run", run_id),
        scope=found.scope,
        after={"datasets": [{"name": d.name, "digest": d.digest} for d in datasets], "models": list(model_ids)},
    )


@transaction.atomic
def log_outputs(*, actor: Actor, run_id: str, models: Sequence[tuple[str, int]]) -> None:
    """Note which logged models a run gave, each with the step it belongs to. Raises NotFound, Denied, Invalid."""
    found = open_run(actor, run_id)
    _link_models(actor, run_id, models, "output")
    audit.record(
        actor,
        Event.RUN_LOGGED,
        subject=("run", run_id),
        scope=found.scope,
        models=[{"model_id": model_id, "step": str(step)} for model_id, step in models],
    )


@transaction.atomic
def log_model(*, actor: Actor, run_id: str, model_json: str) -> None:
    """Append the description of a model, as old clients log it, to the run's tag. Raises NotFound, Denied, Invalid."""
    model = _json(model_json)
    needed = ("artifact_path", "flavors", "utc_time_created", "run_id")
    if not isinstance(model, dict) or any(name not in model for name in needed):
        raise Invalid(f"'model_json' must be an object with {', '.join(needed)}.")
    found = open_run(actor, run_id)
    row = sql.fetch_one("SELECT value FROM tracking_runtag WHERE run_id = %s AND key = %s", [run_id, MODEL_HISTORY_TAG])
    history = _json(row[0]) if row else []
    if not isinstance(history, list):  # clients may write this tag too, and what they wrote is no list of models
        history = []
    value = json.dumps([*history, model], separators=(",", ":"), ensure_ascii=False)
    if len(value) > limits.MAX_RUN_TAG * 10:
        raise Invalid("The run describes too many models.")
    _write_tags(run_id, {MODEL_HISTORY_TAG: value})
    audit.record(
        actor,
        Event.RUN_TAGGED,
        subject=("run", run_id),
        scope=found.scope,
        after={"key": MODEL_HISTORY_TAG, "models": len(history) + 1},
    )


def _json(text: str) -> Any:
    """Return what a JSON text says, or None for what is none or is nested too deeply."""
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def run_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Return tags as they are kept: long values are cut as MLflow cuts them. Raises Invalid for a bad key."""
    for key in tags:
        limits.check_key("tag", key)
    return {key: value[: limits.MAX_RUN_TAG] for key, value in tags.items()}


def _first_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Return tags as a new run keeps them: there the protocol lets keys have any sign. Raises Invalid for a bad length."""
    if any(not 0 < len(key) <= limits.MAX_KEY for key in tags):
        raise Invalid(f"The name of a tag has 1 to {limits.MAX_KEY} characters.")
    return {key: value[: limits.MAX_RUN_TAG] for key, value in tags.items()}


def now_ms() -> int:
    """Return the time as Unix milliseconds."""
    return time.time_ns() // 1_000_000


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


def _set_run_tags(found: OpenRun, tags: Mapping[str, str]) -> None:
    name = tags.get(RUN_NAME_TAG)
    _write_tags(found.run_id, {key: value for key, value in tags.items() if value or key != RUN_NAME_TAG})
    if name and name != found.name:
        limits.check_run_name(name)
        sql.run("UPDATE tracking_run SET name = %s WHERE id = %s", [name, found.run_id])


def _write_tags(run_id: str, tags: Mapping[str, str]) -> None:
    sql.insert(
        "tracking_runtag",
        {"run_id": "text", "key": "text", "value": "text"},
        [(run_id, key, value) for key, value in tags.items()],
        "ON CONFLICT (run_id, key) DO UPDATE SET value = excluded.value",
    )


def _write_params(run_id: str, params: Mapping[str, str]) -> None:
    written = sql.insert(
        "tracking_param",
        {"run_id": "text", "key": "text", "value": "text"},
        [(run_id, key, value) for key, value in params.items()],
        "ON CONFLICT (run_id, key) DO NOTHING",
    )
    if written == len(params):
        return
    held = sql.fetch(
        f"SELECT key, value FROM tracking_param WHERE run_id = %s AND key IN ({sql.marks(list(params))})", [run_id, *params]
    )
    for key, value in held:
        if params[key] != value:
            raise Invalid(
                f"The parameter {key!r} was logged as {value[:200]!r} and cannot become {params[key][:200]!r}: parameters never change."
            )


def _write_metrics(actor: Actor, run_id: str, metrics: Sequence[MetricPoint]) -> None:
    if not metrics:
        return
    if model_ids := {point.model_id for point in metrics if point.model_id}:
        try:
            _require_models(actor, model_ids, writable)
        except NotFound as error:
            raise Invalid(error.message, code="BAD_REQUEST") from None  # the protocol's word for it here
    rows: list[tuple[Any, ...]] = []
    latest: dict[str, tuple[tuple[int, int, float], tuple[Any, ...]]] = {}
    for p in metrics:
        value, is_nan = limits.stored_value(p.value)
        rows.append((run_id, p.key, p.timestamp_ms, p.step, value, is_nan, p.model_id, p.dataset_name, p.dataset_digest))
        rank = (p.step, p.timestamp_ms, value)
        if p.key not in latest or rank > latest[p.key][0]:
            latest[p.key] = (rank, rows[-1])
    columns = {
        "run_id": "text",
        "key": "text",
        "timestamp_ms": "bigint",
        "step": "bigint",
        "value": "float8",
        "is_nan": "boolean",
        "model_id": "text",
        "dataset_name": "text",
        "dataset_digest": "text",
    }
    sql.insert("tracking_metricpoint", columns, rows, "ON CONFLICT DO NOTHING")
    assigned = ", ".join(f"{name} = excluded.{name}" for name in list(columns)[2:])
    sql.insert(
        "tracking_latestmetric",
        columns,
        [row for _, row in latest.values()],
        f"ON CONFLICT (run_id, key) DO UPDATE SET {assigned}"
        " WHERE (excluded.step, excluded.timestamp_ms, excluded.value)"
        " > (tracking_latestmetric.step, tracking_latestmetric.timestamp_ms, tracking_latestmetric.value)",
    )


def _require_models(actor: Actor, model_ids: Iterable[str], right: Any) -> None:
    """Refuse to speak about models the actor has no such right on: metrics of a model are evidence for it."""
    wanted = list(model_ids)
    allowed, who = right(actor, "m.experiment_id")
    found = {
        row[0]
        for row in sql.fetch(
            f"SELECT m.id FROM tracking_loggedmodel m WHERE m.id IN ({sql.marks(wanted)}) AND m.deleted_ms IS NULL AND {allowed}",
            [*wanted, *who],
        )
    }
    if missing := sorted(set(wanted) - found):
        raise NotFound(f"There is no logged model {missing[0]!r}, or it is not yours.")


def _check_dataset(given: DatasetInput) -> None:
    for what, text, most in (
        ("name", given.name, 500),
        ("digest", given.digest, 36),
        ("source type", given.source_type, 36),
        ("source", given.source, 65_535),
        ("schema", given.schema or "", 1_048_575),
        ("profile", given.profile or "", 16_777_215),
    ):
        if len(text) > most:
            raise Invalid(f"The {what} of a data set has at most {most} characters.")
    for key, value in given.tags:
        if not key or len(key) > 255 or len(value) > 500:
            raise Invalid("The tag of an input has a key of 1 to 255 characters and a value of at most 500.")


def _link_datasets(found: OpenRun, datasets: Sequence[DatasetInput]) -> None:
    if not datasets:
        return
    by_key = {(d.name, d.digest): d for d in reversed(datasets)}  # the first of equal ones wins
    sql.insert(
        "tracking_inputdataset",
        {
            "experiment_id": "bigint",
            "name": "text",
            "digest": "text",
            "source_type": "text",
            "source": "text",
            "schema": "text",
            "profile": "text",
        },
        [(found.experiment_id, d.name, d.digest, d.source_type, d.source, d.schema, d.profile) for d in by_key.values()],
        "ON CONFLICT (experiment_id, name, digest) DO NOTHING",
    )
    names = [d.name for d in by_key.values()]
    ids = {
        (name, digest): key
        for key, name, digest in sql.fetch(
            f"SELECT id, name, digest FROM tracking_inputdataset WHERE experiment_id = %s AND name IN ({sql.marks(names)})",
            [found.experiment_id, *names],
        )
    }
    sql.insert(
        "tracking_runinput",
        {"run_id": "text", "dataset_id": "bigint", "tags": "jsonb"},
        [
            (found.run_id, ids[key], msgspec.json.encode([{"key": k, "value": v} for k, v in dict(d.tags).items()]).decode())
            for key, d in reversed(by_key.items())
        ],
        "ON CONFLICT (run_id, dataset_id) DO NOTHING",
    )


def _link_models(actor: Actor, run_id: str, models: Sequence[tuple[str, int]], direction: str) -> None:
    if not models:
        return
    _require_models(actor, {model_id for model_id, _ in models}, readable)
    sql.insert(
        "tracking_runmodellink",
        {"run_id": "text", "model_id": "text", "direction": "text", "step": "bigint"},
        [(run_id, model_id, direction, step) for model_id, step in dict(models).items()],
        "ON CONFLICT (run_id, model_id, direction) DO NOTHING",
    )


def _safe_integers(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values fit for canonical JSON, which has no integers beyond 2^53."""
    return {key: str(value) if isinstance(value, int) and abs(value) > 1 << 53 else value for key, value in values.items()}


# --- artifacts -----------------------------------------------------------------------------------------------------------------


def put_artifact(
    *, actor: Actor, path: str, stream: Source, expected_bytes: int | None, expected_digest: str | None = None
) -> FileInfo:
    """Store a file where the actor may write. Raises NotFound, Denied, Invalid, and Conflict where a version froze the tree."""
    path = paths.safe_file(path)
    scope = artifact_scope(actor, path, write=True)
    return artifact_commands.put_file(
        actor=actor, path=path, stream=stream, expected_bytes=expected_bytes, expected_digest=expected_digest, scope=scope
    )


def delete_artifacts(*, actor: Actor, path: str) -> int:
    """Remove a file or folder where the actor may write, and return how many files went. Raises as ``put_artifact``."""
    path = paths.safe(path)
    return artifact_commands.delete_tree(actor=actor, path=path, scope=artifact_scope(actor, path, write=True))


def put_run_artifact(*, actor: Actor, run_id: str, path: str, stream: Source, expected_bytes: int | None) -> FileInfo:
    """Store a file among the artifacts of a run. Raises as ``put_artifact``."""
    root = paths.path_of(run_artifact_uri(actor, run_id))
    if root is None:
        raise Invalid("This run keeps its artifacts on another server.")
    return put_artifact(actor=actor, path=paths.join(root, paths.safe_file(path)), stream=stream, expected_bytes=expected_bytes)
