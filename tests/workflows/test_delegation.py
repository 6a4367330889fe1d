"""Standing in for one another: what is refused, that no chain ever forms, and what a delegate may and may not sign."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone
from hypothesis import given, settings
from hypothesis import strategies as st

from core import commands as core_commands
from core.errors import Conflict, Denied, Invalid, NotFound
from core.models import AuditEvent, User
from tests.cast import ROOT, actor, person
from workflows.commands import delegations
from workflows.commands import reviews as review_commands
from workflows.models import Delegation, Notification, Review
from workflows.queries import people
from workflows.rules.delegation import LONGEST, Person, Standing, refusal

DAY = timedelta(days=1)
START = datetime(2026, 3, 2, 9, tzinfo=UTC)


def hand_over(giver: User, taker: User, days: float = 10, **options: Any) -> Delegation:
    given = {"reason": "Holiday.", "ends_at": timezone.now() + timedelta(days=days), **options}
    return delegations.create_delegation(actor=actor(giver), delegate=taker.username, **given)


# The rules.


def standing(delegator: str, delegate: str, first: float = 0, last: float = 10, groups: tuple[str, ...] = ()) -> Standing:
    return Standing(delegator, delegate, frozenset(groups), START + first * DAY, START + last * DAY)


def asked(one: Standing, *others: Standing, **people: Person) -> str:
    giver = people.get("giver", Person(one.delegator, frozenset({"reviewer", "risk", "legal"})))
    taker = people.get("taker", Person(one.delegate, frozenset({"reviewer"})))
    found = refusal(one, delegator=giver, delegate=taker, others=others)
    return found.code if found else ""


@pytest.mark.parametrize(
    ("one", "people", "code"),
    [
        (standing("ann", "ben"), {}, ""),
        (standing("ann", "ann"), {}, "delegates_to_self"),
        (standing("ann", "bot"), {"taker": Person("bot", is_service=True)}, "service_account"),
        (standing("bot", "ben"), {"giver": Person("bot", is_service=True)}, "service_account"),
        (standing("ann", "ben"), {"giver": Person("ann", may_review=False)}, "nothing_to_delegate"),
        (standing("ann", "ben"), {"taker": Person("ben", may_review=False)}, "delegate_may_not_review"),
        (standing("ann", "ben", groups=("risk",)), {}, ""),
        (standing("ann", "ben", groups=("risk", "board")), {}, "not_in_group"),
        (standing("ann", "ben", 5, 5), {}, "ends_before_it_starts"),
        (standing("ann", "ben", 5, 4), {}, "ends_before_it_starts"),
        (standing("ann", "ben", 0, LONGEST.days), {}, ""),
        (standing("ann", "ben", 0, LONGEST.days + 0.001), {}, "too_long"),
    ],
)
def test_what_can_be_asked_for(one: Standing, people: dict[str, Person], code: str) -> None:
    assert asked(one, **people) == code


@pytest.mark.parametrize(
    ("other", "code"),
    [
        (standing("ben", "cat"), "chain"),  # the delegate is away
        (standing("cat", "ann"), "chain"),  # the delegator stands in for another
        (standing("ben", "ann"), "chain"),  # a circle
        (standing("ben", "cat", 10, 20), ""),  # one ends when the other begins
        (standing("cat", "ann", 10, 20), ""),
        (standing("ann", "cat"), "delegated_already"),
        (standing("ann", "cat", groups=("risk",)), "delegated_already"),
        (standing("ann", "cat", 10, 20), ""),
        (standing("cat", "ben"), ""),  # two may be stood in for by one
        (standing("cat", "dan"), ""),
    ],
)
def test_what_another_delegation_forbids(other: Standing, code: str) -> None:
    assert asked(standing("ann", "ben"), other) == code


def test_groups_are_handed_over_apart_to_different_people_only() -> None:
    held = standing("ann", "ben", groups=("risk",))
    assert asked(standing("ann", "cat", groups=("legal",)), held) == ""
    assert asked(standing("ann", "cat", groups=("risk", "legal")), held) == "delegated_already"
    assert asked(standing("ann", "ben", groups=("legal",)), held) == "delegated_already"


NAMES = ("ann", "ben", "cat", "dan")
ASKED = st.builds(
    lambda giver, taker, first, length, groups: Standing(
        giver, taker, frozenset(groups), START + first * DAY, START + (first + length) * DAY
    ),
    st.sampled_from(NAMES),
    st.sampled_from(NAMES),
    st.integers(0, 12),
    st.integers(1, 8),
    st.sets(st.sampled_from(["risk", "legal"])),
)
# What is asked for, and after how many of them an earlier one is revoked at its middle.
STEPS = st.lists(st.tuples(ASKED, st.none() | st.integers(0, 30)), max_size=30)


@settings(max_examples=400, deadline=None)
@given(STEPS)
def test_no_sequence_of_accepted_delegations_holds_a_chain_a_circle_or_two_for_one_group(
    steps: list[tuple[Standing, int | None]],
) -> None:
    accepted: list[Standing] = []
    groups = frozenset({"reviewer", "risk", "legal"})
    for one, revoked in steps:
        others = [o for o in accepted if {o.delegator, o.delegate} & {one.delegator, one.delegate}]
        people = {name: Person(name, groups) for name in NAMES}
        if refusal(one, delegator=people[one.delegator], delegate=people[one.delegate], others=others) is None:
            accepted.append(one)
        if revoked is not None and revoked < len(accepted):
            cut = accepted[revoked]
            accepted[revoked] = Standing(
                cut.delegator, cut.delegate, cut.groups, cut.starts, cut.starts + (cut.ends - cut.starts) / 2
            )
    # Between two neighbouring ends nothing changes, so looking at each of them is looking at every instant.
    for instant in {each for one in accepted for each in (one.starts, one.ends)}:
        now = [one for one in accepted if one.starts <= instant < one.ends]
        assert not {one.delegator for one in now} & {one.delegate for one in now}
        for giver in {one.delegator for one in now}:
            own = [one for one in now if one.delegator == giver]
            assert len({one.delegate for one in own}) == len(own)
            assert not any(a.shares_groups(b) for a in own for b in own if a is not b)


# The commands.

pytestmark = pytest.mark.django_db


def test_a_delegation_is_written_told_and_found(ravi: User, rosa: User) -> None:
    made = hand_over(ravi, rosa)
    (event,) = AuditEvent.objects.filter(action="delegation.created")
    assert (event.actor, event.subject_id) == ("ravi", str(made.pk))
    (note,) = Notification.objects.all()
    assert (note.user, note.kind, note.request) == (rosa, "delegation", None)
    assert "Holiday." in note.text
    now = timezone.now()
    assert delegations.in_force(rosa.pk, ravi.pk, now) == made
    assert delegations.in_force(ravi.pk, rosa.pk, now) is None
    assert delegations.in_force(rosa.pk, ravi.pk, made.starts_at - DAY) is None
    assert delegations.in_force(rosa.pk, ravi.pk, made.ends_at) is None


def test_every_refusal_writes_nothing(ravi: User, rosa: User, dana: User, pat: User) -> None:
    bot = core_commands.ensure_user(actor=ROOT, username="bot", roles=["reviewer"], service_of="ravi")
    long = timezone.now() + LONGEST + DAY
    for error, code, call in (
        (Invalid, "delegates_to_self", lambda: hand_over(ravi, ravi)),
        (Invalid, "service_account", lambda: hand_over(ravi, bot)),
        (Invalid, "delegate_may_not_review", lambda: hand_over(ravi, dana)),
        (Denied, "denied", lambda: hand_over(dana, ravi)),
        (Invalid, "nothing_to_delegate", lambda: hand_over(pat, ravi, delegator="dana")),
        (Invalid, "not_in_group", lambda: hand_over(ravi, rosa, groups=["model-risk"])),
        (Invalid, "too_long", lambda: hand_over(ravi, rosa, ends_at=long)),
        (Invalid, "ends_before_it_starts", lambda: hand_over(ravi, rosa, days=-1)),
        (Invalid, "invalid", lambda: hand_over(ravi, rosa, reason=" ")),
        (Denied, "denied", lambda: hand_over(dana, rosa, delegator="ravi")),
        (NotFound, "not_found", lambda: hand_over(ravi, User(username="nobody"))),
    ):
        with pytest.raises(error) as refused:
            call()
        assert refused.value.code == code
    assert not Delegation.objects.exists() and not AuditEvent.objects.filter(action__startswith="delegation").exists()
    assert hand_over(ravi, rosa).pk


def test_an_admin_delegates_for_somebody_who_is_away_but_not_to_themselves(ravi: User, rosa: User, pat: User) -> None:
    made = hand_over(pat, rosa, delegator="ravi", reason="Ravi is ill.")
    assert (made.delegator, made.delegate, made.created_by) == (ravi, rosa, pat)
    assert set(Notification.objects.values_list("user__username", flat=True)) == {"ravi", "rosa"}
    boss, olga, vera = person("boss", "platform-admin", "reviewer"), person("olga", "reviewer"), person("vera", "reviewer")
    with pytest.raises(Denied, match="put yourself"):
        hand_over(boss, boss, delegator="olga")
    assert hand_over(boss, vera, delegator="olga").delegator == olga


def test_nobody_stands_in_for_who_stands_in(ravi: User, rosa: User) -> None:
    olga = person("olga", "reviewer")
    first = hand_over(ravi, rosa)
    with pytest.raises(Conflict) as chain:
        hand_over(rosa, olga)
    assert chain.value.code == "chain" and "ravi choose somebody else" in chain.value.message
    with pytest.raises(Conflict) as chain:
        hand_over(olga, ravi)
    assert chain.value.code == "chain" and "rosa" in chain.value.message
    with pytest.raises(Conflict) as again:
        hand_over(ravi, olga)
    assert again.value.code == "delegated_already"
    later = hand_over(rosa, olga, starts_at=first.ends_at, days=20)
    assert later.starts_at == first.ends_at


def test_a_delegation_never_reaches_back(ravi: User, rosa: User) -> None:
    before = timezone.now()
    assert hand_over(ravi, rosa, starts_at=before - 3 * DAY).starts_at >= before


@pytest.mark.parametrize("who", ["ravi", "rosa", "pat"])
def test_either_of_the_two_or_an_admin_ends_it_early(
    request: Any, ravi: User, rosa: User, pat: User, aude: User, who: str
) -> None:
    made = hand_over(ravi, rosa)
    with pytest.raises(NotFound):
        delegations.revoke_delegation(actor=actor(aude), delegation_id=made.pk)
    user = {"ravi": ravi, "rosa": rosa, "pat": pat}[who]
    Notification.objects.all().delete()
    delegations.revoke_delegation(actor=actor(user), delegation_id=made.pk)
    assert delegations.in_force(rosa.pk, ravi.pk, timezone.now()) is None
    assert {n.user.username for n in Notification.objects.all()} == {"ravi", "rosa"} - {who}
    assert AuditEvent.objects.filter(action="delegation.revoked").count() == 1
    with pytest.raises(Conflict):
        delegations.revoke_delegation(actor=actor(user), delegation_id=made.pk)
    assert hand_over(ravi, rosa).pk != made.pk


def test_a_delegate_signs_in_somebodys_place_under_the_duties_of_both(world: Any, ravi: User, rosa: User) -> None:
    olga = person("olga", "reviewer")
    request = world.in_review()
    with pytest.raises(Denied):
        review_commands.submit_review(actor=actor(rosa), request_id=request.pk, verdict="approve", on_behalf_of="ravi")
    made = hand_over(ravi, rosa)
    given = review_commands.submit_review(actor=actor(rosa), request_id=request.pk, verdict="approve", on_behalf_of="ravi")
    assert given.delegation == made and given.reviewer == rosa
    # One person is one signature: neither rosa for herself nor ravi adds another to it.
    review_commands.submit_review(actor=actor(ravi), request_id=request.pk, verdict="approve")
    request.refresh_from_db()
    assert request.state == "in_review"
    review_commands.submit_review(actor=actor(olga), request_id=request.pk, verdict="approve")
    request.refresh_from_db()
    assert request.state == "approved"


@pytest.mark.parametrize("maker", ["delegate", "delegator"])
def test_neither_a_maker_nor_who_stands_in_for_one_signs(world: Any, dana: User, maker: str) -> None:
    mira, vera = person("mira", "reviewer", "data-scientist"), person("vera", "reviewer")
    from core.access import grant
    from registry.models import RegisteredModel

    grant(RegisteredModel.objects.get(name="credit.risk"), "model_write", users=[mira.pk])
    request = world.ask(world.version(owner=mira))
    world.finish(request)
    giver, taker = (vera, mira) if maker == "delegate" else (mira, vera)
    hand_over(giver, taker)
    with pytest.raises(Denied) as refused:
        review_commands.submit_review(actor=actor(taker), request_id=request.pk, verdict="approve", on_behalf_of=giver.username)
    assert refused.value.code == "separation_of_duties" and not Review.objects.exists()
    if maker == "delegator":
        assert review_commands.submit_review(actor=actor(vera), request_id=request.pk, verdict="approve").delegation is None


def test_who_stands_in_for_whom_now(ravi: User, rosa: User, django_assert_num_queries: Any) -> None:
    core_commands.ensure_user(actor=ROOT, username="ravi", groups=["model-risk", "legal"])
    olga = person("olga", "reviewer", groups=("board",))
    hand_over(ravi, rosa, groups=["model-risk"])
    hand_over(olga, rosa)
    with django_assert_num_queries(1):
        found = people.standing_in(rosa.pk, timezone.now())
    assert [(s.username, sorted(s.groups)) for s in found] == [("olga", ["board", "reviewer"]), ("ravi", ["model-risk"])]
    ravi.groups.remove(ravi.groups.get(name="model-risk"))
    assert [sorted(s.groups) for s in people.standing_in(rosa.pk, timezone.now())] == [["board", "reviewer"], []]
    olga.groups.remove(olga.groups.get(name="reviewer"))
    assert [s.username for s in people.standing_in(rosa.pk, timezone.now())] == ["ravi"]
    assert people.standing_in(rosa.pk, timezone.now() + 20 * DAY) == [] == people.standing_in(None, timezone.now())


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="SQLite has one writer at a time")
def test_two_at_once_do_not_form_a_chain(transactional_db: None) -> None:
    """Ann hands over to ben while ben hands over to cat: one of them comes second, and sees the first."""
    import threading

    ann, ben, cat = (person(name, "reviewer") for name in ("ann", "ben", "cat"))
    outcomes: list[str] = []
    barrier = threading.Barrier(2)

    def run(giver: User, taker: User) -> None:
        try:
            barrier.wait(5)
            hand_over(giver, taker)
            outcomes.append("made")
        except Conflict as error:
            outcomes.append(error.code)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=pair) for pair in ((ann, ben), (ben, cat))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert sorted(outcomes) == ["chain", "made"]
