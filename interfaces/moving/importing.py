"""Carry an import through: kind by kind, batch by batch, each of which may be done again."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import TypeVar

import msgspec
from django.db import transaction

from artifacts import paths
from core.access import Actor
from core.errors import DomainError, NotFound
from interfaces.moving.artifacts import Artifacts, FileThere, Unreachable
from interfaces.moving.progress import Progress
from interfaces.moving.source import Source
from registry import import_commands as registry
from registry.moving import MovedModel, MovedVersion
from tracking import import_commands as tracking
from tracking.models import Imported, ImportedKind, ImportOrigin, LoggedModel, LoggedModelStatus, Run
from tracking.moving import BATCH, MovedLoggedModel, MovedPoint, MovedRun, Sum, point_content
from workflows.commands import imports as standing

POINTS = 10_000  # written in one transaction
MODEL_POINTS = 1000
MODELS = 20  # with all their versions
SHOWN = 20  # names of a kind of trouble; all are counted

T = TypeVar("T")
R = TypeVar("R", MovedRun, MovedLoggedModel)


@dataclass
class Trouble:
    """Things of one kind, counted, and the first of them by name."""

    count: int = 0
    names: list[str] = field(default_factory=list)

    def add(self, name: str) -> None:
        """Note one."""
        self.count += 1
        if len(self.names) < SHOWN:
            self.names.append(name)


@dataclass
class Outcome:
    """What an import did. tally: kind -> new, changed, unchanged."""

    tally: dict[str, dict[str, int]] = field(default_factory=dict)
    missing: Trouble = field(default_factory=Trouble)  # artifacts that could not be had
    grandfathered: Trouble = field(default_factory=Trouble)
    refused: Trouble = field(default_factory=Trouble)  # what cannot be here
    mapped: dict[int, int] = field(default_factory=dict)  # experiments that got another id

    def count(self, kind: str, what: str, by: int = 1) -> None:
        """Add to a tally."""
        row = self.tally.setdefault(kind, {"new": 0, "changed": 0, "unchanged": 0})
        row[what] += by

    def said(self, kind: str) -> str:
        """Return a kind's tally in words."""
        row = self.tally.get(kind, {})
        return ", ".join(f"{row.get(what, 0)} {what}" for what in ("new", "changed", "unchanged"))


class Import:
    """One import from one source."""

    def __init__(
        self,
        actor: Actor,
        source: Source,
        artifacts: Artifacts,
        progress: Progress,
        *,
        origin: str,
        team: str = "",
        again: bool = False,
    ) -> None:
        """Take what is needed. again: look at everything anew, also at what seems unchanged."""
        self._actor, self._source, self._artifacts, self._progress = actor, source, artifacts, progress
        self._team, self._again = team, again
        self._counts = source.counts()
        self.outcome = Outcome()
        self.experiments: dict[int, int] = {}  # id there -> id here
        self.origin = self._begin(origin)

    def run(self) -> Outcome:
        """Bring everything over, in an order in which nothing refers to what is not here yet."""
        self._experiments()
        self._runs()
        self._logged_models()
        self._files()
        self._models()
        return self.outcome

    def _begin(self, origin: str) -> ImportOrigin:
        """Refuse before anything is written what would be refused halfway."""
        names = {given.id: given.name for given in self._source.experiments()}
        first = next(iter(self._source.runs()), [])
        found = tracking.begin_import(actor=self._actor, origin=origin, experiment_names=names, run_ids=[run.id for run in first])
        for models in self._source.models():
            registry.refuse_strangers(actor=self._actor, origin=found, names=[model.name for model in models])
        return found

    def _experiments(self) -> None:
        self._progress.step("experiments", self._counts.get("experiments", 0))
        for batch in _batches(self._source.experiments(), BATCH):
            done = tracking.import_experiments(actor=self._actor, origin=self.origin, experiments=batch, team=self._team)
            for there, (here, what) in done.items():
                self.experiments[there] = here
                self.outcome.count("experiments", what)
                if here != there:
                    self.outcome.mapped[there] = here
            self._progress.advance(len(batch))
        self._progress.end(self.outcome.said("experiments"))
        for there, here in self.outcome.mapped.items():
            self._progress.say(f"  experiment {there} has the id {here} here: {there} was taken")

    def _runs(self) -> None:
        self._progress.step("runs", self._counts.get("runs", 0))
        points = 0
        for batch in self._source.runs():
            here = [self._at_home(run) for run in batch]
            begun = tracking.import_runs(actor=self._actor, origin=self.origin, runs=here, again=self._again)
            chosen = set(begun.pending)
            sums: dict[str, Sum] = {run_id: Sum() for run_id in begun.pending}
            resumed = bool(begun.again)
            for part in _batches(self._source.points([run for run in batch if run.id in chosen]), POINTS):
                for point in part:
                    sums[point.run_id].add(point_content(point))
                tracking.import_points(actor=self._actor, points=part, again=resumed)
                points += len(part)
            tracking.finish_runs(
                actor=self._actor,
                origin=self.origin,
                runs=[run for run in here if run.id in chosen],
                logged={run_id: (each.count, each.hex) for run_id, each in sums.items()},
            )
            self._count("runs", begun)
            self._progress.advance(len(batch))
        self._progress.end(f"{self.outcome.said('runs')}; {points} points of metrics read")

    def _logged_models(self) -> None:
        self._progress.step("logged models", self._counts.get("logged models", 0))
        for batch in self._source.logged_models():
            here = [self._at_home(model) for model in batch]
            begun = tracking.import_logged_models(actor=self._actor, origin=self.origin, models=here, again=self._again)
            chosen = set(begun.pending)
            measured: Iterable[MovedPoint] = self._source.model_points([model for model in batch if model.id in chosen])
            for part in _batches(measured, MODEL_POINTS):
                tracking.import_model_points(actor=self._actor, points=part)
            tracking.finish_logged_models(
                actor=self._actor, origin=self.origin, models=[model for model in here if model.id in chosen]
            )
            self._count("logged models", begun)
            self._progress.advance(len(batch))
        self._progress.end(self.outcome.said("logged models"))

    def _files(self) -> None:
        """Bring the artifacts of runs and logged models."""
        rows = Imported.objects.filter(origin=self.origin, kind__in=[ImportedKind.RUN, ImportedKind.LOGGED_MODEL])
        self._progress.step("artifacts", rows.count())
        for batch in _batches(rows.order_by("pk").iterator(chunk_size=BATCH), BATCH):
            ids = [row.local_id for row in batch]
            runs = dict(Run.objects.filter(pk__in=ids).values_list("pk", "experiment_id"))
            models = {model.pk: model for model in LoggedModel.objects.filter(pk__in=ids)}
            for row in batch:
                model = models.get(row.local_id)
                experiment_id = model.experiment_id if model else runs[row.local_id]
                ready = model is not None and model.status == LoggedModelStatus.READY and model.deleted_ms is None
                folder = tracking.folder_of(experiment_id, row.local_id)
                self._bring(row, folder, f"experiment:{experiment_id}", must=ready)
                self._progress.advance()
        self._progress.end(f"{self.outcome.said('files')}, {self.outcome.missing.count} could not be had")

    def _models(self) -> None:
        self._progress.step("registered models", self._counts.get("models", 0))
        for models in self._source.models():
            versions: dict[str, list[MovedVersion]] = {}
            for version in self._source.versions(models):
                versions.setdefault(version.model, []).append(version)
            for what in registry.import_models(actor=self._actor, origin=self.origin, models=models, team=self._team).values():
                self.outcome.count("models", what)
            for some in _batches(models, MODELS):
                chosen = [version for model in some for version in versions.get(model.name, [])]
                self._some_models(some, chosen)
                self._progress.advance(len(some))
        self._progress.end(f"{self.outcome.said('models')}; versions: {self.outcome.said('versions')}")
        if self.outcome.grandfathered.count:
            self._progress.say(f"  {self.outcome.grandfathered.count} hold a governed place without a decision of ours")

    def _some_models(self, models: Sequence[MovedModel], versions: Sequence[MovedVersion]) -> None:
        places = registry.places_of(self.origin, versions)
        self._own_files(versions, places)
        with transaction.atomic():  # one wait for the disk instead of one for each model
            taken = registry.import_versions(
                actor=self._actor,
                origin=self.origin,
                versions=versions,
                folders={key: place.folder if place else "" for key, place in places.items()},
            )
            for model in models:
                self._places(model, [version for version in versions if version.model == model.name])
        for what in taken.done.values():
            self.outcome.count("versions", what)
        for key, why in taken.refused.items():
            self.outcome.refused.add(f"{key}: {why}")

    def _places(self, model: MovedModel, versions: Sequence[MovedVersion]) -> None:
        try:
            placed = standing.import_places(
                actor=self._actor,
                origin=self.origin,
                model_name=model.name,
                stages={version.number: version.stage for version in versions},
                aliases=model.aliases,
            )
        except NotFound:  # deleted here since
            return
        for name in placed.grandfathered:
            self.outcome.grandfathered.add(name)
        for name in placed.refused:
            self.outcome.refused.add(name)

    def _own_files(self, versions: Sequence[MovedVersion], places: Mapping[str, registry.Place | None]) -> None:
        """Bring the files of versions that lie with no run or logged model; once here, they cannot change."""
        rows = Imported.objects.filter(origin=self.origin, kind=ImportedKind.VERSION, source_id__in=[v.id for v in versions])
        here = set() if self._again else set(rows.exclude(mark="").values_list("source_id", flat=True))
        for version in versions:
            place = places[version.id]
            if place is not None and not place.shared and version.id not in here:
                there = self._bring_folder(version.address, place.folder, "", f"version {version.id}")
                if not there:
                    self.outcome.missing.add(f"version {version.id}: nothing is at {version.address}")

    def _bring(self, row: Imported, folder: str, scope: str, *, must: bool) -> None:
        """Bring the files below a location, unless its list says that they are here."""
        name = f"{row.kind} {row.source_id}"
        try:
            listed = self._artifacts.folder(row.location).files()
        except Unreachable as error:
            if must or "://" in row.location or row.location.startswith("mlflow-artifacts:"):
                self.outcome.missing.add(f"{name}: {row.location}: {error}")
            return
        if must and not listed:
            self.outcome.missing.add(f"{name}: nothing is at {row.location}")
        mark = hashlib.sha256(msgspec.json.encode(listed)).hexdigest()
        if not listed or (row.files_mark == mark and not self._again):
            self.outcome.count("files", "unchanged", len(listed))
            return
        if self._put(row.location, listed, folder, scope, name, fresh=not row.files_mark):
            tracking.note_files(actor=self._actor, imported_id=row.pk, files_mark=mark)

    def _bring_folder(self, location: str, folder: str, scope: str, name: str) -> int:
        """Bring the files below a location and return how many there are."""
        try:
            listed = self._artifacts.folder(location).files()
        except Unreachable as error:
            self.outcome.missing.add(f"{name}: {location}: {error}")
            return 1
        self._put(location, listed, folder, scope, name, fresh=True)
        return len(listed)

    def _put(self, location: str, listed: Sequence[FileThere], folder: str, scope: str, name: str, *, fresh: bool) -> bool:
        source = self._artifacts.folder(location)
        whole = True
        for file in listed:
            try:
                with source.open(file.path) as stream:
                    tracking.import_artifact(
                        actor=self._actor,
                        path=paths.join(folder, paths.safe_file(file.path)),
                        stream=stream,
                        scope=scope,
                        expected_bytes=file.size_bytes,
                    )
                self.outcome.count("files", "new" if fresh else "changed")
            except (Unreachable, OSError) as error:
                self.outcome.missing.add(f"{name}: {file.path}: {error}")
                whole = False
            except DomainError as error:
                self.outcome.missing.add(f"{name}: {file.path}: {error.message}")
                whole = False
        return whole

    def _count(self, kind: str, begun: tracking.Begun) -> None:
        self.outcome.count(kind, "new", len(begun.new))
        self.outcome.count(kind, "changed", len(begun.again))
        self.outcome.count(kind, "unchanged", len(begun.unchanged))

    def _at_home(self, record: R) -> R:
        """Return a record with the id that its experiment has here."""
        return msgspec.structs.replace(record, experiment_id=self.experiments[record.experiment_id])


def _batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    walk = iter(items)
    while batch := list(islice(walk, size)):
        yield batch
