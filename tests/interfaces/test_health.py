"""Probes are answered without signing in, under any host name, and tell when the database is away."""

from __future__ import annotations

import pytest
from django.db import OperationalError, connection


@pytest.mark.django_db
def test_a_probe_is_answered_whatever_name_it_uses_for_the_host(client, settings) -> None:
    settings.ALLOWED_HOSTS = ["models.example.org"]
    answer = client.get("/health", headers={"host": "127.0.0.1:8000"})
    assert (answer.status_code, answer.content) == (200, b"OK")
    assert answer["X-Request-ID"]
    assert client.post("/health").status_code == 405


def test_a_probe_learns_that_the_database_is_away(client, monkeypatch) -> None:
    def away() -> None:
        raise OperationalError("connection refused")

    monkeypatch.setattr(connection, "cursor", away)
    answer = client.get("/health")
    assert answer.status_code == 503 and b"connection refused" not in answer.content
