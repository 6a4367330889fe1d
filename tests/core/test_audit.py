"""Events are written with their change, and then never altered."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Group
from django.db import DatabaseError, IntegrityError, transaction

from core import audit, sql
from core.access import SYSTEM
from core.audit import Event
from core.models import AuditEvent


@pytest.mark.django_db(transaction=True)
def test_an_event_apart_from_its_change_is_refused() -> None:
    with pytest.raises(RuntimeError, match="outside a transaction"):
        audit.record(SYSTEM, Event.MODEL_CREATED, subject=("model", "m"))
    with transaction.atomic():
        audit.record(SYSTEM, Event.MODEL_CREATED, subject=("model", "m"))
    assert AuditEvent.objects.get().actor == "countersign"


@pytest.mark.django_db(transaction=True)
def test_a_change_beside_its_event_is_written_with_it_or_neither_is() -> None:
    change: sql.Statement = ("INSERT INTO auth_group (name) VALUES (%s)", ["a"])
    audit.record(SYSTEM, Event.MODEL_CREATED, subject=("model", "m"), beside=[change])
    assert (Group.objects.filter(name="a").count(), AuditEvent.objects.count()) == (1, 1)
    with pytest.raises(IntegrityError):  # the second of them takes a name that the first has
        other: sql.Statement = ("INSERT INTO auth_group (name) VALUES (%s)", ["b"])
        audit.record(SYSTEM, Event.MODEL_CREATED, subject=("model", "m"), beside=[other, change])
    assert (Group.objects.filter(name="b").count(), AuditEvent.objects.count()) == (0, 1)


@pytest.mark.django_db
@pytest.mark.parametrize("attempt", [lambda rows: rows.update(actor="someone else"), lambda rows: rows.delete()])
def test_the_database_refuses_to_alter_an_event(attempt) -> None:
    audit.record(SYSTEM, Event.MODEL_CREATED, subject=("model", "m"))
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        attempt(AuditEvent.objects.all())
    assert AuditEvent.objects.get().actor == "countersign"
