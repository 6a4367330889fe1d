"""Approvals are matched with the places of the steps: as many as possible, earlier steps first, nobody twice."""

from __future__ import annotations

from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from governance.facts import Facts, ModelFacts, PersonFact, RequestFacts, ReviewFact, VersionFacts
from governance.policy import Factor, Step
from governance.staffing import Seat, seats

GROUPS = ("owner", "risk", "legal")


def step(name: str, *factors: Factor) -> Step:
    return Step(name, name.title(), None, factors, None, "")


def facts(reviews: list[ReviewFact], people: list[PersonFact] | None = None) -> Facts:
    return Facts(
        request=RequestFacts(1, "dana", "stage", "Production", "None"),
        model=ModelFacts("m", "high"),
        version=VersionFacts(present=True),
        champion=VersionFacts(),
        reviews=tuple(reviews),
        people=tuple(people or ()),
    )


def approval(name: str, *groups: str, **more: bool | str) -> ReviewFact:
    return ReviewFact(name, "approve", groups, True, **more)


def filled(found: dict[str, list[Seat]]) -> dict[str, list[tuple[str, ...]]]:
    return {name: [seat.people for seat in row] for name, row in found.items()}


def test_a_person_moves_to_the_place_that_only_they_can_fill() -> None:
    steps = [step("one", Factor("risk", 1), Factor("legal", 1))]
    # Rosa could fill both; if she took the first, nobody would be left for the second.
    found = seats(steps, facts([approval("rosa", "risk", "legal"), approval("ravi", "risk")]), author="")
    assert filled(found) == {"one": [("ravi",), ("rosa",)]}


def test_one_person_in_two_groups_fills_one_place() -> None:
    steps = [step("one", Factor("risk", 1)), step("two", Factor("legal", 1))]
    found = seats(steps, facts([approval("rosa", "risk", "legal")]), author="")
    assert filled(found) == {"one": [("rosa",)], "two": [()]}
    assert (found["two"][0].missing, found["two"][0].reachable) == (1, 0)


def test_who_fits_an_earlier_step_is_not_kept_for_a_later_one() -> None:
    steps = [step("one", Factor("risk", 1)), step("two", Factor("risk", 1))]
    found = seats(steps, facts([approval("rosa", "risk")], [PersonFact("ravi", ("risk",))]), author="")
    assert filled(found) == {"one": [("rosa",)], "two": [()]}
    assert found["two"][0].reachable == 1


@pytest.mark.parametrize(
    ("constraint", "good", "bad"),
    [
        ("outside_owner_team", approval("ravi", "risk"), approval("rosa", "risk", in_owner_team=True)),
        ("not_policy_author", approval("ravi", "risk"), approval("pat", "risk")),
    ],
)
def test_constraints_leave_people_out(constraint: str, good: ReviewFact, bad: ReviewFact) -> None:
    bound, free = [step("one", Factor("risk", 1, (constraint,)))], [step("one", Factor("risk", 1))]
    assert filled(seats(bound, facts([good]), author="pat")) == {"one": [("ravi",)]}
    assert filled(seats(bound, facts([bad]), author="pat")) == {"one": [()]}
    assert filled(seats(free, facts([bad]), author="pat")) == {"one": [(bad.reviewer,)]}


def test_a_review_that_does_not_count_or_does_not_approve_fills_nothing() -> None:
    steps = [step("one", Factor("risk", 3))]
    reviews = [
        ReviewFact("ravi", "approve", ("risk",), False, "stale"),
        ReviewFact("rosa", "reject", ("risk",), True),
        approval("aude", "legal"),
    ]
    found = seats(steps, facts(reviews), author="")["one"][0]
    assert (found.people, found.missing, found.reachable) == ((), 3, 0)


def test_a_crowd_is_matched_without_running_out_of_stack() -> None:
    # Each place could be filled by two neighbours, so that filling the last moves everybody by one.
    count = 2000
    steps = [Step(f"s{i}", "", None, (Factor(f"g{i}", 1),), None, "") for i in range(count)]
    reviews = [approval(f"p{i}", f"g{i}", f"g{i + 1}") for i in range(count - 1)] + [approval("late", "g0")]
    found = seats(steps, facts(reviews), author="")
    assert all(row[0].missing == 0 for row in found.values())
    assert found["s0"][0].people == ("late",)


people = st.lists(st.sets(st.sampled_from(GROUPS)), max_size=6)
staffs = st.lists(
    st.lists(st.builds(Factor, st.sampled_from(GROUPS), st.integers(1, 2)), min_size=1, max_size=2), min_size=1, max_size=3
)


@given(staffs, people, people)
def test_as_many_places_as_possible_are_filled_earlier_ones_first(
    staff: list[list[Factor]], approved: list[set[str]], others: list[set[str]]
) -> None:
    steps = [step(f"s{i}", *factors) for i, factors in enumerate(staff)]
    reviews = [approval(f"r{i}", *sorted(groups)) for i, groups in enumerate(approved)]
    could = [PersonFact(f"p{i}", tuple(sorted(groups))) for i, groups in enumerate(others)]
    found = seats(steps, facts(reviews, could), author="")

    used = [person for row in found.values() for seat in row for person in seat.people]
    assert len(used) == len(set(used)), "somebody fills two places"
    groups_of = {r.reviewer: r.groups for r in reviews}
    for row in found.values():
        for seat in row:
            assert all(seat.factor.group in groups_of[person] for person in seat.people)
            assert seat.missing == seat.factor.count - len(seat.people)
            assert 0 <= seat.reachable <= seat.missing

    # However far one reads the steps, no other way of placing people fills more of them.
    places: list[str] = []
    held = reached = 0
    for factors, row in zip(staff, found.values(), strict=True):
        for factor, seat in zip(factors, row, strict=True):
            places += [factor.group] * factor.count
            held += len(seat.people)
            reached += len(seat.people) + seat.reachable
            assert held == most(tuple(places), tuple(frozenset(r.groups) for r in reviews))
            assert reached == most(tuple(places), tuple(frozenset(each.groups) for each in (*could, *reviews)))


def most(places: tuple[str, ...], persons: tuple[frozenset[str], ...]) -> int:
    """Return how many places can be filled at most, by trying every way."""

    @cache
    def best(i: int, free: int) -> int:
        if i == len(places):
            return 0
        found = best(i + 1, free)
        for p, groups in enumerate(persons):
            if free >> p & 1 and places[i] in groups:
                found = max(found, 1 + best(i + 1, free & ~(1 << p)))
        return found

    return best(0, (1 << len(persons)) - 1)
