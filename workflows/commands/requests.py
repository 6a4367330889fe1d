"""Ask for a version's promotion, rollback or re-review, and take a request back: the only way to a governed place."""

from __future__ import annotations

from datetime import timedelta

from django.db import IntegrityError, transaction
from django.utils import timezone

from core import access, audit
from core.access import SYSTEM, Actor, Permission
from core.audit import Event
from core.errors import Conflict, Denied, Invalid
from governance.bindings import bindings_for
from governance.builtin import four_eyes
from governance.models import Binding, BindingMode
from registry import names, rows
from registry import stages as stage_graph
from registry.identity import decided_on, is_address
from registry.models import ModelVersion
from workflows import notifications
from workflows.assessment import Pin, assess, holder, in_place, pin_of, pins_of
from workflows.gatekeeping import content_elsewhere
from workflows.lifecycle import asked, locked_request, move, wake
from workflows.models import OPEN_STATES, PromotionRequest, RequestKind, RequestPolicy, RequestState
from workflows.rollbacks import earlier_request
from workflows.steps import queue_checks

ALL_MODES = tuple(BindingMode.values)


@transaction.atomic
def request_promotion(
    *,
    actor: Actor,
    model_name: str,
    version: int,
    target: str,
    target_kind: str = "stage",
    reason: str,
    kind: str = RequestKind.PROMOTION,
    archive_existing: bool = True,
    draft: bool = False,
    supersede: bool = False,
) -> PromotionRequest:
    """Ask for a version to get a stage or alias; its checks are queued at once.

    kind: ``rollback`` asks for one that held the place before, ``re_review`` for the one that holds it to keep it.
    draft: prepare only; ``submit_request`` asks. supersede: close a request that is open for the target, if it is yours or you
    manage the model. The request is bound to the version's content digest and to the policy revisions in force now; where no
    policy guards the target, one other person must agree, and it is bound to the version's address if its content lies elsewhere.
    Raises Invalid for an unknown target, kind or empty reason; Conflict when the version is there already (or, for a re-review
    or rollback, is or was not), when a request for the target is open, or when a policy guards it and the content is not kept here.
    """
    subject = rows.version(actor, Permission.PROMOTION_REQUEST, model_name, version, lock=True)
    if actor.user_id is None:
        raise Denied("Only a person or a service account can ask for a promotion.")
    if not reason.strip():
        raise Invalid("Say why: a reviewer decides on it.")
    target = _target(target_kind, target)
    champion = _champion(subject, kind, target_kind, target)
    if supersede and not draft:
        _supersede(actor, subject, target_kind, target)
    request = PromotionRequest(
        kind=kind,
        model=subject.model,
        version=subject,
        target_kind=target_kind,
        target=target,
        from_stage=stage_graph.current_stage(subject),
        reason=reason.strip(),
        archive_existing=archive_existing and target not in ("None", "Archived"),  # there it would empty what it fills
        state=RequestState.DRAFT if draft else RequestState.CHECKING,
        subject_digest=decided_on(subject),
        champion=champion,
        requested_by_id=actor.user_id,
    )
    pins = _pins_now(request)
    _save_open(request)
    _pin(request, pins)
    audit.record(
        actor,
        Event.PROMOTION_DRAFTED if draft else Event.PROMOTION_REQUESTED,
        subject=("promotion_request", request.pk),
        scope=f"model:{subject.model_id}",
        after=_described(request),
    )
    if not draft:
        queue_checks(actor, request)
        wake(request.pk)
    return request


@transaction.atomic
def submit_request(*, actor: Actor, request_id: int) -> PromotionRequest:
    """Ask for what was drafted, under the policies and against the champion of now. Raises Conflict as ``request_promotion``."""
    request = locked_request(actor, request_id)
    _require_asker(actor, request)
    if request.state != RequestState.DRAFT:
        raise Conflict(f"{request.reference} was asked for already.", code="not_a_draft")
    request.champion = _champion(request.version, request.kind, request.target_kind, request.target)
    _repin(request, _pins_now(request))
    try:
        with transaction.atomic():
            move(actor, request, "submitted", Event.PROMOTION_REQUESTED, **_described(request))
    except IntegrityError:
        raise _already_open(request) from None
    queue_checks(actor, request)
    wake(request.pk)
    return request


@transaction.atomic
def withdraw_request(*, actor: Actor, request_id: int, reason: str = "") -> PromotionRequest:
    """Take an open request back: who asked may, and who manages the model. Raises Conflict once it is closed."""
    request = locked_request(actor, request_id)
    _require_asker(actor, request)
    move(actor, request, "withdrawn", Event.PROMOTION_WITHDRAWN, reason=reason)
    return request


@transaction.atomic
def resubmit_request(*, actor: Actor, request_id: int, comment: str) -> PromotionRequest:
    """Answer a reviewer who asked for changes, and put the request back before the reviewers."""
    request = locked_request(actor, request_id)
    access.require(actor, Permission.PROMOTION_REQUEST, request.model)
    if not comment.strip():
        raise Invalid("Say what changed: a reviewer asked for it.")
    move(actor, request, "resubmitted", Event.PROMOTION_RESUBMITTED, comment=comment.strip())
    text = f"{request.reference} was answered: {comment.strip()}"
    notifications.tell(asked(assess(request)), request, "resubmitted", text)
    wake(request.pk)
    return request


@transaction.atomic
def rebase_request(*, actor: Actor, request_id: int) -> PromotionRequest:
    """Move a request to the policies in force now; its checks are queued anew and reviews of the older policies go stale.

    Raises Conflict when the policies are the same, or when it is closed or being carried out.
    """
    request = locked_request(actor, request_id)
    access.require(actor, Permission.PROMOTION_REQUEST, request.model)
    before, now = pins_of(request), _pins_now(request)
    if [pin.reference() for pin in before] == [pin.reference() for pin, _, _ in now]:
        raise Conflict(f"{request.reference} follows the policies in force now already.", code="nothing_to_rebase")
    _repin(request, now)
    move(
        actor,
        request,
        "rebased",
        Event.PROMOTION_REBASED,
        policies_before=[f"{pin.policy} v{pin.revision}" for pin in before],
        policies=[f"{pin.policy} v{pin.revision}" for pin, _, _ in now],
    )
    request.checks.all().delete()
    queue_checks(actor, request)
    wake(request.pk)
    return request


@transaction.atomic
def rerun_checks(*, actor: Actor, request_id: int) -> PromotionRequest:
    """Queue again the checks that ended without a result; those with one keep it, since equal inputs give equal results."""
    request = locked_request(actor, request_id)
    access.require(actor, Permission.PROMOTION_REQUEST, request.model)
    broken = request.checks.filter(run__state__in=["error", "timed_out", "cancelled"])
    if not broken.exists():
        raise Conflict("Every check has a result or is still running; there is nothing to run again.", code="nothing_to_rerun")
    broken.delete()
    queue_checks(actor, request)
    if request.state != "checking":
        move(actor, request, "checks_started", Event.PROMOTION_CHECKS_STARTED)
    wake(request.pk)
    return request


@transaction.atomic
def expire_requests(*, actor: Actor = SYSTEM) -> int:
    """Close open requests whose time ended, or tell people of it where the policy says so. A time-out never approves."""
    states = ["checking", "in_review", "changes_requested", "approved"]
    due = PromotionRequest.objects.filter(state__in=states, expires_at__lte=timezone.now(), escalated_at__isnull=True)
    count = 0
    for request_id in due.values_list("pk", flat=True):
        request = locked_request(actor, request_id)
        if request.state in states and request.escalated_at is None:
            _time_out(actor, request)
            count += 1
    return count


def _target(target_kind: str, target: str) -> str:
    if target_kind == "stage":
        return stage_graph.canonical_stage(target)
    if target_kind == "alias":
        names.alias(target)
        return target
    raise Invalid("The target is a stage or an alias: target_kind is `stage` or `alias`.")


def _champion(subject: ModelVersion, kind: str, target_kind: str, target: str) -> ModelVersion | None:
    """Return what a candidate is compared with: the version in the place; nothing for that version's own re-review."""
    there = in_place(subject, target_kind=target_kind, target=target)
    if kind not in RequestKind.values:
        raise Invalid(f"The kind of a request is one of {', '.join(RequestKind.values)}.")
    if kind == RequestKind.RE_REVIEW:
        if not there:
            raise Conflict(f"{subject} does not hold {target}; only what holds a place is reviewed again.", code="not_there")
        return None
    held = holder(subject.model, target_kind=target_kind, target=target)
    if held is not None and held.pk == subject.pk:
        raise Conflict(f"{subject} holds {target} already.", code="already_there")
    if kind == RequestKind.ROLLBACK and earlier_request(subject, target_kind=target_kind, target=target) is None:
        raise Conflict(f"No request ever gave {subject} {target}; ask for a promotion instead.", code="never_there")
    return held


def _supersede(actor: Actor, subject: ModelVersion, target_kind: str, target: str) -> None:
    rows = PromotionRequest.objects.filter(model=subject.model, target_kind=target_kind, target=target, state__in=OPEN_STATES)
    for request_id in rows.values_list("pk", flat=True):
        older = locked_request(actor, request_id)
        _require_asker(actor, older)
        move(actor, older, "superseded", Event.PROMOTION_SUPERSEDED, by_version=subject.number)


def _require_asker(actor: Actor, request: PromotionRequest) -> None:
    if request.requested_by_id != actor.user_id:
        access.require(actor, Permission.MODEL_MANAGE, request.model)


def _save_open(request: PromotionRequest) -> None:
    try:
        with transaction.atomic():
            request.save(force_insert=True)
    except IntegrityError:
        raise _already_open(request) from None


def _already_open(request: PromotionRequest) -> Conflict:
    other = PromotionRequest.objects.get(
        model=request.model, target_kind=request.target_kind, target=request.target, state__in=OPEN_STATES
    )
    return Conflict(
        f"{other.reference} for version {other.version.number} is open for {request.target}; it must be closed first, "
        "or superseded by this one.",
        code="request_open",
        request=other.pk,
    )


Pinned = tuple[Pin, Binding | None, int]


def _pins_now(request: PromotionRequest) -> list[Pinned]:
    """Return what a request opened now would pin, each with its binding and the id of its policy revision."""
    bindings = bindings_for(request.model, kind=request.target_kind, target=request.target, modes=ALL_MODES)
    pins: list[Pinned] = []
    for binding in bindings:
        try:
            pin = pin_of(binding)
        except LookupError:
            raise Conflict(f"The binding {binding.name} has a policy without a published revision; publish one.") from None
        pins.append((pin, binding, binding.policy.revisions.get(number=pin.revision).pk))
    guards = [pin for pin, _, _ in pins if pin.mode == BindingMode.ENFORCE]
    if guards and not request.version.content_digest:
        raise content_elsewhere(request, [pin.binding for pin in guards])
    if not guards:
        built_in = four_eyes(content_kept=bool(request.version.content_digest))
        name = built_in.policy.name
        pins.append((Pin("", name, built_in.number, built_in.digest, built_in.document, {}), None, built_in.pk))
    return pins


def _pin(request: PromotionRequest, pins: list[Pinned]) -> None:
    RequestPolicy.objects.bulk_create(
        [
            RequestPolicy(
                request=request,
                binding=binding,
                revision_id=revision_id,
                parameters=dict(pin.parameters),
                mode=pin.mode,
                generation=request.generation,
            )
            for pin, binding, revision_id in pins
        ]
    )
    limits = [pin.compiled.expires_after_days for pin, _, _ in pins if pin.mode == BindingMode.ENFORCE]
    days = min((limit for limit in limits if limit), default=None)
    request.expires_at = timezone.now() + timedelta(days=days) if days else None
    request.save(update_fields=["expires_at", "generation", "champion"])


def _repin(request: PromotionRequest, pins: list[Pinned]) -> None:
    request.generation += 1
    _pin(request, pins)


def _time_out(actor: Actor, request: PromotionRequest) -> None:
    if not any(pin.compiled.escalates_on_timeout for pin in pins_of(request) if pin.mode == BindingMode.ENFORCE):
        move(actor, request, "expired", Event.PROMOTION_EXPIRED)
        notifications.tell([request.requested_by], request, "expired", f"{request.reference} expired: nobody decided in time")
        return
    PromotionRequest.objects.filter(pk=request.pk).update(escalated_at=timezone.now())
    text = f"{request.reference} was not decided in time and stays open; it needs a decision"
    audit.record(
        actor,
        Event.TASK_ESCALATED,
        subject=("promotion_request", request.pk),
        scope=f"model:{request.model_id}",
        reason=text,
    )
    notifications.tell(asked(assess(request)), request, "escalated", text)


def _described(request: PromotionRequest) -> dict[str, object]:
    return {
        "kind": request.kind,
        "model": request.model.name,
        "version": request.version.number,
        "target": f"{request.target_kind}:{request.target}",
        "content": request.subject_digest,
        **({"address": request.version.source} if is_address(request.subject_digest) else {}),
        "from_stage": request.from_stage,
        "champion": request.champion.number if request.champion else None,
        "policies": [f"{pin.policy} v{pin.revision}" for pin in pins_of(request)],
        "reason": request.reason,
    }
