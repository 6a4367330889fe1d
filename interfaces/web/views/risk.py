"""The registers of waivers, findings and risk tiers."""

from __future__ import annotations

from typing import Any

from django import forms
from django.db.models import QuerySet
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_safe

from core import access
from core.access import Actor, Permission
from core.errors import Denied, Invalid, NotFound
from core.models import User
from governance import queries as governance_queries
from governance.models import MEASURED, FindingSource, FindingStatus, Severity, TierAssessment, Waiver
from governance.policy import compile_policy
from interfaces.web import register_forms, rights
from interfaces.web.acting import posted
from interfaces.web.errors import Problem
from interfaces.web.page import PageRequest, page
from interfaces.web.pages import documents
from interfaces.web.pages import risk as present
from registry.models import RegisteredModel
from workflows.commands import findings as finding_commands
from workflows.commands import tiers as tier_commands
from workflows.commands import waivers as waiver_commands
from workflows.queries import risk as queries
from workflows.queries.inbox import WAIVERS_AHEAD

PAGE = 50
_NAMES = 200  # models and accounts offered while one types


# Waivers.


@require_safe
@page
def waivers(request: PageRequest) -> HttpResponse:
    """Show the register of waivers: what waits, what is in force, what ends soon, what is over."""
    actor, now = request.actor, timezone.now()
    asked = {name: request.GET.get(name, "").strip() for name in ("model", "state", "before")}
    if asked["state"] not in queries.WAIVER_STATES:
        asked["state"] = ""
    sections = _one_state(actor, asked) if asked["state"] else _register(actor, asked["model"])
    context = {
        "asked": asked,
        "states": [(state, present.state_word(state)) for state in queries.WAIVER_STATES],
        "sections": [section for section in sections if section.lines],
        "may_ask": _models(actor, Permission.PROMOTION_REQUEST).exists(),
        "filtered": bool(asked["model"] or asked["state"]),
        "tabs": _tabs(actor, "waivers"),
        "now": now,
    }
    return _shown(request, "risk/waivers.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@page
def waiver_new(request: PageRequest) -> HttpResponse:
    """Ask for a waiver; the query may name model, version, policy and requirement."""
    actor = request.actor
    requirements = _waivable(actor)
    context = {"models": _names(actor, Permission.PROMOTION_REQUEST), "requirements": bool(requirements)}
    if request.method != "POST":
        asked = request.GET
        what = f"{asked.get('policy', '')}/{asked.get('requirement', '')}"
        initial = {"model": asked.get("model", ""), "version": asked.get("version", ""), "what": what}
        form = register_forms.NewWaiver(initial=initial, requirements=requirements)
        return _shown(request, "risk/waiver_new.html", {"form": form, **context})

    def ask(given: dict[str, Any]) -> Waiver:
        policy, requirement = given["what"]
        return waiver_commands.request_waiver(
            actor=actor,
            model_name=given["model"],
            version=given["version"],
            policy=policy,
            requirement=requirement,
            reason=given["reason"],
            compensating_control=given["compensating_control"],
            expires_at=register_forms.begin_of(given["ends"]),
        )

    def again(*, status: int, form: forms.Form, problem: Problem | None) -> HttpResponse:
        return _shown(request, "risk/waiver_new.html", {"form": form, "problem": problem, **context}, status)

    return posted(
        request,
        register_forms.NewWaiver(request.POST, requirements=requirements),
        ask,
        said="Asked for. It counts once somebody approves it.",
        to=lambda made: redirect("web:waiver", made.pk),
        again=again,
    )


@require_http_methods(["GET", "HEAD", "POST"])
@page
def waiver(request: PageRequest, waiver_id: int) -> HttpResponse:
    """Show one waiver; a POST approves, refuses or ends it."""
    if request.method != "POST":
        return _waiver(request, waiver_id)
    actor, act = request.actor, request.POST.get("act", "")
    verdicts = {"approve": "approved", "refuse": "refused"}

    def rule(given: dict[str, Any]) -> object:
        if act == "revoke":
            return waiver_commands.revoke_waiver(actor=actor, waiver_id=waiver_id, comment=given["comment"])
        return waiver_commands.rule_waiver(
            actor=actor, waiver_id=waiver_id, verdict=verdicts.get(act, act), comment=given["comment"]
        )

    return posted(
        request,
        register_forms.Comment(request.POST, auto_id="revoke_%s" if act == "revoke" else "rule_%s"),
        rule,
        said={"approve": "Approved.", "refuse": "Refused."}.get(act, "Ended. Its requirement holds again."),
        to=lambda _: redirect("web:waiver", waiver_id),
        again=lambda *, status, form, problem: _waiver(
            request, waiver_id, status, act=act, problem=problem, **{"revoke_form" if act == "revoke" else "rule_form": form}
        ),
    )


def _waiver(request: PageRequest, waiver_id: int, status: int = 200, **sent: Any) -> HttpResponse:
    actor, now = request.actor, timezone.now()
    found = queries.waivers(actor).select_related("requested_by__responsible").filter(pk=waiver_id).first()
    if found is None:
        raise NotFound(f"There is no waiver {waiver_id}, or you may not see it.")
    (row,) = queries.waiver_rows([found])
    group = rights.ruling_group(found)
    undecided = row.state == "undecided"
    why_not = rights.why_not_rule(actor, found, group) if undecided else ""
    may_end = row.state in ("undecided", "in_force") and (
        (group and group in actor.roles) or access.explain(actor, Permission.PROMOTION_REQUEST, found.model).allowed
    )
    context = {
        "line": present.waiver_line(row, now),
        "row": row,
        "rulings": present.rulings(row, actor.username),
        "group": group,
        "may_rule": undecided and not why_not,
        "why_not": why_not,
        "may_end": may_end,
        "rule_form": register_forms.Comment(auto_id="rule_%s"),
        "revoke_form": register_forms.Comment(auto_id="revoke_%s"),
        **sent,
    }
    return _shown(request, "risk/waiver.html", context, status)


def _register(actor: Actor, model: str) -> list[present.WaiverSection]:
    """Return every kind of waiver, some of each; two statements for each kind."""
    now = timezone.now()

    def rows(state: str) -> list[queries.WaiverRow]:
        found = queries.waivers(actor, model=model, state=state)
        if state in ("undecided", "in_force"):
            found = found.order_by("expires_at", "pk")
        return queries.waiver_rows(found[: PAGE + 1])

    in_force = rows("in_force")
    soon = [row for row in in_force if row.expires_at < now + WAIVERS_AHEAD]
    later = [row for row in in_force if row.expires_at >= now + WAIVERS_AHEAD]
    sections = [
        ("undecided", "Wait for a ruling", "They count once somebody approves them", rows("undecided")),
        ("in_force", "End within two weeks", "Their requirements hold again then", soon),
        ("in_force", "In force", "The next to end first", later),
        ("expired", "Expired", "The latest asked for first", rows("expired")),
        ("revoked", "Ended before their time", "", rows("revoked")),
        ("refused", "Refused", "", rows("refused")),
    ]
    return [present.waiver_section(state, title, note, found, now, most=PAGE) for state, title, note, found in sections]


def _one_state(actor: Actor, asked: dict[str, str]) -> list[present.WaiverSection]:
    found = queries.waivers(actor, model=asked["model"], state=asked["state"]).order_by("-pk")
    if asked["before"].isdigit():
        found = found.filter(pk__lt=int(asked["before"]))
    rows = queries.waiver_rows(found[: PAGE + 1])
    word = present.state_word(asked["state"])
    return [present.waiver_section(asked["state"], word, "The latest asked for first", rows, timezone.now(), most=PAGE)]


def _waivable(actor: Actor) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return what policies let be waived, by policy, with how long and who rules."""
    groups = []
    for policy in governance_queries.policies(actor):
        compiled = compile_policy(policy.revisions[0].document) if policy.revisions else None
        if compiled is None or compiled.waivers is None:
            continue
        items = [(f"{policy.name}/{each.id}", each.title) for each in compiled.requirements if each.waivable]
        rule = compiled.waivers
        if items:
            groups.append((f"{policy.name}: at most {rule.max_days} days, ruled on by {rule.approved_by}", items))
    return groups


# Findings.


@require_safe
@page
def findings(request: PageRequest) -> HttpResponse:
    """Show the register of findings, the open ones unless asked otherwise."""
    actor = request.actor
    asked = {name: request.GET.get(name, "").strip() for name in ("model", "severity", "source", "owner", "overdue", "before")}
    status = request.GET.get("status", FindingStatus.OPEN)
    rows = queries.findings(
        actor,
        model=asked["model"],
        severity=asked["severity"] if asked["severity"] in Severity.values else "",
        status=status if status in FindingStatus.values else "",
        source=asked["source"] if asked["source"] in FindingSource.values else "",
        owner=asked["owner"],
        overdue=True if asked["overdue"] else None,
    ).order_by("-pk")
    if asked["before"].isdigit():
        rows = rows.filter(pk__lt=int(asked["before"]))
    found = queries.finding_rows(rows[: PAGE + 1])
    query = request.GET.copy()
    query.pop("before", None)
    context = {
        "asked": {**asked, "status": status},
        "lines": [present.finding_line(row) for row in found[:PAGE]],
        "older": found[PAGE - 1].id if len(found) > PAGE else None,
        "query": query.urlencode(),
        "severities": Severity.choices,
        "sources": present.SOURCES.items(),
        "filtered": any(asked.values()) or status != FindingStatus.OPEN,
        "may_raise": _may_raise(actor),
        "tabs": _tabs(actor, "findings"),
    }
    return _shown(request, "risk/findings.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@page
def finding_new(request: PageRequest) -> HttpResponse:
    """Put a problem with a model on record; the query may name model and version."""
    actor = request.actor
    if not _may_raise(actor):
        raise Denied("Findings are raised by who reviews, who audits and who may write the model; ask one of them.")
    context = {"models": _names(actor, Permission.MODEL_READ), "accounts": _accounts()}
    if request.method != "POST":
        initial = {name: request.GET.get(name, "") for name in ("model", "version", "title", "severity")}
        return _shown(request, "risk/finding_new.html", {"form": register_forms.NewFinding(initial=initial), **context})

    def again(*, status: int, form: forms.Form, problem: Problem | None) -> HttpResponse:
        return _shown(request, "risk/finding_new.html", {"form": form, "problem": problem, **context}, status)

    return posted(
        request,
        register_forms.NewFinding(request.POST),
        lambda given: finding_commands.raise_finding(actor=actor, model_name=given.pop("model"), **given),
        said="It is on record.",
        to=lambda made: redirect("web:finding", made.pk),
        again=again,
    )


@require_http_methods(["GET", "HEAD", "POST"])
@page
def finding(request: PageRequest, finding_id: int) -> HttpResponse:
    """Show one finding with its life; a POST changes, closes or reopens it."""
    if request.method != "POST":
        return _finding(request, finding_id)
    actor, act = request.actor, request.POST.get("act", "")

    def again(*, status: int, form: forms.Form, problem: Problem | None) -> HttpResponse:
        return _finding(request, finding_id, status, act=act, problem=problem, **{f"{act}_form": form})

    def change(given: dict[str, Any]) -> object:
        given["due_on"] = given["due_on"] or ""  # empty takes it away
        return finding_commands.update_finding(actor=actor, finding_id=finding_id, **given)

    def close(given: dict[str, Any]) -> object:
        run = given["check_run"] or None
        return finding_commands.close_finding(actor=actor, finding_id=finding_id, comment=given["comment"], check_run=run)

    def reopen(given: dict[str, Any]) -> object:
        return finding_commands.reopen_finding(actor=actor, finding_id=finding_id, **given)

    if act == "change":
        form: forms.Form = register_forms.FindingChange(request.POST, auto_id="change_%s")
        command, said = change, "Changed."
    elif act == "close":
        model = queries.finding(actor, finding_id).model
        form, command, said = (
            register_forms.FindingEvidence(request.POST, runs=_runs(actor, model), auto_id="close_%s"),
            close,
            "Closed.",
        )
    elif act == "reopen":
        form, command, said = register_forms.Comment(request.POST, auto_id="reopen_%s"), reopen, "It is open again."
    else:
        raise Invalid("Choose what to do with the finding: change, close or reopen it.")
    return posted(request, form, command, said=said, to=lambda _: redirect("web:finding", finding_id), again=again)


def _finding(request: PageRequest, finding_id: int, status: int = 200, **sent: Any) -> HttpResponse:
    actor = request.actor
    detail = queries.finding(actor, finding_id)
    found = queries.findings(actor).get(pk=finding_id)
    voice = rights.has_voice(actor, found.model)
    is_open = detail.status == FindingStatus.OPEN
    why_not = rights.why_not_close(actor, found) if is_open else ""
    initial = {"severity": detail.severity, "owner": detail.owner, "due_on": detail.due_on}
    may_change = is_open and (voice or found.owner_id == actor.user_id)
    context: dict[str, Any] = {
        "line": present.finding_line(detail),
        "row": detail,
        "steps": present.steps(detail, actor.username),
        "may_change": may_change,
        "accounts": _accounts() if may_change else (),
        "why_not": why_not,
        "may_close": is_open and not why_not,
        "may_reopen": not is_open and voice,
        "change_form": register_forms.FindingChange(initial=initial, auto_id="change_%s"),
        "close_form": register_forms.FindingEvidence(runs=_runs(actor, detail.model), auto_id="close_%s"),
        "reopen_form": register_forms.Comment(auto_id="reopen_%s"),
        **sent,
    }
    return _shown(request, "risk/finding.html", context, status)


def _runs(actor: Actor, model: str) -> list[tuple[str, str]]:
    """Return the latest check runs of a model that have a result, to choose from."""
    rows = governance_queries.check_runs(actor).filter(version__model__name=model, state__in=MEASURED)[:30]
    return [(str(run.pk), f"{run.check_name} on v{run.version.number}, {run.created_at:%Y-%m-%d %H:%M}") for run in rows]


# Tiers.


@require_http_methods(["GET", "HEAD", "POST"])
@page
def tier(request: PageRequest, name: str) -> HttpResponse:
    """Show a model's risk tier with the answers behind it; a POST answers anew, or rules on a tier that was proposed."""
    if request.method != "POST":
        return _tier(request, name)
    actor, act = request.actor, request.POST.get("act", "")
    if act in ("confirm", "refuse"):
        given = request.POST.get("assessment", "")
        if not given.isdigit():
            raise Invalid("Say which assessment is ruled on.")
        verdict = tier_commands.CONFIRMED if act == "confirm" else tier_commands.REFUSED
        return posted(
            request,
            register_forms.Comment(request.POST, auto_id="rule_%s"),
            lambda sent: tier_commands.rule_tier_override(
                actor=actor, assessment_id=int(given), verdict=verdict, comment=sent["comment"]
            ),
            said="Confirmed. The tier is in force." if act == "confirm" else "Refused. The tier stays as the answers give it.",
            to=lambda _: redirect("web:tier", name),
            again=lambda *, status, form, problem: _tier(request, name, status, rule_form=form, problem=problem, act="rule"),
        )
    row = queries.questionnaire(actor, request.POST.get("questionnaire", ""))
    form = register_forms.Answers(request.POST, questions=row.questions)
    return posted(
        request,
        form,
        lambda sent: tier_commands.assess_tier(
            actor=actor,
            model_name=name,
            questionnaire=row.name,
            answers=form.answers(),
            override_tier=sent["override_tier"],
            override_reason=sent["override_reason"],
        ),
        said=lambda made: f"Assessed: {made.score} points, tier {made.scored_tier}.",
        to=lambda _: redirect("web:tier", name),
        again=lambda *, status, form, problem: _tier(
            request, name, status, answers=form, chosen=row, problem=problem, act="assess"
        ),
    )


def _tier(
    request: PageRequest,
    name: str,
    status: int = 200,
    *,
    answers: forms.Form | None = None,
    chosen: queries.QuestionnaireRow | None = None,
    **sent: Any,
) -> HttpResponse:
    actor = request.actor
    found = queries.model_tier(actor, name)
    model = RegisteredModel.objects.get(name=name, deleted_at__isnull=True)
    may_assess = access.explain(actor, Permission.MODEL_MANAGE, model).allowed
    published = []
    if may_assess and actor.grants(Permission.POLICY_READ):
        published = [row for row in queries.questionnaires(actor) if row.number]
    if published and chosen is None:
        chosen = next((row for row in published if row.name == request.GET.get("questionnaire")), published[0])
    if chosen is not None and answers is None:
        answers = register_forms.Answers(questions=chosen.questions)
    newest = TierAssessment.objects.select_related("model", "assessed_by").filter(model=model).order_by("-pk").first()
    proposed = newest is not None and bool(newest.override_tier) and not newest.ruling
    why_not = rights.why_not_rule_tier(actor, newest) if newest is not None and proposed else ""
    context = {
        "model": found,
        "assessments": present.assessments(found.history),
        "may_assess": may_assess,
        "published": published,
        "chosen": chosen,
        "answers": answers,
        "questions": present.asked(answers, chosen.questions) if answers is not None and chosen is not None else (),
        "proposed": newest if proposed else None,
        "why_not": why_not,
        "rule_form": register_forms.Comment(auto_id="rule_%s"),
        "may_publish": actor.grants(Permission.POLICY_PUBLISH),
        **sent,
    }
    return _shown(request, "risk/tier.html", context, status)


@require_http_methods(["GET", "HEAD", "POST"])
@page
def questionnaires(request: PageRequest) -> HttpResponse:
    """Show the questionnaires; a POST publishes one that comes with the product, or the next revision of one."""
    actor = request.actor
    if request.method != "POST":
        return _questionnaires(request)
    given = request.POST.copy()
    if bundled := given.get("bundled", ""):
        given["document"] = queries.questionnaire(actor, bundled).document
    return posted(
        request,
        register_forms.Document(given),
        lambda sent: tier_commands.publish_questionnaire(actor=actor, document=sent["document"]),
        said=lambda made: f"{made.name} is published as v{made.number}.",
        to=lambda _: redirect("web:questionnaires"),
        again=lambda *, status, form, problem: _questionnaires(request, status, form=form, problem=problem),
    )


def _questionnaires(
    request: PageRequest, status: int = 200, form: forms.Form | None = None, problem: Problem | None = None
) -> HttpResponse:
    actor = request.actor
    rows = queries.questionnaires(actor)
    opened = next((row for row in rows if row.name == request.GET.get("open")), None)
    if form is None:
        form = register_forms.Document(initial={"document": opened.document if opened else ""})
    context = {
        "lines": [present.questionnaire_line(row) for row in rows],
        "opened": opened,
        "form": form,
        "problem": problem,
        "source": documents.source(form, problem),
        "may_publish": actor.grants(Permission.POLICY_PUBLISH),
        "tabs": _tabs(actor, "questionnaires"),
    }
    return _shown(request, "risk/questionnaires.html", context, status)


# What these views share.


def _shown(request: PageRequest, template: str, context: dict[str, Any], status: int = 200) -> HttpResponse:
    return render(request, template, {"nav": "risk", **context}, status=status)


def _tabs(actor: Actor, current: str) -> tuple[present.Tab, ...]:
    return present.tabs(current, reads_policies=actor.grants(Permission.POLICY_READ))


def _models(actor: Actor, permission: Permission) -> QuerySet[RegisteredModel]:
    return access.visible(actor, RegisteredModel.objects.filter(deleted_at__isnull=True), permission)


def _names(actor: Actor, permission: Permission) -> list[str]:
    return list(_models(actor, permission).order_by("name").values_list("name", flat=True)[:_NAMES])


def _may_raise(actor: Actor) -> bool:
    looks_on = actor.grants(Permission.PROMOTION_REVIEW) or actor.grants(Permission.AUDIT_READ)
    return looks_on or _models(actor, Permission.MODEL_WRITE).exists()


def _accounts() -> list[str]:
    people = User.objects.filter(is_active=True, is_service=False).order_by("username")
    return list(people.values_list("username", flat=True)[:_NAMES])
