"""Whether an endpoint can be reached: what fails for long is disabled, and says why."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db.models import QuerySet

from core import audit
from core.access import SYSTEM, Actor
from core.audit import Event
from webhooks.models import DeliveryState, EndpointState, WebhookDelivery, WebhookEndpoint
from webhooks.sending import Answer

FAILING_DAYS = 5
SLOW_MS = 5000
_SHORTEST_HOLD = timedelta(seconds=5)
_LONGEST_HOLD = timedelta(minutes=5)
_SLOW_HOLD = timedelta(seconds=30)
_GONE = 410


def locked(**which: object) -> QuerySet[WebhookEndpoint]:
    """Return endpoints held until the end of the transaction; whoever holds one before its deliveries waits for nobody in a ring.

    Without NO KEY, the fan-out could not insert deliveries that refer to it meanwhile.
    """
    return WebhookEndpoint.objects.select_for_update(no_key=True, of=("self",)).filter(**which)


def note(endpoint: WebhookEndpoint, answer: Answer, now: datetime) -> None:
    """Note on an endpoint that is held what came of an attempt.

    A failure holds back the endpoint's other deliveries, since each would occupy a worker for seconds to find out what the
    first one found: for as long as it has failed so far, within bounds. So does a slow success, for a while, or one receiver
    that takes its time would keep the workers from all others. After days without success the endpoint is disabled.
    """
    if endpoint.state != EndpointState.ACTIVE:
        return
    if answer.delivered:
        _set(endpoint, failing_since=None, held_until=now + _SLOW_HOLD if answer.duration_ms >= SLOW_MS else None)
        return
    since = endpoint.failing_since or now
    asked = timedelta(seconds=answer.retry_after)
    _set(endpoint, failing_since=since, held_until=now + min(max(now - since, asked, _SHORTEST_HOLD), _LONGEST_HOLD))
    if answer.status_code == _GONE:
        disable(endpoint, actor=SYSTEM, reason="It answered 410 Gone: it wants no more events.")
    elif since <= now - timedelta(days=FAILING_DAYS):
        disable(endpoint, actor=SYSTEM, reason=f"Every attempt failed for {FAILING_DAYS} days. The last: {answer.error}")


def _set(endpoint: WebhookEndpoint, *, failing_since: datetime | None, held_until: datetime | None) -> None:
    if (endpoint.failing_since, endpoint.held_until) != (failing_since, held_until):
        endpoint.failing_since, endpoint.held_until = failing_since, held_until
        endpoint.save(update_fields=["failing_since", "held_until"])


def disable(endpoint: WebhookEndpoint, *, actor: Actor, reason: str) -> None:
    """Tell an endpoint that is held of nothing more, and give up what waits for it; that can be sent again by hand."""
    endpoint.state, endpoint.reason = EndpointState.DISABLED, reason[:300]
    endpoint.failing_since = endpoint.held_until = None
    endpoint.save(update_fields=["state", "reason", "failing_since", "held_until"])
    give_up_waiting(endpoint)
    audit.record(
        actor,
        Event.WEBHOOK_CHANGED,
        subject=("webhook", endpoint.pk),
        scope=scope_of(endpoint),
        before={"state": EndpointState.ACTIVE.value},
        after={"state": EndpointState.DISABLED.value, "reason": endpoint.reason},
    )


def give_up_waiting(endpoint: WebhookEndpoint) -> None:
    """End the deliveries that wait for an endpoint; their jobs find nothing to do. Tests go on: they ask whether it works."""
    WebhookDelivery.objects.filter(endpoint=endpoint, state=DeliveryState.PENDING, event__isnull=False).update(
        state=DeliveryState.FAILED, next_attempt_at=None
    )


def scope_of(endpoint: WebhookEndpoint) -> str:
    """Return the scope of events about an endpoint itself."""
    return f"model:{endpoint.model_id}" if endpoint.model_id is not None else ""
