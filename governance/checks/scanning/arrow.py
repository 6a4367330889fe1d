"""Look into tables of Arrow and Parquet for a type that is a pickle.

Source: Arrow, "Extension types"; CVE-2023-47248 (reading a table with arrow.py_extension_type unpickles what it says).
"""

from __future__ import annotations

import base64
import binascii
import re

from governance.checks.base import Finding
from governance.checks.scanning.limits import Unreadable

_PICKLED = b"arrow.py_extension_type"
_BASE64 = re.compile(rb"[A-Za-z0-9+/]{64,}={0,2}")  # as Parquet holds the schema of Arrow


def arrow_findings(data: bytes, location: str) -> list[Finding]:
    """Return a finding if the table has such a type."""
    return _findings(data.find(_PICKLED), location)


def parquet_findings(data: bytes, location: str) -> list[Finding]:
    """Return a finding if the table has such a type. Raises Unreadable when its footer is longer than the file."""
    length = int.from_bytes(data[-8:-4], "little")
    if length + 12 > len(data):
        raise Unreadable("its footer is longer than the file")
    footer = data[-8 - length : -8]
    for match in _BASE64.finditer(footer):
        try:
            schema = base64.b64decode(match[0][: len(match[0]) // 4 * 4])
        except (binascii.Error, ValueError):
            continue  # not a schema
        if _PICKLED in schema:
            return _findings(len(data) - 8 - length + match.start(), location)
    return _findings(data.find(_PICKLED), location)


def _findings(at: int, location: str) -> list[Finding]:
    if at < 0:
        return []
    message = f"The type of a column, at byte {at}, is a pickle, which older readers of Arrow run."
    return [Finding("embedded-pickle", "critical", location, message)]
