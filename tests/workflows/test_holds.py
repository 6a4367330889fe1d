"""When an approved request waits: freezes, release windows, their zones and changes of the clock."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext

from core.access import SYSTEM
from core.errors import AlreadyExists, Denied, Invalid, NotFound
from core.models import AuditEvent, User
from governance.calendars import DEFAULT
from governance.gate import PinnedPolicy
from governance.policy import compile_policy
from registry.models import RegisteredModel
from tests.cast import actor
from workflows import calendars
from workflows.commands import execution
from workflows.commands.calendar import create_freeze, end_freeze, publish_calendar
from workflows.holds import why_held
from workflows.models import BusinessCalendarRow, FreezeWindow, PromotionRequest
from workflows.queries import operations

pytestmark = pytest.mark.django_db

WEEKENDS = {
    "name": "weekends",
    "reason": "Nobody is there to help.",
    "starts": "2026-01-02T18:00",
    "duration_minutes": 60 * 60,
    "zone": "Europe/Berlin",
    "rrule": "FREQ=WEEKLY;BYDAY=FR",
}
YEAR_END = {
    "name": "year-end",
    "reason": "The books are being closed.",
    "starts": "2026-12-20T00:00",
    "duration_minutes": 15 * 24 * 60,
    "zone": "Europe/Berlin",
}
FRIDAY = datetime(2026, 3, 27, 17, 30, tzinfo=UTC)  # 18:30 in Berlin, the weekend in which summer time begins


def asked(model: str = "credit.risk", tier: str = "medium", **options: Any) -> PromotionRequest:
    given = {"target_kind": "stage", "target": "Production", **options}
    return PromotionRequest(model=RegisteredModel(name=model, risk_tier=tier), **given)


def pinned(windows: str = "", name: str = "credit", mode: str = "enforce") -> PinnedPolicy:
    release = f"release: {{windows: [{windows}]}}\n" if windows else ""
    requirement = "requirements: [{id: a, title: A, how_to_satisfy: A, satisfied_if: 'true'}]\n"
    return PinnedPolicy(compile_policy(f"kind: Policy\nname: {name}\n{requirement}{release}"), {}, mode=mode)


OFFICE = "{starts: '2026-01-05T09:00', duration: 8 hours, timezone: Europe/Berlin, rrule: 'FREQ=WEEKLY;BYDAY=MO,TU,WE,TH'}"
TUESDAYS = "{starts: '2026-01-06T20:00', duration: 1 hour, timezone: America/New_York, rrule: 'FREQ=WEEKLY;BYDAY=TU'}"
ONCE = "{starts: '2020-01-06T09:00', duration: 1 hour, timezone: UTC}"


def freeze(pat: User, given: dict[str, Any] = WEEKENDS, at: datetime = FRIDAY, **changes: Any) -> FreezeWindow:
    with time_machine.travel(at, tick=False):
        return create_freeze(actor=actor(pat), **{**given, **changes})


def test_a_freeze_holds_until_its_end_on_the_local_clock_also_when_that_is_moved(pat: User) -> None:
    freeze(pat)
    assert why_held(asked(), [], FRIDAY - timedelta(hours=1)) == ""
    said = "Frozen by weekends until 2026-03-30 06:00 (Europe/Berlin): Nobody is there to help."
    assert why_held(asked(), [], FRIDAY) == said
    # In this night the clock goes from 02:00 to 03:00, so the freeze is an hour shorter: Monday 06:00 is 04:00 UTC by now.
    assert why_held(asked(), [], datetime(2026, 3, 30, 3, 59, 59, tzinfo=UTC)) == said
    assert why_held(asked(), [], datetime(2026, 3, 30, 4, 0, tzinfo=UTC)) == ""
    # And an hour longer in the night in which it goes back.
    assert why_held(asked(), [], datetime(2026, 10, 26, 4, 59, tzinfo=UTC)) != ""
    assert why_held(asked(), [], datetime(2026, 10, 26, 5, 0, tzinfo=UTC)) == ""


@pytest.mark.parametrize(
    ("covering", "request_", "held"),
    [
        ({}, asked(), True),
        ({"models": ["credit.*"]}, asked(), True),
        ({"models": ["fraud.*", "credit.r?sk"]}, asked(), True),
        ({"models": ["fraud.*"]}, asked(), False),
        ({"models": ["Credit.*"]}, asked(), False),
        ({"risk_tiers": ["high"]}, asked(), False),
        ({"risk_tiers": ["high", "medium"]}, asked(), True),
        ({"stages": ["production"]}, asked(), True),
        ({"stages": ["Staging"]}, asked(), False),
        ({"stages": ["Production"]}, asked(target_kind="alias", target="champion"), False),
        ({"aliases": ["champion"]}, asked(target_kind="alias", target="champion"), True),
        ({"aliases": ["champion"]}, asked(), False),
        ({"stages": ["Staging"], "aliases": ["champion"]}, asked(target_kind="alias", target="champion"), True),
        ({}, asked(kind="rollback"), True),
        ({}, asked(kind="re_review"), False),
    ],
)
def test_a_freeze_holds_what_it_covers(pat: User, covering: dict[str, Any], request_: PromotionRequest, held: bool) -> None:
    freeze(pat, **covering)
    assert bool(why_held(request_, [], FRIDAY)) is held


def test_release_windows_hold_outside_of_them_and_say_when_they_open(pat: User) -> None:
    sunday, tuesday = datetime(2026, 3, 29, 12, 0, tzinfo=UTC), datetime(2026, 3, 31, 8, 0, tzinfo=UTC)
    said = "Outside the release windows of credit: they open next on 2026-03-30 09:00 (Europe/Berlin)"
    assert why_held(asked(), [pinned(OFFICE)], sunday) == said
    assert why_held(asked(), [pinned(OFFICE)], tuesday) == ""
    assert why_held(asked(), [pinned()], sunday) == ""
    # Berlin is at summer time already, New York as well; both are said on their own clocks.
    both = why_held(asked(), [pinned(f"{TUESDAYS}, {OFFICE}")], datetime(2026, 3, 31, 15, 0, tzinfo=UTC))
    assert both.endswith("they open next on 2026-03-31 20:00 (America/New_York)")
    assert "never open again" in why_held(asked(), [pinned(ONCE)], tuesday)


@pytest.mark.parametrize("mode", ["warn", "shadow"])
def test_a_policy_that_does_not_block_holds_nothing(mode: str) -> None:
    assert why_held(asked(), [pinned(ONCE, mode=mode)], FRIDAY) == ""


def test_of_several_reasons_the_one_that_holds_longest_is_said(pat: User) -> None:
    freeze(pat)
    monday = "they open next on 2026-03-30 09:00"
    assert monday in why_held(asked(), [pinned(OFFICE)], FRIDAY)
    assert "release windows of slow" in why_held(asked(), [pinned(OFFICE), pinned(TUESDAYS, "slow")], FRIDAY)
    assert "never open again" in why_held(asked(), [pinned(ONCE, "old"), pinned(OFFICE)], FRIDAY)
    freeze(pat, name="spring", starts="2026-03-27T00:00", duration_minutes=7 * 24 * 60, rrule="")
    assert why_held(asked(), [pinned(OFFICE)], FRIDAY).startswith("Frozen by spring until 2026-04-03 00:00")


def test_a_freeze_without_an_end_says_so_and_a_long_reason_is_cut(pat: User) -> None:
    freeze(pat, name="always", rrule="FREQ=DAILY", duration_minutes=24 * 60, reason="x" * 300)
    said = why_held(asked(), [], FRIDAY)
    assert said.startswith("Frozen by always without an end in sight: xxx") and len(said) == 300


def test_asking_takes_one_statement_however_many_freezes_there_are(pat: User) -> None:
    counts = []
    for i in range(3):
        freeze(pat, name=f"f{i}")
        with CaptureQueriesContext(connection) as seen:
            why_held(asked(), [pinned(OFFICE)], FRIDAY)
        counts.append(len(seen))
    assert counts == [1, 1, 1]


def test_an_approved_request_waits_for_the_freeze_to_end(world: Any, pat: User, ravi: User, rosa: User, review: Any) -> None:
    request = world.in_review()
    review(ravi, request)
    review(rosa, request)
    create_freeze(actor=actor(pat), name="now", reason="Audit.", starts="2026-01-01T00:00", duration_minutes=1440, zone="UTC",
                  rrule="FREQ=DAILY", aliases=["champion"])  # fmt: skip
    create_freeze(actor=actor(pat), name="all", reason="Audit.", starts="2026-01-01T00:00", duration_minutes=1440, zone="UTC",
                  rrule="FREQ=DAILY", stages=["Production"])  # fmt: skip
    execution.execute_request(actor=SYSTEM, request_id=request.pk)
    request.refresh_from_db()
    assert (request.state, request.hold) == ("approved", "Frozen by all without an end in sight: Audit.")
    end_freeze(actor=actor(pat), name="all", reason="Over.")
    execution.execute_request(actor=SYSTEM, request_id=request.pk)
    request.refresh_from_db()
    assert (request.state, request.hold) == ("done", "")


def test_freezes_are_put_in_force_and_ended_on_record_by_who_may(pat: User, dana: User, aude: User) -> None:
    for other in (dana, aude):
        with pytest.raises(Denied):
            freeze(other)
    made = freeze(pat, models=["credit.*"], stages=["production", "Production"])
    assert (made.stages, made.models_matching, made.created_by) == (["Production"], ["credit.*"], pat)
    with pytest.raises(AlreadyExists):
        freeze(pat)
    with pytest.raises(Denied):
        end_freeze(actor=actor(dana), name="weekends")
    end_freeze(actor=actor(pat), name="weekends", reason="No longer needed.")
    assert why_held(asked(), [], FRIDAY) == ""
    with pytest.raises(NotFound):
        end_freeze(actor=actor(pat), name="weekends")
    freeze(pat)
    actions = list(AuditEvent.objects.filter(subject_type="freeze_window").order_by("id").values_list("action", flat=True))
    assert actions == ["freeze.created", "freeze.ended", "freeze.created"]
    assert FreezeWindow.objects.count() == 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "Year end"}, "is no name"),
        ({"name": "a\n"}, "is no name"),
        ({"reason": " "}, "Say why"),
        ({"reason": "x" * 301}, "at most 300"),
        ({"zone": "Europe/Berln"}, "did you mean Europe/Berlin?"),
        ({"starts": "tomorrow"}, "write it as in 2026-12-20T00:00"),
        ({"starts": "2026-12-20T00:00+01:00"}, "without an offset"),
        ({"duration_minutes": 0}, "longer than nothing"),
        ({"duration_minutes": 10**30}, "at most 366"),
        ({"rrule": "FREQ=MINUTELY"}, "too fine"),
        ({"rrule": "FREQ=DAILY;" + "X" * 300}, "at most 300 characters"),
        ({"rrule": "FREQ=WEEKLY;UNTIL=20260301T000000Z"}, "over already"),
        ({"rrule": "", "starts": "2026-03-01T00:00", "duration_minutes": 60}, "over already"),
        ({"risk_tiers": ["extreme"]}, "there are low, medium, high"),
        ({"stages": ["Prod"]}, "the stages are"),
        ({"aliases": ["no spaces"]}, "cannot be an alias"),
        ({"models": [""]}, "1 to 256 characters"),
        ({"models": [f"m{i}" for i in range(101)]}, "at most 100 patterns"),
    ],
)
def test_a_freeze_that_makes_no_sense_is_refused_with_the_remedy(pat: User, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(Invalid) as refused:
        freeze(pat, **changes)
    assert message in refused.value.message
    assert not FreezeWindow.objects.exists()


def test_a_freeze_is_listed_with_the_times_ahead(pat: User, dana: User, mallory: User) -> None:
    freeze(pat)
    freeze(pat, YEAR_END)
    with pytest.raises(Denied):
        operations.freezes(actor(mallory))
    weekends, year_end = operations.freeze_rows(operations.freezes(actor(dana)), FRIDAY)
    assert (weekends.in_force, weekends.until) == (True, datetime(2026, 3, 30, 4, 0, tzinfo=UTC))
    assert [o.begins.isoformat() for o in weekends.upcoming[:2]] == ["2026-04-03T16:00:00+00:00", "2026-04-10T16:00:00+00:00"]
    assert len(weekends.upcoming) == 5
    assert (year_end.in_force, year_end.until) == (False, None)
    (only,) = year_end.upcoming
    assert (only.begins, only.ends) == (datetime(2026, 12, 19, 23, tzinfo=UTC), datetime(2027, 1, 3, 23, tzinfo=UTC))
    row = FreezeWindow.objects.get(name="weekends")
    ahead = list(operations.openings(row, FRIDAY))
    assert len(ahead) == 53 and ahead[0].begins < FRIDAY < ahead[0].ends
    hourly = freeze(pat, name="hourly", rrule="FREQ=HOURLY", duration_minutes=10)
    assert len(list(operations.openings(hourly, FRIDAY))) == 200


# Business calendars.


def publish(pat: User, name: str = "berlin", **changes: Any) -> BusinessCalendarRow:
    given: dict[str, Any] = {
        "zone": "Europe/Berlin", "weekdays": [0, 1, 2, 3, 4], "opens": time(9), "closes": time(17),
        "holidays": [date(2026, 4, 3), date(2026, 4, 6)],
    }  # fmt: skip
    return publish_calendar(actor=actor(pat), name=name, **{**given, **changes})


def test_a_calendar_is_published_in_the_place_of_the_one_before(pat: User, dana: User) -> None:
    with pytest.raises(Denied):
        publish(dana)
    first = publish(pat)
    second = publish(pat, closes=time(0))
    first.refresh_from_db()
    assert first.valid_to == second.valid_from and second.valid_to is None
    berlin = calendars.named("berlin")
    assert (berlin.timezone, berlin.closes, len(berlin.holidays)) == ("Europe/Berlin", time(0), 2)
    # Good Friday and Easter Monday are free: one business day after Thursday is Tuesday, and the clock was moved before.
    assert berlin.business_days(datetime(2026, 4, 2, 8, tzinfo=UTC), 1) == datetime(2026, 4, 7, 8, tzinfo=UTC)
    changed = AuditEvent.objects.filter(action="calendar.changed").order_by("id")
    assert [event.subject_id for event in changed] == ["berlin", "berlin"]
    assert '"before":{"closes":"17:00"' in changed[1].body
    assert [row.name for row in operations.calendars(actor(dana))] == ["berlin"]


def test_an_unknown_calendar_is_the_default_and_that_can_be_published(pat: User) -> None:
    assert calendars.named("") == calendars.named("no-such") == DEFAULT
    publish(pat, "default")
    assert calendars.named("").timezone == calendars.named("no-such").timezone == "Europe/Berlin"
    publish(pat, "tokyo", zone="Asia/Tokyo")
    assert calendars.named("tokyo").timezone == "Asia/Tokyo"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"zone": "Mars"}, "no time zone"),
        ({"weekdays": []}, "at least one weekday"),
        ({"closes": time(8)}, "are none"),
        ({"name": "A"}, "is no name"),
    ],
)
def test_a_calendar_that_makes_no_sense_is_refused(pat: User, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(Invalid) as refused:
        publish(pat, **changes)
    assert message in refused.value.message
