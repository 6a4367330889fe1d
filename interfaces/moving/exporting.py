"""Carry an export through: what we hold into an MLflow server's database, and the files beside it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from artifacts import paths
from artifacts.models import ArtifactFile
from artifacts.store import materialise, store
from core.access import Actor
from core.errors import Conflict
from interfaces.moving.artifacts import Artifacts
from interfaces.moving.comparing import Comparison, Line
from interfaces.moving.database import Connection, Database
from interfaces.moving.progress import Progress
from interfaces.moving.writing import Writer
from registry import moving as registry
from registry.models import ModelVersion, RegisteredModel
from registry.moving import MovedVersion
from tracking import moving as tracking
from tracking.defaults import DEFAULT_EXPERIMENT_ID
from tracking.models import Experiment, LoggedModel, Run
from tracking.moving import MovedLoggedModel, MovedRun, Sum
from tracking.queries import MAX_ID


class Export:
    """One export to one database."""

    def __init__(self, actor: Actor, connection: Connection, root: Path, progress: Progress) -> None:
        """Take what is needed. root: the folder that the server there keeps, or will keep, artifacts in."""
        tracking.require(actor)
        self._actor, self._root, self._progress = actor, root, progress
        self._there, self._writer = Database(connection), Writer(connection)
        self.tally: dict[str, dict[str, int]] = {}
        self.lost: list[str] = []  # files whose content the store has no longer

    def run(self) -> None:
        """Write everything that is not there, or says something else there. Raises Conflict where something else has its place."""
        self._refuse_strangers()
        self._experiments()
        self._runs()
        self._logged_models()
        self._models()
        self._files()

    def compare(self) -> list[Line]:
        """Return how what is there compares with what we hold."""
        ids = {key: key for key in Experiment.objects.values_list("pk", flat=True)}
        totals: dict[str, Callable[[], int]] = {
            "experiments": Experiment.objects.count,
            "runs": Run.objects.count,
            "logged models": LoggedModel.objects.count,
            "models": RegisteredModel.objects.filter(deleted_at__isnull=True).count,
            "versions": ModelVersion.objects.filter(deleted_at__isnull=True, model__deleted_at__isnull=True).count,
        }
        return Comparison(
            self._actor,
            self._there,
            Artifacts(root=str(self._root)),
            self._progress,
            experiments=ids,
            expected=lambda kind: totals[kind](),
            locations=_locations,
        ).run()

    def _refuse_strangers(self) -> None:
        ours = dict(Experiment.objects.values_list("pk", "name"))
        names = {name: key for key, name in ours.items()}
        for there in self._there.experiments():
            if there.id == DEFAULT_EXPERIMENT_ID:
                continue
            if names.get(there.name, there.id) != there.id or ours.get(there.id, there.name) != there.name:
                raise Conflict(
                    f"The database has an experiment {there.id} {there.name!r} that is not ours. Export into a database of its own, "
                    "made by `mlflow db upgrade`. Nothing was written.",
                    code="not_ours",
                )
        for models in self._there.models():
            born = {model.name: model.created_ms for model in registry.models(self._actor, [model.name for model in models])}
            for model in models:
                if born.get(model.name) not in (None, model.created_ms):
                    raise Conflict(
                        f"The database has a registered model {model.name!r} that is not ours. Nothing was written.",
                        code="not_ours",
                    )

    def _experiments(self) -> None:
        self._progress.step("experiments", Experiment.objects.count())
        there = {each.id: tracking.mark(each) for each in self._there.experiments()}
        ours = list(tracking.experiments(self._actor))
        chosen = [each for each in ours if there.get(each.id) != tracking.mark(each)]
        self._writer.experiments(chosen)
        self._count("experiments", ours, chosen)

    def _runs(self) -> None:
        self._progress.step("runs", Run.objects.count())
        for ids in tracking.run_ids(self._actor):
            ours = tracking.runs(self._actor, ids)
            there = {run.id: tracking.digest(run) for run in self._there.runs_of(ids)}
            sums = self._sums(ours)
            seen = _sum_points(self._there.points([run for run in ours if run.id in there]))
            chosen = [run for run in ours if there.get(run.id) != tracking.digest(run) or seen.get(run.id) != sums.get(run.id)]
            if chosen:
                self._writer.runs(chosen)
                self._writer.points(tracking.points(self._actor, [run.id for run in chosen]))
            self._count("runs", ours, chosen)
        self._progress.end(self._said("runs"))

    def _logged_models(self) -> None:
        self._progress.step("logged models", LoggedModel.objects.count())
        for ids in tracking.logged_model_ids(self._actor):
            ours = tracking.logged_models(self._actor, ids)
            there = {model.id: tracking.digest(model) for model in self._there.logged_models_of(ids)}
            chosen = [model for model in ours if there.get(model.id) != tracking.digest(model)]
            self._writer.logged_models(chosen)
            self._writer.model_points(tracking.model_points(self._actor, ids), {m.id: m.experiment_id for m in ours})
            self._count("logged models", ours, chosen)
        self._progress.end(self._said("logged models"))

    def _models(self) -> None:
        self._progress.step("registered models", RegisteredModel.objects.filter(deleted_at__isnull=True).count())
        for names in registry.model_names(self._actor):
            ours, versions = registry.models(self._actor, names), registry.versions(self._actor, names)
            held = self._there.models_of(names)
            there = {each.name: tracking.mark(each) for each in held}
            numbered = {each.id: tracking.mark(each) for each in self._there.versions(held)}
            stale = {each.model for each in versions if numbered.get(each.id) != tracking.mark(_as_written(each))}
            chosen = [each for each in ours if there.get(each.name) != tracking.mark(each) or each.name in stale]
            wanted = {each.name for each in chosen}
            self._writer.models(chosen, [each for each in versions if each.model in wanted])
            self._count("models", ours, chosen)
        self._progress.end(self._said("models"))

    def _files(self) -> None:
        self._progress.step("artifacts", ArtifactFile.objects.count())
        written = 0
        rows = ArtifactFile.objects.order_by("pk").values_list("folder", "name", "blob_id", "blob__size_bytes")
        for folder, name, digest, size in rows.iterator(chunk_size=1000):
            target = self._root / folder / name
            if not (target.is_file() and target.stat().st_size == size):
                self._write(target, digest)
                written += 1
            self._progress.advance()
        self._progress.end(f"{written} written")

    def _write(self, target: Path, digest: str) -> None:
        """Write a file under another name first, so that what bears its name is whole whenever this ends."""
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f".{digest[:16]}.part")
        part.unlink(missing_ok=True)
        materialise(store(), digest, part)
        part.replace(target)

    def _sums(self, ours: Sequence[MovedRun]) -> dict[str, tuple[int, str]]:
        return _sum_points(tracking.points(self._actor, [run.id for run in ours]))

    def _count(self, kind: str, ours: Sequence[Any], chosen: Sequence[Any]) -> None:
        row = self.tally.setdefault(kind, {"written": 0, "there already": 0})
        row["written"] += len(chosen)
        row["there already"] += len(ours) - len(chosen)
        self._progress.advance(len(ours))
        if kind == "experiments":
            self._progress.end(self._said(kind))

    def _said(self, kind: str) -> str:
        row = self.tally.get(kind, {"written": 0, "there already": 0})
        return ", ".join(f"{count} {what}" for what, count in row.items())


def _as_written(version: MovedVersion) -> MovedVersion:
    return MovedVersion(
        **{**{name: getattr(version, name) for name in version.__struct_fields__}, "storage_location": version.address}
    )


def _sum_points(points: Any) -> dict[str, tuple[int, str]]:
    found: dict[str, Sum] = {}
    for point in points:
        found.setdefault(point.run_id, Sum()).add(tracking.point_content(point))
    return {key: (each.count, each.hex) for key, each in found.items()}


def _locations(records: Sequence[MovedRun | MovedLoggedModel | MovedVersion]) -> dict[str, tuple[str, str]]:
    """Return where the files of things lie there and here: at the same path of two trees. Of versions, those with files of their own."""
    found = {}
    for record in records:
        own = isinstance(record, MovedVersion)
        address = record.address if isinstance(record, MovedVersion) else record.artifact_uri
        folder = paths.path_of(address)
        if folder and (not own or folder.startswith(f"{MAX_ID}/")):
            found[record.id] = (address, folder)
    return found
