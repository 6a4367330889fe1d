"""Guessing passwords is slow: ten failures, and the account and the address wait."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.test import Client, RequestFactory

from core.models import AuditEvent, User
from interfaces import throttle
from interfaces.throttle import FAILURES, SECONDS, TooManyAttempts, tried

PASSWORD = "correct horse battery"
WRONG = "not this one at all"


def fail(name: str = "dana", address: str = "", times: int = FAILURES) -> None:
    for _ in range(times):
        assert not tried(name, address, lambda: False)


def basic(name: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()}


@pytest.fixture
def dana_signs(dana: User) -> User:
    dana.set_password(PASSWORD)
    dana.save(update_fields=["password"])
    return dana


def test_after_ten_failures_an_account_waits_from_any_address_and_no_other_does() -> None:
    fail("dana", "10.0.0.1", times=5)
    fail("dana", "10.0.0.2", times=5)
    with pytest.raises(TooManyAttempts, match="Try again in 10 minutes"):
        tried("dana", "10.0.0.3", lambda: pytest.fail("it was looked at"))
    assert tried("ravi", "10.0.0.1", lambda: "ravi") == "ravi"


def test_after_ten_failures_an_address_waits_whatever_the_account() -> None:
    for i in range(FAILURES):
        fail(f"guess{i}", "10.0.0.1", times=1)
    with pytest.raises(TooManyAttempts):
        tried("dana", "10.0.0.1", lambda: "dana")
    assert tried("dana", "10.0.0.2", lambda: "dana") == "dana"


def test_success_clears_what_failed_before() -> None:
    for _ in range(3):
        fail("dana", "10.0.0.1", times=FAILURES - 1)
        assert tried("dana", "10.0.0.1", lambda: True)


def test_the_wait_ends_ten_minutes_after_the_first_failure_and_says_how_long_it_is() -> None:
    start = datetime(2026, 3, 1, 12, tzinfo=UTC)
    with time_machine.travel(start, tick=False) as clock:
        fail()
        clock.shift(timedelta(seconds=SECONDS - 61))
        with pytest.raises(TooManyAttempts, match="in 2 minutes") as refused:
            tried("dana", "", lambda: True)
        assert refused.value.headers == {"Retry-After": "61"}
        clock.shift(timedelta(seconds=62))
        assert tried("dana", "", lambda: True)


def test_only_the_first_refusal_of_a_wait_says_so() -> None:
    fail()
    firsts = []
    for _ in range(3):
        with pytest.raises(TooManyAttempts) as refused:
            tried("dana", "", lambda: True)
        firsts.append(refused.value.first)
    assert firsts == [True, False, False]


def test_a_forwarded_address_is_believed_only_behind_a_proxy_and_only_its_last_part(settings: Any) -> None:
    request = RequestFactory().get("/", headers={"X-Forwarded-For": "1.1.1.1, 2.2.2.2"}, REMOTE_ADDR="10.0.0.1")
    settings.SECURE_PROXY_SSL_HEADER = None
    assert throttle.address_of(request) == "10.0.0.1"
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    assert throttle.address_of(request) == "2.2.2.2"


def test_signing_in_is_braked_even_with_the_right_password_and_recorded_once(dana_signs: User, client: Client) -> None:
    for _ in range(FAILURES):
        assert client.post("/sign-in", {"username": "dana", "password": WRONG}).status_code == 422
    for _ in range(2):
        answer = client.post("/sign-in", {"username": "dana", "password": PASSWORD})
        assert answer.status_code == 429 and 0 < int(answer["Retry-After"]) <= SECONDS
        assert "Too many wrong passwords" in answer.content.decode() and PASSWORD not in answer.content.decode()
    assert "_auth_user_id" not in client.session
    (event,) = AuditEvent.objects.filter(action="access.refused")
    assert "too_many_attempts" in event.body


@pytest.mark.parametrize(
    ("path", "code"), [("/api/v1/models/", "too_many_attempts"), ("/api/2.0/mlflow/experiments/search", "REQUEST_LIMIT_EXCEEDED")]
)
def test_a_basic_password_is_braked_in_both_protocols(dana_signs: User, client: Client, path: str, code: str) -> None:
    for _ in range(FAILURES):
        assert client.get(path, headers=basic("dana", WRONG)).status_code == 401
    answer = client.get(path, headers=basic("dana", PASSWORD))
    assert answer.status_code == 429 and 0 < int(answer["Retry-After"]) <= SECONDS
    assert code in (answer.json().get("code"), answer.json().get("error_code"))
    assert AuditEvent.objects.filter(action="access.refused").count() == 1
