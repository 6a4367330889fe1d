"""From asking to Production over the API, with the checks finished as a worker would."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from governance.models import CheckState
from tests.cast import person
from tests.workflows.conftest import BINDING, POLICY
from workflows.commands import execution
from workflows.commands import requests as request_commands
from workflows.models import PromotionRequest

pytestmark = pytest.mark.django_db

ASK = {"model": "credit.risk", "version": 1, "target": "Production", "reason": "Better."}


def test_a_version_reaches_production_by_two_reviewers_and_not_otherwise(api, dana, ravi, rosa, aude, world) -> None:
    world.version()
    before = datetime.now(UTC)
    made = api(dana).post("promotion-requests/", ASK, Idempotency_Key="ask-1")
    assert made.status_code == 201 and made.json()["state"] == "checking"
    number = made.json()["id"]
    path = f"promotion-requests/{number}/"
    assert made["Location"] == f"/api/v1/{path}"
    assert api(dana).post("promotion-requests/", ASK).json()["code"] == "request_open"
    (check,) = api(dana).get(f"{path}checks/").json()
    assert (check["check"], check["role"], check["state"]) == ("performance", "candidate", "queued")
    early = api(ravi).post(f"{path}reviews/", {"verdict": "approve"})
    assert early.status_code == 409 and early.json()["code"] == "not_in_review"

    world.finish(PromotionRequest.objects.get(pk=number))
    detail = api(ravi).get(path).json()
    assert detail["state"] == "in_review" and detail["me"]["eligible"]
    assert {r["id"]: r["state"] for r in detail["verdict"]["requirements"]} == {
        "roc-auc": "satisfied",
        "review-reviewer": "pending",
    }
    assert api(dana).get(f"{path}requirements/").json() == detail["verdict"]

    own = api(dana).post(f"{path}reviews/", {"verdict": "approve"})
    assert own.status_code == 403 and own.json()["code"] == "separation_of_duties"
    assert "asked for this promotion" in own.json()["detail"]
    assert api(dana).get(f"{path}eligibility/").json()["eligible"] is False
    assert api(dana).get(f"{path}eligibility/", user="rosa").json()["eligible"] is True
    refused = api(dana).post(f"{path}execute/")
    assert refused.status_code == 409 and [r["id"] for r in refused.json()["requirements"]] == ["review-reviewer"]

    stale = api(ravi).post(f"{path}reviews/", {"verdict": "approve", "evidence_digest": "sha256:" + "0" * 64})
    assert stale.status_code == 409 and stale.json()["code"] == "stale_evidence"
    assert stale.json()["evidence_digest"] == detail["evidence_digest"]
    assert api(ravi).post(f"{path}reviews/", {"verdict": "reject"}).status_code == 400
    signed = {"verdict": "approve", "comment": "Read.", "evidence_digest": detail["evidence_digest"]}
    given = api(ravi).post(f"{path}reviews/", signed)
    assert given.status_code == 201 and given.json()["counts"] and given.json()["reviewer"] == "ravi"
    assert api(rosa).post(f"{path}reviews/", signed).status_code == 201
    assert api(dana).get(path).json()["state"] == "approved"
    assert [r["reviewer"] for r in api(aude).get(f"{path}reviews/").json()] == ["ravi", "rosa"]

    assert api(dana).post(f"{path}execute/").json()["state"] == "done"
    assert api(dana).post(f"{path}execute/").json()["code"] == "not_approved"
    assert api(dana).get("models/credit.risk/versions/1/").json()["stage"] == "Production"
    assert not [
        r for r in api(aude).get("models/credit.risk/stages/", as_of=before.isoformat()).json() if r["stage"] == "Production"
    ]

    (history,) = api(aude).get("models/credit.risk/versions/1/decisions/").json()
    assert [d["purpose"] for d in history["decisions"]] == ["approve", "execute"]
    assert history["checks"][0]["result_digest"].startswith("sha256:")
    for decision in history["decisions"]:
        stored = api(aude).get(f"decisions/{decision['id']}/").json()
        assert stored["facts"]["version"]["measurements"]["roc_auc"]["value"] == 0.8
        replay = api(aude).post(f"decisions/{decision['id']}/replay/").json()
        assert replay["same"] and replay["recomputed_digest"] == stored["verdict_digest"]


def test_a_reviewer_asks_for_changes_and_the_submitter_answers(api, dana, ravi, mallory, world) -> None:
    path = f"promotion-requests/{world.in_review().pk}/"
    assert api(ravi).post(f"{path}reviews/", {"verdict": "request_changes", "comment": "Explain."}).status_code == 201
    assert api(dana).get(path).json()["may_resubmit"]
    assert api(dana).post(f"{path}resubmit/", {}).json()["errors"][0]["pointer"] == "#/comment"
    assert api(mallory).post(f"{path}resubmit/", {"comment": "x"}).status_code == 404
    assert api(dana).post(f"{path}resubmit/", {"comment": "Explained."}).json()["state"] == "in_review"
    assert api(dana).post(f"{path}withdraw/", {"reason": "No more."}).json()["state"] == "withdrawn"
    assert api(dana).post(f"{path}withdraw/").json()["code"] == "wrong_state"


def test_checks_that_broke_are_run_again(api, dana, ravi, world) -> None:
    request = world.ask(world.version())
    world.finish(request, auc=None)
    path = f"promotion-requests/{request.pk}/"
    assert api(dana).get(f"{path}checks/").json()[0]["state"] == CheckState.ERROR
    assert api(ravi).post(f"{path}rerun-checks/").status_code == 403
    assert api(dana).post(f"{path}rerun-checks/").json()["state"] == "checking"
    assert api(dana).get(f"{path}checks/").json()[0]["state"] == CheckState.QUEUED
    assert api(dana).post(f"{path}rerun-checks/").json()["code"] == "nothing_to_rerun"


def test_requests_are_listed_by_what_they_are(api, dana, ravi, mallory, world) -> None:
    request = world.in_review()
    other = world.ask(world.version(), target="champion", target_kind="alias")

    def found(user: Any, **query: Any) -> list[int]:
        return [row["id"] for row in api(user).get("promotion-requests/", **query).json()["results"]]

    assert found(ravi) == [other.pk, request.pk]
    assert found(ravi, state="in_review") == [request.pk]
    assert found(ravi, state="open", model="credit.risk", version=other.version.number) == [other.pk]
    assert found(ravi, requested_by="rosa") == []
    assert found(mallory) == []
    assert api(ravi).get("promotion-requests/", state="great").status_code == 400
    for path in ("", "requirements/", "checks/", "reviews/", "eligibility/"):
        assert api(mallory).get(f"promotion-requests/{request.pk}/{path}").status_code == 404
    for path in ("withdraw/", "execute/", "rerun-checks/"):
        assert api(mallory).post(f"promotion-requests/{request.pk}/{path}").status_code == 404
    assert api(mallory).post("promotion-requests/", ASK).status_code == 404
    assert api(ravi).post("promotion-requests/", {**ASK, "target": "Staging"}).status_code == 403


def test_what_is_not_governed_can_be_asked_for_and_needs_a_second_person(api, dana, ravi, world) -> None:
    world.version()
    asked = api(dana).post("promotion-requests/", {**ASK, "target": "Staging"})
    assert asked.status_code == 201
    request_id = asked.json()["id"]
    execution.advance_request(request_id=request_id)
    assert api(dana).post(f"promotion-requests/{request_id}/reviews/", {"verdict": "approve"}).status_code == 403
    assert api(ravi).post(f"promotion-requests/{request_id}/reviews/", {"verdict": "approve"}).status_code == 201
    assert api(dana).post(f"promotion-requests/{request_id}/execute/").json()["state"] == "done"
    assert api(dana).post("promotion-requests/", {**ASK, "reason": " "}).json()["errors"][0]["pointer"] == "#/reason"


def test_an_expired_request_is_told_so(api, dana, world) -> None:
    request = world.in_review()
    PromotionRequest.objects.filter(pk=request.pk).update(expires_at=datetime(2020, 1, 1, tzinfo=UTC))
    request_commands.expire_requests()
    answer = api(person("rita", "reviewer")).post(f"promotion-requests/{request.pk}/reviews/", {"verdict": "approve"})
    assert answer.status_code == 409 and "expired" in answer.json()["detail"]


def test_what_a_policy_on_trial_finds_is_for_those_who_govern(api, dana, ravi, aude, pat, world) -> None:
    trial = POLICY.replace("name: credit", "name: on-trial", 1)
    assert api(pat).post("policies/", {"document": trial}).status_code == 201
    document = BINDING.replace("name: credit", "name: on-trial", 1).replace("policy: credit", "policy: on-trial\nmode: shadow")
    assert api(pat).post("bindings/", {"document": document}).status_code == 201
    world.version()
    request = world.ask(world.version())
    world.finish(request)
    path = f"promotion-requests/{request.pk}/"
    for user in (dana, ravi):
        assert "on-trial" not in api(user).get(path).content.decode()
        assert "on-trial" not in api(user).get(f"{path}requirements/").content.decode()
    seen = api(aude).get(path).json()
    assert {r["policy"] for r in seen["verdict"]["requirements"]} == {"credit", "on-trial"}
    assert {p["policy"]: p["mode"] for p in seen["policies"]} == {"credit": "enforce", "on-trial": "shadow"}
