"""Files of the tree: put, listed, frozen, deleted."""

from __future__ import annotations

import io
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import connection, transaction

from artifacts import commands, queries
from artifacts.models import ArtifactFile, Blob
from artifacts.queries import Entry
from core.errors import Conflict, Invalid, NotFound
from core.models import AuditEvent
from tests.cast import actor


@pytest.fixture
def dana_acts(dana, settings, tmp_path: Path):
    settings.ARTIFACT_ROOT = str(tmp_path / "root")
    return actor(dana)


def put(who, path: str, data: bytes, expected: int | None = None):
    return commands.put_file(actor=who, path=path, stream=io.BytesIO(data), expected_bytes=expected, scope="experiment:3")


def test_a_file_is_stored_listed_and_recorded(dana_acts) -> None:
    put(dana_acts, "3/r/artifacts/model/MLmodel", b"flavors", 7)
    put(dana_acts, "3/r/artifacts/notes.txt", b"hello")
    put(dana_acts, "3/r-other/x", b"neighbour")
    assert queries.list_folder("3/r/artifacts") == [Entry("model", True), Entry("notes.txt", False, 5)]
    assert queries.list_folder("") == [Entry("3", True)]
    assert queries.list_folder("3/r/artifacts/notes.txt") == []
    assert [line.path for line in queries.manifest("3/r")] == ["artifacts/model/MLmodel", "artifacts/notes.txt"]
    with queries.file_at("3/r/artifacts/notes.txt").open(1) as file:
        assert file.read() == b"ello"
    event = AuditEvent.objects.filter(action="artifact.stored").first()
    assert event is not None
    assert (event.subject_id, event.scope) == ("3/r/artifacts/model/MLmodel", "experiment:3")


def test_the_same_content_is_stored_once_and_again_changes_nothing(dana_acts) -> None:
    put(dana_acts, "3/a", b"same")
    put(dana_acts, "3/b", b"same")
    events = AuditEvent.objects.count()
    put(dana_acts, "3/a", b"same")
    assert Blob.objects.count() == 1
    assert AuditEvent.objects.count() == events


def test_an_upload_that_is_cut_off_keeps_nothing(dana_acts, tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="cut off"):
        put(dana_acts, "3/half", b"12345", expected=10)
    assert not ArtifactFile.objects.exists()
    assert not [path for path in (tmp_path / "root").rglob("*") if path.is_file()]


def test_a_file_is_no_folder_and_a_folder_no_file(dana_acts) -> None:
    put(dana_acts, "3/a/b", b"1")
    with pytest.raises(Invalid, match="is a folder"):
        put(dana_acts, "3/a", b"2")
    with pytest.raises(Invalid, match="below a file"):
        put(dana_acts, "3/a/b/c", b"2")
    with pytest.raises(NotFound):
        queries.file_at("3/a")


def test_a_frozen_tree_takes_nothing_new_but_the_same_content_again(dana_acts) -> None:
    put(dana_acts, "3/m/f", b"one")
    with transaction.atomic():
        commands.freeze("3/m", "model-version:1")
        commands.freeze("3/m", "model-version:2")
    put(dana_acts, "3/m/f", b"one")
    put(dana_acts, "3/m-neighbour/f", b"free")
    for attempt in (
        lambda: put(dana_acts, "3/m/f", b"two"),
        lambda: put(dana_acts, "3/m/deep/new", b"x"),
        lambda: commands.delete_tree(actor=dana_acts, path="3/m/f"),
        lambda: commands.delete_tree(actor=dana_acts, path="3/m"),
        lambda: commands.delete_tree(actor=dana_acts, path="3"),
    ):
        with pytest.raises(Conflict, match="registered model version") as refused:
            attempt()
        assert refused.value.code == "frozen"
    commands.unfreeze("model-version:1")
    with pytest.raises(Conflict):
        put(dana_acts, "3/m/f", b"two")
    commands.unfreeze("model-version:2")
    put(dana_acts, "3/m/f", b"two")


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="SQLite has one writer at a time")
def test_freezing_waits_for_nobody_but_changes_of_the_same_run(dana_acts) -> None:
    put(dana_acts, "3/one/f", b"1")
    put(dana_acts, "3/two/f", b"1")

    def elsewhere(act: Callable[[], object]) -> object:
        try:
            return act()
        finally:
            connection.close()

    def freeze_two() -> object:
        with transaction.atomic():
            return commands.freeze("3/two", "model-version:2")

    with ThreadPoolExecutor(4) as pool:
        with transaction.atomic():
            commands.freeze("3/one", "model-version:1")
            assert pool.submit(elsewhere, freeze_two).result(10)
            assert pool.submit(elsewhere, lambda: put(dana_acts, "3/three/f", b"1")).result(10)
            late = [
                pool.submit(elsewhere, act)
                for act in (
                    lambda: put(dana_acts, "3/one/g", b"2"),
                    lambda: commands.delete_tree(actor=dana_acts, path="3/one"),
                    lambda: commands.delete_tree(actor=dana_acts, path="3"),
                )
            ]
            assert not wait(late, 1).done  # until it is known whether the folder freezes
        for attempt in late:
            with pytest.raises(Conflict, match="registered model version"):
                attempt.result(10)
    assert [line.path for line in queries.manifest("3/one")] == ["f"]


def test_deleting_takes_a_folder_with_all_below_it_and_nothing_beside(dana_acts) -> None:
    for path in ("3/a/x", "3/a/b/y", "3/ab", "3/a.txt"):
        put(dana_acts, path, b"1")
    assert commands.delete_tree(actor=dana_acts, path="3/a", scope="experiment:3") == 2
    assert commands.delete_tree(actor=dana_acts, path="3/a") == 0
    assert sorted(file.path for file in ArtifactFile.objects.all()) == ["3/a.txt", "3/ab"]
    assert AuditEvent.objects.filter(action="artifact.deleted").count() == 1
    with pytest.raises(Invalid):
        commands.delete_tree(actor=dana_acts, path="/")


def test_content_nobody_names_is_collected_once_it_is_old(dana_acts) -> None:
    put(dana_acts, "3/a", b"old")
    put(dana_acts, "3/b", b"held")
    put(dana_acts, "3/a", b"new")
    assert commands.collect_unreferenced(older_than=timedelta(days=1)) == 0
    assert commands.collect_unreferenced(older_than=timedelta(0)) == 1
    assert Blob.objects.count() == 2
    with put(dana_acts, "3/c", b"old").open() as file:
        assert file.read() == b"old"


def test_a_put_needs_few_statements(dana_acts, django_assert_max_num_queries) -> None:
    with django_assert_max_num_queries(8):  # with savepoints, and the advisory lock on PostgreSQL
        put(dana_acts, "3/a", b"x")
