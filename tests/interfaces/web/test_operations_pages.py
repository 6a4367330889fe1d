"""Freezes, business calendars, emergencies and re-reviews on pages, and what the page of a model says of all of it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from core.models import User
from governance.commands.policies import publish_policy
from registry.models import StageAssignment
from tests.cast import actor, person
from tests.interfaces.web.conftest import MODEL, POLICIES, Scene
from tests.interfaces.web.test_pages import text
from tests.interfaces.web.test_risk_pages import asking, waivable
from workflows.commands import break_glass, calendar, re_reviews
from workflows.commands import findings as finding_commands
from workflows.commands import waivers as waiver_commands
from workflows.models import BreakGlass, BusinessCalendarRow, FreezeWindow, PromotionRequest, ReReview

pytestmark = pytest.mark.django_db
Browser = Callable[[User], Client]

AGAIN = (
    (POLICIES / "credit-production.yaml")
    .read_text()
    .replace(
        "waivers: {approved_by: risk-committee, max_days: 90}\n",
        "waivers: {approved_by: model-risk, max_days: 90}\nvalidity: {days: 90, re_review_on: [drift]}\n",
    )
)


@pytest.fixture
def responders(db: None) -> tuple[User, User]:
    """Two people who may act in an emergency."""
    return person("iris", "incident-responder"), person("ivo", "incident-responder")


def in_staging(scene: Scene) -> Any:
    """Return a second version from which Production can be reached and left."""
    scene.promoted()
    return scene.register()


def sent(**changes: str) -> dict[str, str]:
    return {
        "model": MODEL,
        "version": "2",
        "place": "Production",
        "incident": "INC-2041",
        "minutes": "30",
        "reason": "The scores of v1 are stuck at one value.",
        **changes,
    }


# Emergencies.


def test_an_emergency_is_asked_for_confirmed_ended_and_looked_at_by_four_hands(
    scene: Scene, signed_in: Browser, responders: tuple[User, User]
) -> None:
    iris, ivo = (signed_in(user) for user in responders)
    in_staging(scene)
    wrong = iris.post("/emergencies/new", sent(minutes="0", reason=""))
    assert wrong.status_code == 422 and "Say why it cannot wait" in text(wrong)
    nowhere = iris.post("/emergencies/new", sent(place="@nobody-guards-it"))
    assert nowhere.status_code == 409 and "No policy guards alias nobody-guards-it" in text(nowhere)
    assert "The scores of v1 are stuck" in text(nowhere)
    assert iris.post("/emergencies/new", sent()).status_code == 302
    row = BreakGlass.objects.get()
    page = f"/emergencies/{row.pk}/"

    own = text(iris.get(page))
    assert "You cannot: you asked for it." in own and "Confirm and move" not in own and "Take it back" in own
    denied = iris.post(page, {"act": "confirm"})
    assert denied.status_code == 403 and "you asked for it" in text(denied)
    assert "incident-responder confirms it" in text(signed_in(scene.ravi).get(page))
    assert "Confirm and move v2 to Production" in text(ivo.get(page))
    assert ivo.post(page, {"act": "confirm"}).status_code == 302
    assert StageAssignment.objects.filter(version__number=2, stage="Production", valid_to=None).exists()
    assert "End the emergency" in text(ivo.get(page)) and "End the emergency" not in text(signed_in(scene.ravi).get(page))
    assert "In force" in text(signed_in(scene.dana).get(f"/models/{MODEL}/"))

    assert ivo.post(page, {"act": "revert"}).status_code == 302
    assert "You cannot" not in text(signed_in(scene.ravi).get(page)) and "Close the review" in text(
        signed_in(scene.ravi).get(page)
    )
    assert "Close the review" not in text(iris.get(page))
    unsaid = signed_in(scene.ravi).post(page, {"act": "close", "note": ""})
    assert unsaid.status_code == 422 and "Say what you found, and what follows from it." in text(unsaid)
    assert signed_in(scene.ravi).post(page, {"act": "close", "note": "Rightly done."}).status_code == 302
    assert "Rightly done." in text(iris.get(page)) and page in text(iris.get("/emergencies/?state=closed"))
    assert iris.post(page, {"act": "explode"}).status_code == 400


def test_only_responders_may_ask_and_an_emergency_can_be_refused(
    scene: Scene, signed_in: Browser, responders: tuple[User, User], mallory: User
) -> None:
    iris, ivo = responders
    in_staging(scene)
    assert signed_in(scene.dana).get("/emergencies/new").status_code == 403
    assert "Ask for an emergency move" not in text(signed_in(scene.dana).get("/emergencies/"))
    signed_in(iris).post("/emergencies/new", sent())
    page = f"/emergencies/{BreakGlass.objects.get().pk}/"
    assert signed_in(mallory).get(page).status_code == 404
    refused = signed_in(scene.dana).post(page, {"act": "refuse", "comment": "No."})
    assert refused.status_code == 403
    assert signed_in(ivo).post(page, {"act": "refuse", "comment": "It can wait."}).status_code == 302
    assert "Refused by ivo: It can wait." in text(signed_in(scene.dana).get(page))
    late = signed_in(ivo).post(page, {"act": "confirm"})
    assert late.status_code == 409 and BreakGlass.objects.get().state == "refused"


# Re-reviews.


def test_what_is_to_be_reviewed_again_is_listed_and_events_are_reported(scene: Scene, signed_in: Browser) -> None:
    scene.promoted()
    publish_policy(actor=actor(scene.pat), document=AGAIN)
    dana = signed_in(scene.dana)
    assert "Nothing is to be reviewed again" in text(dana.get("/re-reviews/"))
    report = {"model": MODEL, "cause": "drift", "detail": "The scores fell by a tenth."}
    with_data = dana.post("/re-reviews/report", {**report, "dataset": "german@v1"})
    assert with_data.status_code == 400 and "Name the data set when it is recalled" in text(with_data)
    assert dana.post("/re-reviews/report", report).status_code == 302
    # The version holds the stage; whether it holds the alias as well is the policy's matter.
    assert ReReview.objects.exists()
    listed = text(dana.get("/re-reviews/"))
    assert f"{MODEL} v1" in listed and "It drifted" in listed and "The scores fell by a tenth." in listed
    assert "No re-review matches" in text(dana.get("/re-reviews/?state=overdue"))
    ReReview.objects.update(due_at=timezone.now() - timedelta(days=2))
    assert 'class="n late"' in text(dana.get("/re-reviews/?state=overdue"))
    assert "No re-review matches" in text(dana.get("/re-reviews/?state=closed"))
    assert signed_in(scene.ravi).get("/re-reviews/report").status_code == 403
    assert "Report an event" not in text(signed_in(scene.ravi).get("/re-reviews/"))


# Freezes and calendars.


def test_a_freeze_is_put_in_force_and_ended_with_its_next_times_shown(scene: Scene, signed_in: Browser) -> None:
    pat = signed_in(scene.pat)
    assert "No freezes" in text(pat.get("/freezes/"))
    freeze = {
        "name": "fridays",
        "reason": "Nobody is there at weekends",
        "starts": "2026-01-02T18:00",
        "zone": "Europe/Berlin",
        "lasts": "60",
        "unit": "hours",
        "rrule": "FREQ=WEEKLY;BYDAY=FR",
        "models": "credit.*, risk.*",
        "risk_tiers": ["high"],
        "stages": "Production",
        "aliases": "champion",
    }
    missing = pat.post("/freezes/new", {"name": "fridays"})
    assert missing.status_code == 422 and "Say how long it lasts." in text(missing)
    wrong = pat.post("/freezes/new", {**freeze, "rrule": "EVERY FRIDAY"})
    assert wrong.status_code == 400 and "This is no freeze" in text(wrong) and 'value="EVERY FRIDAY"' in text(wrong)
    assert pat.post("/freezes/new", freeze).status_code == 302
    row = FreezeWindow.objects.get()
    assert (row.duration_minutes, row.models_matching, row.risk_tiers) == (3600, ["credit.*", "risk.*"], ["high"])
    listed = text(pat.get("/freezes/"))
    assert "models credit.* and risk.* of tier high on the way to Production and @champion" in listed
    assert listed.count('<span class="block nowrap"><time') == 5 and "for 2 d 12 h, again by FREQ=WEEKLY;BYDAY=FR" in listed
    taken = pat.post("/freezes/new", freeze)
    assert taken.status_code == 409 and "end it first" in text(taken)

    ravi = signed_in(scene.ravi)
    readers = text(ravi.get("/freezes/"))
    assert "fridays" in readers and "/freezes/fridays/end" not in readers and "Put a freeze in force" not in readers
    assert ravi.get("/freezes/new").status_code == 403 and ravi.post("/freezes/fridays/end").status_code == 403
    assert pat.post("/freezes/fridays/end", {"comment": "Somebody is there now"}).status_code == 302
    assert pat.post("/freezes/fridays/end").status_code == 404
    assert FreezeWindow.objects.get().valid_to is not None


def test_a_calendar_is_published_anew_from_what_it_was(scene: Scene, signed_in: Browser) -> None:
    pat = signed_in(scene.pat)
    hours = {
        "name": "default",
        "zone": "Europe/Berlin",
        "weekdays": ["0", "1", "2", "3"],
        "opens": "09:00",
        "closes": "17:30",
        "holidays": "2026-12-25\n2027-01-01",
    }
    wrong = pat.post("/calendars/", {**hours, "holidays": "25.12.2026"})
    assert wrong.status_code == 422 and "25.12.2026 is no day; write it as in 2026-12-25." in text(wrong)
    assert pat.post("/calendars/", {**hours, "zone": "Middle/Earth"}).status_code == 400
    assert pat.post("/calendars/", hours).status_code == 302
    shown = text(pat.get("/calendars/?open=default"))
    assert "Mon, Tue, Wed, Thu" in shown and "09:00 to 17:30, Europe/Berlin" in shown and "2026-12-25\n2027-01-01" in shown
    assert pat.post("/calendars/", {**hours, "closes": "16:00"}).status_code == 302
    assert [row.valid_to is None for row in BusinessCalendarRow.objects.order_by("pk")] == [False, True]
    readers = text(signed_in(scene.ravi).get("/calendars/"))
    assert "09:00 to 16:00" in readers and "Publish the calendar" not in readers
    assert signed_in(scene.ravi).post("/calendars/", hours).status_code == 403


# The page of a model.


def test_the_page_of_a_model_says_what_is_known_in_a_constant_number_of_statements(
    scene: Scene, signed_in: Browser, responders: tuple[User, User]
) -> None:
    mark = person("mark", "reviewer", groups=("model-risk",))
    waivable(scene)
    publish_policy(actor=actor(scene.pat), document=AGAIN)
    scene.promoted()
    browser = signed_in(scene.dana)
    browser.get(f"/models/{MODEL}/")
    with CaptureQueriesContext(connection) as few:
        page = text(browser.get(f"/models/{MODEL}/"))
    held = PromotionRequest.objects.get()
    assert held.valid_until is not None and "valid until" in page and "None is open." in page
    assert "set by hand" in page and "None is in force." in page

    scene.register()
    for n, requirement in enumerate(("parity-sex", "parity-age", "roc-auc")):
        waiver = asking(scene, requirement)
        waiver_commands.rule_waiver(actor=actor(mark), waiver_id=waiver.pk, verdict="approved", comment="Yes.")
        finding_commands.raise_finding(
            actor=actor(scene.ravi), model_name=MODEL, title=f"Finding of {requirement}", severity=("low", "critical", "high")[n]
        )
    re_reviews.report_event(actor=actor(scene.dana), model_name=MODEL, cause="drift", detail="It fell.")
    break_glass.request_break_glass(
        actor=actor(responders[0]), model_name=MODEL, version=2, target="Production", reason="Now.", incident="INC-1", minutes=5
    )
    calendar.create_freeze(
        actor=actor(scene.pat),
        name="now",
        reason="r",
        starts="2026-01-01T00:00",
        duration_minutes=60,
        zone="UTC",
        rrule="FREQ=DAILY",
    )
    with CaptureQueriesContext(connection) as many:
        page = text(browser.get(f"/models/{MODEL}/"))
    # What is in force is on every page; a waiver has rulings, which are read with it.
    assert len(many) <= len(few) + 2, [query["sql"] for query in many]
    for words in ("Finding of parity-age", "parity-sex, every version", "It drifted", "Emergency: v2 in Production, INC-1"):
        assert words in page
    assert page.index("Finding of parity-age") < page.index("Finding of roc-auc") < page.index("Finding of parity-sex")


def test_the_lists_of_operations_take_as_many_statements_for_many_as_for_few(
    scene: Scene, signed_in: Browser, responders: tuple[User, User]
) -> None:
    in_staging(scene)
    browser = signed_in(scene.pat)

    def freeze(name: str) -> None:
        calendar.create_freeze(
            actor=actor(scene.pat),
            name=name,
            reason="r",
            starts="2026-01-01T00:00",
            duration_minutes=60,
            zone="UTC",
            rrule="FREQ=DAILY",
        )

    def emergency() -> None:
        made = break_glass.request_break_glass(
            actor=actor(responders[0]), model_name=MODEL, version=2, target="Production", reason="Now.", incident="I", minutes=5
        )
        break_glass.refuse_break_glass(actor=actor(responders[1]), break_glass_id=made.pk)

    def taken(path: str) -> int:
        with CaptureQueriesContext(connection) as found:
            assert browser.get(path).status_code == 200
        return len(found)

    paths = ("/freezes/", "/calendars/", "/emergencies/", "/re-reviews/")
    freeze("one")
    emergency()
    [taken(path) for path in paths]
    few = [taken(path) for path in paths]
    for name in ("two", "three"):
        freeze(name)
        emergency()
    assert [taken(path) for path in paths] == few and max(few) <= 12
