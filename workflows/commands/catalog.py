"""Move, delete, rename and tag, as every client may do where no policy guards, and nobody where one does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import transaction

from core import access
from core.access import Actor, Permission
from core.errors import Blocked, Conflict, Denied, Invalid
from governance.bindings import any_bound_by_trait, bindings_by_trait, bindings_for
from registry import commands as registry_commands
from registry import names, placement, rows
from registry import stages as stage_graph
from registry.models import ModelVersion, RegisteredModel
from tracking.commands import runs as run_commands
from workflows.commands import tiers
from workflows.gatekeeping import governed_places, guard, observe
from workflows.lifecycle import wake_model
from workflows.models import OPEN_STATES


@transaction.atomic
def transition_stage(*, actor: Actor, model_name: str, version: int, stage: str, archive_existing: bool = False) -> ModelVersion:
    """Move a version to a stage that no policy guards, as on an MLflow server.

    archive_existing: the other versions in that stage move to Archived, all or none.
    Raises Blocked, with the unmet requirements and where to ask, when a policy guards the stage; Invalid for an unknown one.
    """
    subject = rows.version(actor, Permission.MODEL_WRITE, model_name, version, lock=True)
    stage = stage_graph.canonical_stage(stage)
    if archive_existing and stage in ("None", "Archived"):
        raise Invalid(f"archive_existing_versions has no meaning with the stage {stage}; leave it out.")
    looking_on = guard(subject, target_kind="stage", target=stage)
    if archive_existing:
        guard(subject, target_kind="stage", target="Archived")
    _may_leave(actor, subject)
    observe(actor, subject, looking_on, target_kind="stage", target=stage)
    placement.assign_stage(subject, stage, actor=actor, archive_existing=archive_existing)
    subject.refresh_from_db()
    return subject


@transaction.atomic
def set_alias(*, actor: Actor, model_name: str, alias: str, version: int) -> None:
    """Point an alias that no policy guards at a version. Raises Blocked when one does, Invalid for a name that cannot be one."""
    names.alias(alias)
    subject = rows.version(actor, Permission.MODEL_WRITE, model_name, version, lock=True)
    looking_on = guard(subject, target_kind="alias", target=alias)
    observe(actor, subject, looking_on, target_kind="alias", target=alias)
    placement.assign_alias(subject.model, alias, subject, actor=actor)


@transaction.atomic
def delete_alias(*, actor: Actor, model_name: str, alias: str) -> None:
    """Take an alias away; one that a policy guards only with the right to manage the model. Deleting none changes nothing."""
    model = rows.model(actor, Permission.MODEL_WRITE, model_name, lock=True)
    if bindings_for(model, kind="alias", target=alias):
        access.require(actor, Permission.MODEL_MANAGE, model)
    placement.remove_alias(model, alias, actor=actor)


@transaction.atomic
def delete_version(*, actor: Actor, model_name: str, version: int) -> None:
    """Delete a version. Raises Blocked while it holds a governed place, Conflict while a request is open for it."""
    subject = rows.version(actor, Permission.MODEL_MANAGE, model_name, version, lock=True)
    _refuse_held(subject.model, subject, "deleted")
    if subject.promotion_requests.filter(state__in=OPEN_STATES).exists():
        raise Conflict(f"A promotion request is open for {subject}; withdraw it first.", code="request_open")
    registry_commands.delete_version(actor=actor, model_name=model_name, number=version)


@transaction.atomic
def delete_model(*, actor: Actor, model_name: str) -> None:
    """Delete a model with its versions. Raises Blocked while one holds a governed place, Conflict while a request is open."""
    model = rows.model(actor, Permission.MODEL_MANAGE, model_name, lock=True)
    _refuse_held(model, None, "deleted")
    if model.promotion_requests.filter(state__in=OPEN_STATES).exists():
        raise Conflict(f"A promotion request is open for {model_name}; withdraw it first.", code="request_open")
    registry_commands.delete_model(actor=actor, name=model_name)


@transaction.atomic
def rename_model(*, actor: Actor, model_name: str, new_name: str) -> None:
    """Rename a model. Raises Blocked while a version holds a governed place: its policy may be bound by the name."""
    model = rows.model(actor, Permission.MODEL_MANAGE, model_name, lock=True)
    _refuse_held(model, None, "renamed")
    registry_commands.rename_model(actor=actor, name=model_name, new_name=new_name)


@transaction.atomic
def set_model_tag(*, actor: Actor, model_name: str, key: str, value: str = "") -> None:
    """Tag a model. Raises Denied if that would take it out of a policy that is bound by tag."""
    with _staying_bound(actor, model_name):
        registry_commands.set_model_tag(actor=actor, name=model_name, key=key, value=value)


@transaction.atomic
def delete_model_tag(*, actor: Actor, model_name: str, key: str) -> None:
    """Remove a tag. Raises Denied if that would take the model out of a policy that is bound by tag."""
    with _staying_bound(actor, model_name):
        registry_commands.delete_model_tag(actor=actor, name=model_name, key=key)


@transaction.atomic
def update_model(*, actor: Actor, model_name: str, **changes: str | None) -> RegisteredModel:
    """Change description, risk tier or owner team. Raises Denied if a lower tier would take the model out of a policy."""
    with _staying_bound(actor, model_name), tiers.following(actor=actor, model_name=model_name):
        return registry_commands.update_model(actor=actor, name=model_name, **changes)


@transaction.atomic
def delete_run(*, actor: Actor, run_id: str) -> None:
    """Delete a run. Raises Blocked while a registered version came from it: its lineage would end in nothing."""
    run_commands.delete_run(actor=actor, run_id=run_id)  # first, so that who may not see the run learns nothing of it
    held = ModelVersion.objects.select_related("model").filter(run_id=run_id, deleted_at__isnull=True).first()
    if held is not None:
        raise Blocked(f"{held} came from this run; delete the version first, or keep the run as its evidence.")


def _may_leave(actor: Actor, subject: ModelVersion) -> None:
    """Leaving a governed stage needs no promotion, but more than the right to write."""
    held = stage_graph.current_stage(subject)
    if bindings_for(subject.model, kind="stage", target=held):
        access.require(actor, Permission.MODEL_MANAGE, subject.model)


@contextmanager
def _staying_bound(actor: Actor, model_name: str) -> Iterator[None]:
    """Refuse a change of traits that frees a model from a policy, unless by who may change policies."""
    named = RegisteredModel.objects.filter(name=model_name, deleted_at__isnull=True)
    if not any_bound_by_trait():
        yield
        wake_model(model_name)  # traits are facts that policies look at
        return
    before = [b.name for model in named for b in bindings_by_trait(model)]
    yield
    wake_model(model_name)
    after = {b.name for model in named.all() for b in bindings_by_trait(model)}
    if (freed := [name for name in before if name not in after]) and not actor.grants(Permission.POLICY_PUBLISH):
        raise Denied(
            f"This would take {model_name} out of the policy binding {', '.join(freed)}; a platform admin must do it.",
            code="leaves_policy",
        )


def _refuse_held(model: RegisteredModel, version: ModelVersion | None, verb: str) -> None:
    places = governed_places(model, version)
    if places:
        held = ", ".join(f"{kind} {name}" for kind, name, _ in places)
        policies = sorted({binding.policy.name for _, _, bindings in places for binding in bindings})
        raise Blocked(
            f"{version or model.name} holds {held}, governed by {', '.join(policies)}, and cannot be {verb}. Move it out first.",
            policies=policies,
        )
