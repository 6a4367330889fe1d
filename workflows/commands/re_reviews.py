"""What holds a governed place is reviewed again: by the clock, and when something happened. A time-out never approves anything."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import IntegrityError, transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from core import access, audit
from core.access import SYSTEM, Actor, Permission
from core.audit import Event
from core.errors import Denied, Invalid, NotFound
from core.models import User
from governance.bindings import bindings_for
from governance.calendars import Duration
from governance.gate import PinnedPolicy
from governance.models import BindingMode, FindingSource, Severity, TargetKind
from governance.policy import CompiledPolicy
from registry.models import AliasAssignment, ModelVersion, RegisteredModel, StageAssignment
from workflows import calendars, emergencies, notifications
from workflows.assessment import pin_of, pins_of
from workflows.commands import findings
from workflows.models import BreakGlass, BreakGlassState, PromotionRequest, RequestState, ReReview, ReReviewCause
from workflows.recalls import versions_made_with

DEFAULT_DUE = Duration(10, "day", business=True)

# What people and machines outside may report; the other causes are noticed here.
REPORTABLE = (ReReviewCause.DATASET_RECALLED, ReReviewCause.VULNERABILITY, ReReviewCause.DRIFT, ReReviewCause.INCIDENT)
# What a machine may report about a model that it may write to.
_BY_MACHINES = (ReReviewCause.VULNERABILITY, ReReviewCause.DRIFT)

# Of the finding that a late re-review leaves, by the risk tier of the model.
_SEVERITIES = {"low": Severity.LOW, "medium": Severity.MEDIUM, "high": Severity.HIGH}

_MOST_DETAIL = 10_000


@dataclass(frozen=True)
class Place:
    """A stage or alias with a version that holds it now, or will again when an emergency ends."""

    kind: str
    name: str
    version: ModelVersion


# When a request was carried out.


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
    settled = _open_rows().filter(version=request.version, target_kind=request.target_kind, target=request.target)
    _close(actor, settled, f"{request.reference} was carried out", request)
    close_left(actor=actor, model=request.model)


@transaction.atomic
def close_left(*, actor: Actor, model: RegisteredModel | None = None) -> int:
    """Close the re-reviews of versions that left the place they were asked for, of one model or of all; return how many.

    What an emergency keeps out of its place has not left it.
    """
    rows = _open_rows() if model is None else _open_rows().filter(model=model)
    away = BreakGlass.objects.filter(
        model=OuterRef("model"),
        target_kind=OuterRef("target_kind"),
        target=OuterRef("target"),
        state=BreakGlassState.IN_FORCE,
    )
    in_stage, by_alias = _held()
    return _close(actor, rows.exclude(in_stage | by_alias).exclude(Exists(away)), "The version left the place")


# When something happened.


@transaction.atomic
def open_re_reviews(
    *, actor: Actor, model: RegisteredModel, cause: str, detail: str, version: ModelVersion | None = None
) -> list[ReReview]:
    """Ask for a re-review of what holds the model's governed places now, or of one version; return those that are new.

    Only where the newest revision of an enforced policy names the cause under ``validity.re_review_on``. A cause that is open
    already for a version and place is not opened again. To be called by commands that have checked the actor's right to say
    what happened.
    """
    opened = []
    for place in _places(model, version):
        bindings = bindings_for(model, kind=place.kind, target=place.name)
        policies = [policy for binding in bindings if cause in (policy := pin_of(binding).compiled).validity.re_review_on]
        if policies:
            opened += _open(actor, place, cause, detail, policies)
    return opened


@transaction.atomic
def report_event(
    *, actor: Actor, model_name: str, cause: str, detail: str, version: int | None = None, dataset: str = ""
) -> list[ReReview]:
    """Say that something happened to a model, or to data; return the re-reviews that this opens.

    A recalled data set concerns every model with a version in use that was trained or measured on it: all of them when who
    reports may read the audit log or publish policies, else those that they manage. Allowed to whoever manages the model; to a
    service account that may write to it for drift and vulnerabilities.
    Raises NotFound for a model, version or data set that is absent or hidden; Denied; Invalid for an unknown cause or no detail.
    """
    if cause not in REPORTABLE:
        raise Invalid(f"There is no event {cause!r} to report; there are {', '.join(REPORTABLE)}.")
    if not detail.strip() or len(detail) > _MOST_DETAIL:
        raise Invalid(f"Say what happened, in at most {_MOST_DETAIL} characters: a reviewer decides on it.")
    if bool(dataset) != (cause == ReReviewCause.DATASET_RECALLED):
        raise Invalid("Name the data set when it is recalled, and only then: `dataset` goes with dataset_recalled.")
    model = _reportable(actor, model_name, cause)
    subject = _version(model, version)
    detail = detail.strip()
    if not dataset:
        return open_re_reviews(actor=actor, model=model, cause=cause, detail=detail, version=subject)
    return [
        row
        for made in _in_reach(actor, versions_made_with(dataset))
        if subject is None or made.pk == subject.pk
        for row in open_re_reviews(actor=actor, model=made.model, cause=cause, detail=f"{dataset}: {detail}", version=made)
    ]


# By the clock.


@transaction.atomic
def due_re_reviews(*, actor: Actor = SYSTEM) -> int:
    """Ask for the re-reviews whose time has come, escalate those not done in time, close those whose version left its place.

    Return how many of all. A late one is escalated once: its group is told, and a finding stays open until somebody sees to it.
    """
    now = timezone.now()
    count = close_left(actor=actor)
    for request in _lapsed(now):
        policies = [pin.compiled for pin in pins_of(request) if pin.mode == BindingMode.ENFORCE and pin.compiled.validity.days]
        place = Place(request.target_kind, request.target, request.version)
        detail = f"The approval of {request.reference} held until {request.valid_until:%Y-%m-%d}."
        count += len(_open(actor, place, ReReviewCause.CLOCK, detail, policies))
    for row in _open_rows().filter(due_at__lte=now, overdue_at__isnull=True):
        count += _escalate(actor, row, now)
    return count


def owner_ids(model: RegisteredModel) -> set[int]:
    """Return the ids of the accounts that answer for a model: who made it and the team that owns it."""
    team = User.objects.filter(groups=model.owner_team_id) if model.owner_team_id else User.objects.none()
    return {*team.values_list("pk", flat=True), *([model.created_by_id] if model.created_by_id else [])}


def _lapsed(now: datetime) -> list[PromotionRequest]:
    """Return the requests whose approval ended while what they gave, or renewed, stands in its place; each the newest one of it."""
    done = PromotionRequest.objects.filter(state=RequestState.DONE)
    same = {name: OuterRef(name) for name in ("version", "target_kind", "target")}
    waiting = ReReview.objects.filter(**same, cause=ReReviewCause.CLOCK, closed_at__isnull=True)
    emergency = BreakGlass.objects.filter(**same, state=BreakGlassState.IN_FORCE)
    rows = done.filter(valid_until__lte=now).exclude(Exists(done.filter(**same, closed_at__gt=OuterRef("closed_at"))))
    rows = rows.exclude(Exists(waiting)).exclude(Exists(emergency))
    # Ids first, for each kind of place by itself: with OR, or all columns to carry along, it takes three times as long.
    ids = [pk for holds in _held() for pk in rows.filter(holds).values_list("pk", flat=True)]
    found = PromotionRequest.objects.filter(pk__in=ids).select_related("model", "version__model")
    return list(found.order_by("valid_until", "pk"))


def _held() -> tuple[Q, Q]:
    """Return the conditions that a row's version holds its target now: that this is a stage, and that it is an alias."""
    current = {"version": OuterRef("version"), "valid_to__isnull": True}
    stage = StageAssignment.objects.filter(**current, stage_id=OuterRef("target"))
    alias = AliasAssignment.objects.filter(**current, alias=OuterRef("target"))
    return Q(Exists(stage), target_kind=TargetKind.STAGE), Q(Exists(alias), target_kind=TargetKind.ALIAS)


def _open_rows() -> QuerySet[ReReview]:
    return ReReview.objects.select_related("model", "version__model").filter(closed_at__isnull=True).order_by("pk")


def _places(model: RegisteredModel, version: ModelVersion | None) -> list[Place]:
    """Return every stage and alias that versions of a model hold now, or will again when an emergency ends."""
    stages = StageAssignment.objects.select_related("version__model").filter(model=model, valid_to__isnull=True)
    aliases = AliasAssignment.objects.select_related("version__model").filter(model=model, valid_to__isnull=True)
    held = [Place("stage", row.stage_id, row.version) for row in stages.order_by("pk")]
    held += [Place("alias", row.alias, row.version) for row in aliases.order_by("pk")]
    held += [Place(row.target_kind, row.target, away) for row, away in emergencies.displaced_now(model)]
    return [place for place in held if version is None or place.version.pk == version.pk]


def _reportable(actor: Actor, name: str, cause: str) -> RegisteredModel:
    rows = RegisteredModel.objects.filter(name=name, deleted_at__isnull=True)
    model = access.visible(actor, rows, Permission.MODEL_READ).first()
    if model is None:
        raise NotFound(f"There is no registered model {name!r}, or you may not see it.")
    machine = bool(actor.responsible) and cause in _BY_MACHINES
    if not (
        _everywhere(actor)
        or access.explain(actor, Permission.MODEL_MANAGE, model).allowed
        or (machine and access.explain(actor, Permission.MODEL_WRITE, model).allowed)
    ):
        raise Denied(
            f"{actor.username} may not report this about {name}: it needs {Permission.MODEL_MANAGE} on the model, or "
            f"{Permission.AUDIT_READ}; a service account with {Permission.MODEL_WRITE} may report {' and '.join(_BY_MACHINES)}."
        )
    return model


def _everywhere(actor: Actor) -> bool:
    return actor.grants(Permission.AUDIT_READ) or actor.grants(Permission.POLICY_PUBLISH)


def _version(model: RegisteredModel, number: int | None) -> ModelVersion | None:
    if number is None:
        return None
    found = ModelVersion.objects.filter(model=model, number=number, deleted_at__isnull=True).first()
    if found is None:
        raise NotFound(f"There is no version {number} of {model.name!r}.")
    return found


def _in_reach(actor: Actor, versions: list[ModelVersion]) -> list[ModelVersion]:
    """Return the versions of models that the actor may speak for."""
    if _everywhere(actor):
        return versions
    models = RegisteredModel.objects.filter(pk__in={version.model_id for version in versions})
    managed = set(access.visible(actor, models, Permission.MODEL_MANAGE).values_list("pk", flat=True))
    return [version for version in versions if version.model_id in managed]


def _open(actor: Actor, place: Place, cause: str, detail: str, policies: Iterable[CompiledPolicy]) -> list[ReReview]:
    """Insert a re-review, due when the first of the policies says; none if one is open already for the same cause."""
    now = timezone.now()
    ends = sorted(
        ((p.validity.due or DEFAULT_DUE).after(now, calendars.named(p.calendar)), p.validity.escalate_to) for p in policies
    )
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
                due_at=ends[0][0],
                escalate_to=next((group for _, group in ends if group), ""),
            )
    except IntegrityError:
        return []
    _record(actor, Event.RE_REVIEW_OPENED, row, after={"detail": detail, "due_at": row.due_at.isoformat()})
    owners = User.objects.filter(pk__in=owner_ids(row.model), is_active=True)
    _tell(owners, row, f"{row.version} in {row.target} must be reviewed again by {row.due_at:%Y-%m-%d}: {detail}")
    return [row]


def _close(actor: Actor, rows: Iterable[ReReview], outcome: str, request: PromotionRequest | None = None) -> int:
    count, now = 0, timezone.now()
    for row in rows:
        still_open = ReReview.objects.filter(pk=row.pk, closed_at__isnull=True)
        if still_open.update(closed_at=now, closed_by_request=request, outcome=outcome):
            count += 1
            _record(actor, Event.RE_REVIEW_CLOSED, row, after={"outcome": outcome, "request": request.pk if request else None})
    return count


def _escalate(actor: Actor, row: ReReview, now: datetime) -> bool:
    """Note once that a re-review is late: tell the group it escalates to, and put it on record as a finding."""
    if not ReReview.objects.filter(pk=row.pk, overdue_at__isnull=True, closed_at__isnull=True).update(overdue_at=now):
        return False
    _record(actor, Event.RE_REVIEW_OVERDUE, row, after={"due_at": row.due_at.isoformat(), "escalate_to": row.escalate_to})
    text = f"The re-review of {row.version} in {row.target} was due on {row.due_at:%Y-%m-%d} and is not done"
    told = Q(pk__in=owner_ids(row.model)) | Q(groups__name=row.escalate_to)
    _tell(User.objects.filter(told, is_active=True).distinct(), row, f"{text}: {row.detail}")
    findings.note_finding(
        actor=actor,
        version=row.version,
        source=FindingSource.RE_REVIEW,
        key=f"re_review:{row.version.number}:{row.target_kind}:{row.target}:{row.cause}"[:300],
        title=text,
        severity=_SEVERITIES[row.model.risk_tier],
        description=row.detail,
        comment=f"due on {row.due_at:%Y-%m-%d}",
    )
    return True


def _record(actor: Actor, event: Event, row: ReReview, *, after: dict[str, object]) -> None:
    about = {
        "model": row.model.name,
        "version": row.version.number,
        "target": f"{row.target_kind}:{row.target}",
        "cause": row.cause,
    }
    audit.record(actor, event, subject=("re_review", row.pk), scope=f"model:{row.model_id}", after=about | after)


def _tell(users: QuerySet[User], row: ReReview, text: str) -> None:
    path = f"/models/{row.model.name}/versions/{row.version.number}/"
    notifications.tell(users, None, "re_review", text, path=path)
