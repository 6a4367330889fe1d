"""The six kinds of failure a command can have; each edge translates them in one place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class DomainError(Exception):
    """A refusal with a stable code, a sentence for people and details for machines."""

    code = "error"

    def __init__(self, message: str, *, code: str | None = None, **details: Any) -> None:
        super().__init__(message)
        self.message = message
        self.details: Mapping[str, Any] = details
        if code:
            self.code = code


class Invalid(DomainError):
    """The request makes no sense as it stands."""

    code = "invalid"


class NotFound(DomainError):
    """Absent, or not yours to see: the same answer."""

    code = "not_found"


class Denied(DomainError):
    """You may see it, but not do this to it."""

    code = "denied"


class AlreadyExists(DomainError):
    """The name is taken."""

    code = "already_exists"


class Conflict(DomainError):
    """The state moved meanwhile, or forbids this now."""

    code = "conflict"


class Blocked(DomainError):
    """A policy says no. Details carry the policies, the unmet requirements and where to ask."""

    code = "blocked_by_policy"
