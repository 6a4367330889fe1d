"""What the pages of freezes, business calendars, emergencies and re-reviews show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.urls import reverse

from interfaces.web.pages import words
from interfaces.web.pages.risk import Tab
from interfaces.web.pages.timeline import Entry
from interfaces.web.pages.words import Status
from workflows.queries.grandfathered import GrandfatheredRow
from workflows.queries.operations import CalendarRow, EmergencyRow, FreezeRow, ReReviewRow

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def tabs(current: str, *, reads_policies: bool) -> tuple[Tab, ...]:
    """Return the tabs of operations."""
    places = [("Re-reviews", "web:re-reviews"), ("Grandfathered", "web:grandfathered"), ("Emergencies", "web:emergencies")]
    if reads_policies:
        places += [("Freezes", "web:freezes"), ("Business calendars", "web:calendars")]
    return tuple(Tab(title, reverse(name), name == f"web:{current}") for title, name in places)


@dataclass(frozen=True)
class FreezeLine:
    """A freeze in the list. covers: which models and places it holds. upcoming: when it begins next."""

    row: FreezeRow
    status: Status
    covers: str
    rhythm: str
    upcoming: tuple[datetime, ...]


def freeze_line(row: FreezeRow) -> FreezeLine:
    """Return a freeze as the list shows it."""
    status = Status("warn", "In force") if row.in_force else Status("wait", "To come" if row.upcoming else "Over")
    places = [*row.stages, *(f"@{alias}" for alias in row.aliases)]
    parts = [f"models {words.listed(row.models)}" if row.models else "every model"]
    parts.append(f"of tier {words.listed(row.risk_tiers)}" if row.risk_tiers else "")
    parts.append(f"on the way to {words.listed(places)}" if places else "on the way to any place")
    begins = row.starts.replace("T", " ")[:16]
    lasts = words.duration(timedelta(minutes=row.duration_minutes))
    repeats = f", again by {row.rrule}" if row.rrule else ", once"
    return FreezeLine(
        row,
        status,
        " ".join(filter(None, parts)),
        f"From {begins} in {row.zone} for {lasts}{repeats}",
        tuple(opening.begins for opening in row.upcoming),
    )


@dataclass(frozen=True)
class CalendarLine:
    row: CalendarRow
    days: str
    hours: str


def calendar_line(row: CalendarRow) -> CalendarLine:
    """Return a business calendar as the list shows it."""
    closes = "midnight" if row.closes == "00:00" else row.closes
    return CalendarLine(row, ", ".join(_DAYS[number] for number in row.weekdays), f"{row.opens} to {closes}, {row.zone}")


@dataclass(frozen=True)
class EmergencyLine:
    """An emergency in the list."""

    row: EmergencyRow
    status: Status
    place: str
    left: str


def emergency_line(row: EmergencyRow, now: datetime) -> EmergencyLine:
    """Return an emergency as lists and its page show it. left: of its time, while it is in force."""
    left = words.duration(row.ends_at - now) if row.state == "in_force" and row.ends_at and row.ends_at > now else ""
    return EmergencyLine(row, words.emergency(row.state), words.target(row.target_kind, row.target), left)


def life(row: EmergencyRow, me: str) -> tuple[Entry, ...]:
    """Return what became of an emergency, oldest first."""

    def entry(who: str, what: str, said: str, at: datetime, tone: str, icon: str) -> Entry:
        if not who:
            return Entry("", "", False, what, said, at, tone, icon)
        return Entry("You" if who == me else who, words.initials(who), who == me, what, said, at, tone, icon)

    entries = [entry(row.requested_by, "asked for it", row.reason, row.requested_at, "", "ask")]
    if row.confirmed_at is not None:
        before = f"; v{row.displaced} stood there" if row.displaced else "; nothing stood there"
        entries.append(entry(row.confirmed_by, f"confirmed it, and it took place{before}", "", row.confirmed_at, "warn", "warn"))
    if row.reverted_at is not None:
        entries.append(entry("", "It ended", row.outcome, row.reverted_at, "pass", "pass"))
    if row.reviewed_at is not None:
        entries.append(entry(row.reviewed_by, "looked at it and closed it", row.review_note, row.reviewed_at, "pass", "pass"))
    return tuple(entries)


@dataclass(frozen=True)
class ReReviewLine:
    """A re-review in the list."""

    row: ReReviewRow
    place: str
    cause: str
    status: Status
    due: str
    pressing: str


def re_review_lines(rows: Sequence[ReReviewRow], now: datetime) -> tuple[ReReviewLine, ...]:
    """Return re-reviews as the list shows them."""
    found = []
    for row in rows:
        due, pressing = words.due(row.due_at, now) if row.closed_at is None else (words.day(row.due_at), "")
        status = Status("pass", "Done") if row.closed_at else Status("fail", "Overdue") if row.overdue else Status("wait", "Open")
        found.append(ReReviewLine(row, words.target(row.target_kind, row.target), words.cause(row.cause), status, due, pressing))
    return tuple(found)


@dataclass(frozen=True)
class GrandfatheredLine:
    """A version in the list of what holds a governed place without a decision of ours."""

    row: GrandfatheredRow
    place: str
    status: Status
    policies: str


def grandfathered_lines(rows: Sequence[GrandfatheredRow]) -> tuple[GrandfatheredLine, ...]:
    """Return what was grandfathered as the list shows it."""
    return tuple(
        GrandfatheredLine(row, words.target(row.target_kind, row.target), _standing(row), words.listed(row.policies))
        for row in rows
    )


def _standing(row: GrandfatheredRow) -> Status:
    if row.open:
        return Status("warn", "Not decided on")
    return Status("pass", "Decided on") if row.request else Status("wait", "Left the place")
