"""Which reviews count: the latest of each person, on the evidence as it is now, by someone who may decide. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from governance.facts import ReviewFact


@dataclass(frozen=True)
class GivenReview:
    """A review as it was given, oldest first in any list."""

    reviewer: str
    verdict: str
    roles: tuple[str, ...]
    evidence_digest: str


def counted(
    reviews: Iterable[GivenReview], *, evidence_digest: str, barred: Mapping[str, str], reviewers: Mapping[str, frozenset[str]]
) -> tuple[ReviewFact, ...]:
    """Return the latest review of each person, each with whether it counts and why not.

    barred: who had a part in the work, and which. reviewers: who holds which roles now: a right that was taken away since
    no longer counts.
    """
    latest: dict[str, GivenReview] = {}
    for review in reviews:
        latest[review.reviewer] = review
    return tuple(_fact(review, evidence_digest, barred, reviewers) for review in latest.values())


def _fact(
    review: GivenReview, evidence_digest: str, barred: Mapping[str, str], reviewers: Mapping[str, frozenset[str]]
) -> ReviewFact:
    still = tuple(role for role in review.roles if role in reviewers.get(review.reviewer, ()))
    why_not = ""
    if review.reviewer in barred:
        why_not = f"{review.reviewer} {barred[review.reviewer]}"
    elif not still:
        why_not = f"{review.reviewer} no longer holds a role that may review"
    elif review.evidence_digest != evidence_digest:
        why_not = "the evidence changed since; it must be reviewed again"
    return ReviewFact(review.reviewer, review.verdict, still, counts=not why_not, why_not=why_not)
