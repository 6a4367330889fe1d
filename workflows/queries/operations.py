"""Freezes, business calendars, emergencies and re-reviews, as the actor may see them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import QuerySet
from django.utils import timezone

from core import access
from core.access import Actor, Permission
from core.errors import NotFound
from governance.calendars import Window, covering, ends_of_cover, next_opening
from workflows.calendars import freeze_window
from workflows.models import BreakGlass, BreakGlassState, BusinessCalendarRow, FreezeWindow, ReReview

# An emergency is on everybody's mind while its version stands in its place, and until somebody looked at what was done.
UNSETTLED = (BreakGlassState.IN_FORCE, BreakGlassState.REVERTED)

_SHOWN_AHEAD = 5  # openings of a freeze in a list
_AHEAD = timedelta(days=366)  # of a calendar feed
_MOST_AHEAD = 200  # openings of one freeze in a calendar feed


@dataclass(frozen=True)
class Opening:
    """One time in which a freeze is in force."""

    begins: datetime
    ends: datetime


@dataclass(frozen=True)
class FreezeRow:
    """A freeze as it was put in force. in_force: at this moment; until: when it ends, none if no end is in sight.

    upcoming: the next openings, without the one in force. starts: local time in ``zone``.
    """

    name: str
    reason: str
    starts: str
    duration_minutes: int
    zone: str
    rrule: str
    models: list[str]
    risk_tiers: list[str]
    stages: list[str]
    aliases: list[str]
    created_by: str
    valid_from: datetime
    in_force: bool
    until: datetime | None
    upcoming: list[Opening]


@dataclass(frozen=True)
class CalendarRow:
    """A business calendar in force. weekdays: 0 is Monday; opens, closes: local times; holidays: ISO dates."""

    name: str
    zone: str
    weekdays: list[int]
    opens: str
    closes: str
    holidays: list[str]
    published_by: str
    valid_from: datetime


@dataclass(frozen=True)
class EmergencyRow:
    """An emergency move: what was asked, who confirmed it, how it ended and what the review found.

    displaced: the number of the version that held the place before.
    """

    id: int
    model: str
    version: int
    target_kind: str
    target: str
    state: str
    reason: str
    incident: str
    minutes: int
    requested_by: str
    requested_at: datetime
    confirmed_by: str
    confirmed_at: datetime | None
    ends_at: datetime | None
    displaced: int | None
    from_stage: str
    reverted_at: datetime | None
    outcome: str
    reviewed_by: str
    reviewed_at: datetime | None
    review_note: str


@dataclass(frozen=True)
class ReReviewRow:
    """A review that is asked for again. opened_by is empty for the system, outcome while it is open."""

    id: int
    model: str
    version: int
    target_kind: str
    target: str
    cause: str
    detail: str
    opened_by: str
    opened_at: datetime
    due_at: datetime
    overdue: bool
    escalate_to: str
    closed_at: datetime | None
    closed_by_request: int | None
    outcome: str


def freezes(actor: Actor) -> QuerySet[FreezeWindow]:
    """Return the freezes that were not ended, by name. Raises Denied without the right to read policies."""
    access.require(actor, Permission.POLICY_READ)
    return FreezeWindow.objects.filter(valid_to__isnull=True).select_related("created_by").order_by("name", "pk")


def freeze_rows(rows: Iterable[FreezeWindow], at: datetime | None = None) -> list[FreezeRow]:
    """Return freezes for a list, as they stand at a moment."""
    return [_freeze_row(row, at or timezone.now()) for row in rows]


def openings(row: FreezeWindow, at: datetime) -> Iterator[Opening]:
    """Yield the times of a freeze from a moment on, the one in force first, for a year and at most 200."""
    window, count = freeze_window(row), 0
    current = covering([window], at)
    if current is not None:
        count += 1
        yield Opening(current.begins, current.ends)
    for opening in _after(window, at):
        count += 1
        if count > _MOST_AHEAD or opening.begins > at + _AHEAD:
            return
        yield opening


def calendars(actor: Actor) -> list[CalendarRow]:
    """Return the business calendars in force, by name. Raises Denied without the right to read policies."""
    access.require(actor, Permission.POLICY_READ)
    rows = BusinessCalendarRow.objects.filter(valid_to__isnull=True).select_related("created_by").order_by("name")
    return [calendar_row(row) for row in rows]


def calendar_row(row: BusinessCalendarRow) -> CalendarRow:
    """Return a business calendar for a list."""
    return CalendarRow(
        name=row.name,
        zone=row.zone,
        weekdays=row.weekdays,
        opens=row.opens.isoformat(timespec="minutes"),
        closes=row.closes.isoformat(timespec="minutes"),
        holidays=row.holidays,
        published_by=row.created_by.username if row.created_by else "",
        valid_from=row.valid_from,
    )


def emergencies(actor: Actor) -> list[EmergencyRow]:
    """Return the emergencies that are in force or not reviewed yet, for the banner of every page: one indexed statement."""
    rows = break_glass(actor).filter(state__in=UNSETTLED).order_by("state", "ends_at", "pk")
    return [emergency_row(row) for row in rows[:20]]


def break_glass(actor: Actor, *, model: str = "", state: str = "") -> QuerySet[BreakGlass]:
    """Return the emergencies of models that the actor may see, newest first, for lists that page."""
    rows = BreakGlass.objects.select_related("model", "version", "displaced", "requested_by", "confirmed_by", "reviewed_by")
    if model:
        rows = rows.filter(model__name=model)
    if state:
        rows = rows.filter(state=state)
    return access.visible(actor, rows.order_by("-requested_at", "-pk"), Permission.MODEL_READ, "model")


def emergency(actor: Actor, break_glass_id: int) -> EmergencyRow:
    """Return one emergency. Raises NotFound when absent or hidden."""
    row = break_glass(actor).filter(pk=break_glass_id).first()
    if row is None:
        raise NotFound(f"There is no emergency {break_glass_id}, or you may not see it.")
    return emergency_row(row)


def emergency_row(row: BreakGlass) -> EmergencyRow:
    """Return an emergency for a list; model, versions and people must be loaded."""
    return EmergencyRow(
        id=row.pk,
        model=row.model.name,
        version=row.version.number,
        target_kind=row.target_kind,
        target=row.target,
        state=row.state,
        reason=row.reason,
        incident=row.incident,
        minutes=row.minutes,
        requested_by=row.requested_by.username,
        requested_at=row.requested_at,
        confirmed_by=row.confirmed_by.username if row.confirmed_by else "",
        confirmed_at=row.confirmed_at,
        ends_at=row.ends_at,
        displaced=row.displaced.number if row.displaced else None,
        from_stage=row.from_stage,
        reverted_at=row.reverted_at,
        outcome=row.outcome,
        reviewed_by=row.reviewed_by.username if row.reviewed_by else "",
        reviewed_at=row.reviewed_at,
        review_note=row.review_note,
    )


def re_reviews(actor: Actor, *, model: str = "", cause: str = "", state: str = "") -> QuerySet[ReReview]:
    """Return the re-reviews of models that the actor may see, the ones due first at the top.

    state: ``open``, ``overdue`` or ``closed``; empty for all.
    """
    rows = ReReview.objects.select_related("model", "version", "opened_by").order_by("due_at", "pk")
    if model:
        rows = rows.filter(model__name=model)
    if cause:
        rows = rows.filter(cause=cause)
    if state:
        rows = rows.filter(closed_at__isnull=state != "closed")
    if state == "overdue":
        rows = rows.filter(due_at__lte=timezone.now())
    return access.visible(actor, rows, Permission.MODEL_READ, "model")


def re_review_rows(rows: Iterable[ReReview]) -> list[ReReviewRow]:
    """Return re-reviews for a list; model, version and who opened them must be loaded."""
    now = timezone.now()
    return [
        ReReviewRow(
            id=row.pk,
            model=row.model.name,
            version=row.version.number,
            target_kind=row.target_kind,
            target=row.target,
            cause=row.cause,
            detail=row.detail,
            opened_by=row.opened_by.username if row.opened_by else "",
            opened_at=row.opened_at,
            due_at=row.due_at,
            overdue=row.closed_at is None and row.due_at <= now,
            escalate_to=row.escalate_to,
            closed_at=row.closed_at,
            closed_by_request=row.closed_by_request_id,
            outcome=row.outcome,
        )
        for row in rows
    ]


def _freeze_row(row: FreezeWindow, at: datetime) -> FreezeRow:
    window = freeze_window(row)
    in_force = covering([window], at) is not None
    ahead = _after(window, at)
    return FreezeRow(
        name=row.name,
        reason=row.reason,
        starts=row.starts,
        duration_minutes=row.duration_minutes,
        zone=row.zone,
        rrule=row.rrule,
        models=row.models_matching,
        risk_tiers=row.risk_tiers,
        stages=row.stages,
        aliases=row.aliases,
        created_by=row.created_by.username if row.created_by else "",
        valid_from=row.valid_from,
        in_force=in_force,
        until=ends_of_cover([window], at) if in_force else None,
        upcoming=[opening for _, opening in zip(range(_SHOWN_AHEAD), ahead, strict=False)],
    )


def _after(window: Window, at: datetime) -> Iterator[Opening]:
    """Yield the openings that begin after a moment."""
    while (begins := next_opening([window], at + timedelta(microseconds=1))) is not None:
        found = covering([window], begins)
        yield Opening(begins, found.ends if found is not None else begins + window.duration)
        at = begins
