"""Readiness asks what the work needs, and says which of it failed."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.db import OperationalError, connection
from django.test import Client

pytestmark = pytest.mark.django_db


@pytest.fixture
def stored(tmp_path: Path, settings) -> Path:
    root = tmp_path / "artifacts"
    root.mkdir()
    settings.ARTIFACT_ROOT = str(root)
    return root


def test_ready_asks_database_broker_and_storage(stored: Path) -> None:
    answer = Client().get("/ready")
    assert answer.status_code == 200
    assert answer.json() == {"ready": True, "database": "ok", "broker": "ok", "storage": "ok"}
    assert list(stored.iterdir()) == []
    assert Client().post("/ready").status_code == 405


def test_ready_names_what_failed_and_still_asks_the_others(stored: Path, monkeypatch, caplog) -> None:
    stored.rmdir()
    answer = Client().get("/ready")
    assert answer.status_code == 503
    assert answer.json() == {"ready": False, "database": "ok", "broker": "ok", "storage": "failed"}
    assert str(stored) not in answer.content.decode() and str(stored) in caplog.text

    def away() -> None:
        raise OperationalError("connection refused")

    monkeypatch.setattr(connection, "cursor", away)
    assert Client().get("/ready").json()["database"] == "failed"


def test_ready_notices_a_broker_that_is_away(stored: Path, monkeypatch) -> None:
    monkeypatch.setenv("CELERY_BROKER_URL", "redis://127.0.0.1:1/0")  # Celery reads it before its own settings
    answer = Client().get("/ready")
    assert (answer.status_code, answer.json()["broker"]) == (503, "failed")
