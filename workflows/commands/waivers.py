"""Ask that a requirement may be missed for a time, rule on that, and see to what follows when the time ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import IntegrityError, transaction
from django.db.models import F, Q
from django.utils import timezone

from core import access, audit
from core.access import SYSTEM, Actor, Permission
from core.audit import Event
from core.errors import Conflict, Denied, Invalid, NotFound
from core.models import User
from governance import risk
from governance.models import (
    Binding,
    FindingSource,
    PolicyRevision,
    Severity,
    Waiver,
    WaiverRuling,
    WaiverVerdict,
)
from governance.policy import CompiledPolicy, WaiverRule, compile_policy
from registry import rows
from registry.models import ModelVersion, RegisteredModel
from workflows import notifications
from workflows.assessment import foresee, holder
from workflows.commands.findings import note_finding
from workflows.commands.re_reviews import open_re_reviews
from workflows.gatekeeping import governed_places
from workflows.lifecycle import wake_model
from workflows.models import OPEN_STATES, PromotionRequest, RequestPolicy, ReReviewCause, Review
from workflows.queries.risk import makers_at_stake
from workflows.rules.separation_of_duties import parts_of

RULINGS = (WaiverVerdict.APPROVED, WaiverVerdict.REFUSED)
_EVENTS = {
    WaiverVerdict.APPROVED: Event.WAIVER_APPROVED,
    WaiverVerdict.REFUSED: Event.WAIVER_REFUSED,
    WaiverVerdict.REVOKED: Event.WAIVER_REVOKED,
    WaiverVerdict.EXPIRED: Event.WAIVER_EXPIRED,
}


@dataclass(frozen=True)
class Held:
    """A governed place whose version relied on a waiver: nothing else waives the requirement there."""

    kind: str
    target: str
    version: ModelVersion
    bindings: Sequence[Binding]


@transaction.atomic
def request_waiver(
    *,
    actor: Actor,
    model_name: str,
    version: int | None = None,
    policy: str,
    requirement: str,
    reason: str,
    compensating_control: str,
    expires_at: datetime,
) -> Waiver:
    """Ask that a version, or every version of a model, may miss a requirement of a policy until a time.

    compensating_control: what reduces the risk meanwhile. The policy is read as open requests pin it, else in its newest
    revision. Raises NotFound, Denied; Invalid without reason, control or a sensible end; Conflict where the policy or the
    requirement cannot be waived, and while another of the same kind is undecided.
    """
    model = rows.model(actor, Permission.PROMOTION_REQUEST, model_name, lock=True)
    if actor.user_id is None:
        raise Denied("Only a person or a service account can ask for a waiver.")
    subject = _version(model, version) if version is not None else None
    if not reason.strip():
        raise Invalid("Say why the requirement cannot be met: somebody decides on it.")
    if not compensating_control.strip():
        raise Invalid("Say what reduces the risk while the requirement is missed: a waiver needs a compensating control.")
    rules = _rules(model, subject, policy, requirement)
    now = timezone.now()
    _require_end(rules, expires_at, now)
    same = Waiver.objects.filter(model=model, version=subject, policy=policy, requirement=requirement)
    other = same.filter(rulings__isnull=True, expires_at__gt=now).first()
    if other is not None:
        raise Conflict(
            f"Waiver {other.pk} asks for the same and is undecided; wait for the ruling, or take it back first.",
            code="waiver_undecided",
            waiver=other.pk,
        )
    waiver = Waiver.objects.create(
        model=model,
        version=subject,
        policy=policy,
        requirement=requirement,
        reason=reason.strip(),
        compensating_control=compensating_control.strip(),
        requested_by_id=actor.user_id,
        requested_at=now,
        expires_at=expires_at,
    )
    audit.record(
        actor,
        Event.WAIVER_REQUESTED,
        subject=("waiver", waiver.pk),
        scope=f"model:{model.pk}",
        after={
            **_named(waiver),
            "reason": waiver.reason,
            "compensating_control": waiver.compensating_control,
            "expires_at": expires_at.isoformat(),
        },
    )
    asked = User.objects.filter(is_active=True, is_service=False).exclude(pk=actor.user_id)
    for rule in rules:
        asked = asked.filter(groups__name=rule.approved_by)
    text = f"Waiver {waiver.pk} of {requirement} ({policy}) on {_subject(waiver)} waits for a ruling"
    notifications.tell(asked.distinct().order_by("pk"), None, "waiver", text, _page(waiver))
    wake_model(model.name)
    return waiver


@transaction.atomic
def rule_waiver(*, actor: Actor, waiver_id: int, verdict: str, comment: str) -> WaiverRuling:
    """Approve or refuse a waiver: a person of the group that the policy names, who neither made nor reviews what it helps.

    Raises NotFound; Denied, whoever it is; Conflict once it is ruled on, taken back or past its end, or where the policy no
    longer lets the requirement be waived so long; Invalid without a comment.
    """
    waiver = _locked(actor, waiver_id)
    if verdict not in RULINGS:
        raise Invalid(f"The verdict is one of {', '.join(RULINGS)}.")
    now = timezone.now()
    rules = _rules(waiver.model, waiver.version, waiver.policy, waiver.requirement)
    _require_right_to_rule(actor, waiver, rules)
    _require_undecided(waiver, now)
    if not comment.strip():
        raise Invalid("Say why: the ruling stays on record.")
    if verdict == WaiverVerdict.APPROVED:
        _require_end(rules, waiver.expires_at, now)
    ruling = _rule(actor, waiver, WaiverVerdict(verdict), comment.strip(), now)
    text = f"Waiver {waiver.pk} of {waiver.requirement} ({waiver.policy}) on {_subject(waiver)} was {verdict}: {comment.strip()}"
    notifications.tell([waiver.requested_by], None, "waiver", text, _page(waiver))
    wake_model(waiver.model.name)
    return ruling


@transaction.atomic
def revoke_waiver(*, actor: Actor, waiver_id: int, comment: str) -> WaiverRuling:
    """End a waiver before its time, or take one back that is undecided; its requirement holds again from now on.

    Who may ask for one may, and who may approve one. Raises NotFound, Denied, Conflict when there is nothing to end, Invalid
    without a comment.
    """
    waiver = _locked(actor, waiver_id)
    if not _may_approve(actor, waiver):
        access.require(actor, Permission.PROMOTION_REQUEST, waiver.model)
    now = timezone.now()
    verdicts = _verdicts(waiver)
    if waiver.expires_at <= now or verdicts & {WaiverVerdict.REFUSED, WaiverVerdict.REVOKED}:
        raise Conflict(f"Waiver {waiver_id} is not in force; there is nothing to end.", code="not_in_force")
    if not comment.strip():
        raise Invalid("Say why: the ruling stays on record.")
    held = _relied_on(waiver, now) if WaiverVerdict.APPROVED in verdicts else []
    ruling = _rule(actor, waiver, WaiverVerdict.REVOKED, comment.strip(), now)
    _follow_up(actor, waiver, held, f"was revoked: {comment.strip()}")
    wake_model(waiver.model.name)
    return ruling


@transaction.atomic
def expire_waivers(*, actor: Actor = SYSTEM) -> int:
    """Note the waivers whose time has ended, each once, and see to what stood on them; return how many there were.

    A waiver counts no more from its end on, whenever this is called.
    """
    access.require(actor, Permission.MODEL_WRITE)
    now = timezone.now()
    rows = Waiver.objects.select_for_update(of=("self",), skip_locked=True).select_related(
        "model", "version__model", "requested_by__responsible"
    )
    rows = rows.filter(expires_at__lte=now, rulings__verdict=WaiverVerdict.APPROVED)
    ended = rows.exclude(rulings__verdict__in=[WaiverVerdict.REVOKED, WaiverVerdict.EXPIRED]).order_by("pk")
    count = 0
    for waiver in ended:
        try:
            _rule(actor, waiver, WaiverVerdict.EXPIRED, "", now)
        except Conflict:  # noted by another at the same instant
            continue
        count += 1
        _follow_up(actor, waiver, _relied_on(waiver, now), f"ended on {waiver.expires_at:%Y-%m-%d}")
        text = f"Waiver {waiver.pk} of {waiver.requirement} ({waiver.policy}) on {_subject(waiver)} has ended"
        notifications.tell([waiver.requested_by], None, "waiver", text, _page(waiver))
        wake_model(waiver.model.name)
    return count


def _locked(actor: Actor, waiver_id: int) -> Waiver:
    """Return a waiver with its row locked, so that rulings on it follow one another. Raises NotFound when absent or hidden."""
    rows = Waiver.objects.select_for_update(of=("self",)).select_related("model", "version__model", "requested_by__responsible")
    waiver = rows.filter(pk=waiver_id).first()
    if waiver is None or not access.explain(actor, Permission.MODEL_READ, waiver.model).allowed:
        raise NotFound(f"There is no waiver {waiver_id}, or you may not see it.")
    return waiver


def _version(model: RegisteredModel, number: int) -> ModelVersion:
    found = ModelVersion.objects.select_related("model").filter(model=model, number=number, deleted_at__isnull=True).first()
    if found is None:
        raise NotFound(f"There is no version {number} of {model.name!r}.")
    return found


def _revisions(model: RegisteredModel, version: ModelVersion | None, policy: str) -> list[CompiledPolicy]:
    """Return the texts a waiver would be judged by: those that open requests in its scope pin, or else the newest."""
    pins = RequestPolicy.objects.filter(
        request__model=model,
        request__state__in=OPEN_STATES,
        generation=F("request__generation"),
        revision__policy__name=policy,
    )
    if version is not None:
        pins = pins.filter(request__version=version)
    documents = list(pins.order_by("revision_id").values_list("revision__document", flat=True).distinct())
    if not documents:
        newest = PolicyRevision.objects.filter(policy__name=policy).order_by("-number")
        documents = list(newest.values_list("document", flat=True)[:1])
    if not documents:
        raise NotFound(f"There is no policy {policy!r}.")
    return [compile_policy(document) for document in documents]


def _rules(model: RegisteredModel, version: ModelVersion | None, policy: str, requirement: str) -> list[WaiverRule]:
    """Return what the policy says of waivers, in each text that counts. Raises Conflict where it cannot be waived."""
    rules = []
    for compiled in _revisions(model, version, policy):
        if compiled.waivers is None:
            raise Conflict(f"The policy {policy} has no waivers; its requirements must be met.", code="not_waivable")
        waivable = {item.id: item.waivable for item in compiled.requirements}
        if requirement not in waivable:
            offered = ", ".join(name for name, may in waivable.items() if may) or "none"
            raise Invalid(f"The policy {policy} has no requirement {requirement!r} to waive; it has {offered}.")
        if not waivable[requirement]:
            raise Conflict(f"The policy {policy} does not let {requirement} be waived; it must be met.", code="not_waivable")
        rules.append(compiled.waivers)
    return rules


def _require_end(rules: Sequence[WaiverRule], expires_at: datetime, now: datetime) -> None:
    if expires_at <= now:
        raise Invalid("A waiver ends in the future.")
    days = min(rule.max_days for rule in rules)
    if expires_at > now + timedelta(days=days):
        raise Invalid(f"The policy lets a waiver last {days} days at most; ask for an earlier end.", max_days=days)


def _require_right_to_rule(actor: Actor, waiver: Waiver, rules: Sequence[WaiverRule]) -> None:
    """Raise Denied for anybody but a person of the policy's group with no interest in the outcome; nobody is exempt."""
    groups = sorted({rule.approved_by for rule in rules} - actor.roles)
    if groups:
        raise Denied(f"Waivers of {waiver.policy} are ruled on by {', '.join(groups)}, and you are not of it.", code="not_asked")
    if actor.user_id is None or User.objects.filter(pk=actor.user_id, is_service=True).exists():
        raise Denied("Only a person can rule on a waiver.")
    asked = waiver.requested_by
    parts = []
    if asked.pk == actor.user_id:
        parts.append("you asked for it")
    elif asked.responsible_id == actor.user_id:
        parts.append(f"you answer for {asked.username}, who asked for it")
    parts += parts_of(actor.username, makers_at_stake(waiver.model, waiver.version))
    parts += _reviewed(actor, waiver)
    if parts:
        raise Denied(
            f"You cannot rule on waiver {waiver.pk}: {'; '.join(parts)}. Someone who had no part in it must.",
            code="separation_of_duties",
        )


def _reviewed(actor: Actor, waiver: Waiver) -> list[str]:
    """Return which open requests that the waiver would help the actor has reviewed, or another in their place.

    The requests are locked, so that no review slips in before the ruling is written. A review that is stale may count again,
    so it bars as well; who abstained since does not.
    """
    rows = PromotionRequest.objects.select_for_update().filter(model=waiver.model, state__in=OPEN_STATES)
    if waiver.version_id is not None:
        rows = rows.filter(version_id=waiver.version_id)
    requests = {request.pk: request for request in rows.order_by("pk")}
    pinning = RequestPolicy.objects.filter(
        request__in=list(requests), generation=F("request__generation"), revision__policy__name=waiver.policy
    )
    given = Review.objects.filter(request__in=pinning.values("request")).order_by("pk")
    mine = given.filter(Q(reviewer_id=actor.user_id) | Q(delegation__delegator_id=actor.user_id))
    latest = {(review.request_id, review.reviewer_id): review for review in mine}
    reviewed = sorted({request_id for (request_id, _), review in latest.items() if review.verdict != "abstain"})
    return [f"you reviewed {requests[request_id].reference}, which it helps" for request_id in reviewed]


def _may_approve(actor: Actor, waiver: Waiver) -> bool:
    policies = _revisions(waiver.model, waiver.version, waiver.policy)
    return any(policy.waivers is not None and policy.waivers.approved_by in actor.roles for policy in policies)


def _verdicts(waiver: Waiver) -> set[str]:
    return set(waiver.rulings.values_list("verdict", flat=True))


def _require_undecided(waiver: Waiver, now: datetime) -> None:
    verdicts = _verdicts(waiver)
    if verdicts:
        raise Conflict(f"Waiver {waiver.pk} was {' and '.join(sorted(verdicts))}; it takes no other ruling.", code="ruled")
    if waiver.expires_at <= now:
        raise Conflict(f"Waiver {waiver.pk} has ended before it was ruled on; ask for another.", code="waiver_ended")


def _rule(actor: Actor, waiver: Waiver, verdict: WaiverVerdict, comment: str, now: datetime) -> WaiverRuling:
    try:
        with transaction.atomic():
            ruling = WaiverRuling.objects.create(
                waiver=waiver, verdict=verdict, ruled_by_id=actor.user_id, comment=comment, ruled_at=now
            )
    except IntegrityError:
        raise Conflict(f"Waiver {waiver.pk} was ruled on by someone else just now; look again.", code="ruled") from None
    audit.record(
        actor,
        _EVENTS[verdict],
        subject=("waiver", waiver.pk),
        scope=f"model:{waiver.model_id}",
        after={**_named(waiver), "verdict": verdict.value, "comment": comment, "expires_at": waiver.expires_at.isoformat()},
    )
    return ruling


def _relied_on(waiver: Waiver, now: datetime) -> list[Held]:
    """Return the governed places whose version the waiver's requirement guards now, where no other waiver covers it."""
    places = []
    for kind, target, bindings in governed_places(waiver.model, waiver.version):
        held = waiver.version or holder(waiver.model, target_kind=kind, target=target)
        if held is None or waiver.policy not in {binding.policy.name for binding in bindings}:
            continue
        others = [fact for fact in risk.waiver_facts(held, now) if fact.id != waiver.pk]
        if any((fact.policy, fact.requirement) == (waiver.policy, waiver.requirement) for fact in others):
            continue
        places.append(Held(kind, target, held, bindings))
    return places


def _follow_up(actor: Actor, waiver: Waiver, places: Sequence[Held], how: str) -> None:
    """Ask for what the end of a waiver asks for: a re-review where the policy wants one, a finding where something is missed."""
    unmet: dict[str, ModelVersion] = {}
    for place in places:
        verdict = foresee(place.version, target_kind=place.kind, target=place.target, bindings=place.bindings).verdict
        for result in verdict.blocking:
            if (result.policy, result.id) == (waiver.policy, waiver.requirement):
                unmet[f"{place.version} holds {place.kind} {place.target}: {result.reason}"] = place.version
    detail = f"waiver {waiver.pk} of {waiver.requirement} ({waiver.policy}) {how}"
    for version in {place.version.pk: place.version for place in places}.values():
        open_re_reviews(actor=actor, model=waiver.model, cause=ReReviewCause.WAIVER_EXPIRED, detail=detail, version=version)
    if unmet:
        note_finding(
            actor=actor,
            version=next(iter(unmet.values())),
            source=FindingSource.WAIVER,
            key=f"waiver:{waiver.pk}",
            title=f"{waiver.requirement} of {waiver.policy} is missed and no longer waived",
            severity=Severity.HIGH,
            description="\n".join([f"W{detail[1:]}.", *unmet, f"What reduced the risk: {waiver.compensating_control}"]),
            comment=detail,
            owner=waiver.requested_by,
        )


def _named(waiver: Waiver) -> dict[str, object]:
    return {
        "model": waiver.model.name,
        "version": waiver.version.number if waiver.version else None,
        "policy": waiver.policy,
        "requirement": waiver.requirement,
    }


def _subject(waiver: Waiver) -> str:
    return str(waiver.version or waiver.model.name)


def _page(waiver: Waiver) -> str:
    return f"/models/{waiver.model.name}/"
