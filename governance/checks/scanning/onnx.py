"""Walk an ONNX model: where its tensors lie, and which operators it needs. Source: onnx.proto3, IR version 10."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from governance.checks.base import Finding
from governance.checks.scanning.documents import shown
from governance.checks.scanning.limits import Unreadable
from governance.checks.scanning.protobuf import Field, fields, numbers, text

_MODEL_FIELDS = frozenset({1, 2, 3, 4, 5, 6, 7, 8, 14, 20, 25, 26})
_GRAPH, _FUNCTIONS, _TRAINING = 7, 25, 20
_OWN_DOMAINS = frozenset(
    {"", "ai.onnx", "ai.onnx.ml", "ai.onnx.training", "ai.onnx.preview", "ai.onnx.preview.training"}
    | {"com.microsoft", "com.microsoft.nchwc", "com.microsoft.experimental", "com.ms.internal.nhwc"}
)
_DEEPEST = 32
_MOST_FINDINGS = 50
_MOST_CELLS = 1 << 40


@dataclass
class _Seen:
    """files: where tensors say they lie. operators: (domain, name) with the byte of the first. functions: those it defines itself."""

    files: dict[str, int] = field(default_factory=dict)
    operators: dict[tuple[str, str], int] = field(default_factory=dict)
    functions: set[tuple[str, str]] = field(default_factory=set)
    huge: list[int] = field(default_factory=list)


def onnx_findings(data: bytes, location: str) -> list[Finding]:
    """Return the findings on a model. Raises Unreadable for what is not one."""
    return list(_findings(_walk(data), location))


def external_files(data: bytes) -> set[str]:
    """Return the files, inside of the model's folder, that hold its tensors."""
    return {str(PurePosixPath(each)) for each in _walk(data).files if not _escapes(each)}


def _walk(data: bytes) -> _Seen:
    seen = _Seen()
    tags = set()
    for each in fields(data):
        tags.add(each.tag)
        if each.is_message and each.tag == _GRAPH:
            _graph(data, each, seen, 0)
        elif each.is_message and each.tag == _FUNCTIONS:
            _function(data, each, seen)
        elif each.is_message and each.tag == _TRAINING:
            for part in fields(data, each.start, each.end):
                if part.is_message and part.tag in (1, 2):  # initialization, algorithm
                    _graph(data, part, seen, 0)
    if tags - _MODEL_FIELDS or _GRAPH not in tags:
        raise Unreadable("it is not an ONNX model")
    return seen


def _findings(seen: _Seen, location: str) -> Iterator[Finding]:
    for path, at in list(seen.files.items())[:_MOST_FINDINGS]:
        if _escapes(path):
            message = f"A tensor at byte {at} lies in {shown(path)}, outside of the model's folder: loading reads that file."
            yield Finding("external-data", "critical", location, message)
    foreign = [(name, at) for name, at in seen.operators.items() if name[0] not in _OWN_DOMAINS and name not in seen.functions]
    for (domain, name), at in foreign[:_MOST_FINDINGS]:
        message = f"The operator {shown(name)} of {shown(domain)} at byte {at} is none of ONNX: it needs a library of code."
        yield Finding("custom-operator", "high", location, message)
    for at in seen.huge[:1]:
        message = f"A tensor at byte {at} says it has more than {_MOST_CELLS} values."
        yield Finding("bomb", "high", location, message)


def _graph(data: bytes, graph: Field, seen: _Seen, depth: int) -> None:
    if depth > _DEEPEST:
        raise Unreadable(f"its graphs lie within each other more than {_DEEPEST} deep", "bomb")
    for each in fields(data, graph.start, graph.end):
        if not each.is_message:
            continue
        if each.tag == 1:
            _node(data, each, seen, depth)
        elif each.tag == 5:
            _tensor(data, each, seen)
        elif each.tag == 15:  # sparse_initializer
            _sparse(data, each, seen)


def _node(data: bytes, node: Field, seen: _Seen, depth: int) -> None:
    name = domain = ""
    for each in fields(data, node.start, node.end):
        if each.tag == 4 and each.is_message:
            name = text(data, each)
        elif each.tag == 7 and each.is_message:
            domain = text(data, each)
        elif each.tag == 5 and each.is_message:
            _attribute(data, each, seen, depth)
    seen.operators.setdefault((domain, name), node.start)


def _attribute(data: bytes, attribute: Field, seen: _Seen, depth: int) -> None:
    for each in fields(data, attribute.start, attribute.end):
        if not each.is_message:
            continue
        if each.tag in (6, 11):  # g, graphs
            _graph(data, each, seen, depth + 1)
        elif each.tag in (5, 10):  # t, tensors
            _tensor(data, each, seen)
        elif each.tag in (22, 23):  # sparse_tensor, sparse_tensors
            _sparse(data, each, seen)


def _function(data: bytes, function: Field, seen: _Seen) -> None:
    name = domain = ""
    for each in fields(data, function.start, function.end):
        if each.tag == 1 and each.is_message:
            name = text(data, each)
        elif each.tag == 10 and each.is_message:
            domain = text(data, each)
        elif each.tag == 7 and each.is_message:
            _node(data, each, seen, 1)
    seen.functions.add((domain, name))


def _sparse(data: bytes, sparse: Field, seen: _Seen) -> None:
    for each in fields(data, sparse.start, sparse.end):
        if each.is_message and each.tag in (1, 2):  # values, indices
            _tensor(data, each, seen)


def _tensor(data: bytes, tensor: Field, seen: _Seen) -> None:
    dimensions: list[int] = []
    for each in fields(data, tensor.start, tensor.end):
        if each.tag == 1:
            dimensions += numbers(data, each)
        elif each.tag == 13 and each.is_message:  # external_data, a key and its value
            entry = {part.tag: text(data, part) for part in fields(data, each.start, each.end) if part.is_message}
            if entry.get(1) == "location":
                seen.files.setdefault(entry.get(2, ""), tensor.start)
    if math.prod(min(each, _MOST_CELLS + 1) for each in dimensions[:64]) > _MOST_CELLS:
        seen.huge.append(tensor.start)


def _escapes(path: str) -> bool:
    parts = PurePosixPath(path.replace("\\", "/"))
    return not path or "://" in path or parts.is_absolute() or ".." in parts.parts or path[1:2] == ":" or "\x00" in path
