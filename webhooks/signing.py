"""Secrets of endpoints, and what proves to a receiver that a request comes from here. Source: Standard Webhooks 1.0.0.

A secret is derived from the installation's key and a random salt, and is stored nowhere: who has only the database cannot
sign, and the key alone gives no secret either.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Iterable

from django.utils.crypto import salted_hmac

_PREFIX = "whsec_"
_SECRET_BYTES = 24


def new_salt() -> str:
    """Return what makes a secret its endpoint's own: 256 random bits as hexadecimal."""
    return secrets.token_hex(32)


def secret_of(salt: str) -> str:
    """Return the secret that belongs to a salt: ``whsec_`` and the base64 of 24 bytes."""
    derived = salted_hmac("webhooks.signing", salt, algorithm="sha256").digest()
    return _PREFIX + base64.b64encode(derived[:_SECRET_BYTES]).decode()


def check_of(secret: str) -> str:
    """Return 16 characters that tell whether a secret is still the same; 192 random bits cannot be guessed from them."""
    return hashlib.sha256(secret.encode()).hexdigest()[:16]


def signatures(given: Iterable[str], *, message_id: str, timestamp: int, body: bytes) -> str:
    """Return the header ``webhook-signature``: one signature for each secret, separated by spaces.

    timestamp: of this attempt, in seconds since 1970; it is signed so that an old request cannot be sent again.
    """
    signed = f"{message_id}.{timestamp}.".encode() + body
    return " ".join(f"v1,{_signature(secret, signed)}" for secret in given)


def _signature(secret: str, signed: bytes) -> str:
    key = base64.b64decode(secret.removeprefix(_PREFIX))
    return base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
