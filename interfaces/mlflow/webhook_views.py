"""MLflow's own webhooks: endpoints that are told in MLflow's format, by the engine that serves every other."""

from __future__ import annotations

import re
from typing import Any

from core.access import Actor
from core.errors import Invalid, NotFound
from interfaces.mlflow import paging
from interfaces.mlflow.messages import I64, Message, choice, milliseconds, present, row_id
from interfaces.mlflow.routing import Route
from webhooks import commands, queries
from webhooks.models import EndpointFormat, EndpointState, WebhookEndpoint

_ON_A_PAGE, _MOST = 100, 1000
_FAILED = 400  # the lowest status by which a receiver says that something went wrong
_NAME = re.compile(r"[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?", re.IGNORECASE)
# In the order of the protocol's numbers, which count from 0.
_ENTITIES = (
    "ENTITY_UNSPECIFIED",
    "REGISTERED_MODEL",
    "MODEL_VERSION",
    "MODEL_VERSION_TAG",
    "MODEL_VERSION_ALIAS",
    "PROMPT",
    "PROMPT_VERSION",
    "PROMPT_TAG",
    "PROMPT_VERSION_TAG",
    "PROMPT_ALIAS",
    "BUDGET_POLICY",
)
_ACTIONS = ("ACTION_UNSPECIFIED", "CREATED", "UPDATED", "DELETED", "SET", "EXCEEDED")
_STATES = {"ACTIVE": EndpointState.ACTIVE, "DISABLED": EndpointState.DISABLED}


class HookEvent(Message, frozen=True):
    entity: str | int
    action: str | int


class CreateWebhook(Message, frozen=True):
    name: str
    url: str
    events: list[HookEvent]
    description: str | None = None
    secret: str | None = None
    status: str | int | None = None


class ListWebhooks(Message, frozen=True):
    max_results: I64 | None = None
    page_token: str | None = None


class UpdateWebhook(Message, frozen=True):
    name: str | None = None
    url: str | None = None
    events: list[HookEvent] | None = None
    description: str | None = None
    secret: str | None = None
    status: str | int | None = None


class TryWebhook(Message, frozen=True):
    event: HookEvent | None = None


def create_webhook(actor: Actor, message: CreateWebhook) -> dict[str, Any]:
    """Add a webhook of the whole registry."""
    made = commands.create_endpoint(
        actor=actor,
        name=_name(message.name),
        url=message.url,
        events=_events(message.events),
        description=message.description or "",
        state=_state(message.status) or EndpointState.ACTIVE,
        format=EndpointFormat.MLFLOW,
        secret=message.secret or "",
    )
    return {"webhook": _webhook(made.endpoint)}


def list_webhooks(actor: Actor, message: ListWebhooks) -> dict[str, Any]:
    """Return one page of the webhooks, newest first."""
    limit = paging.limit_of(message.max_results or None, default=_ON_A_PAGE, ceiling=_MOST)
    offset = paging.offset_of(message.page_token)
    rows = queries.endpoints(actor).filter(format=EndpointFormat.MLFLOW).order_by("-created_at", "-id")
    page, token = paging.cut(list(rows[offset : offset + limit + 1]), offset, limit)
    return present(webhooks=[_webhook(row) for row in page], next_page_token=token)


def get_webhook(actor: Actor, webhook_id: str) -> dict[str, Any]:
    """Return a webhook."""
    return {"webhook": _webhook(_found(actor, webhook_id))}


def update_webhook(actor: Actor, message: UpdateWebhook, webhook_id: str) -> dict[str, Any]:
    """Change what is given; a name, address or events that are empty count as not given."""
    changed = commands.change_endpoint(
        actor=actor,
        endpoint_id=_found(actor, webhook_id).pk,
        name=_name(message.name) if message.name else None,
        url=message.url or None,
        events=_events(message.events) if message.events else None,
        description=message.description,
        secret=message.secret,
        state=_state(message.status),
    )
    return {"webhook": _webhook(changed)}


def delete_webhook(actor: Actor, webhook_id: str) -> None:
    """Remove a webhook."""
    commands.delete_endpoint(actor=actor, endpoint_id=_found(actor, webhook_id).pk)


def try_webhook(actor: Actor, message: TryWebhook, webhook_id: str) -> dict[str, Any]:
    """Send an example of an event, the first of the webhook's if none is named, and return what was answered."""
    event = _event(message.event) if message.event is not None else ""
    came = commands.try_out(actor=actor, endpoint_id=_found(actor, webhook_id).pk, event=event)
    result = present(
        success=not came.error,
        response_status=came.status_code,
        response_body=came.response if came.status_code is not None else None,
        # Where there was an answer, its status says it; but that a redirect was not followed has to be said.
        error_message=came.error if came.error and (came.status_code or 0) < _FAILED else None,
    )
    return {"result": result}


def _found(actor: Actor, webhook_id: str) -> WebhookEndpoint:
    found = queries.endpoints(actor).filter(pk=row_id(webhook_id), format=EndpointFormat.MLFLOW).first()
    if found is None:
        raise NotFound(f"There is no webhook {webhook_id!r}, or you may not see it.")
    return found


def _name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise Invalid(
            f"The name {name!r} is invalid: it has 1 to 63 letters, digits, dots, underscores and hyphens, and begins and ends "
            "with a letter or digit."
        )
    return name


def _events(events: list[HookEvent]) -> list[str]:
    names = [_event(event) for event in events]
    if len(set(names)) < len(names):
        raise Invalid("An event is in the list twice.", code="BAD_REQUEST")
    return names


def _event(event: HookEvent) -> str:
    """Return an event as the format names it, such as ``model_version_tag.set``."""
    entity = choice(event.entity, _ENTITIES, "entity", first=0)
    action = choice(event.action, _ACTIONS, "action", first=0)
    return f"{entity}.{action}".lower()


def _state(status: str | int | None) -> str | None:
    name = choice(status, tuple(_STATES), "status")
    return None if name is None else _STATES[name]


def _webhook(row: WebhookEndpoint) -> dict[str, Any]:
    events = [event.upper().split(".") for event in row.events]
    return present(
        webhook_id=str(row.pk),
        name=row.name,
        url=row.url,
        events=[{"entity": entity, "action": action} for entity, action in events],
        description=row.description or None,
        status="ACTIVE" if row.state == EndpointState.ACTIVE else "DISABLED",
        creation_timestamp=milliseconds(row.created_at),
        last_updated_timestamp=milliseconds(row.updated_at),
    )


_ONE = "mlflow/webhooks/{webhook_id}"

ROUTES: list[Route] = [
    Route("POST", "mlflow/webhooks", create_webhook, CreateWebhook),
    Route("GET", "mlflow/webhooks", list_webhooks, ListWebhooks),
    Route("GET", _ONE, get_webhook),
    Route("PATCH", _ONE, update_webhook, UpdateWebhook),
    Route("DELETE", _ONE, delete_webhook),
    Route("POST", _ONE + "/test", try_webhook, TryWebhook),
]
