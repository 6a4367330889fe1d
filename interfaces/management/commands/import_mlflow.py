"""Bring an existing MLflow server over."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from core.access import Actor
from core.errors import Invalid
from interfaces.management.operator import OperatorCommand
from interfaces.moving import comparing
from interfaces.moving.artifacts import Artifacts, check_root
from interfaces.moving.database import Connection, Database
from interfaces.moving.http import Http
from interfaces.moving.importing import Import, Outcome, Trouble
from interfaces.moving.progress import Progress
from interfaces.moving.server import Server
from interfaces.moving.source import Source, remembered
from interfaces.moving.verifying import compare_import
from workflows.commands.imports import finish_import


class Command(OperatorCommand):
    help = (
        "Bring over what an MLflow server holds, from its address or its database: experiments, runs with the whole history of "
        "their metrics, logged models, registered models, prompts, versions, stages, aliases and artifacts. It may be ended at any "
        "time and goes on when started again; started again later, it brings what is new. At the end both sides are compared, "
        "thing by thing and byte by byte. Status 1 tells that they differ."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--from",
            required=True,
            dest="source",
            metavar="URL",
            help="http(s)://…, sqlite:///path, postgresql://… or an exported folder",
        )
        parser.add_argument(
            "--artifacts", default="", metavar="ROOT", help="where the artifacts are: a folder or s3://bucket/prefix"
        )
        parser.add_argument(
            "--origin", default="", metavar="NAME", help="what the source is remembered as, unless by its address"
        )
        parser.add_argument("--team", default="", metavar="GROUP", help="a group that may write to all that is new")
        parser.add_argument("--allow-missing-artifacts", action="store_true", help="do not fail for artifacts that cannot be had")
        parser.add_argument("--again", action="store_true", help="look at everything anew, also at what seems unchanged")
        parser.add_argument("--check", action="store_true", help="compare only; bring nothing over")

    def act(self, actor: Actor, options: dict[str, Any]) -> None:
        progress = Progress(self.stdout)
        source, artifacts = opened(options["source"], options["artifacts"])
        origin = options["origin"] or remembered(options["source"])
        try:
            for note in source.notes():
                progress.say(note)
            outcome = Outcome()
            if not options["check"]:
                self._reachable(source, artifacts, allowed=options["allow_missing_artifacts"])
                work = Import(actor, source, artifacts, progress, origin=origin, team=options["team"], again=options["again"])
                outcome = work.run()
            lines = compare_import(actor, source, artifacts, progress, origin=origin)
        finally:
            source.close()
        for text in comparing.table(lines):
            self.stdout.write(text)
        faults = self._tell(outcome, lines, allowed=options["allow_missing_artifacts"])
        if not options["check"]:
            finish_import(actor=actor, origin=work.origin, summary=_summary(outcome, lines))
        if faults:
            raise CommandError(f"Source and copy differ: {'; '.join(faults)}.", returncode=1)

    def _reachable(self, source: Source, artifacts: Artifacts, *, allowed: bool) -> None:
        """Refuse at once where not one artifact could be had, instead of after hours."""
        if allowed:
            return
        unread = [e for e in source.experiments() if e.artifact_location and not artifacts.reaches(e.artifact_location)]
        if unread:
            raise Invalid(
                f"The artifacts of experiment {unread[0].id} lie at {unread[0].artifact_location}, which cannot be read from here. Name "
                "their root with --artifacts, or leave them out with --allow-missing-artifacts. Nothing was brought over."
            )

    def _tell(self, outcome: Outcome, lines: list[comparing.Line], *, allowed: bool) -> list[str]:
        """Write every difference by name; return what makes the import fail."""
        faults = []
        told: list[tuple[str, Trouble, bool]] = [
            ("artifacts could not be had", outcome.missing, not allowed),
            ("could not be brought over", outcome.refused, True),
            ("hold a governed place and were not decided on here; review them", outcome.grandfathered, False),
        ]
        for text, trouble, fails in told:
            if trouble.count:
                self.stdout.write(f"{trouble.count} {text}:")
                self._list(trouble.names, trouble.count)
                faults += [f"{trouble.count} {text}"] if fails else []
        for line in lines:
            if line.moved:
                self.stdout.write(f"{len(line.moved)} places were moved here since:")
                self._list(line.moved[:20], len(line.moved))
            if line.differences:
                self.stdout.write(f"{line.kind}, {line.differences} differ:")
                self._list(line.differing, line.differences)
                lenient = allowed and line.kind == "files" and line.differences <= outcome.missing.count
                faults += [] if lenient else [f"{line.differences} of {line.kind}"]
        return faults

    def _list(self, names: list[str], count: int) -> None:
        for name in names:
            self.stdout.write(f"  {name}")
        if count > len(names):
            self.stdout.write(f"  and {count - len(names)} more")


def opened(address: str, root: str) -> tuple[Source, Artifacts]:
    """Return a source and its artifacts. Raises Invalid, NotFound, Denied."""
    if root:
        check_root(root)
    if address.startswith(("http://", "https://")):
        http = Http(address)
        return Server(http), Artifacts(http=http, root=root)
    exported = Path(address)
    if "://" not in address and (exported / "mlflow.db").is_file():
        root = root or str(exported / "artifacts")
        address = f"sqlite:///{exported / 'mlflow.db'}"
    return Database(Connection(address)), Artifacts(root=root)


def _summary(outcome: Outcome, lines: list[comparing.Line]) -> dict[str, Any]:
    return {
        "brought": outcome.tally,
        "missing_artifacts": outcome.missing.count,
        "grandfathered": outcome.grandfathered.count,
        "compared": [
            {
                "kind": line.kind,
                "there": line.there,
                "here": line.here,
                "digest_there": line.digest_there,
                "digest_here": line.digest_here,
                "differences": line.differences,
            }
            for line in lines
        ],
    }
