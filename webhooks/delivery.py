"""Carry out deliveries: one job for each attempt, at least once, with pauses that grow from seconds to a day."""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta

from django.db import connection, transaction
from django.utils import timezone

from core import jobs
from core.models import Job, JobState
from webhooks import formats, health, readers, sending
from webhooks.models import DeliveryAttempt, DeliveryState, EndpointState, WebhookDelivery
from webhooks.sending import Answer

DELIVER = "webhooks.deliver"

# Before the second attempt, the third, and so on. Source: Standard Webhooks 1.0.0, "Deliverability and reliability".
PAUSES = (
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=5),
    timedelta(hours=10),
    timedelta(hours=14),
    timedelta(hours=20),
    timedelta(hours=24),
)
_LONGEST_ASKED = timedelta(hours=1)  # that a receiver's Retry-After is followed
_UNATTENDED = timedelta(minutes=5)
_KEPT = timedelta(days=90)
_USER_AGENT = "Countersign-Webhooks/1"


def schedule(delivery: WebhookDelivery, at: datetime) -> None:
    """Queue the delivery's next attempt, whose time its row says already, in the caller's transaction."""
    jobs.enqueue(
        DELIVER,
        key=_key(delivery, at),
        delay=max(timedelta(), at - timezone.now()),
        delivery_id=str(delivery.pk),
        attempt=delivery.attempts,
    )


def deliver(*, delivery_id: str, attempt: int) -> None:
    """Send a delivery if this attempt of it is still due. Run twice, it may be sent twice: with the same ``webhook-id``.

    attempt: how many came before it, so that what was settled or brought forward meanwhile is not sent for an old job.
    """
    rows = WebhookDelivery.objects.select_related("endpoint__created_by", "endpoint__model", "event__entry")
    delivery = rows.filter(pk=delivery_id, state=DeliveryState.PENDING, attempts=attempt).first()
    now = timezone.now()
    if delivery is None or delivery.next_attempt_at is None or delivery.next_attempt_at > now:
        return
    if reason := _obstacle(delivery):
        _give_up(delivery, reason)
        return
    held = delivery.endpoint.held_until
    if delivery.event is not None and held is not None and held > now:
        _put_off(delivery, held)
        return
    _settle(delivery, _send(delivery, now))


def take_up_unattended() -> int:
    """Count an attempt as failed that no job attends to any more, so that its delivery goes on; return how many there were.

    A job ends without settling its delivery if it failed, or lost its worker, as often as jobs may.
    """
    overdue = WebhookDelivery.objects.filter(state=DeliveryState.PENDING, next_attempt_at__lt=timezone.now() - _UNATTENDED)
    waiting = {_key(d, d.next_attempt_at): d for d in overdue.order_by("next_attempt_at")[:200] if d.next_attempt_at}
    open_jobs = Job.objects.filter(key__in=waiting.keys(), state__in=[JobState.QUEUED, JobState.RUNNING])
    for key in open_jobs.values_list("key", flat=True):
        waiting.pop(str(key), None)
    for delivery in waiting.values():
        _settle(delivery, Answer(error="No worker finished this attempt; the workers' log says why."), theirs=False)
    return len(waiting)


def tidy(older_than: timedelta = _KEPT) -> int:
    """Remove ended deliveries this old with their attempts; return how many. What was decided and done is in the ledger."""
    old = WebhookDelivery.objects.exclude(state=DeliveryState.PENDING).filter(created_at__lt=timezone.now() - older_than)
    removed = 0
    while ids := list(old.values_list("pk", flat=True)[:1000]):
        with transaction.atomic():
            DeliveryAttempt.objects.filter(delivery_id__in=ids).delete()
            removed += WebhookDelivery.objects.filter(pk__in=ids).delete()[0]
    return removed


def _key(delivery: WebhookDelivery, at: datetime) -> str:
    # With its time, since the job that puts an attempt off is still open while it queues the next.
    return f"{DELIVER}:{delivery.pk}:{at.isoformat()}"


def _obstacle(delivery: WebhookDelivery) -> str:
    """Return why a delivery must not be sent any more, or nothing. Rights may have ended since the event was fanned out."""
    endpoint = delivery.endpoint
    if endpoint.deleted_at is not None:
        return "Not sent: the endpoint was deleted."
    if not endpoint.created_by.is_active:
        return "Not sent: the account that made the endpoint is closed."
    if delivery.event is None:
        return ""
    if endpoint.state != EndpointState.ACTIVE:
        return f"Not sent: the endpoint is {endpoint.state}."
    if not readers.readable(endpoint, readers.account_of(endpoint.created_by), {delivery.event.scope}):
        return f"Not sent: {endpoint.created_by.username}, who made the endpoint, may not read this any more."
    return ""


def _send(delivery: WebhookDelivery, now: datetime) -> Answer:
    endpoint = delivery.endpoint
    try:
        message = formats.of(endpoint).message(delivery, now)
    except formats.SecretLost as lost:
        return Answer(error=str(lost))
    # Give a pooled connection back while waiting for others: those who renew leases, and other threads, need one meanwhile.
    if not connection.in_atomic_block:
        connection.close_if_unusable_or_obsolete()
    headers = {**message.headers, "User-Agent": _USER_AGENT}
    return sending.post(endpoint.url, headers=headers, body=message.body, verify=endpoint.verify_certificate)


@transaction.atomic
def _settle(delivery: WebhookDelivery, answer: Answer, *, theirs: bool = True) -> None:
    """Note what came of an attempt and queue the next, if one is left. theirs: whether the receiver had a part in it."""
    now = timezone.now()
    endpoint = health.locked(pk=delivery.endpoint_id).get()
    row = WebhookDelivery.objects.select_for_update(no_key=True).get(pk=delivery.pk)
    late = row.attempts != delivery.attempts  # of two that ran at once, the other was settled first
    if late and not theirs:
        return
    _note(row, answer)
    if answer.delivered or not (late or row.state != DeliveryState.PENDING):
        _move_on(row, answer, now)
    if row.event_id is not None and theirs:
        health.note(endpoint, answer, now)


def _move_on(delivery: WebhookDelivery, answer: Answer, now: datetime) -> None:
    delivery.attempts += 1
    tried = delivery.attempts - delivery.attempts_before
    delivery.next_attempt_at = None
    if answer.delivered:
        delivery.state, delivery.delivered_at = DeliveryState.DELIVERED, now
    elif delivery.event_id is None or tried > len(PAUSES):
        delivery.state = DeliveryState.FAILED
    else:
        delivery.next_attempt_at = now + _pause(tried, answer)
        schedule(delivery, delivery.next_attempt_at)
    delivery.save(update_fields=["attempts", "state", "delivered_at", "next_attempt_at"])


def _pause(tried: int, answer: Answer) -> timedelta:
    pause = max(PAUSES[tried - 1], min(timedelta(seconds=answer.retry_after), _LONGEST_ASKED))
    return pause + _spread(pause / 10)


def _spread(most: timedelta) -> timedelta:
    """Return a random part of a duration, so that what failed at once does not come back at once."""
    return timedelta(milliseconds=secrets.randbelow(max(1, int(most.total_seconds() * 1000))))


@transaction.atomic
def _put_off(delivery: WebhookDelivery, until: datetime) -> None:
    """Wait until the endpoint is tried again, without counting an attempt."""
    at = until + _spread(timedelta(seconds=10))
    this = WebhookDelivery.objects.filter(pk=delivery.pk, state=DeliveryState.PENDING, attempts=delivery.attempts)
    if this.filter(next_attempt_at=delivery.next_attempt_at).update(next_attempt_at=at):
        schedule(delivery, at)


@transaction.atomic
def _give_up(delivery: WebhookDelivery, reason: str) -> None:
    this = WebhookDelivery.objects.filter(pk=delivery.pk, state=DeliveryState.PENDING, attempts=delivery.attempts)
    if this.update(state=DeliveryState.FAILED, next_attempt_at=None):
        _note(delivery, Answer(error=reason))


def _note(delivery: WebhookDelivery, answer: Answer) -> None:
    DeliveryAttempt.objects.create(
        delivery_id=delivery.pk,
        status_code=answer.status_code,
        duration_ms=answer.duration_ms,
        response=answer.response[: sending.KEPT_BYTES],
        error=answer.error[:500],
    )
