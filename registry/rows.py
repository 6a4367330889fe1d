"""Find a model or a version that the actor may do something with, or refuse exactly; and name what holds its files."""

from __future__ import annotations

from dataclasses import dataclass

from core import access
from core.access import Actor, Permission
from core.errors import Conflict, NotFound
from core.sql import Statement, fetch, for_update
from registry import names, stages
from registry.models import ModelVersion, RegisteredModel
from registry.sql import columns, instances, next_id


def model(actor: Actor, permission: Permission, name: str, *, lock: bool = False) -> RegisteredModel:
    """Return the model of this name.

    lock: holds the row until the end of the transaction, so that changes of one model follow one another.
    Raises NotFound if it is absent or hidden, Denied if the actor may see it but not do this.
    """
    condition, parameters = access.granted_sql(actor, permission, RegisteredModel, "m.id")
    statement = f"SELECT {columns(RegisteredModel, 'm')} FROM registry_registeredmodel m WHERE m.name = %s AND m.deleted_at IS NULL AND {condition}"
    found = instances(RegisteredModel, fetch(f"{statement} {for_update('m') if lock else ''}", [name, *parameters]))
    if not found:
        raise _missing(actor, permission, name)
    return found[0]


@dataclass(frozen=True, slots=True)
class Numbered:
    """A model, locked, the number and id that its next version has, and the stage in which it begins."""

    model: RegisteredModel
    number: int
    stage: str
    version_id: int


def numbered(actor: Actor, permission: Permission, name: str, *, at: int, lock: Statement | None = None) -> Numbered:
    """Take the next number of a model, changed at that millisecond. lock: expressions that take what else is to be held.

    Counting where the number stands is what keeps two from getting the same one. Raises NotFound, Denied.
    """
    condition, parameters = access.granted_sql(actor, permission, RegisteredModel, "m.id")
    locks, keys = lock or ("", [])
    found = fetch(
        f"""UPDATE registry_registeredmodel AS m SET next_number = next_number + 1, updated_ms = %s
             WHERE m.name = %s AND m.deleted_at IS NULL AND {condition}
         RETURNING {columns(RegisteredModel)}, ({stages.INITIAL}), {next_id(ModelVersion)}{", " if locks else ""}{locks}""",
        [at, name, *parameters, *keys],
    )
    if not found:
        raise _missing(actor, permission, name)
    (model,) = instances(RegisteredModel, found)
    stage, version_id = found[0][len(RegisteredModel._meta.concrete_fields) :][:2]
    return Numbered(model, model.next_number - 1, stage, version_id)


def _missing(actor: Actor, permission: Permission, name: str) -> Exception:
    """Return why no model of this name was found for this. Raises what is wrong with the name or the right to it."""
    present = RegisteredModel.objects.filter(name=name, deleted_at__isnull=True).first()
    if present is None:
        names.model_name(name)  # one that no model can have is a mistake, not an absence
        return NotFound(f"There is no registered model {name!r}, or you may not see it.")
    access.require(actor, permission, present)
    return Conflict(f"The right to {name!r} was given just now; try again.")


def version(actor: Actor, permission: Permission, name: str, number: str | int, *, lock: bool = False) -> ModelVersion:
    """Return a version with its model, whose row is held if ``lock``. Raises Invalid, NotFound or Denied."""
    wanted = names.version_number(number)
    condition, parameters = access.granted_sql(actor, permission, RegisteredModel, "m.id")
    found = fetch(
        f"""SELECT {columns(ModelVersion, "v")}, {columns(RegisteredModel, "m")}
              FROM registry_registeredmodel m JOIN registry_modelversion v ON v.model_id = m.id
             WHERE m.name = %s AND m.deleted_at IS NULL AND v.number = %s AND v.deleted_at IS NULL AND {condition}
             {for_update("m") if lock else ""}""",
        [name, wanted, *parameters],
    )
    if not found:
        model(actor, permission, name)  # says what is wrong with the model, if it is that
        raise NotFound(f"The model {name!r} has no version {number}.")
    (subject,) = instances(ModelVersion, found)
    (subject.model,) = instances(RegisteredModel, found, len(ModelVersion._meta.concrete_fields))
    return subject


@dataclass(frozen=True, slots=True)
class ModelKey:
    """What identifies a model, for commands that need no more of it."""

    id: int
    name: str


def model_key(actor: Actor, permission: Permission, name: str) -> ModelKey:
    """Return what identifies a model. Raises NotFound or Denied."""
    condition, parameters = access.granted_sql(actor, permission, RegisteredModel, "m.id")
    found = fetch(
        f"SELECT m.id, m.name FROM registry_registeredmodel m WHERE m.name = %s AND m.deleted_at IS NULL AND {condition}",
        [name, *parameters],
    )
    if not found:
        full = model(actor, permission, name)  # says what is wrong, if anything is
        return ModelKey(full.pk, full.name)
    return ModelKey(*found[0])


@dataclass(frozen=True, slots=True)
class VersionKey:
    """What identifies a version, for commands that need no more of it."""

    id: int
    model_id: int
    name: str
    number: int


def version_key(actor: Actor, permission: Permission, name: str, number: str | int) -> VersionKey:
    """Return what identifies a version. Raises Invalid, NotFound or Denied."""
    wanted = names.version_number(number)
    condition, parameters = access.granted_sql(actor, permission, RegisteredModel, "m.id")
    found = fetch(
        f"""SELECT v.id, m.id, m.name, v.number FROM registry_registeredmodel m JOIN registry_modelversion v ON v.model_id = m.id
             WHERE m.name = %s AND m.deleted_at IS NULL AND v.number = %s AND v.deleted_at IS NULL AND {condition}""",
        [name, wanted, *parameters],
    )
    if not found:
        full = version(actor, permission, name, number)  # says what is wrong, if anything is
        return VersionKey(full.pk, full.model_id, full.model.name, full.number)
    return VersionKey(*found[0])


def holder(model: RegisteredModel, number: int) -> str:
    """Return under what name a version keeps its folder of the artifact tree from changing."""
    return f"model-version:{model.pk}/{number}"


def frozen_by(holder_name: str) -> int | None:
    """Return the id of the model whose version has this name as a holder, or None for another kind of holder."""
    kind, _, rest = holder_name.partition(":")
    model_id = rest.partition("/")[0]
    return int(model_id) if kind == "model-version" and model_id.isdigit() else None
