"""Publish the contract of a data set."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from core.access import Actor
from interfaces.management.documents import reading
from interfaces.management.operator import OperatorCommand
from registry.dataset_contracts import publish_contract


class Command(OperatorCommand):
    help = "Publish a file as the next revision of a data set's contract; the same text again keeps its revision."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name")
        parser.add_argument("file", type=Path)

    def act(self, actor: Actor, options: dict[str, Any]) -> None:
        with reading(options["file"]) as document:
            made = publish_contract(actor=actor, name=options["name"], document=document)
        self.stdout.write(f"{options['name']}: contract revision {made.number}")
