"""What a route of the MLflow dialect is, and the table that finds it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from interfaces.mlflow.messages import Message

_PARAMETER = re.compile(r"\{(\w+)\}|<(\w+)>")


@dataclass(frozen=True)
class Route:
    """One method of the protocol, at every address it is served under.

    methods: such as ``"GET"`` or ``("POST", "GET")``. path: below the prefix, such as ``mlflow/runs/get``; ``{name}`` stands for
    one segment and ``<name>`` for all that follows; a path that begins with a slash is an address of its own.
    view: called as ``view(actor, message, **parameters)``, without ``message`` if the route has none; what it returns is
    encoded as JSON unless it is a response. A ``raw`` view is called as ``view(actor, request, **parameters)`` and reads the
    body itself. versions: the ones it was declared with. ajax_only: not served under ``/api``. signed_in: False lets anybody ask.
    """

    methods: str | tuple[str, ...]
    path: str
    view: Callable[..., Any]
    message: type[Message] | None = None
    versions: tuple[str, ...] = ("2.0",)
    ajax_only: bool = False
    raw: bool = False
    signed_in: bool = True

    def addresses(self) -> list[str]:
        """Return every address, parameters still in braces."""
        if self.path.startswith("/"):
            return [self.path]
        heads = ("/ajax-api",) if self.ajax_only else ("/api", "/ajax-api")
        return [f"{head}/{version}/{self.path}" for head in heads for version in self.versions]

    def verbs(self) -> tuple[str, ...]:
        """Return the HTTP methods."""
        return (self.methods,) if isinstance(self.methods, str) else self.methods


@dataclass
class RouteTable:
    """Fixed addresses are one dictionary look-up; those with parameters are tried in order."""

    routes: Iterable[Route]
    _fixed: dict[str, dict[str, Route]] = field(default_factory=dict)
    _patterns: list[tuple[re.Pattern[str], dict[str, Route]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Build the look-ups. Raises ValueError when two routes claim the same address and method."""
        by_pattern: dict[str, dict[str, Route]] = {}
        for route in self.routes:
            for address in route.addresses():
                home = by_pattern if _PARAMETER.search(address) else self._fixed
                entry = home.setdefault(address, {})
                for verb in route.verbs():
                    if verb in entry:
                        raise ValueError(f"two routes claim {verb} {address}")
                    entry[verb] = route
        for entry in (*self._fixed.values(), *by_pattern.values()):
            if "GET" in entry:
                entry["HEAD"] = entry["GET"]
        self._patterns = [(_compiled(address), entry) for address, entry in by_pattern.items()]

    def find(self, path: str, method: str) -> tuple[dict[str, Route], dict[str, str]]:
        """Return the routes at an address by method, and the parameters read from it; ``({}, {})`` if there are none.

        Of several addresses that a path may stand for, it is the first with this method, else the first.
        """
        first: tuple[dict[str, Route], dict[str, str]] | None = None
        fixed = self._fixed.get(path)
        if fixed is not None:
            first = fixed, {}
            if method in fixed:
                return first
        for pattern, entry in self._patterns:
            if (method in entry or first is None) and (found := pattern.match(path)):
                if method in entry:
                    return entry, found.groupdict()
                first = entry, found.groupdict()
        return first or ({}, {})


def _compiled(address: str) -> re.Pattern[str]:
    parts, at = [], 0
    for found in _PARAMETER.finditer(address):
        parts.append(re.escape(address[at : found.start()]))
        parts.append(f"(?P<{found[1]}>[^/]+)" if found[1] else f"(?P<{found[2]}>.*)")
        at = found.end()
    return re.compile("".join([*parts, re.escape(address[at:])]) + r"\Z", re.DOTALL)
