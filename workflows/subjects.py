"""Find what a command acts on, with the rows locked that decide who comes first."""

from __future__ import annotations

from core import access
from core.access import Actor, Permission
from core.errors import NotFound
from registry.models import ModelVersion, RegisteredModel


def locked_model(actor: Actor, name: str, permission: Permission) -> RegisteredModel:
    """Return a model with its row locked. Raises NotFound when absent or hidden, Denied without the right."""
    rows = RegisteredModel.objects.select_for_update(no_key=True).filter(name=name, deleted_at__isnull=True)
    found = access.visible(actor, rows, Permission.MODEL_READ).first()
    if found is None:
        raise NotFound(f"There is no registered model {name!r}, or you may not see it.")
    access.require(actor, permission, found)
    return found


def locked_version(actor: Actor, model_name: str, number: int, permission: Permission) -> ModelVersion:
    """Return a version with its model's row locked, so that moves of one model happen one after the other.

    Raises NotFound when absent or hidden, Denied without the right.
    """
    model = locked_model(actor, model_name, permission)
    found = (
        ModelVersion.objects.select_related("model", "created_by__responsible")
        .filter(model=model, number=number, deleted_at__isnull=True)
        .first()
    )
    if found is None:
        raise NotFound(f"There is no version {number} of {model_name!r}.")
    return found
