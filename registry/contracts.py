"""Data contracts: what a data set promises about its columns, as a document that people write, and what it asks once read. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from core.documents import DocumentError, Marks, Mistake, loaded, mistake, schema_mistakes

TYPES = ("integer", "number", "boolean", "datetime", "string")
_ORDERED = ("integer", "number", "datetime")

_BOUND = {"type": ["number", "string"], "description": "a number; for a datetime, a date or time as in 2026-01-31T12:00:00Z"}

CONTRACT_SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "Countersign data contract",
    "type": "object",
    "additionalProperties": False,
    "required": ["kind", "columns"],
    "properties": {
        "kind": {"const": "DataContract"},
        "description": {"type": "string"},
        "min_rows": {"type": "integer", "minimum": 1},
        "other_columns": {"enum": ["allowed", "refused"], "default": "allowed"},
        "columns": {
            "type": "array",
            "minItems": 1,
            "maxItems": 2000,
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["name", "type"],
                "properties": {
                    "name": {"type": "string", "minLength": 1},
                    "description": {"type": "string"},
                    "type": {"enum": list(TYPES)},
                    "nullable": {"type": "boolean", "default": True},
                    "max_missing": {"type": "number", "minimum": 0, "maximum": 1, "description": "a share of the rows, 0 to 1"},
                    "min": _BOUND,
                    "max": _BOUND,
                    "allowed": {
                        "type": "array",
                        "minItems": 1,
                        "maxItems": 1000,
                        "uniqueItems": True,
                        "items": {"type": ["string", "number", "boolean"]},
                    },
                    "pattern": {
                        "type": "string",
                        "minLength": 1,
                        "maxLength": 1000,
                        "description": "a regular expression (RE2) that a whole value fits",
                    },
                    "unique": {"type": "boolean", "default": False},
                },
            },
        },
    },
}


@dataclass(frozen=True)
class ColumnRules:
    """What is asked of one column. min, max: inclusive; of a datetime, aware times. max_missing: share of the rows, 0 to 1."""

    name: str
    type: str
    nullable: bool = True
    max_missing: float | None = None
    min: float | datetime | None = None
    max: float | datetime | None = None
    allowed: tuple[Any, ...] | None = None
    pattern: str | None = None
    unique: bool = False


@dataclass(frozen=True)
class Contract:
    """What is asked of a data set."""

    columns: tuple[ColumnRules, ...]
    min_rows: int = 1
    other_columns: bool = True


@lru_cache(maxsize=64)
def compile_contract(document: str) -> Contract:
    """Return what a document, YAML or JSON, asks for. Raises DocumentError with every mistake's line and column."""
    value, marks = loaded(document)
    mistakes = list(schema_mistakes(value, marks, CONTRACT_SCHEMA))
    if not mistakes:
        mistakes = list(_meaning_mistakes(value["columns"], marks))
    if mistakes:
        raise DocumentError(mistakes)
    return Contract(
        columns=tuple(_rules(column) for column in value["columns"]),
        min_rows=value.get("min_rows", 1),
        other_columns=value.get("other_columns", "allowed") == "allowed",
    )


def moment(text: str) -> datetime:
    """Return an ISO 8601 date or time; one without a zone is in UTC. Raises ValueError."""
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _rules(column: dict[str, Any]) -> ColumnRules:
    given = {key: value for key, value in column.items() if key != "description"}
    for key in ("min", "max"):
        if isinstance(given.get(key), str):
            given[key] = moment(given[key])
    if "allowed" in given:
        given["allowed"] = tuple(moment(each) if column["type"] == "datetime" else each for each in given["allowed"])
    return ColumnRules(**given)


def _meaning_mistakes(columns: list[dict[str, Any]], marks: Marks) -> Iterator[Mistake]:
    seen: set[str] = set()
    for position, column in enumerate(columns):
        at, kind = ("columns", position), column["type"]
        if column["name"] in seen:
            yield mistake(marks, (*at, "name"), f"column {column['name']} stands here a second time; keep one")
        seen.add(column["name"])
        if column.get("nullable") is False and column.get("max_missing"):
            yield mistake(
                marks, (*at, "max_missing"), "a column that is not nullable has no missing values; take one of the two out"
            )
        yield from _bound_mistakes(column, at, marks)
        for index, each in enumerate(column.get("allowed", ())):
            if not _is_of(each, kind):
                yield mistake(marks, (*at, "allowed", index), f"{each!r} is no value of a column of type {kind}")
        if "pattern" in column and (said := _pattern_mistake(column["pattern"], kind)):
            yield mistake(marks, (*at, "pattern"), said)


def _bound_mistakes(column: dict[str, Any], at: tuple[Any, ...], marks: Marks) -> Iterator[Mistake]:
    kind, sound = column["type"], True
    for key in ("min", "max"):
        if key not in column:
            sound = False
        elif kind not in _ORDERED:
            sound = False
            yield mistake(marks, (*at, key), f"{key} is for columns of type {', '.join(_ORDERED)}; this one is {kind}")
        elif not _is_of(column[key], "datetime" if kind == "datetime" else "number"):
            sound = False
            yield mistake(marks, (*at, key), f"{key} is {column[key]!r}; expected {_BOUND['description']}")
    if sound:
        low, high = (moment(column[key]) if kind == "datetime" else column[key] for key in ("min", "max"))
        if low > high:
            yield mistake(marks, (*at, "min"), f"min is {column['min']}, which is above max, {column['max']}")


def _is_of(value: Any, kind: str) -> bool:
    if kind in ("string", "boolean"):
        return isinstance(value, str if kind == "string" else bool)
    if kind == "datetime":
        try:
            return isinstance(value, str) and bool(moment(value))
        except ValueError:
            return False
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return kind == "number" or float(value).is_integer()


def _pattern_mistake(pattern: str, kind: str) -> str:
    import pyarrow  # what will match with it says whether it can
    from pyarrow import compute

    if kind != "string":
        return f"a pattern is for columns of type string; this one is {kind}"
    try:
        compute.match_substring_regex(pyarrow.array([""]), pattern=whole(pattern))
    except pyarrow.ArrowInvalid as error:
        return f"pattern is no regular expression of RE2: {error}"
    return ""


def whole(pattern: str) -> str:
    """Return a pattern that only a whole value fits."""
    return rf"\A(?:{pattern})\z"
