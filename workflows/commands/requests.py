"""Ask, review, decide and place: the only way to a governed stage or alias, for every client."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone

from core import access, audit, jobs
from core.access import SYSTEM, Actor, Permission
from core.audit import Event
from core.errors import Blocked, Conflict, Denied, Invalid, NotFound
from core.models import User
from governance.bindings import bindings_for
from governance.commands.checks import queue_check, resolve_checks
from governance.models import Binding, PolicyRevision
from governance.policy import compile_policy
from registry import names, placement
from registry import stages as stage_graph
from registry.models import ModelVersion
from workflows import notifications, states
from workflows.assessment import Assessment, assess, holder, makers_of, store_decision
from workflows.gatekeeping import requirement_details
from workflows.models import OPEN_STATES, PromotionRequest, RequestCheck, RequestPolicy, Review, ReviewVerdict
from workflows.rules.separation_of_duties import as_mapping, parts_of
from workflows.subjects import locked_version

ADVANCE = "workflows.advance_request"
EXECUTE = "workflows.execute_request"


# Asking.


@transaction.atomic
def request_promotion(
    *,
    actor: Actor,
    model_name: str,
    version: int,
    target: str,
    target_kind: str = "stage",
    reason: str,
    archive_existing: bool = True,
) -> PromotionRequest:
    """Ask for a version to get a governed stage or alias; its checks are queued at once.

    The request is bound to the version's content digest and to the policy revisions in force now.
    Raises Invalid for an unknown target or an empty reason; Conflict when the version is there already, when a request for
    the target is open, when nothing guards it, or when its content is not kept here.
    """
    subject = locked_version(actor, model_name, version, Permission.PROMOTION_REQUEST)
    if not reason.strip():
        raise Invalid("Say why: a reviewer decides on it.")
    if target_kind == "stage":
        target = stage_graph.canonical_stage(target)
    elif target_kind == "alias":
        names.alias(target)
    else:
        raise Invalid("The target is a stage or an alias: target_kind is `stage` or `alias`.")
    bindings = _requestable(subject, target_kind, target)
    champion = holder(subject.model, target_kind=target_kind, target=target)
    if champion is not None and champion.pk == subject.pk:
        raise Conflict(f"{subject} holds {target} already.", code="already_there")
    request = _open(actor, subject, target_kind, target, reason.strip(), archive_existing, champion)
    _pin(request, bindings)
    audit.record(
        actor,
        Event.PROMOTION_REQUESTED,
        subject=("promotion_request", request.pk),
        scope=f"model:{subject.model_id}",
        after={
            "model": model_name,
            "version": version,
            "target": f"{target_kind}:{target}",
            "content": subject.content_digest,
            "champion": champion.number if champion else None,
            "policies": [f"{p.revision.policy.name} v{p.revision.number}" for p in _pins(request)],
            "reason": reason.strip(),
        },
    )
    _queue_checks(actor, request)
    jobs.enqueue(ADVANCE, request_id=request.pk)
    return request


@transaction.atomic
def withdraw_request(*, actor: Actor, request_id: int, reason: str = "") -> PromotionRequest:
    """Take an open request back: who asked may, and who manages the model. Raises Conflict once it is closed."""
    request = _locked_request(actor, request_id)
    if request.requested_by_id != actor.user_id:
        access.require(actor, Permission.MODEL_MANAGE, request.model)
    _advance(actor, request, "withdrawn", Event.PROMOTION_WITHDRAWN, reason=reason)
    return request


@transaction.atomic
def resubmit_request(*, actor: Actor, request_id: int, comment: str) -> PromotionRequest:
    """Answer a reviewer who asked for changes, and put the request back before the reviewers."""
    request = _locked_request(actor, request_id)
    access.require(actor, Permission.PROMOTION_REQUEST, request.model)
    if not comment.strip():
        raise Invalid("Say what changed: a reviewer asked for it.")
    _advance(actor, request, "resubmitted", Event.PROMOTION_RESUBMITTED, comment=comment.strip())
    notifications.tell(_reviewers(request), request, "resubmitted", f"{request.reference} was answered: {comment.strip()}")
    return request


@transaction.atomic
def rerun_checks(*, actor: Actor, request_id: int) -> PromotionRequest:
    """Queue again the checks that ended without a result; those with one keep it, since equal inputs give equal results."""
    request = _locked_request(actor, request_id)
    access.require(actor, Permission.PROMOTION_REQUEST, request.model)
    broken = request.checks.filter(run__state__in=["error", "timed_out", "cancelled"])
    if not broken.exists():
        raise Conflict("Every check has a result or is still running; there is nothing to run again.", code="nothing_to_rerun")
    broken.delete()
    _queue_checks(actor, request)
    if request.state != "checking":
        _advance(actor, request, "checks_started", Event.PROMOTION_CHECKS_STARTED)
    jobs.enqueue(ADVANCE, request_id=request.pk)
    return request


# Reviewing.


@transaction.atomic
def submit_review(
    *, actor: Actor, request_id: int, verdict: str, comment: str = "", evidence_digest: str | None = None
) -> Review:
    """Record a person's verdict on the evidence as it is, and approve the request once the gate is satisfied.

    evidence_digest: what the person saw; if the evidence has changed since, nothing is signed.
    Raises Denied for who had a part in the work or may not review; Conflict when the request is not in review or the
    evidence changed; Invalid without a comment where one is needed.
    """
    request = _locked_request(actor, request_id)
    makers = makers_of(request.version, requested_by=request.requested_by)
    if parts := parts_of(actor.username, makers):
        raise Denied(
            f"You cannot review {request.reference}: {'; '.join(parts)}. Someone who had no part in it must decide.",
            code="separation_of_duties",
        )
    access.require(actor, Permission.PROMOTION_REVIEW)
    if actor.user_id is None:
        raise Denied("Only a person with an account can review.")
    if verdict not in ReviewVerdict.values:
        raise Invalid(f"The verdict is one of {', '.join(ReviewVerdict.values)}.")
    if verdict in (ReviewVerdict.REJECT, ReviewVerdict.REQUEST_CHANGES) and not comment.strip():
        raise Invalid("Say why: the submitter must know what to change.")
    if request.state != "in_review":
        raise Conflict(_not_in_review(request), code="not_in_review")
    seen = assess(request)
    if evidence_digest is not None and evidence_digest != seen.evidence_digest:
        raise Conflict(
            "The evidence changed after you opened the page; nothing was signed. Look at what changed and decide again.",
            code="stale_evidence",
            evidence_digest=seen.evidence_digest,
        )
    review = Review.objects.create(
        request=request,
        reviewer_id=actor.user_id,
        verdict=verdict,
        comment=comment.strip(),
        evidence_digest=seen.evidence_digest,
        roles=sorted(role for role in actor.roles),
    )
    audit.record(
        actor,
        Event.PROMOTION_REVIEWED,
        subject=("promotion_request", request.pk),
        scope=f"model:{request.model_id}",
        after={"verdict": verdict, "comment": comment.strip(), "evidence": seen.evidence_digest},
    )
    if verdict == ReviewVerdict.REJECT:
        _advance(actor, request, "rejected", Event.PROMOTION_REJECTED)
        notifications.tell([request.requested_by], request, "rejected", f"{request.reference} was rejected: {comment.strip()}")
    elif verdict == ReviewVerdict.REQUEST_CHANGES:
        _advance(actor, request, "changes_requested", Event.PROMOTION_CHANGES_REQUESTED)
        notifications.tell([request.requested_by], request, "changes_requested", f"{request.reference}: {comment.strip()}")
    else:
        _approve_if_satisfied(actor, request)
    return review


# Moving on.


@transaction.atomic
def advance_request(*, actor: Actor = SYSTEM, request_id: int) -> None:
    """Move a request on when its checks are finished or its gate is satisfied. Safe to run twice."""
    request = _lock(request_id)
    if request is None or request.state not in ("checking", "in_review"):
        return
    if _follow_champion(actor, request):
        return
    assessment = assess(request)
    if request.state == "checking":
        if assessment.unfinished:
            return
        _advance(actor, request, "checks_finished", Event.PROMOTION_READY, verdict=_tally(assessment))
        notifications.tell(_reviewers(request), request, "review", f"{request.reference} is ready for review")
    _approve_if_satisfied(actor, request, assessment)


@transaction.atomic
def execute_request(*, actor: Actor, request_id: int) -> PromotionRequest:
    """Carry out an approved request, if the gate still says yes: stage or alias, decision and events in one transaction.

    Raises Conflict when it is not approved; Blocked, with the unmet requirements, when it is not satisfied.
    A request whose evidence changed since it was approved goes back to review instead.
    """
    request = _locked_request(actor, request_id)
    if actor is not SYSTEM:
        access.require(actor, Permission.PROMOTION_REQUEST, request.model)
    if request.state in ("in_review", "checking", "changes_requested"):
        verdict = assess(request).verdict
        raise Blocked(
            f"{request.reference} is not approved. Not met: {'; '.join(f'{r.title} ({r.reason})' for r in verdict.blocking)}.",
            policies=sorted({r.policy for r in verdict.requirements}),
            requirements=[requirement_details(r) for r in verdict.blocking],
        )
    if request.state != "approved":
        raise Conflict(f"{request.reference} is {request.state}; there is nothing to carry out.", code="not_approved")
    assessment = assess(request)
    if not assessment.verdict.satisfied or request.subject_digest != request.version.content_digest or _champion_moved(request):
        _advance(actor, request, "no_longer_satisfied", Event.PROMOTION_REOPENED)
        jobs.enqueue(ADVANCE, request_id=request.pk)
        return request
    decision = store_decision(request, assessment, "execute")
    if request.target_kind == "stage":
        placement.assign_stage(
            request.version, request.target, actor=actor, archive_existing=request.archive_existing, request_id=request.pk
        )
    else:
        placement.assign_alias(request.model, request.target, request.version, actor=actor, request_id=request.pk)
    _advance(
        actor,
        request,
        "executed",
        Event.PROMOTION_EXECUTED,
        decision=str(decision.pk),
        facts=decision.facts_digest,
        verdict=decision.verdict_digest,
    )
    people = {review.reviewer for review in request.reviews.select_related("reviewer")} | {request.requested_by}
    notifications.tell(people, request, "done", f"{request.reference}: {request.version} holds {request.target}")
    return request


@transaction.atomic
def expire_requests(*, actor: Actor = SYSTEM) -> int:
    """Close open requests whose time ended. A time-out never approves."""
    due = PromotionRequest.objects.filter(
        state__in=["checking", "in_review", "changes_requested"], expires_at__lte=timezone.now()
    )
    count = 0
    for request_id in due.values_list("pk", flat=True):
        request = _lock(request_id)
        if request is not None and states.after(request.state, "expired"):
            _advance(actor, request, "expired", Event.PROMOTION_EXPIRED)
            count += 1
    return count


def _requestable(subject: ModelVersion, target_kind: str, target: str) -> list[Binding]:
    bindings = bindings_for(subject.model, kind=target_kind, target=target)
    if not bindings:
        raise Conflict(
            f"No policy guards {target_kind} {target} of {subject.model.name}; move it directly, or bind a policy first.",
            code="not_governed",
        )
    if not subject.content_digest:
        raise Conflict(
            f"The content of {subject} lies in a store that is not kept here, so it cannot be checked. "
            "Register it from the artifacts of a run on this server.",
            code="content_elsewhere",
        )
    return bindings


def _open(
    actor: Actor, subject: ModelVersion, target_kind: str, target: str, reason: str, archive: bool, champion: ModelVersion | None
) -> PromotionRequest:
    if actor.user_id is None:
        raise Denied("Only a person or a service account can ask for a promotion.")
    try:
        with transaction.atomic():
            return PromotionRequest.objects.create(
                model=subject.model,
                version=subject,
                target_kind=target_kind,
                target=target,
                from_stage=stage_graph.current_stage(subject),
                reason=reason,
                archive_existing=archive,
                subject_digest=subject.content_digest,
                champion=champion,
                requested_by_id=actor.user_id,
            )
    except IntegrityError:
        other = PromotionRequest.objects.get(model=subject.model, target_kind=target_kind, target=target, state__in=OPEN_STATES)
        raise Conflict(
            f"{other.reference} for version {other.version.number} is open for {target}; it must be closed first.",
            code="request_open",
            request=other.pk,
        ) from None


def _pin(request: PromotionRequest, bindings: list[Binding]) -> None:
    days = []
    for binding in bindings:
        revision = PolicyRevision.objects.filter(policy_id=binding.policy_id).order_by("-number").first()
        if revision is None:
            raise Conflict(f"The binding {binding.name} has a policy without a published revision; publish one.")
        RequestPolicy.objects.create(request=request, binding=binding, revision=revision, parameters=binding.parameters)
        days.append(compile_policy(revision.document).expires_after_days)
    if limits := [d for d in days if d]:
        request.expires_at = request.created_at + timedelta(days=min(limits))
        request.save(update_fields=["expires_at"])


def _pins(request: PromotionRequest) -> Any:
    return request.policies.select_related("revision__policy").order_by("pk")


def _queue_checks(actor: Actor, request: PromotionRequest) -> None:
    """Queue what the pinned policies ask to be measured, on the candidate and, for comparison, on the champion."""
    subjects = [("candidate", request.version)]
    if request.champion is not None and request.champion.content_digest:
        subjects.append(("champion", request.champion))
    for pin in _pins(request):
        for check in resolve_checks(compile_policy(pin.revision.document), pin.parameters):
            for role, version in subjects:
                run = queue_check(actor=actor, version=version, check=check)
                RequestCheck.objects.get_or_create(request=request, run=run, defaults={"role": role})


def _champion_moved(request: PromotionRequest) -> bool:
    champion = holder(request.model, target_kind=request.target_kind, target=request.target)
    return (champion.pk if champion else None) != request.champion_id


def _follow_champion(actor: Actor, request: PromotionRequest) -> bool:
    """Compare with what is in the place now: if the champion is another than at the start, measure against that one."""
    if not _champion_moved(request):
        return False
    request.champion = holder(request.model, target_kind=request.target_kind, target=request.target)
    request.save(update_fields=["champion"])
    request.checks.filter(role="champion").delete()
    _queue_checks(actor, request)
    if request.state == "in_review":
        _advance(actor, request, "checks_started", Event.PROMOTION_CHECKS_STARTED)
    jobs.enqueue(ADVANCE, request_id=request.pk)
    return True


def _approve_if_satisfied(actor: Actor, request: PromotionRequest, assessment: Assessment | None = None) -> None:
    assessment = assessment or assess(request)
    if request.state != "in_review" or not assessment.verdict.satisfied:
        return
    decision = store_decision(request, assessment, "approve")
    _advance(
        actor,
        request,
        "satisfied",
        Event.PROMOTION_APPROVED,
        decision=str(decision.pk),
        facts=decision.facts_digest,
        verdict=decision.verdict_digest,
    )
    jobs.enqueue(EXECUTE, request_id=request.pk)


def _advance(actor: Actor, request: PromotionRequest, event: str, record: Event, **details: Any) -> None:
    """Move the state by compare-and-set, and record it."""
    held = request.state
    following = states.after(held, event)
    if following is None:
        raise Conflict(f"{request.reference} is {held.replace('_', ' ')}; that is no longer possible.", code="wrong_state")
    now = timezone.now()
    closed = None if following in states.OPEN else now
    moved = PromotionRequest.objects.filter(pk=request.pk, state=held).update(state=following, updated_at=now, closed_at=closed)
    if not moved:
        raise Conflict(f"{request.reference} was changed by someone else just now; look again.", code="moved_meanwhile")
    request.state, request.updated_at, request.closed_at = following, now, closed
    audit.record(
        actor,
        record,
        subject=("promotion_request", request.pk),
        scope=f"model:{request.model_id}",
        before={"state": held},
        after={"state": following, **{key: value for key, value in details.items() if value not in ("", None)}},
    )


def _tally(assessment: Assessment) -> dict[str, int]:
    tally: dict[str, int] = {}
    for result in assessment.verdict.requirements:
        tally[result.state.value] = tally.get(result.state.value, 0) + 1
    return tally


def _not_in_review(request: PromotionRequest) -> str:
    if request.state == "checking":
        return f"The checks of {request.reference} are still running; review it when they are finished."
    return f"{request.reference} is {request.state.replace('_', ' ')}; it takes no reviews."


def _reviewers(request: PromotionRequest) -> list[User]:
    return notifications.reviewers(barred=as_mapping(makers_of(request.version, requested_by=request.requested_by)))


def _lock(request_id: int) -> PromotionRequest | None:
    return (
        PromotionRequest.objects.select_for_update(of=("self",))
        .select_related("model", "version__model", "version__created_by__responsible", "requested_by__responsible")
        .select_related("champion__model", "champion__created_by")
        .filter(pk=request_id)
        .first()
    )


def _locked_request(actor: Actor, request_id: int) -> PromotionRequest:
    request = _lock(request_id)
    if request is None or not access.explain(actor, Permission.MODEL_READ, request.model).allowed:
        raise NotFound(f"There is no promotion request {request_id}, or you may not see it.")
    return request
