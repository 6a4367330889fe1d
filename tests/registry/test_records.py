from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from core.access import Actor
from core.errors import Invalid, NotFound
from registry import commands, placement, records
from registry.models import RegisteredModel
from registry.records import AliasOf, Tag
from tests.plans import explained, most_rows


@pytest.fixture
def filled(someone: Actor) -> Actor:
    """Three models: alpha with versions in three stages, Beta with one and a_b with none."""
    for name, tags in (("alpha", {"team": "red"}), ("Beta", {"team": "Red", "pii": "yes"}), ("a_b", {})):
        commands.create_model(actor=someone, name=name, tags=tags)
    versions = [
        commands.register_version(
            actor=someone, model_name=name, source=f"s3://bucket/{name}/{i}", tags={"nth": str(i)}, run_id=f"{i}" * 32
        )
        for name, count in (("alpha", 4), ("Beta", 1))
        for i in range(count)
    ]
    with transaction.atomic():
        placement.assign_stage(versions[0], "Staging", actor=someone)
        placement.assign_stage(versions[1], "Staging", actor=someone)
        placement.assign_stage(versions[2], "Archived", actor=someone)
        placement.assign_alias(versions[0].model, "champion", versions[1], actor=someone)
    return someone


READS: dict[str, Callable[[Actor], Any]] = {
    "get_version": lambda a: records.get_version(a, "alpha", 1),
    "version_by_alias": lambda a: records.version_by_alias(a, "alpha", "champion"),
    "latest": lambda a: records.version_by_alias(a, "alpha", "Latest"),
    "latest_versions": lambda a: records.latest_versions(a, "alpha"),
    "get_model": lambda a: records.get_model(a, "alpha"),
    "search_models": lambda a: records.search_models(a, "tags.team LIKE 'r%'", limit=100),
    "search_versions": lambda a: records.search_versions(a, "tags.nth = '1'", limit=100),
}


@pytest.mark.parametrize("name", READS)
def test_a_read_is_one_statement(filled: Actor, name: str) -> None:
    READS[name](filled)  # reads the ids of permissions, once in a process
    with CaptureQueriesContext(connection) as statements:
        READS[name](filled)
    assert len(statements) == 1


def test_a_version_is_read_with_its_stage_tags_and_aliases(filled: Actor) -> None:
    version = records.get_version(filled, "alpha", "02")
    assert (version.number, version.stage, version.tags, version.aliases) == (2, "Staging", [Tag("nth", "1")], ["champion"])
    assert records.version_by_alias(filled, "alpha", "champion") == version
    assert records.version_by_alias(filled, "alpha", "LATEST").number == 4


def test_the_latest_version_of_each_stage_comes_in_the_order_of_their_first(filled: Actor) -> None:
    def found(*stages: str) -> list[tuple[int, str]]:
        return [(version.number, version.stage) for version in records.latest_versions(filled, "alpha", stages)]

    assert found() == [(2, "Staging"), (3, "Archived"), (4, "None")]
    assert found("NONE", "staging") == [(2, "Staging"), (4, "None")]
    assert found("Production") == []
    assert records.latest_versions(filled, "a_b") == []
    with pytest.raises(Invalid):
        found("Nowhere")
    with pytest.raises(NotFound):
        records.latest_versions(filled, "gamma")


def test_a_model_is_read_with_the_newest_of_each_stage(filled: Actor) -> None:
    model = records.get_model(filled, "alpha")
    assert model.aliases == [AliasOf("champion", 2)] and model.tags == [Tag("team", "red")]
    assert {(version.number, version.stage) for version in model.latest_versions} == {
        (2, "Staging"),
        (3, "Archived"),
        (4, "None"),
    }
    assert {version.name for version in model.latest_versions} == {"alpha"}


def test_an_alias_that_is_not_set_is_told_from_a_model_that_is_not_there(filled: Actor) -> None:
    with pytest.raises(Invalid):
        records.version_by_alias(filled, "alpha", "ghost")
    with pytest.raises(NotFound):
        records.version_by_alias(filled, "gamma", "champion")
    with pytest.raises(NotFound):
        records.version_by_alias(filled, "a_b", "latest")
    with pytest.raises(Invalid):
        records.version_by_alias(filled, "alpha", "a b")


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("", ["Beta", "a_b", "alpha"]),
        ("name = 'alpha'", ["alpha"]),
        ("name != 'alpha'", ["Beta", "a_b"]),
        ("name LIKE 'a%'", ["a_b", "alpha"]),
        ("name LIKE 'A%'", []),
        ("name ILIKE 'A%'", ["a_b", "alpha"]),
        ("name LIKE 'a_b'", ["a_b"]),
        ("name IN ('alpha', 'Beta')", ["Beta", "alpha"]),
        ("name NOT IN ('alpha')", ["Beta", "a_b"]),
        ("tags.team = 'red'", ["alpha"]),
        ("tags.team != 'red'", ["Beta"]),
        ("tag.team ILIKE 'r_d' AND tags.pii = 'yes'", ["Beta"]),
        ("attribute.name = 'alpha' and tags.`team` LIKE 're%'", ["alpha"]),
        ("tags.`mlflow.prompt.is_prompt` != 'true'", ["Beta", "a_b", "alpha"]),
    ],
)
def test_models_are_found_by_name_and_tags(filled: Actor, text: str, names: list[str]) -> None:
    assert [model.name for model in records.search_models(filled, text, limit=10)] == names


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("name = 'alpha' AND version_number > 2", [3, 4]),
        ("name = 'alpha' AND version_number <= '2'", [1, 2]),
        ("source_path LIKE 's3://bucket/alpha/%' AND version_number != 2", [1, 3, 4]),
        (f"run_id IN ('{'1' * 32}', '{'3' * 32}')", [2, 4]),
        ("tags.nth = '2'", [3]),
        ("tags.nth != '2' AND name ILIKE 'ALPHA'", [1, 2, 4]),
    ],
)
def test_versions_are_found_by_what_they_are(filled: Actor, text: str, found: list[int]) -> None:
    rows = records.search_versions(filled, text, ["version_number ASC"], limit=10)
    assert [row.number for row in rows] == found and all(row.name == "alpha" for row in rows)


@pytest.mark.parametrize(
    ("text", "order_by"),
    [
        ("description = 'x'", []),
        ("name > 'a'", []),
        ("name = alpha", []),
        ("name = 5", []),
        ("name = 'a' OR name = 'b'", []),
        ("name = 'a'; DROP TABLE registry_registeredmodel", []),
        ("tags.team IN ('a')", []),
        ("last_updated_timestamp = '1'", []),
        ("", ["run_id"]),
        ("", ["name", "name DESC"]),
        ("", ["name SIDEWAYS"]),
        ("", ["timestamp", "last_updated_timestamp"]),
    ],
)
def test_a_search_that_is_not_understood_is_refused(filled: Actor, text: str, order_by: list[str]) -> None:
    with pytest.raises(Invalid):
        records.search_models(filled, text, order_by, limit=10)


@pytest.mark.parametrize("text", ["version_number > 1.5", "source_path IN ('a')", "version_number LIKE '1'", "stage = 'None'"])
def test_a_search_for_versions_that_is_not_understood_is_refused(filled: Actor, text: str) -> None:
    with pytest.raises(Invalid):
        records.search_versions(filled, text, limit=10)


def test_pages_cover_everything_once_in_order(filled: Actor) -> None:
    pages = [records.search_versions(filled, "", limit=2, offset=offset) for offset in (0, 2, 4)]
    assert [len(page) for page in pages] == [2, 2, 1]
    together = [(row.name, row.number) for page in pages for row in page]
    assert together == [(row.name, row.number) for row in records.search_versions(filled, "", limit=10)]
    assert len(set(together)) == 5


def test_prompts_are_hidden_unless_asked_for(filled: Actor) -> None:
    commands.create_model(actor=filled, name="greeting", tags={"mlflow.prompt.is_prompt": "true"})
    commands.register_version(
        actor=filled, model_name="greeting", source="prompt-template", tags={"mlflow.prompt.is_prompt": "true"}
    )
    assert "greeting" not in [model.name for model in records.search_models(filled, "", limit=10)]
    asked = "tags.`mlflow.prompt.is_prompt` = 'true'"
    assert [model.name for model in records.search_models(filled, asked, limit=10)] == ["greeting"]
    assert [row.name for row in records.search_versions(filled, asked, limit=10)] == ["greeting"]
    assert not [row for row in records.search_versions(filled, "", limit=10) if row.name == "greeting"]


def test_a_long_tag_value_is_compared_whole(credit: RegisteredModel, someone: Actor) -> None:
    long = "x" * 500
    commands.set_model_tag(actor=someone, name="credit", key="k", value=long + "a")
    assert len(records.search_models(someone, f"tags.k = '{long}a'", limit=10)) == 1
    assert records.search_models(someone, f"tags.k = '{long}b'", limit=10) == []


@pytest.mark.skipif("connection.vendor != 'sqlite'", reason="asks SQLite how it reads; PostgreSQL chooses by what it counted")
def test_a_tag_is_found_by_the_index_on_its_value(filled: Actor) -> None:
    with CaptureQueriesContext(connection) as captured:
        found = records.search_versions(filled, "tags.nth = '1'", limit=100)
    assert len(found) == 1
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN QUERY PLAN {captured[-1]['sql']}")
        steps = [row[3] for row in cursor.fetchall()]
    assert "SEARCH t USING INDEX version_tag_value (key=? AND <expr>=?)" in steps, steps


@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="SQLite asks for the right to each row whatever it is told")
def test_a_page_of_models_is_read_without_reading_every_right_of_its_reader(filled: Actor) -> None:
    with connection.cursor() as cursor:
        for table, key, others in (
            ("registry_registeredmodel", "name", {"id": "1000 + n", "name": "'copy-' || n"}),
            ("registry_modeluserpermission", "content_object_id", {"id": "DEFAULT", "content_object_id": "1000 + n"}),
        ):
            names = [column.name for column in connection.introspection.get_table_description(cursor, table)]
            kept = [name for name in names if others.get(name) != "DEFAULT"]
            copied = ", ".join(others.get(name, f"r.{name}") for name in kept)
            cursor.execute(
                f"INSERT INTO {table} ({', '.join(kept)}) SELECT {copied} FROM generate_series(1, 5000) n,"
                f" (SELECT * FROM {table} ORDER BY {key} LIMIT 1) r"
            )
        cursor.execute("ANALYZE")
        with CaptureQueriesContext(connection) as captured:
            found = records.search_models(filled, "", limit=100)
        assert len(found) == 100
    plan = explained(captured[0]["sql"])
    assert most_rows(plan) < 2_000, plan
