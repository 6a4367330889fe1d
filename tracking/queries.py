"""Experiments, runs, metric histories and who may see which artifacts. Hot reads are one statement each, without ORM instances."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec

from artifacts import paths
from core import sql
from core.access import Actor, Permission, granted_sql
from core.errors import Denied, Invalid, NotFound
from tracking.models import Experiment
from tracking.records import ExperimentRecord, LoggedModelRecord, MetricValue, RunRecord

MAX_ID = (1 << 63) - 1
_LARGEST = sys.float_info.max


def experiment_number(text: str) -> int:
    """Return an experiment id as the number it is. Raises Invalid for anything else."""
    try:
        number = int(text)
    except ValueError:
        raise Invalid(f"{text[:100]!r} is no experiment id: it must be a whole number.") from None
    return number if 0 <= number <= MAX_ID else -1  # no experiment has that


def no_run(run_id: str) -> NotFound:
    """Return what is said of a run that does not exist or is hidden: the same."""
    return NotFound(f"There is no run {run_id!r}, or you may not see it.")


def readable(actor: Actor, column: str) -> tuple[str, list[Any]]:
    """Return the condition that the actor may read the experiment a column names, with its parameters."""
    return granted_sql(actor, Permission.EXPERIMENT_READ, Experiment, column)


def writable(actor: Actor, column: str) -> tuple[str, list[Any]]:
    """Return the condition that the actor may log to the experiment a column names, with its parameters."""
    return granted_sql(actor, Permission.EXPERIMENT_WRITE, Experiment, column)


def manageable(actor: Actor, column: str) -> tuple[str, list[Any]]:
    """Return the condition that the actor may delete the experiment a column names, with its parameters."""
    return granted_sql(actor, Permission.EXPERIMENT_MANAGE, Experiment, column)


def experiment_columns() -> str:
    """Return the columns of an ExperimentRecord, of a table called ``e``."""
    tags = sql.json_list(sql.json_object(key="t.key", value="t.value"), "tracking_experimenttag t WHERE t.experiment_id = e.id")
    return f"e.id, e.name, e.artifact_location, e.lifecycle_stage, e.created_ms, e.updated_ms, {tags}"


def experiment(actor: Actor, experiment_id: int) -> ExperimentRecord:
    """Return an experiment, also a deleted one. Raises NotFound."""
    return _experiment(actor, "e.id = %s", experiment_id, f"There is no experiment {experiment_id}, or you may not see it.")


def experiment_by_name(actor: Actor, name: str) -> ExperimentRecord:
    """Return the experiment of this name, also a deleted one. Raises NotFound."""
    return _experiment(actor, "e.name = %s", name, f"There is no experiment named {name!r}, or you may not see it.")


def _experiment(actor: Actor, condition: str, value: object, missing: str) -> ExperimentRecord:
    allowed, who = readable(actor, "e.id")
    row = sql.fetch_one(
        f"SELECT {experiment_columns()} FROM tracking_experiment e WHERE {condition} AND {allowed}", [value, *who]
    )
    if row is None:
        raise NotFound(missing)
    return ExperimentRecord(*row)


def run_columns() -> str:
    """Return the columns of a RunRecord, of a table called ``r``."""
    pair = sql.json_object(key="x.key", value="x.value")
    params = sql.json_list(pair, "tracking_param x WHERE x.run_id = r.id")
    tags = sql.json_list(pair, "tracking_runtag x WHERE x.run_id = r.id")
    metrics = "NULL"
    if sql.is_postgresql():
        point = sql.json_object(
            key="x.key", value=sql.json_number("x.value", "x.is_nan"), timestamp="x.timestamp_ms", step="x.step"
        )
        metrics = sql.json_list(point, "tracking_latestmetric x WHERE x.run_id = r.id")
    dataset = sql.without_nulls(
        sql.json_object(
            name="d.name",
            digest="d.digest",
            source_type="d.source_type",
            source="d.source",
            schema="d.schema",
            profile="d.profile",
        )
    )
    cast = "::jsonb" if sql.is_postgresql() else ""
    datasets = sql.json_list(
        sql.without_nulls(sql.json_object(tags=sql.as_json(f"NULLIF(x.tags, '[]'{cast})"), dataset=dataset)),
        "tracking_runinput x JOIN tracking_inputdataset d ON d.id = x.dataset_id WHERE x.run_id = r.id",
    )
    inputs = sql.json_list(
        sql.json_object(model_id="x.model_id"), "tracking_runmodellink x WHERE x.run_id = r.id AND x.direction = 'input'"
    )
    outputs = sql.json_list(
        sql.json_object(model_id="x.model_id", step="x.step"),
        "tracking_runmodellink x WHERE x.run_id = r.id AND x.direction = 'output'",
    )
    return (
        "r.id, r.experiment_id, r.name, r.user_id_text, r.status, r.start_ms, r.end_ms, r.lifecycle_stage, r.artifact_uri,"
        f" {params}, {metrics}, {tags}, {datasets}, {inputs}, {outputs}"
    )


def run_records(rows: Sequence[sql.Row]) -> list[RunRecord]:
    """Return rows of ``run_columns`` as records; SQLite's metrics are read here, by one more statement for all of them."""
    records = [RunRecord(*row) for row in rows]
    if sql.is_postgresql() or not records:
        return records
    points: dict[str, list[MetricValue]] = defaultdict(list)
    ids = msgspec.json.encode([record.run_id for record in records]).decode()
    for run_id, key, value, is_nan, timestamp, step in sql.fetch(
        "SELECT run_id, key, value, is_nan, timestamp_ms, step FROM tracking_latestmetric"
        " WHERE run_id IN (SELECT value FROM json_each(%s))",
        [ids],
    ):
        points[run_id].append(MetricValue(key, "NaN" if is_nan else value, timestamp, step))
    return [
        msgspec.structs.replace(record, metrics_json=msgspec.json.encode(points[record.run_id]).decode())
        if record.run_id in points
        else record
        for record in records
    ]


def run(actor: Actor, run_id: str) -> RunRecord:
    """Return a run with all it logged, also a deleted one. Raises NotFound."""
    allowed, who = readable(actor, "r.experiment_id")
    rows = sql.fetch(f"SELECT {run_columns()} FROM tracking_run r WHERE r.id = %s AND {allowed}", [run_id, *who])
    if not rows:
        raise no_run(run_id)
    return run_records(rows)[0]


def run_artifact_uri(actor: Actor, run_id: str) -> str:
    """Return where a run keeps its artifacts. Raises NotFound."""
    allowed, who = readable(actor, "r.experiment_id")
    row = sql.fetch_one(f"SELECT r.artifact_uri FROM tracking_run r WHERE r.id = %s AND {allowed}", [run_id, *who])
    if row is None:
        raise no_run(run_id)
    return str(row[0])


def metric_history(actor: Actor, run_id: str, key: str, *, limit: int | None = None, offset: int = 0) -> tuple[str | None, int]:
    """Return the points of a metric by time, step and value, as a JSON list (None if there are none), and how many there are.

    A run that is not there, or not the actor's to see, has none. One point more than the limit is counted, never listed.
    """
    allowed, who = readable(actor, "r.experiment_id")
    page = "" if limit is None else f" LIMIT {limit + 1:d} OFFSET {offset:d}"
    points = (
        "SELECT DISTINCT p.timestamp_ms, p.step, p.value, p.is_nan FROM tracking_metricpoint p"
        f" JOIN tracking_run r ON r.id = p.run_id WHERE p.run_id = %s AND p.key = %s AND {allowed}"
        f" ORDER BY p.timestamp_ms, p.step, p.value, p.is_nan{page}"
    )
    parameters = [run_id, key, *who]
    if sql.is_postgresql():
        # Text put together takes a quarter of the time of json_build_object; over a sorted subquery it comes out sorted.
        point = """%s || CASE WHEN q.is_nan THEN '"NaN"' ELSE q.value::text END || ',"timestamp":' || q.timestamp_ms
                   || ',"step":' || q.step || '}'"""
        listed = f"string_agg({point}, ',')" + ("" if limit is None else f" FILTER (WHERE q.n <= {limit:d})")
        numbered = points if limit is None else f"SELECT *, row_number() OVER () AS n FROM ({points}) o"
        head = '{"key":' + msgspec.json.encode(key).decode() + ',"value":'
        ((text, count),) = sql.fetch(f"SELECT {listed}, count(*) FROM ({numbered}) q", [head, *parameters])
        return f"[{text}]" if text is not None else None, count
    rows = sql.fetch(points, parameters)
    found = [MetricValue(key, "NaN" if is_nan else value, timestamp, step) for timestamp, step, value, is_nan in rows]
    return (msgspec.json.encode(found[:limit]).decode() if found else None), len(found)


def metric_points(actor: Actor, run_ids: Sequence[str], key: str, *, limit: int | None = None) -> list[MetricValue]:
    """Return the points of a metric of several runs, run by run in the order given, each by time, step and value.

    limit: how many points in all.
    """
    allowed, who = readable(actor, "r.experiment_id")
    found: dict[str, list[MetricValue]] = {run_id: [] for run_id in run_ids}
    for run_id, timestamp, step, value, is_nan in sql.fetch(
        "SELECT DISTINCT p.run_id, p.timestamp_ms, p.step, p.value, p.is_nan FROM tracking_metricpoint p"
        f" JOIN tracking_run r ON r.id = p.run_id WHERE p.run_id IN ({sql.marks(run_ids)}) AND p.key = %s AND {allowed}"
        " ORDER BY p.run_id, p.timestamp_ms, p.step, p.value, p.is_nan" + ("" if limit is None else f" LIMIT {limit:d}"),
        [*run_ids, key, *who],
    ):
        found[run_id].append(MetricValue(key, "NaN" if is_nan else value, timestamp, step, run_id))
    return [point for points in found.values() for point in points]


def sampled_points(
    actor: Actor, run_ids: Sequence[str], key: str, *, steps: tuple[int, int] | None, most: int
) -> list[MetricValue]:
    """Return up to ``most`` points of each run by step and time, spread evenly, the first and last always among them.

    A run that is named twice is answered twice. steps: first and last step wanted, both included; None for all.
    """
    own: dict[str, list[MetricValue]] = defaultdict(list)
    for point in metric_points(actor, list(dict.fromkeys(run_ids)), key):
        if steps is None or steps[0] <= point.step <= steps[1]:
            own[point.run_id].append(point)
    for points in own.values():
        points.sort(key=lambda point: (point.step, point.timestamp))  # which keeps their order by value
    return [own[run_id][at] for run_id in run_ids for at in spread(len(own[run_id]), most)]


def spread(count: int, most: int) -> list[int]:
    """Return up to ``most`` (at least 1) positions spread evenly over ``count``, first and last included; the last if only one.

    They are the first of each of ``most`` shares, of which the first ones are larger by one if need be, as SQL's NTILE has it.
    """
    if count <= most:
        return list(range(count))
    size, larger = divmod(count, most)
    return [at * size + min(at, larger) for at in range(most - 1)] + [count - 1]


def dataset_summaries(actor: Actor, experiment_ids: Sequence[int]) -> list[tuple[int, str, str, str | None]]:
    """Return (experiment, name, digest, context) of the data sets that runs of these experiments used; up to 1000."""
    allowed, who = readable(actor, "d.experiment_id")
    if sql.is_postgresql():
        context = "(SELECT x->>'value' FROM jsonb_array_elements(i.tags) x WHERE x->>'key' = 'mlflow.data.context' LIMIT 1)"
    else:
        context = (
            "(SELECT json_extract(x.value, '$.value') FROM json_each(i.tags) x"
            " WHERE json_extract(x.value, '$.key') = 'mlflow.data.context' LIMIT 1)"
        )
    return [
        (row[0], row[1], row[2], row[3])
        for row in sql.fetch(
            f"SELECT DISTINCT d.experiment_id, d.name, d.digest, {context} FROM tracking_inputdataset d"
            f" JOIN tracking_runinput i ON i.dataset_id = d.id WHERE d.experiment_id IN ({sql.marks(experiment_ids)}) AND {allowed}"
            " ORDER BY 1, 2, 3 LIMIT 1000",
            [*experiment_ids, *who],
        )
    ]


def logged_model_columns() -> str:
    """Return the columns of a LoggedModelRecord without its metrics, of a table called ``m``."""
    pair = sql.json_object(key="x.key", value="x.value")
    params = sql.json_list(pair, "tracking_loggedmodelparam x WHERE x.model_id = m.id")
    tags = sql.json_list(pair, "tracking_loggedmodeltag x WHERE x.model_id = m.id")
    return (
        "m.id, m.experiment_id, m.name, m.model_type, m.status, m.artifact_uri, m.source_run_id, m.created_ms, m.updated_ms,"
        f" m.deleted_ms, {params}, {tags}"
    )


def logged_model_records(rows: Sequence[sql.Row]) -> list[LoggedModelRecord]:
    """Return rows of ``logged_model_columns`` as records, with their metrics, which one more statement reads for all."""
    if not rows:
        return []
    ids = [row[0] for row in rows]
    points: dict[str, list[MetricValue]] = defaultdict(list)
    for model_id, key, value, is_nan, timestamp, step, run_id, name, digest in sql.fetch(
        "SELECT model_id, key, value, is_nan, timestamp_ms, step, run_id, dataset_name, dataset_digest FROM tracking_metricpoint"
        f" WHERE model_id IN ({sql.marks(ids)}) AND model_id <> '' ORDER BY key, timestamp_ms, step, value",
        ids,
    ):
        points[model_id].append(MetricValue(key, "NaN" if is_nan else value, timestamp, step, run_id, model_id, name, digest))
    return [LoggedModelRecord(*(*row, points.get(row[0], []))) for row in rows]


def logged_model(actor: Actor, model_id: str, *, deleted_too: bool = False) -> LoggedModelRecord:
    """Return a logged model. Raises NotFound."""
    allowed, who = readable(actor, "m.experiment_id")
    alive = "" if deleted_too else " AND m.deleted_ms IS NULL"
    rows = sql.fetch(
        f"SELECT {logged_model_columns()} FROM tracking_loggedmodel m WHERE m.id = %s AND {allowed}{alive}", [model_id, *who]
    )
    if not rows:
        raise NotFound(f"There is no logged model {model_id!r}, or you may not see it.")
    return logged_model_records(rows)[0]


def require_logged_models(actor: Actor, model_ids: Iterable[str], right: Callable[[Actor, str], tuple[str, list[Any]]]) -> None:
    """Return if the actor has a right, such as ``writable``, on each of these logged models. Raises NotFound.

    Metrics of a model are evidence for it, so nobody speaks about one that is not theirs.
    """
    wanted = list(model_ids)
    allowed, who = right(actor, "m.experiment_id")
    found = {
        row[0]
        for row in sql.fetch(
            f"SELECT m.id FROM tracking_loggedmodel m WHERE m.id IN ({sql.marks(wanted)}) AND {allowed}",
            [*wanted, *who],
        )
    }
    if missing := sorted(set(wanted) - found):
        raise NotFound(f"There is no logged model {missing[0]!r}, or it is not yours.")


def artifact_scope(actor: Actor, path: str, *, write: bool) -> str:
    """Return the scope under which the actor may read, or write, below this safe path: ``experiment:<id>``, or "" outside.

    The first step of a path is its experiment's id; else every experiment whose artifact location the path lies in must
    allow it. What lies in no experiment is common ground of those who may create experiments, and readable with the right to
    read them all. Raises NotFound if the actor may not read there, Denied if they may not write.
    """
    head = path.split("/")[0]
    if head.isascii() and head.isdigit():
        condition, values = "e.id = %s", [min(int(head), MAX_ID)]
    else:
        places = [paths.uri(step) for step in paths.with_ancestors(path)]
        condition, values = f"e.artifact_location IN ({sql.marks(places)})", places  # type: ignore[assignment]
    may_read, reader = readable(actor, "e.id")
    may_write, writer = writable(actor, "e.id")
    rows = sql.fetch(
        f"SELECT e.id, {may_read}, {may_write} FROM tracking_experiment e WHERE {condition}", [*reader, *writer, *values]
    )
    if rows:
        readable_all, writable_all = all(row[1] for row in rows), all(row[2] for row in rows)
    else:
        free = not (head.isascii() and head.isdigit())
        writable_all = free and actor.grants(Permission.EXPERIMENT_CREATE)
        readable_all = writable_all or (free and actor.grants(Permission.EXPERIMENT_READ))
    if not readable_all:
        raise NotFound(f"There is no artifact at {path!r}, or you may not see it.")
    if write and not writable_all:
        raise Denied(f"You may read {path!r} but not write there: it needs experiment:write; ask the experiment's owner.")
    return f"experiment:{rows[0][0]}" if rows else ""
