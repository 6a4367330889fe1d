"""The JSON Schema of policies with what each check that is installed takes, so that editors complete its parameters."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from functools import cache
from typing import Any

from governance.checks import catalogue
from governance.checks.base import Check
from governance.facts import REPORTED
from governance.schemas import POLICY_SCHEMA

_REFERENCE = {
    "type": "string",
    "pattern": r"^\$\{[a-z_][a-z0-9_]*\}$",
    "description": "A parameter of the policy, whose value the binding gives, such as ${min_roc_auc}.",
}
_SAID_OUTSIDE = ("description", "default")


@cache
def policy_schema() -> Mapping[str, Any]:
    """Return the schema of policies, in which `with` is told for each check by its name (`if` and `then` of JSON Schema 2020-12).

    A check that is reported from elsewhere may have any name, and what it takes is not known here.
    """
    schema = deepcopy(POLICY_SCHEMA)
    item = schema["properties"]["checks"]["items"]
    checks = catalogue.available()
    names = {"oneOf": [{"const": name, "description": summary(check)} for name, check in checks.items()]}
    item["if"] = {"properties": {"source": {"const": REPORTED}}, "required": ["source"]}
    item["else"] = {"properties": {"check": names}, "allOf": [_asked(name, check) for name, check in checks.items()]}
    return schema


def summary(check: type[Check]) -> str:
    """Return the first sentence of what a check says of itself."""
    return (check.__doc__ or "").strip().partition("\n")[0]


def _asked(name: str, check: type[Check]) -> dict[str, Any]:
    told = catalogue.parameters_schema(check)
    needed = [field for field, needs in (("dataset", check.needs_dataset), ("with", told["required"])) if needs]
    return {
        "if": {"properties": {"check": {"const": name}}, "required": ["check"]},
        "then": {"required": needed, "properties": {"with": {**_parts(told), "additionalProperties": False}}},
    }


def _open(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return a value's schema that takes a parameter of the policy instead."""
    outside = {key: schema[key] for key in _SAID_OUTSIDE if key in schema}
    inside = {key: value for key, value in schema.items() if key not in outside}
    return {**outside, "anyOf": [_parts(inside), _REFERENCE]}


def _parts(schema: Mapping[str, Any]) -> dict[str, Any]:
    parts = dict(schema)
    if "properties" in parts:
        parts["properties"] = {name: _open(each) for name, each in parts["properties"].items()}
    if isinstance(parts.get("items"), Mapping):
        parts["items"] = _open(parts["items"])
    if "anyOf" in parts:
        parts["anyOf"] = [_parts(each) for each in parts["anyOf"]]
    return parts
