"""What every page says of emergencies: what stands somewhere past the gate, and what nobody has looked at since."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from interfaces.web.pages import words
from workflows.queries.operations import EmergencyRow


@dataclass(frozen=True)
class Alarm:
    """One emergency in the banner. in_force: its version stands in the place now; else it is over and waits to be reviewed."""

    id: int
    title: str
    in_force: bool
    note: str
    model: str


def alarms(found: Iterable[EmergencyRow], *, now: datetime) -> list[Alarm]:
    """Return the emergencies as the banner names them, those in force first."""
    shown = [_alarm(row, now) for row in found]
    return sorted(shown, key=lambda alarm: not alarm.in_force)


def _alarm(row: EmergencyRow, now: datetime) -> Alarm:
    place = words.target(row.target_kind, row.target)
    if row.state == "in_force":
        left = words.duration(row.ends_at - now) if row.ends_at and row.ends_at > now else "moments"
        note = f"Incident {row.incident}, by {row.requested_by} and {row.confirmed_by}. It ends in {left}."
        return Alarm(row.id, f"{row.model} v{row.version} is in {place} past the gate", True, note, row.model)
    ended = f" since {words.moment(row.reverted_at)}" if row.reverted_at else ""
    note = f"Incident {row.incident}. Somebody who was neither {row.requested_by} nor {row.confirmed_by} must look at it."
    return Alarm(
        row.id, f"{row.model} v{row.version} was in {place} past the gate; over{ended}, not reviewed", False, note, row.model
    )
