"""Where a request stands: facts from the database, the gate's verdict on them, and who may still decide."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from core.access import ROLE_GRANTS, Permission
from core.canonical import canonical, text_digest
from core.models import User
from governance import evidence
from governance.facts import Facts, ModelFacts, RequestFacts, VersionFacts
from governance.gate import PinnedPolicy, Verdict, judge
from governance.models import Binding, CheckRun, Decision, PolicyRevision
from governance.policy import compile_policy
from registry.models import AliasAssignment, ModelVersion, RegisteredModel, StageAssignment
from tracking.models import LoggedModel, Run
from workflows.models import PromotionRequest, RequestCheck
from workflows.rules import counting, separation_of_duties
from workflows.rules.separation_of_duties import Maker

REVIEW_ROLES = tuple(role for role, grants in ROLE_GRANTS.items() if Permission.PROMOTION_REVIEW in grants)


@dataclass(frozen=True)
class Pin:
    """A policy revision with the binding and parameters it was pinned with."""

    binding: str
    policy: str
    revision: int
    digest: str
    document: str
    parameters: Mapping[str, Any]

    def reference(self) -> dict[str, Any]:
        """Return what identifies it in decisions and digests."""
        return {
            "binding": self.binding,
            "policy": self.policy,
            "revision": self.revision,
            "digest": self.digest,
            "parameters": dict(self.parameters),
        }


@dataclass(frozen=True)
class Assessment:
    """Facts and verdict of one moment."""

    facts: Facts
    verdict: Verdict
    pins: tuple[Pin, ...]
    makers: tuple[Maker, ...]
    checks: tuple[RequestCheck, ...]

    @property
    def evidence_digest(self) -> str:
        return self.facts.evidence_digest

    @property
    def unfinished(self) -> list[CheckRun]:
        return [check.run for check in self.checks if check.run.state in ("queued", "running")]


def assess(request: PromotionRequest) -> Assessment:
    """Return where a request stands now, in a constant number of statements."""
    pins = tuple(
        Pin(
            row.binding.name,
            row.revision.policy.name,
            row.revision.number,
            row.revision.digest,
            row.revision.document,
            row.parameters,
        )
        for row in request.policies.select_related("binding", "revision__policy").order_by("pk")
    )
    checks = tuple(request.checks.select_related("run").order_by("pk"))
    version, champion = request.version, request.champion
    runs = {version.pk: [c.run for c in checks if c.role == "candidate"]}
    if champion is not None:
        runs[champion.pk] = [c.run for c in checks if c.role == "champion"]
    gathered = evidence.gather([v for v in (version, champion) if v is not None], runs)
    makers = makers_of(version, requested_by=request.requested_by)
    own, other = gathered[version.pk], gathered[champion.pk] if champion is not None else VersionFacts()
    seen = evidence.evidence_digest(own, other, [pin.reference() for pin in pins])
    facts = Facts(
        request=RequestFacts(request.pk, request.requested_by.username, request.target_kind, request.target, request.from_stage),
        model=_model(request.model),
        version=own,
        champion=other,
        reviews=_reviews(request, seen, makers),
        evidence_digest=seen,
    )
    return Assessment(facts, judge(_compiled(pins), facts), pins, makers, checks)


def foresee(version: ModelVersion, *, target_kind: str, target: str, bindings: Sequence[Binding]) -> Verdict:
    """Return what a request would find today, from the evidence that is there: what stands between a version and its target."""
    pins = tuple(pin_of(binding) for binding in bindings)
    champion = holder(version.model, target_kind=target_kind, target=target)
    versions = [version] + ([champion] if champion is not None and champion.pk != version.pk else [])
    runs: dict[int, dict[str, CheckRun]] = {v.pk: {} for v in versions}
    for run in CheckRun.objects.filter(version__in=versions, state="completed").order_by("finished_at"):
        runs[run.version_id][run.check_name] = run
    gathered = evidence.gather(versions, {pk: list(by_name.values()) for pk, by_name in runs.items()})
    facts = Facts(
        request=RequestFacts(0, "", target_kind, target, ""),
        model=_model(version.model),
        version=gathered[version.pk],
        champion=gathered[champion.pk] if champion is not None else VersionFacts(),
    )
    return judge(_compiled(pins), facts)


def pin_of(binding: Binding) -> Pin:
    """Return a binding's policy as a request opened now would pin it: the newest revision."""
    revision = PolicyRevision.objects.filter(policy_id=binding.policy_id).order_by("-number").first()
    if revision is None:
        raise LookupError(f"the binding {binding.name} has a policy without a revision")
    return Pin(binding.name, binding.policy.name, revision.number, revision.digest, revision.document, binding.parameters)


def holder(model: RegisteredModel, *, target_kind: str, target: str) -> ModelVersion | None:
    """Return the version that holds a stage or alias now; of several in one stage, the latest to arrive."""
    rows: Any
    if target_kind == "stage":
        rows = StageAssignment.objects.filter(model=model, stage_id=target, valid_to__isnull=True)
    else:
        rows = AliasAssignment.objects.filter(model=model, alias=target, valid_to__isnull=True)
    current = rows.select_related("version__model", "version__created_by").order_by("-valid_from", "-pk").first()
    return current.version if current else None


def makers_of(version: ModelVersion, *, requested_by: User | None) -> tuple[Maker, ...]:
    """Return everyone in a version's provenance who may not decide on it, with the part each had."""
    makers = []
    if requested_by is not None:
        makers.append(_maker(requested_by, "asked for this promotion"))
    if version.created_by is not None:
        makers.append(_maker(version.created_by, "registered this version"))
    if version.run_id:
        run = Run.objects.select_related("created_by__responsible").filter(pk=version.run_id).first()
        if run is not None and run.created_by is not None:
            makers.append(_maker(run.created_by, "ran its training"))
    if version.logged_model_id:
        logged = LoggedModel.objects.select_related("created_by__responsible").filter(pk=version.logged_model_id).first()
        if logged is not None and logged.created_by is not None:
            makers.append(_maker(logged.created_by, "logged this model"))
    return tuple(dict.fromkeys(makers))


def store_decision(request: PromotionRequest, assessment: Assessment, purpose: str) -> Decision:
    """Keep what the gate saw and found, so that anyone can recompute it."""
    facts, verdict = canonical(msgspec.to_builtins(assessment.facts)), canonical(msgspec.to_builtins(assessment.verdict))
    return Decision.objects.create(
        version=request.version,
        request_id=request.pk,
        purpose=purpose,
        outcome="satisfied" if assessment.verdict.satisfied else "blocked",
        policies=[pin.reference() for pin in assessment.pins],
        facts=facts,
        facts_digest=text_digest(facts),
        verdict=verdict,
        verdict_digest=text_digest(verdict),
    )


def recompute(decision: Decision) -> Verdict:
    """Return the verdict that a stored decision's facts give under the policies it names. Raises LookupError for a lost revision."""
    pinned = []
    for reference in decision.policies:
        revision = PolicyRevision.objects.filter(policy__name=reference["policy"], digest=reference["digest"]).first()
        if revision is None:
            raise LookupError(f"the revision {reference['digest']} of {reference['policy']} is gone")
        pinned.append(PinnedPolicy(compile_policy(revision.document), reference["parameters"]))
    return judge(pinned, msgspec.json.decode(decision.facts, type=Facts))


def _compiled(pins: Sequence[Pin]) -> list[PinnedPolicy]:
    return [PinnedPolicy(compile_policy(pin.document), pin.parameters) for pin in pins]


def _model(model: RegisteredModel) -> ModelFacts:
    return ModelFacts(model.name, model.risk_tier, dict(model.tags.values_list("key", "value")))


def _maker(user: User, part: str) -> Maker:
    return Maker(user.username, part, user.responsible.username if user.responsible else "")


def _reviews(request: PromotionRequest, evidence_digest: str, makers: tuple[Maker, ...]) -> Any:
    rows = list(request.reviews.select_related("reviewer").order_by("pk"))
    roles: dict[str, set[str]] = {}
    for username, group in User.objects.filter(pk__in=[r.reviewer_id for r in rows], is_active=True).values_list(
        "username", "groups__name"
    ):
        roles.setdefault(username, set()).add(group)
    return counting.counted(
        [counting.GivenReview(r.reviewer.username, r.verdict, tuple(r.roles), r.evidence_digest) for r in rows],
        evidence_digest=evidence_digest,
        barred=separation_of_duties.as_mapping(makers),
        reviewers={name: frozenset(groups & set(REVIEW_ROLES)) for name, groups in roles.items()},
    )
