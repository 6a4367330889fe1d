"""Databricks' permissions on registered models: the grants that every client's rights come from, in Databricks' words."""

from __future__ import annotations

from typing import Any

from core.access import Actor
from core.errors import Invalid, NotFound
from core.grants import Holder, HolderKind
from interfaces.mlflow.messages import Message, choice, present, row_id
from interfaces.mlflow.routing import Route
from registry import rights, rights_commands
from registry.rights import RightRow

_LEVELS = {"CAN_READ": "read", "CAN_EDIT": "write", "CAN_MANAGE": "manage"}
_NAMES = {level: name for name, level in _LEVELS.items()}
_MEANINGS = {
    "CAN_READ": "Read the model, its versions and their files.",
    "CAN_EDIT": "Register versions, edit and tag, ask for transitions, and move to stages that no policy guards.",
    "CAN_MANAGE": "All of that, delete the model, take versions out of governed stages, and grant rights on it.",
}
# Databricks lets these decide on transitions. Here that is the policy's, which names groups and bars whoever had a part in it.
_OF_STAGES = ("CAN_MANAGE_STAGING_VERSIONS", "CAN_MANAGE_PRODUCTION_VERSIONS")


class Asked(Message, frozen=True):
    permission_level: str
    user_name: str | None = None
    group_name: str | None = None
    service_principal_name: str | None = None


class ChangeRights(Message, frozen=True):
    access_control_list: list[Asked] | None = None


def permission_levels(actor: Actor, model_id: str) -> dict[str, Any]:
    """Return the rights there are on a model."""
    rights.of_model(actor, _id(model_id))
    return {"permission_levels": [{"permission_level": name, "description": text} for name, text in _MEANINGS.items()]}


def get_permissions(actor: Actor, model_id: str) -> dict[str, Any]:
    """Return who has which right on a model, and where from."""
    return _permissions(model_id, rights.rights(actor, _id(model_id)))


def set_permissions(actor: Actor, message: ChangeRights, model_id: str) -> dict[str, Any]:
    """Have the list be all that is granted on a model."""
    found = rights_commands.replace_rights(actor=actor, model_id=_id(model_id), wanted=_wanted(message))
    return _permissions(model_id, found)


def update_permissions(actor: Actor, message: ChangeRights, model_id: str) -> dict[str, Any]:
    """Give those in the list the rights it names; others keep theirs."""
    found = rights_commands.change_rights(actor=actor, model_id=_id(model_id), wanted=_wanted(message))
    return _permissions(model_id, found)


def _id(model_id: str) -> int:
    number = row_id(model_id)
    if not number:
        raise NotFound(f"There is no registered model with the id {model_id!r}, or you may not see it.")
    return number


def _wanted(message: ChangeRights) -> dict[Holder, str]:
    wanted: dict[Holder, str] = {}
    for asked in message.access_control_list or ():
        if asked.permission_level in _OF_STAGES:
            raise Invalid(
                f"{asked.permission_level} is no right here: who may decide on a stage is what the policy that guards it says. "
                "Grant CAN_EDIT, and put a group of reviewers into a policy bound to the stage."
            )
        level = _LEVELS[str(choice(asked.permission_level, tuple(_LEVELS), "permission_level"))]
        holder = _holder(asked)
        if holder in wanted:
            raise Invalid(f"{holder.name} is in the list twice.")
        wanted[holder] = level
    return wanted


def _holder(asked: Asked) -> Holder:
    named = {
        HolderKind.USER: asked.user_name,
        HolderKind.GROUP: asked.group_name,
        HolderKind.SERVICE: asked.service_principal_name,
    }
    given = [Holder(kind, name) for kind, name in named.items() if name]
    if len(given) != 1:
        raise Invalid("Name one of user_name, group_name and service_principal_name in each entry.")
    return given[0]


def _permissions(model_id: str, found: list[RightRow]) -> dict[str, Any]:
    entries: dict[Holder, dict[str, Any]] = {}
    for row in found:
        holder = row.right.holder
        entry = entries.setdefault(
            holder, {**_named(holder), **present(display_name=row.right.display_name or None), "all_permissions": []}
        )
        permission: dict[str, Any] = {"permission_level": _NAMES[row.right.level], "inherited": bool(row.inherited_from)}
        if row.inherited_from:
            permission["inherited_from_object"] = [row.inherited_from]
        entry["all_permissions"].append(permission)
    return {
        "object_id": f"/registered-models/{model_id}",
        "object_type": "registered-model",
        "access_control_list": list(entries.values()),
    }


def _named(holder: Holder) -> dict[str, str]:
    field = {HolderKind.USER: "user_name", HolderKind.GROUP: "group_name", HolderKind.SERVICE: "service_principal_name"}
    return {field[holder.kind]: holder.name}


_ON_MODEL = "permissions/registered-models/{model_id}"

ROUTES: list[Route] = [
    Route("GET", _ON_MODEL, get_permissions),
    Route("PUT", _ON_MODEL, set_permissions, ChangeRights),
    Route("PATCH", _ON_MODEL, update_permissions, ChangeRights),
    Route("GET", _ON_MODEL + "/permissionLevels", permission_levels),
]
