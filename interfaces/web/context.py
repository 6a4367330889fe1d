"""What every page shows around its content."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.utils import timezone

from core.access import Actor, Permission, Role
from interfaces.web.pages import emergencies
from workflows.queries import inbox, operations

THEMES = ("system", "light", "dark")
THEME_COOKIE = "countersign_theme"

_ROLE_WORDS = {
    Role.DATA_SCIENTIST: "Data scientist",
    Role.REVIEWER: "Reviewer",
    Role.AUDITOR: "Auditor",
    Role.PLATFORM_ADMIN: "Platform admin",
}


@dataclass(frozen=True)
class Destination:
    """One entry of the main navigation; ``key`` is what follows g on the keyboard."""

    name: str
    title: str
    url_name: str
    key: str


_PLACES = (
    Destination("requests", "Requests", "web:requests", "i"),
    Destination("models", "Models", "web:models", "m"),
    Destination("datasets", "Data sets", "web:datasets", "d"),
    Destination("risk", "Risk", "web:waivers", "r"),
    Destination("operations", "Operations", "web:re-reviews", "o"),
    Destination("lineage", "Lineage", "web:lineage", "l"),
    Destination("policies", "Policies", "web:policies", "p"),
    Destination("audit", "Audit log", "web:audit", "a"),
)
# The others are for everyone, and show what each may see.
_NEEDS = {"datasets": Permission.DATASET_READ, "policies": Permission.POLICY_READ, "audit": Permission.AUDIT_READ}


def shell(request: HttpRequest) -> dict[str, Any]:
    """Return theme, person and navigation; the actor was read when the page began."""
    actor: Actor | None = getattr(request, "actor", None)
    return {
        "theme": theme_of(request),
        "themes": [(name, name.capitalize()) for name in THEMES],
        "me": actor,
        "my_roles": ", ".join(word for role, word in _ROLE_WORDS.items() if actor and role in actor.roles) or "No role yet",
        # Called by the template that shows it, so that a fragment does not count.
        "waiting": partial(inbox.waiting_count, actor) if actor else 0,
        "emergencies": partial(_emergencies, actor) if actor else (),
        "destinations": destinations(actor) if actor else (),
        "me_places": own_places(actor) if actor else (),
        "tracking_uri": settings.PUBLIC_URL or request.build_absolute_uri("/").rstrip("/"),
    }


def destinations(actor: Actor) -> tuple[Destination, ...]:
    """Return where this person can go."""
    return tuple(place for place in _PLACES if place.name not in _NEEDS or actor.grants(_NEEDS[place.name]))


def own_places(actor: Actor) -> tuple[tuple[str, str], ...]:
    """Return what the menu of the account leads to."""
    places = [("Standing in, and mail", "web:delegations")]
    if actor.grants(Permission.AUDIT_READ) or actor.grants(Permission.ACCOUNT_MANAGE):
        places.append(("Conflicting rights", "web:conflicts"))
    if actor.grants(Permission.AUDIT_READ):
        places.append(("Signing keys", "web:signing-keys"))
    if actor.grants(Permission.WEBHOOK_MANAGE):
        places.append(("Webhooks", "web:webhooks"))
    return tuple(places)


def _emergencies(actor: Actor) -> list[emergencies.Alarm]:
    return emergencies.alarms(operations.emergencies(actor), now=timezone.now())


def theme_of(request: HttpRequest) -> str:
    """Return the theme this browser chose: light, dark, or the system's."""
    chosen = request.COOKIES.get(THEME_COOKIE, "system")
    return chosen if chosen in THEMES else "system"
