"""Webhooks on pages: a secret once, deliveries with their attempts, and only for who manages."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from core.models import AuditEvent, User
from governance import ledger
from tests.cast import actor
from tests.interfaces.web.conftest import MODEL, Scene
from tests.interfaces.web.test_pages import text
from webhooks import commands
from webhooks.models import DeliveryAttempt, DeliveryState, WebhookDelivery, WebhookEndpoint

pytestmark = pytest.mark.django_db
Browser = Callable[[User], Client]

NEW = {"name": "Pager", "url": "https://hooks.example.com/in?key=abc", "events": "promotion.*\nwaiver.requested", "model": ""}


def added(browser: Client, **changes: str) -> WebhookEndpoint:
    assert browser.post("/webhooks/", {**NEW, **changes}).status_code == 200
    return WebhookEndpoint.objects.latest("pk")


def delivered(endpoint: WebhookEndpoint, event: AuditEvent, state: str = DeliveryState.FAILED) -> WebhookDelivery:
    row = WebhookDelivery.objects.create(endpoint=endpoint, event=event, state=state, attempts=1)
    DeliveryAttempt.objects.create(
        delivery=row, status_code=500, duration_ms=41, response="Out of order", error="It answered 500."
    )
    return row


def test_an_endpoint_is_added_and_its_secret_is_shown_once(scene: Scene, signed_in: Browser) -> None:
    pat = signed_in(scene.pat)
    assert "No endpoints" in text(pat.get("/webhooks/"))
    for changes, status, words in (
        ({"name": ""}, 422, "Give it a name by which people know it."),
        ({"url": "ftp://hooks.example.com/"}, 400, "This cannot be done as asked"),
        ({"events": "promotion.appruved"}, 400, "No event is called"),
        ({"model": "no-such-model"}, 404, "no-such-model"),
    ):
        wrong = pat.post("/webhooks/", {**NEW, **changes})
        assert wrong.status_code == status and words in text(wrong), changes
    assert not WebhookEndpoint.objects.exists()

    answer = pat.post("/webhooks/", NEW)
    found = re.search(r'id="secret">(whsec_[^<]+)<', text(answer))
    assert found is not None and answer["Cache-Control"].startswith("no-store")
    row = WebhookEndpoint.objects.get()
    assert row.events == ["promotion.*", "waiver.requested"]
    page = f"/webhooks/{row.pk}/"
    assert found[1] not in text(pat.get(page)) and "key=abc" not in text(pat.get("/webhooks/"))

    rotated = pat.post(page, {"act": "rotate"})
    again = re.search(r'id="secret">(whsec_[^<]+)<', text(rotated))
    assert again is not None and again[1] != found[1] and "the secret before as well" in text(rotated)


def test_an_endpoint_is_changed_disabled_tested_and_removed(scene: Scene, signed_in: Browser) -> None:
    pat = signed_in(scene.pat)
    row = added(pat)
    page = f"/webhooks/{row.pk}/"
    failing = timezone.now() - timedelta(hours=3)
    WebhookEndpoint.objects.update(failing_since=failing)
    assert "Failing since" in text(pat.get(page))
    change = {"act": "change", "name": "Desk", "url": row.url, "events": "*"}
    assert pat.post(page, change).status_code == 302
    row.refresh_from_db()
    assert (row.name, row.events, row.failing_since) == ("Desk", ["*"], failing)
    wrong = pat.post(page, {**change, "events": "nonsense"})
    assert wrong.status_code == 400 and "No event is called" in text(wrong) and "nonsense</textarea>" in text(wrong)

    assert pat.post(page, {"act": "disable"}).status_code == 302
    assert "pat disabled it." in text(pat.get(page)) and "Make it active" in text(pat.get(page))
    assert pat.post(page, {"act": "enable"}).status_code == 302 and ">Disable</button>" in text(pat.get(page))
    assert pat.post(page, {"act": "test"}).status_code == 302
    assert "webhook.test" in text(pat.get(page)) and "not tried yet" in text(pat.get(page))
    assert pat.post(page, {"act": "sing"}).status_code == 400
    assert pat.post(page, {"act": "remove"}).status_code == 302 and pat.get(page).status_code == 404


def test_deliveries_are_listed_with_their_attempts_and_sent_again(scene: Scene, signed_in: Browser) -> None:
    pat = signed_in(scene.pat)
    row = added(pat)
    scene.ask(scene.register())
    ledger.sequence(whole=True)
    sent = delivered(row, AuditEvent.objects.get(action="promotion.requested"))
    page = f"/webhooks/{row.pk}/"
    shown = text(pat.get(page))
    assert "promotion.requested" in shown and "It answered 500." in shown and "Out of order" in shown and "1 attempt," in shown
    assert "No delivery is in this state." in text(pat.get(f"{page}?state=delivered"))
    pat.post(page, {"act": "disable"})
    again = f"{page}deliveries/{sent.pk}/again"
    refused = pat.post(again)
    assert refused.status_code == 409 and "make it active first" in text(refused)
    pat.post(page, {"act": "enable"})
    assert pat.post(again).status_code == 302
    sent.refresh_from_db()
    assert sent.state == DeliveryState.PENDING and "Send again" not in text(pat.get(page))
    assert pat.post(f"{page}deliveries/00000000-0000-0000-0000-000000000000/again").status_code == 404


def test_only_who_manages_sees_webhooks_and_of_models_only_theirs(scene: Scene, mallory: User, signed_in: Browser) -> None:
    row = added(signed_in(scene.pat))
    for person in (scene.ravi, mallory):
        assert signed_in(person).get("/webhooks/").status_code == 403
        assert signed_in(person).get(f"/webhooks/{row.pk}/").status_code == 404
        assert signed_in(person).post(f"/webhooks/{row.pk}/", {"act": "remove"}).status_code == 404
        assert 'href="/webhooks/"' not in text(signed_in(person).get("/models/"))
    assert 'href="/webhooks/"' in text(signed_in(scene.pat).get("/models/"))
    dana = signed_in(scene.dana)
    everything = dana.post("/webhooks/", NEW)
    assert everything.status_code == 403 and "it needs webhook:manage" in text(everything)
    own = added(dana, model=MODEL)
    listed = text(dana.get("/webhooks/"))
    assert f"/webhooks/{own.pk}/" in listed and f"/webhooks/{row.pk}/" not in listed


def test_endpoints_and_deliveries_take_as_many_statements_for_many_as_for_few(scene: Scene, signed_in: Browser) -> None:
    pat = signed_in(scene.pat)
    row = added(pat)
    scene.promoted()
    ledger.sequence(whole=True)
    events = list(AuditEvent.objects.filter(action__startswith="promotion.").order_by("pk")[:5])

    def taken(path: str) -> int:
        with CaptureQueriesContext(connection) as found:
            assert pat.get(path).status_code == 200
        return len(found)

    paths = ("/webhooks/", f"/webhooks/{row.pk}/")
    delivered(row, events[0])
    [taken(path) for path in paths]
    few = [taken(path) for path in paths]
    for event in events[1:]:
        delivered(row, event)
        added(pat, name=event.action)
    assert [taken(path) for path in paths] == few and max(few) <= 12


def test_an_endpoint_in_anothers_format_says_so_and_offers_what_can_be_done_with_it(scene: Scene, signed_in: Browser) -> None:
    made = commands.create_endpoint(
        actor=actor(scene.pat),
        name="hooks.example.com",
        description="Starts the deployment.",
        url="https://hooks.example.com/in",
        events=["MODEL_VERSION_CREATED"],
        model_name=MODEL,
        state="testing",
        format="databricks",
        secret="s3cret",
        verify_certificate=False,
    ).endpoint
    pat = signed_in(scene.pat)
    listed = text(pat.get("/webhooks/"))
    assert "in the format of Databricks" in listed and "Tests only" in listed and "MODEL_VERSION_CREATED" in listed
    page = f"/webhooks/{made.pk}/"
    shown = text(pat.get(page))
    for words in (
        "Starts the deployment.",
        "in the format of Databricks",
        "Any certificate is taken.",
        "It is told of nothing that happens",
    ):
        assert words in shown, words
    assert 'value="rotate"' not in shown and "s3cret" not in shown
    refused = pat.post(page, {"act": "rotate"})
    assert refused.status_code == 409 and "chose its secret" in text(refused)
    wrong = pat.post(page, {**NEW, "act": "change", "events": "promotion.*"})
    assert wrong.status_code == 400 and "MODEL_VERSION_CREATED" in text(wrong), "the names that this format has"
    assert pat.post(page, {**NEW, "act": "change", "events": "COMMENT_CREATED"}).status_code == 302
    assert pat.post(page, {"act": "enable"}).status_code == 302
    row = WebhookEndpoint.objects.get()
    assert (row.events, row.state, row.sealed_secret) == (["COMMENT_CREATED"], "active", made.sealed_secret)
