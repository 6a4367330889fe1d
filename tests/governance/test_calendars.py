"""Windows agree with a clock read minute by minute, at any age of the rule; business time adds up."""

from __future__ import annotations

import time as clock
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from dateutil.rrule import rrulestr
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from governance import calendars
from governance.calendars import (
    COVER_BOUND,
    DEFAULT,
    BusinessCalendar,
    CalendarError,
    Duration,
    Occurrence,
    Window,
    business_calendar,
    covering,
    ends_of_cover,
    next_opening,
    parse_duration,
    window,
)

local = datetime.fromisoformat
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text + "+00:00")


# Broken input.


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"starts": utc("2026-01-02T18:00")}, "local time without an offset"),
        ({"starts": local("2026-01-02T18:00:00.5")}, "fractions of a second"),
        ({"starts": local("1066-10-14T09:00")}, "give a year from 1970 to 2200"),
        ({"duration": timedelta(0)}, "must be longer than nothing"),
        ({"duration": -HOUR}, "must be longer than nothing"),
        ({"duration": 367 * DAY}, "the duration is 367 days; at most 366"),
        ({"timezone": "Europe/Berln"}, "did you mean Europe/Berlin?"),
        ({"timezone": ""}, "give an IANA name such as Europe/Berlin"),
        ({"timezone": "Europe"}, "there is no time zone 'Europe'"),
        ({"timezone": "../../etc/passwd"}, "there is no time zone"),
        ({"timezone": "localtime"}, "there is no time zone 'localtime'"),
        ({"rrule": "every friday"}, "expected NAME=value"),
        ({"rrule": "FREQ=WEEKLY;"}, "'' is no part of a rule"),
        ({"rrule": "FREQ="}, "'FREQ=' is no part of a rule"),
        ({"rrule": "BYDAY=MO"}, "needs FREQ=YEARLY, MONTHLY"),
        ({"rrule": "FREQ=FORTNIGHTLY"}, "needs FREQ="),
        ({"rrule": "FREQ=MINUTELY"}, "FREQ=MINUTELY is too fine"),
        ({"rrule": "FREQ=SECONDLY;COUNT=1"}, "FREQ=SECONDLY is too fine"),
        ({"rrule": "FREQ=DAILY;BYMINUTE=0,15,30,45"}, "give one, since a window opens at most once an hour"),
        ({"rrule": "FREQ=DAILY;DTSTART=20260101"}, "there is no part DTSTART"),
        ({"rrule": "FREQ=DAILY;BYEASTER=0"}, "there is no part BYEASTER"),
        ({"rrule": "FREQ=YEARLY;BYWEEKNO=53"}, "BYWEEKNO is not supported"),
        ({"rrule": "FREQ=DAILY;FREQ=DAILY"}, "stands in the rule twice"),
        ({"rrule": "FREQ=DAILY\nRRULE:FREQ=DAILY"}, "needs FREQ="),
        ({"rrule": "FREQ=DAILY;INTERVAL=0"}, "INTERVAL=0 is out of range; give from 1 to 1000"),
        ({"rrule": "FREQ=DAILY;INTERVAL=1000000000000"}, "out of range"),
        ({"rrule": "FREQ=DAILY;INTERVAL=two"}, "out of range"),
        ({"rrule": "FREQ=DAILY;INTERVAL=²"}, "out of range"),
        ({"rrule": "FREQ=DAILY;COUNT=0"}, "COUNT=0 is out of range"),
        ({"rrule": "FREQ=DAILY;COUNT=3;UNTIL=20270101"}, "remove one of them"),
        ({"rrule": "FREQ=DAILY;BYHOUR=24"}, "give from 0 to 23"),
        ({"rrule": "FREQ=MONTHLY;BYMONTHDAY=0"}, "give from 1 to 31, or below zero to count from the end"),
        ({"rrule": "FREQ=MONTHLY;BYMONTHDAY=1,,2"}, "out of range"),
        ({"rrule": "FREQ=WEEKLY;BYMONTHDAY=1"}, "BYMONTHDAY does not go with FREQ=WEEKLY"),
        ({"rrule": "FREQ=MONTHLY;BYYEARDAY=1"}, "BYYEARDAY does not go with FREQ=MONTHLY"),
        ({"rrule": "FREQ=HOURLY;BYHOUR=1;BYSETPOS=1"}, "BYSETPOS does not go with FREQ=HOURLY"),
        ({"rrule": "FREQ=MONTHLY;BYSETPOS=1"}, "BYSETPOS chooses among"),
        ({"rrule": "FREQ=WEEKLY;BYDAY=FRIDAY"}, "not understood at 'FRIDAY'"),
        ({"rrule": "FREQ=WEEKLY;BYDAY=1FR"}, "leave the numbers out"),
        ({"rrule": "FREQ=MONTHLY;BYDAY=6FR"}, "not understood at '6FR'"),
        ({"rrule": "FREQ=MONTHLY;BYDAY=MO,1FR"}, "make two windows of it"),
        ({"rrule": "FREQ=WEEKLY;WKST=XX"}, "WKST=XX is no day"),
        ({"rrule": "FREQ=DAILY;UNTIL=tomorrow"}, "write it as in UNTIL=20261231"),
        ({"rrule": "FREQ=DAILY;UNTIL=20260230"}, "UNTIL=20260230 is no time"),
        ({"rrule": "FREQ=DAILY;UNTIL=99991231"}, "leave UNTIL out"),
        ({"rrule": "FREQ=DAILY;UNTIL=20250101"}, "never opens"),
        ({"rrule": "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30"}, "never opens"),
        ({"rrule": "FREQ=HOURLY;BYMONTH=2;BYMONTHDAY=30"}, "never opens"),
        ({"rrule": "FREQ=MONTHLY;INTERVAL=12;BYMONTH=2"}, "never opens"),
        ({"rrule": "FREQ=MONTHLY;INTERVAL=12;BYMONTH=2;COUNT=2"}, "never opens"),
        ({"rrule": "FREQ=HOURLY;INTERVAL=24;BYHOUR=3"}, "INTERVAL steps over every BYHOUR"),
        ({"rrule": "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=29;COUNT=999"}, "COUNT=999 is not reached within 60 years"),
    ],
)
def test_what_can_never_work_is_refused_at_once_with_a_remedy(change: dict[str, object], message: str) -> None:
    good: dict[str, object] = {"starts": local("2026-01-02T18:00"), "duration": HOUR, "timezone": "UTC", "rrule": "FREQ=DAILY"}
    began = clock.perf_counter()
    with pytest.raises(CalendarError) as refused:
        window(**(good | change))  # type: ignore[arg-type]
    assert message in str(refused.value)
    assert clock.perf_counter() - began < 5  # measured: 0.4 s for the slowest; dateutil alone takes minutes or does not end


def test_a_window_not_made_by_window_is_refused_when_it_is_used() -> None:
    with pytest.raises(CalendarError, match="INTERVAL=0"):
        covering([Window(local("2026-01-01T00:00"), HOUR, "UTC", "FREQ=DAILY;INTERVAL=0")], utc("2026-06-01T00:00"))


def test_a_moment_without_a_zone_is_refused() -> None:
    daily = window(local("2026-01-01T09:00"), HOUR, "UTC", "FREQ=DAILY")
    for ask in (covering, ends_of_cover, next_opening):
        with pytest.raises(ValueError, match="no time zone"):
            ask([daily], local("2026-01-01T09:00"))


# By hand.


def test_nine_stays_nine_all_year() -> None:
    daily = window(local("2026-01-01T09:00"), 8 * HOUR, "Europe/Berlin", "FREQ=DAILY")
    assert next_opening([daily], utc("2026-03-28T00:00")) == utc("2026-03-28T08:00")
    assert next_opening([daily], utc("2026-03-29T00:00")) == utc("2026-03-29T07:00")
    assert covering([daily], utc("2026-03-29T07:00")) == Occurrence(daily, utc("2026-03-29T07:00"), utc("2026-03-29T15:00"))
    assert covering([daily], utc("2026-03-29T15:00")) is None


def test_a_freeze_over_the_weekend_ends_by_the_clock_on_the_wall() -> None:
    freeze = window(local("2020-01-03T18:00"), 60 * HOUR, "Europe/Berlin", "RRULE:freq=weekly;byday=FR")
    assert freeze.rrule == "FREQ=WEEKLY;BYDAY=FR"
    for friday, monday in [("2026-03-20T17:00", "2026-03-23T05:00"), ("2026-03-27T17:00", "2026-03-30T04:00")]:
        assert ends_of_cover([freeze], utc(friday)) == utc(monday)
        assert ends_of_cover([freeze], utc(friday) - MINUTE) == utc(friday) - MINUTE


def test_a_local_time_that_does_not_exist_moves_forward_with_its_whole_opening() -> None:
    night = window(local("2026-03-01T02:30"), HOUR / 2, "Europe/Berlin", "FREQ=DAILY")
    assert covering([night], utc("2026-03-29T01:30")) == Occurrence(night, utc("2026-03-29T01:30"), utc("2026-03-29T02:00"))
    assert covering([night], utc("2026-03-29T01:00")) is None
    assert next_opening([night], utc("2026-03-29T00:30")) == utc("2026-03-29T01:30")


def test_a_local_time_that_exists_twice_means_the_first() -> None:
    night = window(local("2026-10-01T02:30"), HOUR / 4, "Europe/Berlin", "FREQ=DAILY")
    assert covering([night], utc("2026-10-25T00:30")) == Occurrence(night, utc("2026-10-25T00:30"), utc("2026-10-25T00:45"))
    assert covering([night], utc("2026-10-25T01:30")) is None


def test_a_day_that_was_skipped_moves_too() -> None:
    once = window(local("2011-12-30T09:00"), HOUR, "Pacific/Apia")
    assert next_opening([once], utc("2011-12-29T00:00")) == utc("2011-12-30T19:00")
    assert covering([once], utc("2011-12-30T19:59")) is not None


def test_of_several_openings_the_one_that_ends_last_is_told_and_chains_are_followed() -> None:
    short = window(local("2026-05-01T08:00"), 2 * HOUR, "UTC")
    long = window(local("2026-05-01T09:00"), 3 * HOUR, "UTC")
    touching = window(local("2026-05-01T12:00"), HOUR, "UTC")
    apart = window(local("2026-05-01T13:01"), HOUR, "UTC")
    windows = [apart, touching, short, long]
    found = covering(windows, utc("2026-05-01T09:30"))
    assert found is not None
    assert found.window == long
    assert ends_of_cover(windows, utc("2026-05-01T08:00")) == utc("2026-05-01T13:00")
    assert next_opening(windows, utc("2026-05-01T09:01")) == utc("2026-05-01T12:00")
    assert next_opening(windows, utc("2026-05-01T13:02")) is None
    assert covering([], utc("2026-05-01T09:30")) is None
    assert ends_of_cover([], utc("2026-05-01T09:30")) == utc("2026-05-01T09:30")


def test_cover_without_gaps_has_no_end_but_a_long_one_has() -> None:
    always = window(local("2020-01-01T00:00"), DAY, "Europe/Berlin", "FREQ=DAILY")
    year = window(local("2020-01-01T00:00"), DAY, "Europe/Berlin", "FREQ=DAILY;UNTIL=20270115")
    assert ends_of_cover([always], utc("2026-01-01T00:00")) is None
    assert ends_of_cover([year], utc("2026-01-01T00:00")) == utc("2027-01-15T23:00")
    assert ends_of_cover([year], utc("2027-01-15T23:00") - COVER_BOUND) == utc("2027-01-15T23:00")
    assert ends_of_cover([year], utc("2027-01-15T22:59") - COVER_BOUND) is None


@pytest.mark.parametrize(
    ("rrule", "last"),
    [
        ("FREQ=DAILY;COUNT=3", "2026-03-30T07:00"),
        ("FREQ=DAILY;UNTIL=20260330", "2026-03-30T07:00"),  # a date alone includes the day
        ("FREQ=DAILY;UNTIL=20260330T090000", "2026-03-30T07:00"),
        ("FREQ=DAILY;UNTIL=20260330T070000Z", "2026-03-30T07:00"),
        ("FREQ=DAILY;UNTIL=20260330T065959Z", "2026-03-29T07:00"),
        ("FREQ=DAILY;UNTIL=20260330T085959", "2026-03-29T07:00"),
        ("", "2026-03-28T08:00"),
    ],
)
def test_a_rule_ends_where_it_says(rrule: str, last: str) -> None:
    one = window(local("2026-03-28T09:00"), HOUR, "Europe/Berlin", rrule)
    assert next_opening([one], utc(last)) == utc(last)
    assert next_opening([one], utc(last) + MINUTE) is None
    assert covering([one], utc(last)) is not None
    assert covering([one], utc(last) + DAY) is None


@pytest.mark.parametrize(
    ("rrule", "expected"),
    [
        ("FREQ=MONTHLY;BYDAY=-1FR", ["2026-01-30", "2026-02-27", "2026-03-27"]),
        ("FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1", ["2026-01-30", "2026-02-27", "2026-03-31"]),
        ("FREQ=MONTHLY;BYMONTHDAY=31", ["2026-01-31", "2026-03-31", "2026-05-31"]),
        ("FREQ=MONTHLY;INTERVAL=5", ["2026-01-15", "2026-06-15", "2026-11-15"]),
        ("FREQ=YEARLY;BYMONTH=3,6,9,12;BYMONTHDAY=-1", ["2026-03-31", "2026-06-30", "2026-09-30"]),
        ("FREQ=YEARLY", ["2026-01-15", "2027-01-15", "2028-01-15"]),
        ("FREQ=WEEKLY;INTERVAL=2;BYDAY=SU,TU;WKST=SU", ["2026-01-25", "2026-01-27", "2026-02-08"]),
        ("FREQ=WEEKLY;INTERVAL=2;BYDAY=SU,TU;WKST=MO", ["2026-01-18", "2026-01-27", "2026-02-01"]),
    ],
)
def test_rules_as_people_write_them(rrule: str, expected: list[str]) -> None:
    one = window(local("2026-01-15T12:00"), HOUR, "UTC", rrule)
    found, at = [], utc("2026-01-15T00:00")
    for _ in expected:
        opening = next_opening([one], at)
        assert opening is not None
        found.append(str(opening.date()))
        at = opening + MINUTE
    assert found == expected


# Against a clock read minute by minute.

ZONES = {
    "Europe/Berlin": ("2026-03-29", "2026-10-25"),
    "America/New_York": ("2026-03-08", "2026-11-01"),
    "Asia/Kolkata": ("2026-03-29",),
}
CHANGES = [(zone, day) for zone, days in ZONES.items() for day in days]


@lru_cache
def wall(zone: str, day: str) -> list[tuple[datetime, datetime]]:
    """Return what the clock on the wall shows in each minute from 12 days before a day to 12 days after: (UTC, local)."""
    first, tz = utc(f"{day}T00:00") - 12 * DAY, ZoneInfo(zone)
    return [(at, at.astimezone(tz).replace(tzinfo=None, fold=0)) for at in (first + i * MINUTE for i in range(24 * 24 * 60))]


def read(shown: list[tuple[datetime, datetime]], wanted: datetime) -> tuple[datetime, datetime]:
    """Return the first minute in which the clock shows a time, and that time; if it jumps over it, as much later as it jumps."""
    about = int((wanted - shown[0][1]) / MINUTE)  # but for the hours that the clock has jumped since
    for (_, before), (at, now) in pairwise(shown[max(0, about - 300) : about + 300]):
        if now == wanted:
            return at, now
        if before < wanted < now:
            return read(shown, wanted + (now - before - MINUTE))
    raise AssertionError(f"{wanted} is not in the range")


def openings_by_clock(one: Window, days: set[int], zone: str, day: str) -> list[tuple[datetime, datetime]]:
    """Return the openings of a window that opens on some weekdays, in the ten days before and after a day."""
    shown, middle = wall(zone, day), date.fromisoformat(day)
    dates = [middle + i * DAY for i in range(-9, 9)]
    found = []
    for each in (d for d in dates if d.weekday() in days):
        begins, moved = read(shown, datetime.combine(each, one.starts.time()))
        found.append((begins, read(shown, moved + one.duration)[0]))
    return found


DAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")


def weekly(days: set[int], at: time, minutes: int, zone: str) -> Window:
    rrule = "FREQ=WEEKLY;BYDAY=" + ",".join(DAYS[d] for d in sorted(days))
    return window(datetime.combine(date(1990, 1, 1), at), minutes * MINUTE, zone, rrule)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(CHANGES),
    st.sets(st.integers(0, 6), min_size=1),
    st.one_of(
        st.builds(time, st.integers(0, 3), st.sampled_from([0, 15, 30, 59])),
        st.builds(time, st.integers(0, 23), st.integers(0, 59)),
    ),
    st.one_of(st.integers(1, 180), st.integers(1, 2 * 24 * 60)),
)
@example(("Europe/Berlin", "2026-03-29"), {6}, time(2, 30), 30)
@example(("Europe/Berlin", "2026-03-29"), {6}, time(1, 45), 60)
@example(("Europe/Berlin", "2026-10-25"), {6}, time(2, 30), 30)
@example(("America/New_York", "2026-03-08"), {6}, time(2), 1)
@example(("America/New_York", "2026-11-01"), {0, 1, 2, 3, 4, 5, 6}, time(0), 24 * 60)
def test_openings_agree_with_the_clock_on_the_wall(change: tuple[str, str], days: set[int], at: time, minutes: int) -> None:
    zone, day = change
    one = weekly(days, at, minutes, zone)
    expected = openings_by_clock(one, days, zone, day)
    for begins, ends in expected[2:-2]:
        assert next_opening([one], begins - MINUTE) == begins
        for moment in (begins - MINUTE, begins, ends - MINUTE, ends):
            latest = max(((b, e) for b, e in expected if b <= moment < e), key=lambda pair: pair[1], default=None)
            found = covering([one], moment)
            assert (found and (found.begins, found.ends)) == latest, moment


@pytest.mark.parametrize(("zone", "day"), CHANGES)
def test_cover_agrees_minute_by_minute_about_the_change_and_at_times_in_two_weeks(zone: str, day: str) -> None:
    """Three windows at once, one of them over the hour that is skipped or repeated."""
    weekdays = [({0, 1, 2, 3, 4}, time(9), 8 * 60), ({4}, time(18), 60 * 60), ({0, 1, 2, 3, 4, 5, 6}, time(2, 10), 35)]
    windows = [weekly(*each, zone) for each in weekdays]
    expected = [
        opening for one, each in zip(windows, weekdays, strict=True) for opening in openings_by_clock(one, each[0], zone, day)
    ]
    covered = 0
    minutes = [at for at, _ in wall(zone, day)]
    a_day = 24 * 60
    moments = [*minutes[5 * a_day : 11 * a_day : 7], *minutes[11 * a_day : 13 * a_day], *minutes[13 * a_day : 19 * a_day : 7]]
    for at in moments:
        open_then = [ends for begins, ends in expected if begins <= at < ends]
        found = covering(windows, at)
        assert (found.ends if found else None) == max(open_then, default=None), at
        covered += found is not None
    assert 0.3 < covered / len(moments) < 0.8


@pytest.mark.parametrize(("zone", "day"), CHANGES)
@given(data=st.data())
@settings(max_examples=30, deadline=None)
def test_the_end_of_cover_is_the_first_minute_that_nothing_covers(zone: str, day: str, data: st.DataObject) -> None:
    draw = data.draw
    minutes = st.integers(1, 30 * 60)
    specs = draw(st.lists(st.tuples(st.sets(st.integers(0, 6), min_size=1), st.times(), minutes), min_size=1, max_size=3))
    windows = [weekly(days, at.replace(second=0, microsecond=0), length, zone) for days, at, length in specs]
    at = utc(f"{day}T00:00") + draw(st.integers(-2 * 24 * 60, 24 * 60)) * MINUTE
    ends = ends_of_cover(windows, at)
    moment, bound = at, at + 10 * DAY
    while moment < bound and (found := covering(windows, moment)) is not None:
        moment = found.ends
    if moment < bound:
        assert ends == moment
    else:
        assert ends is None or ends >= bound
    if ends is not None:
        assert covering(windows, ends) is None


# Against dateutil, which counts from the rule's beginning.

RULES = st.one_of(
    st.sampled_from(["FREQ=YEARLY", "FREQ=MONTHLY", "FREQ=WEEKLY", "FREQ=DAILY", "FREQ=HOURLY"]),
    st.builds("FREQ=WEEKLY;WKST={};BYDAY={}".format, st.sampled_from(DAYS), st.sampled_from(["MO", "SU,TU", "FR,SA", "WE"])),
    st.builds("FREQ=MONTHLY;BYDAY={}{}".format, st.sampled_from([1, 2, 5, -1, -5]), st.sampled_from(DAYS)),
    st.builds("FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS={}".format, st.sampled_from([1, 3, -1, -2])),
    st.builds("FREQ=MONTHLY;BYMONTHDAY={}".format, st.sampled_from([1, 29, 30, 31, -1, -31])),
    st.builds("FREQ=YEARLY;BYMONTH={};BYMONTHDAY={}".format, st.integers(1, 12), st.sampled_from([1, 28, -1])),
    st.builds("FREQ=YEARLY;BYDAY={}{}".format, st.sampled_from([1, 20, 53, -1]), st.sampled_from(DAYS)),
    st.builds("FREQ=YEARLY;BYYEARDAY={}".format, st.sampled_from([1, 60, 366, -1, -366])),
    st.builds("FREQ=DAILY;BYMONTH={}".format, st.integers(1, 12)),
    st.builds("FREQ=DAILY;BYHOUR={}".format, st.sampled_from(["0,12", "23", "2,3"])),
    st.builds("FREQ=HOURLY;BYDAY={}".format, st.sampled_from(DAYS)),
    st.builds("FREQ=HOURLY;BYHOUR={}".format, st.sampled_from(["1,7", "12", "0,23"])),
)


@settings(max_examples=300, deadline=None)
@given(
    RULES,
    st.sampled_from([1, 1, 2, 3, 7, 13]),
    st.datetimes(local("1995-01-01T00:00"), local("2000-12-31T23:59")),
    st.integers(0, 9000),
)
@example("FREQ=YEARLY", 1, local("1996-02-29T09:00"), 2000)
def test_a_rule_opens_when_dateutil_says_counting_from_its_beginning(
    rule: str, interval: int, starts: datetime, days: int
) -> None:
    starts = starts.replace(second=0, microsecond=0)
    text = f"{rule};INTERVAL={interval}"
    low = starts + days * DAY
    high = low + (400 * DAY if "HOURLY" not in rule else 40 * DAY)
    try:
        one = window(starts, HOUR, "UTC", text)
        plain = rrulestr(text, dtstart=starts)
    except (CalendarError, ValueError):
        assume(False)
    found = [o.begins.replace(tzinfo=None) for o in calendars._occurrences(one, low, high)]
    assert found == [opening for opening in plain.between(low, high, inc=True) if opening < high]


@settings(max_examples=100, deadline=None)
@given(RULES, st.integers(1, 60), st.datetimes(local("1995-01-01T00:00"), local("2000-12-31T23:59")))
def test_count_counts_from_the_beginning(rule: str, count: int, starts: datetime) -> None:
    starts = starts.replace(second=0, microsecond=0)
    try:
        one = window(starts, HOUR, "UTC", f"{rule};COUNT={count}")
    except CalendarError as error:
        assert "not reached" in str(error) or "never opens" in str(error)
        assume(False)
    last = list(rrulestr(f"{rule};COUNT={count}", dtstart=starts))[-1].replace(tzinfo=UTC)
    assert next_opening([one], last) == last
    assert next_opening([one], last + MINUTE) is None


@pytest.mark.parametrize(
    "rrule", ["FREQ=HOURLY", "FREQ=DAILY;BYHOUR=9", "FREQ=WEEKLY;BYDAY=FR", "FREQ=MONTHLY;BYDAY=-1FR", "FREQ=YEARLY"]
)
def test_the_work_does_not_grow_with_the_age_of_the_rule(rrule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    expanded = 0

    def counting(rule: object, dtstart: datetime, plain=calendars._expanded):  # type: ignore[no-untyped-def]
        nonlocal expanded
        for opening in plain(rule, dtstart):
            expanded += 1
            yield opening

    monkeypatch.setattr(calendars, "_expanded", counting)
    work = {}
    for year in (1970, 2025):
        one = window(local(f"{year}-01-02T09:00"), HOUR / 2, "Europe/Berlin", rrule)
        expanded = 0
        covering([one], utc("2026-06-05T08:00"))
        ends_of_cover([one], utc("2026-06-05T08:00"))
        next_opening([one], utc("2026-06-05T08:00"))
        work[year] = expanded
    assert work[1970] <= work[2025] + 5
    assert work[1970] < 500


def test_the_slowest_rules_answer_in_bounded_time() -> None:
    """A rule that opens every 28 to 40 years, and openings of a year that begin every hour."""
    rare = window(local("1970-01-01T09:00"), DAY, "Europe/Berlin", "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=29;BYDAY=MO")
    dense = window(local("1970-01-01T09:00"), 366 * DAY, "Europe/Berlin", "FREQ=HOURLY")
    began = clock.perf_counter()
    assert next_opening([rare], utc("2026-06-05T08:00")) == utc("2044-02-29T08:00")
    assert covering([rare], utc("2026-06-05T08:00")) is None
    assert ends_of_cover([dense, rare], utc("2026-06-05T08:00")) is None
    assert clock.perf_counter() - began < 5  # measured: 0.15 s


# Business time.

BERLIN = business_calendar("Europe/Berlin", opens=time(8, 30), holidays=[date(2026, 4, 3), date(2026, 4, 6), date(2026, 5, 1)])
NIGHT = business_calendar("America/New_York", weekdays=range(7), opens=time(0), closes=time(0))
CALENDARS = st.sampled_from(
    [
        DEFAULT,
        BERLIN,
        NIGHT,
        business_calendar("Asia/Kolkata", weekdays=[6], opens=time(2, 15), closes=time(3, 5), holidays=[date(2026, 3, 29)]),
    ]
)
MOMENTS = st.datetimes(local("2026-01-01T00:00"), local("2026-12-31T00:00"), timezones=st.just(UTC))
SPANS = st.timedeltas(timedelta(0), timedelta(hours=60))


@settings(deadline=None)
@given(CALENDARS, MOMENTS, SPANS)
@example(NIGHT, utc("2026-10-31T22:00"), timedelta(hours=30))
def test_what_is_added_lies_between(calendar: BusinessCalendar, at: datetime, amount: timedelta) -> None:
    assert calendar.between(at, calendar.add(at, amount)) == amount


@settings(deadline=None)
@given(CALENDARS, MOMENTS, SPANS, SPANS, SPANS)
def test_adding_is_monotone_in_time_and_in_amount(
    calendar: BusinessCalendar, at: datetime, later: timedelta, amount: timedelta, more: timedelta
) -> None:
    assert at <= calendar.add(at, amount) <= calendar.add(at, amount + more)
    assert calendar.add(at, amount) <= calendar.add(at + later, amount)


@settings(deadline=None)
@given(CALENDARS, MOMENTS, SPANS, SPANS)
def test_adding_twice_is_adding_the_sum(calendar: BusinessCalendar, at: datetime, first: timedelta, second: timedelta) -> None:
    assert calendar.add(calendar.add(at, first), second) == calendar.add(at, first + second)


@settings(max_examples=25, deadline=None)
@given(CALENDARS, MOMENTS, st.integers(0, 6000))
def test_business_time_is_the_minutes_that_are_open(calendar: BusinessCalendar, at: datetime, minutes: int) -> None:
    at = at.replace(second=0, microsecond=0)
    opened = sum(calendar.is_open(at + i * MINUTE) for i in range(minutes))
    assert calendar.between(at, at + minutes * MINUTE) == opened * MINUTE
    assert calendar.between(at + minutes * MINUTE, at) == -opened * MINUTE


@settings(deadline=None)
@given(CALENDARS, MOMENTS, SPANS, st.integers(0, 20))
def test_business_days_are_monotone_and_end_within_hours(
    calendar: BusinessCalendar, at: datetime, later: timedelta, days: int
) -> None:
    due = calendar.business_days(at, days)
    assert at <= due <= calendar.business_days(at, days + 1)
    assert due <= calendar.business_days(at + later, days)
    assert days == 0 or calendar.is_open(due)


@pytest.mark.parametrize(
    ("at", "days", "due"),
    [
        ("2026-04-01T09:00", 0, "2026-04-01T09:00"),
        ("2026-04-01T09:00", 1, "2026-04-02T09:00"),
        ("2026-04-01T09:00", 2, "2026-04-07T09:00"),  # over Good Friday, the weekend and Easter Monday
        ("2026-04-04T12:00", 1, "2026-04-08T06:30"),  # from Saturday: counts from Tuesday 08:30
        ("2026-04-01T20:00", 1, "2026-04-07T06:30"),  # after hours: counts from Thursday
        ("2026-03-27T09:00", 1, "2026-03-30T08:00"),  # 10:00 stays 10:00 when the clock changes
    ],
)
def test_business_days_by_hand(at: str, days: int, due: str) -> None:
    assert BERLIN.business_days(utc(at), days) == utc(due)


def test_business_hours_by_hand() -> None:
    friday = utc("2026-04-10T16:00")
    assert DEFAULT.add(friday, HOUR) == utc("2026-04-10T17:00")
    assert DEFAULT.add(friday, 2 * HOUR) == utc("2026-04-13T10:00")
    assert DEFAULT.is_open(friday)
    assert not DEFAULT.is_open(utc("2026-04-10T17:00"))
    assert not DEFAULT.is_open(utc("2026-04-11T12:00"))
    night = ZoneInfo("America/New_York")
    assert NIGHT.between(datetime(2026, 3, 8, tzinfo=night), datetime(2026, 3, 9, tzinfo=night)) == 23 * HOUR
    assert NIGHT.between(datetime(2026, 11, 1, tzinfo=night), datetime(2026, 11, 2, tzinfo=night)) == 25 * HOUR


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"timezone": "Mars/Olympus"}, "there is no time zone"),
        ({"weekdays": []}, "at least one weekday"),
        ({"weekdays": [1, 7]}, "from 0 (Monday) to 6"),
        ({"opens": time(17), "closes": time(9)}, "business hours from 17:00 to 09:00 are none"),
        ({"opens": time(9), "closes": time(9)}, "are none"),
        ({"opens": time(9, tzinfo=UTC)}, "local times without an offset"),
        ({"holidays": [utc("2026-05-01T00:00")]}, "dates without a time of day"),
        ({"holidays": [date(1990, 1, 1) + i * DAY for i in range(10_001)]}, "at most 10000"),
    ],
)
def test_a_calendar_without_sense_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(CalendarError) as refused:
        business_calendar(**change)  # type: ignore[arg-type]
    assert message in str(refused.value)


def test_business_time_is_bounded() -> None:
    for amount in (-HOUR, timedelta(days=4000)):
        with pytest.raises(CalendarError, match="give between nothing and"):
            DEFAULT.add(utc("2026-01-01T00:00"), amount)
    for days in (-1, 4000):
        with pytest.raises(CalendarError, match="give from 0 to"):
            DEFAULT.business_days(utc("2026-01-01T00:00"), days)


@pytest.mark.parametrize(
    ("text", "expected", "due"),
    [
        ("3 business days", Duration(3, "day", business=True), "2026-04-15T12:00"),
        ("16 business hours", Duration(16, "hour", business=True), "2026-04-14T12:00"),
        ("90 business minutes", Duration(90, "minute", business=True), "2026-04-10T13:30"),
        ("2 days", Duration(2, "day", business=False), "2026-04-12T12:00"),
        (" 1 Day ", Duration(1, "day", business=False), "2026-04-11T12:00"),
        ("36 hours", Duration(36, "hour", business=False), "2026-04-12T00:00"),
        ("2 weeks", Duration(2, "week", business=False), "2026-04-24T12:00"),
    ],
)
def test_durations_as_people_write_them(text: str, expected: Duration, due: str) -> None:
    duration = parse_duration(text)
    assert duration == expected
    assert duration.after(utc("2026-04-10T12:00"), DEFAULT) == utc(due)
    assert parse_duration(str(duration)) == duration


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is no duration"),
        ("soon", "write it as in 3 business days"),
        ("3", "is no duration"),
        ("three days", "is no duration"),
        ("-1 days", "is no duration"),
        ("1.5 days", "is no duration"),
        ("٣ days", "is no duration"),
        ("3 days 4 hours", "is no duration"),
        ("2 business weeks", "say how many business days"),
        ("0 days", "more than nothing"),
        ("4000 days", "at most 3660 days"),
        ("999999999 weeks", "at most 3660 days"),
    ],
)
def test_what_is_no_duration_is_refused(text: str, message: str) -> None:
    with pytest.raises(CalendarError) as refused:
        parse_duration(text)
    assert message in str(refused.value)
