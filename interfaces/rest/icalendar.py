"""Freezes as iCalendar (RFC 5545), for calendar programs.

Each opening is an event of its own with its times in UTC, so that no program has to read our rules or zones as we do.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from django.conf import settings
from django.utils import timezone

from workflows.models import FreezeWindow
from workflows.queries.operations import openings


def feed(rows: Iterable[FreezeWindow]) -> str:
    """Return a calendar of the freezes' openings in the year ahead, the ones in force included."""
    at = timezone.now()
    lines = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//Countersign//Freezes//EN", "NAME:Freezes"]
    for row in rows:
        for opening in openings(row, at):
            lines += [
                "BEGIN:VEVENT",
                f"UID:freeze-{row.pk}-{_time(opening.begins)}@countersign",
                f"DTSTAMP:{_time(row.valid_from)}",
                f"DTSTART:{_time(opening.begins)}",
                f"DTEND:{_time(opening.ends)}",
                f"SUMMARY:{_text(f'Freeze: {row.name}')}",
                f"DESCRIPTION:{_text(row.reason)}",
                f"URL:{settings.PUBLIC_URL}/",
                "END:VEVENT",
            ]
    return "".join(part for line in [*lines, "END:VCALENDAR"] for part in _folded(line))


def _time(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y%m%dT%H%M%SZ}"


def _text(value: str) -> str:
    """Return a value of type TEXT (section 3.3.11): four characters are escaped, other control characters cannot stand in it."""
    for character in "\\;,":
        value = value.replace(character, f"\\{character}")
    lines = "\\n".join(value.splitlines())
    return "".join(character for character in lines if character == "\t" or (ord(character) >= 32 and ord(character) != 127))


def _folded(line: str) -> Iterator[str]:
    """Yield a content line in pieces of at most 75 octets, each ended as section 3.1 wants; no character is cut in two."""
    piece, length = "", 0
    for character in line:
        octets = len(character.encode())
        if length + octets > 75:
            yield f"{piece}\r\n"
            piece, length = " ", 1
        piece, length = piece + character, length + octets
    yield f"{piece}\r\n"
