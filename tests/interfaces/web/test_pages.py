"""Every page answers each role with what it may see, in a constant number of statements."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from core.models import AuditEvent, User
from governance import ledger
from interfaces.web.views.inbox import PAGE
from registry import commands as registry_commands
from tests.cast import actor
from tests.interfaces.web.conftest import CARD, MODEL, PASSWORD, Scene
from workflows.commands import catalog
from workflows.models import PromotionRequest

pytestmark = pytest.mark.django_db
Browser = Callable[[User], Client]


def text(answer: Any) -> str:
    return str(answer.content.decode())


# Coming and going.


def test_a_page_asks_a_stranger_to_sign_in_and_takes_them_back(scene: Scene, client: Client) -> None:
    answer = client.get("/models/?q=credit")
    assert answer.status_code == 302 and answer["Location"] == "/sign-in?next=/models/%3Fq%3Dcredit"

    wrong = client.post("/sign-in", {"username": "ravi", "password": "not this one", "next": "/models/"})
    assert wrong.status_code == 422 and "Unknown name or wrong password." in text(wrong)
    assert "_auth_user_id" not in client.session

    right = client.post("/sign-in", {"username": "ravi", "password": PASSWORD, "next": "/models/"})
    assert right.status_code == 302 and right["Location"] == "/models/"
    assert client.get("/models/").status_code == 200

    client.post("/sign-out")
    assert client.get("/models/").status_code == 302


def test_signing_in_never_leads_to_another_server(scene: Scene, client: Client) -> None:
    answer = client.post("/sign-in", {"username": "ravi", "password": PASSWORD, "next": "https://elsewhere.example/"})
    assert answer["Location"] == "/"


def test_an_account_that_was_closed_is_signed_out(scene: Scene, signed_in: Browser) -> None:
    browser = signed_in(scene.ravi)
    User.objects.filter(pk=scene.ravi.pk).update(is_active=False)
    assert browser.get("/requests/").status_code == 302


@pytest.mark.parametrize(
    ("name", "where"), [("ravi", "/requests/"), ("dana", "/models/"), ("aude", "/audit/"), ("pat", "/policies/")]
)
def test_each_role_begins_where_its_work_waits(scene: Scene, signed_in: Browser, name: str, where: str) -> None:
    assert signed_in(getattr(scene, name)).get("/")["Location"] == where


def test_the_theme_is_kept_in_a_cookie(scene: Scene, signed_in: Browser) -> None:
    browser = signed_in(scene.ravi)
    assert "data-theme" not in text(browser.get("/models/"))
    assert browser.post("/theme", {"theme": "dark"}).status_code == 302
    assert '<html lang="en" data-theme="dark">' in text(browser.get("/models/"))
    assert browser.post("/theme", {"theme": "light"}, headers={"HX-Request": "true"}).status_code == 204
    assert browser.post("/theme", {"theme": "purple"}).status_code == 400


# Who sees what.


def test_every_page_answers_every_role(scene: Scene, signed_in: Browser) -> None:
    first = scene.promoted()
    request = scene.under_review(parity=0.78)
    paths = [
        "/requests/",
        "/requests/?tab=all&state=",
        "/requests/?tab=mine",
        "/requests/?q=nothing-like-it",
        f"/requests/{request.pk}/",
        f"/requests/{first.pk}/",
        f"/requests/{request.pk}/status",
        "/models/",
        f"/models/{MODEL}/",
        f"/models/{MODEL}/versions/1/",
        f"/models/{MODEL}/versions/2/",
        f"/lineage/?node=model_version:{MODEL}/2",
        f"/lineage/?node=model_version:{MODEL}/1&direction=upstream&depth=3&as_of=2020-01-01&view=list",
        "/lineage/",
        "/policies/",
        "/checks/",
        "/policies/credit-production/?revision=1",
    ]
    for person in (scene.ravi, scene.dana, scene.aude, scene.pat):
        for path in paths:
            answer = signed_in(person).get(path)
            assert answer.status_code == 200, (person.username, path, answer.status_code)
            assert " style=" not in text(answer) and "<style" not in text(answer) and "onclick" not in text(answer), path
            assert "Content-Security-Policy" in answer.headers


def test_an_outsider_sees_no_model_and_absent_and_hidden_look_alike(scene: Scene, mallory: User, signed_in: Browser) -> None:
    request = scene.under_review()
    browser = signed_in(mallory)
    assert MODEL not in text(browser.get("/models/"))
    assert MODEL not in text(browser.get("/requests/?tab=all&state="))
    for path in (
        f"/models/{MODEL}/",
        f"/models/{MODEL}/versions/1/",
        f"/requests/{request.pk}/",
        f"/requests/{request.pk}/status",
    ):
        assert browser.get(path).status_code == 404, path
    assert browser.get(f"/lineage/?node=model_version:{MODEL}/1").status_code == 404
    assert browser.get("/audit/").status_code == 403
    assert browser.get("/policies/").status_code == 403
    assert browser.get("/checks/").status_code == 403
    hidden, absent = text(browser.get(f"/models/{MODEL}/")), text(browser.get("/models/no-such-model/"))
    assert hidden.count("or you may not see it") == absent.count("or you may not see it") == 1


def test_an_address_that_is_nothing_gets_a_page_in_the_same_look(scene: Scene, signed_in: Browser) -> None:
    answer = signed_in(scene.ravi).get("/nothing-here/")
    assert answer.status_code == 404 and "Not found" in text(answer) and "countersign.css" in text(answer)


def test_text_that_people_write_is_shown_as_text(scene: Scene, signed_in: Browser) -> None:
    evil = '<script>alert(1)</script>"><img src=x>'
    version = scene.register(card={**CARD, "limitations": evil + " and more words"})
    request = scene.ask(version, evil)
    registry_commands.update_model(actor=actor(scene.dana), name=MODEL, description=evil)
    for path in (f"/requests/{request.pk}/", f"/models/{MODEL}/versions/1/", f"/models/{MODEL}/", "/models/"):
        assert "<script>alert" not in text(signed_in(scene.ravi).get(path)), path


def test_a_tag_or_an_alias_called_items_is_shown_like_any_other(scene: Scene, signed_in: Browser) -> None:
    dana = actor(scene.dana)
    registry_commands.create_model(actor=dana, name="odd", tags={"items": "of-the-model"})
    registry_commands.register_version(actor=dana, model_name="odd", source="s3://b/odd", tags=[("items", "of-the-version")])
    catalog.set_alias(actor=dana, model_name="odd", alias="items", version=1)
    browser = signed_in(scene.dana)
    assert "@items" in text(browser.get("/models/?q=odd"))
    assert "<dt>items</dt><dd>of-the-model</dd>" in text(browser.get("/models/odd/"))
    assert "<dt>items</dt><dd>of-the-version</dd>" in text(browser.get("/models/odd/versions/1/"))


# Constant numbers of statements.


@pytest.mark.parametrize(
    ("who", "path"),
    [
        ("ravi", "/requests/"),
        ("ravi", "/requests/?tab=all&state="),
        ("ravi", "/requests/{request}/"),
        ("ravi", "/requests/{request}/status"),
        ("dana", "/models/"),
        ("dana", f"/models/{MODEL}/"),
        ("dana", f"/models/{MODEL}/versions/2/"),
        ("aude", f"/lineage/?node=model_version:{MODEL}/1"),
        ("aude", "/audit/"),
        ("pat", "/policies/"),
        ("pat", "/checks/"),
    ],
)
def test_a_page_takes_as_many_statements_for_much_as_for_little(
    scene: Scene, signed_in: Browser, django_assert_max_num_queries: Any, who: str, path: str
) -> None:
    scene.promoted()
    path = path.replace("{request}", str(scene.under_review().pk))
    browser = signed_in(getattr(scene, who))
    browser.get(path)  # what is read once a process, such as content types, is read here
    with django_assert_max_num_queries(60) as few:
        browser.get(path)
    for i in range(4):
        registry_commands.create_model(actor=actor(scene.dana), name=f"credit.more-{i}")
        scene.finish(scene.ask(scene.register(f"credit.more-{i}", card=CARD)), leave=("fairness",) if i % 2 else ())
        scene.register()
    with django_assert_max_num_queries(len(few.captured_queries)) as many:
        answer = browser.get(path)
    assert answer.status_code == 200 and len(many.captured_queries) <= len(few.captured_queries)


# Lists.


def test_the_inbox_shows_a_reviewer_what_waits_and_a_submitter_what_they_asked(scene: Scene, signed_in: Browser) -> None:
    request = scene.under_review(parity=0.78)
    reviewers = text(signed_in(scene.ravi).get("/requests/"))
    assert f"{MODEL} v1 to Production" in reviewers and "Review and decide" in reviewers
    assert "Demographic parity ratio, age group" in reviewers  # why it is not ready, without a click
    mine = text(signed_in(scene.dana).get("/requests/"))
    assert f'href="/requests/{request.pk}/"' in mine and "Review and decide" not in mine

    empty = text(signed_in(scene.aude).get("/requests/?tab=waiting"))
    assert "Nothing waits on you" in empty
    none = text(signed_in(scene.ravi).get("/requests/?q=marketing"))
    assert "No request matches" in none and "Clear filters" in none


def test_htmx_gets_the_list_alone(scene: Scene, signed_in: Browser) -> None:
    scene.under_review()
    for path, identity in (("/requests/", "requests"), ("/models/?q=credit", "models")):
        answer = signed_in(scene.ravi).get(path, headers={"HX-Request": "true"})
        assert text(answer).lstrip().startswith(f'<div id="{identity}"') and "<html" not in text(answer)


def test_lists_go_on_where_the_page_ends(scene: Scene, signed_in: Browser) -> None:
    version = scene.register()
    PromotionRequest.objects.bulk_create(
        PromotionRequest(
            model=version.model, version=version, target_kind="stage", target=f"S{i}", reason="r", subject_digest="d",
            requested_by=scene.dana, state="withdrawn",
        )
        for i in range(PAGE + 2)
    )  # fmt: skip
    browser = signed_in(scene.ravi)
    first = text(browser.get("/requests/?tab=all&state=withdrawn"))
    assert first.count(" to S") == PAGE and "Older" in first
    older = first.split("before=")[1].split('"')[0]
    second = text(browser.get(f"/requests/?tab=all&state=withdrawn&before={older}"))
    assert second.count(" to S") == 2 and "Newest" in second


# The audit log.


def test_the_log_is_filtered_opened_and_verified(scene: Scene, signed_in: Browser) -> None:
    scene.promoted()
    ledger.sequence(whole=True)
    browser = signed_in(scene.aude)
    only = text(browser.get("/audit/?action=promotion&actor=ravi"))
    assert "Approved" in only and "Run created" not in only
    assert "No entry matches" in text(browser.get("/audit/?actor=nobody"))
    of_model = text(browser.get(f"/audit/?model={MODEL}"))
    assert "Stage assigned" in of_model

    event = AuditEvent.objects.get(action="promotion.executed")
    opened = text(browser.get(f"/audit/?open={event.pk}"))
    assert f'id="body-{event.pk}"' in opened
    assert "Place in the ledger" in text(browser.get(f"/audit/{event.pk}/"))

    assert "Not verified on this page yet" in text(browser.get("/audit/"))
    assert "Log verified, no gaps" in text(browser.post("/audit/"))
    part = text(browser.post("/audit/", headers={"HX-Request": "true"}))
    assert part.lstrip().startswith('<section class="seal"') and "Log verified" in part


def test_a_log_that_was_altered_is_said_to_be(scene: Scene, signed_in: Browser) -> None:
    from tests.conftest import _triggers_away

    scene.under_review()
    ledger.sequence(whole=True)
    with _triggers_away():
        event = AuditEvent.objects.order_by("pk").first()
        assert event is not None
        AuditEvent.objects.filter(pk=event.pk).update(body=event.body.replace("dana", "ravi").replace("operator", "someone"))
    answer = text(signed_in(scene.aude).post("/audit/"))
    assert "The log does not verify" in answer and "Log verified" not in answer


# Lineage.


def test_lineage_is_drawn_listed_and_dated(scene: Scene, signed_in: Browser) -> None:
    scene.promoted()
    browser = signed_in(scene.aude)
    now = text(browser.get(f"/lineage/?node=model_version:{MODEL}/1"))
    assert "<svg" in now and "amber-heron-401" in now and "1 production model depends on this" in now
    listed = text(browser.get(f"/lineage/?node=model_version:{MODEL}/1&view=list"))
    assert 'class="plot graph"' not in listed and "amber-heron-401" in listed
    before = text(browser.get(f"/lineage/?node=model_version:{MODEL}/1&as_of=2020-01-01"))
    assert "0 production models" in before
    for wrong in ("direction=sideways", "depth=0", "depth=many", "as_of=yesterday"):
        answer = browser.get(f"/lineage/?node=model_version:{MODEL}/1&{wrong}")
        assert answer.status_code == 400, wrong
    assert browser.get("/lineage/?node=run:nothing").status_code == 404
