"""Change what open requests are judged on, and have them judged again."""

from __future__ import annotations

from collections.abc import Mapping

from django.db import transaction

from core.access import Actor
from governance.commands import cards
from governance.models import ModelCard
from workflows.lifecycle import wake_model


@transaction.atomic
def write_card(*, actor: Actor, model_name: str, version: int, sections: Mapping[str, str]) -> ModelCard:
    """Write a model card as ``governance.commands.cards.write_card`` does, and wake the requests that look at it."""
    card = cards.write_card(actor=actor, model_name=model_name, version=version, sections=sections)
    wake_model(card.version.model.name)
    return card
