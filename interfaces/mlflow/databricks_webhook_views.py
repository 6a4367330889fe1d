"""Databricks' registry webhooks: endpoints that are told in Databricks' format, by the engine that serves every other."""

from __future__ import annotations

from typing import Any, ClassVar
from urllib.parse import urlsplit

from core.access import Actor, Permission
from core.errors import Invalid, NotFound
from interfaces.mlflow import paging
from interfaces.mlflow.messages import I64, Message, choice, milliseconds, present, row_id
from interfaces.mlflow.routing import Route
from registry import rows
from webhooks import commands, queries
from webhooks.formats.databricks import EVENTS
from webhooks.models import EndpointFormat, EndpointState, WebhookEndpoint

_ON_A_PAGE, _MOST = 100, 1000
_STATES = {"ACTIVE": EndpointState.ACTIVE, "DISABLED": EndpointState.DISABLED, "TEST_MODE": EndpointState.TESTING}
_STATUS = {state: name for name, state in _STATES.items()}


class UrlSpec(Message, frozen=True):
    url: str
    enable_ssl_verification: bool | None = None
    secret: str | None = None
    authorization: str | None = None


class JobSpec(Message, frozen=True):
    job_id: str | None = None


class CreateWebhook(Message, frozen=True):
    events: list[str]
    model_name: str | None = None
    description: str | None = None
    status: str | None = None
    http_url_spec: UrlSpec | None = None
    job_spec: JobSpec | None = None


class ListWebhooks(Message, frozen=True):
    events: list[str] | None = None
    model_name: str | None = None
    max_results: I64 | None = None
    page_token: str | None = None


class UpdateWebhook(Message, frozen=True):
    id: str
    events: list[str] | None = None
    description: str | None = None
    status: str | None = None
    http_url_spec: UrlSpec | None = None
    job_spec: JobSpec | None = None


class DeleteWebhook(Message, frozen=True):
    deleted_by_query: ClassVar[bool] = True

    id: str


class TryWebhook(Message, frozen=True):
    id: str
    event: str | None = None


def create_webhook(actor: Actor, message: CreateWebhook) -> dict[str, Any]:
    """Add a webhook of one model, or of the whole registry."""
    _refuse_job(message.job_spec)
    spec = message.http_url_spec
    if spec is None:
        raise Invalid("Give an http_url_spec with the address that is to be told.")
    made = commands.create_endpoint(
        actor=actor,
        name=_name_of(spec.url),
        url=spec.url,
        events=message.events,
        model_name=message.model_name or None,
        description=message.description or "",
        state=_state(message.status) or EndpointState.ACTIVE,
        format=EndpointFormat.DATABRICKS,
        secret=spec.secret or "",
        authorization=spec.authorization or "",
        verify_certificate=spec.enable_ssl_verification is not False,
    )
    return {"webhook": _webhook(made.endpoint)}


def list_webhooks(actor: Actor, message: ListWebhooks) -> dict[str, Any]:
    """Return one page of the webhooks that the caller manages, newest first: of a model, or with one of some events."""
    limit = paging.limit_of(message.max_results, default=_ON_A_PAGE, ceiling=_MOST)
    query = [message.events, message.model_name]
    offset = paging.offset_of(message.page_token, query)
    found = queries.endpoints(actor).filter(format=EndpointFormat.DATABRICKS).order_by("-created_at", "-id")
    if message.model_name:
        found = found.filter(model=rows.model(actor, Permission.MODEL_READ, message.model_name))
    if asked := {str(choice(event, EVENTS, "events")) for event in message.events or ()}:
        # The engines have no common way to look into a list, and there are few endpoints.
        listed = [row for row in found if asked & set(row.events)][offset : offset + limit + 1]
    else:
        listed = list(found[offset : offset + limit + 1])
    page, token = paging.cut(listed, offset, limit, query)
    return present(webhooks=[_webhook(row) for row in page], next_page_token=token)


def update_webhook(actor: Actor, message: UpdateWebhook) -> dict[str, Any]:
    """Change what is given; a secret or authorization that is not given stays as it is."""
    _refuse_job(message.job_spec)
    found, spec = _found(actor, message.id), message.http_url_spec
    moved = spec is not None and spec.url != found.url  # an address that stays says nothing against what failed before
    changed = commands.change_endpoint(
        actor=actor,
        endpoint_id=found.pk,
        name=_name_of(spec.url) if spec and moved else None,
        url=spec.url if spec and moved else None,
        events=message.events or None,
        state=_state(message.status),
        description=message.description,
        secret=spec.secret if spec else None,
        authorization=spec.authorization if spec else None,
        verify_certificate=spec.enable_ssl_verification if spec else None,
    )
    return {"webhook": _webhook(changed)}


def delete_webhook(actor: Actor, message: DeleteWebhook) -> None:
    """Remove a webhook."""
    commands.delete_endpoint(actor=actor, endpoint_id=_found(actor, message.id).pk)


def try_webhook(actor: Actor, message: TryWebhook) -> dict[str, Any]:
    """Send an example of an event, the first of the webhook's if none is named, and return what was answered."""
    came = commands.try_out(actor=actor, endpoint_id=_found(actor, message.id).pk, event=message.event or "")
    if came.status_code is None:
        raise Invalid(f"The test got no answer. {came.error}")
    return {"status_code": came.status_code, "body": came.response}


def _refuse_job(spec: JobSpec | None) -> None:
    if spec is not None:
        raise Invalid(
            "Jobs of a workspace are not started from here. Give an http_url_spec with the address of a service that starts the job.",
            code="NOT_IMPLEMENTED",
        )


def _found(actor: Actor, webhook_id: str) -> WebhookEndpoint:
    found = queries.endpoints(actor).filter(pk=row_id(webhook_id), format=EndpointFormat.DATABRICKS).first()
    if found is None:
        raise NotFound(f"There is no webhook {webhook_id!r}, or you may not see it.")
    return found


def _name_of(url: str) -> str:
    """Return by what name people know a webhook, which has none in this protocol: its server's."""
    try:
        host = urlsplit(url).hostname
    except ValueError:
        host = None
    return (host or "no server")[:100]


def _state(status: str | None) -> str | None:
    name = choice(status, tuple(_STATES), "status")
    return None if name is None else _STATES[name]


def _webhook(row: WebhookEndpoint) -> dict[str, Any]:
    return present(
        id=str(row.pk),
        events=row.events,
        model_name=row.model.name if row.model is not None else None,
        description=row.description or None,
        status=_STATUS[EndpointState(row.state)],
        creation_timestamp=milliseconds(row.created_at),
        last_updated_timestamp=milliseconds(row.updated_at),
        http_url_spec={"url": row.url, "enable_ssl_verification": row.verify_certificate},
    )


_HOOK = "mlflow/registry-webhooks/"

ROUTES: list[Route] = [
    Route("POST", _HOOK + "create", create_webhook, CreateWebhook),
    Route("GET", _HOOK + "list", list_webhooks, ListWebhooks),
    Route("PATCH", _HOOK + "update", update_webhook, UpdateWebhook),
    Route("DELETE", _HOOK + "delete", delete_webhook, DeleteWebhook),
    Route("POST", _HOOK + "test", try_webhook, TryWebhook),
]
