"""Register a data set that checks measure on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from core.access import Actor
from core.errors import Invalid
from interfaces.management.operator import OperatorCommand
from registry.datasets import register_dataset

_FORMATS = {".csv.gz": "csv.gz", ".csv": "csv", ".parquet": "parquet"}


class Command(OperatorCommand):
    help = "Register a file as the next version of a data set; the same content again keeps its version."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name")
        parser.add_argument("file", type=Path)
        parser.add_argument("--target", required=True, metavar="COLUMN", help="the column that holds the true outcome")
        parser.add_argument("--closed", action="store_true", help="only checks may read it, so that nobody tunes a model to it")
        parser.add_argument("--description", default="")

    def act(self, actor: Actor, options: dict[str, Any]) -> None:
        path: Path = options["file"]
        form = next((name for suffix, name in _FORMATS.items() if path.name.endswith(suffix)), None)
        if form is None:
            raise Invalid(f"{path}: a data set is a file that ends in {', '.join(_FORMATS)}.")
        try:
            stream = path.open("rb")
        except OSError as error:
            raise Invalid(f"{path}: {error.strerror}.") from error
        with stream:
            version = register_dataset(
                actor=actor,
                name=options["name"],
                stream=stream,
                format=form,
                target=options["target"],
                description=options["description"],
                closed=options["closed"],
            )
        self.stdout.write(f"{version}: {version.row_count} rows, target {version.target}, sha256:{version.blob_id}")
