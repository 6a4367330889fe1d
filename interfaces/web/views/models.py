"""Models and their versions, and asking for a promotion."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_safe

from core import access
from core.access import Actor, Permission
from core.errors import DomainError
from governance import queries as governance_queries
from governance.bindings import bindings_for
from governance.evidence import Evidence
from governance.models import FindingStatus
from interfaces.web import errors, forms, rights
from interfaces.web.page import PageRequest, page
from interfaces.web.pages import models as present
from interfaces.web.pages import words
from registry import queries as registry_queries
from registry import rows
from registry.history import Period
from registry.models import RegisteredModel
from workflows.assessment import holder
from workflows.commands import requests as request_commands
from workflows.models import BreakGlassState
from workflows.queries import grandfathered, operations, risk
from workflows.queries import requests as request_queries
from workflows.queries.grandfathered import GrandfatheredRow

PAGE = 50


@require_safe
@page
def models(request: PageRequest) -> HttpResponse:
    """Show the models the person may see, by name."""
    query, after = request.GET.get("q", "").strip(), request.GET.get("after", "")
    found = present.model_lines(registry_queries.model_list(request.actor, text=query, after=after, limit=PAGE + 1))
    shown = found[:PAGE]
    context = {
        "nav": "models",
        "models": shown,
        "query": query,
        "after": after,
        "older": shown[-1].row.name if len(found) > PAGE else "",
        "may_create": request.actor.grants(Permission.MODEL_CREATE),
    }
    return render(request, "models/_list.html" if request.htmx else "models/list.html", context)


@require_safe
@page
def model(request: PageRequest, name: str) -> HttpResponse:
    """Show a model: what stands where, who guards it, its versions and how to load it."""
    subject = registry_queries.model(request.actor, name)
    found = [request_queries.request_row(row) for row in request_queries.requests(request.actor, model=name)[:30]]
    past = registry_queries.model_history(subject)
    undecided = grandfathered.grandfathered_rows(grandfathered.grandfathered(request.actor, model=name)[:200])
    shown = present.model_page(
        past,
        requests=found,
        guards=guards_of(request.actor, subject),
        grandfathered=undecided,
        may_ask=access.explain(request.actor, Permission.PROMOTION_REQUEST, subject).allowed,
        now=timezone.now(),
    )
    context = {
        "nav": "models",
        "page": shown,
        "known": _known(request.actor, subject, past.moves, undecided),
        "may_raise": rights.has_voice(request.actor, subject),
    }
    return render(request, "models/model.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@page
def version(request: PageRequest, name: str, number: int) -> HttpResponse:
    """Show a version with its evidence; a POST asks for its promotion."""
    if request.method != "POST":
        return _version(request, name, number)
    form = forms.Ask(request.POST)
    if not form.is_valid():
        return _version(request, name, number, status=422, form=form)
    kind, target_kind, target = form.cleaned_data["what"]
    try:
        opened = request_commands.request_promotion(
            actor=request.actor,
            model_name=name,
            version=number,
            target_kind=target_kind,
            target=target,
            reason=form.cleaned_data["reason"],
            kind=kind,
            archive_existing=not form.cleaned_data["keep_existing"],
            draft=form.cleaned_data["draft"],
            supersede=form.cleaned_data["supersede"],
        )
    except DomainError as error:
        errors.record(request, error)
        found = errors.problem(error)
        return _version(request, name, number, status=found.status, form=form, problem=found)
    draft = form.cleaned_data["draft"]
    said = (
        f"{opened.reference} is drafted. Nobody is asked yet." if draft else f"{opened.reference} is open. Its checks begin now."
    )
    messages.add_message(request, messages.SUCCESS, said, extra_tags="pass")
    return redirect("web:request", opened.pk)


def _version(request: PageRequest, name: str, number: int, *, status: int = 200, **more: Any) -> HttpResponse:
    actor = request.actor
    subject = rows.version(actor, Permission.MODEL_READ, name, number)
    guards = guards_of(actor, subject.model)
    guarded = next((g for g in guards if g.kind == "stage" and g.name == "Production"), guards[0] if guards else None)
    verdict = champion = None
    if guarded is not None:
        champion = holder(subject.model, target_kind=guarded.kind, target=guarded.name)
        if champion is None or champion.pk != subject.pk:  # nothing stands between a version and where it is
            verdict = request_queries.outlook(actor, subject, target_kind=guarded.kind, target=guarded.name)
    runs = governance_queries.check_runs(actor).filter(version=subject)[:30]
    shown = present.version_page(
        registry_queries.version_history(subject),
        card=Evidence([subject], []).facts(subject).card,
        checks=governance_queries.detailed(runs),
        requests=[request_queries.request_row(row) for row in request_queries.requests(actor, model=name, version=number)[:20]],
        guards=guards,
        grandfathered=grandfathered.of_version(subject),
        verdict=verdict,
        outlook_target=words.target(guarded.kind, guarded.name) if guarded else "",
        champion=champion.number if champion is not None and champion.pk != subject.pk else None,
        may_ask=access.explain(actor, Permission.PROMOTION_REQUEST, subject.model).allowed,
        now=timezone.now(),
        open_elsewhere=[
            request_queries.request_row(row)
            for row in request_queries.requests(actor, model=name, state="open").exclude(version=subject)[:10]
        ],
    )
    return render(request, "models/version.html", {"nav": "models", "page": shown, **more}, status=status)


def _known(
    actor: Actor, subject: RegisteredModel, moves: Sequence[Period], undecided: Sequence[GrandfatheredRow]
) -> present.Known:
    """Return what the registers know about a model; seven statements."""
    name = subject.name
    holding = [move.request_id for move in moves if move.valid_to is None and move.request_id is not None]
    unsettled = operations.break_glass(actor, model=name).filter(state__in=[BreakGlassState.REQUESTED, *operations.UNSETTLED])
    return present.known(
        risk.model_tier(actor, name),
        findings=risk.finding_rows(risk.findings(actor, model=name, status=FindingStatus.OPEN)[:200]),
        waivers=risk.waiver_rows(risk.waivers(actor, model=name, state="in_force").order_by("expires_at", "pk")[:20]),
        holding=[request_queries.request_row(row) for row in request_queries.requests(actor, model=name).filter(pk__in=holding)],
        moves=moves,
        re_reviews=operations.re_review_rows(operations.re_reviews(actor, model=name, state="open")[:20]),
        emergencies=[operations.emergency_row(row) for row in unsettled[:20]],
        grandfathered=undecided,
        now=timezone.now(),
    )


def guards_of(actor: Actor, subject: RegisteredModel) -> list[present.Guard]:
    """Return which policies guard which places of a model. The number of statements follows that of governed places."""
    if not actor.grants(Permission.POLICY_READ):
        return []
    places: dict[tuple[str, str], None] = {}
    for binding in governance_queries.bindings(actor):
        places |= {("stage", name): None for name in binding.stages} | {("alias", name): None for name in binding.aliases}
    return [
        present.Guard(kind, name, binding.policy.name)
        for kind, name in places
        for binding in bindings_for(subject, kind=kind, target=name)
    ]
