"""Runs and their tags."""

from __future__ import annotations

import re
from typing import Any, ClassVar

from core.access import Actor
from core.errors import Invalid, NotFound
from interfaces.mlflow import paging
from interfaces.mlflow.messages import I64, Ids, KeyValue, Message, choice, distinct, encoded_lists, present
from interfaces.mlflow.routing import Route
from tracking import queries, search
from tracking.commands import runs as commands
from tracking.models import RunStatus
from tracking.queries import experiment_number
from tracking.records import RunRecord
from workflows.commands import catalog

_RUN_ID = re.compile(r"[a-zA-Z0-9][\w-]{0,255}\Z")
_STATUSES = ("RUNNING", "SCHEDULED", "FINISHED", "FAILED", "KILLED")


class RunId(Message, frozen=True):
    """Clients send the id under its old name, its new one or both."""

    plainly_named: ClassVar[frozenset[str]] = frozenset({"run_id", "run_uuid"})

    run_id: str | None = None
    run_uuid: str | None = None


class CreateRun(Message, frozen=True):
    experiment_id: str | None = None
    user_id: str | None = None
    run_name: str | None = None
    start_time: I64 | None = None
    tags: list[KeyValue] | None = None


class UpdateRun(RunId, frozen=True):
    status: str | int | None = None
    end_time: I64 | None = None
    run_name: str | None = None


class RunTagMessage(RunId, frozen=True, kw_only=True):
    key: str
    value: str | None = None


class SearchRuns(Message, frozen=True):
    experiment_ids: Ids | None = None
    filter: str | None = None
    run_view_type: str | int | None = None
    max_results: I64 | None = None
    order_by: list[str] | None = None
    page_token: str | None = None


def create_run(actor: Actor, message: CreateRun) -> dict[str, Any]:
    """Begin a run."""
    if not message.experiment_id:
        raise Invalid("Missing value for required parameter 'experiment_id'.", code="BAD_REQUEST")
    record = commands.create_run(
        actor=actor,
        experiment_id=experiment_number(message.experiment_id),
        name=message.run_name or "",
        user_id=message.user_id or "",
        start_ms=message.start_time or 0,
        tags=distinct(message.tags),
    )
    answer = run_message(record)
    del answer["outputs"]
    return {"run": answer}


def get_run(actor: Actor, message: RunId) -> dict[str, Any]:
    """Return a run."""
    return {"run": run_message(queries.run(actor, run_id_of(message)))}


def update_run(actor: Actor, message: UpdateRun) -> dict[str, Any]:
    """Change status, end or name of a run."""
    run_id = run_id_of(message)
    status = choice(message.status, _STATUSES, "status")
    commands.update_run(
        actor=actor,
        run_id=run_id,
        status=RunStatus(status).value if status else None,
        end_ms=message.end_time or None,  # 0 is what clients of other languages send for none
        name=message.run_name,
    )
    return {"run_info": run_message(queries.run(actor, run_id))["info"]}


def delete_run(actor: Actor, message: RunId) -> None:
    """Delete a run."""
    catalog.delete_run(actor=actor, run_id=_new_run_id(message))


def restore_run(actor: Actor, message: RunId) -> None:
    """Restore a run."""
    commands.restore_run(actor=actor, run_id=_new_run_id(message))


def search_runs(actor: Actor, message: SearchRuns) -> dict[str, Any]:
    """Return a page of runs."""
    limit = paging.limit_of(message.max_results, default=1000, ceiling=paging.MOST_RESULTS)
    offset = paging.offset_of(message.page_token)
    found = search.runs(
        actor,
        experiment_ids=[experiment_number(text) for text in message.experiment_ids or ()],
        filter_text=message.filter,
        order_by=message.order_by,
        view=choice(message.run_view_type, tuple(search.VIEWS), "run_view_type") or "ACTIVE_ONLY",
        limit=limit + 1,
        offset=offset,
    )
    page, token = paging.cut(found, offset, limit)
    return present(runs=[run_message(record) for record in page], next_page_token=token)


def set_tag(actor: Actor, message: RunTagMessage) -> None:
    """Set a tag of a run."""
    commands.set_run_tag(actor=actor, run_id=run_id_of(message), key=message.key, value=message.value or "")


def delete_tag(actor: Actor, message: RunTagMessage) -> None:
    """Remove a tag of a run."""
    commands.delete_run_tag(actor=actor, run_id=_new_run_id(message), key=message.key)


def run_message(record: RunRecord) -> dict[str, Any]:
    """Return a run as the protocol prints it."""
    info = {
        "run_id": record.run_id,
        "run_uuid": record.run_id,
        "run_name": record.name,
        "experiment_id": str(record.experiment_id),
        "user_id": record.user_id,
        "status": record.status,
        "start_time": record.start_ms,
        "artifact_uri": record.artifact_uri,
        "lifecycle_stage": record.lifecycle_stage,
    }
    if record.end_ms is not None:
        info["end_time"] = record.end_ms
    return {
        "info": info,
        "data": encoded_lists(metrics=record.metrics_json, params=record.params_json, tags=record.tags_json),
        "inputs": encoded_lists(dataset_inputs=record.dataset_inputs_json, model_inputs=record.model_inputs_json),
        "outputs": encoded_lists(model_outputs=record.model_outputs_json),
    }


def run_id_of(message: RunId) -> str:
    """Return the run that a message names. Raises Invalid if it names none, or by an id that is empty."""
    run_id = message.run_uuid if message.run_id is None else message.run_id
    if not run_id:
        raise Invalid("Missing value for required parameter 'run_id'.")
    return run_id


def well_formed(run_id: str) -> str:
    """Return an id where the protocol looks at its form first. Raises Invalid for what no run could have."""
    if not _RUN_ID.match(run_id):
        raise Invalid(f"{run_id[:300]!r} is no run id: use the one that runs/create answered.")
    return run_id


def _new_run_id(message: RunId) -> str:
    """Return the run where the protocol never knew the id's old name; a run that is named by that alone is not found."""
    run_id_of(message)
    if not message.run_id:
        raise NotFound("There is no run without a 'run_id'.")
    return message.run_id


_RUN = "mlflow/runs/"

ROUTES: list[Route] = [
    Route("POST", _RUN + "create", create_run, CreateRun),
    Route("GET", _RUN + "get", get_run, RunId),
    Route("POST", _RUN + "update", update_run, UpdateRun),
    Route("POST", _RUN + "delete", delete_run, RunId),
    Route("POST", _RUN + "restore", restore_run, RunId),
    Route("POST", _RUN + "search", search_runs, SearchRuns),
    Route("POST", _RUN + "set-tag", set_tag, RunTagMessage),
    Route("POST", _RUN + "delete-tag", delete_tag, RunTagMessage),
]
