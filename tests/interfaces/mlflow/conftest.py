"""Clients that really call, a receiver that really listens, and what the engines add to a request's statements."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from databricks.sdk import WorkspaceClient
from databricks.sdk.core import Config
from databricks.sdk.service.ml import ModelRegistryAPI
from django.db import connection
from django.test import Client

from core.models import User
from tests.cast import bearer
from tests.webhooks.conftest import Receiver, serve

Registry = Callable[[User], ModelRegistryAPI]


@dataclass(frozen=True)
class Statements:
    """for_metrics_apart: SQLite reads numbers by a statement of their own. for_a_transaction: savepoint and release, in tests."""

    for_metrics_apart: int
    for_a_transaction: int


@pytest.fixture
def statements() -> Statements:
    return Statements(for_metrics_apart=int(connection.vendor == "sqlite"), for_a_transaction=2)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    server = serve(made)
    yield made
    server.shutdown()
    server.server_close()


@pytest.fixture
def registry(transactional_db: None, live_server: Any, monkeypatch: pytest.MonkeyPatch) -> Registry:
    """Return the client of Databricks as a person uses it; to be asked for before the cast, whose rows it would empty."""
    for name in [name for name in os.environ if name.startswith("DATABRICKS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("DATABRICKS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("NO_PROXY", "localhost,127.0.0.1")

    def of(user: User) -> ModelRegistryAPI:
        token = bearer(user)["HTTP_AUTHORIZATION"].removeprefix("Bearer ")
        config = Config(host=live_server.url, token=token, auth_type="pat", retry_timeout_seconds=2, http_timeout_seconds=20)
        return WorkspaceClient(config=config).model_registry

    return of


class Caller:
    """Someone who writes the protocol by hand."""

    def __init__(self, user: User) -> None:
        self.client, self.headers = Client(), bearer(user)

    def __call__(self, method: str, path: str, **fields: Any) -> tuple[int, dict[str, Any]]:
        address = f"/api/2.0/mlflow/{path}"
        if method == "GET":
            response = self.client.get(address, fields, **self.headers)
        else:
            response = self.client.generic(method, address, json.dumps(fields), "application/json", **self.headers)
        return response.status_code, response.json()

    def ok(self, method: str, path: str, **fields: Any) -> dict[str, Any]:
        status, body = self(method, path, **fields)
        assert status == 200, body
        return body

    def refused(self, method: str, path: str, **fields: Any) -> tuple[int, str]:
        status, body = self(method, path, **fields)
        assert body["message"]
        return status, body["error_code"]
