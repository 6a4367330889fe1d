"""May this actor do this kind of thing to this object, and why: the only place that answers.

Rights come from two sources and are denied otherwise: what a role allows everywhere (``ROLE_GRANTS``), and what a person or
one of their groups was granted on one object (django-guardian's direct foreign-key tables). Being a superuser gives nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import cache, lru_cache
from typing import Any, TypeVar

from django.contrib.auth.models import Permission as AuthPermission
from django.db.models import Model, Q, QuerySet
from guardian.utils import get_group_obj_perms_model, get_user_obj_perms_model

from core import sql
from core.errors import Denied, NotFound


class Role(StrEnum):
    """The groups whose names carry rights everywhere."""

    DATA_SCIENTIST = "data-scientist"
    REVIEWER = "reviewer"
    AUDITOR = "auditor"
    PLATFORM_ADMIN = "platform-admin"
    INCIDENT_RESPONDER = "incident-responder"
    PIPELINE = "pipeline"


class Permission(StrEnum):
    """What can be asked about, as ``resource:action``."""

    EXPERIMENT_CREATE = "experiment:create"
    EXPERIMENT_READ = "experiment:read"
    EXPERIMENT_WRITE = "experiment:write"
    EXPERIMENT_MANAGE = "experiment:manage"
    MODEL_CREATE = "model:create"
    MODEL_READ = "model:read"
    MODEL_WRITE = "model:write"
    MODEL_MANAGE = "model:manage"
    DATASET_READ = "dataset:read"
    DATASET_REGISTER = "dataset:register"
    EVIDENCE_REPORT = "evidence:report"
    PROMOTION_REQUEST = "promotion:request"
    PROMOTION_REVIEW = "promotion:review"
    BREAK_GLASS = "break-glass:use"
    POLICY_READ = "policy:read"
    POLICY_PUBLISH = "policy:publish"
    CALENDAR_MANAGE = "calendar:manage"
    WEBHOOK_MANAGE = "webhook:manage"
    AUDIT_READ = "audit:read"
    ACCOUNT_MANAGE = "account:manage"
    SERVER_MOVE = "server:move"


M = TypeVar("M", bound=Model)

SYSTEM_ROLE = "system"

_READ_ALL = {
    Permission.EXPERIMENT_READ,
    Permission.MODEL_READ,
    Permission.DATASET_READ,
    Permission.POLICY_READ,
}

ROLE_GRANTS: dict[str, frozenset[Permission]] = {
    Role.DATA_SCIENTIST: frozenset(
        {Permission.EXPERIMENT_CREATE, Permission.MODEL_CREATE, Permission.POLICY_READ, Permission.DATASET_READ}
    ),
    Role.REVIEWER: frozenset(_READ_ALL | {Permission.PROMOTION_REVIEW}),
    Role.AUDITOR: frozenset(_READ_ALL | {Permission.AUDIT_READ}),
    Role.PLATFORM_ADMIN: frozenset(
        _READ_ALL
        | {
            Permission.POLICY_PUBLISH,
            Permission.CALENDAR_MANAGE,
            Permission.WEBHOOK_MANAGE,
            Permission.DATASET_REGISTER,
            Permission.ACCOUNT_MANAGE,
            Permission.SERVER_MOVE,
            Permission.AUDIT_READ,
        }
    ),
    # Emergency moves are a right of their own: neither administering nor reviewing includes it.
    Role.INCIDENT_RESPONDER: frozenset(_READ_ALL | {Permission.BREAK_GLASS}),
    # Service accounts of pipelines elsewhere: what they report is seen for what it is. On which models, a grant on each says.
    Role.PIPELINE: frozenset({Permission.EVIDENCE_REPORT, Permission.DATASET_READ, Permission.POLICY_READ}),
    # The worker's own account: it measures and carries out what people decided; it never reviews.
    SYSTEM_ROLE: frozenset(_READ_ALL | {Permission.MODEL_WRITE}),
}

# The rights on one object, weakest first; a stronger one includes the weaker.
_LEVELS = ("read", "write", "manage")

# Asked about an object, these need that right on it.
_NEEDS_ON_OBJECT: dict[Permission, str] = {
    Permission.EXPERIMENT_READ: "experiment_read",
    Permission.EXPERIMENT_WRITE: "experiment_write",
    Permission.EXPERIMENT_MANAGE: "experiment_manage",
    Permission.MODEL_READ: "model_read",
    Permission.MODEL_WRITE: "model_write",
    Permission.MODEL_MANAGE: "model_manage",
    Permission.PROMOTION_REQUEST: "model_write",
}
_READ_OF = {"experiment": Permission.EXPERIMENT_READ, "model": Permission.MODEL_READ}


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts: an immutable snapshot, as it goes into the audit record."""

    user_id: int | None
    username: str
    display_name: str = ""
    roles: frozenset[str] = frozenset()
    group_ids: tuple[int, ...] = ()
    credential: str = ""  # how they proved it: "token:<prefix>", "password", "session", "command-line", "system"
    responsible: str = ""  # the person who answers for a service account
    request_id: str = ""

    def grants(self, permission: Permission) -> bool:
        """Return whether one of the actor's roles allows this everywhere."""
        return any(permission in ROLE_GRANTS.get(role, ()) for role in self.roles)


SYSTEM = Actor(
    user_id=None, username="countersign", display_name="Countersign", roles=frozenset({SYSTEM_ROLE}), credential="system"
)


@dataclass(frozen=True)
class Explanation:
    """An answer with its reason, fit to show to a person."""

    allowed: bool
    reason: str


def explain(actor: Actor, permission: Permission, target: Model | None = None) -> Explanation:
    """Say whether the actor may do this, to this object if one is given, and why."""
    for role in sorted(actor.roles):
        if permission in ROLE_GRANTS.get(role, ()):
            return Explanation(True, f"role {role} allows {permission}")
    needed = _NEEDS_ON_OBJECT.get(permission)
    if target is not None and needed is not None and _granted(actor, needed, target):
        return Explanation(True, f"{needed.replace('_', ' ')} was granted on this {_noun(target)}")
    return Explanation(False, f"{actor.username} has neither a role that allows {permission} nor a grant on this object")


def require(actor: Actor, permission: Permission, target: Model | None = None) -> None:
    """Return if the actor may do this.

    Raises NotFound if they may not even see the object, so that absent and hidden look alike; else Denied, with the reason.
    """
    if actor.grants(permission):
        return
    needed = _NEEDS_ON_OBJECT.get(permission)
    if target is not None and needed is not None:
        if _granted(actor, needed, target):
            return
        read = _READ_OF[needed.partition("_")[0]]
        if permission == read or not explain(actor, read, target).allowed:
            # Word for word what one hears who names something that is not there.
            raise NotFound(f"There is no {_noun(target)} {str(target)!r}, or you may not see it.")
    raise Denied(
        f"{actor.username or 'You'} may not do this: it needs {permission}"
        + (f" on this {_noun(target)}; ask its owner or a platform admin." if target is not None else "; ask a platform admin.")
    )


def visible(actor: Actor, rows: QuerySet[M], permission: Permission, path: str = "") -> QuerySet[M]:
    """Limit a queryset to what the actor may see, within the same query.

    path: the relation from the rows to the object that rights are granted on, such as ``model``; empty if they are it.
    """
    if actor.grants(permission):
        return rows
    target: Any = rows.model
    for step in filter(None, path.split("__")):
        target = target._meta.get_field(step).related_model
    return rows.filter(_granted_to(actor, _NEEDS_ON_OBJECT[permission], target, path or "pk"))


def granted_sql(
    actor: Actor, permission: Permission, target: Any, column: str, *, row_by_row: bool = False
) -> tuple[str, list[Any]]:
    """Return a condition on ``column`` (an id of ``target``) and its parameters, for the statements written by hand.

    row_by_row: for a statement that meets its rows in order and stops after a page of them. PostgreSQL does not see that it will
    stop, and would read all of the actor's rights first. An actor whose role allows it everywhere gets ``("TRUE", [])``.
    """
    if actor.grants(permission):
        return "TRUE", []
    return _granted_condition(permission, target, column, actor.group_ids, row_by_row), [actor.user_id]


@lru_cache(maxsize=4096)
def _granted_condition(permission: Permission, target: Any, column: str, group_ids: tuple[int, ...], row_by_row: bool) -> str:
    ids = _permission_ids(target._meta.app_label, _at_least(_NEEDS_ON_OBJECT[permission]))
    users, groups = _user_rows(target), _group_rows(target)
    id_list = ",".join(str(i) for i in ids) or "NULL"
    group_list = ",".join(str(i) for i in group_ids) or "NULL"
    apart = " LIMIT 1 OFFSET 0" if row_by_row else ""  # a subquery with an offset is not turned into a table of all its rows
    return (
        f"(EXISTS (SELECT 1 FROM {users._meta.db_table} p WHERE p.content_object_id = {column} AND p.user_id = %s"
        f" AND p.permission_id IN ({id_list}){apart})"
        f" OR EXISTS (SELECT 1 FROM {groups._meta.db_table} g WHERE g.content_object_id = {column}"
        f" AND g.group_id IN ({group_list}) AND g.permission_id IN ({id_list}){apart}))"
    )


def grant(target: Any, codename: str, *, users: Iterable[int] = (), groups: Iterable[int] = ()) -> None:
    """Write a right on one object for people and groups; writing it again changes nothing."""
    if statements := granting(target, codename, users=users, groups=groups):
        sql.run_all(statements)


def granting(target: Any, codename: str, *, users: Iterable[int] = (), groups: Iterable[int] = ()) -> list[sql.Statement]:
    """Return the statements of ``grant``, for who has more to write with them."""
    permission_id = _permission_ids(target._meta.app_label, (codename,))[0]
    tables: tuple[tuple[Any, str, Iterable[int]], ...] = (
        (_user_rows(type(target)), "user_id", users),
        (_group_rows(type(target)), "group_id", groups),
    )
    return [
        (
            f"INSERT INTO {model._meta.db_table} (permission_id, content_object_id, {column}) VALUES (%s, %s, %s)"
            " ON CONFLICT DO NOTHING",
            [permission_id, target.pk, holder],
        )
        for model, column, ids in tables
        for holder in ids
    ]


def _granted(actor: Actor, needed: str, target: Model) -> bool:
    kind: Any = type(target)
    return bool(kind.objects.filter(_granted_to(actor, needed, kind, "pk"), pk=target.pk).exists())


def _granted_to(actor: Actor, needed: str, target: Any, path: str) -> Q:
    ids = _permission_ids(target._meta.app_label, _at_least(needed))
    user_rows: Any = _user_rows(target)
    group_rows: Any = _group_rows(target)
    users = user_rows.objects.filter(user_id=actor.user_id, permission_id__in=ids)
    groups = group_rows.objects.filter(group_id__in=actor.group_ids, permission_id__in=ids)
    return Q(**{f"{path}__in": users.values("content_object_id")}) | Q(**{f"{path}__in": groups.values("content_object_id")})


def _at_least(needed: str) -> tuple[str, ...]:
    resource, _, level = needed.rpartition("_")
    return tuple(f"{resource}_{name}" for name in _LEVELS[_LEVELS.index(level) :])


# By class; guardian looks for them among all its relations each time.
_user_rows: Any = cache(get_user_obj_perms_model)
_group_rows: Any = cache(get_group_obj_perms_model)


@cache
def _permission_ids(app_label: str, codenames: tuple[str, ...]) -> tuple[int, ...]:
    found = dict(
        AuthPermission.objects.filter(content_type__app_label=app_label, codename__in=codenames).values_list("codename", "id")
    )
    return tuple(found[name] for name in codenames)


def _noun(target: Model) -> str:
    return str(target._meta.verbose_name)


def forget_permission_ids(**_: object) -> None:
    """Forget the ids read so far; after a migration or a test's flush they may be others."""
    _permission_ids.cache_clear()
    _granted_condition.cache_clear()
