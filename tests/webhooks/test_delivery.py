"""At least once, with pauses that grow: a receiver that fails, a worker that is killed, an endpoint that is given up."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest
import time_machine
from django.conf import LazySettings
from django.db import connection
from django.utils import timezone

from config.environment import BASE_DIR
from core import jobs
from core.models import AuditEvent, Job, JobState, User
from registry import commands as registry_commands
from tests.cast import actor, person
from tests.webhooks.conftest import Receiver, endpoint, fresh, make_model, queue, tell, the_delivery, work
from webhooks import commands, delivery
from webhooks.delivery import DELIVER, PAUSES
from webhooks.models import DeliveryAttempt, DeliveryState, EndpointState, WebhookDelivery, WebhookEndpoint


@pytest.fixture
def clock() -> Iterator[Any]:
    """A clock that stands still until it is moved."""
    with time_machine.travel(timezone.now(), tick=False) as moved:
        yield moved


def tag(owner: User, value: str, model: str = "m") -> None:
    registry_commands.set_model_tag(actor=actor(owner), name=model, key="k", value=value)


def due() -> datetime:
    at = the_delivery().next_attempt_at
    assert at is not None
    return at


@pytest.mark.django_db
def test_an_event_arrives_signed_with_its_place_in_the_ledger(
    dana: User, pat: User, receiver: Receiver, settings: LazySettings
) -> None:
    settings.PUBLIC_URL = "https://models.example.org"
    made = endpoint(pat, receiver.url, "model.created")
    make_model(dana, "credit.risk")
    tell()
    (got,) = receiver.requests
    row = the_delivery()
    assert got.signed_with(made.secret) and not got.signed_with("whsec_" + "A" * 32)
    assert got.headers["content-type"] == "application/cloudevents+json"
    assert got.headers["webhook-id"] == str(row.pk)
    assert abs(int(got.headers["webhook-timestamp"]) - timezone.now().timestamp()) < 60
    assert row.event is not None
    recorded = AuditEvent.objects.get(action="model.created")
    assert got.event == {
        "specversion": "1.0",
        "id": str(recorded.pk),
        "source": "https://models.example.org",
        "type": "countersign.model.created",
        "subject": "model/credit.risk",
        "time": recorded.occurred_at.isoformat(timespec="microseconds"),
        "datacontenttype": "application/json",
        "ledgerposition": recorded.entry.position,
        "data": {
            "actor": "dana",
            "model": "credit.risk",
            "scope": recorded.scope,
            "subject": {"type": "model", "id": "credit.risk"},
            "links": {
                "event": f"https://models.example.org/api/v1/audit/events/{recorded.pk}/",
                "page": "https://models.example.org/models/credit.risk/",
                "api": "https://models.example.org/api/v1/models/credit.risk/",
            },
            "after": {"description": "", "tags": {}, "risk_tier": "medium", "owner_team": ""},
        },
    }
    assert (row.state, row.attempts, row.next_attempt_at) == (DeliveryState.DELIVERED, 1, None)
    assert row.delivered_at is not None
    attempt = row.tries.get()
    assert (attempt.status_code, attempt.error) == (204, "")
    work()
    assert len(receiver.requests) == 1


@pytest.mark.django_db
def test_a_receiver_that_fails_first_gets_it_again_with_the_same_id(
    dana: User, pat: User, receiver: Receiver, clock: Any
) -> None:
    made = endpoint(pat, receiver.url)
    make_model(dana, "m")
    receiver.answer(500, 503, 200)
    tell()
    row = the_delivery()
    assert (row.state, row.attempts) == (DeliveryState.PENDING, 1)
    assert timedelta(seconds=5) <= due() - timezone.now() <= timedelta(seconds=5.5)
    work()
    assert len(receiver.requests) == 1, "not before its time"
    clock.move_to(due() + timedelta(seconds=1))
    work()
    assert timedelta(minutes=5) <= due() - timezone.now() <= timedelta(minutes=5.5)
    clock.move_to(due() + timedelta(seconds=1))
    work()
    row.refresh_from_db()
    assert (row.state, row.attempts) == (DeliveryState.DELIVERED, 3)
    assert [t.status_code for t in row.tries.order_by("id")] == [500, 503, 200]
    assert [t.error for t in row.tries.order_by("id")] == ["Answered 500.", "Answered 503.", ""]
    assert len({got.headers["webhook-id"] for got in receiver.requests}) == 1
    assert len({got.headers["webhook-timestamp"] for got in receiver.requests}) == 3
    assert len({got.body for got in receiver.requests}) == 1
    assert all(got.signed_with(made.secret) for got in receiver.requests)


@pytest.mark.django_db
def test_after_the_last_attempt_a_delivery_has_failed(dana: User, pat: User, receiver: Receiver, clock: Any) -> None:
    endpoint(pat, receiver.url)
    make_model(dana, "m")
    receiver.answer(500)
    began = timezone.now()
    tell()
    for pause in PAUSES:
        assert pause <= due() - timezone.now() <= pause * 1.1
        clock.move_to(due() + timedelta(seconds=1))
        work()
    row = the_delivery()
    assert (row.state, row.attempts, row.next_attempt_at) == (DeliveryState.FAILED, 10, None)
    assert timedelta(days=3) < timezone.now() - began < timedelta(days=4)
    clock.shift(timedelta(days=30))
    work()
    assert len(receiver.requests) == 10 == DeliveryAttempt.objects.count()


@pytest.mark.django_db
def test_a_receiver_that_asks_for_time_gets_it(dana: User, pat: User, receiver: Receiver, clock: Any) -> None:
    def busy(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(429)
        handler.send_header("Retry-After", "600")
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    endpoint(pat, receiver.url)
    make_model(dana, "m")
    receiver.answer(busy)
    tell()
    assert timedelta(seconds=600) <= due() - timezone.now() <= timedelta(seconds=660)


@pytest.mark.django_db
def test_while_an_endpoint_fails_its_other_deliveries_wait(dana: User, pat: User, receiver: Receiver, clock: Any) -> None:
    made = endpoint(pat, receiver.url)
    make_model(dana, "m")
    for i in range(20):
        tag(dana, str(i))
    receiver.answer(500)
    tell()
    assert len(receiver.requests) == 1, "one finds out for all"
    assert WebhookDelivery.objects.filter(state=DeliveryState.PENDING).count() == 21
    assert fresh(made).held_until - timezone.now() == timedelta(seconds=5)
    clock.shift(timedelta(seconds=20))
    work()
    assert len(receiver.requests) == 2
    assert fresh(made).held_until - timezone.now() == timedelta(seconds=20), "as long as it has failed so far"
    clock.shift(timedelta(hours=1))
    work()
    assert len(receiver.requests) == 3
    assert fresh(made).held_until - timezone.now() == timedelta(minutes=5)
    receiver.answer(200)
    clock.shift(timedelta(hours=3))
    work()
    assert WebhookDelivery.objects.filter(state=DeliveryState.DELIVERED).count() == 21
    assert (fresh(made).failing_since, fresh(made).held_until) == (None, None)
    assert len({got.headers["webhook-id"] for got in receiver.requests}) == 21


@pytest.mark.django_db
def test_a_slow_receiver_does_not_keep_the_workers_from_others(
    dana: User, pat: User, receiver: Receiver, clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = endpoint(pat, receiver.url)
    make_model(dana, "m")
    for i in range(3):
        tag(dana, str(i))
    monkeypatch.setattr("webhooks.health.SLOW_MS", 0)
    tell()
    assert len(receiver.requests) == 1 and fresh(made).held_until - timezone.now() == timedelta(seconds=30)
    assert fresh(made).failing_since is None
    monkeypatch.setattr("webhooks.health.SLOW_MS", 5000)
    clock.shift(timedelta(seconds=45))
    work()
    assert len(receiver.requests) == 4 and fresh(made).held_until is None
    assert set(WebhookDelivery.objects.values_list("state", "attempts")) == {(DeliveryState.DELIVERED, 1)}


@pytest.mark.django_db
def test_an_endpoint_that_failed_for_five_days_is_disabled_and_says_why(
    dana: User, pat: User, receiver: Receiver, clock: Any
) -> None:
    made = endpoint(pat, receiver.url)
    make_model(dana, "m")
    receiver.answer(500)
    tell()
    for day in range(6):
        clock.shift(timedelta(days=1))
        tag(dana, str(day))
        tell()
        if fresh(made).state == EndpointState.DISABLED:
            break
    disabled = fresh(made)
    assert day == 4 and disabled.reason == "Every attempt failed for 5 days. The last: Answered 500."
    assert not WebhookDelivery.objects.filter(state=DeliveryState.PENDING).exists()
    (event,) = AuditEvent.objects.filter(action="webhook.changed")
    assert '"before":{"state":"active"}' in event.body and disabled.reason in event.body
    sent = len(receiver.requests)
    clock.shift(timedelta(days=2))
    tag(dana, "x")
    tell()
    assert len(receiver.requests) == sent
    # Made active again, it is told of what happens from then on, and starts with a clean sheet.
    receiver.answer(500, 200)
    commands.change_endpoint(actor=actor(pat), endpoint_id=disabled.pk, state="active")
    tag(dana, "y")
    tell()
    assert fresh(made).state == EndpointState.ACTIVE and len(receiver.requests) == sent + 1


@pytest.mark.django_db
def test_a_success_in_between_starts_the_five_days_anew(dana: User, pat: User, receiver: Receiver, clock: Any) -> None:
    made = endpoint(pat, receiver.url)
    make_model(dana, "m")
    for day in range(8):
        receiver.answer(200 if day == 4 else 500)
        clock.shift(timedelta(days=1))
        tag(dana, str(day))
        tell()
    assert fresh(made).state == EndpointState.ACTIVE
    assert fresh(made).failing_since is not None


@pytest.mark.django_db
def test_an_endpoint_that_is_gone_is_disabled_at_once(dana: User, pat: User, receiver: Receiver) -> None:
    made = endpoint(pat, receiver.url)
    make_model(dana, "m")
    receiver.answer(410)
    tell()
    assert fresh(made).state == EndpointState.DISABLED and "410" in fresh(made).reason
    assert the_delivery().state == DeliveryState.FAILED


@pytest.mark.django_db
def test_what_leads_inside_is_not_sent_in_production(
    dana: User, pat: User, receiver: Receiver, settings: LazySettings, monkeypatch
) -> None:
    endpoint(pat, f"https://hooks.example.org:{receiver.port}/")
    settings.WEBHOOKS_ALLOW_PRIVATE = False
    real = socket.getaddrinfo
    monkeypatch.setattr(
        "webhooks.addresses.socket.getaddrinfo",
        lambda host, port, *a, **k: real("127.0.0.1" if host.startswith("hooks") and not k.get("flags") else host, port, *a, **k),
    )
    make_model(dana, "m")
    tell()
    (attempt,) = the_delivery().tries.all()
    assert attempt.status_code is None and attempt.error.startswith("Not sent. hooks.example.org leads to a loopback address")
    assert receiver.requests == []


@pytest.mark.django_db
def test_rights_lost_after_the_fan_out_count_as_well(dana: User, pat: User, receiver: Receiver) -> None:
    make_model(dana, "m")
    made = endpoint(dana, receiver.url, model="m")
    tag(dana, "1")
    queue()
    fresh(made).model.modeluserpermission_set.all().delete()
    work()
    row = the_delivery()
    assert row.state == DeliveryState.FAILED and "may not read this any more" in row.tries.get().error
    assert receiver.requests == []


@pytest.mark.django_db
@pytest.mark.parametrize("how", ["disabled", "deleted", "closed"])
def test_what_waits_for_an_endpoint_that_ended_is_not_sent(dana: User, pat: User, receiver: Receiver, how: str) -> None:
    made = endpoint(pat, receiver.url)
    make_model(dana, "m")
    queue()
    if how == "closed":
        User.objects.filter(pk=pat.pk).update(is_active=False)
    else:
        # As by somebody who changes the rows while the delivery is on its way to a worker.
        change = {"state": EndpointState.DISABLED} if how == "disabled" else {"deleted_at": timezone.now()}
        WebhookEndpoint.objects.filter(pk=made.endpoint.pk).update(**change)
    work()
    assert the_delivery().state == DeliveryState.FAILED and how in the_delivery().tries.get().error
    assert receiver.requests == []


@pytest.mark.django_db
def test_another_secret_key_is_noticed_instead_of_signing_in_vain(
    dana: User, pat: User, receiver: Receiver, settings: LazySettings
) -> None:
    made = endpoint(pat, receiver.url)
    settings.SECRET_KEY = "another key than when the endpoint was made"
    make_model(dana, "m")
    tell()
    assert receiver.requests == [] and "Rotate the secret" in the_delivery().tries.get().error
    rotated = commands.rotate_secret(actor=actor(pat), endpoint_id=made.endpoint.pk)
    assert rotated.endpoint.previous_secret_ends_at is None
    commands.redeliver(actor=actor(pat), delivery_id=the_delivery().pk)
    work()
    assert receiver.requests[0].signed_with(rotated.secret)
    assert len(receiver.requests[0].headers["webhook-signature"].split()) == 1


@pytest.mark.django_db
def test_an_event_too_large_to_pass_on_goes_without_what_changed(dana: User, pat: User, receiver: Receiver) -> None:
    make_model(dana, "m")
    endpoint(pat, receiver.url)
    registry_commands.update_model(actor=actor(dana), name="m", description="\u20ac" * 30_000)
    tell()
    (got,) = receiver.requests
    assert len(got.body) < 64 * 1024
    assert got.event["data"]["left_out"] == ["before", "after"] and "after" not in got.event["data"]
    assert got.event["data"]["links"]["event"].endswith(f"/{got.event['id']}/")


@pytest.mark.django_db
def test_a_job_run_twice_sends_once(dana: User, pat: User, receiver: Receiver) -> None:
    endpoint(pat, receiver.url)
    make_model(dana, "m")
    queue()
    job = Job.objects.get(name=DELIVER)
    jobs.run(job.pk)
    Job.objects.filter(pk=job.pk).update(state=JobState.QUEUED)
    jobs.run(job.pk)
    assert len(receiver.requests) == 1
    delivery.deliver(delivery_id="00000000-0000-0000-0000-000000000000", attempt=0)


_WORKER = """
import sys
import django
from django.conf import settings
settings.DATABASES["default"]["NAME"] = sys.argv[1]
django.setup()
import workflows.tasks
from core import jobs
jobs.run(int(sys.argv[2]))
print("settled")
"""


@pytest.mark.django_db(transaction=True)
def test_a_worker_killed_after_sending_and_before_noting_it_sends_it_again_with_the_same_id(receiver: Receiver, tmp_path) -> None:
    made = endpoint(person("pat", "platform-admin"), receiver.url)
    make_model(person("dana", "data-scientist"), "m")
    queue()
    job = Job.objects.get(name=DELIVER)
    worker: list[subprocess.Popen[str]] = []
    receiver.answer(lambda handler: os.kill(worker[0].pid, signal.SIGKILL), 200)
    name = str(connection.settings_dict["NAME"])
    worker.append(
        subprocess.Popen(
            [sys.executable, "-c", _WORKER, name, str(job.pk)],
            cwd=BASE_DIR,
            env={**os.environ, "DJANGO_SETTINGS_MODULE": "config.settings_test"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
    )
    out, err = worker[0].communicate(timeout=60)
    assert (worker[0].returncode, out) == (-signal.SIGKILL, ""), err
    assert len(receiver.requests) == 1
    row = the_delivery()
    assert (row.state, row.attempts, row.tries.count()) == (DeliveryState.PENDING, 0, 0)
    job.refresh_from_db()
    assert job.state == JobState.RUNNING
    Job.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    jobs.sweep()
    assert work() == 1
    row.refresh_from_db()
    assert (row.state, row.attempts, row.tries.count()) == (DeliveryState.DELIVERED, 1, 1)
    first, second = receiver.requests
    assert first.headers["webhook-id"] == second.headers["webhook-id"] == str(row.pk)
    assert first.body == second.body and first.signed_with(made.secret) and second.signed_with(made.secret)


@pytest.mark.django_db
def test_a_delivery_whose_jobs_were_all_lost_goes_on(dana: User, pat: User, receiver: Receiver, clock: Any) -> None:
    made = endpoint(pat, receiver.url)
    make_model(dana, "m")
    queue()
    Job.objects.update(state=JobState.FAILED)
    assert delivery.take_up_unattended() == 0, "a job that ended just now may have been settled meanwhile"
    clock.shift(timedelta(minutes=6))
    assert delivery.take_up_unattended() == 1
    assert delivery.take_up_unattended() == 0
    assert fresh(made).failing_since is None, "not the endpoint's fault"
    clock.move_to(due() + timedelta(seconds=1))
    work()
    assert the_delivery().state == DeliveryState.DELIVERED and the_delivery().attempts == 2


@pytest.mark.django_db
def test_a_delivery_that_waits_for_a_worker_is_left_to_its_job(dana: User, pat: User, receiver: Receiver, clock: Any) -> None:
    endpoint(pat, receiver.url)
    make_model(dana, "m")
    queue()
    clock.shift(timedelta(hours=1))
    assert delivery.take_up_unattended() == 0
    work()
    assert the_delivery().attempts == 1


@pytest.mark.django_db
def test_old_deliveries_are_removed_and_those_that_wait_are_not(dana: User, pat: User, receiver: Receiver, clock: Any) -> None:
    endpoint(pat, receiver.url)
    make_model(dana, "m")
    tell()
    clock.shift(timedelta(days=91))
    receiver.answer(500)
    tag(dana, "new")
    tell()
    WebhookDelivery.objects.filter(state=DeliveryState.PENDING).update(created_at=timezone.now() - timedelta(days=91))
    assert delivery.tidy() == 1
    assert the_delivery().state == DeliveryState.PENDING and DeliveryAttempt.objects.count() == 1
    events = AuditEvent.objects.count()
    queue()
    assert WebhookDelivery.objects.count() == 1 and AuditEvent.objects.count() == events


def test_the_jobs_of_deliveries_have_their_handler_and_beat_asks_for_both_tasks() -> None:
    from config.celery import app

    assert DELIVER in jobs.handler_names()
    sent = {entry["task"] for entry in app.conf.beat_schedule.values()}
    assert {"workflows.fan_out_events", "workflows.tidy_deliveries"} <= sent


@pytest.mark.django_db
def test_the_tasks_of_beat_do_it_all(dana: User, pat: User, receiver: Receiver) -> None:
    from workflows import tasks

    endpoint(pat, receiver.url)
    make_model(dana, "m")
    for _ in range(2):
        tasks.sequence_ledger()
        tasks.fan_out_events()
        tasks.tidy_deliveries()
        work()
    assert len(receiver.requests) == 1
