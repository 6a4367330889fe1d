"""Versions whose files lie in a store of somebody's own: their address is agreed to where no policy guards, and nowhere else."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from core.access import SYSTEM
from core.errors import Conflict, Denied
from core.models import AuditEvent, User
from governance.commands.policies import bind_policy
from governance.models import CheckRun, Decision
from registry import commands as registry_commands
from registry.identity import decided_on, is_address
from registry.models import ModelVersion, StageAssignment
from tests.cast import actor
from workflows.assessment import recompute
from workflows.commands import execution
from workflows.commands import requests as request_commands
from workflows.models import PromotionRequest
from workflows.queries import requests as request_queries

pytestmark = pytest.mark.django_db
Reviewing = Callable[..., Any]

GUARD = "{kind: Binding, name: late, policy: credit, mode: %s, match: {models: [free]}, targets: {stages: [Production]}}"


@pytest.fixture
def elsewhere(world: Any, dana: User) -> Callable[..., ModelVersion]:
    """Register a version of a model under no policy, or of another, whose files lie in a bucket."""
    registry_commands.create_model(actor=actor(dana), name="free")

    def make(model: str = "free", source: str = "s3://bucket/model", owner: User = dana) -> ModelVersion:
        return registry_commands.register_version(actor=actor(owner), model_name=model, source=source)

    return make


def asked(version: ModelVersion, dana: User, **options: Any) -> PromotionRequest:
    request = request_commands.request_promotion(
        actor=actor(dana), model_name=version.model.name, version=version.number, target="Production", reason="x", **options
    )
    execution.advance_request(actor=SYSTEM, request_id=request.pk)
    request.refresh_from_db()
    return request


def in_production() -> list[tuple[str, int]]:
    rows = StageAssignment.objects.filter(stage_id="Production", valid_to__isnull=True)
    return list(rows.values_list("model__name", "version__number"))


def test_one_other_person_agrees_to_the_address_and_the_decision_says_that_it_was_one(
    elsewhere: Any, dana: User, ravi: User, review: Reviewing
) -> None:
    request = asked(elsewhere(), dana)
    assert request.subject_digest == decided_on(request.version) and is_address(request.subject_digest)
    described = json.loads(AuditEvent.objects.get(action="promotion.requested").body)["after"]
    assert (described["content"], described["address"]) == (request.subject_digest, "s3://bucket/model")
    assert described["policies"] == ["four-eyes-on-an-address v1"]
    page = request_queries.request_page(actor(ravi), request.pk)
    assert page.request.address == "s3://bucket/model"
    with pytest.raises(Denied, match="you asked for this promotion"):
        review(dana, request)
    review(ravi, request)
    execution.execute_request(actor=SYSTEM, request_id=request.pk)
    assert in_production() == [("free", 1)]
    decision = Decision.objects.get(purpose="execute")
    assert recompute(decision).satisfied and json.loads(decision.facts)["version"]["digest"] == "", "no content is claimed"
    assert not CheckRun.objects.exists()


def test_a_place_that_a_policy_guards_is_refused_with_the_policy_and_the_address(elsewhere: Any, world: Any, dana: User) -> None:
    with pytest.raises(Conflict, match=r"s3://bucket/model.*guarded by") as refused:
        asked(elsewhere("credit.risk"), dana)
    assert refused.value.code == "content_elsewhere"
    with pytest.raises(Conflict):
        asked(ModelVersion.objects.get(), dana, draft=True)
    assert not PromotionRequest.objects.exists()
    assert asked(world.version(model="free"), dana).subject_digest.startswith("sha256:"), "content that is kept is what counts"


@pytest.mark.parametrize("mode", ["warn", "shadow"])
def test_a_policy_that_only_looks_on_keeps_nobody_from_asking(elsewhere: Any, dana: User, pat: User, mode: str) -> None:
    bind_policy(actor=actor(pat), document=GUARD % mode)
    request = asked(elsewhere(), dana)
    assert request.state == "in_review" and not CheckRun.objects.exists(), "what lies elsewhere cannot be measured"


def test_a_policy_put_in_force_meanwhile_is_not_slipped_past(
    elsewhere: Any, dana: User, ravi: User, pat: User, review: Reviewing
) -> None:
    request = asked(elsewhere(), dana)
    review(ravi, request)
    bind_policy(actor=actor(pat), document=GUARD % "enforce")
    with pytest.raises(Conflict) as refused:
        request_commands.rebase_request(actor=actor(dana), request_id=request.pk)
    assert refused.value.code == "content_elsewhere"
    execution.execute_request(actor=SYSTEM, request_id=request.pk)
    request.refresh_from_db()
    assert (request.state, in_production()) == ("in_review", [])
    (event,) = AuditEvent.objects.filter(action="promotion.reopened")
    assert "the binding late guards this place since the request was made" in event.body


def test_who_registered_the_same_address_had_a_part_in_it(
    elsewhere: Any, dana: User, ravi: User, rosa: User, review: Reviewing
) -> None:
    from tests.cast import person

    person("ravi", "data-scientist")
    registry_commands.create_model(actor=actor(ravi), name="his")
    elsewhere("his", owner=ravi)
    request = asked(elsewhere(), dana)
    with pytest.raises(Denied, match="registered the same address"):
        review(ravi, request)
    review(rosa, request)


def test_an_address_is_told_from_every_other_and_from_content(elsewhere: Any, world: Any) -> None:
    first, again, other = elsewhere(), elsewhere(), elsewhere(source="s3://bucket/other")
    kept = world.version()
    assert len({decided_on(version) for version in (first, again, other, kept)}) == 4
    assert decided_on(first) == decided_on(ModelVersion.objects.get(pk=first.pk)) and len(decided_on(first)) == 71
    assert decided_on(kept) == kept.content_digest and not is_address(decided_on(kept))
