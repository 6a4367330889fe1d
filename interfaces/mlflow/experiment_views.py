"""Experiments."""

from __future__ import annotations

from typing import Any

from core.access import Actor
from interfaces.mlflow import paging
from interfaces.mlflow.messages import I64, KeyValue, Message, choice, distinct, encoded_lists, present
from interfaces.mlflow.routing import Route
from tracking import queries, search
from tracking.commands import experiments as commands
from tracking.queries import experiment_number
from tracking.records import ExperimentRecord


class CreateExperiment(Message, frozen=True):
    name: str
    artifact_location: str | None = None
    tags: list[KeyValue] | None = None


class ExperimentId(Message, frozen=True):
    experiment_id: str


class ExperimentName(Message, frozen=True):
    experiment_name: str


class UpdateExperiment(Message, frozen=True):
    experiment_id: str
    new_name: str


class ExperimentTagMessage(Message, frozen=True):
    experiment_id: str
    key: str
    value: str | None = None


class SearchExperiments(Message, frozen=True):
    max_results: I64 | None = None
    page_token: str | None = None
    filter: str | None = None
    order_by: list[str] | None = None
    view_type: str | int | None = None


def create_experiment(actor: Actor, message: CreateExperiment) -> dict[str, str]:
    """Create an experiment."""
    experiment_id = commands.create_experiment(
        actor=actor,
        name=message.name,
        artifact_location=message.artifact_location or "",
        tags=distinct(message.tags, "RESOURCE_ALREADY_EXISTS"),
    )
    return {"experiment_id": str(experiment_id)}


def get_experiment(actor: Actor, message: ExperimentId) -> dict[str, Any]:
    """Return an experiment by its id."""
    return {"experiment": experiment_message(queries.experiment(actor, experiment_number(message.experiment_id)))}


def get_experiment_by_name(actor: Actor, message: ExperimentName) -> dict[str, Any]:
    """Return an experiment by its name."""
    return {"experiment": experiment_message(queries.experiment_by_name(actor, message.experiment_name))}


def search_experiments(actor: Actor, message: SearchExperiments) -> dict[str, Any]:
    """Return a page of experiments. The number of results must be given, as on the reference server."""
    limit = paging.limit_of(message.max_results or 0, default=0, ceiling=paging.MOST_RESULTS)
    offset = paging.offset_of(message.page_token)
    found = search.experiments(
        actor,
        filter_text=message.filter,
        order_by=message.order_by,
        view=choice(message.view_type, tuple(search.VIEWS), "view_type") or "ACTIVE_ONLY",
        limit=limit + 1,
        offset=offset,
    )
    page, token = paging.cut(found, offset, limit)
    return present(experiments=[experiment_message(record) for record in page], next_page_token=token)


def update_experiment(actor: Actor, message: UpdateExperiment) -> None:
    """Rename an experiment."""
    commands.rename_experiment(actor=actor, experiment_id=experiment_number(message.experiment_id), name=message.new_name)


def delete_experiment(actor: Actor, message: ExperimentId) -> None:
    """Delete an experiment with its runs."""
    commands.delete_experiment(actor=actor, experiment_id=experiment_number(message.experiment_id))


def restore_experiment(actor: Actor, message: ExperimentId) -> None:
    """Restore an experiment with its runs."""
    commands.restore_experiment(actor=actor, experiment_id=experiment_number(message.experiment_id))


def set_experiment_tag(actor: Actor, message: ExperimentTagMessage) -> None:
    """Set a tag of an experiment."""
    commands.set_experiment_tag(
        actor=actor, experiment_id=experiment_number(message.experiment_id), key=message.key, value=message.value or ""
    )


def delete_experiment_tag(actor: Actor, message: ExperimentTagMessage) -> None:
    """Remove a tag of an experiment."""
    commands.delete_experiment_tag(actor=actor, experiment_id=experiment_number(message.experiment_id), key=message.key)


def experiment_message(record: ExperimentRecord) -> dict[str, Any]:
    """Return an experiment as the protocol prints it."""
    return {
        "experiment_id": str(record.experiment_id),
        "name": record.name,
        "artifact_location": record.artifact_location,
        "lifecycle_stage": record.lifecycle_stage,
        "creation_time": record.created_ms,
        "last_update_time": record.updated_ms,
        **encoded_lists(tags=record.tags_json),
    }


_EXPERIMENT = "mlflow/experiments/"

ROUTES: list[Route] = [
    Route("POST", _EXPERIMENT + "create", create_experiment, CreateExperiment),
    Route("GET", _EXPERIMENT + "get", get_experiment, ExperimentId),
    Route("GET", _EXPERIMENT + "get-by-name", get_experiment_by_name, ExperimentName),
    Route(("POST", "GET"), _EXPERIMENT + "search", search_experiments, SearchExperiments),
    Route("POST", _EXPERIMENT + "update", update_experiment, UpdateExperiment),
    Route("POST", _EXPERIMENT + "delete", delete_experiment, ExperimentId),
    Route("POST", _EXPERIMENT + "restore", restore_experiment, ExperimentId),
    Route("POST", _EXPERIMENT + "set-experiment-tag", set_experiment_tag, ExperimentTagMessage),
    Route("POST", _EXPERIMENT + "delete-experiment-tag", delete_experiment_tag, ExperimentTagMessage),
]
