"""End an API token at once."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from core import commands
from core.access import Actor
from interfaces.management.operator import OperatorCommand


class Command(OperatorCommand):
    help = "End an API token at once; revoking it again changes nothing."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("prefix", help="the first ten characters of the token, as listed and logged")

    def act(self, actor: Actor, options: dict[str, Any]) -> None:
        commands.revoke_token(actor=actor, prefix=options["prefix"])
        self.stdout.write(f"{options['prefix']}… is revoked")
