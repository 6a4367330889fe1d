"""Publish policies from files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser
from django.db import transaction

from core.access import Actor
from governance.commands.policies import publish_policy
from interfaces.management.documents import reading
from interfaces.management.operator import OperatorCommand


class Command(OperatorCommand):
    help = "Publish each file's policy as its next revision, all or none; a text published already keeps its revision."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("files", nargs="+", type=Path, metavar="FILE")

    @transaction.atomic
    def act(self, actor: Actor, options: dict[str, Any]) -> None:
        for path in options["files"]:
            with reading(path) as document:
                published = publish_policy(actor=actor, document=document)
            revision = published.revision
            self.stdout.write(f"{path}: {revision.policy.name} revision {revision.number}, {revision.digest}")
            for warning in published.warnings:
                self.stderr.write(f"{path}: {warning}")
