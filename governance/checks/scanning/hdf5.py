"""Look into HDF5, as Keras saves models, for code and for links that lead out of the file.

The structure is not walked: a message of a link or of external storage is recognised wherever it stands, by all of its
fields at once. Source: HDF5 File Format Specification 3.0, IV.A.2.g (link message) and IV.A.2.h (external data files).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator

from governance.checks.base import Finding
from governance.checks.scanning.documents import shown
from governance.checks.scanning.keras import embedded_findings

MAGIC = b"\x89HDF\r\n\x1a\n"
_LINK = re.compile(rb"\x01[\x08-\x1f]\x40", re.DOTALL)
_HAS_ORDER, _HAS_CHARSET = 0x04, 0x10
_STORAGE = re.compile(rb"\x07(?:\x00..[\x00-\x07]\x00\x00\x00|..[\x00-\x07](?:..)?)\x01\x00\x00\x00", re.DOTALL)
_LONGEST_NAME = 4096


def hdf5_findings(data: bytes, location: str) -> list[Finding]:
    """Return the findings on a file."""
    return [*embedded_findings(data, location), *_links(data, location), *_stores(data, location)]


def _links(data: bytes, location: str) -> Iterator[Finding]:
    for match in _LINK.finditer(data):
        if target := _external_link(data, match.start()):
            message = f"The link at byte {match.start()} leads to the file {shown(target)}: loading reads it."
            yield Finding("external-file", "high", location, message)


def _external_link(data: bytes, position: int) -> str | None:
    """Return the file that a link message at this byte leads to, or None if there is no such message."""
    flags = data[position + 1]
    position += 3 + (8 if flags & _HAS_ORDER else 0) + (1 if flags & _HAS_CHARSET else 0)
    width = 1 << (flags & 3)
    name_bytes = int.from_bytes(data[position : position + width], "little")
    position += width + name_bytes
    if not 0 < name_bytes <= _LONGEST_NAME or position + 3 > len(data):
        return None
    (length,) = struct.unpack("<H", data[position : position + 2])
    value = data[position + 2 : position + 2 + length]
    parts = value[1:].split(b"\x00")
    # A version and flags, the file, the object in it, each ended by a zero.
    if len(value) != length or value[:1] != b"\x00" or len(parts) != 3 or parts[2] or not parts[0] or not parts[1]:
        return None
    return parts[0].decode("utf-8", "backslashreplace")


def _stores(data: bytes, location: str) -> Iterator[Finding]:
    for match in _STORAGE.finditer(data):
        head = data[match.end() : match.end() + 12]
        if len(head) < 12:
            continue
        allocated, used, heap = struct.unpack("<HHQ", head)
        if 0 < used <= allocated and data[heap : heap + 4] == b"HEAP":
            message = f"The data set described at byte {match.start()} lies in other files: loading reads them."
            yield Finding("external-file", "high", location, message)
