"""What holds a governed place because an import brought it there, and nobody here decided on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Exists, OuterRef, Q, QuerySet

from core import access
from core.access import Actor, Permission
from governance.models import TargetKind
from registry.models import AliasAssignment, ModelVersion, StageAssignment
from workflows.models import Grandfathered, PromotionRequest, RequestState


@dataclass(frozen=True)
class GrandfatheredRow:
    """A version that holds a governed place without a decision of ours. open: it does still. policies: those that governed it then.

    request: the number of the request that settled it, if one did.
    """

    id: int
    model: str
    version: int
    target_kind: str
    target: str
    policies: list[str]
    origin: str
    imported_by: str
    imported_at: datetime
    open: bool
    request: int | None


def grandfathered(actor: Actor, *, model: str = "", state: str = "") -> QuerySet[Grandfathered]:
    """Return what was grandfathered, of models that the actor may see, the latest first.

    state: ``open`` for what still holds its place undecided, ``settled`` for what was decided on or left; empty for all.
    """
    rows = Grandfathered.objects.select_related("model", "version").order_by("-pk")
    if model:
        rows = rows.filter(model__name=model)
    if state:
        rows = rows.filter(_undecided()) if state == "open" else rows.exclude(_undecided())
    return access.visible(actor, rows, Permission.MODEL_READ, "model")


def grandfathered_rows(rows: Iterable[Grandfathered]) -> list[GrandfatheredRow]:
    """Return them for a list, by two statements however many they are; model and version must be loaded."""
    found = list(rows)
    ids = [row.pk for row in found]
    still = set(Grandfathered.objects.filter(_undecided(), pk__in=ids).values_list("pk", flat=True))
    settled: dict[tuple[int, str, str], list[tuple[datetime | None, int]]] = {}
    done = PromotionRequest.objects.filter(version__in=[row.version_id for row in found], state=RequestState.DONE).order_by("pk")
    for version, kind, target, at, pk in done.values_list("version_id", "target_kind", "target", "closed_at", "pk"):
        settled.setdefault((version, kind, target), []).append((at, pk))
    return [
        GrandfatheredRow(
            id=row.pk,
            model=row.model.name,
            version=row.version.number,
            target_kind=row.target_kind,
            target=row.target,
            policies=row.policies,
            origin=row.origin,
            imported_by=row.imported_by,
            imported_at=row.imported_at,
            open=row.pk in still,
            request=next(
                (
                    pk
                    for at, pk in settled.get((row.version_id, row.target_kind, row.target), [])
                    if at is not None and at >= row.imported_at
                ),
                None,
            ),
        )
        for row in found
    ]


def of_version(version: ModelVersion) -> list[GrandfatheredRow]:
    """Return the places that a version, which the actor was found to see, was grandfathered in."""
    return grandfathered_rows(Grandfathered.objects.select_related("model", "version").filter(version=version).order_by("-pk"))


def _undecided() -> Q:
    """Return the condition of still holding the place with no request for it carried out since."""
    current = {"version": OuterRef("version"), "valid_to__isnull": True}
    stage = StageAssignment.objects.filter(**current, stage_id=OuterRef("target"))
    alias = AliasAssignment.objects.filter(**current, alias=OuterRef("target"))
    holds = Q(Exists(stage), target_kind=TargetKind.STAGE) | Q(Exists(alias), target_kind=TargetKind.ALIAS)
    decided = PromotionRequest.objects.filter(
        version=OuterRef("version"),
        target_kind=OuterRef("target_kind"),
        target=OuterRef("target"),
        state=RequestState.DONE,
        closed_at__gte=OuterRef("imported_at"),
    )
    return holds & ~Q(Exists(decided))
