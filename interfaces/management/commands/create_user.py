"""Make an account, or give an existing one more roles, a password or a token."""

from __future__ import annotations

import sys
from typing import Any

from django.conf import settings
from django.core.management.base import CommandParser
from django.db import transaction

from core import commands
from core.access import Actor, Role
from interfaces.management.operator import OperatorCommand


class Command(OperatorCommand):
    help = "Make an account, or add roles, groups, a password or a token to an existing one. Doing it again changes nothing."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name")
        parser.add_argument("--role", action="append", default=[], choices=[role.value for role in Role])
        parser.add_argument("--group", action="append", default=[], help="a group that rights on models can be granted to")
        parser.add_argument("--full-name", default="")
        parser.add_argument("--email", default="", help="where mail for this person goes")
        parser.add_argument("--service-of", default="", metavar="PERSON", help="a service account this person answers for")
        parser.add_argument("--password-stdin", action="store_true", help="read the password from standard input")
        parser.add_argument("--token", action="store_true", help="issue a new API token and print it, and nothing else")
        parser.add_argument("--token-days", type=int, default=settings.TOKEN_DAYS, metavar="DAYS")
        parser.add_argument("--token-name", default="command line")

    @transaction.atomic
    def act(self, actor: Actor, options: dict[str, Any]) -> None:
        user = commands.ensure_user(
            actor=actor,
            username=options["name"],
            roles=options["role"],
            groups=options["group"],
            password=sys.stdin.readline().rstrip("\n") if options["password_stdin"] else None,
            full_name=options["full_name"],
            service_of=options["service_of"],
            email=options["email"],
        )
        if options["token"]:
            issued = commands.issue_token(
                actor=actor, username=user.username, name=options["token_name"], days=options["token_days"]
            )
            self.stdout.write(issued.secret)
            return
        groups = sorted(user.groups.values_list("name", flat=True))
        self.stdout.write(f"{user.username}: {', '.join(groups) or 'no roles'}")
