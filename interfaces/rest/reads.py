"""Reads that only the API offers, limited to what the actor may see; each in a number of statements that rows do not change."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from django.db.models import QuerySet

from core import access
from core.access import Actor, Permission
from core.errors import NotFound
from core.models import ApiToken, LedgerCheckpoint
from governance import ledger
from governance.models import CheckRun, Decision, Measurement, ModelCard
from governance.queries import check_runs
from interfaces.rest.shapes import (
    CardRow,
    CheckRunSummary,
    DecisionDetail,
    Head,
    MeasuredRow,
    RequestCheckRow,
    RequestDetail,
    StageRow,
    TokenRow,
)
from registry.models import ModelVersion, Stage, StageTransition
from workflows.models import RequestCheck
from workflows.queries import requests as request_queries
from workflows.queries.requests import RequestPage


def request_detail(page: RequestPage) -> RequestDetail:
    """Return a request's page as the API writes it."""
    row = {name: getattr(page.request, name) for name in page.request.__dataclass_fields__}
    return RequestDetail(
        **row,
        evidence_digest=page.evidence_digest,
        verdict=page.verdict,
        candidate_facts=page.candidate,
        champion_facts=page.champion,
        policies=page.policies,
        reviews=page.reviews,
        people=page.people,
        me=page.me,
        may_withdraw=page.may_withdraw,
        may_execute=page.may_execute,
        may_resubmit=page.may_resubmit,
        decisions=page.decisions,
        timeline=page.timeline,
    )


def request_checks(actor: Actor, request_id: int) -> list[RequestCheckRow]:
    """Return the check runs a request relies on, without what they found. Raises NotFound."""
    found = request_queries.requests(actor).filter(pk=request_id).values_list("pk", flat=True).first()
    if found is None:
        raise NotFound(f"There is no promotion request {request_id}, or you may not see it.")
    links = RequestCheck.objects.filter(request_id=found).order_by("pk")
    links = links.select_related("run__version__model", "run__dataset_version__dataset").defer("run__log", "run__environment")
    return [RequestCheckRow(**_check_run(link.run), role=link.role) for link in links]


def check_run_rows(actor: Actor) -> QuerySet[CheckRun]:
    """Return the check runs the actor may see, without their logs."""
    return check_runs(actor).defer("log", "environment")


def check_run_summaries(runs: Iterable[CheckRun]) -> list[CheckRunSummary]:
    """Return check runs for a list."""
    return [CheckRunSummary(**_check_run(run)) for run in runs]


def check_run_log(actor: Actor, run_id: Any) -> str:
    """Return what a check run wrote. Raises NotFound."""
    found = check_runs(actor).filter(pk=run_id).values_list("log", flat=True).first()
    if found is None:
        raise NotFound(f"There is no check run {run_id}, or you may not see it.")
    return str(found)


def _check_run(run: CheckRun) -> dict[str, Any]:
    return {
        "id": run.pk,
        "model": run.version.model.name,
        "version": run.version.number,
        "check": run.check_name,
        "check_revision": run.check_revision,
        "parameters": run.parameters,
        "dataset": str(run.dataset_version) if run.dataset_version else "",
        "state": run.state,
        "progress": run.progress,
        "progress_text": run.progress_text,
        "error_code": run.error_code,
        "error_message": run.error_message,
        "isolation": run.isolation,
        "inputs_digest": run.inputs_digest,
        "result_digest": run.result_digest,
        "requested_by": run.requested_by,
        "source": run.source,
        "created_at": run.created_at,
        "started_at": run.started_at,
        "finished_at": run.finished_at,
    }


def measurements(actor: Actor, *, model: str = "", version: int | None = None, metric: str = "") -> QuerySet[Measurement]:
    """Return the measurements the actor may see, newest first."""
    rows = Measurement.objects.select_related("run__version__model").defer("run__log", "run__environment").order_by("-pk")
    if model:
        rows = rows.filter(run__version__model__name=model)
    if version is not None:
        rows = rows.filter(run__version__number=version)
    if metric:
        rows = rows.filter(metric=metric)
    return access.visible(actor, rows, Permission.MODEL_READ, "run__version__model")


def measured(rows: Iterable[Measurement]) -> list[MeasuredRow]:
    """Return measurements for a list."""
    return [
        MeasuredRow(
            model=m.run.version.model.name,
            version=m.run.version.number,
            check=m.run.check_name,
            run=m.run_id,
            metric=m.metric,
            slice=m.slice,
            value=m.value,
            n=m.n,
            ci_low=m.ci_low,
            ci_high=m.ci_high,
            method=m.method,
            measured_at=m.run.finished_at,
        )
        for m in rows
    ]


def stages() -> list[StageRow]:
    """Return the stage graph; it holds no secrets, so anyone signed in may see it."""
    following: dict[str, list[str]] = defaultdict(list)
    for source, target in StageTransition.objects.order_by("to_stage__position").values_list("from_stage_id", "to_stage_id"):
        following[source].append(target)
    return [StageRow(s.name, s.position, s.is_initial, following[s.name]) for s in Stage.objects.order_by("position")]


def card(version: ModelVersion) -> CardRow:
    """Return the newest revision of a version's card. Raises NotFound if none was written."""
    found = ModelCard.objects.select_related("written_by").filter(version=version).order_by("-revision").first()
    if found is None:
        raise NotFound(f"{version} has no model card yet; write one with PUT.", code="no_card")
    return card_row(found)


def card_row(found: ModelCard) -> CardRow:
    """Return a card's revision as the API writes it."""
    writer = found.written_by.username if found.written_by else ""
    return CardRow(found.revision, found.sections, found.digest, writer, found.written_at)


def decision(actor: Actor, decision_id: Any) -> DecisionDetail:
    """Return a decision with its facts and verdict. Raises NotFound."""
    found = _decision(actor, decision_id)
    return DecisionDetail(
        id=found.pk,
        model=found.version.model.name,
        version=found.version.number,
        request=found.request_id,
        purpose=found.purpose,
        outcome=found.outcome,
        gate_revision=found.gate_revision,
        policies=found.policies,
        facts=json.loads(found.facts),
        facts_digest=found.facts_digest,
        verdict=json.loads(found.verdict),
        verdict_digest=found.verdict_digest,
        decided_at=found.decided_at,
    )


def _decision(actor: Actor, decision_id: Any) -> Decision:
    rows = Decision.objects.select_related("version__model")
    found = access.visible(actor, rows, Permission.MODEL_READ, "version__model").filter(pk=decision_id).first()
    if found is None:
        raise NotFound(f"There is no decision {decision_id}, or you may not see it.")
    return found


def ledger_head() -> Head:
    """Return the newest checkpoint and how many events wait for their place; anyone signed in may see it."""
    head = LedgerCheckpoint.objects.order_by("-size").first()
    waiting = ledger.pending()
    return Head(head.size, head.root_hash, head.created_at, waiting) if head else Head(0, "", None, waiting)


def tokens(actor: Actor) -> list[TokenRow]:
    """Return the actor's own tokens, newest first."""
    return [token_row(t) for t in ApiToken.objects.filter(user__username=actor.username).order_by("-created_at", "-pk")]


def token_row(token: ApiToken) -> TokenRow:
    """Return a token as the API writes it."""
    return TokenRow(token.prefix, token.name, token.created_at, token.expires_at, token.revoked_at)
