"""Every failure is a problem document, and a refusal stays on record."""

from __future__ import annotations

import json
from unittest import mock

import pytest
from django.test import Client

from core.models import AuditEvent
from interfaces.rest.views.accounts import WhoAmI

pytestmark = pytest.mark.django_db


def test_a_stranger_is_told_to_sign_in(stranger) -> None:
    answer = stranger.get("me/")
    assert answer.status_code == 401 and answer["WWW-Authenticate"].startswith("Bearer")
    assert answer.json()["code"] == "unauthenticated"


def test_a_token_that_proves_nothing_is_refused() -> None:
    from tests.interfaces.rest.conftest import Api

    answer = Api(Client(), {"HTTP_AUTHORIZATION": "Bearer cs_nonsense"}).get("me/")
    assert answer.status_code == 401 and "unknown, expired or revoked" in answer.json()["detail"]


def test_what_is_not_there_is_a_problem_for_everybody_and_a_missing_slash_is_pointed_out(api, dana, stranger) -> None:
    assert stranger.get("no/such/").status_code == 404
    answer = api(dana).get("models")
    assert answer.status_code == 404 and "you may mean /api/v1/models/" in answer.json()["detail"]
    assert api(dana).get("models/no-such/").status_code == 404


def test_a_method_that_does_not_exist_names_those_that_do(api, dana) -> None:
    answer = api(dana).delete("models/")
    assert answer.status_code == 405
    assert "GET" in answer["Allow"] and "POST" in answer["Allow"]


def test_mistakes_in_a_body_are_pointed_at(api, dana) -> None:
    answer = api(dana).post("models/", {"nmae": "x", "risk_tier": "high"})
    assert answer.status_code == 400
    assert answer.json()["errors"] == [{"pointer": "#/nmae", "detail": mock.ANY}]
    answer = api(dana).post("models/", {"name": "x", "risk_tier": "enormous", "tags": {"a/b": {}}})
    assert {e["pointer"] for e in answer.json()["errors"]} == {"#/risk_tier", "#/tags/a~1b"}
    assert api(dana).post("models/", ["no", "object"]).json()["errors"][0]["pointer"] == "#"


def test_a_body_that_cannot_be_read_is_refused(api, dana) -> None:
    assert api(dana).send("post", "models/", b"{", "application/json").status_code == 400
    assert api(dana).send("post", "models/", b"name: x", "application/yaml").status_code == 415


def test_query_parameters_are_taken_at_their_word(api, dana) -> None:
    for query in (
        {"risk_teir": "high"},
        {"risk_tier": "enormous"},
        {"page_size": "0"},
        {"page_size": "x"},
        {"cursor": "made-up"},
    ):
        answer = api(dana).get("models/", **query)
        assert answer.status_code == 400, query
        assert answer.json()["errors"][0]["parameter"] == next(iter(query))
    assert api(dana).get("models/", risk_tier=["low", "high"]).status_code == 400


def test_a_failure_tells_nothing_but_where_to_look(api, dana, caplog, monkeypatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("the moon is made of cheese")

    monkeypatch.setattr(WhoAmI, "get", broken)
    answer = api(dana).get("me/")
    assert answer.status_code == 500 and b"cheese" not in answer.content
    assert answer.json()["request_id"] in caplog.text and "the moon is made of cheese" in caplog.text


def test_a_refusal_is_recorded_after_its_transaction_was_rolled_back(api, dana, mallory) -> None:
    answer = api(mallory).post("models/", {"name": "x"}, Idempotency_Key="k1")
    assert answer.status_code == 403
    event = AuditEvent.objects.get(action="access.refused")
    body = json.loads(event.body)
    assert event.actor == "mallory" and body["details"]["code"] == "denied" and event.subject_id == "/api/v1/models/"
    assert event.request_id == answer.json()["request_id"]


def test_numbers_no_database_could_hold_are_no_addresses(api, dana) -> None:
    for path in ("promotion-requests/99999999999999999999/", "models/a%00b/", "models/x/versions/99999999999/"):
        assert api(dana).get(path).status_code == 404
    assert api(dana).get("promotion-requests/", version="99999999999").status_code == 400


def test_a_signed_in_session_needs_its_csrf_token_to_change_something(dana) -> None:
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(dana)
    assert browser.get("/api/v1/me/").json()["credential"] == "session"
    answer = browser.post("/api/v1/models/", {"name": "x"}, content_type="application/json")
    assert answer.status_code == 403 and "CSRF" in answer.json()["detail"]
    browser.cookies["csrftoken"] = token = "a" * 32
    answer = browser.post("/api/v1/models/", {"name": "x"}, content_type="application/json", headers={"X-CSRFToken": token})
    assert answer.status_code == 201


def test_a_body_larger_than_memory_should_hold_is_refused_unread_but_a_data_set_is_not(api, dana, pat, settings) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 100
    large = b'{"name": "' + b"x" * 100 + b'"}'
    assert api(dana).send("post", "models/", large, "application/json").status_code == 413
    assert api(dana).send("post", "models/", large, "application/json", HTTP_IDEMPOTENCY_KEY="k").status_code == 413
    rows = b"y\n" + b"1\n" * 200
    assert api(pat).send("post", "datasets/?name=big&format=csv&target=y", rows, "text/csv").status_code == 201


def test_an_answer_in_another_form_than_asked_for_is_not_given(api, dana) -> None:
    assert api(dana).send("get", "me/", b"", "", HTTP_ACCEPT="text/csv").status_code == 406
