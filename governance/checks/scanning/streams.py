"""Unpack compressed streams, such as a compressed joblib file."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zlib
from collections.abc import Callable

from governance.checks.scanning.limits import Limits, Unreadable

_ZLIB = tuple(bytes([0x78, level]) for level in (0x01, 0x5E, 0x9C, 0xDA))
_UNSUPPORTED = {b"\x28\xb5\x2f\xfd": "zstd", b"\x04\x22\x4d\x18": "lz4", b"ZF0x": "an old joblib format", b"7z\xbc\xaf": "7z"}


def kind(data: bytes) -> str | None:
    """Return the name of the compression, or None if `data` does not begin like one."""
    for magic, name in ((b"\x1f\x8b", "gzip"), (b"BZh", "bz2"), (b"\xfd7zXZ\x00", "xz"), (b"\x5d\x00\x00", "lzma"), *_zlib()):
        if data.startswith(magic):
            return name
    return next((name for magic, name in _UNSUPPORTED.items() if data.startswith(magic)), None)


def _zlib() -> list[tuple[bytes, str]]:
    return [(magic, "zlib") for magic in _ZLIB]


def decompress(data: bytes, compression: str, limits: Limits) -> bytes:
    """Return the unpacked bytes. Raises Unreadable: broken, unknown, a bomb, or with bytes behind the end."""
    reader = _READERS.get(compression)
    if reader is None:
        raise Unreadable(f"it is compressed with {compression}, which this scan cannot unpack", "unknown-format")
    try:
        return reader(data, limits)
    except (OSError, EOFError, zlib.error, lzma.LZMAError, ValueError) as cause:
        raise Unreadable(f"its {compression} stream is broken: {cause}") from cause


def _gzip(data: bytes, limits: Limits) -> bytes:
    with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
        return limits.read(file.read, len(data))


def _bz2(data: bytes, limits: Limits) -> bytes:
    with bz2.BZ2File(io.BytesIO(data)) as file:
        return limits.read(file.read, len(data))


def _lzma(data: bytes, limits: Limits) -> bytes:
    with lzma.LZMAFile(io.BytesIO(data)) as file:
        return limits.read(file.read, len(data))


def _zlib_stream(data: bytes, limits: Limits) -> bytes:
    unpacker = zlib.decompressobj()
    pending = data

    def chunk(size: int) -> bytes:
        nonlocal pending
        piece = unpacker.decompress(pending, size)
        pending = unpacker.unconsumed_tail
        return piece

    unpacked = limits.read(chunk, len(data))
    if not unpacker.eof:
        raise ValueError("it ends too early")
    if unpacker.unused_data:
        raise ValueError(f"{len(unpacker.unused_data)} bytes follow its end")
    return unpacked


_READERS: dict[str, Callable[[bytes, Limits], bytes]] = {
    "gzip": _gzip,
    "bz2": _bz2,
    "xz": _lzma,
    "lzma": _lzma,
    "zlib": _zlib_stream,
}
