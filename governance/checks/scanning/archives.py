"""Walk zip and tar archives, member by member, in memory."""

from __future__ import annotations

import io
import stat
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from governance.checks.base import Finding
from governance.checks.scanning.limits import Limits, Unreadable


@dataclass(frozen=True)
class Member:
    """One file of an archive, unpacked."""

    name: str
    data: bytes


def members(data: bytes, location: str, limits: Limits) -> Iterator[Member | Finding]:
    """Yield each file of the archive, and a finding for every member that is not a plain file inside of it.

    Raises Unreadable when the archive is broken, encrypted or has too many members.
    """
    try:
        if data.startswith(b"PK"):
            yield from _zip(data, location, limits)
        else:
            yield from _tar(data, location, limits)
    except (zipfile.BadZipFile, tarfile.TarError, OSError, EOFError, NotImplementedError, RuntimeError, ValueError) as cause:
        raise Unreadable(f"the archive is broken: {cause}") from cause


def is_archive(data: bytes) -> bool:
    """Return whether the bytes begin like a zip or tar archive."""
    return data.startswith((b"PK\x03\x04", b"PK\x05\x06")) or data[257:262] == b"ustar"


def _zip(data: bytes, location: str, limits: Limits) -> Iterator[Member | Finding]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        entries = archive.infolist()
        _check_count(len(entries), limits)
        seen: set[str] = set()
        for entry in entries:
            place = f"{location}!{entry.filename}"
            yield from _suspicious_name(entry.filename, place)
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


def _tar(data: bytes, location: str, limits: Limits) -> Iterator[Member | Finding]:
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
        for count, entry in enumerate(archive):
            _check_count(count, limits)
            place = f"{location}!{entry.name}"
            yield from _suspicious_name(entry.name, place)
            if entry.isfile():
                limits.check_size(entry.size, len(data))
                file = archive.extractfile(entry)
                yield Member(entry.name, file.read() if file else b"")
            elif not entry.isdir():
                yield Finding("link", "high", place, "The archive holds a link or a special file.")


def _check_count(count: int, limits: Limits) -> None:
    if count > limits.members:
        raise Unreadable(f"the archive has more than {limits.members} members", "bomb")


def _suspicious_name(name: str, place: str) -> Iterator[Finding]:
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or "\x00" in name or (len(name) > 1 and name[1] == ":"):
        yield Finding("path-escape", "critical", place, "Unpacking would write outside of the archive's folder.")
