"""create_user and revoke_token."""

from __future__ import annotations

import io
import json

import pytest

from core.models import ApiToken, AuditEvent, User
from interfaces.credentials import BadCredentials, actor_from_header


def test_an_account_is_made_once_and_then_only_added_to(run, refused) -> None:
    run("create_user", "dana", "--role", "data-scientist", "--full-name", "Dana Example")
    run("create_user", "dana", "--role", "reviewer", "--group", "credit-team")
    events = AuditEvent.objects.count()
    assert run("create_user", "dana", "--role", "reviewer") == "dana: credit-team, data-scientist, reviewer\n"
    assert AuditEvent.objects.count() == events
    assert User.objects.get(username="dana").display_name == "Dana Example"

    error = refused("create_user", "dana", "--group", "auditor")
    assert error.returncode == 2 and "auditor is a role" in str(error)
    assert "auditor" not in run("create_user", "dana")


def test_the_ledger_says_that_the_command_line_did_it(run) -> None:
    run("create_user", "dana")
    actor = json.loads(AuditEvent.objects.get(action="user.created").body)["actor"]
    assert actor["id"] is None
    assert actor["name"].startswith("os:")
    assert actor["credential"] == "command-line"


def test_with_token_nothing_but_the_token_is_printed_until_it_is_revoked(run, refused) -> None:
    secret = run("create_user", "dana", "--token", "--token-days", "3").removesuffix("\n")
    assert actor_from_header(f"Bearer {secret}", "r").username == "dana"

    run("revoke_token", secret[:10])
    with pytest.raises(BadCredentials, match="revoked"):
        actor_from_header(f"Bearer {secret}", "r")
    assert refused("revoke_token", "cs_unknown").returncode == 2


def test_a_refused_token_leaves_no_account_behind(refused) -> None:
    assert "1 to 3650 days" in str(refused("create_user", "dana", "--token", "--token-days", "0"))
    assert not User.objects.filter(username="dana").exists()
    assert not ApiToken.objects.exists()


def test_a_password_is_read_from_standard_input_and_must_be_good(run, refused, monkeypatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("correct horse battery\n"))
    run("create_user", "dana", "--password-stdin")
    assert User.objects.get(username="dana").check_password("correct horse battery")

    monkeypatch.setattr("sys.stdin", io.StringIO("short\n"))
    assert "at least 10 characters" in str(refused("create_user", "dana", "--password-stdin"))


def test_a_service_account_needs_a_person_who_answers_for_it(run, refused) -> None:
    assert "no person 'dana'" in str(refused("create_user", "trainer", "--service-of", "dana"))
    run("create_user", "dana")
    run("create_user", "trainer", "--service-of", "dana")
    assert User.objects.get(username="trainer").responsible.username == "dana"
