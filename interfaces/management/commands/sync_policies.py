"""Compare a folder of policies, parameters and bindings with what holds here, or make it hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from core.access import Actor
from governance import sync
from governance.commands.sync import sync_policies
from governance.sync import Change, FileMistake, Mistaken, Plan, Source
from interfaces.management.folders import read_folder
from interfaces.management.operator import OperatorCommand

_WOULD = {"publish": "would publish", "bind": "would bind", "end": "would end", "unchanged": "unchanged"}
_DONE = {"publish": "published", "bind": "bound", "end": "ended", "unchanged": "unchanged"}


class Command(OperatorCommand):
    help = (
        "Bring in the policies, parameters and bindings of a folder, such as a git checkout: --check says what would change and "
        "every mistake with its file, line and column; --apply does it, all or nothing. Status 1 tells of mistakes."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("folder", type=Path, metavar="DIR")
        what = parser.add_mutually_exclusive_group(required=True)
        what.add_argument("--check", action="store_true", help="write nothing")
        what.add_argument("--apply", action="store_true", help="publish, bind and end as the plan says, in one transaction")
        parser.add_argument("--prune", action="store_true", help="end the bindings that no file names")
        parser.add_argument("--fail-on-change", action="store_true", help="with --check: status 1 if anything would change")

    def act(self, actor: Actor, options: dict[str, Any]) -> None:
        if options["apply"] and options["fail_on_change"]:
            raise CommandError("--fail-on-change goes with --check.", returncode=2)
        sources, unread = read_folder(options["folder"])
        made = self._carried_out(actor, sources, unread, options)
        for change in made.changes:
            self.stdout.write(_line(change, _DONE if options["apply"] else _WOULD))
        for warning in made.warnings:
            self.stderr.write(warning)
        if options["fail_on_change"] and made.changing:
            raise CommandError(f"{options['folder']} differs from what holds here in {len(made.changing)} places.", returncode=1)

    def _carried_out(self, actor: Actor, sources: list[Source], unread: list[FileMistake], options: dict[str, Any]) -> Plan:
        try:
            if options["apply"] and not unread:
                return sync_policies(actor=actor, sources=sources, prune=options["prune"])
            made = sync.plan(actor, sources, prune=options["prune"])
        except Mistaken as error:
            unread = [*unread, *error.found]
        if unread:
            text = "\n".join(map(str, sorted(unread)))
            count = f"{len(unread)} mistake{'s' * (len(unread) != 1)}"
            raise CommandError(f"{count}, so nothing {'was' if options['apply'] else 'would be'} changed:\n{text}", returncode=1)
        return made


def _line(change: Change, words: dict[str, str]) -> str:
    where = f" ({change.source.file}:{change.source.line + 1})" if change.source else ""
    return f"{words[change.action]:<13} {change.kind} {change.name}: {change.detail}{where}"
