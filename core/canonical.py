"""Canonical JSON (RFC 8785) and the SHA-256 digests made over it."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec
import rfc8785

LARGEST_INTEGER = (1 << 53) - 1  # beyond it JSON numbers are no longer told apart (RFC 8785, 3.2.2.3; RFC 7493, 2.2)
_encode = msgspec.json.Encoder(order="sorted").encode


def canonical(value: Any) -> str:
    """Return the one JSON text of a value: keys sorted, no spaces, numbers as in ECMAScript. Source: RFC 8785.

    Raises ValueError for NaN, infinities and integers from 2^53 on, which have no canonical form.
    """
    # The quick encoder writes most values as the RFC has it, and every event of every write waits for its text.
    if _is_plain(value):
        try:
            return _encode(value).decode()
        except UnicodeEncodeError:  # a lone surrogate, of which the other has its own refusal
            pass
    return rfc8785.dumps(value).decode()


def digest(value: Any) -> str:
    """Return ``sha256:<64 hex>`` over the canonical JSON of a value."""
    return text_digest(canonical(value))


def text_digest(text: str) -> str:
    """Return ``sha256:<64 hex>`` over the UTF-8 bytes of a text."""
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def _is_plain(value: Any) -> bool:
    """Return whether a value has nothing that the quick encoder writes otherwise.

    These are fractions, integers that have no canonical form, and keys beyond ASCII, which the RFC sorts by UTF-16.
    """
    kind = type(value)
    if kind is str or kind is bool or value is None:
        return True
    if kind is dict:
        return all(type(key) is str and key.isascii() for key in value) and all(map(_is_plain, value.values()))
    if kind is list or kind is tuple:
        return all(map(_is_plain, value))
    return kind is int and -LARGEST_INTEGER <= value <= LARGEST_INTEGER
