"""What guards a place, and the refusal that says so: one wording for every client."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.conf import settings

from core import audit
from core.access import Actor
from core.audit import Event
from core.errors import Blocked, Conflict
from governance.bindings import bindings_for
from governance.gate import RequirementResult
from governance.models import Binding, BindingMode, DecisionPurpose
from registry.models import AliasAssignment, ModelVersion, RegisteredModel, StageAssignment
from workflows.assessment import foresee, pin_of, store_decision
from workflows.models import PromotionRequest


def governed_places(model: RegisteredModel, version: ModelVersion | None = None) -> list[tuple[str, str, list[Binding]]]:
    """Return the governed stages and aliases that a model, or one of its versions, holds now, as (kind, name, bindings)."""
    stages = StageAssignment.objects.filter(model=model, valid_to__isnull=True)
    aliases = AliasAssignment.objects.filter(model=model, valid_to__isnull=True)
    if version is not None:
        stages, aliases = stages.filter(version=version), aliases.filter(version=version)
    held = [("stage", name) for name in stages.values_list("stage_id", flat=True).distinct()]
    held += [("alias", name) for name in aliases.values_list("alias", flat=True).distinct()]
    places = [(kind, name, bindings_for(model, kind=kind, target=name)) for kind, name in held]
    return [place for place in places if place[2]]


def refusal(version: ModelVersion, *, target_kind: str, target: str, bindings: list[Binding]) -> Blocked:
    """Return the refusal of a direct move to a governed place: policy, unmet requirements, and where to ask."""
    verdict = foresee(version, target_kind=target_kind, target=target, bindings=bindings).verdict
    policies = [f"{pin.policy} v{pin.revision}" for pin in map(pin_of, bindings)]
    unmet = [requirement_details(r) for r in verdict.blocking]
    page = f"{settings.PUBLIC_URL}/models/{version.model.name}/versions/{version.number}/"
    api = f"{settings.PUBLIC_URL}/api/v1/promotion-requests/"
    return Blocked(
        f"{target_kind.capitalize()} {target} of {version.model.name} is governed by policy {', '.join(policies)}. "
        f"Not met yet: {'; '.join(r['title'] for r in unmet) or 'nothing, but it takes a request'}. "
        f"Ask for the promotion at {page} or with POST {api}.",
        policies=policies,
        requirements=unmet,
        ask_at=page,
        ask_api=api,
    )


def guard(version: ModelVersion, *, target_kind: str, target: str) -> list[Binding]:
    """Return the bindings that only look on at a direct move. Raises Blocked if any binding guards the target."""
    found = bindings_for(version.model, kind=target_kind, target=target, modes=tuple(BindingMode.values))
    if enforced := [binding for binding in found if binding.mode == BindingMode.ENFORCE]:
        raise refusal(version, target_kind=target_kind, target=target, bindings=enforced)
    return found


def content_elsewhere(request: PromotionRequest, bindings: Iterable[str]) -> Conflict:
    """Return the refusal to judge by a policy what lies in a store of somebody's own: nothing could be checked, or kept from changing."""
    return Conflict(
        f"The content of {request.version} lies in a store that is not kept here ({request.version.source}), so it cannot be checked, "
        f"and {request.target} is guarded by {', '.join(sorted(bindings))}. Register it from the artifacts of a run on this server.",
        code="content_elsewhere",
    )


def observe(actor: Actor, version: ModelVersion, bindings: list[Binding], *, target_kind: str, target: str) -> None:
    """Record what the policies that only look on find about a direct move, in the transaction of the move."""
    if not bindings:
        return
    assessment = foresee(version, target_kind=target_kind, target=target, bindings=bindings)
    decision = store_decision(version, assessment, DecisionPurpose.OBSERVE)
    missed = [r for r in assessment.verdict.requirements if not r.passes and r.kind == "evidence"]
    audit.record(
        actor,
        Event.GATE_EVALUATED,
        subject=("model_version", f"{version.model.name}/{version.number}"),
        scope=f"model:{version.model_id}",
        after={
            "target": f"{target_kind}:{target}",
            "decision": str(decision.pk),
            "not_met": [f"{r.policy}/{r.id} ({r.mode}): {r.reason}" for r in missed],
        },
    )


def requirement_details(result: RequirementResult) -> dict[str, Any]:
    """Return a requirement's outcome as plain JSON, as refusals carry it."""
    return {
        "policy": result.policy,
        "id": result.id,
        "title": result.title,
        "state": result.state.value,
        "reason": result.reason,
        "how_to_satisfy": result.how_to_satisfy,
        "value": result.value,
        "limit": result.limit,
        "champion": result.champion,
    }
