"""Walk the fields of a protobuf message without its schema. Source: Protocol Buffers, "Encoding"."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from governance.checks.scanning.limits import Unreadable

_LONGEST_VARINT = 10


@dataclass(frozen=True)
class Field:
    """One field. number: of a varint or fixed field, else 0. start, end: where the content of a length-delimited one lies."""

    tag: int
    wire: int
    number: int
    start: int
    end: int

    @property
    def is_message(self) -> bool:
        """Whether it has content: text, bytes, packed numbers or a message."""
        return self.wire == 2


def fields(data: bytes, start: int = 0, end: int | None = None) -> Iterator[Field]:
    """Yield the fields between two bytes. Raises Unreadable where they are not a message."""
    end = len(data) if end is None else end
    while start < end:
        key, start = _varint(data, start, end)
        tag, wire = key >> 3, key & 7
        if wire == 0:
            number, behind = _varint(data, start, end)
            yield Field(tag, wire, number, start, behind)
        elif wire == 2:
            length, start = _varint(data, start, end)
            behind = start + length
        elif wire in (1, 5):
            behind = start + (8 if wire == 1 else 4)
        else:
            raise Unreadable(f"it is not a protobuf message at byte {start}")
        if not tag or behind > end:
            raise Unreadable(f"it is not a protobuf message at byte {start}")
        if wire:
            yield Field(tag, wire, 0, start, behind)
        start = behind


def text(data: bytes, field: Field) -> str:
    """Return the content as text."""
    return data[field.start : field.end].decode("utf-8", "backslashreplace")


def numbers(data: bytes, field: Field) -> list[int]:
    """Return the whole numbers of a repeated field, packed or not."""
    if not field.is_message:
        return [field.number]
    found, position = [], field.start
    while position < field.end:
        value, position = _varint(data, position, field.end)
        found.append(value)
    return found


def _varint(data: bytes, position: int, end: int) -> tuple[int, int]:
    value = 0
    for count in range(_LONGEST_VARINT):
        if position >= end:
            break
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << (7 * count)
        if not byte & 0x80:
            return value, position
    raise Unreadable(f"it is not a protobuf message at byte {position}")
