"""docs/webhooks.md does what it says: its program verifies real requests, and its commands run in order."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from typing import Any

import pytest
from django.conf import LazySettings
from django.test import Client
from django.urls import resolve

from config.environment import BASE_DIR
from tests.cast import actor, bearer
from tests.interfaces.rest.conftest import check_problem
from tests.interfaces.rest.test_api_document import _contains, _examples, _run
from tests.webhooks.conftest import Received, Receiver, endpoint, make_model, tell
from webhooks import commands, delivery, sending
from webhooks.bodies import _PLACES
from webhooks.models import WebhookEndpoint

PAGE = (BASE_DIR / "docs" / "webhooks.md").read_text()


@pytest.fixture
def verify() -> Callable[..., None]:
    """The function of the page, made from its text."""
    (program,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    names: dict[str, Any] = {}
    exec(program, names)
    made: Callable[..., None] = names["verify"]
    return made


@pytest.mark.django_db
def test_the_program_of_the_page_verifies_what_is_sent_and_nothing_else(
    dana, pat, receiver: Receiver, verify: Callable[..., None]
) -> None:
    made = endpoint(pat, receiver.url)
    make_model(dana, "m")
    tell()
    (got,) = receiver.requests
    verify(made.secret, got.headers, got.body)
    wrong = [
        Received(got.path, got.headers, got.body.replace(b"dana", b"rosa")),
        Received(got.path, {**got.headers, "webhook-id": "other"}, got.body),
        Received(got.path, {**got.headers, "webhook-timestamp": str(int(time.time()) + 1)}, got.body),
        Received(got.path, {**got.headers, "webhook-signature": "v1,AAAA v1,"}, got.body),
    ]
    for one in wrong:
        with pytest.raises(ValueError, match="signature"):
            verify(made.secret, one.headers, one.body)
    with pytest.raises(ValueError, match="signature"):
        verify("whsec_" + "A" * 32, got.headers, got.body)
    with pytest.raises(ValueError, match="too old"):
        verify(made.secret, {**got.headers, "webhook-timestamp": str(int(time.time()) - 301)}, got.body)


@pytest.mark.django_db
def test_the_program_of_the_page_takes_either_secret_while_one_is_replaced(dana, pat, receiver, verify) -> None:
    made = endpoint(pat, receiver.url)
    rotated = commands.rotate_secret(actor=actor(pat), endpoint_id=made.endpoint.pk)
    make_model(dana, "m")
    tell()
    (got,) = receiver.requests
    for secret in (made.secret, rotated.secret):
        verify(secret, got.headers, got.body)


@pytest.mark.django_db
def test_the_commands_of_the_page_answer_as_it_says(dana, pat, settings: LazySettings) -> None:
    settings.WEBHOOKS_ALLOW_PRIVATE = False
    make_model(dana, "credit.risk")
    tokens = {
        name: bearer(user)["HTTP_AUTHORIZATION"].removeprefix("Bearer ") for name, user in {"DANA": dana, "PAT": pat}.items()
    }
    first: int | None = None
    examples = _examples(PAGE)
    assert len(examples) >= 12
    for command, below in examples:
        status, _, said = below.partition(" ")
        if first is not None:
            command = command.replace("/webhooks/1/", f"/webhooks/{first}/")
        answer = _run(Client(), command, {**tokens, "API": "/api/v1"})
        assert answer.status_code == int(status), (command, answer.content)
        if answer.status_code >= 400:
            check_problem(answer)
        expected = json.loads(said)
        if isinstance(expected, dict) and "id" in expected:
            first = answer.json()["id"]
            expected.pop("id")
        assert _contains(answer.json(), expected), (command, answer.content)
    assert WebhookEndpoint.objects.count() == 2


def test_the_numbers_of_the_page_are_those_of_the_code() -> None:
    units = {"s": 1, "min": 60, "h": 3600}
    (row,) = re.findall(r"^\| after the one before \| at once \| (.*) \|$", PAGE, re.MULTILINE)
    pauses = [int(number) * units[unit] for number, unit in (cell.split() for cell in row.split(" | "))]
    assert pauses == [pause.total_seconds() for pause in delivery.PAUSES]
    assert f"within {sending.TOTAL_SECONDS:.0f} seconds ({sending.CONNECT_SECONDS:.0f} to connect)" in PAGE


@pytest.mark.django_db
def test_what_a_body_links_to_exists() -> None:
    run = "3f0d8c1e-8f2a-4c0e-9d9b-8a4c5a1f7e21"
    places = [
        pattern.format(run if kind == "check_run" else "1", "2") for kind, both in _PLACES.items() for pattern in both if pattern
    ]
    assert len(places) > 8
    for place in places:
        assert resolve(place).url_name not in (None, "no-such-address"), place
