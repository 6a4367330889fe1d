"""What the pages of signing keys show."""

from __future__ import annotations

from dataclasses import dataclass

from governance.queries import AuditEventRow
from governance.reported import SigningKeyRow
from interfaces.web.pages.words import Status

_STATE = {
    "valid": Status("pass", "Valid"),
    "not_yet_valid": Status("wait", "Not valid yet"),
    "expired": Status("wait", "Expired"),
    "revoked": Status("fail", "Revoked"),
}
_ALGORITHM = {"ed25519": "Ed25519", "ecdsa-p256": "ECDSA on P-256"}


@dataclass(frozen=True)
class KeyLine:
    """A key in the list and on its page."""

    row: SigningKeyRow
    status: Status
    algorithm: str


def key_line(row: SigningKeyRow) -> KeyLine:
    """Return a key as the list shows it."""
    return KeyLine(row, _STATE[row.state], _ALGORITHM.get(row.algorithm, row.algorithm))


@dataclass(frozen=True)
class Revoked:
    """Who ended a key, and why."""

    by: str
    why: str


def revoked(events: list[AuditEventRow]) -> Revoked | None:
    """Return what the record says of a key's end, or None if it did not end before its time."""
    return Revoked(events[0].actor, str(events[0].body["details"]["reason"])) if events else None
