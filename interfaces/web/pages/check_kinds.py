"""What the page of checks shows of each: what it measures, needs and takes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from governance.queries import CheckKind
from interfaces.web.pages import words

_TYPES = {"string": "text", "boolean": "true or false", "integer": "whole number", "number": "number", "null": "nothing"}


@dataclass(frozen=True)
class Parameter:
    """One parameter. takes: its type in words. bounds: its limits, or "". default: as YAML would have it, or "" where it must be given."""

    name: str
    takes: str
    bounds: str
    default: str
    required: bool
    description: str


@dataclass(frozen=True)
class Kind:
    """A check. paragraphs: of what it says of itself. facts: names and values."""

    name: str
    summary: str
    paragraphs: tuple[str, ...]
    facts: tuple[tuple[str, str], ...]
    parameters: tuple[Parameter, ...]


def kind(check: CheckKind) -> Kind:
    """Return what is shown of a check."""
    summary, *more = check.description.split("\n\n")
    needs = [
        words_ for words_, needed in (("the model's files", check.needs_model), ("a data set", check.needs_dataset)) if needed
    ]
    needs += ["its answers"] if check.asks_model else []
    needs += ["the champion, where there is one"] if check.compares else []
    required = check.parameters["required"]
    return Kind(
        name=check.name,
        summary=_one_line(summary),
        paragraphs=tuple(map(_one_line, more)),
        facts=(
            ("Needs", words.listed(needs) if needs else "nothing"),
            ("Revision", check.revision),
            ("Comes with", check.package or "Countersign"),
        ),
        parameters=tuple(_parameter(name, each, name in required) for name, each in check.parameters["properties"].items()),
    )


def _parameter(name: str, schema: Mapping[str, Any], required: bool) -> Parameter:
    takes = "name of a data set" if schema.get("dataset") else _takes(schema)
    return Parameter(
        name=name,
        takes=takes,
        bounds=_bounds(schema),
        default=json.dumps(schema["default"], ensure_ascii=False) if "default" in schema else "",
        required=required,
        description=str(schema.get("description", "")),
    )


def _takes(schema: Mapping[str, Any]) -> str:
    if "enum" in schema:
        return "one of " + ", ".join(map(str, schema["enum"]))
    if "anyOf" in schema:
        return " or ".join(map(_takes, schema["anyOf"]))
    if schema.get("type") == "array":
        return f"list, each {_takes(schema['items'])}"
    if schema.get("type") == "object":
        return "fields " + ", ".join(schema["properties"])
    return _TYPES.get(str(schema.get("type")), "anything")


def _bounds(schema: Mapping[str, Any]) -> str:
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and high is not None:
        return f"{low} to {high}"
    if low is not None:
        return f"{low} or more"
    return f"{high} or less" if high is not None else ""


def _one_line(text: str) -> str:
    return " ".join(text.split())
