"""Models that runs produce (MLflow 3), before they are registered under a name."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from core.access import Actor
from core.errors import Invalid, NotFound
from interfaces.mlflow import paging
from interfaces.mlflow.messages import (
    I64,
    ONE_STATEMENT,
    Ids,
    KeyValue,
    Message,
    Nothing,
    choice,
    distinct,
    encoded_lists,
    mapping,
    present,
)
from interfaces.mlflow.routing import Route
from tracking import logged_models, queries, search
from tracking.models import LoggedModelStatus
from tracking.queries import experiment_number
from tracking.records import LoggedModelRecord

_STATUSES = (
    LoggedModelStatus.PENDING.value,
    LoggedModelStatus.READY.value,
    LoggedModelStatus.UPLOAD_FAILED.value,
)


class CreateLoggedModel(Message, frozen=True):
    experiment_id: str
    name: str | None = None
    model_type: str | None = None
    source_run_id: str | None = None
    params: list[KeyValue] | None = None
    tags: list[KeyValue] | None = None


class GetLoggedModel(Message, frozen=True):
    allow_deleted: bool | None = None


class FinishLoggedModel(Message, frozen=True):
    model_id: str
    status: str | int


class LoggedModelTags(Message, frozen=True):
    tags: list[KeyValue] | None = None


class LoggedModelParams(Message, frozen=True):
    model_id: str
    params: list[KeyValue] | None = None


class ModelDataset(Message, frozen=True):
    dataset_name: str
    dataset_digest: str | None = None


class ModelOrderMessage(Message, frozen=True):
    field_name: str
    ascending: bool | None = None
    dataset_name: str | None = None
    dataset_digest: str | None = None


class SearchLoggedModels(Message, frozen=True):
    plainly_named: ClassVar[frozenset[str]] = frozenset({"experiment_ids"})

    experiment_ids: Ids | None = None
    filter: str | None = None
    datasets: Annotated[list[ModelDataset], ONE_STATEMENT] | None = None
    max_results: I64 | None = None
    order_by: list[ModelOrderMessage] | None = None
    page_token: str | None = None


def create_logged_model(actor: Actor, message: CreateLoggedModel) -> dict[str, Any]:
    """Create a model that waits for its files."""
    model_id = logged_models.create_logged_model(
        actor=actor,
        experiment_id=experiment_number(message.experiment_id),
        name=message.name or None,
        model_type=message.model_type or "",
        source_run_id=message.source_run_id or "",
        params=distinct(message.params),
        tags=distinct(message.tags),
    )
    return _model_answer(actor, model_id)


def get_logged_model(actor: Actor, message: GetLoggedModel, model_id: str) -> dict[str, Any]:
    """Return a logged model."""
    return {"model": logged_model_message(queries.logged_model(actor, model_id, deleted_too=bool(message.allow_deleted)))}


def finish_logged_model(actor: Actor, message: FinishLoggedModel, model_id: str) -> dict[str, Any]:
    """Say how storing the model's files ended."""
    status = choice(message.status, _STATUSES, "status") or ""
    logged_models.finish_logged_model(actor=actor, model_id=_same(model_id, message.model_id), status=LoggedModelStatus(status))
    return _model_answer(actor, model_id)


def delete_logged_model(actor: Actor, message: Nothing, model_id: str) -> None:
    """Delete a logged model."""
    logged_models.delete_logged_model(actor=actor, model_id=model_id)


def set_logged_model_tags(actor: Actor, message: LoggedModelTags, model_id: str) -> None:
    """Set tags of a logged model."""
    logged_models.set_logged_model_tags(actor=actor, model_id=model_id, tags=mapping(message.tags))


def delete_logged_model_tag(actor: Actor, message: Nothing, model_id: str, key: str) -> None:
    """Remove a tag of a logged model."""
    logged_models.delete_logged_model_tag(actor=actor, model_id=model_id, key=key)


def log_logged_model_params(actor: Actor, message: LoggedModelParams, model_id: str) -> None:
    """Add parameters to a logged model."""
    logged_models.log_logged_model_params(
        actor=actor, model_id=_same(model_id, message.model_id), params=distinct(message.params)
    )


def search_logged_models(actor: Actor, message: SearchLoggedModels) -> dict[str, Any]:
    """Return a page of logged models. The token is bound to the query it was made for."""
    if message.experiment_ids is None:
        raise Invalid("Missing value for required parameter 'experiment_ids'.")
    if any(not item.dataset_name for item in message.datasets or ()):
        raise Invalid("Each of 'datasets' needs a 'dataset_name'.")
    bound_to = [
        message.experiment_ids,
        message.filter or "",
        [[o.field_name, o.ascending is not False, o.dataset_name, o.dataset_digest] for o in message.order_by or ()],
    ]
    given = message.max_results or (50 if message.max_results is None else 100)
    limit = min(paging.limit_of(given, default=50, ceiling=paging.MOST), paging.MOST_RESULTS)
    offset = paging.offset_of(message.page_token, bound_to)
    found = search.logged_models(
        actor,
        experiment_ids=[experiment_number(text) for text in message.experiment_ids],
        filter_text=message.filter,
        datasets=[(item.dataset_name, item.dataset_digest) for item in message.datasets or ()],
        order_by=[
            search.ModelOrder(o.field_name, o.ascending is not False, o.dataset_name, o.dataset_digest)
            for o in message.order_by or ()
        ],
        limit=limit + 1,
        offset=offset,
    )
    page, token = paging.cut(found, offset, limit, bound_to)
    return present(models=[logged_model_message(record) for record in page], next_page_token=token)


def logged_model_message(record: LoggedModelRecord) -> dict[str, Any]:
    """Return a logged model as the protocol prints it."""
    return {
        "info": {
            "model_id": record.model_id,
            "experiment_id": str(record.experiment_id),
            "name": record.name,
            "creation_timestamp_ms": record.created_ms,
            "last_updated_timestamp_ms": record.updated_ms,
            "artifact_uri": record.artifact_uri,
            "status": record.status,
            "model_type": record.model_type,
            "source_run_id": record.source_run_id,
            **encoded_lists(tags=record.tags_json),
        },
        "data": {**encoded_lists(params=record.params_json), **present(metrics=record.metrics)},
    }


def _model_answer(actor: Actor, model_id: str) -> dict[str, Any]:
    return {"model": logged_model_message(queries.logged_model(actor, model_id, deleted_too=True))}


def _same(in_path: str, in_body: str) -> str:
    if in_path != in_body:
        raise NotFound("The model id in the path and the one in the body differ.")
    return in_path


_MODELS = "mlflow/logged-models"
_MODEL = f"{_MODELS}/{{model_id}}"

ROUTES: list[Route] = [
    Route("POST", _MODELS, create_logged_model, CreateLoggedModel),
    Route("POST", f"{_MODELS}/search", search_logged_models, SearchLoggedModels),
    Route("GET", _MODEL, get_logged_model, GetLoggedModel),
    Route("PATCH", _MODEL, finish_logged_model, FinishLoggedModel),
    Route("DELETE", _MODEL, delete_logged_model, Nothing),
    Route("PATCH", f"{_MODEL}/tags", set_logged_model_tags, LoggedModelTags),
    Route("DELETE", f"{_MODEL}/tags/{{key}}", delete_logged_model_tag, Nothing),
    Route("POST", f"{_MODEL}/params", log_logged_model_params, LoggedModelParams),
]
