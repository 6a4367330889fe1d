"""A database that cannot answer just now: every client is told to come again, and nothing half-done is left."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator

import psycopg
import pytest
from django.db import OperationalError, connection
from django.test import Client

from interfaces.overload import SENTENCE, is_passing
from registry.models import RegisteredModel
from tests.cast import bearer, person

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def unavailable() -> Iterator[None]:
    """Somebody else writes and does not end; on PostgreSQL, the server ends our connection."""
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("PRAGMA busy_timeout = 50")
            other = sqlite3.connect(connection.settings_dict["NAME"], isolation_level=None)
            other.execute("BEGIN IMMEDIATE")
            yield
            other.close()
        else:
            cursor.execute("SELECT pg_backend_pid()")
            (pid,) = cursor.fetchone()
            given = connection.get_connection_params()
            with psycopg.connect(
                **{key: given[key] for key in ("dbname", "user", "password", "host", "port") if key in given}
            ) as other:
                other.execute("SELECT pg_terminate_backend(%s)", [pid])
            yield
    connection.close()


@pytest.mark.parametrize("path", ["/api/2.0/mlflow/registered-models/create", "/api/v1/models/"])
def test_a_client_is_told_to_come_again(path: str, client: Client, request: pytest.FixtureRequest) -> None:
    head = bearer(person("dana", "data-scientist"))
    request.getfixturevalue("unavailable")
    answer = client.post(path, json.dumps({"name": "credit"}), content_type="application/json", **head)
    assert (answer.status_code, answer["Retry-After"]) == (503, "2")
    said = answer.json()
    assert SENTENCE in (said.get("message"), said.get("detail"))
    assert {"error_code": said.get("error_code"), "code": said.get("code")} in (
        {"error_code": "TEMPORARILY_UNAVAILABLE", "code": None},
        {"error_code": None, "code": "unavailable"},
    )
    connection.close()
    assert not RegisteredModel.objects.exists()


def test_a_person_is_told_so_on_a_page(client: Client, request: pytest.FixtureRequest) -> None:
    dana = person("dana", "data-scientist")
    dana.set_password("a long enough password")
    dana.save()
    request.getfixturevalue("unavailable")
    client.raise_request_exception = False
    answer = client.post("/sign-in", {"username": "dana", "password": "a long enough password"})
    assert (answer.status_code, answer["Retry-After"]) == (503, "2")
    assert SENTENCE in answer.content.decode()


def test_a_mistake_of_ours_is_no_overload() -> None:
    with pytest.raises(OperationalError if connection.vendor == "sqlite" else Exception) as found, connection.cursor() as cursor:
        cursor.execute("SELECT nothing FROM nowhere")
    assert not is_passing(found.value)
    assert not is_passing(ValueError())
    assert not is_passing(None)
