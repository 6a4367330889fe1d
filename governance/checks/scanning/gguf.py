"""Read the header of a GGUF file, as llama.cpp does. Source: ggml, docs/gguf.md, versions 2 and 3."""

from __future__ import annotations

import struct
from typing import Any

from governance.checks.base import Finding
from governance.checks.scanning.limits import Unreadable
from governance.checks.scanning.templates import template_findings

MAGIC = b"GGUF"
_SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
_TEXT, _LIST = 8, 9
_MOST_DIMENSIONS = 4
_DEEPEST = 4


def gguf_findings(data: bytes, location: str) -> list[Finding]:
    """Return the findings on the templates. Raises Unreadable where a length or an offset leads out of the file."""
    reader = _Reader(data)
    (version,) = reader.numbers("<I")
    if version not in (2, 3):
        raise Unreadable(f"it is GGUF of version {version}, which this scan does not know")
    tensors, pairs = reader.numbers("<QQ")
    findings: list[Finding] = []
    for _ in range(reader.count(pairs, 12)):
        key = reader.text()
        (kind,) = reader.numbers("<I")
        value = reader.value(kind)
        if "chat_template" in key and isinstance(value, str):
            findings += template_findings(value, location)
    for _ in range(reader.count(tensors, 24)):
        reader.text()
        (dimensions,) = reader.numbers("<I")
        if dimensions > _MOST_DIMENSIONS:
            raise Unreadable(f"a tensor has {dimensions} dimensions")
        *_, offset = reader.numbers(f"<{dimensions}QIQ")
        if offset > len(data):
            raise Unreadable("a tensor lies behind the end of the file")
    return findings


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = len(MAGIC)

    def numbers(self, form: str) -> tuple[int, ...]:
        size = struct.calcsize(form)
        if self._position + size > len(self._data):
            raise Unreadable("its header is longer than the file")
        found = struct.unpack_from(form, self._data, self._position)
        self._position += size
        return found

    def count(self, number: int, least_bytes: int) -> int:
        """Return the number, if so many things of at least that size fit into what is left."""
        if number * least_bytes > len(self._data) - self._position:
            raise Unreadable(f"its header counts {number} entries, for which it has no room")
        return number

    def text(self) -> str:
        (length,) = self.numbers("<Q")
        start = self._position
        self._position += self.count(length, 1)
        return self._data[start : self._position].decode("utf-8", "backslashreplace")

    def value(self, kind: int, depth: int = 0) -> Any:
        if kind == _TEXT:
            return self.text()
        if kind == _LIST and depth < _DEEPEST:
            inner, length = self.numbers("<IQ")
            if inner in _SIZES:
                self._position += self.count(length, _SIZES[inner]) * _SIZES[inner]
            else:
                for _ in range(self.count(length, 8)):
                    self.value(inner, depth + 1)
            return None
        if kind not in _SIZES:
            raise Unreadable(f"it has a value of the kind {kind}, which this scan does not know")
        self._position += self.count(_SIZES[kind], 1)
        return None
