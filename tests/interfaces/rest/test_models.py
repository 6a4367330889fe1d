"""Models and versions over the API: what is made, read as of a time, and refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import pytest
import time_machine

from core.models import AuditEvent
from registry import commands as registry_commands
from tests.cast import actor
from workflows.commands import catalog

pytestmark = pytest.mark.django_db


def test_a_model_is_made_read_changed_and_deleted(api, dana, mallory) -> None:
    caller = api(dana)
    made = caller.post("models/", {"name": "credit risk", "risk_tier": "high", "tags": {"team": "retail"}})
    assert made.status_code == 201 and made["Location"] == "/api/v1/models/credit%20risk/"
    assert made.json()["tags"] == {"team": "retail"} and made.json()["created_by"] == "dana"
    address = f"models/{quote('credit risk')}/"
    assert caller.get(address).json() == made.json()
    changed = caller.patch(address, {"description": "New.", "tags": {"team": None, "desk": "a"}, "name": "credit"})
    assert changed.status_code == 200
    assert (changed.json()["name"], changed.json()["description"], changed.json()["tags"]) == ("credit", "New.", {"desk": "a"})
    assert api(mallory).get("models/credit/").status_code == 404
    assert api(mallory).patch("models/credit/", {"description": "Mine."}).status_code == 404
    assert api(mallory).delete("models/credit/").status_code == 404
    assert caller.delete("models/credit/").status_code == 204
    assert caller.get("models/credit/").status_code == 404


def test_a_change_of_several_things_happens_whole_or_not_at_all(api, dana) -> None:
    caller = api(dana)
    caller.post("models/", {"name": "a"})
    caller.post("models/", {"name": "b"})
    answer = caller.patch("models/a/", {"description": "Changed.", "name": "b"})
    assert answer.status_code == 409 and answer.json()["code"] == "already_exists"
    assert caller.get("models/a/").json()["description"] == ""
    assert not AuditEvent.objects.filter(action="model.updated").exists()


def test_lists_are_filtered_and_paged_without_holes(api, dana, mallory) -> None:
    caller = api(dana)
    for i in range(7):
        caller.post("models/", {"name": f"m{i}", "risk_tier": "high" if i % 2 else "low", "tags": {"odd": str(i % 2)}})
    seen, answer = [], caller.get("models/", page_size=3).json()
    while True:
        seen += [row["name"] for row in answer["results"]]
        if answer["next"] is None:
            break
        answer = caller.get(answer["next"].removeprefix("http://testserver")).json()
    assert seen == [f"m{i}" for i in range(7)]
    assert answer["previous"] is not None
    assert [r["name"] for r in caller.get("models/", risk_tier="high").json()["results"]] == ["m1", "m3", "m5"]
    assert [r["name"] for r in caller.get("models/", tag="odd=1", text="M3").json()["results"]] == ["m3"]
    assert api(mallory).get("models/").json() == {"results": [], "next": None, "previous": None}


def test_a_version_is_registered_with_its_files_and_read_back(api, dana, mallory, world) -> None:
    run = world.version().run_id
    caller = api(dana)
    body = {"source": f"runs:/{run}/model", "run_id": run, "description": "Again.", "tags": {"k": "v"}}
    made = caller.post("models/credit.risk/versions/", body)
    assert made.status_code == 201 and made["Location"] == "/api/v1/models/credit.risk/versions/2/"
    version = made.json()
    assert version["content_digest"].startswith("sha256:") and version["stage"] == "None" and version["tags"] == {"k": "v"}
    assert caller.get("models/credit.risk/versions/2/").json() == version
    assert [f["path"] for f in caller.get("models/credit.risk/versions/2/files/").json()] == ["MLmodel"]
    assert [r["number"] for r in caller.get("models/credit.risk/versions/", tag="k=v").json()["results"]] == [2]
    changed = caller.patch("models/credit.risk/versions/2/", {"description": None, "tags": {"k": None}}).json()
    assert (changed["description"], changed["tags"]) == ("", {})
    assert caller.post("models/credit.risk/versions/", {"source": "runs:/none/model"}).status_code in (400, 404)
    for path in (
        "versions/",
        "versions/1/",
        "versions/1/files/",
        "versions/1/card/",
        "versions/1/decisions/",
        "versions/1/outlook/",
    ):
        assert api(mallory).get(f"models/credit.risk/{path}").status_code == 404, path
    assert caller.delete("models/credit.risk/versions/2/").status_code == 204
    assert caller.get("models/credit.risk/versions/2/").status_code == 404


def test_stages_and_aliases_are_told_as_of_a_time(api, dana, world) -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    with time_machine.travel(start, tick=False):
        world.version(owner=registry_model(dana, "free"), model="free")
        world.version(model="free")
    for days, version, stage in ((10, 1, "Staging"), (20, 2, "Staging"), (30, 1, "Archived")):
        with time_machine.travel(start + timedelta(days=days), tick=False):
            catalog.transition_stage(actor=actor(dana), model_name="free", version=version, stage=stage)
            catalog.set_alias(actor=actor(dana), model_name="free", alias="best", version=version)
    caller = api(dana)

    def at(path: str, days: int) -> list:
        return caller.get(path, as_of=(start + timedelta(days=days)).isoformat()).json()

    assert [(r["stage"], r["version"]) for r in at("models/free/stages/", 25) if r["stage"] == "Staging"] == [
        ("Staging", 2),
        ("Staging", 1),
    ]
    assert [(r["alias"], r["version"]) for r in at("models/free/aliases/", 25)] == [("best", 2)]
    assert at("models/free/aliases/", 5) == []
    assert at("models/free/versions/1/", 15)["stage"] == "Staging"
    assert at("models/free/versions/1/", 15)["aliases"] == ["best"]
    assert caller.get("models/free/versions/1/").json()["stage"] == "Archived"
    assert at("models/free/", 25)["stages"] == {"None": 2, "Staging": 2} or at("models/free/", 25)["stages"]["Staging"] == 2
    assert [r["number"] for r in at("models/free/versions/?stage=staging", 25)["results"]] == [2, 1]
    assert [r["name"] for r in at("models/", 5)["results"]] == ["free"]
    assert at("models/", -5)["results"] == []
    history = caller.get("models/free/history/").json()
    assert [(r["kind"], r["place"], r["version"]) for r in history if r["kind"] == "alias"] == [
        ("alias", "best", 1),
        ("alias", "best", 2),
        ("alias", "best", 1),
    ]
    assert caller.get("models/free/stages/", as_of="yesterday").status_code == 400


def registry_model(user, name: str):
    registry_commands.create_model(actor=actor(user), name=name)
    return user


def test_a_deleted_model_is_still_read_as_of_when_it_was_there(api, dana) -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    with time_machine.travel(start):
        registry_model(dana, "old")
    with time_machine.travel(start + timedelta(days=2)):
        catalog.delete_model(actor=actor(dana), model_name="old")
    caller = api(dana)
    assert caller.get("models/old/").status_code == 404
    assert caller.get("models/old/", as_of=(start + timedelta(days=1)).isoformat()).json()["name"] == "old"
    assert caller.get("models/old/", as_of=(start + timedelta(days=3)).isoformat()).status_code == 404


def test_a_free_place_is_moved_to_directly_and_a_governed_one_says_where_to_ask(api, dana, world) -> None:
    world.version()
    caller = api(dana)
    moved = caller.post("models/credit.risk/versions/1/stage/", {"stage": "staging"})
    assert moved.status_code == 200 and moved.json()["stage"] == "Staging"
    assert caller.put("models/credit.risk/aliases/candidate/", {"version": 1}).status_code == 204
    assert caller.get("models/credit.risk/versions/1/").json()["aliases"] == ["candidate"]
    assert caller.delete("models/credit.risk/aliases/candidate/").status_code == 204
    for answer in (
        caller.post("models/credit.risk/versions/1/stage/", {"stage": "Production"}),
        caller.put("models/credit.risk/aliases/champion/", {"version": 1}),
    ):
        problem = answer.json()
        assert answer.status_code == 409 and problem["code"] == "blocked_by_policy"
        assert problem["policies"] == ["credit v1"] and "/models/credit.risk/versions/1/" in problem["ask_at"]
        unmet = {r["id"]: r for r in problem["requirements"]}
        assert unmet["roc-auc"]["how_to_satisfy"] == "Improve the model." and unmet["review-reviewer"]["limit"] == 2
    assert caller.post("models/credit.risk/versions/1/stage/", {"stage": "Heaven"}).json()["code"] == "unknown_stage"
    assert AuditEvent.objects.filter(action="access.refused").count() == 2


def test_a_card_is_written_in_revisions(api, dana, ravi, world) -> None:
    world.version()
    caller, path = api(dana), "models/credit.risk/versions/1/card/"
    assert caller.get(path).json()["code"] == "no_card"
    assert caller.put(path, {"sections": {"intended_use": "Lending."}}).json()["revision"] == 1
    assert caller.put(path, {"sections": {"intended_use": "Lending."}}).json()["revision"] == 1
    assert caller.put(path, {"sections": {"intended_use": "Retail lending."}}).json()["revision"] == 2
    assert caller.get(path).json()["sections"] == {"intended_use": "Retail lending."}
    assert api(ravi).get(path).status_code == 200
    assert api(ravi).put(path, {"sections": {}}).status_code == 403
    assert caller.put(path, {"sections": {"a": 1, "b": {}}}).json()["errors"][0]["pointer"] == "#/sections/b"


def test_the_outlook_says_what_stands_between(api, dana, world) -> None:
    world.version()
    caller = api(dana)
    outlook = caller.get("models/credit.risk/versions/1/outlook/", target="Production").json()
    assert outlook["governed"] and not outlook["satisfied"]
    assert [r["id"] for r in outlook["requirements"]] == ["roc-auc", "review-reviewer"]
    free = caller.get("models/credit.risk/versions/1/outlook/", target="Staging").json()
    assert not free["governed"] and free["satisfied"] is None


def test_the_stage_graph_is_told(api, mallory) -> None:
    stages = api(mallory).get("stages/").json()
    assert [s["name"] for s in stages] == ["None", "Staging", "Production", "Archived"]
    assert stages[0]["is_initial"] and stages[0]["next"] == ["Staging", "Production", "Archived"]
