"""Put freeze windows in force, and publish the business calendars by which deadlines are counted."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from datetime import date, datetime, time, timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone

from core import access, audit
from core.access import Actor, Permission
from core.audit import Event
from core.errors import AlreadyExists, Conflict, Invalid, NotFound
from governance.calendars import BusinessCalendar, CalendarError, Window, business_calendar, covering, next_opening, window
from governance.schemas import NAME
from registry import names
from registry import stages as stage_graph
from registry.models import RiskTier
from workflows.models import BusinessCalendarRow, FreezeWindow

_MOST_NAMES = 100
_LONGEST_REASON = 300
_LONGEST_PATTERN = 256


@transaction.atomic
def create_freeze(
    *,
    actor: Actor,
    name: str,
    reason: str,
    starts: str,
    duration_minutes: int,
    zone: str,
    rrule: str = "",
    models: Sequence[str] = (),
    risk_tiers: Sequence[str] = (),
    stages: Sequence[str] = (),
    aliases: Sequence[str] = (),
) -> FreezeWindow:
    """Put a freeze in force: a time, perhaps recurring, in which approved requests wait.

    starts: local time such as 2026-12-20T00:00; rrule: as in RFC 5545, empty for a single time. models: shell patterns. Of
    models, risk tiers and targets an empty list means all; targets are all unless stages or aliases are given.
    Raises Denied without the right; AlreadyExists for a name in force; Invalid, saying what to change, for all else.
    """
    access.require(actor, Permission.CALENDAR_MANAGE)
    _require_name(name)
    if not reason.strip() or len(reason.strip()) > _LONGEST_REASON:
        raise Invalid(f"Say why, in at most {_LONGEST_REASON} characters: whoever waits is shown it.")
    opening = _window(starts, duration_minutes, zone, rrule)
    if covering([opening], timezone.now()) is None and next_opening([opening], timezone.now()) is None:
        raise Invalid(f"The freeze {name} would be over already; let it begin later, or repeat.")
    row = FreezeWindow(
        name=name,
        reason=reason.strip(),
        starts=opening.starts.isoformat(),
        duration_minutes=duration_minutes,
        zone=zone,
        rrule=opening.rrule,
        models_matching=_patterns(models),
        risk_tiers=_tiers(risk_tiers),
        stages=list(dict.fromkeys(stage_graph.canonical_stage(stage) for stage in _few(stages, "stages"))),
        aliases=_aliases(aliases),
        created_by_id=actor.user_id,
    )
    try:
        with transaction.atomic():
            row.save(force_insert=True)
    except IntegrityError:
        raise AlreadyExists(f"The freeze {name} is in force; end it first, or give another name.") from None
    audit.record(actor, Event.FREEZE_CREATED, subject=("freeze_window", name), after=_shown(row))
    return row


@transaction.atomic
def end_freeze(*, actor: Actor, name: str, reason: str = "") -> FreezeWindow:
    """Take a freeze out of force now; what it held is carried out. Raises Denied, or NotFound when none of the name is in force."""
    access.require(actor, Permission.CALENDAR_MANAGE)
    row = FreezeWindow.objects.select_for_update().filter(name=name, valid_to__isnull=True).first()
    if row is None:
        raise NotFound(f"No freeze {name!r} is in force.")
    row.valid_to = timezone.now()
    row.save(update_fields=["valid_to"])
    audit.record(actor, Event.FREEZE_ENDED, subject=("freeze_window", name), before=_shown(row), after={"reason": reason.strip()})
    return row


@transaction.atomic
def publish_calendar(
    *,
    actor: Actor,
    name: str,
    zone: str,
    weekdays: Sequence[int],
    opens: time,
    closes: time,
    holidays: Sequence[date] = (),
) -> BusinessCalendarRow:
    """Publish a business calendar, in the place of the one of this name if there is one. Deadlines already set stay as they are.

    weekdays: 0 is Monday. opens, closes: local times; 00:00 as the end means midnight. The calendar named ``default`` holds where
    a policy names none. Raises Denied without the right; Invalid, saying what to change, for a calendar that makes no sense.
    """
    access.require(actor, Permission.CALENDAR_MANAGE)
    _require_name(name)
    calendar = _calendar(zone, weekdays, opens, closes, holidays)
    before = BusinessCalendarRow.objects.select_for_update().filter(name=name, valid_to__isnull=True).first()
    now = timezone.now()
    if before is not None:
        BusinessCalendarRow.objects.filter(pk=before.pk, valid_to__isnull=True).update(valid_to=now)
    row = BusinessCalendarRow(
        name=name,
        zone=calendar.timezone,
        weekdays=sorted(calendar.weekdays),
        opens=opens,
        closes=closes,
        holidays=[day.isoformat() for day in sorted(calendar.holidays)],
        created_by_id=actor.user_id,
        valid_from=now,
    )
    try:
        with transaction.atomic():
            row.save(force_insert=True)
    except IntegrityError:
        raise Conflict(f"The calendar {name} was published by someone else just now; look at it, then try again.") from None
    audit.record(
        actor,
        Event.CALENDAR_CHANGED,
        subject=("business_calendar", name),
        before=_hours(before) if before is not None else None,
        after=_hours(row),
    )
    return row


def _require_name(name: str) -> None:
    if not re.match(NAME[:-1] + r"\Z", name):
        raise Invalid(f"{name!r} is no name: use small letters, digits and hyphens, at most 100, a letter or digit first.")


def _window(starts: str, duration_minutes: int, zone: str, rrule: str) -> Window:
    if len(rrule) > 300:
        raise Invalid("A recurrence rule has at most 300 characters.")
    try:
        # More minutes than a window may last are refused alike, however many they are.
        return window(datetime.fromisoformat(starts), timedelta(minutes=min(duration_minutes, 1_000_000)), zone, rrule)
    except CalendarError as error:
        raise Invalid(f"This is no freeze: {error}.") from None
    except ValueError:
        raise Invalid(f"{starts!r} is no local time; write it as in 2026-12-20T00:00.") from None


def _calendar(zone: str, weekdays: Sequence[int], opens: time, closes: time, holidays: Sequence[date]) -> BusinessCalendar:
    try:
        return business_calendar(zone, weekdays, opens, closes, holidays)
    except CalendarError as error:
        raise Invalid(f"This is no business calendar: {error}.") from None


def _few(items: Collection[str], what: str) -> list[str]:
    if len(items) > _MOST_NAMES:
        raise Invalid(f"Give at most {_MOST_NAMES} {what}, or none for all.")
    return list(dict.fromkeys(items))


def _patterns(models: Sequence[str]) -> list[str]:
    patterns = _few(models, "patterns of models")
    if any(not pattern.strip() or len(pattern) > _LONGEST_PATTERN for pattern in patterns):
        raise Invalid(f"A pattern such as credit.* has from 1 to {_LONGEST_PATTERN} characters.")
    return patterns


def _tiers(risk_tiers: Sequence[str]) -> list[str]:
    tiers = _few(risk_tiers, "risk tiers")
    if unknown := [tier for tier in tiers if tier not in RiskTier.values]:
        raise Invalid(f"There is no risk tier {unknown[0]!r}; there are {', '.join(RiskTier.values)}.")
    return tiers


def _aliases(aliases: Sequence[str]) -> list[str]:
    given = _few(aliases, "aliases")
    for alias in given:
        names.alias(alias)
    return given


def _shown(row: FreezeWindow) -> dict[str, Any]:
    return {
        "reason": row.reason,
        "starts": row.starts,
        "duration_minutes": row.duration_minutes,
        "zone": row.zone,
        "rrule": row.rrule,
        "models": row.models_matching,
        "risk_tiers": row.risk_tiers,
        "stages": row.stages,
        "aliases": row.aliases,
    }


def _hours(row: BusinessCalendarRow) -> dict[str, Any]:
    return {
        "zone": row.zone,
        "weekdays": row.weekdays,
        "opens": row.opens.isoformat(timespec="minutes"),
        "closes": row.closes.isoformat(timespec="minutes"),
        "holidays": row.holidays,
    }
