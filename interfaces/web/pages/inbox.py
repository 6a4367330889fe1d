"""What the inbox shows: requests and whatever else waits for a person, by how pressing it is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlencode

from django.urls import reverse

from interfaces.web.pages import words
from interfaces.web.pages.words import Status
from workflows.queries.inbox import Inbox, TaskRow
from workflows.queries.operations import EmergencyRow, ReReviewRow
from workflows.queries.people import NotificationRow
from workflows.queries.requests import RequestRow
from workflows.queries.risk import WaiverRow

TABS = ("waiting", "groups", "mine", "mentions", "re-reviews", "waivers", "emergencies", "news", "all")


@dataclass(frozen=True)
class Part:
    """A factor of a request that waits for people: whose it is, and what the reader can do about it.

    whose: in whose place the reader would decide. claim: who took it on; mine: whether that is the reader.
    """

    task: int
    what: str
    whose: str
    claim: str
    claimed_until: datetime | None
    mine: bool
    may_claim: bool
    note: str


@dataclass(frozen=True)
class Row:
    """A request in a list. due: of what waits for somebody, else of the request itself."""

    id: int
    reference: str
    title: str
    kind: str
    tier: str
    asked_by: str
    status: Status
    open_for: str
    due: str
    due_tone: str
    created_at: datetime
    closed_at: datetime | None
    reason: str
    hold: str = ""
    parts: tuple[Part, ...] = ()


@dataclass(frozen=True)
class Tab:
    name: str
    title: str
    count: int | None
    hot: bool = False


@dataclass(frozen=True)
class Due:
    """A version that must be reviewed again. href: where its re-review is asked for."""

    title: str
    cause: str
    detail: str
    due: str
    due_tone: str
    escalate_to: str
    href: str


@dataclass(frozen=True)
class Expiring:
    """A waiver that ends soon."""

    id: int
    title: str
    scope: str
    control: str
    until: datetime
    left: str
    href: str


@dataclass(frozen=True)
class After:
    """An emergency move that somebody must look at."""

    id: int
    title: str
    incident: str
    reason: str
    by: str
    ended_at: datetime | None
    outcome: str


@dataclass(frozen=True)
class InboxPage:
    """One tab of the inbox; groups are the requests in it, if it is a tab of requests. filtered: whether a filter is set."""

    tab: str
    title: str
    tabs: tuple[Tab, ...]
    groups: tuple[tuple[str, tuple[Row, ...]], ...]
    count: int
    first: int | None
    mentions: tuple[NotificationRow, ...]
    news: tuple[NotificationRow, ...]
    unread: int
    re_reviews: tuple[Due, ...]
    waivers: tuple[Expiring, ...]
    emergencies: tuple[After, ...]
    standing_in_for: tuple[str, ...]
    query: str
    tier: str
    kind: str
    filtered: bool

    @property
    def of_requests(self) -> bool:
        """Whether the tab lists requests."""
        return self.tab in ("waiting", "groups", "mine", "all")


@dataclass(frozen=True)
class Wish:
    """What the address asks for."""

    tab: str = ""
    query: str = ""
    tier: str = ""
    kind: str = ""

    @property
    def narrows(self) -> bool:
        return bool(self.query.strip() or self.tier or self.kind)


def inbox(box: Inbox, wish: Wish, *, me: str, now: datetime) -> InboxPage:
    """Return the inbox; without a wish it opens where there is something to do."""
    opened = [row for row in box.mine if row.is_open or row.state == "draft"]
    tab = wish.tab if wish.tab in TABS else "waiting" if box.tasks else "mine" if opened else "waiting"
    lists = {
        "waiting": lambda: _of_tasks(box.tasks, me, now, may_claim=True),
        "groups": lambda: _of_tasks([*box.escalated, *box.claimed], me, now, may_claim=False),
        "mine": lambda: [(row, _row(row, now)) for row in box.mine],
    }
    chosen = [(found, row) for found, row in lists[tab]() if _matches(found, wish)] if tab in lists else []
    unread = sum(not note.read for note in box.notifications)
    tabs = _tabs(box, len(opened), unread)
    return InboxPage(
        tab=tab,
        title=next(each.title for each in tabs if each.name == tab),
        tabs=tabs,
        groups=_groups(chosen, now),
        count=len(chosen),
        first=chosen[0][0].id if chosen and tab in ("waiting", "mine") else None,
        mentions=tuple(box.mentions),
        news=tuple(box.notifications),
        unread=unread,
        re_reviews=tuple(_due(each, now) for each in box.re_reviews),
        waivers=tuple(_expiring(each, now) for each in box.waivers),
        emergencies=tuple(_after(each) for each in box.emergencies),
        standing_in_for=tuple(box.standing_in_for),
        query=wish.query,
        tier=wish.tier,
        kind=wish.kind,
        filtered=wish.narrows,
    )


def rows(found: Sequence[RequestRow], now: datetime) -> tuple[Row, ...]:
    """Return requests as rows of a list."""
    return tuple(_row(each, now) for each in found)


def place(model: str, version: int | None, target_kind: str, target: str) -> str:
    """Return where a version stands or is to stand, as a title."""
    return f"{model}{f' v{version}' if version else ''} in {words.target(target_kind, target)}"


def _tabs(box: Inbox, opened: int, unread: int) -> tuple[Tab, ...]:
    waiting = len({task.request.id for task in box.tasks})
    beside = len({task.request.id for task in [*box.escalated, *box.claimed]})
    return (
        Tab("waiting", "Waiting on me", waiting, hot=bool(waiting)),
        Tab("groups", "My groups", beside, hot=bool(box.escalated)),
        Tab("mine", "Asked by me", opened),
        Tab("mentions", "Mentions", len(box.mentions), hot=bool(box.mentions)),
        Tab("re-reviews", "Re-reviews due", len(box.re_reviews), hot=any(each.overdue for each in box.re_reviews)),
        Tab("waivers", "Waivers expiring", len(box.waivers)),
        Tab("emergencies", "After emergencies", len(box.emergencies), hot=bool(box.emergencies)),
        Tab("news", "News", unread),
        Tab("all", "All requests", None),
    )


def _of_tasks(tasks: Iterable[TaskRow], me: str, now: datetime, *, may_claim: bool) -> list[tuple[RequestRow, Row]]:
    """Return the requests of tasks, the most pressing first, each with its parts."""
    by_request: dict[int, list[TaskRow]] = {}
    for task in tasks:
        by_request.setdefault(task.request.id, []).append(task)
    found = []
    for group in by_request.values():
        due = min((task.due_at for task in group if task.due_at), default=None)
        parts = tuple(_part(task, me, may_claim) for task in group)
        found.append((group[0].request, _row(group[0].request, now, due=due, parts=parts)))
    return found


def _part(task: TaskRow, me: str, may_claim: bool) -> Part:
    return Part(
        task=task.id,
        what=f"{task.missing} more of {task.group}",
        whose=task.on_behalf_of,
        claim=task.claimed_by_name,
        claimed_until=task.claimed_until,
        mine=bool(task.claimed_by) and task.claimed_by == me,
        may_claim=may_claim and not task.claimed_by,
        note=f"Escalated to {task.escalate_to}" if task.escalated_at else "",
    )


def _row(row: RequestRow, now: datetime, *, due: datetime | None = None, parts: tuple[Part, ...] = ()) -> Row:
    when, tone = words.due(due or row.expires_at, now) if row.is_open else ("", "")
    return Row(
        id=row.id,
        reference=row.reference,
        title=_title(row),
        kind=words.kind(row.kind),
        tier=words.sentence(row.risk_tier),
        asked_by=row.requested_by_name,
        status=words.request(row.state, row.kind),
        open_for=words.duration((row.closed_at or now) - row.created_at) if row.state != "draft" else "",
        due=when,
        due_tone=tone,
        created_at=row.created_at,
        closed_at=row.closed_at,
        reason=row.reason,
        hold=row.hold if row.state == "approved" else "",
        parts=parts,
    )


def _title(row: RequestRow) -> str:
    target = words.target(row.target_kind, row.target)
    if row.kind == "rollback":
        return f"{row.model} back to v{row.version} in {target}"
    if row.kind == "re_review":
        return f"{row.model} v{row.version} in {target} again"
    return f"{row.model} v{row.version} to {target}"


def _matches(row: RequestRow, wish: Wish) -> bool:
    text = f"{row.model} {row.requested_by} {row.requested_by_name} {row.reference}".lower()
    return (
        wish.query.strip().lower() in text
        and (not wish.tier or row.risk_tier == wish.tier)
        and (not wish.kind or row.kind == wish.kind)
    )


def _groups(found: Sequence[tuple[RequestRow, Row]], now: datetime) -> tuple[tuple[str, tuple[Row, ...]], ...]:
    groups: dict[str, list[Row]] = {"Overdue": [], "Due within 24 hours": [], "Open": [], "Drafts": [], "Closed": []}
    for request, row in found:
        if request.state == "draft":
            key = "Drafts"
        elif not request.is_open:
            key = "Closed"
        else:
            key = {"late": "Overdue", "near": "Due within 24 hours"}.get(row.due_tone, "Open")
        groups[key].append(row)
    return tuple((f"{name}, {len(group)}", tuple(group)) for name, group in groups.items() if group)


def _due(row: ReReviewRow, now: datetime) -> Due:
    due, tone = words.due(row.due_at, now)
    wish = urlencode({"what": f"re_review:{row.target_kind}:{row.target}"})
    return Due(
        title=place(row.model, row.version, row.target_kind, row.target),
        cause=words.cause(row.cause),
        detail=row.detail,
        due=due,
        due_tone=tone,
        escalate_to=row.escalate_to,
        href=f"{reverse('web:version', args=[row.model, row.version])}?{wish}#ask",
    )


def _expiring(row: WaiverRow, now: datetime) -> Expiring:
    return Expiring(
        id=row.id,
        title=f"{row.model}{f' v{row.version}' if row.version else ''}: {words.sentence(row.requirement)}",
        scope=f"Policy {row.policy}, {f'v{row.version} alone' if row.version else 'every version'}",
        control=row.compensating_control,
        until=row.expires_at,
        left=f"in {words.duration(row.expires_at - now)}",
        href=reverse("web:waiver", args=[row.id]),
    )


def _after(row: EmergencyRow) -> After:
    return After(
        id=row.id,
        title=place(row.model, row.version, row.target_kind, row.target),
        incident=row.incident,
        reason=row.reason,
        by=f"{row.requested_by} and {row.confirmed_by}" if row.confirmed_by else row.requested_by,
        ended_at=row.reverted_at,
        outcome=row.outcome,
    )
