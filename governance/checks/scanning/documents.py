"""Read YAML and JSON that a stranger wrote: nothing made of it, nothing without end."""

from __future__ import annotations

import json
import reprlib
from collections.abc import Iterator
from typing import Any

import yaml

from governance.checks.base import Finding
from governance.checks.scanning.limits import Unreadable

LONGEST_YAML = 8 << 20
LONGEST_JSON = 64 << 20
_DEEPEST = 60
_MOST_ALIASES = 100
_MOST_FINDINGS = 100
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the events are the same, many times as fast

_short = reprlib.Repr()
_short.maxstring = _short.maxother = 120
shown = _short.repr  # of values that may share parts without end


def yaml_findings(text: str, location: str) -> list[Finding]:
    """Return a finding for every tag that a full YAML loader would turn into a Python object, and for YAML that is broken,
    says a key twice, or unfolds without end."""
    if len(text) > LONGEST_YAML:
        raise Unreadable(f"YAML of more than {LONGEST_YAML} bytes is no description of a model", "too-large")
    reader = _Events(location)
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            reader.take(event)
            if len(reader.findings) >= _MOST_FINDINGS:
                break
    except (yaml.YAMLError, RecursionError, ValueError) as cause:
        reader.findings.append(Finding("unreadable", "medium", location, f"The YAML cannot be read: {cause}"))
    return reader.findings


class _Events:
    """Follows the events of a YAML document without building it."""

    def __init__(self, location: str) -> None:
        self.findings: list[Finding] = []
        self._location = location
        self._open: list[tuple[set[str] | None, list[bool]]] = []  # keys of a mapping, and whether a key comes next
        self._aliases = 0

    def take(self, event: yaml.Event) -> None:
        self._look_at_tag(getattr(event, "tag", None) or "", _line(event))
        if isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
            self._open.pop()
        elif isinstance(event, yaml.NodeEvent):
            self._look_at_node(event)

    def _look_at_tag(self, tag: str, line: int) -> None:
        if tag.startswith("tag:yaml.org,2002:python") or "python/" in tag:
            message = f"The tag {tag[:200]} in line {line} makes a full YAML loader run Python code."
            self.findings.append(Finding("yaml-tag", "critical", self._location, message))
        elif tag and not tag.startswith("tag:yaml.org,2002:"):
            message = f"The tag {tag[:200]} in line {line} is not part of plain YAML."
            self.findings.append(Finding("yaml-tag", "medium", self._location, message))

    def _look_at_node(self, event: yaml.NodeEvent) -> None:
        line = _line(event)
        if self._open:
            keys, next_is_key = self._open[-1]
            if keys is not None:
                if next_is_key[0] and isinstance(event, yaml.ScalarEvent):
                    self._look_at_key(event.value, keys, line)
                next_is_key[0] = not next_is_key[0]
        if isinstance(event, yaml.AliasEvent):
            self._aliases += 1
            if self._aliases == _MOST_ALIASES:
                self._add("bomb", f"It refers to parts of itself more than {_MOST_ALIASES} times, which can unfold without end.")
        elif isinstance(event, yaml.MappingStartEvent):
            self._open.append((set(), [True]))
        elif isinstance(event, yaml.SequenceStartEvent):
            self._open.append((None, [False]))
        if len(self._open) > _DEEPEST:
            raise yaml.YAMLError(f"it is nested more than {_DEEPEST} deep")

    def _look_at_key(self, key: str, keys: set[str], line: int) -> None:
        if key == "<<":
            self._add("bomb", f"Line {line} merges mappings, which no writer of models does and which can unfold without end.")
        elif key in keys:
            message = f"Line {line} says {key[:100]!r} again; readers may differ on which value counts."
            self.findings.append(Finding("duplicate-key", "medium", self._location, message))
        keys.add(key)

    def _add(self, rule: str, message: str) -> None:
        self.findings.append(Finding(rule, "high", self._location, message))


def _line(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark else 0


def load_yaml(text: str) -> Any:
    """Return the document, of text without findings. Raises Unreadable, for dates and numbers that are none."""
    try:
        return yaml.load(text, Loader=_LOADER)  # noqa: S506  # a safe loader
    except (yaml.YAMLError, ValueError, OverflowError) as cause:
        raise Unreadable(f"its YAML holds what is not a value: {str(cause)[:200]}") from cause


def load_json(data: bytes) -> tuple[list[dict[str, Any]], bool]:
    """Return every object of the document, and whether one of them says a key twice; then both readings are returned.

    Raises Unreadable where it is broken or too large.
    """
    if len(data) > LONGEST_JSON:
        raise Unreadable(f"JSON of more than {LONGEST_JSON} bytes that may name code is not read", "too-large")
    objects: list[dict[str, Any]] = []
    twice = False

    def keep(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal twice
        made = dict(pairs)
        objects.append(made)
        if len(made) != len(pairs):
            twice = True
            objects.append(dict(reversed(pairs)))
        return made

    try:
        json.loads(data, object_pairs_hook=keep)
    except (ValueError, RecursionError) as cause:
        raise Unreadable(f"its JSON cannot be read: {str(cause)[:200]}") from cause
    return objects, twice


def leaves(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield (key, value) of all mappings within; each part once, however often the document refers to it."""
    waiting, met = [value], set()
    while waiting:
        part = waiting.pop()
        if id(part) in met:
            continue
        met.add(id(part))
        if isinstance(part, dict):
            yield from ((str(key), each) for key, each in part.items())
            waiting += part.values()
        elif isinstance(part, list):
            waiting += part
