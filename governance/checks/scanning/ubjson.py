"""Check that a booster in UBJSON is whole: it holds numbers and texts only.

Source: UBJSON, Draft 12, with the typed lists that XGBoost writes.
"""

from __future__ import annotations

from governance.checks.base import Finding
from governance.checks.scanning.limits import Unreadable

_SIZES = {ord(mark): size for size, marks in {1: "iUC", 2: "Iu", 4: "ldm", 8: "LDM"}.items() for mark in marks}
_LENGTHS = frozenset(map(ord, "iUIlL"))
_EMPTY = frozenset(map(ord, "ZNTF"))
_TEXTS = frozenset(map(ord, "SH"))
_DEEPEST = 64


def ubjson_findings(data: bytes, location: str) -> list[Finding]:
    """Return nothing, or raise Unreadable where a mark is not known or a length leads out of the file."""
    # What is open: "[" or "{", and how many entries are left, or -1 until the mark that ends it.
    open_: list[tuple[int, int]] = []
    position = _value(data, 0, open_)
    while open_:
        position = _closed(data, position, open_)
        if open_:
            position = _value(data, _behind_text(data, position) if open_[-1][0] == ord("{") else position, open_)
    if position != len(data):
        raise Unreadable(f"{len(data) - position} bytes follow its end")
    return []


def _closed(data: bytes, position: int, open_: list[tuple[int, int]]) -> int:
    """Close what ends here, and count the entry that begins. Returns the byte of that entry."""
    while open_:
        kind, left = open_[-1]
        if left == 0:
            open_.pop()
        elif left > 0:
            open_[-1] = (kind, left - 1)
            return position
        elif _at(data, position) == (ord("]") if kind == ord("[") else ord("}")):
            open_.pop()
            position += 1
        else:
            return position
    return position


def _value(data: bytes, position: int, open_: list[tuple[int, int]]) -> int:
    mark = _at(data, position)
    position += 1
    if mark in _EMPTY:
        return position
    if mark in _SIZES:
        return _inside(data, position + _SIZES[mark])
    if mark in _TEXTS:
        return _behind_text(data, position)
    if mark not in (ord("["), ord("{")):
        raise Unreadable(f"byte {position - 1} of its UBJSON is no mark")
    kind = None
    if _at(data, position) == ord("$"):
        kind = _at(data, position + 1)
        position += 2
    left = -1
    if _at(data, position) == ord("#"):
        left, position = _length(data, position + 1)
    if kind is not None:
        if kind not in _SIZES or left < 0 or mark != ord("["):
            raise Unreadable("a typed list of its UBJSON has no size")
        return _inside(data, position + left * _SIZES[kind])
    if len(open_) >= _DEEPEST:
        raise Unreadable(f"its UBJSON is nested more than {_DEEPEST} deep", "bomb")
    open_.append((mark, left))
    return position


def _behind_text(data: bytes, position: int) -> int:
    length, position = _length(data, position)
    return _inside(data, position + length)


def _length(data: bytes, position: int) -> tuple[int, int]:
    mark = _at(data, position)
    if mark not in _LENGTHS:
        raise Unreadable(f"byte {position} of its UBJSON is no length")
    behind = _inside(data, position + 1 + _SIZES[mark])
    length = int.from_bytes(data[position + 1 : behind], "big", signed=mark != ord("U"))
    if length < 0:
        raise Unreadable(f"a length at byte {position} of its UBJSON is negative")
    return length, behind


def _at(data: bytes, position: int) -> int:
    return data[_inside(data, position + 1) - 1]


def _inside(data: bytes, end: int) -> int:
    if end > len(data):
        raise Unreadable("its UBJSON is longer than the file")
    return end
