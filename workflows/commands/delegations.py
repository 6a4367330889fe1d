"""Standing in for one another: who reviews on behalf of whom, and for how long."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from core import access, audit
from core.access import Actor, Permission
from core.audit import Event
from core.errors import Conflict, Denied, Invalid, NotFound
from core.models import User
from workflows import notifications, reviewers
from workflows.models import Delegation
from workflows.rules.delegation import Person, Standing, refusal

PATH = "/requests/"


def in_force(delegate_id: int, delegator_id: int, at: datetime) -> Delegation | None:
    """Return the delegation by which one person stands in for another at a moment, or None; there is never more than one.

    Its groups are the delegator's it covers; none named means all of them. One statement.
    """
    rows = Delegation.objects.select_related("delegator", "delegate")
    rows = rows.filter(delegate_id=delegate_id, delegator_id=delegator_id, starts_at__lte=at, ends_at__gt=at)
    return rows.filter(Q(revoked_at=None) | Q(revoked_at__gt=at)).order_by("pk").first()


@transaction.atomic
def create_delegation(
    *,
    actor: Actor,
    delegate: str,
    ends_at: datetime,
    reason: str,
    delegator: str = "",
    groups: Iterable[str] = (),
    starts_at: datetime | None = None,
) -> Delegation:
    """Let somebody review in a person's place for a time: their own, or for who manages accounts anybody's but to themselves.

    groups: of the delegator's; none named means all of them. starts_at: now unless given; a delegation never reaches back.
    Raises Invalid for what can never be, Conflict for what another delegation forbids at that time, Denied for another's place.
    """
    giver_name = delegator or actor.username
    if giver_name == actor.username:
        access.require(actor, Permission.PROMOTION_REVIEW)
    else:
        access.require(actor, Permission.ACCOUNT_MANAGE)
        if delegate == actor.username:
            raise Denied(f"You cannot put yourself in the place of {giver_name}; they can, or another platform admin.")
    if not reason.strip():
        raise Invalid("Say why: it stands beside every review that is given in somebody's place.")
    giver, taker = _locked([giver_name, delegate])
    now = timezone.now()
    asked = Standing(giver.username, taker.username, frozenset(groups), max(starts_at or now, now), ends_at)
    held = reviewers.groups_of([giver.username, taker.username])
    others = [_standing(row) for row in _of(giver, taker) if _end(row) > now]
    if why := refusal(asked, delegator=_person(giver, held), delegate=_person(taker, held), others=others):
        kind = Conflict if why.code in ("chain", "delegated_already") else Invalid
        raise kind(why.message, code=why.code)
    made = Delegation.objects.create(
        delegator=giver,
        delegate=taker,
        groups=sorted(asked.groups),
        reason=reason.strip(),
        starts_at=asked.starts,
        ends_at=asked.ends,
        created_by_id=actor.user_id or giver.pk,
    )
    audit.record(actor, Event.DELEGATION_CREATED, subject=("delegation", made.pk), after=_told(made))
    period = f"from {made.starts_at:%Y-%m-%d} to {made.ends_at:%Y-%m-%d}"
    notifications.tell([taker], None, "delegation", f"You stand in for {giver.display_name} {period}: {made.reason}", PATH)
    if giver.pk != actor.user_id:
        text = f"{taker.display_name} stands in for you {period}, as {actor.username} arranged: {made.reason}"
        notifications.tell([giver], None, "delegation", text, PATH)
    return made


@transaction.atomic
def revoke_delegation(*, actor: Actor, delegation_id: int) -> Delegation:
    """End a delegation before its time: either of the two may, and who manages accounts. Reviews given under it stand.

    Raises NotFound when absent or none of the actor's business, Conflict when it is over.
    """
    row = (
        Delegation.objects.select_for_update(of=("self",))
        .select_related("delegator", "delegate")
        .filter(pk=delegation_id)
        .first()
    )
    mine = row is not None and actor.user_id is not None and actor.user_id in (row.delegator_id, row.delegate_id)
    if row is None or not (mine or actor.grants(Permission.ACCOUNT_MANAGE)):
        raise NotFound(f"There is no delegation {delegation_id}, or it is not yours.")
    now = timezone.now()
    if _end(row) <= now:
        raise Conflict(f"The delegation is over since {_end(row):%Y-%m-%d %H:%M} UTC.", code="delegation_over")
    row.revoked_at = now
    row.save(update_fields=["revoked_at"])
    audit.record(
        actor, Event.DELEGATION_REVOKED, subject=("delegation", row.pk), before=_told(row), after={"ends_at": now.isoformat()}
    )
    text = f"{row.delegate.display_name} no longer stands in for {row.delegator.display_name}"
    others = [user for user in (row.delegator, row.delegate) if user.pk != actor.user_id]
    notifications.tell(others, None, "delegation", text, PATH)
    return row


def _locked(usernames: list[str]) -> list[User]:
    """Return the accounts with their rows locked, so that nothing else is delegated to or by them meanwhile.

    Two delegations that may not be together share a person, so whoever comes second sees the first.
    """
    rows = User.objects.select_for_update(no_key=True).filter(username__in=usernames, is_active=True).order_by("pk")
    found = {user.username: user for user in rows}
    for name in usernames:
        if name not in found:
            raise NotFound(f"There is no account {name!r}.")
    return [found[name] for name in usernames]


def _of(*people: User) -> Iterable[Delegation]:
    return Delegation.objects.select_related("delegator", "delegate").filter(
        Q(delegator__in=people) | Q(delegate__in=people), revoked_at=None
    )


def _person(user: User, held: dict[str, frozenset[str]]) -> Person:
    return Person(user.username, held.get(user.username, frozenset()), user.username in held, user.is_service)


def _standing(row: Delegation) -> Standing:
    return Standing(row.delegator.username, row.delegate.username, frozenset(row.groups), row.starts_at, _end(row))


def _end(row: Delegation) -> datetime:
    return min(row.ends_at, row.revoked_at) if row.revoked_at else row.ends_at


def _told(row: Delegation) -> dict[str, object]:
    return {
        "delegator": row.delegator.username,
        "delegate": row.delegate.username,
        "groups": row.groups,
        "starts_at": row.starts_at.isoformat(),
        "ends_at": row.ends_at.isoformat(),
        "reason": row.reason,
    }
