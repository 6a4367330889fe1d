"""MLflow's own webhooks: its unmodified client against a live server with a receiver, and what it would not send."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.conf import LazySettings

from core.models import User
from tests.cast import actor, bearer, person
from tests.interfaces.mlflow.conftest import Caller
from tests.webhooks.conftest import Received, Receiver, tell
from webhooks import commands
from webhooks.models import WebhookEndpoint

URL = "https://hooks.example.com/a"
CREATED = {"entity": "MODEL_VERSION", "action": "CREATED"}
NEW = {"name": "ci", "url": URL, "events": [CREATED]}


@pytest.fixture(autouse=True)
def artifact_root(tmp_path: Path, settings: LazySettings) -> None:
    settings.ARTIFACT_ROOT = str(tmp_path / "artifacts")


@pytest.fixture
def client(transactional_db: None, live_server: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[[User], Any]:
    """Return the client of MLflow as a person uses it."""
    from mlflow import MlflowClient

    def of(user: User) -> Any:
        monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", bearer(user)["HTTP_AUTHORIZATION"].removeprefix("Bearer "))
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        return MlflowClient(tracking_uri=live_server.url, registry_uri=live_server.url)

    return of


def signed(got: Received, secret: str) -> bool:
    """Verify as MLflow's page says, without our own code."""
    content = f"{got.headers['x-mlflow-delivery-id']}.{got.headers['x-mlflow-timestamp']}.{got.body.decode()}"
    expected = base64.b64encode(hmac.new(secret.encode(), content.encode(), hashlib.sha256).digest()).decode()
    return got.headers["x-mlflow-signature"] == f"v1,{expected}"


def test_a_script_of_mlflow_adds_tries_hears_changes_and_removes_a_webhook(
    client: Callable[[User], Any], receiver: Receiver
) -> None:
    from mlflow.entities.webhook import WebhookStatus
    from mlflow.exceptions import MlflowException

    admin = client(person("adam", "platform-admin", "data-scientist"))
    made = admin.create_webhook(
        name="ci",
        url=receiver.url,
        events=["registered_model.created", "model_version.created", "model_version_alias.created", "prompt.created"],
        description="CI",
        secret="s3cret",
    )
    assert (made.name, made.url, made.description, made.status, made.secret) == (
        "ci", receiver.url, "CI", WebhookStatus.ACTIVE, None,
    )  # fmt: skip
    assert [str(event) for event in made.events] == [
        "model_version.created", "model_version_alias.created", "prompt.created", "registered_model.created",
    ]  # fmt: skip

    tried = admin.test_webhook(made.webhook_id, "prompt.created")
    assert (tried.success, tried.response_status, tried.error_message) == (True, 204, None)
    receiver.answer(500)
    tried = admin.test_webhook(made.webhook_id)
    assert (tried.success, tried.response_status, tried.error_message) == (False, 500, None)
    receiver.answer(204)

    admin.create_registered_model("m", tags={"team": "credit"}, description="about")
    admin.create_model_version("m", "s3://bucket/m")
    admin.set_registered_model_alias("m", "champion", "1")
    admin.set_model_version_tag("m", "1", "not", "asked for")
    tell()
    assert all(signed(got, "s3cret") for got in receiver.requests)
    heard = [json.loads(got.body) for got in receiver.requests]
    assert [(body["entity"], body["action"], body["data"]["name"]) for body in heard] == [
        ("prompt", "created", "example"),
        ("model_version", "created", "example"),
        ("registered_model", "created", "m"),
        ("model_version", "created", "m"),
        ("model_version_alias", "created", "m"),
    ]

    changed = admin.update_webhook(
        made.webhook_id, name="cd", status="DISABLED", events=["model_version_tag.set"], secret="other"
    )
    assert (changed.name, changed.status, changed.description) == ("cd", WebhookStatus.DISABLED, "CI")
    assert admin.get_webhook(made.webhook_id).last_updated_timestamp > made.last_updated_timestamp
    admin.set_model_version_tag("m", "1", "not", "told")
    tell()
    assert len(receiver.requests) == 5
    admin.update_webhook(made.webhook_id, status="ACTIVE")
    admin.set_model_version_tag("m", "1", "k", "v")
    tell()
    assert signed(receiver.requests[-1], "other") and len(receiver.requests) == 6

    more = [admin.create_webhook(name=f"more{i}", url=URL, events=["prompt.created"]) for i in range(2)]
    first = admin.list_webhooks(max_results=2)
    assert [hook.name for hook in first] == ["more1", "more0"] and first.token
    last = admin.list_webhooks(max_results=2, page_token=first.token)
    assert [hook.name for hook in last] == ["cd"] and not last.token
    for hook in (changed, *more):
        admin.delete_webhook(hook.webhook_id)
    assert list(admin.list_webhooks()) == []
    with pytest.raises(MlflowException) as gone:
        admin.get_webhook(made.webhook_id)
    assert gone.value.error_code == "RESOURCE_DOES_NOT_EXIST"


def test_a_test_that_was_not_sent_says_why(
    client: Callable[[User], Any], pat: User, receiver: Receiver, settings: LazySettings
) -> None:
    made = client(pat).create_webhook(name="ci", url=receiver.url.replace("http://", "https://"), events=["prompt.created"])
    settings.WEBHOOKS_ALLOW_PRIVATE = False
    tried = client(pat).test_webhook(made.webhook_id)
    assert (tried.success, tried.response_status) == (False, None) and "loopback" in tried.error_message
    assert receiver.requests == []


@pytest.mark.django_db
def test_answers_have_the_fields_of_a_server_of_mlflow(pat: User) -> None:
    caller = Caller(pat)
    made = caller.ok("POST", "webhooks", **NEW)["webhook"]
    assert set(made) == {"webhook_id", "name", "url", "events", "status", "creation_timestamp", "last_updated_timestamp"}
    assert made["events"] == [CREATED] and type(made["creation_timestamp"]) is int
    numbers = caller.ok("POST", "webhooks", **{**NEW, "events": [{"entity": 4, "action": 3}], "status": 2, "description": "d"})
    assert numbers["webhook"]["events"] == [{"entity": "MODEL_VERSION_ALIAS", "action": "DELETED"}]
    assert (numbers["webhook"]["status"], numbers["webhook"]["description"]) == ("DISABLED", "d")
    one = f"webhooks/{made['webhook_id']}"
    assert caller.ok("GET", one)["webhook"] == made
    for empty in ({}, {"name": ""}, {"url": ""}, {"events": []}):
        same = caller.ok("PATCH", one, **empty)["webhook"]
        assert {**same, "last_updated_timestamp": 0} == {**made, "last_updated_timestamp": 0}
    assert "description" not in caller.ok("PATCH", one, description="")["webhook"]
    assert len(caller.ok("GET", "webhooks", max_results=0)["webhooks"]) == 2, "as MLflow has it, 0 is the default"
    assert caller.ok("DELETE", one) == {}
    caller.ok("DELETE", f"webhooks/{numbers['webhook']['webhook_id']}")
    assert caller.ok("GET", "webhooks") == {}


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"name": ""}, "INVALID_PARAMETER_VALUE"),
        ({"name": "-a"}, "INVALID_PARAMETER_VALUE"),
        ({"name": "a" * 64}, "INVALID_PARAMETER_VALUE"),
        ({"name": 5}, "INVALID_PARAMETER_VALUE"),
        ({"url": ""}, "INVALID_PARAMETER_VALUE"),
        ({"url": "ftp://hooks.example.com/"}, "INVALID_PARAMETER_VALUE"),
        ({"events": []}, "INVALID_PARAMETER_VALUE"),
        ({"events": "MODEL_VERSION"}, "INVALID_PARAMETER_VALUE"),
        ({"events": [{"entity": "MODEL_VERSION"}]}, "INVALID_PARAMETER_VALUE"),
        ({"events": [{"entity": "NOTHING", "action": "CREATED"}]}, "INVALID_PARAMETER_VALUE"),
        ({"events": [{"entity": "MODEL_VERSION", "action": "UPDATED"}]}, "INVALID_PARAMETER_VALUE"),
        ({"events": [{"entity": 0, "action": 0}]}, "INVALID_PARAMETER_VALUE"),
        ({"events": [{"entity": "BUDGET_POLICY", "action": "EXCEEDED"}]}, "INVALID_PARAMETER_VALUE"),
        ({"events": [CREATED, CREATED]}, "BAD_REQUEST"),
        ({"status": "ASLEEP"}, "INVALID_PARAMETER_VALUE"),
        ({"secret": "x" * 1001}, "INVALID_PARAMETER_VALUE"),
    ],
)
def test_what_makes_no_sense_is_refused(pat: User, fields: dict[str, Any], code: str) -> None:
    assert Caller(pat).refused("POST", "webhooks", **{**NEW, **fields}) == (400, code)
    assert not WebhookEndpoint.objects.exists()


@pytest.mark.django_db
def test_only_who_manages_webhooks_has_any(pat: User, dana: User, mallory: User) -> None:
    made = Caller(pat).ok("POST", "webhooks", **NEW)["webhook"]
    ours = commands.create_endpoint(actor=actor(pat), name="ours", url=URL, events=["*"]).endpoint
    for user in (dana, mallory):
        caller = Caller(user)
        assert caller.refused("POST", "webhooks", **NEW) == (403, "PERMISSION_DENIED")
        assert caller.ok("GET", "webhooks") == {}
        for method, path in (("GET", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/test")):
            assert caller.refused(method, f"webhooks/{made['webhook_id']}{path}") == (404, "RESOURCE_DOES_NOT_EXIST"), method
    for unknown in (ours.pk, "nope", "9" * 30):
        assert Caller(pat).refused("GET", f"webhooks/{unknown}") == (404, "RESOURCE_DOES_NOT_EXIST")
    for query in ({"max_results": -1}, {"max_results": 1001}, {"page_token": "x"}):
        assert Caller(pat).refused("GET", "webhooks", **query) == (400, "INVALID_PARAMETER_VALUE")
