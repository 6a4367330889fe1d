"""MLflow's own webhooks: ``{entity, action, timestamp, data}``, signed under the secret that the endpoint's owner chose.

Source: MLflow 3.17, https://mlflow.org/docs/latest/ml/webhooks. Prompts are registered models there as here, with events of their own.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from core.audit import Event
from core.errors import Invalid
from core.models import AuditEvent
from registry.models import RegisteredModel
from registry.names import IS_PROMPT_TAG, is_prompt
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

_BUDGET = "budget_policy.exceeded"
_PROMPT_TEXT, _PROMPT_KIND = "mlflow.prompt.text", "_mlflow_prompt_type"
_INTERNAL = frozenset({IS_PROMPT_TAG, _PROMPT_KIND})  # tags that a prompt is made of, not tags that somebody set

# The ledger's event -> what it is for a model, and for a prompt; a tag's event is another one if the tag was removed.
_KINDS: dict[str, tuple[str, str]] = {
    Event.MODEL_CREATED: ("registered_model.created", "prompt.created"),
    Event.MODEL_TAGGED: ("", "prompt_tag.{tag}"),
    Event.VERSION_REGISTERED: ("model_version.created", "prompt_version.created"),
    Event.VERSION_TAGGED: ("model_version_tag.{tag}", "prompt_version_tag.{tag}"),
    Event.ALIAS_ASSIGNED: ("model_version_alias.created", "prompt_alias.created"),
    Event.ALIAS_REMOVED: ("model_version_alias.deleted", "prompt_alias.deleted"),
}

# What a test carries, since nothing happened.
EXAMPLES: dict[str, dict[str, Any]] = {
    "registered_model.created": {"name": "example", "tags": {"team": "credit"}, "description": "A test of this webhook"},
    "model_version.created": {
        "name": "example",
        "version": "1",
        "source": "models:/m-0123456789abcdef0123456789abcdef",
        "run_id": "0123456789abcdef0123456789abcdef",
        "tags": {"team": "credit"},
        "description": "A test of this webhook",
    },
    "model_version_tag.set": {"name": "example", "version": "1", "key": "team", "value": "credit"},
    "model_version_tag.deleted": {"name": "example", "version": "1", "key": "team"},
    "model_version_alias.created": {"name": "example", "alias": "champion", "version": "1"},
    "model_version_alias.deleted": {"name": "example", "alias": "champion"},
    "prompt.created": {"name": "example", "tags": {"team": "credit"}, "description": "A test of this webhook"},
    "prompt_version.created": {
        "name": "example",
        "version": "1",
        "template": "Hello {{name}}!",
        "tags": {"team": "credit"},
        "description": "A test of this webhook",
    },
    "prompt_tag.set": {"name": "example", "key": "team", "value": "credit"},
    "prompt_tag.deleted": {"name": "example", "key": "team"},
    "prompt_version_tag.set": {"name": "example", "version": "1", "key": "team", "value": "credit"},
    "prompt_version_tag.deleted": {"name": "example", "version": "1", "key": "team"},
    "prompt_alias.created": {"name": "example", "alias": "champion", "version": "1"},
    "prompt_alias.deleted": {"name": "example", "alias": "champion"},
}


def checked(events: Iterable[str], *, of_one_model: bool) -> list[str]:
    """Return what an endpoint asks for, as MLflow orders it. Raises Invalid for what MLflow does not know, or what nothing here is."""
    names = list(events)
    if _BUDGET in names:
        raise Invalid(f"{_BUDGET} is about budgets of MLflow's gateway, which is not here; leave it out.")
    return sorted(named_events(names, EXAMPLES))


def wanted(events: Sequence[str], entries: Sequence[Entry]) -> dict[int, str]:
    """Return the events that an endpoint asks for, each as MLflow calls it; two statements."""
    models = {int(e.event__scope.removeprefix("model:")) for e in entries if e.event__action in _KINDS}
    prompts = {f"model:{pk}" for pk in RegisteredModel.objects.filter(pk__in=models, is_prompt=True).values_list("pk", flat=True)}

    def asked_as(event: AuditEvent, recorded: Recorded) -> str:
        name = _kind(event, recorded, prompt=event.scope in prompts)
        return name if name in events else ""

    return read_wanted(entries, _KINDS, asked_as)


def message(delivery: WebhookDelivery, at: datetime) -> Message:
    """Return the event, or an example of one for a test, signed if a secret was given. Raises SecretLost."""
    entity, _, action = delivery.kind.partition(".")
    event = delivery.event
    recorded = json.loads(event.body) if event is not None else {}
    body = json.dumps(
        {
            "entity": entity,
            "action": action,
            "timestamp": recorded["occurred_at"] if event is not None else at.isoformat(timespec="microseconds"),
            "data": _data(delivery.kind, event.subject_id, recorded) if event is not None else EXAMPLES[delivery.kind],
        }
    ).encode()
    timestamp = str(int(at.timestamp()))
    headers = {
        "Content-Type": "application/json",
        "X-MLflow-Delivery-Id": str(delivery.pk),
        "X-MLflow-Timestamp": timestamp,
        **given_authorization(delivery.endpoint),
    }
    if secret := given_secret(delivery.endpoint):
        headers["X-MLflow-Signature"] = _signature(secret, f"{delivery.pk}.{timestamp}.".encode() + body)
    return Message(headers, body)


def _signature(secret: str, signed: bytes) -> str:
    return "v1," + base64.b64encode(hmac.new(secret.encode(), signed, hashlib.sha256).digest()).decode()


def _kind(event: AuditEvent, recorded: Recorded, *, prompt: bool) -> str:
    after = recorded.get("after") or {}
    if event.action == Event.MODEL_CREATED:
        prompt = is_prompt(after["tags"])  # as it was made; a tag can make it another thing later
    name = _KINDS[event.action][prompt]
    return name.format(tag="deleted" if after.get("value") is None else "set") if name.endswith("{tag}") else name


def _data(kind: str, subject_id: str, recorded: Recorded) -> dict[str, Any]:
    """Return what MLflow says of an event, from what was recorded of it."""
    entity = kind.partition(".")[0]
    before, after = recorded.get("before") or {}, recorded.get("after") or {}
    if entity in ("registered_model", "prompt"):
        return {"name": subject_id, "tags": _tags(after["tags"], entity), "description": after["description"]}
    if entity == "prompt_tag":
        return {"name": subject_id, **_tag(after)}
    name, number = model_and_version(subject_id)
    if entity in ("model_version_tag", "prompt_version_tag"):
        return {"name": name, "version": number, **_tag(after)}
    if entity in ("model_version_alias", "prompt_alias"):
        return {"name": name, "alias": after["alias"], "version": number} if after else {"name": name, "alias": before["alias"]}
    told = {"name": name, "version": number, "tags": _tags(after["tags"], entity), "description": after["description"] or None}
    if entity == "prompt_version":
        return {**told, "template": after["tags"].get(_PROMPT_TEXT)}
    return {**told, "source": after["source"], "run_id": after["run_id"] or None}


def _tags(tags: Mapping[str, str], entity: str) -> dict[str, str]:
    if entity not in ("prompt", "prompt_version"):
        return dict(tags)
    return {key: value for key, value in tags.items() if key not in _INTERNAL and key != _PROMPT_TEXT}


def _tag(after: Mapping[str, Any]) -> dict[str, Any]:
    return {"key": after["key"]} if after["value"] is None else {"key": after["key"], "value": after["value"]}
