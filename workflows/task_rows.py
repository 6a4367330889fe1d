"""The rows behind the inboxes, kept equal to what the gate says waits for people."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from django.utils import timezone

from governance.gate import RequirementResult
from governance.policy import CompiledPolicy, Step, compile_policy
from workflows.assessment import Assessment
from workflows.models import PromotionRequest, ReviewTask

Key = tuple[str, str, str]  # policy, factor, group


def follow(request: PromotionRequest, assessment: Assessment) -> list[ReviewTask]:
    """Make a request's open tasks equal to the factors that wait for people now, and return those that opened.

    To be called with the request's row locked, in the transaction that judged. Closes all of them once the request is no longer
    in review. A constant number of statements.
    """
    now = timezone.now()
    waiting = _waiting(assessment.verdict.waiting) if request.state == "in_review" else {}
    held = {(t.policy, t.factor, t.group): t for t in request.tasks.filter(closed_at=None).select_related("claimed_by")}
    if over := [task.pk for key, task in held.items() if key not in waiting]:
        ReviewTask.objects.filter(pk__in=over).update(closed_at=now)
    if changed := [task for key, task in held.items() if key in waiting and _changed(task, waiting[key])]:
        ReviewTask.objects.bulk_update(changed, ["missing", "claimed_by", "claimed_at"])
    opened = [result for key, result in waiting.items() if key not in held]
    return ReviewTask.objects.bulk_create(_tasks(request, opened, assessment, now)) if opened else []


def _waiting(results: Iterable[RequirementResult]) -> dict[Key, RequirementResult]:
    """Return what waits by its key; of a policy that two bindings pin, the factor with more people missing."""
    found: dict[Key, RequirementResult] = {}
    for result in results:
        key = (result.policy, result.id, result.group)
        if result.mode == "enforce" and (key not in found or found[key].missing < result.missing):
            found[key] = result
    return found


def _changed(task: ReviewTask, result: RequirementResult) -> bool:
    """Bring a task up to date, and return whether it differed. Whoever approved no longer holds a claim on the rest."""
    done = task.claimed_by is not None and task.claimed_by.username in result.people
    if task.missing == result.missing and not done:
        return False
    task.missing = result.missing
    if done:
        task.claimed_by = task.claimed_at = None
    return True


def _tasks(
    request: PromotionRequest, results: Iterable[RequirementResult], assessment: Assessment, now: datetime
) -> list[ReviewTask]:
    policies = {policy.name: policy for policy in (compile_policy(pin.document) for pin in assessment.pins)}
    made = []
    for result in results:
        policy = policies[result.policy]
        step = _step(policy, result.step)
        made.append(
            ReviewTask(
                request=request,
                policy=result.policy,
                step=result.step,
                group=result.group,
                factor=result.id,
                missing=result.missing,
                opened_at=now,
                due_at=_due(policy, step, now),
                escalate_to=step.escalate_to,
            )
        )
    return made


def _step(policy: CompiledPolicy, name: str) -> Step:
    steps = (*policy.steps, *(policy.rollback.steps if policy.rollback else ()))
    return next(step for step in steps if step.name == name)


def _due(policy: CompiledPolicy, step: Step, now: datetime) -> datetime | None:
    from workflows.calendars import named

    return step.due.after(now, named(policy.calendar)) if step.due else None
