"""Experiments, runs and what they log."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar

import msgspec
from django.http import HttpRequest

from core.access import Actor
from core.errors import Invalid, NotFound
from interfaces.mlflow import paging
from interfaces.mlflow.messages import I64, ONE_STATEMENT, Ids, KeyValue, Message, choice, mapping, present
from interfaces.mlflow.routing import Route
from tracking import logged_models, queries, search
from tracking.commands import experiments, lineage, run_data, runs
from tracking.commands.lineage import DatasetInput
from tracking.commands.run_data import MetricPoint
from tracking.models import LoggedModelStatus, RunStatus
from tracking.queries import experiment_number
from tracking.records import ExperimentRecord, LoggedModelRecord, MetricValue, RunRecord
from workflows.commands import catalog

MOST_RESULTS = 50_000
_VIEWS = tuple(search.VIEWS)
_STATUSES = ("RUNNING", "SCHEDULED", "FINISHED", "FAILED", "KILLED")
_MODEL_STATUSES = (
    LoggedModelStatus.PENDING.value,
    LoggedModelStatus.READY.value,
    LoggedModelStatus.UPLOAD_FAILED.value,
)


# --- experiments ---------------------------------------------------------------------------------------------------------------


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
    experiment_id = experiments.create_experiment(
        actor=actor,
        name=message.name,
        artifact_location=message.artifact_location or "",
        tags=_distinct(message.tags, "RESOURCE_ALREADY_EXISTS"),
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
    limit = paging.limit_of(message.max_results or 0, default=0, ceiling=MOST_RESULTS)
    offset = paging.offset_of(message.page_token)
    found = search.experiments(
        actor,
        filter_text=message.filter,
        order_by=message.order_by,
        view=choice(message.view_type, _VIEWS, "view_type") or "ACTIVE_ONLY",
        limit=limit + 1,
        offset=offset,
    )
    page, token = paging.cut(found, offset, limit)
    return present(experiments=[experiment_message(record) for record in page], next_page_token=token)


def update_experiment(actor: Actor, message: UpdateExperiment) -> None:
    """Rename an experiment."""
    experiments.rename_experiment(actor=actor, experiment_id=experiment_number(message.experiment_id), name=message.new_name)


def delete_experiment(actor: Actor, message: ExperimentId) -> None:
    """Delete an experiment with its runs."""
    experiments.delete_experiment(actor=actor, experiment_id=experiment_number(message.experiment_id))


def restore_experiment(actor: Actor, message: ExperimentId) -> None:
    """Restore an experiment with its runs."""
    experiments.restore_experiment(actor=actor, experiment_id=experiment_number(message.experiment_id))


def set_experiment_tag(actor: Actor, message: ExperimentTagMessage) -> None:
    """Set a tag of an experiment."""
    experiments.set_experiment_tag(
        actor=actor, experiment_id=experiment_number(message.experiment_id), key=message.key, value=message.value or ""
    )


def delete_experiment_tag(actor: Actor, message: ExperimentTagMessage) -> None:
    """Remove a tag of an experiment."""
    experiments.delete_experiment_tag(actor=actor, experiment_id=experiment_number(message.experiment_id), key=message.key)


def experiment_message(record: ExperimentRecord) -> dict[str, Any]:
    """Return an experiment as the protocol prints it."""
    return {
        "experiment_id": str(record.experiment_id),
        "name": record.name,
        "artifact_location": record.artifact_location,
        "lifecycle_stage": record.lifecycle_stage,
        "creation_time": record.created_ms,
        "last_update_time": record.updated_ms,
        **_lists(tags=record.tags_json),
    }


# --- runs ----------------------------------------------------------------------------------------------------------------------


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


class SearchRuns(Message, frozen=True):
    experiment_ids: Ids | None = None
    filter: str | None = None
    run_view_type: str | int | None = None
    max_results: I64 | None = None
    order_by: list[str] | None = None
    page_token: str | None = None


class MetricMessage(Message, frozen=True):
    key: str
    value: float
    timestamp: I64
    step: I64 | None = None
    model_id: str | None = None
    dataset_name: str | None = None
    dataset_digest: str | None = None
    run_id: str | None = None


class LogMetric(RunId, frozen=True, kw_only=True):
    key: str
    value: float
    timestamp: I64
    step: I64 | None = None
    model_id: str | None = None
    dataset_name: str | None = None
    dataset_digest: str | None = None


class LogParam(RunId, frozen=True, kw_only=True):
    key: str
    value: str | None = None


class LogBatch(Message, frozen=True):
    run_id: str
    metrics: list[MetricMessage] | None = None
    params: list[KeyValue] | None = None
    tags: list[KeyValue] | None = None


class DatasetMessage(Message, frozen=True):
    name: str | None = None
    digest: str | None = None
    source_type: str | None = None
    source: str | None = None
    schema: str | None = None
    profile: str | None = None


class DatasetInputMessage(Message, frozen=True):
    tags: list[KeyValue] | None = None
    dataset: DatasetMessage | None = None


class ModelInput(Message, frozen=True):
    model_id: str


class ModelOutput(Message, frozen=True):
    model_id: str
    step: I64 | None = None


class LogInputs(Message, frozen=True):
    run_id: str
    datasets: Annotated[list[DatasetInputMessage], ONE_STATEMENT] | None = None
    models: Annotated[list[ModelInput], ONE_STATEMENT] | None = None


class LogOutputs(Message, frozen=True):
    run_id: str
    models: Annotated[list[ModelOutput], ONE_STATEMENT]


class LogModel(Message, frozen=True):
    run_id: str
    model_json: str


def create_run(actor: Actor, message: CreateRun) -> dict[str, Any]:
    """Begin a run."""
    if not message.experiment_id:
        raise Invalid("Missing value for required parameter 'experiment_id'.", code="BAD_REQUEST")
    record = runs.create_run(
        actor=actor,
        experiment_id=experiment_number(message.experiment_id),
        name=message.run_name or "",
        user_id=message.user_id or "",
        start_ms=message.start_time or 0,
        tags=_distinct(message.tags),
    )
    answer = run_message(record)
    del answer["outputs"]
    return {"run": answer}


def get_run(actor: Actor, message: RunId) -> dict[str, Any]:
    """Return a run."""
    return {"run": run_message(queries.run(actor, _run_id(message)))}


def update_run(actor: Actor, message: UpdateRun) -> dict[str, Any]:
    """Change status, end or name of a run."""
    run_id = _run_id(message)
    status = choice(message.status, _STATUSES, "status")
    runs.update_run(
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
    runs.restore_run(actor=actor, run_id=_new_run_id(message))


def search_runs(actor: Actor, message: SearchRuns) -> dict[str, Any]:
    """Return a page of runs."""
    limit = paging.limit_of(message.max_results, default=1000, ceiling=MOST_RESULTS)
    offset = paging.offset_of(message.page_token)
    found = search.runs(
        actor,
        experiment_ids=[experiment_number(text) for text in message.experiment_ids or ()],
        filter_text=message.filter,
        order_by=message.order_by,
        view=choice(message.run_view_type, _VIEWS, "run_view_type") or "ACTIVE_ONLY",
        limit=limit + 1,
        offset=offset,
    )
    page, token = paging.cut(found, offset, limit)
    return present(runs=[run_message(record) for record in page], next_page_token=token)


def log_metric(actor: Actor, message: LogMetric) -> None:
    """Log one point of a metric."""
    run_data.log_batch(actor=actor, run_id=_run_id(message), metrics=[_point(message)])


def log_parameter(actor: Actor, message: LogParam) -> None:
    """Log a parameter."""
    run_data.log_batch(actor=actor, run_id=_run_id(message), params=[(message.key, message.value or "")])


def log_batch(actor: Actor, message: LogBatch) -> None:
    """Log metrics, parameters and tags."""
    run_data.log_batch(
        actor=actor,
        run_id=message.run_id,
        metrics=[_point(item) for item in message.metrics or ()],
        params=[(item.key, item.value) for item in message.params or ()],
        tags=[(item.key, item.value) for item in message.tags or ()],
    )


def set_tag(actor: Actor, message: LogParam) -> None:
    """Set a tag of a run."""
    runs.set_run_tag(actor=actor, run_id=_run_id(message), key=message.key, value=message.value or "")


def delete_tag(actor: Actor, message: LogParam) -> None:
    """Remove a tag of a run."""
    runs.delete_run_tag(actor=actor, run_id=_new_run_id(message), key=message.key)


def log_inputs(actor: Actor, message: LogInputs) -> None:
    """Note the data sets and models a run used."""
    datasets = []
    for item in message.datasets or ():
        given = item.dataset or DatasetMessage()
        datasets.append(
            DatasetInput(
                name=given.name or "",
                digest=given.digest or "",
                source_type=given.source_type or "",
                source=given.source or "",
                schema=given.schema,
                profile=given.profile,
                tags=list(_distinct(item.tags).items()),
            )
        )
    lineage.log_inputs(
        actor=actor, run_id=message.run_id, datasets=datasets, model_ids=[item.model_id for item in message.models or ()]
    )


def log_outputs(actor: Actor, message: LogOutputs) -> None:
    """Note the models a run gave."""
    lineage.log_outputs(actor=actor, run_id=message.run_id, models=[(item.model_id, item.step or 0) for item in message.models])


def log_model(actor: Actor, message: LogModel) -> None:
    """Note a model as old clients do."""
    run_data.log_model(actor=actor, run_id=message.run_id, model_json=message.model_json)


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
        "data": _lists(metrics=record.metrics_json, params=record.params_json, tags=record.tags_json),
        "inputs": _lists(dataset_inputs=record.dataset_inputs_json, model_inputs=record.model_inputs_json),
        "outputs": _lists(model_outputs=record.model_outputs_json),
    }


def _run_id(message: Any) -> str:
    run_id: str = message.run_id or message.run_uuid or ""
    if not run_id:
        raise Invalid("Missing value for required parameter 'run_id'.")
    return run_id


def _new_run_id(message: Any) -> str:
    """Return the run where the protocol never knew the id's old name; a run that is named by that alone is not found."""
    _run_id(message)
    if not message.run_id:
        raise NotFound("There is no run without a 'run_id'.")
    run_id: str = message.run_id
    return run_id


def _distinct(items: Sequence[KeyValue] | None, code: str = "BAD_REQUEST") -> dict[str, str]:
    """Return tags or parameters as a dictionary. Raises Invalid if a key is given twice, since neither value has the better right."""
    found = mapping(items)
    if len(found) < len(items or ()):
        raise Invalid("A key is given twice in one request.", code=code)
    return found


def _point(message: MetricMessage | LogMetric) -> MetricPoint:
    return MetricPoint(
        message.key,
        message.value,
        message.timestamp,
        message.step or 0,
        message.model_id or "",
        message.dataset_name or "",
        message.dataset_digest or "",
    )


def _lists(**lists: str | None) -> dict[str, msgspec.Raw]:
    """Return lists that the database made as JSON, without the empty ones."""
    return {name: msgspec.Raw(text.encode()) for name, text in lists.items() if text and text != "[]"}


# --- metric histories and data sets -------------------------------------------------------------------------------------------


class MetricHistory(RunId, frozen=True, kw_only=True):
    metric_key: str
    max_results: I64 | None = None
    page_token: str | None = None


class MetricInterval(Message, frozen=True):
    run_ids: Ids
    metric_key: str
    start_step: I64 | None = None
    end_step: I64 | None = None
    max_results: I64 | None = None


class SearchDatasets(Message, frozen=True):
    experiment_ids: Ids | None = None


def metric_history(actor: Actor, message: MetricHistory) -> dict[str, Any]:
    """Return the points of a metric."""
    limit = message.max_results
    if limit is not None:
        limit = paging.limit_of(limit, default=0, ceiling=paging.MOST)
    offset = paging.offset_of(message.page_token)
    if offset and limit is None:
        limit = paging.MOST
    listed, count = queries.metric_history(actor, _run_id(message), message.metric_key, limit=limit, offset=offset)
    more = limit is not None and count > limit
    return present(
        metrics=msgspec.Raw(listed.encode()) if listed else None,
        next_page_token=paging.token(offset + (limit or 0)) if more else None,
    )


def metric_history_bulk(actor: Actor, request: HttpRequest) -> dict[str, list[MetricValue]]:
    """Return the points of a metric of several runs. The reference server refuses with its own words here, so it is read raw."""
    run_ids = sorted(set(request.GET.getlist("run_id")))
    key = request.GET.get("metric_key") or ""
    most = request.GET.get("max_results") or str(25_000)
    if not run_ids or len(run_ids) > 100:
        raise Invalid("Give 1 to 100 values of 'run_id'.")
    if "metric_key" not in request.GET:
        raise Invalid("Missing value for required parameter 'metric_key'.")
    if not (most.isascii() and most.isdigit() and len(most) < 20 and int(most) > 0):
        raise Invalid("'max_results' must be a positive whole number.")
    return {"metrics": queries.metric_points(actor, run_ids, key, limit=min(int(most), 25_000))}


def metric_history_interval(actor: Actor, message: MetricInterval) -> dict[str, Any]:
    """Return points of a metric of several runs, sampled evenly."""
    most = paging.limit_of(message.max_results, default=2500, ceiling=2500)
    if len(message.run_ids) > 100:
        raise Invalid("Give 1 to 100 values of 'run_ids'.")
    start, end = message.start_step, message.end_step
    if (start is None) != (end is None):
        raise Invalid("Give both 'start_step' and 'end_step', or neither.")
    if start is not None and end is not None and start > end:
        raise Invalid("'start_step' must not be greater than 'end_step'.")
    steps = (start, end) if start is not None and end is not None else None
    return present(metrics=queries.sampled_points(actor, message.run_ids, message.metric_key, steps=steps, most=most))


def search_datasets(actor: Actor, message: SearchDatasets) -> dict[str, Any]:
    """Return the data sets that runs of experiments used."""
    given = message.experiment_ids or []
    if not 1 <= len(given) <= 20:
        raise Invalid("Give 1 to 20 values of 'experiment_ids'.")
    found = queries.dataset_summaries(actor, [experiment_number(text) for text in given])
    return present(
        dataset_summaries=[
            present(experiment_id=str(experiment_id), name=name, digest=digest, context=context)
            for experiment_id, name, digest, context in found
        ]
    )


# --- logged models -------------------------------------------------------------------------------------------------------------


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


class Nothing(Message, frozen=True):
    """A request without fields."""


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
        params=_distinct(message.params),
        tags=_distinct(message.tags),
    )
    return _model_answer(actor, model_id)


def get_logged_model(actor: Actor, message: GetLoggedModel, model_id: str) -> dict[str, Any]:
    """Return a logged model."""
    return {"model": logged_model_message(queries.logged_model(actor, model_id, deleted_too=bool(message.allow_deleted)))}


def finish_logged_model(actor: Actor, message: FinishLoggedModel, model_id: str) -> dict[str, Any]:
    """Say how storing the model's files ended."""
    status = choice(message.status, _MODEL_STATUSES, "status") or ""
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
        actor=actor, model_id=_same(model_id, message.model_id), params=_distinct(message.params)
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
    limit = min(paging.limit_of(given, default=50, ceiling=paging.MOST), MOST_RESULTS)
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
            **_lists(tags=record.tags_json),
        },
        "data": {**_lists(params=record.params_json), **present(metrics=record.metrics)},
    }


def _model_answer(actor: Actor, model_id: str) -> dict[str, Any]:
    return {"model": logged_model_message(queries.logged_model(actor, model_id))}


def _same(in_path: str, in_body: str) -> str:
    if in_path != in_body:
        raise NotFound("The model id in the path and the one in the body differ.")
    return in_path


def _below(prefix: str, routes: Sequence[tuple[str | tuple[str, ...], str, Any, type[Message]]]) -> list[Route]:
    return [Route(methods, f"{prefix}{path}", view, message) for methods, path, view, message in routes]


ROUTES: list[Route] = [
    *_below(
        "mlflow/experiments/",
        [
            ("POST", "create", create_experiment, CreateExperiment),
            ("GET", "get", get_experiment, ExperimentId),
            ("GET", "get-by-name", get_experiment_by_name, ExperimentName),
            (("POST", "GET"), "search", search_experiments, SearchExperiments),
            ("POST", "update", update_experiment, UpdateExperiment),
            ("POST", "delete", delete_experiment, ExperimentId),
            ("POST", "restore", restore_experiment, ExperimentId),
            ("POST", "set-experiment-tag", set_experiment_tag, ExperimentTagMessage),
            ("POST", "delete-experiment-tag", delete_experiment_tag, ExperimentTagMessage),
        ],
    ),
    *_below(
        "mlflow/runs/",
        [
            ("POST", "create", create_run, CreateRun),
            ("GET", "get", get_run, RunId),
            ("POST", "update", update_run, UpdateRun),
            ("POST", "delete", delete_run, RunId),
            ("POST", "restore", restore_run, RunId),
            ("POST", "search", search_runs, SearchRuns),
            ("POST", "log-metric", log_metric, LogMetric),
            ("POST", "log-parameter", log_parameter, LogParam),
            ("POST", "log-batch", log_batch, LogBatch),
            ("POST", "set-tag", set_tag, LogParam),
            ("POST", "delete-tag", delete_tag, LogParam),
            ("POST", "log-inputs", log_inputs, LogInputs),
            ("POST", "outputs", log_outputs, LogOutputs),
            ("POST", "log-model", log_model, LogModel),
        ],
    ),
    *_below(
        "mlflow/logged-models",
        [
            ("POST", "", create_logged_model, CreateLoggedModel),
            ("POST", "/search", search_logged_models, SearchLoggedModels),
            ("GET", "/{model_id}", get_logged_model, GetLoggedModel),
            ("PATCH", "/{model_id}", finish_logged_model, FinishLoggedModel),
            ("DELETE", "/{model_id}", delete_logged_model, Nothing),
            ("PATCH", "/{model_id}/tags", set_logged_model_tags, LoggedModelTags),
            ("DELETE", "/{model_id}/tags/{key}", delete_logged_model_tag, Nothing),
            ("POST", "/{model_id}/params", log_logged_model_params, LoggedModelParams),
        ],
    ),
    Route("GET", "mlflow/metrics/get-history", metric_history, MetricHistory),
    Route("GET", "mlflow/metrics/get-history-bulk", metric_history_bulk, ajax_only=True, raw=True),
    Route("GET", "mlflow/metrics/get-history-bulk-interval", metric_history_interval, MetricInterval),
    Route("POST", "mlflow/experiments/search-datasets", search_datasets, SearchDatasets, ajax_only=True),
]
