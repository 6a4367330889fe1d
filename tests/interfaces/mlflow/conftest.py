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
    """apart: one where an engine takes apart what PostgreSQL takes together. for_a_transaction: savepoint and release, in tests."""

    apart: int
    for_a_transaction: int


@pytest.fixture
def statements() -> Statements:
    return Statements(apart=int(connection.vendor == "sqlite"), for_a_transaction=2)


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
    """Someone with a token who writes the protocol by hand.

    A path lies below ``/api/2.0/mlflow/`` unless it begins with a slash. What is sent is the query of a GET, else the body; a text
    is sent as it is.
    """

    def __init__(self, user: User) -> None:
        self.client, self.headers = Client(), bearer(user)

    def __call__(self, method: str, path: str, **fields: Any) -> tuple[int, dict[str, Any]]:
        return self._send(method, path, fields)

    def ok(self, method: str, path: str, **fields: Any) -> dict[str, Any]:
        """Return the answer to what must succeed."""
        return self._answer(200, method, path, fields)

    def refused(self, method: str, path: str, **fields: Any) -> tuple[int, str]:
        """Return status and code of a refusal, which has a message."""
        status, body = self(method, path, **fields)
        assert body["message"]
        return status, body["error_code"]

    def get(self, path: str, status: int = 200, **query: Any) -> dict[str, Any]:
        return self._answer(status, "GET", path, query)

    def post(self, path: str, body: Any = None, status: int = 200) -> dict[str, Any]:
        return self._answer(status, "POST", path, body)

    def patch(self, path: str, body: Any = None, status: int = 200) -> dict[str, Any]:
        return self._answer(status, "PATCH", path, body)

    def delete(self, path: str, body: Any = None, status: int = 200) -> dict[str, Any]:
        return self._answer(status, "DELETE", path, body)

    def _answer(self, status: int, method: str, path: str, sent: Any) -> dict[str, Any]:
        got, answer = self._send(method, path, sent)
        assert got == status, answer
        return answer

    def _send(self, method: str, path: str, sent: Any) -> tuple[int, dict[str, Any]]:
        address = path if path.startswith("/") else f"/api/2.0/mlflow/{path}"
        if method == "GET":
            response = self.client.get(address, sent, **self.headers)
        else:
            text = sent if isinstance(sent, str) else json.dumps(sent or {})
            response = self.client.generic(method, address, text, "application/json", **self.headers)
        return response.status_code, response.json()


@pytest.fixture
def api(dana: User) -> Caller:
    return Caller(dana)


@pytest.fixture
def experiment(api) -> str:
    return api.post("experiments/create", {"name": "e"})["experiment_id"]


@pytest.fixture
def run_id(api, experiment) -> str:
    body = {"experiment_id": experiment, "run_name": "first", "start_time": 7, "tags": [{"key": "k", "value": "v"}]}
    return api.post("runs/create", body)["run"]["info"]["run_id"]
