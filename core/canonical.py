"""Canonical JSON (RFC 8785) and the SHA-256 digests made over it."""

from __future__ import annotations

import hashlib
from typing import Any

import rfc8785


def canonical(value: Any) -> str:
    """Return the one JSON text of a value: keys sorted, no spaces, numbers as in ECMAScript. Source: RFC 8785.

    Raises ValueError for NaN, infinities and integers beyond 2^53, which have no canonical form.
    """
    return rfc8785.dumps(value).decode()


def digest(value: Any) -> str:
    """Return ``sha256:<64 hex>`` over the canonical JSON of a value."""
    return text_digest(canonical(value))


def text_digest(text: str) -> str:
    """Return ``sha256:<64 hex>`` over the UTF-8 bytes of a text."""
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()
