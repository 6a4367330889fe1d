"""Which checks there are: the modules of this package, and what other distributions bring along."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import is_dataclass
from functools import cache
from importlib.metadata import entry_points
from types import ModuleType
from typing import Any, TypeGuard

import governance.checks
from governance.checks import parameters
from governance.checks.base import Check

ENTRY_POINT_GROUP = "countersign.checks"


class DuplicateCheck(ValueError):
    """Two checks share a name, so a policy could not say which it means."""


@cache
def available() -> Mapping[str, type[Check]]:
    """Return every check by its name, in the order of the names. Raises DuplicateCheck for a name used twice.

    Imports the modules of `governance.checks` and the entry points of the group `countersign.checks`; an entry point
    that cannot be imported raises, since a policy may rest on the check it should have brought.
    """
    return collect([*_built_in(), *(entry.load() for entry in entry_points(group=ENTRY_POINT_GROUP))])


def collect(checks: Iterable[type[Check]]) -> dict[str, type[Check]]:
    """Return the checks by name, sorted. Raises DuplicateCheck."""
    found: dict[str, type[Check]] = {}
    for check in checks:
        if found.get(check.name, check) is not check:
            raise DuplicateCheck(
                f"The check name {check.name!r} is used by {_origin(found[check.name])} and by {_origin(check)}."
            )
        found[check.name] = check
    return dict(sorted(found.items()))


def build(name: str, given: Mapping[str, Any]) -> Check:
    """Return the check `name` with its parameters.

    Raises ValueError that names the check, the parameter and what was expected.
    """
    check = _in_module_of_its_name(name) or available().get(name)
    if check is None:
        raise ValueError(f"Unknown check {name!r}; available are {', '.join(available())}.")
    try:
        built: Check = parameters.convert(check, given)
    except parameters.Mismatch as cause:
        raise ValueError(f"Check {name!r}: {cause}.") from cause
    return built


def mistakes(name: str, given: Mapping[str, Any], open_names: frozenset[str] = frozenset()) -> list[parameters.Mismatch]:
    """Return all that is wrong with the parameters of a check that is installed here (see ``parameters.mistakes``)."""
    return parameters.mistakes(available()[name], given, open_names)


def package(name: str) -> str:
    """Return the name and version of the distribution that brings a check, or "" for one of this project's own."""
    for entry in entry_points(group=ENTRY_POINT_GROUP):
        if entry.load() is available()[name] and entry.dist is not None:
            return f"{entry.dist.name} {entry.dist.version}"
    return ""


def asks_model(name: str) -> bool:
    """Return whether a check asks the model for answers, beyond reading its files; one that is not installed here asks nothing."""
    check = available().get(name)
    return check is not None and bool(getattr(check, "asks_model", check.needs_model))


def asks_again(name: str) -> bool:
    """Return whether a check asks the model in a second process too."""
    return bool(getattr(available().get(name), "asks_again", False))


def asks_rows(name: str, given: Mapping[str, Any]) -> str:
    """Return what a check with these parameters asks about each row, if it asks nothing else (see ``Check``); otherwise ""."""
    try:
        return str(getattr(build(name, given), "asks_rows", ""))
    except ValueError:
        return ""  # the run itself ends with this error, in words


def needs_model(name: str) -> bool:
    """Return whether a check reads the model's files; of one that is not installed here nobody knows, and it gets them."""
    check = available().get(name)
    return check is None or check.needs_model


def reads_measurements(name: str) -> bool:
    """Return whether a check reads what the other checks of its policy measured."""
    return bool(getattr(available().get(name), "reads_measurements", False))


def parameters_schema(check: type[Check]) -> dict[str, Any]:
    """Return the JSON Schema of a check's parameters."""
    return {"title": check.name, "description": (check.__doc__ or "").strip(), **parameters.schema(check)}


def _in_module_of_its_name(name: str) -> type[Check] | None:
    """Return the check that a module of its own name holds, or None.

    The process that measures starts for one check alone: to import all of them, and to look through every distribution for entry points,
    took it longer than many a check. Two checks of one name have stopped the start before (see `available`).
    """
    wanted = name.replace("-", "_")
    if not any(module.name == wanted and not module.ispkg for module in pkgutil.iter_modules(governance.checks.__path__)):
        return None
    module = importlib.import_module(f"governance.checks.{wanted}")
    return next((each for each in _checks_in(module) if each.name == name), None)


def _built_in() -> Iterator[type[Check]]:
    for module in pkgutil.iter_modules(governance.checks.__path__):
        if not module.ispkg:
            yield from _checks_in(importlib.import_module(f"governance.checks.{module.name}"))


def _checks_in(module: ModuleType) -> Iterator[type[Check]]:
    return (member for member in vars(module).values() if _is_check(member) and member.__module__ == module.__name__)


def _is_check(member: object) -> TypeGuard[type[Check]]:
    named = isinstance(getattr(member, "name", None), str) and hasattr(member, "run")
    return isinstance(member, type) and named and is_dataclass(member)


def _origin(check: type[Check]) -> str:
    return f"{check.__module__}.{check.__qualname__}"
