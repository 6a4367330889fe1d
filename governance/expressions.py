"""Requirements' expressions: CEL over a typed context, checked when a policy is published, failing closed when evaluated.

Source of the language: Common Expression Language, cel-spec. The library is used here alone, so that it can be exchanged.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import msgspec
from cel_expr_python import cel
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory

from governance.facts import Facts, VersionFacts

_F = descriptor_pb2.FieldDescriptorProto
_SCALARS = {"text": _F.TYPE_STRING, "number": _F.TYPE_DOUBLE, "integer": _F.TYPE_INT64, "flag": _F.TYPE_BOOL}
_CEL_KINDS = {"text": "STRING", "number": "DOUBLE", "integer": "INT", "flag": "BOOL"}

# The context: message -> field -> type. "map X" is map<string, X>, "list X" is repeated X.
CONTEXT: dict[str, dict[str, str]] = {
    "Measurement": {
        "metric": "text", "slice": "text", "value": "number", "n": "integer", "ci_low": "number", "ci_high": "number", "method": "text",
    },
    "Finding": {"check": "text", "rule": "text", "severity": "text", "location": "text", "message": "text"},
    "Check": {"name": "text", "state": "text", "run": "text", "result": "text", "reason": "text"},
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


class ExpressionError(Exception):
    """An expression that does not compile; line and column count from 1 within its own text."""

    def __init__(self, message: str, line: int, column: int) -> None:
        super().__init__(message)
        self.message, self.line, self.column = message, line, column


@dataclass(frozen=True)
class Value:
    """What an expression gave: a value, or the reason why there is none."""

    value: Any
    error: str = ""

    @property
    def ok(self) -> bool:
        return not self.error


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

    def compile(self, text: str, expected: tuple[str, ...]) -> Any:
        """Return the compiled expression. Raises ExpressionError if it is malformed or not of an expected type."""
        try:
            compiled = self._env.compile(text)
        except RuntimeError as error:
            raise _explained(str(error)) from None
        kind = compiled.return_type().name()
        if kind not in expected and kind != "DYN":
            raise ExpressionError(f"the expression is of type {kind.lower()}; expected {' or '.join(expected).lower()}", 1, 1)
        return compiled

    def context(self, facts: Facts, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Return the variables of one evaluation."""
        version = self._message("Version", _version(facts.version))
        return {
            "request": self._message("Request", msgspec.to_builtins(facts.request)),
            "model": self._message("Model", msgspec.to_builtins(facts.model)),
            "version": version,
            "champion": self._message("Version", _version(facts.champion)),
            "measurements": dict(version.measurements),
            "findings": list(version.findings),
            "reviews": [self._message("Review", msgspec.to_builtins(review)) for review in facts.reviews],
            "waivers": [self._message("Waiver", msgspec.to_builtins(waiver)) for waiver in facts.waivers],
            "open_findings": [self._message("OpenFinding", msgspec.to_builtins(found)) for found in facts.open_findings],
            "calendar": self._message("Calendar", msgspec.to_builtins(facts.calendar)),
            "discussion": self._message("Discussion", msgspec.to_builtins(facts.discussion)),
            "params": self._message(
                "Params", {k: float(v) if self._parameters[k] == "number" else v for k, v in parameters.items()}
            ),
        }

    def _message(self, name: str, values: dict[str, Any]) -> Any:
        return json_format.ParseDict(values, self._messages[name]())


@lru_cache(maxsize=256)
def language(parameters: tuple[tuple[str, str], ...]) -> Language:
    """Return the language of a policy with these parameters (name, type); making one costs milliseconds."""
    return Language(dict(parameters))


def evaluate(compiled: Any, context: Mapping[str, Any]) -> Value:
    """Evaluate an expression. A failure is never a value: the library hands errors back as truthy results."""
    result = compiled.eval(data=dict(context))
    if result.type().name() == "ERROR":
        return Value(None, _plain(str(result.value())))
    return Value(result.plain_value() if hasattr(result, "plain_value") else result.value())


def _version(facts: VersionFacts) -> dict[str, Any]:
    values: dict[str, Any] = msgspec.to_builtins(facts)
    for measured in values["measurements"].values():
        # An interval that was not measured must satisfy no comparison, neither way: NaN does that, an unset 0 would not.
        for bound in ("ci_low", "ci_high"):
            measured[bound] = "NaN" if measured[bound] is None else measured[bound]
    return values


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


def _explained(message: str) -> ExpressionError:
    match = _AT.search(message)
    if match is None:
        return ExpressionError(message, 1, 1)
    return ExpressionError(match[3].replace("countersign.", "").removesuffix(" (in container '')"), int(match[1]), int(match[2]))


def _plain(message: str) -> str:
    missing = re.search(r'Key not found in map : "(.*)"', message)
    return f'there is no "{missing[1]}"' if missing else message.partition(": ")[2] or message
