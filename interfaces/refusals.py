"""Keep a refusal on record: after the rollback, in a transaction of its own, or it would vanish with what was refused."""

from __future__ import annotations

from django.db import transaction
from django.http import HttpRequest

from core import audit
from core.access import SYSTEM, Actor
from core.audit import Event
from core.errors import Blocked, Denied, DomainError
from interfaces.throttle import TooManyAttempts


def record(error: DomainError, *, actor: Actor | None, dialect: str, request: HttpRequest) -> None:
    """Record a refusal of right or of policy; other errors are no refusals and leave no trace.

    dialect: which interface was asked, such as ``rest``. Call it outside the transaction that failed.
    """
    if not isinstance(error, (Denied, Blocked)) or (isinstance(error, TooManyAttempts) and not error.first):
        return
    with transaction.atomic():
        audit.record(
            actor or SYSTEM,
            Event.ACCESS_REFUSED,
            subject=(dialect, request.path_info[:300]),
            method=request.method,
            code=error.code,
            reason=error.message,
        )
