"""Who was granted what on one object: read as a list, and written as the one right that somebody has.

A right can be promised to a name that has no account or group yet: who shares a model need not wait for whoever makes accounts.
It is written down as a promise, counts for nothing, and becomes a right when an administrator makes the account.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from django.contrib.auth.models import Group
from django.contrib.contenttypes.models import ContentType
from django.db.models import Model
from guardian.utils import get_group_obj_perms_model, get_user_obj_perms_model

from core import access, audit
from core.access import Actor
from core.audit import Event
from core.errors import Invalid
from core.models import PromisedRight, User

LEVELS = ("read", "write", "manage")  # weakest first; a stronger one includes the weaker
_LONGEST_NAME = 150


class HolderKind(StrEnum):
    """What a right is granted to."""

    USER = "user"
    SERVICE = "service"
    GROUP = "group"


@dataclass(frozen=True, order=True)
class Holder:
    """A person, a service account or a group, by name."""

    kind: HolderKind
    name: str


@dataclass(frozen=True)
class Right:
    """The strongest right of a holder on an object. promised: there is no such account or group yet."""

    holder: Holder
    level: str
    display_name: str = ""
    promised: bool = False


def rights_on(target: Any) -> list[Right]:
    """Return who was granted what on an object, by kind and name; three statements."""
    found: list[Right] = []
    users = _of_people(target).filter(content_object=target).select_related("user", "permission")
    for row in users:
        kind = HolderKind.SERVICE if row.user.is_service else HolderKind.USER
        found.append(Right(Holder(kind, row.user.username), _level(row.permission.codename), row.user.display_name))
    groups = _of_groups(target).filter(content_object=target).select_related("group", "permission")
    found += [Right(Holder(HolderKind.GROUP, row.group.name), _level(row.permission.codename)) for row in groups]
    found += [Right(Holder(HolderKind(p.kind), p.name), p.level, promised=True) for p in _promises(target)]
    strongest: dict[Holder, Right] = {}
    for right in sorted(found, key=lambda right: LEVELS.index(right.level)):
        strongest[right.holder] = right
    return [strongest[holder] for holder in sorted(strongest)]


def give(target: Any, holder: Holder, level: str, *, scope: str) -> bool:
    """Give a holder this right on an object instead of what they had there; promise it if the name is nobody's yet.

    Return whether it is a promise. scope: of the events about the object. Raises Invalid for a name that cannot be one, or is of another kind.
    """
    user, group = _account(holder), _group(holder)
    take(target, holder)
    if user is not None:
        access.grant(target, _codename(target, level), users=[user.pk])
    elif group is not None:
        access.grant(target, _codename(target, level), groups=[group.pk])
    else:
        PromisedRight.objects.create(
            kind=holder.kind,
            name=holder.name,
            content_type=ContentType.objects.get_for_model(target),
            object_id=target.pk,
            level=level,
            scope=scope,
        )
    return user is None and group is None


def take(target: Any, holder: Holder) -> None:
    """Take away whatever a holder was granted or promised on an object."""
    if holder.kind == HolderKind.GROUP:
        _of_groups(target).filter(content_object=target, group__name=holder.name).delete()
    else:
        _of_people(target).filter(content_object=target, user__username=holder.name).delete()
    _promises(target).filter(kind=holder.kind, name=holder.name).delete()


def is_anybody(holders: Iterable[Holder]) -> bool:
    """Return whether at least one of these is a person who has an account, or a group with such a person in it."""
    holders = list(holders)
    people = User.objects.filter(is_active=True, is_service=False)
    names = [holder.name for holder in holders if holder.kind == HolderKind.USER]
    groups = [holder.name for holder in holders if holder.kind == HolderKind.GROUP]
    return people.filter(username__in=names).exists() or people.filter(groups__name__in=groups).exists()


def keep_promises(actor: Actor, *, user: User | None = None, group: Group | None = None) -> None:
    """Turn what was promised to a new account or group into rights, on record; in the caller's transaction."""
    if user is not None:
        holder = Holder(HolderKind.SERVICE if user.is_service else HolderKind.USER, user.username)
    elif group is not None:
        holder = Holder(HolderKind.GROUP, group.name)
    else:
        return
    for promise in PromisedRight.objects.filter(kind=holder.kind, name=holder.name).select_related("content_type"):
        kind: Any = promise.content_type.model_class()
        target = kind.objects.filter(pk=promise.object_id).first()
        if target is None:
            continue
        access.grant(
            target,
            _codename(target, promise.level),
            users=[user.pk] if user is not None else (),
            groups=[group.pk] if group is not None else (),
        )
        told = {"to": f"{holder.kind}:{holder.name}", "level": promise.level, "promised": False}
        audit.record(
            actor,
            Event.ACCESS_GRANTED,
            subject=("user" if user is not None else "group", holder.name),
            scope=promise.scope,
            before={**told, "promised": True},
            after=told,
        )
        promise.delete()


def _of_people(target: Any) -> Any:
    model: Any = get_user_obj_perms_model(target)
    return model.objects


def _of_groups(target: Any) -> Any:
    model: Any = get_group_obj_perms_model(target)
    return model.objects


def _account(holder: Holder) -> User | None:
    if holder.kind == HolderKind.GROUP:
        return None
    _require_name(holder)
    user = User.objects.filter(username=holder.name).first()
    if user is not None and user.is_service != (holder.kind == HolderKind.SERVICE):
        raise Invalid(f"{holder.name} is a {'service account' if user.is_service else 'person'}; name it as that.")
    return user


def _group(holder: Holder) -> Group | None:
    if holder.kind != HolderKind.GROUP:
        return None
    _require_name(holder)
    return Group.objects.filter(name=holder.name).first()


def _require_name(holder: Holder) -> None:
    if not 1 <= len(holder.name) <= _LONGEST_NAME or holder.name == access.SYSTEM_ROLE or not holder.name.isprintable():
        raise Invalid(f"{holder.name[:_LONGEST_NAME]!r} can be no name of a {holder.kind}.")


def _promises(target: Model) -> Any:
    return PromisedRight.objects.filter(content_type=ContentType.objects.get_for_model(target), object_id=target.pk)


def _codename(target: Model, level: str) -> str:
    # The rights on an object are its model's permissions, such as model_read: all begin with the same word.
    return f"{target._meta.permissions[0][0].rpartition('_')[0]}_{level}"


def _level(codename: str) -> str:
    return codename.rpartition("_")[2]
