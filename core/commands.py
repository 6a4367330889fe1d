"""People, roles and tokens."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from django.contrib.auth.models import Group
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.validators import EmailValidator, RegexValidator
from django.db import transaction
from django.utils import timezone

from core import access, audit, grants
from core.access import Actor, Permission, Role
from core.audit import Event
from core.errors import Invalid, NotFound
from core.models import ApiToken, User

_NAME = RegexValidator(r"^[\w.@+-]{1,150}$")


@dataclass(frozen=True)
class IssuedToken:
    """A new token with its secret, which is shown this once and not kept."""

    token: ApiToken
    secret: str


def ensure_roles(**_: object) -> None:
    """Make the groups that carry rights everywhere, if they are not there yet."""
    for role in Role:
        Group.objects.get_or_create(name=role.value)


@transaction.atomic
def ensure_user(
    *,
    actor: Actor,
    username: str,
    roles: Iterable[str] = (),
    groups: Iterable[str] = (),
    password: str | None = None,
    full_name: str = "",
    service_of: str = "",
    email: str = "",
) -> User:
    """Create an account, or add what is asked to an existing one; nothing is ever taken away.

    A new account or group gets the rights that were promised to its name.

    service_of: makes it a service account that this person answers for. email: where mail for the person goes.
    Raises Invalid for an unknown role, a bad name or address, or a weak password; NotFound for an unknown responsible person.
    """
    access.require(actor, Permission.ACCOUNT_MANAGE)
    roles, groups = list(roles), list(groups)
    for role in roles:
        if role not in Role.__members__.values():
            raise Invalid(f"There is no role {role!r}; the roles are {', '.join(Role)}.")
    if clash := sorted(set(groups) & {access.SYSTEM_ROLE, *(role.value for role in Role)}):
        raise Invalid(f"{clash[0]} is a role; give it as a role, not as a group.")
    user = User.objects.filter(username=username).first()
    if user is None:
        user = _new_user(actor, username, full_name, service_of)
    _add_groups(actor, user, roles + groups)
    if password is not None:
        _set_password(actor, user, password)
    if email and email != user.email:
        _set_email(actor, user, email)
    return user


def _new_user(actor: Actor, username: str, full_name: str, service_of: str) -> User:
    try:
        _NAME(username)
    except ValidationError:
        raise Invalid(f"{username!r} is not a name for an account: use letters, digits and . _ @ + - only.") from None
    user = User(username=username, is_service=bool(service_of))
    first, _, last = full_name.partition(" ")
    user.first_name, user.last_name = first, last
    if service_of:
        user.responsible = User.objects.filter(username=service_of, is_service=False).first()
        if user.responsible is None:
            raise NotFound(f"There is no person {service_of!r} to answer for the service account.")
    user.set_unusable_password()
    user.save()
    audit.record(actor, Event.USER_CREATED, subject=("user", username), after={"service_of": service_of})
    grants.keep_promises(actor, user=user)
    return user


def _set_email(actor: Actor, user: User, email: str) -> None:
    try:
        EmailValidator()(email)
    except ValidationError:
        raise Invalid(f"{email!r} is no mail address.") from None
    before, user.email = user.email, email
    user.save(update_fields=["email"])
    audit.record(
        actor, Event.USER_EMAIL_CHANGED, subject=("user", user.username), before={"email": before}, after={"email": email}
    )


def _add_groups(actor: Actor, user: User, names: list[str]) -> None:
    had = set(user.groups.values_list("name", flat=True))
    added = sorted(set(names) - had)
    if not added:
        return
    user.groups.add(*(_ensured_group(actor, name) for name in added))
    audit.record(
        actor,
        Event.USER_ROLES_CHANGED,
        subject=("user", user.username),
        before={"groups": sorted(had)},
        after={"groups": sorted(had | set(added))},
    )


def _ensured_group(actor: Actor, name: str) -> Group:
    group, made = Group.objects.get_or_create(name=name)
    if made:
        grants.keep_promises(actor, group=group)
    return group


def _set_password(actor: Actor, user: User, password: str) -> None:
    try:
        validate_password(password, user)
    except ValidationError as error:
        raise Invalid("The password was not taken: " + " ".join(error.messages)) from None
    if user.check_password(password):
        return
    user.set_password(password)
    user.save(update_fields=["password"])
    audit.record(actor, Event.USER_PASSWORD_CHANGED, subject=("user", user.username))


@transaction.atomic
def issue_token(*, actor: Actor, username: str, name: str, days: int) -> IssuedToken:
    """Make a bearer token of 256 random bits that expires after so many days; only its SHA-256 is kept.

    Raises NotFound for an unknown account, Denied when it is another's and the actor does not manage accounts.
    """
    user = User.objects.filter(username=username, is_active=True).first()
    if user is None or user.pk != actor.user_id:
        access.require(actor, Permission.ACCOUNT_MANAGE)
    if user is None:
        raise NotFound(f"There is no account {username!r}.")
    if not 1 <= days <= 3650:
        raise Invalid("A token lives for 1 to 3650 days.")
    secret = "cs_" + secrets.token_urlsafe(32)
    token = ApiToken.objects.create(
        user=user,
        name=name,
        prefix=secret[:10],
        digest=token_digest(secret),
        expires_at=timezone.now() + timedelta(days=days),
    )
    audit.record(
        actor,
        Event.TOKEN_ISSUED,
        subject=("user", username),
        after={"prefix": token.prefix, "name": name, "expires_at": token.expires_at.isoformat()},
    )
    return IssuedToken(token, secret)


@transaction.atomic
def revoke_token(*, actor: Actor, prefix: str) -> None:
    """End a token at once. Revoking it again changes nothing. Raises NotFound, also for another's token."""
    token = ApiToken.objects.select_related("user").filter(prefix=prefix).first()
    if token is None or token.user_id != actor.user_id:
        access.require(actor, Permission.ACCOUNT_MANAGE)
    if token is None:
        raise NotFound(f"There is no token that begins with {prefix!r}.")
    if ApiToken.objects.filter(pk=token.pk, revoked_at__isnull=True).update(revoked_at=timezone.now()):
        audit.record(actor, Event.TOKEN_REVOKED, subject=("user", token.user.username), before={"prefix": prefix})


def token_digest(secret: str) -> str:
    """Return the SHA-256 of a token in hex. A token has 256 random bits, so a slow password hash would add nothing."""
    return hashlib.sha256(secret.encode()).hexdigest()
