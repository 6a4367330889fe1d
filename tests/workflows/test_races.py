"""People who act at the same instant: exactly one outcome, nothing lost, nothing doubled."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from django.db import connection

from core.access import SYSTEM
from core.errors import DomainError
from core.models import AuditEvent, Job
from governance.commands.cards import write_card
from governance.models import Decision
from registry.models import StageAssignment
from tests.cast import actor, person
from tests.workflows.conftest import build
from workflows import lifecycle
from workflows.commands import execution
from workflows.commands import requests as request_commands
from workflows.commands import reviews as review_commands
from workflows.models import PromotionRequest, Review

pytestmark = pytest.mark.django_db(transaction=True)


def at_once(*acts: Callable[[], Any]) -> list[Any]:
    """Do these in threads that start together; return what each gave or raised."""
    barrier = Barrier(len(acts))

    def do(act: Callable[[], Any]) -> Any:
        try:
            barrier.wait(10)
            return act()
        except DomainError as error:
            return error
        finally:
            connection.close()

    with ThreadPoolExecutor(len(acts)) as pool:
        return list(pool.map(do, acts))


@pytest.fixture
def in_review() -> PromotionRequest:
    world = build(person("dana", "data-scientist"), person("pat", "platform-admin"))
    return world.in_review()


def reviewing(request: PromotionRequest, name: str) -> Callable[[], Any]:
    user = person(name, "reviewer")
    return lambda: review_commands.submit_review(actor=actor(user), request_id=request.pk, verdict="approve")


def test_two_reviewers_who_approve_at_the_same_instant_approve_once(in_review: PromotionRequest) -> None:
    results = at_once(reviewing(in_review, "ravi"), reviewing(in_review, "rosa"))
    assert [type(r) for r in results] == [Review, Review]
    in_review.refresh_from_db()
    assert in_review.state == "approved"
    assert AuditEvent.objects.filter(action="promotion.approved").count() == 1
    assert Job.objects.filter(name=lifecycle.EXECUTE).count() == 1


def test_of_fifty_reviewers_two_approve_and_the_others_come_too_late(in_review: PromotionRequest) -> None:
    # SQLite takes one writer at a time anyway, and fifty threads would mostly wait for each other's busy time-outs.
    results = at_once(*(reviewing(in_review, f"r{i}") for i in range(50 if connection.vendor == "postgresql" else 8)))
    given = [r for r in results if isinstance(r, Review)]
    assert len(given) == Review.objects.count() == 2
    assert AuditEvent.objects.filter(action="promotion.approved").count() == 1


def test_an_approval_and_a_withdrawal_have_one_outcome(in_review: PromotionRequest) -> None:
    reviewing(in_review, "ravi")()
    dana = actor(in_review.requested_by)
    at_once(reviewing(in_review, "rosa"), lambda: request_commands.withdraw_request(actor=dana, request_id=in_review.pk))
    in_review.refresh_from_db()
    assert in_review.state == "withdrawn"  # from review or from approved, whichever came first
    approved = AuditEvent.objects.filter(action="promotion.approved").count()
    assert approved == Review.objects.filter(reviewer__username="rosa").count()


def test_carrying_out_against_new_evidence_has_one_outcome(in_review: PromotionRequest) -> None:
    for name in ("ravi", "rosa"):
        reviewing(in_review, name)()
    dana = actor(in_review.requested_by)
    at_once(
        lambda: execution.execute_request(actor=SYSTEM, request_id=in_review.pk),
        lambda: write_card(actor=dana, model_name="credit.risk", version=1, sections={"intended_use": "Other."}),
    )
    in_review.refresh_from_db()
    placed = StageAssignment.objects.filter(stage_id="Production", valid_to__isnull=True).first()
    if in_review.state == "done":
        decision = Decision.objects.get(purpose="execute")
        assert placed is not None
        assert placed.request_id == in_review.pk
        # What was carried out is what the reviewers saw: the card came later.
        assert "Other." not in decision.facts
    else:
        assert (in_review.state, placed) == ("in_review", None)


def test_an_approved_request_is_carried_out_once_or_withdrawn_never_both(in_review: PromotionRequest) -> None:
    for name in ("ravi", "rosa"):
        reviewing(in_review, name)()
    dana = actor(in_review.requested_by)
    at_once(
        lambda: execution.execute_request(actor=SYSTEM, request_id=in_review.pk),
        lambda: request_commands.withdraw_request(actor=dana, request_id=in_review.pk),
        lambda: execution.execute_request(actor=SYSTEM, request_id=in_review.pk),
    )
    in_review.refresh_from_db()
    holds = StageAssignment.objects.filter(stage_id="Production", valid_to__isnull=True).count()
    assert (in_review.state, holds) in (("done", 1), ("withdrawn", 0))
    ended = AuditEvent.objects.filter(action__in=["promotion.executed", "promotion.withdrawn"]).count()
    assert ended == 1


def test_of_two_requests_for_one_target_one_is_open() -> None:
    world = build(person("dana", "data-scientist"), person("pat", "platform-admin"))
    versions = [world.version(), world.version()]
    results = at_once(*(lambda v=v: world.ask(v) for v in versions))
    assert sorted(type(r).__name__ for r in results) == ["Conflict", "PromotionRequest"]
