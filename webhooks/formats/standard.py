"""Our own: CloudEvents 1.0, signed by Standard Webhooks with a secret that is made here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from webhooks import bodies, catalogue, signing
from webhooks.formats.base import Entry, Message, SecretLost
from webhooks.models import WebhookDelivery


def checked(events: Iterable[str], *, of_one_model: bool) -> list[str]:
    """Return what an endpoint asks for: names, beginnings such as ``promotion.*``, or ``*``. Raises Invalid."""
    return catalogue.checked(events)


def wanted(events: Sequence[str], entries: Sequence[Entry]) -> dict[int, str]:
    """Return the events that an endpoint asks for; they go by the ledger's own names."""
    return {entry.event_id: "" for entry in entries if catalogue.wants(events, entry.event__action)}


def message(delivery: WebhookDelivery, at: datetime) -> Message:
    """Return the event, or the test, with a signature for each secret that counts now. Raises SecretLost."""
    endpoint, timestamp = delivery.endpoint, int(at.timestamp())
    secret = signing.secret_of(endpoint.secret_salt)
    if signing.check_of(secret) != endpoint.secret_check:
        raise SecretLost("Not sent: SECRET_KEY is another than when this endpoint's secret was made. Rotate the secret.")
    given = [secret]
    if endpoint.previous_secret_ends_at is not None and at < endpoint.previous_secret_ends_at:
        given.append(signing.secret_of(endpoint.previous_salt))
    body = (
        bodies.event_body(delivery.event)
        if delivery.event is not None
        else bodies.test_body(delivery.pk, endpoint.pk, endpoint.name)
    )
    headers = {
        "Content-Type": bodies.MEDIA_TYPE,
        "webhook-id": str(delivery.pk),
        "webhook-timestamp": str(timestamp),
        "webhook-signature": signing.signatures(given, message_id=str(delivery.pk), timestamp=timestamp, body=body),
    }
    return Message(headers, body)
