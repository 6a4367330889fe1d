"""Registers of waivers and findings, risk tiers with the answers behind them, and who is too near to rule on any of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

from django.db.models import Exists, OuterRef, Prefetch, Q, QuerySet
from django.utils import timezone

from core import access
from core.access import Actor, Permission
from core.errors import NotFound
from governance import risk
from governance.models import (
    FindingChange,
    FindingRecord,
    FindingStatus,
    QuestionnaireRevision,
    TierAssessment,
    Waiver,
    WaiverRuling,
    WaiverVerdict,
)
from governance.questionnaire import Question, bundled, compile_questionnaire
from registry.models import ModelVersion, RegisteredModel
from workflows.assessment import holder
from workflows.gatekeeping import governed_places
from workflows.makers import makers_of
from workflows.models import OPEN_STATES, PromotionRequest
from workflows.rules.separation_of_duties import Maker

WAIVER_STATES = ("undecided", "in_force", "refused", "revoked", "expired")


@dataclass(frozen=True)
class WaiverRulingRow:
    """What was decided about a waiver; ``by`` is empty where it was the clock."""

    verdict: str
    by: str
    comment: str
    at: datetime


@dataclass(frozen=True)
class WaiverRow:
    """A waiver with all that was decided about it. version: null where it is for every version of the model.

    state: undecided, in_force, refused, revoked or expired.
    """

    id: int
    model: str
    version: int | None
    policy: str
    requirement: str
    state: str
    reason: str
    compensating_control: str
    requested_by: str
    requested_at: datetime
    expires_at: datetime
    rulings: list[WaiverRulingRow]


@dataclass(frozen=True)
class FindingSummary:
    """A problem with a model. raised_by: empty where the system noticed it. version: the one it was last seen on."""

    id: int
    model: str
    version: int
    source: str
    key: str
    title: str
    description: str
    severity: str
    status: str
    owner: str
    due_on: date | None
    overdue: bool
    raised_by: str
    raised_at: datetime
    closed_at: datetime | None


@dataclass(frozen=True)
class FindingStep:
    """One step in the life of a finding; ``by`` is empty where it was the system. check_run: the evidence given, if any."""

    action: str
    by: str
    at: datetime
    comment: str
    check_run: UUID | None
    before: dict[str, Any]
    after: dict[str, Any]


@dataclass(frozen=True)
class FindingDetail(FindingSummary):
    """A finding with everything that happened to it, oldest first."""

    steps: list[FindingStep]


@dataclass(frozen=True)
class QuestionnaireRow:
    """A questionnaire as it is asked now. number: 0 for one that comes with the product and is not published yet.

    thresholds: the points from which low, medium and high begin.
    """

    name: str
    number: int
    title: str
    description: str
    source: str
    questions: list[Question]
    thresholds: list[int]
    digest: str
    document: str
    published_by: str
    published_at: datetime | None


@dataclass(frozen=True)
class AnswerRow:
    """A question as it was asked, and what was answered."""

    question: str
    text: str
    value: str
    label: str
    points: int


@dataclass(frozen=True)
class TierAssessmentRow:
    """Answers with the score and tier they gave. override_tier: what somebody proposed instead, empty if nobody did.

    ruling: on the proposal; empty, confirmed or refused. tier: what the assessment gives by all this.
    """

    id: int
    model: str
    questionnaire: str
    questionnaire_number: int
    answers: list[AnswerRow]
    score: int
    scored_tier: str
    reasons: list[str]
    tier: str
    override_tier: str
    override_reason: str
    ruling: str
    ruled_by: str
    ruled_at: datetime | None
    ruling_comment: str
    assessed_by: str
    assessed_at: datetime


@dataclass(frozen=True)
class ModelTier:
    """A model's risk tier in force, and the assessments that were made, newest first."""

    model: str
    tier: str
    history: list[TierAssessmentRow]


def waivers(
    actor: Actor, *, model: str = "", version: int | None = None, policy: str = "", requirement: str = "", state: str = ""
) -> QuerySet[Waiver]:
    """Return the waivers the actor may see, newest first. version: those that count for it, also if they are for the whole model."""
    rows = Waiver.objects.select_related("model", "version", "requested_by").order_by("-requested_at", "-pk")
    rows = rows.prefetch_related(Prefetch("rulings", WaiverRuling.objects.select_related("ruled_by").order_by("pk")))
    if model:
        rows = rows.filter(model__name=model)
    if version is not None:
        rows = rows.filter(Q(version__isnull=True) | Q(version__number=version))
    if policy:
        rows = rows.filter(policy=policy)
    if requirement:
        rows = rows.filter(requirement=requirement)
    if state:
        rows = _in_state(rows, state)
    return access.visible(actor, rows, Permission.MODEL_READ, "model")


def waiver_rows(rows: Iterable[Waiver]) -> list[WaiverRow]:
    """Return waivers as they are shown."""
    now = timezone.now()
    return [_waiver(row, now) for row in rows]


def waiver(actor: Actor, waiver_id: int) -> WaiverRow:
    """Return one waiver. Raises NotFound."""
    found = waivers(actor).filter(pk=waiver_id).first()
    if found is None:
        raise NotFound(f"There is no waiver {waiver_id}, or you may not see it.")
    return _waiver(found, timezone.now())


def findings(
    actor: Actor,
    *,
    model: str = "",
    severity: str = "",
    status: str = "",
    source: str = "",
    owner: str = "",
    overdue: bool | None = None,
) -> QuerySet[FindingRecord]:
    """Return the findings the actor may see, newest first. owner: an account's name."""
    rows = FindingRecord.objects.select_related("model", "version", "owner", "raised_by").order_by("-raised_at", "-pk")
    wanted = {"model__name": model, "severity": severity, "status": status, "source": source, "owner__username": owner}
    rows = rows.filter(**{column: value for column, value in wanted.items() if value})
    if overdue is not None:
        late = Q(status=FindingStatus.OPEN, due_on__lt=_today())
        rows = rows.filter(late if overdue else ~late | Q(due_on__isnull=True))
    return access.visible(actor, rows, Permission.MODEL_READ, "model")


def finding_rows(rows: Iterable[FindingRecord]) -> list[FindingSummary]:
    """Return findings as a list shows them."""
    return [FindingSummary(**_finding(row)) for row in rows]


def finding(actor: Actor, finding_id: int) -> FindingDetail:
    """Return one finding with what happened to it. Raises NotFound."""
    found = findings(actor).filter(pk=finding_id).first()
    if found is None:
        raise NotFound(f"There is no finding {finding_id}, or you may not see it.")
    changes = FindingChange.objects.filter(finding=found).select_related("by").order_by("pk")
    steps = [FindingStep(c.action, _name(c.by), c.at, c.comment, c.evidence_run_id, c.before, c.after) for c in changes]
    return FindingDetail(**_finding(found), steps=steps)


def questionnaires(actor: Actor) -> list[QuestionnaireRow]:
    """Return the newest revision of every questionnaire, and those that come with the product and are not published, by name."""
    access.require(actor, Permission.POLICY_READ)
    newest = {row.name: row for row in QuestionnaireRevision.objects.select_related("published_by").order_by("number")}
    rows = [_questionnaire(row.document, row) for row in newest.values()]
    rows += [_questionnaire(document, None) for name, document in bundled().items() if name not in newest]
    return sorted(rows, key=lambda row: row.name)


def questionnaire(actor: Actor, name: str) -> QuestionnaireRow:
    """Return one questionnaire as it is asked now. Raises NotFound."""
    for row in questionnaires(actor):
        if row.name == name:
            return row
    raise NotFound(f"There is no questionnaire {name!r}.")


def model_tier(actor: Actor, model_name: str) -> ModelTier:
    """Return a model's tier with its assessments. Raises NotFound."""
    rows = RegisteredModel.objects.filter(name=model_name, deleted_at__isnull=True)
    model = access.visible(actor, rows, Permission.MODEL_READ).first()
    if model is None:
        raise NotFound(f"There is no registered model {model_name!r}, or you may not see it.")
    made = _assessments().filter(model=model).order_by("-assessed_at", "-pk")
    return ModelTier(model.name, model.risk_tier, [_assessment(row) for row in made])


def tier_assessment(actor: Actor, assessment_id: int) -> TierAssessmentRow:
    """Return one assessment. Raises NotFound."""
    found = access.visible(actor, _assessments(), Permission.MODEL_READ, "model").filter(pk=assessment_id).first()
    if found is None:
        raise NotFound(f"There is no tier assessment {assessment_id}, or you may not see it.")
    return _assessment(found)


def makers_at_stake(model: RegisteredModel, version: ModelVersion | None = None) -> tuple[Maker, ...]:
    """Return who had a part in what an exception would help, with the part each had.

    That is the version, or for a whole model the versions that are asked for, that hold a governed place, and the newest; with
    each, who asked for its promotion.
    """
    makers: list[Maker] = []
    for subject in [version] if version is not None else _versions_at_stake(model):
        makers += makers_of(subject, requested_by=None)
    asked = PromotionRequest.objects.filter(model=model).select_related("requested_by__responsible").order_by("pk")
    asked = asked.filter(version=version) if version is not None else asked.filter(state__in=OPEN_STATES)
    for request in asked:
        by = request.requested_by
        makers.append(Maker(by.username, "asked for its promotion", by.responsible.username if by.responsible else ""))
    return tuple(dict.fromkeys(makers))


def _versions_at_stake(model: RegisteredModel) -> list[ModelVersion]:
    rows = ModelVersion.objects.select_related("model", "created_by__responsible").filter(model=model, deleted_at__isnull=True)
    asked = PromotionRequest.objects.filter(model=model, state__in=OPEN_STATES)
    found = {row.pk: row for row in rows.filter(pk__in=asked.values("version"))}
    for row in rows.order_by("-number")[:1]:
        found[row.pk] = row
    for kind, target, _ in governed_places(model):
        held = holder(model, target_kind=kind, target=target)
        if held is not None:
            found[held.pk] = held
    return [found[pk] for pk in sorted(found)]


def _in_state(rows: QuerySet[Waiver], state: str) -> QuerySet[Waiver]:
    now = timezone.now()
    ruled = WaiverRuling.objects.filter(waiver=OuterRef("pk"))
    if state == "in_force":
        return rows.filter(pk__in=risk.in_force(now).values("pk"))
    if state in ("refused", "revoked"):
        return rows.filter(Exists(ruled.filter(verdict=state)))
    ended = Exists(ruled.filter(verdict__in=[WaiverVerdict.REFUSED, WaiverVerdict.REVOKED]))
    if state == "undecided":
        return rows.filter(~Exists(ruled), expires_at__gt=now)
    return rows.filter(~ended, expires_at__lte=now)


def _state(verdicts: set[str], expires_at: datetime, now: datetime) -> str:
    for verdict in (WaiverVerdict.REVOKED, WaiverVerdict.REFUSED):
        if verdict in verdicts:
            return verdict.value
    if expires_at <= now:
        return "expired"
    return "in_force" if WaiverVerdict.APPROVED in verdicts else "undecided"


def _waiver(row: Waiver, now: datetime) -> WaiverRow:
    rulings = list(row.rulings.all())
    return WaiverRow(
        id=row.pk,
        model=row.model.name,
        version=row.version.number if row.version else None,
        policy=row.policy,
        requirement=row.requirement,
        state=_state({ruling.verdict for ruling in rulings}, row.expires_at, now),
        reason=row.reason,
        compensating_control=row.compensating_control,
        requested_by=row.requested_by.username,
        requested_at=row.requested_at,
        expires_at=row.expires_at,
        rulings=[WaiverRulingRow(r.verdict, _name(r.ruled_by), r.comment, r.ruled_at) for r in rulings],
    )


def _finding(row: FindingRecord) -> dict[str, Any]:
    return {
        "id": row.pk,
        "model": row.model.name,
        "version": row.version.number,
        "source": row.source,
        "key": row.key,
        "title": row.title,
        "description": row.description,
        "severity": row.severity,
        "status": row.status,
        "owner": _name(row.owner),
        "due_on": row.due_on,
        "overdue": row.status == FindingStatus.OPEN and row.due_on is not None and row.due_on < _today(),
        "raised_by": _name(row.raised_by),
        "raised_at": row.raised_at,
        "closed_at": row.closed_at,
    }


def _questionnaire(document: str, revision: QuestionnaireRevision | None) -> QuestionnaireRow:
    compiled = compile_questionnaire(document)
    return QuestionnaireRow(
        name=compiled.name,
        number=revision.number if revision else 0,
        title=compiled.title,
        description=compiled.description,
        source=compiled.source,
        questions=list(compiled.questions),
        thresholds=list(compiled.thresholds),
        digest=compiled.digest,
        document=document,
        published_by=_name(revision.published_by) if revision else "",
        published_at=revision.published_at if revision else None,
    )


def _assessments() -> QuerySet[TierAssessment]:
    return TierAssessment.objects.select_related("model", "questionnaire", "assessed_by", "ruled_by")


def _assessment(row: TierAssessment) -> TierAssessmentRow:
    return TierAssessmentRow(
        id=row.pk,
        model=row.model.name,
        questionnaire=row.questionnaire.name,
        questionnaire_number=row.questionnaire.number,
        answers=_answers(row),
        score=row.score,
        scored_tier=row.scored_tier,
        reasons=row.reasons,
        tier=row.tier,
        override_tier=row.override_tier,
        override_reason=row.override_reason,
        ruling=row.ruling,
        ruled_by=_name(row.ruled_by),
        ruled_at=row.ruled_at,
        ruling_comment=row.ruling_comment,
        assessed_by=_name(row.assessed_by),
        assessed_at=row.assessed_at,
    )


def _answers(row: TierAssessment) -> list[AnswerRow]:
    found = []
    for question in compile_questionnaire(row.questionnaire.document).questions:
        choice = next(choice for choice in question.choices if choice.value == row.answers[question.id])
        found.append(AnswerRow(question.id, question.text, choice.value, choice.label, choice.points))
    return found


def _today() -> date:
    return timezone.now().astimezone(UTC).date()


def _name(user: Any) -> str:
    return user.username if user is not None else ""
