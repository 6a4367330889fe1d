"""Read endpoints and what became of their deliveries, limited to what the actor manages."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import Prefetch, QuerySet

from core import access
from core.access import Actor, Permission
from core.audit import Event
from core.errors import NotFound
from webhooks import catalogue
from webhooks.models import DeliveryAttempt, WebhookDelivery, WebhookEndpoint


@dataclass(frozen=True)
class EndpointRow:
    """An endpoint without its secret. model: the only one whose events it gets. reason: why it is disabled.

    format: in whose words it is told: ours (standard), or those of databricks or mlflow, in which its events are named then.
    failing_since: when the first of the failures since the last success was.
    """

    id: int
    name: str
    description: str
    format: str
    url: str
    verify_certificate: bool
    events: list[str]
    model: str | None
    state: str
    reason: str
    failing_since: datetime | None
    previous_secret_ends_at: datetime | None
    created_by: str
    created_at: datetime


@dataclass(frozen=True)
class EndpointWithSecret(EndpointRow):
    """An endpoint with its secret, which is shown this once."""

    secret: str


@dataclass(frozen=True)
class AttemptRow:
    """What came of sending once. response: its beginning. error: why it does not count as delivered, empty if it does."""

    at: datetime
    status_code: int | None
    duration_ms: int
    response: str
    error: str


@dataclass(frozen=True)
class DeliveryRow:
    """One event for one endpoint; its id is sent as ``webhook-id``. A test has no event and no place in the ledger."""

    id: UUID
    endpoint: int
    type: str
    event_id: int | None
    ledger_position: int | None
    subject: str
    state: str
    attempts: int
    next_attempt_at: datetime | None
    created_at: datetime
    delivered_at: datetime | None
    tries: list[AttemptRow]


@dataclass(frozen=True)
class EventKind:
    """An event that can be asked for, and when it is recorded."""

    name: str
    meaning: str


def endpoints(actor: Actor) -> QuerySet[WebhookEndpoint]:
    """Return the endpoints the actor manages: all of them, or those of models they manage."""
    rows = WebhookEndpoint.objects.filter(deleted_at__isnull=True).select_related("model", "created_by")
    if actor.grants(Permission.WEBHOOK_MANAGE):
        return rows
    return access.visible(actor, rows, Permission.MODEL_MANAGE, "model")


def endpoint(actor: Actor, endpoint_id: int) -> WebhookEndpoint:
    """Return an endpoint the actor manages. Raises NotFound."""
    found = endpoints(actor).filter(pk=endpoint_id).first()
    if found is None:
        raise NotFound(f"There is no webhook {endpoint_id}, or you may not see it.")
    return found


def endpoint_row(row: WebhookEndpoint) -> EndpointRow:
    """Return an endpoint for a list."""
    return EndpointRow(
        id=row.pk,
        name=row.name,
        description=row.description,
        format=row.format,
        url=row.url,
        verify_certificate=row.verify_certificate,
        events=list(row.events),
        model=row.model.name if row.model is not None else None,
        state=row.state,
        reason=row.reason,
        failing_since=row.failing_since,
        previous_secret_ends_at=row.previous_secret_ends_at,
        created_by=row.created_by.username,
        created_at=row.created_at,
    )


def with_secret(row: WebhookEndpoint, secret: str) -> EndpointWithSecret:
    """Return an endpoint with the secret it was given just now."""
    shown = endpoint_row(row)
    return EndpointWithSecret(**{name: getattr(shown, name) for name in shown.__dataclass_fields__}, secret=secret)


def deliveries(actor: Actor, endpoint_id: int, *, state: str = "") -> QuerySet[WebhookDelivery]:
    """Return an endpoint's deliveries with their attempts, newest first. Raises NotFound."""
    rows = WebhookDelivery.objects.filter(endpoint=endpoint(actor, endpoint_id)).order_by("-created_at", "-id")
    if state:
        rows = rows.filter(state=state)
    tries = Prefetch("tries", DeliveryAttempt.objects.order_by("id"))
    return rows.select_related("event__entry").defer("event__body").prefetch_related(tries)


def delivery_rows(rows: Iterable[WebhookDelivery]) -> list[DeliveryRow]:
    """Return deliveries for a list."""
    return [
        DeliveryRow(
            id=row.pk,
            endpoint=row.endpoint_id,
            type=catalogue.TYPE_PREFIX + row.event.action if row.event is not None else catalogue.TEST_TYPE,
            event_id=row.event_id,
            ledger_position=row.event.entry.position if row.event is not None else None,
            subject=f"{row.event.subject_type}/{row.event.subject_id}" if row.event is not None else f"webhook/{row.endpoint_id}",
            state=row.state,
            attempts=row.attempts,
            next_attempt_at=row.next_attempt_at,
            created_at=row.created_at,
            delivered_at=row.delivered_at,
            tries=[_attempt(t) for t in row.tries.all()],
        )
        for row in rows
    ]


def latest_attempt(delivery: WebhookDelivery) -> AttemptRow:
    """Return what came of the last attempt of a delivery, of which there is at least one."""
    return _attempt(DeliveryAttempt.objects.filter(delivery=delivery).latest("id"))


def _attempt(row: DeliveryAttempt) -> AttemptRow:
    return AttemptRow(row.at, row.status_code, row.duration_ms, row.response, row.error)


def event_kinds() -> list[EventKind]:
    """Return every event there is; the list holds no secrets, so anyone signed in may see it."""
    return [EventKind(event.value, catalogue.MEANINGS[event]) for event in Event]
