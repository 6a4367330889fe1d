"""Freeze and release windows as recurrence rules, and business time: pure, the moment always comes in as `at`.

A window is written in local time with a zone's name and repeats by an RRULE (RFC 5545, section 3.3.10). The rule is expanded in local
time and each opening is then placed in its zone, so 09:00 stays 09:00 all year. Around changes of the clock, as RFC 5545 says:

- a local time that does not exist (the clock jumped over it) moves forward by the length of the jump, the whole opening with it;
- a local time that exists twice means the first of the two;
- a window closes by the clock on the wall, too: Friday 18:00 for 60 hours ends on Monday at 06:00, and daily openings of 24 hours leave
  no gap in the night in which the clock goes back.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from difflib import get_close_matches
from functools import lru_cache
from itertools import islice
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from dateutil import rrule as recurrence  # type: ignore[import-untyped]

LONGEST = timedelta(days=366)  # that one opening may last
COVER_BOUND = timedelta(days=400)  # beyond which a chain of openings counts as without end
HORIZON = timedelta(days=60 * 366)  # in which a rule must open, and exhaust its COUNT
MOST_OPENINGS = 1000  # for COUNT
LONGEST_WAIT = timedelta(days=3660)  # for durations and business time

_SKEW = timedelta(days=2)  # more than any change of the clock moved a local time so far (a day: Samoa, 2011)
_NEAR = timedelta(days=3)
_CYCLE_YEARS, _CYCLE = 400, timedelta(days=146_097)  # after which the Gregorian calendar repeats, weekdays included


class CalendarError(Exception):
    """A window, calendar or duration that makes no sense; the message says what to do."""


@dataclass(frozen=True)
class Window:
    """A time that opens once or again and again. Make one with `window`, which refuses what can never work.

    `starts` is the local time without zone at which the rule begins to count (an opening itself only if the rule says so), `rrule`
    the text of an RRULE or "" for a single opening.
    """

    starts: datetime
    duration: timedelta
    timezone: str
    rrule: str


@dataclass(frozen=True)
class Occurrence:
    """One opening of a window: from `begins` to just before `ends`, both aware and in UTC."""

    window: Window
    begins: datetime
    ends: datetime


def window(starts: datetime, duration: timedelta, timezone: str, rrule: str = "") -> Window:
    """Return a window that is known to open. Raises CalendarError saying what to change."""
    if starts.tzinfo is not None:
        raise CalendarError("give the beginning as local time without an offset; the zone is named beside it")
    if starts.microsecond:
        raise CalendarError(f"the beginning {starts.isoformat()} has fractions of a second; leave them out")
    if not 1970 <= starts.year <= 2200:
        raise CalendarError(f"the beginning {starts:%Y-%m-%d} is out of range; give a year from 1970 to 2200")
    if duration <= timedelta(0):
        raise CalendarError("the duration must be longer than nothing; give for example 2 days")
    if duration > LONGEST:
        raise CalendarError(
            f"the duration is {duration.days} days; at most {LONGEST.days}. Let the window repeat by a rule instead"
        )
    text = rrule.strip().upper().removeprefix("RRULE:")
    made = Window(starts.replace(fold=0), duration, timezone, text)
    if next(_occurrences(made, made.starts, made.starts + HORIZON), None) is None:
        raise CalendarError(
            f"the rule {text} never opens within {HORIZON.days // 366} years of {starts.isoformat(' ', 'minutes')}; "
            "move UNTIL, or correct the parts that contradict each other"
        )
    return made


def covering(windows: Sequence[Window], at: datetime) -> Occurrence | None:
    """Return the opening in force at a moment, of several the one that ends last."""
    found = [occurrence for each in windows if (occurrence := _covering(each, _utc(at))) is not None]
    return max(found, key=lambda occurrence: occurrence.ends, default=None)


def ends_of_cover(windows: Sequence[Window], at: datetime) -> datetime | None:
    """Return when no window is open any more, across openings that overlap or follow at once; None if not within COVER_BOUND.

    The answer is `at` itself if nothing is open then.
    """
    at = _utc(at)
    current = covering(windows, at)
    if current is None:
        return at
    for horizon in (at + COVER_BOUND / 100, at + COVER_BOUND / 10, at + COVER_BOUND):
        reach = current.ends
        for occurrence in _opening_between(windows, at, horizon):
            if occurrence.begins > reach:
                break
            reach = max(reach, occurrence.ends)
        if reach <= horizon:
            return reach
    return None


def next_opening(windows: Sequence[Window], at: datetime) -> datetime | None:
    """Return when a window opens next, `at` included; None if none ever does again. An opening in force already does not count."""
    found = [begins for each in windows if (begins := _next(each, _utc(at))) is not None]
    return min(found, default=None)


def _covering(one: Window, at: datetime) -> Occurrence | None:
    local = _local(at, one)
    tried = {
        min(_NEAR, one.duration),
        one.duration,
    }  # the latest opening decides nearly always, so a short way back is tried first
    for back in sorted(tried):
        nearby = _occurrences(one, local - back - _SKEW, local + _SKEW)
        if found := [occurrence for occurrence in nearby if occurrence.begins <= at < occurrence.ends]:
            return max(found, key=lambda occurrence: occurrence.ends)
    return None


def _opening_between(windows: Iterable[Window], since: datetime, until: datetime) -> list[Occurrence]:
    found = (o for each in windows for o in _occurrences(each, _local(since, each) - _SKEW, _local(until, each) + _SKEW))
    return sorted((o for o in found if since <= o.begins <= until), key=lambda occurrence: occurrence.begins)


def _next(one: Window, at: datetime) -> datetime | None:
    local, best = _local(at, one), None
    for occurrence in _occurrences(one, local - _SKEW, local + HORIZON):
        if best is not None and occurrence.begins > best + _SKEW:
            break
        if occurrence.begins >= at:
            best = min(best or occurrence.begins, occurrence.begins)
    return best


def _occurrences(one: Window, low: datetime, high: datetime) -> Iterator[Occurrence]:
    """Yield the openings that begin in a range of local times, in its order."""
    zone, rule = _zone(one.timezone), _rule(one)
    if rule.until is not None:
        high = min(high, _local(rule.until, one) + _SKEW)
    for local in _starts(rule, low, high):
        begins = _instant(local, zone)
        if rule.until is not None and begins > rule.until:
            continue
        moved = begins.astimezone(zone).replace(tzinfo=None)  # later than `local` if that time does not exist
        yield Occurrence(one, begins, _instant(moved + one.duration, zone))


_FREQUENCIES = {
    "YEARLY": recurrence.YEARLY,
    "MONTHLY": recurrence.MONTHLY,
    "WEEKLY": recurrence.WEEKLY,
    "DAILY": recurrence.DAILY,
    "HOURLY": recurrence.HOURLY,
}
_DAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
_RANGES = {  # least and most; below zero counts from the end
    "INTERVAL": (1, 1000),
    "COUNT": (1, MOST_OPENINGS),
    "BYMONTH": (1, 12),
    "BYMONTHDAY": (-31, 31),
    "BYYEARDAY": (-366, 366),
    "BYSETPOS": (-366, 366),
    "BYHOUR": (0, 23),
    "BYMINUTE": (0, 59),
    "BYSECOND": (0, 59),
}
_SINGLE = ("INTERVAL", "COUNT", "BYMINUTE", "BYSECOND")
_ONLY_WITH = {  # RFC 5545, section 3.3.10
    "BYMONTHDAY": ("YEARLY", "MONTHLY", "DAILY", "HOURLY"),
    "BYYEARDAY": ("YEARLY",),
    "BYSETPOS": ("YEARLY", "MONTHLY", "WEEKLY", "DAILY"),
}
_PARTS = ("FREQ", "UNTIL", "WKST", "BYDAY", *_RANGES)
_UNTIL = re.compile(r"(\d{8})(?:T(\d{6})(Z?))?", re.ASCII)
_DAY = re.compile(r"([+-]?\d{1,2})?(MO|TU|WE|TH|FR|SA|SU)", re.ASCII)


@dataclass(frozen=True)
class _Rule:
    """A rule taken apart. `begins` and `last` are local, `until` is aware; no frequency means a single opening."""

    begins: datetime
    frequency: str = ""
    interval: int = 1
    week_start: int = 0
    until: datetime | None = None
    last: datetime | None = None
    parts: dict[str, Any] = field(default_factory=dict)  # as dateutil names them


def _starts(rule: _Rule, low: datetime, high: datetime) -> Iterator[datetime]:
    """Yield the local times in [low, high) at which the rule opens, at a cost that does not grow with the rule's age.

    dateutil starts counting at `dtstart` and looks for the next opening until the year 9999. So it is given a beginning just before
    `low`, in step with the interval, and the years moved by whole cycles of the calendar to near that end.
    """
    low = max(low, rule.begins)
    if not rule.frequency:
        if low <= rule.begins < high:
            yield rule.begins
        return
    if low >= high:
        return
    start = _period(rule, low)
    moved = _CYCLE * max(0, (9999 - HORIZON.days // 365 - start.year) // _CYCLE_YEARS)
    openings = iter(_expanded(rule, start + moved))
    while True:
        try:
            local = next(openings) - moved
        except (StopIteration, ValueError, OverflowError):  # the last two are dateutil stepping over the year 9999
            return
        if local >= high or (rule.last is not None and local > rule.last):
            return
        if local >= low:
            yield local


def _period(rule: _Rule, low: datetime) -> datetime:
    """Return the beginning of the last period (year, month, week, day, hour) of the rule's own that begins no later than `low`."""
    begins, step = rule.begins, rule.interval
    midnight = begins.replace(hour=0, minute=0, second=0)
    if rule.frequency == "YEARLY":
        return midnight.replace(year=begins.year + (low.year - begins.year) // step * step, month=1, day=1)
    if rule.frequency == "MONTHLY":
        months = (low.year - begins.year) * 12 + low.month - begins.month
        year, month = divmod(begins.year * 12 + begins.month - 1 + months // step * step, 12)
        return midnight.replace(year=year, month=month + 1, day=1)
    if rule.frequency == "WEEKLY":
        first, unit = midnight - timedelta(days=(begins.weekday() - rule.week_start) % 7), timedelta(weeks=step)
    elif rule.frequency == "DAILY":
        first, unit = midnight, timedelta(days=step)
    else:
        first, unit = begins.replace(minute=0, second=0), timedelta(hours=step)
    return first + (low - first) // unit * unit


def _expanded(rule: _Rule, dtstart: datetime) -> Iterable[datetime]:
    days: Iterable[datetime] = recurrence.rrule(
        _FREQUENCIES[rule.frequency], dtstart=dtstart, interval=rule.interval, wkst=rule.week_start, **rule.parts
    )
    return days


@lru_cache(maxsize=4096)
def _rule(one: Window) -> _Rule:
    """Return a window's rule taken apart. Raises CalendarError for what RFC 5545 or a window does not allow."""
    if not one.rrule:
        return _Rule(one.starts)
    given = _parts(one.rrule)
    frequency = given.pop("FREQ", "")
    if frequency in ("MINUTELY", "SECONDLY"):
        raise CalendarError(f"FREQ={frequency} is too fine for a window; use HOURLY or coarser, with a longer duration")
    if frequency not in _FREQUENCIES:
        raise CalendarError(f"the rule {one.rrule} needs FREQ={', '.join(_FREQUENCIES)}: one of them, as in FREQ=WEEKLY;BYDAY=FR")
    for name, allowed in _ONLY_WITH.items():
        if name in given and frequency not in allowed:
            raise CalendarError(f"{name} does not go with FREQ={frequency}; it goes with {', '.join(allowed)}")
    if "BYSETPOS" in given and not any(name.startswith("BY") and name != "BYSETPOS" for name in given):
        raise CalendarError("BYSETPOS chooses among what another part lists; add for example BYDAY=MO,TU,WE,TH,FR")
    if "COUNT" in given and "UNTIL" in given:
        raise CalendarError("a rule ends by COUNT or by UNTIL; remove one of them")
    numbers = {name: _numbers(name, text) for name, text in given.items() if name in _RANGES}
    count = numbers.pop("COUNT", [0])[0]
    rule = _Rule(
        begins=one.starts,
        frequency=frequency,
        interval=numbers.pop("INTERVAL", [1])[0],
        week_start=_week_start(given.get("WKST", "MO")),
        until=_until(given["UNTIL"], one) if "UNTIL" in given else None,
        parts=_with_defaults({n.lower(): v for n, v in numbers.items()} | _by_day(given, frequency), frequency, one.starts),
    )
    try:
        _expanded(rule, one.starts)
    except ValueError:  # dateutil sees hours that the interval steps over
        raise CalendarError(f"the rule {one.rrule} never opens: INTERVAL steps over every BYHOUR; change one of them") from None
    return _counted(rule, count) if count else rule


def _parts(text: str) -> dict[str, str]:
    """Return a rule's parts by name."""
    parts: dict[str, str] = {}
    for part in text.split(";"):
        name, equals, value = part.partition("=")
        if not equals or not value:
            raise CalendarError(
                f"{part!r} is no part of a rule; expected NAME=value parted by semicolons, as in FREQ=WEEKLY;BYDAY=FR"
            )
        if name == "BYWEEKNO":
            raise CalendarError(
                "BYWEEKNO is not supported, since week numbers differ at the turn of a year; use BYMONTH or BYYEARDAY"
            )
        if name not in _PARTS:
            raise CalendarError(f"there is no part {name} of a rule; expected one of {', '.join(_PARTS)}")
        if name in parts:
            raise CalendarError(f"{name} stands in the rule twice; keep one")
        parts[name] = value
    return parts


def _numbers(name: str, text: str) -> list[int]:
    least, most = _RANGES[name]
    said = f"from {least} to {most}" if least >= 0 else f"from 1 to {most}, or below zero to count from the end"
    numbers = []
    for item in text.split(","):
        if not re.fullmatch(r"[+-]?[0-9]{1,4}", item) or not least <= int(item) <= most or (int(item) == 0 and least < 0):
            raise CalendarError(f"{name}={text} is out of range; give {said}")
        numbers.append(int(item))
    if name in _SINGLE and len(numbers) > 1:
        raise CalendarError(f"{name}={text} names several; give one, since a window opens at most once an hour")
    return numbers


def _week_start(text: str) -> int:
    if text not in _DAYS:
        raise CalendarError(f"WKST={text} is no day; give one of {', '.join(_DAYS)}")
    return _DAYS.index(text)


def _by_day(given: dict[str, str], frequency: str) -> dict[str, Any]:
    if "BYDAY" not in given:
        return {}
    text, days = given["BYDAY"], []
    for item in text.split(","):
        match = _DAY.fullmatch(item)
        if match is None or (match[1] and not 1 <= abs(int(match[1])) <= (5 if frequency == "MONTHLY" else 53)):
            raise CalendarError(f"BYDAY={text} is not understood at {item!r}; give days as in MO,FR or, in a month, 1MO,-1FR")
        days.append((int(match[1]) if match[1] else None, _DAYS.index(match[2])))
    numbered = {number is not None for number, _ in days}
    if True in numbered and frequency not in ("MONTHLY", "YEARLY"):
        raise CalendarError(f"BYDAY={text} counts days, which goes with FREQ=MONTHLY or YEARLY only; leave the numbers out")
    if len(numbered) > 1:
        raise CalendarError(f"BYDAY={text} mixes days with and without a number; make two windows of it")
    return {"byweekday": [recurrence.weekday(day, number) for number, day in days]}


def _with_defaults(parts: dict[str, Any], frequency: str, starts: datetime) -> dict[str, Any]:
    """Return a rule's parts with what it leaves open taken from its beginning, since it is expanded from another one."""
    parts = {"byminute": [starts.minute], "bysecond": [starts.second]} | parts
    if frequency != "HOURLY":
        parts = {"byhour": [starts.hour]} | parts
    if not parts.keys() & {"byyearday", "bymonthday", "byweekday"}:
        if frequency == "YEARLY":
            parts = {"bymonth": [starts.month]} | parts
        if frequency in ("YEARLY", "MONTHLY"):
            parts["bymonthday"] = [starts.day]
        if frequency == "WEEKLY":
            parts["byweekday"] = [starts.weekday()]
    return parts


def _until(text: str, one: Window) -> datetime:
    """Return the last moment at which a rule may open: in UTC if it says Z, else local; a date alone includes that day."""
    match = _UNTIL.fullmatch(text)
    try:
        if match is None:
            raise ValueError(text)
        local = datetime.fromisoformat(f"{match[1]}T{match[2] or '235959'}")
    except ValueError:
        raise CalendarError(f"UNTIL={text} is no time; write it as in UNTIL=20261231 or UNTIL=20261231T235959Z") from None
    if not 1970 <= local.year <= 9000:
        raise CalendarError(f"UNTIL={text} is out of range; give a year from 1970, or leave UNTIL out for a rule without end")
    return local.replace(tzinfo=UTC) if match[3] else _instant(local, _zone(one.timezone))


def _counted(rule: _Rule, count: int) -> _Rule:
    """Return the rule ended after so many openings."""
    openings = list(islice(_starts(rule, rule.begins, rule.begins + HORIZON), count))
    if 0 < len(openings) < count:
        raise CalendarError(f"COUNT={count} is not reached within {HORIZON.days // 366} years; end the rule by UNTIL")
    return _Rule(rule.begins, rule.frequency, rule.interval, rule.week_start, None, max(openings, default=None), rule.parts)


@lru_cache(maxsize=1024)
def _zone(name: str) -> ZoneInfo:
    try:
        if name == "localtime":  # a link in some systems' database, different on every machine
            raise ValueError(name)
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        near = get_close_matches(name, sorted(available_timezones()), n=1)
        raise CalendarError(
            f"there is no time zone {name!r}; "
            + (f"did you mean {near[0]}?" if near else "give an IANA name such as Europe/Berlin")
        ) from None


def _instant(local: datetime, zone: ZoneInfo) -> datetime:
    """Return a local time as UTC: the first of two, and moved forward if it does not exist (PEP 495 with fold=0)."""
    return local.replace(tzinfo=zone, fold=0).astimezone(UTC)


def _local(at: datetime, one: Window) -> datetime:
    return at.astimezone(_zone(one.timezone)).replace(tzinfo=None)


def _utc(at: datetime) -> datetime:
    """Return a moment in UTC, since Python compares times of one zone by the clock on the wall."""
    if at.tzinfo is None:
        raise ValueError("`at` has no time zone; pass an aware time")
    return at.astimezone(UTC)


@dataclass(frozen=True)
class BusinessCalendar:
    """The hours in which people work. Make one with `business_calendar`, which checks the values.

    Hours begin with `opens` and end just before `closes`, in local time; 00:00 as the end means midnight. Answers are in UTC.
    """

    timezone: str
    weekdays: frozenset[int]  # 0 is Monday
    opens: time
    closes: time
    holidays: frozenset[date]

    def is_open(self, at: datetime) -> bool:
        """Tell whether a moment lies within business hours."""
        at = _utc(at)
        hours = self._hours(at.astimezone(_zone(self.timezone)).date())
        return hours is not None and hours[0] <= at < hours[1]

    def add(self, at: datetime, amount: timedelta) -> datetime:
        """Return the moment by which so much business time has passed; nothing added is `at` itself."""
        if not timedelta(0) <= amount <= LONGEST_WAIT:
            raise CalendarError(f"cannot add {amount} of business time; give between nothing and {LONGEST_WAIT.days} days")
        at, left = _utc(at), amount
        if not left:
            return at
        for begins, ends in self._open_since(at):
            if begins + left <= ends:
                return begins + left
            left -= ends - begins
        raise AssertionError("business hours never end")

    def business_days(self, at: datetime, days: int) -> datetime:
        """Return the same time of day so many business days later; outside business hours the count begins when they next begin."""
        if not 0 <= days <= LONGEST_WAIT.days:
            raise CalendarError(f"cannot add {days} business days; give from 0 to {LONGEST_WAIT.days}")
        at = _utc(at)
        if not days:
            return at
        zone = _zone(self.timezone)
        first = next(self._open_since(at))[0].astimezone(zone)
        begins, ends = next(islice(self._open_since(first), days, None))
        wanted = _instant(datetime.combine(begins.astimezone(zone).date(), first.time()), zone)
        return min(max(wanted, begins), ends)

    def between(self, a: datetime, b: datetime) -> timedelta:
        """Return the business time from one moment to another; negative if the second comes first."""
        a, b = _utc(a), _utc(b)
        if b < a:
            return -self.between(b, a)
        total = timedelta(0)
        for begins, ends in self._open_since(a):
            if begins >= b:
                break
            total += min(ends, b) - begins
        return total

    def _open_since(self, at: datetime) -> Iterator[tuple[datetime, datetime]]:
        """Yield business hours from a moment on, the first cut off at it."""
        at = _utc(at)
        day = at.astimezone(_zone(self.timezone)).date()
        while True:
            if (hours := self._hours(day)) is not None and hours[1] > at:
                yield max(hours[0], at), hours[1]
            day += timedelta(days=1)

    def _hours(self, day: date) -> tuple[datetime, datetime] | None:
        if day.weekday() not in self.weekdays or day in self.holidays:
            return None
        zone = _zone(self.timezone)
        closing_day = day if self.closes != time(0) else day + timedelta(days=1)
        begins, ends = (
            _instant(datetime.combine(day, self.opens), zone),
            _instant(datetime.combine(closing_day, self.closes), zone),
        )
        return (begins, ends) if begins < ends else None  # a change of the clock may leave nothing of short hours


def business_calendar(
    timezone: str = "UTC",
    weekdays: Iterable[int] = (0, 1, 2, 3, 4),
    opens: time = time(9),
    closes: time = time(17),
    holidays: Iterable[date] = (),
) -> BusinessCalendar:
    """Return a calendar of business hours. Raises CalendarError saying what to change."""
    _zone(timezone)
    days, free = frozenset(weekdays), frozenset(holidays)
    if not days or not days <= set(range(7)):
        raise CalendarError("give at least one weekday, as numbers from 0 (Monday) to 6 (Sunday)")
    if opens.tzinfo is not None or closes.tzinfo is not None:
        raise CalendarError("give business hours as local times without an offset; the zone is named beside them")
    if closes != time(0) and opens >= closes:
        raise CalendarError(
            f"business hours from {opens:%H:%M} to {closes:%H:%M} are none; let them end later on the same day, or at 00:00 for midnight"
        )
    if len(free) > 10_000:
        raise CalendarError(f"there are {len(free)} holidays; at most 10000")
    if any(isinstance(day, datetime) for day in free):
        raise CalendarError("give holidays as dates without a time of day")
    return BusinessCalendar(timezone, days, opens, closes, free)


DEFAULT = business_calendar()  # UTC, Monday to Friday, 09:00 to 17:00, no holidays

_UNITS = {"minute": timedelta(minutes=1), "hour": timedelta(hours=1), "day": timedelta(days=1), "week": timedelta(weeks=1)}
_DURATION = re.compile(r"([0-9]{1,9}) +(business +)?(minute|hour|day|week)s?", re.ASCII)


@dataclass(frozen=True)
class Duration:
    """So many minutes, hours, days or weeks, of business time or of any. A day of any time is 24 hours."""

    amount: int
    unit: str  # minute | hour | day | week
    business: bool

    def after(self, at: datetime, calendar: BusinessCalendar) -> datetime:
        """Return the moment, in UTC, at which this has passed since `at`."""
        if self.business and self.unit == "day":
            return calendar.business_days(at, self.amount)
        if self.business:
            return calendar.add(at, self.amount * _UNITS[self.unit])
        return _utc(at) + self.amount * _UNITS[self.unit]

    def __str__(self) -> str:
        return f"{self.amount} {'business ' if self.business else ''}{self.unit}{'' if self.amount == 1 else 's'}"


def parse_duration(text: str) -> Duration:
    """Return a duration as people write it, such as "3 business days" or "36 hours". Raises CalendarError."""
    match = _DURATION.fullmatch(text.strip().lower())
    if match is None:
        raise CalendarError(f"{text!r} is no duration; write it as in 3 business days, 16 business hours, 2 days or 36 hours")
    amount, business, unit = int(match[1]), bool(match[2]), match[3]
    if business and unit == "week":
        raise CalendarError(f"{text!r}: there are no business weeks; say how many business days")
    if not 0 < amount <= LONGEST_WAIT // _UNITS[unit]:
        raise CalendarError(f"{text!r} is out of range; give more than nothing and at most {LONGEST_WAIT.days} days")
    return Duration(amount, unit, business)
