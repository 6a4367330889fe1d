"""What the pages about people show: who stands in for whom, and whose rights conflict."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from interfaces.web.pages import words
from interfaces.web.pages.words import Status
from workflows.queries.people import ConflictRow, DelegationRow


@dataclass(frozen=True)
class DelegationLine:
    """A delegation in the list. mine: whether the reader gives or holds it."""

    row: DelegationRow
    status: Status
    groups: str
    current: bool
    may_end: bool


def delegation_line(row: DelegationRow, *, me: str, manages: bool, now: datetime) -> DelegationLine:
    """Return a delegation as the list shows it."""
    over = row.revoked_at is not None or row.ends_at <= now
    if row.revoked_at is not None:
        status = Status("wait", f"Ended {words.day(row.revoked_at)}")
    elif row.in_force:
        status = Status("pass", "In force")
    else:
        status = Status("wait", "Over" if over else "To come")
    mine = me in (row.delegator, row.delegate)
    groups = words.listed(row.groups) if row.groups else "all groups"
    return DelegationLine(row, status, groups, not over, not over and (mine or manages))


@dataclass(frozen=True)
class ConflictLine:
    row: ConflictRow
    severity: Status


def conflicts(rows: Iterable[ConflictRow]) -> tuple[ConflictLine, ...]:
    """Return conflicts of rights, the gravest first."""
    grades = ("critical", "high", "medium", "low", "info")
    ordered = sorted(rows, key=lambda row: (grades.index(row.severity), row.user, row.code))
    return tuple(ConflictLine(row, words.severity(row.severity)) for row in ordered)
