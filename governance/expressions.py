"""Requirements' expressions: CEL over a typed context, checked when a policy is published, failing closed when evaluated.

Source of the language: Common Expression Language, cel-spec. The library is used here alone, so that it can be exchanged.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import msgspec
from cel_expr_python import cel
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from governance.facts import Facts
from governance.reads import Reads, Shape, reads

_F = descriptor_pb2.FieldDescriptorProto
_SCALARS = {"text": _F.TYPE_STRING, "number": _F.TYPE_DOUBLE, "integer": _F.TYPE_INT64, "flag": _F.TYPE_BOOL}
_CEL_KINDS = {"text": "STRING", "number": "DOUBLE", "integer": "INT", "flag": "BOOL"}

# The context: message -> field -> type. "map X" is map<string, X>, "list X" is repeated X.
CONTEXT: dict[str, dict[str, str]] = {
    "Measurement": {
        "metric": "text", "slice": "text", "value": "number", "n": "integer", "ci_low": "number", "ci_high": "number", "method": "text",
        "source": "text",
    },
    "Finding": {"check": "text", "rule": "text", "severity": "text", "location": "text", "message": "text", "source": "text"},
    "Check": {
        "name": "text", "state": "text", "run": "text", "result": "text", "reason": "text", "tables": "text", "source": "text",
        "signed_by": "text",
    },
    "Version": {
        "present": "flag", "number": "integer", "digest": "text", "created_by": "text", "run_owner": "text", "signature": "flag",
        "flavors": "list text", "size_bytes": "integer", "measurements": "map Measurement", "findings": "list Finding",
        "checks": "map Check", "card": "map text", "card_digest": "text",
    },
    "Model": {"name": "text", "risk_tier": "text", "tags": "map text"},
    "Request": {
        "id": "integer", "requested_by": "text", "target_kind": "text", "target": "text", "from_stage": "text", "kind": "text",
        "earlier_approval": "flag",
    },
    "Review": {
        "reviewer": "text", "verdict": "text", "groups": "list text", "counts": "flag", "why_not": "text", "on_behalf_of": "text",
        "in_owner_team": "flag", "note": "text",
    },
    "Waiver": {
        "id": "integer", "policy": "text", "requirement": "text", "scope": "text", "reason": "text", "compensating_control": "text",
        "approved_by": "text", "expires_at": "text",
    },
    "OpenFinding": {
        "id": "integer", "title": "text", "severity": "text", "source": "text", "version": "integer", "owner": "text", "due": "text",
        "overdue": "flag",
    },
    "Calendar": {"now": "integer", "date": "text", "weekday": "integer", "hour": "integer"},
    "Discussion": {"threads": "integer", "unresolved": "integer"},
}  # fmt: skip

# What an expression can name. measurements and findings are the candidate's, for short.
VARIABLES: dict[str, str] = {
    "request": "Request",
    "model": "Model",
    "version": "Version",
    "champion": "Version",
    "measurements": "map Measurement",
    "findings": "list Finding",
    "reviews": "list Review",
    "waivers": "list Waiver",
    "open_findings": "list OpenFinding",
    "calendar": "Calendar",
    "discussion": "Discussion",
}


_PARSED = {
    name: {key: (kind.rpartition(" ")[0], kind.rpartition(" ")[2]) for key, kind in fields.items()}
    for name, fields in CONTEXT.items()
}
_NOT_MEASURED = float("nan")


class ExpressionError(Exception):
    """An expression that does not compile; line and column count from 1 within its own text."""

    def __init__(self, message: str, line: int, column: int) -> None:
        super().__init__(message)
        self.message, self.line, self.column = message, line, column


class Value(msgspec.Struct, frozen=True):
    """What an expression gave: a value, or the reason why there is none."""

    value: Any
    error: str = ""

    @property
    def ok(self) -> bool:
        return not self.error


_TRUE, _FALSE = Value(True), Value(False)


@dataclass(frozen=True)
class Expression:
    """A compiled expression, its text and what of the context it reads."""

    text: str
    compiled: Any
    reads: Reads


class Language:
    """The expressions of one policy: the context above and ``params`` with the policy's own parameters."""

    def __init__(self, parameters: Mapping[str, str]) -> None:
        pool = descriptor_pool.DescriptorPool()
        pool.AddSerializedFile(_file({**CONTEXT, "Params": dict(parameters)}).SerializeToString())
        self._messages = {
            name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"countersign.{name}"))
            for name in (*CONTEXT, "Params")
        }
        declared = {name: _cel_type(kind) for name, kind in VARIABLES.items()}
        self._env = cel.NewEnv(descriptor_pool=pool, variables={**declared, "params": cel.Type("countersign.Params")})
        self._parameters = dict(parameters)

    def compile(self, text: str, expected: tuple[str, ...]) -> Expression:
        """Return the compiled expression. Raises ExpressionError if it is malformed or not of an expected type."""
        try:
            compiled = self._env.compile(text)
        except RuntimeError as error:
            raise explained(str(error), self._fields()) from None
        kind = compiled.return_type().name()
        if kind not in expected and kind != "DYN":
            wanted = " or ".join(_KINDS_IN_WORDS[each] for each in expected)
            raise ExpressionError(f"the expression gives {_in_words(kind)}; expected {wanted}", 1, 1)
        return Expression(text, compiled, reads(compiled.serialize()))

    def context(self, facts: Facts, parameters: Mapping[str, Any], only: Reads | None = None) -> Any:
        """Return what expressions are evaluated against. only: what they read, so that the rest need not be built."""
        shape: dict[str, Shape] = dict.fromkeys((*VARIABLES, "params")) if only is None else only.shape
        data = {
            name: self._built(*_VARIABLES[name], _SOURCES[name](facts), below)
            for name, below in shape.items()
            if name in _VARIABLES
        }
        if "params" in shape:
            data["params"] = self._messages["Params"](
                **{name: float(value) if self._parameters[name] == "number" else value for name, value in parameters.items()}
            )
        return self._env.Activation(data=data)

    def _built(self, container: str, item: str, value: Any, shape: Shape) -> Any:
        if container == "list":
            return value if item in _SCALARS else [self._message(item, each, None) for each in value]
        if container == "map":
            keys = value if shape is None else [key for key in shape if key in value]
            if item in _SCALARS:
                return {key: value[key] for key in keys}
            return {key: self._message(item, value[key], shape and shape[key]) for key in keys}
        return self._message(item, value, shape)

    def _message(self, name: str, value: Any, shape: Shape) -> Any:
        kinds, parts = _PARSED[name], {}
        for key in kinds if shape is None else shape:
            container, item = kinds[key]
            part = getattr(value, key)
            if container or item not in _SCALARS:
                part = self._built(container, item, part, shape and shape[key])
            elif item == "number":
                # What was not measured must satisfy no comparison, neither way: NaN does that, an unset 0 would not. JSON knows
                # no negative zero, and facts that come back from it must give the same.
                part = _NOT_MEASURED if part is None else part + 0.0
            parts[key] = part
        return self._messages[name](**parts)

    def _fields(self) -> dict[str, list[str]]:
        return {**{name: list(fields) for name, fields in CONTEXT.items()}, "Params": list(self._parameters)}


@lru_cache(maxsize=256)
def language(parameters: tuple[tuple[str, str], ...]) -> Language:
    """Return the language of a policy with these parameters (name, type); making one costs milliseconds."""
    return Language(dict(parameters))


def evaluate(expression: Expression, context: Any) -> Value:
    """Evaluate an expression. A failure is never a value: the library hands errors back as truthy results."""
    try:
        result = expression.compiled.eval(activation=context)
    except RuntimeError as error:  # such as a budget of iterations that is used up
        return Value(None, _plain(str(error)))
    value = result.plain_value()
    if value is True:
        return _TRUE
    if value is False:
        return _FALSE
    if result.type().name() in ("ERROR", "UNKNOWN"):
        return Value(None, _plain(str(value)))
    return Value(value)


_VARIABLES = {name: (kind.rpartition(" ")[0], kind.rpartition(" ")[2]) for name, kind in VARIABLES.items()}
_SOURCES: dict[str, Callable[[Facts], Any]] = {
    **{name: operator.attrgetter(name) for name in VARIABLES},
    "measurements": operator.attrgetter("version.measurements"),
    "findings": operator.attrgetter("version.findings"),
}


def _file(messages: Mapping[str, Mapping[str, str]]) -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(name="countersign.proto", package="countersign", syntax="proto3")
    for name, fields in messages.items():
        message = file.message_type.add(name=name)
        for number, (key, kind) in enumerate(fields.items(), 1):
            _add_field(message, name, number, key, kind)
    return file


def _add_field(message: Any, owner: str, number: int, key: str, kind: str) -> None:
    shape, _, item = kind.rpartition(" ")
    field = message.field.add(name=key, number=number, label=_F.LABEL_REPEATED if shape else _F.LABEL_OPTIONAL)
    if shape == "map":
        entry_name = "".join(part.capitalize() for part in key.split("_")) + "Entry"
        entry = message.nested_type.add(name=entry_name)
        entry.options.map_entry = True
        entry.field.add(name="key", number=1, type=_F.TYPE_STRING, label=_F.LABEL_OPTIONAL)
        _set_type(entry.field.add(name="value", number=2, label=_F.LABEL_OPTIONAL), item)
        field.type, field.type_name = _F.TYPE_MESSAGE, f".countersign.{owner}.{entry_name}"
    else:
        _set_type(field, item)


def _set_type(field: Any, kind: str) -> None:
    if kind in _SCALARS:
        field.type = _SCALARS[kind]
    else:
        field.type, field.type_name = _F.TYPE_MESSAGE, f".countersign.{kind}"


def _cel_type(kind: str) -> Any:
    shape, _, item = kind.rpartition(" ")
    inner = getattr(cel.Type, _CEL_KINDS[item]) if item in _CEL_KINDS else cel.Type(f"countersign.{item}")
    if shape == "map":
        return cel.Type.Map(cel.Type.STRING, inner)
    return cel.Type.List(inner) if shape == "list" else inner


_AT = re.compile(r"ERROR: <input>:(\d+):(\d+): (.*)")
_KINDS_IN_WORDS = {"BOOL": "true or false", "DOUBLE": "a number", "INT": "a whole number", "STRING": "text"}


def _in_words(kind: str) -> str:
    return _KINDS_IN_WORDS.get(kind) or f"a {kind.removeprefix('countersign.')}"


def explained(message: str, fields: Mapping[str, Sequence[str]]) -> ExpressionError:
    """Return the library's refusal with its place and, where it can be guessed, what to write instead."""
    match = _AT.search(message)
    if match is None:
        nested = "recursion limit" in message
        return ExpressionError(
            "nested more than 32 levels deep; make it flatter, or two requirements" if nested else message, 1, 1
        )
    said = match[3].replace("countersign.", "").removesuffix(" (in container '')")
    return ExpressionError(_remedied(said, fields), int(match[1]), int(match[2]))


def _remedied(said: str, fields: Mapping[str, Sequence[str]]) -> str:
    if match := re.fullmatch(r"undefined field '(.*)' not found in struct '(.*)'", said):
        name, owner = match.groups()
        own = fields.get(owner, ())
        if owner == "Params":
            return f"undefined field '{name}': there is no parameter {name}; the policy has {', '.join(own) or 'none'}"
        return f"undefined field '{name}': {owner} has {', '.join(own)}"
    if match := re.fullmatch(r"undeclared reference to '(.*)'", said):
        return f"{said}: expressions know {', '.join((*VARIABLES, 'params'))}, and the functions and macros of CEL"
    if "no matching overload" in said and re.search(r"\((double, int|int, double)\)", said):
        return f"{said}; a number needs a decimal point, as in 0.0, and a whole number none"
    if "'= '" in said or "'='" in said:
        return f"{said}; compare with =="
    if "at '<EOF>'" in said or "input '<EOF>'" in said:
        return "Syntax error: the expression ends where more is expected; a bracket is open or a side of an operator is missing"
    if "token recognition error at: '\"" in said or "token recognition error at: ''" in said:
        return f"{said}; a text is not closed"
    return re.sub(r" expecting \{.*\}$", "", said)


def _plain(message: str) -> str:
    missing = re.search(r'Key not found in map : "(.*)"', message)
    return f'there is no "{missing[1]}"' if missing else message.partition(": ")[2] or message
