"""Write the policies, parameters and bindings that hold here into a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from core.access import Actor
from core.errors import Invalid
from governance import sync
from interfaces.management.operator import OperatorCommand


class Command(OperatorCommand):
    help = (
        "Write what holds here as files that sync_policies brings in unchanged: policies byte for byte as they were published, "
        "parameters and bindings in one canonical form."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("folder", type=Path, metavar="DIR")

    def act(self, actor: Actor, options: dict[str, Any]) -> None:
        root, files = options["folder"], sync.exported(actor)
        wanted = {root / name for name in files}
        if root.exists() and not root.is_dir():
            raise Invalid(f"{root} is not a folder.")
        # What stays beside the export would be brought in again with it.
        if others := sorted(str(path) for path in root.rglob("*.y*ml") if path not in wanted or path.is_symlink()):
            raise Invalid(f"These are not part of the export; move them away first: {', '.join(others)}")
        for name, text in files.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text.encode())
            self.stdout.write(str(path))
