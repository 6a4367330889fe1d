"""Take over the registered models and versions of another server, with their numbers, times and content."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.contrib.auth.models import Group
from django.db import transaction
from django.utils import timezone

from artifacts import commands as artifacts
from artifacts import paths
from core import access, audit
from core.access import Actor, Permission
from core.audit import Event
from core.errors import Conflict, NotFound
from registry import manifest, names, provenance, rows, stages
from registry.manifest import Manifest
from registry.models import (
    ModelVersion,
    ModelVersionFile,
    ModelVersionTag,
    RegisteredModel,
    RegisteredModelTag,
    VersionStatus,
)
from registry.moving import MovedModel, MovedVersion
from registry.sources import Source
from tracking import sql
from tracking.import_commands import folder_of
from tracking.models import Imported, ImportedKind, ImportOrigin, LoggedModel, Run
from tracking.moving import mark
from tracking.queries import MAX_ID

_IDS = re.compile(r"(?<![0-9a-zA-Z])(?:m-)?[0-9a-f]{32}(?![0-9a-zA-Z])")


@dataclass(frozen=True)
class Place:
    """Where the files of an imported version lie here. shared: with the run or logged model that has them."""

    folder: str
    shared: bool


@transaction.atomic
def refuse_strangers(*, actor: Actor, origin: ImportOrigin, names: Sequence[str]) -> None:
    """Return if no model here has one of these names but what came from this origin. Raises Denied, Conflict."""
    access.require(actor, Permission.SERVER_MOVE)
    ours = {row.local_id for row in Imported.objects.filter(origin=origin, kind=ImportedKind.MODEL)}
    taken: list[str] = []
    for start in range(0, len(names), 500):
        here = RegisteredModel.objects.filter(name__in=names[start : start + 500], deleted_at__isnull=True)
        taken += [model.name for model in here if str(model.pk) not in ours]
    if taken:
        listed = ", ".join(sorted(taken)[:10]) + (f" and {len(taken) - 10} more" if len(taken) > 10 else "")
        raise Conflict(
            f"Here are registered models of the same name that did not come from {origin.name}: {listed}. Rename them here or "
            "there; if they came from this server under another address, give that address with --origin. Nothing was changed.",
            code="not_from_this_source",
        )


@transaction.atomic
def import_models(*, actor: Actor, origin: ImportOrigin, models: Sequence[MovedModel], team: str = "") -> dict[str, str]:
    """Take over models with tags; return name -> "new", "changed" or "unchanged". Aliases are given by ``workflows``.

    team: a group that owns what is new. Raises Denied, and Conflict for a name taken by a model from elsewhere.
    """
    access.require(actor, Permission.SERVER_MOVE)
    refuse_strangers(actor=actor, origin=origin, names=[given.name for given in models])
    held = _held(origin, ImportedKind.MODEL, [given.name for given in models])
    outcome: dict[str, str] = {}
    for given in models:
        row, digest = held.get(given.name), mark(given)
        if row is not None and row.mark == digest:
            outcome[given.name] = "unchanged"
            continue
        model = RegisteredModel.objects.filter(pk=int(row.local_id), deleted_at__isnull=True).first() if row else None
        if row is not None and model is None:
            outcome[given.name] = "unchanged"  # it was deleted here since, and stays so
            continue
        model = model or RegisteredModel(created_ms=given.created_ms)
        model.name = names.model_name(given.name)
        model.description, model.updated_ms = given.description, given.updated_ms
        model.is_prompt = names.is_prompt(given.tags)
        model.save()
        RegisteredModelTag.objects.filter(model=model).delete()
        RegisteredModelTag.objects.bulk_create(
            [RegisteredModelTag(model=model, key=key, value=value) for key, value in given.tags.items()]
        )
        if row is None and team:
            _own(model, team)
        _note(origin, ImportedKind.MODEL, given.name, str(model.pk), "", digest)
        outcome[given.name] = "changed" if row else "new"
        audit.record(
            actor,
            Event.MODEL_IMPORTED,
            subject=("model", model.name),
            scope=f"model:{model.pk}",
            after={"origin": origin.name, "tags": given.tags, "description": given.description, "digest": digest},
        )
    return outcome


@transaction.atomic
def import_version(*, actor: Actor, origin: ImportOrigin, version: MovedVersion, folder: str) -> str:
    """Take over a version whose files are here, below a folder; return "new", "changed" or "unchanged".

    Its content is frozen, digested and drawn into the lineage as that of a version registered here. Of one that is here already
    only description, tags, status and times change. folder: "" for a prompt, which has no files. One whose files could not be had
    has no digest, so no policy lets it pass. Raises Denied, NotFound, Conflict.
    """
    access.require(actor, Permission.SERVER_MOVE)
    owner = _held(origin, ImportedKind.MODEL, [version.model]).get(version.model)
    model = RegisteredModel.objects.filter(pk=int(owner.local_id), deleted_at__isnull=True).first() if owner else None
    if model is None:
        raise NotFound(f"There is no model {version.model!r} from {origin.name}.")
    row, digest = _held(origin, ImportedKind.VERSION, [version.id]).get(version.id), mark(version)
    if row is not None and row.mark == digest:
        return "unchanged"
    now = timezone.now()
    held = ModelVersion.objects.filter(model=model, number=version.number).first()
    if held is None:
        held = _register(actor, model, version, folder, now)
    elif row is None:
        raise Conflict(f"Version {version.number} of {version.model} was registered here, not at {origin.name}.")
    else:
        held.description, held.status_message = version.description, version.status_message
        held.updated_ms = version.updated_ms
        held.save(update_fields=["description", "status_message", "updated_ms"])
        ModelVersionTag.objects.filter(version=held).delete()
    ModelVersionTag.objects.bulk_create(
        [ModelVersionTag(version=held, key=key, value=value) for key, value in version.tags.items()]
    )
    _note(origin, ImportedKind.VERSION, version.id, str(held.pk), version.address, digest)
    audit.record(
        actor,
        Event.VERSION_IMPORTED,
        subject=("model_version", f"{model.name}/{held.number}"),
        scope=f"model:{model.pk}",
        after={
            "origin": origin.name,
            "source": version.source,
            "location": version.address,
            "user": version.user,
            "digest": digest,
            "content_digest": held.content_digest,
            "size_bytes": held.size_bytes,
            "tags": version.tags,
        },
    )
    return "changed" if row else "new"


def place_of(origin: ImportOrigin, version: MovedVersion) -> Place | None:
    """Return where the files of a version lie here: with the run or logged model that has them, else in a folder of its own.

    None for what has no files, a prompt. Reads only.
    """
    address = version.address
    if names.is_prompt(version.tags):
        return None
    found = _IDS.findall(f"{address} {version.run_id}")
    for row in Imported.objects.filter(
        origin=origin, kind__in=[ImportedKind.RUN, ImportedKind.LOGGED_MODEL], source_id__in=found
    ).order_by("-kind"):
        inside = _below(address, row.location, row.source_id)
        if inside is not None:
            table = "tracking_run" if row.kind == ImportedKind.RUN else "tracking_loggedmodel"
            ((experiment_id,),) = sql.fetch(f"SELECT experiment_id FROM {table} WHERE id = %s", [row.local_id])
            return Place(paths.join(folder_of(experiment_id, row.local_id), paths.safe(inside)), shared=True)
    owner = _held(origin, ImportedKind.MODEL, [version.model])[version.model]
    # The number of no experiment: nobody may read or write there but through the version.
    return Place(f"{MAX_ID}/versions/{owner.local_id}/{version.number}", shared=False)


def _below(address: str, location: str, record_id: str) -> str | None:
    """Return the path of an address below where a run or logged model keeps its artifacts, None if it lies elsewhere."""
    for root in (location.rstrip("/"), f"runs:/{record_id}", f"models:/{record_id}"):
        if root and (address == root or address.startswith(root + "/")):
            return address[len(root) :].strip("/")
    return None


def _register(actor: Actor, model: RegisteredModel, version: MovedVersion, folder: str, now: datetime) -> ModelVersion:
    location = paths.uri(folder) if folder else ""
    found = _source(version, location)
    content = _freeze(model, version.number, folder)
    held = ModelVersion(
        model=model,
        number=version.number,
        description=version.description,
        source=found.source,
        storage_location=location,
        run_id=version.run_id,
        run_link=version.run_link,
        logged_model_id=found.logged_model_id,
        status=version.status if version.status in VersionStatus.values else VersionStatus.READY,
        status_message=version.status_message,
        content_digest=content.digest,
        size_bytes=content.size_bytes,
        mlmodel=manifest.mlmodel(content),
        user_id_text=version.user[:256],
        created_ms=version.created_ms,
        updated_ms=version.updated_ms,
    )
    held.save(force_insert=True)
    ModelVersionFile.objects.bulk_create(
        [ModelVersionFile(version=held, path=f.path, digest=f.digest, size_bytes=f.size_bytes) for f in content.files]
    )
    RegisteredModel.objects.filter(pk=model.pk, next_number__lte=version.number).update(next_number=version.number + 1)
    stages.begin(held, actor=actor, at=now)
    provenance.record(held, found, content, at=now)
    return held


def _source(version: MovedVersion, location: str) -> Source:
    """Return where a version came from, in addresses of this server: those of the other would lead nowhere."""
    kept = version.source.startswith(("runs:/", "models:/")) or not location
    logged_id = next((i for i in _IDS.findall(f"{version.address} {version.source}") if i.startswith("m-")), "")
    logged = LoggedModel.objects.filter(pk=logged_id).first() if logged_id else None
    run_id = version.run_id or (logged.source_run_id if logged else "")
    return Source(
        version.source if kept else location,
        location,
        run_id,
        logged.pk if logged else "",
        Run.objects.filter(pk=run_id).first() if run_id else None,
        logged,
    )


def _freeze(model: RegisteredModel, number: int, folder: str) -> Manifest:
    if not folder:
        return Manifest()
    holder = rows.holder(model, number)
    artifacts.freeze(folder, holder)
    content = manifest.of_folder(folder)
    if not content.files:
        artifacts.unfreeze(holder)
    return content


def _own(model: RegisteredModel, team: str) -> None:
    group = Group.objects.filter(name=team).first()
    if group is None:
        raise NotFound(f"There is no team {team!r}.")
    model.owner_team = group
    model.save(update_fields=["owner_team"])
    access.grant(model, "model_write", groups=[group.pk])


def _held(origin: ImportOrigin, kind: ImportedKind, ids: Sequence[str]) -> dict[str, Imported]:
    return {row.source_id: row for row in Imported.objects.filter(origin=origin, kind=kind, source_id__in=ids)}


def _note(origin: ImportOrigin, kind: ImportedKind, source_id: str, local_id: str, location: str, digest: str) -> None:
    Imported.objects.update_or_create(
        origin=origin,
        kind=kind,
        source_id=source_id,
        defaults={"local_id": local_id, "location": location[:2200], "mark": digest},
    )
