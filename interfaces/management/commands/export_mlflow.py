"""Take everything out, into an MLflow server's database or a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from core.access import Actor
from core.errors import Invalid
from interfaces.management.operator import OperatorCommand
from interfaces.moving import comparing
from interfaces.moving.database import Connection
from interfaces.moving.exporting import Export
from interfaces.moving.progress import Progress
from interfaces.moving.source import remembered
from interfaces.moving.writing import make_tables
from workflows.commands.imports import finish_export


class Command(OperatorCommand):
    help = (
        "Write what is held here into the database of an MLflow server, which `mlflow db upgrade` made, with ids, times and the whole "
        "history of metrics, and the artifacts into a folder; or all of it into a folder that import_mlflow reads. It may be ended "
        "at any time and goes on when started again. At the end both sides are compared. Status 1 tells that they differ."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--to", required=True, dest="target", metavar="TARGET", help="sqlite:///path, postgresql://… or a folder"
        )
        parser.add_argument(
            "--artifacts",
            type=Path,
            metavar="FOLDER",
            help="where the artifacts go: what the server is given as --artifacts-destination",
        )
        parser.add_argument("--check", action="store_true", help="compare only; write nothing")

    def act(self, actor: Actor, options: dict[str, Any]) -> None:
        progress = Progress(self.stdout)
        connection, root = _opened(options["target"], options["artifacts"])
        try:
            work = Export(actor, connection, root, progress)
            if not options["check"]:
                work.run()
            lines = work.compare()
        finally:
            connection.close()
        for text in comparing.table(lines, there="target"):
            self.stdout.write(text)
        for line in lines:
            for name in line.differing:
                self.stdout.write(f"  {line.kind}: {name}")
        if not options["check"]:
            compared = [
                {"kind": each.kind, "there": each.there, "here": each.here, "differences": each.differences} for each in lines
            ]
            finish_export(
                actor=actor, target=remembered(options["target"]), summary={"written": work.tally, "compared": compared}
            )
        if differing := [f"{line.differences} of {line.kind}" for line in lines if line.differences]:
            raise CommandError(f"What is there differs from what is here: {'; '.join(differing)}.", returncode=1)


def _opened(target: str, root: Path | None) -> tuple[Connection, Path]:
    """Return the database to write to, and the folder for artifacts. Raises Invalid, NotFound."""
    if target.startswith(("http://", "https://")):
        raise Invalid(
            "A running server gives new ids to all that is written to it. Give its database instead (sqlite:///… or postgresql://…), "
            "or a folder."
        )
    if "://" in target:
        if root is None:
            raise Invalid(
                "Say where the artifacts go with --artifacts: the folder the server is given as --artifacts-destination."
            )
        return Connection(target, write=True), root
    folder = Path(target)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "mlflow.db").touch()
    connection = Connection(f"sqlite:///{folder / 'mlflow.db'}", write=True)
    make_tables(connection)
    return connection, root or folder / "artifacts"
