"""A refusal as a page, or as the sentence where the person is looking."""

from __future__ import annotations

import sys
from contextlib import suppress
from dataclasses import dataclass

from django.http import HttpRequest, HttpResponse
from django.template import loader
from django.views.decorators.csrf import requires_csrf_token

from core.errors import AlreadyExists, Blocked, Conflict, Denied, DomainError, Invalid, NotFound
from interfaces import overload, refusals
from interfaces.credentials import BadCredentials, actor_of_user
from interfaces.throttle import TooManyAttempts


@dataclass(frozen=True)
class Looks:
    """How one kind of refusal is answered."""

    status: int
    title: str


_BY_KIND: tuple[tuple[type[DomainError], Looks], ...] = (
    (NotFound, Looks(404, "Not found")),
    (TooManyAttempts, Looks(429, "Too many attempts")),
    (Denied, Looks(403, "You may not do this")),
    (Blocked, Looks(409, "A policy does not allow this")),
    (AlreadyExists, Looks(409, "The name is taken")),
    (Conflict, Looks(409, "This changed meanwhile")),
    (Invalid, Looks(400, "This cannot be done as asked")),
)


@dataclass(frozen=True)
class Mistake:
    """What is wrong in a document, and where; lines and columns count from 1."""

    line: int
    column: int
    message: str


@dataclass(frozen=True)
class Problem:
    """What a template shows of a refusal. mistakes: in the document that was sent."""

    title: str
    message: str
    status: int
    unmet: tuple[str, ...] = ()
    where: str = ""  # where to ask for it, if a policy stands in the way
    mistakes: tuple[Mistake, ...] = ()


def problem(error: DomainError) -> Problem:
    """Return how a refusal reads."""
    looks = next((looks for kind, looks in _BY_KIND if isinstance(error, kind)), Looks(400, "This cannot be done"))
    unmet = error.details.get("requirements") or ()
    titles = tuple(item.get("title", "") if isinstance(item, dict) else str(item) for item in unmet)
    where = error.details.get("ask_at") or ""
    return Problem(looks.title, error.message, looks.status, tuple(filter(None, titles)), str(where), _mistakes(error))


def _mistakes(error: DomainError) -> tuple[Mistake, ...]:
    """Return the places in a document; other refusals give their mistakes as sentences."""
    given = error.details.get("mistakes") or ()
    return tuple(Mistake(each["line"], each["column"], each["message"]) for each in given if isinstance(each, dict))


def answer(request: HttpRequest, error: DomainError) -> HttpResponse:
    """Return the page of a refusal; htmx gets the sentence alone, for the page's own place for it."""
    found = problem(error)
    record(request, error)
    if getattr(request, "htmx", False):
        body = loader.render_to_string("components/_problem.html", {"problem": found}, request)
        headers = {"HX-Retarget": "#said", "HX-Reswap": "innerHTML"}
        # htmx swaps only answers that went well; the sentence itself is the refusal.
        return HttpResponse(body, headers=headers)
    return _page(request, found)


def record(request: HttpRequest, error: DomainError) -> None:
    """Keep a refusal of right or policy on record, now that its own transaction is rolled back."""
    refusals.record(error, actor=getattr(request, "actor", None), dialect="web", request=request)


@requires_csrf_token
def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _page(request, Problem("This cannot be read", "The request makes no sense as it was sent.", 400))


@requires_csrf_token
def denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _page(request, Problem("You may not do this", "Ask a platform admin for the role it needs.", 403))


@requires_csrf_token
def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _page(
        request, Problem("Not found", "There is nothing at this address, or it is not yours to see. Both look the same.", 404)
    )


@requires_csrf_token
def failed(request: HttpRequest) -> HttpResponse:
    # The database may be what failed, so this page asks it nothing.
    if overload.is_passing(sys.exception()):
        answer = _plain(request, Problem("The server cannot answer just now", overload.SENTENCE, 503))
        answer["Retry-After"] = str(overload.RETRY_AFTER_SECONDS)
        return answer
    return _plain(
        request,
        Problem(
            "The server failed",
            "Nothing was recorded by this request. Try again; if it fails again, give the number below to a platform admin, "
            "whose log has the reason under it.",
            500,
        ),
    )


def csrf_failed(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Answer a form that was open longer than its session, or was sent by another site."""
    return _page(
        request,
        Problem("The form was too old", "Nothing was sent. Go back, load the page again and send the form once more.", 403),
    )


def _know(request: HttpRequest) -> None:
    """Give a signed-in person their navigation on an address that no page answers."""
    user = getattr(request, "user", None)
    if getattr(request, "actor", None) is None and user is not None and user.is_authenticated:
        with suppress(BadCredentials):
            request.actor = actor_of_user(user, getattr(request, "request_id", ""))  # type: ignore[attr-defined]


def _page(request: HttpRequest, found: Problem) -> HttpResponse:
    _know(request)
    return _rendered(found, getattr(request, "request_id", ""), request)


def _plain(request: HttpRequest, found: Problem) -> HttpResponse:
    return _rendered(found, getattr(request, "request_id", ""), None)


def _rendered(found: Problem, reference: str, request: HttpRequest | None) -> HttpResponse:
    context = {"problem": found, "reference": reference} | ({} if request else {"theme": "system"})
    return HttpResponse(loader.render_to_string("problem.html", context, request), status=found.status)
