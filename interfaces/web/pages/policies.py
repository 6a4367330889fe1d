"""What the pages of policies show: texts and how they changed, where they are in force, and what a draft would have changed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from core.errors import NotFound
from governance.queries import BindingRow, ParametersRow, PolicyRow, RevisionRow
from interfaces.web.pages import documents, words
from interfaces.web.pages.documents import Comparison, Line
from interfaces.web.pages.words import Status
from workflows import states
from workflows.queries.simulation import RequirementChange, SimulatedRequest, Simulation

_BINDING = {
    "in_force": Status("pass", "In force"),
    "to_come": Status("wait", "To come"),
    "ended": Status("wait", "Ended"),
    "taken_back": Status("wait", "Taken back"),
}
_OUTCOME = {"satisfied": Status("pass", "Passed"), "blocked": Status("fail", "Blocked"), None: Status("wait", "Not judged")}


@dataclass(frozen=True)
class Bound:
    """A policy bound, now or once. mode: whether it blocks, warns or only looks on."""

    name: str
    places: str
    models: str
    parameters: tuple[tuple[str, str], ...]
    parameters_name: str
    by: str
    since: datetime
    until: datetime | None
    mode: Status
    state: Status
    current: bool


@dataclass(frozen=True)
class Named:
    """Named parameters of a policy, in their newest revision."""

    name: str
    number: int
    values: tuple[tuple[str, str], ...]
    by: str
    at: datetime


@dataclass(frozen=True)
class PolicyPage:
    """A policy with one revision's text, or what differs between two. past: bindings that are over."""

    name: str
    newest: int | None
    published_at: datetime | None
    revisions: tuple[RevisionRow, ...]
    bindings: tuple[Bound, ...]
    past: tuple[Bound, ...]
    parameters: tuple[Named, ...]
    shown: RevisionRow | None
    lines: tuple[Line, ...]
    against: RevisionRow | None
    comparison: Comparison | None
    in_force: bool


def policy(
    row: PolicyRow,
    *,
    revision: int | None = None,
    against: int | None = None,
    bindings: Sequence[BindingRow] = (),
    parameters: Sequence[ParametersRow] = (),
) -> PolicyPage:
    """Return a policy with one revision's text, the newest unless another is asked for, or how it differs from another.

    bindings, parameters: of any policy; those of this one are shown. Raises NotFound for a revision that is not there.
    """
    newest = row.revisions[0] if row.revisions else None
    shown = newest if revision is None else _revision(row, revision)
    other = _revision(row, against) if against is not None else None
    # Of a list of policies only what is in force or to come is known; a page of its own knows the past as well.
    known = [each for each in bindings if each.policy == row.name] or [*row.bindings, *row.to_come]
    bound = [_bound(each) for each in known]
    return PolicyPage(
        name=row.name,
        newest=newest.number if newest else None,
        published_at=newest.published_at if newest else None,
        revisions=tuple(row.revisions),
        bindings=tuple(each for each in bound if each.current),
        past=tuple(each for each in bound if not each.current),
        parameters=tuple(_named(each) for each in parameters if each.policy == row.name),
        shown=shown,
        lines=documents.lines(shown.document) if shown else (),
        against=other,
        comparison=documents.compared(other.document, shown.document) if other and shown else None,
        in_force=bool(row.bindings),
    )


def _revision(row: PolicyRow, number: int) -> RevisionRow:
    found = next((each for each in row.revisions if each.number == number), None)
    if found is None:
        raise NotFound(f"The policy {row.name!r} has no revision {number}.")
    return found


def _bound(row: BindingRow) -> Bound:
    places = [words.target("stage", name) for name in row.stages] + [words.target("alias", name) for name in row.aliases]
    which = [f"named {words.listed(row.models)}" if row.models else ""]
    which.append(f"of risk tier {words.listed(row.risk_tiers)}" if row.risk_tiers else "")
    which += [f"tagged {key} = {value}" for key, value in row.tags.items()]
    return Bound(
        name=row.name,
        places=words.listed(places),
        models=f"models {', '.join(filter(None, which))}" if any(which) else "every model",
        parameters=_values(row.parameters),
        parameters_name=row.parameters_name,
        by=row.created_by or "unknown",
        since=row.valid_from,
        until=row.valid_to,
        mode=words.mode(row.mode),
        state=_BINDING[row.state],
        current=row.state in ("in_force", "to_come"),
    )


def _named(row: ParametersRow) -> Named:
    return Named(row.name, row.number, _values(row.values), row.published_by or "unknown", row.published_at)


def _values(values: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    return tuple((key, value if isinstance(value, str) else json.dumps(value)) for key, value in values.items())


# What a draft would have changed.


@dataclass(frozen=True)
class Changed:
    """A requirement that would have come out otherwise, in words."""

    title: str
    then: Status
    now: Status
    why: str


@dataclass(frozen=True)
class Judged:
    """A past request under the draft."""

    row: SimulatedRequest
    place: str
    then: Status
    now: Status
    flips: bool
    changes: tuple[Changed, ...]


@dataclass(frozen=True)
class Dry:
    """What a draft would have made of past requests: those that would have gone the other way first."""

    row: Simulation
    changed: tuple[Judged, ...]
    same: int
    notes: tuple[str, ...]


def dry(row: Simulation) -> Dry:
    """Return a simulation as its page shows it."""
    judged = [_judged(each) for each in row.requests if each.changes]
    notes = list(row.notes)
    if row.truncated:
        notes.append("There are more requests than were judged; the oldest are left out.")
    if row.unreadable:
        notes.append(f"The facts of {words.count_of(row.unreadable, 'request')} are of a release that cannot be read here.")
    if row.skipped:
        notes.append(f"{words.count_of(row.skipped, 'request')} had no decision yet that this policy had a part in.")
    return Dry(row, tuple(sorted(judged, key=lambda each: not each.flips)), row.judged - len(judged), tuple(notes))


def _judged(row: SimulatedRequest) -> Judged:
    return Judged(
        row=row,
        place=words.target(row.target_kind, row.target),
        then=_OUTCOME[row.then],
        now=_OUTCOME[row.now],
        flips=row.then is not None and row.then != row.now,
        changes=tuple(_changed(each) for each in row.changes),
    )


def _changed(row: RequirementChange) -> Changed:
    absent = Status("wait", "Not there")
    return Changed(
        row.title,
        words.requirement(row.then) if row.then else absent,
        words.requirement(row.now) if row.now else absent,
        row.now_reason or row.then_reason,
    )


# How a request moves.

_AT = {
    "draft": (0, 0),
    "checking": (1, 0),
    "in_review": (2, 0),
    "approved": (3, 0),
    "executing": (4, 0),
    "done": (5, 0),
    "changes_requested": (2, 1),
}
_WIDE, _TALL, _STEP, _FALL = 132, 34, 226, 104
_TOP = 64


@dataclass(frozen=True)
class Box:
    name: str
    x: int
    y: int
    wide: int
    tall: int
    text_x: int
    text_y: int


@dataclass(frozen=True)
class Arrow:
    """A step in the drawing. path, tip: of the line and its head; x, y: where its name stands."""

    path: str
    tip: str
    name: str
    x: int
    y: int
    anchor: str


@dataclass(frozen=True)
class Moves:
    """What can happen in one state, and which state follows."""

    state: str
    status: Status
    steps: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Diagram:
    """The states of a request: the way most go as a drawing, and every step as a table."""

    wide: int
    tall: int
    boxes: tuple[Box, ...]
    arrows: tuple[Arrow, ...]
    moves: tuple[Moves, ...]
    ends: tuple[str, ...]


def diagram() -> Diagram:
    """Return the life of a request, from the table that moves it."""
    held: dict[str, list[tuple[str, str]]] = {}
    for (state, event), following in states.TRANSITIONS.items():
        held.setdefault(state, []).append((words.sentence(event), words.request(following).word))
    ends = [state for state in dict.fromkeys(states.TRANSITIONS.values()) if state not in held]
    arrows = [
        _arrow(state, event, following)
        for (state, event), following in states.TRANSITIONS.items()
        if state in _AT and following in _AT and (following != "checking" or state == "draft")
    ]
    return Diagram(
        wide=5 * _STEP + _WIDE + 4,
        tall=_TOP + _FALL + _TALL + 4,
        boxes=tuple(_box(state) for state in _AT),
        arrows=tuple(arrows),
        moves=tuple(Moves(words.sentence(state), words.request(state), tuple(steps)) for state, steps in held.items()),
        ends=tuple(words.request(state).word for state in ends),
    )


def _corner(state: str) -> tuple[int, int]:
    column, row = _AT[state]
    return 2 + column * _STEP, _TOP + row * _FALL


def _box(state: str) -> Box:
    x, y = _corner(state)
    return Box(words.sentence(state), x, y, _WIDE, _TALL, x + _WIDE // 2, y + 21)


def _arrow(state: str, event: str, following: str) -> Arrow:
    (x1, y1), (x2, y2) = _corner(state), _corner(following)
    name = event.replace("_", " ")
    if y1 != y2:
        down = y2 > y1
        x = x1 + (_WIDE // 3 if down else 2 * _WIDE // 3)
        begin, end = (y1 + _TALL, y2 - 5) if down else (y1, y2 + _TALL + 5)
        tip = f"M{x - 4} {end} h8 l-4 {5 if down else -5} z"
        return Arrow(
            f"M{x} {begin} V{end}", tip, name, x + (-6 if down else 6), (begin + end) // 2 + 4, "end" if down else "start"
        )
    if x2 > x1:
        y, end = y1 + _TALL // 2, x2 - 5
        return Arrow(f"M{x1 + _WIDE} {y} H{end}", f"M{end} {y - 4} v8 l5 -4 z", name, (x1 + _WIDE + x2) // 2, y - 8, "middle")
    far = (x1 - x2) // _STEP
    begin, end, top = x1 + _WIDE // 2, x2 + _WIDE // 2 + (far - 1) * 16, y1 - 18 * far
    path = f"M{begin} {y1} V{top} H{end} V{y1 - 5}"
    return Arrow(path, f"M{end - 4} {y1 - 5} h8 l-4 5 z", name, (begin + end) // 2, top - 5, "middle")
