"""What is logged to a run: metrics, parameters, tags and, by old clients, models."""

from __future__ import annotations

from core.access import Actor
from interfaces.mlflow.messages import I64, KeyValue, Message
from interfaces.mlflow.routing import Route
from interfaces.mlflow.run_views import RunId, run_id_of, well_formed
from tracking.commands import run_data as commands
from tracking.points import MetricPoint


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


class LogModel(Message, frozen=True):
    run_id: str
    model_json: str


def log_metric(actor: Actor, message: LogMetric) -> None:
    """Log one point of a metric."""
    commands.log_batch(actor=actor, run_id=run_id_of(message), metrics=[_point(message)])


def log_parameter(actor: Actor, message: LogParam) -> None:
    """Log a parameter."""
    commands.log_batch(actor=actor, run_id=run_id_of(message), params=[(message.key, message.value or "")])


def log_batch(actor: Actor, message: LogBatch) -> None:
    """Log metrics, parameters and tags."""
    commands.log_batch(
        actor=actor,
        run_id=well_formed(message.run_id),
        metrics=[_point(item) for item in message.metrics or ()],
        params=[(item.key, item.value) for item in message.params or ()],
        tags=[(item.key, item.value) for item in message.tags or ()],
    )


def log_model(actor: Actor, message: LogModel) -> None:
    """Note a model as old clients do."""
    commands.log_model(actor=actor, run_id=message.run_id, model_json=message.model_json)


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


_RUN = "mlflow/runs/"

ROUTES: list[Route] = [
    Route("POST", _RUN + "log-metric", log_metric, LogMetric),
    Route("POST", _RUN + "log-parameter", log_parameter, LogParam),
    Route("POST", _RUN + "log-batch", log_batch, LogBatch),
    Route("POST", _RUN + "log-model", log_model, LogModel),
]
