"""Who has which right on a registered model: granted on it, had as its owner team, or had everywhere by role."""

from __future__ import annotations

from dataclasses import dataclass

from core import access, grants
from core.access import ROLE_GRANTS, Actor, Permission, Role
from core.errors import NotFound
from core.grants import Holder, HolderKind, Right
from registry.models import RegisteredModel

_ALLOWS = {"manage": Permission.MODEL_MANAGE, "write": Permission.MODEL_WRITE, "read": Permission.MODEL_READ}
# What the owner team may do, whatever is granted.
OWNER_LEVEL = "write"


@dataclass(frozen=True)
class RightRow:
    """A right on a model. inherited_from: what gives it, such as ``roles/reviewer``, empty if it was granted on the model."""

    right: Right
    inherited_from: str = ""


def of_model(actor: Actor, model_id: int) -> RegisteredModel:
    """Return a model by its id, if the actor may see it. Raises NotFound."""
    rows = RegisteredModel.objects.filter(pk=model_id, deleted_at__isnull=True).select_related("owner_team")
    found = access.visible(actor, rows, Permission.MODEL_READ).first()
    if found is None:
        raise NotFound(f"There is no registered model with the id {model_id}, or you may not see it.")
    return found


def require_giving(actor: Actor, model: RegisteredModel) -> None:
    """Return if the actor may grant rights on a model: who manages it, and who manages accounts. Raises NotFound, Denied."""
    if not actor.grants(Permission.ACCOUNT_MANAGE):
        access.require(actor, Permission.MODEL_MANAGE, model)


def rights(actor: Actor, model_id: int) -> list[RightRow]:
    """Return who has which right on a model, granted ones first. Who may grant them may read them, and who audits.

    Raises NotFound, Denied.
    """
    model = of_model(actor, model_id)
    if not actor.grants(Permission.AUDIT_READ):
        require_giving(actor, model)
    return listed(model)


def listed(model: RegisteredModel) -> list[RightRow]:
    """Return who has which right on a model that was found already."""
    return [_row(right, model) for right in grants.rights_on(model)] + _by_role()


def owner_team(model: RegisteredModel) -> Holder | None:
    """Return the owner team as a holder of rights, None without one."""
    return Holder(HolderKind.GROUP, model.owner_team.name) if model.owner_team is not None else None


def _row(right: Right, model: RegisteredModel) -> RightRow:
    owned = right.holder == owner_team(model) and right.level == OWNER_LEVEL
    return RightRow(right, "owner-team" if owned else "")


def _by_role() -> list[RightRow]:
    found = []
    for role in sorted(Role):
        level = next((name for name, permission in _ALLOWS.items() if permission in ROLE_GRANTS[role]), None)
        if level is not None:
            found.append(RightRow(Right(Holder(HolderKind.GROUP, role.value), level), f"roles/{role.value}"))
    return found
