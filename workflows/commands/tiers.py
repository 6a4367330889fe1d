"""Risk tiers: questionnaires, the answers that give a model its tier, and what a change of tier asks of what is in place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone

from core import access, audit
from core.access import Actor, Permission
from core.audit import Event
from core.documents import DocumentError
from core.errors import Conflict, Denied, Invalid, NotFound
from core.models import User
from governance.bindings import any_bound_by_trait, bindings_by_trait
from governance.models import (
    Binding,
    DecisionPurpose,
    FindingSource,
    QuestionnaireRevision,
    Severity,
    TierAssessment,
)
from governance.questionnaire import TIERS, AnswerError, compile_questionnaire
from registry import rows
from registry.models import AliasAssignment, ModelVersion, RegisteredModel, StageAssignment
from workflows.assessment import Assessment, foresee, store_decision
from workflows.commands.findings import note_finding
from workflows.commands.re_reviews import open_re_reviews
from workflows.gatekeeping import governed_places
from workflows.lifecycle import wake_model
from workflows.models import PromotionRequest, ReReviewCause
from workflows.queries.risk import makers_at_stake
from workflows.rules.separation_of_duties import parts_of

CONFIRMED, REFUSED = "confirmed", "refused"


@transaction.atomic
def publish_questionnaire(*, actor: Actor, document: str) -> QuestionnaireRevision:
    """Publish a questionnaire's text as its next revision; the same text again gives the revision it has already.

    Raises Invalid with every mistake's line, column and remedy; Denied without the right to publish.
    """
    access.require(actor, Permission.POLICY_PUBLISH)
    try:
        compiled = compile_questionnaire(document)
    except DocumentError as error:
        mistakes = [{"line": m.line, "column": m.column, "message": m.message} for m in error.mistakes]
        count = len(mistakes)
        raise Invalid(
            f"The questionnaire has {count} mistake{'s' * (count != 1)}: {error}",
            code="malformed_questionnaire",
            mistakes=mistakes,
        ) from None
    latest = QuestionnaireRevision.objects.filter(name=compiled.name).order_by("-number").first()
    if latest is not None and latest.digest == compiled.digest:
        return latest
    try:
        with transaction.atomic():
            revision = QuestionnaireRevision.objects.create(
                name=compiled.name,
                number=latest.number + 1 if latest else 1,
                digest=compiled.digest,
                document=document,
                published_by_id=actor.user_id,
            )
    except IntegrityError:
        raise Conflict("Someone else published this questionnaire just now; read it and publish again.") from None
    audit.record(
        actor,
        Event.QUESTIONNAIRE_PUBLISHED,
        subject=("questionnaire", compiled.name),
        before={"revision": latest.number, "digest": latest.digest} if latest else None,
        after={"revision": revision.number, "digest": revision.digest},
    )
    return revision


@transaction.atomic
def assess_tier(
    *,
    actor: Actor,
    model_name: str,
    questionnaire: str,
    answers: Mapping[str, str],
    override_tier: str = "",
    override_reason: str = "",
) -> TierAssessment:
    """Answer a questionnaire about a model; the tier that the answers give is in force at once.

    override_tier: another tier that should hold, with the reason; it does once a second person confirms it.
    Raises NotFound, Denied, Invalid for answers that do not fit or a proposal that says nothing new.
    """
    model = rows.model(actor, Permission.MODEL_MANAGE, model_name, lock=True)
    revision = QuestionnaireRevision.objects.filter(name=questionnaire).order_by("-number").first()
    if revision is None:
        raise NotFound(f"There is no questionnaire {questionnaire!r}; a platform admin can publish one.")
    try:
        scored = compile_questionnaire(revision.document).score(answers)
    except AnswerError as error:
        raise Invalid(
            f"The answers do not fit the questionnaire: {error}", code="wrong_answers", answers=error.mistakes
        ) from None
    _require_proposal(override_tier, override_reason, scored.tier)
    assessment = TierAssessment.objects.create(
        model=model,
        questionnaire=revision,
        answers=dict(answers),
        score=scored.score,
        scored_tier=scored.tier,
        reasons=list(scored.reasons),
        override_tier=override_tier,
        override_reason=override_reason.strip(),
        assessed_by_id=actor.user_id,
    )
    _record(
        actor,
        Event.TIER_ASSESSED,
        assessment,
        questionnaire=f"{revision.name} v{revision.number}",
        digest=revision.digest,
        answers=dict(answers),
        score=scored.score,
        tier=scored.tier,
    )
    if override_tier:
        _record(
            actor,
            Event.TIER_OVERRIDE_PROPOSED,
            assessment,
            scored_tier=scored.tier,
            tier=override_tier,
            reason=override_reason.strip(),
        )
    _set_tier(actor, model, scored.tier)
    return assessment


@transaction.atomic
def rule_tier_override(*, actor: Actor, assessment_id: int, verdict: str, comment: str) -> TierAssessment:
    """Confirm or refuse a proposed tier: a reviewer who neither proposed it nor had a part in the model.

    Raises NotFound; Denied, whoever it is; Conflict where nothing is proposed, it is ruled on, or the model was assessed again
    since; Invalid without a comment.
    """
    assessment = _locked(actor, assessment_id)
    _require_right_to_rule(actor, assessment)
    if verdict not in (CONFIRMED, REFUSED):
        raise Invalid(f"The verdict is {CONFIRMED} or {REFUSED}.")
    if not assessment.override_tier:
        raise Conflict("No other tier was proposed with this assessment; there is nothing to rule on.", code="nothing_proposed")
    if assessment.ruling:
        raise Conflict(f"The proposed tier was {assessment.ruling} already.", code="ruled")
    newer = TierAssessment.objects.filter(model=assessment.model, pk__gt=assessment.pk).order_by("-pk").first()
    if newer is not None:
        raise Conflict(
            f"The model was assessed again since, in assessment {newer.pk}; rule on that one.",
            code="superseded",
            assessment=newer.pk,
        )
    if not comment.strip():
        raise Invalid("Say why: the ruling stays on record.")
    assessment.ruling, assessment.ruling_comment, assessment.ruled_at = verdict, comment.strip(), timezone.now()
    assessment.ruled_by_id = actor.user_id
    assessment.save(update_fields=["ruling", "ruling_comment", "ruled_at", "ruled_by"])
    _record(
        actor,
        Event.TIER_OVERRIDE_CONFIRMED if verdict == CONFIRMED else Event.TIER_OVERRIDE_REFUSED,
        assessment,
        scored_tier=assessment.scored_tier,
        tier=assessment.override_tier,
        comment=comment.strip(),
    )
    if verdict == CONFIRMED:
        _set_tier(actor, assessment.model, assessment.override_tier)
    return assessment


@contextmanager
def following(*, actor: Actor, model_name: str) -> Iterator[None]:
    """Let the tier of a model be set by hand inside, and see to what follows. Raises Conflict for less than answers gave it.

    Once a model was assessed its tier comes from answers; by hand it can only be raised. In the caller's transaction.
    """
    rows = RegisteredModel.objects.filter(name=model_name, deleted_at__isnull=True)
    held = rows.values_list("risk_tier", flat=True).first()
    yield
    model = rows.first()
    if model is None or held is None or model.risk_tier == held:
        return
    if _lowers(held, model.risk_tier) and TierAssessment.objects.filter(model=model).exists():
        raise Conflict(
            f"The tier {held} of {model_name} comes from a questionnaire; assess the model again to lower it.",
            code="assess_again",
        )
    _re_evaluate(actor, model, held)
    wake_model(model.name)


def _require_proposal(tier: str, reason: str, scored: str) -> None:
    if not tier:
        if reason.strip():
            raise Invalid("Say which tier should hold instead, or leave the reason out.")
        return
    if tier not in TIERS:
        raise Invalid(f"There is no risk tier {tier!r}; the tiers are {', '.join(TIERS)}.")
    if tier == scored:
        raise Invalid(f"The answers give {scored} already; there is nothing to override.")
    if not reason.strip():
        raise Invalid("Say why another tier should hold than the answers give: a second person decides on it.")


def _locked(actor: Actor, assessment_id: int) -> TierAssessment:
    """Return an assessment with its model's row locked, as whoever assesses anew does. Raises NotFound when absent or hidden."""
    rows = RegisteredModel.objects.select_for_update(of=("self",), no_key=True).filter(deleted_at__isnull=True)
    model = rows.filter(tier_assessments=assessment_id).first()
    if model is None or not access.explain(actor, Permission.MODEL_READ, model).allowed:
        raise NotFound(f"There is no tier assessment {assessment_id}, or you may not see it.")
    assessment = TierAssessment.objects.select_related("assessed_by__responsible").get(pk=assessment_id)
    assessment.model = model
    return assessment


def _require_right_to_rule(actor: Actor, assessment: TierAssessment) -> None:
    access.require(actor, Permission.PROMOTION_REVIEW)
    if actor.user_id is None or User.objects.filter(pk=actor.user_id, is_service=True).exists():
        raise Denied("Only a person can confirm a tier.")
    by, parts = assessment.assessed_by, []
    if by is not None and by.pk == actor.user_id:
        parts.append("you assessed the model")
    elif by is not None and by.responsible_id == actor.user_id:
        parts.append(f"you answer for {by.username}, who assessed the model")
    parts += parts_of(actor.username, makers_at_stake(assessment.model))
    if parts:
        raise Denied(
            f"You cannot rule on this tier: {'; '.join(parts)}. Someone who had no part in it must.", code="separation_of_duties"
        )


def _set_tier(actor: Actor, model: RegisteredModel, tier: str) -> None:
    """Put a tier in force. Raises Denied where a lower one would take the model out of a policy."""
    held = model.risk_tier
    if tier == held:
        wake_model(model.name)
        return
    before = bindings_by_trait(model) if any_bound_by_trait() else []
    model.risk_tier, model.updated_ms = tier, int(timezone.now().timestamp() * 1000)
    _require_still_bound(actor, model, held, before)
    model.save(update_fields=["risk_tier", "updated_ms"])
    audit.record(
        actor,
        Event.MODEL_UPDATED,
        subject=("model", model.name),
        scope=f"model:{model.pk}",
        before={"risk_tier": held},
        after={"risk_tier": tier},
    )
    _re_evaluate(actor, model, held)
    wake_model(model.name)


def _require_still_bound(actor: Actor, model: RegisteredModel, held: str, before: list[Binding]) -> None:
    if not before or not _lowers(held, model.risk_tier) or actor.grants(Permission.POLICY_PUBLISH):
        return
    after = {binding.name for binding in bindings_by_trait(model)}
    if freed := [binding.name for binding in before if binding.name not in after]:
        raise Denied(
            f"The tier {model.risk_tier} would take {model.name} out of the policy binding {', '.join(freed)}; "
            "somebody who may also publish policies must do it.",
            code="leaves_policy",
        )


def _lowers(held: str, tier: str) -> bool:
    return TIERS.index(tier) < TIERS.index(held)


def _re_evaluate(actor: Actor, model: RegisteredModel, held: str) -> None:
    """Judge what holds governed places by the policies that the new tier brings, and put on record what does not meet them."""
    for kind, target, bindings in governed_places(model):
        for version, request_id in _holders(model, kind, target):
            assessment = foresee(version, target_kind=kind, target=target, bindings=bindings)
            decision = store_decision(version, assessment, DecisionPurpose.REEVALUATE)
            missing = _missing(assessment, request_id)
            audit.record(
                actor,
                Event.GATE_EVALUATED,
                subject=("model_version", f"{model.name}/{version.number}"),
                scope=f"model:{model.pk}",
                after={
                    "target": f"{kind}:{target}",
                    "tier": model.risk_tier,
                    "decision": str(decision.pk),
                    "not_met": missing,
                },
            )
            if missing:
                _ask_again(actor, version, kind, target, held, missing)


def _holders(model: RegisteredModel, kind: str, target: str) -> list[tuple[ModelVersion, int | None]]:
    """Return every version that holds a place now, with the request that gave it the place."""
    rows: Any
    if kind == "stage":
        rows = StageAssignment.objects.filter(model=model, stage_id=target, valid_to__isnull=True)
    else:
        rows = AliasAssignment.objects.filter(model=model, alias=target, valid_to__isnull=True)
    rows = rows.select_related("version__created_by__responsible").order_by("pk")
    found = []
    for row in rows:
        row.version.model = model  # with the tier as it is now
        found.append((row.version, row.request_id))
    return found


def _missing(assessment: Assessment, request_id: int | None) -> list[str]:
    """Return what keeps a version from holding its place: evidence that falls short, and policies nobody approved it under.

    People are not asked again for a policy under which the place was given.
    """
    unmet = [r for r in assessment.verdict.blocking if r.kind == "evidence"]
    request = PromotionRequest.objects.filter(pk=request_id).first() if request_id is not None else None
    approved: set[str] = set()
    if request is not None:
        pins = request.policies.filter(generation=request.generation)
        approved = set(pins.values_list("revision__policy__name", flat=True))
    policies = dict.fromkeys(pin.policy for pin in assessment.pins)
    return [f"{r.title}: {r.reason}" for r in unmet] + [
        f"nobody approved it under the policy {policy}" for policy in policies if policy not in approved
    ]


def _ask_again(actor: Actor, version: ModelVersion, kind: str, target: str, held: str, missing: list[str]) -> None:
    tier = version.model.risk_tier
    detail = f"the risk tier went from {held} to {tier}; {version} in {kind} {target}: {'; '.join(missing)}"
    open_re_reviews(actor=actor, model=version.model, cause=ReReviewCause.TIER_CHANGED, detail=detail, version=version)
    note_finding(
        actor=actor,
        version=version,
        source=FindingSource.RE_REVIEW,
        key=f"tier:{kind}:{target}",
        title=f"{kind.capitalize()} {target} is held without what the tier {tier} asks for",
        severity=Severity.HIGH,
        description="\n".join([f"The risk tier went from {held} to {tier}. {version} lacks:", *missing]),
        comment=detail,
    )


def _record(actor: Actor, event: Event, assessment: TierAssessment, **after: object) -> None:
    audit.record(
        actor,
        event,
        subject=("tier_assessment", assessment.pk),
        scope=f"model:{assessment.model_id}",
        after={"model": assessment.model.name, **after},
    )
