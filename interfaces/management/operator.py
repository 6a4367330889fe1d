"""Who acts on the command line: whoever may read the instance's settings, named by their account on this machine."""

from __future__ import annotations

import os
import pwd
import uuid
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from core.access import Actor, Role
from core.errors import DomainError


def operator() -> Actor:
    """Return the actor of a management command.

    It has no account here, so it can neither submit a model nor review one; the ledger shows ``os:<account>`` and "command-line".
    """
    try:
        account = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a container may run under a number that has no name
        account = str(os.getuid())
    return Actor(
        user_id=None,
        username=f"os:{account}",
        display_name=f"{account} (command line)",
        roles=frozenset({Role.PLATFORM_ADMIN.value}),
        credential="command-line",
        request_id=uuid.uuid4().hex,
    )


class OperatorCommand(BaseCommand):
    """A management command that carries out one of our commands; a refusal becomes a sentence and status 2."""

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            self.act(operator(), options)
        except DomainError as error:
            raise CommandError(error.message, returncode=2) from error

    def act(self, actor: Actor, options: dict[str, Any]) -> None:
        """Do the work. Raises DomainError for what is refused."""
        raise NotImplementedError
