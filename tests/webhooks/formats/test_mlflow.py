"""What a receiver of MLflow's webhooks gets, looked at with MLflow's own words for it."""

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

from core.errors import Conflict, Invalid
from core.models import AuditEvent, User
from registry import commands as registry_commands
from tests.cast import actor
from tests.webhooks.conftest import Receiver, fresh, tell
from webhooks import commands
from webhooks.formats.mlflow import EXAMPLES
from webhooks.models import WebhookEndpoint
from workflows.commands import catalog

pytestmark = pytest.mark.django_db
Hook = Callable[..., commands.Secret]
PROMPT = {"mlflow.prompt.is_prompt": "true", "_mlflow_prompt_type": "text"}


@pytest.fixture
def hook(pat: User, receiver: Receiver, tmp_path: Path, settings: LazySettings) -> Hook:
    """Add a webhook in MLflow's format, for all that happens unless events are named."""
    settings.ARTIFACT_ROOT = str(tmp_path)

    def add(*events: str, **options: Any) -> commands.Secret:
        given = {"secret": "s3cret", "format": "mlflow", **options}
        return commands.create_endpoint(actor=actor(pat), name="ci", url=receiver.url, events=events or EXAMPLES, **given)

    return add


def signature(secret: str, headers: dict[str, str], body: bytes) -> str:
    """Sign as MLflow's page on verifying says, without our own code."""
    signed = f"{headers['x-mlflow-delivery-id']}.{headers['x-mlflow-timestamp']}.{body.decode()}"
    return "v1," + base64.b64encode(hmac.new(secret.encode(), signed.encode(), hashlib.sha256).digest()).decode()


def told(receiver: Receiver) -> list[tuple[str, dict[str, Any]]]:
    found = [json.loads(got.body) for got in receiver.requests]
    return [(f"{body['entity']}.{body['action']}", body["data"]) for body in found]


def test_what_happens_to_models_is_told_in_mlflows_shape(hook: Hook, dana: User, receiver: Receiver) -> None:
    hook()
    who = actor(dana)
    registry_commands.create_model(actor=who, name="m", tags={"team": "credit"}, description="about")
    registry_commands.set_model_tag(actor=who, name="m", key="k", value="v")  # no event of MLflow's
    registry_commands.register_version(actor=who, model_name="m", source="s3://b/m", tags={"a": "1"})
    registry_commands.set_version_tag(actor=who, model_name="m", number=1, key="k", value="v")
    registry_commands.delete_version_tag(actor=who, model_name="m", number=1, key="k")
    catalog.set_alias(actor=who, model_name="m", alias="champion", version=1)
    catalog.delete_alias(actor=who, model_name="m", alias="champion")
    catalog.transition_stage(actor=who, model_name="m", version=1, stage="Staging")  # nor is this one
    tell()
    version = {"name": "m", "version": "1"}
    assert told(receiver) == [
        ("registered_model.created", {"name": "m", "tags": {"team": "credit"}, "description": "about"}),
        ("model_version.created", {**version, "tags": {"a": "1"}, "description": None, "source": "s3://b/m", "run_id": None}),
        ("model_version_tag.set", {**version, "key": "k", "value": "v"}),
        ("model_version_tag.deleted", {**version, "key": "k"}),
        ("model_version_alias.created", {"name": "m", "alias": "champion", "version": "1"}),
        ("model_version_alias.deleted", {"name": "m", "alias": "champion"}),
    ]
    for got in receiver.requests:
        assert got.headers["content-type"] == "application/json"
        assert got.headers["x-mlflow-signature"] == signature("s3cret", got.headers, got.body)
        assert json.loads(got.body)["timestamp"].endswith("+00:00")
    event = AuditEvent.objects.get(action="model.created")
    assert json.loads(receiver.requests[0].body)["timestamp"] == event.occurred_at.isoformat(timespec="microseconds")


def test_prompts_are_told_as_prompts_though_they_are_registered_models(hook: Hook, dana: User, receiver: Receiver) -> None:
    hook()
    who = actor(dana)
    registry_commands.create_model(actor=who, name="p", tags={**PROMPT, "team": "credit"})
    registry_commands.set_model_tag(actor=who, name="p", key="k", value="v")
    registry_commands.delete_model_tag(actor=who, name="p", key="k")
    registry_commands.register_version(
        actor=who, model_name="p", source="dummy-source", tags={**PROMPT, "mlflow.prompt.text": "Hi {{name}}", "a": "1"}
    )
    registry_commands.set_version_tag(actor=who, model_name="p", number=1, key="k", value="v")
    registry_commands.delete_version_tag(actor=who, model_name="p", number=1, key="k")
    catalog.set_alias(actor=who, model_name="p", alias="live", version=1)
    catalog.delete_alias(actor=who, model_name="p", alias="live")
    tell()
    version = {"name": "p", "version": "1"}
    assert told(receiver) == [
        ("prompt.created", {"name": "p", "tags": {"team": "credit"}, "description": ""}),
        ("prompt_tag.set", {"name": "p", "key": "k", "value": "v"}),
        ("prompt_tag.deleted", {"name": "p", "key": "k"}),
        ("prompt_version.created", {**version, "tags": {"a": "1"}, "description": None, "template": "Hi {{name}}"}),
        ("prompt_version_tag.set", {**version, "key": "k", "value": "v"}),
        ("prompt_version_tag.deleted", {**version, "key": "k"}),
        ("prompt_alias.created", {"name": "p", "alias": "live", "version": "1"}),
        ("prompt_alias.deleted", {"name": "p", "alias": "live"}),
    ]


def test_an_endpoint_gets_what_it_asked_for_and_no_more(hook: Hook, dana: User, receiver: Receiver) -> None:
    hook("model_version_tag.deleted")
    who = actor(dana)
    registry_commands.create_model(actor=who, name="m")
    registry_commands.register_version(actor=who, model_name="m", source="s3://b/m")
    registry_commands.set_version_tag(actor=who, model_name="m", number=1, key="k", value="v")
    registry_commands.delete_version_tag(actor=who, model_name="m", number=1, key="k")
    tell()
    assert [name for name, _ in told(receiver)] == ["model_version_tag.deleted"]


def test_what_mlflow_has_and_nothing_here_is_refused_with_the_reason(hook: Hook) -> None:
    for event, said in (
        ("budget_policy.exceeded", "budgets"),
        ("model_version.deleted", "No event is called"),
        ("*", "No event"),
    ):
        with pytest.raises(Invalid, match=said):
            hook(event)
    assert not WebhookEndpoint.objects.exists()
    assert hook("prompt.created", "model_version.created").endpoint.events == ["model_version.created", "prompt.created"]


@pytest.mark.parametrize("event", EXAMPLES)
def test_a_test_sends_an_example_with_the_fields_of_mlflows_own(hook: Hook, pat: User, receiver: Receiver, event: str) -> None:
    from mlflow.entities.webhook import WebhookEvent
    from mlflow.webhooks.types import get_example_payload_for_event

    made = hook("model_version.created")
    assert not commands.try_out(actor=actor(pat), endpoint_id=made.endpoint.pk, event=event).error
    ((name, data),) = told(receiver)
    assert name == event
    assert {k: type(v) for k, v in data.items()} == {
        k: type(v) for k, v in get_example_payload_for_event(WebhookEvent.from_str(event)).items()
    }


def test_a_chosen_secret_is_kept_unreadable_and_never_rotated_or_recorded(hook: Hook, pat: User) -> None:
    made = hook(authorization="Bearer t0ken")
    assert made.secret == ""
    row = fresh(made)
    stored = str(WebhookEndpoint.objects.values_list().get())
    assert "s3cret" not in stored and "t0ken" not in stored and row.secret_salt == ""
    assert "s3cret" not in str(list(AuditEvent.objects.values_list("body", flat=True)))
    with pytest.raises(Conflict, match="MLflow's protocol"):
        commands.rotate_secret(actor=actor(pat), endpoint_id=row.pk)
    for bad in ("Bearer x\r\nX-Evil: 1", "Bearer \u20ac", "x" * 1001):
        with pytest.raises(Invalid, match="one line"):
            commands.change_endpoint(actor=actor(pat), endpoint_id=row.pk, authorization=bad)
    with pytest.raises(Invalid, match="rotate it"):
        hook("*", format="standard")
