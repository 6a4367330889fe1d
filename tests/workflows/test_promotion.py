"""Ask, check, review, carry out: what happens, what is refused, and what is written."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from core.access import SYSTEM
from core.errors import Blocked, Conflict, Denied, Invalid, NotFound
from core.models import AuditEvent, User
from governance.commands.cards import write_card
from governance.commands.policies import bind_policy
from governance.models import Decision
from registry import commands as registry_commands
from registry import lineage
from registry.models import AliasAssignment, StageAssignment
from tests.cast import actor, person
from workflows.assessment import recompute
from workflows.commands import catalog, execution
from workflows.commands import requests as request_commands
from workflows.commands import reviews as review_commands
from workflows.models import PromotionRequest, Review
from workflows.queries import requests as request_queries

Reviewing = Callable[..., Any]
pytestmark = pytest.mark.django_db


def holding(model: str, stage: str) -> list[int]:
    rows = StageAssignment.objects.filter(model__name=model, stage_id=stage, valid_to__isnull=True)
    return sorted(rows.values_list("version__number", flat=True))


def execute(request: PromotionRequest) -> PromotionRequest:
    return execution.execute_request(actor=SYSTEM, request_id=request.pk)


def actions(request: PromotionRequest) -> list[str]:
    rows = AuditEvent.objects.filter(subject_type="promotion_request", subject_id=str(request.pk)).order_by("id")
    return list(rows.values_list("action", flat=True))


def test_two_approvals_carry_a_version_to_production(world: Any, ravi: User, rosa: User, review: Reviewing) -> None:
    request = world.in_review()
    assert request.state == "in_review"
    review(ravi, request)
    request.refresh_from_db()
    assert (request.state, holding("credit.risk", "Production")) == ("in_review", [])
    review(rosa, request)
    request.refresh_from_db()
    assert request.state == "approved"
    execute(request)
    request.refresh_from_db()
    assert (request.state, holding("credit.risk", "Production")) == ("done", [1])
    assert actions(request) == [
        "promotion.requested", "promotion.ready_for_review", "promotion.reviewed", "promotion.reviewed", "promotion.approved",
        "promotion.executing", "promotion.executed",
    ]  # fmt: skip
    placed = StageAssignment.objects.get(stage_id="Production", valid_to__isnull=True)
    assert placed.request_id == request.pk


def test_a_direct_move_is_refused_with_policy_requirements_and_where_to_ask(world: Any, dana: User) -> None:
    world.version()
    with pytest.raises(Blocked) as refused:
        catalog.transition_stage(actor=actor(dana), model_name="credit.risk", version=1, stage="production")
    assert refused.value.details["policies"] == ["credit v1"]
    assert [r["id"] for r in refused.value.details["requirements"]] == ["roc-auc", "review-reviewer"]
    assert "/api/v1/promotion-requests/" in refused.value.message
    with pytest.raises(Blocked):
        catalog.set_alias(actor=actor(dana), model_name="credit.risk", alias="champion", version=1)
    catalog.transition_stage(actor=actor(dana), model_name="credit.risk", version=1, stage="staging")
    catalog.set_alias(actor=actor(dana), model_name="credit.risk", alias="candidate", version=1)
    assert holding("credit.risk", "Staging") == [1]
    assert AliasAssignment.objects.get(valid_to__isnull=True).alias == "candidate"


def test_not_even_a_superuser_passes_the_gate(world: Any, pat: User) -> None:
    world.version()
    pat.is_superuser = pat.is_staff = True
    pat.save()
    with pytest.raises(Denied):
        catalog.transition_stage(actor=actor(pat), model_name="credit.risk", version=1, stage="Production")


@pytest.mark.parametrize("role", ["requester", "creator", "run owner", "owner of the service account"])
def test_whoever_had_a_part_in_the_work_may_not_review(world: Any, dana: User, review: Reviewing, role: str) -> None:
    if role == "owner of the service account":
        from core import commands as core_commands
        from tests.cast import ROOT

        human = person("hugo", "reviewer")
        maker = core_commands.ensure_user(actor=ROOT, username="ci", roles=["data-scientist"], service_of="hugo")
    else:
        human = maker = person("mira", "reviewer", "data-scientist")
    from core.access import grant
    from registry.models import RegisteredModel

    grant(RegisteredModel.objects.get(name="credit.risk"), "model_write", users=[maker.pk])
    version = world.version(owner=dana if role == "requester" else maker)
    asker = maker if role == "requester" else dana
    request = request_commands.request_promotion(
        actor=actor(asker), model_name="credit.risk", version=version.number, target="Production", reason="Better."
    )
    world.finish(request)
    with pytest.raises(Denied) as refused:
        review(human, request)
    assert refused.value.code == "separation_of_duties"
    assert not Review.objects.exists()
    other = person("olga", "reviewer")
    assert review(other, request).verdict == "approve"


def test_a_person_counts_once_and_their_latest_review_counts(world: Any, ravi: User, rosa: User, review: Reviewing) -> None:
    request = world.in_review()
    review(ravi, request)
    review(ravi, request)
    request.refresh_from_db()
    assert request.state == "in_review"
    review(ravi, request, "abstain")
    review(rosa, request)
    request.refresh_from_db()
    assert request.state == "in_review"
    page = request_queries.request_page(actor(ravi), request.pk)
    assert [r.counts for r in page.reviews] == [False, False, True, True]


def test_a_limit_that_is_missed_blocks_however_many_approve(
    world: Any, dana: User, ravi: User, rosa: User, review: Reviewing
) -> None:
    request = world.in_review(auc=0.61)
    review(ravi, request)
    review(rosa, request)
    request.refresh_from_db()
    assert request.state == "in_review"
    with pytest.raises(Blocked) as refused:
        execution.execute_request(actor=actor(dana), request_id=request.pk)
    (failed,) = refused.value.details["requirements"]
    assert (failed["id"], failed["value"], failed["limit"]) == ("roc-auc", 0.61, 0.7)
    assert holding("credit.risk", "Production") == []


def test_a_check_that_ended_in_an_error_blocks_and_can_be_run_again(
    world: Any, dana: User, ravi: User, rosa: User, review: Reviewing
) -> None:
    request = world.ask(world.version())
    world.finish(request, auc=None)
    page = request_queries.request_page(actor(dana), request.pk)
    assert [r.state.value for r in page.verdict.requirements] == ["error", "pending"]
    request_commands.rerun_checks(actor=actor(dana), request_id=request.pk)
    assert actions(request)[-1] == "promotion.checks_started"
    world.finish(request)
    review(ravi, request)
    review(rosa, request)
    assert execute(PromotionRequest.objects.get()).state == "done"


def test_an_approval_dies_when_the_evidence_changes(world: Any, dana: User, ravi: User, rosa: User, review: Reviewing) -> None:
    request = world.in_review()
    review(ravi, request)
    write_card(actor=actor(dana), model_name="credit.risk", version=1, sections={"intended_use": "Other."})
    page = request_queries.request_page(actor(ravi), request.pk)
    assert (page.reviews[0].counts, page.reviews[0].why_not) == (
        False,
        "stale, to be reviewed again: card intended use was added",
    )
    review(rosa, request)
    request.refresh_from_db()
    assert request.state == "in_review"
    review(ravi, request)
    request.refresh_from_db()
    assert request.state == "approved"


def test_evidence_that_changes_between_approval_and_execution_sends_it_back(
    world: Any, dana: User, ravi: User, rosa: User, review: Reviewing
) -> None:
    request = world.in_review()
    review(ravi, request)
    review(rosa, request)
    write_card(actor=actor(dana), model_name="credit.risk", version=1, sections={"intended_use": "Other."})
    assert execute(request).state == "in_review"
    assert holding("credit.risk", "Production") == []
    assert actions(request)[-1] == "promotion.reopened"


def test_signing_what_one_did_not_see_is_refused(world: Any, ravi: User) -> None:
    request = world.in_review()
    with pytest.raises(Conflict) as refused:
        review_commands.submit_review(actor=actor(ravi), request_id=request.pk, verdict="approve", evidence_digest="sha256:other")
    assert refused.value.code == "stale_evidence"
    assert not Review.objects.exists()


def test_a_role_taken_away_no_longer_counts(world: Any, ravi: User, rosa: User, review: Reviewing) -> None:
    request = world.in_review()
    review(ravi, request)
    ravi.groups.clear()
    review(rosa, request)
    request.refresh_from_db()
    assert request.state == "in_review"


def test_rejecting_needs_a_reason_and_closes(world: Any, ravi: User, rosa: User, review: Reviewing) -> None:
    request = world.in_review()
    with pytest.raises(Invalid, match="Say why"):
        review(ravi, request, "reject")
    review(ravi, request, "reject", "Too little data.")
    request.refresh_from_db()
    assert request.state == "rejected"
    with pytest.raises(Conflict):
        review(rosa, request)
    assert world.ask(world.version()).state == "checking"


def test_changes_are_asked_for_answered_and_then_approved(
    world: Any, dana: User, ravi: User, rosa: User, review: Reviewing
) -> None:
    request = world.in_review()
    review(ravi, request, "request_changes", "Say what it is for.")
    request.refresh_from_db()
    assert request.state == "changes_requested"
    request_commands.resubmit_request(actor=actor(dana), request_id=request.pk, comment="Said.")
    review(rosa, request)
    request.refresh_from_db()
    assert request.state == "in_review"
    review(ravi, request)
    request.refresh_from_db()
    assert request.state == "approved"


def test_one_open_request_for_a_target(world: Any) -> None:
    first = world.ask(world.version())
    with pytest.raises(Conflict) as refused:
        world.ask(world.version())
    assert refused.value.details["request"] == first.pk
    request_commands.withdraw_request(actor=actor(world.dana), request_id=first.pk)
    assert world.ask(world.version()).pk != first.pk


def test_asking_is_refused_where_it_makes_no_sense(world: Any, ravi: User, rosa: User, review: Reviewing, dana: User) -> None:
    version = world.version()
    for options, kind in (
        ({"reason": " "}, Invalid),
        ({"target": "Prod"}, Invalid),
        ({"kind": "wish"}, Invalid),
        ({"kind": "rollback"}, Conflict),
        ({"kind": "re_review"}, Conflict),
        ({"target_kind": "place"}, Invalid),
    ):
        with pytest.raises(kind):
            world.ask(version, **options)
    with pytest.raises(NotFound):
        request_commands.request_promotion(
            actor=actor(dana), model_name="credit.risk", version=9, target="Production", reason="x"
        )
    request = world.ask(version)
    world.finish(request)
    review(ravi, request)
    review(rosa, request)
    execute(request)
    with pytest.raises(Conflict) as refused:
        world.ask(version)
    assert refused.value.code == "already_there"


def test_the_next_version_is_measured_against_the_champion_and_replaces_it(
    world: Any, ravi: User, rosa: User, review: Reviewing
) -> None:
    for auc in (0.8, 0.85):
        request = world.in_review(auc)
        review(ravi, request)
        review(rosa, request)
        request.refresh_from_db()
        execute(request)
    assert holding("credit.risk", "Production") == [2]
    assert holding("credit.risk", "Archived") == [1]
    assert PromotionRequest.objects.get(version__number=2).champion.number == 1  # type: ignore[union-attr]
    past = StageAssignment.objects.get(version__number=1, stage_id="Production")
    assert past.valid_to == StageAssignment.objects.get(version__number=2, stage_id="Production").valid_from


def test_what_holds_a_governed_place_cannot_be_deleted_or_renamed(
    world: Any, dana: User, ravi: User, rosa: User, review: Reviewing
) -> None:
    request = world.in_review()
    with pytest.raises(Conflict):
        catalog.delete_version(actor=actor(dana), model_name="credit.risk", version=1)
    review(ravi, request)
    review(rosa, request)
    execute(request)
    me = actor(dana)
    for refused in (
        lambda: catalog.delete_version(actor=me, model_name="credit.risk", version=1),
        lambda: catalog.delete_model(actor=me, model_name="credit.risk"),
        lambda: catalog.rename_model(actor=me, model_name="credit.risk", new_name="other"),
        lambda: catalog.delete_run(actor=me, run_id=request.version.run_id),
    ):
        with pytest.raises(Blocked):
            refused()
    catalog.transition_stage(actor=me, model_name="credit.risk", version=1, stage="Archived")
    catalog.rename_model(actor=me, model_name="credit.risk", new_name="credit.other")


def test_time_that_runs_out_closes_and_never_approves(world: Any, ravi: User, review: Reviewing) -> None:
    request = world.in_review()
    review(ravi, request)
    assert request_commands.expire_requests(actor=SYSTEM) == 0
    PromotionRequest.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert request_commands.expire_requests(actor=SYSTEM) == 1
    request.refresh_from_db()
    assert (request.state, holding("credit.risk", "Production")) == ("expired", [])


def test_moving_on_and_carrying_out_twice_is_safe(world: Any, ravi: User, rosa: User, review: Reviewing) -> None:
    request = world.in_review()
    execution.advance_request(actor=SYSTEM, request_id=request.pk)
    review(ravi, request)
    review(rosa, request)
    execute(request)
    with pytest.raises(Conflict):
        execute(request)
    assert StageAssignment.objects.filter(stage_id="Production").count() == 1


def test_a_stored_decision_is_recomputed_to_the_same_verdict(world: Any, ravi: User, rosa: User, review: Reviewing) -> None:
    import msgspec

    from core.canonical import canonical

    request = world.in_review()
    review(ravi, request)
    review(rosa, request)
    execute(request)
    for decision in Decision.objects.all():
        assert canonical(msgspec.to_builtins(recompute(decision))) == decision.verdict
    assert set(Decision.objects.values_list("purpose", flat=True)) == {"approve", "execute"}


def test_an_outsider_sees_nothing_and_a_colleague_without_right_cannot_ask(world: Any, mallory: User) -> None:
    request = world.in_review()
    with pytest.raises(NotFound):
        request_queries.request_page(actor(mallory), request.pk)
    with pytest.raises(NotFound):
        request_commands.request_promotion(
            actor=actor(mallory), model_name="credit.risk", version=1, target="Production", reason="x"
        )
    assert request_queries.inbox(actor(mallory)).others == []


def test_equal_inputs_reuse_the_earlier_result(world: Any, dana: User) -> None:
    first = world.in_review()
    request_commands.withdraw_request(actor=actor(dana), request_id=first.pk)
    again = request_commands.request_promotion(
        actor=actor(dana), model_name="credit.risk", version=first.version.number, target="Production", reason="Again."
    )
    assert list(again.checks.values_list("run_id", flat=True)) == list(first.checks.values_list("run_id", flat=True))
    execution.advance_request(actor=SYSTEM, request_id=again.pk)
    again.refresh_from_db()
    assert again.state == "in_review"


def test_the_page_costs_the_same_number_of_statements_whatever_is_on_it(
    world: Any, ravi: User, rosa: User, review: Reviewing, django_assert_max_num_queries: Any
) -> None:
    request = world.in_review()
    review(rosa, request, "abstain")
    with django_assert_max_num_queries(34) as few:
        request_queries.request_page(actor(ravi), request.pk)
    for i in range(8):
        review(person(f"r{i}", "reviewer"), request, "abstain")
    with django_assert_max_num_queries(34) as many:
        request_queries.request_page(actor(ravi), request.pk)
    assert len(many) == len(few)


def test_a_model_that_no_binding_covers_moves_freely(world: Any, dana: User) -> None:
    registry_commands.create_model(actor=actor(dana), name="marketing.uplift")
    world.version(model="marketing.uplift")
    catalog.transition_stage(actor=actor(dana), model_name="marketing.uplift", version=1, stage="Production")
    assert holding("marketing.uplift", "Production") == [1]


def test_no_tag_and_no_tier_frees_a_model_from_its_policy(world: Any, dana: User, pat: User) -> None:
    bind_policy(
        actor=actor(pat),
        document="kind: Binding\nname: regulated\npolicy: credit\nmatch: {tags: {regulated: 'yes'}}\ntargets: {stages: [Staging]}\n",
    )
    bind_policy(
        actor=actor(pat),
        document="kind: Binding\nname: tiers\npolicy: credit\nmatch: {risk_tiers: [medium, high]}\ntargets: {stages: [Staging]}\n",
    )
    me = actor(dana)
    catalog.set_model_tag(actor=me, model_name="credit.risk", key="regulated", value="yes")
    catalog.set_model_tag(actor=me, model_name="credit.risk", key="other", value="x")
    for escape in (
        lambda: catalog.set_model_tag(actor=me, model_name="credit.risk", key="regulated", value="no"),
        lambda: catalog.delete_model_tag(actor=me, model_name="credit.risk", key="regulated"),
        lambda: catalog.update_model(actor=me, model_name="credit.risk", risk_tier="low"),
    ):
        with pytest.raises(Denied) as refused, transaction.atomic():
            escape()
        assert refused.value.code == "leaves_policy"
    catalog.update_model(actor=me, model_name="credit.risk", risk_tier="high")


def test_the_history_of_a_version_costs_the_same_however_often_it_was_asked_for(
    world: Any, dana: User, ravi: User, aude: User, review: Reviewing, django_assert_max_num_queries: Any
) -> None:
    request = world.in_review()
    review(ravi, request, "reject", "Too little data.")
    with django_assert_max_num_queries(12) as once:
        (history,) = request_queries.decision_history(actor(aude), "credit.risk", 1)
    assert [(r.reviewer, r.counts, r.why_not) for r in history.reviews] == [("ravi", False, "no decision was made on it")]
    for _ in range(3):
        again = world.ask(request.version)
        execution.advance_request(actor=SYSTEM, request_id=again.pk)
        review(ravi, again, "reject", "Still too little.")
    with django_assert_max_num_queries(12) as often:
        assert len(request_queries.decision_history(actor(aude), "credit.risk", 1)) == 4
    assert len(often) == len(once)


def test_the_history_tells_which_reviews_the_gate_counted(
    world: Any, dana: User, ravi: User, rosa: User, aude: User, review: Reviewing
) -> None:
    request = world.in_review()
    review(ravi, request)
    review(rosa, request)
    execute(request)
    (history,) = request_queries.decision_history(actor(aude), "credit.risk", 1)
    assert [(r.reviewer, r.counts) for r in history.reviews] == [("ravi", True), ("rosa", True)]
    assert [d.purpose for d in history.decisions] == ["approve", "execute"]


def test_lineage_tells_on_which_data_a_version_was_measured(world: Any, aude: User) -> None:
    world.in_review()
    graph = lineage.walk(actor(aude), "model_version:credit.risk/1", direction=lineage.Direction.UPSTREAM)
    assert [(e.source, e.kind) for e in graph.edges if e.kind == "evaluated_on"] == [("dataset:validation@v1", "evaluated_on")]


STAGING = "kind: Binding\nname: staging\npolicy: credit\nmatch: {models: ['credit.*']}\ntargets: {stages: [Staging]}\n"


def test_a_policy_that_came_after_the_request_is_asked_before_it_is_approved(
    world: Any, dana: User, pat: User, ravi: User, rosa: User, review: Reviewing
) -> None:
    request = world.in_review(target="Staging")  # nothing guards it yet, so one other person would do
    bind_policy(actor=actor(pat), document=STAGING)
    review(ravi, request)
    request.refresh_from_db()
    assert request.state == "in_review"
    (blocking,) = request_queries.request_page(actor(dana), request.pk).verdict.blocking
    assert (blocking.policy, blocking.id) == ("credit", "every-policy-is-asked") and "staging" in blocking.reason
    request_commands.rebase_request(actor=actor(dana), request_id=request.pk)
    world.finish(request, 0.8)
    for user in (ravi, rosa):
        review(user, request)
    execution.execute_request(actor=SYSTEM, request_id=request.pk)
    request.refresh_from_db()
    assert request.state == "done"
    decision = Decision.objects.get(request_id=request.pk, purpose="execute")
    assert [p["policy"] for p in decision.policies] == ["credit"] and recompute(decision).satisfied


def test_a_policy_that_came_after_the_approval_keeps_the_request_from_being_carried_out(
    world: Any, pat: User, ravi: User, review: Reviewing
) -> None:
    request = world.in_review(target="Staging")
    review(ravi, request)
    request.refresh_from_db()
    assert request.state == "approved"
    bind_policy(actor=actor(pat), document=STAGING)
    execution.execute_request(actor=SYSTEM, request_id=request.pk)
    request.refresh_from_db()
    assert request.state == "in_review"
    assert not StageAssignment.objects.filter(stage_id="Staging").exists()
