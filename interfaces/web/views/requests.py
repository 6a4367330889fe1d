"""The page on which a promotion is decided, and every act on a request."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, cast

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_POST, require_safe

from core.access import Actor, Permission
from core.errors import Conflict, DomainError
from core.models import User
from interfaces import throttle
from interfaces.web import errors, forms
from interfaces.web.page import PageRequest, page
from interfaces.web.pages import review as present
from registry import rows
from workflows.commands import execution
from workflows.commands import requests as request_commands
from workflows.commands import reviews as review_commands
from workflows.models import RequestState
from workflows.queries import requests as request_queries
from workflows.queries.deciding import deciding, statement_to_sign
from workflows.queries.requests import RequestPage
from workflows.rules.signing import Statement

# What the reader wrote in the decision box; shown again when it was not taken. Never the password.
_WRITTEN = ("verdict", "comment", "on_behalf_of", "meaning")
_RECORDED = {
    "approve": "Approval recorded.",
    "request_changes": "Your request for changes is recorded.",
    "reject": "Rejection recorded.",
    "abstain": "Recorded that you abstain.",
}


@require_safe
@page
def review(request: PageRequest, request_id: int) -> HttpResponse:
    """Show a request with its evidence, and the decision box."""
    return show(request, request_id)


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


@require_safe
@page
def statement(request: PageRequest, request_id: int) -> HttpResponse:
    """Show exactly what a signature would stand for, with its digest, for the verdict and meaning chosen so far."""
    chosen = {name: request.GET.get(name, "") for name in _WRITTEN}
    context = {"written": chosen, "statement": _statement(request, request_id, chosen)}
    return render(request, "requests/_statement.html", context)


@sensitive_post_parameters("password")
@require_POST
@page
def decide(request: PageRequest, request_id: int) -> HttpResponse:
    """Sign a verdict with the reviewer's password, on the digest the form carries."""
    written = {name: request.POST.get(name, "") for name in _WRITTEN}
    if "show" in request.POST:  # without script: what would be signed, before anything is
        return show(request, request_id, written=written)
    form = forms.Decision(request.POST, reviewer=cast(User, request.user), address=throttle.address_of(request))
    try:
        if not form.is_valid():
            return show(request, request_id, status=422, form=form, written=written)
    except throttle.TooManyAttempts as error:
        answer = refused(request, request_id, error, written=written)
        answer["Retry-After"] = error.headers["Retry-After"]
        return answer
    signed = form.cleaned_data
    # The signature is the password given just now, not the session that began earlier.
    actor = dataclasses.replace(request.actor, credential="password")
    signing = review_commands.Signing(signed["password"], signed["meaning"], signed["statement_digest"])
    try:
        review_commands.submit_review(
            actor=actor,
            request_id=request_id,
            verdict=signed["verdict"],
            comment=signed["comment"],
            evidence_digest=signed["evidence_digest"],
            on_behalf_of=signed["on_behalf_of"],
            signature=signing if signed["statement_digest"] else None,
        )
    except DomainError as error:
        return refused(request, request_id, error, written=written)
    messages.add_message(request, messages.SUCCESS, _RECORDED[signed["verdict"]], extra_tags="pass")
    return redirect("web:request", request_id)


@require_POST
@page
def submit(request: PageRequest, request_id: int) -> HttpResponse:
    """Ask for what was drafted."""
    return _act(
        request,
        request_id,
        lambda actor: request_commands.submit_request(actor=actor, request_id=request_id),
        "Asked for. Its checks begin now.",
    )


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
def rebase(request: PageRequest, request_id: int) -> HttpResponse:
    """Move the request to the policies in force now."""
    return _act(
        request,
        request_id,
        lambda actor: request_commands.rebase_request(actor=actor, request_id=request_id),
        "Moved to the policies in force now. Its checks begin again.",
    )


@require_POST
@page
def execute(request: PageRequest, request_id: int) -> HttpResponse:
    """Carry an approved request out."""

    def carry_out(actor: Actor) -> str:
        carried = execution.execute_request(actor=actor, request_id=request_id)
        if carried.state == RequestState.APPROVED and carried.hold:
            return f"Noted. It is carried out later: {carried.hold}."
        if carried.state == RequestState.FAILED:
            raise Conflict(f"{carried.reference} could not be carried out: {carried.failure}")
        if carried.state != RequestState.DONE:
            raise Conflict(
                f"{carried.reference} was not carried out: what it was approved on has changed, so it is in review again."
            )
        return "Carried out."

    return _act(request, request_id, carry_out)


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


def show(request: PageRequest, request_id: int, *, status: int = 200, **more: Any) -> HttpResponse:
    """Render the page. written: what the reader had filled in, to be shown again with the statement it leads to."""
    context = _context(request, request_id)
    found: present.Review = context["review"]
    written: Mapping[str, str] = more.get("written") or {}
    context |= {"seen": found.evidence_digest, "seen_state": found.state, **more}
    if found.box.meanings and written.get("meaning"):
        context["statement"] = _statement(request, request_id, written)
    return render(request, "requests/review.html", context, status=status)


def refused(request: PageRequest, request_id: int, error: DomainError, **more: Any) -> HttpResponse:
    """Show the page as it is now, with the refusal in the box where the person acted."""
    errors.record(request, error)
    found = errors.problem(error)
    return show(request, request_id, status=found.status, problem=found, **more)


def presented(actor: Actor, shown: RequestPage) -> present.Review:
    """Return a request as its page shows it to somebody."""
    if shown.request.state == RequestState.DRAFT:
        shown = _foreseen(actor, shown)
    return present.review(
        shown,
        deciding(actor, shown),
        me=actor.username,
        now=timezone.now(),
    )


def _foreseen(actor: Actor, shown: RequestPage) -> RequestPage:
    """Return a draft with the verdict that the evidence of today gives: nothing was measured for it yet."""
    asked = shown.request
    version = rows.version(actor, Permission.MODEL_READ, asked.model, asked.version)
    verdict = request_queries.outlook(actor, version, target_kind=asked.target_kind, target=asked.target)
    return dataclasses.replace(shown, verdict=verdict) if verdict is not None else shown


def _statement(request: PageRequest, request_id: int, chosen: Mapping[str, str]) -> Statement | None:
    """Return what would be signed now, or None as long as verdict or meaning are not chosen."""
    return statement_to_sign(
        request.actor,
        request_id,
        verdict=chosen.get("verdict", ""),
        meaning=chosen.get("meaning", ""),
        on_behalf_of=chosen.get("on_behalf_of", ""),
    )


def _comment(request: PageRequest) -> str:
    form = forms.Remark(request.POST)
    return str(form.cleaned_data["comment"]) if form.is_valid() else ""


def _act(request: PageRequest, request_id: int, command: Callable[[Actor], object], done: str = "") -> HttpResponse:
    """Run a command and say that it is done: in these words, or in those it returns."""
    try:
        said = command(request.actor)
    except DomainError as error:
        return refused(request, request_id, error)
    messages.add_message(request, messages.SUCCESS, done or str(said), extra_tags="pass")
    return redirect("web:request", request_id)


def _context(request: PageRequest, request_id: int) -> dict[str, Any]:
    shown = request_queries.request_page(request.actor, request_id)
    return {"nav": "requests", "review": presented(request.actor, shown)}
