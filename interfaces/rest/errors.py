"""What went wrong, as RFC 9457 problem details: one shape for every refusal, mistake and failure of the API."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from django.conf import settings
from django.core.exceptions import PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.encoding import escape_uri_path
from rest_framework import exceptions, status

from core.access import Actor
from core.errors import AlreadyExists, Blocked, Conflict, Denied, DomainError, Invalid, NotFound
from interfaces import overload, refusals
from interfaces.throttle import TooManyAttempts

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"

_BY_KIND: tuple[tuple[type[DomainError], int, str], ...] = (
    (Blocked, 409, "A policy says no"),
    (TooManyAttempts, 429, "Too many attempts"),
    (Denied, 403, "You may not do this"),
    (NotFound, 404, "There is no such thing, or you may not see it"),
    (AlreadyExists, 409, "The name is taken"),
    (Conflict, 409, "The state forbids this now"),
    (Invalid, 400, "The request makes no sense as it stands"),
)

_BY_STATUS = {
    400: ("invalid", "The request makes no sense as it stands"),
    401: ("unauthenticated", "Sign in first"),
    403: ("denied", "You may not do this"),
    404: ("not_found", "There is no such thing, or you may not see it"),
    405: ("method_not_allowed", "This address does not answer that method"),
    406: ("not_acceptable", "This cannot be answered in the form asked for"),
    409: ("conflict", "The state forbids this now"),
    413: ("too_large", "The request is too large"),
    415: ("unsupported_media_type", "The body has a form that is not understood here"),
    422: ("idempotency_key_reused", "The idempotency key belongs to another request"),
    429: ("too_many_attempts", "Too many attempts"),
    500: ("internal_error", "The server failed"),
    503: ("unavailable", "The server cannot answer just now"),
}

# A domain error's details become members of the problem, but may not hide these.
_RESERVED = frozenset({"type", "title", "status", "detail", "instance", "code", "errors", "request_id", "mistakes"})


class BadQuery(exceptions.ValidationError):
    """Query parameters that are not understood; their errors name parameters instead of pointing into the body."""


class IdempotencyKeyReused(exceptions.APIException):
    """The same key came with another request: answering either would be wrong."""

    status_code = status.HTTP_422_UNPROCESSABLE_ENTITY
    default_detail = "This Idempotency-Key was used for another request; use a new key for each new request."
    default_code = "idempotency_key_reused"


def problem(exc: Exception, context: Mapping[str, Any]) -> HttpResponse:
    """Return the answer to any exception of a view; refusals are recorded, failures logged."""
    request: Any = context["request"]
    if isinstance(exc, DomainError):
        refusals.record(exc, actor=_actor(request), dialect="rest", request=request)
        return _refused(exc, request)
    if isinstance(exc, exceptions.APIException):
        return _understood(exc, request)
    if isinstance(exc, Http404):
        return respond(request, 404, detail=f"There is no {request.path} here.")
    if isinstance(exc, PermissionDenied):
        return respond(request, 403, detail=str(exc) or "You may not do this.")
    if isinstance(exc, RequestDataTooBig):
        return respond(request, 413, detail=f"A body has at most {settings.DATA_UPLOAD_MAX_MEMORY_SIZE} bytes here.")
    if isinstance(exc, SuspiciousOperation):
        return respond(request, 400, detail="The request is malformed.")
    return failure(exc, request)


def failure(exc: Exception, request: HttpRequest) -> HttpResponse:
    """Log what nobody expected, and return a 500 that tells nothing of it but where to look; 503 if it will pass."""
    if overload.is_passing(exc):
        log.warning("%s %s: %s (request %s)", request.method, request.path, exc, _request_id(request))
        return respond(request, 503, detail=overload.SENTENCE, headers={"Retry-After": str(overload.RETRY_AFTER_SECONDS)})
    log.error("%s %s failed (request %s)", request.method, request.path, _request_id(request), exc_info=exc)
    return respond(request, 500, detail=f"The server failed; its log has the reason under request {_request_id(request)}.")


def respond(
    request: HttpRequest,
    status_code: int,
    *,
    detail: str,
    code: str = "",
    title: str = "",
    headers: Mapping[str, str] | None = None,
    members: Mapping[str, Any] | None = None,
) -> HttpResponse:
    """Return a problem document; code and title follow the status unless they are given. members: its further ones."""
    default_code, default_title = _BY_STATUS[status_code]
    code = code or default_code
    body = {
        "type": f"{settings.PUBLIC_URL}/problems/{code.replace('_', '-')}",
        "title": title or default_title,
        "status": status_code,
        "detail": detail,
        "instance": escape_uri_path(request.path),
        "code": code,
        "request_id": _request_id(request),
        **(members or {}),
    }
    return HttpResponse(
        msgspec.json.encode(body, enc_hook=str), status=status_code, content_type=MEDIA_TYPE, headers=dict(headers or {})
    )


def _refused(error: DomainError, request: HttpRequest) -> HttpResponse:
    status_code, title = next((s, t) for kind, s, t in _BY_KIND if isinstance(error, kind))
    members = {key: value for key, value in error.details.items() if key not in _RESERVED}
    if mistakes := error.details.get("mistakes"):
        members["errors"] = [_mistake(mistake) for mistake in mistakes]
    return respond(
        request,
        status_code,
        detail=error.message,
        code=error.code,
        title=title,
        members=members,
        headers=getattr(error, "headers", None),
    )


def _mistake(mistake: Any) -> dict[str, Any]:
    """Return a mistake in a policy's or binding's text, which the body carries as its member ``document``."""
    if isinstance(mistake, str):
        return {"pointer": "#/document", "detail": mistake}
    return {"pointer": "#/document", "detail": mistake["message"], "line": mistake["line"], "column": mistake["column"]}


def _understood(error: exceptions.APIException, request: HttpRequest) -> HttpResponse:
    headers: dict[str, str] = {}
    if challenge := getattr(error, "auth_header", None):
        headers["WWW-Authenticate"] = challenge
    if isinstance(error, exceptions.ValidationError):
        place = "parameter" if isinstance(error, BadQuery) else "pointer"
        errors = list(_field_errors(error.detail, "" if place == "parameter" else "#", place))
        said = "; ".join(f"{e[place]}: {e['detail']}" if e[place] not in ("", "#") else e["detail"] for e in errors)
        return respond(request, 400, detail=said, members={"errors": errors})
    if isinstance(error, exceptions.MethodNotAllowed):
        view: Any = getattr(request, "parser_context", {}).get("view")
        headers["Allow"] = ", ".join(view.allowed_methods) if view is not None else ""
    status_code = error.status_code if error.status_code in _BY_STATUS else 400
    return respond(request, status_code, detail=str(error.detail), headers=headers)


def _field_errors(detail: Any, path: str, place: str) -> Iterator[dict[str, str]]:
    """Yield each message with where it belongs: a JSON pointer (RFC 6901) into the body, or a parameter's name."""
    if isinstance(detail, Mapping):
        for key, inner in detail.items():
            step = "" if key == "non_field_errors" else str(key).replace("~", "~0").replace("/", "~1")
            yield from _field_errors(inner, _join(path, step, place), place)
    elif isinstance(detail, (list, tuple)):
        for index, inner in enumerate(detail):
            nested = isinstance(inner, (Mapping, list, tuple))
            yield from _field_errors(inner, _join(path, str(index), place) if nested else path, place)
    else:
        yield {place: path, "detail": str(detail)}


def _join(path: str, step: str, place: str) -> str:
    if not step:
        return path
    return f"{path}/{step}" if place == "pointer" or path else step


def _actor(request: Any) -> Actor | None:
    # Asking request.user again would authenticate again, and raise again where that is what failed.
    return getattr(getattr(request, "_user", None), "actor", None)


def _request_id(request: Any) -> str:
    return str(getattr(request, "request_id", ""))
