"""Add endpoints, change them, give them new secrets, remove them; send a test, or a delivery again."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from core import access, audit
from core.access import Actor, Permission
from core.audit import Event
from core.canonical import text_digest
from core.errors import Conflict, Invalid, NotFound
from registry import rows
from registry.models import RegisteredModel
from webhooks import addresses, delivery, formats, health, queries, sealing, signing
from webhooks.models import DeliveryState, EndpointFormat, EndpointState, WebhookDelivery, WebhookEndpoint
from webhooks.queries import AttemptRow

OVERLAP = timedelta(hours=24)
MOST_FOR_A_MODEL = 10
_LONGEST_DESCRIPTION = 1000
_LONGEST_SECRET = 1000
# What a header may hold; anything else could begin another header.
_HEADER = re.compile(r"[\x20-\x7e]*")


@dataclass(frozen=True)
class Secret:
    """An endpoint with the secret it was given, which is shown this once and not kept; empty if its owner chose one."""

    endpoint: WebhookEndpoint
    secret: str


@transaction.atomic
def create_endpoint(
    *,
    actor: Actor,
    name: str,
    url: str,
    events: Iterable[str],
    model_name: str | None = None,
    description: str = "",
    state: str = EndpointState.ACTIVE,
    format: str = EndpointFormat.STANDARD,
    secret: str = "",
    authorization: str = "",
    verify_certificate: bool = True,
) -> Secret:
    """Add an endpoint that is told of these events from now on, as far as the actor may read them then.

    events: as its format names them; ours by names, beginnings such as ``promotion.*``, or ``*``. model_name: limits it to one
    model's events; managing that model is enough then. secret, authorization: what the receiver signs with and the header it
    asks for, in formats where its owner chooses them; ours makes a secret. Raises Invalid, Denied, NotFound, or Conflict where
    a model has as many endpoints as it may.
    """
    model = _limited_to(actor, model_name)
    if actor.user_id is None:
        raise Invalid("An endpoint receives what the account that made it may read; add it with an account of your own.")
    made = WebhookEndpoint(
        name=_name(name),
        description=_description(description),
        format=EndpointFormat(format),
        url=_url(url),
        verify_certificate=verify_certificate,
        events=formats.named(format).checked(events, of_one_model=model is not None),
        model=model,
        state=_known_state(state),
        created_by_id=actor.user_id,
    )
    _give_credentials(made, secret, authorization)
    ours = _give_new_secret(made) if made.format == EndpointFormat.STANDARD else ""
    made.save(force_insert=True)
    _record(actor, Event.WEBHOOK_CREATED, made, after=_told(made))
    return Secret(made, ours)


@transaction.atomic
def change_endpoint(
    *,
    actor: Actor,
    endpoint_id: int,
    name: str | None = None,
    url: str | None = None,
    events: Iterable[str] | None = None,
    state: str | None = None,
    description: str | None = None,
    secret: str | None = None,
    authorization: str | None = None,
    verify_certificate: bool | None = None,
) -> WebhookEndpoint:
    """Change what is given. Disabling gives up what waits to be sent; what happens until it is active again is not told.

    secret, authorization: as at creation; "" takes it away. Raises NotFound, Invalid, or Conflict when the account that made
    the endpoint is closed and it is to be active.
    """
    endpoint = _held(actor, endpoint_id)
    before, was = _told(endpoint), endpoint.state
    if name is not None:
        endpoint.name = _name(name)
    if url is not None:
        endpoint.url = _url(url)
    if events is not None:
        endpoint.events = formats.of(endpoint).checked(events, of_one_model=endpoint.model_id is not None)
    if description is not None:
        endpoint.description = _description(description)
    if verify_certificate is not None:
        endpoint.verify_certificate = verify_certificate
    _give_credentials(endpoint, secret, authorization)
    if state is not None:
        endpoint.state = _state(endpoint, state)
    if endpoint.state != EndpointState.ACTIVE and was == EndpointState.ACTIVE:
        health.give_up_waiting(endpoint)
    if endpoint.state != was:
        endpoint.reason = f"{actor.username} disabled it." if endpoint.state == EndpointState.DISABLED else ""
    if url is not None or endpoint.state != was:
        endpoint.failing_since = endpoint.held_until = None  # what failed before says nothing of how it is now
    endpoint.updated_at = timezone.now()
    endpoint.save()
    given = [what for what, value in (("secret", secret), ("authorization", authorization)) if value is not None]
    after = {**_told(endpoint), "given_anew": given} if given else _told(endpoint)
    _record(actor, Event.WEBHOOK_CHANGED, endpoint, before=before, after=after)
    return endpoint


@transaction.atomic
def rotate_secret(*, actor: Actor, endpoint_id: int) -> Secret:
    """Give an endpoint a new secret. For a day requests are signed with the one before as well, so that none is refused.

    Rotating again within that day ends the oldest secret at once. Raises NotFound, or Conflict where its owner chose the secret.
    """
    endpoint = _held(actor, endpoint_id)
    if endpoint.format != EndpointFormat.STANDARD:
        raise Conflict(
            f"Who added this endpoint through {endpoint.get_format_display()}'s protocol chose its secret; it is changed there.",
            code="secret_chosen_outside",
        )
    # A secret that SECRET_KEY took away cannot sign any more: signing with what comes out now would prove nothing.
    if signing.check_of(signing.secret_of(endpoint.secret_salt)) == endpoint.secret_check:
        endpoint.previous_salt, endpoint.previous_secret_ends_at = endpoint.secret_salt, timezone.now() + OVERLAP
    else:
        endpoint.previous_salt, endpoint.previous_secret_ends_at = "", None
    secret = _give_new_secret(endpoint)
    endpoint.save(update_fields=["secret_salt", "secret_check", "previous_salt", "previous_secret_ends_at"])
    ends = endpoint.previous_secret_ends_at
    _record(actor, Event.WEBHOOK_CHANGED, endpoint, after={"secret": "rotated", "previous_ends_at": ends and ends.isoformat()})
    return Secret(endpoint, secret)


@transaction.atomic
def delete_endpoint(*, actor: Actor, endpoint_id: int) -> None:
    """Remove an endpoint; what it was sent stays on record, what waits is given up. Raises NotFound."""
    endpoint = _held(actor, endpoint_id)
    endpoint.deleted_at = timezone.now()
    endpoint.save(update_fields=["deleted_at"])
    health.give_up_waiting(endpoint)
    _record(actor, Event.WEBHOOK_DELETED, endpoint, before=_told(endpoint))


@transaction.atomic
def redeliver(*, actor: Actor, delivery_id: UUID) -> WebhookDelivery:
    """Send a delivery again now, with the same ``webhook-id``, and a whole round of attempts if it fails.

    Raises NotFound, or Conflict when its endpoint is disabled.
    """
    found = WebhookDelivery.objects.filter(pk=delivery_id).values_list("endpoint_id", flat=True).first()
    missing = NotFound(f"There is no delivery {delivery_id}, or you may not see it.")
    if found is None or not queries.endpoints(actor).filter(pk=found).exists():
        raise missing
    endpoint = _held(actor, found)
    row = WebhookDelivery.objects.select_for_update(no_key=True).get(pk=delivery_id)
    if endpoint.state != EndpointState.ACTIVE and row.event_id is not None:
        raise Conflict(f"The endpoint is {endpoint.state}; make it active first.", code="endpoint_disabled")
    before = {"state": row.state, "attempts": row.attempts}
    endpoint.held_until = None  # who asks by hand has a reason to think that it works now
    endpoint.save(update_fields=["held_until"])
    row.state, row.next_attempt_at, row.attempts_before = DeliveryState.PENDING, timezone.now(), row.attempts
    row.save(update_fields=["state", "next_attempt_at", "attempts_before"])
    delivery.schedule(row, row.next_attempt_at)
    _record(actor, Event.WEBHOOK_REDELIVERED, endpoint, before=before, after={"delivery": str(row.pk), "event": row.event_id})
    return row


@transaction.atomic
def send_test(*, actor: Actor, endpoint_id: int) -> WebhookDelivery:
    """Send one ``countersign.webhook.test``, also to an endpoint that is disabled; it is tried once.

    A foreign format has no test of its own: an example of the first event that is asked for takes its place.
    Nothing is recorded in the ledger: nothing changed, and the delivery itself says what came of it. Raises NotFound.
    """
    made = _new_test(actor, endpoint_id, "")
    delivery.schedule(made, made.created_at)
    return made


def try_out(*, actor: Actor, endpoint_id: int, event: str = "") -> AttemptRow:
    """Send a test in this process and return what came of it, for protocols whose clients wait for the answer.

    It is a worker's step taken here: the same delivery, the same rules of where it may go, the same record. event: as the
    endpoint's format names it; the first that is asked for if empty. Raises NotFound, Invalid.
    """
    with transaction.atomic():
        made = _new_test(actor, endpoint_id, event)
    delivery.deliver(delivery_id=str(made.pk), attempt=0)
    return queries.latest_attempt(made)


def _new_test(actor: Actor, endpoint_id: int, event: str) -> WebhookDelivery:
    endpoint = _held(actor, endpoint_id)
    now = timezone.now()
    kind = ""
    if endpoint.format != EndpointFormat.STANDARD:
        (kind,) = formats.of(endpoint).checked([event or endpoint.events[0]], of_one_model=False)
    return WebhookDelivery.objects.create(endpoint=endpoint, kind=kind, created_at=now, next_attempt_at=now)


def _limited_to(actor: Actor, model_name: str | None) -> RegisteredModel | None:
    if model_name is None:
        access.require(actor, Permission.WEBHOOK_MANAGE)
        return None
    permission = Permission.MODEL_READ if actor.grants(Permission.WEBHOOK_MANAGE) else Permission.MODEL_MANAGE
    model = rows.model(actor, permission, model_name, lock=True)
    # Each event is sent to all of them, and who manages a model chooses where to: a few serve every honest purpose.
    if WebhookEndpoint.objects.filter(model=model, deleted_at__isnull=True).count() >= MOST_FOR_A_MODEL:
        raise Conflict(f"A model has at most {MOST_FOR_A_MODEL} endpoints of its own; delete one first.", code="too_many")
    return model


def _held(actor: Actor, endpoint_id: int) -> WebhookEndpoint:
    """Return an endpoint the actor manages, held until the end of the transaction. Raises NotFound."""
    queries.endpoint(actor, endpoint_id)
    held = health.locked(pk=endpoint_id, deleted_at__isnull=True).select_related("created_by", "model").first()
    if held is None:
        raise NotFound(f"There is no webhook {endpoint_id} any more.")
    return held


def _name(name: str) -> str:
    name = name.strip()
    if not 1 <= len(name) <= 100 or "\x00" in name:
        raise Invalid("An endpoint needs a name of 1 to 100 characters, by which people know it.")
    return name


def _description(text: str) -> str:
    if len(text) > _LONGEST_DESCRIPTION or "\x00" in text:
        raise Invalid(f"A description has at most {_LONGEST_DESCRIPTION} characters.")
    return text


def _give_new_secret(endpoint: WebhookEndpoint) -> str:
    salt = signing.new_salt()
    secret = signing.secret_of(salt)
    endpoint.secret_salt, endpoint.secret_check = salt, signing.check_of(secret)
    return secret


def _give_credentials(endpoint: WebhookEndpoint, secret: str | None, authorization: str | None) -> None:
    """Keep what an owner chose, sealed; None leaves what is there."""
    if (secret or authorization) and endpoint.format == EndpointFormat.STANDARD:
        raise Invalid("The secret of this endpoint is made here and shown once; rotate it to get another.")
    if secret is not None:
        if len(secret) > _LONGEST_SECRET:
            raise Invalid(f"A secret has at most {_LONGEST_SECRET} characters.")
        endpoint.sealed_secret = sealing.seal(secret)
    if authorization is not None:
        if len(authorization) > _LONGEST_SECRET or not _HEADER.fullmatch(authorization):
            raise Invalid(f"An authorization is one line of at most {_LONGEST_SECRET} characters of ASCII, such as `Bearer ...`.")
        endpoint.sealed_authorization = sealing.seal(authorization)


def _url(url: str) -> str:
    try:
        addresses.parse(url)
    except addresses.Refused as refused:
        raise Invalid(str(refused), code="address_refused") from None
    return url


def _known_state(state: str) -> EndpointState:
    if state not in EndpointState.values:
        raise Invalid(f"An endpoint is {', '.join(EndpointState.values[:-1])} or {EndpointState.values[-1]}.")
    return EndpointState(state)


def _state(endpoint: WebhookEndpoint, state: str) -> EndpointState:
    state = _known_state(state)
    if state == EndpointState.ACTIVE and not endpoint.created_by.is_active:
        raise Conflict(
            f"{endpoint.created_by.username}, who made this endpoint, has no account any more; add it anew with yours.",
            code="account_closed",
        )
    return state


def _told(endpoint: WebhookEndpoint) -> dict[str, Any]:
    """Return what the ledger keeps of an endpoint. Paths of addresses are often secrets themselves: only a digest is kept."""
    parts = urlsplit(endpoint.url)
    return {
        "name": endpoint.name,
        "description": endpoint.description,
        "format": str(endpoint.format),
        "server": f"{parts.scheme}://{parts.netloc}",
        "url_digest": text_digest(endpoint.url),
        "verify_certificate": endpoint.verify_certificate,
        "events": list(endpoint.events),
        "model": endpoint.model.name if endpoint.model is not None else None,
        "state": str(endpoint.state),
    }


def _record(actor: Actor, event: Event, endpoint: WebhookEndpoint, *, before: Any = None, after: Any = None) -> None:
    audit.record(actor, event, subject=("webhook", endpoint.pk), scope=health.scope_of(endpoint), before=before, after=after)
