"""Registers of waivers, findings and tiers: who sees and may do what, and what a mistake reads like."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from core.access import grant
from core.models import User
from governance.commands.policies import publish_policy
from governance.models import CheckRun, FindingRecord, TierAssessment, Waiver
from governance.questionnaire import bundled
from registry.models import RegisteredModel
from tests.cast import actor, person
from tests.interfaces.web.conftest import MODEL, POLICIES, Scene
from tests.interfaces.web.test_pages import text
from tests.workflows.test_tiers import QUESTIONS
from workflows.commands import findings as finding_commands
from workflows.commands import tiers as tier_commands
from workflows.commands import waivers as waiver_commands

pytestmark = pytest.mark.django_db
Browser = Callable[[User], Client]

WAIVABLE = (POLICIES / "credit-production.yaml").read_text().replace("risk-committee", "model-risk")


def waivable(scene: Scene) -> None:
    publish_policy(actor=actor(scene.pat), document=WAIVABLE)


def asking(scene: Scene, requirement: str = "parity-age", days: int = 60, **changes: Any) -> Waiver:
    given: dict[str, Any] = {
        "model_name": MODEL,
        "version": None,
        "policy": "credit-production",
        "requirement": requirement,
        "reason": "The group is too small to say.",
        "compensating_control": "An officer decides every case of this group.",
        "expires_at": timezone.now() + timedelta(days=days),
        **changes,
    }
    return waiver_commands.request_waiver(actor=actor(scene.dana), **given)


@pytest.fixture
def mark(db: None) -> User:
    """A person of the group that rules on waivers."""
    return person("mark", "reviewer", groups=("model-risk",))


# Waivers.


def test_a_waiver_is_asked_for_approved_and_ended_on_pages(scene: Scene, signed_in: Browser, mark: User) -> None:
    waivable(scene)
    scene.under_review(parity=0.78)
    dana = signed_in(scene.dana)
    form = text(dana.get(f"/waivers/new?model={MODEL}&version=1&policy=credit-production&requirement=parity-age"))
    assert f'value="{MODEL}"' in form and '<option value="credit-production/parity-age" selected>' in form
    assert "at most 90 days, ruled on by model-risk" in form
    sent = {
        "model": MODEL,
        "version": "1",
        "what": "credit-production/parity-age",
        "reason": "The group is too small to say.",
        "compensating_control": "An officer decides every case of this group.",
        "ends": (timezone.now().date() + timedelta(days=30)).isoformat(),
    }
    empty = dana.post("/waivers/new", {"model": MODEL})
    assert empty.status_code == 422
    for words in ("Choose what is to be waived.", "Say what reduces the risk", "Give the day on which it ends."):
        assert words in text(empty)
    long = dana.post("/waivers/new", {**sent, "ends": (timezone.now().date() + timedelta(days=400)).isoformat()})
    assert long.status_code == 400 and "lets a waiver last 90 days at most" in text(long)
    assert "The group is too small to say." in text(long)  # what was written is not lost
    assert not Waiver.objects.exists()

    answer = dana.post("/waivers/new", sent)
    waiver = Waiver.objects.get()
    assert answer.status_code == 302 and answer["Location"] == f"/waivers/{waiver.pk}/"
    page = f"/waivers/{waiver.pk}/"
    own = text(dana.get(page))
    assert "model-risk rules on it, and you are not of that group." in own and "Approve the waiver" not in own
    assert "Take the waiver back" in own

    assert "Approve the waiver" not in text(signed_in(scene.ravi).get(page))
    refused = signed_in(scene.ravi).post(page, {"act": "approve", "comment": "Fine."})
    assert refused.status_code == 403 and "you are not of it" in text(refused)
    browser = signed_in(mark)
    assert "Approve the waiver" in text(browser.get(page)) and "Take the waiver back" in text(browser.get(page))
    without = browser.post(page, {"act": "approve", "comment": " "})
    assert without.status_code == 422 and "Say why: it stays on record." in text(without)
    assert browser.post(page, {"act": "approve", "comment": "For a month."}).status_code == 302
    ruled = text(browser.get(page))
    assert "In force" in ruled and "For a month." in ruled and "Approve the waiver" not in ruled
    assert browser.post(page, {"act": "revoke", "comment": "The officer left."}).status_code == 302
    assert "ended it before its time" in text(browser.get(page))
    again = browser.post(page, {"act": "revoke", "comment": "Once more."})
    assert again.status_code == 409 and "there is nothing to end" in text(again)


def test_who_made_the_version_is_told_that_they_cannot_rule(scene: Scene, signed_in: Browser) -> None:
    waivable(scene)
    scene.register()
    person("dana", "data-scientist", "reviewer", groups=("model-risk",))
    waiver = asking(scene)
    page = text(signed_in(scene.dana).get(f"/waivers/{waiver.pk}/"))
    assert "You cannot: you asked for it; you registered this version" in page and "Approve the waiver" not in page


def test_the_register_sets_apart_what_waits_holds_ends_soon_and_is_over(scene: Scene, signed_in: Browser, mark: User) -> None:
    waivable(scene)
    scene.register()
    waiting, soon, later, refused = (
        asking(scene, requirement, days) for requirement, days in
        (("parity-age", 60), ("parity-sex", 5), ("roc-auc", 60), ("signature", 60))
    )  # fmt: skip
    for waiver, verdict in ((soon, "approved"), (later, "approved"), (refused, "refused")):
        waiver_commands.rule_waiver(actor=actor(mark), waiver_id=waiver.pk, verdict=verdict, comment="So be it.")
    page = text(signed_in(scene.ravi).get("/waivers/"))
    where = [page.index(word) for word in ("Wait for a ruling", "End within two weeks", ">In force <span", ">Refused</th>")]
    assert where == sorted(where)
    for begins, waiver in zip(where, (waiting, soon, later, refused), strict=True):
        assert begins < page.index(f"/waivers/{waiver.pk}/") < begins + 4000
    only = text(signed_in(scene.ravi).get("/waivers/?state=refused"))
    assert f"/waivers/{refused.pk}/" in only and f"/waivers/{soon.pk}/" not in only
    assert "No waiver matches" in text(signed_in(scene.ravi).get("/waivers/?model=other"))
    assert "Ask for a waiver" not in page and "Ask for a waiver" in text(signed_in(scene.dana).get("/waivers/"))


# Findings.


def test_a_finding_is_raised_changed_closed_and_opened_again(scene: Scene, signed_in: Browser) -> None:
    scene.under_review()
    ravi = signed_in(scene.ravi)
    wrong = ravi.post("/findings/new", {"model": MODEL, "title": "", "severity": "grave", "due_on": "soon"})
    assert wrong.status_code == 422
    for words in ("Say in a line what is wrong.", "Choose one of the list.", "Give a day such as 2027-03-31."):
        assert words in text(wrong)
    sent = {"model": MODEL, "title": "Drifts in May", "severity": "medium", "owner": "nobody-here", "due_on": "2020-01-01"}
    unknown = ravi.post("/findings/new", sent)
    assert unknown.status_code == 400 and "no account &#x27;nobody-here&#x27;" in text(unknown)
    assert ravi.post("/findings/new", {**sent, "owner": "dana"}).status_code == 302
    finding = FindingRecord.objects.get(source="reviewer")
    page = f"/findings/{finding.pk}/"
    listed = text(ravi.get("/findings/"))
    assert page in listed and 'class="n cell late"' in listed
    assert page not in text(ravi.get("/findings/?severity=low")) and page in text(ravi.get("/findings/?overdue=1&owner=dana"))

    nothing = ravi.post(page, {"act": "change", "severity": "medium", "owner": "dana", "due_on": "2020-01-01"})
    assert nothing.status_code == 400 and "Nothing would change" in text(nothing)
    assert ravi.post(page, {"act": "change", "severity": "high", "owner": "dana", "due_on": ""}).status_code == 302
    assert "changed severity from medium to high and due from 2020-01-01 to none" in text(ravi.get(page))

    owners = text(signed_in(scene.dana).get(page))
    assert "It is high: a reviewer or an auditor closes it." in owners and "Close the finding" not in owners
    run = CheckRun.objects.filter(state="passed").first()
    assert run is not None and f'value="{run.pk}"' in text(ravi.get(page))
    unsaid = ravi.post(page, {"act": "close", "comment": ""})
    assert unsaid.status_code == 422 and "a finding is closed with evidence" in text(unsaid)
    assert ravi.post(page, {"act": "close", "comment": "Trained anew.", "check_run": str(run.pk)}).status_code == 302
    closed = text(ravi.get(page))
    assert (
        f"shown by check run {str(run.pk)[:8]}" in closed
        and "Open it again" in closed
        and page not in text(ravi.get("/findings/"))
    )
    assert ravi.post(page, {"act": "reopen", "comment": "It is back."}).status_code == 302
    assert page in text(ravi.get("/findings/"))
    assert ravi.post(page, {"act": "forget"}).status_code == 400


def test_whoever_may_only_read_a_model_sees_findings_and_is_offered_nothing(
    scene: Scene, signed_in: Browser, mallory: User
) -> None:
    scene.register()
    finding = finding_commands.raise_finding(actor=actor(scene.ravi), model_name=MODEL, title="Drifts", severity="low")
    browser = signed_in(mallory)
    assert browser.get(f"/findings/{finding.pk}/").status_code == 404 and "Drifts" not in text(browser.get("/findings/"))
    grant(RegisteredModel.objects.get(name=MODEL), "model_read", users=[mallory.pk])
    page = text(browser.get(f"/findings/{finding.pk}/"))
    assert "Drifts" in page and "Close the finding" not in page and "Change the finding" not in page
    assert browser.get("/findings/new").status_code == 403
    assert "Raise a finding" not in text(browser.get("/findings/"))
    refused = browser.post(f"/findings/{finding.pk}/", {"act": "close", "comment": "Gone."})
    assert refused.status_code == 403 and FindingRecord.objects.get().status == "open"


# Tiers.


def test_a_tier_is_assessed_with_mistakes_at_their_questions_and_overridden_by_two(scene: Scene, signed_in: Browser) -> None:
    scene.register()
    page = f"/tiers/{MODEL}/"
    dana = signed_in(scene.dana)
    assert "No questionnaire is published" in text(dana.get(page))
    tier_commands.publish_questionnaire(actor=actor(scene.pat), document=QUESTIONS)
    shown = text(dana.get(page))
    assert "How much depends on it?" in shown and "1 point, at least medium" in shown
    half = dana.post(page, {"act": "assess", "questionnaire": "short", "exposure": "much"})
    assert half.status_code == 422 and "Choose one answer." in text(half)
    assert '<input type="radio" name="exposure" value="much" checked>' in text(half)
    answers = {"act": "assess", "questionnaire": "short", "exposure": "much", "people": "customers"}
    alone = dana.post(page, {**answers, "override_tier": "medium"})
    assert alone.status_code == 400 and "Say why another tier should hold" in text(alone)
    assert dana.post(page, {**answers, "override_tier": "medium", "override_reason": "Only advice."}).status_code == 302
    assessed = text(dana.get(page))
    assert "In force: High" in assessed and "11 points" in assessed and "You cannot: you assessed the model" not in assessed
    assert "A reviewer who had no part in the model rules on it." in assessed

    made = TierAssessment.objects.get()
    ravi = signed_in(scene.ravi)
    assert "Confirm medium" in text(ravi.get(page)) and "Record the answers" not in text(ravi.get(page))
    unsaid = ravi.post(page, {"act": "confirm", "assessment": str(made.pk), "comment": ""})
    assert unsaid.status_code == 422 and "Say why: it stays on record." in text(unsaid)
    assert ravi.post(page, {"act": "confirm", "assessment": str(made.pk), "comment": "Agreed."}).status_code == 302
    assert "In force: Medium" in text(ravi.get(page))
    denied = ravi.post(page, answers)
    assert denied.status_code == 403 and TierAssessment.objects.count() == 1


def test_questionnaires_are_published_by_admins_with_each_mistake_at_its_line(scene: Scene, signed_in: Browser) -> None:
    pat = signed_in(scene.pat)
    listed = text(pat.get("/questionnaires/"))
    assert listed.count("Not published") == len(bundled()) == 2
    assert pat.post("/questionnaires/", {"bundled": "materiality"}).status_code == 302
    assert "Published, v1" in text(pat.get("/questionnaires/"))
    wrong = pat.post("/questionnaires/", {"document": QUESTIONS.replace("points: 5", "points: lots")})
    assert wrong.status_code == 400 and 'href="#M10"' in text(wrong) and 'id="M10" class="hit"' in text(wrong)
    readers = text(signed_in(scene.dana).get("/questionnaires/?open=materiality"))
    assert "Publish" not in readers.replace("Published", "") and "kind: Questionnaire" in readers
    assert signed_in(scene.dana).post("/questionnaires/", {"document": QUESTIONS}).status_code == 403


# Statements.


def test_the_registers_take_as_many_statements_for_many_as_for_few(scene: Scene, signed_in: Browser, mark: User) -> None:
    waivable(scene)
    scene.register()
    first = asking(scene)
    finding_commands.raise_finding(actor=actor(scene.ravi), model_name=MODEL, title="One", severity="low")
    browser = signed_in(scene.ravi)

    def taken(path: str) -> int:
        with CaptureQueriesContext(
            connection,
        ) as found:
            assert browser.get(path).status_code == 200
        return len(found)

    paths = ("/waivers/", "/waivers/?state=in_force", "/findings/", "/questionnaires/")
    waiver_commands.rule_waiver(actor=actor(mark), waiver_id=first.pk, verdict="approved", comment="Yes.")
    [taken(path) for path in paths]
    few = [taken(path) for path in paths]
    for requirement in ("parity-sex", "roc-auc", "signature"):
        waiver = asking(scene, requirement)
        waiver_commands.rule_waiver(actor=actor(mark), waiver_id=waiver.pk, verdict="approved", comment="Yes.")
        finding_commands.raise_finding(actor=actor(scene.ravi), model_name=MODEL, title=requirement, severity="high")
    assert [taken(path) for path in paths] == few
    assert max(few) <= 24
