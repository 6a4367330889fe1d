"""The page on which a promotion is decided: what it shows, and what a signature needs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from core.models import AuditEvent, User
from governance.commands import cards
from interfaces.throttle import FAILURES
from tests.cast import actor
from tests.interfaces.web.conftest import CARD, MODEL, PASSWORD, Scene
from workflows.models import PromotionRequest, Review
from workflows.queries import requests as request_queries

pytestmark = pytest.mark.django_db
Browser = Callable[[User], Client]


def text(answer: Any) -> str:
    return str(answer.content.decode())


def signature(request: PromotionRequest, reviewer: User, **given: str) -> dict[str, str]:
    """Return a decision form as the page would send it."""
    digest = request_queries.request_page(actor(reviewer), request.pk).evidence_digest
    return {"verdict": "approve", "comment": "", "password": PASSWORD, "evidence_digest": digest, **given}


def test_what_blocks_stands_above_what_is_met_with_value_limit_and_champion(scene: Scene, signed_in: Browser) -> None:
    scene.promoted()
    request = scene.under_review(parity=0.78)
    page = text(signed_in(scene.ravi).get(f"/requests/{request.pk}/"))
    assert f"Promote {MODEL} v2 to Production" in page
    assert page.index(">Blocking<") < page.index("Demographic parity ratio, age group") < page.index(">Met<")
    for shown in ("0.780", "≥ 0.800", "0.900", "To meet it: Find the features", "1 failed", "Sign and approve", "limit 0.80"):
        assert shown in page, shown
    assert "−0.007 worse" in page  # ROC AUC against the champion
    assert "v2 0.780 does not meet the limit ≥ 0.800; champion v1 0.900" in page


def test_an_approval_is_signed_with_the_password_on_the_digest_shown(scene: Scene, signed_in: Browser) -> None:
    request = scene.under_review()
    browser = signed_in(scene.ravi)
    form = signature(request, scene.ravi)
    assert form["evidence_digest"] in text(browser.get(f"/requests/{request.pk}/"))
    answer = browser.post(f"/requests/{request.pk}/decision", form)
    assert answer.status_code == 302 and answer["Location"] == f"/requests/{request.pk}/"
    review = Review.objects.get()
    assert (review.verdict, review.reviewer, review.evidence_digest) == ("approve", scene.ravi, form["evidence_digest"])
    event = AuditEvent.objects.get(action="promotion.reviewed")
    assert '"credential":"password"' in event.body
    page = text(browser.get(f"/requests/{request.pk}/"))
    assert "You approved" in page and "Approval recorded." in page and "1 more approval" in page


def test_the_second_approval_opens_the_gate(scene: Scene, signed_in: Browser) -> None:
    request = scene.approve(scene.under_review(), scene.rosa)
    signed_in(scene.ravi).post(f"/requests/{request.pk}/decision", signature(request, scene.ravi))
    request.refresh_from_db()
    assert request.state == "approved"
    answer = signed_in(scene.dana).post(f"/requests/{request.pk}/execute")
    request.refresh_from_db()
    assert answer.status_code == 302 and request.state == "done"
    assert "Promoted to Production" in text(signed_in(scene.dana).get(f"/requests/{request.pk}/"))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"password": "wrong"}, "This password does not match. Nothing was signed."),
        ({"password": ""}, "Give your password"),
        ({"verdict": ""}, "Choose one."),
        ({"verdict": "reject"}, "Say why you reject it."),
        ({"verdict": "request_changes", "comment": "  "}, "Say what must change"),
    ],
)
def test_a_form_filled_in_wrongly_signs_nothing_and_says_what_is_missing(
    scene: Scene, signed_in: Browser, given: dict[str, str], said: str
) -> None:
    request = scene.under_review()
    answer = signed_in(scene.ravi).post(f"/requests/{request.pk}/decision", signature(request, scene.ravi, **given))
    assert answer.status_code == 422 and said in text(answer) and "Not recorded." in text(answer)
    assert not Review.objects.exists()


def test_evidence_that_changed_meanwhile_is_not_signed(scene: Scene, signed_in: Browser) -> None:
    request = scene.under_review()
    form = signature(request, scene.ravi)
    cards.write_card(
        actor=actor(scene.dana), model_name=MODEL, version=1, sections={**CARD, "limitations": "Other words, and enough of them."}
    )
    answer = signed_in(scene.ravi).post(f"/requests/{request.pk}/decision", form)
    assert answer.status_code == 409 and "The evidence changed after you opened the page" in text(answer)
    assert not Review.objects.exists()


def test_a_stale_approval_is_named_and_can_be_signed_again(scene: Scene, signed_in: Browser) -> None:
    request = scene.approve(scene.under_review(), scene.ravi)
    cards.write_card(
        actor=actor(scene.dana), model_name=MODEL, version=1, sections={**CARD, "limitations": "Other words, and enough of them."}
    )
    page = text(signed_in(scene.ravi).get(f"/requests/{request.pk}/"))
    assert "Evidence changed since you approved." in page and "Your review is stale" in page and "Sign and approve" in page


def test_whoever_made_it_reads_why_they_may_not_decide_and_who_may(scene: Scene, signed_in: Browser) -> None:
    request = scene.under_review()
    browser = signed_in(scene.dana)
    page = text(browser.get(f"/requests/{request.pk}/"))
    assert "You cannot decide this" in page and "You asked for this promotion." in page and "Sign and approve" not in page
    assert "2 more of reviewer: Ravi Example and Rosa Example" in page
    answer = browser.post(f"/requests/{request.pk}/decision", signature(request, scene.dana))
    assert answer.status_code == 403 and "Someone who had no part in it must decide" in text(answer)
    assert not Review.objects.exists()
    assert AuditEvent.objects.filter(action="access.refused", actor="dana").exists()


def test_changes_are_asked_for_and_answered(scene: Scene, signed_in: Browser) -> None:
    request = scene.under_review()
    form = signature(request, scene.ravi, verdict="request_changes", comment="Say more about group sizes.")
    signed_in(scene.ravi).post(f"/requests/{request.pk}/decision", form)
    browser = signed_in(scene.dana)
    page = text(browser.get(f"/requests/{request.pk}/"))
    assert "Send back to the reviewers" in page and "Say more about group sizes." in page
    refused = browser.post(f"/requests/{request.pk}/resubmit", {"comment": " "})
    assert refused.status_code == 400 and "Say what changed" in text(refused)
    assert browser.post(f"/requests/{request.pk}/resubmit", {"comment": "Added."}).status_code == 302
    request.refresh_from_db()
    assert request.state == "in_review"


def test_a_request_is_withdrawn_by_who_asked_and_no_one_else(scene: Scene, signed_in: Browser) -> None:
    request = scene.under_review()
    refused = signed_in(scene.ravi).post(f"/requests/{request.pk}/withdraw")
    request.refresh_from_db()
    assert refused.status_code == 403 and request.state == "in_review"
    assert signed_in(scene.dana).post(f"/requests/{request.pk}/withdraw", {"comment": "Not now."}).status_code == 302
    request.refresh_from_db()
    assert request.state == "withdrawn"
    assert "Withdrawn" in text(signed_in(scene.dana).get(f"/requests/{request.pk}/"))


def test_a_check_without_a_result_can_be_run_again(scene: Scene, signed_in: Browser) -> None:
    request = scene.finish(scene.ask(scene.register(card=CARD)))
    request.checks.filter(run__check_name="fairness").first().run.__class__.objects.filter(check_name="fairness").update(
        state="error", error_message="It ran out of memory."
    )
    browser = signed_in(scene.dana)
    page = text(browser.get(f"/requests/{request.pk}/"))
    assert "It ran out of memory." in page and "Run failed checks again" in page
    browser.post(f"/requests/{request.pk}/rerun")
    request.refresh_from_db()
    assert request.state == "checking"


def test_the_poll_is_fast_while_checks_run_and_never_carries_the_form(scene: Scene, signed_in: Browser) -> None:
    request = scene.finish(scene.ask(scene.register(card=CARD)), leave=("fairness",))
    browser = signed_in(scene.ravi)
    running = text(browser.get(f"/requests/{request.pk}/status"))
    assert 'hx-trigger="every 2s"' in running and "<form" not in running and "Waits for fairness" in running
    scene.finish(request)
    seen = request_queries.request_page(actor(scene.ravi), request.pk).evidence_digest
    calm = text(browser.get(f"/requests/{request.pk}/status?seen={seen}&state=in_review"))
    assert 'hx-trigger="every 15s"' in calm and "moved on" not in calm
    stale = text(browser.get(f"/requests/{request.pk}/status?seen=sha256:other&state=in_review"))
    assert "This request moved on while you had it open." in stale


def test_a_promotion_is_asked_for_on_the_page_of_a_version(scene: Scene, signed_in: Browser) -> None:
    scene.register(card=CARD)
    path = f"/models/{MODEL}/versions/1/"
    browser = signed_in(scene.dana)
    page = text(browser.get(path))
    assert "Between v1 and Production" in page and "stage:Production" in page and "alias:champion" in page
    empty = browser.post(path, {"what": "promotion:stage:Production", "reason": ""})
    assert empty.status_code == 422 and "Say why: the reviewers decide on it" in text(empty)
    assert browser.post(path, {"what": "elsewhere", "reason": "x"}).status_code == 422
    opened = browser.post(path, {"what": "promotion:stage:Production", "reason": "Better."})
    request = PromotionRequest.objects.get()
    assert opened["Location"] == f"/requests/{request.pk}/"
    twice = browser.post(path, {"what": "promotion:stage:Production", "reason": "Again."})
    assert twice.status_code == 409 and f"REQ-{request.pk}" in text(twice)
    reader = signed_in(scene.ravi)
    assert "Request promotion" not in text(reader.get(path))
    assert reader.post(path, {"what": "promotion:alias:champion", "reason": "Mine."}).status_code == 403


def test_guessing_the_password_that_signs_is_braked_and_keeps_what_was_written(scene: Scene, signed_in: Browser) -> None:
    request = scene.under_review()
    browser, path = signed_in(scene.ravi), f"/requests/{request.pk}/decision"
    for _ in range(FAILURES):
        assert browser.post(path, signature(request, scene.ravi, password="wrong")).status_code == 422
    answer = browser.post(path, signature(request, scene.ravi, comment="Weighed with care"))
    assert answer.status_code == 429 and int(answer["Retry-After"]) > 0
    assert "Too many wrong passwords" in text(answer) and "Weighed with care" in text(answer)
    assert not Review.objects.exists()
    assert "too_many_attempts" in AuditEvent.objects.get(action="access.refused").body
