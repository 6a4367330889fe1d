"""What can be measured, and one run of a check, which every figure and number that it measured leads to."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from core.errors import Conflict
from governance import queries
from interfaces.web import errors
from interfaces.web.page import PageRequest, page
from interfaces.web.pages import check_kinds as kinds_present
from interfaces.web.pages import checks as present
from workflows.commands import evidence as evidence_commands


@require_safe
@page
def catalogue(request: PageRequest) -> HttpResponse:
    """Show every check that policies can ask for, with what it takes."""
    kinds = [kinds_present.kind(each) for each in queries.check_kinds(request.actor)]
    return render(request, "checks/list.html", {"nav": "policies", "checks": kinds})


@require_safe
@page
def run(request: PageRequest, run_id: UUID) -> HttpResponse:
    """Show a check run in full."""
    return _shown(request, run_id)


@require_safe
@page
def progress(request: PageRequest, run_id: UUID) -> HttpResponse:
    """Show how far a run is and what it has printed; once it has ended, have the whole page read anew."""
    shown = present.run_page(queries.check_run(request.actor, run_id))
    response = render(request, "checks/_progress.html", {"page": shown})
    if not shown.unfinished:
        response["HX-Refresh"] = "true"
    return response


@require_POST
@page
def cancel(request: PageRequest, run_id: UUID) -> HttpResponse:
    """Cancel a run that has not ended."""
    try:
        evidence_commands.cancel_check(actor=request.actor, run_id=str(run_id))
    except Conflict as error:
        errors.record(request, error)
        found = errors.problem(error)
        return _shown(request, run_id, status=found.status, problem=found)
    messages.add_message(request, messages.SUCCESS, "Cancelled.", extra_tags="pass")
    return redirect("web:check-run", run_id)


def _shown(request: PageRequest, run_id: UUID, *, status: int = 200, **more: object) -> HttpResponse:
    shown = present.run_page(queries.check_run(request.actor, run_id))
    return render(request, "checks/run.html", {"nav": "models", "page": shown, **more}, status=status)
