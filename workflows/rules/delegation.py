"""Who may stand in for whom, and when. Pure: the moment always comes in as `at`.

At no instant is somebody both standing in and stood in for, so delegations never form a chain, let alone a circle: whoever signs
on another's behalf was chosen by that person.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

LONGEST = timedelta(days=90)


@dataclass(frozen=True)
class Person:
    """Somebody as far as standing in goes. groups: those they are in, by name."""

    username: str
    groups: frozenset[str] = frozenset()
    may_review: bool = True
    is_service: bool = False


@dataclass(frozen=True)
class Standing:
    """A delegation from `starts` to just before `ends`, or before it was revoked. groups: none named means all of them."""

    delegator: str
    delegate: str
    groups: frozenset[str]
    starts: datetime
    ends: datetime

    def overlaps(self, other: Standing) -> bool:
        """Return whether there is an instant at which both are in force."""
        return max(self.starts, other.starts) < min(self.ends, other.ends)

    def shares_groups(self, other: Standing) -> bool:
        """Return whether both hand over the same group."""
        return not self.groups or not other.groups or bool(self.groups & other.groups)


@dataclass(frozen=True)
class Refusal:
    """Why a delegation is not taken: a stable code, and a sentence that says what to do."""

    code: str
    message: str


def refusal(asked: Standing, *, delegator: Person, delegate: Person, others: Iterable[Standing]) -> Refusal | None:
    """Return why a delegation cannot be, or None. others: every delegation that either of the two gives or holds."""
    return _people(asked, delegator, delegate) or _period(asked) or _others(asked, others)


def _people(asked: Standing, delegator: Person, delegate: Person) -> Refusal | None:
    giver, taker = delegator.username, delegate.username
    if giver == taker:
        return Refusal("delegates_to_self", f"{giver} cannot stand in for themselves; name somebody else.")
    for person in (delegator, delegate):
        if person.is_service:
            return Refusal(
                "service_account", f"{person.username} is a service account; only people review and stand in for others."
            )
    if not delegator.may_review:
        return Refusal("nothing_to_delegate", f"{giver} does not hold the right to review, so there is nothing to stand in for.")
    if not delegate.may_review:
        return Refusal("delegate_may_not_review", f"{taker} does not hold the right to review; name somebody who does.")
    if foreign := sorted(asked.groups - delegator.groups):
        held = ", ".join(sorted(delegator.groups)) or "in none"
        return Refusal("not_in_group", f"{giver} is not in {', '.join(foreign)}; the groups of {giver}: {held}.")
    return None


def _period(asked: Standing) -> Refusal | None:
    if asked.ends <= asked.starts:
        return Refusal("ends_before_it_starts", "A delegation ends after it begins; give a later end.")
    if asked.ends - asked.starts > LONGEST:
        return Refusal("too_long", f"A delegation lasts at most {LONGEST.days} days; give an earlier end and renew it then.")
    return None


def _others(asked: Standing, others: Iterable[Standing]) -> Refusal | None:
    for other in others:
        if not asked.overlaps(other):
            continue
        if other.delegator == asked.delegate:
            return Refusal(
                "chain",
                f"{asked.delegate} has handed over their own part to {other.delegate} until {_day(other.ends)}; name somebody who "
                "is there.",
            )
        if other.delegate == asked.delegator:
            return Refusal(
                "chain",
                f"{asked.delegator} stands in for {other.delegator} until {_day(other.ends)} and cannot be away as well; let "
                f"{other.delegator} choose somebody else first.",
            )
        if other.delegator == asked.delegator and (other.delegate == asked.delegate or asked.shares_groups(other)):
            return Refusal(
                "delegated_already",
                f"{asked.delegator} is stood in for by {other.delegate} from {_day(other.starts)} to {_day(other.ends)}; revoke "
                "that first, or choose another time.",
            )
    return None


def _day(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"
