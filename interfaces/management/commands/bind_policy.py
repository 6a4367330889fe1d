"""Put policies in force from binding files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser
from django.db import transaction

from core.access import Actor
from governance.commands.policies import bind_policy
from interfaces.management.documents import reading
from interfaces.management.operator import OperatorCommand


class Command(OperatorCommand):
    help = "Put each file's binding in force, all or none; it replaces the binding of the same name."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("files", nargs="+", type=Path, metavar="FILE")

    @transaction.atomic
    def act(self, actor: Actor, options: dict[str, Any]) -> None:
        for path in options["files"]:
            with reading(path) as document:
                binding = bind_policy(actor=actor, document=document)
            self.stdout.write(f"{path}: {binding.name} binds {binding.policy.name}")
