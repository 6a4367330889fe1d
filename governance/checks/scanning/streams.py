"""Unpack compressed streams, such as a compressed joblib file."""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Callable
from typing import Protocol

from governance.checks.scanning.limits import Limits, Unreadable

_ZLIB = tuple(bytes([0x78, level]) for level in (0x01, 0x5E, 0x9C, 0xDA))
_SLICE_BYTES = 1 << 16
_MOST_STREAMS = 100_000
_UNSUPPORTED = {b"\x28\xb5\x2f\xfd": "zstd", b"\x04\x22\x4d\x18": "lz4", b"ZF0x": "an old joblib format", b"7z\xbc\xaf": "7z"}


class _Unpacker(Protocol):
    """One stream, as bz2 and lzma have it: `decompress` keeps what it was given and has not unpacked yet."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


class _Zlib:
    """A stream of zlib or gzip, which keeps nothing by itself."""

    def __init__(self, window_bits: int) -> None:
        self._inner = zlib.decompressobj(window_bits)

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def needs_input(self) -> bool:
        return not self._inner.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        return self._inner.decompress(self._inner.unconsumed_tail + data, max_length)


_STARTS: dict[str, Callable[[], _Unpacker]] = {
    "gzip": lambda: _Zlib(16 + zlib.MAX_WBITS),
    "zlib": lambda: _Zlib(zlib.MAX_WBITS),
    "bz2": bz2.BZ2Decompressor,
    "xz": lzma.LZMADecompressor,
    "lzma": lzma.LZMADecompressor,
}


def kind(data: bytes) -> str | None:
    """Return the name of the compression, or None if `data` does not begin like one."""
    for magic, name in ((b"\x1f\x8b", "gzip"), (b"BZh", "bz2"), (b"\xfd7zXZ\x00", "xz"), (b"\x5d\x00\x00", "lzma"), *_zlib()):
        if data.startswith(magic):
            return name
    return next((name for magic, name in _UNSUPPORTED.items() if data.startswith(magic)), None)


def _zlib() -> list[tuple[bytes, str]]:
    return [(magic, "zlib") for magic in _ZLIB]


def decompress(data: bytes, compression: str, limits: Limits) -> bytes:
    """Return the unpacked bytes. Raises Unreadable: broken, unknown, a bomb, or with bytes behind the end.

    Python's readers of bz2 and xz pass over what follows the end without a word, so each stream is unpacked by hand.
    """
    start = _STARTS.get(compression)
    if start is None:
        raise Unreadable(f"it is compressed with {compression}, which this scan cannot unpack", "unknown-format")
    try:
        return limits.read(_Streams(data, start).read, len(data))
    except (OSError, EOFError, zlib.error, lzma.LZMAError, ValueError) as cause:
        raise Unreadable(f"its {compression} stream is broken: {cause}") from cause


class _Streams:
    """One stream, or several of the same kind behind each other, to the last byte."""

    def __init__(self, data: bytes, start: Callable[[], _Unpacker]) -> None:
        self._data = data
        self._position = 0
        self._start = start
        self._unpacker = start()
        self._count = 1

    def read(self, size: int) -> bytes:
        """Return up to `size` bytes, b"" at the end."""
        while not self._unpacker.eof or self._next():
            given = self._data[self._position : self._position + _SLICE_BYTES] if self._unpacker.needs_input else b""
            if self._unpacker.needs_input and not given:
                raise EOFError("it ends too early")
            self._position += len(given)
            if piece := self._unpacker.decompress(given, size):
                return piece
        return b""

    def _next(self) -> bool:
        """Begin the stream that follows, if one does; zeros at the end are padding."""
        self._position -= len(self._unpacker.unused_data)
        head = self._data[self._position : self._position + _SLICE_BYTES]
        if not head.strip(b"\x00") and not self._data[self._position :].strip(b"\x00"):
            return False
        self._count += 1
        if self._count > _MOST_STREAMS:
            raise Unreadable(f"more than {_MOST_STREAMS} streams stand behind each other", "bomb")
        self._unpacker = self._start()
        return True
