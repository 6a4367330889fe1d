"""Recompute decisions from their stored facts."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.core.management.base import CommandError, CommandParser

from core.access import Actor
from interfaces.management.operator import OperatorCommand
from workflows.queries import replays
from workflows.queries.replays import Replayed


class Command(OperatorCommand):
    help = (
        "Recompute a decision, or all of them, from the facts and policies it names, and compare: byte for byte if the gate is of "
        "the revision that decided, else each requirement's state. Status 1 tells that one differs. Writes nothing."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        which = parser.add_mutually_exclusive_group(required=True)
        which.add_argument("decision", type=UUID, nargs="?", metavar="ID")
        which.add_argument("--all", action="store_true", help="every decision, oldest first; only those that differ are listed")

    def act(self, actor: Actor, options: dict[str, Any]) -> None:
        if not options["all"]:
            found = replays.replay(actor, options["decision"])
            self.stdout.write(_told(found))
            if not found.same:
                raise CommandError("The decision does not come out the same.", returncode=1)
            return
        count = differing = 0
        for found in replays.replay_all(actor):
            count += 1
            if not found.same:
                differing += 1
                self.stdout.write(_told(found))
        self.stdout.write(f"{count} recomputed, {differing} differ")
        if differing:
            raise CommandError(f"{differing} of {count} decisions do not come out the same.", returncode=1)


def _told(found: Replayed) -> str:
    if found.compared == "bytes":
        how = f"byte for byte under gate revision {found.gate_revision}: {found.verdict_digest}"
    else:
        how = f"by state, decided by gate revision {found.gate_revision}, recomputed by {found.current_gate_revision}"
    lines = [f"{found.id}: {'same' if found.same else 'DIFFERS'}, {how}"]
    lines += [f"  {found.problem}"] if found.problem else []
    lines += [f"  {d.policy} {d.id}: {d.stored or 'absent'}, recomputed {d.recomputed or 'absent'}" for d in found.differences]
    if not found.same and not found.problem and not found.differences:
        lines.append(f"  the states agree, the text does not: {found.recomputed_digest}")
    return "\n".join(lines)
