"""Write into an MLflow server's database, each batch one transaction, fit to be done again: what is there already is replaced."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any

import psycopg

from core.errors import Conflict
from interfaces.moving.database import Connection
from interfaces.moving.schema import OWN_REVISION, TABLES
from registry.moving import MovedModel, MovedVersion
from tracking.moving import MovedExperiment, MovedLoggedModel, MovedPoint, MovedRun

_STATUSES = {"LOGGED_MODEL_PENDING": 1, "LOGGED_MODEL_READY": 2, "LOGGED_MODEL_UPLOAD_FAILED": 3}
_AT_ONCE = 5000


def make_tables(connection: Connection) -> None:
    """Make the tables of an export in a new file of SQLite."""
    connection.script(TABLES)
    if not connection.fetch("SELECT 1 FROM alembic_version"):
        connection.run("INSERT INTO alembic_version VALUES (%s)", [OWN_REVISION])


class Writer:
    """Writes what we hold as MLflow's rows."""

    def __init__(self, connection: Connection) -> None:
        """Look how the tables are keyed: newer servers have workspaces, all of them one named default."""
        self._db = connection
        self._model_key = "workspace, name" if "workspace" in connection.columns("registered_models") else "name"
        self._version_key = f"{self._model_key}, version"

    def experiments(self, given: Sequence[MovedExperiment]) -> None:
        """Write experiments with their tags."""
        with self._transaction():
            columns = "experiment_id, name, artifact_location, lifecycle_stage, creation_time, last_update_time"
            rows = [(e.id, e.name, e.artifact_location, e.lifecycle_stage, e.created_ms, e.updated_ms) for e in given]
            self._put("experiments", columns, rows, "experiment_id")
            self._pairs("experiment_tags", "experiment_id", [(e.id, e.tags) for e in given])
            if self._db.postgresql:
                self._db.run(
                    "SELECT setval(pg_get_serial_sequence('experiments', 'experiment_id'), (SELECT GREATEST(MAX(experiment_id), 1)"
                    " FROM experiments))"
                )

    def runs(self, given: Sequence[MovedRun]) -> None:
        """Write runs without their points; points that are there go, to be written anew."""
        ids = [run.id for run in given]
        with self._transaction():
            columns = (
                "run_uuid, name, user_id, status, start_time, end_time, deleted_time, lifecycle_stage, artifact_uri, experiment_id,"
                " source_type, source_name, entry_point_name, source_version"
            )
            rows = [
                (
                    r.id, r.name, r.user, r.status, r.start_ms, r.end_ms, r.deleted_ms, r.lifecycle_stage, r.artifact_uri,
                    r.experiment_id, "UNKNOWN", "", "", "",
                )
                for r in given
            ]  # fmt: skip
            self._put("runs", columns, rows, "run_uuid")
            self._forget(["metrics", "latest_metrics"], "run_uuid", ids)
            self._pairs("params", "run_uuid", [(r.id, r.params) for r in given])
            self._pairs("tags", "run_uuid", [(r.id, r.tags) for r in given])
            self._links(given)

    def points(self, given: Iterable[MovedPoint]) -> int:
        """Write points of runs and of each metric the latest; return how many."""
        count = 0
        for part in _batches(given):
            with self._transaction():
                self._db.run_many(
                    "INSERT INTO metrics (run_uuid, key, timestamp, step, value, is_nan) VALUES (%s, %s, %s, %s, %s, %s)"
                    " ON CONFLICT DO NOTHING",
                    [(p.run_id, p.key, p.timestamp_ms, p.step, p.value, p.is_nan) for p in part],
                )
                latest: dict[tuple[str, str], MovedPoint] = {}
                for p in part:
                    held = latest.get((p.run_id, p.key))
                    if held is None or (p.step, p.timestamp_ms, p.value) > (held.step, held.timestamp_ms, held.value):
                        latest[p.run_id, p.key] = p
                self._db.run_many(
                    "INSERT INTO latest_metrics (run_uuid, key, timestamp, step, value, is_nan) VALUES (%s, %s, %s, %s, %s, %s)"
                    " ON CONFLICT (run_uuid, key) DO UPDATE SET timestamp = excluded.timestamp, step = excluded.step,"
                    " value = excluded.value, is_nan = excluded.is_nan WHERE (excluded.step, excluded.timestamp, excluded.value)"
                    " > (latest_metrics.step, latest_metrics.timestamp, latest_metrics.value)",
                    [(p.run_id, p.key, p.timestamp_ms, p.step, p.value, p.is_nan) for p in latest.values()],
                )
            count += len(part)
        return count

    def logged_models(self, given: Sequence[MovedLoggedModel]) -> None:
        """Write logged models without their points."""
        with self._transaction():
            columns = (
                "model_id, experiment_id, name, artifact_location, creation_timestamp_ms, last_updated_timestamp_ms, status,"
                " lifecycle_stage, model_type, source_run_id"
            )
            rows = [
                (
                    m.id, m.experiment_id, m.name, m.artifact_uri, m.created_ms, m.updated_ms, _STATUSES[m.status],
                    "active" if m.deleted_ms is None else "deleted", m.model_type, m.source_run_id or None,
                )
                for m in given
            ]  # fmt: skip
            self._put("logged_models", columns, rows, "model_id")
            for table, key, value, pairs in (
                ("logged_model_params", "param_key", "param_value", "params"),
                ("logged_model_tags", "tag_key", "tag_value", "tags"),
            ):
                self._forget([table], "model_id", [m.id for m in given])
                self._db.run_many(
                    f"INSERT INTO {table} (model_id, experiment_id, {key}, {value}) VALUES (%s, %s, %s, %s)",
                    [(m.id, m.experiment_id, k, v) for m in given for k, v in getattr(m, pairs).items()],
                )

    def model_points(self, given: Iterable[MovedPoint], experiments: dict[str, int]) -> None:
        """Write points that were measured on logged models. experiments: model id -> id of its experiment."""
        for part in _batches(given):
            with self._transaction():
                self._db.run_many(
                    "INSERT INTO logged_model_metrics (model_id, metric_name, metric_timestamp_ms, metric_step, metric_value,"
                    " experiment_id, run_id, dataset_name, dataset_digest) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)"
                    " ON CONFLICT DO NOTHING",
                    [
                        (
                            p.model_id, p.key, p.timestamp_ms, p.step, p.value, experiments[p.model_id], p.run_id,
                            p.dataset_name or None, p.dataset_digest or None,
                        )
                        for p in part
                    ],
                )  # fmt: skip

    def models(self, given: Sequence[MovedModel], versions: Sequence[MovedVersion]) -> None:
        """Write registered models with their versions, tags and aliases."""
        names = [model.name for model in given]
        with self._transaction():
            rows: list[tuple[Any, ...]] = [(m.name, m.description, m.created_ms, m.updated_ms) for m in given]
            self._put("registered_models", "name, description, creation_time, last_updated_time", rows, self._model_key)
            self._forget(["registered_model_tags", "registered_model_aliases", "model_version_tags"], "name", names)
            self._pairs("registered_model_tags", "name", [(m.name, m.tags) for m in given], forget=False)
            columns = (
                "name, version, description, user_id, creation_time, last_updated_time, current_stage, source, storage_location,"
                " run_id, run_link, status, status_message"
            )
            rows = [
                (
                    v.model, v.number, v.description, v.user, v.created_ms, v.updated_ms, v.stage, v.source, v.address, v.run_id,
                    v.run_link, v.status, v.status_message,
                )
                for v in versions
            ]  # fmt: skip
            self._put("model_versions", columns, rows, self._version_key)
            self._db.run_many(
                "INSERT INTO model_version_tags (name, version, key, value) VALUES (%s, %s, %s, %s)",
                [(v.model, v.number, key, value) for v in versions for key, value in v.tags.items()],
            )
            self._db.run_many(
                "INSERT INTO registered_model_aliases (name, alias, version) VALUES (%s, %s, %s)",
                [(m.name, alias, number) for m in given for alias, number in m.aliases.items()],
            )

    def _links(self, runs: Sequence[MovedRun]) -> None:
        ids = [run.id for run in runs]
        marks = ", ".join(["%s"] * len(ids)) or "NULL"
        self._db.run(f"DELETE FROM inputs WHERE source_type = 'DATASET' AND destination_id IN ({marks})", ids)
        self._db.run(f"DELETE FROM inputs WHERE source_type IN ('RUN_INPUT', 'RUN_OUTPUT') AND source_id IN ({marks})", ids)
        used = [(run, data, _id(run.experiment_id, data.name, data.digest)) for run in runs for data in run.datasets]
        self._db.run_many(
            "INSERT INTO datasets (dataset_uuid, experiment_id, name, digest, dataset_source_type, dataset_source, dataset_schema,"
            " dataset_profile) VALUES (%s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
            [(key, r.experiment_id, d.name, d.digest, d.source_type, d.source, d.schema, d.profile) for r, d, key in used],
        )
        links = [(_id(run.id, key), "DATASET", key, "RUN", run.id, 0) for run, _, key in used]
        links += [(_id(r.id, m, "in"), "RUN_INPUT", r.id, "MODEL_INPUT", m, 0) for r in runs for m in r.model_inputs]
        links += [
            (_id(r.id, m, "out"), "RUN_OUTPUT", r.id, "MODEL_OUTPUT", m, s) for r in runs for m, s in r.model_outputs.items()
        ]
        self._db.run_many(
            "INSERT INTO inputs (input_uuid, source_type, source_id, destination_type, destination_id, step)"
            " VALUES (%s, %s, %s, %s, %s, %s)",
            links,
        )
        tags = [(_id(run.id, key), name, value) for run, data, key in used for name, value in data.tags.items()]
        self._db.run_many("DELETE FROM input_tags WHERE input_uuid = %s", [(key,) for key in sorted({tag[0] for tag in tags})])
        self._db.run_many("INSERT INTO input_tags (input_uuid, name, value) VALUES (%s, %s, %s)", tags)

    def _put(self, table: str, columns: str, rows: Sequence[Sequence[Any]], key: str) -> None:
        names = columns.split(", ")
        held = {name.strip() for name in key.split(",")}
        assigned = ", ".join(f"{name} = excluded.{name}" for name in names if name not in held)
        self._db.run_many(
            f"INSERT INTO {table} ({columns}) VALUES ({', '.join(['%s'] * len(names))})"
            f" ON CONFLICT ({key}) DO UPDATE SET {assigned}",
            rows,
        )

    def _pairs(self, table: str, owner: str, given: Sequence[tuple[Any, dict[str, str]]], *, forget: bool = True) -> None:
        if forget:
            self._forget([table], owner, [key for key, _ in given])
        self._db.run_many(
            f"INSERT INTO {table} ({owner}, key, value) VALUES (%s, %s, %s)",
            [(held_by, key, value) for held_by, pairs in given for key, value in pairs.items()],
        )

    def _forget(self, tables: Sequence[str], owner: str, ids: Sequence[Any]) -> None:
        for table in tables:
            self._db.run_many(f"DELETE FROM {table} WHERE {owner} = %s", [(key,) for key in ids])

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        try:
            self._db.begin()
            yield
            self._db.commit()
        except (psycopg.Error, sqlite3.Error) as error:
            self._db.rollback()
            said = str(error).strip().splitlines()[0]
            raise Conflict(f"The database refuses a batch, which was not written: {said}.") from None
        except BaseException:
            self._db.rollback()
            raise


def _id(*parts: object) -> str:
    """Return an id that is the same whenever the same is written."""
    return hashlib.sha256("\0".join(map(str, parts)).encode()).hexdigest()[:32]


def _batches(points: Iterable[MovedPoint]) -> Iterator[list[MovedPoint]]:
    walk = iter(points)
    while batch := list(islice(walk, _AT_ONCE)):
        yield batch
