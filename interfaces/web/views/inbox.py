"""The inbox: what waits for a person, taking it on and giving it back, and what they were told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render, resolve_url
from django.urls import reverse
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST, require_safe

from core.access import Actor
from interfaces.web.page import PageRequest, page
from interfaces.web.pages import inbox as present
from interfaces.web.pages import review as present_review
from interfaces.web.pages import words
from interfaces.web.pages.words import Status
from registry.models import RiskTier
from workflows.commands import inbox as commands
from workflows.models import RequestKind, RequestState
from workflows.queries import inbox as inbox_queries
from workflows.queries import requests as request_queries
from workflows.queries.deciding import Deciding

PAGE = 30
_STATES = ("open", *RequestState.values)


@require_safe
@page
def inbox(request: PageRequest) -> HttpResponse:
    """Show what waits on the person, what they asked for, what they were told, or everything they may see."""
    wish = present.Wish(*(request.GET.get(name, "") for name in ("tab", "q", "tier", "kind")))
    now = timezone.now()
    found = present.inbox(inbox_queries.inbox(request.actor), wish, me=request.actor.username, now=now)
    context: dict[str, Any] = {
        "nav": "requests",
        "inbox": found,
        "states": [("open", "Open"), *((state, words.request(state).word) for state in RequestState.values)],
        "tiers": RiskTier.choices,
        "kinds": [(kind, words.kind(kind)) for kind in RequestKind.values],
        "passed": Status("pass", "Passed"),
    }
    if found.tab == "all":
        context |= _all(request)
    elif found.first is not None and not request.htmx:
        shown = request_queries.request_page(request.actor, found.first)
        context["preview"] = present_review.review(shown, Deciding(), me=request.actor.username, now=now)
    template = "requests/_list.html" if request.htmx else "requests/inbox.html"
    return render(request, template, context)


@require_POST
@page
def claim(request: PageRequest, task_id: int) -> HttpResponse:
    """Take a review on, so that others need not begin it."""
    return _act(
        request, lambda actor: commands.claim_task(actor=actor, task_id=task_id), "Taken on. Others see that you have it."
    )


@require_POST
@page
def release(request: PageRequest, task_id: int) -> HttpResponse:
    """Give a review back to the group."""
    return _act(request, lambda actor: commands.release_task(actor=actor, task_id=task_id), "Given back to the group.")


@require_POST
@page
def read(request: PageRequest) -> HttpResponse:
    """Mark what one was told as read."""
    return _act(request, lambda actor: commands.read_notifications(actor=actor), "Marked as read.")


def _act(request: PageRequest, command: Callable[[Actor], object], done: str) -> HttpResponse:
    """Run a command and go back to the page the person came from."""
    command(request.actor)
    messages.add_message(request, messages.SUCCESS, done, extra_tags="pass")
    back = request.POST.get("next", "")
    local = url_has_allowed_host_and_scheme(back, allowed_hosts={request.get_host()}, require_https=request.is_secure())
    return redirect(resolve_url(back) if back and local else reverse("web:requests"))


def _all(request: PageRequest) -> dict[str, Any]:
    """Return one page of every request the person may see, newest first."""
    state, model = request.GET.get("state", "open"), request.GET.get("model", "")
    rows = request_queries.requests(request.actor, state=state if state in _STATES else "", model=model)
    before = request.GET.get("before", "")
    if before.isdigit():
        rows = rows.filter(pk__lt=int(before))
    page_rows = [request_queries.request_row(row) for row in rows.order_by("-pk")[: PAGE + 1]]
    return {
        "all": [("", present.rows(page_rows[:PAGE], timezone.now()))] if page_rows else [],
        "state": state,
        "model": model,
        "older": page_rows[PAGE - 1].id if len(page_rows) > PAGE else None,
        "newer": before,
    }
