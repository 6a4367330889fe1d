"""Where contents lie, by SHA-256: a directory or a bucket. What is in it never changes; the tree of names is in the database."""

from __future__ import annotations

import hashlib
import io
import os
import tempfile
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Protocol, cast

from django.conf import settings

from core.errors import Invalid, NotFound

BLOCK = 1024 * 1024
_WRITTEN_BACK_AT_ONCE = 8 * BLOCK


class Source(Protocol):
    """Anything that can be read in blocks."""

    def read(self, size: int, /) -> bytes:
        """Return up to so many bytes, none at the end."""


@dataclass
class Received:
    """Content that has arrived whole and is not kept yet. Leaving the ``with`` block removes the temporary file."""

    digest: str
    size_bytes: int
    temporary: Path

    def __enter__(self) -> Received:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.temporary.unlink(missing_ok=True)


class BlobStore(Protocol):
    """Contents by their SHA-256 in 64 hex digits."""

    def receive(self, source: Source, expected_bytes: int | None = None) -> Received:
        """Return what the source gives, on disk and hashed. Raises Invalid, keeping nothing, if it ends too early or too late."""

    def keep(self, received: Received) -> None:
        """Store content for good; the same content again changes nothing."""

    def holds(self, digest: str) -> bool:
        """Return whether the content is there."""

    def open(self, digest: str, start: int = 0) -> BinaryIO:
        """Return the content to read, from this byte on. Raises NotFound."""

    def collect_abandoned(self, older_than: timedelta) -> int:
        """Remove temporary files of uploads that were cut off so long ago; return how many."""

    def remove(self, digest: str) -> None:
        """Remove content; what is not there is no fault."""


def materialise(where: BlobStore, digest: str, path: Path) -> None:
    """Write content to a new file, checking it against its digest on the way.

    It is a copy, never a link: whoever gets the file may alter it, and the store's content must not change with it.
    Raises NotFound if it is missing and Invalid if it is not what its name says.
    """
    seen = hashlib.sha256()
    with where.open(digest) as source, path.open("xb") as target:
        while block := source.read(BLOCK):
            seen.update(block)
            target.write(block)
    if seen.hexdigest() != digest:
        path.unlink()
        raise Invalid(f"The stored content sha256:{digest} is damaged: it hashes to {seen.hexdigest()}.", code="damaged")


class DirectoryStore:
    """Contents as files ``sha256/ab/cd/<digest>`` below a folder, uploads on their way in ``incoming``."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._incoming = root / "incoming"
        self._incoming.mkdir(parents=True, exist_ok=True)

    def receive(self, source: Source, expected_bytes: int | None = None) -> Received:
        """Return what the source gives, in a temporary file of the same file system."""
        return _spool(source, expected_bytes, self._incoming)

    def keep(self, received: Received) -> None:
        """Link the temporary file to its place, which is atomic: content is there whole or not at all."""
        target = self._path(received.digest)
        if not target.exists():
            _make_folder(target.parent)
            received.temporary.chmod(0o444)
            with suppress(FileExistsError):  # another upload of the same content was first
                os.link(received.temporary, target)
        _sync_folder(target.parent)  # also for that other one, which may not have come so far

    def holds(self, digest: str) -> bool:
        """Return whether the file is there."""
        return self._path(digest).exists()

    def open(self, digest: str, start: int = 0) -> BinaryIO:
        """Return the open file. Raises NotFound."""
        try:
            file = self._path(digest).open("rb", buffering=0)
        except FileNotFoundError:
            raise NotFound(f"The content sha256:{digest} is not in the store.") from None
        file.seek(start)
        return cast(BinaryIO, file)

    def collect_abandoned(self, older_than: timedelta) -> int:
        """Remove old temporary files."""
        return _collect(self._incoming, older_than)

    def remove(self, digest: str) -> None:
        """Unlink the file."""
        self._path(digest).unlink(missing_ok=True)

    def _path(self, digest: str) -> Path:
        return self._root / "sha256" / digest[:2] / digest[2:4] / digest


class S3Store:
    """Contents as objects ``<prefix>/sha256/ab/cd/<digest>`` of a bucket; uploads are spooled to a local folder first."""

    def __init__(self, bucket: str, prefix: str, endpoint: str, incoming: Path) -> None:
        import boto3  # an optional extra: only servers that keep artifacts in a bucket have it
        from botocore.exceptions import ClientError

        self._client: Any = boto3.client("s3", endpoint_url=endpoint or None)
        self._fault: type[Exception] = ClientError
        self._bucket, self._prefix, self._incoming = bucket, prefix, incoming
        incoming.mkdir(parents=True, exist_ok=True)

    def receive(self, source: Source, expected_bytes: int | None = None) -> Received:
        """Return what the source gives: the key is the digest, so it must be known before anything is sent on."""
        return _spool(source, expected_bytes, self._incoming)

    def keep(self, received: Received) -> None:
        """Upload the file, in parts if it is large; S3 shows an object only once it is whole."""
        if not self.holds(received.digest):
            self._client.upload_file(str(received.temporary), self._bucket, self._key(received.digest))

    def holds(self, digest: str) -> bool:
        """Return whether the object is there."""
        try:
            self._client.head_object(Bucket=self._bucket, Key=self._key(digest))
        except self._fault as error:
            if _status(error) == 404:
                return False
            raise
        return True

    def open(self, digest: str, start: int = 0) -> BinaryIO:
        """Return the object's stream. Raises NotFound."""
        wanted = {"Range": f"bytes={start}-"} if start else {}
        try:
            answer = self._client.get_object(Bucket=self._bucket, Key=self._key(digest), **wanted)
        except self._fault as error:
            if _status(error) == 404:
                raise NotFound(f"The content sha256:{digest} is not in the store.") from None
            if _status(error) == 416:
                return io.BytesIO()
            raise
        return cast(BinaryIO, answer["Body"])

    def collect_abandoned(self, older_than: timedelta) -> int:
        """Remove old temporary files; unfinished multipart uploads are the bucket's life-cycle rule to remove."""
        return _collect(self._incoming, older_than)

    def remove(self, digest: str) -> None:
        """Delete the object."""
        self._client.delete_object(Bucket=self._bucket, Key=self._key(digest))

    def _key(self, digest: str) -> str:
        return "/".join(filter(None, (self._prefix, "sha256", digest[:2], digest[2:4], digest)))


def store() -> BlobStore:
    """Return the store that ``ARTIFACT_ROOT`` names."""
    return _store(settings.ARTIFACT_ROOT, settings.S3_ENDPOINT_URL, settings.HOME)


@cache
def _store(root: str, endpoint: str, home: Path) -> BlobStore:
    if root.startswith("s3://"):
        bucket, _, prefix = root.removeprefix("s3://").partition("/")
        return S3Store(bucket, prefix.strip("/"), endpoint, home / "incoming")
    return DirectoryStore(Path(root.removeprefix("file://")))


def _spool(source: Source, expected_bytes: int | None, folder: Path) -> Received:
    handle, name = tempfile.mkstemp(dir=folder, prefix="upload-")
    temporary, seen, size, sent = Path(name), hashlib.sha256(), 0, 0
    try:
        with os.fdopen(handle, "wb", buffering=0) as target, ThreadPoolExecutor(1) as beside:
            hashed: Future[None] | None = None
            while block := _read(source):
                # A block is hashed while it is written and the next one comes; a file of one block is not worth a thread.
                if hashed is not None:
                    hashed.result()
                if size:
                    hashed = beside.submit(seen.update, block)
                else:
                    seen.update(block)
                _write(target, block)
                size += len(block)
                if expected_bytes is not None and size > expected_bytes:
                    raise Invalid(f"The upload is longer than the {expected_bytes} bytes announced; nothing was kept.")
                if size - sent >= _WRITTEN_BACK_AT_ONCE:
                    _write_back(target.fileno(), sent, size - sent)
                    sent = size
            if expected_bytes is not None and size != expected_bytes:
                raise Invalid(f"The upload was cut off after {size} of {expected_bytes} bytes; nothing was kept.", code="cut_off")
            os.fsync(target.fileno())
        # The thread has ended with its pool, and so has hashed all.
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return Received(seen.hexdigest(), size, temporary)


def _read(source: Source) -> bytes:
    try:
        return source.read(BLOCK)
    except OSError as error:  # the connection broke
        raise Invalid("The upload was cut off; nothing was kept.", code="cut_off") from error


def _write(target: Any, block: bytes) -> None:
    view = memoryview(block)
    while view:
        view = view[target.write(view) :]


def _write_back(handle: int, start: int, length: int) -> None:
    """Have the disk begin to write this part, so that the sync at the end waits for the rest alone.

    The advice says that the pages are not needed, and Linux starts to write those that are dirty; where it is not known, the
    sync does it all. Advice that covered what is written already would drop it: a quicker upload where fresh memory is dear, and a
    first download from the disk, which the checks that follow a registration would pay for.
    """
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(handle, start, length, os.POSIX_FADV_DONTNEED)


def _make_folder(folder: Path) -> None:
    """Make a folder and those above it, each of them on the disk in the one above."""
    if not folder.exists():
        _make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _collect(folder: Path, older_than: timedelta) -> int:
    limit, removed = time.time() - older_than.total_seconds(), 0
    for path in folder.glob("upload-*"):
        try:
            if path.stat().st_mtime <= limit:
                path.unlink()
                removed += 1
        except FileNotFoundError:
            continue  # it was finished meanwhile
    return removed


def _status(error: Exception) -> int:
    return int(cast(Any, error).response["ResponseMetadata"]["HTTPStatusCode"])
