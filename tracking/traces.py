"""Traces of applications: what one call did, in short. The spans themselves are a file that the client puts beside the runs' artifacts."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
from django.db import transaction

from artifacts import commands as artifact_commands
from artifacts import paths
from core import audit, sql
from core.access import Actor
from core.audit import Event
from core.errors import AlreadyExists, Denied, Invalid, NotFound
from tracking import limits
from tracking.clock import now_ms
from tracking.commands.experiments import active_experiment_location
from tracking.commands.runs import open_run
from tracking.models import TraceState
from tracking.queries import readable, writable

ARTIFACT_LOCATION_TAG = "mlflow.artifactLocation"
PROMPTS_TAG = "mlflow.linkedPrompts"
# Where the spans are is for the server to say: clients go and read there.
_OURS = frozenset({ARTIFACT_LOCATION_TAG, "mlflow.trace.spansLocation"})
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.\-]{0,49}\Z", re.ASCII)
MAX_VALUE = 100_000
LATEST_MS = 253_402_300_799_999  # the last millisecond of the year 9999: later ones cannot be written as dates
MAX_ASSESSMENT = 1_000_000
MAX_DELETED_AT_ONCE = 1000
_PAIR = {"trace_id": "text", "key": "text", "value": "text"}


@dataclass(frozen=True)
class TraceDescription:
    """A trace as its client describes it. Times are Unix milliseconds; execution_ms is None while it runs."""

    trace_id: str
    experiment_id: int
    request_ms: int
    execution_ms: int | None = None
    state: TraceState = TraceState.UNSPECIFIED
    client_request_id: str = ""
    request_preview: str = ""
    response_preview: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)


def new_trace_id() -> str:
    """Return an id for a trace whose client leaves it to the server."""
    return f"tr-{uuid.uuid4().hex}"


@transaction.atomic
def log_trace(*, actor: Actor, trace: TraceDescription) -> None:
    """Write a trace down; one that was written before is brought up to date, so that clients may send it again.

    Raises NotFound, Denied, Invalid for a deleted experiment or a bad description, AlreadyExists for an id taken elsewhere.
    """
    if not _ID.match(trace.trace_id):
        raise Invalid(f"{trace.trace_id[:100]!r} is no id of a trace: it has up to 50 letters, digits and the signs `_ - .`.")
    if len(trace.client_request_id) > limits.MAX_KEY:
        raise Invalid(f"The client's own id of a trace has at most {limits.MAX_KEY} characters.")
    _check_time(trace.request_ms)
    _check_pairs(trace.metadata)
    _check_pairs(trace.tags)
    _check_values([trace.request_preview, trace.response_preview])
    location = active_experiment_location(actor, trace.experiment_id)
    columns = "request_ms, execution_ms, state, client_request_id, request_preview, response_preview"
    written = sql.run(
        f"INSERT INTO tracking_trace (id, experiment_id, created_by_id, {columns}) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)"
        f" ON CONFLICT (id) DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in columns.split(', '))}"
        " WHERE tracking_trace.experiment_id = excluded.experiment_id",
        [
            trace.trace_id,
            trace.experiment_id,
            actor.user_id,
            trace.request_ms,
            trace.execution_ms,
            trace.state.value,
            trace.client_request_id,
            trace.request_preview,
            trace.response_preview,
        ],
    )
    if not written:
        raise AlreadyExists(f"There is a trace {trace.trace_id!r} in another experiment.")
    place = f"{location.rstrip('/')}/traces/{trace.trace_id}/artifacts"
    _write("tracking_tracemetadata", trace.trace_id, trace.metadata)
    _write("tracking_tracetag", trace.trace_id, {**_of_client(trace.tags), ARTIFACT_LOCATION_TAG: place})
    _record(actor, Event.TRACE_LOGGED, trace.trace_id, trace.experiment_id, after={"state": trace.state.value})


@transaction.atomic
def end_trace(
    *,
    actor: Actor,
    trace_id: str,
    end_ms: int,
    state: TraceState,
    metadata: Mapping[str, str] | None = None,
    tags: Mapping[str, str] | None = None,
) -> None:
    """Say when and how a trace ended, as clients before MLflow 3 do. Raises NotFound, Denied, Invalid."""
    _check_time(end_ms)
    _check_pairs(metadata or {})
    _check_pairs(tags or {})
    experiment_id = _open(actor, trace_id)
    sql.run("UPDATE tracking_trace SET execution_ms = %s - request_ms, state = %s WHERE id = %s", [end_ms, state.value, trace_id])
    _write("tracking_tracemetadata", trace_id, metadata or {})
    _write("tracking_tracetag", trace_id, _of_client(tags or {}))
    _record(actor, Event.TRACE_LOGGED, trace_id, experiment_id, after={"state": state.value})


@transaction.atomic
def set_trace_tag(*, actor: Actor, trace_id: str, key: str, value: str) -> None:
    """Set a tag of a trace. Raises NotFound, Denied, Invalid, also for a tag that the server keeps."""
    _refuse_ours(key)
    _check_pairs({key: value})
    experiment_id = _open(actor, trace_id)
    _write("tracking_tracetag", trace_id, {key: value})
    _record(actor, Event.TRACE_TAGGED, trace_id, experiment_id, after={"key": key})


@transaction.atomic
def delete_trace_tag(*, actor: Actor, trace_id: str, key: str) -> None:
    """Remove a tag of a trace. Raises NotFound, also for a tag that is not there; Denied; Invalid."""
    _refuse_ours(key)
    experiment_id = _open(actor, trace_id)
    if not sql.run("DELETE FROM tracking_tracetag WHERE trace_id = %s AND key = %s", [trace_id, key]):
        raise NotFound(f"The trace has no tag {key!r}.")
    _record(actor, Event.TRACE_TAGGED, trace_id, experiment_id, before={"key": key})


@transaction.atomic
def delete_traces(
    *,
    actor: Actor,
    experiment_id: int,
    trace_ids: Sequence[str] = (),
    before_ms: int | None = None,
    most: int | None = None,
) -> int:
    """Remove traces of an experiment with their spans, by id or those not newer than a time, oldest first; return how many went.

    At most 1000 go in one call. Raises NotFound, Denied, and Invalid unless it is said which: by id or by time.
    """
    if bool(trace_ids) == (before_ms is not None):
        raise Invalid("Say which traces to delete: by their ids, or up to a time; not by both.")
    if trace_ids and most is not None:
        raise Invalid("A number of traces goes with a time, not with ids.")
    if len(trace_ids) > MAX_DELETED_AT_ONCE or (most is not None and most < 1):
        raise Invalid(f"From 1 to {MAX_DELETED_AT_ONCE} traces are deleted at once.")
    location = active_experiment_location(actor, experiment_id)
    wanted, values = (f"t.id IN ({sql.marks(trace_ids)})", list(trace_ids)) if trace_ids else ("t.request_ms <= %s", [before_ms])
    limit = min(most or MAX_DELETED_AT_ONCE, MAX_DELETED_AT_ONCE)
    gone = [
        row[0]
        for row in sql.fetch(
            f"SELECT t.id FROM tracking_trace t WHERE t.experiment_id = %s AND {wanted}"
            f" ORDER BY t.request_ms, t.id LIMIT {limit:d}{sql.for_update('t')}",
            [experiment_id, *values],
        )
    ]
    for table, column in (
        ("tracking_tracetag", "trace_id"),
        ("tracking_tracemetadata", "trace_id"),
        ("tracking_tracerun", "trace_id"),
        ("tracking_traceassessment", "trace_id"),
        ("tracking_trace", "id"),
    ):
        sql.run(f"DELETE FROM {table} WHERE {column} IN ({sql.marks(gone)})", gone)
    root = paths.path_of(location)
    for trace_id in gone:
        if root is not None:
            folder = paths.join(root, "traces", trace_id)
            artifact_commands.delete_tree(actor=actor, path=folder, scope=f"experiment:{experiment_id}")
        _record(actor, Event.TRACE_DELETED, trace_id, experiment_id)
    return len(gone)


@transaction.atomic
def link_traces_to_run(*, actor: Actor, run_id: str, trace_ids: Sequence[str]) -> None:
    """Note that a run looked at these traces. Raises NotFound for a run or trace the actor may not see, Denied, Invalid."""
    if not 0 < len(trace_ids) <= 100:
        raise Invalid("From 1 to 100 traces are linked to a run at once.")
    found = open_run(actor, run_id)
    allowed, who = readable(actor, "t.experiment_id")
    seen = {
        row[0]
        for row in sql.fetch(
            f"SELECT t.id FROM tracking_trace t WHERE t.id IN ({sql.marks(trace_ids)}) AND {allowed}", [*trace_ids, *who]
        )
    }
    if missing := sorted(set(trace_ids) - seen):
        raise _absent(missing[0])
    rows = [(trace_id, run_id) for trace_id in dict.fromkeys(trace_ids)]
    sql.insert("tracking_tracerun", {"trace_id": "text", "run_id": "text"}, rows, "ON CONFLICT (trace_id, run_id) DO NOTHING")
    audit.record(
        actor,
        Event.RUN_INPUTS_LOGGED,
        subject=("run", run_id),
        scope=found.scope,
        after={"traces": list(dict.fromkeys(trace_ids))},
    )


@transaction.atomic
def link_prompts_to_trace(*, actor: Actor, trace_id: str, prompts: Sequence[tuple[str, str]]) -> None:
    """Note which (name, version) of prompts a trace used, in the tag where clients look for them. Raises NotFound, Denied, Invalid."""
    experiment_id = _open(actor, trace_id)
    row = sql.fetch_one("SELECT value FROM tracking_tracetag WHERE trace_id = %s AND key = %s", [trace_id, PROMPTS_TAG])
    try:
        held = msgspec.json.decode(row[0], type=list[dict[str, str]]) if row else []
    except msgspec.DecodeError:
        held = []  # clients may write this tag too, and what they wrote is no list of prompts
    wanted = [{"name": name, "version": version} for name, version in prompts]
    text = msgspec.json.encode(held + [prompt for prompt in wanted if prompt not in held]).decode()
    _check_values([text])
    _write("tracking_tracetag", trace_id, {PROMPTS_TAG: text})
    _record(actor, Event.TRACE_TAGGED, trace_id, experiment_id, after={"key": PROMPTS_TAG})


# --- assessments ---------------------------------------------------------------------------------------------------------------


@transaction.atomic
def assess(*, actor: Actor, trace_id: str, body: Mapping[str, Any]) -> str:
    """Keep an assessment of a trace and return its id; one that it overrides no longer counts.

    body: the protocol's description, without id and times. Raises NotFound, Denied, Invalid.
    """
    _check_assessment(body)
    experiment_id = _open(actor, trace_id)
    assessment_id, now = f"a-{uuid.uuid4().hex}", now_ms()
    if overridden := body.get("overrides"):
        _change_assessment(trace_id, str(overridden), "is_valid = %s, updated_ms = %s", [False, now])
    sql.insert(
        "tracking_traceassessment",
        {
            "id": "text",
            "trace_id": "text",
            "body": "jsonb",
            "is_valid": "boolean",
            "created_ms": "bigint",
            "updated_ms": "bigint",
            "created_by_id": "bigint",
        },
        [(assessment_id, trace_id, msgspec.json.encode(body).decode(), True, now, now, actor.user_id)],
    )
    _record_assessment(actor, trace_id, experiment_id, assessment_id, after={"name": str(body["assessment_name"])})
    return assessment_id


@transaction.atomic
def change_assessment(*, actor: Actor, trace_id: str, assessment_id: str, changes: Mapping[str, Any]) -> None:
    """Replace parts of an assessment. Raises NotFound, Denied, Invalid."""
    experiment_id = _open(actor, trace_id)
    row = sql.fetch_one(
        f"SELECT {sql.as_text('a.body')} FROM tracking_traceassessment a WHERE a.trace_id = %s AND a.id = %s",
        [trace_id, assessment_id],
    )
    if row is None:
        raise _no_assessment(assessment_id)
    body = {**msgspec.json.decode(row[0]), **changes}
    _check_assessment(body)
    text = msgspec.json.encode(body).decode()
    _change_assessment(trace_id, assessment_id, "body = %s, updated_ms = %s", [text, now_ms()])
    _record_assessment(actor, trace_id, experiment_id, assessment_id, after={"changed": sorted(changes)})


@transaction.atomic
def delete_assessment(*, actor: Actor, trace_id: str, assessment_id: str) -> None:
    """Remove an assessment; one that it overrode counts again. Raises NotFound, Denied."""
    experiment_id = _open(actor, trace_id)
    row = sql.fetch_one(
        f"SELECT {sql.as_text('a.body')} FROM tracking_traceassessment a WHERE a.trace_id = %s AND a.id = %s",
        [trace_id, assessment_id],
    )
    if row is None:
        raise _no_assessment(assessment_id)
    sql.run("DELETE FROM tracking_traceassessment WHERE id = %s", [assessment_id])
    if overridden := msgspec.json.decode(row[0]).get("overrides"):
        sql.run("UPDATE tracking_traceassessment SET is_valid = %s WHERE trace_id = %s AND id = %s", [True, trace_id, overridden])
    _record_assessment(actor, trace_id, experiment_id, assessment_id, before={"id": assessment_id})


def _check_assessment(body: Mapping[str, Any]) -> None:
    name = body.get("assessment_name")
    if not isinstance(name, str) or not 0 < len(name) <= limits.MAX_KEY:
        raise Invalid(f"An assessment has a name of 1 to {limits.MAX_KEY} characters.")
    if sum(kind in body for kind in ("feedback", "expectation", "issue")) != 1:
        raise Invalid("An assessment is one of feedback, an expectation or an issue.")
    if len(msgspec.json.encode(body)) > MAX_ASSESSMENT:
        raise Invalid(f"An assessment has at most {MAX_ASSESSMENT} bytes.")


def _change_assessment(trace_id: str, assessment_id: str, assigned: str, values: Sequence[Any]) -> None:
    statement = f"UPDATE tracking_traceassessment SET {assigned} WHERE trace_id = %s AND id = %s"
    if not sql.run(statement, [*values, trace_id, assessment_id]):
        raise _no_assessment(assessment_id)


def _no_assessment(assessment_id: str) -> NotFound:
    return NotFound(f"The trace has no assessment {assessment_id!r}.")


# --- what all of them share ----------------------------------------------------------------------------------------------------


def _open(actor: Actor, trace_id: str) -> int:
    """Lock a trace to change it; return its experiment. Raises NotFound, Denied."""
    may_read, reader = readable(actor, "t.experiment_id")
    may_write, writer = writable(actor, "t.experiment_id")
    row = sql.fetch_one(
        f"SELECT t.experiment_id, {may_write} FROM tracking_trace t WHERE t.id = %s AND {may_read}{sql.for_update('t')}",
        [*writer, trace_id, *reader],
    )
    if row is None:
        raise _absent(trace_id)
    if not row[1]:
        raise Denied(
            f"You may read the trace {trace_id} but not change it: it needs experiment:write; ask the experiment's owner."
        )
    return int(row[0])


def _absent(trace_id: str) -> NotFound:
    return NotFound(f"There is no trace {trace_id!r}, or you may not see it.")


def _of_client(tags: Mapping[str, str]) -> dict[str, str]:
    return {key: value for key, value in tags.items() if key not in _OURS}


def _refuse_ours(key: str) -> None:
    if key in _OURS:
        raise Invalid(f"The tag {key!r} says where the spans are and is kept by the server.")


def _check_time(milliseconds: int) -> None:
    if not 0 <= milliseconds <= LATEST_MS:
        raise Invalid("The time of a trace lies between 1970 and the year 9999.")


def _check_pairs(pairs: Mapping[str, str]) -> None:
    if any(not 0 < len(key) <= limits.MAX_KEY for key in pairs):
        raise Invalid(f"A tag or metadata of a trace has a key of 1 to {limits.MAX_KEY} characters.")
    _check_values(pairs.values())


def _check_values(values: Iterable[str]) -> None:
    if any(len(value) > MAX_VALUE for value in values):
        raise Invalid(f"A text of a trace has at most {MAX_VALUE} characters.")


def _write(table: str, trace_id: str, pairs: Mapping[str, str]) -> None:
    rows = [(trace_id, key, value) for key, value in pairs.items()]
    sql.insert(table, _PAIR, rows, "ON CONFLICT (trace_id, key) DO UPDATE SET value = excluded.value")


def _record(actor: Actor, event: Event, trace_id: str, experiment_id: int, **change: Any) -> None:
    audit.record(actor, event, subject=("trace", trace_id), scope=f"experiment:{experiment_id}", **change)


def _record_assessment(actor: Actor, trace_id: str, experiment_id: int, assessment_id: str, **change: Any) -> None:
    _record(actor, Event.TRACE_ASSESSED, trace_id, experiment_id, assessment=assessment_id, **change)
