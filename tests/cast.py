"""The cast: accounts by role, the actor each has, and the headers they send."""

from __future__ import annotations

from core import commands
from core.access import Actor
from core.models import User
from interfaces.credentials import actor_of_user

ROOT = Actor(user_id=None, username="operator", roles=frozenset({"platform-admin"}), credential="command-line")


def person(username: str, *roles: str, groups: tuple[str, ...] = ()) -> User:
    """Make an account with these roles."""
    return commands.ensure_user(
        actor=ROOT, username=username, roles=roles, groups=groups, full_name=f"{username.capitalize()} Example"
    )


def actor(user: User) -> Actor:
    """Return the actor a session of this account has."""
    return actor_of_user(user, "test-request")


def bearer(user: User) -> dict[str, str]:
    """Return the headers of a fresh token of this account, for Django's test client."""
    issued = commands.issue_token(actor=ROOT, username=user.username, name="test", days=1)
    return {"HTTP_AUTHORIZATION": f"Bearer {issued.secret}"}
