"""What the inbox shows: requests by how pressing they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from interfaces.web.pages import words
from interfaces.web.pages.words import Status
from workflows.queries.requests import Inbox, NotificationRow, RequestRow


@dataclass(frozen=True)
class Row:
    id: int
    reference: str
    title: str
    tier: str
    asked_by: str
    status: Status
    open_for: str
    due: str
    due_tone: str
    created_at: datetime
    closed_at: datetime | None
    reason: str


@dataclass(frozen=True)
class Tab:
    name: str
    title: str
    count: int | None
    hot: bool = False


@dataclass(frozen=True)
class InboxPage:
    tab: str
    tabs: tuple[Tab, ...]
    groups: tuple[tuple[str, tuple[Row, ...]], ...]
    count: int
    first: int | None
    notes: tuple[NotificationRow, ...]
    query: str
    tier: str
    filtered: bool


def inbox(box: Inbox, *, wanted: str, query: str, tier: str, now: datetime) -> InboxPage:
    """Return the inbox; without a wish it opens where there is something to do."""
    opened = [row for row in box.mine if row.is_open]
    lists = {"waiting": box.waiting_on_me, "mine": box.mine, "others": box.others}
    tab = wanted if wanted in (*lists, "all") else "waiting" if box.waiting_on_me else "mine" if opened else "waiting"
    chosen = [row for row in lists.get(tab, []) if _matches(row, query, tier)]
    return InboxPage(
        tab=tab,
        tabs=(
            Tab("waiting", "Waiting on me", len(box.waiting_on_me), hot=bool(box.waiting_on_me)),
            Tab("mine", "Asked by me", len(opened)),
            Tab("others", "Other open requests", len(box.others)),
            Tab("all", "All requests", None),
        ),
        groups=_groups(chosen, now),
        count=len(chosen),
        first=chosen[0].id if chosen and tab != "all" else None,
        notes=tuple(note for note in box.notifications if not note.read)[:5],
        query=query,
        tier=tier,
        filtered=bool(query or tier),
    )


def rows(found: Sequence[RequestRow], now: datetime) -> tuple[Row, ...]:
    """Return requests as rows of a list."""
    return tuple(_row(each, now) for each in found)


def _row(row: RequestRow, now: datetime) -> Row:
    due, tone = words.due(row.expires_at, now) if row.is_open else ("", "")
    return Row(
        id=row.id,
        reference=row.reference,
        title=f"{row.model} v{row.version} to {words.target(row.target_kind, row.target)}",
        tier=words.sentence(row.risk_tier),
        asked_by=row.requested_by_name,
        status=words.request(row.state),
        open_for=words.duration((row.closed_at or now) - row.created_at),
        due=due,
        due_tone=tone,
        created_at=row.created_at,
        closed_at=row.closed_at,
        reason=row.reason,
    )


def _matches(row: RequestRow, query: str, tier: str) -> bool:
    text = f"{row.model} {row.requested_by} {row.requested_by_name} {row.reference}".lower()
    return query.strip().lower() in text and (not tier or row.risk_tier == tier)


def _groups(found: Sequence[RequestRow], now: datetime) -> tuple[tuple[str, tuple[Row, ...]], ...]:
    groups: dict[str, list[Row]] = {"Overdue": [], "Due within 24 hours": [], "Open": [], "Closed": []}
    for row in found:
        if not row.is_open:
            key = "Closed"
        elif row.expires_at is None or row.expires_at - now >= timedelta(hours=24):
            key = "Open"
        else:
            key = "Overdue" if row.expires_at < now else "Due within 24 hours"
        groups[key].append(_row(row, now))
    return tuple((f"{name}, {len(group)}", tuple(group)) for name, group in groups.items() if group)
