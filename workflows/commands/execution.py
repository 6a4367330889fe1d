"""Move requests on, and carry out what was approved: decision, place and events in one transaction, or nothing."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.utils import timezone

from core import access
from core.access import SYSTEM, Actor, Permission
from core.audit import Event
from core.errors import Blocked, Conflict
from governance.models import DecisionPurpose
from registry import placement
from registry.identity import decided_on
from workflows import holds, notifications, task_rows
from workflows.assessment import Assessment, assess, holder, in_place, store_decision
from workflows.commands import break_glass, re_reviews
from workflows.gatekeeping import requirement_details
from workflows.lifecycle import asked, lock, locked_request, move, wake
from workflows.models import PromotionRequest, RequestKind
from workflows.steps import approve_if_satisfied, follow_cards, queue_checks, told


@transaction.atomic
def advance_request(*, actor: Actor = SYSTEM, request_id: int) -> None:
    """Move a request on when its checks are finished or what it is judged on has changed. Safe to run twice."""
    request = lock(request_id)
    if request is None or request.state not in ("checking", "in_review", "approved"):
        return
    if _follow_champion(actor, request):
        return
    assessment = assess(request)
    if assessment.outdated:
        _follow_cards(actor, request, assessment)
        return
    if request.state == "checking":
        if assessment.unfinished or assessment.awaited:
            return
        move(actor, request, "checks_finished", Event.PROMOTION_READY, verdict=_tally(assessment))
        notifications.tell(asked(assessment), request, "review", f"{request.reference} is ready for review")
    if request.state == "approved":
        if not assessment.verdict.satisfied:
            _reopen(actor, request, assessment)
        return
    approve_if_satisfied(actor, request, assessment)


def execute_request(*, actor: Actor, request_id: int) -> PromotionRequest:
    """Carry out an approved request: begin, and finish, each in a transaction of its own.

    Raises Conflict when it is not approved; Blocked, with the unmet requirements, when it is not satisfied. A request that a
    release or freeze window holds stays approved and says until when; one whose evidence changed goes back to review; one that
    cannot be placed has failed, and says why.
    """
    request = begin_execution(actor=actor, request_id=request_id)
    if request.state == "executing":
        request = finish_execution(actor=actor, request_id=request_id)
    return request


@transaction.atomic
def begin_execution(*, actor: Actor, request_id: int) -> PromotionRequest:
    """Take an approved request into execution, if the gate still says yes and nothing holds it."""
    request = locked_request(actor, request_id)
    if actor is not SYSTEM:
        access.require(actor, Permission.PROMOTION_REQUEST, request.model)
    if request.state in ("in_review", "checking", "changes_requested"):
        verdict = assess(request).verdict
        raise Blocked(
            f"{request.reference} is not approved. Not met: {'; '.join(f'{r.title} ({r.reason})' for r in verdict.blocking)}.",
            policies=sorted({r.policy for r in verdict.requirements}),
            requirements=[requirement_details(r) for r in verdict.blocking],
        )
    if request.state == "executing":
        return request
    if request.state != "approved":
        raise Conflict(f"{request.reference} is {request.state}; there is nothing to carry out.", code="not_approved")
    assessment = assess(request)
    if not _still_holds(request, assessment):
        _reopen(actor, request, assessment)
        return request
    if hold := _held(actor, request, assessment):
        now = timezone.now()
        PromotionRequest.objects.filter(pk=request.pk).update(hold=hold[:300], updated_at=now, demanded_at=request.demanded_at)
        request.hold = hold[:300]
        return request
    move(actor, request, "started", Event.PROMOTION_EXECUTING)
    return request


@transaction.atomic
def finish_execution(*, actor: Actor, request_id: int) -> PromotionRequest:
    """Give the version its place, with the decision and the events; a re-review renews the place it holds.

    Safe to run twice: what is not executing is left alone.
    """
    request = locked_request(actor, request_id)
    if request.state != "executing":
        return request
    assessment = assess(request)
    if not _still_holds(request, assessment):
        _reopen(actor, request, assessment)
        return request
    try:
        with transaction.atomic():
            _place(actor, request, assessment)
    except Conflict as error:
        PromotionRequest.objects.filter(pk=request.pk).update(failure=error.message)
        request.failure = error.message
        move(actor, request, "failed", Event.PROMOTION_FAILED, failure=error.message)
        notifications.tell([request.requested_by], request, "failed", f"{request.reference} failed: {error.message}")
    return request


def _place(actor: Actor, request: PromotionRequest, assessment: Assessment) -> None:
    decision = store_decision(request.version, assessment, DecisionPurpose.EXECUTE, request)
    if request.kind != RequestKind.RE_REVIEW:
        break_glass.superseded_by(actor=actor, request=request)
        if request.target_kind == "stage":
            placement.assign_stage(
                request.version, request.target, actor=actor, archive_existing=request.archive_existing, request_id=request.pk
            )
        else:
            placement.assign_alias(request.model, request.target, request.version, actor=actor, request_id=request.pk)
    re_reviews.note_placed(actor=actor, request=request, policies=assessment.pinned, at=timezone.now())
    move(actor, request, "executed", Event.PROMOTION_EXECUTED, **told(decision))
    people = {review.reviewer for review in request.reviews.select_related("reviewer")} | {request.requested_by}
    notifications.tell(people, request, "done", f"{request.reference}: {request.version} holds {request.target}")


def _held(actor: Actor, request: PromotionRequest, assessment: Assessment) -> str:
    """Return what an approved request waits for; saying that it may be carried out is remembered while a window holds it."""
    if actor is not SYSTEM and request.demanded_at is None:
        request.demanded_at = timezone.now()
    if request.demanded_at is None and any(policy.release.on_demand for policy in assessment.enforced):
        return "waits for somebody to carry it out"
    return holds.why_held(request, assessment.pinned, timezone.now())


def _still_holds(request: PromotionRequest, assessment: Assessment) -> bool:
    return assessment.verdict.satisfied and request.subject_digest == decided_on(request.version) and not _champion_moved(request)


def _reopen(
    actor: Actor, request: PromotionRequest, assessment: Assessment, otherwise: str = "what holds the place changed"
) -> None:
    reasons = "; ".join(f"{r.title}: {r.reason}" for r in assessment.verdict.blocking) or otherwise
    move(actor, request, "no_longer_satisfied", Event.PROMOTION_REOPENED, reason=reasons[:1000])
    task_rows.follow(request, assessment)
    notifications.tell(asked(assessment), request, "review", f"{request.reference} is back in review: {reasons}")
    wake(request.pk)


def _champion_moved(request: PromotionRequest) -> bool:
    if request.kind == RequestKind.RE_REVIEW:
        return not in_place(request.version, target_kind=request.target_kind, target=request.target)
    held = holder(request.model, target_kind=request.target_kind, target=request.target)
    return (held.pk if held else None) != request.champion_id


def _follow_champion(actor: Actor, request: PromotionRequest) -> bool:
    """Compare with what is in the place now: if the champion is another than at the start, measure against that one.

    Return whether the request must be judged again later. What a re-review was about may have left its place, or a promotion's
    version may have got it on another way: then there is nothing to ask any more.
    """
    if not _champion_moved(request):
        return False
    held = holder(request.model, target_kind=request.target_kind, target=request.target)
    if request.kind == RequestKind.RE_REVIEW or (held is not None and held.pk == request.version_id):
        why = "does not hold" if request.kind == RequestKind.RE_REVIEW else "holds"
        move(actor, request, "superseded", Event.PROMOTION_SUPERSEDED, reason=f"{request.version} {why} {request.target} now")
        return True
    if request.state == "approved":
        _reopen(actor, request, assess(request))
        return True
    request.champion = held
    request.save(update_fields=["champion"])
    request.checks.filter(role="champion").delete()
    queue_checks(actor, request)
    if request.state == "in_review":
        move(actor, request, "checks_started", Event.PROMOTION_CHECKS_STARTED)
    wake(request.pk)
    return True


def _follow_cards(actor: Actor, request: PromotionRequest, assessment: Assessment) -> None:
    """Have the card read again that was changed, and judge the request later; an approved one goes back to review for it."""
    if request.state == "approved":
        _reopen(actor, request, assessment, "the model card was changed, and is to be read again")
        return
    follow_cards(actor, request, assessment)
    if request.state == "in_review":
        move(actor, request, "checks_started", Event.PROMOTION_CHECKS_STARTED, reason="the model card was changed")
    wake(request.pk)


def _tally(assessment: Assessment) -> dict[str, Any]:
    tally: dict[str, int] = {}
    for result in assessment.verdict.requirements:
        tally[result.state.value] = tally.get(result.state.value, 0) + 1
    return tally
