"""Let what is brought over from another server stand where it stood there, and say openly what nobody here decided on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django.db import transaction
from django.utils import timezone

from core import access, audit
from core.access import Actor, Permission
from core.audit import Event
from core.errors import Conflict, Invalid
from governance.bindings import bindings_for
from registry import placement, rows
from registry import stages as stage_graph
from registry.models import AliasAssignment, ModelVersion, RegisteredModel
from tracking.models import Imported, ImportedKind, ImportOrigin
from workflows.assessment import pin_of
from workflows.models import Grandfathered

_NOWHERE = "None"


@dataclass
class Placed:
    """What became of the places of a model. kept: where something else was decided here since; refused: what cannot be here."""

    given: int = 0
    grandfathered: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)


@transaction.atomic
def import_places(
    *, actor: Actor, origin: ImportOrigin, model_name: str, stages: Mapping[int, str], aliases: Mapping[str, int]
) -> Placed:
    """Give the versions of an imported model the stages and aliases they hold at the source.

    One that a policy governs here is given all the same, since taking it away would stop what runs; but as grandfathered: a fact
    that says who imported it, from where, and that nobody decided on it. A place that was moved here since the import before
    stays as it is, whatever the source says. stages: number -> stage. aliases: name -> number.
    Raises Denied, NotFound.
    """
    access.require(actor, Permission.SERVER_MOVE)
    model = rows.model(actor, Permission.MODEL_READ, model_name, lock=True)
    versions = {v.number: v for v in ModelVersion.objects.select_related("model").filter(model=model, deleted_at__isnull=True)}
    held = {
        (row.kind, row.source_id): row.mark
        for row in Imported.objects.filter(
            origin=origin,
            kind__in=[ImportedKind.STAGE, ImportedKind.ALIAS],
            source_id__in=[*(f"{model_name}/{n}" for n in stages), *(f"{model_name}@{a}" for a in aliases)],
        )
    }
    placed, before = Placed(), model.updated_ms
    for number, stage in sorted(stages.items()):
        seen = held.get((ImportedKind.STAGE, f"{model_name}/{number}"), _NOWHERE)
        if number in versions and stage != seen:
            _stage(actor, origin, versions[number], stage, seen, placed)
    for alias, number in sorted(aliases.items()):
        seen = held.get((ImportedKind.ALIAS, f"{model_name}@{alias}"), "")
        if number in versions and str(number) != seen:
            _alias(actor, origin, versions[number], alias, seen, placed)
    _drop_aliases(actor, origin, model, aliases, placed)
    # Standing where it stood is no change: what was brought over keeps its times.
    if placed.given:
        ModelVersion.objects.bulk_update(versions.values(), ["updated_ms"], batch_size=500)
        RegisteredModel.objects.filter(pk=model.pk).update(updated_ms=before)
    return placed


@transaction.atomic
def finish_import(*, actor: Actor, origin: ImportOrigin, summary: Mapping[str, Any]) -> None:
    """Put on record what an import brought and how source and copy compare. Raises Denied."""
    access.require(actor, Permission.SERVER_MOVE)
    audit.record(actor, Event.SERVER_IMPORTED, subject=("server", origin.name[:300]), after=dict(summary))


@transaction.atomic
def finish_export(*, actor: Actor, target: str, summary: Mapping[str, Any]) -> None:
    """Put on record what an export wrote, where to, and how copy and original compare. Raises Denied."""
    access.require(actor, Permission.SERVER_MOVE)
    audit.record(actor, Event.SERVER_EXPORTED, subject=("server", target[:300]), after=dict(summary))


def _stage(actor: Actor, origin: ImportOrigin, version: ModelVersion, stage: str, seen: str, placed: Placed) -> None:
    if stage_graph.current_stage(version) != seen:
        placed.kept.append(f"{version} stays in {stage_graph.current_stage(version)}; the source has it in {stage}")
        return
    try:
        stage = stage_graph.canonical_stage(stage)
        placement.assign_stage(version, stage, actor=actor)
    except (Invalid, Conflict) as error:  # this server has stages or steps of its own
        placed.refused.append(f"{version} cannot be in {stage} here: {error.message}")
        return
    placed.given += 1
    _note(origin, ImportedKind.STAGE, f"{version.model.name}/{version.number}", version, stage)
    _grandfather(actor, origin, version, "stage", stage, placed)


def _alias(actor: Actor, origin: ImportOrigin, version: ModelVersion, alias: str, seen: str, placed: Placed) -> None:
    now = AliasAssignment.objects.filter(model=version.model, alias=alias, valid_to__isnull=True)
    number = now.values_list("version__number", flat=True).first()
    if (str(number) if number else "") != seen:
        placed.kept.append(
            f"{version.model.name}@{alias} stays with {number or 'nothing'}; the source has version {version.number}"
        )
        return
    placement.assign_alias(version.model, alias, version, actor=actor)
    placed.given += 1
    _note(origin, ImportedKind.ALIAS, f"{version.model.name}@{alias}", version, str(version.number))
    _grandfather(actor, origin, version, "alias", alias, placed)


def _drop_aliases(actor: Actor, origin: ImportOrigin, model: RegisteredModel, aliases: Mapping[str, int], placed: Placed) -> None:
    """Take away the aliases that an import gave, that still stand as it gave them, and that the source has no longer."""
    standing = AliasAssignment.objects.filter(model=model, valid_to__isnull=True).values_list("alias", flat=True)
    gone = [f"{model.name}@{alias}" for alias in standing if alias not in aliases]
    if not gone:
        return
    for row in Imported.objects.filter(origin=origin, kind=ImportedKind.ALIAS, source_id__in=gone):
        alias = row.source_id.rpartition("@")[2]
        now = AliasAssignment.objects.filter(model=model, alias=alias, valid_to__isnull=True)
        if str(now.values_list("version__number", flat=True).first() or "") == row.mark:
            placement.remove_alias(model, alias, actor=actor)
            row.delete()
            placed.given += 1


def _note(origin: ImportOrigin, kind: ImportedKind, source_id: str, version: ModelVersion, mark: str) -> None:
    Imported.objects.update_or_create(
        origin=origin, kind=kind, source_id=source_id, defaults={"local_id": str(version.pk), "mark": mark}
    )


def _grandfather(actor: Actor, origin: ImportOrigin, version: ModelVersion, kind: str, target: str, placed: Placed) -> None:
    bindings = bindings_for(version.model, kind=kind, target=target)
    if not bindings:
        return
    policies = [f"{pin.policy} v{pin.revision}" for pin in map(pin_of, bindings)]
    Grandfathered.objects.create(
        model=version.model,
        version=version,
        target_kind=kind,
        target=target,
        policies=policies,
        origin=origin.name,
        imported_by=actor.username,
        imported_at=timezone.now(),
    )
    audit.record(
        actor,
        Event.PLACE_GRANDFATHERED,
        subject=("model_version", f"{version.model.name}/{version.number}"),
        scope=f"model:{version.model_id}",
        after={"target": f"{kind}:{target}", "policies": policies, "origin": origin.name},
    )
    placed.grandfathered.append(f"{version} holds {kind} {target}, governed by {', '.join(policies)}")
