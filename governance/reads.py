"""What a compiled expression looks at, taken from its checked syntax tree. Pure.

Source of the tree: cel-spec, proto/cel/expr/syntax.proto and checked.proto; only the fields needed here are declared.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

Path = tuple[str, ...]
# Field or key -> what of it is read; None where all of it is.
Shape = dict[str, Any] | None

_F = descriptor_pb2.FieldDescriptorProto
_TREE: dict[str, dict[str, tuple[int, str]]] = {
    "Any": {"value": (2, "bytes")},
    "CheckedExpr": {"expr": (4, "Expr")},
    "Expr": {
        "constant": (3, "Constant"),
        "ident": (4, "Ident"),
        "select": (5, "Select"),
        "call": (6, "Call"),
        "list": (7, "CreateList"),
        "struct": (8, "CreateStruct"),
        "comprehension": (9, "Comprehension"),
    },
    "Constant": {"text": (6, "text")},
    "Ident": {"name": (1, "text")},
    "Select": {"operand": (1, "Expr"), "field": (2, "text"), "test_only": (3, "flag")},
    "Call": {"target": (1, "Expr"), "function": (2, "text"), "args": (3, "list Expr")},
    "CreateList": {"elements": (1, "list Expr")},
    "CreateStruct": {"entries": (2, "list Entry")},
    "Entry": {"map_key": (3, "Expr"), "value": (4, "Expr")},
    "Comprehension": {
        "iter_var": (1, "text"),
        "iter_range": (2, "Expr"),
        "accu_var": (3, "text"),
        "accu_init": (4, "Expr"),
        "loop_condition": (5, "Expr"),
        "loop_step": (6, "Expr"),
        "result": (7, "Expr"),
        "iter_var2": (8, "text"),
    },
}


@dataclass(frozen=True)
class Reads:
    """Paths into the context such as ``("measurements", "roc_auc", "value")``; a path that ends early means all below it.

    probes: paths of which it is asked whether they are there at all, with ``in`` or ``has``.
    """

    paths: frozenset[Path] = frozenset()
    probes: frozenset[Path] = frozenset()

    def __or__(self, other: Reads) -> Reads:
        return Reads(self.paths | other.paths, self.probes | other.probes)

    @cached_property
    def shape(self) -> dict[str, Shape]:
        """Return the same as a tree: name -> field or key -> ...; None where all of it is read."""
        tree: dict[str, Shape] = {}
        for path in sorted(self.paths, key=len):
            below: dict[str, Shape] = tree
            for part in path[:-1]:
                inner = below.setdefault(part, {})
                if inner is None:
                    break  # all of it is read anyway
                below = inner
            else:
                below[path[-1]] = None
        return tree

    def measurements(self) -> tuple[str, ...] | None:
        """Return the keys of the measurements read, the candidate's and the champion's; None if it may be any."""
        keys = list[str]()
        for path in sorted(self.paths):
            below = _below(path, "measurements")
            if below == ():
                return None
            if below:
                keys.append(below[0])
        return tuple(dict.fromkeys(keys))

    def gains_by_absence(self) -> bool:
        """Return whether evidence on the candidate that is not there could turn it to the better.

        So it is for whatever looks through the findings, measurements or checks ("none is critical"), or asks whether there is a
        certain measurement.
        """
        return any(
            _below(path, "findings") is not None
            or _below(path, "checks") == ()
            or _below(path, "measurements") == ()
            or (path in self.probes and _below(path, "measurements") is not None)
            for path in self.paths
            if path[0] != "champion"
        )


def reads(serialized: bytes) -> Reads:
    """Return what a serialized checked expression reads."""
    checked = _MESSAGES["CheckedExpr"].FromString(_MESSAGES["Any"].FromString(serialized).value)
    found = list(_walk(checked.expr, frozenset()))
    return Reads(frozenset(path for path, _ in found), frozenset(path for path, probed in found if probed))


def _below(path: Path, part: str) -> Path | None:
    """Return what follows a part of a version in a path; () if nothing does, None if the path leads elsewhere."""
    if path[0] == part:
        return path[1:]
    if path[0] in ("version", "champion"):
        return () if len(path) == 1 else path[2:] if path[1] == part else None
    return None


def _walk(expr: Any, local: frozenset[str]) -> Iterator[tuple[Path, bool]]:
    """Yield each path with whether it is only probed. local: names that a macro such as ``all`` bound."""
    path = _path(expr)
    if path is not None:
        if path[0] not in local:
            yield path, expr.select.test_only
        return
    if _is_literal_in(expr):
        held = _path(expr.call.args[1])
        if held is not None:
            if held[0] not in local:
                yield (*held, expr.call.args[0].constant.text), True
            return
    for part, bound in _parts(expr):
        yield from _walk(part, local | bound)


def _path(expr: Any) -> Path | None:
    """Return the path of a variable with fields and literal keys after it; None for anything else."""
    if expr.HasField("ident"):
        return (expr.ident.name,)
    if expr.HasField("select"):
        held, name = _path(expr.select.operand), expr.select.field
    elif expr.HasField("call") and expr.call.function == "_[_]":
        held, name = _path(expr.call.args[0]), expr.call.args[1].constant.text
    else:
        return None
    return (*held, name) if held is not None and name else None


def _is_literal_in(expr: Any) -> bool:
    return expr.HasField("call") and expr.call.function == "@in" and bool(expr.call.args[0].constant.text)


def _parts(expr: Any) -> Iterable[tuple[Any, frozenset[str]]]:
    nothing: frozenset[str] = frozenset()
    if expr.HasField("select"):
        yield expr.select.operand, nothing
    elif expr.HasField("call"):
        yield expr.call.target, nothing
        yield from ((part, nothing) for part in expr.call.args)
    elif expr.HasField("list"):
        yield from ((part, nothing) for part in expr.list.elements)
    elif expr.HasField("struct"):
        for entry in expr.struct.entries:
            yield from ((entry.map_key, nothing), (entry.value, nothing))
    elif expr.HasField("comprehension"):
        loop = expr.comprehension
        bound = frozenset((loop.iter_var, loop.iter_var2, loop.accu_var))
        yield from ((loop.iter_range, nothing), (loop.accu_init, nothing))
        yield from ((part, bound) for part in (loop.loop_condition, loop.loop_step, loop.result))


def _declared() -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(name="tree.proto", package="tree", syntax="proto3")
    kinds = {"bytes": _F.TYPE_BYTES, "text": _F.TYPE_STRING, "flag": _F.TYPE_BOOL}
    for name, fields in _TREE.items():
        message = file.message_type.add(name=name)
        for key, (number, kind) in fields.items():
            label = _F.LABEL_REPEATED if kind.startswith("list ") else _F.LABEL_OPTIONAL
            field = message.field.add(name=key, number=number, label=label)
            item = kind.removeprefix("list ")
            if item in kinds:
                field.type = kinds[item]
            else:
                field.type, field.type_name = _F.TYPE_MESSAGE, f".tree.{item}"
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"tree.{name}")) for name in _TREE}


_MESSAGES = _declared()
