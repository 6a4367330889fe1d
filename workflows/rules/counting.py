"""Which reviews count: the latest of each person, on what was before them, by someone who may decide. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from governance.facts import ReviewFact
from workflows.rules.snapshot import Change, Parts, differences, summary


@dataclass(frozen=True)
class GivenReview:
    """A review as it was given, oldest first in any list. seen: what was before the reviewer, part by part."""

    reviewer: str
    verdict: str
    groups: tuple[str, ...]
    seen: Parts
    on_behalf_of: str = ""


@dataclass(frozen=True)
class Standing:
    """A person's latest review, how the gate takes it, and what changed since it was given."""

    review: GivenReview
    fact: ReviewFact
    changes: tuple[Change, ...]


@dataclass(frozen=True)
class Circumstances:
    """What a review is held against now.

    barred: who had a part in the work, and which. groups: username -> groups now, of active accounts with the right to
    review. owner_team: who belongs to the team that owns the model. material: whether a change of a part matters.
    """

    now: Parts
    material: Callable[[str], bool]
    barred: Mapping[str, str]
    groups: Mapping[str, frozenset[str]]
    owner_team: frozenset[str] = frozenset()


def counted(reviews: Iterable[GivenReview], held_against: Circumstances) -> tuple[Standing, ...]:
    """Return the latest review of each person, each with whether it counts and why not.

    One person is heard once: a review in somebody's place falls when that person reviews, and of two in one's place the
    later stands.
    """
    latest: dict[str, GivenReview] = {}
    for review in reviews:
        latest.pop(review.reviewer, None)
        latest[review.reviewer] = review
    heard: set[str] = {review.reviewer for review in latest.values() if not review.on_behalf_of}
    standings: dict[str, Standing] = {}
    for review in reversed(latest.values()):
        people = {review.reviewer, review.on_behalf_of} if review.on_behalf_of else {review.reviewer}
        twice = review.on_behalf_of and people & heard
        standing = _standing(review, held_against, f"{review.on_behalf_of} is heard already" if twice else "")
        standings[review.reviewer] = standing
        if standing.fact.counts:
            heard |= people
    return tuple(standings[name] for name in latest)


def _standing(review: GivenReview, held: Circumstances, twice: str) -> Standing:
    for_whom = review.on_behalf_of or review.reviewer
    still = tuple(group for group in review.groups if group in held.groups.get(for_whom, ()))
    changes = differences(review.seen, held.now, material=held.material)
    material = [change for change in changes if change.material]
    barred = next((name for name in (review.reviewer, review.on_behalf_of) if name in held.barred), "")
    why_not = ""
    if barred:
        why_not = f"{barred} {held.barred[barred]}"
    elif review.reviewer not in held.groups:
        why_not = f"{review.reviewer} no longer holds a role that may review"
    elif not still:
        why_not = f"{for_whom} is in none of the groups any more that the review was given for"
    elif material:
        why_not = f"stale, to be reviewed again: {summary(material)}"
    elif twice:
        why_not = twice
    fact = ReviewFact(
        reviewer=review.reviewer,
        verdict=review.verdict,
        groups=still,
        counts=not why_not,
        why_not=why_not,
        on_behalf_of=review.on_behalf_of,
        in_owner_team=bool({review.reviewer, review.on_behalf_of} & held.owner_team),
        note=f"stands, since what changed is not material: {summary(changes)}" if changes and not material else "",
    )
    return Standing(review, fact, changes)
