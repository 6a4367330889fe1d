"""The sequencer looks at what is new, and misses no event however late and in whichever order transactions commit."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from core import audit, sql
from core.access import SYSTEM
from core.audit import Event
from core.models import AuditEvent, LedgerCheckpoint, LedgerMark
from governance import ledger, ledger_mark, queries
from tests.plans import explained, most_rows

pytestmark = pytest.mark.django_db(transaction=True)
on_postgresql = pytest.mark.skipif("connection.vendor != 'postgresql'", reason="SQLite has one writer at a time")

# As the statement of the module, but of this database alone: others on the server have transactions open for as long as they like,
# and to wait for these as well, as the module does, is only slower.
OURS = """SELECT COALESCE((SELECT min(backend_xid::text::bigint) FROM pg_stat_activity WHERE datname = current_database()), following),
    following FROM (SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint AS following) s"""


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave other databases of the server out of account."""
    monkeypatch.setattr("governance.ledger_mark._SNAPSHOT", OURS)


class Writer:
    """A thread with a transaction of its own, which stays open until it is told to end."""

    def __init__(self) -> None:
        self._over = False
        self._thread = ThreadPoolExecutor(1)
        self._open = transaction.atomic()
        self._do(self._open.__enter__)

    def _do(self, act: Callable[..., Any], *arguments: Any) -> Any:
        return self._thread.submit(act, *arguments).result(20)

    def write(self, name: str = "m") -> int:
        """Record an event and return its id."""
        return int(self._do(_write, name))

    def ask(self, statement: str) -> Any:
        """Return the first value of a statement."""
        return self._do(_ask, statement)

    def end(self, *, commit: bool = True) -> None:
        """Commit or roll back, and end the thread; once it has ended, nothing."""
        if self._over:
            return
        self._over = True
        fault = None if commit else RuntimeError
        self._do(self._open.__exit__, fault, fault and fault(), None)
        self._do(lambda: connection.close())
        self._thread.shutdown()


def _write(name: str) -> int:
    audit.record(SYSTEM, Event.MODEL_CREATED, subject=("model", name))
    return int(AuditEvent.objects.order_by("-id").values_list("id", flat=True)[0])


def _ask(statement: str) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchone()[0] if cursor.description else None


def commit(count: int = 1) -> int:
    with transaction.atomic():
        audit.record_many(SYSTEM, Event.MODEL_CREATED, [audit.Change(("model", i)) for i in range(count)])
    return int(AuditEvent.objects.order_by("-id").values_list("id", flat=True)[0])


def settled() -> int:
    return LedgerMark.objects.get().settled


def without_a_place() -> list[int]:
    return list(AuditEvent.objects.filter(entry__isnull=True).order_by("id").values_list("id", flat=True))


def look(times: int = 1) -> None:
    """Sequence so many times; after each, what was committed has its place."""
    for _ in range(times):
        while ledger.sequence():
            pass
        assert without_a_place() == []


@pytest.fixture
def begin(transactional_db: None) -> Iterator[Callable[[], Writer]]:
    """Begins a writer's transaction; a test that fails leaves none open."""
    begun: list[Writer] = []

    def one() -> Writer:
        begun.append(Writer())
        return begun[-1]

    yield one
    for each in begun:
        each.end(commit=False)


@on_postgresql
def test_who_commits_last_of_all_is_not_missed(alone: None, begin: Callable[[], Writer]) -> None:
    commit()
    look(3)
    first, second, third = (begin() for _ in range(3))
    early, middle, late = first.write(), second.write(), third.write()
    assert early < middle < late
    for each in (third, second):  # in the other order than they began
        each.end()
        newest = commit(20)
        look(3)
        assert settled() < early
    assert ledger.pending() == 0
    first.end()
    assert without_a_place() == [early]
    assert (ledger.pending(), queries.ledger_head().pending) == (1, 1)
    look()
    look(2)
    assert settled() == newest


@on_postgresql
def test_what_is_rolled_back_holds_nothing_up_and_neither_does_who_only_reads(alone: None, begin: Callable[[], Writer]) -> None:
    commit()
    look(3)
    leaving, reading = begin(), begin()
    given = leaving.write()
    reading.ask("SELECT count(*) FROM core_auditevent")
    newest = commit()
    look(3)
    assert settled() < given
    leaving.end(commit=False)
    look(3)
    assert settled() == newest > given


@on_postgresql
def test_an_id_given_to_who_has_no_transaction_id_yet_is_waited_for(alone: None, begin: Callable[[], Writer]) -> None:
    """A writer may stand still between the id it was given and the row; it holds the table's lock by then."""
    commit()
    look(3)
    slow = begin()
    slow.ask("LOCK TABLE core_auditevent IN ROW EXCLUSIVE MODE")
    assert slow.ask("SELECT pg_current_xact_id_if_assigned()::text") is None
    given = _ask("SELECT nextval(pg_get_serial_sequence('core_auditevent', 'id'))")
    newest = commit(5)
    look(4)
    assert settled() < given
    slow.ask(
        "INSERT INTO core_auditevent (id, occurred_at, action, actor, subject_type, subject_id, scope, request_id, body)"
        f" SELECT {given}, occurred_at, action, actor, subject_type, subject_id, scope, request_id, body"
        f" FROM core_auditevent WHERE id = {newest}"
    )
    look(4)
    assert settled() < given
    slow.end()
    assert without_a_place() == [given]
    look(3)
    assert settled() == newest


@on_postgresql
@pytest.mark.parametrize("seed", range(3))
def test_no_order_of_writing_committing_and_looking_misses_an_event(alone: None, begin: Callable[[], Writer], seed: int) -> None:
    chance, writers = random.Random(seed), list[Writer]()
    farthest = 0
    for _ in range(250):
        step = chance.random()
        if step < 0.3 and len(writers) < 5:
            writers.append(begin())
        elif step < 0.65 and writers:
            chance.choice(writers).write()
        elif step < 0.8 and writers:
            writers.pop(chance.randrange(len(writers))).end(commit=chance.random() < 0.8)
        elif step < 0.9:
            commit(chance.randrange(1, 4))
        else:
            limit = chance.choice((1, 3, ledger.BATCH))
            if ledger.sequence(limit=limit) < limit:
                assert without_a_place() == []
            mark = LedgerMark.objects.first()
            if mark is not None:
                farthest = max(farthest, mark.settled)
                assert not [event for event in without_a_place() if event <= mark.settled]
    assert farthest > 0  # while there were writers
    while writers:
        writers.pop().end()
    look(3)
    assert settled() == commit() - 1
    look()
    assert ledger.verify().intact


@on_postgresql
def test_whoever_is_at_work_on_the_server_is_waited_for(begin: Callable[[], Writer]) -> None:
    writer = begin()
    writer.write()
    own = int(writer.ask("SELECT pg_current_xact_id()::text"))
    commit()
    ((oldest, following),), ((ours, _),) = sql.fetch(ledger_mark._SNAPSHOT), sql.fetch(OURS)
    assert oldest <= ours <= own < following
    assert not ledger_mark.candidate_ended(LedgerMark(candidate=1, candidate_xid=own))


@on_postgresql
def test_a_mark_that_came_with_a_dump_from_another_server_moves_on() -> None:
    newest = commit(3)
    look()
    LedgerMark.objects.update(settled=0, candidate=newest, candidate_xid=2**40)
    look()
    assert settled() == newest


def test_the_mark_follows_what_a_full_batch_left_out(alone: None) -> None:
    newest = commit(25)
    seen = []
    while ledger.sequence(limit=4):
        seen.append(settled())
    look(2)
    assert seen == sorted(seen)
    assert settled() == newest
    assert LedgerCheckpoint.objects.order_by("-size")[0].last_event_id == newest
    assert ledger.verify().intact


def test_a_look_costs_what_is_new_and_not_what_was(alone: None, django_assert_max_num_queries: Any) -> None:
    commit(6_000)
    look(3)
    assert settled() == commit(20) - 20
    with closing(connection.cursor()) as cursor:
        cursor.execute("ANALYZE")
    with django_assert_max_num_queries(14) as written:  # with savepoints, and the locks on PostgreSQL
        assert ledger.sequence() == 20
    with django_assert_max_num_queries(6), CaptureQueriesContext(connection) as counted:
        queries.ledger_head()
    look(2)
    with django_assert_max_num_queries(7) as idle:
        assert ledger.sequence() == 0
    asked = [each["sql"] for each in (*written, *counted, *idle) if "NOT EXISTS" in each["sql"] and "pg_locks" not in each["sql"]]
    assert len(asked) == 3
    for statement in asked:
        assert _rows_looked_at(statement) <= 200, statement


def _rows_looked_at(statement: str) -> int:
    if connection.vendor == "postgresql":
        plan = explained(statement)
        return most_rows(plan)
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN QUERY PLAN {statement}")
        steps = [row[-1] for row in cursor.fetchall()]
    # By number from the mark on, and then by each event's own; a scan would look at all.
    searched = [step for step in steps if step.startswith("SEARCH") and ("rowid>?" in step or "event_id=?" in step)]
    assert len(searched) == 2 and not [step for step in steps if step.startswith("SCAN")], json.dumps(steps, indent=1)
    return 0
