"""Compare a source with what was imported from it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db.models import Exists, OuterRef

from core.access import Actor
from core.errors import NotFound
from interfaces.moving.artifacts import Artifacts
from interfaces.moving.comparing import Comparison, Line
from interfaces.moving.progress import Progress
from interfaces.moving.source import Source
from registry import import_commands as registry
from registry.models import AliasAssignment, StageAssignment
from registry.moving import MovedVersion
from tracking.import_commands import folder_of
from tracking.models import Imported, ImportedKind, ImportOrigin, LoggedModel

_KINDS = {
    "experiments": ImportedKind.EXPERIMENT,
    "runs": ImportedKind.RUN,
    "logged models": ImportedKind.LOGGED_MODEL,
    "models": ImportedKind.MODEL,
    "versions": ImportedKind.VERSION,
}


def compare_import(actor: Actor, source: Source, artifacts: Artifacts, progress: Progress, *, origin: str) -> list[Line]:
    """Return how a source compares with what came from it. Raises NotFound if nothing came from there."""
    found = ImportOrigin.objects.filter(name=origin).first()
    if found is None:
        raise NotFound(f"Nothing was imported from {origin} yet.")
    rows = Imported.objects.filter(origin=found)
    experiments = {int(row.source_id): int(row.local_id) for row in rows.filter(kind=ImportedKind.EXPERIMENT)}

    def locations(records: Sequence[Any]) -> dict[str, tuple[str, str]]:
        if records and isinstance(records[0], MovedVersion):
            # What lies with a run or logged model is compared with that.
            places = registry.places_of(found, records)
            return {v.id: (v.address, at.folder) for v in records if (at := places[v.id]) and not at.shared}
        here = [(record, experiments.get(record.experiment_id)) for record in records]
        return {each.id: (each.artifact_uri, folder_of(home, each.id)) for each, home in here if home is not None}

    def expected(kind: str) -> int:
        held = rows.filter(kind=_KINDS[kind])
        if kind == "logged models" and not source.lists_deleted_models:
            alive = LoggedModel.objects.filter(pk=OuterRef("local_id"), deleted_ms__isnull=True)
            held = held.filter(Exists(alive))
        return held.count()

    def moved(kind: str, model: str, place: str) -> bool:
        """Return whether what the import gave has ended, as a period does when somebody moves it."""
        if kind == "stage":
            row = rows.filter(kind=ImportedKind.STAGE, source_id=f"{model}/{place}").first()
            ended = StageAssignment.objects.filter(stage=row.mark if row else "None", version__number=int(place))
            return ended.filter(model__name=model, model__deleted_at=None, valid_to__isnull=False).exists()
        alias = rows.filter(kind=ImportedKind.ALIAS, source_id=f"{model}@{place}").first()
        gone = AliasAssignment.objects.filter(alias=place, version__number=int(alias.mark) if alias else 0)
        return gone.filter(model__name=model, model__deleted_at=None, valid_to__isnull=False).exists()

    return Comparison(
        actor,
        source,
        artifacts,
        progress,
        experiments=experiments,
        expected=expected,
        locations=locations,
        moved=moved,
    ).run()
