"""Keep what only the other side can choose: a secret or credential that must be sent or signed with again, unreadable in a copy
of the database.

Sealed is a text with HMAC-SHA256 alone, which every installation has: it is the pseudorandom function of a stream of counter
mode, and a second one with a key of its own proves that nothing was changed (encrypt, then authenticate). Keys are derived from
``SECRET_KEY``; a nonce of 128 random bits is never used twice.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets

from django.utils.crypto import salted_hmac

_NONCE_BYTES = 16
_TAG_BYTES = 32


class Lost(Exception):
    """What was sealed cannot be opened any more: ``SECRET_KEY`` is another one. It must be given again."""


def seal(text: str) -> str:
    """Return a text as it may be stored; an empty one stays empty."""
    if not text:
        return ""
    nonce = secrets.token_bytes(_NONCE_BYTES)
    hidden = _mixed(nonce, text.encode())
    return base64.b64encode(nonce + hidden + _tag(nonce + hidden)).decode()


def unseal(sealed: str) -> str:
    """Return what was sealed. Raises Lost if it was sealed under another key or changed since."""
    if not sealed:
        return ""
    try:
        raw = base64.b64decode(sealed, validate=True)
    except binascii.Error:
        raise Lost from None
    body, tag = raw[:-_TAG_BYTES], raw[-_TAG_BYTES:]
    if len(body) < _NONCE_BYTES or not hmac.compare_digest(tag, _tag(body)):
        raise Lost
    return _mixed(body[:_NONCE_BYTES], body[_NONCE_BYTES:]).decode()


def _mixed(nonce: bytes, text: bytes) -> bytes:
    key = salted_hmac("webhooks.sealing", "hide", algorithm="sha256").digest()
    blocks = range(-(-len(text) // hashlib.sha256().digest_size))
    stream = b"".join(hmac.new(key, nonce + block.to_bytes(8, "big"), hashlib.sha256).digest() for block in blocks)
    return bytes(a ^ b for a, b in zip(text, stream, strict=False))


def _tag(body: bytes) -> bytes:
    key = salted_hmac("webhooks.sealing", "prove", algorithm="sha256").digest()
    return hmac.new(key, body, hashlib.sha256).digest()
