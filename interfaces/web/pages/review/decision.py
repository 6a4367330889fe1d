"""The decision box: in which of its situations it is, what the reader can do as whom, and what will still be missing then."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from interfaces.web.pages import words
from interfaces.web.pages.review.requirements import APPROVALS, Requirement
from interfaces.web.pages.words import Status
from workflows.queries.deciding import Deciding, PolicyChange, Seat
from workflows.queries.requests import RequestPage, RequestRow, ReviewRow


@dataclass(frozen=True)
class Place:
    """In whose place a review can be given; ``value`` is empty for one's own."""

    value: str
    label: str


@dataclass(frozen=True)
class Box:
    """The decision box. kind: decide, signed, stale, barred, waiting, draft or closed.

    chance: whether the reader can approve and as what, in a sentence. places: in whose place; asked for only if there are several.
    comment_needed: whether also an approval needs words. next: what it waits for, each with who could.
    """

    kind: str
    title: str
    note: str
    tone: str = ""
    reasons: tuple[str, ...] = ()
    still_missing: str = ""
    next: tuple[str, ...] = ()
    chance: Status | None = None
    places: tuple[Place, ...] = ()
    meanings: tuple[str, ...] = ()
    comment_needed: bool = False

    @property
    def asks(self) -> bool:
        """Whether it holds the form at once."""
        return self.kind in ("decide", "stale")


@dataclass(frozen=True)
class RebaseLine:
    """What a rebase would change about one policy."""

    policy: str
    what: str
    details: tuple[str, ...]


@dataclass(frozen=True)
class Acts:
    """What the reader may do with the request besides deciding."""

    withdraw: bool
    execute: bool
    resubmit: bool
    submit: bool
    rerun: bool
    rebase: tuple[RebaseLine, ...] = ()


@dataclass(frozen=True)
class _Situation:
    """What the box is made from."""

    page: RequestPage
    around: Deciding
    rows: Sequence[Requirement]
    names: Mapping[str, str]
    me: str
    now: datetime
    status: Status
    own: ReviewRow | None


def box(
    page: RequestPage,
    around: Deciding,
    rows: Sequence[Requirement],
    *,
    names: Mapping[str, str],
    me: str,
    now: datetime,
    status: Status,
) -> Box:
    """Return the box as the reader has it. status: the request's."""
    own = next((row for row in reversed(page.reviews) if row.reviewer == me and row.is_latest), None)
    situation = _Situation(page, around, rows, names, me, now, status, own)
    request = page.request
    if request.state == "draft":
        return Box(
            "draft",
            "Draft",
            "Nothing is asked yet. The checks run when it is.",
            "wait",
            chance=Status("wait", "Nothing is asked yet"),
        )
    if not request.is_open:
        when = f"Closed {words.moment(request.closed_at)}." if request.closed_at else ""
        return Box("closed", status.word, when, status.tone)
    if request.state != "in_review":
        return _waiting(request)
    return _in_review(situation)


def rebase(changes: Sequence[PolicyChange]) -> tuple[RebaseLine, ...]:
    """Return what a rebase would change, policy by policy."""
    return tuple(RebaseLine(change.policy, _moved(change), tuple(_details(change))) for change in changes)


def status(request: RequestRow, rows: Sequence[Requirement]) -> Status:
    """Return the status of a request, as its heading and its box say it."""
    if request.state == "in_review" and any(row.blocks and row.status.tone == "fail" for row in rows):
        return Status("wait", "Open, not ready")
    found = words.request(request.state, request.kind)
    if request.state == "done" and request.kind == "promotion":
        return Status("pass", f"Promoted to {words.target(request.target_kind, request.target)}")
    return found


def _waiting(request: RequestRow) -> Box:
    place = words.target(request.target_kind, request.target)
    if request.state == "checking":
        text = "The request opens for review when they are finished."
        return Box(
            "waiting", "Checks are running", text, "run", chance=Status("run", "Nobody can decide yet: the checks are running")
        )
    if request.state == "changes_requested":
        asked = request.requested_by_name
        return Box(
            "waiting", "Changes were asked for", f"It waits on {asked}.", "warn", chance=Status("warn", f"It waits on {asked}")
        )
    if request.state == "executing":
        return Box("waiting", "Being carried out", f"{place} is given within moments.", "run")
    if request.hold:
        return Box(
            "waiting", "Approved, on hold", f"{request.hold}.", "warn", chance=Status("warn", "Approved; it is carried out later")
        )
    return Box("waiting", "Approved", f"The gate is satisfied. {place} is given as soon as it has said so once more.", "pass")


def _in_review(at: _Situation) -> Box:
    page, own = at.page, at.own
    still, following = _still_missing(at), _next(at)
    if own is not None and own.counts:
        verdict = words.verdict(own.verdict)
        said = f"You {verdict.word[:1].lower()}{verdict.word[1:]}"
        if own.on_behalf_of:
            said += f" for {at.names.get(own.on_behalf_of, own.on_behalf_of)}"
        note = f"{words.moment(own.created_at)}, on evidence {words.short(own.evidence_digest)}."
        return _form(at, "signed", said, note, verdict.tone, still, following, Status(verdict.tone, said))
    if not _places(at):
        reasons = tuple(_of_you(reason, at.me) for reason in page.me.reasons)
        note = (
            "Who had a part in the work never counts." if any(p.username == at.me and not p.eligible for p in page.people) else ""
        )
        chance = Status("wait", f"You cannot approve, because {_lowered(reasons[0])}" if reasons else "You cannot approve")
        return Box("barred", "You cannot decide this", note, reasons=reasons, next=following, chance=chance)
    if own is not None:
        note = "The evidence changed after you signed. Look again and sign again."
        return _form(at, "stale", "Your review is stale", note, "warn", still, following, _chance(at))
    expires = page.request.expires_at
    due = f"Expires {words.moment(expires)}, {words.duration(expires - at.now)} left" if expires else ""
    return _form(at, "decide", "Your decision", due, "", still, following, _chance(at))


def _form(
    at: _Situation, kind: str, title: str, note: str, tone: str, still: str, following: tuple[str, ...], chance: Status
) -> Box:
    return Box(
        kind,
        title,
        note,
        tone,
        still_missing=still,
        next=following,
        chance=chance,
        places=_places(at),
        meanings=tuple(at.page.signature_meanings),
        comment_needed=bool(at.around.waivers),
    )


def _places(at: _Situation) -> tuple[Place, ...]:
    own = [Place("", _as(at.around.seats, "") or "Yourself")] if at.page.me.eligible else []
    others = [
        Place(name, f"{at.names.get(name, name)}{f', {part}' if (part := _as(at.around.seats, name)) else ''}")
        for name in at.around.stands_in_for
    ]
    return tuple(own + others)


def _as(seats: Sequence[Seat], whose: str) -> str:
    """Return which places could be filled, such as ``as model-risk (1 of 2)``."""
    mine = [f"{seat.group} ({seat.nth} of {seat.of})" for seat in seats if seat.on_behalf_of == whose]
    if not mine:
        return ""
    text = f"as {' or '.join(dict.fromkeys(mine))}"
    return text if whose else f"Yourself, {text}"


def _chance(at: _Situation) -> Status:
    seats, ways = at.around.seats, []
    for place in _places(at):
        part = " or ".join(dict.fromkeys(f"{s.group} ({s.nth} of {s.of})" for s in seats if s.on_behalf_of == place.value))
        whose = f"for {at.names.get(place.value, place.value)}" if place.value else ""
        if part:
            ways.append(" ".join(filter(None, [whose, "as", part])))
    if ways:
        return Status("acc", f"You can approve {', or '.join(ways)}")
    return Status("acc", "You can decide; no approval is missing" if not at.page.verdict.waiting else "You can decide")


def _still_missing(at: _Situation) -> str:
    """Return what is missing besides the reader's own approval, in words."""
    missing = [row.title for row in at.rows if row.blocks and row.evidence_href != f"#{APPROVALS}"]
    asked = sum(
        result.missing for result in at.page.verdict.requirements if result.mode == "enforce" and result.kind == "approval"
    )
    if at.own is None or not at.own.counts:
        asked -= 1 if at.around.seats else 0
    if asked > 0:
        missing.append(words.count_of(asked, "more approval"))
    return words.listed(missing) if missing else ""


def _next(at: _Situation) -> tuple[str, ...]:
    """Return what the request waits for, each group with who could."""
    lines = []
    for result in at.page.verdict.waiting:
        if result.mode != "enforce":
            continue
        task = at.around.tasks.get((result.policy, result.id, result.group))
        could = [at.names.get(name, name) for name in task.could if name != at.me] if task else []
        who = f": {words.listed(could)}" if could else ""
        taken = (
            f", taken on by {at.names.get(task.claimed_by, task.claimed_by)}"
            if task and task.claimed_by not in ("", at.me)
            else ""
        )
        lines.append(f"{result.missing} more of {result.group}{who}{taken}")
    return tuple(lines)


def _of_you(reason: str, me: str) -> str:
    """Return a reason about an account as said to its owner."""
    rest = reason.removeprefix(f"{me} ")
    if rest == reason:
        return f"{reason[:1].upper()}{reason[1:].replace(f'{me} is in none', 'you are in none')}"
    return f"You {rest.replace('does not', 'do not', 1)}"


def _lowered(text: str) -> str:
    return text[:1].lower() + text[1:]


def _moved(change: PolicyChange) -> str:
    if change.before is None:
        return f"v{change.after} is asked as well, {words.mode(change.mode_after).word.lower()}"
    if change.after is None:
        return f"v{change.before} is asked no more"
    moved = f"v{change.before} becomes v{change.after}" if change.before != change.after else f"v{change.after} stays"
    if change.mode_before != change.mode_after:
        moved += f", {words.mode(change.mode_before).word.lower()} becomes {words.mode(change.mode_after).word.lower()}"
    return moved


def _details(change: PolicyChange) -> list[str]:
    lines = [f"{words.sentence(name)}: {_value(old)} becomes {_value(new)}" for name, old, new in change.parameters]
    if change.before is not None and change.after is not None:
        lines += [f"{title}: {what}" for title, what in change.requirements]
    if change.steps_differ:
        lines.append("Who must approve differs")
    return lines


def _value(value: Any) -> str:
    return words.number(value) if value is not None else "none"
