"""Webhooks: who outside is told of events, and what became of each."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import UUID

from django import forms
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from core import access
from core.access import Actor, Permission
from core.errors import Denied, Invalid
from interfaces.web import register_forms
from interfaces.web.acting import posted
from interfaces.web.errors import Problem
from interfaces.web.page import PageRequest, page
from interfaces.web.pages import webhooks as present
from registry.models import RegisteredModel
from webhooks import commands, queries
from webhooks.models import DeliveryState, EndpointState

PAGE = 30


@require_http_methods(["GET", "HEAD", "POST"])
@page
def endpoints(request: PageRequest) -> HttpResponse:
    """Show the endpoints the person manages; a POST adds one, and its answer alone has the secret."""
    actor = request.actor
    if not _may_manage(actor):
        raise Denied("Webhooks are for platform admins, and for who manages a model; ask one of them.")
    if request.method != "POST":
        return _endpoints(request)
    made: list[commands.Secret] = []

    def add(given: dict[str, Any]) -> commands.Secret:
        model = given.pop("model") or None
        made.append(commands.create_endpoint(actor=actor, model_name=model, **given))
        return made[0]

    return posted(
        request,
        register_forms.Endpoint(request.POST, auto_id="new_%s"),
        add,
        said="",
        # The secret is kept nowhere, so there is nothing to be redirected to that could show it.
        to=lambda secret: _secret(request, secret),
        again=lambda *, status, form, problem: _endpoints(request, status, form=form, problem=problem),
    )


@require_http_methods(["GET", "HEAD", "POST"])
@page
def endpoint(request: PageRequest, endpoint_id: int) -> HttpResponse:
    """Show one endpoint with its deliveries; a POST changes, rotates, tests, disables, enables or removes it."""
    if request.method != "POST":
        return _endpoint(request, endpoint_id)
    actor, act = request.actor, request.POST.get("act", "")
    held = queries.endpoint(actor, endpoint_id)
    form: forms.Form = register_forms.Empty(request.POST)
    if act == "change":
        form = register_forms.Endpoint(request.POST, made=True, auto_id="change_%s")

    def change(given: dict[str, Any]) -> object:
        # An address that stays as it was says nothing against what failed before.
        given["url"] = given["url"] if given["url"] != held.url else None
        return commands.change_endpoint(actor=actor, endpoint_id=endpoint_id, **given)

    acts: dict[str, tuple[Callable[..., Any], str]] = {
        "change": (change, "Changed."),
        "test": (
            lambda _: commands.send_test(actor=actor, endpoint_id=endpoint_id),
            "A test is on its way. What comes of it is the first of the deliveries.",
        ),
        "rotate": (lambda _: commands.rotate_secret(actor=actor, endpoint_id=endpoint_id), ""),
        "disable": (
            lambda _: commands.change_endpoint(actor=actor, endpoint_id=endpoint_id, state=EndpointState.DISABLED),
            "Disabled. What happens until it is active again is not told.",
        ),
        "enable": (
            lambda _: commands.change_endpoint(actor=actor, endpoint_id=endpoint_id, state=EndpointState.ACTIVE),
            "Active. It is told of what happens from now on.",
        ),
        "remove": (lambda _: commands.delete_endpoint(actor=actor, endpoint_id=endpoint_id), "Removed."),
    }
    if act not in acts:
        raise Invalid(f"Choose what to do with the endpoint: {', '.join(acts)}.")
    command, said = acts[act]

    def to(made: Any) -> HttpResponse:
        if isinstance(made, commands.Secret):
            return _secret(request, made)
        return redirect("web:webhooks") if act == "remove" else redirect("web:webhook", endpoint_id)

    def again(*, status: int, form: forms.Form, problem: Problem | None) -> HttpResponse:
        changed = {"form": form} if act == "change" else {}
        return _endpoint(request, endpoint_id, status, problem=problem, act=act, **changed)

    return posted(request, form, command, said=said, to=to, again=again)


@require_POST
@page
def redeliver(request: PageRequest, endpoint_id: int, delivery_id: UUID) -> HttpResponse:
    """Send a delivery again now."""
    return posted(
        request,
        register_forms.Empty(request.POST),
        lambda _: commands.redeliver(actor=request.actor, delivery_id=delivery_id),
        said="It is sent again.",
        to=lambda made: redirect("web:webhook", made.endpoint_id),
        again=lambda *, status, form, problem: _endpoint(request, endpoint_id, status, problem=problem, act="redeliver"),
    )


def _endpoints(
    request: PageRequest, status: int = 200, form: forms.Form | None = None, problem: Problem | None = None
) -> HttpResponse:
    actor = request.actor
    rows = queries.endpoints(actor).order_by("name", "id")[:200]
    context = {
        "lines": [present.endpoint_line(queries.endpoint_row(row)) for row in rows],
        "form": form or register_forms.Endpoint(auto_id="new_%s"),
        "problem": problem,
        "kinds": queries.event_kinds(),
        "models": _managed(actor),
        "everywhere": actor.grants(Permission.WEBHOOK_MANAGE),
    }
    return _shown(request, "webhooks/list.html", context, status)


def _endpoint(request: PageRequest, endpoint_id: int, status: int = 200, **sent: Any) -> HttpResponse:
    actor = request.actor
    row = queries.endpoint_row(queries.endpoint(actor, endpoint_id))
    state = request.GET.get("state", "")
    state = state if state in DeliveryState.values else ""
    found = queries.deliveries(actor, endpoint_id, state=state)
    before = _moment(request.GET.get("before", ""))
    if before is not None:
        found = found.filter(created_at__lt=before)
    deliveries = queries.delivery_rows(found[: PAGE + 1])
    initial = {"name": row.name, "url": row.url, "events": "\n".join(row.events)}
    context = {
        "line": present.endpoint_line(row),
        "row": row,
        "deliveries": [present.delivery_line(each) for each in deliveries[:PAGE]],
        "older": deliveries[PAGE - 1].created_at.isoformat() if len(deliveries) > PAGE else "",
        "before": before,
        "state": state,
        "states": [(value, word) for value, word in DeliveryState.choices],
        "form": register_forms.Endpoint(made=True, initial=initial, auto_id="change_%s"),
        **sent,
    }
    return _shown(request, "webhooks/endpoint.html", context, status)


def _secret(request: PageRequest, made: commands.Secret) -> HttpResponse:
    """Show a secret this once; nothing on the way may keep the page."""
    row = queries.endpoint_row(queries.endpoint(request.actor, made.endpoint.pk))
    answer = _shown(request, "webhooks/secret.html", {"row": row, "secret": made.secret})
    answer["Cache-Control"] = "no-store"
    return answer


def _shown(request: PageRequest, template: str, context: dict[str, Any], status: int = 200) -> HttpResponse:
    return render(request, template, {"nav": "webhooks", **context}, status=status)


def _managed(actor: Actor) -> list[str]:
    permission = Permission.MODEL_READ if actor.grants(Permission.WEBHOOK_MANAGE) else Permission.MODEL_MANAGE
    rows = access.visible(actor, RegisteredModel.objects.filter(deleted_at__isnull=True), permission)
    return list(rows.order_by("name").values_list("name", flat=True)[:200])


def _may_manage(actor: Actor) -> bool:
    return actor.grants(Permission.WEBHOOK_MANAGE) or bool(_managed(actor))


def _moment(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo is not None else None
