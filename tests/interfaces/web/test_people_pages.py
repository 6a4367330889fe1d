"""Standing in, mail and conflicting rights on pages."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from core.models import User
from tests.cast import actor, person
from tests.interfaces.web.conftest import Scene
from tests.interfaces.web.test_pages import text
from workflows.commands.delegations import create_delegation
from workflows.models import Delegation, MailPreference

pytestmark = pytest.mark.django_db
Browser = Callable[[User], Client]


def sent(days: int = 10, **changes: str) -> dict[str, str]:
    ends = (timezone.now() + timedelta(days=days)).date()
    return {"delegate": "rosa", "ends": ends.isoformat(), "starts": "", "groups": "", "reason": "On leave", **changes}


def test_a_reviewer_lets_another_stand_in_and_ends_it(scene: Scene, signed_in: Browser) -> None:
    ravi = signed_in(scene.ravi)
    page = text(ravi.get("/delegations/"))
    assert "Let them stand in" in page and "In place of</label>" not in page and "Your groups: reviewer." in page
    for changes, status, words in (
        ({"ends": ""}, 422, "Give the day on which it ends."),
        ({"reason": ""}, 422, "Say why: it stands beside every review"),
        ({"delegate": "dana"}, 400, "dana does not hold the right to review"),
        ({"delegate": "nobody"}, 404, "no account"),
        ({"groups": "model-risk"}, 400, "ravi is not in model-risk"),
    ):
        wrong = ravi.post("/delegations/", sent(**changes))
        assert wrong.status_code == status and words in text(wrong), changes
    too_long = ravi.post("/delegations/", sent(days=200))
    assert too_long.status_code == 400 and "at most 90 days" in text(too_long) and not Delegation.objects.exists()

    assert ravi.post("/delegations/", sent(groups="reviewer")).status_code == 302
    row = Delegation.objects.get()
    assert "On leave" in text(ravi.get("/delegations/")) and "End it now" in text(signed_in(scene.rosa).get("/delegations/"))
    again = ravi.post("/delegations/", sent())
    assert again.status_code == 409
    assert "On leave" not in text(signed_in(scene.dana).get("/delegations/"))
    stranger = signed_in(scene.dana).post(f"/delegations/{row.pk}/end")
    assert stranger.status_code == 404 and Delegation.objects.get().revoked_at is None
    watching = text(signed_in(scene.aude).get("/delegations/"))
    assert "On leave" in watching and "End it now" not in watching
    assert signed_in(scene.rosa).post(f"/delegations/{row.pk}/end").status_code == 302
    over = text(ravi.get("/delegations/"))
    assert "Ended" in over and "End it now" not in over
    assert ravi.post(f"/delegations/{row.pk}/end").status_code == 409


def test_an_admin_arranges_for_others_and_nobody_else_does(scene: Scene, signed_in: Browser) -> None:
    pat = signed_in(scene.pat)
    assert "In place of" in text(pat.get("/delegations/"))
    assert pat.post("/delegations/", sent(delegator="ravi")).status_code == 302
    assert Delegation.objects.get().delegator == scene.ravi
    assert "Let them stand in" not in text(signed_in(scene.dana).get("/delegations/"))
    forged = signed_in(scene.rosa).post("/delegations/", sent(delegator="ravi", delegate="ravi"))
    assert forged.status_code in (400, 409) and Delegation.objects.count() == 1
    assert "nobody-like-this" in text(pat.get("/delegations/?person=nobody-like-this"))
    assert "On leave" not in text(pat.get("/delegations/?person=dana")) and "On leave" in text(
        pat.get("/delegations/?person=rosa")
    )


def test_mail_is_wanted_unless_one_says_otherwise(scene: Scene, signed_in: Browser) -> None:
    dana = signed_in(scene.dana)
    assert 'name="wanted" id="id_wanted" checked' in text(dana.get("/delegations/"))
    assert dana.post("/delegations/mail", {}).status_code == 302
    assert not MailPreference.objects.get().wanted and "You get no mail." in text(dana.get("/delegations/"))
    assert 'id="id_wanted" checked' not in text(dana.get("/delegations/"))
    dana.post("/delegations/mail", {"wanted": "on"})
    assert MailPreference.objects.get().wanted and dana.get("/delegations/mail").status_code == 405


def test_conflicting_rights_are_for_auditors_and_admins(scene: Scene, signed_in: Browser) -> None:
    aude = signed_in(scene.aude)
    assert "No conflicting rights" in text(aude.get("/conflicts/"))
    person("rosa", "reviewer", "platform-admin")
    person("ravi", "reviewer", "data-scientist")
    page = text(aude.get("/conflicts/"))
    assert page.index("Rosa Example") < page.index("Ravi Example")  # the graver first
    assert "publishes the policies that they review under" in page
    assert signed_in(scene.dana).get("/conflicts/").status_code == 403
    assert 'href="/conflicts/"' in text(signed_in(scene.pat).get("/models/"))
    assert 'href="/conflicts/"' not in text(signed_in(scene.dana).get("/models/"))


def test_delegations_take_as_many_statements_for_many_as_for_few(scene: Scene, signed_in: Browser) -> None:
    pat = signed_in(scene.pat)

    def give(n: int) -> None:
        person(f"giver{n}", "reviewer")
        person(f"taker{n}", "reviewer")
        create_delegation(
            actor=actor(scene.pat),
            delegator=f"giver{n}",
            delegate=f"taker{n}",
            ends_at=timezone.now() + timedelta(days=5),
            reason="Leave",
        )

    def taken(path: str) -> int:
        with CaptureQueriesContext(connection) as found:
            assert pat.get(path).status_code == 200
        return len(found)

    give(0)
    paths = ("/delegations/", "/conflicts/")
    [taken(path) for path in paths]
    few = [taken(path) for path in paths]
    for n in range(1, 4):
        give(n)
    assert [taken(path) for path in paths] == few and max(few) <= 14
