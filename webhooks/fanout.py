"""Turn ledger entries into deliveries: the ledger is the outbox, and the cursor says how far it was read."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models import Max
from django.utils import timezone

from core.access import SYSTEM
from core.models import LedgerEntry
from webhooks import delivery, formats, health, readers
from webhooks.models import EndpointState, WebhookCursor, WebhookDelivery, WebhookEndpoint

BATCH = 500


@transaction.atomic
def fan_out(*, limit: int = BATCH) -> int:
    """Read up to ``limit`` entries after the cursor, queue their deliveries and move the cursor; return how many were read.

    All of it is one transaction under the cursor's lock, and positions have no gaps: whatever is committed in the ledger is
    read once, however many run this. Who comes while another holds the lock has nothing to do.
    """
    WebhookCursor.objects.get_or_create(pk=1)
    cursor = WebhookCursor.objects.select_for_update(skip_locked=True).filter(pk=1).first()
    if cursor is None:
        return 0
    endpoints = _endpoints()
    if not endpoints:
        last = LedgerEntry.objects.filter(position__gte=cursor.position).aggregate(last=Max("position"))["last"]
        if last is not None:
            WebhookCursor.objects.filter(pk=1).update(position=last + 1)
        return 0
    columns = ("position", "event_id", "event__action", "event__scope", "event__occurred_at")
    entries = list(
        LedgerEntry.objects.filter(position__gte=cursor.position).order_by("position").values_list(*columns, named=True)[:limit]
    )
    if not entries:
        return 0
    for endpoint in endpoints:
        _queue(endpoint, entries)
    WebhookCursor.objects.filter(pk=1).update(position=entries[-1].position + 1)
    return len(entries)


def _endpoints() -> list[WebhookEndpoint]:
    """Return the active endpoints, after disabling those whose account was closed: nobody's rights are left to go by."""
    active = {"state": EndpointState.ACTIVE, "deleted_at__isnull": True}
    for endpoint in health.locked(**active, created_by__is_active=False):
        health.disable(endpoint, actor=SYSTEM, reason="The account that made it is closed.")
    return list(WebhookEndpoint.objects.filter(**active).select_related("created_by").order_by("pk"))


def _queue(endpoint: WebhookEndpoint, entries: list[Any]) -> None:
    # What happened before the endpoint was there is not for it, even where the ledger was read late.
    since = [e for e in entries if e.event__occurred_at >= endpoint.created_at]
    kinds = formats.of(endpoint).wanted(endpoint.events, since)
    wanted = [e for e in since if e.event_id in kinds]
    if not wanted:
        return
    allowed = readers.readable(endpoint, readers.account_of(endpoint.created_by), {e.event__scope for e in wanted})
    ids = [e.event_id for e in wanted if e.event__scope in allowed]
    # Only where the cursor was set back by hand is there one already; the constraint would refuse it.
    there = set(WebhookDelivery.objects.filter(endpoint=endpoint, event_id__in=ids).values_list("event_id", flat=True))
    now = timezone.now()
    # A microsecond apart, so that lists by time keep the ledger's order.
    made = [
        WebhookDelivery(
            endpoint=endpoint,
            event_id=event_id,
            kind=kinds[event_id],
            created_at=now + timedelta(microseconds=i),
            next_attempt_at=now,
        )
        for i, event_id in enumerate(ids)
        if event_id not in there
    ]
    WebhookDelivery.objects.bulk_create(made, batch_size=500)
    for one in made:
        delivery.schedule(one, now)
