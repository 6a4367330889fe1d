"""Read what exists as pages, reports and the REST API show it, limited to what the actor may see."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from django.db.models import Count, F, Max, Q, QuerySet

from artifacts import paths
from artifacts import queries as artifacts
from artifacts.models import FrozenTree
from artifacts.queries import FileInfo
from core import access
from core.access import Actor, Permission
from core.errors import Invalid, NotFound
from registry import names
from registry.models import (
    AliasAssignment,
    ModelVersion,
    ModelVersionFile,
    ModelVersionTag,
    RegisteredModel,
    RegisteredModelTag,
    StageAssignment,
)
from registry.rows import frozen_by

_ORDERS = {"name": "name", "-name": "-name", "updated": "updated_ms", "-updated": "-updated_ms"}


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


@dataclass(frozen=True)
class ModelList:
    """One page of models, and how many there are in all that the actor may see."""

    items: list[ModelSummary]
    total: int


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
class ModelPage:
    """A model with its versions, newest first, and what the actor may do with it."""

    model: ModelSummary
    versions: list[VersionSummary]
    may_write: bool
    may_manage: bool


@dataclass(frozen=True)
class FileLine:
    """A line of a version's manifest. digest: ``sha256:...``"""

    path: str
    digest: str
    size_bytes: int


@dataclass(frozen=True)
class VersionPage:
    """A version with its manifest and what its MLmodel file says."""

    version: VersionSummary
    model: ModelSummary
    storage_location: str
    run_link: str
    mlmodel: dict[str, Any]
    files: list[FileLine]
    may_write: bool
    may_manage: bool


@dataclass(frozen=True)
class Period:
    """A version held a place, a stage or an alias, from one time to another; without an end it still does."""

    place: str
    version: int
    valid_from: datetime
    valid_to: datetime | None
    assigned_by: str
    request_id: int | None


@dataclass(frozen=True)
class Placements:
    """What stood where at one time: stage -> numbers, newest first; alias -> number."""

    at: datetime
    stages: dict[str, list[int]] = field(default_factory=dict)
    aliases: dict[str, int] = field(default_factory=dict)


def models(
    actor: Actor,
    *,
    text: str = "",
    risk_tier: str | None = None,
    owner_team: str | None = None,
    stage: str | None = None,
    order_by: str = "name",
    limit: int = 50,
    offset: int = 0,
) -> ModelList:
    """Return a page of the models, but for prompts.

    text: found in name or description, in any case. stage: some version is in it. order_by: name, -name, updated or -updated.
    """
    rows = _visible_models(actor).filter(deleted_at__isnull=True, is_prompt=False)
    if text:
        rows = rows.filter(Q(name__icontains=text) | Q(description__icontains=text))
    if risk_tier:
        rows = rows.filter(risk_tier=risk_tier)
    if owner_team:
        rows = rows.filter(owner_team__name=owner_team)
    if stage:
        standing = StageAssignment.objects.filter(stage__name__iexact=stage, valid_to__isnull=True)
        rows = rows.filter(pk__in=standing.values("model_id"))
    total = rows.count()
    page = rows.select_related("owner_team", "created_by").order_by(_ORDERS.get(order_by, "name"), "pk")
    return ModelList(_summaries(list(page[offset : offset + limit])), total)


def model_page(actor: Actor, name: str) -> ModelPage:
    """Return a model with its versions. Raises NotFound if it is absent or hidden."""
    model = _model(actor, name)
    rows = ModelVersion.objects.filter(model=model, deleted_at__isnull=True).select_related("created_by").order_by("-number")
    return ModelPage(
        _summaries([model])[0],
        _version_summaries(model, list(rows)),
        may_write=access.explain(actor, Permission.MODEL_WRITE, model).allowed,
        may_manage=access.explain(actor, Permission.MODEL_MANAGE, model).allowed,
    )


def version(actor: Actor, name: str, number: str | int) -> VersionPage:
    """Return a version with its manifest. Raises NotFound if it is absent or hidden, Invalid for what is no number."""
    model = _model(actor, name)
    row = (
        ModelVersion.objects.filter(model=model, number=names.version_number(number), deleted_at__isnull=True)
        .select_related("created_by")
        .first()
    )
    if row is None:
        raise NotFound(f"The model {name!r} has no version {number}.")
    files = ModelVersionFile.objects.filter(version=row).order_by("path").values_list("path", "digest", "size_bytes")
    return VersionPage(
        _version_summaries(model, [row])[0],
        _summaries([model])[0],
        storage_location=row.storage_location,
        run_link=row.run_link,
        mlmodel=row.mlmodel,
        files=[FileLine(path, f"sha256:{digest}", size) for path, digest, size in files],
        may_write=access.explain(actor, Permission.MODEL_WRITE, model).allowed,
        may_manage=access.explain(actor, Permission.MODEL_MANAGE, model).allowed,
    )


def stage_history(actor: Actor, name: str, as_of: datetime | None = None) -> list[Period]:
    """Return every stay of a version in a stage, the latest first; given a time, those that held then.

    Also of a model that was deleted, if no other has its name now. Raises NotFound if it is absent or hidden.
    """
    held = StageAssignment.objects.filter(model=_model(actor, name, deleted_too=True)).annotate(place=F("stage_id"))
    return _periods(held, as_of)


def alias_history(actor: Actor, name: str, as_of: datetime | None = None) -> list[Period]:
    """Return every time a version was named by an alias, as ``stage_history`` does for stages."""
    held = AliasAssignment.objects.filter(model=_model(actor, name, deleted_too=True)).annotate(place=F("alias"))
    return _periods(held, as_of)


def placements(actor: Actor, name: str, as_of: datetime | None = None) -> Placements:
    """Return which versions stood in which stage and under which alias at a time, now if none is given.

    Raises NotFound if the model is absent or hidden.
    """
    at = as_of or datetime.now(UTC)
    stages: dict[str, list[int]] = defaultdict(list)
    for period in stage_history(actor, name, at):
        stages[period.place].append(period.version)
    return Placements(
        at,
        {stage: sorted(numbers, reverse=True) for stage, numbers in sorted(stages.items())},
        {period.place: period.version for period in sorted(alias_history(actor, name, at), key=lambda p: p.place)},
    )


def may_read_artifact(actor: Actor, path: str) -> bool:
    """Return whether a path of the artifact tree belongs to a version of a model that the actor may read."""
    holders = FrozenTree.objects.filter(path__in=paths.with_ancestors(paths.safe(path))).values_list("holder", flat=True)
    owners = {model_id for holder in holders if (model_id := frozen_by(holder)) is not None}
    return bool(owners) and _visible_models(actor).filter(pk__in=owners, deleted_at__isnull=True).exists()


def version_file(actor: Actor, name: str, number: str | int, path: str) -> FileInfo:
    """Return a file of a version, with the content it was registered with.

    A version whose folder was empty then has no manifest: its files are what the folder holds now.
    Raises NotFound, or Invalid for an unsafe path and for a folder.
    """
    wanted = paths.safe_file(path)
    row = ModelVersion.objects.filter(
        model=_model(actor, name), number=names.version_number(number), deleted_at__isnull=True
    ).first()
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


def _visible_models(actor: Actor) -> QuerySet[RegisteredModel]:
    return access.visible(actor, RegisteredModel.objects.all(), Permission.MODEL_READ)


def _model(actor: Actor, name: str, *, deleted_too: bool = False) -> RegisteredModel:
    rows = _visible_models(actor).filter(name=name).select_related("owner_team", "created_by")
    if not deleted_too:
        rows = rows.filter(deleted_at__isnull=True)
    found = rows.order_by(F("deleted_at").desc(nulls_first=True)).first()
    if found is None:
        raise NotFound(f"There is no registered model {name!r}, or you may not see it.")
    return found


def _periods(held: QuerySet[Any], as_of: datetime | None) -> list[Period]:
    if as_of is not None:
        held = held.filter(Q(valid_to__isnull=True) | Q(valid_to__gt=as_of), valid_from__lte=as_of)
    rows = held.order_by("-valid_from", "-pk").values_list(
        "place", "version__number", "valid_from", "valid_to", "assigned_by", "request_id"
    )
    return [Period(*row) for row in rows]


def _summaries(rows: list[RegisteredModel]) -> list[ModelSummary]:
    """Return summaries of models in their order, by three statements however many they are."""
    ids = [row.pk for row in rows]
    stages: dict[int, dict[str, int]] = defaultdict(dict)
    counts: dict[int, int] = defaultdict(int)
    standing = StageAssignment.objects.filter(model__in=ids, valid_to__isnull=True).order_by("stage__position")
    for owner, stage, newest, count in standing.values_list("model", "stage").annotate(Max("version__number"), Count("pk")):
        stages[owner][stage] = newest
        counts[owner] += count
    aliases: dict[int, dict[str, int]] = defaultdict(dict)
    named = AliasAssignment.objects.filter(model__in=ids, valid_to__isnull=True).order_by("alias")
    for owner, alias, number in named.values_list("model", "alias", "version__number"):
        aliases[owner][alias] = number
    tags = _tags(RegisteredModelTag.objects.filter(model__in=ids).order_by("key").values_list("model", "key", "value"))
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
            stages=stages[row.pk],
            aliases=aliases[row.pk],
            tags=tags[row.pk],
        )
        for row in rows
    ]


def _version_summaries(model: RegisteredModel, rows: list[ModelVersion]) -> list[VersionSummary]:
    """Return summaries of a model's versions in their order, by three statements however many they are."""
    ids = [row.pk for row in rows]
    stages = dict(StageAssignment.objects.filter(version__in=ids, valid_to__isnull=True).values_list("version", "stage"))
    aliases: dict[int, list[str]] = defaultdict(list)
    named = AliasAssignment.objects.filter(version__in=ids, valid_to__isnull=True).order_by("alias")
    for owner, alias in named.values_list("version", "alias"):
        aliases[owner].append(alias)
    tags = _tags(ModelVersionTag.objects.filter(version__in=ids).order_by("key").values_list("version", "key", "value"))
    return [
        VersionSummary(
            id=row.pk,
            model=model.name,
            number=row.number,
            stage=stages[row.pk],
            aliases=aliases[row.pk],
            description=row.description or "",
            created_by=row.created_by.username if row.created_by else "",
            created_at=_moment(row.created_ms),
            updated_at=_moment(row.updated_ms),
            run_id=row.run_id,
            logged_model_id=row.logged_model_id,
            source=row.source,
            status=row.status,
            content_digest=row.content_digest,
            size_bytes=row.size_bytes,
            tags=tags[row.pk],
        )
        for row in rows
    ]


def _tags(rows: Iterable[tuple[int, str, str]]) -> dict[int, dict[str, str]]:
    found: dict[int, dict[str, str]] = defaultdict(dict)
    for owner, key, value in rows:
        found[owner][key] = value
    return found


def _moment(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
