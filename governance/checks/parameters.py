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


Path = tuple[Any, ...]


class Mismatch(ValueError):
    """A parameter is not what the check expects; the sentence names the parameter and the expectation.

    path: where in the parameters it stands, such as ("slices", 0, "column"), with ("key", name) last for a name that is none.
    """

    def __init__(self, message: str, path: Path) -> None:
        super().__init__(message)
        self.path = path


def convert(cls: type[Any], given: Mapping[str, Any], path: Path = ()) -> Any:
    """Return an instance of the dataclass `cls` made from JSON-like `given`. Raises Mismatch."""
    made, wrong = _read(cls, given, path, frozenset())
    if wrong:
        raise wrong[0]
    return made


def mistakes(cls: type[Any], given: Mapping[str, Any], open_names: frozenset[str] = frozenset()) -> list[Mismatch]:
    """Return all that is wrong with what is given, at most one for each parameter.

    open_names: parameters whose values are not known yet; they count as given, and what they are is for later.
    """
    return _read(cls, given, (), open_names)[1]


def _read(cls: type[Any], given: Mapping[str, Any], path: Path, open_names: frozenset[str]) -> tuple[Any, list[Mismatch]]:
    hints = get_type_hints(cls)
    known = {each.name: each for each in fields(cls)}
    wrong = [
        Mismatch(
            f"unknown parameter {_shown((*path, name))!r}; known are {', '.join(sorted(known)) or 'none'}", (*path, ("key", name))
        )
        for name in given
        if name not in known
    ]
    values = {}
    for name, each in known.items():
        if name in open_names:
            continue
        if name in given:
            try:
                values[name] = _value(hints[name], given[name], (*path, name), each)
            except Mismatch as cause:
                wrong.append(cause)
        elif each.default is MISSING and each.default_factory is MISSING:
            message = f"parameter {_shown((*path, name))!r} is required: expected {expectation(hints[name])}"
            wrong.append(Mismatch(message, path))
    if wrong or open_names:
        return None, wrong
    try:
        return cls(**values), []
    except ValueError as cause:
        return None, [Mismatch(f"parameter{' ' + repr(_shown(path)) if path else 's'}: {cause}", path)]


def _shown(path: Path) -> str:
    """Return a path as people write it: `slices[0].column`."""
    return "".join(f"[{each}]" if isinstance(each, int) else f".{each}" for each in path).removeprefix(".")


def _value(hint: Any, value: Any, path: Path, each: Field[Any]) -> Any:
    converted = _convert(hint, value, path)
    low, high = each.metadata.get("minimum"), each.metadata.get("maximum")
    if low is not None and converted < low:
        raise Mismatch(f"parameter {_shown(path)!r}: expected a minimum of {low}, got {value!r}", path)
    if high is not None and converted > high:
        raise Mismatch(f"parameter {_shown(path)!r}: expected a maximum of {high}, got {value!r}", path)
    return converted


def _convert(hint: Any, value: Any, path: Path) -> Any:
    if hint in _SCALARS and _is_scalar(hint, value):
        return float(value) if hint is float else value
    if hint is type(None) and value is None:
        return None
    if get_origin(hint) is Literal and value in get_args(hint):
        return value
    if get_origin(hint) is tuple and isinstance(value, list | tuple):
        return tuple(_convert(get_args(hint)[0], item, (*path, index)) for index, item in enumerate(value))
    if is_dataclass(hint) and isinstance(hint, type):
        if isinstance(value, hint):
            return value
        if isinstance(value, Mapping):
            return convert(hint, value, path)
    if get_origin(hint) in (Union, types.UnionType):
        return _convert_union(hint, value, path)
    raise Mismatch(f"parameter {_shown(path)!r}: expected {expectation(hint)}, got {value!r}", path)


def _convert_union(hint: Any, value: Any, path: Path) -> Any:
    for option in get_args(hint):
        # A mapping can only be meant as the dataclass, whose own error says more than "expected text or a mapping".
        if is_dataclass(option) and isinstance(value, Mapping):
            return _convert(option, value, path)
    for option in get_args(hint):
        try:
            return _convert(option, value, path)
        except Mismatch:
            continue
    raise Mismatch(f"parameter {_shown(path)!r}: expected {expectation(hint)}, got {value!r}", path)


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
