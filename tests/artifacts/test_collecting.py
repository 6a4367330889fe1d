"""A content is removed after its row, and whoever names it at that moment has it all the same."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from datetime import timedelta
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from django.db import connection, transaction

from artifacts import commands, queries
from artifacts.models import Blob, Removal
from artifacts.store import DirectoryStore, store
from core.errors import Conflict
from tests.cast import actor

pytestmark = pytest.mark.django_db(transaction=True)
DATA = b"named, forgotten and named again"
DIGEST = hashlib.sha256(DATA).hexdigest()


class Killed(BaseException):
    """The process ended here."""


@pytest.fixture(params=["directory", "s3"])
def dana_acts(dana, settings, tmp_path: Path, request: pytest.FixtureRequest):
    settings.ARTIFACT_ROOT, settings.HOME = str(tmp_path / "root"), tmp_path
    if request.param == "s3":
        settings.ARTIFACT_ROOT, settings.S3_ENDPOINT_URL = f"s3://models/{tmp_path.name}", request.getfixturevalue("bucket")
    return actor(dana)


in_a_directory = pytest.mark.parametrize("dana_acts", ["directory"], indirect=True)


def put(who, path: str, data: bytes = DATA) -> None:
    commands.put_file(actor=who, path=path, stream=io.BytesIO(data), expected_bytes=len(data))


def forgotten(who) -> None:
    """Store the content, and let nothing name it any more."""
    put(who, "3/a")
    put(who, "3/a", b"another")


def collect() -> int:
    return commands.collect_unreferenced(older_than=timedelta(0))


def read(path: str) -> bytes:
    with queries.file_at(path).open() as file:
        return file.read()


def test_what_a_refused_upload_brought_is_removed_unless_it_is_named(dana_acts, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in ("kept/a", "3/b", "4/b"):
        put(dana_acts, path, b"kept")
    place = commands._place

    def frozen_meanwhile(*, path: str, **given: Any) -> None:
        commands.freeze(path.partition("/")[0], "model-version:1/1")
        place(path=path, **given)

    monkeypatch.setattr(commands, "_place", frozen_meanwhile)
    for folder, data in (("3", DATA), ("4", b"kept")):
        with pytest.raises(Conflict):
            put(dana_acts, f"{folder}/a", data)
    assert store().holds(DIGEST)
    assert collect() == 1
    assert not store().holds(DIGEST)
    assert read("kept/a") == b"kept"
    assert not Removal.objects.exists()


@pytest.mark.parametrize("removed", [False, True])
def test_a_collection_that_is_killed_leaves_no_row_without_content_and_the_next_one_ends_it(
    dana_acts, monkeypatch, removed: bool
) -> None:
    forgotten(dana_acts)
    remove = store().remove

    def killed(digest: str) -> None:
        if removed:
            remove(digest)
        raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(store(), "remove", killed)
        collect()
    assert not Blob.objects.filter(digest=DIGEST).exists() and Removal.objects.get().digest == DIGEST
    assert store().holds(DIGEST) is not removed
    assert collect() == 1
    assert not store().holds(DIGEST) and not Removal.objects.exists()
    assert collect() == 0
    assert read("3/a") == b"another"


@pytest.mark.parametrize("removed", [False, True])
def test_content_that_is_named_again_after_such_an_end_stays(dana_acts, removed: bool) -> None:
    forgotten(dana_acts)
    commands._forget(DIGEST)
    if removed:
        store().remove(DIGEST)
    put(dana_acts, "3/b")
    assert collect() == 0
    assert read("3/b") == DATA and not Removal.objects.exists()


def elsewhere(pool: ThreadPoolExecutor, act: Callable[[], object]) -> Future[object]:
    def run() -> object:
        try:
            return act()
        finally:
            connection.close()

    return pool.submit(run)


@in_a_directory
def test_an_upload_that_found_the_content_stores_it_anew_when_it_is_removed_then(dana_acts, monkeypatch) -> None:
    forgotten(dana_acts)
    keep, remove, found, uploads = DirectoryStore.keep, DirectoryStore.remove, Event(), list[Future[object]]()

    def kept(self: DirectoryStore, received) -> None:
        keep(self, received)
        found.set()

    with ThreadPoolExecutor(1) as pool:

        def removing(self: DirectoryStore, digest: str) -> None:
            uploads.append(elsewhere(pool, lambda: put(dana_acts, "3/b")))
            assert found.wait(10) and self.holds(digest)  # so it was not stored again
            assert not wait(uploads, 0.3).done
            remove(self, digest)

        monkeypatch.setattr(DirectoryStore, "keep", kept)
        monkeypatch.setattr(DirectoryStore, "remove", removing)
        assert collect() == 1
        uploads[0].result(10)
    assert read("3/b") == DATA
    monkeypatch.undo()
    assert collect() == 0


@in_a_directory
def test_a_collection_waits_for_who_is_about_to_name_the_content_and_leaves_it(dana_acts) -> None:
    forgotten(dana_acts)
    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            put(dana_acts, "3/b")
            collecting = elsewhere(pool, collect)
            assert not wait([collecting], 0.3).done
        assert collecting.result(10) == 0
    assert read("3/b") == DATA
