from __future__ import annotations

from datetime import UTC, datetime

import time_machine
from django.db import transaction

from core.access import Actor
from registry import commands, history, placement
from registry.history import Period
from registry.models import ModelVersion, RegisteredModel

MARCH = datetime(2026, 3, 1, 12, tzinfo=UTC)
APRIL = datetime(2026, 4, 1, 12, tzinfo=UTC)


def promote(who: Actor, version: ModelVersion) -> None:
    with transaction.atomic():
        placement.assign_stage(version, "Production", actor=who, archive_existing=True)
        placement.assign_alias(version.model, "champion", version, actor=who)


def two_in_production(who: Actor) -> tuple[ModelVersion, ModelVersion]:
    """Return two versions from 1 March, the first in Production from 2 March, the second from 1 April."""
    with time_machine.travel(MARCH, tick=False):
        first, second = (commands.register_version(actor=who, model_name="credit", source="s3://bucket/credit") for _ in "12")
    with time_machine.travel(MARCH.replace(day=2), tick=False):
        promote(who, first)
    with time_machine.travel(APRIL, tick=False):
        promote(who, second)
    return first, second


def places(periods: list[Period]) -> list[tuple[str, int]]:
    return [(period.place, period.version) for period in periods]


def test_what_was_in_production_at_a_date_can_be_told_later(credit: RegisteredModel, someone: Actor) -> None:
    two_in_production(someone)
    then = MARCH.replace(day=31)
    assert places(history.stage_history(someone, "credit", then)) == [("Production", 1), ("None", 2)]
    assert places(history.alias_history(someone, "credit", then)) == [("champion", 1)]
    assert places(history.stage_history(someone, "credit", APRIL)) == [("Production", 2), ("Archived", 1)]
    assert places(history.alias_history(someone, "credit", APRIL)) == [("champion", 2)]
    assert history.stage_history(someone, "credit", MARCH.replace(hour=1)) == []


def test_the_history_has_stages_and_aliases_the_latest_first(credit: RegisteredModel, someone: Actor) -> None:
    two_in_production(someone)
    periods = history.history(someone, "credit")
    assert [(period.kind, period.place, period.version) for period in periods] == [
        ("stage", "Production", 2),
        ("stage", "Archived", 1),
        ("alias", "champion", 2),
        ("stage", "Production", 1),
        ("alias", "champion", 1),
        ("stage", "None", 2),
        ("stage", "None", 1),
    ]
    assert (periods[3].valid_from, periods[3].valid_to) == (MARCH.replace(day=2), APRIL)


def test_moves_are_of_a_model_or_of_a_version_and_leave_out_where_every_version_begins(
    credit: RegisteredModel, someone: Actor
) -> None:
    first, _ = two_in_production(someone)
    assert places(history.moves(credit, limit=10)) == places(history.history(someone, "credit"))[:5]
    assert places(history.moves(first, limit=10)) == [("Archived", 1), ("Production", 1), ("champion", 1)]
    assert places(history.moves(credit, limit=2)) == [("Production", 2), ("Archived", 1)]
