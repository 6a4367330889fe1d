"""Find out what a run of bytes is, and look into it; what nobody knows is a finding, never clean."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import PurePosixPath

from governance.checks.base import Finding, Severity
from governance.checks.scanning import archives, formats, layouts, onnx, pickles, skops_files, streams, texts, verdicts
from governance.checks.scanning.archives import Member
from governance.checks.scanning.layouts import Layout
from governance.checks.scanning.limits import Limits, Unreadable
from governance.checks.scanning.model_formats import MODEL_FORMATS

_PICKLE_SUFFIXES = frozenset({".pkl", ".pickle", ".p", ".joblib", ".pt", ".pth", ".ckpt", ".dill", ".cloudpickle"})
_GRAVE = frozenset({"bomb", "broken-pickle", "scanner-missing", "too-large"})
_HIGHEST_PROTOCOL = 5
_MOST_FINDINGS = 200


@dataclass
class Seen:
    """What was found in one file.

    kind: what it turned out to be. formats: of a model, in which it or a part of it is kept. numbers: files beside it that
    it says hold its numbers.
    """

    kind: str = ""
    findings: list[Finding] = field(default_factory=list)
    formats: set[str] = field(default_factory=set)
    numbers: set[str] = field(default_factory=set)

    def add(self, kind: str, *findings: Finding) -> Seen:
        """Note the kind, if none was noted yet, and findings, of which there are enough at some point."""
        self.kind = self.kind or kind
        if kind in MODEL_FORMATS:
            self.formats.add(kind)
        self.findings += findings[: _MOST_FINDINGS - len(self.findings)]
        return self


@dataclass(frozen=True)
class Inspector:
    """Looks into bytes.

    named: files that MLmodel tells a loader to open, whatever their suffix. own: top-level modules of the code that comes with the model.
    """

    limits: Limits
    named: frozenset[str] = frozenset()
    own: frozenset[str] = frozenset()

    def inspect(self, name: str, data: bytes, location: str, depth: int = 0, *, numbers: bool = False) -> Seen:
        """Return what the bytes are and what is wrong with them. Never raises for anything in the bytes.

        numbers: a framework reads them by offset alone, so they need no form that is known.
        """
        try:
            if depth > self.limits.depth:
                raise Unreadable(f"it is packed more than {self.limits.depth} times", "bomb")
            return self._look(name, data, location, depth, numbers=numbers)
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
        except Exception as cause:  # noqa: BLE001  # whatever a hostile file makes a reader trip over is a finding on that file
            message = f"{name} was not fully looked into: a reader failed with {type(cause).__name__}: {str(cause)[:300]}."
            return Seen().add("unreadable", Finding("unreadable", "high", location, message))

    def _look(self, name: str, data: bytes, location: str, depth: int, *, numbers: bool) -> Seen:
        suffix = PurePosixPath(name).suffix.lower()
        if not data:
            return Seen("empty")
        if formats.is_native(name, data) and not numbers:
            return Seen().add("native code", Finding("native-code", "high", location, f"{name} is compiled code."))
        compression = streams.kind(data)
        if compression and not numbers:
            return self._compressed(compression, name, data, location, depth)
        if archives.is_archive(data):
            return self._archive(suffix, data, location, depth)
        seen = self._plain(name, suffix, data, location, numbers=numbers)
        if zipfile.is_zipfile(BytesIO(data)):
            inner = self._archive("", data[data.find(b"PK\x03\x04") :], location, depth)
            message = f"{name} is {seen.kind} and a zip archive at once; loaders may disagree on which."
            seen.add("", Finding("two-formats", "high", location, message), *inner.findings)
        return seen

    def _compressed(self, compression: str, name: str, data: bytes, location: str, depth: int) -> Seen:
        unpacked = streams.decompress(data, compression, self.limits)
        inner = self.inspect(_inner_name(name), unpacked, location, depth + 1)
        return Seen(f"{inner.kind}, {compression}", inner.findings, inner.formats)

    def _archive(self, suffix: str, data: bytes, location: str, depth: int) -> Seen:
        shape = layouts.layout(archives.names(data), suffix) if data.startswith(b"PK") else Layout("tar")
        seen = Seen(shape.kind)
        for member in archives.members(data, location, self.limits):
            if isinstance(member, Member):
                inside = member.name in shape.numbers
                place = f"{location}!{member.name}"
                inner = self.inspect(PurePosixPath(member.name).name, member.data, place, depth + 1, numbers=inside)
                seen.add("", *inner.findings)
                seen.formats |= inner.formats
            else:
                seen.add("", member)
        if shape.kind == "skops":
            seen.add("", *skops_files.skops_findings(data, location))
        if shape.kind == "torchscript":
            message = "The archive holds a program in TorchScript, which runs when the model is asked. Review it."
            seen.add("", Finding("code", "medium", location, message))
        if shape.kind in MODEL_FORMATS:
            seen.formats = {shape.kind}  # its parts belong to it
        elif shape.kind != "numpy arrays":
            seen.formats.add("archive")
        return seen

    def _plain(self, name: str, suffix: str, data: bytes, location: str, *, numbers: bool) -> Seen:
        must_be_pickle = suffix in _PICKLE_SUFFIXES or location in self.named
        if numbers or layouts.is_shard(name):
            return Seen("numbers", _hidden_pickle(data, location))
        # Also under the name of another format: a loader may go by what MLmodel says.
        if data[0] == 0x80 and data[1:2] and data[1] <= _HIGHEST_PROTOCOL:
            return Seen().add("pickle", *verdicts.judge(data, location, self.own))
        for each in formats.FORMATS:
            if each.belongs(name, data):
                seen = Seen().add(each.kind, *each.look(data, location))
                seen.numbers = onnx.external_files(data) if each.kind == "onnx" else set()
                return seen
        if data[0] == 0x80 or (must_be_pickle and not formats.is_text(data)):
            return Seen().add("pickle", *verdicts.judge(data, location, self.own))
        if formats.is_text(data):
            return _text(name, data, location, must_be_pickle=suffix in _PICKLE_SUFFIXES)
        return _unknown(name, data, location)


def _inner_name(name: str) -> str:
    path = PurePosixPath(name)
    return path.stem if path.suffix.lower() in (".gz", ".bz2", ".xz", ".lzma", ".z") else name


def _unknown(name: str, data: bytes, location: str) -> Seen:
    message = f"{name} has a format that this scan does not know, so nobody has looked into it. Save it in a known format."
    return Seen().add("unknown", Finding("unknown-format", "medium", location, message), *_hidden_pickle(data, location))


def _hidden_pickle(data: bytes, location: str) -> list[Finding]:
    """Return findings if the bytes are also a pickle that imports something: a loader may ignore the suffix."""
    whole = True
    try:
        trace = pickles.follow(data)
    except pickles.PartlyRead as broken:
        trace, whole = broken.trace, False
    # A text can begin like an import by chance, hardly like one that is then called, or like a whole pickle.
    return verdicts.judge_trace(trace, location) if trace.names and (trace.calls or whole) else []


def _text(name: str, data: bytes, location: str, *, must_be_pickle: bool) -> Seen:
    kind, findings = texts.text_findings(name, data, location)
    if must_be_pickle and kind != "code":
        return Seen().add("pickle", *verdicts.judge(data, location), *findings)
    hidden = _hidden_pickle(data, location)
    return Seen().add("pickle" if hidden else kind, *hidden, *findings)
