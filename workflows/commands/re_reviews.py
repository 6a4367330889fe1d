"""What holds a governed place is reviewed again: by the clock, and when something happened. A time-out never approves anything."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import IntegrityError, transaction
from django.utils import timezone

from core import audit
from core.access import Actor
from core.audit import Event
from governance.bindings import bindings_for
from governance.calendars import Duration
from governance.gate import PinnedPolicy
from governance.models import Binding, BindingMode, PolicyRevision
from governance.policy import CompiledPolicy, compile_policy
from registry.models import AliasAssignment, ModelVersion, RegisteredModel, StageAssignment
from workflows import calendars
from workflows.models import PromotionRequest, ReReview, ReReviewCause

DEFAULT_DUE = Duration(10, "day", business=True)

_LEFT = "the version left the place"


@dataclass(frozen=True)
class Place:
    """A stage or alias with a version that holds it now."""

    kind: str
    name: str
    version: ModelVersion


@transaction.atomic
def note_placed(*, actor: Actor, request: PromotionRequest, policies: Sequence[PinnedPolicy], at: datetime) -> None:
    """Note that a request was carried out: until when its approval holds, and that what asked for it is settled.

    Open re-reviews of the version in this place are closed by the request; those of a version that left are closed as well.
    policies: what the request pinned; of the enforced ones the shortest validity counts. To be called in the transaction
    of the placement, after it.
    """
    days = [p.policy.validity.days for p in policies if p.mode == BindingMode.ENFORCE and p.policy.validity.days]
    request.valid_until = at + timedelta(days=min(days)) if days else None
    request.save(update_fields=["valid_until"])
    here = ReReview.objects.select_related("model", "version__model").filter(
        model=request.model, target_kind=request.target_kind, target=request.target, closed_at__isnull=True
    )
    _close(actor, here.filter(version=request.version), at, f"{request.reference} was carried out", request)
    close_left(actor=actor, model=request.model)


@transaction.atomic
def open_re_reviews(
    *, actor: Actor, model: RegisteredModel, cause: str, detail: str, version: ModelVersion | None = None
) -> list[ReReview]:
    """Ask for a re-review of what holds the model's governed places now, or of one version; return those that are new.

    Only where the newest revision of an enforced policy names the cause under ``validity.re_review_on``; the clock needs no
    naming. A cause that is open already for a version and place is not opened again. To be called by commands that have
    checked the actor's right to say what happened.
    """
    now = timezone.now()
    opened = []
    for place in _places(model, version):
        validities = [
            policy
            for policy in map(_newest, bindings_for(model, kind=place.kind, target=place.name))
            if policy is not None and (cause == ReReviewCause.CLOCK or cause in policy.validity.re_review_on)
        ]
        if validities:
            opened += _open(actor, place, cause, detail, validities, now)
    return opened


@transaction.atomic
def close_left(*, actor: Actor, model: RegisteredModel) -> int:
    """Close the re-reviews of versions that no longer hold the place they were asked for; return how many."""
    rows = ReReview.objects.select_related("model", "version__model").filter(model=model, closed_at__isnull=True)
    held = {(place.kind, place.name, place.version.pk) for place in _places(model)} if rows.exists() else set()
    left = [row for row in rows if (row.target_kind, row.target, row.version_id) not in held]
    return _close(actor, left, timezone.now(), _LEFT)


def _places(model: RegisteredModel, version: ModelVersion | None = None) -> list[Place]:
    """Return every stage and alias that versions of a model hold now."""
    stages = StageAssignment.objects.select_related("version__model").filter(model=model, valid_to__isnull=True)
    aliases = AliasAssignment.objects.select_related("version__model").filter(model=model, valid_to__isnull=True)
    if version is not None:
        stages, aliases = stages.filter(version=version), aliases.filter(version=version)
    held = [Place("stage", row.stage_id, row.version) for row in stages.order_by("pk")]
    return held + [Place("alias", row.alias, row.version) for row in aliases.order_by("pk")]


def _newest(binding: Binding) -> CompiledPolicy | None:
    """Return an enforced binding's policy as it reads now; None for one that only watches."""
    if binding.mode != BindingMode.ENFORCE:
        return None
    document = PolicyRevision.objects.filter(policy_id=binding.policy_id).order_by("-number").values_list("document", flat=True)
    return compile_policy(document[0])


def _open(
    actor: Actor, place: Place, cause: str, detail: str, policies: Iterable[CompiledPolicy], now: datetime
) -> list[ReReview]:
    ends = sorted(
        ((p.validity.due or DEFAULT_DUE).after(now, calendars.named(p.calendar)), p.validity.escalate_to) for p in policies
    )
    due = ends[0][0]
    escalate_to = next((group for _, group in ends if group), "")
    try:
        with transaction.atomic():
            row = ReReview.objects.create(
                model=place.version.model,
                version=place.version,
                target_kind=place.kind,
                target=place.name,
                cause=cause,
                detail=detail,
                opened_by_id=actor.user_id,
                opened_at=now,
                due_at=due,
                escalate_to=escalate_to,
            )
    except IntegrityError:  # open already for the same cause
        return []
    audit.record(
        actor,
        Event.RE_REVIEW_OPENED,
        subject=("re_review", row.pk),
        scope=f"model:{row.model_id}",
        after={
            "model": row.model.name,
            "version": row.version.number,
            "target": f"{row.target_kind}:{row.target}",
            "cause": cause,
            "detail": detail,
            "due_at": due.isoformat(),
        },
    )
    return [row]


def _close(actor: Actor, rows: Iterable[ReReview], at: datetime, outcome: str, request: PromotionRequest | None = None) -> int:
    count = 0
    for row in rows:
        closed = ReReview.objects.filter(pk=row.pk, closed_at__isnull=True).update(
            closed_at=at, closed_by_request=request, outcome=outcome
        )
        if closed:
            count += 1
            audit.record(
                actor,
                Event.RE_REVIEW_CLOSED,
                subject=("re_review", row.pk),
                scope=f"model:{row.model_id}",
                before={"cause": row.cause, "version": row.version.number, "target": f"{row.target_kind}:{row.target}"},
                after={"outcome": outcome, "request": request.pk if request else None},
            )
    return count
