"""Publish a ready-made pack of policies, or copy its files to change them first."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from core.access import Actor
from core.documents import loaded
from core.errors import AlreadyExists, NotFound
from governance import packs
from governance.commands.sync import sync_policies
from governance.sync import Mistaken, Source
from interfaces.management.operator import OperatorCommand


class Command(OperatorCommand):
    help = (
        "Publish a pack's policy and named parameters, and with --bind put it in force where its binding says; all or nothing. "
        "With --to, copy its files into a folder instead, to be changed and brought in with sync_policies. Without a name, list "
        "the packs there are."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", nargs="?", metavar="NAME")
        how = parser.add_mutually_exclusive_group()
        how.add_argument("--bind", action="store_true", help="also put it in force")
        how.add_argument("--to", type=Path, metavar="DIR", help="publish nothing; write the pack's files there")
        how.add_argument("--readme", action="store_true", help="publish nothing; print what the pack rests on and what it needs")

    def act(self, actor: Actor, options: dict[str, Any]) -> None:
        name = options["name"]
        if name is None:
            self.stdout.write("\n".join(packs.names()))
        elif name not in packs.names():
            raise NotFound(f"There is no pack {name!r}; there are {', '.join(packs.names())}.")
        elif options["readme"]:
            self.stdout.write(packs.readme(name))
        elif options["to"] is not None:
            self._copy(name, options["to"])
        else:
            self._publish(actor, name, bind=options["bind"])

    def _publish(self, actor: Actor, name: str, *, bind: bool) -> None:
        kinds = {text: loaded(text)[0]["kind"] for text in packs.documents(name)}
        sources = [Source(f"{name}/{kind.lower()}.yaml", text) for text, kind in kinds.items() if bind or kind != "Binding"]
        try:
            made = sync_policies(actor=actor, sources=sources)
        except Mistaken as error:
            raise CommandError(
                f"{error.message}\nThe pack {name} does not fit this instance yet, so nothing was changed. What it needs: "
                f"install_pack {name} --readme. To change it first: install_pack {name} --to DIR.",
                returncode=2,
            ) from error
        for change in made.changes:
            self.stdout.write(f"{change.action} {change.kind} {change.name}: {change.detail}")
        for warning in made.warnings:
            self.stderr.write(warning)

    def _copy(self, name: str, folder: Path) -> None:
        for text in packs.documents(name):
            path = folder / f"{name}.{loaded(text)[0]['kind'].lower()}.yaml"
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                with path.open("xb") as file:
                    file.write(text.encode())
            except FileExistsError:
                raise AlreadyExists(f"{path} is there already; move it away first.") from None
            self.stdout.write(str(path))
