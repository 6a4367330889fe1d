"""What an import brings into a governed place: grandfathered, visible, and off the list once somebody decides or it leaves."""

from __future__ import annotations

import pytest
from django.db import DatabaseError, transaction
from django.test import Client

from core import access
from core.models import AuditEvent, User
from registry import import_commands
from registry.models import ModelVersion, StageAssignment
from registry.moving import MovedModel, MovedVersion
from tests.cast import ROOT, actor, bearer
from tests.workflows.conftest import World
from tracking import import_commands as tracking
from tracking.models import ImportOrigin
from workflows.commands import catalog, execution, imports
from workflows.commands.imports import import_places
from workflows.commands.requests import request_promotion
from workflows.makers import makers_of
from workflows.models import Grandfathered
from workflows.queries.grandfathered import grandfathered, grandfathered_rows

ORIGIN = "http://old.example:5000"


@pytest.fixture
def origin(world: World) -> ImportOrigin:
    """Bring over one model with two versions that share the content of a version made here."""
    found = tracking.begin_import(actor=ROOT, origin=ORIGIN, experiment_names={})
    import_commands.import_models(actor=ROOT, origin=found, models=[MovedModel("credit.old", "", 1, 2)])
    for number in (1, 2):
        folder = world.version().storage_location.removeprefix("mlflow-artifacts:/")
        version = MovedVersion("credit.old", number, "", "dana", 1, 2, "None", "s3://b/k", "", "", "", "READY", "")
        folders = {version.id: folder}
        taken = import_commands.import_versions(actor=ROOT, origin=found, versions=[version], folders=folders)
        assert taken.done == {version.id: "new"}
    access.grant(ModelVersion.objects.get(model__name="credit.old", number=1).model, "model_manage", users=[world.dana.pk])
    return found


def place(origin: ImportOrigin, stages: dict[int, str], aliases: dict[str, int] | None = None) -> imports.Placed:
    return import_places(actor=ROOT, origin=origin, model_name="credit.old", stages=stages, aliases=aliases or {})


def listed(aude: User, state: str = "open") -> list[tuple[int, str, int | None]]:
    return [(r.version, r.target, r.request) for r in grandfathered_rows(grandfathered(actor(aude), state=state))]


def test_only_a_governed_place_is_grandfathered(world: World, origin: ImportOrigin, aude) -> None:
    placed = place(origin, {1: "Production", 2: "Staging"}, {"blue": 2})
    assert (placed.given, len(placed.grandfathered), placed.refused) == (3, 1, [])
    row = Grandfathered.objects.get()
    assert (row.version.number, row.target, row.origin, row.imported_by) == (1, "Production", ORIGIN, "operator")
    assert AuditEvent.objects.filter(action="place.grandfathered", subject_id="credit.old/1").count() == 1
    assert listed(aude) == [(1, "Production", None)]
    assert place(origin, {1: "Production", 2: "Staging"}, {"blue": 2}).given == 0, "the same again changes nothing"
    assert StageAssignment.objects.filter(version=row.version, stage="Production").count() == 1


def test_it_leaves_the_list_when_it_leaves_the_place(world: World, origin: ImportOrigin, aude) -> None:
    place(origin, {1: "Production"})
    catalog.transition_stage(actor=actor(world.dana), model_name="credit.old", version=1, stage="Archived")
    assert listed(aude) == [] and listed(aude, "settled") == [(1, "Production", None)]
    placed = place(origin, {1: "Production"})
    assert placed.given == 0, "the source says the same as before, so what was decided here stays"
    assert len(place(origin, {1: "Staging"}).kept) == 1


def test_it_leaves_the_list_when_a_re_review_is_carried_out(world: World, origin: ImportOrigin, aude, ravi, rosa, review) -> None:
    place(origin, {1: "Production"})
    asked = request_promotion(
        actor=actor(world.dana), model_name="credit.old", version=1, target="Production", reason="It came over.", kind="re_review"
    )
    parts = [maker.part for maker in makers_of(asked.version, requested_by=None) if maker.username == "dana"]
    assert "registered this version at the server it came from" in parts, "who made it there stands back from deciding"
    world.finish(asked)
    assert listed(aude) == [(1, "Production", None)], "asking is not deciding"
    review(ravi, asked)
    review(rosa, asked)
    execution.execute_request(actor=actor(world.dana), request_id=asked.pk)
    assert listed(aude) == [] and listed(aude, "settled") == [(1, "Production", asked.pk)]


def test_a_displaced_one_is_off_the_list(world: World, origin: ImportOrigin, aude, ravi, rosa, review) -> None:
    place(origin, {1: "Production"})
    asked = request_promotion(actor=actor(world.dana), model_name="credit.old", version=2, target="Production", reason="Newer.")
    world.finish(asked)
    review(ravi, asked)
    review(rosa, asked)
    execution.execute_request(actor=actor(world.dana), request_id=asked.pk)
    assert listed(aude) == []


def test_a_fact_is_never_changed(world: World, origin: ImportOrigin) -> None:
    place(origin, {1: "Production"})
    with pytest.raises(DatabaseError), transaction.atomic():
        Grandfathered.objects.update(origin="elsewhere")
    with pytest.raises(DatabaseError), transaction.atomic():
        Grandfathered.objects.all().delete()


def test_the_api_and_the_pages_show_it_to_who_may_see_the_model(world: World, origin: ImportOrigin, aude, mallory) -> None:
    place(origin, {1: "Production"})
    client = Client()
    said = client.get("/api/v1/grandfathered/?state=open", **bearer(aude)).json()["results"]
    assert [(r["model"], r["version"], r["target"], r["open"], r["origin"]) for r in said] == [
        ("credit.old", 1, "Production", True, ORIGIN)
    ]
    assert client.get("/api/v1/grandfathered/", **bearer(mallory)).json()["results"] == []
    assert client.get("/api/v1/grandfathered/?state=closed", **bearer(aude)).status_code == 400
    client.force_login(aude)
    assert "credit.old v1" in client.get("/grandfathered/").content.decode()
    assert "No version matches" in client.get("/grandfathered/?state=settled").content.decode()
    for path in ("/models/credit.old/", "/models/credit.old/versions/1/"):
        assert "grandfathered, not decided on" in client.get(path).content.decode(), path
    assert "not decided on" not in client.get("/models/credit.old/versions/2/").content.decode()
    client.force_login(mallory)
    assert "Everything was decided on" in client.get("/grandfathered/").content.decode()
