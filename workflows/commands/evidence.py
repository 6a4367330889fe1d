"""Change what open requests are judged on, and have them judged again."""

from __future__ import annotations

from collections.abc import Mapping

from django.db import transaction

from core.access import Actor
from governance.commands import cards, checks
from governance.models import CheckRun, ModelCard
from workflows.lifecycle import wake, wake_model


@transaction.atomic
def write_card(*, actor: Actor, model_name: str, version: int, sections: Mapping[str, str]) -> ModelCard:
    """Write a model card as ``governance.commands.cards.write_card`` does, and wake the requests that look at it."""
    card = cards.write_card(actor=actor, model_name=model_name, version=version, sections=sections)
    wake_model(card.version.model.name)
    return card


@transaction.atomic
def cancel_check(*, actor: Actor, run_id: str) -> CheckRun:
    """Cancel a run as ``governance.commands.checks.cancel_check`` does, and wake the requests that wait for it."""
    run = checks.cancel_check(actor=actor, run_id=run_id)
    for request_id in run.request_links.values_list("request_id", flat=True):
        wake(request_id)
    return run
