"""Give rights on a registered model, and take them away."""

from __future__ import annotations

from collections.abc import Mapping

from django.db import transaction

from core import audit, grants
from core.access import Actor
from core.audit import Event
from core.errors import Conflict, Invalid
from core.grants import Holder
from registry import rights
from registry.models import RegisteredModel
from registry.rights import RightRow

MOST_RIGHTS = 200


@transaction.atomic
def replace_rights(*, actor: Actor, model_id: int, wanted: Mapping[Holder, str]) -> list[RightRow]:
    """Have these be the rights that are granted on a model, and no others but the actor's own to manage it; return them all.

    What somebody has by role, and the owner team, is no matter of it. Raises NotFound, Denied, Invalid, or Conflict where
    nobody would be left who manages the model, or where the actor would give away their own right.
    """
    model = _held(actor, model_id)
    before = _granted(model)
    kept = {holder: level for holder, level in before.items() if level == "manage" and _is_self(actor, holder)}
    if (team := rights.owner_team(model)) is not None:
        kept[team] = rights.OWNER_LEVEL
    return _settle(actor, model, before, {**kept, **wanted})


@transaction.atomic
def change_rights(*, actor: Actor, model_id: int, wanted: Mapping[Holder, str]) -> list[RightRow]:
    """Give each of these the right that is named, instead of the one they have; all others keep theirs. Return and raise as above."""
    model = _held(actor, model_id)
    before = _granted(model)
    return _settle(actor, model, before, {**before, **wanted})


def _held(actor: Actor, model_id: int) -> RegisteredModel:
    """Return a model whose rights the actor may give, held so that two changes follow one another. Raises NotFound, Denied."""
    found = RegisteredModel.objects.select_for_update(no_key=True).get(pk=rights.of_model(actor, model_id).pk)
    # Asked under the lock: of two who take each other's right at once, the second has none any more.
    rights.require_giving(actor, found)
    return found


def _granted(model: RegisteredModel) -> dict[Holder, str]:
    return {right.holder: right.level for right in grants.rights_on(model)}


def _is_self(actor: Actor, holder: Holder) -> bool:
    return holder.kind != grants.HolderKind.GROUP and holder.name == actor.username


def _settle(actor: Actor, model: RegisteredModel, before: Mapping[Holder, str], after: Mapping[Holder, str]) -> list[RightRow]:
    if len(after) > MOST_RIGHTS:
        raise Invalid(f"At most {MOST_RIGHTS} people and groups have rights on a model; grant them to a group instead.")
    _require_manager(actor, before, after)
    team = rights.owner_team(model)
    if team is not None and team in after and grants.LEVELS.index(after[team]) < grants.LEVELS.index(rights.OWNER_LEVEL):
        raise Conflict(
            f"{team.name} is the owner team and may write to the model; make another team its owner first.", code="owner_team"
        )
    scope, subject = f"model:{model.pk}", ("model", model.name)
    for holder in sorted({*before, *after}):
        had, gets = before.get(holder), after.get(holder)
        if had == gets:
            continue
        who = f"{holder.kind}:{holder.name}"
        if gets is None:
            grants.take(model, holder)
            audit.record(actor, Event.ACCESS_REVOKED, subject=subject, scope=scope, before={"to": who, "level": had})
            continue
        promised = grants.give(model, holder, gets, scope=scope)
        audit.record(
            actor,
            Event.ACCESS_GRANTED,
            subject=subject,
            scope=scope,
            before={"to": who, "level": had} if had is not None else None,
            after={"to": who, "level": gets, "promised": promised},
        )
    return rights.listed(model)


def _require_manager(actor: Actor, before: Mapping[Holder, str], after: Mapping[Holder, str]) -> None:
    """Refuse what would lock out the actor, or everybody. Raises Conflict."""
    managed = [holder for holder, level in before.items() if level == "manage"]
    manage = [holder for holder, level in after.items() if level == "manage"]
    if any(_is_self(actor, holder) and holder not in manage for holder in managed):
        raise Conflict(
            "Your own right to manage the model is not taken away by yourself; somebody else who manages it can.",
            code="own_right",
        )
    if grants.is_anybody(managed) and not grants.is_anybody(manage):
        raise Conflict(
            "Nobody who has an account would manage the model any more; name at least one person, or a group with people in it, "
            "with the right to manage it.",
            code="last_manager",
        )
