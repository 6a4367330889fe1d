"""What waits for whom: tasks that follow the gate, claims, reminders, escalation, and inboxes that stay fast."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from core import commands as core_commands
from core.access import SYSTEM, grant
from core.errors import Conflict, Denied, NotFound
from core.models import AuditEvent, User
from governance.calendars import business_calendar
from governance.commands.cards import write_card
from governance.commands.policies import publish_policy
from governance.models import Waiver, WaiverRuling
from registry.models import ModelVersion, RegisteredModel
from tests.cast import ROOT, actor, person
from tests.plans import explained, most_rows
from tests.workflows.conftest import POLICY
from workflows.commands import delegations, discussion, execution
from workflows.commands import inbox as inbox_commands
from workflows.commands import requests as request_commands
from workflows.models import BreakGlass, Notification, PromotionRequest, ReReview, ReviewTask
from workflows.queries import inbox
from workflows.task_rows import reminder_before

pytestmark = pytest.mark.django_db

MONDAY = datetime(2040, 3, 5, 10, tzinfo=UTC)  # after the bindings of the world came into force
DAY = timedelta(days=1)
STEPS = """\
steps:
  - name: risk
    factors: [{group: model-risk, count: 2}]
    due: 3 business days
    escalate_to: risk-heads
  - name: legal
    factors: [{group: legal, count: 1}, {group: model-risk, count: 1}]
"""


@pytest.fixture
def stepped(world: Any, pat: User) -> Any:
    """The world under a policy of two steps, and the people they ask for."""
    document = POLICY.replace(POLICY[POLICY.index("steps:") : POLICY.index("expires")], STEPS)
    publish_policy(actor=actor(pat), document=document)
    for name in ("rita", "rolf", "rhea"):
        person(name, "reviewer", groups=("model-risk",))
    person("lena", "reviewer", groups=("legal",))
    person("hedy", groups=("risk-heads",))
    return world


def user(name: str) -> User:
    return User.objects.get(username=name)


def waiting(name: str) -> list[tuple[str, str]]:
    """Return step and group of what waits on a person."""
    return [(row.step, row.group) for row in inbox.inbox(actor(user(name))).tasks]


def open_tasks() -> list[tuple[str, int]]:
    return list(ReviewTask.objects.filter(closed_at=None).order_by("pk").values_list("factor", "missing"))


def told(name: str, kind: str) -> int:
    return Notification.objects.filter(user__username=name, kind=kind).count()


# Tasks follow the gate.


def test_tasks_follow_the_steps_until_the_request_leaves_the_review(stepped: Any, review: Any) -> None:
    with time_machine.travel(MONDAY, tick=False):
        request = stepped.in_review()
    assert open_tasks() == [("risk-model-risk", 2)]
    task = ReviewTask.objects.get()
    assert (task.opened_at, task.due_at, task.attend_at) == (MONDAY, MONDAY + 3 * DAY, MONDAY + 2 * DAY)
    assert (task.escalate_to, task.policy, task.step, task.press_at) == ("risk-heads", "credit", "risk", task.due_at)
    assert waiting("rita") == [("risk", "model-risk")] and waiting("lena") == [] == waiting("dana")
    review(user("rita"), request)
    assert open_tasks() == [("risk-model-risk", 1)] and waiting("rita") == []
    assert waiting("rolf") == [("risk", "model-risk")]
    assert told("lena", "review") == 0
    review(user("rolf"), request)
    assert open_tasks() == [("legal-legal", 1), ("legal-model-risk", 1)]
    assert (told("lena", "review"), told("rhea", "review"), told("rita", "review")) == (1, 2, 1)
    assert waiting("rita") == waiting("rolf") == [] and waiting("rhea") == [("legal", "model-risk")]
    legal = ReviewTask.objects.get(factor="legal-legal")
    assert (legal.due_at, legal.attend_at) == (None, None) and legal.press_at > timezone.now() + 365 * DAY
    request_commands.withdraw_request(actor=actor(stepped.dana), request_id=request.pk)
    assert open_tasks() == [] and waiting("rhea") == []


def test_following_again_changes_nothing(stepped: Any, review: Any) -> None:
    request = stepped.in_review()
    review(user("rita"), request)
    before = list(ReviewTask.objects.order_by("pk").values())
    execution.advance_request(actor=SYSTEM, request_id=request.pk)
    assert list(ReviewTask.objects.order_by("pk").values()) == before


def test_a_review_that_goes_stale_waits_on_its_reviewer_again(stepped: Any, review: Any, dana: User) -> None:
    request = stepped.in_review()
    review(user("rita"), request)
    assert waiting("rita") == []
    write_card(actor=actor(dana), model_name="credit.risk", version=1, sections={"limits": "New."})
    execution.advance_request(actor=SYSTEM, request_id=request.pk)
    assert waiting("rita") == [("risk", "model-risk")] and open_tasks() == [("risk-model-risk", 2)]


def test_a_policy_that_only_looks_on_asks_nobody(world: Any, pat: User, ravi: User) -> None:
    from governance.commands.policies import bind_policy
    from tests.workflows.conftest import BINDING

    publish_policy(actor=actor(pat), document=POLICY.replace("name: credit", "name: shadow", 1).replace("reviewer", "legal"))
    bind_policy(
        actor=actor(pat),
        document=BINDING.replace("name: credit", "name: shadow", 1).replace("policy: credit", "policy: shadow\nmode: shadow"),
    )
    world.in_review()
    assert list(ReviewTask.objects.values_list("policy", "group")) == [("credit", "reviewer")]


def test_makers_are_not_asked_whatever_their_group(stepped: Any) -> None:
    for name in ("mira", "answers"):
        person(name, "reviewer", "data-scientist", groups=("model-risk",))
    program = core_commands.ensure_user(actor=ROOT, username="ci", roles=["data-scientist"], service_of="answers")
    grant(RegisteredModel.objects.get(), "model_write", users=[user("mira").pk, program.pk])
    request = stepped.ask(stepped.version(owner=user("mira")))
    stepped.finish(request)
    assert waiting("mira") == [] and waiting("rita") and waiting("answers")
    request_commands.withdraw_request(actor=actor(stepped.dana), request_id=request.pk)
    request = stepped.ask(stepped.version(owner=program))
    stepped.finish(request)
    assert waiting("answers") == [] and waiting("mira") and waiting("rita")


def test_who_does_not_fit_a_factor_is_not_asked(world: Any, pat: User) -> None:
    author = person("auth", "reviewer", "platform-admin", groups=("model-risk",))
    member = person("team", "reviewer", groups=("model-risk", "scoring"))
    fits = person("fits", "reviewer", groups=("model-risk",))
    steps = STEPS.replace("count: 2}", "count: 1, constraints: [outside_owner_team, not_policy_author]}")
    document = POLICY.replace(POLICY[POLICY.index("steps:") : POLICY.index("expires")], steps)
    publish_policy(actor=actor(author), document=document)
    RegisteredModel.objects.update(owner_team=member.groups.get(name="scoring"))
    world.in_review()
    assert waiting("fits") and waiting("auth") == [] == waiting("team")
    assert f" {author.pk} " in ReviewTask.objects.get().not_for and f" {fits.pk} " not in ReviewTask.objects.get().not_for


def test_following_takes_the_same_statements_for_one_factor_and_for_many(world: Any, pat: User) -> None:
    def cost(groups: int) -> int:
        for i in range(groups):
            person(f"p{i}", "reviewer", groups=(f"g{i}",))
        factors = ", ".join(f"{{group: g{i}, count: 1}}" for i in range(groups))
        steps = f"steps:\n  - {{name: all, factors: [{factors}], due: 2 days}}\n"
        publish_policy(actor=actor(pat), document=POLICY.replace(POLICY[POLICY.index("steps:") : POLICY.index("expires")], steps))
        request = world.in_review()
        ReviewTask.objects.filter(closed_at=None).delete()
        with CaptureQueriesContext(connection) as made:
            execution.advance_request(actor=SYSTEM, request_id=request.pk)
        assert ReviewTask.objects.filter(closed_at=None).count() == groups
        request_commands.withdraw_request(actor=actor(world.dana), request_id=request.pk)
        return len(made)

    assert cost(1) == cost(9)


@pytest.mark.parametrize(
    ("due", "reminder"),
    [
        (datetime(2026, 3, 5, 10, tzinfo=UTC), datetime(2026, 3, 4, 10, tzinfo=UTC)),
        (datetime(2026, 3, 2, 10, tzinfo=UTC), datetime(2026, 2, 27, 10, tzinfo=UTC)),  # Monday: on Friday
        (datetime(2026, 3, 9, 17, tzinfo=UTC), datetime(2026, 3, 6, 17, tzinfo=UTC)),
        (datetime(2026, 3, 7, 12, tzinfo=UTC), datetime(2026, 3, 5, 12, tzinfo=UTC)),  # Saturday: a whole business day before
        (datetime(2026, 3, 10, 22, tzinfo=UTC), datetime(2026, 3, 9, 22, tzinfo=UTC)),  # at night: no business day would do
    ],
)
def test_a_reminder_leaves_a_business_day(due: datetime, reminder: datetime) -> None:
    calendar = business_calendar()
    assert reminder_before(due, calendar) == reminder
    assert calendar.between(reminder, due) >= timedelta(hours=8)


# Who sees what.


def test_an_inbox_tells_what_waits_what_was_asked_and_what_was_said(stepped: Any, dana: User, review: Any) -> None:
    request = stepped.in_review()
    box = inbox.inbox(actor(user("rita")))
    assert [r.id for r in box.waiting_on_me] == [request.pk] == [t.request.id for t in box.tasks]
    assert box.mine == [] and box.others == [] and [n.kind for n in box.notifications] == ["review"]
    assert inbox.waiting_count(actor(user("rita"))) == 1 and inbox.waiting_count(actor(dana)) == 0
    hers = inbox.inbox(actor(dana))
    assert [r.id for r in hers.mine] == [request.pk] and hers.waiting_on_me == hers.others == []
    lena = inbox.inbox(actor(user("lena")))
    assert [r.id for r in lena.others] == [request.pk] and lena.waiting_on_me == []
    discussion.open_thread(
        actor=actor(dana), request_id=request.pk, anchor_kind="request", text="@lena what does the contract say?"
    )
    assert ["contract" in n.text for n in inbox.inbox(actor(user("lena"))).mentions] == [True]
    inbox_commands.read_notifications(actor=actor(user("lena")))
    assert inbox.inbox(actor(user("lena"))).mentions == []


def test_the_most_pressing_comes_first(world: Any, pat: User, ravi: User) -> None:
    from registry import commands as registry_commands

    asked = {}
    for name, due in (("a", "due: 5 business days, "), ("b", ""), ("c", "due: 2 business days, ")):
        steps = f"steps:\n  - {{name: review, {due}factors: [{{group: reviewer, count: 1}}]}}\n"
        publish_policy(actor=actor(pat), document=POLICY.replace(POLICY[POLICY.index("steps:") : POLICY.index("expires")], steps))
        registry_commands.create_model(actor=actor(world.dana), name=f"credit.{name}")
        asked[name] = world.ask(world.version(model=f"credit.{name}"))
        world.finish(asked[name])
    shown = inbox.inbox(actor(ravi))
    assert [row.model for row in shown.waiting_on_me] == ["credit.c", "credit.a", "credit.b"]
    with time_machine.travel(timezone.now() + 40 * DAY, tick=False):
        assert [row.overdue for row in inbox.inbox(actor(ravi)).tasks] == [True, True, False]


def test_an_outsider_has_an_empty_inbox(stepped: Any, mallory: User) -> None:
    stepped.in_review()
    box = inbox.inbox(actor(mallory))
    assert not any(getattr(box, name) for name in box.__dataclass_fields__)
    assert inbox.tasks(actor(mallory)) == [] and inbox.waiting_count(actor(mallory)) == 0
    with pytest.raises(NotFound):
        inbox.task(actor(mallory), ReviewTask.objects.get().pk)
    assert inbox.task(actor(user("lena")), ReviewTask.objects.get().pk).group == "model-risk"


def test_a_member_of_the_group_without_the_right_to_review_is_not_asked(stepped: Any) -> None:
    idle = person("idle", "auditor", groups=("model-risk",))
    request = stepped.in_review()
    assert waiting("idle") == [] and f" {idle.pk} " not in ReviewTask.objects.get().not_for
    assert [r.id for r in inbox.inbox(actor(idle)).others] == [request.pk]


def test_what_waits_on_somebody_away_waits_on_who_stands_in(stepped: Any, ravi: User, review: Any) -> None:
    request = stepped.in_review()
    assert waiting("ravi") == []
    ends = timezone.now() + 5 * DAY
    delegations.create_delegation(actor=actor(user("rita")), delegate="ravi", ends_at=ends, reason="Holiday.")
    box = inbox.inbox(actor(ravi))
    assert [(t.group, t.on_behalf_of) for t in box.tasks] == [("model-risk", "rita")] and box.standing_in_for == ["rita"]
    assert inbox.waiting_count(actor(ravi)) == 1
    with time_machine.travel(ends, tick=False):
        assert waiting("ravi") == []
    review(user("rita"), request)  # she did it herself
    assert waiting("ravi") == []


def test_who_stands_in_for_a_maker_is_not_asked_in_their_place(stepped: Any, ravi: User) -> None:
    mira = person("mira", "reviewer", "data-scientist", groups=("model-risk",))
    grant(RegisteredModel.objects.get(), "model_write", users=[mira.pk])
    for maker, expected in ((stepped.dana, [("risk", "model-risk")]), (mira, [])):
        request = stepped.ask(stepped.version(owner=maker))
        stepped.finish(request)
        if maker == stepped.dana:
            delegations.create_delegation(actor=actor(mira), delegate="ravi", ends_at=timezone.now() + DAY, reason="Holiday.")
        assert waiting("ravi") == expected
        request_commands.withdraw_request(actor=actor(stepped.dana), request_id=request.pk)


def test_re_reviews_waivers_and_emergencies_are_shown_to_who_can_act(
    world: Any, dana: User, ravi: User, rosa: User, mallory: User
) -> None:
    version = world.version()
    now = timezone.now()
    place = {"model": version.model, "version": version, "target_kind": "stage", "target": "Production"}
    late = ReReview.objects.create(**place, cause="clock", due_at=now - DAY, escalate_to="heads")
    soon = ReReview.objects.create(**place, cause="drift", due_at=now + DAY)
    ReReview.objects.create(**place, cause="incident", due_at=now, closed_at=now)
    head = person("hans", "auditor", groups=("heads",))
    waiver = {
        "model": version.model, "policy": "credit", "requirement": "roc-auc", "reason": "r", "compensating_control": "c",
        "requested_by": dana, "requested_at": now - 30 * DAY,
    }  # fmt: skip
    ending = Waiver.objects.create(**waiver, expires_at=now + 3 * DAY)
    lasting = Waiver.objects.create(**waiver, expires_at=now + 60 * DAY)
    undecided = Waiver.objects.create(**waiver, expires_at=now + 3 * DAY)
    for each in (ending, lasting):
        WaiverRuling.objects.create(waiver=each, verdict="approved", ruled_by=rosa)
    assert undecided.pk
    emergency = {
        "model": version.model, "version": version, "target_kind": "stage", "target": "Production", "reason": "r",
        "incident": "INC-1", "minutes": 60, "confirmed_by": rosa, "reverted_at": now,
    }  # fmt: skip
    over = BreakGlass.objects.create(**emergency, state="reverted", requested_by=dana)
    BreakGlass.objects.create(**emergency, state="in_force", requested_by=dana)

    def shown(who: User) -> tuple[list[int], list[int], list[int]]:
        box = inbox.inbox(actor(who))
        return [r.id for r in box.re_reviews], [w.id for w in box.waivers], [e.id for e in box.emergencies]

    assert shown(dana) == ([late.pk, soon.pk], [ending.pk], [])
    assert shown(ravi) == ([], [], [over.pk])
    assert shown(rosa) == ([], [], [])  # she confirmed it
    assert shown(head) == ([late.pk], [], [over.pk])
    assert shown(mallory) == ([], [], [])


# Claims.


def test_a_claim_keeps_others_informed_and_nobody_out(stepped: Any, review: Any) -> None:
    with time_machine.travel(MONDAY, tick=False):
        request = stepped.in_review()
        task = ReviewTask.objects.get()
        inbox_commands.claim_task(actor=actor(user("rita")), task_id=task.pk)
        assert waiting("rita") == [("risk", "model-risk")]
        others = inbox.inbox(actor(user("rolf")))
        assert others.tasks == [] and [t.claimed_by for t in others.claimed] == ["rita"]
        assert others.claimed[0].claimed_until == MONDAY + 2 * DAY
        assert inbox.waiting_count(actor(user("rolf"))) == 0
        assert [r.id for r in others.others] == [request.pk]
        with pytest.raises(Conflict) as refused:
            inbox_commands.claim_task(actor=actor(user("rolf")), task_id=task.pk)
        assert refused.value.code == "claimed_already" and refused.value.details["claimed_by"] == "rita"
        assert review(user("rolf"), request).verdict == "approve"
        assert open_tasks() == [("risk-model-risk", 1)]
        assert inbox.inbox(actor(user("rhea"))).claimed[0].claimed_by == "rita"
    with time_machine.travel(MONDAY + 2 * DAY, tick=False):  # the claim lapsed
        assert waiting("rhea") == [("risk", "model-risk")]
        assert inbox_commands.claim_task(actor=actor(user("rhea")), task_id=task.pk).claimed_by == user("rhea")
    assert list(AuditEvent.objects.filter(action="task.claimed").values_list("actor", flat=True)) == ["rita", "rhea"]


def test_a_claim_ends_with_the_review_of_who_has_it(stepped: Any, review: Any) -> None:
    request = stepped.in_review()
    task = ReviewTask.objects.get()
    inbox_commands.claim_task(actor=actor(user("rita")), task_id=task.pk)
    review(user("rita"), request)
    task.refresh_from_db()
    assert (task.claimed_by, task.claim_ends_at, task.missing) == (None, None, 1)
    assert waiting("rolf") == [("risk", "model-risk")]


def test_who_cannot_do_a_task_cannot_take_it_on(stepped: Any, dana: User, mallory: User, review: Any) -> None:
    mira = person("mira", "reviewer", "data-scientist", groups=("model-risk",))
    program = core_commands.ensure_user(actor=ROOT, username="bot", roles=["reviewer"], groups=["model-risk"], service_of="rolf")
    grant(RegisteredModel.objects.get(), "model_write", users=[mira.pk])
    request = stepped.ask(stepped.version(owner=mira))
    stepped.finish(request)
    review(user("rita"), request)
    task = ReviewTask.objects.get(closed_at=None)
    for who, error in (
        (mallory, NotFound),
        (dana, Denied),
        (user("lena"), Denied),
        (mira, Denied),
        (program, Denied),
        (user("rita"), Denied),
    ):
        with pytest.raises(error):
            inbox_commands.claim_task(actor=actor(who), task_id=task.pk)
    assert inbox_commands.claim_task(actor=actor(user("rolf")), task_id=task.pk).claimed_by == user("rolf")
    request_commands.withdraw_request(actor=actor(dana), request_id=request.pk)
    with pytest.raises(Conflict):
        inbox_commands.claim_task(actor=actor(user("rolf")), task_id=task.pk)


def test_who_stands_in_takes_on_what_waits_for_the_other(stepped: Any, ravi: User) -> None:
    stepped.in_review()
    task = ReviewTask.objects.get()
    with pytest.raises(Denied):
        inbox_commands.claim_task(actor=actor(ravi), task_id=task.pk)
    delegations.create_delegation(actor=actor(user("rita")), delegate="ravi", ends_at=timezone.now() + DAY, reason="Holiday.")
    assert inbox_commands.claim_task(actor=actor(ravi), task_id=task.pk).claimed_by == ravi


def test_a_claim_is_given_back_by_who_has_it_or_an_admin(stepped: Any, pat: User) -> None:
    stepped.in_review()
    task = ReviewTask.objects.get()
    with pytest.raises(Conflict):
        inbox_commands.release_task(actor=actor(user("rita")), task_id=task.pk)
    for who in (user("rita"), pat):
        inbox_commands.claim_task(actor=actor(user("rita")), task_id=task.pk)
        with pytest.raises(Denied):
            inbox_commands.release_task(actor=actor(user("rolf")), task_id=task.pk)
        assert inbox_commands.release_task(actor=actor(who), task_id=task.pk).claimed_by is None
        assert waiting("rolf") == [("risk", "model-risk")]
    assert AuditEvent.objects.filter(action="task.released").count() == 2


# The clock.


def test_the_clock_reminds_before_and_when_due_and_escalates_once(stepped: Any, ravi: User) -> None:
    with time_machine.travel(MONDAY, tick=False):
        request = stepped.in_review()
        delegations.create_delegation(actor=actor(user("rhea")), delegate="ravi", ends_at=MONDAY + 30 * DAY, reason="Holiday.")
    task = ReviewTask.objects.get()
    for at, done, due, overdue, escalated in (
        (MONDAY + 2 * DAY - timedelta(seconds=1), 0, 0, 0, 0),
        (MONDAY + 2 * DAY, 1, 1, 0, 0),
        (MONDAY + 2.5 * DAY, 0, 1, 0, 0),
        (MONDAY + 3 * DAY, 1, 1, 1, 1),
        (MONDAY + 9 * DAY, 0, 1, 1, 1),
    ):
        assert inbox_commands.remind_and_escalate(at=at) == done
        assert (told("rita", "due"), told("rita", "overdue"), told("hedy", "escalated")) == (due, overdue, escalated), at
        assert (told("ravi", "due"), told("ravi", "overdue")) == (due, overdue)
    assert told("lena", "due") == told("dana", "due") == told("hedy", "due") == 0
    (event,) = AuditEvent.objects.filter(action="task.escalated")
    assert (event.subject_id, event.actor) == (str(request.pk), "countersign")
    request.refresh_from_db()
    assert request.state == "in_review" and task.request == request
    box = inbox.inbox(actor(user("hedy")))
    assert box.escalated == []  # she may not see the model
    grant(RegisteredModel.objects.get(), "model_read", users=[user("hedy").pk])
    assert [t.group for t in inbox.inbox(actor(user("hedy"))).escalated] == ["model-risk"]


def test_only_who_took_a_review_on_is_reminded_of_it(stepped: Any) -> None:
    with time_machine.travel(MONDAY, tick=False):
        stepped.in_review()
    with time_machine.travel(MONDAY + DAY, tick=False):
        inbox_commands.claim_task(actor=actor(user("rita")), task_id=ReviewTask.objects.get().pk)
    inbox_commands.remind_and_escalate(at=MONDAY + 2 * DAY)
    assert (told("rita", "due"), told("rolf", "due")) == (1, 0)
    inbox_commands.remind_and_escalate(at=MONDAY + 3 * DAY)  # the claim lapsed with it
    assert (told("rita", "overdue"), told("rolf", "overdue")) == (1, 1)


def test_what_is_done_is_not_reminded_of(stepped: Any, review: Any) -> None:
    with time_machine.travel(MONDAY, tick=False):
        request = stepped.in_review()
    request_commands.withdraw_request(actor=actor(stepped.dana), request_id=request.pk)
    assert inbox_commands.remind_and_escalate(at=MONDAY + 30 * DAY) == 0
    assert not Notification.objects.filter(kind__in=["due", "overdue", "escalated"]).exists()


# Many.


def fill(version: ModelVersion, requester: User, count: int, group: str = "model-risk") -> None:
    """Insert so many requests in review with a task each; every tenth has no due time, every seventh is claimed.

    Half of them are another person's, who works on the model as well.
    """
    now = timezone.now()
    other = person("wes", "data-scientist")
    rows = PromotionRequest.objects.bulk_create(
        [
            PromotionRequest(
                model=version.model, version=version, target_kind="alias", target=f"a{i}", reason="r", state="in_review",
                subject_digest="d", requested_by=requester if i % 4 < 2 else other, created_at=now - timedelta(seconds=i),
            )
            for i in range(count)
        ],
        batch_size=2000,
    )  # fmt: skip
    holder = user("rhea")
    ReviewTask.objects.bulk_create(
        [
            ReviewTask(
                request=row, policy="p", step="s", group=group if i % 2 else "legal", factor="f", missing=1,
                due_at=None if i % 10 == 0 else now + timedelta(minutes=i // 3),
                press_at=now + (timedelta(days=36_500) if i % 10 == 0 else timedelta(minutes=i // 3)),
                not_for=f" {requester.pk} ",
                claimed_by=holder if i % 7 == 0 else None, claim_ends_at=now + DAY if i % 7 == 0 else None,
            )
            for i, row in enumerate(rows)
        ],
        batch_size=2000,
    )  # fmt: skip


def pages(who: Any, whose: str, size: int = 50) -> list[int]:
    """Return the ids of all tasks, page after page."""
    found: list[int] = []
    after = None
    while rows := inbox.tasks(who, whose=whose, after=after, limit=size):
        found += [row.id for row in rows]
        after = inbox.parse_key(rows[-1].key)
    return found


def test_paging_shows_everything_once_the_most_pressing_first(stepped: Any, dana: User) -> None:
    fill(stepped.version(), dana, 420)
    me = actor(user("rita"))
    rows = ReviewTask.objects.filter(group="model-risk").order_by("press_at", "pk")
    assert pages(me, "me", 37) == [t.pk for t in rows if t.claimed_by_id is None]
    assert pages(me, "others", 7) == [t.pk for t in rows if t.claimed_by_id is not None]
    assert inbox.waiting_count(me) == len([t for t in rows if t.claimed_by_id is None])
    assert set(pages(actor(user("lena")), "me")) == set(
        ReviewTask.objects.filter(group="legal", claimed_by=None).values_list("pk", flat=True)
    )


@pytest.mark.parametrize("text", ["", "x", "2026-03-02_1", "2026-03-02T10:00:00+00:00_", "2026-03-02T10:00:00+00:00_x"])
def test_a_made_up_key_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        inbox.parse_key(text)


def statements(call: Any) -> list[str]:
    with CaptureQueriesContext(connection) as made:
        call()
    return [query["sql"] for query in made.captured_queries]


def test_an_inbox_costs_the_same_however_much_is_in_it(stepped: Any, dana: User, ravi: User) -> None:
    stepped.in_review()
    delegations.create_delegation(actor=actor(user("rolf")), delegate="ravi", ends_at=timezone.now() + DAY, reason="Holiday.")
    people = [actor(who) for who in (user("rita"), ravi, dana)]
    few = [len(statements(lambda me=me: inbox.inbox(me))) for me in people]
    fill(stepped.version(), dana, 60)
    assert [len(statements(lambda me=me: inbox.inbox(me))) for me in people] == few
    assert max(few) <= 13
    assert [len(statements(lambda me=me: inbox.waiting_count(me))) for me in people] == [2, 2, 0]
    assert [len(statements(lambda me=me: inbox.tasks(me))) for me in people] == [2, 2, 0]


@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="asks PostgreSQL how it reads")
def test_among_a_hundred_thousand_requests_a_page_reads_little_more_than_it_shows(stepped: Any, dana: User, ravi: User) -> None:
    """For a reviewer, for who stands in for one, and for who asked for half of them: no step of any statement reads them all."""
    fill(stepped.version(), dana, 100_000)
    delegations.create_delegation(actor=actor(user("rolf")), delegate="ravi", ends_at=timezone.now() + DAY, reason="Holiday.")
    middle = inbox.parse_key(f"{(timezone.now() + timedelta(minutes=16_000)).isoformat()}_0")
    asked = []
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
        for me in (actor(user("rita")), actor(ravi), actor(dana)):
            asked += statements(lambda me=me: inbox.inbox(me)) + statements(lambda me=me: inbox.waiting_count(me))
            for whose in inbox.WHOSE:
                asked += statements(lambda me=me, whose=whose: inbox.tasks(me, whose=whose, after=middle))
    for statement in asked:
        plan = explained(statement)
        assert most_rows(plan) < 2_000, json.dumps(plan, indent=1)
    assert len(asked) > 40
