"""Which approval fills which factor, and who is left to fill the rest. Pure.

A person fills one place of a policy, so this is a matching in a bipartite graph of people and places (Kuhn 1955; augmenting
paths). Places are filled in the order of the steps: once filled, a place stays filled, so earlier steps come first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from governance.facts import Facts, PersonFact, ReviewFact
from governance.policy import Factor, Step


@dataclass(frozen=True)
class Seat:
    """A factor with the people who fill it. reachable: how many of the missing could still be filled by somebody."""

    factor: Factor
    people: tuple[str, ...]
    missing: int
    reachable: int


def seats(steps: Sequence[Step], facts: Facts, *, author: str) -> Mapping[str, list[Seat]]:
    """Return the seats of each step by its name. author: who published the policy revision."""
    places = [(s, f) for s, step in enumerate(steps) for f, factor in enumerate(step.factors) for _ in range(factor.count)]
    approvals = {r.reviewer: r for r in facts.reviews if r.counts and r.verdict == "approve"}
    filled = _matched(
        [[name for name, review in approvals.items() if _fits(steps[s].factors[f], review, author)] for s, f in places]
    )
    # Whoever approved may move to another place if that lets more places be filled; whoever abstained or objected may change
    # their mind, so they stay among the people who could.
    could: dict[str, PersonFact | ReviewFact] = {**{p.username: p for p in facts.people}, **approvals}
    reachable = _matched(
        [[name for name, person in could.items() if _fits(steps[s].factors[f], person, author)] for s, f in places], filled
    )
    found: dict[str, list[Seat]] = {}
    for s, step in enumerate(steps):
        found[step.name] = []
        for f, factor in enumerate(step.factors):
            own = [i for i, place in enumerate(places) if place == (s, f)]
            people = tuple(sorted(filled[i] for i in own if i in filled))
            reached = sum(i in reachable for i in own) - len(people)
            found[step.name].append(Seat(factor, people, factor.count - len(people), max(reached, 0)))
    return found


def _fits(factor: Factor, person: PersonFact | ReviewFact, author: str) -> bool:
    name = person.username if isinstance(person, PersonFact) else person.reviewer
    return (
        factor.group in person.groups
        and not ("outside_owner_team" in factor.constraints and person.in_owner_team)
        and not ("not_policy_author" in factor.constraints and name == author)
    )


def _matched(candidates: list[list[str]], held: Mapping[int, str] | None = None) -> dict[int, str]:
    """Return place -> person, as many places as can be filled, starting from those that are held; these stay filled."""
    by_place = dict(held or {})
    by_person = {person: place for place, person in by_place.items()}
    for place in range(len(candidates)):
        if place not in by_place:
            _fill(place, candidates, by_place, by_person)
    return by_place


def _fill(start: int, candidates: list[list[str]], by_place: dict[int, str], by_person: dict[str, int]) -> None:
    """Fill a place along a shortest path on which each person moves one place on; do nothing if there is no such path."""
    asked_by: dict[str, int] = {}
    queue = [start]
    for place in queue:
        for person in candidates[place]:
            if person in asked_by:
                continue
            asked_by[person] = place
            if person in by_person:
                queue.append(by_person[person])
                continue
            moving, end = person, asked_by[person]
            while end != start:
                leaving = by_place[end]
                by_place[end], by_person[moving] = moving, end
                moving, end = leaving, asked_by[leaving]
            by_place[start], by_person[moving] = moving, start
            return
