"""Check that files of bare numbers are what they say: safetensors and the arrays of numpy."""

from __future__ import annotations

import json
import math
import struct
from io import BytesIO
from tokenize import TokenError
from typing import Any

from governance.checks.base import Finding
from governance.checks.scanning import verdicts
from governance.checks.scanning.limits import Unreadable

_LONGEST_HEADER = 100_000_000
_BITS_BY_SIZE = {
    4: ("F4",),
    6: ("F6_E2M3", "F6_E3M2"),
    8: ("BOOL", "U8", "I8", "F8_E5M2", "F8_E4M3", "F8_E8M0"),
    16: ("U16", "I16", "F16", "BF16"),
    32: ("U32", "I32", "F32"),
    64: ("U64", "I64", "F64", "C64"),
}
_BITS = {name: bits for bits, names in _BITS_BY_SIZE.items() for name in names}


def npy_findings(data: bytes, location: str) -> list[Finding]:
    """Return the findings on an array; one of objects is a pickle. Raises Unreadable where header and size disagree."""
    from numpy.lib import format as npy  # the scan of other formats does without numpy

    file = BytesIO(data)
    try:
        version = npy.read_magic(file)
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, _, dtype = read(file)
    except (ValueError, SyntaxError, EOFError, TypeError, KeyError, MemoryError, TokenError) as cause:
        raise Unreadable(f"its header is broken: {str(cause)[:200]}") from cause
    if dtype.hasobject:
        return verdicts.judge(data[file.tell() :], location)
    held, expected = len(data) - file.tell(), math.prod([dtype.itemsize, *map(int, shape)])
    if min(shape, default=0) < 0 or expected != held:
        raise Unreadable(f"it holds {held} bytes of numbers, and not those of the shape {shape}")
    return []


def is_safetensors(name: str, data: bytes) -> bool:
    """Return whether it begins like one, or is called one."""
    if name.endswith(".safetensors"):
        return True
    if len(data) < 10 or data[8:9] != b"{":
        return False
    (length,) = struct.unpack("<Q", data[:8])
    return bool(8 + length <= len(data) and length <= _LONGEST_HEADER)


def safetensors_findings(data: bytes, location: str) -> list[Finding]:
    """Return nothing, or raise Unreadable: the tensors must fill the file without gap or overlap, as the format asks.

    Source: safetensors, README, "Format".
    """
    length = int.from_bytes(data[:8], "little")
    if len(data) < 10 or length > _LONGEST_HEADER or 8 + length > len(data):
        raise Unreadable("its header is longer than the file or than the format allows")
    try:
        header = json.loads(data[8 : 8 + length], object_pairs_hook=_without_doubles)
    except (ValueError, RecursionError) as cause:
        raise Unreadable(f"its header is broken: {str(cause)[:200]}") from cause
    if not isinstance(header, dict):
        raise Unreadable("its header is not an object")
    texts = header.pop("__metadata__", {})
    if not isinstance(texts, dict) or not all(isinstance(each, str) for each in texts.values()):
        raise Unreadable("its metadata are not texts")
    end = 0
    for begin, behind in sorted(_extent(name, each) for name, each in header.items()):
        if begin != end:
            raise Unreadable(f"its tensors overlap or leave a gap at byte {end} of its data")
        end = behind
    if 8 + length + end != len(data):
        raise Unreadable("its header does not account for all of its bytes")
    return []


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("it says a key twice")
    return made


def _extent(name: str, tensor: Any) -> tuple[int, int]:
    if not isinstance(tensor, dict) or set(tensor) != {"dtype", "shape", "data_offsets"}:
        raise Unreadable(f"the entry {name[:100]!r} of its header is not a tensor")
    shape, offsets, bits = tensor["shape"], tensor["data_offsets"], _BITS.get(str(tensor["dtype"]))
    if not (_are_sizes(shape) and _are_sizes(offsets) and len(offsets) == 2 and bits and len(shape) <= 64):
        raise Unreadable(f"the tensor {name[:100]!r} has no type, shape or place that can be")
    if math.prod(shape) * bits != (offsets[1] - offsets[0]) * 8:
        raise Unreadable(f"the tensor {name[:100]!r} has another size than its shape says")
    return offsets[0], offsets[1]


def _are_sizes(values: Any) -> bool:
    return isinstance(values, list) and all(type(each) is int and 0 <= each < 1 << 53 for each in values)
