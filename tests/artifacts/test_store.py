"""Both stores keep content by digest, whole or not at all."""

from __future__ import annotations

import hashlib
import io
import os
from datetime import timedelta
from pathlib import Path

import pytest

from artifacts.store import BlobStore, DirectoryStore, S3Store, materialise, store
from core.errors import Invalid, NotFound

DATA = b"0123456789abcdef" * 200_000
DIGEST = hashlib.sha256(DATA).hexdigest()


@pytest.fixture(params=["directory", "s3"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> BlobStore:
    if request.param == "directory":
        return DirectoryStore(tmp_path / "root")
    return S3Store("models", "pre/fix", request.getfixturevalue("bucket"), tmp_path / "root" / "incoming")


def temporary(tmp_path: Path) -> list[Path]:
    return list((tmp_path / "root" / "incoming").iterdir())


def test_what_was_kept_can_be_read_from_anywhere_in_it(blobs: BlobStore, tmp_path: Path) -> None:
    for _ in range(2):  # the same content again changes nothing
        with blobs.receive(io.BytesIO(DATA), len(DATA)) as received:
            blobs.keep(received)
        assert (received.digest, received.size_bytes) == (DIGEST, len(DATA))
    assert blobs.holds(DIGEST)
    with blobs.open(DIGEST) as whole:
        assert whole.read() == DATA
    with blobs.open(DIGEST, 1_000_003) as rest:
        assert rest.read(20) == DATA[1_000_003:1_000_023]
    assert temporary(tmp_path) == []
    blobs.remove(DIGEST)
    assert not blobs.holds(DIGEST)
    with pytest.raises(NotFound):
        blobs.open(DIGEST)


def test_the_way_to_a_content_is_on_the_disk_before_it_counts_as_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root, synced, fsync = tmp_path / "root", [], os.fsync

    def noting(handle: int) -> None:
        synced.append(Path(os.readlink(f"/proc/self/fd/{handle}")))
        fsync(handle)

    monkeypatch.setattr(os, "fsync", noting)
    where = DirectoryStore(root)
    with where.receive(io.BytesIO(DATA)) as received:
        first, *_ = synced
        assert first.parent == root / "incoming", "the content itself"
        synced.clear()
        where.keep(received)
        folders = [root, *(root / "sha256" / part for part in ("", DIGEST[:2], f"{DIGEST[:2]}/{DIGEST[2:4]}"))]
        assert synced == folders
        synced.clear()
        where.keep(received)
        assert synced == folders[-1:], "another may have linked it a moment ago and not synced yet"


class BrokenPipe(io.BytesIO):
    """Half of the data, and then the connection breaks."""

    def read(self, size: int | None = -1, /) -> bytes:
        block = super().read(size)
        if not block:
            raise OSError("connection reset")
        return block


@pytest.mark.parametrize("source", [io.BytesIO(DATA[:-1]), io.BytesIO(DATA + b"x"), BrokenPipe(DATA)])
def test_an_upload_of_another_length_than_announced_leaves_nothing(blobs: BlobStore, tmp_path: Path, source: io.BytesIO) -> None:
    source.seek(0)
    with pytest.raises(Invalid, match="nothing was kept"):
        blobs.receive(source, len(DATA))
    assert temporary(tmp_path) == []


def test_what_a_crash_left_is_collected_once_it_is_old(blobs: BlobStore, tmp_path: Path) -> None:
    received = blobs.receive(io.BytesIO(b"abandoned"))
    assert blobs.collect_abandoned(timedelta(hours=1)) == 0
    os.utime(received.temporary, (0, 0))
    assert blobs.collect_abandoned(timedelta(hours=1)) == 1
    assert temporary(tmp_path) == []


def test_a_materialised_file_is_a_checked_copy(tmp_path: Path) -> None:
    blobs = DirectoryStore(tmp_path / "root")
    with blobs.receive(io.BytesIO(DATA)) as received:
        blobs.keep(received)
    materialise(blobs, DIGEST, tmp_path / "copy")
    (tmp_path / "copy").write_bytes(b"altered by whoever got it")
    with blobs.open(DIGEST) as kept:
        assert kept.read() == DATA
    damaged = next(path for path in (tmp_path / "root" / "sha256").rglob("*") if path.is_file())
    damaged.chmod(0o644)
    damaged.write_bytes(b"tampered with")
    with pytest.raises(Invalid, match="damaged"):
        materialise(blobs, DIGEST, tmp_path / "another")
    assert not (tmp_path / "another").exists()


def test_the_setting_names_the_store(settings, tmp_path: Path) -> None:
    settings.ARTIFACT_ROOT = str(tmp_path / "here")
    assert isinstance(store(), DirectoryStore)
    settings.ARTIFACT_ROOT = "s3://models/some/prefix"
    settings.S3_ENDPOINT_URL = "http://127.0.0.1:9"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        assert isinstance(store(), S3Store)
