"""What the engines add to a request's statements, so that counts can be exact on both."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from django.db import connection


@dataclass(frozen=True)
class Statements:
    """for_metrics_apart: SQLite reads numbers by a statement of their own. for_a_transaction: savepoint and release, in tests."""

    for_metrics_apart: int
    for_a_transaction: int


@pytest.fixture
def statements() -> Statements:
    return Statements(for_metrics_apart=int(connection.vendor == "sqlite"), for_a_transaction=2)
