"""Models and versions in full, as pages read them: frozen, limited to what the actor may see, a constant number of statements."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.db.models import Count, Max, Q, QuerySet

from core import access
from core.access import Actor, Permission
from registry import rows
from registry.models import AliasAssignment, ModelVersion, ModelVersionFile, RegisteredModel, Stage, StageAssignment
from tracking.models import Run


@dataclass(frozen=True)
class ModelRow:
    """A registered model in a list. ``stages`` and ``aliases`` say which versions hold them now."""

    name: str
    description: str
    risk_tier: str
    owner_team: str
    created_by: str
    created_at: datetime
    updated_at: datetime
    version_count: int
    latest: int | None
    stages: tuple[tuple[str, int], ...]
    aliases: tuple[tuple[str, int], ...]

    @property
    def in_production(self) -> bool:
        return any(stage == "Production" for stage, _ in self.stages)


@dataclass(frozen=True)
class VersionRow:
    """A version in a list."""

    number: int
    stage: str
    aliases: tuple[str, ...]
    description: str
    status: str
    status_message: str
    created_by: str
    created_by_name: str
    created_at: datetime
    run_id: str
    run_name: str
    digest: str
    size_bytes: int


@dataclass(frozen=True)
class Placement:
    """A stage or an alias that a version held from one time to another, and by whose hand."""

    kind: str  # stage | alias
    name: str
    version: int
    valid_from: datetime
    valid_to: datetime | None
    by: str
    request_id: int | None


@dataclass(frozen=True)
class ModelDetail:
    """A registered model with its versions, newest first, and everything that ever stood where."""

    row: ModelRow
    stages: tuple[str, ...]
    tags: tuple[tuple[str, str], ...]
    versions: tuple[VersionRow, ...]
    placements: tuple[Placement, ...]


@dataclass(frozen=True)
class FileRow:
    path: str
    digest: str
    size_bytes: int


@dataclass(frozen=True)
class VersionDetail:
    """A version with its manifest, its declared interface and everything it ever held."""

    model: str
    risk_tier: str
    row: VersionRow
    source: str
    run_link: str
    files: tuple[FileRow, ...]
    file_count: int
    mlmodel: dict[str, Any]
    tags: tuple[tuple[str, str], ...]
    placements: tuple[Placement, ...]


def models(actor: Actor, *, name_contains: str = "", limit: int = 50, after: str = "") -> list[ModelRow]:
    """Return the registered models the actor may see, by name, after a name if one is given. Prompts are no models here."""
    found = RegisteredModel.objects.filter(deleted_at__isnull=True, is_prompt=False).select_related("owner_team", "created_by")
    found = access.visible(actor, found, Permission.MODEL_READ)
    if name_contains:
        found = found.filter(name__icontains=name_contains)
    if after:
        found = found.filter(name__gt=after)
    return _model_rows(list(found.order_by("name")[:limit]))


def model(actor: Actor, name: str, *, limit: int = 200) -> ModelDetail:
    """Return a registered model with its newest versions, at most so many. Raises NotFound if it is absent or hidden."""
    found = rows.model(actor, Permission.MODEL_READ, name)
    return ModelDetail(
        row=_model_rows([found])[0],
        stages=tuple(Stage.objects.order_by("position").values_list("name", flat=True)),
        tags=tuple(found.tags.order_by("key").values_list("key", "value")),
        versions=_version_rows(found, found.versions.filter(deleted_at__isnull=True).order_by("-number")[:limit]),
        placements=_placements(Q(model=found), limit=200),
    )


def version(actor: Actor, name: str, number: int, *, files: int = 200) -> VersionDetail:
    """Return a version with its manifest, at most so many files of it. Raises NotFound if it is absent or hidden."""
    found = rows.version(actor, Permission.MODEL_READ, name, number)
    manifest = ModelVersionFile.objects.filter(version=found)
    return VersionDetail(
        model=found.model.name,
        risk_tier=found.model.risk_tier,
        row=_version_rows(found.model, ModelVersion.objects.filter(pk=found.pk))[0],
        source=found.source,
        run_link=found.run_link,
        files=tuple(FileRow(*row) for row in manifest.order_by("path").values_list("path", "digest", "size_bytes")[:files]),
        file_count=manifest.count(),
        mlmodel=dict(found.mlmodel or {}),
        tags=tuple(found.tags.order_by("key").values_list("key", "value")),
        placements=_placements(Q(version=found), limit=100),
    )


def _model_rows(found: Sequence[RegisteredModel]) -> list[ModelRow]:
    ids = [each.pk for each in found]
    counts = {
        row["model_id"]: (row["count"], row["latest"])
        for row in ModelVersion.objects.filter(model__in=ids, deleted_at__isnull=True)
        .values("model_id")
        .annotate(count=Count("pk"), latest=Max("number"))
    }
    stages: dict[int, list[tuple[str, int]]] = defaultdict(list)
    held = StageAssignment.objects.filter(model__in=ids, valid_to__isnull=True, stage__is_initial=False)
    for owner, stage, number in held.order_by("stage__position", "-version__number").values_list(
        "model_id", "stage_id", "version__number"
    ):
        stages[owner].append((stage, number))
    aliases: dict[int, list[tuple[str, int]]] = defaultdict(list)
    named = AliasAssignment.objects.filter(model__in=ids, valid_to__isnull=True)
    for owner, alias, number in named.order_by("alias").values_list("model_id", "alias", "version__number"):
        aliases[owner].append((alias, number))
    return [
        ModelRow(
            name=each.name,
            description=each.description,
            risk_tier=each.risk_tier,
            owner_team=each.owner_team.name if each.owner_team else "",
            created_by=each.created_by.display_name if each.created_by else "",
            created_at=_moment(each.created_ms),
            updated_at=_moment(each.updated_ms),
            version_count=counts.get(each.pk, (0, None))[0],
            latest=counts.get(each.pk, (0, None))[1],
            stages=tuple(stages[each.pk]),
            aliases=tuple(aliases[each.pk]),
        )
        for each in found
    ]


def _version_rows(owner: RegisteredModel, found: QuerySet[ModelVersion]) -> tuple[VersionRow, ...]:
    versions = list(found.select_related("created_by"))
    ids = [each.pk for each in versions]
    stages = dict(StageAssignment.objects.filter(version__in=ids, valid_to__isnull=True).values_list("version_id", "stage_id"))
    aliases: dict[int, list[str]] = defaultdict(list)
    for pk, alias in (
        AliasAssignment.objects.filter(model=owner, version__in=ids, valid_to__isnull=True)
        .order_by("alias")
        .values_list("version_id", "alias")
    ):
        aliases[pk].append(alias)
    runs = dict(Run.objects.filter(pk__in=[each.run_id for each in versions if each.run_id]).values_list("pk", "name"))
    return tuple(
        VersionRow(
            number=each.number,
            stage=stages.get(each.pk, "None"),
            aliases=tuple(aliases[each.pk]),
            description=each.description or "",
            status=each.status,
            status_message=each.status_message,
            created_by=each.created_by.username if each.created_by else "",
            created_by_name=each.created_by.display_name if each.created_by else "",
            created_at=_moment(each.created_ms),
            run_id=each.run_id,
            run_name=runs.get(each.run_id, ""),
            digest=each.content_digest,
            size_bytes=each.size_bytes,
        )
        for each in versions
    )


def _placements(which: Q, *, limit: int) -> tuple[Placement, ...]:
    """Return stages and aliases held, the latest first; that a version began in the initial stage is no news."""
    columns = ("version__number", "valid_from", "valid_to", "assigned_by", "request_id")
    stages = StageAssignment.objects.filter(which, stage__is_initial=False).order_by("-valid_from", "-pk")
    aliases = AliasAssignment.objects.filter(which).order_by("-valid_from", "-pk")
    found = [Placement("stage", name, *rest) for name, *rest in stages.values_list("stage_id", *columns)[:limit]]
    found += [Placement("alias", name, *rest) for name, *rest in aliases.values_list("alias", *columns)[:limit]]
    return tuple(sorted(found, key=lambda each: each.valid_from, reverse=True)[:limit])


def _moment(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
