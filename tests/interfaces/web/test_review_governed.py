"""The page of a request under steps, signatures, waivers and policies on trial: what each person reads, and what their acts do."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from core.access import SYSTEM
from core.models import AuditEvent, User
from governance.commands.cards import write_card
from governance.commands.policies import bind_policy, end_binding, publish_policy
from tests.cast import actor
from tests.interfaces.web.conftest import CARD, MODEL, PASSWORD, Scene
from tests.interfaces.web.governed import BINDING, STRICT, WATCH, Governed, govern
from workflows.commands import execution
from workflows.commands.calendar import create_freeze
from workflows.commands.inbox import claim_task
from workflows.models import PromotionRequest, Review, ReviewTask, Signature
from workflows.queries import requests as request_queries

pytestmark = pytest.mark.django_db
Browser = Callable[[User], Client]


@pytest.fixture
def governed(scene: Scene) -> Governed:
    return govern(scene)


def text(answer: Any) -> str:
    return str(answer.content.decode())


def page_of(signed_in: Browser, user: User, request: PromotionRequest) -> str:
    answer = signed_in(user).get(f"/requests/{request.pk}/")
    assert answer.status_code == 200
    return text(answer)


def row_of(page: str, anchor: str) -> str:
    """Return the row of one requirement."""
    return page.split(f'id="{anchor}"')[1].split("</tr>")[0]


def decision(request: PromotionRequest, reviewer: User, **given: str) -> dict[str, str]:
    """Return a decision form as the page would send it."""
    digest = request_queries.request_page(actor(reviewer), request.pk).evidence_digest
    form = {"verdict": "approve", "comment": "Weighed.", "password": PASSWORD, "evidence_digest": digest, "signs": "1"}
    return form | {"meaning": "reviewed and agreed", **given}


# The verdict, and what the reader can do about it.


def test_each_person_reads_whether_they_can_approve_and_as_what(governed: Governed, signed_in: Browser) -> None:
    request = governed.asked(parity=0.9)
    assert "You can approve as model-risk (1 of 2)." in page_of(signed_in, governed.rita, request)
    carla = page_of(signed_in, governed.carla, request)
    assert "You cannot approve, because the step compliance is not open yet; first comes model-risk." in carla
    assert "You cannot approve, because you asked for this promotion." in page_of(signed_in, governed.scene.dana, request)
    assert "and you are in none of these groups" in page_of(signed_in, governed.scene.ravi, request)

    governed.sign(request, governed.rita)
    rita, tom = page_of(signed_in, governed.rita, request), page_of(signed_in, governed.tom, request)
    assert "You approved." in rita and "1 more of model-risk: Tom Example" in rita  # who is next
    assert "You can approve as model-risk (2 of 2)." in tom and "1 of 3 given" in tom

    governed.sign(request, governed.tom)
    assert "You can approve as compliance (1 of 1)." in page_of(signed_in, governed.carla, request)


def test_steps_stand_in_order_with_who_filled_them_and_who_could(governed: Governed, signed_in: Browser) -> None:
    request = governed.asked(parity=0.9)
    governed.sign(request, governed.rita)
    page = page_of(signed_in, governed.tom, request)
    rail = page.split('id="approvals"')[1]
    assert rail.index("1. Validation") < rail.index("Rita Example") < rail.index("2. Compliance")
    assert "Could approve: you" in rail and "Waits for Validation" in rail and "Escalates to heads-of-risk when late" in rail
    assert "Asked for this promotion" in rail  # why dana may not


def test_a_waived_requirement_is_never_counted_as_passed(governed: Governed, signed_in: Browser) -> None:
    request = governed.asked(parity=0.78)
    before = page_of(signed_in, governed.rita, request)
    assert "1 failed" in before and "Failed" in row_of(before, "r-strict-parity-age")
    governed.waive(request)
    page = page_of(signed_in, governed.rita, request)
    row = row_of(page, "r-strict-parity-age")
    assert "Waived" in row and "Passed" not in row and "by Wim Example" in row
    assert "Instead: A credit officer looks at every refusal of an applicant under 25." in row
    until = timezone.now() + timedelta(days=10)
    assert f"{until.day} {until:%b %Y}" in row
    assert "1 waived" in page and "1 overridden" in page and "1 passed" in page and "1 of 5 met" in page
    assert page.index("Waived or overridden") < page.index("r-strict-parity-age") < page.index(">Met<")
    assert "required: a requirement is waived" in page


def test_approving_past_a_waiver_takes_words(governed: Governed, signed_in: Browser) -> None:
    request = governed.asked(parity=0.78)
    governed.waive(request)
    browser, path = signed_in(governed.rita), f"/requests/{request.pk}/decision"
    digest = statement_digest(browser, request)
    silent = browser.post(path, decision(request, governed.rita, comment="", statement_digest=digest))
    assert silent.status_code == 400 and "A requirement is waived: say why you approve all the same" in text(silent)
    assert not Review.objects.exists()
    assert browser.post(path, decision(request, governed.rita, statement_digest=digest)).status_code == 302


def test_policies_that_only_look_on_stand_apart_and_those_on_trial_are_for_who_governs(
    governed: Governed, signed_in: Browser
) -> None:
    request = governed.asked(parity=0.9)
    scientist = page_of(signed_in, governed.scene.dana, request)
    assert "Warns only" in scientist and "1 warning" in scientist
    assert "trial" not in scientist and "Shadow" not in scientist
    assert scientist.index("Enforced") < scientist.index("Warns only")
    for user in (governed.scene.aude, governed.scene.pat):
        governing = page_of(signed_in, user, request)
        assert governing.index("Warns only") < governing.index(">trial v1<") < governing.index("Shadow")
        assert 'id="r-trial-brier"' in governing
    assert row_of(scientist, "r-watch-brier").count("Failed") == 1
    assert "1 failed" not in scientist  # what blocks nothing is not counted with what does


def test_a_waiver_is_asked_for_where_one_may_and_only_of_what_may_be_waived(governed: Governed, signed_in: Browser) -> None:
    request = governed.asked(parity=0.78)
    link = f"/waivers/new?model={MODEL}&amp;version=1&amp;policy=strict&amp;requirement=parity-age"
    page = page_of(signed_in, governed.scene.dana, request)
    assert link in page and page.count("Ask for a waiver") == 1
    assert signed_in(governed.scene.dana).get(link.replace("&amp;", "&")).status_code == 200
    assert "Ask for a waiver" not in page_of(signed_in, governed.rita, request)


# Signing.


def statement_digest(browser: Client, request: PromotionRequest, **chosen: str) -> str:
    """Return the digest of the statement that the page shows for a choice."""
    asked = {"verdict": "approve", "meaning": "reviewed and agreed", **chosen}
    shown = text(browser.get(f"/requests/{request.pk}/statement", asked))
    return shown.split('name="statement_digest" value="')[1].split('"')[0]


def test_the_exact_statement_is_shown_and_signed(governed: Governed, signed_in: Browser) -> None:
    request = governed.asked(parity=0.9)
    browser, path = signed_in(governed.rita), f"/requests/{request.pk}/decision"
    assert "Choose what you decide and what your signature means" in text(browser.get(f"/requests/{request.pk}/statement"))
    shown = text(browser.get(f"/requests/{request.pk}/statement", {"verdict": "approve", "meaning": "reviewed and agreed"}))
    assert f"I, Rita Example approve REQ-{request.pk}: {MODEL} v1 to stage Production." in shown
    assert "Meaning of this signature: reviewed and agreed." in shown
    digest = statement_digest(browser, request)
    assert digest in shown and digest != statement_digest(browser, request, verdict="reject")

    assert browser.post(path, decision(request, governed.rita, statement_digest=digest)).status_code == 302
    signature = Signature.objects.get()
    assert (signature.printed_name, signature.meaning, signature.statement_digest) == (
        "Rita Example",
        "reviewed and agreed",
        digest,
    )
    page = page_of(signed_in, governed.tom, request)
    assert "Signed by Rita Example, meaning: reviewed and agreed" in page and digest in page
    assert "signed as reviewed and agreed" in page  # in the timeline


@pytest.mark.parametrize(
    ("given", "status", "said"),
    [
        ({}, 422, "Read the statement, then give your password and sign it."),
        ({"meaning": ""}, 422, "Choose what your signature means."),
        ({"statement_digest": "sha256:of-another"}, 409, "What you read is not what would be signed now"),
        ({"meaning": "made up", "statement_digest": "sha256:x"}, 400, "A signature here means one of"),
        ({"password": "wrong", "statement_digest": "sha256:x"}, 422, "This password does not match. Nothing was signed."),
        ({"signs": "", "meaning": ""}, 400, "The policy asks for a signature"),
    ],
)
def test_nothing_else_is_signed(governed: Governed, signed_in: Browser, given: dict[str, str], status: int, said: str) -> None:
    request = governed.asked(parity=0.9)
    answer = signed_in(governed.rita).post(f"/requests/{request.pk}/decision", decision(request, governed.rita, **given))
    assert answer.status_code == status and said in text(answer)
    assert not Review.objects.exists()
    assert "Weighed." in text(answer)  # what was written is still there


def test_without_script_the_statement_is_shown_before_anything_is_sent(governed: Governed, signed_in: Browser) -> None:
    request = governed.asked(parity=0.9)
    browser, path = signed_in(governed.rita), f"/requests/{request.pk}/decision"
    shown = text(browser.post(path, decision(request, governed.rita, password="", show="statement")))
    assert "I, Rita Example approve" in shown and "Not recorded." not in shown and not Review.objects.exists()
    digest = shown.split('name="statement_digest" value="')[1].split('"')[0]
    # Who changes their mind without reading again signs nothing.
    turned = browser.post(path, decision(request, governed.rita, verdict="reject", statement_digest=digest))
    assert turned.status_code == 409 and "I, Rita Example reject" in text(turned) and not Review.objects.exists()
    assert browser.post(path, decision(request, governed.rita, statement_digest=digest)).status_code == 302


def test_a_statement_is_for_whoever_sees_the_request(governed: Governed, signed_in: Browser, mallory: User) -> None:
    request = governed.asked(parity=0.9)
    hidden = signed_in(mallory).get(f"/requests/{request.pk}/statement", {"verdict": "approve", "meaning": "reviewed and agreed"})
    assert hidden.status_code == 404 and "I, " not in text(hidden)


def test_an_abstention_is_recorded_and_fills_no_place(governed: Governed, signed_in: Browser) -> None:
    request = governed.asked(parity=0.9)
    browser = signed_in(governed.rita)
    digest = statement_digest(browser, request, verdict="abstain")
    browser.post(f"/requests/{request.pk}/decision", decision(request, governed.rita, verdict="abstain", statement_digest=digest))
    assert Review.objects.get().verdict == "abstain"
    page = text(browser.get(f"/requests/{request.pk}/"))
    assert "You abstained" in page and "0 of 3 given" in page


# Standing in, and taking on.


def test_a_stand_in_decides_for_another_and_both_names_are_shown(governed: Governed, signed_in: Browser) -> None:
    request = governed.asked(parity=0.9)
    ravi = governed.scene.ravi
    governed.stand_in(governed.carla, ravi)
    for user in (governed.rita, governed.tom):
        governed.sign(request, user)
    browser = signed_in(ravi)
    page = text(browser.get(f"/requests/{request.pk}/"))
    assert "You can approve for Carla Example as compliance (1 of 1)." in page
    assert "You decide for Carla Example, as compliance (1 of 1)." in page
    digest = statement_digest(browser, request, on_behalf_of="carla")
    form = decision(request, ravi, on_behalf_of="carla", statement_digest=digest)
    assert browser.post(f"/requests/{request.pk}/decision", form).status_code == 302
    request.refresh_from_db()
    assert request.state == "approved"
    after = page_of(signed_in, governed.rita, request)
    assert "<b>Ravi Example</b> for <b>Carla Example</b>" in after and "approved for Carla Example" in after


def test_who_has_two_places_chooses_one(governed: Governed, signed_in: Browser) -> None:
    request = governed.asked(parity=0.9)
    governed.stand_in(governed.tom, governed.rita)
    page = page_of(signed_in, governed.rita, request)
    assert "You can approve as model-risk (1 of 2), or for Tom Example as model-risk (1 of 2)." in page
    assert '<select id="whose" name="on_behalf_of">' in page and "Yourself, as model-risk (1 of 2)" in page


def test_a_review_is_taken_on_and_given_back(governed: Governed, signed_in: Browser) -> None:
    request = governed.asked(parity=0.9)
    task = ReviewTask.objects.get(request=request, closed_at=None)
    browser = signed_in(governed.rita)
    assert "Take on for model-risk" in text(browser.get(f"/requests/{request.pk}/"))
    taken = browser.post(f"/tasks/{task.pk}/claim", {"next": f"/requests/{request.pk}/"})
    assert taken.status_code == 302 and taken["Location"] == f"/requests/{request.pk}/"
    assert "Taken on by you until" in text(browser.get(f"/requests/{request.pk}/"))
    other = page_of(signed_in, governed.tom, request)
    assert "Taken on by Rita Example until" in other and "Take on for" not in other and "Your decision" in other
    refused = signed_in(governed.tom).post(f"/tasks/{task.pk}/claim")
    assert refused.status_code == 409 and "rita has taken this on" in text(refused)
    assert browser.post(f"/tasks/{task.pk}/release", {"next": "https://elsewhere.example/"})["Location"] == "/requests/"
    task.refresh_from_db()
    assert task.claimed_by is None


# What changed.


def test_what_changed_since_my_review_is_listed_with_what_matters(governed: Governed, signed_in: Browser) -> None:
    request = governed.asked(parity=0.9)
    governed.sign(request, governed.rita)
    change(governed, limitations="Other words, and enough of them.", monitoring_plan="Monthly, by the risk team.")
    page = page_of(signed_in, governed.rita, request)
    since = page.split('id="since"')[1].split("</section>")[0]
    assert since.index("Model card, Limitations") < since.index("Material") < since.index("Model card, Monitoring plan")
    assert since.count("Not material") == 1 and "You signed" in since
    assert "Your review is stale" in page and "You can approve as model-risk (1 of 2)." in page
    reviews = page.split('id="reviews"')[1].split("</section>")[0]
    assert "<s><b>You</b>, approved</s>" in reviews and "Card limitations changed" in reviews and "Stale" in reviews
    assert 'id="since"' not in page_of(signed_in, governed.tom, request)


def test_what_does_not_matter_leaves_the_review_standing_with_a_note(governed: Governed, signed_in: Browser) -> None:
    request = governed.asked(parity=0.9)
    governed.sign(request, governed.rita)
    change(governed, monitoring_plan="Monthly, by the risk team.")
    page = page_of(signed_in, governed.rita, request)
    assert "Stands, since what changed is not material: card monitoring plan changed" in page
    assert "You approved." in page and "<s>" not in page and "1 of 3 given" in page


def change(governed: Governed, **sections: str) -> None:
    write_card(actor=actor(governed.scene.dana), model_name=MODEL, version=1, sections={**CARD, **sections})


def test_newer_policies_are_shown_before_a_rebase_and_pinned_by_it(governed: Governed, signed_in: Browser) -> None:
    request = governed.asked(parity=0.9)
    assert "Newer policies are in force" not in page_of(signed_in, governed.scene.dana, request)
    newer = STRICT.replace("default: 0.8}", "default: 0.85}").replace("title: Accuracy", "title: Exactness")
    publish_policy(
        actor=actor(governed.scene.pat), document=newer.replace("{group: model-risk, count: 2}", "{group: model-risk, count: 1}")
    )
    page = page_of(signed_in, governed.scene.dana, request)
    for said in ("strict</b> v1 becomes v2", "Min parity: 0.800 becomes 0.850", "Exactness: changed", "Who must approve differs"):
        assert said in page, said
    assert "Newer policies are in force" not in page_of(signed_in, governed.rita, request)  # who may not ask cannot move it
    assert signed_in(governed.scene.dana).post(f"/requests/{request.pk}/rebase").status_code == 302
    request.refresh_from_db()
    assert request.generation == 2 and request.state == "checking"
    moved = page_of(signed_in, governed.scene.dana, request)
    assert "moved the request to the policies in force: strict v2 and watch v1<" in moved  # what is on trial stays unnamed
    assert "strict v2, trial v1 and watch v1<" in page_of(signed_in, governed.scene.aude, request)


def test_what_is_on_trial_is_not_named_to_who_asks(governed: Governed, signed_in: Browser) -> None:
    request = governed.asked(parity=0.9)
    pat = actor(governed.scene.pat)
    publish_policy(actor=pat, document=WATCH.format(name="trial").replace("<= 0.1", "<= 0.2"))
    assert "Newer policies are in force" not in page_of(signed_in, governed.scene.dana, request)
    end_binding(actor=pat, name="strict")
    bind_policy(actor=pat, document=BINDING.format(name="strict", mode="shadow", model=MODEL))
    page = page_of(signed_in, governed.scene.dana, request)
    assert "strict</b> v1 is asked no more" in page and "trial" not in page


def test_an_objection_that_stands_is_named_as_missing(governed: Governed, signed_in: Browser) -> None:
    request = governed.asked(parity=0.9)
    governed.sign(request, governed.tom, "request_changes", comment="Say more about group sizes.")
    signed_in(governed.scene.dana).post(f"/requests/{request.pk}/resubmit", {"comment": "Said in the card."})
    page = page_of(signed_in, governed.rita, request)
    assert "Not carried out yet after this: No open objection and 2 more approvals." in page
    assert 'href="#reviews">Reviews</a>' in row_of(page, "r-strict-no-open-objection")


# Findings and talk.


def test_findings_of_other_versions_are_marked_as_carried_over(governed: Governed, signed_in: Browser) -> None:
    governed.scene.register(card=CARD)
    governed.found(1)
    request = governed.asked(parity=0.9)
    page = page_of(signed_in, governed.rita, request)
    assert "Outcomes of the over 60 are thin" in page and "Carried over from v1" in page and "Dana Example sees to it" in page


def test_a_discussion_is_anchored_answered_resolved_and_taken_up_again(governed: Governed, signed_in: Browser) -> None:
    request = governed.asked(parity=0.9)
    rita, dana = signed_in(governed.rita), signed_in(governed.scene.dana)
    path = f"/requests/{request.pk}"
    preset = text(rita.get(f"{path}/?about=requirement:strict/parity-age"))
    assert '<option value="requirement:strict/parity-age" selected>' in preset
    begun = rita.post(f"{path}/threads", {"about": "requirement:strict/parity-age", "text": "Is 46 rows enough, @dana?"})
    assert begun.status_code == 302 and begun["Location"] == f"{path}/#discussion"
    page = text(dana.get(f"{path}/"))
    assert '<a href="#r-strict-parity-age">Parity ratio, age group</a>' in page and "1 of 1 unresolved" in page
    assert "1 discussion" in row_of(page, "r-strict-parity-age")
    thread = page.split('id="thread-')[1].split('"')[0]
    assert dana.post(f"{path}/threads/{thread}/reply", {"text": "The interval is in the card."}).status_code == 302
    assert rita.post(f"{path}/threads/{thread}/resolve").status_code == 302
    resolved = page_of(signed_in, governed.scene.aude, request)
    assert "0 of 1 unresolved" in resolved and "Take up again" not in resolved  # an auditor reads
    assert "Take up again" in text(rita.get(f"{path}/"))
    rita.post(f"{path}/threads/{thread}/reopen")
    assert "1 of 1 unresolved" in text(rita.get(f"{path}/"))


def test_a_comment_is_changed_and_deleted_by_who_wrote_it(governed: Governed, signed_in: Browser) -> None:
    request = governed.asked(parity=0.9)
    rita, path = signed_in(governed.rita), f"/requests/{request.pk}"
    rita.post(f"{path}/threads", {"about": "request:", "text": "First words."})
    comment = text(rita.get(f"{path}/")).split('id="comment-')[1].split('"')[0]
    refused = signed_in(governed.tom).post(f"{path}/comments/{comment}/edit", {"text": "Not mine."})
    assert refused.status_code == 403 and "Only its author changes" in text(refused)
    rita.post(f"{path}/comments/{comment}/edit", {"text": "Better words."})
    assert "Better words." in text(rita.get(f"{path}/"))
    rita.post(f"{path}/comments/{comment}/delete")
    page = text(rita.get(f"{path}/"))
    assert "deleted this comment" in page and "Better words." not in page


def test_a_refused_comment_keeps_what_was_written_and_htmx_gets_the_discussion_alone(
    governed: Governed, signed_in: Browser
) -> None:
    request = governed.asked(parity=0.9)
    browser, path = signed_in(governed.rita), f"/requests/{request.pk}/threads"
    empty = browser.post(path, {"about": "request:", "text": " "})
    assert empty.status_code == 400 and "Write something: a comment needs a text." in text(empty)
    lost = browser.post(path, {"about": "card:nothing-like-it", "text": "About what?"})
    assert lost.status_code == 400 and "About what?" in text(lost) and "There is no card" in text(lost)
    part = browser.post(path, {"about": "card:limitations", "text": "Which region?"}, headers={"HX-Request": "true"})
    assert text(part).lstrip().startswith('<section class="sect" id="discussion"') and "Model card, Limitations" in text(part)
    wrong = browser.post(path, {"about": "request:", "text": ""}, headers={"HX-Request": "true"})
    assert wrong.status_code == 200 and "Write something" in text(wrong)  # htmx swaps only what went well


def test_an_outsider_can_neither_talk_nor_act(governed: Governed, signed_in: Browser, mallory: User) -> None:
    request = governed.asked(parity=0.9)
    task = ReviewTask.objects.get(request=request, closed_at=None)
    governed.talk(request)
    thread = request.threads.first()
    assert thread is not None
    browser, before = signed_in(mallory), AuditEvent.objects.exclude(action="access.refused").count()
    for act in (
        "threads",
        f"threads/{thread.pk}/reply",
        f"threads/{thread.pk}/resolve",
        "submit",
        "rebase",
        "execute",
        "withdraw",
    ):
        answer = browser.post(f"/requests/{request.pk}/{act}", {"about": "request:", "text": "Hello", "comment": "x"})
        assert answer.status_code == 404, act
    assert browser.post(f"/tasks/{task.pk}/claim").status_code == 404
    assert AuditEvent.objects.exclude(action="access.refused").count() == before


# Drafts, holds, other kinds.


def test_a_draft_is_shown_asked_and_discarded(governed: Governed, signed_in: Browser) -> None:
    version = governed.scene.register(card=CARD)
    browser = signed_in(governed.scene.dana)
    asked = {"what": "promotion:stage:Production", "reason": "Prepared.", "draft": "on"}
    drafted = browser.post(f"/models/{MODEL}/versions/{version.number}/", asked)
    request = PromotionRequest.objects.get()
    assert drafted["Location"] == f"/requests/{request.pk}/" and request.state == "draft"
    page = text(browser.get(f"/requests/{request.pk}/"))
    assert "Nothing is asked yet" in page and "Measured when it is asked" in page and "Ask now" in page
    assert "with an error" not in page and "Sign and approve" not in page
    assert "Ask now" not in page_of(signed_in, governed.rita, request)
    assert "Drafts, 1" in text(browser.get("/requests/?tab=mine"))
    assert browser.post(f"/requests/{request.pk}/submit").status_code == 302
    request.refresh_from_db()
    assert request.state == "checking"
    again = browser.post(f"/requests/{request.pk}/submit")
    assert again.status_code == 409 and "was asked for already" in text(again)

    other = governed.draft()
    browser.post(f"/requests/{other.pk}/withdraw")
    other.refresh_from_db()
    assert other.state == "withdrawn"


def test_what_holds_an_approved_request_is_said_with_its_end(governed: Governed, signed_in: Browser) -> None:
    request = governed.asked(parity=0.9)
    begins = (timezone.now() - timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M")
    create_freeze(
        actor=actor(governed.scene.pat), name="year-end", reason="Books close.", starts=begins, duration_minutes=600, zone="UTC"
    )
    governed.approved(request)
    execution.execute_request(actor=SYSTEM, request_id=request.pk)
    page = page_of(signed_in, governed.scene.dana, request)
    assert "Frozen by year-end until" in page and "Approved, on hold" in page
    answer = signed_in(governed.scene.dana).post(f"/requests/{request.pk}/execute", follow=True)
    assert "It is carried out later: Frozen by year-end until" in text(answer)
    request.refresh_from_db()
    assert request.state == "approved"
    assert "Frozen by year-end" in text(signed_in(governed.scene.dana).get("/requests/?tab=mine"))


def test_rollbacks_and_re_reviews_are_asked_on_the_version_and_read_as_such(governed: Governed, signed_in: Browser) -> None:
    dana = signed_in(governed.scene.dana)
    first = governed.approved(governed.asked(parity=0.9))
    execution.execute_request(actor=SYSTEM, request_id=first.pk)
    again = {"what": "re_review:stage:Production", "reason": "A year has passed."}
    page = text(dana.get(f"/models/{MODEL}/versions/1/?what=re_review:stage:Production"))
    assert '<option value="re_review:stage:Production" selected>' in page and "rollback:" not in page
    assert dana.post(f"/models/{MODEL}/versions/1/", again).status_code == 302
    re_review = PromotionRequest.objects.get(kind="re_review")
    shown = page_of(signed_in, governed.rita, re_review)
    assert f"Review {MODEL} v1 in Production again" in shown and "If approved, v1 stays in Production." in shown
    dana.post(f"/requests/{re_review.pk}/withdraw")

    second = governed.approved(governed.asked(parity=0.9))
    execution.execute_request(actor=SYSTEM, request_id=second.pk)
    assert "rollback:stage:Production" in text(dana.get(f"/models/{MODEL}/versions/1/"))
    dana.post(f"/models/{MODEL}/versions/1/", {"what": "rollback:stage:Production", "reason": "It misbehaves."})
    rollback = PromotionRequest.objects.get(kind="rollback")
    back = page_of(signed_in, governed.rita, rollback)
    assert f"Roll {MODEL} back to v1 in Production" in back and "v1 returns to Production" in back
    done = page_of(signed_in, governed.rita, second)
    assert "What was approved holds until" in done


def test_a_newer_request_closes_an_older_one_where_one_says_so(governed: Governed, signed_in: Browser) -> None:
    older = governed.asked(parity=0.9)
    version = governed.scene.register(card=CARD)
    dana, path = signed_in(governed.scene.dana), f"/models/{MODEL}/versions/{version.number}/"
    assert f"REQ-{older.pk}" in text(dana.get(path)) and "Close what is open for the same place" in text(dana.get(path))
    asked = {"what": "promotion:stage:Production", "reason": "Better still."}
    assert dana.post(path, asked).status_code == 409
    assert dana.post(path, {**asked, "supersede": "on"}).status_code == 302
    older.refresh_from_db()
    assert older.state == "superseded"
    assert "Superseded" in page_of(signed_in, governed.scene.dana, older)


def test_the_page_takes_as_many_statements_for_much_talk_as_for_little(
    governed: Governed, signed_in: Browser, django_assert_max_num_queries: Any
) -> None:
    request = governed.asked(parity=0.78)
    governed.waive(request)
    governed.talk(request)
    governed.found(1)
    governed.sign(request, governed.rita)
    browser = signed_in(governed.tom)
    browser.get(f"/requests/{request.pk}/")
    with django_assert_max_num_queries(60) as few:
        browser.get(f"/requests/{request.pk}/")
    for _ in range(5):
        governed.talk(request)
        governed.found(1)
    claim_task(actor=actor(governed.tom), task_id=ReviewTask.objects.get(request=request, closed_at=None).pk)
    with django_assert_max_num_queries(len(few.captured_queries)) as many:
        page = text(browser.get(f"/requests/{request.pk}/"))
    assert page.count('class="thread"') == 12 and len(many.captured_queries) <= len(few.captured_queries)
