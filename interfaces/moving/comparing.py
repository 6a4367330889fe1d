"""Compare two servers, thing by thing: how many of each kind, and the digests of what each says, down to every byte of a file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec

from artifacts import queries as artifact_queries
from artifacts.store import store
from core.access import Actor
from core.errors import NotFound
from interfaces.moving.artifacts import Artifacts, Unreachable, digest
from interfaces.moving.progress import Progress
from interfaces.moving.source import Source
from registry import moving as registry
from tracking import moving as tracking
from tracking.moving import MovedLoggedModel, MovedPoint, MovedRun, Sum

_SHOWN = 20

Record = TypeVar("Record", MovedRun, MovedLoggedModel)


@dataclass
class Line:
    """How one kind compares. differing: what is on one side alone, or says something else, by name; all are counted."""

    kind: str
    there: int = 0
    here: int = 0
    digest_there: str = ""
    digest_here: str = ""
    differences: int = 0
    differing: list[str] = field(default_factory=list)
    moved: list[str] = field(default_factory=list)  # places where something else was decided here since
    sums: tuple[Sum, Sum] = field(default_factory=lambda: (Sum(), Sum()))

    def differ(self, name: str) -> None:
        """Note one difference."""
        self.differences += 1
        if len(self.differing) < _SHOWN:
            self.differing.append(name)

    def see(self, name: str, there: str | None, here: str | None) -> None:
        """Take in the digests that one thing has on both sides, None where it is not there."""
        for side, seen in ((0, there), (1, here)):
            if seen is not None:
                self.sums[side].add(f"{name}\0{seen}".encode())
        if there != here:
            said = "is not here" if here is None else "is here alone" if there is None else "differs"
            self.differ(f"{name} {said}")

    def close(self) -> None:
        """Take the counts and digests of all that was seen."""
        (theirs, ours) = self.sums
        self.there, self.here, self.digest_there, self.digest_here = theirs.count, ours.count, theirs.hex, ours.hex


class Comparison:
    """One comparison of another server with what we hold."""

    def __init__(
        self,
        actor: Actor,
        source: Source,
        artifacts: Artifacts,
        progress: Progress,
        *,
        experiments: Mapping[int, int],
        expected: Callable[[str], int],
        locations: Callable[[Sequence[Any]], Mapping[str, tuple[str, str]]],
        moved: Callable[[str, str, str], bool] = lambda kind, model, place: False,
    ) -> None:
        """Take what is needed. experiments: id there -> id here. expected: kind -> how many are here that must be there.

        locations: records of one kind -> id -> where its artifacts lie there, and in which folder here, of those that have any.
        moved: (kind, model, number or alias) -> whether the place was moved here since, as any place may be.
        """
        self._actor, self._source, self._artifacts, self._progress = actor, source, artifacts, progress
        self._experiments, self._expected, self._locations, self._moved = experiments, expected, locations, moved
        self.files = Line("files")

    def run(self) -> list[Line]:
        """Read both sides whole and return how they compare, kind by kind."""
        self._progress.step("compared")
        lines = [self._compare_experiments(), *self._compare_runs(), *self._compare_logged_models(), *self._compare_models()]
        self.files.close()
        self._progress.end("source and copy, with every file")
        return [*lines, self.files]

    def _compare_experiments(self) -> Line:
        line = Line("experiments")
        here = {each.id: each for each in tracking.experiments(self._actor, sorted(set(self._experiments.values())))}
        for there in self._source.experiments():
            local = self._experiments.get(there.id)
            found = here.pop(local, None) if local is not None else None
            moved = msgspec.structs.replace(there, id=local) if local is not None else there
            line.see(f"experiment {there.id}", tracking.digest(moved), tracking.digest(found) if found else None)
        return self._closed(line, "experiments")

    def _compare_runs(self) -> tuple[Line, Line]:
        line, points = Line("runs"), Line("metric points")
        for batch in self._source.runs():
            here = {run.id: run for run in tracking.runs(self._actor, [run.id for run in batch])}
            sums = _sums(self._source.points(batch), lambda p: p.run_id, tracking.point_content)
            ours = _sums(tracking.points(self._actor, list(here)), lambda p: p.run_id, tracking.point_content)
            self._compare_files("run", batch)
            for run in batch:
                line.see(f"run {run.id}", _digest(self._at_home(run)), _digest(here.get(run.id)))
                _see_sums(points, f"run {run.id}", sums.get(run.id), ours.get(run.id))
            self._progress.advance(len(batch))
        return self._closed(line, "runs"), points

    def _compare_logged_models(self) -> tuple[Line, Line]:
        line, points = Line("logged models"), Line("points of models")
        for batch in self._source.logged_models():
            ids = [model.id for model in batch]
            here = {model.id: model for model in tracking.logged_models(self._actor, ids)}
            sums = _sums(self._source.model_points(batch), lambda p: p.model_id, tracking.model_point_content)
            ours = _sums(tracking.model_points(self._actor, ids), lambda p: p.model_id, tracking.model_point_content)
            self._compare_files("logged model", batch)
            for model in batch:
                line.see(f"logged model {model.id}", _digest(self._at_home(model)), _digest(here.get(model.id)))
                _see_sums(points, f"logged model {model.id}", sums.get(model.id), ours.get(model.id))
        return self._closed(line, "logged models"), points

    def _compare_models(self) -> tuple[Line, Line, Line]:
        models, versions, places = Line("models"), Line("versions"), Line("stages and aliases")
        for batch in self._source.models():
            names = [model.name for model in batch]
            here = {model.name: model for model in registry.models(self._actor, names)}
            numbered = {version.id: version for version in registry.versions(self._actor, names)}
            for model in batch:
                ours = here.get(model.name)
                models.see(f"model {model.name}", _digest(model), _digest(ours))
                for alias in sorted({*model.aliases, *(ours.aliases if ours else {})}):
                    number = ours.aliases.get(alias) if ours else None
                    self._see_place(places, "alias", model.name, alias, _text(model.aliases.get(alias)), _text(number))
            theirs = self._source.versions(batch)
            self._compare_files("version", theirs)
            for version in theirs:
                found = numbered.pop(version.id, None)
                versions.see(f"version {version.id}", _digest(version), _digest(found))
                stage = found.stage if found else None
                self._see_place(places, "stage", version.model, str(version.number), version.stage, stage)
            self._progress.advance(len(batch))
        for line in (models, versions):
            self._closed(line, line.kind)
        places.close()
        return models, versions, places

    def _see_place(self, line: Line, kind: str, model: str, place: str, there: str | None, here: str | None) -> None:
        name = f"stage of {model}/{place}" if kind == "stage" else f"{model}@{place}"
        if there != here and self._moved(kind, model, place):
            line.moved.append(f"{name}: {there or 'nothing'} there, {here or 'nothing'} here")
            there = here
        line.see(name, there, here)

    def _compare_files(self, kind: str, records: Sequence[Any]) -> None:
        """Hash every file of things on both sides; ours from what is stored, not from what is noted about it."""
        for key, (location, folder) in self._locations(records).items():
            self._compare_folder(f"{kind} {key}", location, folder)

    def _compare_folder(self, name: str, location: str, folder: str) -> None:
        try:
            source = self._artifacts.folder(location)
            there = {file.path for file in source.files()}
        except Unreachable:
            there = set()
            source = None
        here = {line.path: line.digest for line in artifact_queries.manifest(folder)}
        for path in sorted(there | set(here)):
            theirs = None
            if source is not None and path in there:
                try:
                    theirs = digest(source.open(path))
                except (Unreachable, OSError):
                    theirs = None
            self.files.see(f"{name}: {path}", theirs, _stored(here[path]) if path in here else None)

    def _at_home(self, record: Record) -> Record:
        local = self._experiments.get(record.experiment_id, -1)
        return msgspec.structs.replace(record, experiment_id=local)

    def _closed(self, line: Line, kind: str) -> Line:
        """Close a line; what is here beyond what was found there is here alone."""
        line.close()
        alone = self._expected(kind) - line.here
        if alone > 0:
            line.here += alone
            line.differences += alone
            line.differing.append(f"{alone} {kind} are here and no longer there")
        return line


def table(lines: Sequence[Line], *, there: str = "source", here: str = "here") -> list[str]:
    """Return the comparison as lines of a table."""
    rows = [("", there, here, "digest", "")]
    for line in lines:
        same = line.digest_there == line.digest_here
        shown = line.digest_here[:16] if same else f"{line.digest_there[:16]} / {line.digest_here[:16]}"
        rows.append(
            (line.kind, str(line.there), str(line.here), shown, "same" if not line.differences else f"{line.differences} differ")
        )
    widths = [max(len(row[i]) for row in rows) for i in range(5)]
    return [
        "  ".join(
            cell.rjust(width) if i in (1, 2) else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _digest(record: msgspec.Struct | None) -> str | None:
    return tracking.digest(record) if record is not None else None


def _text(number: int | None) -> str | None:
    return str(number) if number is not None else None


def _sums(
    points: Iterable[MovedPoint], owner: Callable[[MovedPoint], str], content: Callable[[MovedPoint], bytes]
) -> dict[str, Sum]:
    found: dict[str, Sum] = {}
    for point in points:
        found.setdefault(owner(point), Sum()).add(content(point))
    return found


def _see_sums(line: Line, name: str, there: Sum | None, here: Sum | None) -> None:
    theirs, ours = there or Sum(), here or Sum()
    line.there += theirs.count
    line.here += ours.count
    for side, each in ((0, theirs), (1, ours)):
        line.sums[side].add(f"{name}\0{each.hex}".encode())
    line.digest_there, line.digest_here = line.sums[0].hex, line.sums[1].hex
    if (theirs.count, theirs.hex) != (ours.count, ours.hex):
        line.differ(
            f"{name}: {theirs.count} points there, {ours.count} here" if theirs.count != ours.count else f"{name}: points differ"
        )


def _stored(content: str) -> str:
    try:
        return digest(store().open(content))
    except NotFound:
        return f"{content} is not in the store"
