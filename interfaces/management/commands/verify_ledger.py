"""Prove that no audit event was altered since it was recorded, or name the one that was."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from governance import ledger


class Command(BaseCommand):
    help = "Recompute the hash tree over all audit events; status 1 names every row that was altered or removed."

    def handle(self, *args: Any, **options: Any) -> None:
        report = ledger.verify()
        if not report.intact:
            raise CommandError(
                "\n".join(["the ledger is not intact:", *(f"  {problem.message}" for problem in report.problems)]), returncode=1
            )
        self.stdout.write(
            f"the ledger is intact: {report.size} events, {report.checkpoints} checkpoints, root {report.root_hash}"
            + (f"; {report.pending} newer events have no place in it yet" if report.pending else "")
        )
