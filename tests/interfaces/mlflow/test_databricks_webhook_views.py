"""Databricks' registry webhooks: its unmodified client against a live server with a receiver, and what it would not send."""

from __future__ import annotations

import hashlib
import hmac
import json
from pathlib import Path
from typing import Any

import pytest
from databricks.sdk.errors import BadRequest, NotFound, NotImplemented, PermissionDenied, ResourceConflict
from databricks.sdk.service.ml import HttpUrlSpec, JobSpec, RegistryWebhookEvent, RegistryWebhookStatus
from django.conf import LazySettings

from core.models import AuditEvent, User
from registry import commands as registry_commands
from tests.cast import actor
from tests.interfaces.mlflow.conftest import Caller, Registry
from tests.webhooks.conftest import Receiver, tell
from webhooks import commands
from webhooks.models import WebhookDelivery, WebhookEndpoint

Event, Status = RegistryWebhookEvent, RegistryWebhookStatus
HOOKS = "registry-webhooks/"
URL = "https://hooks.example.com/a"


@pytest.fixture(autouse=True)
def artifact_root(tmp_path: Path, settings: LazySettings) -> None:
    settings.ARTIFACT_ROOT = str(tmp_path / "artifacts")


@pytest.fixture
def free(dana: User) -> str:
    """A model of Dana's."""
    registry_commands.create_model(actor=actor(dana), name="free")
    return "free"


def test_a_script_of_databricks_adds_tries_hears_changes_and_removes_a_webhook(
    registry: Registry, dana: User, ravi: User, free: str, receiver: Receiver
) -> None:
    client = registry(dana)
    spec = HttpUrlSpec(url=receiver.url, secret="s3cret", authorization="Bearer zzz")
    made = client.create_webhook(
        [Event.MODEL_VERSION_CREATED, Event.MODEL_VERSION_TRANSITIONED_TO_PRODUCTION, Event.TRANSITION_REQUEST_CREATED],
        model_name=free,
        description="CI",
        http_url_spec=spec,
    ).webhook
    assert made is not None and made.id is not None and made.http_url_spec is not None
    assert (made.model_name, made.description, made.status) == (free, "CI", Status.ACTIVE)
    assert (made.http_url_spec.url, made.http_url_spec.enable_ssl_verification) == (receiver.url, True)

    tried = client.test_registry_webhook(made.id, event=Event.TRANSITION_REQUEST_CREATED)
    assert (tried.status_code, tried.body) == (204, "")
    receiver.answer(500)
    assert client.test_registry_webhook(made.id).status_code == 500
    receiver.answer(204)

    client.create_model_version(free, "s3://bucket/model")
    client.create_transition_request(free, "1", "Production", comment="please")
    registry(ravi).approve_transition_request(free, "1", "Production", True)
    tell()
    for got in receiver.requests:
        assert got.headers["x-databricks-signature"] == hmac.new(b"s3cret", got.body, hashlib.sha256).hexdigest()
        assert got.headers["authorization"] == "Bearer zzz"
    heard = [json.loads(got.body) for got in receiver.requests]
    assert [(body["event"], body["webhook_id"], body["version"]) for body in heard] == [
        ("TRANSITION_REQUEST_CREATED", made.id, "1"),  # the tests
        ("MODEL_VERSION_CREATED", made.id, "1"),
        ("MODEL_VERSION_CREATED", made.id, "1"),
        ("TRANSITION_REQUEST_CREATED", made.id, "1"),
        ("MODEL_VERSION_TRANSITIONED_TO_PRODUCTION", made.id, "1"),
    ]
    assert (heard[-1]["from_stage"], heard[-1]["to_stage"]) == ("None", "Production")

    changed = client.update_webhook(made.id, status=Status.TEST_MODE, events=[Event.COMMENT_CREATED], description="").webhook
    assert changed is not None
    assert (changed.status, changed.events, changed.description) == (Status.TEST_MODE, [Event.COMMENT_CREATED], None)
    client.create_comment(free, "1", "not told: tests only")
    tell()
    assert len(receiver.requests) == 5
    assert client.test_registry_webhook(made.id).status_code == 204, "tests go on"

    client.delete_webhook(made.id)
    assert list(client.list_webhooks()) == []
    with pytest.raises(NotFound):
        client.test_registry_webhook(made.id)
    assert WebhookDelivery.objects.count() == 6, "what was sent stays on record"


def test_webhooks_are_listed_newest_first_by_model_and_events(registry: Registry, dana: User, pat: User, free: str) -> None:
    registry_commands.create_model(actor=actor(dana), name="other")
    made = {}
    for name, events in (("free", [Event.COMMENT_CREATED]), ("other", [Event.MODEL_VERSION_CREATED, Event.COMMENT_CREATED])):
        hook = registry(dana).create_webhook(events, model_name=name, http_url_spec=HttpUrlSpec(url=URL)).webhook
        assert hook is not None
        made[name] = hook.id
    whole = registry(pat).create_webhook([Event.REGISTERED_MODEL_CREATED], http_url_spec=HttpUrlSpec(url=URL)).webhook
    assert whole is not None and whole.model_name is None

    def listed(user: User, **by: Any) -> list[str | None]:
        return [hook.id for hook in registry(user).list_webhooks(**by)]

    assert listed(dana) == listed(dana, max_results=1) == [made["other"], made["free"]]
    assert listed(dana, events=[Event.COMMENT_CREATED], max_results=1) == [made["other"], made["free"]]
    assert listed(dana, events=[Event.MODEL_VERSION_CREATED]) == [made["other"]]
    assert listed(dana, model_name="free") == [made["free"]]
    assert listed(pat) == [whole.id, made["other"], made["free"]]
    commands.create_endpoint(actor=actor(pat), name="ours", url=URL, events=["*"])
    assert len(listed(pat)) == 3, "endpoints in other formats are not Databricks' to show"


def test_who_may_not_manage_is_refused_and_who_may_not_see_finds_nothing(
    registry: Registry, dana: User, ravi: User, mallory: User, free: str
) -> None:
    spec = HttpUrlSpec(url=URL)
    hook = registry(dana).create_webhook([Event.COMMENT_CREATED], model_name=free, http_url_spec=spec).webhook
    assert hook is not None and hook.id is not None
    with pytest.raises(PermissionDenied, match="webhook:manage"):
        registry(dana).create_webhook([Event.COMMENT_CREATED], http_url_spec=spec)
    with pytest.raises(PermissionDenied, match="model:manage"):
        registry(ravi).create_webhook([Event.COMMENT_CREATED], model_name=free, http_url_spec=spec)
    with pytest.raises(NotFound):
        registry(mallory).create_webhook([Event.COMMENT_CREATED], model_name=free, http_url_spec=spec)
    for user in (ravi, mallory):
        client = registry(user)
        assert list(client.list_webhooks()) == []
        for call in (client.update_webhook, client.delete_webhook, client.test_registry_webhook):
            with pytest.raises(NotFound):
                call(hook.id)
    with pytest.raises(NotFound):
        list(registry(mallory).list_webhooks(model_name=free))
    assert list(registry(ravi).list_webhooks(model_name=free)) == []
    assert WebhookEndpoint.objects.filter(deleted_at__isnull=True).count() == 1


def test_what_cannot_be_served_says_what_to_do(registry: Registry, dana: User, free: str, settings: LazySettings) -> None:
    client = registry(dana)
    with pytest.raises(NotImplemented, match="Give an http_url_spec"):
        client.create_webhook(
            [Event.COMMENT_CREATED], model_name=free, job_spec=JobSpec(job_id="1", access_token="t", workspace_url="https://x")
        )
    with pytest.raises(BadRequest, match="http_url_spec"):
        client.create_webhook([Event.COMMENT_CREATED], model_name=free)
    with pytest.raises(BadRequest, match="leave out model_name"):
        client.create_webhook([Event.REGISTERED_MODEL_CREATED], model_name=free, http_url_spec=HttpUrlSpec(url=URL))
    settings.WEBHOOKS_ALLOW_PRIVATE = False
    for url in ("https://169.254.169.254/latest", "http://hooks.example.com/a"):
        with pytest.raises(BadRequest):
            client.create_webhook([Event.COMMENT_CREATED], model_name=free, http_url_spec=HttpUrlSpec(url=url))
    assert not WebhookEndpoint.objects.exists()


def test_a_test_that_may_not_be_sent_or_gets_no_answer_is_refused_with_the_reason(
    registry: Registry, dana: User, free: str, receiver: Receiver, settings: LazySettings
) -> None:
    client = registry(dana)
    inside = receiver.url.replace("http://", "https://")  # fit by its form, until it is looked up
    hook = client.create_webhook([Event.COMMENT_CREATED], model_name=free, http_url_spec=HttpUrlSpec(url=inside)).webhook
    assert hook is not None and hook.id is not None
    with pytest.raises(BadRequest, match="got no answer"):
        client.test_registry_webhook(hook.id)
    settings.WEBHOOKS_ALLOW_PRIVATE = False
    with pytest.raises(BadRequest, match=r"Not sent.*loopback"):
        client.test_registry_webhook(hook.id)
    assert receiver.requests == []
    assert [try_.error[:9] for d in WebhookDelivery.objects.order_by("created_at") for try_ in d.tries.all()][1] == "Not sent."


@pytest.mark.django_db
def test_secrets_are_in_no_answer_and_in_no_event(dana: User, free: str) -> None:
    spec = {"url": URL, "secret": "s3cret", "authorization": "Bearer zzz", "enable_ssl_verification": False}
    caller = Caller(dana)
    made = caller.ok("POST", HOOKS + "create", events=["COMMENT_CREATED"], model_name=free, http_url_spec=spec)["webhook"]
    assert made["http_url_spec"] == {"url": URL, "enable_ssl_verification": False}
    assert type(made["id"]) is str and type(made["creation_timestamp"]) is int
    changed = caller.ok("PATCH", HOOKS + "update", id=made["id"], http_url_spec={**spec, "enable_ssl_verification": True})
    text = json.dumps([made, changed, caller.ok("GET", HOOKS + "list"), list(AuditEvent.objects.values_list("body", flat=True))])
    assert "s3cret" not in text and "zzz" not in text
    event = json.loads(AuditEvent.objects.get(action="webhook.changed").body)
    assert event["after"]["given_anew"] == ["secret", "authorization"]
    assert (event["before"]["verify_certificate"], event["after"]["verify_certificate"]) == (False, True)
    kept = WebhookEndpoint.objects.get()
    caller.ok("PATCH", HOOKS + "update", id=made["id"], http_url_spec={"url": URL})
    assert WebhookEndpoint.objects.get().sealed_secret == kept.sealed_secret, "what is not given stays"
    caller.ok("PATCH", HOOKS + "update", id=made["id"], http_url_spec={"url": URL, "secret": "", "authorization": ""})
    emptied = WebhookEndpoint.objects.get()
    assert (emptied.sealed_secret, emptied.sealed_authorization) == ("", "")


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("method", "path", "fields", "answer"),
    [
        ("POST", "create", {}, (400, "INVALID_PARAMETER_VALUE")),
        ("POST", "create", {"events": []}, (400, "INVALID_PARAMETER_VALUE")),
        ("POST", "create", {"events": ["NOTHING"], "http_url_spec": {"url": URL}}, (400, "INVALID_PARAMETER_VALUE")),
        ("POST", "create", {"events": ["COMMENT_CREATED"], "http_url_spec": {}}, (400, "INVALID_PARAMETER_VALUE")),
        ("POST", "create", {"events": ["COMMENT_CREATED"], "http_url_spec": {"url": "//["}}, (400, "INVALID_PARAMETER_VALUE")),
        (
            "POST",
            "create",
            {"events": ["COMMENT_CREATED"], "http_url_spec": {"url": URL}, "status": "ASLEEP"},
            (400, "INVALID_PARAMETER_VALUE"),
        ),
        (
            "POST",
            "create",
            {"events": ["COMMENT_CREATED"], "http_url_spec": {"url": URL, "authorization": "a\r\nb: c"}},
            (400, "INVALID_PARAMETER_VALUE"),
        ),
        ("POST", "create", {"events": ["COMMENT_CREATED"], "job_spec": {"job_id": "1"}}, (501, "NOT_IMPLEMENTED")),
        ("GET", "list", {"events": "NOTHING"}, (400, "INVALID_PARAMETER_VALUE")),
        ("GET", "list", {"max_results": 0}, (400, "INVALID_PARAMETER_VALUE")),
        ("GET", "list", {"page_token": "x"}, (400, "INVALID_PARAMETER_VALUE")),
        ("GET", "list", {"model_name": "ghost"}, (404, "RESOURCE_DOES_NOT_EXIST")),
        ("PATCH", "update", {}, (400, "INVALID_PARAMETER_VALUE")),
        ("PATCH", "update", {"id": "7"}, (404, "RESOURCE_DOES_NOT_EXIST")),
        ("DELETE", "delete", {"id": "none"}, (404, "RESOURCE_DOES_NOT_EXIST")),
        ("DELETE", "delete", {"id": "9" * 30}, (404, "RESOURCE_DOES_NOT_EXIST")),
        ("POST", "test", {"id": "7"}, (404, "RESOURCE_DOES_NOT_EXIST")),
    ],
)
def test_a_refusal_has_the_protocols_code(
    dana: User, free: str, method: str, path: str, fields: dict[str, Any], answer: tuple[int, str]
) -> None:
    given = fields if method != "POST" or path != "create" else {"model_name": free, **fields}
    assert Caller(dana).refused(method, HOOKS + path, **given) == answer
    assert not WebhookEndpoint.objects.exists()


def test_a_model_has_only_so_many_webhooks(registry: Registry, dana: User, free: str) -> None:
    for _ in range(commands.MOST_FOR_A_MODEL):
        registry(dana).create_webhook([Event.COMMENT_CREATED], model_name=free, http_url_spec=HttpUrlSpec(url=URL))
    with pytest.raises(ResourceConflict, match="at most"):
        registry(dana).create_webhook([Event.COMMENT_CREATED], model_name=free, http_url_spec=HttpUrlSpec(url=URL))
