"""Where versions stand and stood: the periods in which they held stages and aliases, now, at a time or ever."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter

from django.db.models import F, Q

from core import access
from core.access import Actor, Permission
from core.errors import NotFound
from registry.models import AliasAssignment, ModelVersion, RegisteredModel, StageAssignment

_COLUMNS = ("version__number", "valid_from", "valid_to", "assigned_by", "request_id")


@dataclass(frozen=True)
class Period:
    """A version held a place from one time to another; without an end it still does. kind: ``stage`` or ``alias``."""

    kind: str
    place: str
    version: int
    valid_from: datetime
    valid_to: datetime | None
    assigned_by: str
    request_id: int | None


def stage_history(actor: Actor, name: str, as_of: datetime | None = None) -> list[Period]:
    """Return every stay of a version in a stage, the latest first; given a time, those that held then.

    Also of a model that was deleted, if no other has its name now. Raises NotFound if it is absent or hidden.
    """
    return _stages(Q(model=_model(actor, name)) & _at(as_of))


def alias_history(actor: Actor, name: str, as_of: datetime | None = None) -> list[Period]:
    """Return every time a version was named by an alias, as ``stage_history`` does for stages."""
    return _aliases(Q(model=_model(actor, name)) & _at(as_of))


def history(actor: Actor, name: str) -> list[Period]:
    """Return every stay in a stage and under an alias, the latest first, as ``stage_history`` does for stages."""
    which = Q(model=_model(actor, name))
    return _latest_first(_stages(which) + _aliases(which))


def moves(of: RegisteredModel | ModelVersion, *, limit: int) -> list[Period]:
    """Return the latest stays of a model's versions, or of one version, that somebody brought about.

    That a version began in the initial stage is no news.
    """
    which = Q(model=of) if isinstance(of, RegisteredModel) else Q(model=of.model_id, version=of)
    return _latest_first(_stages(which & Q(stage__is_initial=False), limit) + _aliases(which, limit))[:limit]


def held(as_of: datetime | None) -> Q:
    """Return the condition that an assignment holds at a time, now if none is given."""
    if as_of is None:
        return Q(valid_to__isnull=True)
    return Q(valid_from__lte=as_of) & (Q(valid_to__isnull=True) | Q(valid_to__gt=as_of))


def existed(as_of: datetime | None, path: str = "") -> Q:
    """Return the condition that a model or version was there at a time, now if none is given. path: how to reach it."""
    if as_of is None:
        return Q(**{f"{path}deleted_at__isnull": True})
    born = Q(**{f"{path}created_ms__lte": int(as_of.timestamp() * 1000)})
    return born & (Q(**{f"{path}deleted_at__isnull": True}) | Q(**{f"{path}deleted_at__gt": as_of}))


def _at(as_of: datetime | None) -> Q:
    return Q() if as_of is None else held(as_of)


def _model(actor: Actor, name: str) -> RegisteredModel:
    rows = access.visible(actor, RegisteredModel.objects.filter(name=name), Permission.MODEL_READ)
    found = rows.order_by(F("deleted_at").desc(nulls_first=True)).first()
    if found is None:
        raise NotFound(f"There is no registered model {name!r}, or you may not see it.")
    return found


def _stages(which: Q, limit: int | None = None) -> list[Period]:
    rows = StageAssignment.objects.filter(which).order_by("-valid_from", "-pk").values_list("stage_id", *_COLUMNS)
    return [Period("stage", *row) for row in rows[:limit]]


def _aliases(which: Q, limit: int | None = None) -> list[Period]:
    rows = AliasAssignment.objects.filter(which).order_by("-valid_from", "-pk").values_list("alias", *_COLUMNS)
    return [Period("alias", *row) for row in rows[:limit]]


def _latest_first(periods: list[Period]) -> list[Period]:
    return sorted(periods, key=attrgetter("valid_from"), reverse=True)
