"""What an endpoint may be told: the events that the account which made it may read now, and of its model alone if it has one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from core import access
from core.access import Actor, Permission
from core.models import User
from registry.models import RegisteredModel
from tracking.models import Experiment
from webhooks.models import WebhookEndpoint

_KINDS: dict[str, tuple[Any, Permission]] = {
    "model": (RegisteredModel, Permission.MODEL_READ),
    "experiment": (Experiment, Permission.EXPERIMENT_READ),
}


def account_of(user: User) -> Actor:
    """Return the actor that this account is now, with its present roles and groups."""
    groups = list(user.groups.values_list("id", "name"))
    return Actor(
        user_id=user.pk,
        username=user.username,
        display_name=user.display_name,
        roles=frozenset(name for _, name in groups),
        group_ids=tuple(group_id for group_id, _ in groups),
        credential="webhook",
    )


def readable(endpoint: WebhookEndpoint, reader: Actor, scopes: Iterable[str]) -> set[str]:
    """Return those of the scopes of events that an endpoint may be told of.

    reader: the account that made it. What belongs to no model and no experiment, such as accounts and policies, takes the
    right to read the audit log. A deleted model's events stay readable to whom its versions were.
    """
    if endpoint.model_id is not None:
        scopes = {f"model:{endpoint.model_id}"} & set(scopes)
    allowed = set()
    wanted: dict[str, set[int]] = {kind: set() for kind in _KINDS}
    for scope in scopes:
        kind, _, number = scope.partition(":")
        if kind in _KINDS and number.isdecimal():
            wanted[kind].add(int(number))
        elif reader.grants(Permission.AUDIT_READ):
            allowed.add(scope)
    for kind, numbers in wanted.items():
        table, permission = _KINDS[kind]
        rows = access.visible(reader, table.objects.filter(pk__in=numbers), permission) if numbers else ()
        allowed |= {f"{kind}:{row.pk}" for row in rows}
    return allowed
