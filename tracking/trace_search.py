"""Read traces and search them, limited to the experiments the actor may read. Each read is one statement."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from core import sql
from core.access import Actor
from core.errors import NotFound
from tracking.filters import LISTED, NULL, NUMERIC, TEXT, Clause, Entity, Grammar, Key, Order
from tracking.queries import readable
from tracking.records import Pair
from tracking.search import Statement, compared, direction, where_pair

NAME_TAG, RUN_METADATA = "mlflow.traceName", "mlflow.sourceRun"

_NUMBER = Key(NUMERIC, number=True)
TRACES = Grammar(
    entities=(
        Entity("tags", ("tag",), any_key=Key(TEXT | NULL)),
        Entity("metadata", ("request_metadata",), any_key=Key(TEXT | NULL)),
        Entity(
            "attributes",
            ("attribute", "trace"),
            keys={
                **dict.fromkeys(("request_id", "status", "client_request_id", "name", "run_id"), Key(TEXT | LISTED)),
                **dict.fromkeys(("timestamp_ms", "execution_time_ms", "end_time_ms"), _NUMBER),
                "experiment_id": Key(frozenset()),
            },
            key_aliases={
                "trace_id": "request_id",
                "state": "status",
                "timestamp": "timestamp_ms",
                "execution_time": "execution_time_ms",
                "end_time": "end_time_ms",
            },
        ),
    ),
    default="attributes",
    sortable={
        "attributes": frozenset(
            {"request_id", "status", "name", "run_id", "timestamp_ms", "execution_time_ms", "end_time_ms", "experiment_id"}
        )
    },
)

_COLUMNS = {
    "request_id": "t.id",
    "status": "t.state",
    "client_request_id": "t.client_request_id",
    "timestamp_ms": "t.request_ms",
    "execution_time_ms": "t.execution_ms",
    "end_time_ms": "(t.request_ms + t.execution_ms)",
    "experiment_id": "t.experiment_id",
}
_TEXT_COLUMNS = frozenset({"request_id", "status", "name", "run_id"})


class TraceRecord(msgspec.Struct, frozen=True):
    """A trace without its spans. execution_ms is None while it runs."""

    trace_id: str
    experiment_id: int
    request_ms: int
    execution_ms: int | None
    state: str
    client_request_id: str
    request_preview: str
    response_preview: str
    tags_json: str | None
    metadata_json: str | None
    assessments_json: str | None

    @property
    def tags(self) -> dict[str, str]:
        """Return the tags."""
        return _mapping(self.tags_json)

    @property
    def metadata(self) -> dict[str, str]:
        """Return what the client noted."""
        return _mapping(self.metadata_json)

    @property
    def assessments(self) -> list[AssessmentRecord]:
        """Return the assessments, oldest first."""
        return msgspec.json.decode(self.assessments_json, type=list[AssessmentRecord]) if self.assessments_json else []


class AssessmentRecord(msgspec.Struct, frozen=True):
    """An assessment: the client's description, and what the server adds to it."""

    assessment_id: str
    body: dict[str, Any]
    valid: bool
    created_ms: int
    updated_ms: int


def traces_by_id(actor: Actor, trace_ids: Sequence[str]) -> list[TraceRecord]:
    """Return those of these traces that are there and the actor's to see, in the order asked for."""
    allowed, who = readable(actor, "t.experiment_id")
    rows = sql.fetch(
        f"SELECT {_columns()} FROM tracking_trace t WHERE t.id IN ({sql.marks(trace_ids)}) AND {allowed}", [*trace_ids, *who]
    )
    found = {row[0]: TraceRecord(*row) for row in rows}
    return [found[trace_id] for trace_id in dict.fromkeys(trace_ids) if trace_id in found]


def trace(actor: Actor, trace_id: str) -> TraceRecord:
    """Return a trace. Raises NotFound."""
    found = traces_by_id(actor, [trace_id])
    if not found:
        raise NotFound(f"There is no trace {trace_id!r}, or you may not see it.")
    return found[0]


def assessment(actor: Actor, trace_id: str, assessment_id: str) -> AssessmentRecord:
    """Return an assessment of a trace. Raises NotFound."""
    for found in trace(actor, trace_id).assessments:
        if found.assessment_id == assessment_id:
            return found
    raise NotFound(f"The trace has no assessment {assessment_id!r}.")


def traces(
    actor: Actor,
    *,
    experiment_ids: Sequence[int],
    filter_text: str | None = None,
    order_by: Sequence[str] | None = None,
    limit: int,
    offset: int = 0,
) -> list[TraceRecord]:
    """Return a page of the traces of these experiments, newest first unless said otherwise. Raises Invalid for a bad filter or order."""
    clauses, orders = TRACES.clauses(filter_text), TRACES.orders(order_by)
    if not experiment_ids:
        return []
    query = Statement()
    query.where(f"t.experiment_id IN ({sql.marks(experiment_ids)})", experiment_ids)
    query.where(*readable(actor, "t.experiment_id"))
    for clause in clauses:
        _CONDITIONS.get(clause.key if clause.entity == "attributes" else clause.entity, _where_column)(query, clause)
    for order in orders:
        _sort(query, order)
    if not any(order.key == "timestamp_ms" for order in orders):
        query.sort.append("t.request_ms DESC")
    query.sort.append("t.id ASC")
    return [TraceRecord(*row) for row in query.rows("tracking_trace t", _columns(), limit, offset)]


def _columns() -> str:
    pair = sql.json_object(key="x.key", value="x.value")
    tags = sql.json_list(pair, "tracking_tracetag x WHERE x.trace_id = t.id")
    metadata = sql.json_list(pair, "tracking_tracemetadata x WHERE x.trace_id = t.id")
    given = sql.json_object(
        assessment_id="x.id",
        body=sql.as_json("x.body"),
        valid="x.is_valid" if sql.is_postgresql() else "json(CASE WHEN x.is_valid THEN 'true' ELSE 'false' END)",
        created_ms="x.created_ms",
        updated_ms="x.updated_ms",
    )
    assessments = sql.json_list(
        given, "(SELECT * FROM tracking_traceassessment a WHERE a.trace_id = t.id ORDER BY a.created_ms, a.id) x"
    )
    return (
        "t.id, t.experiment_id, t.request_ms, t.execution_ms, t.state, t.client_request_id, t.request_preview, t.response_preview,"
        f" {tags}, {metadata}, {assessments}"
    )


def _where_column(query: Statement, clause: Clause) -> None:
    query.where(*compared(_COLUMNS[clause.key], clause))


def _where_run(query: Statement, clause: Clause) -> None:
    """A trace belongs to the run that made it, and to runs that it was linked to."""
    condition, values = compared("x.value", clause)
    linked, more = compared("l.run_id", clause)
    query.where(
        f"(EXISTS (SELECT 1 FROM tracking_tracemetadata x WHERE x.trace_id = t.id AND x.key = '{RUN_METADATA}' AND {condition})"
        f" OR EXISTS (SELECT 1 FROM tracking_tracerun l WHERE l.trace_id = t.id AND {linked}))",
        [*values, *more],
    )


_CONDITIONS: dict[str, Callable[[Statement, Clause], None]] = {
    "tags": lambda query, clause: where_pair(query, clause, "tracking_tracetag", "trace_id", "t.id"),
    "metadata": lambda query, clause: where_pair(query, clause, "tracking_tracemetadata", "trace_id", "t.id"),
    "name": lambda query, clause: where_pair(
        query, Clause("tags", NAME_TAG, clause.comparator, clause.value), "tracking_tracetag", "trace_id", "t.id"
    ),
    "run_id": _where_run,
}


def _sort(query: Statement, order: Order) -> None:
    expression = _COLUMNS.get(order.key, "")
    if not expression:
        alias = f"o{len(query.joins)}"
        table, key = ("tag", NAME_TAG) if order.key == "name" else ("metadata", RUN_METADATA)
        query.join(f"tracking_trace{table} {alias} ON {alias}.trace_id = t.id AND {alias}.key = %s", [key])
        expression = f"{alias}.value"
    query.sort.append(f"CASE WHEN {expression} IS NULL THEN 1 ELSE 0 END ASC")
    query.sort.append(f"{sql.ordered(expression) if order.key in _TEXT_COLUMNS else expression} {direction(order)}")


def _mapping(text: str | None) -> dict[str, str]:
    return {pair.key: pair.value for pair in msgspec.json.decode(text, type=list[Pair])} if text else {}
