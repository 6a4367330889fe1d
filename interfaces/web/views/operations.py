"""When nothing is carried out, by which hours deadlines are counted, what went past the gate, and what is reviewed again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from zoneinfo import available_timezones

from django import forms
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from core import access
from core.access import Actor, Permission
from core.errors import Denied, Invalid, NotFound
from interfaces.web import register_forms, rights
from interfaces.web.acting import posted
from interfaces.web.errors import Problem
from interfaces.web.page import PageRequest, page
from interfaces.web.pages import operations as present
from interfaces.web.pages import words
from interfaces.web.pages.risk import Tab
from registry.models import RegisteredModel
from workflows.commands import break_glass, calendar, re_reviews
from workflows.models import BreakGlassState, ReReviewCause
from workflows.queries import grandfathered
from workflows.queries import operations as queries

PAGE = 50
_STATES = ("open", "overdue", "closed")


# Re-reviews.


@require_safe
@page
def re_review_list(request: PageRequest) -> HttpResponse:
    """Show what is to be reviewed again, the ones due first at the top."""
    actor = request.actor
    asked = {name: request.GET.get(name, "").strip() for name in ("model", "cause", "before")}
    state = request.GET.get("state", "open")
    rows = queries.re_reviews(
        actor,
        model=asked["model"],
        cause=asked["cause"] if asked["cause"] in ReReviewCause.values else "",
        state=state if state in _STATES else "",
    )
    if state != "open" and state != "overdue":
        rows = rows.order_by("-pk")
        if asked["before"].isdigit():
            rows = rows.filter(pk__lt=int(asked["before"]))
    found = queries.re_review_rows(rows[: PAGE + 1])
    query = request.GET.copy()
    query.pop("before", None)
    context = {
        "asked": {**asked, "state": state},
        "lines": present.re_review_lines(found[:PAGE], timezone.now()),
        "more": len(found) > PAGE,
        "older": found[PAGE - 1].id if len(found) > PAGE and state not in ("open", "overdue") else None,
        "query": query.urlencode(),
        "causes": [(cause, words.cause(cause)) for cause in ReReviewCause.values],
        "filtered": any(asked.values()) or state != "open",
        "may_report": _may_report(actor),
        "tabs": _tabs(actor, "re-reviews"),
    }
    return _shown(request, "operations/re_reviews.html", context)


@require_safe
@page
def grandfathered_list(request: PageRequest) -> HttpResponse:
    """Show what holds a governed place because an import brought it there, and nobody here decided on."""
    actor = request.actor
    asked = {name: request.GET.get(name, "").strip() for name in ("model", "before")}
    state = request.GET.get("state", "open")
    rows = grandfathered.grandfathered(actor, model=asked["model"], state=state if state in ("open", "settled") else "")
    if asked["before"].isdigit():
        rows = rows.filter(pk__lt=int(asked["before"]))
    found = grandfathered.grandfathered_rows(rows[: PAGE + 1])
    query = request.GET.copy()
    query.pop("before", None)
    context = {
        "asked": {**asked, "state": state},
        "lines": present.grandfathered_lines(found[:PAGE]),
        "older": found[PAGE - 1].id if len(found) > PAGE else None,
        "query": query.urlencode(),
        "filtered": bool(asked["model"] or asked["before"] or state != "open"),
        "tabs": _tabs(actor, "grandfathered"),
    }
    return _shown(request, "operations/grandfathered.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@page
def event_new(request: PageRequest) -> HttpResponse:
    """Report what happened to a model or its data; what holds a place is then reviewed again, where a policy asks for it."""
    actor = request.actor
    if not _may_report(actor):
        raise Denied("Events are reported by who manages the model, who audits and who publishes policies; ask one of them.")
    causes = [(cause.value, words.cause(cause)) for cause in re_reviews.REPORTABLE]
    context = {"models": _names(actor)}
    if request.method != "POST":
        form = register_forms.NewEvent(initial={"model": request.GET.get("model", "")}, causes=causes)
        return _shown(request, "operations/event_new.html", {"form": form, **context})

    def again(*, status: int, form: forms.Form, problem: Problem | None) -> HttpResponse:
        return _shown(request, "operations/event_new.html", {"form": form, "problem": problem, **context}, status)

    return posted(
        request,
        register_forms.NewEvent(request.POST, causes=causes),
        lambda given: re_reviews.report_event(actor=actor, model_name=given.pop("model"), **given),
        said=lambda opened: f"Reported. {words.count_of(len(opened), 're-review')} opened.",
        to=lambda _: redirect("web:re-reviews"),
        again=again,
    )


# Emergencies.


@require_safe
@page
def emergencies(request: PageRequest) -> HttpResponse:
    """Show the emergency moves past the gate, newest first."""
    actor, now = request.actor, timezone.now()
    asked = {name: request.GET.get(name, "").strip() for name in ("model", "state", "before")}
    state = asked["state"] if asked["state"] in BreakGlassState.values else ""
    rows = queries.break_glass(actor, model=asked["model"], state=state).order_by("-pk")
    if asked["before"].isdigit():
        rows = rows.filter(pk__lt=int(asked["before"]))
    found = [queries.emergency_row(row) for row in rows[: PAGE + 1]]
    query = request.GET.copy()
    query.pop("before", None)
    context = {
        "asked": asked,
        "states": [(value, words.emergency(value).word) for value in BreakGlassState.values],
        "lines": [present.emergency_line(row, now) for row in found[:PAGE]],
        "older": found[PAGE - 1].id if len(found) > PAGE else None,
        "query": query.urlencode(),
        "filtered": bool(asked["model"] or state),
        "may_ask": actor.grants(Permission.BREAK_GLASS),
        "tabs": _tabs(actor, "emergencies"),
    }
    return _shown(request, "operations/emergencies.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@page
def emergency_new(request: PageRequest) -> HttpResponse:
    """Ask for an emergency move; nothing moves before somebody else confirms it."""
    actor = request.actor
    access.require(actor, Permission.BREAK_GLASS)
    context = {"models": _names(actor)}
    if request.method != "POST":
        initial = {name: request.GET.get(name, "") for name in ("model", "version", "place")}
        return _shown(request, "operations/emergency_new.html", {"form": register_forms.NewEmergency(initial=initial), **context})

    def ask(given: dict[str, Any]) -> Any:
        kind, target = given.pop("place")
        return break_glass.request_break_glass(
            actor=actor, model_name=given.pop("model"), target_kind=kind, target=target, **given
        )

    def again(*, status: int, form: forms.Form, problem: Problem | None) -> HttpResponse:
        return _shown(request, "operations/emergency_new.html", {"form": form, "problem": problem, **context}, status)

    return posted(
        request,
        register_forms.NewEmergency(request.POST),
        ask,
        said="Asked for. Nothing moves before somebody else confirms it.",
        to=lambda made: redirect("web:emergency", made.pk),
        again=again,
    )


@require_http_methods(["GET", "HEAD", "POST"])
@page
def emergency(request: PageRequest, break_glass_id: int) -> HttpResponse:
    """Show one emergency; a POST confirms, refuses or ends it, or closes its review."""
    if request.method != "POST":
        return _emergency(request, break_glass_id)
    actor, act = request.actor, request.POST.get("act", "")
    form: forms.Form
    if act == "refuse":
        form = register_forms.Refusal(request.POST, auto_id="refuse_%s")
    elif act == "close":
        form = register_forms.ReviewNote(request.POST, auto_id="close_%s")
    elif act in ("confirm", "revert"):
        form = register_forms.Empty(request.POST)
    else:
        raise Invalid("Choose what to do with the emergency: confirm, refuse, revert or close it.")
    commands: dict[str, Callable[..., object]] = {
        "confirm": break_glass.confirm_break_glass,
        "refuse": break_glass.refuse_break_glass,
        "revert": break_glass.revert_break_glass,
        "close": break_glass.close_break_glass,
    }
    said = {
        "confirm": "Confirmed. It took place.",
        "refuse": "It does not take place.",
        "revert": "Ended. What stood there before stands there again, as far as it could.",
        "close": "Closed.",
    }
    return posted(
        request,
        form,
        lambda given: commands[act](actor=actor, break_glass_id=break_glass_id, **given),
        said=said[act],
        to=lambda _: redirect("web:emergency", break_glass_id),
        again=lambda *, status, form, problem: _emergency(
            request, break_glass_id, status, act=act, problem=problem, **{f"{act}_form": form}
        ),
    )


def _emergency(request: PageRequest, break_glass_id: int, status: int = 200, **sent: Any) -> HttpResponse:
    actor = request.actor
    found = (
        queries.break_glass(actor)
        .select_related("requested_by__responsible", "confirmed_by__responsible", "version__created_by__responsible")
        .filter(pk=break_glass_id)
        .first()
    )
    if found is None:
        raise NotFound(f"There is no emergency {break_glass_id}, or you may not see it.")
    row = queries.emergency_row(found)
    waits, over = row.state == BreakGlassState.REQUESTED, row.state == BreakGlassState.REVERTED
    responder = actor.grants(Permission.BREAK_GLASS)
    context = {
        "line": present.emergency_line(row, timezone.now()),
        "row": row,
        "life": present.life(row, actor.username),
        "mine": found.requested_by_id == actor.user_id,
        "why_not_confirm": rights.why_not_confirm(actor, found) if waits else "",
        "may_refuse": waits and (responder or found.requested_by_id == actor.user_id),
        "may_revert": row.state == BreakGlassState.IN_FORCE and responder,
        "why_not_close": rights.why_not_close_emergency(actor, found) if over else "",
        "refuse_form": register_forms.Refusal(auto_id="refuse_%s"),
        "close_form": register_forms.ReviewNote(auto_id="close_%s"),
        **sent,
    }
    return _shown(request, "operations/emergency.html", context, status)


# Freezes.


@require_safe
@page
def freezes(request: PageRequest) -> HttpResponse:
    """Show the freezes with their next times."""
    return _freezes(request)


def _freezes(request: PageRequest, status: int = 200, **sent: Any) -> HttpResponse:
    actor = request.actor
    rows = queries.freeze_rows(queries.freezes(actor))
    lines = sorted((present.freeze_line(row) for row in rows), key=lambda line: not line.row.in_force)
    context = {
        "lines": lines,
        "may_manage": actor.grants(Permission.CALENDAR_MANAGE),
        "tabs": _tabs(actor, "freezes"),
        **sent,
    }
    return _shown(request, "operations/freezes.html", context, status)


@require_http_methods(["GET", "HEAD", "POST"])
@page
def freeze_new(request: PageRequest) -> HttpResponse:
    """Put a freeze in force."""
    actor = request.actor
    access.require(actor, Permission.CALENDAR_MANAGE)
    context = {"zones": sorted(available_timezones())}
    if request.method != "POST":
        form = register_forms.NewFreeze(initial={"zone": "UTC"})
        return _shown(request, "operations/freeze_new.html", {"form": form, **context})
    form = register_forms.NewFreeze(request.POST)

    def again(*, status: int, form: forms.Form, problem: Problem | None) -> HttpResponse:
        return _shown(request, "operations/freeze_new.html", {"form": form, "problem": problem, **context}, status)

    return posted(
        request,
        form,
        lambda _: calendar.create_freeze(actor=actor, **form.asked()),
        said=lambda made: f"The freeze {made.name} is in force from its time on.",
        to=lambda _: redirect("web:freezes"),
        again=again,
    )


@require_POST
@page
def freeze_end(request: PageRequest, name: str) -> HttpResponse:
    """Take a freeze out of force now; what it held is carried out."""
    actor = request.actor
    return posted(
        request,
        register_forms.Refusal(request.POST),
        lambda given: calendar.end_freeze(actor=actor, name=name, reason=given["comment"]),
        said=f"The freeze {name} is out of force. What it held is carried out.",
        to=lambda _: redirect("web:freezes"),
        again=lambda *, status, form, problem: _freezes(request, status, problem=problem),
    )


# Business calendars.


@require_http_methods(["GET", "HEAD", "POST"])
@page
def calendars(request: PageRequest) -> HttpResponse:
    """Show the business calendars; a POST publishes one."""
    actor = request.actor
    if request.method != "POST":
        return _calendars(request)
    return posted(
        request,
        register_forms.NewCalendar(request.POST),
        lambda given: calendar.publish_calendar(actor=actor, **{**given, "weekdays": [int(day) for day in given["weekdays"]]}),
        said=lambda made: f"The calendar {made.name} is published. Deadlines already set stay as they are.",
        to=lambda _: redirect("web:calendars"),
        again=lambda *, status, form, problem: _calendars(request, status, form=form, problem=problem),
    )


def _calendars(
    request: PageRequest, status: int = 200, form: forms.Form | None = None, problem: Problem | None = None
) -> HttpResponse:
    actor = request.actor
    rows = queries.calendars(actor)
    may_manage = actor.grants(Permission.CALENDAR_MANAGE)
    changed = next((row for row in rows if row.name == request.GET.get("open")), None)
    if form is None and may_manage:
        initial: dict[str, Any] = {"zone": "UTC", "weekdays": ["0", "1", "2", "3", "4"], "opens": "09:00", "closes": "17:00"}
        if changed is not None:
            initial = {
                "name": changed.name,
                "zone": changed.zone,
                "weekdays": [str(day) for day in changed.weekdays],
                "opens": changed.opens,
                "closes": changed.closes,
                "holidays": "\n".join(changed.holidays),
            }
        form = register_forms.NewCalendar(initial=initial)
    context = {
        "lines": [present.calendar_line(row) for row in rows],
        "form": form if may_manage else None,
        "changed": changed,
        "problem": problem,
        "zones": sorted(available_timezones()) if may_manage else (),
        "tabs": _tabs(actor, "calendars"),
    }
    return _shown(request, "operations/calendars.html", context, status)


# What these views share.


def _shown(request: PageRequest, template: str, context: dict[str, Any], status: int = 200) -> HttpResponse:
    return render(request, template, {"nav": "operations", "tabs_label": "Operations", **context}, status=status)


def _tabs(actor: Actor, current: str) -> tuple[Tab, ...]:
    return present.tabs(current, reads_policies=actor.grants(Permission.POLICY_READ))


def _names(actor: Actor) -> list[str]:
    rows = access.visible(actor, RegisteredModel.objects.filter(deleted_at__isnull=True), Permission.MODEL_READ)
    return list(rows.order_by("name").values_list("name", flat=True)[:200])


def _may_report(actor: Actor) -> bool:
    if actor.grants(Permission.POLICY_PUBLISH) or actor.grants(Permission.AUDIT_READ):
        return True
    rows = RegisteredModel.objects.filter(deleted_at__isnull=True)
    return access.visible(actor, rows, Permission.MODEL_MANAGE).exists()
