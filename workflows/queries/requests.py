"""Requests as pages and the API read them: frozen, complete, limited to what the actor may see."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, TypeVar

import msgspec
from django.db.models import Q, QuerySet
from django.utils import timezone

from core import access
from core.access import Actor, Permission
from core.errors import NotFound
from core.models import AuditEvent, User
from governance import queries as governance_queries
from governance.bindings import bindings_for
from governance.facts import Facts, ReviewFact, VersionFacts
from governance.gate import Verdict
from governance.models import BindingMode, Decision
from governance.queries import CheckRunRow
from registry.identity import is_address
from registry.models import ModelVersion
from tracking.models import Param
from workflows.assessment import Assessment, assess, foresee, pin_of
from workflows.models import (
    OPEN_STATES,
    Delegation,
    Notification,
    PromotionRequest,
    RequestCheck,
    RequestPolicy,
    Review,
    Signature,
)
from workflows.reviewers import REVIEW_ROLES
from workflows.rules.eligibility import obstacle
from workflows.rules.separation_of_duties import parts_of
from workflows.rules.snapshot import Change

T = TypeVar("T")


@dataclass(frozen=True)
class RequestRow:
    """A promotion request in a list.

    subject_digest: of what is decided on: ``sha256:`` of the content, or ``source:`` of where it lies. address: that place,
    empty where the content is kept here.
    """

    id: int
    reference: str
    model: str
    version: int
    risk_tier: str
    target_kind: str
    target: str
    from_stage: str
    champion: int | None
    state: str
    reason: str
    requested_by: str
    requested_by_name: str
    created_at: datetime
    updated_at: datetime
    closed_at: datetime | None
    expires_at: datetime | None
    subject_digest: str
    address: str
    archive_existing: bool
    failure: str
    kind: str
    hold: str
    valid_until: datetime | None

    @property
    def is_open(self) -> bool:
        return self.state in OPEN_STATES


@dataclass(frozen=True)
class ReviewRow:
    """A review as given; of a person's reviews the latest counts, if it is on the evidence as it is."""

    id: int
    reviewer: str
    reviewer_name: str
    verdict: str
    comment: str
    evidence_digest: str
    created_at: datetime
    is_latest: bool
    counts: bool
    why_not: str
    on_behalf_of: str
    groups: list[str]
    note: str
    changes: list[Change]
    signature: SignatureRow | None


@dataclass(frozen=True)
class SignatureRow:
    """An electronic signature: the printed name, when, and what it means, with the exact statement."""

    printed_name: str
    signed_at: datetime
    meaning: str
    statement: str
    statement_digest: str


@dataclass(frozen=True)
class Eligibility:
    """Whether a person may decide on a request now, and every reason why not."""

    username: str
    display_name: str
    eligible: bool
    reasons: list[str]


@dataclass(frozen=True)
class CheckLink:
    role: str  # candidate | champion
    run: CheckRunRow


@dataclass(frozen=True)
class TimelineEntry:
    """One audit event of a request, in the words of the ledger."""

    at: datetime
    action: str
    actor: str
    after: Mapping[str, Any]
    before: Mapping[str, Any]


@dataclass(frozen=True)
class DecisionRow:
    """What a gate found when the request was approved or carried out."""

    id: str
    purpose: str
    outcome: str
    policies: list[dict[str, Any]]
    facts_digest: str
    verdict_digest: str
    decided_at: datetime


@dataclass(frozen=True)
class PinRow:
    binding: str
    policy: str
    revision: int
    digest: str
    parameters: Mapping[str, Any]
    mode: str


@dataclass(frozen=True)
class RequestPage:
    """All that a person needs to decide on one page."""

    request: RequestRow
    verdict: Verdict
    candidate: VersionFacts
    champion: VersionFacts
    candidate_params: dict[str, str]
    champion_params: dict[str, str]
    policies: list[PinRow]
    checks: list[CheckLink]
    reviews: list[ReviewRow]
    people: list[Eligibility]
    me: Eligibility
    may_withdraw: bool
    may_execute: bool
    may_resubmit: bool
    may_submit: bool
    may_rebase: bool
    signature_meanings: list[str]
    standing_in_for: list[str]
    evidence_digest: str
    timeline: list[TimelineEntry]
    decisions: list[DecisionRow]


@dataclass(frozen=True)
class Inbox:
    """What waits on the actor, what they asked for, and what was said to them."""

    waiting_on_me: list[RequestRow]
    mine: list[RequestRow]
    others: list[RequestRow]
    notifications: list[NotificationRow]


@dataclass(frozen=True)
class NotificationRow:
    request: int | None
    kind: str
    text: str
    created_at: datetime
    read: bool


def requests(
    actor: Actor, *, model: str = "", version: int | None = None, state: str = "", requested_by: str = ""
) -> QuerySet[PromotionRequest]:
    """Return the requests the actor may see, newest first, for lists that page; state may be ``open``."""
    rows = PromotionRequest.objects.select_related("model", "version", "champion", "requested_by").order_by("-created_at", "-pk")
    if model:
        rows = rows.filter(model__name=model)
    if version is not None:
        rows = rows.filter(version__number=version)
    if state:
        rows = rows.filter(state__in=OPEN_STATES) if state == "open" else rows.filter(state=state)
    if requested_by:
        rows = rows.filter(requested_by__username=requested_by)
    return access.visible(actor, rows, Permission.MODEL_READ, "model")


def request_row(row: PromotionRequest) -> RequestRow:
    """Return a request for a list; model, version, champion and requester must be loaded."""
    return RequestRow(
        id=row.pk,
        reference=row.reference,
        model=row.model.name,
        version=row.version.number,
        risk_tier=row.model.risk_tier,
        target_kind=row.target_kind,
        target=row.target,
        from_stage=row.from_stage,
        champion=row.champion.number if row.champion else None,
        state=row.state,
        reason=row.reason,
        requested_by=row.requested_by.username,
        requested_by_name=row.requested_by.display_name,
        created_at=row.created_at,
        updated_at=row.updated_at,
        closed_at=row.closed_at,
        expires_at=row.expires_at,
        subject_digest=row.subject_digest,
        address=row.version.source if is_address(row.subject_digest) else "",
        archive_existing=row.archive_existing,
        failure=row.failure,
        kind=row.kind,
        hold=row.hold,
        valid_until=row.valid_until,
    )


def inbox(actor: Actor, *, limit: int = 100) -> Inbox:
    """Return the actor's inbox in a constant number of statements: the oldest that wait on them first."""
    waiting: list[RequestRow] = []
    if actor.grants(Permission.PROMOTION_REVIEW):
        decided = Review.objects.filter(reviewer_id=actor.user_id).values("request_id")
        rows = requests(actor).filter(state="in_review").exclude(requested_by_id=actor.user_id)
        rows = rows.exclude(version__created_by_id=actor.user_id).exclude(pk__in=decided)
        waiting = [request_row(row) for row in rows.order_by("created_at", "pk")[:limit]]
    mine = [request_row(row) for row in requests(actor).filter(requested_by_id=actor.user_id)[:limit]]
    seen = [row.id for row in waiting]
    others = requests(actor).filter(state__in=OPEN_STATES).exclude(requested_by_id=actor.user_id).exclude(pk__in=seen)[:limit]
    notes = Notification.objects.filter(user_id=actor.user_id or 0).order_by("-created_at", "-pk")[:20]
    return Inbox(
        waiting,
        mine,
        [request_row(row) for row in others],
        [NotificationRow(n.request_id, n.kind, n.text, n.created_at, n.read_at is not None) for n in notes],
    )


def waiting_count(actor: Actor) -> int:
    """Return how many requests wait on the actor's review."""
    if not actor.grants(Permission.PROMOTION_REVIEW):
        return 0
    decided = Review.objects.filter(reviewer_id=actor.user_id).values("request_id")
    rows = requests(actor).filter(state="in_review").exclude(requested_by_id=actor.user_id)
    return int(rows.exclude(version__created_by_id=actor.user_id).exclude(pk__in=decided).count())


def request_page(actor: Actor, request_id: int) -> RequestPage:
    """Return a request with its evidence, reviews and people. Raises NotFound when absent or hidden."""
    row = _request(actor, request_id)
    assessment = assess(row)
    people = _people(assessment)
    me = _eligibility(actor.username, actor.display_name, actor.roles, assessment, row.state, is_service=bool(actor.responsible))
    runs = {run.id: run for run in governance_queries.detailed(_runs(actor, assessment))}
    owns = row.requested_by_id == actor.user_id
    manages = owns or access.explain(actor, Permission.MODEL_MANAGE, row.model).allowed
    may_ask = access.explain(actor, Permission.PROMOTION_REQUEST, row.model).allowed
    params = _params([v for v in (row.version, row.champion) if v is not None])
    run_ids = [str(link.run_id) for link in assessment.checks]
    page = RequestPage(
        request=request_row(row),
        verdict=assessment.verdict,
        candidate=assessment.facts.version,
        champion=assessment.facts.champion,
        candidate_params=params.get(row.version.run_id, {}),
        champion_params=params.get(row.champion.run_id, {}) if row.champion else {},
        policies=[PinRow(p.binding, p.policy, p.revision, p.digest, p.parameters, p.mode) for p in assessment.pins],
        checks=[CheckLink(link.role, runs[link.run_id]) for link in assessment.checks if link.run_id in runs],
        reviews=_review_rows(
            list(_reviews_of([row.pk])),
            {r.reviewer: r for r in assessment.facts.reviews},
            {s.review.reviewer: list(s.changes) for s in assessment.standings},
        ),
        people=people,
        me=me,
        may_withdraw=row.state in OPEN_STATES and manages,
        may_execute=row.state == "approved" and may_ask,
        may_resubmit=row.state == "changes_requested" and may_ask,
        may_submit=row.state == "draft" and manages,
        may_rebase=row.state in OPEN_STATES and row.state != "executing" and may_ask and _outdated(row, assessment),
        signature_meanings=list(assessment.signature_meanings),
        standing_in_for=_standing_in_for(actor),
        evidence_digest=assessment.evidence_digest,
        timeline=_entries(_events([row.pk], run_ids), row.pk, set(run_ids)),
        decisions=decisions(row.pk),
    )
    return page if sees_trials(actor) else _without_trials(page)


def sees_trials(actor: Actor) -> bool:
    """Return whether the actor may see what policies on trial find: those who govern, lest others take it for a judgement."""
    return actor.grants(Permission.AUDIT_READ)


def _without_trials(page: RequestPage) -> RequestPage:
    """Return a page as if no policy were on trial. An event names revisions as ``policy v2``."""
    pins = [pin for pin in page.policies if pin.mode != BindingMode.SHADOW]
    hidden = {pin.policy for pin in page.policies} - {pin.policy for pin in pins}

    def named(event: TimelineEntry) -> TimelineEntry:
        policies = event.after.get("policies")
        if not policies or not hidden:
            return event
        return replace(
            event, after={**event.after, "policies": [p for p in policies if str(p).rpartition(" v")[0] not in hidden]}
        )

    found = tuple(result for result in page.verdict.requirements if result.mode != BindingMode.SHADOW)
    made = [replace(each, policies=[p for p in each.policies if p.get("mode") != BindingMode.SHADOW]) for each in page.decisions]
    return replace(
        page,
        policies=pins,
        verdict=msgspec.structs.replace(page.verdict, requirements=found),
        timeline=[named(event) for event in page.timeline],
        decisions=made,
    )


def eligibility(actor: Actor, request_id: int, username: str) -> Eligibility:
    """Say whether an account may decide on a request now, and every reason why not. Raises NotFound."""
    row = _request(actor, request_id)
    user = User.objects.filter(username=username, is_active=True).first()
    if user is None:
        raise NotFound(f"There is no account {username!r}.")
    roles = frozenset(user.groups.values_list("name", flat=True))
    return _eligibility(user.username, user.display_name, roles, assess(row), row.state, is_service=user.is_service)


def outlook(actor: Actor, version: ModelVersion, *, target_kind: str = "stage", target: str = "Production") -> Verdict | None:
    """Return what stands between a version and a place, from the evidence there is; None where nothing guards it."""
    bindings = bindings_for(version.model, kind=target_kind, target=target)
    return foresee(version, target_kind=target_kind, target=target, bindings=bindings).verdict if bindings else None


def decisions(request_id: int) -> list[DecisionRow]:
    """Return what the gate found for a request, oldest first."""
    return [_decision(d) for d in Decision.objects.filter(request_id=request_id).order_by("decided_at")]


@dataclass(frozen=True)
class DecisionHistory:
    """Everything that was decided about one version: an auditor's answer to who, when and on which evidence."""

    request: RequestRow
    policies: list[PinRow]
    reviews: list[ReviewRow]
    checks: list[dict[str, Any]]
    decisions: list[DecisionRow]
    timeline: list[TimelineEntry]


def decision_history(actor: Actor, model: str, version: int) -> list[DecisionHistory]:
    """Return the requests for a version with their reviews, evidence digests, decisions and events, oldest first.

    Whether a review counts is told as the gate saw it when it decided. A constant number of statements.
    """
    rows = list(requests(actor, model=model, version=version).order_by("created_at", "pk"))
    ids = [row.pk for row in rows]
    pins = _grouped(
        RequestPolicy.objects.filter(request__in=ids).select_related("binding", "revision__policy").order_by("pk"),
        lambda p: PinRow(
            p.binding.name if p.binding else "",
            p.revision.policy.name,
            p.revision.number,
            p.revision.digest,
            p.parameters,
            p.mode,
        ),
    )
    links = list(RequestCheck.objects.filter(request__in=ids).select_related("run").order_by("pk"))
    checks = _grouped(links, lambda link: link)
    reviews = _grouped(_reviews_of(ids), lambda r: r)
    made = list(Decision.objects.filter(request_id__in=ids).order_by("decided_at"))
    events = _events(ids, [str(link.run_id) for link in links])
    return [
        DecisionHistory(
            request=request_row(row),
            policies=pins.get(row.pk, []),
            reviews=_review_rows(reviews.get(row.pk, []), _seen_by_the_gate([d for d in made if d.request_id == row.pk]), {}),
            checks=[_evidence(link) for link in checks.get(row.pk, [])],
            decisions=[_decision(d) for d in made if d.request_id == row.pk],
            timeline=_entries(events, row.pk, {str(link.run_id) for link in checks.get(row.pk, [])}),
        )
        for row in rows
    ]


def _grouped(rows: Iterable[Any], shown: Callable[[Any], T]) -> dict[int, list[T]]:
    groups: dict[int, list[T]] = {}
    for row in rows:
        groups.setdefault(row.request_id, []).append(shown(row))
    return groups


def _seen_by_the_gate(made: list[Decision]) -> dict[str, ReviewFact]:
    if not made:
        return {}
    return {review.reviewer: review for review in msgspec.json.decode(made[-1].facts, type=Facts).reviews}


def _evidence(link: RequestCheck) -> dict[str, Any]:
    return {
        "role": link.role,
        "run": str(link.run_id),
        "check": link.run.check_name,
        "state": link.run.state,
        "inputs_digest": link.run.inputs_digest,
        "result_digest": link.run.result_digest,
    }


def _decision(d: Decision) -> DecisionRow:
    return DecisionRow(str(d.pk), d.purpose, d.outcome, d.policies, d.facts_digest, d.verdict_digest, d.decided_at)


def verdict_json(verdict: Verdict) -> dict[str, Any]:
    """Return a verdict as plain JSON."""
    return dict(msgspec.to_builtins(verdict))


def _request(actor: Actor, request_id: int) -> PromotionRequest:
    rows = PromotionRequest.objects.select_related(
        "model", "version__model", "version__created_by__responsible", "requested_by__responsible", "champion__model"
    ).select_related("champion__created_by")
    found = access.visible(actor, rows, Permission.MODEL_READ, "model").filter(pk=request_id).first()
    if found is None:
        raise NotFound(f"There is no promotion request {request_id}, or you may not see it.")
    return found


def _runs(actor: Actor, assessment: Assessment) -> Any:
    return governance_queries.check_runs(actor).filter(pk__in=[link.run_id for link in assessment.checks])


def _reviews_of(request_ids: list[int]) -> QuerySet[Review]:
    rows = Review.objects.filter(request__in=request_ids).select_related("reviewer", "delegation__delegator", "signature")
    return rows.order_by("pk")


def _outdated(row: PromotionRequest, assessment: Assessment) -> bool:
    """Return whether other policies hold for the target now than the request pinned."""
    bindings = bindings_for(row.model, kind=row.target_kind, target=row.target, modes=tuple(BindingMode.values))
    pinned = [pin.reference() for pin in assessment.pins if pin.binding]
    return pinned != [pin_of(binding).reference() for binding in bindings]


def _standing_in_for(actor: Actor) -> list[str]:
    now = timezone.now()
    rows = Delegation.objects.filter(delegate_id=actor.user_id or 0, revoked_at=None, starts_at__lte=now, ends_at__gt=now)
    return sorted(rows.values_list("delegator__username", flat=True).distinct())


def _eligibility(
    username: str, display_name: str, roles: frozenset[str], assessment: Assessment, state: str, *, is_service: bool
) -> Eligibility:
    reasons = [part.replace("you ", f"{username} ", 1) for part in parts_of(username, assessment.makers)]
    if not reasons and username in assessment.barred:
        reasons.append(f"{username} {assessment.barred[username]}")
    if not roles & set(REVIEW_ROLES):
        reasons.append(f"{username} does not hold a role that may review ({', '.join(REVIEW_ROLES)})")
    if is_service:
        reasons.append(f"{username} is a service account; a person must decide")
    if found := obstacle(username, roles, assessment.verdict):
        reasons.append(found.reason)
    if state != "in_review":
        reasons.append(f"the request is {state.replace('_', ' ')}, not in review")
    return Eligibility(username, display_name, not reasons, reasons)


def _people(assessment: Assessment) -> list[Eligibility]:
    """Return who could decide, from the facts of the gate, and who may not because of the part they had."""
    names = {p.username for p in assessment.facts.people} | set(assessment.barred)
    shown = {u.username: u.display_name for u in User.objects.filter(username__in=names)}
    found = [Eligibility(p.username, shown.get(p.username, p.username), True, []) for p in assessment.facts.people]
    return found + [
        Eligibility(name, shown.get(name, name), False, [f"{name} {part}"]) for name, part in assessment.barred.items()
    ]


def _review_rows(given: list[Review], facts: Mapping[str, ReviewFact], changes: Mapping[str, list[Change]]) -> list[ReviewRow]:
    latest = {review.reviewer_id: review.pk for review in given}
    return [
        _review_row(
            review,
            latest[review.reviewer_id] == review.pk,
            facts.get(review.reviewer.username),
            changes.get(review.reviewer.username, []),
        )
        for review in given
    ]


def _review_row(review: Review, is_latest: bool, fact: ReviewFact | None, changes: list[Change]) -> ReviewRow:
    counts = is_latest and fact is not None and fact.counts
    why_not = ""
    if not is_latest:
        why_not = "a later review of the same person replaced it"
    elif not counts:
        why_not = fact.why_not if fact is not None else "no decision was made on it"
    return ReviewRow(
        id=review.pk,
        reviewer=review.reviewer.username,
        reviewer_name=review.reviewer.display_name,
        verdict=review.verdict,
        comment=review.comment,
        evidence_digest=review.evidence_digest,
        created_at=review.created_at,
        is_latest=is_latest,
        counts=counts,
        why_not=why_not,
        on_behalf_of=review.delegation.delegator.username if review.delegation else "",
        groups=list(review.groups),
        note=fact.note if counts and fact is not None else "",
        changes=changes if is_latest else [],
        signature=_signature(review),
    )


def _signature(review: Review) -> SignatureRow | None:
    given: Signature | None = getattr(review, "signature", None)
    if given is None:
        return None
    return SignatureRow(given.printed_name, given.signed_at, given.meaning, given.statement, given.statement_digest)


def _params(versions: list[ModelVersion]) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for run_id, key, value in Param.objects.filter(run_id__in=[v.run_id for v in versions if v.run_id]).values_list(
        "run_id", "key", "value"
    ):
        found.setdefault(run_id, {})[key] = value
    return found


def _events(request_ids: list[int], run_ids: list[str]) -> list[AuditEvent]:
    return list(
        AuditEvent.objects.filter(
            Q(subject_type="promotion_request", subject_id__in=[str(pk) for pk in request_ids])
            | Q(subject_type="check_run", subject_id__in=run_ids)
        ).order_by("id")[:2000]
    )


def _entries(events: list[AuditEvent], request_id: int, run_ids: set[str]) -> list[TimelineEntry]:
    own = {("promotion_request", str(request_id)), *(("check_run", run) for run in run_ids)}
    found = []
    for event in events:
        if (event.subject_type, event.subject_id) in own:
            body = json.loads(event.body)
            found.append(
                TimelineEntry(event.occurred_at, event.action, event.actor, body.get("after") or {}, body.get("before") or {})
            )
    return found
