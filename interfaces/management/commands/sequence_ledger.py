"""Give committed audit events their place in the hash tree now, instead of with the next beat."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from governance import ledger


class Command(BaseCommand):
    help = "Append every committed audit event that has no place yet to the ledger."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--whole", action="store_true", help="look through all events, not only those after the mark")

    def handle(self, *args: Any, **options: Any) -> None:
        total = 0
        while done := ledger.sequence(whole=options["whole"]):
            total += done
        self.stdout.write(f"{total} events were given their place")
