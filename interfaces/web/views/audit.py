"""The audit log and its verification."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_safe

from core import access
from core.access import Permission
from core.errors import DomainError
from governance import ledger, queries
from interfaces.web import errors
from interfaces.web.page import PageRequest, page
from interfaces.web.pages import audit as present
from registry import rows

PAGE = 50


@require_http_methods(["GET", "HEAD", "POST"])
@page
def log(request: PageRequest) -> HttpResponse:
    """Show the log, filtered; a POST verifies it from the first entry to the last."""
    return show_log(request)


def show_log(request: PageRequest) -> HttpResponse:
    """Render the log; the start page of auditors is the same page."""
    access.require(request.actor, Permission.AUDIT_READ)
    asked = {name: request.GET.get(name, "").strip() for name in ("action", "actor", "subject", "model", "before", "open")}
    context: dict[str, Any] = {
        "nav": "audit",
        "asked": asked,
        "groups": present.GROUPS,
        "filtered": any(asked[name] for name in ("action", "actor", "subject", "model")),
    }
    if request.method == "POST":
        context["seal"] = present.verified(ledger.verify(), timezone.now())
        if request.htmx:
            return render(request, "audit/_seal.html", context)
    else:
        context["seal"] = present.head(queries.ledger_head())
    try:
        scope = f"model:{rows.model(request.actor, Permission.MODEL_READ, asked['model']).pk}" if asked["model"] else ""
        found = queries.audit_events(
            request.actor,
            action=asked["action"],
            by=asked["actor"],
            subject=asked["subject"],
            scope=scope,
            before_id=int(asked["before"]) if asked["before"].isdigit() else None,
            limit=PAGE + 1,
        )
    except DomainError as error:
        context["problem"], found = errors.problem(error), []
    context["lines"] = present.lines(found[:PAGE])
    context["older"] = found[PAGE - 1].id if len(found) > PAGE else None
    if asked["open"].isdigit():
        context["opened"] = present.whole(queries.audit_event(request.actor, int(asked["open"])))
    query = request.GET.copy()
    for name in ("before", "open"):
        query.pop(name, None)
    context["query"] = query.urlencode()
    return render(request, "audit/_log.html" if request.htmx else "audit/log.html", context)


@require_safe
@page
def event(request: PageRequest, event_id: int) -> HttpResponse:
    """Show one event with everything that is hashed."""
    found = queries.audit_event(request.actor, event_id)
    context = {"nav": "audit", "opened": present.whole(found), "line": present.lines([found])[0]}
    return render(request, "audit/_event.html" if request.htmx else "audit/event.html", context)
