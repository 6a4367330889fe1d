"""Who stands in for whom, whether one wants mail, and whose rights conflict."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from core.access import Permission
from core.models import User
from interfaces.web import register_forms
from interfaces.web.acting import posted
from interfaces.web.page import PageRequest, page
from interfaces.web.pages import people as present
from workflows.commands import delegations as commands
from workflows.commands import inbox as inbox_commands
from workflows.queries import people as queries

PAGE = 50


@require_http_methods(["GET", "HEAD", "POST"])
@page
def delegations(request: PageRequest) -> HttpResponse:
    """Show one's own delegations, or everybody's to who may see them; a POST makes one."""
    actor = request.actor
    if request.method != "POST":
        return _delegations(request)
    form = register_forms.NewDelegation(request.POST, for_others=actor.grants(Permission.ACCOUNT_MANAGE))
    return posted(
        request,
        form,
        lambda _: commands.create_delegation(actor=actor, **form.asked()),
        said=lambda made: f"{made.delegate.display_name} stands in for {made.delegator.display_name}.",
        to=lambda _: redirect("web:delegations"),
        again=lambda *, status, form, problem: _delegations(request, status, form=form, problem=problem),
    )


@require_POST
@page
def delegation_end(request: PageRequest, delegation_id: int) -> HttpResponse:
    """End a delegation before its time; reviews given under it stand."""
    return posted(
        request,
        register_forms.Empty(request.POST),
        lambda _: commands.revoke_delegation(actor=request.actor, delegation_id=delegation_id),
        said="Ended. Reviews that were given under it stand.",
        to=lambda _: redirect("web:delegations"),
        again=lambda *, status, form, problem: _delegations(request, status, trouble=problem),
    )


@require_POST
@page
def mail(request: PageRequest) -> HttpResponse:
    """Say whether one wants mail."""
    wanted = bool(request.POST.get("wanted"))
    inbox_commands.set_mail_wanted(actor=request.actor, wanted=wanted)
    said = "You get mail about what waits for you." if wanted else "You get no mail. What waits for you is in the inbox."
    messages.add_message(request, messages.SUCCESS, said, extra_tags="pass")
    return redirect("web:delegations")


@require_safe
@page
def conflicts(request: PageRequest) -> HttpResponse:
    """Show the accounts whose rights should not be held together."""
    lines = present.conflicts(queries.role_conflicts(request.actor))
    return render(request, "people/conflicts.html", {"nav": "people", "lines": lines})


def _delegations(request: PageRequest, status: int = 200, form: forms.Form | None = None, **sent: Any) -> HttpResponse:
    actor, now = request.actor, timezone.now()
    manages = actor.grants(Permission.ACCOUNT_MANAGE)
    person, before = request.GET.get("person", "").strip(), request.GET.get("before", "")
    rows = queries.delegations(actor, person=person).order_by("-pk")
    if before.isdigit():
        rows = rows.filter(pk__lt=int(before))
    found = [queries.delegation_row(row) for row in rows[: PAGE + 1]]
    lines = [present.delegation_line(row, me=actor.username, manages=manages, now=now) for row in found[:PAGE]]
    may_give = manages or actor.grants(Permission.PROMOTION_REVIEW)
    context: dict[str, Any] = {
        "nav": "people",
        "current": [line for line in lines if line.current],
        "past": [line for line in lines if not line.current],
        "person": person,
        "before": before,
        "older": found[PAGE - 1].id if len(found) > PAGE else None,
        "sees_all": manages or actor.grants(Permission.AUDIT_READ),
        "may_give": may_give,
        "my_groups": sorted(actor.roles),
        "form": form or register_forms.NewDelegation(for_others=manages),
        "accounts": _accounts() if may_give else (),
        "mail": register_forms.Mail(initial={"wanted": queries.mail_wanted(actor)}),
        **sent,
    }
    return render(request, "people/delegations.html", context, status=status)


def _accounts() -> list[str]:
    people: Any = User.objects.filter(is_active=True, is_service=False).order_by("username")
    return list(people.values_list("username", flat=True)[:200])
