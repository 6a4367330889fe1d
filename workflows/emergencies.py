"""What stands in a place by an emergency move, and what stood there before: read by whatever asks who holds a place."""

from __future__ import annotations

from django.db.models import QuerySet

from registry.models import ModelVersion, RegisteredModel, StageAssignment
from workflows.models import BreakGlass, BreakGlassState


def in_force(model: RegisteredModel, *, target_kind: str, target: str) -> BreakGlass | None:
    """Return the emergency by which a version stands in a place now, None where all is as usual; one indexed statement."""
    return _in_force(model).filter(target_kind=target_kind, target=target).first()


def displaced_by(emergency: BreakGlass) -> list[ModelVersion]:
    """Return the versions that an emergency moved out of their place, in the order in which they had come there.

    Several can stand in one stage; they are those whose time in it ended at the moment at which the emergency's version came.
    """
    if emergency.target_kind == "alias":
        return [emergency.displaced] if emergency.displaced is not None else []
    came = (
        StageAssignment.objects.filter(
            version_id=emergency.version_id, stage_id=emergency.target, valid_from__gte=emergency.confirmed_at
        )
        .order_by("valid_from", "pk")
        .first()
    )
    if came is None:
        return []
    rows = StageAssignment.objects.filter(model_id=emergency.model_id, stage_id=emergency.target, valid_to=came.valid_from)
    rows = rows.exclude(version_id=emergency.version_id).select_related("version__model")
    return [row.version for row in rows.order_by("valid_from", "pk")]


def displaced_now(model: RegisteredModel) -> list[tuple[BreakGlass, ModelVersion]]:
    """Return the versions of a model that emergencies keep out of their places at present: they come back."""
    return [(row, version) for row in _in_force(model) for version in displaced_by(row)]


def _in_force(model: RegisteredModel) -> QuerySet[BreakGlass]:
    rows = BreakGlass.objects.filter(model=model, state=BreakGlassState.IN_FORCE)
    return rows.select_related("displaced__model", "displaced__created_by", "version__model")
