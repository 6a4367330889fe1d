"""Register a data set that checks measure on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from core.access import Actor
from core.errors import Invalid
from interfaces.management.operator import OperatorCommand
from registry.datasets import register_dataset, register_source
from registry.tables import format_of


class Command(OperatorCommand):
    help = "Register a file as the next version of a data set; the same content again keeps its version."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name")
        parser.add_argument("file", help="a path, or s3://bucket/key below what DATASET_SOURCES names")
        parser.add_argument("--target", required=True, metavar="COLUMN", help="the column that holds the true outcome")
        parser.add_argument("--closed", action="store_true", help="only checks may read it, so that nobody tunes a model to it")
        parser.add_argument("--description", default="")
        parser.add_argument(
            "--contract",
            choices=["enforce", "warn"],
            default="enforce",
            help="refuse a file that breaks the data set's contract, or keep it with the report",
        )

    def act(self, actor: Actor, options: dict[str, Any]) -> None:
        file = options["file"]
        asked = {key: options[key] for key in ("name", "target", "description", "closed", "contract")}
        if file.startswith("s3://"):
            version = register_source(actor=actor, source=file, **asked)
        else:
            path, form = Path(file), format_of(file)
            try:
                stream = path.open("rb")
            except OSError as error:
                raise Invalid(f"{file}: {error.strerror}.") from error
            with stream:
                version = register_dataset(actor=actor, stream=stream, format=form, origin="command line", **asked)
        self.stdout.write(f"{version}: {version.row_count} rows, target {version.target}, sha256:{version.blob_id}")
