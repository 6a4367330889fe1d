"""What is being talked about on a request, and what can be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from interfaces.web.pages import words
from interfaces.web.pages.review.changes import measured_title
from interfaces.web.pages.review.requirements import Requirement
from workflows.commands.discussion import EDITABLE
from workflows.queries.people import CommentRow, ThreadRow
from workflows.queries.requests import RequestPage


@dataclass(frozen=True)
class Said:
    """A contribution. may_edit: the reader wrote it, not long ago."""

    id: int
    name: str
    me: bool
    text: str
    at: datetime
    edited_at: datetime | None
    deleted: bool
    may_edit: bool


@dataclass(frozen=True)
class Thread:
    """A discussion with what it is about, and where that stands on the page."""

    id: int
    about: str
    href: str
    resolved: bool
    resolved_by: str
    resolved_at: datetime | None
    may_resolve: bool
    said: tuple[Said, ...]


@dataclass(frozen=True)
class Choices:
    """What a new discussion can be about, of one kind: values and labels."""

    name: str
    options: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Discussion:
    """All talk on a request, what is unresolved first."""

    threads: tuple[Thread, ...]
    unresolved: int
    choices: tuple[Choices, ...]


def discussion(
    found: Sequence[ThreadRow],
    page: RequestPage,
    rows: Sequence[Requirement],
    *,
    names: Mapping[str, str],
    me: str,
    now: datetime,
) -> Discussion:
    """Return the discussion of a request. rows: the requirements the reader sees."""
    titles = {f"{row.policy}/{row.id}": row for row in rows if row.about}
    threads = [_thread(row, titles, names, me, now) for row in found]
    return Discussion(
        threads=tuple(sorted(threads, key=lambda thread: thread.resolved)),
        unresolved=sum(not thread.resolved for thread in threads),
        choices=_choices(page, rows),
    )


def counted(found: Sequence[ThreadRow]) -> Mapping[str, int]:
    """Return how many discussions there are of each thing, as ``kind:anchor``."""
    return Counter(f"{row.anchor_kind}:{row.anchor}" for row in found)


def _thread(row: ThreadRow, titles: Mapping[str, Requirement], names: Mapping[str, str], me: str, now: datetime) -> Thread:
    about, href = _anchor(row.anchor_kind, row.anchor, titles)
    return Thread(
        id=row.id,
        about=about,
        href=href,
        resolved=row.resolved,
        resolved_by=names.get(row.resolved_by, row.resolved_by),
        resolved_at=row.resolved_at,
        may_resolve=row.may_resolve,
        said=tuple(_said(comment, me, now) for comment in row.comments),
    )


def _said(row: CommentRow, me: str, now: datetime) -> Said:
    return Said(
        id=row.id,
        name="You" if row.author == me else row.author_name,
        me=row.author == me,
        text=row.text,
        at=row.created_at,
        edited_at=row.edited_at,
        deleted=row.deleted,
        may_edit=row.author == me and not row.deleted and now - row.created_at <= EDITABLE,
    )


def _anchor(kind: str, anchor: str, titles: Mapping[str, Requirement]) -> tuple[str, str]:
    if kind == "requirement":
        row = titles.get(anchor)
        return (row.title, f"#{row.anchor}") if row is not None else (f"Requirement {anchor}", "#requirements")
    if kind == "measurement":
        return measured_title(anchor), "#measurements"
    if kind == "card":
        return f"Model card, {words.sentence(anchor)}", "#card"
    return "The request", "#main"


def _choices(page: RequestPage, rows: Sequence[Requirement]) -> tuple[Choices, ...]:
    seen: dict[str, str] = {row.about: row.title for row in rows if row.about}
    measured = [key for key, one in page.candidate.measurements.items() if "=" not in one.slice and one.metric != "attribution"]
    groups = [
        Choices("Request", (("request:", "The request as a whole"),)),
        Choices("Requirements", tuple(seen.items())),
        Choices("Measurements", tuple((f"measurement:{key}", measured_title(key)) for key in sorted(measured))),
        Choices("Model card", tuple((f"card:{section}", words.sentence(section)) for section in page.candidate.card)),
    ]
    return tuple(group for group in groups if group.options)
