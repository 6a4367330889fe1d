"""The inbox, and the page on which a promotion is decided."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, cast

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_POST, require_safe

from core.access import Actor
from core.errors import Conflict, DomainError
from core.models import User
from interfaces import throttle
from interfaces.web import errors, forms
from interfaces.web.page import PageRequest, page
from interfaces.web.pages import inbox as present_inbox
from interfaces.web.pages import review as present
from interfaces.web.pages.words import Status
from registry.models import RiskTier
from workflows.commands import execution
from workflows.commands import requests as request_commands
from workflows.commands import reviews as review_commands
from workflows.models import RequestState
from workflows.queries import requests as request_queries

PAGE = 30
_STATES = ("open", *RequestState.values)


@require_safe
@page
def inbox(request: PageRequest) -> HttpResponse:
    """Show what waits on the person, what they asked for, or everything they may see."""
    return show_inbox(request)


def show_inbox(request: PageRequest) -> HttpResponse:
    """Render the inbox; the start page of reviewers is the same page."""
    wanted = request.GET.get("tab", "")
    box = request_queries.inbox(request.actor)
    found = present_inbox.inbox(
        box, wanted=wanted, query=request.GET.get("q", ""), tier=request.GET.get("tier", ""), now=timezone.now()
    )
    context: dict[str, Any] = {
        "nav": "requests",
        "inbox": found,
        "states": _STATES,
        "tiers": RiskTier.choices,
        "passed": Status("pass", "Passed"),
    }
    if found.tab == "all":
        context |= _all(request)
    elif found.first is not None and not request.htmx:
        shown = request_queries.request_page(request.actor, found.first)
        context["preview"] = present.review(shown, me=request.actor.username, now=timezone.now())
    template = "requests/_list.html" if request.htmx else "requests/inbox.html"
    return render(request, template, context)


def _all(request: PageRequest) -> dict[str, Any]:
    """Return one page of every request the person may see, newest first."""
    state, model = request.GET.get("state", "open"), request.GET.get("model", "")
    rows = request_queries.requests(request.actor, state=state if state in _STATES else "", model=model)
    before = request.GET.get("before", "")
    if before.isdigit():
        rows = rows.filter(pk__lt=int(before))
    page_rows = [request_queries.request_row(row) for row in rows.order_by("-pk")[: PAGE + 1]]
    now = timezone.now()
    return {
        "all": present_inbox.rows(page_rows[:PAGE], now),
        "state": state,
        "model": model,
        "older": page_rows[PAGE - 1].id if len(page_rows) > PAGE else None,
        "newer": before,
    }


@require_safe
@page
def review(request: PageRequest, request_id: int) -> HttpResponse:
    """Show a request with its evidence, and the decision box."""
    return _show(request, request_id)


@require_safe
@page
def status(request: PageRequest, request_id: int) -> HttpResponse:
    """Answer the poll: the requirements as they are now, never the form."""
    context = _context(request, request_id)
    found: present.Review = context["review"]
    seen = request.GET.get("seen", "")
    context["moved"] = bool(seen) and (seen != found.evidence_digest or request.GET.get("state", "") != found.state)
    context["seen"], context["seen_state"] = seen or found.evidence_digest, request.GET.get("state", found.state)
    return render(request, "requests/_status.html", context)


@sensitive_post_parameters("password")
@require_POST
@page
def decide(request: PageRequest, request_id: int) -> HttpResponse:
    """Sign a verdict with the reviewer's password, on the digest the form carries."""
    form = forms.Decision(request.POST, reviewer=cast(User, request.user), address=throttle.address_of(request))
    try:
        if not form.is_valid():
            return _show(request, request_id, status=422, form=form)
    except throttle.TooManyAttempts as error:
        answer = _refused(request, request_id, error, form=form)
        answer["Retry-After"] = error.headers["Retry-After"]
        return answer
    signed = form.cleaned_data
    # The signature is the password given just now, not the session that began earlier.
    actor = dataclasses.replace(request.actor, credential="password")
    try:
        review_commands.submit_review(
            actor=actor,
            request_id=request_id,
            verdict=signed["verdict"],
            comment=signed["comment"],
            evidence_digest=signed["evidence_digest"],
        )
    except DomainError as error:
        return _refused(request, request_id, error, form=form)
    words = {
        "approve": "Approval recorded.",
        "request_changes": "Your request for changes is recorded.",
        "reject": "Rejection recorded.",
    }
    messages.add_message(request, messages.SUCCESS, words[signed["verdict"]], extra_tags="pass")
    return redirect("web:request", request_id)


@require_POST
@page
def withdraw(request: PageRequest, request_id: int) -> HttpResponse:
    """Take the request back."""
    comment = _comment(request)
    return _act(
        request,
        request_id,
        lambda actor: request_commands.withdraw_request(actor=actor, request_id=request_id, reason=comment),
        "Request withdrawn.",
    )


@require_POST
@page
def resubmit(request: PageRequest, request_id: int) -> HttpResponse:
    """Answer the reviewers who asked for changes."""
    comment = _comment(request)
    return _act(
        request,
        request_id,
        lambda actor: request_commands.resubmit_request(actor=actor, request_id=request_id, comment=comment),
        "Sent back to the reviewers.",
    )


@require_POST
@page
def execute(request: PageRequest, request_id: int) -> HttpResponse:
    """Carry an approved request out."""

    def carry_out(actor: Actor) -> None:
        carried = execution.execute_request(actor=actor, request_id=request_id)
        if carried.state != RequestState.DONE:
            raise Conflict(
                f"{carried.reference} was not carried out: what it was approved on has changed, so it is in review again."
            )

    return _act(request, request_id, carry_out, "Carried out.")


@require_POST
@page
def rerun(request: PageRequest, request_id: int) -> HttpResponse:
    """Queue again the checks that ended without a result."""
    return _act(
        request,
        request_id,
        lambda actor: request_commands.rerun_checks(actor=actor, request_id=request_id),
        "Checks queued again.",
    )


def _comment(request: PageRequest) -> str:
    form = forms.Remark(request.POST)
    return str(form.cleaned_data["comment"]) if form.is_valid() else ""


def _act(request: PageRequest, request_id: int, command: Callable[[Actor], object], done: str) -> HttpResponse:
    try:
        command(request.actor)
    except DomainError as error:
        return _refused(request, request_id, error)
    messages.add_message(request, messages.SUCCESS, done, extra_tags="pass")
    return redirect("web:request", request_id)


def _refused(request: PageRequest, request_id: int, error: DomainError, form: forms.Decision | None = None) -> HttpResponse:
    """Show the page as it is now, with the refusal in the box where the person acted."""
    errors.record(request, error)
    found = errors.problem(error)
    return _show(request, request_id, status=found.status, form=form, problem=found)


def _show(request: PageRequest, request_id: int, *, status: int = 200, **more: Any) -> HttpResponse:
    context = _context(request, request_id)
    found: present.Review = context["review"]
    context |= {"seen": found.evidence_digest, "seen_state": found.state, **more}
    return render(request, "requests/review.html", context, status=status)


def _context(request: PageRequest, request_id: int) -> dict[str, Any]:
    shown = request_queries.request_page(request.actor, request_id)
    return {"nav": "requests", "review": present.review(shown, me=request.actor.username, now=timezone.now())}
