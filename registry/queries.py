"""Read models and versions as they are, or as they stood at a time, limited to what the actor may see.

What a time changes is which there were and where they stood; names, descriptions and tags are those of now.
Whatever shows many takes a fixed number of statements. What MLflow asks for, often and at once, is read by ``registry.records``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

from django.db.models import Count, Max, Model, Q, QuerySet

from artifacts import paths
from artifacts import queries as artifacts
from artifacts.models import FrozenTree
from artifacts.queries import FileInfo
from core import access
from core.access import Actor, Permission
from core.errors import Invalid, NotFound
from registry import history, names
from registry.history import Period, existed, held
from registry.models import (
    AliasAssignment,
    ModelVersion,
    ModelVersionFile,
    ModelVersionTag,
    RegisteredModel,
    RegisteredModelTag,
    Stage,
    StageAssignment,
)
from registry.rows import frozen_by
from tracking.models import Run

M = TypeVar("M", bound=Model)


@dataclass(frozen=True)
class ModelSummary:
    """A registered model in a list. stages: stage -> number of the newest version in it. aliases: alias -> number."""

    id: int
    name: str
    description: str
    risk_tier: str
    owner_team: str
    created_by: str
    created_at: datetime
    updated_at: datetime
    deleted_at: datetime | None
    version_count: int
    stages: dict[str, int]
    aliases: dict[str, int]
    tags: dict[str, str]

    @property
    def latest(self) -> int | None:
        """Return the number of the newest version: every version that was not deleted is in a stage."""
        return max(self.stages.values(), default=None)


@dataclass(frozen=True)
class VersionSummary:
    """A version in a list. ``content_digest`` is empty where its files lie in a store that is not ours."""

    id: int
    model: str
    number: int
    stage: str
    aliases: list[str]
    description: str
    created_by: str
    created_at: datetime
    updated_at: datetime
    run_id: str
    logged_model_id: str
    source: str
    status: str
    content_digest: str
    size_bytes: int
    tags: dict[str, str]


@dataclass(frozen=True)
class VersionDetail(VersionSummary):
    """A version with where its files lie and what its MLmodel file says."""

    status_message: str
    storage_location: str
    run_link: str
    mlmodel: dict[str, Any]


@dataclass(frozen=True)
class FileLine:
    """A line of a version's manifest. digest: ``sha256:...``"""

    path: str
    digest: str
    size_bytes: int


@dataclass(frozen=True)
class ModelList:
    """Models by name. production: model -> every version in Production, newest first. people: username -> display name."""

    models: list[ModelSummary]
    production: dict[str, list[int]]
    people: dict[str, str]


@dataclass(frozen=True)
class ModelHistory:
    """A model with its newest versions and what was moved last. stages: all there are. runs: run id -> name."""

    model: ModelSummary
    stages: list[str]
    versions: list[VersionDetail]
    moves: list[Period]
    people: dict[str, str]
    runs: dict[str, str]


@dataclass(frozen=True)
class VersionHistory:
    """A version with its manifest, of which ``file_count`` says the full length, and what it held last."""

    version: VersionDetail
    risk_tier: str
    files: list[FileLine]
    file_count: int
    moves: list[Period]
    people: dict[str, str]
    runs: dict[str, str]


def models(
    actor: Actor, *, text: str = "", risk_tier: str = "", owner_team: str = "", tag: str = "", as_of: datetime | None = None
) -> QuerySet[RegisteredModel]:
    """Return the models the actor may see, but for prompts. text: found in the name. tag: ``key`` or ``key=value``."""
    rows = RegisteredModel.objects.filter(existed(as_of), is_prompt=False).select_related("owner_team", "created_by")
    if text:
        rows = rows.filter(name__icontains=text)
    if risk_tier:
        rows = rows.filter(risk_tier=risk_tier)
    if owner_team:
        rows = rows.filter(owner_team__name=owner_team)
    if tag:
        rows = rows.filter(pk__in=_tagged(RegisteredModelTag.objects.all(), tag).values("model"))
    return access.visible(actor, rows, Permission.MODEL_READ)


def model(actor: Actor, name: str, *, as_of: datetime | None = None) -> RegisteredModel:
    """Return a model. Raises NotFound if it is absent or hidden, or was not there at that time."""
    rows = RegisteredModel.objects.filter(existed(as_of), name=name).select_related("owner_team", "created_by")
    found = access.visible(actor, rows, Permission.MODEL_READ).first()
    if found is None:
        raise NotFound(f"There is no registered model {name!r}, or you may not see it.")
    return found


def model_list(actor: Actor, *, text: str = "", after: str = "", limit: int = 50) -> ModelList:
    """Return the first models by name, after a name if one is given. text: found in the name."""
    rows = models(actor, text=text)
    if after:
        rows = rows.filter(name__gt=after)
    found = list(rows.order_by("name")[:limit])
    production: dict[str, list[int]] = defaultdict(list)
    standing = StageAssignment.objects.filter(held(None), model__in=[row.pk for row in found], stage="Production")
    for name, number in standing.order_by("-version__number").values_list("model__name", "version__number"):
        production[name].append(number)
    return ModelList(model_summaries(found), dict(production), _people(found))


def model_history(row: RegisteredModel, *, versions: int = 200, moves: int = 200) -> ModelHistory:
    """Return a model that the actor was found to see, with at most so many versions, newest first, and moves."""
    found = list(_with_people(row.versions.filter(existed(None))).order_by("-number")[:versions])
    return ModelHistory(
        model_summaries([row])[0],
        list(Stage.objects.order_by("position").values_list("name", flat=True)),
        version_details(found),
        history.moves(row, limit=moves),
        _people([row, *found]),
        _runs(found),
    )


def model_summaries(rows: list[RegisteredModel], as_of: datetime | None = None) -> list[ModelSummary]:
    """Return summaries of models in their order, by three statements however many they are."""
    ids = [row.pk for row in rows]
    newest: dict[int, dict[str, int]] = defaultdict(dict)
    counts: dict[int, int] = defaultdict(int)
    standing = StageAssignment.objects.filter(held(as_of), model__in=ids).order_by("stage__position")
    for owner, stage, number, count in standing.values_list("model", "stage").annotate(Max("version__number"), Count("pk")):
        newest[owner][stage] = number
        counts[owner] += count
    aliases: dict[int, dict[str, int]] = defaultdict(dict)
    named = AliasAssignment.objects.filter(held(as_of), model__in=ids).order_by("alias")
    for owner, alias, number in named.values_list("model", "alias", "version__number"):
        aliases[owner][alias] = number
    tags = _tags(RegisteredModelTag.objects.filter(model__in=ids).values_list("model", "key", "value"))
    return [
        ModelSummary(
            id=row.pk,
            name=row.name,
            description=row.description,
            risk_tier=row.risk_tier,
            owner_team=row.owner_team.name if row.owner_team else "",
            created_by=row.created_by.username if row.created_by else "",
            created_at=_moment(row.created_ms),
            updated_at=_moment(row.updated_ms),
            deleted_at=row.deleted_at,
            version_count=counts[row.pk],
            stages=newest[row.pk],
            aliases=aliases[row.pk],
            tags=tags[row.pk],
        )
        for row in rows
    ]


def versions(
    owner: RegisteredModel,
    *,
    stage: str = "",
    alias: str = "",
    tag: str = "",
    run_id: str = "",
    content_digest: str = "",
    as_of: datetime | None = None,
) -> QuerySet[ModelVersion]:
    """Return the versions of a model that the actor was found to see. stage, alias: held then. tag: ``key`` or ``key=value``."""
    rows = _with_people(ModelVersion.objects.filter(existed(as_of), model=owner))
    if stage:
        standing = StageAssignment.objects.filter(held(as_of), model=owner, stage__name__iexact=stage)
        rows = rows.filter(pk__in=standing.values("version"))
    if alias:
        rows = rows.filter(pk__in=AliasAssignment.objects.filter(held(as_of), model=owner, alias=alias).values("version"))
    if tag:
        rows = rows.filter(pk__in=_tagged(ModelVersionTag.objects.all(), tag).values("version"))
    if run_id:
        rows = rows.filter(run_id=run_id)
    if content_digest:
        rows = rows.filter(content_digest=content_digest)
    return rows


def version(actor: Actor, name: str, number: int, *, as_of: datetime | None = None) -> ModelVersion:
    """Return a version with its model. Raises NotFound if it is absent or hidden, or was not there at that time."""
    rows = ModelVersion.objects.filter(existed(as_of), existed(as_of, "model__"), model__name=name, number=number)
    found = access.visible(actor, _with_people(rows), Permission.MODEL_READ, "model").first()
    if found is None:
        raise NotFound(f"There is no version {number} of a registered model {name!r}, or you may not see it.")
    return found


def version_summaries(rows: list[ModelVersion], as_of: datetime | None = None) -> list[VersionSummary]:
    """Return summaries of versions in their order, by three statements however many they are."""
    return [VersionSummary(**members) for members in _version_members(rows, as_of)]


def version_details(rows: list[ModelVersion], as_of: datetime | None = None) -> list[VersionDetail]:
    """Return versions with all that is written of them, by three statements however many they are."""
    return [
        VersionDetail(
            **members,
            status_message=row.status_message,
            storage_location=row.storage_location,
            run_link=row.run_link,
            mlmodel=row.mlmodel,
        )
        for row, members in zip(rows, _version_members(rows, as_of), strict=True)
    ]


def version_history(row: ModelVersion, *, files: int = 200, moves: int = 100) -> VersionHistory:
    """Return a version that the actor was found to see, with at most so many files and moves."""
    return VersionHistory(
        version_details([row])[0],
        row.model.risk_tier,
        manifest(row, limit=files),
        ModelVersionFile.objects.filter(version=row).count(),
        history.moves(row, limit=moves),
        _people([row]),
        _runs([row]),
    )


def manifest(row: ModelVersion, *, limit: int | None = None) -> list[FileLine]:
    """Return a version's files, by path, at most so many of them."""
    lines = ModelVersionFile.objects.filter(version=row).order_by("path").values_list("path", "digest", "size_bytes")[:limit]
    return [FileLine(path, f"sha256:{digest}", size) for path, digest, size in lines]


def may_read_artifact(actor: Actor, path: str) -> bool:
    """Return whether a path of the artifact tree belongs to a version of a model that the actor may read."""
    holders = FrozenTree.objects.filter(path__in=paths.with_ancestors(paths.safe(path))).values_list("holder", flat=True)
    owners = {model_id for holder in holders if (model_id := frozen_by(holder)) is not None}
    rows = RegisteredModel.objects.filter(existed(None), pk__in=owners)
    return bool(owners) and access.visible(actor, rows, Permission.MODEL_READ).exists()


def version_file(actor: Actor, name: str, number: str | int, path: str) -> FileInfo:
    """Return a file of a version, with the content it was registered with.

    A version whose folder was empty then has no manifest: its files are what the folder holds now.
    Raises NotFound, or Invalid for an unsafe path and for a folder.
    """
    wanted = paths.safe_file(path)
    row = ModelVersion.objects.filter(existed(None), model=model(actor, name), number=names.version_number(number)).first()
    if row is None:
        raise NotFound(f"The model {name!r} has no version {number}.")
    lines = ModelVersionFile.objects.filter(version=row)
    line = lines.filter(path=wanted).first()
    if line is not None:
        return FileInfo(wanted, line.digest, line.size_bytes)
    if lines.filter(path__startswith=wanted + "/").exists():
        raise Invalid(f"{wanted!r} is a folder.")
    folder = paths.path_of(row.storage_location)
    if folder is None or row.content_digest:
        raise NotFound(f"{row.model.name} v{row.number} has no file {wanted!r} here.")
    return artifacts.file_at(paths.join(folder, wanted))


def _version_members(rows: list[ModelVersion], as_of: datetime | None) -> list[dict[str, Any]]:
    ids = [row.pk for row in rows]
    theirs = held(as_of) & Q(model__in={row.model_id for row in rows}, version__in=ids)
    stages = dict(StageAssignment.objects.filter(theirs).values_list("version", "stage"))
    aliases: dict[int, list[str]] = defaultdict(list)
    named = AliasAssignment.objects.filter(theirs).order_by("alias")
    for owner, alias in named.values_list("version", "alias"):
        aliases[owner].append(alias)
    tags = _tags(ModelVersionTag.objects.filter(version__in=ids).values_list("version", "key", "value"))
    return [
        {
            "id": row.pk,
            "model": row.model.name,
            "number": row.number,
            "stage": stages.get(row.pk, ""),
            "aliases": aliases[row.pk],
            "description": row.description or "",
            "created_by": row.created_by.username if row.created_by else "",
            "created_at": _moment(row.created_ms),
            "updated_at": _moment(row.updated_ms),
            "run_id": row.run_id,
            "logged_model_id": row.logged_model_id,
            "source": row.source,
            "status": row.status,
            "content_digest": row.content_digest,
            "size_bytes": row.size_bytes,
            "tags": tags[row.pk],
        }
        for row in rows
    ]


def _with_people(rows: QuerySet[ModelVersion]) -> QuerySet[ModelVersion]:
    return rows.select_related("created_by", "model")


def _people(rows: Iterable[RegisteredModel | ModelVersion]) -> dict[str, str]:
    return {row.created_by.username: row.created_by.display_name for row in rows if row.created_by}


def _runs(rows: Iterable[ModelVersion]) -> dict[str, str]:
    return dict(Run.objects.filter(pk__in={row.run_id for row in rows if row.run_id}).values_list("pk", "name"))


def _tagged(rows: QuerySet[M], tag: str) -> QuerySet[M]:
    key, equal, value = tag.partition("=")
    return rows.filter(key=key, value=value) if equal else rows.filter(key=key)


def _tags(rows: Iterable[tuple[int, str, str]]) -> dict[int, dict[str, str]]:
    found: dict[int, dict[str, str]] = defaultdict(dict)
    for owner, key, value in sorted(rows):
        found[owner][key] = value
    return found


def _moment(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
