"""Take on what waits, give it back, and remind of what is due. The clock reminds and escalates; it never decides."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from core import access, audit
from core.access import SYSTEM, Actor, Permission
from core.audit import Event
from core.errors import Conflict, Denied, Invalid, NotFound
from core.models import User
from workflows import calendars, notifications
from workflows.assessment import pins_of
from workflows.models import Delegation, MailPreference, Notification, ReviewTask
from workflows.queries.people import standing_in
from workflows.reviewers import REVIEW_ROLES

CLAIM_BUSINESS_DAYS = 2
BATCH = 200


@transaction.atomic
def claim_task(*, actor: Actor, task_id: int) -> ReviewTask:
    """Take on a review for two business days, so that others need not begin it. They see who has it, and may review all the same.

    Claiming again begins the two days anew. Raises NotFound, Conflict for a closed task or one that somebody else has, Denied
    for whom the task does not wait for.
    """
    task = _locked(actor, task_id)
    now = timezone.now()
    if task.closed_at is not None:
        raise Conflict("Nothing waits here any more; the task is closed.", code="task_closed")
    _require_asked(actor, task, now)
    if _held_by_other(task, actor, now) and task.claimed_by is not None and task.claim_ends_at is not None:
        raise Conflict(
            f"{task.claimed_by.username} has taken this on until {task.claim_ends_at:%Y-%m-%d %H:%M} UTC. You may review it all the "
            "same, or let them give it back.",
            code="claimed_already",
            claimed_by=task.claimed_by.username,
        )
    task.claimed_by_id, task.claimed_at = actor.user_id, now
    task.claim_ends_at = calendars.named(_calendar(task)).business_days(now, CLAIM_BUSINESS_DAYS)
    task.save(update_fields=["claimed_by", "claimed_at", "claim_ends_at"])
    _record(actor, Event.TASK_CLAIMED, task, claimed_until=task.claim_ends_at.isoformat())
    return task


@transaction.atomic
def release_task(*, actor: Actor, task_id: int) -> ReviewTask:
    """Give a claimed review back to the group: who has it may, and who manages accounts. Raises NotFound, Conflict, Denied."""
    task = _locked(actor, task_id)
    if task.claimed_by is None:
        raise Conflict("Nobody has taken this on.", code="not_claimed")
    if task.claimed_by_id != actor.user_id and not actor.grants(Permission.ACCOUNT_MANAGE):
        raise Denied(f"Only {task.claimed_by.username} or a platform admin gives it back.")
    holder = task.claimed_by.username
    task.claimed_by, task.claimed_at, task.claim_ends_at = None, None, None
    task.save(update_fields=["claimed_by", "claimed_at", "claim_ends_at"])
    _record(actor, Event.TASK_RELEASED, task, claimed_by=holder)
    return task


@transaction.atomic
def remind_and_escalate(*, actor: Actor = SYSTEM, at: datetime | None = None) -> int:
    """Remind of reviews a business day before they are due and when they are, and escalate once what is late; return how many.

    At most a batch in one go, so that no transaction grows long: call it until it returns none.
    """
    now = at or timezone.now()
    rows = ReviewTask.objects.select_for_update(of=("self",), skip_locked=True).select_related("request", "claimed_by")
    due = list(rows.filter(closed_at__isnull=True, attend_at__lte=now).order_by("attend_at", "pk")[:BATCH])
    if not due:
        return 0
    members = _members({task.group for task in due} | {task.escalate_to for task in due if task.escalate_to})
    stand_ins = _stand_ins(now)
    notes: list[Notification] = []
    for task in due:
        late = task.due_at is not None and task.due_at <= now
        notes += _notes(task, _reminded(task, members, stand_ins, now), "overdue" if late else "due", _reminder(task, late))
        task.reminded_at, task.attend_at = now, None if late else task.due_at
        if late and task.escalate_to and task.escalated_at is None:
            task.escalated_at = now
            _record(actor, Event.TASK_ESCALATED, task, escalate_to=task.escalate_to)
            notes += _notes(
                task, members[task.escalate_to].values(), "escalated", f"{_reminder(task, late)}; it escalates to you"
            )
    ReviewTask.objects.bulk_update(due, ["reminded_at", "attend_at", "escalated_at"])
    notifications.post(notes)
    return len(due)


@transaction.atomic
def read_notifications(*, actor: Actor, ids: Iterable[int] | None = None) -> int:
    """Mark one's own lines as read, these or all of them; return how many were not. They will not be mailed any more.

    A mark on one's own desk, not a step of governance: it is not recorded.
    """
    rows = Notification.objects.filter(user_id=actor.user_id or 0, read_at__isnull=True)
    if ids is not None:
        rows = rows.filter(pk__in=list(ids))
    return rows.update(read_at=timezone.now())


@transaction.atomic
def set_mail_wanted(*, actor: Actor, wanted: bool) -> None:
    """Say whether one wants mail. As reading, a matter of one's own desk: it is not recorded."""
    if actor.user_id is None:
        raise Invalid("This account gets no mail; it is nobody's.")
    MailPreference.objects.update_or_create(user_id=actor.user_id, defaults={"wanted": wanted})


def _locked(actor: Actor, task_id: int) -> ReviewTask:
    rows = ReviewTask.objects.select_for_update(of=("self",)).select_related("request__model", "claimed_by")
    found = access.visible(actor, rows, Permission.MODEL_READ, "request__model").filter(pk=task_id).first()
    if found is None:
        raise NotFound(f"There is no task {task_id}, or you may not see it.")
    return found


def _require_asked(actor: Actor, task: ReviewTask, now: datetime) -> None:
    access.require(actor, Permission.PROMOTION_REVIEW)
    if actor.user_id is None or User.objects.filter(pk=actor.user_id, is_service=True).exists():
        raise Denied("A review is a person's; programs do not take one on.")
    if f" {actor.user_id} " in task.not_for:
        raise Denied(
            "This does not wait for you: you had a part in the work, reviewed it already, or do not fit the factor.",
            code="not_asked",
        )
    if task.group in actor.roles:
        return
    places = [place for place in standing_in(actor.user_id, now) if task.group in place.groups]
    if not any(f" {place.user_id} " not in task.not_for for place in places):
        raise Denied(f"This waits for {task.group}, and you are not in that group.", code="not_asked")


def _held_by_other(task: ReviewTask, actor: Actor, now: datetime) -> bool:
    holds = task.claim_ends_at is not None and task.claim_ends_at > now
    return holds and task.claimed_by_id is not None and task.claimed_by_id != actor.user_id


def _calendar(task: ReviewTask) -> str:
    return next((pin.compiled.calendar for pin in pins_of(task.request) if pin.policy == task.policy), "")


def _members(groups: Iterable[str]) -> Mapping[str, dict[int, User]]:
    """Return the active people of groups; one statement."""
    found: dict[str, dict[int, User]] = defaultdict(dict)
    rows = User.groups.through.objects.filter(
        group__name__in=[*groups, *REVIEW_ROLES], user__is_active=True, user__is_service=False
    )
    for row in rows.select_related("user", "group").order_by("user__username"):
        found[row.group.name][row.user_id] = row.user
    return found


def _stand_ins(now: datetime) -> Mapping[int, list[Delegation]]:
    """Return the delegations in force by whose place is taken; one statement."""
    found: dict[int, list[Delegation]] = defaultdict(list)
    rows = Delegation.objects.filter(Q(revoked_at=None) | Q(revoked_at__gt=now), starts_at__lte=now, ends_at__gt=now)
    for row in rows.select_related("delegate"):
        found[row.delegator_id].append(row)
    return found


def _reminded(
    task: ReviewTask, members: Mapping[str, dict[int, User]], stand_ins: Mapping[int, list[Delegation]], now: datetime
) -> list[User]:
    """Return who is reminded: who took the task on, else everybody it waits for and who stands in for them."""
    if task.claimed_by is not None and task.claim_ends_at is not None and task.claim_ends_at > now:
        return [task.claimed_by]
    may_review = {user_id for role in REVIEW_ROLES for user_id in members[role]}
    asked = {pk: user for pk, user in members[task.group].items() if pk in may_review and f" {pk} " not in task.not_for}
    for pk in list(asked):
        for row in stand_ins[pk]:
            if (not row.groups or task.group in row.groups) and f" {row.delegate_id} " not in task.not_for:
                asked[row.delegate_id] = row.delegate
    return list(asked.values())


def _reminder(task: ReviewTask, late: bool) -> str:
    when = f"{task.due_at:%Y-%m-%d %H:%M} UTC" if task.due_at else "no time"
    what = f"{task.request.reference}: a review by {task.group}"
    return f"{what} was due at {when}" if late else f"{what} is due at {when}"


def _notes(task: ReviewTask, users: Iterable[User], kind: str, text: str) -> list[Notification]:
    path = f"/requests/{task.request_id}/"
    return [
        Notification(user=user, request=task.request, kind=kind, text=notifications.shortened(text), path=path) for user in users
    ]


def _record(actor: Actor, event: Event, task: ReviewTask, **more: object) -> None:
    audit.record(
        actor,
        event,
        subject=("promotion_request", task.request_id),
        scope=f"model:{task.request.model_id}",
        after={"task": task.pk, "policy": task.policy, "step": task.step, "group": task.group, **more},
    )
