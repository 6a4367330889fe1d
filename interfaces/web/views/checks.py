"""What can be measured, and one run of a check, which every figure and number that it measured leads to."""

from __future__ import annotations

from uuid import UUID

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from governance import queries
from interfaces.web.page import PageRequest, page
from interfaces.web.pages import check_kinds as kinds_present
from interfaces.web.pages import checks as present


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
    return render(
        request, "checks/run.html", {"nav": "models", "page": present.run_page(queries.check_run(request.actor, run_id))}
    )
