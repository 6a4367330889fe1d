"""Policies, bindings, checks and their results, data sets, lineage, the audit log and tokens over the API."""

from __future__ import annotations

import json

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from core.access import SYSTEM
from core.models import AuditEvent, Job, JobState
from governance import ledger
from governance.commands import checks as check_commands
from governance.commands.checks import CheckResult
from governance.models import CheckRun, CheckState, EvidenceTable
from tests.cast import bearer
from tests.interfaces.rest.conftest import check_problem
from tests.workflows.conftest import BINDING, POLICY
from workflows.commands import execution

pytestmark = pytest.mark.django_db

CSV = b"x,y\n1,0\n2,1\n3,1\n"


def test_a_policy_is_published_bound_and_ended(api, pat, dana, mallory, world) -> None:
    caller = api(pat)
    text = POLICY.replace("default: 0.7", "default: 0.8")
    made = caller.post("policies/", {"document": text})
    assert made.status_code == 201 and made["Location"] == "/api/v1/policies/credit/revisions/2/"
    assert (made.json()["number"], made.json()["published_by"]) == (2, "pat")
    assert caller.post("policies/", {"document": text}).json()["number"] == 2
    assert caller.get("policies/credit/revisions/1/").json()["document"] == POLICY
    assert caller.get("policies/credit/revisions/3/").status_code == 404
    assert [r["number"] for r in api(dana).get("policies/credit/").json()["revisions"]] == [2, 1]
    assert [p["name"] for p in api(dana).get("policies/").json()["results"]] == ["credit"]
    assert api(dana).post("policies/", {"document": text}).status_code == 403
    assert api(dana).post("bindings/", {"document": BINDING}).status_code == 403
    assert api(dana).delete("bindings/credit/").status_code == 403
    for path in ("policies/", "policies/credit/", "bindings/", "checks/"):
        assert api(mallory).get(path).status_code == 403
    bound = caller.post("bindings/", {"document": BINDING.replace("name: credit", "name: more", 1)})
    assert bound.status_code == 201 and bound.json()["stages"] == ["Production"]
    assert caller.get("bindings/more/").json() == bound.json()
    assert caller.delete("bindings/more/").status_code == 204
    assert caller.delete("bindings/more/").status_code == 404
    assert [b["name"] for b in caller.get("bindings/").json()["results"]] == ["credit"]
    assert [b["name"] for b in caller.get("bindings/", past="true").json()["results"]] == ["credit", "more"]


def test_mistakes_in_a_policy_are_told_with_line_and_column(api, pat) -> None:
    answer = api(pat).post("policies/", {"document": POLICY.replace("measurements[", "measuremnts[")})
    assert answer.status_code == 400 and answer.json()["code"] == "malformed_policy"
    first = answer.json()["errors"][0]
    assert first["pointer"] == "#/document" and first["line"] == 12 and first["column"] > 1
    api(pat).post("policies/", {"document": POLICY.replace("dataset: validation", "dataset: none-such")})
    wrong = api(pat).post("bindings/", {"document": BINDING.replace("Production", "Heaven")})
    assert wrong.status_code == 400 and "Heaven" in wrong.json()["errors"][0]["detail"]


def test_the_schemas_of_documents_are_json_schemas(api, dana) -> None:
    assert api(dana).get("policy-schema.json").json()["title"] == "Countersign policy"
    assert api(dana).get("binding-schema.json").json()["title"] == "Countersign policy binding"


def test_checks_tell_their_parameters(api, dana) -> None:
    checks = {check["name"]: check for check in api(dana).get("checks/").json()}
    assert {"performance", "fairness"} <= set(checks)
    assert "sensitive" in checks["fairness"]["parameters"]["properties"]


def test_check_runs_tell_what_was_measured(api, dana, ravi, mallory, world) -> None:
    world.in_review()
    (run,) = api(ravi).get("check-runs/", model="credit.risk", version=1, state="passed").json()["results"]
    detail = api(ravi).get(f"check-runs/{run['id']}/").json()
    assert detail["measurements"][0]["metric"] == "roc_auc" and detail["dataset"] == "validation@v1"
    log = api(ravi).get(f"check-runs/{run['id']}/log/")
    assert log.status_code == 200 and log["Content-Type"].startswith("text/plain")
    (row,) = api(ravi).get("measurements/", model="credit.risk", metric="roc_auc").json()["results"]
    assert (row["value"], row["run"], row["version"]) == (0.8, run["id"], 1)
    assert api(ravi).get("measurements/", metric="f1").json()["results"] == []
    assert api(mallory).get("check-runs/").json()["results"] == [] == api(mallory).get("measurements/").json()["results"]
    assert api(mallory).get(f"check-runs/{run['id']}/").status_code == 404
    assert api(mallory).get(f"check-runs/{run['id']}/log/").status_code == 404
    assert api(ravi).get("check-runs/", state="lost").status_code == 400


def test_what_a_review_of_dependencies_listed_is_a_bill_of_materials(api, ravi, mallory, world) -> None:
    version = world.in_review().version
    run = CheckRun.objects.create(version=version, check_name="dependencies", check_revision="1", state="passed")
    row = ["numpy", "2.0.0", "pkg:pypi/numpy@2.0.0", "BSD-3-Clause", "requirements.txt:1", ""]
    columns = ["name", "version", "purl", "licence", "source", "advisories"]
    EvidenceTable.objects.create(run=run, name="components", columns=columns, rows=[row])
    answer = api(ravi).get(f"check-runs/{run.pk}/bill-of-materials/")
    document = answer.json()
    assert (document["bomFormat"], document["specVersion"], document["serialNumber"]) == (
        "CycloneDX",
        "1.6",
        f"urn:uuid:{run.pk}",
    )
    assert document["metadata"]["component"]["name"] == "credit.risk" and document["components"][0]["purl"] == row[2]
    assert api(ravi).get(f"check-runs/{run.pk}/bill-of-materials/").content == answer.content
    assert api(mallory).get(f"check-runs/{run.pk}/bill-of-materials/").status_code == 404
    (other,) = api(ravi).get("check-runs/", check="performance").json()["results"]
    assert api(ravi).get(f"check-runs/{other['id']}/bill-of-materials/").status_code == 404


def test_a_data_set_is_uploaded_as_a_body_or_as_a_form(api, pat, dana, mallory) -> None:
    where = "datasets/?name=held-out&format=csv&target=y&closed=true"
    made = api(pat).send("post", where, CSV, "text/csv")
    assert made.status_code == 201 and made["Location"] == "/api/v1/datasets/held-out/"
    assert (made.json()["reference"], made.json()["row_count"]) == ("held-out@v1", 3)
    again = Client().post(
        "/api/v1/datasets/",
        {"name": "held-out", "format": "csv", "target": "y", "file": SimpleUploadedFile("a.csv", CSV)},
        **bearer(pat),
    )
    assert again.status_code == 201 and again.json() == made.json()
    (listed,) = api(dana).get("datasets/").json()["results"]
    assert listed == api(dana).get("datasets/held-out/").json() and listed["closed"]
    assert api(pat).get("datasets/none/").status_code == 404
    assert api(pat).send("post", where.replace("target=y", "target=z"), CSV, "text/csv").status_code == 400
    assert (
        api(pat).send("post", where.replace("format=csv", "format=xls"), CSV, "text/csv").json()["errors"][0]["parameter"]
        == "format"
    )
    assert api(dana).send("post", where, CSV, "text/csv").status_code == 403
    assert api(mallory).get("datasets/").status_code == 403
    incomplete = Client().post("/api/v1/datasets/", {"name": "x"}, **bearer(pat))
    check_problem(incomplete)
    assert "#/file" in [e["pointer"] for e in incomplete.json()["errors"]]


def test_lineage_is_walked_up_and_down(api, dana, mallory, world) -> None:
    run = world.version().run_id
    up = api(dana).get("lineage/", node="model_version:credit.risk/1", direction="upstream").json()
    assert f"run:{run}" in [node["key"] for node in up["nodes"]]
    down = api(dana).get("lineage/", node="model_version:credit.risk/1", direction="downstream").json()
    assert f"run:{run}" not in [node["key"] for node in down["nodes"]]
    assert api(mallory).get("lineage/", node="model_version:credit.risk/1").status_code == 404
    for query in ({}, {"node": "run:x", "direction": "sideways"}, {"node": "run:x", "depth": 0}):
        assert api(dana).get("lineage/", **query).status_code == 400


def test_the_auditor_reads_events_page_by_page_and_nobody_else_does(api, aude, dana, world) -> None:
    world.version()
    caller, seen = api(aude), []
    answer = caller.get("audit/events/", page_size=3).json()
    while True:
        seen += [row["id"] for row in answer["results"]]
        if answer["next"] is None:
            break
        answer = caller.get(answer["next"].removeprefix("http://testserver")).json()
    assert seen == list(AuditEvent.objects.order_by("-id").values_list("id", flat=True))
    assert len(seen) > 6
    (event,) = caller.get("audit/events/", action="model.created").json()["results"]
    assert caller.get(f"audit/events/{event['id']}/").json() == event
    assert caller.get("audit/events/", subject="model:credit.risk", by="dana").json()["results"] == [event]
    assert caller.get("audit/events/999999/").status_code == 404
    assert caller.get("audit/events/", acton="x").status_code == 400
    for path in ("audit/events/", f"audit/events/{event['id']}/"):
        assert api(dana).get(path).status_code == 403
    assert api(dana).post("audit/verify/").status_code == 403


def test_verifying_the_ledger_recomputes_it_and_is_itself_recorded(api, aude, dana, world) -> None:
    assert api(dana).get("audit/head/").json()["pending"] == AuditEvent.objects.count()
    caller = api(aude)
    ledger.sequence()
    head = api(dana).get("audit/head/").json()
    assert head["pending"] > 0 or head["size"] == AuditEvent.objects.count()
    report = caller.post("audit/verify/").json()
    assert report["intact"] and report["size"] == head["size"] and report["root_hash"] == head["root_hash"]
    read = AuditEvent.objects.get(action="report.read")
    assert read.actor == "aude" and json.loads(read.body)["after"]["root"] == report["root_hash"]


def test_everybody_manages_their_own_tokens(api, dana, mallory) -> None:
    caller = api(dana)
    assert caller.get("me/").json()["roles"] == ["data-scientist"] and "model:create" in caller.get("me/").json()["permissions"]
    made = caller.post("tokens/", {"name": "ci", "days": 3})
    assert made.status_code == 201 and made["Cache-Control"] == "no-store"
    secret, prefix = made.json()["secret"], made.json()["prefix"]
    listed = caller.get("tokens/").json()["results"]
    assert prefix in [t["prefix"] for t in listed] and not any("secret" in t or secret in str(t) for t in listed)
    theirs = {"HTTP_AUTHORIZATION": f"Bearer {secret}"}
    assert Client().get("/api/v1/me/", **theirs).status_code == 200
    assert api(mallory).delete(f"tokens/{prefix}/").status_code == 403
    assert prefix not in [t["prefix"] for t in api(mallory).get("tokens/").json()["results"]]
    assert caller.delete(f"tokens/{prefix}/").status_code == 204
    assert Client().get("/api/v1/me/", **theirs).status_code == 401
    assert caller.post("tokens/", {"name": "x", "days": 4000}).json()["errors"][0]["pointer"] == "#/days"


def test_a_check_run_is_cancelled_by_those_who_may_ask_and_can_be_run_again(api, dana, ravi, mallory, world) -> None:
    request = world.ask(world.version())
    (run,) = api(ravi).get("check-runs/", state="queued").json()["results"]
    address = f"check-runs/{run['id']}/cancel/"
    assert api(mallory).post(address).status_code == 404 and api(ravi).post(address).status_code == 403
    check_commands.start_check(run_id=run["id"], worker="w", isolation="bubblewrap")
    cancelled = api(dana).post(address)
    assert cancelled.status_code == 200 and cancelled.json()["state"] == "cancelled"
    assert "dana" in cancelled.json()["error_message"]
    assert not check_commands.report_progress(run_id=run["id"], worker="w", done=0.5, text="still at it")
    late = CheckResult(CheckState.PASSED, measurements=[])
    assert check_commands.finish_check(actor=SYSTEM, run_id=run["id"], worker="w", result=late) is None
    assert Job.objects.get(key=f"check:{run['id']}").state == JobState.CANCELLED
    assert AuditEvent.objects.filter(action="check.cancelled", subject_id=run["id"]).count() == 1
    again = api(dana).post(address)
    assert (again.status_code, again.json()["code"]) == (409, "check_ended")
    execution.advance_request(actor=SYSTEM, request_id=request.pk)
    assert api(dana).post(f"promotion-requests/{request.pk}/rerun-checks/").status_code == 200
    assert len(api(ravi).get("check-runs/", state="queued").json()["results"]) == 1
