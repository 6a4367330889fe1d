"""Signing keys on pages: registered and ended by who manages accounts, mistakes at their fields, what was signed stays."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from core import commands as core_commands
from core.access import grant
from core.models import User
from governance.commands.signing_keys import register_key
from governance.models import CheckRun, SigningKey
from registry.models import RegisteredModel
from tests.cast import ROOT, actor
from tests.interfaces.web.conftest import MODEL, Scene
from tests.interfaces.web.test_pages import text
from tests.signing import Private, new_key, pem, sign, statement
from workflows.commands.reporting import report_check

pytestmark = pytest.mark.django_db
Browser = Callable[[User], Client]


@pytest.fixture
def bot(scene: Scene) -> User:
    """A pipeline that may report on the model."""
    account = core_commands.ensure_user(actor=ROOT, username="load-bot", roles=["pipeline"], service_of="rosa")
    grant(RegisteredModel.objects.get(name=MODEL), "model_read", users=[account.pk])
    return account


def form(key: Private, **changes: str) -> dict[str, str]:
    ends = (timezone.now() + timedelta(days=90)).date().isoformat()
    given = {"name": "nightly", "owner": "load-bot", "valid_from": "", "valid_to": ends, "public_key": pem(key)}
    return {**given, **changes}


def reported(scene: Scene, bot: User, key: Private) -> CheckRun:
    """Return a run that a pipeline reported with its signature."""
    version = scene.register()
    report = {
        "check": "acme/load-test",
        "revision": "7",
        "pipeline": {"name": "nightly"},
        "measurements": [{"metric": "latency.p95", "value": 0.2, "n": 1000}],
    }
    envelope = sign(statement(version.content_digest, report), key)
    run, _ = report_check(actor=actor(bot), model_name=MODEL, version=version.number, envelope=envelope)
    return run


def test_a_key_is_registered_and_each_mistake_stands_at_its_field(scene: Scene, bot: User, signed_in: Browser) -> None:
    pat, key = signed_in(scene.pat), new_key()
    assert "No signing keys" in text(pat.get("/signing-keys/"))
    taken = new_key()
    known = register_key(
        actor=actor(scene.pat), name="known", public_key=pem(taken), owner="load-bot", valid_to=timezone.now() + timedelta(days=9)
    )
    for changes, status, field, words in (
        ({"name": ""}, 422, "name", "Give it a name"),
        ({"owner": "dana"}, 404, "owner", "no service account &#x27;dana&#x27;"),
        ({"valid_to": "2020-01-01"}, 400, "valid_to", "valid for some time to come"),
        ({"valid_to": "soon"}, 422, "valid_to", "Give a day such as"),
        ({"public_key": "-----BEGIN NOTHING-----"}, 400, "public_key", "The key was not taken"),
        ({"public_key": pem(taken)}, 409, "public_key", "registered already"),
    ):
        wrong = pat.post("/signing-keys/", form(key, **changes))
        assert wrong.status_code == status, changes
        said = text(wrong).split(f'id="id_{field}_error">')[1].split("</p>")[0]
        assert words in said and text(wrong).count(said) == 1, changes
    assert list(SigningKey.objects.all()) == [known]

    done = pat.post("/signing-keys/", form(key))
    made = SigningKey.objects.get(name="nightly")
    assert done.status_code == 302 and done["Location"] == f"/signing-keys/{made.key_id}/"
    page = text(pat.get(done["Location"]))
    assert "The key nightly is registered." in page and "BEGIN PUBLIC KEY" in page and ">Valid</span>" in page
    listed = text(pat.get("/signing-keys/"))
    assert listed.index(made.key_id) < listed.index(known.key_id) and "Ed25519" in listed


def test_a_key_is_revoked_with_a_reason_and_what_it_signed_stays(scene: Scene, bot: User, signed_in: Browser) -> None:
    pat, key = signed_in(scene.pat), new_key()
    pat.post("/signing-keys/", form(key))
    made = SigningKey.objects.get()
    page, run = f"/signing-keys/{made.key_id}/", reported(scene, bot, key)
    assert f'href="/check-runs/{run.pk}/"' in text(pat.get(page))
    mute = pat.post(page, {"reason": ""})
    assert mute.status_code == 422 and "Say why: what was signed" in text(mute).split('id="id_reason_error">')[1]
    assert SigningKey.objects.get().revoked_at is None
    assert pat.post(page, {"reason": "The <runner> was replaced."}).status_code == 302
    shown = text(signed_in(scene.aude).get(page))
    assert "by pat." in shown and "The &lt;runner&gt; was replaced." in shown and ">Revoked</span>" in shown
    assert f'href="/check-runs/{run.pk}/"' in shown and "Revoke the key" not in shown
    assert "Revoke the key" not in text(pat.get(page)), "it ended already"
    assert "key revoked since" in text(pat.get(f"/check-runs/{run.pk}/"))


def test_auditors_read_and_others_see_none(scene: Scene, bot: User, mallory: User, signed_in: Browser) -> None:
    made = register_key(
        actor=actor(scene.pat),
        name="nightly",
        public_key=pem(new_key("ecdsa")),
        owner="load-bot",
        valid_to=timezone.now() + timedelta(days=9),
    )
    page, aude = f"/signing-keys/{made.key_id}/", signed_in(scene.aude)
    assert "ECDSA on P-256" in text(aude.get("/signing-keys/")) and "Revoke the key" not in text(aude.get(page))
    assert "Register the key" not in text(aude.get("/signing-keys/"))
    refused = aude.post(page, {"reason": "No."})
    assert refused.status_code == 403 and "account:manage" in text(refused)
    assert aude.post("/signing-keys/", form(new_key())).status_code == 403
    for who in (scene.ravi, scene.dana, mallory):
        for path in ("/signing-keys/", page):
            assert signed_in(who).get(path).status_code == 403
        assert 'href="/signing-keys/"' not in text(signed_in(who).get("/models/"))
        assert signed_in(who).post(page, {"reason": "No."}).status_code == 403
    assert 'href="/signing-keys/"' in text(aude.get("/policies/")).split("<main")[1]
    assert 'href="/signing-keys/"' not in text(signed_in(scene.ravi).get("/policies/"))
    assert aude.get("/signing-keys/sha256:none/").status_code == 404
    made.refresh_from_db()
    assert made.revoked_at is None and SigningKey.objects.count() == 1
