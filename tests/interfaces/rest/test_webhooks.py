"""Webhooks over the API: endpoints, their secrets, tests, deliveries."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from core.models import AuditEvent, Job
from governance import ledger
from interfaces.rest.models import IdempotentAnswer
from registry import commands as registry_commands
from tests.cast import actor
from webhooks import commands, delivery, fanout
from webhooks.models import DeliveryAttempt, WebhookDelivery, WebhookEndpoint

pytestmark = pytest.mark.django_db

HOOK = {"name": "ci", "url": "https://hooks.example.org/in?t=1", "events": ["model.*"]}


@pytest.fixture(autouse=True)
def sent(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What would have been sent; every receiver answers 503."""
    calls: list[dict[str, Any]] = []

    def post(url: str, *, headers: dict[str, str], body: bytes, verify: bool) -> delivery.Answer:
        calls.append({"url": url, "headers": headers, "body": body})
        return delivery.Answer(503, 7, "busy", "Answered 503.")

    monkeypatch.setattr("webhooks.sending.post", post)
    return calls


def work() -> None:
    while ledger.sequence() or fanout.fan_out():
        pass
    for job in Job.objects.filter(name=delivery.DELIVER, state="queued"):
        delivery.deliver(**job.arguments)


def test_an_endpoint_is_added_read_changed_and_removed(api, pat) -> None:
    caller = api(pat)
    made = caller.post("webhooks/", HOOK)
    assert made.status_code == 201
    body = made.json()
    number, secret = body["id"], body.pop("secret")
    assert made["Location"] == f"/api/v1/webhooks/{number}/" and secret.startswith("whsec_")
    assert body == {
        "id": number, "name": "ci", "description": "", "format": "standard", "url": HOOK["url"], "verify_certificate": True,
        "events": ["model.*"], "model": None, "state": "active", "reason": "",
        "failing_since": None, "previous_secret_ends_at": None, "created_by": "pat", "created_at": body["created_at"],
    }  # fmt: skip
    assert caller.get(f"webhooks/{number}/").json() == body
    assert caller.get("webhooks/").json()["results"] == [body]
    changed = caller.patch(f"webhooks/{number}/", {"state": "disabled", "events": ["*"]}).json()
    assert (changed["state"], changed["reason"], changed["events"]) == ("disabled", "pat disabled it.", ["*"])
    assert caller.delete(f"webhooks/{number}/").status_code == 204
    assert caller.get(f"webhooks/{number}/").status_code == 404
    assert caller.get("webhooks/").json()["results"] == []
    actions = AuditEvent.objects.filter(action__startswith="webhook.").order_by("id").values_list("action", "actor")
    assert list(actions) == [(f"webhook.{what}", "pat") for what in ("created", "changed", "deleted")]


def test_the_secret_is_in_the_answers_that_make_one_and_in_no_other(api, pat) -> None:
    caller = api(pat)
    made = caller.post("webhooks/", HOOK, idempotency_key="k").json()
    assert not IdempotentAnswer.objects.exists(), "an answer that is kept would keep its secret"
    number = made["id"]
    rotated = caller.post(f"webhooks/{number}/rotate-secret/")
    assert rotated.status_code == 200 and rotated.json()["secret"] != made["secret"]
    assert rotated.json()["previous_secret_ends_at"] is not None
    test = caller.post(f"webhooks/{number}/test/", {})
    answers = [caller.get(path) for path in ("webhooks/", f"webhooks/{number}/", f"webhooks/{number}/deliveries/")]
    answers += [test, caller.patch(f"webhooks/{number}/", {"name": "other"})]
    for answer in answers:
        text = answer.content.decode()
        assert "whsec_" not in text and WebhookEndpoint.objects.get().secret_salt not in text


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "#/name"), ({**HOOK, "events": []}, "#/events"), ({**HOOK, "events": "model.*"}, "#/events"), ({**HOOK, "url": 7}, None),
        ({**HOOK, "secret": "mine"}, "#/secret"), ({**HOOK, "events": ["no.such"]}, None), ({**HOOK, "url": "x"}, None),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(api, pat, body, pointer) -> None:
    answer = api(pat).post("webhooks/", body)
    assert answer.status_code == 400
    if pointer:
        assert pointer in [error["pointer"] for error in answer.json()["errors"]]
    assert not WebhookEndpoint.objects.exists()


def test_deliveries_are_listed_newest_first_in_pages_with_their_attempts(api, pat, dana, sent) -> None:
    caller = api(pat)
    number = caller.post("webhooks/", HOOK).json()["id"]
    for i in range(3):
        registry_commands.create_model(actor=actor(dana), name=f"m{i}")
    work()
    path = f"webhooks/{number}/deliveries/"
    first = caller.get(path, page_size=2).json()
    second = caller.get(first["next"].partition("testserver")[2]).json()
    rows = first["results"] + second["results"]
    assert [row["subject"] for row in rows] == ["model/m2", "model/m1", "model/m0"] and second["next"] is None
    assert len(sent) == 1, "while it fails, one finds out for all"
    (attempt,) = rows[2]["tries"]
    assert (attempt["status_code"], attempt["response"], attempt["error"]) == (503, "busy", "Answered 503.")
    assert rows[2]["attempts"] == 1 and rows[2]["state"] == "pending" and rows[2]["next_attempt_at"]
    assert rows[2]["ledger_position"] is not None and rows[2]["type"] == "countersign.model.created"
    WebhookDelivery.objects.filter(pk=rows[0]["id"]).update(state="failed")
    assert [row["id"] for row in caller.get(path, state="failed").json()["results"]] == [rows[0]["id"]]
    assert caller.get(path, state="lost").status_code == 400
    assert caller.get(path, colour="blue").status_code == 400


def test_a_list_of_deliveries_takes_as_many_statements_however_long(api, pat, dana, django_assert_num_queries) -> None:
    caller = api(pat)
    number = caller.post("webhooks/", HOOK).json()["id"]
    for i in range(12):
        registry_commands.create_model(actor=actor(dana), name=f"m{i}")
    work()
    for row in WebhookDelivery.objects.all():
        DeliveryAttempt.objects.create(delivery=row, error="x")
    with django_assert_num_queries(4):  # who asks, the endpoint, the deliveries, their attempts
        assert len(caller.get(f"webhooks/{number}/deliveries/").json()["results"]) == 12


def test_a_delivery_is_sent_again_once_for_one_key(api, pat, dana, sent) -> None:
    caller = api(pat)
    caller.post("webhooks/", HOOK)
    registry_commands.create_model(actor=actor(dana), name="m")
    work()
    row = WebhookDelivery.objects.get()
    path = f"webhooks/deliveries/{row.pk}/redeliver/"
    again = [caller.post(path, {}, **{"idempotency-key": "once"}) for _ in range(2)]
    assert [answer.status_code for answer in again] == [202, 202] and again[0].json() == again[1].json()
    assert again[0].json()["id"] == str(row.pk)
    work()
    assert len(sent) == 2 and len({call["headers"]["webhook-id"] for call in sent}) == 1
    assert AuditEvent.objects.filter(action="webhook.redelivered").count() == 1
    caller.patch(f"webhooks/{row.endpoint_id}/", {"state": "disabled"})
    refused = caller.post(path, {})
    assert (refused.status_code, refused.json()["code"]) == (409, "endpoint_disabled")


def test_who_manages_a_model_has_its_endpoints_and_no_others(api, pat, dana, ravi, mallory) -> None:
    registry_commands.create_model(actor=actor(dana), name="mine")
    his = api(pat).post("webhooks/", HOOK).json()["id"]
    hers = api(dana).post("webhooks/", {**HOOK, "model": "mine"})
    assert (hers.status_code, hers.json()["model"]) == (201, "mine")
    number = hers.json()["id"]
    assert api(dana).post("webhooks/", HOOK).status_code == 403
    assert api(mallory).post("webhooks/", {**HOOK, "model": "mine"}).status_code == 404
    assert api(ravi).post("webhooks/", {**HOOK, "model": "mine"}).status_code == 403
    assert [row["id"] for row in api(dana).get("webhooks/").json()["results"]] == [number]
    assert {row["id"] for row in api(pat).get("webhooks/").json()["results"]} == {his, number}
    work()
    delivered = WebhookDelivery.objects.create(endpoint_id=his)
    for caller in (api(dana), api(ravi), api(mallory)):
        for path in (f"webhooks/{his}/", f"webhooks/{his}/deliveries/"):
            assert caller.get(path).status_code == 404
        for path in (f"webhooks/{his}/test/", f"webhooks/{his}/rotate-secret/", f"webhooks/deliveries/{delivered.pk}/redeliver/"):
            assert caller.post(path, {}).status_code == 404
        assert caller.patch(f"webhooks/{his}/", {"name": "x"}).status_code == 404
        assert caller.delete(f"webhooks/{his}/").status_code == 404
        assert caller.post(f"webhooks/deliveries/{uuid.uuid4()}/redeliver/", {}).status_code == 404
    assert api(ravi).get("webhooks/").json()["results"] == [] == api(mallory).get("webhooks/").json()["results"]


def test_an_endpoint_in_anothers_format_is_shown_as_such_and_keeps_its_owners_secret(api, pat) -> None:
    made = commands.create_endpoint(
        actor=actor(pat), name="ml", url=HOOK["url"], events=["prompt.created"], format="mlflow", secret="s3cret"
    ).endpoint
    caller = api(pat)
    (row,) = caller.get("webhooks/").json()["results"]
    assert (row["format"], row["events"]) == ("mlflow", ["prompt.created"])
    rotated = caller.post(f"webhooks/{made.pk}/rotate-secret/")
    assert (rotated.status_code, rotated.json()["code"]) == (409, "secret_chosen_outside")
    assert caller.patch(f"webhooks/{made.pk}/", {"events": ["*"]}).status_code == 400
    changed = caller.patch(f"webhooks/{made.pk}/", {"events": ["prompt_tag.set"], "state": "testing", "description": "d"}).json()
    assert (changed["events"], changed["state"], changed["description"]) == (["prompt_tag.set"], "testing", "d")


def test_the_events_there_are_are_listed_with_their_meaning(api, mallory, stranger) -> None:
    rows = api(mallory).get("webhooks/events/").json()
    assert {"name": "promotion.approved", "meaning": "a request has the reviews its policies ask for"} in rows
    assert all(row["meaning"] for row in rows) and len(rows) > 90
    assert stranger.get("webhooks/events/").status_code == 401
