"""What a decision on a version is about, as one digest: its content, or the address it lies at where it is not kept here."""

from __future__ import annotations

from core.canonical import digest
from registry.models import ModelVersion

_ADDRESS = "source:"


def decided_on(version: ModelVersion) -> str:
    """Return ``sha256:…`` over the content, or ``source:…`` over where it lies and which registration named that place.

    The second says nothing of what lies there: whoever can write to that store can change it unseen.
    """
    if version.content_digest:
        return version.content_digest
    named = {
        "model": version.model_id,
        "version": version.number,
        "source": version.source,
        "storage_location": version.storage_location,
        "run": version.run_id,
        "logged_model": version.logged_model_id,
        "registered_ms": version.created_ms,
    }
    return _ADDRESS + digest(named).partition(":")[2]


def is_address(decided: str) -> bool:
    """Return whether a digest is one of an address, behind which the content may change."""
    return decided.startswith(_ADDRESS)
