"""What an Authorization header proves, and what it no longer does."""

from __future__ import annotations

import base64
from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone

from core import commands
from interfaces.credentials import BadCredentials, actor_from_header, actor_of_user
from tests.cast import ROOT, person

pytestmark = pytest.mark.django_db
PASSWORD = "correct horse battery"


def _basic(name: str, secret: str) -> str:
    return "Basic " + base64.b64encode(f"{name}:{secret}".encode()).decode()


@pytest.fixture
def secret(dana) -> str:
    return commands.issue_token(actor=ROOT, username="dana", name="test", days=2).secret


def test_a_token_names_its_account_roles_and_itself(secret: str) -> None:
    actor = actor_from_header(f"Bearer {secret}", "request-1")
    assert (actor.username, actor.roles, actor.request_id) == ("dana", {"data-scientist"}, "request-1")
    assert actor.credential == f"token:{secret[:10]}"
    assert secret not in repr(actor)


def test_no_header_is_nobody_and_not_an_error() -> None:
    assert actor_from_header("", "r") is None


@pytest.mark.parametrize(
    "header",
    [
        "Bearer",
        "Bearer ",
        "Bearer cs_wrong",
        "Basic",
        "Basic !!!",
        "Basic " + base64.b64encode(b"\xff\xfe").decode(),
        "Basic " + base64.b64encode(b"da\x00na:x").decode(),
        "Digest x",
        "x",
    ],
)
def test_a_header_that_proves_nothing_is_refused(header: str, secret: str) -> None:
    with pytest.raises(BadCredentials):
        actor_from_header(header, "r")


def test_an_expired_token_is_refused(secret: str) -> None:
    with time_machine.travel(timezone.now() + timedelta(days=2, seconds=-5), tick=False):
        assert actor_from_header(f"Bearer {secret}", "r").username == "dana"
    with time_machine.travel(timezone.now() + timedelta(days=2, seconds=5), tick=False), pytest.raises(BadCredentials):
        actor_from_header(f"Bearer {secret}", "r")


def test_a_revoked_token_is_refused_at_once(secret: str) -> None:
    assert actor_from_header(f"Bearer {secret}", "r") is not None
    commands.revoke_token(actor=ROOT, prefix=secret[:10])
    for header in (f"Bearer {secret}", _basic("dana", secret)):
        with pytest.raises(BadCredentials, match="revoked"):
            actor_from_header(header, "r")


@pytest.mark.parametrize("name", ["", "dana", "token"])
def test_basic_takes_a_token_as_password(name: str, secret: str) -> None:
    assert actor_from_header(_basic(name, secret), "r").username == "dana"


def test_a_token_under_anothers_name_is_refused(secret: str, ravi) -> None:
    with pytest.raises(BadCredentials, match="another account"):
        actor_from_header(_basic("ravi", secret), "r")


def test_a_password_is_proved_each_time_and_a_changed_one_is_refused_at_once(dana) -> None:
    commands.ensure_user(actor=ROOT, username="dana", password=PASSWORD)
    for _ in range(2):
        assert actor_from_header(_basic("dana", PASSWORD), "r").credential == "password"
    commands.ensure_user(actor=ROOT, username="dana", password="another " + PASSWORD)
    with pytest.raises(BadCredentials):
        actor_from_header(_basic("dana", PASSWORD), "r")


def test_wrong_names_and_wrong_passwords_look_alike(dana) -> None:
    commands.ensure_user(actor=ROOT, username="dana", password=PASSWORD)
    answers = set()
    for name, password in (("dana", "wrong"), ("nobody", PASSWORD), ("ravi", ""), ("dana", "")):
        with pytest.raises(BadCredentials) as raised:
            actor_from_header(_basic(name, password), "r")
        answers.add(str(raised.value))
    assert len(answers) == 1


def test_an_account_without_a_password_has_none_that_fits(mallory) -> None:
    for guess in ("", "!", mallory.password):
        with pytest.raises(BadCredentials):
            actor_from_header(_basic("mallory", guess), "r")


def test_a_closed_account_is_refused_by_token_password_and_session(secret: str, dana) -> None:
    commands.ensure_user(actor=ROOT, username="dana", password=PASSWORD)
    dana.refresh_from_db()
    assert actor_of_user(dana, "r").credential == "session"
    dana.is_active = False
    dana.save()
    for header in (f"Bearer {secret}", _basic("dana", PASSWORD)):
        with pytest.raises(BadCredentials):
            actor_from_header(header, "r")
    with pytest.raises(BadCredentials, match="closed"):
        actor_of_user(dana, "r")


def test_a_service_account_names_the_person_who_answers_for_it(dana) -> None:
    commands.ensure_user(actor=ROOT, username="trainer", service_of="dana")
    issued = commands.issue_token(actor=ROOT, username="trainer", name="ci", days=1)
    assert actor_from_header(f"Bearer {issued.secret}", "r").responsible == "dana"


def test_all_groups_of_an_account_are_its_actors_groups(db) -> None:
    user = person("dana", "data-scientist", "auditor", groups=("credit-team",))
    actor = actor_of_user(user, "r")
    assert actor.roles == {"data-scientist", "auditor", "credit-team"}
    assert len(actor.group_ids) == 3
