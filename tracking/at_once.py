"""A batch to a run as one statement of PostgreSQL: rights, the run's lock, all rows and the event in one round trip."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import msgspec

from core import audit, sql
from core.access import Actor
from core.audit import Change, Event
from tracking.models import Lifecycle
from tracking.points import POINT_COLUMNS, REPLACE_OLDER, StoredPoint
from tracking.queries import no_run, readable, writable

_COLUMNS = ", ".join(POINT_COLUMNS)
_TYPED = ", ".join(f"{name} {kind}" for name, kind in POINT_COLUMNS.items() if name != "run_id")
# What a point leaves out has its default.
_GIVEN = """run_id, key, timestamp_ms, step, value, COALESCE(is_nan, FALSE), COALESCE(model_id, ''), COALESCE(dataset_name, ''),
 COALESCE(dataset_digest, '')"""
_PAIRS = "(run_id, key, value) SELECT run.id, t.key, t.value FROM run, json_to_recordset(%s::json) AS t(key text, value text)"
# All rows come from the locked run, so whoever logs to it meanwhile has come before or comes after. A point that became the latest
# of its metric cannot have been there: it is spared the look that ON CONFLICT takes, a sixth of what a batch costs the database.
_WRITE = f"""), given AS MATERIALIZED (
   SELECT run.id AS run_id, t.* FROM run, json_to_recordset(%s::json) AS t({_TYPED}, newest boolean)
 ), latest AS (
   INSERT INTO tracking_latestmetric ({_COLUMNS}) SELECT {_GIVEN} FROM given WHERE newest {REPLACE_OLDER} RETURNING key
 ), later AS (
   INSERT INTO tracking_metricpoint ({_COLUMNS}) SELECT {_GIVEN} FROM given JOIN latest USING (key) WHERE newest
 ), others AS (
   INSERT INTO tracking_metricpoint ({_COLUMNS}) SELECT {_GIVEN} FROM given
    WHERE newest IS NOT TRUE OR key NOT IN (SELECT key FROM latest) ON CONFLICT DO NOTHING
 ), params AS (
   INSERT INTO tracking_param {_PAIRS}
 ), tags AS (
   INSERT INTO tracking_runtag {_PAIRS} ON CONFLICT (run_id, key) DO UPDATE SET value = excluded.value
 ) """


def log_at_once(
    actor: Actor,
    run_id: str,
    points: Sequence[StoredPoint],
    params: Mapping[str, str],
    tags: Mapping[str, str],
    details: Mapping[str, Any],
) -> bool:
    """Return whether all of it was written; else nothing was, and whoever does it step by step finds out why.

    It was not if the actor may not write to the run, if this is deleted, or if a parameter is there already.
    details: of the event. Raises NotFound for a run that does not exist.
    """
    experiment_id = _experiment_of(run_id)
    may_read, reader = readable(actor, "r.experiment_id")
    may_write, writer = writable(actor, "r.experiment_id")
    run = f"""WITH run AS MATERIALIZED (
   SELECT r.id FROM tracking_run r WHERE r.id = %s AND r.experiment_id = %s AND r.lifecycle_stage = '{Lifecycle.ACTIVE.value}'
    AND {may_read} AND {may_write}{sql.for_update("r")}
 """
    change = Change(("run", run_id), f"experiment:{experiment_id}", details=details)
    insertion, row = audit.insertion(actor, Event.RUN_LOGGED, change, "run")
    written = sql.run_if_new(
        run + _WRITE + insertion,
        [run_id, experiment_id, *reader, *writer, _json(points), _json(_pairs(params)), _json(_pairs(tags)), *row],
    )
    return written == 1


@lru_cache(maxsize=10_000)
def _experiment_of(run_id: str) -> int:
    # A run never leaves its experiment, so what was read once holds; the statement asks for both, should the database be another.
    row = sql.fetch_one("SELECT experiment_id FROM tracking_run WHERE id = %s", [run_id])
    if row is None:
        raise no_run(run_id)
    return int(row[0])


def _pairs(values: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in values.items()]


def _json(rows: object) -> str:
    return msgspec.json.encode(rows).decode()
