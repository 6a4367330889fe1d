"""Find what a command acts on, with the rows locked that decide who comes first."""

from __future__ import annotations

from core.access import Actor, Permission
from registry import rows
from registry.models import ModelVersion, RegisteredModel


def locked_model(actor: Actor, name: str, permission: Permission) -> RegisteredModel:
    """Return a model with its row locked. Raises NotFound when absent or hidden, Denied without the right."""
    return rows.model(actor, permission, name, lock=True)


def locked_version(actor: Actor, model_name: str, number: int, permission: Permission) -> ModelVersion:
    """Return a version with its model's row locked, so that moves of one model happen one after the other.

    Raises NotFound when absent or hidden, Denied without the right.
    """
    return rows.version(actor, permission, model_name, number, lock=True)
