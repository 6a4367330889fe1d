"""The rows behind the inboxes, kept equal to what the gate says waits for people."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache, cached_property

from django.utils import timezone

from core.models import User
from governance.calendars import BusinessCalendar
from governance.gate import RequirementResult, steps_of
from governance.policy import Factor, Step
from workflows import calendars, notifications
from workflows.assessment import Assessment
from workflows.models import PromotionRequest, ReviewTask

# In an inbox, what has no due time comes behind all that has, the oldest first.
WITHOUT_DUE = timedelta(days=36_500)
DAY = timedelta(days=1)

Key = tuple[str, str, str]  # policy, factor, group


def follow(request: PromotionRequest, assessment: Assessment) -> None:
    """Make a request's open tasks equal to the factors that wait for people now, and tell the people of steps that open later.

    To be called with the request's row locked, in the transaction that judged. Closes all of them once the request is no longer
    in review. A constant number of statements. Those asked first are told by the command that put the request in review.
    """
    now = timezone.now()
    waiting = _waiting(assessment.verdict.waiting) if request.state == "in_review" else {}
    held = {(t.policy, t.factor, t.group): t for t in request.tasks.filter(closed_at=None)}
    if over := [task.pk for key, task in held.items() if key not in waiting]:
        ReviewTask.objects.filter(pk__in=over).update(closed_at=now)
    if not waiting:
        return
    people = _People(assessment)
    if changed := [task for key, task in held.items() if key in waiting and _brought_up_to_date(task, waiting[key], people)]:
        ReviewTask.objects.bulk_update(changed, ["missing", "not_for", "claimed_by", "claimed_at", "claim_ends_at"])
    named = cache(calendars.named)
    opened = [_opened(request, result, people, named, now) for key, result in waiting.items() if key not in held]
    ReviewTask.objects.bulk_create(opened)
    if held and opened:
        notifications.tell(people.asked(opened), request, "review", f"{request.reference} waits for your review")


def reminder_before(due: datetime, calendar: BusinessCalendar) -> datetime:
    """Return when to remind of what is due: at the same time of day, with the hours of a business day left.

    On a business day, unless the time of day lies outside its hours.
    """
    opens = timedelta(hours=calendar.opens.hour, minutes=calendar.opens.minute)
    closes = timedelta(hours=calendar.closes.hour, minutes=calendar.closes.minute) or DAY
    early = [at for at in (due - days * DAY for days in range(1, 15)) if calendar.between(at, due) >= closes - opens]
    working = [at for at in early if calendar.is_open(at) or calendar.is_open(at - timedelta(seconds=1))]
    return (working or early or [due - DAY])[0]


def _waiting(results: Iterable[RequirementResult]) -> dict[Key, RequirementResult]:
    """Return what waits by its key; of a policy that two bindings pin, the factor with more people missing."""
    found: dict[Key, RequirementResult] = {}
    for result in results:
        key = (result.policy, result.id, result.group)
        if result.mode == "enforce" and (key not in found or found[key].missing < result.missing):
            found[key] = result
    return found


@dataclass(frozen=True)
class _People:
    """Whom the factors of a request do not wait for, and whom they do, among those the gate looked at."""

    assessment: Assessment

    def not_for(self, result: RequirementResult) -> str:
        """Return the ids of who cannot fill a factor: a part in the work, heard already, or not fit for it."""
        names = self._everywhere | self._misfits(_factor(_step(result, self.assessment), result), result.policy)
        ids = sorted(self._users[name].pk for name in names if name in self._users)
        return f" {' '.join(map(str, ids))} " if ids else ""

    def asked(self, tasks: Iterable[ReviewTask]) -> list[User]:
        """Return who could do one of the tasks, by name."""
        tasks = list(tasks)
        known = ((self._users.get(p.username), p.groups) for p in self.assessment.facts.people)
        return [
            user
            for user, groups in known
            if user and any(task.group in groups and f" {user.pk} " not in task.not_for for task in tasks)
        ]

    @cached_property
    def _users(self) -> dict[str, User]:
        facts = self.assessment.facts
        names = {p.username for p in facts.people} | self._everywhere | set(facts.authors.values())
        return {user.username: user for user in User.objects.filter(username__in=names)}

    @cached_property
    def _everywhere(self) -> set[str]:
        heard = {name for r in self.assessment.facts.reviews if r.counts for name in (r.reviewer, r.on_behalf_of) if name}
        return heard | set(self.assessment.barred)

    def _misfits(self, factor: Factor, policy: str) -> set[str]:
        found: set[str] = set()
        if "outside_owner_team" in factor.constraints:
            found |= {p.username for p in self.assessment.facts.people if p.in_owner_team}
        if "not_policy_author" in factor.constraints:
            found |= {pin.author for pin in self.assessment.pins if pin.policy == policy and pin.author}
        return found


def _brought_up_to_date(task: ReviewTask, result: RequirementResult, people: _People) -> bool:
    """Change an open task to what waits now, and return whether it differed.

    Whom it does not wait for any more, such as who reviewed, holds no claim on the rest.
    """
    not_for = people.not_for(result)
    if (task.missing, task.not_for) == (result.missing, not_for):
        return False
    task.missing, task.not_for = result.missing, not_for
    if f" {task.claimed_by_id} " in not_for:
        task.claimed_by_id = task.claimed_at = task.claim_ends_at = None
    return True


def _opened(
    request: PromotionRequest,
    result: RequirementResult,
    people: _People,
    named: Callable[[str], BusinessCalendar],
    now: datetime,
) -> ReviewTask:
    """Return the task for what waits from now on, with its due time and when the clock must look at it first."""
    step = _step(result, people.assessment)
    task = ReviewTask(
        request=request,
        policy=result.policy,
        step=result.step,
        group=result.group,
        factor=result.id,
        missing=result.missing,
        opened_at=now,
        press_at=now + WITHOUT_DUE,
        escalate_to=step.escalate_to,
        not_for=people.not_for(result),
    )
    if step.due is not None:
        calendar = named(next(pin.compiled.calendar for pin in people.assessment.pins if pin.policy == result.policy))
        task.due_at = task.press_at = step.due.after(now, calendar)
        before = reminder_before(task.due_at, calendar)
        task.attend_at = before if before > now else task.due_at
    return task


def _step(result: RequirementResult, assessment: Assessment) -> Step:
    policy = next(pin.compiled for pin in assessment.pins if pin.policy == result.policy)
    return next(step for step in steps_of(policy, assessment.facts) if step.name == result.step)


def _factor(step: Step, result: RequirementResult) -> Factor:
    """Return a result's factor: the one of its group, or of several the one that the number in the id names."""
    of_group = [factor for factor in step.factors if factor.group == result.group]
    return of_group[0] if len(of_group) == 1 else step.factors[int(result.id.rpartition("-")[2]) - 1]
