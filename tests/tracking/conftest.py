"""An experiment of Dana's with a run, and the events of what is done to them."""

from __future__ import annotations

import pytest

from core.access import Actor
from core.models import AuditEvent
from tests.cast import actor
from tracking.commands import experiments, runs


@pytest.fixture
def dana_acts(dana) -> Actor:
    return actor(dana)


@pytest.fixture
def experiment(dana_acts) -> int:
    return experiments.create_experiment(actor=dana_acts, name="churn", tags={"team": "red"})


@pytest.fixture
def run_id(dana_acts, experiment) -> str:
    return runs.create_run(actor=dana_acts, experiment_id=experiment, name="first", start_ms=1000, tags={"k": "v"}).run_id


def events(action: str) -> list[AuditEvent]:
    return list(AuditEvent.objects.filter(action=action))
