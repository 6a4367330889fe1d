"""Files that come in parts: each is kept by its digest as it arrives, and joined when all are there. Who may is asked above.

Parts come without a sign-in, since clients send them as they would to a bucket; the ticket that went with the part's address is
their right. A part is one content among others: what is never joined loses its name after a day and is collected as any other.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import BinaryIO

from django.core import signing
from django.db import connection, transaction
from django.utils import timezone

from artifacts import commands, paths, queries
from artifacts.models import Blob, Upload, UploadPart
from artifacts.queries import FileInfo
from artifacts.store import BLOCK, Source, store
from core.access import Actor
from core.errors import Conflict, Denied, Invalid, NotFound

MAX_PARTS = 10_000
MAX_PART_BYTES = 5 * 1024**3
TIME_TO_FINISH = timedelta(days=1)

_signer = signing.TimestampSigner(salt="artifacts.uploads")


@dataclass(frozen=True)
class Begun:
    """An upload that waits for its parts. tickets: the right to send each of them, the first for part 1."""

    upload_id: str
    tickets: list[str]


def begin(*, path: str, parts: int) -> Begun:
    """Note that a file will come in so many parts. Raises Invalid for an unsafe path or too many parts."""
    path = paths.safe_file(path)
    if not 1 <= parts <= MAX_PARTS:
        raise Invalid(f"A file comes in 1 to {MAX_PARTS} parts, not {parts}.")
    upload = Upload.objects.create(id=uuid.uuid4().hex, path=path, parts_announced=parts)
    return Begun(upload.id, [_signer.sign(f"{upload.id}/{number}") for number in range(1, parts + 1)])


def receive_part(*, ticket: str, upload_id: str, number: int, stream: Source, expected_bytes: int | None) -> str:
    """Keep a part, in place of one that came before under its number; return its digest.

    Raises Denied without the ticket for just this part, NotFound for an upload that is over, Invalid for a body cut off or too large.
    """
    try:
        right = _signer.unsign(ticket, max_age=TIME_TO_FINISH)
    except signing.BadSignature:
        right = ""
    if right != f"{upload_id}/{number}":
        raise Denied("This address takes a part of an upload from who began it, within a day.")
    if expected_bytes is not None and expected_bytes > MAX_PART_BYTES:
        raise Invalid(f"A part has at most {MAX_PART_BYTES} bytes.")
    _upload(upload_id)
    with store().receive(stream, expected_bytes) as received:
        with commands.kept(received), transaction.atomic():
            _upload(upload_id, lock=True)
            commands.note_content(received)
            UploadPart.objects.update_or_create(upload_id=upload_id, number=number, defaults={"blob_id": received.digest})
        return received.digest


def complete(*, actor: Actor, path: str, upload_id: str, parts: Sequence[tuple[int, str]], scope: str = "") -> FileInfo:
    """Join the parts, given as (number, digest), to the file they are; the upload is over then.

    The file is hashed as it is read, part by part. A client whose answer was lost asks again: if the file there is these very
    parts, that is the answer once more. Raises NotFound for an upload that is not of this path or over, Invalid unless all parts
    announced are there as they are named, Conflict for a path that is frozen.
    """
    try:
        upload = _upload(upload_id, path)
    except NotFound:
        file = None if Upload.objects.filter(pk=upload_id).exists() else _joined_before(path, parts)
        if file is None:
            raise
        return file
    held = list(upload.parts.order_by("number").values_list("number", "blob_id", "blob__size_bytes"))
    if sorted(parts) != [(number, digest) for number, digest, _ in held] or len(held) != upload.parts_announced:
        raise Invalid(
            f"The upload needs its {upload.parts_announced} parts, each named once with the ETag its sending was answered with."
        )
    source = _Joined([digest for _, digest, _ in held])
    try:
        whole = sum(size for _, _, size in held)
        file = commands.put_file(actor=actor, path=upload.path, stream=source, expected_bytes=whole, scope=scope)
    finally:
        source.close()
    Upload.objects.filter(pk=upload_id).delete()
    return file


def _joined_before(path: str, parts: Sequence[tuple[int, str]]) -> FileInfo | None:
    """Return the file at a path if it is these parts one after the other, else None. Lengths are compared before contents."""
    named = sorted(parts)
    sizes = dict(Blob.objects.filter(pk__in={digest for _, digest in named}).values_list("digest", "size_bytes"))
    if [number for number, _ in named] != list(range(1, len(named) + 1)) or any(digest not in sizes for _, digest in named):
        return None
    try:
        file = queries.file_at(paths.safe_file(path))
    except NotFound:
        return None
    if sum(sizes[digest] for _, digest in named) != file.size_bytes:
        return None
    source, found = _Joined([digest for _, digest in named]), hashlib.sha256()
    try:
        while block := source.read(BLOCK):
            found.update(block)
    finally:
        source.close()
    return file if found.hexdigest() == file.digest else None


def abort(*, path: str, upload_id: str) -> None:
    """Give an upload up; one that is over is no fault. Raises NotFound for one of another path."""
    if Upload.objects.filter(pk=upload_id).exclude(path=paths.safe_file(path)).exists():
        raise _no_upload(upload_id)
    Upload.objects.filter(pk=upload_id).delete()


def _upload(upload_id: str, path: str | None = None, *, lock: bool = False) -> Upload:
    wanted = Upload.objects.filter(pk=upload_id, created_at__gt=timezone.now() - TIME_TO_FINISH)
    if lock and connection.features.has_select_for_update:
        wanted = wanted.select_for_update()
    found = wanted.first()
    if found is None or (path is not None and found.path != paths.safe_file(path)):
        raise _no_upload(upload_id)
    return found


def _no_upload(upload_id: str) -> NotFound:
    return NotFound(f"There is no upload {upload_id[:100]!r} of this path, or it is over; begin again.")


@dataclass
class _Joined:
    """Contents one after the other, as one source; one of them is open at a time."""

    digests: list[str]
    _at: int = 0
    _open: BinaryIO | None = field(default=None)

    def read(self, size: int, /) -> bytes:
        """Return up to so many bytes, none at the end. Raises Conflict for a content that is gone."""
        while True:
            if self._open is None:
                if self._at == len(self.digests):
                    return b""
                try:
                    self._open = store().open(self.digests[self._at])
                except NotFound:
                    raise Conflict("A part is gone meanwhile; send the file again.") from None
                self._at += 1
            if block := self._open.read(size):
                return block
            self.close()

    def close(self) -> None:
        """Close the content that is open."""
        if self._open is not None:
            self._open.close()
            self._open = None
