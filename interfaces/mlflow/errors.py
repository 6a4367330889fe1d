"""What went wrong, as MLflow's clients read it: a status they do not retry, a code they know and a sentence."""

from __future__ import annotations

import logging

import msgspec
from django.http import HttpRequest, HttpResponse

from core.access import Actor
from core.errors import AlreadyExists, Blocked, Conflict, Denied, DomainError, Invalid, NotFound
from interfaces import overload, refusals
from interfaces.throttle import TooManyAttempts

log = logging.getLogger(__name__)

_BY_KIND: tuple[tuple[type[DomainError], str], ...] = (
    (Blocked, "PERMISSION_DENIED"),
    (TooManyAttempts, "REQUEST_LIMIT_EXCEEDED"),
    (Denied, "PERMISSION_DENIED"),
    (NotFound, "RESOURCE_DOES_NOT_EXIST"),
    (AlreadyExists, "RESOURCE_ALREADY_EXISTS"),
    (Conflict, "RESOURCE_CONFLICT"),
    (Invalid, "INVALID_PARAMETER_VALUE"),
)

STATUS = {
    "BAD_REQUEST": 400,
    "INVALID_PARAMETER_VALUE": 400,
    "RESOURCE_ALREADY_EXISTS": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "RESOURCE_DOES_NOT_EXIST": 404,
    "NOT_FOUND": 404,
    "ENDPOINT_NOT_FOUND": 404,
    "METHOD_NOT_ALLOWED": 405,
    "RESOURCE_CONFLICT": 409,
    "REQUEST_LIMIT_EXCEEDED": 429,
    "INTERNAL_ERROR": 500,
    "NOT_IMPLEMENTED": 501,
    "TEMPORARILY_UNAVAILABLE": 503,
}

# Codes a DomainError may ask for by name where the protocol wants another than its kind's.
_EXPLICIT = frozenset({"BAD_REQUEST", "INVALID_PARAMETER_VALUE", "RESOURCE_ALREADY_EXISTS", "NOT_IMPLEMENTED"})


def respond(error_code: str, message: str, **headers: str) -> HttpResponse:
    """Return an error answer; its status follows the code."""
    body = msgspec.json.encode({"error_code": error_code, "message": message})
    answer = HttpResponse(body, status=STATUS[error_code], content_type="application/json", headers=headers or None)
    # What there is to log of it is logged where it happens; Django would call each 501 and 503 an error of the server.
    answer._has_been_logged = True  # type: ignore[attr-defined]
    return answer


def code_of(error: DomainError) -> str:
    """Return the protocol's code for a refusal."""
    if error.code in _EXPLICIT:
        return error.code
    return next((code for kind, code in _BY_KIND if isinstance(error, kind)), "INVALID_PARAMETER_VALUE")


def refusal(error: DomainError, request: HttpRequest, actor: Actor | None) -> HttpResponse:
    """Return the answer to a refusal; one of right or policy is recorded, now that its transaction is rolled back.

    Not one of a stranger, at the addresses that take a ticket instead of a token: they could fill the ledger.
    """
    if actor is not None or isinstance(error, TooManyAttempts):
        refusals.record(error, actor=actor, dialect="mlflow", request=request)
    return respond(code_of(error), error.message, **getattr(error, "headers", {}))


def failure(error: Exception, request: HttpRequest) -> HttpResponse:
    """Log the exception being handled and return a 500 that tells nothing of it but where to look; 503 if it will pass."""
    request_id = getattr(request, "request_id", "")
    if overload.is_passing(error):
        log.warning("%s %s: %s (request %s)", request.method, request.path_info, error, request_id)
        retry = {"Retry-After": str(overload.RETRY_AFTER_SECONDS)}
        return respond("TEMPORARILY_UNAVAILABLE", overload.SENTENCE, **retry)
    log.exception("%s %s failed (request %s)", request.method, request.path_info, request_id)
    return respond("INTERNAL_ERROR", f"The server failed; its log has the reason under request {request_id}.")
