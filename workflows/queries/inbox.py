"""The inbox: what waits for a person, what they asked for, and what they were told. A constant number of statements.

Asked for on every page, so it reads the rows that `workflows.task_rows` keeps, and never the gate.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Q, QuerySet
from django.utils import timezone

from core import access
from core.access import Actor, Permission, Role
from core.errors import NotFound
from governance import risk as governance_risk
from workflows.models import OPEN_STATES, BreakGlassState, ReviewTask
from workflows.notifications import MENTION
from workflows.queries import operations, people, risk
from workflows.queries.operations import EmergencyRow, ReReviewRow
from workflows.queries.people import NotificationRow, StandIn, standing_in
from workflows.queries.requests import RequestRow, request_row, requests
from workflows.queries.risk import WaiverRow

WHOSE = ("me", "others", "escalated")
MOST_COUNTED = 200
WAIVERS_AHEAD = timedelta(days=14)

Key = tuple[datetime, int]


@dataclass(frozen=True)
class TaskRow:
    """A factor of a request that waits for people of a group, as it stands for one reader.

    missing: how many more must approve. claimed_by: who took it on, while that holds. on_behalf_of: whose place the reader takes
    if it is not their own. key: where the next page of a list goes on.
    """

    id: int
    request: RequestRow
    policy: str
    step: str
    group: str
    missing: int
    opened_at: datetime
    due_at: datetime | None
    overdue: bool
    claimed_by: str
    claimed_by_name: str
    claimed_until: datetime | None
    escalate_to: str
    escalated_at: datetime | None
    on_behalf_of: str
    key: str


@dataclass(frozen=True)
class Inbox:
    """What waits on the actor, what they asked for, and what was said to them; the most pressing first.

    waiting_on_me: the requests of ``tasks``, each once. claimed: what waits for the actor's groups and somebody else took on.
    escalated: what is overdue and escalates to a group of the actor's. mine: what they asked for. others: what else is open.
    """

    waiting_on_me: list[RequestRow]
    mine: list[RequestRow]
    others: list[RequestRow]
    notifications: list[NotificationRow]
    tasks: list[TaskRow]
    claimed: list[TaskRow]
    escalated: list[TaskRow]
    mentions: list[NotificationRow]
    re_reviews: list[ReReviewRow]
    waivers: list[WaiverRow]
    emergencies: list[EmergencyRow]
    standing_in_for: list[str]


def inbox(actor: Actor, *, limit: int = 100) -> Inbox:
    """Return the actor's inbox, at most so many of each kind; of tasks there may be more, which `tasks` pages through."""
    at = timezone.now()
    places = _places(actor, at)
    waiting = _rows(_of("me", actor, places, at)[:limit], actor, places, at)
    asked = {row.request.id: row.request for row in waiting}
    mine = requests(actor).filter(requested_by_id=actor.user_id or 0)
    others = requests(actor).filter(state__in=OPEN_STATES).exclude(requested_by_id=actor.user_id or 0).exclude(pk__in=list(asked))
    told = people.notifications(actor)
    return Inbox(
        waiting_on_me=list(asked.values()),
        mine=[request_row(row) for row in mine[:limit]],
        others=[request_row(row) for row in others[:limit]],
        notifications=[people.notification_row(row) for row in told[:20]],
        tasks=waiting,
        claimed=_rows(_of("others", actor, places, at)[:limit], actor, places, at),
        escalated=_rows(_of("escalated", actor, places, at)[:limit], actor, places, at),
        mentions=[people.notification_row(row) for row in people.notifications(actor, unread=True, kind=MENTION)[:limit]],
        re_reviews=_re_reviews(actor, at, limit),
        waivers=_waivers(actor, at, limit),
        emergencies=_emergencies(actor, limit),
        standing_in_for=[place.username for place in places],
    )


def tasks(actor: Actor, *, whose: str = "me", after: Key | None = None, limit: int = 50) -> list[TaskRow]:
    """Return one page of tasks, the most pressing first: by keyset, so that a page costs the same wherever it begins.

    whose: ``me`` for what waits on the actor, ``others`` for what somebody else took on, ``escalated`` for what escalates to a
    group of theirs. after: the key of the last row of the page before.
    """
    at = timezone.now()
    places = _places(actor, at)
    rows = _of(whose, actor, places, at)
    if after is not None:
        rows = rows.filter(press_at__gte=after[0]).exclude(press_at=after[0], pk__lte=after[1])
    return _rows(rows[:limit], actor, places, at)


def task(actor: Actor, task_id: int) -> TaskRow:
    """Return one task, open or not. Raises NotFound when absent or hidden."""
    at = timezone.now()
    found = access.visible(actor, _loaded(), Permission.MODEL_READ, "request__model").filter(pk=task_id).first()
    if found is None:
        raise NotFound(f"There is no task {task_id}, or you may not see it.")
    return _rows([found], actor, _places(actor, at), at)[0]


def waiting_count(actor: Actor) -> int:
    """Return how many requests wait on the actor, counted up to 200."""
    at = timezone.now()
    rows = _of("me", actor, _places(actor, at), at).values_list("request_id", flat=True)
    return len(set(rows[:MOST_COUNTED]))


def parse_key(text: str) -> Key:
    """Return the key that a row's text stands for. Raises ValueError for any other text."""
    moment, _, task_id = text.partition("_")
    at = datetime.fromisoformat(moment)
    if at.tzinfo is None or not task_id.isascii() or not task_id.isdigit() or len(task_id) > 18:
        raise ValueError(text)
    return at, int(task_id)


def _places(actor: Actor, at: datetime) -> list[StandIn]:
    return standing_in(actor.user_id, at) if actor.grants(Permission.PROMOTION_REVIEW) else []


def _loaded() -> QuerySet[ReviewTask]:
    return ReviewTask.objects.select_related(
        "request__model", "request__version", "request__champion", "request__requested_by", "claimed_by"
    )


def _of(whose: str, actor: Actor, places: Iterable[StandIn], at: datetime) -> QuerySet[ReviewTask]:
    """Return open tasks, the most pressing first."""
    rows = _loaded().filter(closed_at__isnull=True).order_by("press_at", "pk")
    rows = access.visible(actor, rows, Permission.MODEL_READ, "request__model")
    if whose == "escalated":
        return rows.filter(escalated_at__isnull=False, escalate_to__in=sorted(actor.roles))
    if actor.user_id is None or not actor.grants(Permission.PROMOTION_REVIEW):
        return rows.none()
    asked = Q(group__in=sorted(actor.roles))
    for place in places:
        # Whoever stands in is bound by what binds either of the two.
        asked |= Q(group__in=sorted(place.groups)) & ~Q(not_for__contains=f" {place.user_id} ")
    rows = rows.filter(asked).exclude(not_for__contains=f" {actor.user_id} ")
    taken = Q(claimed_by__isnull=False, claim_ends_at__gt=at) & ~Q(claimed_by_id=actor.user_id)
    return rows.filter(taken) if whose == "others" else rows.exclude(taken)


def _rows(found: Iterable[ReviewTask], actor: Actor, places: Iterable[StandIn], at: datetime) -> list[TaskRow]:
    return [_row(task, actor, list(places), at) for task in found]


def _row(task: ReviewTask, actor: Actor, places: list[StandIn], at: datetime) -> TaskRow:
    holds = task.claimed_by is not None and task.claim_ends_at is not None and task.claim_ends_at > at
    others = (place.username for place in places if task.group in place.groups)
    return TaskRow(
        id=task.pk,
        request=request_row(task.request),
        policy=task.policy,
        step=task.step,
        group=task.group,
        missing=task.missing,
        opened_at=task.opened_at,
        due_at=task.due_at,
        overdue=task.due_at is not None and task.due_at <= at,
        claimed_by=task.claimed_by.username if task.claimed_by and holds else "",
        claimed_by_name=task.claimed_by.display_name if task.claimed_by and holds else "",
        claimed_until=task.claim_ends_at if holds else None,
        escalate_to=task.escalate_to,
        escalated_at=task.escalated_at,
        on_behalf_of="" if task.group in actor.roles else next(others, ""),
        key=f"{task.press_at.isoformat()}_{task.pk}",
    )


def _re_reviews(actor: Actor, at: datetime, limit: int) -> list[ReReviewRow]:
    """Return what must be reviewed again and the actor can ask for, and what is late and escalates to a group of theirs."""
    rows = operations.re_reviews(actor, state="open")
    theirs = access.visible(actor, rows.order_by(), Permission.PROMOTION_REQUEST, "model").values("pk")
    late = Q(escalate_to__in=sorted(actor.roles), due_at__lte=at)
    return operations.re_review_rows(rows.filter(Q(pk__in=theirs) | late)[:limit])


def _waivers(actor: Actor, at: datetime, limit: int) -> list[WaiverRow]:
    """Return the waivers that end within two weeks, of models that the actor works on or that they asked for."""
    ending = governance_risk.in_force(at).filter(expires_at__lt=at + WAIVERS_AHEAD).values("pk")
    rows = risk.waivers(actor).filter(pk__in=ending)
    theirs = access.visible(actor, rows.order_by(), Permission.PROMOTION_REQUEST, "model").values("pk")
    rows = rows.filter(Q(pk__in=theirs) | Q(requested_by_id=actor.user_id or 0))
    return risk.waiver_rows(rows.order_by("expires_at", "pk")[:limit])


def _emergencies(actor: Actor, limit: int) -> list[EmergencyRow]:
    """Return the emergencies that are over and wait for somebody to look at them who was neither of the two."""
    if not actor.roles & {Role.REVIEWER, Role.AUDITOR}:
        return []
    rows = operations.break_glass(actor, state=BreakGlassState.REVERTED)
    rows = rows.exclude(Q(requested_by_id=actor.user_id) | Q(confirmed_by_id=actor.user_id))
    return [operations.emergency_row(row) for row in rows.order_by("reverted_at", "pk")[:limit]]
