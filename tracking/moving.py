"""Experiments, runs and logged models as they travel from one server to another, and how what we hold reads in that form."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec
from django.db import connection

from core import access, sql
from core.access import Actor, Permission
from tracking.models import LoggedModelStatus

BATCH = 500  # runs, models or versions that are handled at once


class MovedExperiment(msgspec.Struct, frozen=True):
    """An experiment. Times are Unix milliseconds here and below."""

    id: int
    name: str
    artifact_location: str
    lifecycle_stage: str
    created_ms: int
    updated_ms: int
    tags: dict[str, str] = {}


class MovedDataset(msgspec.Struct, frozen=True):
    """A data set that a run used, with the tags of its use."""

    name: str
    digest: str
    source_type: str
    source: str
    schema: str | None
    profile: str | None
    tags: dict[str, str] = {}


class MovedRun(msgspec.Struct, frozen=True):
    """A run without the history of its metrics. progress: what tells cheaply that there are more points than before."""

    id: str
    experiment_id: int
    name: str
    user: str
    status: str
    start_ms: int
    end_ms: int | None
    deleted_ms: int | None
    lifecycle_stage: str
    artifact_uri: str
    params: dict[str, str] = {}
    tags: dict[str, str] = {}
    datasets: list[MovedDataset] = []
    model_inputs: list[str] = []
    model_outputs: dict[str, int] = {}
    progress: str = ""


class MovedPoint(msgspec.Struct, frozen=True):
    """A point of a metric; a NaN is 0 with its flag, infinities are the largest doubles. model_id: "" for a run's own."""

    run_id: str
    key: str
    timestamp_ms: int
    step: int
    value: float
    is_nan: bool = False
    model_id: str = ""
    dataset_name: str = ""
    dataset_digest: str = ""


class MovedLoggedModel(msgspec.Struct, frozen=True):
    """A logged model without the points of its metrics."""

    id: str
    experiment_id: int
    name: str
    model_type: str
    status: str
    artifact_uri: str
    source_run_id: str
    created_ms: int
    updated_ms: int
    deleted_ms: int | None
    params: dict[str, str] = {}
    tags: dict[str, str] = {}
    progress: str = ""


class Sum:
    """A digest of many things that comes out the same in whatever order they were added, in constant memory."""

    def __init__(self) -> None:
        self.count = 0
        self._total = 0

    def add(self, content: bytes) -> None:
        """Add one thing; the same one twice counts twice."""
        self.count += 1
        self._total += int.from_bytes(hashlib.blake2b(content, digest_size=32).digest(), "big")

    @property
    def hex(self) -> str:
        """Return the digest, 64 hex digits."""
        return f"{self._total & (1 << 256) - 1:064x}"


# Where files lie and where things stand differs between servers, and standing somewhere else counts as a change.
_DROPPED = ("artifact_uri", "artifact_location", "progress", "source", "storage_location", "stage", "aliases", "updated_ms")
_encoder = msgspec.json.Encoder(order="sorted")


def digest(record: msgspec.Struct, *, leave_out: Sequence[str] = _DROPPED) -> str:
    """Return the SHA-256 of what a record says, but for where its files lie and where it stands, which differ between servers."""
    return hashlib.sha256(
        _encoder.encode([(name, getattr(record, name)) for name in record.__struct_fields__ if name not in leave_out])
    ).hexdigest()


def mark(record: msgspec.Struct) -> str:
    """Return the digest of all that a source says of a thing: whatever of it changes there, this does."""
    return digest(record, leave_out=())


def point_content(point: MovedPoint) -> bytes:
    """Return a run's point as it is digested: of which model it was measured is told apart."""
    return f"{point.key}\0{point.timestamp_ms}\0{point.step}\0{'nan' if point.is_nan else repr(float(point.value))}".encode()


def model_point_content(point: MovedPoint) -> bytes:
    """Return a logged model's point as it is digested."""
    # MLflow keeps a model's NaN as 0 without a flag, so here the flag says nothing.
    value = repr(float(point.value))
    said = (point.run_id, point.key, str(point.timestamp_ms), str(point.step), value, point.dataset_name, point.dataset_digest)
    return "\0".join(said).encode()


# How what we hold reads.


def require(actor: Actor) -> None:
    """Return if the actor may bring servers over. Raises Denied."""
    access.require(actor, Permission.SERVER_MOVE)


def experiments(actor: Actor, ids: Sequence[int] | None = None) -> Iterator[MovedExperiment]:
    """Yield experiments, all or some of them, by id. Raises Denied."""
    require(actor)
    which = "" if ids is None else f"WHERE id IN ({sql.marks(ids)})"
    rows = sql.fetch(
        f"SELECT id, name, artifact_location, lifecycle_stage, created_ms, updated_ms FROM tracking_experiment {which} ORDER BY id",
        ids or [],
    )
    for part in _parts(rows):
        tags = _pairs("tracking_experimenttag", "experiment_id", [row[0] for row in part])
        for row in part:
            yield MovedExperiment(*(*row, tags.get(row[0], {})))


def run_ids(actor: Actor) -> Iterator[list[str]]:
    """Yield the ids of all runs, in batches. Raises Denied."""
    return _ids(actor, "tracking_run")


def logged_model_ids(actor: Actor) -> Iterator[list[str]]:
    """Yield the ids of all logged models, in batches. Raises Denied."""
    return _ids(actor, "tracking_loggedmodel")


def runs(actor: Actor, ids: Sequence[str]) -> list[MovedRun]:
    """Return runs by id. Raises Denied."""
    require(actor)
    marks = sql.marks(ids)
    params, tags = _pairs("tracking_param", "run_id", ids), _pairs("tracking_runtag", "run_id", ids)
    used: dict[str, list[MovedDataset]] = {}
    for run_id, given, *dataset in sql.fetch(
        f"""SELECT i.run_id, i.tags, d.name, d.digest, d.source_type, d.source, d.schema, d.profile FROM tracking_runinput i
              JOIN tracking_inputdataset d ON d.id = i.dataset_id WHERE i.run_id IN ({marks})""",
        ids,
    ):
        listed = msgspec.json.decode(given) if isinstance(given, str) else given
        used.setdefault(run_id, []).append(MovedDataset(*(*dataset, {tag["key"]: tag["value"] for tag in listed})))
    inputs: dict[str, list[str]] = {}
    outputs: dict[str, dict[str, int]] = {}
    for run_id, model_id, direction, step in sql.fetch(
        f"SELECT run_id, model_id, direction, step FROM tracking_runmodellink WHERE run_id IN ({marks})", ids
    ):
        if direction == "input":
            inputs.setdefault(run_id, []).append(model_id)
        else:
            outputs.setdefault(run_id, {})[model_id] = step
    rows = sql.fetch(
        f"""SELECT id, experiment_id, name, user_id_text, status, start_ms, end_ms, deleted_ms, lifecycle_stage, artifact_uri
              FROM tracking_run WHERE id IN ({marks})""",
        ids,
    )
    return [
        MovedRun(
            *(
                *row,
                params.get(row[0], {}),
                tags.get(row[0], {}),
                sorted(used.get(row[0], []), key=lambda d: (d.name, d.digest)),
                sorted(inputs.get(row[0], [])),
                outputs.get(row[0], {}),
            )
        )
        for row in rows
    ]


def points(actor: Actor, run_ids: Sequence[str]) -> Iterator[MovedPoint]:
    """Yield all points of runs, each once, whatever models they were measured on. Raises Denied."""
    require(actor)
    statement = f"""SELECT DISTINCT run_id, key, timestamp_ms, step, value, is_nan FROM tracking_metricpoint
                     WHERE run_id IN ({sql.marks(run_ids)})"""
    for run_id, key, timestamp_ms, step, value, is_nan in _stream(statement, run_ids):
        yield MovedPoint(run_id, key, timestamp_ms, step, value, bool(is_nan))


def model_points(actor: Actor, model_ids: Sequence[str]) -> Iterator[MovedPoint]:
    """Yield all points that were measured on logged models. Raises Denied."""
    require(actor)
    statement = f"""SELECT run_id, key, timestamp_ms, step, value, is_nan, model_id, dataset_name, dataset_digest
                      FROM tracking_metricpoint WHERE model_id IN ({sql.marks(model_ids)})"""
    for row in _stream(statement, model_ids):
        yield MovedPoint(*(*row[:5], bool(row[5]), *row[6:]))


def logged_models(actor: Actor, ids: Sequence[str]) -> list[MovedLoggedModel]:
    """Return logged models by id, deleted ones too. Raises Denied."""
    require(actor)
    params, tags = _pairs("tracking_loggedmodelparam", "model_id", ids), _pairs("tracking_loggedmodeltag", "model_id", ids)
    rows = sql.fetch(
        f"""SELECT id, experiment_id, name, model_type, status, artifact_uri, source_run_id, created_ms, updated_ms, deleted_ms
              FROM tracking_loggedmodel WHERE id IN ({sql.marks(ids)})""",
        ids,
    )
    return [MovedLoggedModel(*(*row, params.get(row[0], {}), tags.get(row[0], {}))) for row in rows]


def known_status(status: str) -> str:
    """Return the status of a logged model as we keep it; one that is unknown here counts as pending."""
    return status if status in LoggedModelStatus.values else LoggedModelStatus.PENDING.value


def _ids(actor: Actor, table: str) -> Iterator[list[str]]:
    require(actor)
    last = ""
    column = sql.ordered("id")
    while found := [
        row[0] for row in sql.fetch(f"SELECT id FROM {table} WHERE {column} > %s ORDER BY {column} LIMIT {BATCH}", [last])
    ]:
        yield found
        last = found[-1]


def _pairs(table: str, owner: str, ids: Sequence[Any]) -> dict[Any, dict[str, str]]:
    found: dict[Any, dict[str, str]] = {}
    for held_by, key, value in sql.fetch(f"SELECT {owner}, key, value FROM {table} WHERE {owner} IN ({sql.marks(ids)})", ids):
        found.setdefault(held_by, {})[key] = value
    return found


def _stream(statement: str, parameters: Sequence[Any]) -> Iterator[sql.Row]:
    """Yield rows a few thousand at a time, so that a run with millions of points takes no more memory than one with few."""
    with connection.chunked_cursor() as cursor:
        cursor.execute(statement, parameters)
        while rows := cursor.fetchmany(5000):
            yield from rows


def _parts(rows: Sequence[sql.Row]) -> Iterable[Sequence[sql.Row]]:
    return (rows[start : start + BATCH] for start in range(0, len(rows), BATCH))
