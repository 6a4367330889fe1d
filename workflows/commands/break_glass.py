"""Emergencies: two people move a version past the gate for a time; afterwards what stood there before stands there again."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.utils import timezone

from core import access, audit, jobs
from core.access import SYSTEM, Actor, Permission, Role
from core.audit import Event
from core.errors import Conflict, Denied, Invalid, NotFound
from core.models import User
from governance.bindings import bindings_for
from governance.models import DecisionPurpose, TargetKind
from registry import names, placement, rows
from registry import stages as stage_graph
from registry.models import AliasAssignment, ModelVersion, RegisteredModel, StageAssignment, StageTransition
from workflows import lifecycle, notifications
from workflows.assessment import foresee, store_decision
from workflows.commands import re_reviews
from workflows.emergencies import displaced_by
from workflows.makers import makers_of
from workflows.models import BreakGlass, BreakGlassState, PromotionRequest
from workflows.rules.separation_of_duties import parts_of

REVERT = "workflows.revert_break_glass"

MOST_MINUTES = 1440
PATIENCE = timedelta(hours=24)  # after which a request that nobody confirmed is no emergency any more

_REVIEWERS = frozenset({Role.REVIEWER, Role.AUDITOR})


# Asking and confirming.


@transaction.atomic
def request_break_glass(
    *,
    actor: Actor,
    model_name: str,
    version: int,
    target: str,
    target_kind: str = "stage",
    reason: str,
    incident: str,
    minutes: int,
) -> BreakGlass:
    """Ask for a version to get a governed place at once, for so many minutes; nothing moves before somebody else confirms.

    Raises Denied without the right; Invalid for an unknown target, no reason, no incident, or a time that is none; Conflict when
    nothing guards the place, when the version is there already or could not come back, or when an emergency is open for it.
    """
    access.require(actor, Permission.BREAK_GLASS)
    subject = rows.version(actor, Permission.MODEL_READ, model_name, version, lock=True)
    if actor.user_id is None:
        raise Denied("An emergency is asked for by an account that can answer for it.")
    target = _target(target_kind, target)
    if not reason.strip():
        raise Invalid("Say why it cannot wait: somebody else must confirm it, and it is reviewed afterwards.")
    if not incident.strip() or len(incident.strip()) > 100:
        raise Invalid("Name the incident, in at most 100 characters, such as INC-2041.")
    if not 1 <= minutes <= MOST_MINUTES:
        raise Invalid(f"An emergency lasts from 1 to {MOST_MINUTES} minutes; what is to stay longer needs a promotion request.")
    if not bindings_for(subject.model, kind=target_kind, target=target):
        raise Conflict(
            f"No policy guards {target_kind} {target} of {model_name}; move the version directly.", code="not_governed"
        )
    _may_move(subject, target_kind, target)
    try:
        with transaction.atomic():
            row = BreakGlass.objects.create(
                model=subject.model,
                version=subject,
                target_kind=target_kind,
                target=target,
                reason=reason.strip(),
                incident=incident.strip(),
                minutes=minutes,
                requested_by_id=actor.user_id,
            )
    except IntegrityError:
        other = BreakGlass.objects.get(
            model=subject.model, target_kind=target_kind, target=target, state__in=["requested", "in_force"]
        )
        raise Conflict(
            f"Emergency {other.pk} is {other.state.replace('_', ' ')} for {target}; confirm, refuse or revert it first.",
            code="emergency_open",
            emergency=other.pk,
        ) from None
    _record(
        actor,
        Event.BREAK_GLASS_REQUESTED,
        row,
        after={"reason": row.reason, "incident": row.incident, "minutes": minutes},
    )
    _tell(
        _without(actor, _responders()),
        row,
        f"{actor.username} asks you to confirm {subject} in {target} for {minutes} minutes: {row.reason}",
    )
    return row


@transaction.atomic
def confirm_break_glass(*, actor: Actor, break_glass_id: int) -> BreakGlass:
    """Give the version its place now, as the second person; what stands there comes back when the time is over.

    What the gate would have said is kept as a decision, in the same transaction. No freeze holds an emergency.
    Raises Denied for whoever asked or had a part in the version, and for service accounts; Conflict when it is not waiting any
    more, or when it cannot be done.
    """
    row = _locked(actor, break_glass_id)
    access.require(actor, Permission.BREAK_GLASS)
    if row.state != BreakGlassState.REQUESTED:
        raise _wrong_state(row)
    _refuse_same_hands(actor, row)
    now = timezone.now()
    if row.requested_at + PATIENCE <= now:
        raise Conflict("This was asked for more than a day ago; refuse it, and ask anew if it is still needed.", code="too_old")
    if row.version.deleted_at is not None:
        raise Conflict(f"{row.version} was deleted meanwhile; refuse this, and ask for another version.", code="version_deleted")
    _may_move(row.version, row.target_kind, row.target)
    assessment = foresee(
        row.version,
        target_kind=row.target_kind,
        target=row.target,
        bindings=bindings_for(row.model, kind=row.target_kind, target=row.target),
    )
    decision = store_decision(row.version, assessment, DecisionPurpose.BREAK_GLASS)
    row.displaced = _holder(row)
    row.from_stage = stage_graph.current_stage(row.version)
    row.state, row.confirmed_by_id, row.confirmed_at = BreakGlassState.IN_FORCE, actor.user_id, now
    row.ends_at = now + timedelta(minutes=row.minutes)
    row.save(update_fields=["displaced", "from_stage", "state", "confirmed_by", "confirmed_at", "ends_at"])
    if row.target_kind == TargetKind.STAGE:
        placement.assign_stage(row.version, row.target, actor=actor, archive_existing=row.target not in ("None", "Archived"))
    else:
        placement.assign_alias(row.model, row.target, row.version, actor=actor)
    _record(
        actor,
        Event.BREAK_GLASS_CONFIRMED,
        row,
        before={"state": BreakGlassState.REQUESTED.value},
        after={
            "state": row.state,
            "ends_at": row.ends_at.isoformat(),
            "displaced": row.displaced.number if row.displaced else None,
            "from_stage": row.from_stage,
            "decision": str(decision.pk),
            "outcome": decision.outcome,
        },
    )
    jobs.enqueue(REVERT, key=f"{REVERT}:{row.pk}", delay=timedelta(minutes=row.minutes), break_glass_id=row.pk)
    lifecycle.wake_model(row.model.name)
    _tell(
        _without(actor, _concerned(row)),
        row,
        f"Emergency {row.incident}: {row.version} holds {row.target} until {row.ends_at:%Y-%m-%d %H:%M} UTC",
    )
    return row


@transaction.atomic
def refuse_break_glass(*, actor: Actor, break_glass_id: int, comment: str = "") -> BreakGlass:
    """Refuse what waits to be confirmed, or take one's own back. Raises Denied without the right; Conflict once it is decided."""
    row = _locked(actor, break_glass_id)
    if row.requested_by_id != actor.user_id:
        access.require(actor, Permission.BREAK_GLASS)
    if row.state != BreakGlassState.REQUESTED:
        raise _wrong_state(row)
    by = "Taken back" if row.requested_by_id == actor.user_id else f"Refused by {actor.username}"
    _refuse(actor, row, f"{by}: {comment.strip()}" if comment.strip() else f"{by}.")
    return row


# Ending.


@transaction.atomic
def revert_break_glass(*, actor: Actor, break_glass_id: int) -> BreakGlass:
    """Put back what stood in the place, by the clock or earlier by hand; the review afterwards stays open.

    Where something else was placed there meanwhile it stays, and ``outcome`` says so, as it does of versions that were deleted.
    Raises Denied without the right, Conflict when the emergency is not in force, or for the clock not over yet.
    """
    row = _locked(actor, break_glass_id)
    if actor is not SYSTEM:
        access.require(actor, Permission.BREAK_GLASS)
    if row.state != BreakGlassState.IN_FORCE:
        raise _wrong_state(row)
    if actor is SYSTEM and row.ends_at is not None and row.ends_at > timezone.now():
        raise Conflict(f"Emergency {row.pk} lasts until {row.ends_at.isoformat()}.", code="not_over")
    put_back = _stage_back(actor, row) if row.target_kind == TargetKind.STAGE else _alias_back(actor, row)
    _end(actor, row, put_back)
    re_reviews.close_left(actor=actor, model=row.model)
    lifecycle.wake_model(row.model.name)
    _tell(_concerned(row), row, f"Emergency {row.incident} ended. {row.outcome} Its review is open.")
    return row


@transaction.atomic
def superseded_by(*, actor: Actor, request: PromotionRequest) -> BreakGlass | None:
    """End the emergency in whose place a request is being carried out: what the request gives stays there.

    To be called in the transaction of the execution, which holds the lock of the model's row, and before its placement: rows are
    locked in this order everywhere.
    An emergency's version never stays beside what was asked for: where the request leaves others in the stage, it goes back to
    where it came from.
    """
    row = (
        _rows()
        .select_for_update(of=("self",))
        .filter(
            model_id=request.model_id,
            target_kind=request.target_kind,
            target=request.target,
            state=BreakGlassState.IN_FORCE,
        )
        .first()
    )
    if row is None:
        return None
    said = f"{request.reference} was carried out, so {request.version} holds {row.target}; nothing was reverted over it."
    stays = row.target_kind == TargetKind.STAGE and not request.archive_existing and row.version_id != request.version_id
    if stays and _stands_in_stage(row):
        said += f" {_leave(actor, row)}"
    _end(actor, row, said)
    _tell(_concerned(row), row, f"Emergency {row.incident} ended. {row.outcome} Its review is open.")
    return row


@transaction.atomic
def close_break_glass(*, actor: Actor, break_glass_id: int, note: str) -> BreakGlass:
    """Close the review of an emergency that is over, as a reviewer or auditor who was neither of the two.

    Raises Denied for others, Conflict before it is over, Invalid without a note of what was found.
    """
    row = _locked(actor, break_glass_id)
    if not actor.roles & _REVIEWERS:
        raise Denied("An emergency is reviewed by somebody with the role reviewer or auditor; ask one of them.")
    if actor.user_id is None or actor.responsible:
        raise Denied("Only a person with an account of their own can review an emergency.")
    if part := _part(actor, row):
        raise Denied(f"You {part}; somebody else must review this emergency.", code="separation_of_duties")
    if not note.strip():
        raise Invalid("Say what you found, and what follows from it.")
    if row.state != BreakGlassState.REVERTED:
        raise _wrong_state(row)
    row.state, row.reviewed_by_id, row.reviewed_at = BreakGlassState.CLOSED, actor.user_id, timezone.now()
    row.review_note = note.strip()
    row.save(update_fields=["state", "reviewed_by", "reviewed_at", "review_note"])
    _record(
        actor,
        Event.BREAK_GLASS_REVIEWED,
        row,
        before={"state": BreakGlassState.REVERTED.value},
        after={"state": row.state, "note": row.review_note},
    )
    return row


@transaction.atomic
def end_what_is_over(*, actor: Actor = SYSTEM) -> int:
    """Queue the end of every emergency whose time is over, and drop requests nobody confirmed for a day; return how many."""
    now = timezone.now()
    count = 0
    over = BreakGlass.objects.filter(state=BreakGlassState.IN_FORCE, ends_at__lte=now).values_list("pk", flat=True)
    for pk in over:
        count += jobs.enqueue(REVERT, key=f"{REVERT}:{pk}", break_glass_id=pk) is not None
    forgotten = BreakGlass.objects.filter(state=BreakGlassState.REQUESTED, requested_at__lte=now - PATIENCE)
    for pk in forgotten.values_list("pk", flat=True):
        row = _locked(actor, pk)
        if row.state == BreakGlassState.REQUESTED:
            _refuse(actor, row, "Nobody confirmed it within a day.")
            count += 1
    return count


# Putting back.


def _stage_back(actor: Actor, row: BreakGlass) -> str:
    """Return the version to where it came from and those it displaced to the stage; say what was done and what was not."""
    later = StageAssignment.objects.filter(
        model=row.model, stage_id=row.target, valid_to__isnull=True, valid_from__gt=row.confirmed_at
    ).exclude(version=row.version)
    others = [other.version for other in later.select_related("version__model").order_by("pk")]
    came_back = displaced_by(row)
    said = []
    if _stands_in_stage(row):
        said.append(_leave(actor, row))
    else:
        said.append(f"{row.version} had left {row.target} before.")
    if others:
        listed = ", ".join(str(version) for version in others)
        said.append(f"{row.target} was given to {listed} meanwhile; nothing was reverted over it.")
        return " ".join(said)
    said.extend(_return_to_stage(actor, row, version) for version in came_back)
    if not came_back:
        said.append(f"Nothing stood in {row.target} before.")
    return " ".join(said)


def _stands_in_stage(row: BreakGlass) -> bool:
    return StageAssignment.objects.filter(version=row.version, stage_id=row.target, valid_to__isnull=True).exists()


def _leave(actor: Actor, row: BreakGlass) -> str:
    placement.assign_stage(row.version, row.from_stage, actor=actor, request_id=_earlier_request_id(row.version, row.from_stage))
    return f"{row.version} went back to {row.from_stage}."


def _return_to_stage(actor: Actor, row: BreakGlass, version: ModelVersion) -> str:
    if version.deleted_at is not None:
        return f"{version}, which stood there before, was deleted meanwhile and cannot come back."
    held = stage_graph.current_stage(version)
    if not StageTransition.objects.filter(from_stage_id=held, to_stage_id=row.target).exists():
        return (
            f"{version} cannot come back, since the stage graph has no step from {held} to {row.target}; ask for it by a request."
        )
    placement.assign_stage(version, row.target, actor=actor, request_id=_earlier_request_id(version, row.target))
    return f"{version} stands in {row.target} again."


def _alias_back(actor: Actor, row: BreakGlass) -> str:
    held = _alias_rows(row).filter(valid_to__isnull=True).select_related("version__model").first()
    if held is not None and held.version_id != row.version_id:
        return f"{row.target} was pointed at {held.version} meanwhile and stays there; nothing was reverted over it."
    before = row.displaced
    if before is not None and before.deleted_at is None:
        earlier = _alias_rows(row).filter(version=before, valid_to__isnull=False).order_by("-valid_to", "-pk").first()
        placement.assign_alias(row.model, row.target, before, actor=actor, request_id=earlier.request_id if earlier else None)
        return f"{row.target} points at {before} again."
    placement.remove_alias(row.model, row.target, actor=actor)
    if before is None:
        return f"{row.target} points at nothing again."
    return f"{row.target} was removed, since {before}, at which it pointed before, was deleted meanwhile."


def _alias_rows(row: BreakGlass) -> QuerySet[AliasAssignment]:
    return AliasAssignment.objects.filter(model=row.model, alias=row.target)


def _earlier_request_id(version: ModelVersion, stage: str) -> int | None:
    """Return the request by which a version stood in a stage the last time: it stands there by the same one again."""
    rows = StageAssignment.objects.filter(model=version.model_id, stage_id=stage, version=version, valid_to__isnull=False)
    return rows.order_by("-valid_to", "-pk").values_list("request_id", flat=True).first()


# What these commands share.


def _target(target_kind: str, target: str) -> str:
    if target_kind == TargetKind.STAGE:
        return stage_graph.canonical_stage(target)
    if target_kind == TargetKind.ALIAS:
        names.alias(target)
        return target
    raise Invalid("The target is a stage or an alias: target_kind is `stage` or `alias`.")


def _may_move(version: ModelVersion, target_kind: str, target: str) -> None:
    """Raise Conflict unless the version can go to the place and come back from it."""
    if target_kind == TargetKind.ALIAS:
        held = AliasAssignment.objects.filter(version=version, alias=target, valid_to__isnull=True).exists()
        if held:
            raise Conflict(f"{target} points at {version} already.", code="already_there")
        return
    stage = stage_graph.current_stage(version)
    if stage == target:
        raise Conflict(f"{version} is in {target} already.", code="already_there")
    steps = set(StageTransition.objects.filter(from_stage_id__in=[stage, target]).values_list("from_stage_id", "to_stage_id"))
    for step in ((stage, target), (target, stage)):
        if step not in steps:
            raise Conflict(
                f"The stage graph has no step from {step[0]} to {step[1]}, and an emergency goes there and back.",
                code="no_such_step",
            )


def _holder(row: BreakGlass) -> ModelVersion | None:
    """Return the version in the place now; of several in one stage, the latest to arrive."""
    rows: Any = StageAssignment.objects.filter(model=row.model, stage_id=row.target)
    if row.target_kind == TargetKind.ALIAS:
        rows = _alias_rows(row)
    held = rows.filter(valid_to__isnull=True).select_related("version__model").order_by("-valid_from", "-pk").first()
    return held.version if held else None


def _refuse_same_hands(actor: Actor, row: BreakGlass) -> None:
    if actor.user_id is None or actor.responsible:
        raise Denied("Only a person with an account of their own can confirm an emergency.")
    parts = parts_of(actor.username, makers_of(row.version, requested_by=None))
    if part := _part(actor, row):
        parts.insert(0, f"you {part}")
    if parts:
        raise Denied(f"You cannot confirm this: {'; '.join(parts)}. Somebody else must.", code="separation_of_duties")


def _part(actor: Actor, row: BreakGlass) -> str:
    """Return which of the two the actor was, in words, also through a service account; empty if neither."""
    for user, part in ((row.requested_by, "asked for it"), (row.confirmed_by, "confirmed it")):
        if user is not None and user.pk == actor.user_id:
            return part
        if user is not None and user.responsible_id is not None and user.responsible_id == actor.user_id:
            return f"answer for {user.username}, who {part}"
    return ""


def _refuse(actor: Actor, row: BreakGlass, outcome: str) -> None:
    row.state, row.outcome = BreakGlassState.REFUSED, outcome
    row.save(update_fields=["state", "outcome"])
    _record(
        actor,
        Event.BREAK_GLASS_REFUSED,
        row,
        before={"state": BreakGlassState.REQUESTED.value},
        after={"state": row.state, "outcome": outcome},
    )
    _tell(_without(actor, User.objects.filter(pk=row.requested_by_id)), row, f"Emergency {row.incident}: {outcome}")


def _end(actor: Actor, row: BreakGlass, outcome: str) -> None:
    row.state, row.reverted_at, row.outcome = BreakGlassState.REVERTED, timezone.now(), outcome
    row.save(update_fields=["state", "reverted_at", "outcome"])
    _record(
        actor,
        Event.BREAK_GLASS_REVERTED,
        row,
        before={"state": BreakGlassState.IN_FORCE.value},
        after={"state": row.state, "outcome": outcome},
    )


def _wrong_state(row: BreakGlass) -> Conflict:
    said = {
        BreakGlassState.REQUESTED: "has not been confirmed; refuse it or take it back instead",
        BreakGlassState.IN_FORCE: "is in force; revert it, or wait for its end",
        BreakGlassState.REVERTED: "is over and waits for its review",
        BreakGlassState.CLOSED: "is over and was reviewed",
        BreakGlassState.REFUSED: "was refused or taken back",
    }
    return Conflict(f"Emergency {row.pk} {said[BreakGlassState(row.state)]}.", code="wrong_state")


def _rows() -> QuerySet[BreakGlass]:
    return BreakGlass.objects.select_related(
        "model", "version__model", "version__created_by__responsible", "displaced__model", "requested_by", "confirmed_by"
    )


def _locked(actor: Actor, break_glass_id: int) -> BreakGlass:
    """Return an emergency, the model's row locked before its own. Raises NotFound when absent or hidden."""
    model_id = BreakGlass.objects.filter(pk=break_glass_id).values_list("model_id", flat=True).first()
    model = RegisteredModel.objects.select_for_update(no_key=True).filter(pk=model_id).first() if model_id else None
    if model is None or not access.explain(actor, Permission.MODEL_READ, model).allowed:
        raise NotFound(f"There is no emergency {break_glass_id}, or you may not see it.")
    return _rows().select_for_update(of=("self",)).get(pk=break_glass_id)


def _record(actor: Actor, event: Event, row: BreakGlass, **details: Any) -> None:
    details["after"] |= {
        "model": row.model.name,
        "version": row.version.number,
        "target": f"{row.target_kind}:{row.target}",
        "incident": row.incident,
    }
    audit.record(actor, event, subject=("break_glass", row.pk), scope=f"model:{row.model_id}", **details)


def _responders() -> QuerySet[User]:
    return User.objects.filter(groups__name=Role.INCIDENT_RESPONDER, is_active=True, is_service=False).distinct()


def _concerned(row: BreakGlass) -> QuerySet[User]:
    """Return the two people, and those who answer for the model."""
    two = [pk for pk in (row.requested_by_id, row.confirmed_by_id) if pk is not None]
    ids = {*two, *re_reviews.owner_ids(row.model)}
    return User.objects.filter(pk__in=ids, is_active=True)


def _without(actor: Actor, users: QuerySet[User]) -> QuerySet[User]:
    return users.exclude(username=actor.username)


def _tell(users: QuerySet[User], row: BreakGlass, text: str) -> None:
    notifications.tell(users, None, "break_glass", text, path=f"/emergencies/{row.pk}/")
