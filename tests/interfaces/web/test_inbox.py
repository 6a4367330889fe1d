"""The inbox: what presses first, by tab; taking on and giving back; news; and the banner of emergencies on every page."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from core.access import SYSTEM
from core.models import User
from governance.models import Waiver
from registry import commands as registry_commands
from tests.cast import actor, person
from tests.interfaces.web.conftest import CARD, MODEL, Scene
from tests.interfaces.web.governed import Governed, govern
from workflows.commands import break_glass, execution, re_reviews
from workflows.commands.inbox import claim_task
from workflows.models import BreakGlass, Notification, ReReview, ReviewTask

pytestmark = pytest.mark.django_db
Browser = Callable[[User], Client]


@pytest.fixture
def governed(scene: Scene) -> Governed:
    return govern(scene)


def text(answer: Any) -> str:
    return str(answer.content.decode())


def tab(signed_in: Browser, user: User, name: str) -> str:
    answer = signed_in(user).get(f"/requests/?tab={name}")
    assert answer.status_code == 200
    return text(answer).split('<div id="requests">')[1].split('class="keys"')[0].split("<footer")[0]


def counted(signed_in: Browser, user: User, title: str) -> str:
    """Return the number beside a tab's title; empty if there is none."""
    part = text(signed_in(user).get("/requests/")).split(f">{title}")[1].split("</a>")[0]
    return part.split('">')[1].split("<")[0] if "count" in part else ""


# What waits.


def test_a_step_waits_for_its_group_alone_until_it_is_filled(governed: Governed, signed_in: Browser) -> None:
    governed.asked(parity=0.9)
    assert f"{MODEL} v1 to Production" in tab(signed_in, governed.rita, "waiting")
    assert "2 more of model-risk" in tab(signed_in, governed.rita, "waiting")
    assert "Nothing waits on you" in tab(signed_in, governed.carla, "waiting")
    assert "Nothing waits on you" in tab(signed_in, governed.scene.dana, "waiting")


def test_what_is_due_stands_above_what_is_not(governed: Governed, signed_in: Browser) -> None:
    governed.asked(parity=0.9)
    registry_commands.create_model(actor=actor(governed.scene.dana), name="credit.other")
    ReviewTask.objects.update(due_at=timezone.now() - timedelta(days=1, hours=4))
    page = tab(signed_in, governed.rita, "waiting")
    assert "Overdue, 1" in page and "1 d 4 h late" in page
    ReviewTask.objects.update(due_at=timezone.now() + timedelta(hours=5, minutes=30))
    page = tab(signed_in, governed.rita, "waiting")
    assert "Due within 24 hours, 1" in page and "in 5 h" in page


def test_what_somebody_took_on_leaves_the_others_inboxes(governed: Governed, signed_in: Browser) -> None:
    governed.asked(parity=0.9)
    task = ReviewTask.objects.get(closed_at=None)
    taken = signed_in(governed.rita).post(f"/tasks/{task.pk}/claim", {"next": "/requests/?tab=waiting"}, follow=True)
    assert "Taken on. Others see that you have it." in text(taken) and "You have it until" in text(taken)
    assert "Nothing waits on you" in tab(signed_in, governed.tom, "waiting")
    assert "Rita Example has it until" in tab(signed_in, governed.tom, "groups")
    signed_in(governed.rita).post(f"/tasks/{task.pk}/release")
    assert "2 more of model-risk" in tab(signed_in, governed.tom, "waiting")


def test_what_is_late_comes_to_the_group_it_escalates_to(governed: Governed, signed_in: Browser) -> None:
    governed.asked(parity=0.9)
    head = person("hedda", "reviewer", groups=("heads-of-risk",))
    assert "Nothing else waits on your groups" in tab(signed_in, head, "groups")
    ReviewTask.objects.update(due_at=timezone.now() - timedelta(hours=1), escalated_at=timezone.now())
    page = tab(signed_in, head, "groups")
    assert f"{MODEL} v1 to Production" in page and "Escalated to heads-of-risk" in page and "Take on" not in page


def test_who_stands_in_sees_for_whom(governed: Governed, signed_in: Browser) -> None:
    governed.asked(parity=0.9)
    governed.stand_in(governed.rita, governed.scene.ravi)
    assert "2 more of model-risk, for rita" in tab(signed_in, governed.scene.ravi, "waiting")
    assert "You stand in for rita" in text(signed_in(governed.scene.ravi).get("/requests/"))


def test_lists_are_narrowed_by_kind_tier_and_words(governed: Governed, signed_in: Browser) -> None:
    governed.asked(parity=0.9)
    browser = signed_in(governed.rita)
    for query, found in (
        ("kind=promotion", True),
        ("kind=rollback", False),
        ("tier=medium", True),
        ("tier=high", False),
        ("q=dana", True),
    ):
        page = text(browser.get(f"/requests/?tab=waiting&{query}"))
        assert ("No request matches" in page) is not found, query


# The other tabs.


def test_mentions_stay_until_they_are_read(governed: Governed, signed_in: Browser) -> None:
    governed.talk(governed.asked(parity=0.9))
    dana = governed.scene.dana
    assert counted(signed_in, dana, "Mentions") == "1"
    assert "is that enough?" in tab(signed_in, dana, "mentions") and "is that enough?" in tab(signed_in, dana, "news")
    read = signed_in(dana).post("/notifications/read", {"next": "/requests/?tab=mentions"}, follow=True)
    assert "Nobody spoke to you" in text(read)
    assert not Notification.objects.filter(user=dana, read_at=None).exists()
    assert Notification.objects.filter(user=governed.rita, read_at=None).exists()
    assert "is that enough?" in tab(signed_in, dana, "news")


def test_re_reviews_wait_for_who_may_ask_for_them(governed: Governed, signed_in: Browser) -> None:
    request = governed.approved(governed.asked(parity=0.9))
    execution.execute_request(actor=SYSTEM, request_id=request.pk)
    re_reviews.open_re_reviews(actor=SYSTEM, model=request.model, cause="drift", detail="ROC AUC fell to 0.71.")
    ReReview.objects.update(due_at=timezone.now() - timedelta(days=2))
    page = tab(signed_in, governed.scene.dana, "re-reviews")
    assert f"{MODEL} v1 in Production" in page and "ROC AUC fell to 0.71." in page and "2 d late" in page
    link = f"/models/{MODEL}/versions/1/?what=re_review%3Astage%3AProduction#ask"
    assert link in page
    assert "selected>Review again in Production" in text(signed_in(governed.scene.dana).get(link))
    assert "No re-review is due" in tab(signed_in, governed.rita, "re-reviews")
    head = person("hedda", "reviewer", groups=("heads-of-risk",))
    assert "Escalates to" in tab(signed_in, head, "re-reviews")


def test_waivers_that_end_soon_are_named_with_what_stands_in_their_place(governed: Governed, signed_in: Browser) -> None:
    governed.waive(governed.asked())
    page = tab(signed_in, governed.scene.dana, "waivers")
    assert "Parity age" in page and "A credit officer looks at every refusal" in page and "in 9 d 23 h" in page
    assert f'href="/waivers/{Waiver.objects.get().pk}/"' in page
    assert "No waiver ends soon" in tab(signed_in, governed.rita, "waivers")


def emergency(governed: Governed) -> BreakGlass:
    """Have two responders move a second version to Production past the gate."""
    governed.scene.register(card=CARD)
    one, two = (person(name, "incident-responder") for name in ("ines", "omar"))
    asked = break_glass.request_break_glass(
        actor=actor(one),
        model_name=MODEL,
        version=1,
        target="Production",
        reason="Scores are wrong.",
        incident="INC-7",
        minutes=60,
    )
    return break_glass.confirm_break_glass(actor=actor(two), break_glass_id=asked.pk)


def test_an_emergency_is_on_every_page_until_somebody_looked_at_it(governed: Governed, signed_in: Browser, mallory: User) -> None:
    move = emergency(governed)
    for path in ("/requests/", "/models/", f"/models/{MODEL}/"):
        page = text(signed_in(governed.scene.dana).get(path))
        assert f"{MODEL} v1 is in Production past the gate." in page and "Incident INC-7, by ines and omar" in page, path
    assert "past the gate" not in text(signed_in(mallory).get("/models/"))  # who may not see the model hears nothing of it

    break_glass.revert_break_glass(actor=actor(User.objects.get(username="ines")), break_glass_id=move.pk)
    after = text(signed_in(governed.scene.dana).get("/models/"))
    assert "was in Production past the gate; over since" in after and "not reviewed" in after
    assert "INC-7" in tab(signed_in, governed.scene.ravi, "emergencies")
    assert "No emergency waits" in tab(signed_in, governed.scene.dana, "emergencies")
    break_glass.close_break_glass(actor=actor(governed.scene.ravi), break_glass_id=move.pk, note="Justified.")
    assert "past the gate" not in text(signed_in(governed.scene.dana).get("/models/"))


def test_a_fragment_asks_for_no_emergencies(governed: Governed, signed_in: Browser, django_assert_max_num_queries: Any) -> None:
    emergency(governed)
    browser = signed_in(governed.scene.dana)
    with django_assert_max_num_queries(60) as asked:
        part = browser.get("/models/?q=credit", headers={"HX-Request": "true"})
    assert "past the gate" not in text(part)
    assert not [query for query in asked.captured_queries if "breakglass" in query["sql"]]


# Constant numbers of statements.


@pytest.mark.parametrize("name", ["waiting", "groups", "mine", "mentions", "re-reviews", "waivers", "emergencies", "news", "all"])
def test_a_tab_takes_as_many_statements_for_much_as_for_little(
    governed: Governed, signed_in: Browser, django_assert_max_num_queries: Any, name: str
) -> None:
    request = governed.asked()
    governed.talk(request)
    governed.waive(request)
    who = governed.rita if name in ("waiting", "groups") else governed.scene.dana
    if name == "groups":
        claim_task(actor=actor(governed.tom), task_id=ReviewTask.objects.get(closed_at=None).pk)
    browser = signed_in(who)
    path = f"/requests/?tab={name}"
    browser.get(path)
    with django_assert_max_num_queries(60) as few:
        browser.get(path)
    governed.talk(request)
    for i in range(3):
        registry_commands.create_model(actor=actor(governed.scene.dana), name=f"credit.more-{i}")
        governed.scene.ask(governed.scene.register(f"credit.more-{i}", card=CARD))
    with django_assert_max_num_queries(len(few.captured_queries)) as many:
        browser.get(path)
    assert len(many.captured_queries) <= len(few.captured_queries)
