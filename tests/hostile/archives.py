"""Archives that climb out, hide, lie, break or unfold, and folders that lead elsewhere."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.hostile.cases import Hostile, a_file
from tests.hostile.pickles import as_zip, mkdir

PNG = b"\x89PNG\r\n\x1a\n" + bytes(32)


def zipped(*members: tuple[str | zipfile.ZipInfo, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for member, data in members:
            archive.writestr(member, data)
    return buffer.getvalue()


def a_link(target: str) -> bytes:
    info = zipfile.ZipInfo("weights.bin")
    info.external_attr = 0o120777 << 16
    return zipped((info, target.encode()))


def absolute() -> bytes:
    """zipfile makes absolute names relative when it writes, so the name is written over."""
    return zipped(("Xetc/cron.d/job", b"x")).replace(b"Xetc", b"/etc")


def a_folder_with_content(marker: str) -> bytes:
    data = mkdir(marker)
    return zipped(("data.pkl_", data)).replace(b"data.pkl_", b"data.pkl/")


def unlisted(marker: str) -> bytes:
    """Two members, of which the directory at the end lists the first alone."""
    listed, hidden = zipped(("a.txt", b"harmless")), zipped(("data.pkl", mkdir(marker)))
    directory = listed.index(b"PK\x01\x02")
    inserted = hidden[: hidden.index(b"PK\x01\x02")]
    moved = struct.pack("<I", directory + len(inserted))
    end = listed.index(b"PK\x05\x06")
    return listed[:directory] + inserted + listed[directory : end + 16] + moved + listed[end + 20 :]


def overlapping() -> bytes:
    """Two entries of the directory for the same bytes."""
    one = zipped(("a.txt", b"x" * 100))
    directory, end = one.index(b"PK\x01\x02"), one.index(b"PK\x05\x06")
    entries = one[directory:end] * 2
    tail = bytearray(one[end:])
    tail[8:12] = struct.pack("<HH", 2, 2)
    tail[12:16] = struct.pack("<I", len(entries))
    return one[:directory] + entries + bytes(tail)


def encrypted() -> bytes:
    data = bytearray(zipped(("data.pkl", b"x" * 20)))
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    return bytes(data)


def wrong_checksum() -> bytes:
    return zipped(("weights.txt", b"honest bytes")).replace(b"honest bytes", b"hostle bytes")


def other_name_inside() -> bytes:
    """One name in the directory, another before the content: readers go by either."""
    data = zipped(("a.txt", b"x" * 10))
    return data.replace(b"a.txt", b"b.pkl", 1)


def nested(levels: int) -> bytes:
    data = b"text"
    for _ in range(levels):
        data = gzip.compress(data, mtime=0)
    return data


def tarred(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for info, data in members:
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def tar_member(name: str = "weights.bin", kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def long_tar() -> bytes:
    """A member that says it has more bytes than there are."""
    data = bytearray(tarred((tar_member(), b"x" * 512)))
    data[124:136] = b"77777777777\x00"
    data[148:156] = b" " * 8
    data[148:156] = f"{sum(data[:512]):06o}\0 ".encode()
    return bytes(data)


def _in_file(file: str, build: Callable[[str], bytes]) -> Callable[[Path, str], None]:
    return lambda folder, marker: a_file(file, build(marker))(folder, marker)


def _link(folder: Path, _: str) -> None:
    (folder / "weights.bin").symlink_to("/etc/passwd")


def _link_to_folder(folder: Path, _: str) -> None:
    (folder / "data").symlink_to("/etc")


def _pipe(folder: Path, _: str) -> None:
    os.mkfifo(folder / "weights.bin")


Spec = tuple[str, str, str, Callable[[str], bytes]]
PACKED: dict[str, Spec] = {
    # name: (tries, rule, file, bytes)
    "zip": ("a payload in an archive", "dangerous-name", "model.zip", lambda m: as_zip(a_dot_pkl=mkdir(m))),
    "zip in gzip in zip": (
        "a payload under three wrappings",
        "dangerous-name",
        "model.zip",
        lambda m: as_zip(a_dot_gz=gzip.compress(as_zip(b_dot_pkl=mkdir(m)), mtime=0)),
    ),
    "tar": ("a payload in an archive", "dangerous-name", "model.tar", lambda m: tarred((tar_member("a.pkl"), mkdir(m)))),
    "tar.gz": ("the same, compressed", "dangerous-name", "model.tar.gz", lambda m: gzip.compress(tarred((tar_member("a"), mkdir(m))))),
    "climbing zip": ("a file outside of the folder", "path-escape", "a.zip", lambda _: zipped(("../../etc/cron.d/job", b"x"))),
    "absolute zip": ("a file at an absolute path", "path-escape", "a.zip", lambda _: absolute()),
    "backslash zip": ("the same as Windows writes it", "path-escape", "a.zip", lambda _: zipped(("..\\..\\run.bat", b"x"))),
    "drive zip": ("a file on a drive", "path-escape", "a.zip", lambda _: zipped(("C:\\run.bat", b"x"))),
    "zip with a link": ("a link, and what is written through it", "link", "a.zip", lambda _: a_link("/etc/passwd")),
    "zip with one name twice": ("one file for the scan, another for the loader", "duplicate-member", "a.zip", lambda _: _twice()),
    "zip with a folder that has content": ("content that a reader passes over", "hidden-member", "a.zip", a_folder_with_content),
    "zip with an unlisted member": ("content that the directory does not list", "hidden-member", "a.zip", unlisted),
    "zip with shared bytes": ("more content than bytes", "overlapping-members", "a.zip", lambda _: overlapping()),
    "zip with two names for a member": ("a name for the scan, another for the loader", "unreadable", "a.zip", lambda _: other_name_inside()),
    "encrypted zip": ("content that nobody can look into", "unreadable", "a.zip", lambda _: encrypted()),
    "zip with a wrong checksum": ("content that was changed", "unreadable", "a.zip", lambda _: wrong_checksum()),
    "truncated zip": ("an archive without its directory", "unreadable", "a.zip", lambda m: as_zip(a_dot_pkl=mkdir(m))[:-30]),
    "zip behind an image": ("an image for one, an archive for another", "two-formats", "plot.png", lambda m: PNG + as_zip(a=mkdir(m))),
    "zip of zeros": (
        "gigabytes from a small file",
        "bomb",
        "a.zip",
        lambda _: zipped(("zeros.txt", bytes(66 << 20)), compression=zipfile.ZIP_DEFLATED),
    ),
    "zip of many zeros": (
        "the same, each member below the limit",
        "bomb",
        "a.zip",
        lambda _: zipped(*((f"{n}.bin", bytes(23 << 20)) for n in range(3)), compression=zipfile.ZIP_DEFLATED),
    ),
    "zip of many members": ("a walk without end", "bomb", "a.zip", lambda _: zipped(*((str(n), b"") for n in range(10_001)))),
    "gzip of zeros": ("gigabytes from a small file", "bomb", "a.gz", lambda _: gzip.compress(bytes(66 << 20), 1)),
    "xz of zeros": ("the same", "bomb", "a.xz", lambda _: lzma.compress(bytes(66 << 20), preset=0)),
    "wrappings without end": ("a reader that unwraps to the last", "bomb", "a.gz", lambda _: nested(9)),
    "tar with a link": ("a link, and what is written through it", "link", "a.tar", lambda _: tarred((tar_member(kind=tarfile.SYMTYPE, target="/etc"), b""))),
    "tar with a hard link": ("another name for a file outside", "link", "a.tar", lambda _: tarred((tar_member(kind=tarfile.LNKTYPE, target="/etc/passwd"), b""))),
    "tar with a device": ("a device", "link", "a.tar", lambda _: tarred((tar_member(kind=tarfile.CHRTYPE), b""))),
    "climbing tar": ("a file outside of the folder", "path-escape", "a.tar", lambda _: tarred((tar_member("../outside"), b"x"))),
    "tar behind the end of a tar": (
        "members that only a reader finds that goes on",
        "hidden-member",
        "a.tar",
        lambda m: tarred((tar_member("a"), b"x")) + tarred((tar_member("b"), mkdir(m))),
    ),
    "tar that is too long": ("a size that leads out of the file", "too-large", "a.tar", lambda _: long_tar()),
    "truncated gzip": ("a stream that breaks off", "unreadable", "a.gz", lambda _: gzip.compress(b"x" * 5000, mtime=0)[:-20]),
    "bytes behind bz2": ("what readers of Python pass over", "unreadable", "a.bz2", lambda m: bz2.compress(b"text") + mkdir(m)),
    "zstd": ("a compression that the scan does not know", "unknown-format", "a.zst", lambda _: b"\x28\xb5\x2f\xfd" + bytes(20)),
    "7z": ("an archive that the scan does not know", "unknown-format", "a.7z", lambda _: b"7z\xbc\xaf\x27\x1c" + bytes(20)),
}  # fmt: skip


def _twice() -> bytes:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return zipped(("a.txt", b"harmless"), ("a.txt", b"other"))


def _folder(name: str, tries: str, rule: str, file: str, write: Callable[[Path, str], None], **more: Any) -> Hostile:
    return Hostile(name, "archives", tries, rule, file, write, **more)


CLASSES: tuple[Hostile, ...] = (
    *(_folder(name, tries, rule, file, _in_file(file, build)) for name, (tries, rule, file, build) in PACKED.items()),
    _folder("link", "a file of the host", "link", "weights.bin", _link),
    _folder("link to a folder", "a folder of the host", "link", "data", _link_to_folder),
    _folder("pipe", "a reader that waits for ever", "special-file", "weights.bin", _pipe),
    _folder(
        "a name that reads as another",
        "a name that is turned around on the screen",
        "odd-name",
        "weights_\\u202egpj.txt",
        a_file("weights_\u202egpj.txt", "x"),
    ),
    _folder(
        "a large file",
        "a reader that takes all of it",
        "too-large",
        "weights.txt",
        a_file("weights.txt", b"0" * (2 << 20)),
        parameters={"largest_file_mib": 1},
    ),
    _folder("many files", "a walk without end", "too-many-files", "", a_file("a.txt", "x"), parameters={"most_files": 1}),
)
