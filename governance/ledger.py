"""Give committed audit events their place in the hash tree, and prove that nothing was altered since.

An event is inserted without a lock by the change that it records. This sequencer appends what was committed, in batches,
so that writers never queue behind one row. Until its turn comes, an event is as safe as the database and no safer.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from django.db import connection, transaction

from core import sql
from core.models import AuditEvent, LedgerCheckpoint, LedgerEntry
from governance import ledger_mark
from governance.merkle import Frontier, leaf_hash

_LOCK = 0x636F756E
MAX_PROBLEMS = 100
BATCH = 5_000


_WAITING = f"""FROM {AuditEvent._meta.db_table} e WHERE e.id > %s AND NOT EXISTS (
    SELECT 1 FROM {LedgerEntry._meta.db_table} l WHERE l.event_id = e.id AND l.event_id > %s)"""


@transaction.atomic(durable=True)
def sequence(*, limit: int = BATCH, whole: bool = False) -> int:
    """Append up to ``limit`` committed events to the tree and return how many; 0 when there was nothing to do.

    whole: look through all events, not only those after the mark, for one that got there behind this program's back.
    """
    _lock()
    head = LedgerCheckpoint.objects.order_by("-size").first()
    frontier = Frontier(head.size, map(bytes.fromhex, head.frontier)) if head else Frontier()
    mark = ledger_mark.read()
    ended = ledger_mark.candidate_ended(mark)
    waiting = _waiting(0 if whole else mark.settled, limit)
    last = max(head.last_event_id if head else 0, waiting[-1][0] if waiting else 0)
    ledger_mark.move(mark, ended=ended, reached=waiting[-1][0] if len(waiting) == limit else last, last=last)
    if not waiting:
        return 0
    entries = []
    for event_id, body in waiting:
        leaf = leaf_hash(body.encode())
        entries.append(LedgerEntry(position=frontier.size, event_id=event_id, leaf_hash=leaf.hex()))
        frontier.append(leaf)
    LedgerEntry.objects.bulk_create(entries, batch_size=500)
    LedgerCheckpoint.objects.create(
        size=frontier.size, root_hash=frontier.root().hex(), frontier=[h.hex() for h in frontier.hashes], last_event_id=last
    )
    return len(entries)


def pending() -> int:
    """Return how many committed events wait for their place."""
    settled = ledger_mark.read().settled
    # What no index holds, or SQLite may step through one on other columns.
    ((count,),) = sql.fetch_unprepared(f"SELECT count(e.body) {_WAITING}", [settled, settled])
    return int(count)


def _waiting(settled: int, limit: int) -> list[tuple[int, str]]:
    """Return id and body of the first events after an id that have no place.

    The bound is said of both tables, so that every way to compare them reads no more of either; and what it is decides which is best.
    """
    rows = sql.fetch_unprepared(f"SELECT e.id, e.body {_WAITING} ORDER BY e.id LIMIT %s", [settled, settled, limit])
    return [(event_id, body) for event_id, body in rows]


def _lock() -> None:
    # SQLite's IMMEDIATE transaction already has the database to itself.
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])


@dataclass(frozen=True)
class Problem:
    """One thing that does not fit: which row, and how."""

    kind: str  # altered | missing | out_of_place | root_differs
    position: int | None
    event_id: int | None
    message: str


@dataclass
class LedgerReport:
    """What a verification found. ``pending`` events have no place yet and are not proven."""

    size: int = 0
    root_hash: str = ""
    checkpoints: int = 0
    pending: int = 0
    problems: list[Problem] = field(default_factory=list)

    @property
    def intact(self) -> bool:
        return not self.problems

    def add(self, kind: str, position: int | None, event_id: int | None, message: str) -> None:
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(Problem(kind, position, event_id, message))


def verify() -> LedgerReport:
    """Recompute every leaf from its event, every checkpoint's root from the leaves, and compare. Memory stays bounded."""
    report = LedgerReport()
    checkpoints = {c.size: c for c in LedgerCheckpoint.objects.order_by("size").iterator()}
    report.checkpoints = len(checkpoints)
    frontier = Frontier()
    for position, event_id, stored_leaf, event in _entries():
        if position != frontier.size:
            report.add("missing", frontier.size, None, f"ledger position {frontier.size} is missing; the next one is {position}")
        leaf = _checked_leaf(report, position, event_id, stored_leaf, event)
        frontier.append(leaf)
        if (checkpoint := checkpoints.pop(frontier.size, None)) and checkpoint.root_hash != frontier.root().hex():
            report.add(
                "root_differs",
                position,
                event_id,
                f"the checkpoint at size {frontier.size} has another root than its entries give",
            )
    for size in sorted(checkpoints):
        report.add(
            "missing", None, None, f"there is a checkpoint of size {size}, but no such entry: the end of the ledger was cut off"
        )
    report.size, report.root_hash = frontier.size, frontier.root().hex()
    report.pending = AuditEvent.objects.filter(entry__isnull=True).count()
    return report


_Event = tuple[str, str, str, str, str]


def _entries() -> Iterator[tuple[int, int, str, _Event | None]]:
    # A LEFT JOIN, since an event that was deleted behind the triggers must show as missing, not shorten the list.
    statement = """SELECT l.position, l.event_id, l.leaf_hash, e.body, e.action, e.actor, e.subject_type, e.subject_id
        FROM core_ledgerentry l LEFT JOIN core_auditevent e ON e.id = l.event_id
        WHERE l.position >= %s ORDER BY l.position LIMIT 2000"""
    start = 0
    while True:
        with connection.cursor() as cursor:
            cursor.execute(statement, [start])
            rows = cursor.fetchall()
        for position, event_id, leaf, *event in rows:
            yield position, event_id, leaf, tuple(event) if event[0] is not None else None
        if not rows:
            return
        start = rows[-1][0] + 1


def _checked_leaf(report: LedgerReport, position: int, event_id: int, stored: str, event: _Event | None) -> bytes:
    if event is None:
        report.add("missing", position, event_id, f"audit event {event_id} at position {position} was deleted")
        return bytes.fromhex(stored)
    body, *columns = event
    leaf = leaf_hash(body.encode())
    if leaf.hex() != stored:
        report.add("altered", position, event_id, f"audit event {event_id} at position {position} was altered: its hash differs")
    elif (told := _told(body)) != tuple(columns):
        report.add(
            "altered",
            position,
            event_id,
            f"audit event {event_id} at position {position}: its columns say {columns}, its body {list(told)}",
        )
    # The recomputed leaf, so that a row altered together with its leaf hash still changes the root.
    return leaf


def _told(body: str) -> tuple[Any, ...]:
    event = json.loads(body)
    return event["action"], event["actor"]["name"], event["subject"]["type"], event["subject"]["id"]
