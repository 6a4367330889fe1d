"""Where a request stands: facts from the database, the gate's verdict on them, and who may still decide."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import msgspec
from django.utils import timezone

from core.canonical import canonical, digest, text_digest
from governance import gate
from governance.bindings import bindings_for
from governance.evidence import NO_CARD, Evidence
from governance.facts import (
    REPORTED,
    CalendarFacts,
    EvidenceFacts,
    Facts,
    ModelFacts,
    RequestFacts,
    UnaskedFact,
    VersionFacts,
    WaiverFact,
)
from governance.gate import PinnedPolicy, Verdict, judge
from governance.models import (
    MEASURED,
    Binding,
    BindingMode,
    CheckRun,
    Decision,
    DecisionPurpose,
    EvidenceSnapshot,
    PolicyRevision,
)
from governance.policy import CompiledPolicy, compile_policy
from governance.risk import open_finding_facts, waiver_facts, waiver_hands
from registry.identity import decided_on
from registry.models import AliasAssignment, ModelVersion, RegisteredModel, StageAssignment
from workflows import discussions, emergencies, reviewers
from workflows.makers import makers_of
from workflows.models import PromotionRequest, RequestCheck, RequestKind, Review
from workflows.relied_on import Runs, of_role, relied_on
from workflows.rollbacks import earlier_request
from workflows.rules import snapshot
from workflows.rules.counting import Circumstances, GivenReview, Standing, counted
from workflows.rules.separation_of_duties import Maker, as_mapping


@dataclass(frozen=True)
class Pin:
    """A policy revision with the binding, mode and parameters it was pinned with."""

    binding: str  # empty where no binding guards the target
    policy: str
    revision: int
    digest: str
    document: str
    parameters: Mapping[str, Any]
    mode: str = BindingMode.ENFORCE
    author: str = ""
    row: int = 0  # of the request that pinned it

    @property
    def key(self) -> str:
        """Return how facts call it."""
        return self.binding or self.policy

    @cached_property
    def compiled(self) -> CompiledPolicy:
        return compile_policy(self.document)

    def reference(self) -> dict[str, Any]:
        """Return what identifies it in decisions and digests."""
        return {
            "binding": self.binding,
            "policy": self.policy,
            "revision": self.revision,
            "digest": self.digest,
            "parameters": dict(self.parameters),
            "mode": self.mode,
        }


@dataclass(frozen=True)
class Assessment:
    """Facts and verdict of one moment. parts: what a reviewer decides on, part by part. barred: who may not, and why."""

    facts: Facts
    verdict: Verdict
    pins: tuple[Pin, ...]
    makers: tuple[Maker, ...]
    barred: Mapping[str, str]
    checks: tuple[RequestCheck, ...]
    parts: snapshot.Parts
    standings: tuple[Standing, ...]

    @property
    def evidence_digest(self) -> str:
        return self.facts.evidence_digest

    @property
    def unfinished(self) -> list[CheckRun]:
        return [check.run for check in self.checks if check.run.state in gate.RUNNING_STATES]

    @property
    def outdated(self) -> list[RequestCheck]:
        """The checks that read a card which has changed since."""
        now = {"candidate": self.facts.version.card_digest, "champion": self.facts.champion.card_digest}
        return [check for check in self.checks if check.run.card_digest not in ("", now[check.role] or NO_CARD)]

    @property
    def awaited(self) -> list[str]:
        """The checks that policies which can block take from elsewhere and that nobody has reported yet."""
        blocking = [pin for pin in self.pins if pin.mode == BindingMode.ENFORCE]
        return [name for pin in blocking for name in gate.awaited(pin.compiled, self.facts.seen_by(pin.key))]

    @property
    def pinned(self) -> list[PinnedPolicy]:
        """The policies as the gate takes them."""
        return _compiled(self.pins)

    @property
    def enforced(self) -> list[CompiledPolicy]:
        """The policies that can block."""
        return [pin.compiled for pin in self.pins if pin.mode == BindingMode.ENFORCE]

    @property
    def signature_meanings(self) -> tuple[str, ...]:
        """What a signature may mean here; empty where no policy asks for one."""
        return tuple(dict.fromkeys(meaning for policy in self.enforced for meaning in policy.signature_meanings))


def assess(request: PromotionRequest) -> Assessment:
    """Return where a request stands now, in a constant number of statements."""
    now = timezone.now()
    pins = pins_of(request)
    version, champion = request.version, request.champion
    checks = tuple(request.checks.select_related("run").order_by("pk"))
    counting = relied_on(request, [pin.row for pin in pins], checks)
    gathered = Evidence([v for v in (version, champion) if v is not None], counting.all())

    def seen(runs: Runs) -> EvidenceFacts:
        beside = gathered.facts(champion, of_role(runs, "champion")) if champion is not None else VersionFacts()
        return EvidenceFacts(gathered.facts(version, of_role(runs, "candidate")), beside)

    together = seen(counting.together)
    own, other = together.version, together.champion
    apart = {pin.key: seen(counting.apart[pin.row]) for pin in pins if pin.row in counting.apart}
    policies = frozenset(pin.policy for pin in pins)
    makers = makers_of(version, requested_by=request.requested_by, request=request.pk)
    waivers = _waivers(version, policies, makers, now)
    findings = open_finding_facts(request.model, now)
    references = [pin.reference() for pin in pins]
    parts = snapshot.parts(
        own,
        other,
        content=decided_on(version),
        policies=references,
        waivers=waivers,
        open_findings=findings,
        apart=apart,
    )
    barred = {**(waiver_hands(version, now, policies) if waivers else {}), **as_mapping(makers)}
    standings = _standings(request, pins, parts, barred)
    facts = Facts(
        request=_request_facts(request, parts),
        model=_model(request.model),
        version=own,
        champion=other,
        reviews=tuple(standing.fact for standing in standings),
        evidence_digest=digest(dict(parts)),
        waivers=waivers,
        open_findings=findings,
        calendar=_calendar(now),
        discussion=discussions.facts(request),
        people=reviewers.people_in(_groups(pins), barred=barred, model=request.model),
        authors={pin.binding: pin.author for pin in pins if pin.author},
        unasked=_unasked(request, pins),
        apart=apart,
    )
    return Assessment(facts, judge(_compiled(pins), facts), pins, makers, barred, checks, parts, standings)


def _unasked(request: PromotionRequest, pins: Sequence[Pin]) -> tuple[UnaskedFact, ...]:
    """Return what guards the target now and is not asked: a policy is followed from its binding on, an older request or not."""
    asked = {(pin.binding, pin.policy) for pin in pins if pin.mode == BindingMode.ENFORCE}
    guards = bindings_for(request.model, kind=request.target_kind, target=request.target)
    return tuple(UnaskedFact(b.name, b.policy.name) for b in guards if (b.name, b.policy.name) not in asked)


def with_reviews(request: PromotionRequest, seen: Assessment) -> Assessment:
    """Return an assessment of this transaction judged again with the reviews that the request has now.

    The rest stays as it was seen: a review counts for that, and what another transaction changes meanwhile wakes the request.
    """
    standings = _standings(request, seen.pins, seen.parts, seen.barred)
    facts = msgspec.structs.replace(seen.facts, reviews=tuple(standing.fact for standing in standings))
    return replace(seen, facts=facts, verdict=judge(seen.pinned, facts), standings=standings)


def foresee(version: ModelVersion, *, target_kind: str, target: str, bindings: Sequence[Binding]) -> Assessment:
    """Return what a request would find today, from the evidence that is there: what stands between a version and its target."""
    now = timezone.now()
    pins = tuple(pin_of(binding) for binding in bindings)
    champion = holder(version.model, target_kind=target_kind, target=target)
    versions = [version] + ([champion] if champion is not None and champion.pk != version.pk else [])
    runs: dict[int, dict[tuple[str, str], CheckRun]] = {v.pk: {} for v in versions}
    elsewhere = {check.check for pin in pins for check in pin.compiled.checks if check.source == REPORTED}
    for run in CheckRun.objects.filter(version__in=versions, state__in=MEASURED).order_by("finished_at"):
        if run.source != REPORTED or run.check_name in elsewhere:
            runs[run.version_id][run.check_name, run.source] = run
    gathered = Evidence(versions, [run for by_name in runs.values() for run in by_name.values()])
    facts_of = {v.pk: gathered.facts(v, runs[v.pk].values()) for v in versions}
    own = facts_of[version.pk]
    other = facts_of[champion.pk] if champion is not None and champion.pk != version.pk else VersionFacts()
    makers = makers_of(version, requested_by=None)
    waivers = _waivers(version, frozenset(pin.policy for pin in pins), makers, now)
    findings = open_finding_facts(version.model, now)
    references = [pin.reference() for pin in pins]
    parts = snapshot.parts(own, other, content=decided_on(version), policies=references, waivers=waivers, open_findings=findings)
    barred = as_mapping(makers)
    facts = Facts(
        request=RequestFacts(0, "", target_kind, target, ""),
        model=_model(version.model),
        version=own,
        champion=other,
        evidence_digest=digest(dict(parts)),
        waivers=waivers,
        open_findings=findings,
        calendar=_calendar(now),
        people=reviewers.people_in(_groups(pins), barred=barred, model=version.model),
        authors={pin.binding: pin.author for pin in pins if pin.author},
    )
    return Assessment(facts, judge(_compiled(pins), facts), pins, makers, barred, (), parts, ())


def pins_of(request: PromotionRequest) -> tuple[Pin, ...]:
    """Return the policies that hold for a request; one statement."""
    rows = request.policies.filter(generation=request.generation)
    return tuple(
        Pin(
            row.binding.name if row.binding else "",
            row.revision.policy.name,
            row.revision.number,
            row.revision.digest,
            row.revision.document,
            row.parameters,
            row.mode,
            row.revision.published_by.username if row.revision.published_by else "",
            row.pk,
        )
        for row in rows.select_related("binding", "revision__policy", "revision__published_by").order_by("pk")
    )


def pin_of(binding: Binding) -> Pin:
    """Return a binding's policy as a request opened now would pin it: the newest revision."""
    rows = PolicyRevision.objects.filter(policy_id=binding.policy_id).select_related("published_by")
    revision = rows.order_by("-number").first()
    if revision is None:
        raise LookupError(f"the binding {binding.name} has a policy without a revision")
    return Pin(
        binding.name,
        binding.policy.name,
        revision.number,
        revision.digest,
        revision.document,
        binding.parameters,
        binding.mode,
        revision.published_by.username if revision.published_by else "",
    )


def holder(model: RegisteredModel, *, target_kind: str, target: str) -> ModelVersion | None:
    """Return the version that holds a stage or alias now; of several in one stage, the latest to arrive.

    While an emergency is in force it is the one that was displaced: that one was approved, and comes back.
    """
    emergency = emergencies.in_force(model, target_kind=target_kind, target=target)
    if emergency is not None:
        displaced = emergency.displaced
        return displaced if displaced is not None and displaced.deleted_at is None else None
    rows: Any
    if target_kind == "stage":
        rows = StageAssignment.objects.filter(model=model, stage_id=target, valid_to__isnull=True)
    else:
        rows = AliasAssignment.objects.filter(model=model, alias=target, valid_to__isnull=True)
    current = rows.select_related("version__model", "version__created_by").order_by("-valid_from", "-pk").first()
    return current.version if current else None


def in_place(version: ModelVersion, *, target_kind: str, target: str) -> bool:
    """Return whether a version stands in a stage, perhaps beside others, or carries an alias now; one statement."""
    rows: Any = (
        StageAssignment.objects.filter(stage_id=target)
        if target_kind == "stage"
        else AliasAssignment.objects.filter(alias=target)
    )
    return bool(rows.filter(version=version, valid_to__isnull=True).exists())


def store_decision(
    version: ModelVersion, assessment: Assessment, purpose: DecisionPurpose, request: PromotionRequest | None = None
) -> Decision:
    """Keep what the gate saw and found, so that anyone can recompute it."""
    facts, verdict = canonical(msgspec.to_builtins(assessment.facts)), canonical(msgspec.to_builtins(assessment.verdict))
    return Decision.objects.create(
        version=version,
        request_id=request.pk if request else None,
        purpose=purpose,
        outcome="satisfied" if assessment.verdict.satisfied else "blocked",
        gate_revision=gate.REVISION,
        policies=[pin.reference() for pin in assessment.pins],
        facts=facts,
        facts_digest=text_digest(facts),
        verdict=verdict,
        verdict_digest=text_digest(verdict),
    )


def store_snapshot(assessment: Assessment) -> None:
    """Keep what a reviewer has before them, once for each digest."""
    EvidenceSnapshot.objects.bulk_create(
        [EvidenceSnapshot(digest=assessment.evidence_digest, parts=canonical(dict(assessment.parts)))], ignore_conflicts=True
    )


def recompute(decision: Decision) -> Verdict:
    """Return the verdict that a stored decision's facts give under the policies it names. Raises LookupError for a lost revision."""
    pinned = []
    for reference in decision.policies:
        revision = PolicyRevision.objects.filter(policy__name=reference["policy"], digest=reference["digest"]).first()
        if revision is None:
            raise LookupError(f"the revision {reference['digest']} of {reference['policy']} is gone")
        mode = reference.get("mode", BindingMode.ENFORCE.value)
        pinned.append(PinnedPolicy(compile_policy(revision.document), reference["parameters"], reference["binding"], mode))
    return judge(pinned, msgspec.json.decode(decision.facts, type=Facts))


def is_material(pins: Sequence[Pin], path: str) -> bool:
    """Return whether any policy that can block calls a change of this part material."""
    path = snapshot.shared_path(path)
    return any(pin.compiled.is_material(path) for pin in pins if pin.mode == BindingMode.ENFORCE)


def given_reviews(request: PromotionRequest) -> list[GivenReview]:
    """Return a request's reviews as they were given, oldest first, each with what was before its reviewer; two statements."""
    rows = list(request.reviews.select_related("reviewer", "delegation__delegator").order_by("pk"))
    seen = EvidenceSnapshot.objects.in_bulk({row.evidence_digest for row in rows})
    # What was not kept equals nothing that is there now, so such a review is stale.
    parts = {digest: json.loads(kept.parts) for digest, kept in seen.items()}
    return [_given(row, parts.get(row.evidence_digest, {})) for row in rows]


def _given(row: Review, seen: snapshot.Parts) -> GivenReview:
    stood_in_for = row.delegation.delegator.username if row.delegation else ""
    return GivenReview(row.reviewer.username, row.verdict, tuple(row.groups), seen, stood_in_for)


def _standings(
    request: PromotionRequest, pins: Sequence[Pin], now: snapshot.Parts, barred: Mapping[str, str]
) -> tuple[Standing, ...]:
    reviews = given_reviews(request)
    people = {name for review in reviews for name in (review.reviewer, review.on_behalf_of) if name}
    if not people:
        return ()
    return counted(
        reviews,
        Circumstances(
            now=now,
            material=lambda path: is_material(pins, path),
            barred=barred,
            groups=reviewers.groups_of(people),
            owner_team=reviewers.owner_team(request.model, people),
        ),
    )


def _waivers(version: ModelVersion, policies: Collection[str], makers: tuple[Maker, ...], at: datetime) -> tuple[WaiverFact, ...]:
    """Return the waivers in force, but for those of the whole model that somebody approved who made this version later."""
    hands = as_mapping(makers)
    return tuple(w for w in waiver_facts(version, at) if w.policy in policies and w.approved_by not in hands)


def _request_facts(request: PromotionRequest, parts: snapshot.Parts) -> RequestFacts:
    return RequestFacts(
        id=request.pk,
        requested_by=request.requested_by.username,
        target_kind=request.target_kind,
        target=request.target,
        from_stage=request.from_stage,
        kind=request.kind,
        earlier_approval=request.kind == RequestKind.ROLLBACK and _still_approved(request, parts),
    )


def _still_approved(request: PromotionRequest, parts: snapshot.Parts) -> bool:
    """Return whether what carried a version to its place before still stands: the same but for what it is compared with."""
    earlier = earlier_request(request.version, target_kind=request.target_kind, target=request.target)
    if earlier is None:
        return False
    pins = pins_of(request)
    limits = [pin.compiled.rollback.within_days for pin in pins if pin.compiled.rollback and pin.compiled.rollback.within_days]
    closed = earlier.closed_at
    if closed is None or (limits and (timezone.now() - closed).days >= min(limits)):
        return False

    approvals = [review for review in given_reviews(earlier) if review.verdict == "approve"]
    changed = [snapshot.differences(review.seen, parts, material=lambda path: is_material(pins, path)) for review in approvals]
    return bool(approvals) and not any(
        change.material and not snapshot.of_comparison(change) for changes in changed for change in changes
    )


def _groups(pins: Sequence[Pin]) -> set[str]:
    policies = [pin.compiled for pin in pins]
    lists = [policy.steps for policy in policies] + [policy.rollback.steps for policy in policies if policy.rollback]
    return {factor.group for steps in lists for step in steps for factor in step.factors}


def _compiled(pins: Sequence[Pin]) -> list[PinnedPolicy]:
    return [PinnedPolicy(pin.compiled, pin.parameters, pin.binding, pin.mode) for pin in pins]


def _model(model: RegisteredModel) -> ModelFacts:
    return ModelFacts(model.name, model.risk_tier, dict(model.tags.values_list("key", "value")))


def _calendar(now: datetime) -> CalendarFacts:
    at = now.astimezone(UTC)
    return CalendarFacts(int(at.timestamp()), at.date().isoformat(), at.isoweekday(), at.hour)
