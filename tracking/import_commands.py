"""Take over what another tracking server holds: in batches, each one transaction, each fit to be done again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
from django.contrib.auth.models import Group
from django.db import connection, transaction

from artifacts import commands as artifact_commands
from artifacts import paths
from artifacts.queries import FileInfo
from artifacts.store import Source
from core import access, audit, sql
from core.access import Actor, Permission
from core.audit import Change, Event
from core.errors import Conflict, NotFound
from tracking.defaults import DEFAULT_EXPERIMENT_ID
from tracking.models import Experiment, ExperimentTag, Imported, ImportedKind, ImportOrigin
from tracking.moving import MovedExperiment, MovedLoggedModel, MovedPoint, MovedRun, mark
from tracking.points import POINT_COLUMNS, REPLACE_OLDER

_PAIR = {"key": "text", "value": "text"}
_SAME_POINT = ("run_id", "key", "timestamp_ms", "step", "value", "is_nan")


@dataclass(frozen=True)
class Begun:
    """What a batch came to. again: what is here already, in part or as it was before; its digest is set when it is finished."""

    new: list[str] = field(default_factory=list)
    again: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)

    @property
    def pending(self) -> list[str]:
        """What must still be finished."""
        return [*self.new, *self.again]


@transaction.atomic
def begin_import(*, actor: Actor, origin: str, experiment_names: Mapping[int, str], run_ids: Sequence[str] = ()) -> ImportOrigin:
    """Return the origin, made if it is new, once nothing here stands in its way.

    Raises Denied, and Conflict for experiments or runs here of the same name or id that did not come from this origin.
    """
    access.require(actor, Permission.SERVER_MOVE)
    found, _ = ImportOrigin.objects.get_or_create(name=origin)
    ours = {row.local_id for row in _rows(found, ImportedKind.EXPERIMENT)}
    names = {name for key, name in experiment_names.items() if key != DEFAULT_EXPERIMENT_ID}
    taken = sorted(e.name for e in _named(names) if str(e.pk) not in ours)
    if taken:
        raise Conflict(
            f"Here are experiments of the same name that did not come from {origin}: {_some(taken)}. Rename them here or there; if "
            "they came from this server under another address, give that address with --origin. Nothing was changed.",
            code="not_from_this_source",
        )
    _refuse_strangers("tracking_run", found, ImportedKind.RUN, run_ids)
    return found


@transaction.atomic
def import_experiments(
    *, actor: Actor, origin: ImportOrigin, experiments: Sequence[MovedExperiment], team: str = ""
) -> dict[int, tuple[int, str]]:
    """Take over experiments, with their ids where these are free; return id there -> (id here, "new", "changed" or "unchanged").

    What MLflow makes of itself, experiment 0, becomes ours. team: a group that may log to what is new. Raises Denied, NotFound.
    """
    access.require(actor, Permission.SERVER_MOVE)
    held = {row.source_id: row for row in _rows(origin, ImportedKind.EXPERIMENT)}
    group = _team(team)
    outcome: dict[int, tuple[int, str]] = {}
    changes = []
    for given in experiments:
        row = held.get(str(given.id))
        digest = mark(given)
        if row is not None and row.mark == digest:
            outcome[given.id] = (int(row.local_id), "unchanged")
            continue
        local = _write_experiment(given, int(row.local_id) if row else None)
        Imported.objects.update_or_create(
            origin=origin,
            kind=ImportedKind.EXPERIMENT,
            source_id=str(given.id),
            defaults={"local_id": str(local.pk), "location": given.artifact_location, "mark": digest},
        )
        if group is not None and row is None:
            access.grant(local, "experiment_write", groups=[group.pk])
        outcome[given.id] = (local.pk, "changed" if row else "new")
        said = {"origin": origin.name, "id": given.id, "name": given.name, "location": given.artifact_location}
        changes.append(Change(("experiment", local.pk), f"experiment:{local.pk}", after={**said, "digest": digest}))
    audit.record_many(actor, Event.EXPERIMENT_IMPORTED, changes)
    _follow_ids()
    return outcome


@transaction.atomic
def import_runs(*, actor: Actor, origin: ImportOrigin, runs: Sequence[MovedRun], again: bool = False) -> Begun:
    """Take over runs with parameters, tags, inputs and outputs; the points of those that are pending are to follow.

    The runs carry the ids of experiments here. again: also those that seem unchanged. Raises Denied, and Conflict for an id that
    is taken by a run from elsewhere.
    """
    access.require(actor, Permission.SERVER_MOVE)
    begun = _begin(origin, ImportedKind.RUN, "tracking_run", runs, again=again)
    chosen = _chosen(runs, begun)
    _forget(begun.again, {"tracking_param": "run_id", "tracking_runtag": "run_id", "tracking_runinput": "run_id"})
    _forget(begun.again, {"tracking_runmodellink": "run_id"})
    columns = {
        "id": "text", "experiment_id": "bigint", "name": "text", "user_id_text": "text", "status": "text", "start_ms": "bigint",
        "end_ms": "bigint", "deleted_ms": "bigint", "lifecycle_stage": "text", "artifact_uri": "text",
    }  # fmt: skip
    rows = [
        (r.id, r.experiment_id, r.name, r.user, r.status, r.start_ms, r.end_ms, r.deleted_ms, r.lifecycle_stage, _uri(r))
        for r in chosen
    ]
    sql.insert_many("tracking_run", columns, rows, _over("id", columns))
    for table, pairs in (("tracking_param", "params"), ("tracking_runtag", "tags")):
        sql.insert_many(
            table, {"run_id": "text", **_PAIR}, [(r.id, key, value) for r in chosen for key, value in getattr(r, pairs).items()]
        )
    _use_datasets(chosen)
    links = [(r.id, model_id, "input", 0) for r in chosen for model_id in r.model_inputs]
    links += [(r.id, model_id, "output", step) for r in chosen for model_id, step in r.model_outputs.items()]
    sql.insert_many("tracking_runmodellink", {"run_id": "text", "model_id": "text", "direction": "text", "step": "bigint"}, links)
    return begun


@transaction.atomic
def import_points(*, actor: Actor, points: Sequence[MovedPoint], again: bool = False) -> None:
    """Take over points of runs and keep of each metric the latest. again: some of them may be here already. Raises Denied."""
    access.require(actor, Permission.SERVER_MOVE)
    rows = [(p.run_id, p.key, p.timestamp_ms, p.step, p.value, p.is_nan, "", "", "") for p in points]
    if again:
        # A point that was measured on a model is here with the model's id.
        _insert_unless_there("tracking_metricpoint", POINT_COLUMNS, rows, _SAME_POINT)
    else:
        sql.insert_many("tracking_metricpoint", POINT_COLUMNS, rows, "ON CONFLICT DO NOTHING")
    latest: dict[tuple[str, str], MovedPoint] = {}
    for p in points:
        held = latest.get((p.run_id, p.key))
        if held is None or (p.step, p.timestamp_ms, p.value) > (held.step, held.timestamp_ms, held.value):
            latest[p.run_id, p.key] = p
    sql.insert_many(
        "tracking_latestmetric",
        POINT_COLUMNS,
        [(p.run_id, p.key, p.timestamp_ms, p.step, p.value, p.is_nan, "", "", "") for p in latest.values()],
        REPLACE_OLDER,
    )


@transaction.atomic
def import_model_points(*, actor: Actor, points: Sequence[MovedPoint]) -> None:
    """Say of points, which their runs brought, on which logged models they were measured. Raises Denied."""
    access.require(actor, Permission.SERVER_MOVE)
    same = "run_id = %s AND key = %s AND timestamp_ms = %s AND step = %s AND value = %s"
    with connection.cursor() as cursor:
        for p in points:
            which: list[Any] = [p.run_id, p.key, p.timestamp_ms, p.step, p.value]
            about: list[Any] = [p.model_id, p.dataset_name, p.dataset_digest]
            cursor.execute(f"SELECT is_nan, model_id FROM tracking_metricpoint WHERE {same}", which)
            held = cursor.fetchall()
            if any(model_id == p.model_id for _, model_id in held):
                continue
            for table, among in (("tracking_metricpoint", ""), ("tracking_latestmetric", "")):
                cursor.execute(
                    f"UPDATE {table} SET model_id = %s, dataset_name = %s, dataset_digest = %s WHERE {same} AND model_id = %s",
                    [*about, *which, among],
                )
            if all(model_id for _, model_id in held):  # another model was measured with the same outcome, or the run has no such
                is_nan = held[0][0] if held else False
                sql.insert("tracking_metricpoint", POINT_COLUMNS, [(*which, bool(is_nan), *about)], "ON CONFLICT DO NOTHING")


@transaction.atomic
def finish_runs(*, actor: Actor, origin: ImportOrigin, runs: Sequence[MovedRun], logged: Mapping[str, tuple[int, str]]) -> None:
    """Note that all of these runs is here. logged: run id -> how many points, and the digest of them. Raises Denied."""
    access.require(actor, Permission.SERVER_MOVE)
    _finish(origin, ImportedKind.RUN, runs)
    audit.record_many(
        actor,
        Event.RUN_IMPORTED,
        [
            Change(
                ("run", run.id),
                f"experiment:{run.experiment_id}",
                after={
                    "origin": origin.name,
                    "location": run.artifact_uri,
                    "user": run.user,
                    "digest": mark(run),
                    "points": logged.get(run.id, (0, ""))[0],
                    "points_digest": logged.get(run.id, (0, ""))[1],
                },
            )
            for run in runs
        ],
    )


@transaction.atomic
def import_logged_models(*, actor: Actor, origin: ImportOrigin, models: Sequence[MovedLoggedModel], again: bool = False) -> Begun:
    """Take over logged models with parameters and tags; their points follow, as those of runs. Raises as ``import_runs``."""
    access.require(actor, Permission.SERVER_MOVE)
    begun = _begin(origin, ImportedKind.LOGGED_MODEL, "tracking_loggedmodel", models, again=again)
    chosen = _chosen(models, begun)
    _forget(begun.again, {"tracking_loggedmodelparam": "model_id", "tracking_loggedmodeltag": "model_id"})
    columns = {
        "id": "text", "experiment_id": "bigint", "name": "text", "model_type": "text", "status": "text", "artifact_uri": "text",
        "source_run_id": "text", "created_ms": "bigint", "updated_ms": "bigint", "deleted_ms": "bigint",
    }  # fmt: skip
    rows = [
        (
            m.id,
            m.experiment_id,
            m.name,
            m.model_type,
            m.status,
            _uri(m),
            m.source_run_id,
            m.created_ms,
            m.updated_ms,
            m.deleted_ms,
        )
        for m in chosen
    ]
    sql.insert_many("tracking_loggedmodel", columns, rows, _over("id", columns))
    for table, pairs in (("tracking_loggedmodelparam", "params"), ("tracking_loggedmodeltag", "tags")):
        sql.insert_many(
            table, {"model_id": "text", **_PAIR}, [(m.id, key, value) for m in chosen for key, value in getattr(m, pairs).items()]
        )
    return begun


@transaction.atomic
def finish_logged_models(*, actor: Actor, origin: ImportOrigin, models: Sequence[MovedLoggedModel]) -> None:
    """Note that all of these logged models is here. Raises Denied."""
    access.require(actor, Permission.SERVER_MOVE)
    _finish(origin, ImportedKind.LOGGED_MODEL, models)
    audit.record_many(
        actor,
        Event.LOGGED_MODEL_IMPORTED,
        [
            Change(
                ("logged_model", model.id),
                f"experiment:{model.experiment_id}",
                after={"origin": origin.name, "location": model.artifact_uri, "digest": mark(model)},
            )
            for model in models
        ],
    )


def import_artifact(*, actor: Actor, path: str, stream: Source, scope: str, expected_bytes: int | None = None) -> FileInfo:
    """Store a file of what was brought over. Raises Denied, Invalid, and Conflict where a version froze another content."""
    access.require(actor, Permission.SERVER_MOVE)
    return artifact_commands.put_file(actor=actor, path=path, stream=stream, expected_bytes=expected_bytes, scope=scope)


@transaction.atomic
def note_files(*, actor: Actor, imported_id: int, files_mark: str) -> None:
    """Note that all artifacts of something are here, by the digest of the source's list of them. Raises Denied."""
    access.require(actor, Permission.SERVER_MOVE)
    Imported.objects.filter(pk=imported_id).update(files_mark=files_mark)


def _write_experiment(given: MovedExperiment, local_id: int | None) -> Experiment:
    content = {
        "name": given.name,
        "lifecycle_stage": given.lifecycle_stage,
        "created_ms": given.created_ms,
        "updated_ms": given.updated_ms,
    }
    if local_id is None and (given.id == DEFAULT_EXPERIMENT_ID or not Experiment.objects.filter(pk=given.id).exists()):
        local_id = given.id
    if local_id is None:
        local = Experiment.objects.create(**content)
    else:
        local, _ = Experiment.objects.update_or_create(pk=local_id, defaults=content)
    if not local.artifact_location:
        local.artifact_location = paths.uri(str(local.pk))
        local.save(update_fields=["artifact_location"])
    ExperimentTag.objects.filter(experiment=local).delete()
    ExperimentTag.objects.bulk_create([ExperimentTag(experiment=local, key=key, value=given.tags[key]) for key in given.tags])
    return local


def _follow_ids() -> None:
    """Let PostgreSQL count on from the greatest id given; SQLite does so by itself."""
    if sql.is_postgresql():
        sql.fetch(
            "SELECT setval(pg_get_serial_sequence('tracking_experiment', 'id'), (SELECT GREATEST(MAX(id), 1) FROM tracking_experiment))"
        )


def _begin(
    origin: ImportOrigin, kind: ImportedKind, table: str, given: Sequence[MovedRun | MovedLoggedModel], *, again: bool
) -> Begun:
    held = {row.source_id: row.mark for row in _rows(origin, kind, [record.id for record in given])}
    _refuse_strangers(table, origin, kind, [record.id for record in given if record.id not in held])
    begun = Begun()
    for record in given:
        if record.id not in held:
            begun.new.append(record.id)
        elif again or held[record.id] != mark(record):
            begun.again.append(record.id)
        else:
            begun.unchanged.append(record.id)
    chosen = set(begun.pending)
    sql.insert_many(
        "tracking_imported",
        {
            "origin_id": "bigint", "kind": "text", "source_id": "text", "local_id": "text", "location": "text", "mark": "text",
            "files_mark": "text",
        },
        [(origin.pk, kind.value, r.id, r.id, r.artifact_uri, "", "") for r in given if r.id in chosen],
        "ON CONFLICT (origin_id, kind, source_id) DO UPDATE SET mark = excluded.mark, location = excluded.location",
    )  # fmt: skip
    return begun


def _finish(origin: ImportOrigin, kind: ImportedKind, records: Sequence[MovedRun | MovedLoggedModel]) -> None:
    rows = [(origin.pk, kind.value, r.id, r.id, r.artifact_uri, mark(r), "") for r in records]
    sql.insert_many(
        "tracking_imported",
        {
            "origin_id": "bigint", "kind": "text", "source_id": "text", "local_id": "text", "location": "text", "mark": "text",
            "files_mark": "text",
        },
        rows,
        "ON CONFLICT (origin_id, kind, source_id) DO UPDATE SET mark = excluded.mark",
    )  # fmt: skip


def _refuse_strangers(table: str, origin: ImportOrigin, kind: ImportedKind, ids: Sequence[str]) -> None:
    """Refuse ids that are taken here by something that did not come from this origin."""
    statement = f"""SELECT id FROM {table} t WHERE id IN ({sql.marks(ids)}) AND NOT EXISTS (
        SELECT 1 FROM tracking_imported i WHERE i.origin_id = %s AND i.kind = %s AND i.source_id = t.id)"""
    taken = sorted(row[0] for row in sql.fetch(statement, [*ids, origin.pk, kind.value]))
    if taken:
        noun = "runs" if kind == ImportedKind.RUN else "logged models"
        raise Conflict(
            f"Here are {noun} with the same ids that did not come from {origin.name}: {_some(taken)}. If they came from this server "
            "under another address, give that address with --origin. Nothing of this batch was changed.",
            code="not_from_this_source",
        )


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")


def _rows(origin: ImportOrigin, kind: ImportedKind, ids: Sequence[str] | None = None) -> list[Imported]:
    rows = Imported.objects.filter(origin=origin, kind=kind)
    return list(rows if ids is None else rows.filter(source_id__in=ids))


def _named(names: Iterable[str]) -> Iterable[Experiment]:
    listed = sorted(names)
    for start in range(0, len(listed), 500):
        yield from Experiment.objects.filter(name__in=listed[start : start + 500])


def _team(name: str) -> Group | None:
    if not name:
        return None
    found = Group.objects.filter(name=name).first()
    if found is None:
        raise NotFound(f"There is no team {name!r}.")
    return found


def _chosen(given: Sequence[Any], begun: Begun) -> list[Any]:
    wanted = set(begun.pending)
    return [record for record in given if record.id in wanted]


def _uri(record: MovedRun | MovedLoggedModel) -> str:
    """Return where the artifacts of a run or logged model lie here: where they would if it had been logged here."""
    return paths.uri(folder_of(record.experiment_id, record.id))


def folder_of(experiment_id: int, record_id: str) -> str:
    """Return the folder of the artifact tree in which the artifacts of an imported run or logged model lie."""
    middle = "models/" if record_id.startswith("m-") else ""
    return f"{experiment_id}/{middle}{record_id}/artifacts"


def _over(key: str, columns: Mapping[str, str]) -> str:
    assigned = ", ".join(f"{name} = excluded.{name}" for name in columns if name != key)
    return f"ON CONFLICT ({key}) DO UPDATE SET {assigned}"


def _forget(ids: Sequence[str], owned: Mapping[str, str]) -> None:
    for table, owner in owned.items():
        if ids:
            sql.run(f"DELETE FROM {table} WHERE {owner} IN ({sql.marks(ids)})", ids)


def _use_datasets(runs: Sequence[MovedRun]) -> None:
    used = {(r.experiment_id, d.name, d.digest): d for r in runs for d in r.datasets}
    if not used:
        return
    sql.insert_many(
        "tracking_inputdataset",
        {
            "experiment_id": "bigint", "name": "text", "digest": "text", "source_type": "text", "source": "text", "schema": "text",
            "profile": "text",
        },
        [(key[0], d.name, d.digest, d.source_type, d.source, d.schema, d.profile) for key, d in used.items()],
        "ON CONFLICT (experiment_id, name, digest) DO NOTHING",
    )  # fmt: skip
    experiments = sorted({key[0] for key in used})
    digests = sorted({key[2] for key in used})
    ids = {
        (experiment, name, digest): pk
        for pk, experiment, name, digest in sql.fetch(
            f"""SELECT id, experiment_id, name, digest FROM tracking_inputdataset
                 WHERE experiment_id IN ({sql.marks(experiments)}) AND digest IN ({sql.marks(digests)})""",
            [*experiments, *digests],
        )
    }
    sql.insert_many(
        "tracking_runinput",
        {"run_id": "text", "dataset_id": "bigint", "tags": "jsonb"},
        [
            (
                run.id,
                ids[run.experiment_id, d.name, d.digest],
                msgspec.json.encode([{"key": key, "value": value} for key, value in d.tags.items()]).decode(),
            )
            for run in runs
            for d in run.datasets
        ],
    )


def _insert_unless_there(table: str, columns: dict[str, str], rows: Sequence[Sequence[Any]], same: Sequence[str]) -> None:
    names = ", ".join(columns)
    if sql.is_postgresql():
        there = " AND ".join(f"t.{name} = given.{name}" for name in same)
        typed = ", ".join(f"{name} {kind}" for name, kind in columns.items())
        records = [dict(zip(columns, row, strict=True)) for row in rows]
        sql.run(
            f"INSERT INTO {table} ({names}) SELECT {names} FROM json_to_recordset(%s::json) AS given({typed})"
            f" WHERE NOT EXISTS (SELECT 1 FROM {table} t WHERE {there})",
            [msgspec.json.encode(records).decode()],
        )
        return
    there = " AND ".join(f"{name} = %({name})s" for name in same)
    values = ", ".join(f"%({name})s" for name in columns)
    sql.run_many(
        f"INSERT INTO {table} ({names}) SELECT {values} WHERE NOT EXISTS (SELECT 1 FROM {table} WHERE {there})",
        [dict(zip(columns, row, strict=True)) for row in rows],
    )
