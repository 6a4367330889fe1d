"""The start page: for each role the page on which its work waits."""

from __future__ import annotations

from django.http import HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_safe

from core.access import Permission, Role
from interfaces.web.page import PageRequest, page


@require_safe
@page
def home(request: PageRequest) -> HttpResponse:
    """Send reviewers to their inbox, scientists to what they asked for, auditors to the log, admins to the policies."""
    actor = request.actor
    if actor.grants(Permission.PROMOTION_REVIEW):
        return redirect("web:requests")
    if Role.AUDITOR in actor.roles:
        return redirect("web:audit")
    if Role.PLATFORM_ADMIN in actor.roles:
        return redirect("web:policies")
    return redirect("web:models")
