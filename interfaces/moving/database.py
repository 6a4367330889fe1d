"""Read an MLflow server's database with SQL: in batches by key, so that memory does not grow with what is there."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg

from core.errors import Invalid, NotFound
from interfaces.moving.schema import OWN_REVISION, REVISIONS
from registry.moving import MovedModel, MovedVersion
from tracking.moving import (
    BATCH,
    MovedDataset,
    MovedExperiment,
    MovedLoggedModel,
    MovedPoint,
    MovedRun,
    known_status,
)

Row = tuple[Any, ...]

_STATUSES = {1: "LOGGED_MODEL_PENDING", 2: "LOGGED_MODEL_READY", 3: "LOGGED_MODEL_UPLOAD_FAILED"}
_NEEDED = ("experiments", "runs", "metrics", "params", "tags", "registered_models", "model_versions", "registered_model_aliases")
_DEFAULT = "default"  # the only workspace of a server that has none


class Connection:
    """A connection to a database of MLflow's, with one way of writing statements for both engines."""

    def __init__(self, address: str, *, write: bool = False) -> None:
        """Connect. Raises Invalid for an address that is none, NotFound where no database answers."""
        self.shown = address.partition("://")[0].partition("+")[0]
        self._raw: Any
        if address.startswith("sqlite:///"):
            path = Path(address.removeprefix("sqlite:///").partition("?")[0])
            if not path.is_file():
                raise NotFound(f"There is no database file {path}.")
            # Opened to be read only: what is moved from must not change.
            uri = f"{path.resolve().as_uri()}?mode={'rw' if write else 'ro'}"
            self._raw = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=60)
            self.postgresql = False
        elif urlsplit(address).scheme.partition("+")[0] in ("postgresql", "postgres"):
            plain = f"postgresql://{address.partition('://')[2]}"
            try:
                self._raw = psycopg.connect(plain, autocommit=True, connect_timeout=10)
            except psycopg.Error as error:
                raise NotFound(f"The database cannot be reached: {str(error).strip().splitlines()[0]}") from None
            self.postgresql = True
        else:
            raise Invalid("A database is named by sqlite:///path or postgresql://user@host/name.")

    def fetch(self, statement: str, parameters: Sequence[Any] = ()) -> list[Row]:
        """Return all rows of a statement, which marks parameters by ``%s``."""
        return list(self._raw.execute(self._spelled(statement), list(parameters)).fetchall())

    def stream(self, statement: str, parameters: Sequence[Any] = ()) -> Iterator[Row]:
        """Yield the rows of a statement, a few thousand in memory at once."""
        if not self.postgresql:
            yield from self._raw.execute(self._spelled(statement), list(parameters))
            return
        with self._raw.transaction(), self._raw.cursor(name="moving") as cursor:
            cursor.itersize = 5000
            yield from cursor.execute(statement, list(parameters))

    def run(self, statement: str, parameters: Sequence[Any] = ()) -> None:
        """Carry out a statement."""
        self._raw.execute(self._spelled(statement), list(parameters))

    def run_many(self, statement: str, rows: Sequence[Sequence[Any]]) -> None:
        """Carry out a statement for each of many rows."""
        if rows:
            cursor = self._raw.cursor()
            cursor.executemany(self._spelled(statement), rows)
            cursor.close()

    def begin(self) -> None:
        """Begin a transaction."""
        self._raw.execute("BEGIN")

    def commit(self) -> None:
        """End a transaction."""
        self._raw.execute("COMMIT")

    def rollback(self) -> None:
        """Undo a transaction, if one is open."""
        if not self.postgresql and not self._raw.in_transaction:
            return
        self._raw.execute("ROLLBACK")

    def script(self, statements: str) -> None:
        """Carry out several statements, on SQLite."""
        self._raw.executescript(statements)

    def tables(self) -> set[str]:
        """Return the names of the tables."""
        if self.postgresql:
            return {
                row[0] for row in self.fetch("SELECT tablename FROM pg_tables WHERE schemaname = ANY (current_schemas(false))")
            }
        return {row[0] for row in self.fetch("SELECT name FROM sqlite_master WHERE type = 'table'")}

    def columns(self, table: str) -> set[str]:
        """Return the names of a table's columns."""
        if self.postgresql:
            return {
                row[0]
                for row in self.fetch(
                    "SELECT column_name FROM information_schema.columns WHERE table_name = %s"
                    " AND table_schema = ANY (current_schemas(false))",
                    [table],
                )
            }
        return {row[1] for row in self.fetch(f"PRAGMA table_info({table})")}

    def close(self) -> None:
        """Close the connection."""
        self._raw.close()

    def _spelled(self, statement: str) -> str:
        return statement if self.postgresql else statement.replace("%s", "?")


class Database:
    """An MLflow server by its database."""

    lists_deleted_models = True

    def __init__(self, connection: Connection) -> None:
        """Look whether this is a database of a kind that is known. Raises Invalid."""
        self._db = connection
        self._tables = _known(connection)
        self._workspaces = "workspace" in connection.columns("experiments")
        self._steps = "step" in connection.columns("inputs") if "inputs" in self._tables else False
        self._here = f"e.workspace = '{_DEFAULT}'" if self._workspaces else "1 = 1"

    def counts(self) -> dict[str, int]:
        """Return how many there are of each kind, but for points, which take long to count."""
        inside = f"experiment_id IN (SELECT e.experiment_id FROM experiments e WHERE {self._here})"
        found = {
            "experiments": self._count(f"experiments e WHERE {self._here}"),
            "runs": self._count(f"runs WHERE {inside}"),
            "models": self._count(f"registered_models e WHERE {self._here}"),
            "versions": self._count(f"model_versions e WHERE {self._here}"),
        }
        if "logged_models" in self._tables:
            found["logged models"] = self._count(f"logged_models WHERE {inside}")
        return found

    def notes(self) -> list[str]:
        """Return what is there and not read."""
        said = []
        if self._workspaces:
            elsewhere = self._count("experiments e WHERE e.workspace <> %s", [_DEFAULT])
            elsewhere += self._count("registered_models e WHERE e.workspace <> %s", [_DEFAULT])
            if elsewhere:
                said.append(f"{elsewhere} experiments and models of other workspaces are left out; only {_DEFAULT!r} is read.")
        if "trace_info" in self._tables and (traces := self._count("trace_info")):
            said.append(f"{traces} traces are left out: Countersign keeps none.")
        return said

    def experiments(self) -> Iterator[MovedExperiment]:
        """Yield all experiments by id."""
        rows = self._db.fetch(
            f"""SELECT e.experiment_id, e.name, e.artifact_location, e.lifecycle_stage, e.creation_time, e.last_update_time
                  FROM experiments e WHERE {self._here} ORDER BY e.experiment_id"""
        )
        for start in range(0, len(rows), BATCH):
            part = rows[start : start + BATCH]
            tags = self._pairs("experiment_tags", "experiment_id", [row[0] for row in part])
            for key, name, location, stage, created, updated in part:
                created = created or 0
                yield MovedExperiment(
                    key, name, location or "", stage or "active", created, updated or created, tags.get(key, {})
                )

    def runs(self) -> Iterator[list[MovedRun]]:
        """Yield all runs by id."""
        last = ""
        while rows := self._db.fetch(
            f"""SELECT r.run_uuid FROM runs r JOIN experiments e ON e.experiment_id = r.experiment_id
                 WHERE r.run_uuid > %s AND {self._here} ORDER BY r.run_uuid LIMIT {BATCH}""",
            [last],
        ):
            ids = [row[0] for row in rows]
            yield self.runs_of(ids)
            last = ids[-1]

    def runs_of(self, ids: Sequence[str]) -> list[MovedRun]:
        """Return runs by id."""
        marks = _marks(ids)
        params, tags = self._pairs("params", "run_uuid", ids), self._pairs("tags", "run_uuid", ids)
        counts: dict[str, int] = dict(
            self._db.fetch(f"SELECT run_uuid, COUNT(*) FROM metrics WHERE run_uuid IN ({marks}) GROUP BY run_uuid", ids)
        )
        datasets, inputs, outputs = self._links(ids)
        rows = self._db.fetch(
            f"""SELECT run_uuid, experiment_id, name, user_id, status, start_time, end_time, deleted_time, lifecycle_stage, artifact_uri
                  FROM runs WHERE run_uuid IN ({marks}) ORDER BY run_uuid""",
            ids,
        )
        return [
            MovedRun(
                key,
                experiment_id,
                name or "",
                user or "",
                status or "RUNNING",
                start or 0,
                end,
                deleted,
                stage or "active",
                uri or "",
                params.get(key, {}),
                tags.get(key, {}),
                sorted(datasets.get(key, []), key=lambda d: (d.name, d.digest)),
                sorted(inputs.get(key, [])),
                outputs.get(key, {}),
                str(counts.get(key, 0)),
            )
            for key, experiment_id, name, user, status, start, end, deleted, stage, uri in rows
        ]

    def points(self, runs: Sequence[MovedRun]) -> Iterator[MovedPoint]:
        """Yield all points of runs."""
        ids = [run.id for run in runs]
        statement = f"SELECT run_uuid, key, timestamp, step, value, is_nan FROM metrics WHERE run_uuid IN ({_marks(ids)})"
        for run_id, key, timestamp, step, value, is_nan in self._db.stream(statement, ids):
            yield MovedPoint(run_id, key, timestamp, step, float(value), bool(is_nan))

    def logged_models(self) -> Iterator[list[MovedLoggedModel]]:
        """Yield all logged models by id."""
        last = ""
        while "logged_models" in self._tables and (
            rows := self._db.fetch(
                f"""SELECT m.model_id FROM logged_models m JOIN experiments e ON e.experiment_id = m.experiment_id
                     WHERE m.model_id > %s AND {self._here} ORDER BY m.model_id LIMIT {BATCH}""",
                [last],
            )
        ):
            ids = [row[0] for row in rows]
            yield self.logged_models_of(ids)
            last = ids[-1]

    def logged_models_of(self, ids: Sequence[str]) -> list[MovedLoggedModel]:
        """Return logged models by id."""
        params = self._pairs("logged_model_params", "model_id", ids, "param_key", "param_value")
        tags = self._pairs("logged_model_tags", "model_id", ids, "tag_key", "tag_value")
        marks = _marks(ids)
        counts: dict[str, int] = dict(
            self._db.fetch(
                f"SELECT model_id, COUNT(*) FROM logged_model_metrics WHERE model_id IN ({marks}) GROUP BY model_id", ids
            )
        )
        rows = self._db.fetch(
            f"""SELECT model_id, experiment_id, name, model_type, status, artifact_location, source_run_id, creation_timestamp_ms,
                       last_updated_timestamp_ms, lifecycle_stage FROM logged_models WHERE model_id IN ({marks}) ORDER BY model_id""",
            ids,
        )
        return [
            MovedLoggedModel(
                key,
                experiment_id,
                name,
                model_type or "",
                known_status(_STATUSES.get(status, "")),
                location or "",
                run_id or "",
                created,
                updated,
                updated if stage == "deleted" else None,
                params.get(key, {}),
                tags.get(key, {}),
                str(counts.get(key, 0)),
            )
            for key, experiment_id, name, model_type, status, location, run_id, created, updated, stage in rows
        ]

    def model_points(self, models: Sequence[MovedLoggedModel]) -> Iterator[MovedPoint]:
        """Yield all points that were measured on logged models."""
        ids = [model.id for model in models]
        statement = f"""SELECT run_id, metric_name, metric_timestamp_ms, metric_step, metric_value, model_id, dataset_name,
                               dataset_digest FROM logged_model_metrics WHERE model_id IN ({_marks(ids)})"""
        for run_id, key, timestamp, step, value, model_id, name, digest in self._db.stream(statement, ids):
            yield MovedPoint(run_id, key, timestamp, step, float(value or 0), False, model_id, name or "", digest or "")

    def models(self) -> Iterator[list[MovedModel]]:
        """Yield all registered models by name."""
        last = ""
        while rows := self._db.fetch(
            f"SELECT e.name FROM registered_models e WHERE e.name > %s AND {self._here} ORDER BY e.name LIMIT {BATCH // 5}",
            [last],
        ):
            names = [row[0] for row in rows]
            yield self.models_of(names)
            last = names[-1]

    def models_of(self, names: Sequence[str]) -> list[MovedModel]:
        """Return registered models by name."""
        which = f"e.name IN ({_marks(names)}) AND {self._here}"
        tags: dict[str, dict[str, str]] = {}
        for name, key, value in self._db.fetch(
            f"SELECT e.name, e.key, e.value FROM registered_model_tags e WHERE {which}", names
        ):
            tags.setdefault(name, {})[key] = value or ""
        aliases: dict[str, dict[str, int]] = {}
        for name, alias, number in self._db.fetch(
            f"SELECT e.name, e.alias, e.version FROM registered_model_aliases e WHERE {which}", names
        ):
            aliases.setdefault(name, {})[alias] = number
        rows = self._db.fetch(
            f"""SELECT e.name, e.description, e.creation_time, e.last_updated_time FROM registered_models e
                 WHERE {which} ORDER BY e.name""",
            names,
        )
        return [
            MovedModel(name, description or "", created or 0, updated or 0, tags.get(name, {}), aliases.get(name, {}))
            for name, description, created, updated in rows
        ]

    def versions(self, models: Sequence[MovedModel]) -> list[MovedVersion]:
        """Return the versions of models, without those that were deleted."""
        names = [model.name for model in models]
        which = f"e.name IN ({_marks(names)}) AND {self._here}"
        tags: dict[tuple[str, int], dict[str, str]] = {}
        for name, number, key, value in self._db.fetch(
            f"SELECT e.name, e.version, e.key, e.value FROM model_version_tags e WHERE {which}", names
        ):
            tags.setdefault((name, number), {})[key] = value or ""
        rows = self._db.fetch(
            f"""SELECT e.name, e.version, e.description, e.user_id, e.creation_time, e.last_updated_time, e.current_stage, e.source,
                       e.storage_location, e.run_id, e.run_link, e.status, e.status_message FROM model_versions e
                 WHERE {which} AND e.current_stage <> 'Deleted_Internal' ORDER BY e.name, e.version""",
            names,
        )
        return [
            MovedVersion(
                name,
                number,
                description,
                user or "",
                created or 0,
                updated or 0,
                stage or "None",
                source or "",
                location or "",
                run_id or "",
                link or "",
                status or "READY",
                message or "",
                tags.get((name, number), {}),
            )
            for name, number, description, user, created, updated, stage, source, location, run_id, link, status, message in rows
        ]

    def close(self) -> None:
        """Close the connection."""
        self._db.close()

    def _links(self, ids: Sequence[str]) -> tuple[dict[str, list[MovedDataset]], dict[str, list[str]], dict[str, dict[str, int]]]:
        datasets: dict[str, list[MovedDataset]] = {}
        inputs: dict[str, list[str]] = {}
        outputs: dict[str, dict[str, int]] = {}
        if "inputs" not in self._tables:
            return datasets, inputs, outputs
        marks = _marks(ids)
        tags: dict[str, dict[str, str]] = {}
        for key, name, value in self._db.fetch(
            f"""SELECT t.input_uuid, t.name, t.value FROM input_tags t JOIN inputs i ON i.input_uuid = t.input_uuid
                 WHERE i.source_type = 'DATASET' AND i.destination_type = 'RUN' AND i.destination_id IN ({marks})""",
            ids,
        ):
            tags.setdefault(key, {})[name] = value
        for run_id, key, *said in self._db.fetch(
            f"""SELECT i.destination_id, i.input_uuid, d.name, d.digest, d.dataset_source_type, d.dataset_source, d.dataset_schema,
                       d.dataset_profile FROM inputs i JOIN datasets d ON d.dataset_uuid = i.source_id
                 WHERE i.source_type = 'DATASET' AND i.destination_type = 'RUN' AND i.destination_id IN ({marks})""",
            ids,
        ):
            datasets.setdefault(run_id, []).append(MovedDataset(*(*said, tags.get(key, {}))))
        step = "step" if self._steps else "0"
        for kind, run_id, model_id, at in self._db.fetch(
            f"""SELECT source_type, source_id, destination_id, {step} FROM inputs
                 WHERE source_type IN ('RUN_INPUT', 'RUN_OUTPUT') AND source_id IN ({marks})""",
            ids,
        ):
            if kind == "RUN_INPUT":
                inputs.setdefault(run_id, []).append(model_id)
            else:
                outputs.setdefault(run_id, {})[model_id] = at or 0
        return datasets, inputs, outputs

    def _pairs(
        self, table: str, owner: str, ids: Sequence[Any], key: str = "key", value: str = "value"
    ) -> dict[Any, dict[str, str]]:
        found: dict[Any, dict[str, str]] = {}
        for held_by, name, text in self._db.fetch(
            f"SELECT {owner}, {key}, {value} FROM {table} WHERE {owner} IN ({_marks(ids)})", ids
        ):
            found.setdefault(held_by, {})[name] = text or ""
        return found

    def _count(self, what: str, parameters: Sequence[Any] = ()) -> int:
        return int(self._db.fetch(f"SELECT COUNT(*) FROM {what}", parameters)[0][0])


def _known(connection: Connection) -> set[str]:
    """Return the tables of a database of a revision that is known. Raises Invalid for another, saying what to do."""
    try:
        tables = connection.tables()
    except sqlite3.DatabaseError as error:
        raise Invalid(f"This is no database of MLflow's: {error}.") from None
    if "alembic_version" not in tables or not {"experiments", "runs"} <= tables:
        raise Invalid("This is no database of an MLflow server: it lacks the tables experiments, runs and alembic_version.")
    revision = connection.fetch("SELECT version_num FROM alembic_version")
    found = str(revision[0][0]) if revision else "none"
    if found not in (*REVISIONS, OWN_REVISION):
        raise Invalid(
            f"The database has MLflow's schema revision {found}, which is not known here: those of MLflow 2.9 to 3.17 are. Bring an "
            "older one up to date with `mlflow db upgrade`; of a newer one, import the running server by its URL instead."
        )
    if missing := sorted(set(_NEEDED) - tables):
        raise Invalid(f"The database lacks the tables {', '.join(missing)}.")
    return tables


def _marks(values: Sequence[object]) -> str:
    return ", ".join(["%s"] * len(values)) or "NULL"
