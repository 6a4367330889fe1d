"""Who is asking: the Authorization header or the session becomes an Actor, in one statement."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections import OrderedDict
from typing import Any

from django.conf import settings
from django.contrib.auth.hashers import check_password
from django.utils import timezone

from core.access import Actor
from core.commands import token_digest
from core.models import User
from core.sql import fetch
from interfaces import throttle

_COLUMNS = """u.id, u.username, u.first_name, u.last_name, u.password, r.username, g.id, g.name
  FROM core_user u
  LEFT JOIN core_user r ON r.id = u.responsible_id
  LEFT JOIN core_user_groups ug ON ug.user_id = u.id
  LEFT JOIN auth_group g ON g.id = ug.group_id"""

_BY_TOKEN = f"""SELECT {_COLUMNS} JOIN core_apitoken t ON t.user_id = u.id
 WHERE t.digest = %s AND t.revoked_at IS NULL AND t.expires_at > %s AND u.is_active"""
_BY_NAME = f"SELECT {_COLUMNS} WHERE u.username = %s AND u.is_active"
_BY_ID = f"SELECT {_COLUMNS} WHERE u.id = %s AND u.is_active"


class BadCredentials(Exception):
    """The header was given, but proves nothing. The message says what to do."""


def actor_from_header(header: str, request_id: str, address: str = "") -> Actor | None:
    """Return who the Authorization header says, or None if there is none.

    Bearer takes a token; Basic takes a name with a password or a token, since mlflow's client can send either.
    address: where the request comes from, which is braked together with the name after too many wrong passwords.
    Raises BadCredentials for anything that proves nothing, TooManyAttempts for a password that is not looked at.
    """
    if not header:
        return None
    scheme, _, rest = header.partition(" ")
    if scheme.lower() == "bearer":
        return _by_token(rest.strip(), request_id)
    if scheme.lower() == "basic":
        try:
            name, _, secret = base64.b64decode(rest, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            raise BadCredentials("The Basic credentials are not base64 of name:password.") from None
        if "\x00" in name:  # PostgreSQL cannot even be asked for it
            raise BadCredentials("Unknown name or wrong password.")
        if secret.startswith("cs_"):
            actor = _by_token(secret, request_id)
            if name not in ("", actor.username, "token"):
                raise BadCredentials("The token belongs to another account than the name given with it.")
            return actor
        return _by_password(name, secret, request_id, address)
    raise BadCredentials("Send `Authorization: Bearer <token>`, or Basic with a name and a password or token.")


def actor_of_user(user: User, request_id: str) -> Actor:
    """Return the actor of a signed-in session. Raises BadCredentials once the account is closed."""
    rows = fetch(_BY_ID, [user.pk])
    if not rows:
        raise BadCredentials("This account is closed.")
    return _actor(rows, "session", request_id)


def _by_token(secret: str, request_id: str) -> Actor:
    rows = fetch(_BY_TOKEN, [token_digest(secret), timezone.now()])
    if not rows:
        raise BadCredentials("The token is unknown, expired or revoked; a platform admin can issue another.")
    return _actor(rows, f"token:{secret[:10]}", request_id)


def _by_password(name: str, password: str, request_id: str, address: str) -> Actor:
    rows = throttle.tried(name, address, lambda: _proved(name, password))
    if not rows:
        raise BadCredentials("Unknown name or wrong password.")
    return _actor(rows, "password", request_id)


def _proved(name: str, password: str) -> list[tuple[Any, ...]] | None:
    rows = fetch(_BY_NAME, [name])
    if not rows:
        check_password(password, "pbkdf2_sha256$1000000$x$x")  # as slow as for a known name
        return None
    return rows if _proved_before.check(name, password, rows[0][4]) else None


class _ProvedBefore:
    """Passwords that were right a moment ago, by keyed digest over the stored hash too.

    mlflow's client sends the password with every request, and the password hash is slow on purpose. A changed password
    has another stored hash, so it is never found here.
    """

    def __init__(self, size: int = 1000) -> None:
        self._seen: OrderedDict[bytes, None] = OrderedDict()
        self._size = size

    def check(self, name: str, password: str, stored: str) -> bool:
        message = "\0".join((name, password, stored)).encode()
        key = hmac.new(settings.SECRET_KEY.encode(), message, hashlib.sha256).digest()
        if key in self._seen:
            return True
        if not check_password(password, stored):
            return False
        self._seen[key] = None
        while len(self._seen) > self._size:
            self._seen.popitem(last=False)
        return True


_proved_before = _ProvedBefore()


def _actor(rows: list[tuple[Any, ...]], credential: str, request_id: str) -> Actor:
    user_id, username, first, last, _, responsible, _, _ = rows[0]
    groups = [(row[6], row[7]) for row in rows if row[6] is not None]
    return Actor(
        user_id=user_id,
        username=username,
        display_name=f"{first} {last}".strip() or username,
        roles=frozenset(name for _, name in groups),
        group_ids=tuple(group_id for group_id, _ in groups),
        credential=credential,
        responsible=responsible or "",
        request_id=request_id,
    )
