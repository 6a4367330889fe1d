"""Databricks' registry webhooks: one flat object for each event, signed over the body under the secret its owner chose.

Source: "Workspace Model Registry webhooks", https://docs.databricks.com/en/mlflow/model-registry-webhooks.html.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from core.audit import Event
from core.errors import Invalid
from core.models import AuditEvent
from webhooks.formats.base import (
    Entry,
    Message,
    Recorded,
    given_authorization,
    given_secret,
    model_and_version,
    named_events,
    read_wanted,
)
from webhooks.models import WebhookDelivery

_STAGES = ("Staging", "Production", "Archived")
_MODEL, _VERSION, _TAG = "REGISTERED_MODEL_CREATED", "MODEL_VERSION_CREATED", "MODEL_VERSION_TAG_SET"
_MOVED, _ASKED, _COMMENT = "MODEL_VERSION_TRANSITIONED_STAGE", "TRANSITION_REQUEST_CREATED", "COMMENT_CREATED"
_MOVED_TO = {stage: f"MODEL_VERSION_TRANSITIONED_TO_{stage.upper()}" for stage in _STAGES}
_ASKED_FOR = {stage: f"TRANSITION_REQUEST_TO_{stage.upper()}_CREATED" for stage in _STAGES}
_STAGE_OF = {name: stage for names in (_MOVED_TO, _ASKED_FOR) for stage, name in names.items()}

EVENTS = (_VERSION, _MOVED, *_MOVED_TO.values(), _ASKED, *_ASKED_FOR.values(), _COMMENT, _MODEL, _TAG)

_ACTIONS = (
    Event.MODEL_CREATED,
    Event.VERSION_REGISTERED,
    Event.VERSION_TAGGED,
    Event.STAGE_ASSIGNED,
    Event.PROMOTION_REQUESTED,
    Event.THREAD_OPENED,
    Event.COMMENT_ADDED,
)
_REQUEST_KINDS = ("promotion", "rollback")  # a re-review moves nothing


def checked(events: Iterable[str], *, of_one_model: bool) -> list[str]:
    """Return what an endpoint asks for. Raises Invalid, also for models made where it hears of one that is there."""
    names = named_events(events, EVENTS)
    if of_one_model and _MODEL in names:
        raise Invalid(f"{_MODEL} is for webhooks of the whole registry; leave out model_name, or this event.")
    return names


def wanted(events: Sequence[str], entries: Sequence[Entry]) -> dict[int, str]:
    """Return the events that an endpoint asks for, each by the first of its names that was asked for; one statement."""

    def asked_as(event: AuditEvent, recorded: Recorded) -> str:
        names = _names(event.action, recorded)
        return next((name for name in events if name in names), "")

    return read_wanted(entries, _ACTIONS, asked_as)


def message(delivery: WebhookDelivery, at: datetime) -> Message:
    """Return the event, or an example of one for a test, signed if a secret was given. Raises SecretLost."""
    event = delivery.event
    if event is not None:
        recorded = json.loads(event.body)
        happened, told = event.occurred_at, _told(delivery.kind, event, recorded)
    else:
        happened, told = at, _example(delivery.kind, delivery.endpoint.model.name if delivery.endpoint.model else "example")
    body = json.dumps(
        {
            "event": delivery.kind,
            "webhook_id": str(delivery.endpoint_id),
            "event_timestamp": int(happened.timestamp() * 1000),
            **told,
        },
        ensure_ascii=False,
    ).encode()
    headers = {"Content-Type": "application/json; charset=utf-8", **given_authorization(delivery.endpoint)}
    if secret := given_secret(delivery.endpoint):
        headers["X-Databricks-Signature"] = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return Message(headers, body)


def _names(action: str, recorded: Recorded) -> tuple[str, ...]:
    """Return what Databricks calls an event, the general name first; nothing for what it has no name for."""
    after = recorded.get("after") or {}
    if action == Event.MODEL_CREATED:
        return (_MODEL,)
    if action == Event.VERSION_REGISTERED:
        return (_VERSION,)
    if action == Event.VERSION_TAGGED:
        return (_TAG,) if after.get("value") is not None else ()
    if action == Event.STAGE_ASSIGNED:
        return _either(_MOVED, _MOVED_TO, after["stage"])
    if action == Event.PROMOTION_REQUESTED:
        place, _, target = after["target"].partition(":")
        return _either(_ASKED, _ASKED_FOR, target) if place == "stage" and after["kind"] in _REQUEST_KINDS else ()
    return (_COMMENT,) if "model" in after else ()


def _either(general: str, of_stage: dict[str, str], stage: str) -> tuple[str, ...]:
    return (general, of_stage[stage]) if stage in of_stage else (general,)


def _told(kind: str, event: AuditEvent, recorded: Recorded) -> dict[str, Any]:
    """Return what Databricks says of an event, from what was recorded of it."""
    before, after = recorded.get("before") or {}, recorded.get("after") or {}
    if kind == _MODEL:
        return _model(event.subject_id, event.actor)
    if kind in (_ASKED, *_ASKED_FOR.values()):
        target = after["target"].partition(":")[2]
        return _asked(
            after["model"], str(after["version"]), after.get("from_stage", "None"), target, event.actor, after["reason"]
        )
    if kind == _COMMENT:
        return _commented(after["model"], str(after["version"]), event.actor, after["text"])
    name, number = model_and_version(event.subject_id)
    if kind == _VERSION:
        return _registered(name, number, event.actor)
    if kind == _TAG:
        return _tagged(name, number, event.actor, after["key"], after["value"])
    return _moved(name, number, before["stage"], after["stage"])


def _example(kind: str, model: str) -> dict[str, Any]:
    """Return what a test says: as if it had happened to version 1 of a model."""
    who, why = "countersign", "A test of this webhook."
    stage = _STAGE_OF.get(kind, "Production")
    if kind == _MODEL:
        return _model(model, who)
    if kind in (_ASKED, *_ASKED_FOR.values()):
        return _asked(model, "1", "None", stage, who, why)
    if kind == _COMMENT:
        return _commented(model, "1", who, why)
    if kind == _VERSION:
        return _registered(model, "1", who)
    if kind == _TAG:
        return _tagged(model, "1", who, "key", "value")
    return _moved(model, "1", "None", stage)


def _model(name: str, who: str) -> dict[str, Any]:
    return {"model_name": name, "text": f"{who} created the registered model '{name}'."}


def _registered(name: str, number: str, who: str) -> dict[str, Any]:
    return {"model_name": name, "version": number, "text": f"{who} created version {number} of the registered model '{name}'."}


def _moved(name: str, number: str, held: str, stage: str) -> dict[str, Any]:
    text = f"Registered model '{name}' version {number} transitioned from {held} to {stage}."
    return {"model_name": name, "version": number, "to_stage": stage, "from_stage": held, "text": text}


def _asked(name: str, number: str, held: str, stage: str, who: str, why: str) -> dict[str, Any]:
    text = f"{who} requested that registered model '{name}' version {number} transition from {held} to {stage}."
    return {"model_name": name, "version": number, "to_stage": stage, "from_stage": held, "comment": why, "text": text}


def _commented(name: str, number: str, who: str, comment: str) -> dict[str, Any]:
    text = f"{who} commented on registered model '{name}' version {number}."
    return {"model_name": name, "version": number, "comment": comment, "text": text}


def _tagged(name: str, number: str, who: str, key: str, value: str) -> dict[str, Any]:
    text = f"{who} set the tag '{key}' of registered model '{name}' version {number}."
    return {"model_name": name, "version": number, "key": key, "value": value, "text": text}
