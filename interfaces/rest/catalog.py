"""Models and versions as they are, or as they stood at a time, for lists that page by keyset.

What a time changes is which there were and where they stood; names, descriptions and tags are those of now.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

from django.db.models import Count, Max, Model, Q, QuerySet

from core import access
from core.access import Actor, Permission
from core.errors import NotFound
from registry.models import (
    AliasAssignment,
    ModelVersion,
    ModelVersionFile,
    ModelVersionTag,
    RegisteredModel,
    RegisteredModelTag,
    StageAssignment,
)
from registry.queries import FileLine, ModelSummary, VersionSummary

M = TypeVar("M", bound=Model)


@dataclass(frozen=True)
class VersionDetail(VersionSummary):
    """A version with where its files lie and what its MLmodel file says."""

    status_message: str
    storage_location: str
    run_link: str
    mlmodel: dict[str, Any]


def models(
    actor: Actor, *, text: str = "", risk_tier: str = "", owner_team: str = "", tag: str = "", as_of: datetime | None = None
) -> QuerySet[RegisteredModel]:
    """Return the models the actor may see, but for prompts. text: found in the name. tag: ``key`` or ``key=value``."""
    rows = _alive(RegisteredModel.objects.filter(is_prompt=False), as_of).select_related("owner_team", "created_by")
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
    rows = _alive(RegisteredModel.objects.filter(name=name), as_of).select_related("owner_team", "created_by")
    found = access.visible(actor, rows, Permission.MODEL_READ).first()
    if found is None:
        raise NotFound(f"There is no registered model {name!r}, or you may not see it.")
    return found


def model_summaries(as_of: datetime | None) -> Callable[[list[RegisteredModel]], list[ModelSummary]]:
    """Return what turns models into summaries: three statements however many they are."""

    def summaries(rows: list[RegisteredModel]) -> list[ModelSummary]:
        ids = [row.pk for row in rows]
        newest: dict[int, dict[str, int]] = defaultdict(dict)
        counts: dict[int, int] = defaultdict(int)
        held = StageAssignment.objects.filter(_holds(as_of), model__in=ids).order_by("stage__position")
        for owner, stage, number, count in held.values_list("model", "stage").annotate(Max("version__number"), Count("pk")):
            newest[owner][stage] = number
            counts[owner] += count
        aliases: dict[int, dict[str, int]] = defaultdict(dict)
        named = AliasAssignment.objects.filter(_holds(as_of), model__in=ids).order_by("alias")
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

    return summaries


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
    rows = _alive(ModelVersion.objects.filter(model=owner), as_of).select_related("created_by", "model")
    if stage:
        held = StageAssignment.objects.filter(_holds(as_of), model=owner, stage__name__iexact=stage)
        rows = rows.filter(pk__in=held.values("version"))
    if alias:
        rows = rows.filter(pk__in=AliasAssignment.objects.filter(_holds(as_of), model=owner, alias=alias).values("version"))
    if tag:
        rows = rows.filter(pk__in=_tagged(ModelVersionTag.objects.all(), tag).values("version"))
    if run_id:
        rows = rows.filter(run_id=run_id)
    if content_digest:
        rows = rows.filter(content_digest=content_digest)
    return rows


def version(actor: Actor, name: str, number: int, *, as_of: datetime | None = None) -> ModelVersion:
    """Return a version with its model. Raises NotFound if it is absent or hidden, or was not there at that time."""
    rows = ModelVersion.objects.filter(model__name=name, number=number).filter(_alive_q(as_of), _alive_q(as_of, "model__"))
    rows = access.visible(actor, rows.select_related("model", "created_by"), Permission.MODEL_READ, "model")
    found = rows.first()
    if found is None:
        raise NotFound(f"There is no version {number} of a registered model {name!r}, or you may not see it.")
    return found


def version_summaries(as_of: datetime | None) -> Callable[[list[ModelVersion]], list[VersionSummary]]:
    """Return what turns versions into summaries: three statements however many they are."""

    def summaries(rows: list[ModelVersion]) -> list[VersionSummary]:
        return [VersionSummary(**members) for members in _version_members(rows, as_of)]

    return summaries


def version_detail(row: ModelVersion, *, as_of: datetime | None = None) -> VersionDetail:
    """Return a version with all that is written of it, in three statements."""
    (members,) = _version_members([row], as_of)
    return VersionDetail(
        **members,
        status_message=row.status_message,
        storage_location=row.storage_location,
        run_link=row.run_link,
        mlmodel=row.mlmodel,
    )


def files(row: ModelVersion) -> list[FileLine]:
    """Return a version's manifest, by path."""
    lines = ModelVersionFile.objects.filter(version=row).order_by("path").values_list("path", "digest", "size_bytes")
    return [FileLine(path, f"sha256:{digest}", size) for path, digest, size in lines]


def _version_members(rows: list[ModelVersion], as_of: datetime | None) -> list[dict[str, Any]]:
    ids = [row.pk for row in rows]
    stages = dict(StageAssignment.objects.filter(_holds(as_of), version__in=ids).values_list("version", "stage"))
    aliases: dict[int, list[str]] = defaultdict(list)
    named = AliasAssignment.objects.filter(_holds(as_of), version__in=ids).order_by("alias")
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


def _alive(rows: QuerySet[M], as_of: datetime | None) -> QuerySet[M]:
    return rows.filter(_alive_q(as_of))


def _alive_q(as_of: datetime | None, path: str = "") -> Q:
    if as_of is None:
        return Q(**{f"{path}deleted_at__isnull": True})
    born = Q(**{f"{path}created_ms__lte": int(as_of.timestamp() * 1000)})
    return born & (Q(**{f"{path}deleted_at__isnull": True}) | Q(**{f"{path}deleted_at__gt": as_of}))


def _holds(as_of: datetime | None) -> Q:
    if as_of is None:
        return Q(valid_to__isnull=True)
    return Q(valid_from__lte=as_of) & (Q(valid_to__isnull=True) | Q(valid_to__gt=as_of))


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
