"""Accounts, roles and tokens: each change with its event, each refusal without one."""

from __future__ import annotations

import pytest

from core import commands
from core.access import Actor
from core.errors import Denied, Invalid, NotFound
from core.models import ApiToken, AuditEvent
from tests.cast import ROOT, actor

pytestmark = pytest.mark.django_db


def _events() -> list[str]:
    return list(AuditEvent.objects.order_by("id").values_list("action", flat=True))


def test_only_who_manages_accounts_makes_them(pat, mallory) -> None:
    before = len(_events())
    with pytest.raises(Denied):
        commands.ensure_user(actor=actor(mallory), username="friend")
    assert len(_events()) == before
    commands.ensure_user(actor=actor(pat), username="friend", roles=["reviewer"])
    assert _events()[before:] == ["user.created", "user.roles_changed"]


@pytest.mark.parametrize("name", ["", "a b", "a/b", "x" * 151, "<script>"])
def test_a_name_that_is_none_is_refused(name: str) -> None:
    commands.ensure_user(actor=ROOT, username="Good.name+1@example-org_x")
    with pytest.raises(Invalid, match="is not a name for an account"):
        commands.ensure_user(actor=ROOT, username=name)


def test_an_unknown_role_is_refused_with_the_known_ones() -> None:
    with pytest.raises(Invalid, match="data-scientist, reviewer, auditor, platform-admin"):
        commands.ensure_user(actor=ROOT, username="dana", roles=["boss"])


@pytest.mark.parametrize("name", ["reviewer", "platform-admin", "system"])
def test_nobody_gets_a_roles_rights_through_a_group_of_its_name(name: str) -> None:
    commands.ensure_user(actor=ROOT, username="dana", groups=["credit-team"])
    with pytest.raises(Invalid, match="is a role"):
        commands.ensure_user(actor=ROOT, username="dana", groups=[name])


def test_a_service_account_cannot_answer_for_another(dana) -> None:
    service = commands.ensure_user(actor=ROOT, username="trainer", service_of="dana")
    assert service.is_service and service.responsible == dana
    with pytest.raises(NotFound):
        commands.ensure_user(actor=ROOT, username="deputy", service_of="trainer")


def test_setting_the_same_password_again_changes_nothing(dana) -> None:
    for _ in range(2):
        commands.ensure_user(actor=ROOT, username="dana", password="correct horse battery")
    assert _events().count("user.password_changed") == 1


def test_people_issue_their_own_tokens_and_nobody_elses(dana, mallory, pat) -> None:
    own = commands.issue_token(actor=actor(dana), username="dana", name="laptop", days=1)
    assert own.token.digest == commands.token_digest(own.secret)
    assert own.secret not in AuditEvent.objects.latest("id").body
    with pytest.raises(Denied):
        commands.issue_token(actor=actor(mallory), username="dana", name="theirs", days=1)
    commands.issue_token(actor=actor(pat), username="dana", name="first", days=1)
    assert _events().count("token.issued") == 2


def test_a_stranger_learns_nothing_about_which_accounts_exist(dana, mallory) -> None:
    answers = []
    for name in ("dana", "nobody-of-this-name"):
        with pytest.raises(Denied) as raised:
            commands.issue_token(actor=actor(mallory), username=name, name="x", days=1)
        answers.append(str(raised.value))
    assert answers[0] == answers[1]


@pytest.mark.parametrize("days", [0, -1, 3651])
def test_a_token_without_a_sensible_end_is_refused(dana, days: int) -> None:
    with pytest.raises(Invalid):
        commands.issue_token(actor=actor(dana), username="dana", name="x", days=days)
    assert not ApiToken.objects.exists()


def test_a_token_is_revoked_once_by_its_owner_and_not_by_a_stranger(dana, mallory) -> None:
    token = commands.issue_token(actor=actor(dana), username="dana", name="x", days=1).token
    with pytest.raises(Denied):
        commands.revoke_token(actor=actor(mallory), prefix=token.prefix)
    for _ in range(2):
        commands.revoke_token(actor=actor(dana), prefix=token.prefix)
    token.refresh_from_db()
    assert token.revoked_at is not None
    assert _events().count("token.revoked") == 1
    with pytest.raises(NotFound):
        commands.revoke_token(actor=ROOT, prefix="cs_nothing")


def test_an_actor_without_an_account_owns_no_tokens() -> None:
    nobody = Actor(user_id=None, username="ghost")
    with pytest.raises(Denied):
        commands.issue_token(actor=nobody, username="ghost", name="x", days=1)


def test_a_mail_address_is_checked_kept_and_recorded(db) -> None:
    user = commands.ensure_user(actor=ROOT, username="mia", email="mia@example.org")
    assert (user.email, AuditEvent.objects.filter(action="user.email_changed").count()) == ("mia@example.org", 1)
    commands.ensure_user(actor=ROOT, username="mia", email="mia@example.org")
    assert AuditEvent.objects.filter(action="user.email_changed").count() == 1
    with pytest.raises(Invalid):
        commands.ensure_user(actor=ROOT, username="mia", email="mia at home")
    user.refresh_from_db()
    assert user.email == "mia@example.org"
