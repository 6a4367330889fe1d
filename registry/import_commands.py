"""Take over the registered models and versions of another server, with their numbers, times and content."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from django.contrib.auth.models import Group
from django.db import transaction
from django.utils import timezone

from artifacts import paths
from core import access, audit, sql
from core.access import Actor, Permission
from core.audit import Change, Event
from core.errors import Conflict, NotFound
from registry import manifest, names, provenance, rows, stages
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


@dataclass
class Taken:
    """What became of versions, by model/number: "new", "changed" or "unchanged"; refused: why it is not here."""

    done: dict[str, str] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)


@transaction.atomic
def import_versions(*, actor: Actor, origin: ImportOrigin, versions: Sequence[MovedVersion], folders: Mapping[str, str]) -> Taken:
    """Take over versions whose files are here, each below its folder.

    Their content is frozen, digested and drawn into the lineage as that of a version registered here. Of one that is here already
    only description, tags, status and times change. folders: model/number -> folder, "" for a prompt, which has no files. One
    whose files could not be had has no digest, so no policy lets it pass. Raises Denied.
    """
    access.require(actor, Permission.SERVER_MOVE)
    taken, now = Taken(), timezone.now()
    noted = _held(origin, ImportedKind.VERSION, [version.id for version in versions])
    models = _models(origin, versions)
    stale = [v for v in versions if v.id not in noted or noted[v.id].mark != mark(v)]
    here = {
        (found.model_id, found.number): found
        for found in ModelVersion.objects.filter(model__in=list(models.values()), number__in={v.number for v in stale})
    }
    taken.done |= {version.id: "unchanged" for version in versions}
    fresh: list[tuple[MovedVersion, ModelVersion]] = []
    again: list[tuple[MovedVersion, ModelVersion]] = []
    for version in stale:
        model = models.get(version.model)
        held = here.get((model.pk, version.number)) if model else None
        if model is None:
            del taken.done[version.id]
            taken.refused[version.id] = "its model was deleted here"
        elif held is None:
            fresh.append((version, ModelVersion(model=model, number=version.number)))
        elif version.id in noted:
            held.model = model
            again.append((version, held))
        else:
            del taken.done[version.id]
            taken.refused[version.id] = f"version {version.number} of this model was registered here"
    _register(actor, fresh, folders, now)
    _change(again)
    ModelVersionTag.objects.bulk_create(
        [ModelVersionTag(version=held, key=key, value=value) for v, held in [*fresh, *again] for key, value in v.tags.items()],
        batch_size=500,
    )
    _note_versions(origin, [*fresh, *again])
    audit.record_many(actor, Event.VERSION_IMPORTED, [_told(origin, v, held) for v, held in [*fresh, *again]])
    taken.done |= {v.id: "new" for v, _ in fresh} | {v.id: "changed" for v, _ in again}
    return taken


def places_of(origin: ImportOrigin, versions: Sequence[MovedVersion]) -> dict[str, Place | None]:
    """Return where the files of versions lie here: with the run or logged model that has them, else in a folder of their own.

    None for what has no files, a prompt. Reads only, by four statements.
    """
    wanted = {v.id: _IDS.findall(f"{v.address} {v.run_id}") for v in versions if not names.is_prompt(v.tags)}
    ids = {each for found in wanted.values() for each in found}
    kinds = [ImportedKind.RUN, ImportedKind.LOGGED_MODEL]
    rows = {row.source_id: row for row in Imported.objects.filter(origin=origin, kind__in=kinds, source_id__in=ids)}
    experiments = dict(Run.objects.filter(pk__in=rows).values_list("pk", "experiment_id"))
    experiments |= dict(LoggedModel.objects.filter(pk__in=rows).values_list("pk", "experiment_id"))
    owners = _held(origin, ImportedKind.MODEL, list({version.model for version in versions}))
    places: dict[str, Place | None] = {}
    for version in versions:
        places[version.id] = None
        # The number of no experiment: nobody may read or write there but through the version.
        if version.id in wanted and version.model in owners:
            places[version.id] = Place(f"{MAX_ID}/versions/{owners[version.model].local_id}/{version.number}", shared=False)
        for row in sorted((rows[i] for i in wanted.get(version.id, []) if i in rows), key=lambda row: row.kind):
            inside = _below(version.address, row.location, row.source_id)
            if inside is not None and row.local_id in experiments:
                folder = paths.join(folder_of(experiments[row.local_id], row.local_id), paths.safe(inside))
                places[version.id] = Place(folder, shared=True)
    return places


def _below(address: str, location: str, record_id: str) -> str | None:
    """Return the path of an address below where a run or logged model keeps its artifacts, None if it lies elsewhere."""
    for root in (location.rstrip("/"), f"runs:/{record_id}", f"models:/{record_id}"):
        if root and (address == root or address.startswith(root + "/")):
            return address[len(root) :].strip("/")
    return None


def _models(origin: ImportOrigin, versions: Sequence[MovedVersion]) -> dict[str, RegisteredModel]:
    """Return the models of versions that are here still, by the name they have at the source."""
    owners = _held(origin, ImportedKind.MODEL, list({version.model for version in versions}))
    alive = RegisteredModel.objects.filter(pk__in=[int(row.local_id) for row in owners.values()], deleted_at__isnull=True)
    by_id = {str(model.pk): model for model in alive}
    return {name: by_id[row.local_id] for name, row in owners.items() if row.local_id in by_id}


def _register(
    actor: Actor, fresh: Sequence[tuple[MovedVersion, ModelVersion]], folders: Mapping[str, str], now: datetime
) -> None:
    logged_ids = {i for v, _ in fresh for i in _IDS.findall(f"{v.address} {v.source}") if i.startswith("m-")}
    logged = {model.pk: model for model in LoggedModel.objects.filter(pk__in=logged_ids)}
    run_ids = {v.run_id for v, _ in fresh} | {model.source_run_id for model in logged.values()}
    runs = {run.pk: run for run in Run.objects.filter(pk__in=run_ids - {""})}
    drawn, files, numbers = [], [], dict[int, int]()
    for version, held in fresh:
        folder = folders.get(version.id, "")
        source = _source(version, paths.uri(folder) if folder else "", logged, runs)
        content = manifest.frozen(folder, rows.holder(held.model, version.number))
        held.description, held.source, held.storage_location = version.description, source.source, source.storage_location
        held.run_id, held.run_link, held.logged_model_id = version.run_id, version.run_link, source.logged_model_id
        held.status = version.status if version.status in VersionStatus.values else VersionStatus.READY
        held.status_message, held.user_id_text = version.status_message, version.user[:256]
        held.created_ms, held.updated_ms = version.created_ms, version.updated_ms
        held.content_digest, held.size_bytes, held.mlmodel = content.digest, content.size_bytes, manifest.mlmodel(content)
        drawn.append((held, source, content))
        numbers[held.model_id] = max(version.number, numbers.get(held.model_id, 0))
    ModelVersion.objects.bulk_create([held for _, held in fresh], batch_size=100)
    for held, _, content in drawn:
        files += [ModelVersionFile(version=held, path=f.path, digest=f.digest, size_bytes=f.size_bytes) for f in content.files]
    ModelVersionFile.objects.bulk_create(files, batch_size=500)
    for model_id, number in numbers.items():
        RegisteredModel.objects.filter(pk=model_id, next_number__lte=number).update(next_number=number + 1)
    if drawn:
        first = stages.initial()
        for held, _, _ in drawn:
            sql.run(*stages.beginning(held, first, actor=actor, at=now))
        provenance.record_all(drawn, at=now)


def _change(again: Sequence[tuple[MovedVersion, ModelVersion]]) -> None:
    for version, held in again:
        held.description, held.status_message = version.description, version.status_message
        held.updated_ms = version.updated_ms
    changed = [held for _, held in again]
    ModelVersion.objects.bulk_update(changed, ["description", "status_message", "updated_ms"], batch_size=100)
    ModelVersionTag.objects.filter(version__in=changed).delete()


def _source(version: MovedVersion, location: str, logged: Mapping[str, LoggedModel], runs: Mapping[str, Run]) -> Source:
    """Return where a version came from, in addresses of this server: those of the other would lead nowhere."""
    kept = version.source.startswith(("runs:/", "models:/")) or not location
    found = next((logged[i] for i in _IDS.findall(f"{version.address} {version.source}") if i in logged), None)
    run_id = version.run_id or (found.source_run_id if found else "")
    return Source(version.source if kept else location, location, run_id, found.pk if found else "", runs.get(run_id), found)


def _told(origin: ImportOrigin, version: MovedVersion, held: ModelVersion) -> Change:
    return Change(
        ("model_version", f"{version.model}/{version.number}"),
        f"model:{held.model_id}",
        after={
            "origin": origin.name,
            "source": version.source,
            "location": version.address,
            "user": version.user,
            "digest": mark(version),
            "content_digest": held.content_digest,
            "size_bytes": held.size_bytes,
            "tags": version.tags,
        },
    )


def _note_versions(origin: ImportOrigin, written: Sequence[tuple[MovedVersion, ModelVersion]]) -> None:
    Imported.objects.bulk_create(
        [
            Imported(
                origin=origin,
                kind=ImportedKind.VERSION,
                source_id=version.id,
                local_id=str(held.pk),
                location=version.address[:2200],
                mark=mark(version),
            )
            for version, held in written
        ],
        update_conflicts=True,
        unique_fields=["origin", "kind", "source_id"],
        update_fields=["mark", "location"],
        batch_size=100,
    )


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
