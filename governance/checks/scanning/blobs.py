"""Find out what a run of bytes is, and look into it; what nobody knows is a finding, never clean."""

from __future__ import annotations

import json
import struct
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import PurePosixPath
from typing import Any

import yaml

from governance.checks.base import Finding, Severity
from governance.checks.scanning import allowlist, archives, configuration, pickles, streams, verdicts
from governance.checks.scanning.limits import Limits, Unreadable

_NATIVE = (b"\x7fELF", b"MZ", b"\xcf\xfa\xed\xfe", b"\xce\xfa\xed\xfe", b"\xca\xfe\xba\xbe", b"\x00asm")
_NATIVE_SUFFIXES = frozenset({".so", ".pyd", ".dll", ".dylib", ".exe", ".pyc", ".pyo", ".jar", ".class", ".wasm"})
_SCRIPT_SUFFIXES = frozenset({".sh", ".bash", ".bat", ".cmd", ".ps1", ".pl", ".rb", ".js", ".r", ".jl", ".lua"})
_PICKLE_SUFFIXES = frozenset({".pkl", ".pickle", ".p", ".joblib", ".pt", ".pth", ".ckpt", ".dill", ".cloudpickle"})
_YAML_SUFFIXES = frozenset({".yaml", ".yml"})
_GRAVE = frozenset({"bomb", "broken-pickle", "scanner-missing", "too-large"})
_LONGEST_SAFETENSORS_HEADER = 100_000_000


@dataclass
class Seen:
    """What was found in one file. kind: what it turned out to be."""

    kind: str = ""
    findings: list[Finding] = field(default_factory=list)

    def add(self, kind: str, *findings: Finding) -> Seen:
        """Note the kind, if none was noted yet, and findings."""
        self.kind = self.kind or kind
        self.findings += findings
        return self


@dataclass(frozen=True)
class Inspector:
    """Looks into bytes.

    named: files that MLmodel tells a loader to open, whatever their suffix. own: top-level modules of the code that comes with the model.
    """

    limits: Limits
    named: frozenset[str] = frozenset()
    own: frozenset[str] = frozenset()

    def inspect(self, name: str, data: bytes, location: str, depth: int = 0) -> Seen:
        """Return what the bytes are and what is wrong with them. Never raises for anything in the bytes."""
        try:
            if depth > self.limits.depth:
                raise Unreadable(f"it is packed more than {self.limits.depth} times", "bomb")
            return self._look(name, data, location, depth)
        except Unreadable as cause:
            severity: Severity = "high" if cause.rule in _GRAVE else "medium"
            message = f"{name} was not fully looked into: {cause}."
            return Seen().add("unreadable", Finding(cause.rule, severity, location, message))
        except RecursionError:
            return Seen().add("unreadable", Finding("unreadable", "high", location, f"{name} is nested too deeply."))
        except MemoryError:
            return Seen().add(
                "unreadable", Finding("too-large", "high", location, f"{name} needs more memory than the scan has.")
            )

    def _look(self, name: str, data: bytes, location: str, depth: int) -> Seen:
        suffix = PurePosixPath(name).suffix.lower()
        if not data:
            return Seen("empty")
        if data.startswith(_NATIVE) or suffix in _NATIVE_SUFFIXES:
            return Seen().add("native code", Finding("native-code", "high", location, f"{name} is compiled code."))
        compression = streams.kind(data)
        if compression:
            return self._compressed(compression, name, data, location, depth)
        if archives.is_archive(data):
            return self._archive(suffix, data, location, depth)
        seen = self._plain(name, suffix, data, location)
        if zipfile.is_zipfile(BytesIO(data)):
            inner = self._archive("", data[data.find(b"PK\x03\x04") :], location, depth)
            message = f"{name} is {seen.kind} and a zip archive at once; loaders may disagree on which."
            seen.add("", Finding("two-formats", "high", location, message), *inner.findings)
        return seen

    def _compressed(self, compression: str, name: str, data: bytes, location: str, depth: int) -> Seen:
        unpacked = streams.decompress(data, compression, self.limits)
        inner = self.inspect(_inner_name(name), unpacked, location, depth + 1)
        return Seen(f"{inner.kind}, {compression}", inner.findings)

    def _archive(self, suffix: str, data: bytes, location: str, depth: int) -> Seen:
        seen = Seen("zip" if data.startswith(b"PK") else "tar")
        names = []
        tensors = _tensors(data)
        for member in archives.members(data, location, self.limits):
            if isinstance(member, Finding):
                seen.add("", member)
                continue
            names.append(member.name)
            inner = self.inspect(PurePosixPath(member.name).name, member.data, f"{location}!{member.name}", depth + 1)
            seen.add("", *(each for each in inner.findings if each.rule != "unknown-format" or member.name not in tensors))
        if suffix == ".skops" or "schema.json" in names:
            seen.kind = "skops"
            seen.add("", *_skops(data, location))
        return seen

    def _plain(self, name: str, suffix: str, data: bytes, location: str) -> Seen:
        for kind, belongs, look in _FORMATS:
            if belongs(suffix, data):
                return Seen(kind, look(name, data, location))
        must_be_pickle = suffix in _PICKLE_SUFFIXES or location in self.named
        if data[:1] == b"\x80" or (must_be_pickle and not _is_text(data)):
            return Seen("pickle", verdicts.judge(data, location, self.own))
        if _is_text(data):
            return _text(name, suffix, data, location, must_be_pickle=suffix in _PICKLE_SUFFIXES)
        return _unknown(name, data, location)


def _tensors(data: bytes) -> frozenset[str]:
    """Return the members of an archive of PyTorch that hold a tensor's numbers without any header, which are read as such and no else.

    Source: torch/serialization.py, `_save` (data.pkl beside data/KEY), and torch/export/pt2_archive/constants.py (data/weights/).
    """
    try:
        names = zipfile.ZipFile(BytesIO(data)).namelist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError):
        return frozenset()
    pickled = {name.removesuffix("data.pkl") for name in names if name.endswith("/data.pkl")}
    exported = {name.removesuffix("archive_format") for name in names if name.endswith("/archive_format")}
    places = (*(f"{root}data/" for root in pickled), *(f"{root}data/weights/weight_" for root in exported))
    places += tuple(f"{root}data/constants/tensor_" for root in exported)
    return frozenset(name for name in names for place in places if name.startswith(place) and name.removeprefix(place).isdigit())


def _inner_name(name: str) -> str:
    path = PurePosixPath(name)
    return path.stem if path.suffix.lower() in (".gz", ".bz2", ".xz", ".lzma", ".z") else name


def _is_text(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return b"\x00" not in data


def _unknown(name: str, data: bytes, location: str) -> Seen:
    message = f"{name} has a format that this scan does not know, so nobody has looked into it. Save it in a known format."
    return Seen().add("unknown", Finding("unknown-format", "medium", location, message), *_hidden_pickle(data, location))


def _hidden_pickle(data: bytes, location: str) -> list[Finding]:
    """Return findings if the bytes are also a pickle that calls something: a loader may ignore the suffix."""
    try:
        trace = pickles.follow(data)
    except pickles.PartlyRead as broken:
        trace = broken.trace
    return verdicts.judge_trace(trace, location) if trace.calls and trace.names else []


def _text(name: str, suffix: str, data: bytes, location: str, *, must_be_pickle: bool) -> Seen:
    if must_be_pickle:
        return Seen("pickle", verdicts.judge(data, location))
    hidden = _hidden_pickle(data, location)
    if hidden:
        return Seen("pickle", hidden)
    text = data.decode("utf-8")
    if suffix == ".py" or (suffix in _SCRIPT_SUFFIXES or text.startswith("#!")):
        kind = "python code" if suffix == ".py" else "script"
        return Seen().add(kind, Finding("code", "medium", location, f"{name} is code that comes with the model. Review it."))
    if suffix in _YAML_SUFFIXES or name == "MLmodel":
        return Seen("MLmodel" if name == "MLmodel" else "yaml", _yaml(name, text, location))
    if name.startswith("requirements") or name in ("constraints.txt", "build_requirements.txt"):
        return Seen("requirements", list(configuration.requirements_findings(text, location)))
    return Seen("text")


def _yaml(name: str, text: str, location: str) -> list[Finding]:
    findings = configuration.yaml_findings(text, location)
    if findings:
        return findings
    parsed = yaml.safe_load(text)
    if name == "MLmodel":
        findings += configuration.mlmodel_findings(parsed, location)
    elif name in ("conda.yaml", "conda.yml", "python_env.yaml"):
        findings += configuration.environment_findings(parsed, location)
    return findings


def _skops(data: bytes, location: str) -> list[Finding]:
    try:
        from skops.io import get_untrusted_types  # two seconds that only a skops file should cost

        types = get_untrusted_types(data=data)
    except ImportError as cause:
        raise Unreadable(f"skops is not installed in the environment of the check: {cause}", "scanner-missing") from cause
    except Exception as cause:  # a hostile schema may trip it anywhere
        raise Unreadable(f"skops cannot read it: {type(cause).__name__}: {cause}") from cause
    return [
        Finding("untrusted-type", "high", location, f"Loading makes the type {name}, which is not a known part of a model.")
        for name in sorted(map(str, types))
        if not allowlist.allows_type(name)
    ]


def _npy(name: str, data: bytes, location: str) -> list[Finding]:
    from numpy.lib import format as npy

    file = BytesIO(data)
    try:
        version = npy.read_magic(file)
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, _, dtype = read(file)
    except (ValueError, SyntaxError, EOFError) as cause:
        raise Unreadable(f"its header is broken: {cause}") from cause
    rest = data[file.tell() :]
    if dtype.hasobject:
        return verdicts.judge(rest, location)
    expected = dtype.itemsize
    for length in shape:
        expected *= int(length)
    if expected != len(rest):
        raise Unreadable(f"it should hold {expected} bytes of numbers and holds {len(rest)}")
    return []


def _safetensors(name: str, data: bytes, location: str) -> list[Finding]:
    (length,) = struct.unpack("<Q", data[:8])
    try:
        header: Any = json.loads(data[8 : 8 + length])
    except ValueError as cause:
        raise Unreadable(f"its header is broken: {cause}") from cause
    ends = [each["data_offsets"][1] for key, each in header.items() if key != "__metadata__"] if isinstance(header, dict) else []
    if 8 + length + max(ends, default=0) != len(data):
        raise Unreadable("its header does not account for all of its bytes")
    return []


def _is_safetensors(suffix: str, data: bytes) -> bool:
    if len(data) < 10 or data[8:9] != b"{":
        return False
    (length,) = struct.unpack("<Q", data[:8])
    return bool(8 + length <= len(data) and length <= _LONGEST_SAFETENSORS_HEADER)


def _onnx(name: str, data: bytes, location: str) -> list[Finding]:
    """Return a finding if a top-level field is none of ModelProto's. Source: onnx.proto3, message ModelProto."""
    position, fields = 0, set()
    while position < len(data):
        tag, position = _varint(data, position)
        fields.add(tag >> 3)
        position = _behind_field(data, position, tag & 7)
    unknown = fields - {1, 2, 3, 4, 5, 6, 7, 8, 14, 20, 25, 26}
    if unknown or position != len(data) or 7 not in fields:
        raise Unreadable("it is not an ONNX model")
    return []


def _behind_field(data: bytes, position: int, wire_type: int) -> int:
    if wire_type == 0:
        return _varint(data, position)[1]
    if wire_type == 2:
        length, position = _varint(data, position)
        return position + length
    if wire_type in (1, 5):
        return position + (8 if wire_type == 1 else 4)
    raise Unreadable("it is not an ONNX model")


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if position >= len(data):
            break
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if not byte & 0x80:
            return value, position
    raise Unreadable("it is not an ONNX model")


def _nothing(name: str, data: bytes, location: str) -> list[Finding]:
    return []


# Formats that hold numbers and no code, tried in this order. (name, does it begin like one, what is wrong with it)
_FORMATS: list[tuple[str, Callable[[str, bytes], bool], Callable[[str, bytes, str], list[Finding]]]] = [
    ("numpy array", lambda _, data: data.startswith(b"\x93NUMPY"), _npy),
    ("parquet", lambda _, data: data.startswith(b"PAR1") and data.endswith(b"PAR1"), _nothing),
    ("arrow", lambda _, data: data.startswith(b"ARROW1") and data.endswith(b"ARROW1"), _nothing),
    ("image", lambda _, data: data.startswith((b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")), _nothing),
    ("ubjson", lambda suffix, data: suffix in (".ubj", ".xgb") and data.startswith(b"{"), _nothing),
    ("onnx", lambda suffix, _: suffix == ".onnx", _onnx),
    ("safetensors", _is_safetensors, _safetensors),
]
