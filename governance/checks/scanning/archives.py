"""Walk zip and tar archives, member by member, in memory."""

from __future__ import annotations

import io
import lzma
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from governance.checks.base import Finding
from governance.checks.scanning.limits import CHUNK_BYTES, Limits, Unreadable

_LOCAL = b"PK\x03\x04"
_LOCAL_BYTES = 30
_DESCRIPTOR_BYTES = 24  # what may follow a member that was written without knowing its size
_EMPTY_DEFLATED = 2  # bytes that some writers compress nothing to


@dataclass(frozen=True)
class Member:
    """One file of an archive, unpacked."""

    name: str
    data: bytes


def members(data: bytes, location: str, limits: Limits) -> Iterator[Member | Finding]:
    """Yield each file of the archive, and a finding for every member that is not a plain file inside of it.

    Raises Unreadable when the archive is broken, encrypted, has too many members or unpacks to too much.
    """
    unpacked = 0
    try:
        for each in _zip(data, location, limits) if data.startswith(b"PK") else _tar(data, location, limits):
            if isinstance(each, Member):
                unpacked += len(each.data)
                limits.check_ratio(unpacked, len(data))
            yield each
    except (zipfile.BadZipFile, tarfile.TarError, OSError, EOFError, NotImplementedError, RuntimeError, ValueError) as cause:
        raise Unreadable(f"the archive is broken: {cause}") from cause
    except (struct.error, zlib.error, lzma.LZMAError, IndexError, KeyError, OverflowError) as cause:
        raise Unreadable(f"the archive is broken: {type(cause).__name__}") from cause


def is_archive(data: bytes) -> bool:
    """Return whether the bytes begin like a zip or tar archive."""
    return data.startswith((_LOCAL, b"PK\x05\x06")) or data[257:262] == b"ustar"


def names(data: bytes) -> list[str]:
    """Return the names of the members of a zip archive. Raises Unreadable when it is broken."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return archive.namelist()
    except (zipfile.BadZipFile, OSError, NotImplementedError, ValueError, struct.error, IndexError, OverflowError) as cause:
        raise Unreadable(f"the archive is broken: {cause}") from cause


def _zip(data: bytes, location: str, limits: Limits) -> Iterator[Member | Finding]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        entries = archive.infolist()
        _check_count(len(entries), limits)
        yield from _unlisted(data, entries, archive.start_dir, location)
        seen: set[str] = set()
        for entry in entries:
            place = f"{location}!{entry.filename}"
            yield from _suspicious_name(entry.orig_filename, place)
            if entry.filename in seen:
                yield Finding(
                    "duplicate-member", "high", place, "The archive holds this name twice; readers may differ on which."
                )
            seen.add(entry.filename)
            if stat.S_ISLNK(entry.external_attr >> 16):
                yield Finding("link", "high", place, "The archive holds a symbolic link.")
            elif not entry.is_dir():
                with archive.open(entry) as file:
                    yield Member(entry.filename, limits.read(file.read, entry.compress_size))
            elif entry.file_size or entry.compress_size > _EMPTY_DEFLATED:
                yield Finding("hidden-member", "high", place, "The archive calls this a folder, and it has content.")


def _unlisted(data: bytes, entries: list[zipfile.ZipInfo], directory: int, location: str) -> Iterator[Finding]:
    """Yield findings on bytes that two members share, and on members that stand in the archive and not in its directory.

    Source: APPNOTE.TXT of the zip format, 4.3.7 (local file header); D. Fifield, A better zip bomb, 2019 (overlaps).
    """
    end = 0
    for entry in sorted(entries, key=lambda each: each.header_offset):
        if entry.header_offset < end:
            place = f"{location}!{entry.filename}"
            yield Finding("overlapping-members", "high", place, "It shares bytes of the archive with another member.")
            return
        yield from _gap(data[end : entry.header_offset], location)
        name_bytes, extra_bytes = struct.unpack("<HH", data[entry.header_offset + 26 : entry.header_offset + _LOCAL_BYTES])
        end = entry.header_offset + _LOCAL_BYTES + name_bytes + extra_bytes + entry.compress_size
    yield from _gap(data[end:directory], location)


def _gap(between: bytes, location: str) -> Iterator[Finding]:
    if _LOCAL in between or len(between) > _DESCRIPTOR_BYTES:
        message = f"{len(between)} bytes of the archive belong to no member that it lists; other readers find one there."
        yield Finding("hidden-member", "high", location, message)


def _tar(data: bytes, location: str, limits: Limits) -> Iterator[Member | Finding]:
    file = io.BytesIO(data)
    with tarfile.open(fileobj=file, mode="r:") as archive:
        for count, entry in enumerate(archive):
            _check_count(count, limits)
            place = f"{location}!{entry.name}"
            yield from _suspicious_name(entry.name, place)
            if entry.isfile():
                limits.check_size(entry.size, len(data))
                content = archive.extractfile(entry)
                yield Member(entry.name, limits.read(content.read, len(data)) if content else b"")
            elif not entry.isdir():
                yield Finding("link", "high", place, f"The archive holds a link or a special file, to {entry.linkname!r}.")
        end = archive.offset
    if any(data[start : start + CHUNK_BYTES].strip(b"\x00") for start in range(end, len(data), CHUNK_BYTES)):
        message = "Bytes follow the end of the archive; readers that go on find more members there."
        yield Finding("hidden-member", "high", location, message)


def _check_count(count: int, limits: Limits) -> None:
    if count > limits.members:
        raise Unreadable(f"the archive has more than {limits.members} members", "bomb")


def _suspicious_name(name: str, place: str) -> Iterator[Finding]:
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or "\x00" in name or (len(name) > 1 and name[1] == ":"):
        yield Finding("path-escape", "critical", place, "Unpacking would write outside of the archive's folder.")
