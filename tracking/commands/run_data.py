"""What is logged to a run: metrics, parameters, tags and, by old clients, descriptions of models."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec
from django.db import transaction

from core import audit, sql
from core.access import Actor
from core.audit import Event
from core.errors import Invalid, NotFound
from tracking import limits
from tracking.at_once import log_at_once
from tracking.commands.runs import RUN_NAME_TAG, applying, open_run, run_tags, tagging
from tracking.points import POINT_COLUMNS, REPLACE_OLDER, MetricPoint, StoredPoint, stored
from tracking.queries import require_logged_models, writable

MODEL_HISTORY_TAG = "mlflow.log-model.history"


def log_batch(
    *,
    actor: Actor,
    run_id: str,
    metrics: Sequence[MetricPoint] = (),
    params: Sequence[tuple[str, str]] = (),
    tags: Sequence[tuple[str, str]] = (),
) -> None:
    """Log metrics, parameters and tags to a run: all of them or none.

    Raises NotFound, Denied, and Invalid for bad names or numbers, a deleted run, a parameter given twice or changed.
    """
    limits.check_batch(len(metrics), len(params), len(tags))
    if not (metrics or params or tags):
        with transaction.atomic():
            open_run(actor, run_id)
        return
    for point in metrics:
        limits.check_key("metric", point.key)
        limits.check_point(point.timestamp_ms)
        if bool(point.dataset_name) != bool(point.dataset_digest):
            raise Invalid(f"The metric {point.key!r} names a data set by half: give both its name and its digest.")
    for key, _ in params:
        limits.check_key("parameter", key)
    kept_tags = run_tags(dict(tags))
    kept_params = {key: value[: limits.MAX_PARAM] for key, value in params}
    if len(kept_params) < len(params):
        raise Invalid("A parameter is given twice in one batch.")
    model_ids = {point.model_id for point in metrics if point.model_id}
    points = stored(metrics)
    given = [(p.key, repr(p.value), p.timestamp_ms, p.step, p.model_id, p.dataset_name, p.dataset_digest) for p in metrics]
    details = {
        "metrics": len(metrics),
        "params": len(kept_params),
        "tags": len(kept_tags),
        "digest": "sha256:" + hashlib.sha256(msgspec.json.encode([given, kept_params, kept_tags])).hexdigest(),
    }
    plain = not model_ids and RUN_NAME_TAG not in kept_tags
    if plain and sql.is_postgresql() and log_at_once(actor, run_id, points, kept_params, kept_tags, details):
        return
    with transaction.atomic():
        found = open_run(actor, run_id)
        _require_models(actor, model_ids)
        _write_params(run_id, kept_params)
        _write_points(run_id, points)
        audit.record(
            actor,
            Event.RUN_LOGGED,
            subject=("run", run_id),
            scope=found.scope,
            beside=applying(found, kept_tags),
            **details,
        )


@transaction.atomic
def log_model(*, actor: Actor, run_id: str, model_json: str) -> None:
    """Append the description of a model, as old clients log it, to the run's tag. Raises NotFound, Denied, Invalid."""
    model = _json(model_json)
    needed = ("artifact_path", "flavors", "utc_time_created", "run_id")
    if not isinstance(model, dict) or any(name not in model for name in needed):
        raise Invalid(f"'model_json' must be an object with {', '.join(needed)}.")
    found = open_run(actor, run_id)
    row = sql.fetch_one("SELECT value FROM tracking_runtag WHERE run_id = %s AND key = %s", [run_id, MODEL_HISTORY_TAG])
    history = _json(row[0]) if row else []
    if not isinstance(history, list):  # clients may write this tag too, and what they wrote is no list of models
        history = []
    value = json.dumps([*history, model], separators=(",", ":"), ensure_ascii=False)
    if len(value) > limits.MAX_RUN_TAG * 10:
        raise Invalid("The run describes too many models.")
    audit.record(
        actor,
        Event.RUN_TAGGED,
        subject=("run", run_id),
        scope=found.scope,
        beside=tagging(run_id, {MODEL_HISTORY_TAG: value}),
        after={"key": MODEL_HISTORY_TAG, "models": len(history) + 1},
    )


def _write_params(run_id: str, params: Mapping[str, str]) -> None:
    written = sql.insert(
        "tracking_param",
        {"run_id": "text", "key": "text", "value": "text"},
        [(run_id, key, value) for key, value in params.items()],
        "ON CONFLICT (run_id, key) DO NOTHING",
    )
    if written == len(params):
        return
    held = sql.fetch(
        f"SELECT key, value FROM tracking_param WHERE run_id = %s AND key IN ({sql.marks(list(params))})", [run_id, *params]
    )
    for key, value in held:
        if params[key] != value:
            raise Invalid(
                f"The parameter {key!r} was logged as {value[:200]!r} and cannot become {params[key][:200]!r}: parameters never change."
            )


def _require_models(actor: Actor, model_ids: Collection[str]) -> None:
    if model_ids:
        try:
            require_logged_models(actor, model_ids, writable)
        except NotFound as error:
            raise Invalid(error.message, code="BAD_REQUEST") from None  # the protocol's word for it here


def _write_points(run_id: str, points: Sequence[StoredPoint]) -> None:
    _refuse_measured_otherwise(run_id, [point for point in points if point.model_id])
    newest = [point for point in points if point.newest]
    for table, some, suffix in (
        ("tracking_metricpoint", points, "ON CONFLICT DO NOTHING"),
        ("tracking_latestmetric", newest, REPLACE_OLDER),
    ):
        sql.insert(table, POINT_COLUMNS, [(run_id, *msgspec.structs.astuple(point)[:-1]) for point in some], suffix)


def _refuse_measured_otherwise(run_id: str, points: Sequence[StoredPoint]) -> None:
    """Refuse a second value, or another data set, of one metric of a logged model at one time and step. Raises Invalid."""
    if not points:
        return
    known: dict[tuple[str, int, int, str], tuple[float, str, str]] = {}
    places = [(point.key, point.timestamp_ms, point.step, point.model_id) for point in points]
    row = "(CAST(%s AS text), CAST(%s AS bigint), CAST(%s AS bigint), CAST(%s AS text))"
    for key, at, step, model_id, value, name, digest in sql.fetch(
        "SELECT key, timestamp_ms, step, model_id, value, dataset_name, dataset_digest FROM tracking_metricpoint"
        f" WHERE run_id = %s AND (key, timestamp_ms, step, model_id) IN (VALUES {', '.join([row] * len(places))})",
        [run_id, *(part for place in places for part in place)],
    ):
        known[key, at, step, model_id] = (value, name, digest)
    for place, point in zip(places, points, strict=True):
        measured = (point.value, point.dataset_name, point.dataset_digest)
        if known.setdefault(place, measured) != measured:
            raise Invalid(
                f"The metric {point.key!r} of the model {point.model_id} has another value or data set at this time and step:"
                " log it at another.",
                code="BAD_REQUEST",
            )


def _json(text: str) -> Any:
    """Return what a JSON text says, or None for what is none or is nested too deeply."""
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
