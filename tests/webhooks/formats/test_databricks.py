"""What a receiver of Databricks' registry webhooks gets: its words, its one flat object, its signature over the body."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.conf import LazySettings

from core.errors import Invalid
from core.models import User
from registry import commands as registry_commands
from registry.models import ModelVersion
from tests.cast import actor
from tests.webhooks.conftest import Receiver, fresh, make_model, tell, the_delivery
from webhooks import commands
from webhooks.formats.databricks import EVENTS
from webhooks.models import DeliveryState
from workflows.commands import catalog, discussion
from workflows.commands import requests as request_commands

pytestmark = pytest.mark.django_db
Hook = Callable[..., commands.Secret]


@pytest.fixture
def hook(pat: User, dana: User, receiver: Receiver, tmp_path: Path, settings: LazySettings) -> Hook:
    """Add a webhook in Databricks' format; of the model m unless another is named."""
    settings.ARTIFACT_ROOT = str(tmp_path)
    make_model(dana, "m")

    def add(*events: str, model: str | None = "m", **options: Any) -> commands.Secret:
        given = {"secret": "s3cret", "format": "databricks", **options}
        return commands.create_endpoint(actor=actor(pat), name="ci", url=receiver.url, events=events, model_name=model, **given)

    return add


def version(dana: User) -> ModelVersion:
    return registry_commands.register_version(actor=actor(dana), model_name="m", source="s3://bucket/m")


def bodies(receiver: Receiver) -> list[dict[str, Any]]:
    return [json.loads(got.body) for got in receiver.requests]


def test_a_move_is_told_flat_and_signed_over_the_body_alone(hook: Hook, dana: User, receiver: Receiver) -> None:
    made = hook("MODEL_VERSION_TRANSITIONED_STAGE")
    version(dana)
    catalog.transition_stage(actor=actor(dana), model_name="m", version=1, stage="Staging")
    tell()
    (got,) = receiver.requests
    assert got.headers["content-type"] == "application/json; charset=utf-8"
    assert got.headers["x-databricks-signature"] == hmac.new(b"s3cret", got.body, hashlib.sha256).hexdigest()
    assert "authorization" not in got.headers and not any(name.startswith("webhook-") for name in got.headers)
    (body,) = bodies(receiver)
    assert abs(body.pop("event_timestamp") - the_delivery().created_at.timestamp() * 1000) < 60_000
    assert body == {
        "event": "MODEL_VERSION_TRANSITIONED_STAGE",
        "webhook_id": str(made.endpoint.pk),
        "model_name": "m",
        "version": "1",
        "to_stage": "Staging",
        "from_stage": "None",
        "text": "Registered model 'm' version 1 transitioned from None to Staging.",
    }
    assert the_delivery().state == DeliveryState.DELIVERED


def test_each_event_is_told_by_the_name_that_was_asked_for(hook: Hook, dana: User, ravi: User, receiver: Receiver) -> None:
    hook(
        "MODEL_VERSION_CREATED",
        "MODEL_VERSION_TRANSITIONED_TO_ARCHIVED",
        "TRANSITION_REQUEST_TO_PRODUCTION_CREATED",
        "COMMENT_CREATED",
        "MODEL_VERSION_TAG_SET",
    )
    who = actor(dana)
    version(dana)
    registry_commands.set_version_tag(actor=who, model_name="m", number=1, key="k", value="v")
    registry_commands.delete_version_tag(actor=who, model_name="m", number=1, key="k")  # no event there is for it
    catalog.transition_stage(actor=who, model_name="m", version=1, stage="Staging")  # another stage than was asked for
    catalog.transition_stage(actor=who, model_name="m", version=1, stage="Archived")
    request = request_commands.request_promotion(actor=who, model_name="m", version=1, target="Production", reason="please")
    request_commands.request_promotion(actor=who, model_name="m", version=1, target="champion", target_kind="alias", reason="x")
    thread = discussion.open_thread(actor=actor(ravi), anchor_kind="version", text="first", model_name="m", version=1)
    discussion.add_comment(actor=who, thread_id=thread.pk, text="second")
    discussion.open_thread(actor=actor(ravi), anchor_kind="request", text="third", request_id=request.pk)
    tell()
    told = [{k: v for k, v in body.items() if k not in ("webhook_id", "event_timestamp", "text")} for body in bodies(receiver)]
    of = {"model_name": "m", "version": "1"}
    assert told == [
        {"event": "MODEL_VERSION_CREATED", **of},
        {"event": "MODEL_VERSION_TAG_SET", **of, "key": "k", "value": "v"},
        {"event": "MODEL_VERSION_TRANSITIONED_TO_ARCHIVED", **of, "to_stage": "Archived", "from_stage": "Staging"},
        {
            "event": "TRANSITION_REQUEST_TO_PRODUCTION_CREATED",
            **of,
            "to_stage": "Production",
            "from_stage": "Archived",
            "comment": "please",
        },
        {"event": "COMMENT_CREATED", **of, "comment": "first"},
        {"event": "COMMENT_CREATED", **of, "comment": "second"},
        {"event": "COMMENT_CREATED", **of, "comment": "third"},
    ]
    assert all(body["text"] for body in bodies(receiver))


def test_models_are_told_to_webhooks_of_the_registry_alone(hook: Hook, dana: User, receiver: Receiver) -> None:
    with pytest.raises(Invalid, match="leave out model_name"):
        hook("REGISTERED_MODEL_CREATED")
    hook("REGISTERED_MODEL_CREATED", model=None)
    make_model(dana, "other")
    tell()
    (body,) = bodies(receiver)
    assert (body["event"], body["model_name"]) == ("REGISTERED_MODEL_CREATED", "other")


def test_a_drafted_request_is_told_when_it_is_asked_for(hook: Hook, dana: User, receiver: Receiver) -> None:
    hook("TRANSITION_REQUEST_CREATED")
    version(dana)
    drafted = request_commands.request_promotion(
        actor=actor(dana), model_name="m", version=1, target="Staging", reason="soon", draft=True
    )
    tell()
    assert receiver.requests == []
    request_commands.submit_request(actor=actor(dana), request_id=drafted.pk)
    tell()
    (body,) = bodies(receiver)
    assert (body["event"], body["to_stage"], body["comment"]) == ("TRANSITION_REQUEST_CREATED", "Staging", "soon")


@pytest.mark.parametrize("event", EVENTS)
def test_a_test_sends_an_example_of_every_event(hook: Hook, pat: User, receiver: Receiver, event: str) -> None:
    made = hook("MODEL_VERSION_CREATED", authorization="Bearer abc")
    came = commands.try_out(actor=actor(pat), endpoint_id=made.endpoint.pk, event=event)
    assert (came.status_code, came.error) == (204, "")
    (got,) = receiver.requests
    assert json.loads(got.body)["event"] == event and json.loads(got.body)["model_name"] == "m"
    assert got.headers["authorization"] == "Bearer abc"
    assert got.headers["x-databricks-signature"] == hmac.new(b"s3cret", got.body, hashlib.sha256).hexdigest()


def test_without_a_secret_nothing_is_signed_and_without_the_key_nothing_is_sent(
    hook: Hook, pat: User, receiver: Receiver, settings: LazySettings
) -> None:
    open_one, signed = hook("COMMENT_CREATED", secret=""), hook("COMMENT_CREATED")
    assert not commands.try_out(actor=actor(pat), endpoint_id=open_one.endpoint.pk).error
    assert "x-databricks-signature" not in receiver.requests[0].headers
    settings.SECRET_KEY = "another key of this installation, long enough"
    lost = commands.try_out(actor=actor(pat), endpoint_id=signed.endpoint.pk)
    assert "Give the secret again" in lost.error and len(receiver.requests) == 1
    commands.change_endpoint(actor=actor(pat), endpoint_id=signed.endpoint.pk, secret="a newer secret")
    assert not commands.try_out(actor=actor(pat), endpoint_id=signed.endpoint.pk).error
    assert fresh(signed).sealed_secret and "newer secret" not in fresh(signed).sealed_secret
