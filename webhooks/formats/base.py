"""What every format answers, and what the foreign ones share."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from core.errors import Invalid
from core.models import AuditEvent
from webhooks import sealing
from webhooks.models import WebhookDelivery, WebhookEndpoint

Recorded = dict[str, Any]  # an audit event's body, as it was recorded


class Entry(Protocol):
    """An entry of the ledger as the fan-out reads it."""

    @property
    def event_id(self) -> int: ...
    @property
    def event__action(self) -> str: ...
    @property
    def event__scope(self) -> str: ...


@dataclass(frozen=True)
class Message:
    """What is sent: the body, and headers besides those of every delivery."""

    headers: Mapping[str, str]
    body: bytes


class SecretLost(Exception):
    """A delivery cannot be signed any more. The message says why and what to do."""


class Format(Protocol):
    """A module of this package."""

    def checked(self, events: Iterable[str], *, of_one_model: bool) -> list[str]:
        """Return what an endpoint asks for, each once. Raises Invalid for what this format has no event for."""

    def wanted(self, events: Sequence[str], entries: Sequence[Entry]) -> dict[int, str]:
        """Return the ids of the entries' events that an endpoint asks for, each with this format's name of it."""

    def message(self, delivery: WebhookDelivery, at: datetime) -> Message:
        """Return what is sent for a delivery with its endpoint and event loaded, signed. Raises SecretLost."""


def named_events(events: Iterable[str], known: Iterable[str]) -> list[str]:
    """Return what an endpoint asks for by whole names, each once. Raises Invalid for none, or one that is not known."""
    names, known = list(dict.fromkeys(events)), list(known)
    if not names:
        raise Invalid(f"Name at least one event of {', '.join(known)}.")
    for name in names:
        if name not in known:
            raise Invalid(f"No event is called {name!r} here; use {', '.join(known)}.")
    return names


def read_wanted(
    entries: Sequence[Entry], actions: Iterable[str], asked_as: Callable[[AuditEvent, Recorded], str]
) -> dict[int, str]:
    """Return which events are wanted under which name, where it takes what was recorded to tell; one statement.

    actions: those that can be wanted at all. asked_as: returns the name that was asked for, or nothing.
    """
    actions = frozenset(actions)
    ids = [entry.event_id for entry in entries if entry.event__action in actions]
    rows = AuditEvent.objects.filter(pk__in=ids) if ids else ()
    found = ((row.pk, asked_as(row, json.loads(row.body))) for row in rows)
    return {pk: name for pk, name in found if name}


def given_secret(endpoint: WebhookEndpoint) -> str:
    """Return the secret that an endpoint's owner chose, empty if none. Raises SecretLost."""
    return _opened(endpoint.sealed_secret)


def given_authorization(endpoint: WebhookEndpoint) -> dict[str, str]:
    """Return the header that an endpoint's owner wants to be sent, if any. Raises SecretLost."""
    value = _opened(endpoint.sealed_authorization)
    return {"Authorization": value} if value else {}


def model_and_version(subject_id: str) -> tuple[str, str]:
    """Return the parts of a model version's subject, ``name/number``; a name has no slash."""
    name, _, number = subject_id.rpartition("/")
    return name, number


def _opened(sealed: str) -> str:
    try:
        return sealing.unseal(sealed)
    except sealing.Lost:
        raise SecretLost(
            "Not sent: SECRET_KEY is another than when this endpoint's secret was given. Give the secret again."
        ) from None
