"""Rights that one person should not hold together: the table behind the report of conflicts. Pure.

A conflict forbids nothing by itself, since small teams must live with some. Nobody ever decides on their own work, whatever
they hold: that is `separation_of_duties`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Conflict:
    """Two rights that one person holds, and why it matters. severity: high where one person could decide alone."""

    code: str
    first: str
    second: str
    why: str
    severity: str


@dataclass(frozen=True)
class PolicyHands:
    """Who a policy in force asks: the groups whose reviews it counts, and the group that may waive its requirements."""

    policy: str
    reviews: frozenset[str]
    waives: str


REVIEWER, AUDITOR = "reviewer", "auditor"

# role, role, severity, why
ROLE_PAIRS: tuple[tuple[str, str, str, str], ...] = (
    (
        "data-scientist",
        REVIEWER,
        "medium",
        "makes models and judges models: barred from deciding on their own, but not from trading approvals with a colleague",
    ),
    (
        "platform-admin",
        REVIEWER,
        "high",
        "publishes the policies that they review under, and can give accounts the right to review",
    ),
    (
        "incident-responder",
        REVIEWER,
        "high",
        "moves versions past the gate in an emergency, and reviews such moves afterwards",
    ),
    (
        "data-scientist",
        "platform-admin",
        "medium",
        "makes models and publishes the policies that those models are judged by",
    ),
    ("data-scientist", AUDITOR, "medium", "audits a record that their own work is in"),
    ("pipeline", REVIEWER, "high", "reports evidence, and reviews what is decided on it"),
    (REVIEWER, AUDITOR, "medium", "audits their own decisions"),
    ("platform-admin", AUDITOR, "medium", "audits the policies and rights that they hand out themselves"),
    ("pipeline", AUDITOR, "medium", "audits the evidence that they report themselves"),
    ("incident-responder", AUDITOR, "medium", "audits the emergencies that they declare"),
)


def by_roles(roles: Collection[str]) -> Iterator[Conflict]:
    """Yield the conflicts between a person's roles, in the order of the table."""
    for first, second, severity, why in ROLE_PAIRS:
        if first in roles and second in roles:
            yield Conflict("roles", f"role {first}", f"role {second}", why, severity)


def of_a_service(roles: Collection[str], reviewing: Collection[str]) -> Iterator[Conflict]:
    """Yield the conflict of a program that holds a role with the right to review."""
    for role in sorted(set(roles) & set(reviewing)):
        yield Conflict(
            "service_reviews",
            "service account",
            f"role {role}",
            "a review is a person's judgement; programs must not hold the right",
            "high",
        )


def by_policies(groups: Collection[str], policies: Iterable[PolicyHands]) -> Iterator[Conflict]:
    """Yield, for each policy, that somebody may waive what they are also asked to review."""
    for hands in policies:
        if hands.waives in groups:
            for group in sorted(hands.reviews & set(groups)):
                yield Conflict(
                    "waives_and_reviews",
                    f"group {hands.waives} approves waivers of {hands.policy}",
                    f"group {group} reviews under {hands.policy}",
                    "could let a requirement be missed and then approve what misses it",
                    "high",
                )


def by_grants(models: Iterable[str], most: int = 10) -> Iterator[Conflict]:
    """Yield that a reviewer may change governed models: one conflict for all of them. models: names, at most `most` are told."""
    names = sorted(models)
    if names:
        told = ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
        yield Conflict(
            "reviews_and_writes",
            "right to review",
            f"write on {told}",
            "may change models behind a gate that they help to open",
            "medium",
        )
