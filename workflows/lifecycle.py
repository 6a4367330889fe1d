"""What every command on a request shares: the row under a lock, one step of the state machine with its event, and waking it."""

from __future__ import annotations

from typing import Any, TypeVar

from django.db.models import Model, QuerySet
from django.utils import timezone

from core import access, audit, jobs
from core.access import Actor, Permission
from core.audit import Event
from core.errors import Conflict, NotFound
from core.models import User
from core.sql import fetch
from registry.models import RegisteredModel
from workflows import states
from workflows.assessment import Assessment
from workflows.models import OPEN_STATES, PromotionRequest, ReviewTask

M = TypeVar("M", bound=Model)

ADVANCE = "workflows.advance_request"
EXECUTE = "workflows.execute_request"

_OPEN_REQUESTS = f"""SELECT r.id FROM workflows_promotionrequest r JOIN registry_registeredmodel m ON m.id = r.model_id
 WHERE m.name = %s AND m.deleted_at IS NULL AND r.state IN ({", ".join(f"'{state}'" for state in OPEN_STATES)}) ORDER BY r.id"""


def lock(request_id: int) -> PromotionRequest | None:
    """Return a request with its model's row and its own locked, and what commands read of it; None if there is none.

    The model comes first here and in ``registry.rows``: whoever locks in another order could meet others head on.
    """
    model_id = PromotionRequest.objects.filter(pk=request_id).values_list("model_id")
    model = _only(RegisteredModel.objects.select_for_update(no_key=True).filter(pk__in=model_id))
    if model is None:
        return None
    request = _only(
        PromotionRequest.objects.select_for_update(of=("self",))
        .select_related("version__created_by", "requested_by", "champion__created_by")
        .filter(pk=request_id)
    )
    if request is not None:
        request.model = request.version.model = model
        if request.champion is not None:
            request.champion.model = model
    return request


def locked_request(actor: Actor, request_id: int) -> PromotionRequest:
    """Return a request with its row locked. Raises NotFound when absent or hidden."""
    request = lock(request_id)
    if request is None or not access.explain(actor, Permission.MODEL_READ, request.model).allowed:
        raise NotFound(f"There is no promotion request {request_id}, or you may not see it.")
    return request


def move(actor: Actor, request: PromotionRequest, event: str, record: Event, **details: Any) -> None:
    """Move the state by compare-and-set, and record it. Raises Conflict when the event cannot happen in this state."""
    held = request.state
    following = states.after(held, event)
    if following is None:
        raise Conflict(f"{request.reference} is {held.replace('_', ' ')}; that is no longer possible.", code="wrong_state")
    now = timezone.now()
    closed = None if following in states.OPEN else now
    moved = PromotionRequest.objects.filter(pk=request.pk, state=held).update(
        state=following, updated_at=now, closed_at=closed, hold=""
    )
    if not moved:
        raise Conflict(f"{request.reference} was changed by someone else just now; look again.", code="moved_meanwhile")
    request.state, request.updated_at, request.closed_at, request.hold = following, now, closed, ""
    if following != "in_review":
        ReviewTask.objects.filter(request=request, closed_at__isnull=True).update(closed_at=now)
    audit.record(
        actor,
        record,
        subject=("promotion_request", request.pk),
        scope=f"model:{request.model_id}",
        before={"state": held},
        after={"state": following, **{key: value for key, value in details.items() if value not in ("", None)}},
    )


def wake(request_id: int) -> None:
    """Have a request judged again, in the background.

    Without a key: a job that runs already may have looked before this change was made, and must not swallow it.
    """
    jobs.enqueue(ADVANCE, request_id=request_id)


def wake_model(name: str) -> None:
    """Have every open request of a model judged again: something that its policies may look at has changed.

    One statement, by hand, since every tag of a model waits for it.
    """
    for (request_id,) in fetch(_OPEN_REQUESTS, [name]):
        wake(request_id)


def asked(assessment: Assessment) -> list[User]:
    """Return the people whose review is waited for; everybody who may review where no step says whose."""
    groups = {result.group for result in assessment.verdict.waiting}
    names = [p.username for p in assessment.facts.people if not groups or groups & set(p.groups)]
    return list(User.objects.filter(username__in=names).order_by("username"))


def _only(rows: QuerySet[M]) -> M | None:
    """Return the only row; unlike ``first`` without sorting, which costs more than the look-up."""
    return next(iter(rows), None)
