"""A brake on guessing passwords: so many failures for an account or from an address, and both wait. Shared by all workers."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from typing import TypeVar

from django.conf import settings
from django.core.cache import cache
from django.http import HttpRequest

from core.errors import Denied

FAILURES = 10
SECONDS = 600

T = TypeVar("T")


class TooManyAttempts(Denied):
    """Too many wrong passwords came before this one, so it was not looked at.

    seconds: how long to wait. first: whether it is the first to be refused; the rest would only fill the audit log.
    """

    code = "too_many_attempts"

    def __init__(self, seconds: int, *, first: bool) -> None:
        minutes = -(-seconds // 60)
        super().__init__(
            "Too many wrong passwords for this account or from this address; this one was not looked at. "
            f"Try again in {minutes} minute{'' if minutes == 1 else 's'}.",
            retry_after=seconds,
        )
        self.headers = {"Retry-After": str(seconds)}
        self.first = first


def tried(name: str, address: str, attempt: Callable[[], T | None]) -> T | None:
    """Return what an attempt to prove a name returns; nothing or False is a failure and counts, anything else clears the count.

    address: the client's, or empty where it is not known. Raises TooManyAttempts without making the attempt.
    Attempts under way at the same moment do not see one another's failure, so a few more than the limit can be looked at.
    """
    keys = [_key("name", name)] + ([_key("address", address)] if address else [])
    failures = cache.get_many(keys)
    stopped = [key for key, count in failures.items() if count >= FAILURES]
    if stopped:
        told = [cache.add(f"{key}:told", 1, SECONDS) for key in stopped]
        raise TooManyAttempts(_wait(stopped), first=any(told))
    found = attempt()
    if not found:
        for key in keys:
            _count(key)
    elif failures:
        cache.delete_many(failures)
    return found


def signed(name: str, address: str, sign: Callable[[], T]) -> T:
    """Return what signing with a password gives; a wrong one counts as at the door. Raises TooManyAttempts, or what it raises."""
    wrong: list[Denied] = []

    def attempt() -> T | None:
        try:
            return sign()
        except Denied as error:
            if error.code != "not_reauthenticated":
                raise
            wrong.append(error)
            return None

    found = tried(name, address, attempt)
    if wrong or found is None:
        raise wrong[0]
    return found


def address_of(request: HttpRequest) -> str:
    """Return the client's address: what the proxy in front appended, where one is trusted, else that of the connection."""
    if settings.SECURE_PROXY_SSL_HEADER:
        # Only the last was written by our proxy; a client may send any before it.
        forwarded = str(request.META.get("HTTP_X_FORWARDED_FOR", "")).rpartition(",")[2].strip()
        if forwarded:
            return forwarded
    return str(request.META.get("REMOTE_ADDR", ""))


def _key(kind: str, value: str) -> str:
    return f"password-failures:{kind}:{hashlib.sha256(value.encode()).hexdigest()}"


def _count(key: str) -> None:
    if cache.add(key, 1, SECONDS):
        cache.set(f"{key}:until", time.time() + SECONDS, SECONDS)
        cache.delete(f"{key}:told")
        return
    try:
        cache.incr(key)
    except ValueError:  # its time ended between the two calls
        cache.set_many({key: 1, f"{key}:until": time.time() + SECONDS}, SECONDS)


def _wait(keys: list[str]) -> int:
    until = max(cache.get_many([f"{key}:until" for key in keys]).values(), default=0.0)
    return max(1, round(until - time.time()))
