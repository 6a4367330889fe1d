"""The `MLmodel` file, in which a model says what it takes and gives."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from governance.checks.base import UnreadableInput

_LIMIT_BYTES = 8 * 1024 * 1024


@dataclass(frozen=True)
class Column:
    """One input or output of the model signature; outputs and tensors may have no name."""

    name: str | None
    type: str
    required: bool = True


@dataclass(frozen=True)
class Signature:
    """What the model says it takes and gives."""

    inputs: tuple[Column, ...]
    outputs: tuple[Column, ...]


def read(path: Path) -> Mapping[str, Any]:
    """Return the parsed file. Raises UnreadableInput."""
    try:
        if path.stat().st_size > _LIMIT_BYTES:
            raise UnreadableInput("The MLmodel file", f"it is larger than {_LIMIT_BYTES} bytes")
        parsed = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError, RecursionError) as cause:  # 2024-13-01 is a ValueError
        raise UnreadableInput("The MLmodel file", str(cause)) from cause
    if not isinstance(parsed, dict):
        raise UnreadableInput("The MLmodel file", "it is not a mapping")
    return parsed


def signature(parsed: Mapping[str, Any]) -> Signature | None:
    """Return the model signature, or None of a model that was saved without one. Raises UnreadableInput."""
    raw = parsed.get("signature")
    if not isinstance(raw, dict) or not raw.get("inputs"):
        return None
    return Signature(_columns(raw.get("inputs")), _columns(raw.get("outputs")))


def _columns(raw: object) -> tuple[Column, ...]:
    """Read inputs or outputs of a signature; MLflow stores them as JSON text inside the YAML."""
    try:
        items = json.loads(raw) if isinstance(raw, str) else raw
    except ValueError as cause:
        raise UnreadableInput("The model signature", str(cause)) from cause
    if not isinstance(items, list):
        return ()
    return tuple(
        Column(item.get("name"), str(item.get("type", "")), bool(item.get("required", True)))
        for item in items
        if isinstance(item, dict)
    )
