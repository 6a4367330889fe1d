"""Traces and what people say of them, as clients of MLflow 3 and, by the older calls, of MLflow 2 speak of them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from django.http import HttpRequest, HttpResponseBase

from core.access import Actor
from core.errors import Invalid
from interfaces.mlflow import paging
from interfaces.mlflow.messages import I64, Ids, KeyValue, Message, Nothing, choice, mapping, pairs, present
from interfaces.mlflow.routing import Route
from tracking import trace_search, traces
from tracking.models import TraceState
from tracking.queries import experiment_number
from tracking.trace_search import AssessmentRecord, TraceRecord
from tracking.traces import TraceDescription

MOST_TRACES, MOST_AT_ONCE = 500, 100
_STATES = ("STATE_UNSPECIFIED", "OK", "ERROR", "IN_PROGRESS")
_OLD_STATES = ("TRACE_STATUS_UNSPECIFIED", *_STATES[1:])
_DURATION = re.compile(r"(-?)(\d{1,12})(?:\.(\d{1,9}))?s\Z", re.ASCII)
_FRACTION = re.compile(r"\.(\d+)")
_CHANGEABLE = {
    "assessmentName": "assessment_name",
    "assessment_name": "assessment_name",
    **dict.fromkeys(("expectation", "feedback", "rationale", "metadata", "issue"), None),
}


class InExperiment(Message, frozen=True):
    experiment_id: str


class Location(Message, frozen=True):
    type: str | int | None = None
    mlflow_experiment: InExperiment | None = None


class TraceInfo(Message, frozen=True):
    trace_id: str
    trace_location: Location
    request_time: str
    execution_duration: str | None = None
    state: str | int | None = None
    client_request_id: str | None = None
    request_preview: str | None = None
    response_preview: str | None = None
    trace_metadata: dict[str, str] | None = None
    tags: dict[str, str] | None = None
    assessments: list[dict[str, Any]] | None = None


class TraceMessage(Message, frozen=True):
    trace_info: TraceInfo


class StartTrace(Message, frozen=True):
    trace: TraceMessage


class SearchTraces(Message, frozen=True):
    locations: list[Location] | None = None
    filter: str | None = None
    max_results: I64 | None = None
    order_by: list[str] | None = None
    page_token: str | None = None


class TraceIds(Message, frozen=True):
    trace_ids: Ids
    experiment_ids: Ids | None = None


class TraceTag(Message, frozen=True):
    key: str
    value: str | None = None


class DeleteTraces(Message, frozen=True):
    experiment_id: str
    max_timestamp_millis: I64 | None = None
    max_traces: I64 | None = None
    request_ids: Ids | None = None


class OldStart(Message, frozen=True):
    experiment_id: str
    timestamp_ms: I64
    request_metadata: list[KeyValue] | None = None
    tags: list[KeyValue] | None = None


class OldEnd(Message, frozen=True):
    timestamp_ms: I64 = 0
    status: str | int | None = None
    request_metadata: list[KeyValue] | None = None
    tags: list[KeyValue] | None = None


class OldSearch(Message, frozen=True):
    experiment_ids: Ids
    filter: str | None = None
    max_results: I64 | None = None
    order_by: list[str] | None = None
    page_token: str | None = None


class LinkToRun(Message, frozen=True):
    trace_ids: Ids
    run_id: str


class PromptVersion(Message, frozen=True):
    name: str
    version: str


class LinkPrompts(Message, frozen=True):
    trace_id: str
    prompt_versions: list[PromptVersion]


class Assessment(Message, frozen=True):
    assessment: dict[str, Any]
    update_mask: str | None = None


# --- MLflow 3 ------------------------------------------------------------------------------------------------------------------


def start_trace(actor: Actor, message: StartTrace) -> dict[str, Any]:
    """Write a trace down; despite the protocol's name for it, clients send it when the trace has ended."""
    info = message.trace.trace_info
    if info.trace_location.mlflow_experiment is None:
        raise Invalid("A trace here lies in an experiment: give 'mlflow_experiment' in its 'trace_location'.")
    duration = info.execution_duration
    traces.log_trace(
        actor=actor,
        trace=TraceDescription(
            trace_id=info.trace_id,
            experiment_id=experiment_number(info.trace_location.mlflow_experiment.experiment_id),
            request_ms=_milliseconds_at(info.request_time),
            execution_ms=None if duration is None else _milliseconds_of(duration),
            state=TraceState(choice(info.state, _STATES, "state", first=0) or _STATES[0]),
            client_request_id=info.client_request_id or "",
            request_preview=info.request_preview or "",
            response_preview=info.response_preview or "",
            metadata=info.trace_metadata or {},
            tags=info.tags or {},
        ),
    )
    for body in info.assessments or ():
        traces.assess(actor=actor, trace_id=info.trace_id, body=_described(body, info.trace_id))
    return {"trace": {"trace_info": trace_message(trace_search.trace(actor, info.trace_id))}}


def get_trace_info(actor: Actor, message: Nothing, trace_id: str) -> dict[str, Any]:
    """Return a trace without its spans."""
    return {"trace": {"trace_info": trace_message(trace_search.trace(actor, trace_id))}}


def get_trace_infos(actor: Actor, message: TraceIds) -> dict[str, Any]:
    """Return several traces without their spans; those that are not there are left out."""
    if len(message.trace_ids) > MOST_AT_ONCE:
        raise Invalid(f"Give up to {MOST_AT_ONCE} values of 'trace_ids'.")
    wanted = None if message.experiment_ids is None else {experiment_number(text) for text in message.experiment_ids}
    found = trace_search.traces_by_id(actor, message.trace_ids)
    return present(trace_infos=[trace_message(record) for record in found if wanted is None or record.experiment_id in wanted])


def search_traces(actor: Actor, message: SearchTraces) -> dict[str, Any]:
    """Return a page of traces without their spans."""
    if not message.locations or any(place.mlflow_experiment is None for place in message.locations):
        raise Invalid("Give the experiments to search in 'locations', each as an 'mlflow_experiment'.")
    experiments = [place.mlflow_experiment.experiment_id for place in message.locations if place.mlflow_experiment]
    page, token = _page(actor, experiments, message)
    return present(traces=[trace_message(record) for record in page], next_page_token=token)


def set_trace_tag(actor: Actor, message: TraceTag, trace_id: str) -> None:
    """Set a tag of a trace."""
    traces.set_trace_tag(actor=actor, trace_id=trace_id, key=message.key, value=message.value or "")


def delete_trace_tag(actor: Actor, message: TraceTag, trace_id: str) -> None:
    """Remove a tag of a trace."""
    traces.delete_trace_tag(actor=actor, trace_id=trace_id, key=message.key)


def delete_traces(actor: Actor, message: DeleteTraces) -> dict[str, int]:
    """Delete traces with their spans."""
    gone = traces.delete_traces(
        actor=actor,
        experiment_id=experiment_number(message.experiment_id),
        trace_ids=message.request_ids or (),
        before_ms=message.max_timestamp_millis,
        most=message.max_traces,
    )
    return {"traces_deleted": gone}


def link_traces_to_run(actor: Actor, message: LinkToRun) -> None:
    """Note that a run looked at traces."""
    traces.link_traces_to_run(actor=actor, run_id=message.run_id, trace_ids=message.trace_ids)


def link_prompts_to_trace(actor: Actor, message: LinkPrompts) -> None:
    """Note which versions of prompts a trace used."""
    prompts = [(item.name, item.version) for item in message.prompt_versions]
    traces.link_prompts_to_trace(actor=actor, trace_id=message.trace_id, prompts=prompts)


def no_spans(actor: Actor, request: HttpRequest) -> HttpResponseBase:
    """Refuse spans one by one. MLflow's client knows this sentence, and puts the spans into a file beside the runs' artifacts."""
    raise Invalid(
        "REST OTLP span logging is not supported here: a trace is sent whole when it has ended, as MLflow's client does by itself.",
        code="NOT_IMPLEMENTED",
    )


def trace_message(record: TraceRecord) -> dict[str, Any]:
    """Return a trace as MLflow 3 prints it."""
    location = {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": str(record.experiment_id)}}
    return present(
        trace_id=record.trace_id,
        client_request_id=record.client_request_id or None,
        trace_location=location,
        request_preview=record.request_preview or None,
        response_preview=record.response_preview or None,
        request_time=_timestamp(record.request_ms),
        execution_duration=None if record.execution_ms is None else _duration(record.execution_ms),
        state=record.state,
        trace_metadata=record.metadata or None,
        tags=record.tags or None,
        assessments=[assessment_message(record.trace_id, item) for item in record.assessments],
    )


# --- MLflow 2 ------------------------------------------------------------------------------------------------------------------


def start_old(actor: Actor, message: OldStart) -> dict[str, Any]:
    """Begin a trace, whose id the server chooses."""
    trace_id = traces.new_trace_id()
    traces.log_trace(
        actor=actor,
        trace=TraceDescription(
            trace_id=trace_id,
            experiment_id=experiment_number(message.experiment_id),
            request_ms=message.timestamp_ms,
            state=TraceState.IN_PROGRESS,
            metadata=mapping(message.request_metadata),
            tags=mapping(message.tags),
        ),
    )
    return {"trace_info": old_trace_message(trace_search.trace(actor, trace_id))}


def end_old(actor: Actor, message: OldEnd, trace_id: str) -> dict[str, Any]:
    """Say when and how a trace ended."""
    status = choice(message.status, _OLD_STATES, "status", first=0)
    traces.end_trace(
        actor=actor,
        trace_id=trace_id,
        end_ms=message.timestamp_ms,
        state=TraceState(status) if status in _STATES else TraceState.UNSPECIFIED,
        metadata=mapping(message.request_metadata),
        tags=mapping(message.tags),
    )
    return {"trace_info": old_trace_message(trace_search.trace(actor, trace_id))}


def get_old(actor: Actor, message: Nothing, trace_id: str) -> dict[str, Any]:
    """Return a trace without its spans."""
    return {"trace_info": old_trace_message(trace_search.trace(actor, trace_id))}


def search_old(actor: Actor, message: OldSearch) -> dict[str, Any]:
    """Return a page of traces without their spans."""
    page, token = _page(actor, message.experiment_ids, message)
    return present(traces=[old_trace_message(record) for record in page], next_page_token=token)


def old_trace_message(record: TraceRecord) -> dict[str, Any]:
    """Return a trace as MLflow 2 prints it."""
    return present(
        request_id=record.trace_id,
        experiment_id=str(record.experiment_id),
        timestamp_ms=record.request_ms,
        execution_time_ms=record.execution_ms,
        status=_OLD_STATES[_STATES.index(record.state)],
        request_metadata=pairs(record.metadata),
        tags=pairs(record.tags),
    )


# --- assessments ---------------------------------------------------------------------------------------------------------------


def create_assessment(actor: Actor, message: Assessment, trace_id: str) -> dict[str, Any]:
    """Keep feedback on a trace, or what was expected of it."""
    assessment_id = traces.assess(actor=actor, trace_id=trace_id, body=_described(message.assessment, trace_id))
    return _assessment(actor, trace_id, assessment_id)


def get_assessment(actor: Actor, message: Nothing, trace_id: str, assessment_id: str) -> dict[str, Any]:
    """Return an assessment."""
    return _assessment(actor, trace_id, assessment_id)


def update_assessment(actor: Actor, message: Assessment, trace_id: str, assessment_id: str) -> dict[str, Any]:
    """Change the parts of an assessment that the mask names."""
    named = [name for name in (message.update_mask or "").split(",") if name]
    if not named or any(name not in _CHANGEABLE for name in named):
        raise Invalid(f"'update_mask' names what changes, of: {', '.join(sorted(set(_CHANGEABLE)))}.")
    fields = [_CHANGEABLE[name] or name for name in named]
    given = _described(message.assessment, trace_id, whole=False)
    changes = {field: given[field] for field in fields if field in given}
    traces.change_assessment(actor=actor, trace_id=trace_id, assessment_id=assessment_id, changes=changes)
    return _assessment(actor, trace_id, assessment_id)


def delete_assessment(actor: Actor, message: Nothing, trace_id: str, assessment_id: str) -> None:
    """Remove an assessment."""
    traces.delete_assessment(actor=actor, trace_id=trace_id, assessment_id=assessment_id)


def assessment_message(trace_id: str, record: AssessmentRecord) -> dict[str, Any]:
    """Return an assessment as the protocol prints it."""
    return {
        **record.body,
        "assessment_id": record.assessment_id,
        "trace_id": trace_id,
        "create_time": _timestamp(record.created_ms),
        "last_update_time": _timestamp(record.updated_ms),
        "valid": record.valid,
    }


def _assessment(actor: Actor, trace_id: str, assessment_id: str) -> dict[str, Any]:
    return {"assessment": assessment_message(trace_id, trace_search.assessment(actor, trace_id, assessment_id))}


_DESCRIBING = ("assessment_name", "span_id", "source", "feedback", "expectation", "issue", "rationale", "metadata", "overrides")


def _described(body: Mapping[str, Any], trace_id: str, *, whole: bool = True) -> dict[str, Any]:
    """Return what a client says in an assessment, without what the server decides. Raises Invalid for a wrong shape."""
    if whole and body.get("trace_id") not in (None, "", trace_id):
        raise Invalid("The assessment names another trace than the path.")
    found = {name: body[name] for name in _DESCRIBING if body.get(name) is not None}
    for name in ("assessment_name", "span_id", "rationale", "overrides"):
        if not isinstance(found.get(name, ""), str):
            raise Invalid(f"{name!r} of an assessment is a text.")
    for name in ("source", "feedback", "expectation", "issue", "metadata"):
        if not isinstance(found.get(name, {}), dict):
            raise Invalid(f"{name!r} of an assessment is an object.")
    return found


# --- what they share -----------------------------------------------------------------------------------------------------------


def _page(actor: Actor, experiments: list[str], message: SearchTraces | OldSearch) -> tuple[list[TraceRecord], str | None]:
    limit = paging.limit_of(message.max_results, default=100, ceiling=MOST_TRACES)
    offset = paging.offset_of(message.page_token)
    found = trace_search.traces(
        actor,
        experiment_ids=[experiment_number(text) for text in experiments],
        filter_text=message.filter,
        order_by=message.order_by,
        limit=limit + 1,
        offset=offset,
    )
    return paging.cut(found, offset, limit)


def _milliseconds_at(text: str) -> int:
    """Return a timestamp of the protocol (RFC 3339) as Unix milliseconds. Raises Invalid."""
    try:
        at = datetime.fromisoformat(_FRACTION.sub(lambda found: f".{found[1]:0<6.6}", text))
    except ValueError:
        raise Invalid(f"{text[:100]!r} is no time such as 2026-01-31T12:00:00.000Z.") from None
    if at.tzinfo is None:
        raise Invalid(f"{text[:100]!r} is a time without a zone.")
    return (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


def _milliseconds_of(text: str) -> int:
    """Return a duration of the protocol, such as ``1.5s``, in milliseconds. Raises Invalid."""
    found = _DURATION.match(text)
    if not found:
        raise Invalid(f"{text[:100]!r} is no duration such as 1.5s.")
    whole = int(found[2]) * 1000 + int(f"{found[3] or '':0<3.3}")
    return -whole if found[1] else whole


def _timestamp(milliseconds: int) -> str:
    at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _duration(milliseconds: int) -> str:
    sign, rest = ("-", -milliseconds) if milliseconds < 0 else ("", milliseconds)
    return f"{sign}{rest // 1000}.{rest % 1000:03d}s"


_NEW, _OLD = ("3.0",), ("2.0",)
_ONE = "mlflow/traces/{trace_id}"

ROUTES: list[Route] = [
    Route("POST", "/v1/traces", no_spans, raw=True),
    Route("POST", "mlflow/traces", start_trace, StartTrace, _NEW),
    Route("POST", "mlflow/traces/search", search_traces, SearchTraces, _NEW),
    Route("POST", "mlflow/traces/batchGetInfos", get_trace_infos, TraceIds, _NEW),
    Route("GET", _ONE, get_trace_info, Nothing, _NEW),
    Route("POST", "mlflow/traces", start_old, OldStart, _OLD),
    Route("GET", "mlflow/traces", search_old, OldSearch, _OLD),
    Route("PATCH", _ONE, end_old, OldEnd, _OLD),
    Route("GET", f"{_ONE}/info", get_old, Nothing, _OLD),
    Route("PATCH", f"{_ONE}/tags", set_trace_tag, TraceTag, _OLD + _NEW),
    Route("DELETE", f"{_ONE}/tags", delete_trace_tag, TraceTag, _OLD + _NEW),
    Route("POST", "mlflow/traces/delete-traces", delete_traces, DeleteTraces, _OLD + _NEW),
    Route("POST", "mlflow/traces/link-to-run", link_traces_to_run, LinkToRun, _OLD),
    Route("POST", "mlflow/traces/link-prompts", link_prompts_to_trace, LinkPrompts, _OLD),
    Route("POST", f"{_ONE}/assessments", create_assessment, Assessment, _NEW),
    Route("GET", f"{_ONE}/assessments/{{assessment_id}}", get_assessment, Nothing, _NEW),
    Route("PATCH", f"{_ONE}/assessments/{{assessment_id}}", update_assessment, Assessment, _NEW),
    Route("DELETE", f"{_ONE}/assessments/{{assessment_id}}", delete_assessment, Nothing, _NEW),
]
