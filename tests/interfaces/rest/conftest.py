"""The API as each of the cast calls it; every refusal is held against the schema of problems."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from django.conf import LazySettings
from django.http import HttpResponse
from django.test import Client

from core.models import User
from tests.cast import bearer
from tests.workflows.conftest import World, build

PROBLEM = {
    "type": "object",
    "required": ["type", "title", "status", "detail", "instance", "code", "request_id"],
    "properties": {
        "type": {"type": "string", "pattern": "/problems/[a-z-]+$"},
        "title": {"type": "string", "minLength": 3},
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "detail": {"type": "string", "minLength": 3},
        "instance": {"type": "string", "pattern": "^/api/v1/"},
        "code": {"type": "string", "pattern": "^[a-z_]+$"},
        "request_id": {"type": "string", "minLength": 8},
        "errors": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "required": ["detail"],
                "oneOf": [{"required": ["pointer"]}, {"required": ["parameter"]}],
                "properties": {
                    "detail": {"type": "string"},
                    "pointer": {"type": "string", "pattern": "^#(/[^/]*)*$"},
                    "parameter": {"type": "string"},
                    "line": {"type": "integer"},
                    "column": {"type": "integer"},
                },
                "additionalProperties": False,
            },
        },
        "policies": {"type": "array", "items": {"type": "string"}},
        "requirements": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["policy", "id", "title", "state", "reason", "how_to_satisfy", "value", "limit"],
            },
        },
        "ask_at": {"type": "string"},
        "ask_api": {"type": "string"},
    },
}


class Api:
    """Calls below /api/v1/ with one set of credentials."""

    def __init__(self, client: Client, headers: dict[str, str]) -> None:
        self._client, self._headers = client, headers

    def get(self, path: str, **query: Any) -> Any:
        return self._checked(self._client.get(_address(path), query, **self._headers))

    def post(self, path: str, body: Any = None, **headers: str) -> Any:
        return self._send("post", path, body, headers)

    def put(self, path: str, body: Any = None) -> Any:
        return self._send("put", path, body, {})

    def patch(self, path: str, body: Any = None) -> Any:
        return self._send("patch", path, body, {})

    def delete(self, path: str) -> Any:
        return self._send("delete", path, None, {})

    def send(self, method: str, path: str, data: bytes, content_type: str, **headers: str) -> Any:
        """Send a body as it is."""
        return self._checked(
            self._client.generic(method.upper(), _address(path), data, content_type=content_type, **self._headers, **headers)
        )

    def _send(self, method: str, path: str, body: Any, headers: dict[str, str]) -> Any:
        sent = {"HTTP_" + name.upper(): value for name, value in headers.items()}
        data = b"" if body is None else json.dumps(body).encode()
        return self.send(method, path, data, "application/json", **sent)

    def _checked(self, answer: Any) -> Any:
        if answer.status_code >= 400:
            check_problem(answer)
        return answer


def check_problem(answer: HttpResponse) -> None:
    """Hold a refusal against RFC 9457 and our members of it."""
    assert answer["Content-Type"] == "application/problem+json", answer.content
    body = json.loads(answer.content)
    jsonschema.validate(body, PROBLEM)
    assert body["status"] == answer.status_code
    assert body["request_id"] == answer["X-Request-ID"]
    assert (answer.status_code == 401) == ("WWW-Authenticate" in answer)


def _address(path: str) -> str:
    return path if path.startswith("/") else f"/api/v1/{path}"


@pytest.fixture(autouse=True)
def artifact_root(tmp_path: Path, settings: LazySettings) -> Path:
    """A store of each test's own."""
    settings.ARTIFACT_ROOT = str(tmp_path / "artifacts")
    return tmp_path


@pytest.fixture
def api() -> Callable[[User], Api]:
    """Return the API as this person calls it with a token."""
    return lambda user: Api(Client(raise_request_exception=False), bearer(user))


@pytest.fixture
def stranger() -> Api:
    """The API without credentials."""
    return Api(Client(raise_request_exception=False), {})


@pytest.fixture
def world(dana: User, pat: User) -> World:
    """A governed model of Dana's, a policy, and the data set it measures on."""
    return build(dana, pat)
