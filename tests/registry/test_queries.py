from __future__ import annotations

from datetime import UTC, datetime

import pytest
import time_machine
from django.contrib.auth.models import Group
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from core.access import Actor, grant
from core.errors import Invalid, NotFound
from core.models import User
from registry import commands, placement, queries, records
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


def test_what_was_in_production_at_a_date_can_be_told_later(credit: RegisteredModel, someone: Actor) -> None:
    with time_machine.travel(MARCH, tick=False):
        first, second = s3(someone), s3(someone)
    with time_machine.travel(MARCH.replace(day=2), tick=False):
        move(someone, first, "Production")
    with time_machine.travel(APRIL, tick=False):
        move(someone, second, "Production")
    then = queries.placements(someone, "credit", MARCH.replace(day=31))
    assert (then.stages, then.aliases) == ({"None": [2], "Production": [1]}, {"champion": 1})
    assert queries.placements(someone, "credit", APRIL).stages == {"Archived": [1], "Production": [2]}
    assert queries.placements(someone, "credit", MARCH.replace(day=1, hour=1)).stages == {}
    assert queries.placements(someone, "credit").aliases == {"champion": 2}
    assert [(p.place, p.version) for p in queries.stage_history(someone, "credit", MARCH.replace(day=31))] == [
        ("Production", 1),
        ("None", 2),
    ]


def test_a_page_of_models_takes_as_many_statements_for_one_as_for_many(someone: Actor) -> None:
    Group.objects.create(name="risk")
    for i in range(4):
        commands.create_model(actor=someone, name=f"m{i}", tags={"t": "x"}, description="About loans", owner_team="risk")
        for _ in range(i):
            move(someone, s3(someone, f"m{i}"), "Staging")
    with CaptureQueriesContext(connection) as one:
        queries.models(someone, limit=1)
    with CaptureQueriesContext(connection) as four:
        found = queries.models(someone, text="LOANS", owner_team="risk", risk_tier="medium")
    assert len(one) == len(four) <= 5
    assert found.total == 4
    assert [(m.name, m.version_count, m.stages, m.aliases) for m in found.items[2:]] == [
        ("m2", 2, {"Staging": 2}, {"champion": 2}),
        ("m3", 3, {"Staging": 3}, {"champion": 3}),
    ]
    assert queries.models(someone, stage="staging").total == 3
    assert [m.name for m in queries.models(someone, order_by="-name", limit=1, offset=1).items] == ["m2"]


def test_a_models_page_lists_versions_newest_first_in_a_fixed_number_of_statements(
    credit: RegisteredModel, someone: Actor, ravi: User
) -> None:
    s3(someone)
    with CaptureQueriesContext(connection) as one:
        queries.model_page(someone, "credit")
    for _ in range(5):
        s3(someone, a="b")
    with CaptureQueriesContext(connection) as six:
        page = queries.model_page(someone, "credit")
    assert len(one) == len(six)
    assert [version.number for version in page.versions] == [6, 5, 4, 3, 2, 1]
    assert (page.may_write, page.may_manage) == (True, True)
    reader = queries.model_page(actor(ravi), "credit")
    assert (reader.may_write, reader.may_manage) == (False, False)


def test_a_versions_page_shows_its_manifest(credit: RegisteredModel, training: Training) -> None:
    training.upload()
    training.register()
    page = queries.version(training.who, "credit", 1)
    assert [file.path for file in page.files] == ["MLmodel", "requirements.txt"]
    assert page.files[0].digest.startswith("sha256:") and page.mlmodel["flavors"]
    with pytest.raises(NotFound):
        queries.version(training.who, "credit", 2)
    with pytest.raises(Invalid):
        queries.version(training.who, "credit", "one")


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
    assert queries.models(outsider) == queries.ModelList([], 0)
    assert records.search_models(outsider, None, limit=10) == []
    assert records.search_versions(outsider, "tags.a = 'b'", limit=10) == []
    for read in (
        lambda a: queries.model_page(a, "credit"),
        lambda a: queries.version(a, "credit", 1),
        lambda a: queries.stage_history(a, "credit"),
        lambda a: queries.alias_history(a, "credit"),
        lambda a: queries.placements(a, "credit"),
        lambda a: records.get_model(a, "credit"),
        lambda a: records.get_version(a, "credit", 1),
        lambda a: records.latest_versions(a, "credit"),
        lambda a: records.version_by_alias(a, "credit", "latest"),
    ):
        with pytest.raises(NotFound):
            read(outsider)
        read(someone)
