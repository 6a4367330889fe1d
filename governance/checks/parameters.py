"""Turn the parameters of a policy into the fields of a check, and describe them as JSON Schema."""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

_SCALARS: dict[Any, tuple[str, str]] = {
    str: ("string", "text"),
    bool: ("boolean", "true or false"),
    int: ("integer", "a whole number"),
    float: ("number", "a number"),
}


class Mismatch(ValueError):
    """A parameter is not what the check expects; the sentence names the parameter and the expectation."""


def convert(cls: type[Any], given: Mapping[str, Any], where: str = "") -> Any:
    """Return an instance of the dataclass `cls` made from JSON-like `given`. Raises Mismatch."""
    hints = get_type_hints(cls)
    known = {each.name: each for each in fields(cls)}
    for name in given:
        if name not in known:
            raise Mismatch(f"unknown parameter {where + str(name)!r}; known are {', '.join(sorted(known)) or 'none'}")
    values = {}
    for name, each in known.items():
        if name in given:
            values[name] = _value(hints[name], given[name], where + name, each)
        elif each.default is MISSING and each.default_factory is MISSING:
            raise Mismatch(f"parameter {where + name!r} is required: expected {expectation(hints[name])}")
    try:
        return cls(**values)
    except ValueError as cause:
        raise Mismatch(f"parameter{' ' + repr(where.rstrip('.')) if where else 's'}: {cause}") from cause


def _value(hint: Any, value: Any, where: str, each: Field[Any]) -> Any:
    converted = _convert(hint, value, where)
    low, high = each.metadata.get("minimum"), each.metadata.get("maximum")
    if low is not None and converted < low:
        raise Mismatch(f"parameter {where!r}: expected a minimum of {low}, got {value!r}")
    if high is not None and converted > high:
        raise Mismatch(f"parameter {where!r}: expected a maximum of {high}, got {value!r}")
    return converted


def _convert(hint: Any, value: Any, where: str) -> Any:
    if hint in _SCALARS and _is_scalar(hint, value):
        return float(value) if hint is float else value
    if hint is type(None) and value is None:
        return None
    if get_origin(hint) is Literal and value in get_args(hint):
        return value
    if get_origin(hint) is tuple and isinstance(value, list | tuple):
        return tuple(_convert(get_args(hint)[0], item, f"{where}[{index}]") for index, item in enumerate(value))
    if is_dataclass(hint) and isinstance(hint, type):
        if isinstance(value, hint):
            return value
        if isinstance(value, Mapping):
            return convert(hint, value, where + ".")
    if get_origin(hint) in (Union, types.UnionType):
        return _convert_union(hint, value, where)
    raise Mismatch(f"parameter {where!r}: expected {expectation(hint)}, got {value!r}")


def _convert_union(hint: Any, value: Any, where: str) -> Any:
    for option in get_args(hint):
        # A mapping can only be meant as the dataclass, whose own error says more than "expected text or a mapping".
        if is_dataclass(option) and isinstance(value, Mapping):
            return _convert(option, value, where)
    for option in get_args(hint):
        try:
            return _convert(option, value, where)
        except Mismatch:
            continue
    raise Mismatch(f"parameter {where!r}: expected {expectation(hint)}, got {value!r}")


def _is_scalar(hint: Any, value: Any) -> bool:
    if isinstance(value, bool):
        return hint is bool
    if hint is float:
        return isinstance(value, int | float) and value == value and abs(value) != float("inf")
    return isinstance(value, hint)


def dataset_names(check: Any) -> dict[str, str]:
    """Return the parameters of a check that name a further data set, with the names given; those left empty are not there."""
    named = {each.name: getattr(check, each.name) for each in fields(check) if each.metadata.get("dataset")}
    return {name: value for name, value in named.items() if value}


def expectation(hint: Any) -> str:
    """Return words for what a parameter of this type takes."""
    if hint in _SCALARS:
        return _SCALARS[hint][1]
    if hint is type(None):
        return "null"
    if get_origin(hint) is Literal:
        return "one of " + ", ".join(repr(option) for option in get_args(hint))
    if get_origin(hint) is tuple:
        return f"a list with {expectation(get_args(hint)[0])} in each place"
    if get_origin(hint) in (Union, types.UnionType):
        return " or ".join(expectation(option) for option in get_args(hint))
    return "a mapping with " + ", ".join(each.name for each in fields(hint))


def schema(cls: type[Any]) -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of the dataclass `cls`."""
    hints = get_type_hints(cls)
    required = [each.name for each in fields(cls) if each.default is MISSING and each.default_factory is MISSING]
    return {
        "type": "object",
        "properties": {each.name: _property(each, hints[each.name]) for each in fields(cls)},
        "required": required,
        "additionalProperties": False,
    }


def _property(each: Field[Any], hint: Any) -> dict[str, Any]:
    described = {**_type_schema(hint), **each.metadata}
    if each.default is not MISSING:
        described["default"] = list(each.default) if isinstance(each.default, tuple) else each.default
    return described


def _type_schema(hint: Any) -> dict[str, Any]:
    if hint in _SCALARS:
        return {"type": _SCALARS[hint][0]}
    if hint is type(None):
        return {"type": "null"}
    if get_origin(hint) is Literal:
        return {"enum": list(get_args(hint))}
    if get_origin(hint) is tuple:
        return {"type": "array", "items": _type_schema(get_args(hint)[0])}
    if get_origin(hint) in (Union, types.UnionType):
        return {"anyOf": [_type_schema(option) for option in get_args(hint)]}
    return schema(hint)
