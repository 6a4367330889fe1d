"""Histories of metrics, of one run whole or of several in part."""

from __future__ import annotations

from typing import Any

import msgspec
from django.http import HttpRequest

from core.access import Actor
from core.errors import Invalid
from interfaces.mlflow import paging
from interfaces.mlflow.messages import I64, Ids, Message, present
from interfaces.mlflow.routing import Route
from interfaces.mlflow.run_views import RunId, run_id_of
from tracking import queries
from tracking.records import MetricValue


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


def metric_history(actor: Actor, message: MetricHistory) -> dict[str, Any]:
    """Return the points of a metric."""
    limit = message.max_results
    if limit is not None:
        limit = paging.limit_of(limit, default=0, ceiling=paging.MOST)
    offset = paging.offset_of(message.page_token)
    if offset and limit is None:
        limit = paging.MOST
    listed, count = queries.metric_history(actor, run_id_of(message), message.metric_key, limit=limit, offset=offset)
    more = limit is not None and count > limit
    return present(
        metrics=msgspec.Raw(listed.encode()) if listed else None,
        next_page_token=paging.token(offset + (limit or 0)) if more else None,
    )


def metric_history_bulk(actor: Actor, request: HttpRequest) -> dict[str, list[MetricValue]]:
    """Return the points of a metric of several runs. The reference server refuses with its own words here, so it is read raw."""
    run_ids = request.GET.getlist("run_id")
    key = request.GET.get("metric_key") or ""
    most = request.GET.get("max_results") or str(25_000)
    if not run_ids or len(run_ids) > 100:
        raise Invalid("Give 1 to 100 values of 'run_id'.")
    if "metric_key" not in request.GET:
        raise Invalid("Missing value for required parameter 'metric_key'.")
    if not (most.isascii() and most.isdigit() and len(most) < 20):
        raise Invalid("'max_results' must be a whole number that is not negative.")
    return {"metrics": queries.metric_points(actor, sorted(set(run_ids)), key, limit=min(int(most), 25_000))}


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


ROUTES: list[Route] = [
    Route("GET", "mlflow/metrics/get-history", metric_history, MetricHistory),
    Route("GET", "mlflow/metrics/get-history-bulk", metric_history_bulk, ajax_only=True, raw=True),
    Route("GET", "mlflow/metrics/get-history-bulk-interval", metric_history_interval, MetricInterval),
]
