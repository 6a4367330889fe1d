"""Page tokens: opaque to the client; base64 of JSON with the offset and what else the query was bound to."""

from __future__ import annotations

import base64
import binascii
import hashlib
from typing import Any

import msgspec

from core.errors import Invalid

MOST_RESULTS = 50_000  # experiments, runs or logged models on a page
MOST = 1_000_000_000  # where the protocol names no ceiling


def token(offset: int, bound_to: object = None) -> str:
    """Return the token of the page that begins at this offset. bound_to: JSON values the next request must repeat."""
    body: dict[str, Any] = {"offset": offset}
    if bound_to is not None:
        body["query"] = _fingerprint(bound_to)
    return base64.b64encode(msgspec.json.encode(body)).decode()


def offset_of(text: str | None, bound_to: object = None) -> int:
    """Return where the page begins, 0 without a token. Raises Invalid for a token that is not ours or of another query."""
    if not text:
        return 0
    try:
        body = msgspec.json.decode(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError, msgspec.DecodeError):
        raise Invalid("The page token is not one of ours.") from None
    offset = body.get("offset") if isinstance(body, dict) else None
    if type(offset) is not int or not 0 < offset < 1 << 62:
        raise Invalid("The page token is not one of ours.")
    if bound_to is not None and body.get("query") != _fingerprint(bound_to):
        raise Invalid("The page token belongs to another query; repeat the one it was made for.")
    return offset


def limit_of(given: int | None, *, default: int, ceiling: int, least: int = 1) -> int:
    """Return how many rows a page has. Raises Invalid for fewer than the least and for more than the ceiling."""
    if given is None:
        return default
    if not least <= given <= ceiling:
        raise Invalid(f"'max_results' must be between {least} and {ceiling}, not {given}.")
    return given


def cut(rows: list[Any], offset: int, limit: int, bound_to: object = None) -> tuple[list[Any], str | None]:
    """Return the page and the token of the next one, given up to ``limit + 1`` rows; the last page has no token."""
    if len(rows) <= limit:
        return rows, None
    return rows[:limit], token(offset + limit, bound_to)


def _fingerprint(value: object) -> str:
    return hashlib.sha256(msgspec.json.encode(value)).hexdigest()[:16]
