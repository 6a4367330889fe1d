"""Policies, parameters, bindings and drafts over the API."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import jsonschema
import pytest
from django.conf import settings
from django.utils import timezone

from governance.models import Decision
from tests.cast import actor
from tests.workflows.conftest import BINDING, POLICY
from workflows.commands import execution
from workflows.commands import reviews as review_commands

pytestmark = pytest.mark.django_db

PARAMETERS = "kind: Parameters\nname: strict\npolicy: credit\nvalues: {limit: 0.8}\n"


@pytest.fixture
def decided(world, ravi, rosa):
    """A request that was carried out."""
    request = world.in_review(auc=0.75)
    for reviewer in (ravi, rosa):
        review_commands.submit_review(actor=actor(reviewer), request_id=request.pk, verdict="approve")
    execution.execute_request(actor=actor(world.dana), request_id=request.pk)
    return request


def test_publishing_tells_which_groups_are_missing(api, pat, world) -> None:
    made = api(pat).post("policies/", {"document": POLICY.replace("group: reviewer", "group: model-risk")})
    assert made.status_code == 201 and made.json()["number"] == 2
    assert made.json()["warnings"] == ["There is no group model-risk, which credit names: make it and put people into it."]


def test_a_text_that_breaks_a_binding_is_a_conflict_that_names_it(api, pat, world) -> None:
    answer = api(pat).post("policies/", {"document": POLICY.replace(", default: 0.7", "")})
    assert (answer.status_code, answer.json()["code"]) == (409, "breaks_bindings")
    assert "credit: parameter limit has no default" in answer.json()["detail"]


def test_parameters_are_published_read_and_take_their_bindings_with_them(api, pat, dana, mallory, world) -> None:
    caller = api(pat)
    made = caller.post("parameters/", {"document": PARAMETERS})
    assert made.status_code == 201 and made["Location"] == "/api/v1/parameters/strict/"
    assert (made.json()["number"], made.json()["values"], made.json()["published_by"]) == (1, {"limit": 0.8}, "pat")
    bound = caller.post("bindings/", {"document": BINDING + "parameters: strict\n"}).json()
    assert (bound["parameters_name"], bound["parameters"], bound["mode"], bound["state"]) == (
        "strict",
        {"limit": 0.8},
        "enforce",
        "in_force",
    )
    second = caller.send("post", "parameters/", PARAMETERS.replace("0.8", "0.9").encode(), "application/yaml")
    assert second.json()["number"] == 2
    (row,) = api(dana).get("bindings/").json()["results"]
    assert row["parameters"] == {"limit": 0.9}
    read = api(dana).get("parameters/strict/").json()
    assert [r["number"] for r in read["revisions"]] == [2, 1] and read["bindings"] == ["credit"] and read["policy"] == "credit"
    assert [(r["name"], r["number"]) for r in api(dana).get("parameters/").json()["results"]] == [("strict", 2)]
    wrong = caller.post("parameters/", {"document": PARAMETERS.replace("0.8", "high")})
    assert wrong.status_code == 400 and wrong.json()["code"] == "malformed_parameters"
    assert wrong.json()["errors"][0]["line"] == 4
    assert caller.get("parameters/none/").status_code == 404
    assert api(dana).post("parameters/", {"document": PARAMETERS}).status_code == 403
    for path in ("parameters/", "parameters/strict/"):
        assert api(mallory).get(path).status_code == 403


def test_the_same_key_publishes_parameters_once(api, pat, world) -> None:
    caller = api(pat)
    first = caller.post("parameters/", {"document": PARAMETERS}, Idempotency_Key="k1")
    assert caller.post("parameters/", {"document": PARAMETERS}, Idempotency_Key="k1").json() == first.json()


def test_a_binding_to_come_is_read_beside_the_one_in_force(api, pat, dana, world) -> None:
    caller = api(pat)
    later = caller.post("bindings/", {"document": BINDING + "mode: warn\nsince: '2090-01-31'\n"}).json()
    assert (later["state"], later["mode"], later["valid_from"]) == ("to_come", "warn", "2090-01-31T00:00:00Z")
    (now,) = api(dana).get("bindings/").json()["results"]
    assert (now["state"], now["mode"], now["valid_to"]) == ("in_force", "enforce", "2090-01-31T00:00:00Z")
    assert api(dana).get("bindings/credit/").json() == now
    policy = api(dana).get("policies/credit/").json()
    assert policy["bindings"] == [now] and policy["to_come"] == [later]
    assert api(dana).get("bindings/", as_of="2091-01-01T00:00:00Z").json()["results"] == [later]
    assert caller.delete("bindings/credit/").status_code == 204
    assert api(dana).get("bindings/", as_of="2091-01-01T00:00:00Z").json()["results"] == []
    states = [row["state"] for row in api(dana).get("bindings/", past="true").json()["results"]]
    assert states == ["taken_back", "ended"]
    assert api(dana).get("bindings/credit/").status_code == 404


def test_bindings_are_read_as_of_a_moment(api, pat, dana, world) -> None:
    before = timezone.now()
    caller = api(pat)
    caller.post("bindings/", {"document": BINDING + "parameters: {limit: 0.8}\n"})

    def limits(at: datetime) -> list[object]:
        rows = api(dana).get("bindings/", as_of=at.isoformat()).json()["results"]
        return [row["parameters"].get("limit") for row in rows]

    assert limits(before) == [None] and limits(timezone.now()) == [0.8] and limits(datetime(2020, 1, 1, tzinfo=UTC)) == []
    both = api(dana).get("bindings/", as_of=before.isoformat(), past="true")
    assert both.status_code == 400 and both.json()["errors"][0]["parameter"] == "as_of"
    assert api(dana).get("bindings/", as_of="yesterday").status_code == 400


def test_a_draft_is_simulated(api, ravi, dana, pat, decided) -> None:
    draft = {"document": POLICY.replace("default: 0.7", "default: 0.8")}
    answer = api(ravi).post("policies/credit/simulate/", draft)
    assert answer.status_code == 200
    found = answer.json()
    assert (found["judged"], found["newly_blocked"], found["truncated"]) == (1, 1, False)
    (row,) = found["requests"]
    assert (row["request"], row["then"], row["now"]) == (decided.pk, "satisfied", "blocked")
    assert row["changes"][0]["now_reason"] == "measured 0.75, the limit is at least 0.8"
    assert api(ravi).post("policies/credit/simulate/", {**draft, "parameters": {"limit": 0.7}}).json()["newly_blocked"] == 0
    assert api(dana).post("policies/credit/simulate/", draft).status_code == 403
    for wrong, pointer in (
        ({"days": 731}, "#/days"),
        ({"days": 0}, "#/days"),
        ({"day": 3}, "#/day"),
        ({"parameters": 3}, "#/parameters"),
    ):
        refused = api(ravi).post("policies/credit/simulate/", {**draft, **wrong})
        assert refused.status_code == 400 and refused.json()["errors"][0]["pointer"] == pointer
    torn = api(ravi).post("policies/credit/simulate/", {"document": POLICY.replace("measurements[", "measuremnts[")})
    assert torn.status_code == 400 and torn.json()["errors"][0]["line"] == 12
    assert api(ravi).post("policies/other/simulate/", draft).status_code == 400


def test_a_decision_is_recomputed(api, ravi, mallory, decided) -> None:
    decision = Decision.objects.get(request_id=decided.pk, purpose="execute")
    assert api(ravi).get(f"decisions/{decision.pk}/").json()["gate_revision"] == decision.gate_revision
    found = api(ravi).post(f"decisions/{decision.pk}/replay/").json()
    assert found["same"] and found["compared"] == "bytes" and found["differences"] == [] and found["verdict"]["satisfied"]
    assert found["verdict_digest"] == found["recomputed_digest"] == decision.verdict_digest
    assert api(mallory).post(f"decisions/{decision.pk}/replay/").status_code == 404


@pytest.mark.parametrize(
    ("name", "fits", "wrong"),
    [
        ("policy", {"kind": "Policy", "name": "p", "requirements": []}, "requirements"),
        ("parameters", {"kind": "Parameters", "name": "p", "policy": "p", "values": {"x": []}}, "values"),
        ("binding", {"kind": "Binding", "name": "p", "policy": "p", "targets": {}}, "targets"),
    ],
)
def test_a_schema_is_public_says_where_it_stands_and_is_kept(stranger, name, fits, wrong) -> None:
    answer = stranger.get(f"{name}-schema.json")
    assert answer.status_code == 200 and answer["Cache-Control"] == "public, max-age=3600"
    schema = answer.json()
    assert schema["$id"] == f"{settings.PUBLIC_URL}/api/v1/{name}-schema.json"
    jsonschema.Draft202012Validator.check_schema(schema)
    errors = list(jsonschema.Draft202012Validator(schema).iter_errors(fits))
    assert [next(iter(error.absolute_path)) for error in errors] == [wrong]
    again = stranger._client.get(f"/api/v1/{name}-schema.json", headers={"If-None-Match": answer["ETag"]})
    assert again.status_code == 304 and again.content == b"" and again["ETag"] == answer["ETag"]


def test_reading_takes_no_statement_for_each_row(api, aude, pat, world, django_assert_max_num_queries) -> None:
    caller = api(pat)
    for i in range(4):
        caller.post("parameters/", {"document": PARAMETERS.replace("strict", f"set{i}")})
        caller.post("parameters/", {"document": PARAMETERS.replace("strict", f"set{i}").replace("0.8", "0.9")})
        caller.post("bindings/", {"document": BINDING.replace("name: credit", f"name: b{i}", 1) + f"parameters: set{i}\n"})
    reader = api(aude)
    for path, most in {"parameters/": 2, "parameters/set1/": 3, "bindings/": 2, "bindings/b1/": 2, "policies/credit/": 4}.items():
        reader.get(path)
        with django_assert_max_num_queries(most):
            assert reader.get(path).status_code == 200


def test_a_binding_that_begins_in_a_moment_does(api, pat, dana, world, monkeypatch) -> None:
    soon = (timezone.now() + timedelta(days=2)).replace(microsecond=0)
    api(pat).post("bindings/", {"document": BINDING + f"mode: shadow\nsince: '{soon:%Y-%m-%dT%H:%M:%SZ}'\n"})
    monkeypatch.setattr(timezone, "now", lambda: soon)
    (row,) = api(dana).get("bindings/").json()["results"]
    assert (row["mode"], row["state"]) == ("shadow", "in_force")
