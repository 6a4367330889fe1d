from __future__ import annotations

from datetime import UTC, datetime

import pytest
import time_machine
from django.contrib.auth.models import Group
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from core.access import Actor, grant
from core.errors import NotFound
from core.models import User
from registry import commands, history, placement, queries, records
from registry.models import ModelVersion, RegisteredModel
from tests.cast import actor
from tests.registry.conftest import Training

MARCH = datetime(2026, 3, 1, 12, tzinfo=UTC)
APRIL = datetime(2026, 4, 1, 12, tzinfo=UTC)


def s3(who: Actor, name: str = "credit", **tags: str) -> ModelVersion:
    return commands.register_version(actor=who, model_name=name, source=f"s3://bucket/{name}", tags=tags)


def move(who: Actor, version: ModelVersion, stage: str) -> None:
    with transaction.atomic():
        placement.assign_stage(version, stage, actor=who, archive_existing=stage == "Production")
        placement.assign_alias(version.model, "champion", version, actor=who)


def test_a_list_of_models_takes_as_many_statements_for_one_as_for_many(someone: Actor) -> None:
    Group.objects.create(name="risk")
    for i in range(4):
        commands.create_model(actor=someone, name=f"m{i}", tags={"t": "x"}, description="About loans", owner_team="risk")
        for _ in range(i):
            move(someone, s3(someone, f"m{i}"), "Staging")
    queries.model_list(someone)  # the ids of permissions are read once in a process
    with CaptureQueriesContext(connection) as one:
        queries.model_list(someone, limit=1)
    with CaptureQueriesContext(connection) as four:
        found = queries.model_list(someone, text="M")
    assert len(one) == len(four) <= 5
    assert [(m.name, m.version_count, m.latest, m.stages, m.aliases) for m in found.models] == [
        ("m0", 0, None, {}, {}),
        ("m1", 1, 1, {"Staging": 1}, {"champion": 1}),
        ("m2", 2, 2, {"Staging": 2}, {"champion": 2}),
        ("m3", 3, 3, {"Staging": 3}, {"champion": 3}),
    ]
    assert [m.name for m in queries.model_list(someone, after="m1", limit=1).models] == ["m2"]
    assert queries.models(someone, owner_team="risk", risk_tier="medium", tag="t=x").count() == 4
    assert queries.models(someone, tag="t=y").count() == 0


def test_a_list_of_models_names_every_version_in_production_and_who_made_the_model(
    credit: RegisteredModel, someone: Actor, dana: User
) -> None:
    with transaction.atomic():
        for version in (s3(someone), s3(someone), s3(someone)):
            if version.number != 2:
                placement.assign_stage(version, "Production", actor=someone)
    found = queries.model_list(someone)
    assert found.production == {"credit": [3, 1]}
    assert found.models[0].stages == {"None": 2, "Production": 3}
    assert found.people == {dana.username: dana.display_name}


def test_a_model_has_its_versions_newest_first_in_a_fixed_number_of_statements(
    credit: RegisteredModel, training: Training, someone: Actor
) -> None:
    training.upload()
    training.register()
    queries.model(someone, "credit")  # reads the ids of permissions, once in a process
    with CaptureQueriesContext(connection) as one:
        queries.model_history(queries.model(someone, "credit"))
    for _ in range(5):
        s3(someone, a="b")
    with CaptureQueriesContext(connection) as six:
        found = queries.model_history(queries.model(someone, "credit"))
    assert len(one) == len(six)
    assert [version.number for version in found.versions] == [6, 5, 4, 3, 2, 1]
    assert found.stages == ["None", "Staging", "Production", "Archived"]
    assert found.runs == {training.run.pk: "train"}
    few = queries.model_history(queries.model(someone, "credit"), versions=2)
    assert ([version.number for version in few.versions], few.model.version_count) == ([6, 5], 6)


def test_a_version_has_its_manifest_and_a_page_of_it_says_how_long_it_is(credit: RegisteredModel, training: Training) -> None:
    training.upload()
    training.register()
    row = queries.version(training.who, "credit", 1)
    assert [file.path for file in queries.manifest(row)] == ["MLmodel", "requirements.txt"]
    found = queries.version_history(row, files=1)
    assert ([file.path for file in found.files], found.file_count) == (["MLmodel"], 2)
    assert found.files[0].digest.startswith("sha256:") and found.version.mlmodel["flavors"]
    with pytest.raises(NotFound):
        queries.version(training.who, "credit", 2)


def test_a_model_and_a_version_are_read_as_they_stood_at_a_time(credit: RegisteredModel, someone: Actor) -> None:
    RegisteredModel.objects.filter(pk=credit.pk).update(created_ms=0)
    with time_machine.travel(MARCH, tick=False):
        first = s3(someone)
        move(someone, first, "Staging")
    with time_machine.travel(APRIL, tick=False):
        move(someone, first, "Production")
        commands.delete_model(actor=someone, name="credit")
    then = MARCH.replace(day=31)
    (found,) = queries.version_details([queries.version(someone, "credit", 1, as_of=then)], then)
    assert (found.stage, found.aliases) == ("Staging", ["champion"])
    (model,) = queries.model_summaries(list(queries.models(someone, as_of=then)), then)
    assert (model.stages, model.aliases) == ({"Staging": 1}, {"champion": 1})
    for gone in (None, MARCH.replace(day=1, hour=1)):
        with pytest.raises(NotFound):
            queries.version(someone, "credit", 1, as_of=gone)


def test_a_reader_of_a_model_may_read_the_files_of_its_versions_and_no_others(
    credit: RegisteredModel, training: Training, mallory: User
) -> None:
    training.upload()
    version = training.register()
    outsider = actor(mallory)
    path = f"{training.folder}/MLmodel"
    assert not queries.may_read_artifact(outsider, path)
    grant(credit, "model_read", users=[mallory.pk])
    assert queries.may_read_artifact(outsider, path)
    assert queries.may_read_artifact(outsider, training.folder)
    assert not queries.may_read_artifact(outsider, training.folder + "-more/MLmodel")
    assert not queries.may_read_artifact(outsider, training.folder.rpartition("/")[0])
    commands.delete_version(actor=training.who, model_name="credit", number=version.number)
    assert not queries.may_read_artifact(outsider, path)


def test_an_outsider_finds_nothing_anywhere(credit: RegisteredModel, someone: Actor, mallory: User) -> None:
    s3(someone, a="b")
    outsider = actor(mallory)
    assert queries.model_list(outsider) == queries.ModelList([], {}, {})
    assert not queries.models(outsider).exists()
    assert records.search_models(outsider, None, limit=10) == []
    assert records.search_versions(outsider, "tags.a = 'b'", limit=10) == []
    for read in (
        lambda a: queries.model(a, "credit"),
        lambda a: queries.version(a, "credit", 1),
        lambda a: history.stage_history(a, "credit"),
        lambda a: history.alias_history(a, "credit"),
        lambda a: history.history(a, "credit"),
        lambda a: records.get_model(a, "credit"),
        lambda a: records.get_version(a, "credit", 1),
        lambda a: records.latest_versions(a, "credit"),
        lambda a: records.version_by_alias(a, "credit", "latest"),
    ):
        with pytest.raises(NotFound):
            read(outsider)
        read(someone)
