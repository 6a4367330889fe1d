"""Reports of pipelines elsewhere and the keys they are signed with, over HTTP."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from core import commands as core_commands
from core.access import grant
from core.models import AuditEvent, User
from governance import queries
from governance.models import CheckRun, Report
from interfaces.web.pages.checks import run_page
from interfaces.web.pages.review.checks import check_row
from registry.models import ModelVersion
from tests.cast import ROOT, actor
from tests.signing import new_key, pem, sign, statement
from tests.workflows.conftest import World

pytestmark = pytest.mark.django_db


@pytest.fixture
def version(world: World) -> ModelVersion:
    return world.version()


@pytest.fixture
def bot(version: ModelVersion) -> User:
    made = core_commands.ensure_user(actor=ROOT, username="bot", roles=["pipeline"], service_of="dana")
    grant(version.model, "model_read", users=[made.pk])
    return made


def body(version: ModelVersion, **changes: Any) -> dict[str, Any]:
    return {
        "model": "credit.risk",
        "version": version.number,
        "check": "acme/load-test",
        "revision": "7",
        "content_digest": version.content_digest,
        "outcome": "passed",
        "pipeline": {"name": "nightly", "url": "https://ci.example.org/runs/7"},
        "measurements": [{"metric": "latency.p95", "value": 0.2, "n": 1000}],
        "tables": [{"name": "percentiles", "columns": ["p", "seconds"], "rows": [[50, 0.1], [95, 0.2]]}],
        **changes,
    }


def envelope(version: ModelVersion, key: Any, **predicate: Any) -> dict[str, Any]:
    beside = ("model", "version", "content_digest", "outcome")
    report = {name: value for name, value in body(version).items() if name not in beside}
    return sign(statement(version.content_digest, report, **predicate), key)


def test_a_report_is_taken_once_and_read_again(api: Callable[[User], Any], bot: User, version: ModelVersion, ravi: User) -> None:
    first = api(bot).post("check-runs/report/", body(version))
    made = first.json()
    assert first.status_code == 201 and first["Location"] == f"/api/v1/check-runs/{made['id']}/"
    again = api(bot).post("check-runs/report/", body(version))
    assert again.status_code == 200 and again.json() == made and again["Location"] == first["Location"]
    read = api(ravi).get(f"check-runs/{made['id']}/").json()
    assert read == made and read["source"] == "reported" and read["state"] == "passed" and read["isolation"] == ""
    assert read["report"] == {
        "pipeline": "nightly",
        "run_url": "https://ci.example.org/runs/7",
        "commit": "",
        "outcome": "passed",
        "dataset_digest": "",
        "reported_by": "bot",
        "reported_at": read["report"]["reported_at"],
        "signature": None,
    }
    assert [(m["metric"], m["value"], m["n"]) for m in read["measurements"]] == [("latency.p95", 0.2, 1000)]
    assert read["tables"][0]["rows"] == [[50, 0.1], [95, 0.2]]
    assert [run["id"] for run in api(ravi).get("check-runs/", source="reported").json()["results"]] == [made["id"]]
    assert api(ravi).get("check-runs/", source="worker").json()["results"] == []
    assert api(ravi).get(f"check-runs/{made['id']}/attestation/").status_code == 404
    assert [api(bot).post("check-runs/report/", body(version), Idempotency_Key="k").status_code for _ in range(2)] == [200, 200]


def test_a_signed_report_says_which_key_and_gives_its_envelope_back(
    api: Callable[[User], Any], bot: User, version: ModelVersion, pat: User, ravi: User, aude: User
) -> None:
    private = new_key("ecdsa-p256")
    asked = {"name": "nightly's", "public_key": pem(private), "owner": "bot", "valid_to": "2099-01-01T00:00:00Z"}
    for who, status in ((bot, 403), (ravi, 403), (aude, 403), (pat, 201), (pat, 409)):
        answer = api(who).post("signing-keys/", asked)
        assert answer.status_code == status, who.username
        assert status != 201 or answer["Location"].startswith("/api/v1/signing-keys/sha256")
    assert api(pat).post("signing-keys/", {**asked, "public_key": "x"}).json()["code"] == "unsupported_key"
    (key,) = api(aude).get("signing-keys/").json()["results"]
    assert api(bot).get("signing-keys/").status_code == 403 == api(bot).get(f"signing-keys/{key['key_id']}/").status_code
    assert api(aude).get(f"signing-keys/{key['key_id']}/").json() == key

    sent = envelope(version, private)
    made = api(bot).post("check-runs/report/", {"model": "credit.risk", "version": version.number, "envelope": sent})
    assert made.status_code == 201, made.content
    run = made.json()["id"]
    signature = api(ravi).get(f"check-runs/{run}/").json()["report"]["signature"]
    assert (signature["key_id"], signature["key_name"], signature["verified"]) == (key["key_id"], "nightly's", True)
    assert api(ravi).get(f"check-runs/{run}/attestation/").json() == sent

    assert api(aude).post(f"signing-keys/{key['key_id']}/revoke/", {"reason": "x"}).status_code == 403
    ended = api(pat).post(f"signing-keys/{key['key_id']}/revoke/", {"reason": "The laptop was lost."})
    assert ended.status_code == 200 and ended.json()["state"] == "revoked"
    refused = api(bot).post(
        "check-runs/report/", {"model": "credit.risk", "version": version.number, "envelope": envelope(version, private, url="u")}
    )
    assert (refused.status_code, refused.json()["code"]) == (400, "key_not_valid")
    assert api(ravi).get(f"check-runs/{run}/").json()["report"]["signature"]["key_revoked_at"] == ended.json()["revoked_at"]
    shown = queries.check_run(actor(ravi), run)
    assert check_row(shown).ran == "revision 7, Reported by nightly, signature verified with nightly's, key revoked since"
    facts = dict(run_page(shown).facts)
    assert facts["Account"] == "bot" and facts["Run of the pipeline"] == "https://ci.example.org/runs/7"
    assert facts["Data"] == "data not registered here"


def test_what_is_changed_on_the_way_is_refused(api: Callable[[User], Any], bot: User, version: ModelVersion, pat: User) -> None:
    private = new_key()
    registered = api(pat).post(
        "signing-keys/", {"name": "k", "public_key": pem(private), "owner": "bot", "valid_to": "2099-01-01T00:00:00Z"}
    )
    good = sign(statement(version.content_digest, {}), private, keyid=registered.json()["key_id"])
    other = envelope(version, new_key())
    cases: list[tuple[dict[str, Any], str]] = [
        ({"envelope": {**good, "payload": other["payload"]}}, "bad_signature"),
        ({"envelope": other}, "unknown_key"),
        ({"envelope": "x"}, "invalid"),
        ({"envelope": {}}, "malformed_envelope"),
        ({"envelope": good}, "invalid_report"),
        ({**body(version), "envelope": envelope(version, private)}, "invalid_report"),
        (body(version, content_digest="sha256:" + "0" * 64), "wrong_subject"),
        (body(version, measurements=[{"metric": "x"}]), "invalid_report"),
        (body(version, findings=[1]), "invalid"),
        (body(version, speed=1), "invalid"),
        ({}, "invalid_report"),
    ]
    for sent, code in cases:
        answer = api(bot).post("check-runs/report/", {"model": "credit.risk", "version": version.number, **sent})
        assert (answer.status_code, answer.json()["code"]) == (400, code), answer.content
    assert not CheckRun.objects.exists() and not Report.objects.exists()
    assert not AuditEvent.objects.filter(action="check.reported").exists()


def test_who_may_not_is_told_so(api: Callable[[User], Any], version: ModelVersion, bot: User, dana: User, mallory: User) -> None:
    answer = api(dana).post("check-runs/report/", body(version))
    assert (answer.status_code, answer.json()["code"]) == (403, "denied")
    assert api(mallory).post("check-runs/report/", body(version)).status_code == 404
    assert api(bot).post("check-runs/report/", {**body(version), "version": 9}).status_code == 404
    assert api(bot).post("check-runs/report/", body(version)).status_code == 201
