"""Published business calendars and freeze windows as the values that ``governance.calendars`` reckons with."""

from __future__ import annotations

from datetime import date, datetime, timedelta

from governance.calendars import DEFAULT, BusinessCalendar, Window, business_calendar
from workflows.models import BusinessCalendarRow, FreezeWindow

DEFAULT_NAME = "default"  # published under this name, a calendar takes the place of the built-in one


def named(name: str) -> BusinessCalendar:
    """Return the current calendar of this name; for an unknown or empty one the installation's default."""
    rows = {row.name: row for row in BusinessCalendarRow.objects.filter(name__in=[name, DEFAULT_NAME], valid_to__isnull=True)}
    row = rows.get(name) or rows.get(DEFAULT_NAME)
    return business_hours(row) if row is not None else DEFAULT


def business_hours(row: BusinessCalendarRow) -> BusinessCalendar:
    """Return a row's calendar."""
    return business_calendar(
        timezone=row.zone,
        weekdays=row.weekdays,
        opens=row.opens,
        closes=row.closes,
        holidays=[date.fromisoformat(day) for day in row.holidays],
    )


def freeze_window(row: FreezeWindow) -> Window:
    """Return a row's window, which was checked when the row was written."""
    return Window(datetime.fromisoformat(row.starts), timedelta(minutes=row.duration_minutes), row.zone, row.rrule)
