"""Know a format by how it begins or is called, and who looks into it."""

from __future__ import annotations

import codecs
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePosixPath

from governance.checks.base import Finding
from governance.checks.scanning import arrow, gguf, hdf5, onnx, tensorflow, tensors, ubjson
from governance.checks.scanning.limits import CHUNK_BYTES

_NATIVE = (b"\x7fELF", b"\xcf\xfa\xed\xfe", b"\xce\xfa\xed\xfe", b"\xca\xfe\xba\xbe", b"\x00asm", b"!<arch>\n", b"dex\n035")
_NATIVE_SUFFIXES = frozenset({".so", ".pyd", ".dll", ".dylib", ".exe", ".pyc", ".pyo", ".jar", ".class", ".wasm", ".whl", ".egg"})
# The magic number of compiled Python is two bytes and these two, which no text has at this place.
_PYC_TAIL, _PYC_FROM, _PYC_TO = b"\r\n", 3000, 3999
_R_MAGIC = (
    b"RDX2\n",
    b"RDX3\n",
    b"RDA2\n",
    b"RDA3\n",
    b"X\n\x00\x00\x00",
    b"A\n2\n",
    b"A\n3\n",
    b"B\n\x02\x00\x00\x00",
    b"B\n\x03\x00\x00\x00",
)
_TABLE_END = b"\x57\xfb\x80\x8b\x24\x75\x47\xdb"  # of an index of TensorFlow, an SSTable


@dataclass(frozen=True)
class Format:
    """A format that is not packed. belongs: (name, data) -> whether it is one. look: (data, location) -> what is wrong with it."""

    kind: str
    belongs: Callable[[str, bytes], bool]
    look: Callable[[bytes, str], list[Finding]]


def _nothing(data: bytes, location: str) -> list[Finding]:
    return []


def _begins(*magic: bytes) -> Callable[[str, bytes], bool]:
    return lambda _, data: data.startswith(magic)


def _called(*suffixes: str) -> Callable[[str, bytes], bool]:
    return lambda name, _: PurePosixPath(name).suffix.lower() in suffixes


def _r_findings(data: bytes, location: str) -> list[Finding]:
    message = "Objects saved by R can hold promises, which run code when they are read (CVE-2024-27322)."
    return [Finding("r-serialization", "high", location, message)]


# Tried in this order.
FORMATS: tuple[Format, ...] = (
    Format("numpy", _begins(b"\x93NUMPY"), tensors.npy_findings),
    Format("parquet", lambda _, data: data.startswith(b"PAR1") and data.endswith(b"PAR1"), arrow.parquet_findings),
    Format("arrow", lambda _, data: data.startswith(b"ARROW1") and data.endswith(b"ARROW1"), arrow.arrow_findings),
    Format("image", _begins(b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"), _nothing),
    Format("hdf5", _begins(hdf5.MAGIC), hdf5.hdf5_findings),
    Format("gguf", _begins(gguf.MAGIC), gguf.gguf_findings),
    Format("catboost", _begins(b"CBM1"), _nothing),
    Format("r", _begins(*_R_MAGIC), _r_findings),
    Format("ubjson", lambda name, data: _called(".ubj", ".xgb")(name, data) and data.startswith(b"{"), ubjson.ubjson_findings),
    Format("onnx", _called(".onnx"), onnx.onnx_findings),
    Format("tensorflow", _called(".pb"), tensorflow.graph_findings),
    Format("tensorflow", lambda name, data: name.endswith(".index") and data.endswith(_TABLE_END), _nothing),
    Format("safetensors", tensors.is_safetensors, tensors.safetensors_findings),
)


def is_native(name: str, data: bytes) -> bool:
    """Return whether it is compiled code, by its first bytes or its name."""
    if data.startswith(_NATIVE) or PurePosixPath(name).suffix.lower() in _NATIVE_SUFFIXES:
        return True
    if data.startswith(b"MZ"):  # which a column of a table may be called, too
        return not is_text(data)
    return data[2:4] == _PYC_TAIL and _PYC_FROM <= int.from_bytes(data[:2], "little") <= _PYC_TO


def is_text(data: bytes) -> bool:
    """Return whether it is UTF-8 without zeros, without taking memory for another copy of it."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for start in range(0, len(data), CHUNK_BYTES):
            decoder.decode(data[start : start + CHUNK_BYTES])
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return b"\x00" not in data
