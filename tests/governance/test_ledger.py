"""Every event gets its place once, and verification names whatever was altered."""

from __future__ import annotations

import pytest
from django.db import connection, transaction

from core import audit
from core.access import SYSTEM
from core.audit import Event
from core.models import AuditEvent, LedgerEntry, LedgerMark
from governance import ledger

pytestmark = pytest.mark.django_db(transaction=True)


def events(count: int) -> list[int]:
    for i in range(count):
        with transaction.atomic():
            audit.record(SYSTEM, Event.MODEL_CREATED, subject=("model", i), after={"name": f"m{i}"})
    return list(AuditEvent.objects.order_by("id").values_list("id", flat=True))


def alter(statement: str, *parameters: object) -> None:
    """Do what the triggers refuse, as someone with the database file in hands can."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SET session_replication_role = replica")
            cursor.execute(statement, parameters)
            cursor.execute("SET session_replication_role = DEFAULT")
            return
        cursor.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'")
        triggers = cursor.fetchall()
        cursor.execute("PRAGMA foreign_keys=OFF")
        for name, _ in triggers:
            cursor.execute(f"DROP TRIGGER {name}")
        cursor.execute(statement, parameters)
        for _, sql in triggers:
            cursor.execute(sql)
        cursor.execute("PRAGMA foreign_keys=ON")


def test_each_event_gets_one_place_in_the_order_of_batches() -> None:
    events(7)
    assert ledger.sequence(limit=3) == 3
    assert ledger.sequence(limit=100) >= 4
    assert ledger.sequence() == 0
    assert list(LedgerEntry.objects.order_by("position").values_list("position", flat=True)) == list(
        range(LedgerEntry.objects.count())
    )
    report = ledger.verify()
    assert report.intact
    assert report.size == AuditEvent.objects.count()
    assert report.pending == 0


def test_an_event_that_got_behind_the_mark_is_found_by_the_whole_pass() -> None:
    events(3)
    LedgerMark.objects.create(settled=events(0)[-1])
    assert (ledger.sequence(), ledger.pending()) == (0, 0)
    assert ledger.verify().pending == 3
    assert ledger.sequence(limit=2, whole=True) == 2
    assert ledger.sequence(whole=True) == 1
    assert ledger.sequence(whole=True) == 0


def test_a_pending_event_is_told_but_is_no_problem() -> None:
    events(2)
    ledger.sequence()
    events(1)
    report = ledger.verify()
    assert (report.intact, report.pending) == (True, 1)


def test_an_altered_body_is_named() -> None:
    ids = events(5)
    ledger.sequence()
    alter("UPDATE core_auditevent SET body = replace(body, 'm2', 'mX') WHERE id = %s", ids[2])
    report = ledger.verify()
    assert [p.event_id for p in report.problems if p.kind == "altered"] == [ids[2]]
    assert not report.intact


def test_an_altered_column_is_named() -> None:
    ids = events(5)
    ledger.sequence()
    alter("UPDATE core_auditevent SET actor = 'nobody' WHERE id = %s", ids[1])
    assert [p.event_id for p in ledger.verify().problems] == [ids[1]]


def test_a_row_altered_together_with_its_leaf_still_changes_the_root() -> None:
    ids = events(5)
    ledger.sequence()
    body = AuditEvent.objects.get(pk=ids[3]).body.replace("m3", "mY")
    leaf = ledger.leaf_hash(body.encode()).hex()
    alter("UPDATE core_auditevent SET body = %s WHERE id = %s", body, ids[3])
    alter("UPDATE core_ledgerentry SET leaf_hash = %s WHERE event_id = %s", leaf, ids[3])
    assert [p.kind for p in ledger.verify().problems] == ["root_differs"]


def test_a_deleted_event_and_a_cut_off_end_are_named() -> None:
    ids = events(6)
    ledger.sequence()
    alter("DELETE FROM core_auditevent WHERE id = %s", ids[0])
    assert [(p.kind, p.event_id) for p in ledger.verify().problems] == [("missing", ids[0])]
    alter("DELETE FROM core_ledgerentry WHERE event_id = %s", ids[-1])
    assert any("cut off" in p.message for p in ledger.verify().problems)
