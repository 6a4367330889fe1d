"""Endpoints are added and changed by who may, on record and without their secrets; what failed is sent again by hand."""

from __future__ import annotations

import base64
import json
import uuid
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.conf import LazySettings
from django.utils import timezone

from core import access
from core.access import SYSTEM
from core.errors import Conflict, Denied, Invalid, NotFound
from core.models import AuditEvent, Job, User
from registry import commands as registry_commands
from registry.models import RegisteredModel
from tests.cast import ROOT, actor, person
from tests.webhooks.conftest import Receiver, endpoint, fresh, make_model, tell, the_delivery, work
from webhooks import commands, queries
from webhooks.models import DeliveryState, EndpointState, WebhookDelivery, WebhookEndpoint

pytestmark = pytest.mark.django_db

URL = "https://hooks.example.org/in"


def events(kind: str = "webhook.") -> list[dict[str, Any]]:
    rows = AuditEvent.objects.filter(action__startswith=kind).order_by("id")
    return [json.loads(row.body) for row in rows]


def recorded() -> dict[str, Any]:
    return events()[-1]


def test_a_platform_admin_adds_an_endpoint_and_gets_its_secret_once(pat: User, dana: User) -> None:
    made = commands.create_endpoint(
        actor=actor(pat),
        name=" CI ",
        url=f"{URL}/T0PSECRET?token=s3same-street",
        events=["promotion.*", "model.created", "promotion.*"],
    )
    row = fresh(made)
    assert (row.name, row.events, row.state, row.created_by) == ("CI", ["promotion.*", "model.created"], "active", pat)
    assert made.secret.startswith("whsec_") and len(base64.b64decode(made.secret[6:])) == 24
    stored = json.dumps([str(v) for v in WebhookEndpoint.objects.values_list().get()])
    assert made.secret not in stored and made.secret[6:] not in stored
    event = recorded()
    assert (event["action"], event["subject"], event["actor"]["name"]) == (
        "webhook.created", {"type": "webhook", "id": str(row.pk)}, "pat",
    )  # fmt: skip
    assert event["after"]["server"] == "https://hooks.example.org" and event["after"]["url_digest"].startswith("sha256:")
    text = json.dumps(events())
    assert "T0PSECRET" not in text and "s3same-street" not in text and made.secret[6:] not in text
    with pytest.raises(Denied, match="webhook:manage"):
        endpoint(dana, URL)
    assert WebhookEndpoint.objects.count() == 1


def test_who_manages_a_model_adds_endpoints_for_it_alone(dana: User, pat: User, ravi: User, mallory: User) -> None:
    make_model(dana, "m")
    made = endpoint(dana, URL, model="m")
    assert fresh(made).model.name == "m" and recorded()["scope"] == f"model:{made.endpoint.model_id}"
    assert endpoint(pat, URL, model="m").endpoint.model_id == made.endpoint.model_id
    with pytest.raises(Denied):
        endpoint(ravi, URL, model="m")
    for nobody, name in ((mallory, "m"), (dana, "no-such"), (pat, "no-such")):
        with pytest.raises(NotFound):
            endpoint(nobody, URL, model=name)
    writer = person("wanda")
    access.grant(RegisteredModel.objects.get(), "model_write", users=[writer.pk])
    with pytest.raises(Denied):
        endpoint(writer, URL, model="m")


def test_each_sees_what_they_manage_and_changes_nothing_else(dana: User, pat: User, mallory: User) -> None:
    make_model(dana, "m")
    hers, his = endpoint(dana, URL, model="m"), endpoint(pat, URL)
    assert set(queries.endpoints(actor(pat))) == {hers.endpoint, his.endpoint}
    assert set(queries.endpoints(actor(dana))) == {hers.endpoint}
    assert set(queries.endpoints(actor(mallory))) == set()
    before = len(events())
    for who, what in ((dana, his), (mallory, hers), (mallory, his)):
        number = what.endpoint.pk
        for act in (
            lambda a, n: commands.change_endpoint(actor=a, endpoint_id=n, name="x"),
            lambda a, n: commands.rotate_secret(actor=a, endpoint_id=n),
            lambda a, n: commands.delete_endpoint(actor=a, endpoint_id=n),
            lambda a, n: commands.send_test(actor=a, endpoint_id=n),
            lambda a, n: queries.deliveries(a, n),
        ):
            with pytest.raises(NotFound):
                act(actor(who), number)
    assert len(events()) == before and not Job.objects.filter(name="webhooks.deliver").exists()
    commands.change_endpoint(actor=actor(pat), endpoint_id=hers.endpoint.pk, name="x")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"name": " "}, "name"), ({"name": "x" * 101}, "name"), ({"name": "a\x00"}, "name"), ({"events": []}, "1 to 100"),
        ({"events": ["model.created"] * 3 + [f"e{i}" for i in range(100)]}, "1 to 100"), ({"events": ["model"]}, "'model'"),
        ({"events": ["models.*"]}, "'models.*'"), ({"events": ["*.created"]}, "created"), ({"events": [""]}, "''"),
        ({"events": ["model.createdx"]}, "createdx"), ({"url": "ftp://x/"}, "https"), ({"url": "https://u:p@x/"}, "passwords"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_with_what_to_give(pat: User, given: dict[str, Any], said: str) -> None:
    with pytest.raises(Invalid, match=said.replace("*", r"\*")):
        commands.create_endpoint(actor=actor(pat), **{"name": "ci", "url": URL, "events": ["*"], **given})
    made = endpoint(pat, URL)
    with pytest.raises(Invalid):
        commands.change_endpoint(actor=actor(pat), endpoint_id=made.endpoint.pk, **given)
    assert fresh(made).events == ["model.*"] and len(events()) == 1


def test_inner_addresses_are_refused_in_production(pat: User, settings: LazySettings) -> None:
    settings.WEBHOOKS_ALLOW_PRIVATE = False
    for url in ("http://hooks.example.org/", "https://127.0.0.1/", "https://localhost/", "https://169.254.169.254/latest"):
        with pytest.raises(Invalid) as refused:
            endpoint(pat, url)
        assert refused.value.code == "address_refused"
    endpoint(pat, URL)
    settings.WEBHOOKS_ALLOW_PRIVATE = True
    inner = endpoint(pat, "http://127.0.0.1:8080/")
    # What was allowed when it was added can still be changed and removed once it is not.
    settings.WEBHOOKS_ALLOW_PRIVATE = False
    commands.change_endpoint(actor=actor(pat), endpoint_id=inner.endpoint.pk, state="disabled")
    commands.delete_endpoint(actor=actor(pat), endpoint_id=inner.endpoint.pk)


def test_nobody_without_an_account_adds_an_endpoint(pat: User) -> None:
    for nobody in (ROOT, SYSTEM):
        with pytest.raises((Invalid, Denied)):
            commands.create_endpoint(actor=nobody, name="ci", url=URL, events=["*"])
    assert not WebhookEndpoint.objects.exists()


def test_a_model_has_only_so_many(dana: User) -> None:
    make_model(dana, "m")
    made = [endpoint(dana, URL, model="m") for _ in range(10)]
    with pytest.raises(Conflict, match="at most 10"):
        endpoint(dana, URL, model="m")
    commands.delete_endpoint(actor=actor(dana), endpoint_id=made[0].endpoint.pk)
    endpoint(dana, URL, model="m")


def test_a_change_is_on_record_with_what_was_before(pat: User) -> None:
    made = endpoint(pat, URL, "model.*")
    changed = commands.change_endpoint(
        actor=actor(pat), endpoint_id=made.endpoint.pk, name="other", url="https://b.example.org/", events=["run.*"]
    )
    assert (changed.name, changed.url, changed.events, changed.state) == ("other", "https://b.example.org/", ["run.*"], "active")
    event = recorded()
    assert event["action"] == "webhook.changed"
    assert (event["before"]["server"], event["after"]["server"]) == ("https://hooks.example.org", "https://b.example.org")
    assert (event["before"]["events"], event["after"]["events"]) == (["model.*"], ["run.*"])


def test_disabling_gives_up_what_waits_and_activating_starts_anew(dana: User, pat: User, receiver: Receiver) -> None:
    made = endpoint(pat, receiver.url)
    number = made.endpoint.pk
    make_model(dana, "m")
    receiver.answer(500)
    tell()
    disabled = commands.change_endpoint(actor=actor(pat), endpoint_id=number, state="disabled")
    assert (disabled.state, disabled.reason, disabled.failing_since) == (EndpointState.DISABLED, "pat disabled it.", None)
    assert the_delivery().state == DeliveryState.FAILED
    registry_commands.set_model_tag(actor=actor(dana), name="m", key="k", value="v")
    tell()
    with pytest.raises(Conflict) as refused:
        commands.redeliver(actor=actor(pat), delivery_id=the_delivery().pk)
    assert refused.value.code == "endpoint_disabled"
    active = commands.change_endpoint(actor=actor(pat), endpoint_id=number, state="active")
    assert (active.state, active.reason) == (EndpointState.ACTIVE, "")
    assert [e["after"]["state"] for e in events("webhook.changed")] == ["disabled", "active"]
    tell()
    assert len(receiver.requests) == 1 and WebhookDelivery.objects.count() == 1
    with pytest.raises(Invalid, match="active, disabled or testing"):
        commands.change_endpoint(actor=actor(pat), endpoint_id=number, state="asleep")


def test_an_endpoint_whose_account_was_closed_cannot_be_active_again(pat: User, dana: User) -> None:
    made = endpoint(pat, URL)
    other = actor(person("petra", "platform-admin"))
    commands.change_endpoint(actor=other, endpoint_id=made.endpoint.pk, state="disabled")
    User.objects.filter(pk=pat.pk).update(is_active=False)
    with pytest.raises(Conflict, match="pat, who made this endpoint"):
        commands.change_endpoint(actor=other, endpoint_id=made.endpoint.pk, state="active")
    commands.change_endpoint(actor=other, endpoint_id=made.endpoint.pk, name="still to be seen")


def test_after_a_rotation_both_secrets_sign_for_a_day(dana: User, pat: User, receiver: Receiver) -> None:
    made = endpoint(pat, receiver.url)
    with time_machine.travel(timezone.now(), tick=False) as clock:
        rotated = commands.rotate_secret(actor=actor(pat), endpoint_id=made.endpoint.pk)
        assert rotated.secret != made.secret
        event = recorded()
        assert event["after"]["secret"] == "rotated" and rotated.secret[6:] not in json.dumps(events())
        make_model(dana, "m")
        tell()
        clock.shift(timedelta(hours=23))
        registry_commands.set_model_tag(actor=actor(dana), name="m", key="k", value="1")
        tell()
        assert all(got.signed_with(made.secret) and got.signed_with(rotated.secret) for got in receiver.requests)
        clock.shift(timedelta(hours=2))
        registry_commands.set_model_tag(actor=actor(dana), name="m", key="k", value="2")
        tell()
        last = receiver.requests[-1]
        assert len(receiver.requests) == 3 and last.signed_with(rotated.secret) and not last.signed_with(made.secret)
        third = commands.rotate_secret(actor=actor(pat), endpoint_id=made.endpoint.pk)
        commands.rotate_secret(actor=actor(pat), endpoint_id=made.endpoint.pk)
        registry_commands.set_model_tag(actor=actor(dana), name="m", key="k", value="3")
        tell()
        assert receiver.requests[-1].signed_with(third.secret) and not receiver.requests[-1].signed_with(rotated.secret)


def test_a_deleted_endpoint_is_gone_and_stays_on_record(dana: User, pat: User, receiver: Receiver) -> None:
    made = endpoint(pat, receiver.url)
    make_model(dana, "m")
    receiver.answer(500)
    tell()
    commands.delete_endpoint(actor=actor(pat), endpoint_id=made.endpoint.pk)
    assert recorded()["action"] == "webhook.deleted" and recorded()["before"]["server"].startswith("http://127.0.0.1")
    assert the_delivery().state == DeliveryState.FAILED and list(queries.endpoints(actor(pat))) == []
    for again in (commands.delete_endpoint, commands.rotate_secret, commands.send_test):
        with pytest.raises(NotFound):
            again(actor=actor(pat), endpoint_id=made.endpoint.pk)
    with pytest.raises(NotFound):
        commands.redeliver(actor=actor(pat), delivery_id=the_delivery().pk)
    assert fresh(made).deleted_at is not None


def test_a_delivery_is_sent_again_by_hand_with_its_id_and_a_whole_round(
    dana: User, pat: User, mallory: User, receiver: Receiver
) -> None:
    made = endpoint(pat, receiver.url)
    make_model(dana, "m")
    tell()
    number = the_delivery().pk
    commands.redeliver(actor=actor(pat), delivery_id=number)
    event = recorded()
    assert (event["action"], event["before"], event["after"]["delivery"]) == (
        "webhook.redelivered", {"state": "delivered", "attempts": 1}, str(number),
    )  # fmt: skip
    receiver.answer(500)
    work()
    row = the_delivery()
    assert (row.state, row.attempts) == (DeliveryState.PENDING, 2), "it failed, and its round has begun anew"
    assert len(receiver.requests) == 2 and {got.headers["webhook-id"] for got in receiver.requests} == {str(number)}
    # Its next attempt is due in seconds, and the endpoint is held back; by hand it goes at once, and once.
    receiver.answer(200)
    commands.redeliver(actor=actor(pat), delivery_id=number)
    work()
    assert the_delivery().state == DeliveryState.DELIVERED and len(receiver.requests) == 3
    with time_machine.travel(timezone.now() + timedelta(hours=1)):
        work()
    assert len(receiver.requests) == 3, "the job of the attempt that was brought forward finds nothing to do"
    for who, which in ((mallory, number), (dana, number), (pat, uuid.uuid4())):
        with pytest.raises(NotFound):
            commands.redeliver(actor=actor(who), delivery_id=which)
    assert fresh(made).state == EndpointState.ACTIVE


def test_a_test_is_sent_and_signed_once_without_a_trace_in_the_ledger(pat: User, receiver: Receiver) -> None:
    made = endpoint(pat, receiver.url)
    before = AuditEvent.objects.count()
    sent = commands.send_test(actor=actor(pat), endpoint_id=made.endpoint.pk)
    work()
    (got,) = receiver.requests
    assert got.signed_with(made.secret) and got.headers["webhook-id"] == str(sent.pk)
    assert got.event["type"] == "countersign.webhook.test" and "ledgerposition" not in got.event
    assert the_delivery().state == DeliveryState.DELIVERED
    assert AuditEvent.objects.count() == before


def test_a_test_asks_a_disabled_endpoint_too_and_says_how_it_failed(pat: User, receiver: Receiver) -> None:
    made = endpoint(pat, receiver.url)
    commands.change_endpoint(actor=actor(pat), endpoint_id=made.endpoint.pk, state="disabled")
    commands.send_test(actor=actor(pat), endpoint_id=made.endpoint.pk)
    receiver.answer(401)
    work()
    row = the_delivery()
    assert (row.state, row.tries.get().status_code) == (DeliveryState.FAILED, 401)
    assert fresh(made).failing_since is None


def test_deliveries_are_read_with_their_attempts_in_so_many_statements(
    dana: User, pat: User, receiver: Receiver, django_assert_num_queries
) -> None:
    made = endpoint(pat, receiver.url)
    for i in range(6):
        make_model(dana, f"m{i}")
    tell()
    commands.send_test(actor=actor(pat), endpoint_id=made.endpoint.pk)
    who = actor(pat)
    with django_assert_num_queries(3):
        rows = queries.delivery_rows(queries.deliveries(who, made.endpoint.pk))
    assert [row.type for row in rows] == ["countersign.webhook.test", *["countersign.model.created"] * 6]
    assert [row.subject for row in rows[1:]] == [f"model/m{i}" for i in reversed(range(6))]
    assert all(len(row.tries) == 1 and row.ledger_position is not None for row in rows[1:])
    assert rows[0].tries == [] and rows[0].ledger_position is None
    assert len(queries.delivery_rows(queries.deliveries(who, made.endpoint.pk, state="pending"))) == 1
