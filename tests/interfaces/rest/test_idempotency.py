"""The same key gives the same answer, and the change happens once."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from core.models import AuditEvent
from interfaces.rest.models import IdempotentAnswer
from registry.models import RegisteredModel
from tests.cast import person
from workflows.models import PromotionRequest


@pytest.mark.django_db
def test_a_repeated_request_gets_the_first_answer_and_changes_nothing(api, dana) -> None:
    caller = api(dana)
    first = caller.post("models/", {"name": "credit"}, Idempotency_Key="k1")
    again = caller.post("models/", {"name": "credit"}, Idempotency_Key="k1")
    assert (first.status_code, again.status_code) == (201, 201)
    assert (first.content, first["Location"]) == (again.content, again["Location"])
    assert again["Idempotency-Replayed"] == "true" and "Idempotency-Replayed" not in first
    assert AuditEvent.objects.filter(action="model.created").count() == 1
    assert caller.post("models/", {"name": "credit"}).status_code == 409


@pytest.mark.django_db
def test_a_key_is_refused_for_another_request_but_belongs_to_its_owner_alone(api, dana) -> None:
    eve = person("eve", "data-scientist")
    assert api(dana).post("models/", {"name": "a"}, Idempotency_Key="k1").status_code == 201
    answer = api(dana).post("models/", {"name": "b"}, Idempotency_Key="k1")
    assert answer.status_code == 422 and answer.json()["code"] == "idempotency_key_reused"
    assert api(eve).post("models/", {"name": "b"}, Idempotency_Key="k1").status_code == 201
    assert api(dana).post("models/", {"name": "c"}, Idempotency_Key="k 1").status_code == 400


@pytest.mark.django_db
def test_a_refusal_is_not_kept_so_the_same_request_may_succeed_later(api, dana, world) -> None:
    version = world.version()
    caller = api(dana)
    body = {"model": "credit.risk", "version": 1, "target": "Production", "reason": "Better."}
    first = caller.post("promotion-requests/", {**body, "version": 7}, Idempotency_Key="k1")
    assert first.status_code == 404 and not IdempotentAnswer.objects.exists()
    assert caller.post("promotion-requests/", body, Idempotency_Key="k1").status_code == 201
    assert PromotionRequest.objects.get().version_id == version.pk


@pytest.mark.django_db
def test_the_change_and_the_key_are_one_transaction(api, dana, monkeypatch) -> None:
    def failing(*_: Any, **__: Any) -> None:
        raise RuntimeError("the disk is full")

    monkeypatch.setattr("interfaces.rest.idempotency.encode", failing)  # when the change is made and the answer is to be kept
    caller = api(dana)
    assert caller.post("models/", {"name": "credit"}, Idempotency_Key="k1").status_code == 500
    assert not RegisteredModel.objects.exists() and not IdempotentAnswer.objects.exists()


@pytest.mark.django_db
def test_keys_are_forgotten_after_a_week(api, dana) -> None:
    caller = api(dana)
    caller.post("models/", {"name": "a"}, Idempotency_Key="k1")
    IdempotentAnswer.objects.update(created_at=timezone.now() - timedelta(days=8))
    assert caller.post("models/", {"name": "b"}, Idempotency_Key="k1").status_code == 201
    assert IdempotentAnswer.objects.count() == 1


@pytest.mark.django_db
def test_a_new_tokens_secret_is_kept_nowhere_not_even_under_a_key(api, dana) -> None:
    caller = api(dana)
    secrets = [caller.post("tokens/", {"name": "ci"}, Idempotency_Key="k1").json()["secret"] for _ in range(2)]
    assert secrets[0] != secrets[1] and not IdempotentAnswer.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_of_requests_racing_with_one_key_one_acts_and_all_get_its_answer(api) -> None:
    caller = api(person("dana", "data-scientist"))
    answers: list[Any] = []
    barrier = threading.Barrier(6)

    def ask() -> None:
        try:
            barrier.wait()
            answers.append(caller.post("models/", {"name": "credit"}, Idempotency_Key="race"))
        finally:
            connection.close()

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [a.status_code for a in answers] == [201] * 6
    assert len({a.content for a in answers}) == 1
    assert sum("Idempotency-Replayed" in a for a in answers) == 5
    assert AuditEvent.objects.filter(action="model.created").count() == 1
