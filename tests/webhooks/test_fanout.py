"""Whatever is committed in the ledger reaches every endpoint that wants it and may have it, once."""

from __future__ import annotations

import threading

import pytest
from django.db import connection, transaction
from django.utils import timezone

from core import audit, jobs
from core.access import SYSTEM
from core.audit import Event
from core.commands import ensure_user
from core.models import AuditEvent, Job, LedgerEntry, User
from governance import ledger
from registry import commands as registry_commands
from tests.cast import ROOT, actor, person
from tests.webhooks.conftest import endpoint, fresh, make_model, queue
from tracking.commands.experiments import create_experiment
from webhooks import fanout
from webhooks.delivery import DELIVER
from webhooks.models import EndpointState, WebhookCursor, WebhookDelivery, WebhookEndpoint

URL = "https://hooks.example.org/in"


def told(made: object) -> list[tuple[str, str]]:
    """Return what an endpoint is told of, as (event, subject), in the ledger's order."""
    rows = WebhookDelivery.objects.filter(endpoint=made.endpoint).order_by("event__entry__position")  # type: ignore[attr-defined]
    return list(rows.values_list("event__action", "event__subject_id"))


def position() -> int:
    return WebhookCursor.objects.get().position


@pytest.mark.django_db
def test_an_endpoint_is_told_of_what_it_asked_for_once(dana: User, pat: User) -> None:
    exact, beginning, everything = (endpoint(pat, URL, pattern) for pattern in ("model.created", "model.*", "*"))
    make_model(dana, "a")
    registry_commands.set_model_tag(actor=actor(dana), name="a", key="k", value="v")
    queue()
    assert told(exact) == [("model.created", "a")]
    assert told(beginning) == [("model.created", "a"), ("model.tagged", "a")]
    assert {action for action, _ in told(everything)} >= {"model.created", "webhook.created"}
    queue()
    WebhookCursor.objects.update(position=0)
    queue()
    assert told(exact) == [("model.created", "a")]
    deliveries = WebhookDelivery.objects.count()
    assert (
        Job.objects.filter(name=DELIVER).count()
        == deliveries
        == WebhookDelivery.objects.values("endpoint", "event").distinct().count()
    )
    assert position() == LedgerEntry.objects.count()


@pytest.mark.django_db
def test_an_event_without_its_place_in_the_ledger_waits_for_it(dana: User, pat: User) -> None:
    made = endpoint(pat, URL)
    make_model(dana, "a")
    assert fanout.fan_out() == 0 and told(made) == []
    queue()
    assert told(made) == [("model.created", "a")]


@pytest.mark.django_db
def test_what_happened_before_an_endpoint_was_there_is_not_for_it(dana: User, pat: User) -> None:
    make_model(dana, "before")
    made = endpoint(pat, URL)
    make_model(dana, "after")
    queue()
    assert told(made) == [("model.created", "after")]


@pytest.mark.django_db
def test_without_endpoints_the_cursor_goes_to_the_end_at_once(dana: User, pat: User) -> None:
    for i in range(7):
        make_model(dana, f"m{i}")
    ledger.sequence()
    assert fanout.fan_out(limit=2) == 0
    assert position() == LedgerEntry.objects.count()
    made = endpoint(pat, URL)
    make_model(dana, "later")
    ledger.sequence()
    assert fanout.fan_out(limit=1) == 1 and fanout.fan_out(limit=1) == 1 and fanout.fan_out(limit=1) == 0
    assert told(made) == [("model.created", "later")]


@pytest.mark.django_db
def test_an_endpoint_of_one_model_hears_of_no_other(dana: User, pat: User) -> None:
    other = person("otto", "data-scientist")
    make_model(dana, "mine")
    make_model(other, "his")
    made = endpoint(dana, URL, "*", model="mine")
    of_pat = endpoint(pat, URL, "*", model="mine")
    for owner, name in ((dana, "mine"), (other, "his")):
        registry_commands.set_model_tag(actor=actor(owner), name=name, key="k", value="v")
    create_experiment(actor=actor(dana), name="hers")
    ensure_user(actor=ROOT, username="newcomer")
    queue()
    heard = [("webhook.created", str(of_pat.endpoint.pk)), ("model.tagged", "mine")]
    assert told(made) == [("webhook.created", str(made.endpoint.pk)), *heard]
    assert told(of_pat) == heard
    assert set(WebhookDelivery.objects.values_list("event__scope", flat=True)) == {f"model:{made.endpoint.model_id}"}


@pytest.mark.django_db
def test_rights_are_those_of_the_account_that_made_it_at_the_time_of_the_event(dana: User, pat: User) -> None:
    made = endpoint(pat, URL, "*")
    make_model(dana, "first")
    create_experiment(actor=actor(dana), name="e1")
    ensure_user(actor=ROOT, username="newcomer")
    queue()
    actions = [action for action, _ in told(made)]
    assert {"model.created", "experiment.created", "user.created"} <= set(actions)
    pat.groups.clear()
    make_model(pat_as_scientist(pat), "own")
    make_model(dana, "second")
    create_experiment(actor=actor(dana), name="e2")
    ensure_user(actor=ROOT, username="another")
    queue()
    assert told(made)[len(actions) :] == [("model.created", "own")]


def pat_as_scientist(pat: User) -> User:
    return ensure_user(actor=ROOT, username=pat.username, roles=["data-scientist"])


@pytest.mark.django_db
def test_a_right_that_was_taken_away_ends_what_an_endpoint_of_a_model_hears(dana: User) -> None:
    make_model(dana, "m")
    made = endpoint(dana, URL, "model.tagged", model="m")
    registry_commands.set_model_tag(actor=actor(dana), name="m", key="k", value="1")
    queue()
    fresh(made).model.modeluserpermission_set.all().delete()
    registry_commands.set_model_tag(actor=SYSTEM, name="m", key="k", value="2")
    queue()
    assert told(made) == [("model.tagged", "m")]


@pytest.mark.django_db
def test_an_endpoint_whose_account_was_closed_is_disabled_and_says_why(dana: User, pat: User) -> None:
    made, other = endpoint(pat, URL), endpoint(dana_as_admin(dana), URL)
    User.objects.filter(pk=pat.pk).update(is_active=False)
    make_model(dana, "m")
    queue()
    assert told(made) == [] and told(other) == [("model.created", "m")]
    disabled = fresh(made)
    assert (disabled.state, disabled.reason) == (EndpointState.DISABLED, "The account that made it is closed.")
    event = AuditEvent.objects.get(action="webhook.changed")
    assert (event.subject_type, event.subject_id, event.actor) == ("webhook", str(disabled.pk), "countersign")
    assert fresh(other).state == EndpointState.ACTIVE


def dana_as_admin(dana: User) -> User:
    return ensure_user(actor=ROOT, username=dana.username, roles=["platform-admin"])


@pytest.mark.django_db
def test_deleted_and_disabled_endpoints_hear_nothing(dana: User, pat: User) -> None:
    deleted, disabled = endpoint(pat, URL), endpoint(pat, URL)
    WebhookEndpoint.objects.filter(pk=deleted.endpoint.pk).update(deleted_at=timezone.now())
    WebhookEndpoint.objects.filter(pk=disabled.endpoint.pk).update(state=EndpointState.DISABLED)
    make_model(dana, "m")
    queue()
    assert not WebhookDelivery.objects.exists()


@pytest.mark.django_db
def test_a_deleted_models_end_is_told_to_whom_its_versions_were(dana: User, pat: User) -> None:
    make_model(dana, "m")
    made = endpoint(dana, URL, "model.*", model="m")
    registry_commands.delete_model(actor=actor(dana), name="m")
    queue()
    assert told(made) == [("model.deleted", "m")]


@pytest.mark.django_db(transaction=True)
def test_what_fails_halfway_is_done_again_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    pat = person("pat", "platform-admin")
    endpoint(pat, URL)
    for i in range(3):
        make_model(person("dana", "data-scientist"), f"m{i}")
    while ledger.sequence():
        pass
    real, calls = jobs.enqueue, []

    def failing(*args: object, **kwargs: object) -> object:
        calls.append(args)
        if len(calls) == 3:
            raise ConnectionError("the database went away")
        return real(*args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr("webhooks.delivery.jobs.enqueue", failing)
    with pytest.raises(ConnectionError):
        fanout.fan_out()
    assert not WebhookDelivery.objects.exists() and not Job.objects.exists()
    while fanout.fan_out():
        pass
    assert WebhookDelivery.objects.count() == Job.objects.count() == 3


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="on SQLite one transaction has the database to itself")
def test_many_that_fan_out_at_once_make_each_delivery_once() -> None:
    pat = person("pat", "platform-admin")
    for _ in range(3):
        endpoint(pat, URL, "model.updated")
    ids = []
    for i in range(60):
        with transaction.atomic():
            audit.record(SYSTEM, Event.MODEL_UPDATED, subject=("model", i))
        ids.append(i)
    while ledger.sequence():
        pass
    end = LedgerEntry.objects.count()
    barrier, failures, read = threading.Barrier(4), [], []

    def run() -> None:
        try:
            barrier.wait(10)
            while not WebhookCursor.objects.filter(position__gte=end).exists():
                read.append(fanout.fan_out(limit=7))
        except Exception as error:
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert sum(read) == end, "each position is read once"
    assert WebhookDelivery.objects.count() == Job.objects.filter(name=DELIVER).count() == 3 * len(ids)
