"""How far back the sequencer must look for events without a place: what comes before is settled.

An event's id is given when it is inserted, not when it commits, so one with a lower id may turn up later. On SQLite it cannot, since
transactions that write come one after another. On PostgreSQL, whoever inserts an event holds a lock on the table from before the id
is given until the transaction has ended, and has a transaction id (xid) once the row is written. So if at one moment all who hold
that lock have an xid, then whoever may still commit an id given before has an xid below the next one; and when all of those have
ended, no event up to that id will come any more.
"""

from __future__ import annotations

from core import sql
from core.models import AuditEvent, LedgerMark

# pg_locks shows each mode held, and everybody's own xid as an exclusive lock. Another database may know a table by the same oid.
_ALL_WRITERS_HAVE_AN_XID = f"""SELECT NOT EXISTS (
    SELECT 1 FROM pg_locks w
    WHERE w.relation = '{AuditEvent._meta.db_table}'::regclass AND w.mode = 'RowExclusiveLock' AND w.granted
      AND w.database = (SELECT oid FROM pg_database WHERE datname = current_database())
      AND NOT EXISTS (SELECT 1 FROM pg_locks x WHERE x.locktype = 'transactionid' AND x.mode = 'ExclusiveLock' AND x.granted
                        AND x.virtualtransaction = w.virtualtransaction))"""
_SNAPSHOT = "SELECT pg_snapshot_xmin(s)::text::bigint, pg_snapshot_xmax(s)::text::bigint FROM pg_current_snapshot() s"
_OWN_XID = "SELECT pg_current_xact_id()::text::bigint"


def read() -> LedgerMark:
    """Return the mark: each event up to ``settled`` that is or ever will be committed has its place."""
    return LedgerMark.objects.first() or LedgerMark()


def candidate_ended(mark: LedgerMark) -> bool:
    """Return whether all have ended that might commit an event up to the candidate. Events that are read after this show all of them."""
    if mark.candidate_xid is None:
        return False
    ((oldest, following),) = sql.fetch(_SNAPSHOT)
    # An xid that is still to come here is of the server that a dump was taken from, and nobody is at work on a dump.
    return bool(mark.candidate_xid < oldest or mark.candidate_xid >= following)


def move(mark: LedgerMark, *, ended: bool, reached: int, last: int) -> None:
    """Move the mark, after the events were read and before the sequencer's transaction writes anything.

    ended: what ``candidate_ended`` said before they were read. reached: the id up to which all that were there get their place with
    this transaction. last: the highest id that was ever seen.
    """
    settled, candidate = mark.settled, mark.candidate
    if not sql.is_postgresql():
        mark.settled = max(settled, reached)
    elif ended and candidate is not None:
        mark.settled, mark.candidate, mark.candidate_xid = max(settled, min(candidate, reached)), None, None
    # The writers are looked at first and the xid taken after: so it comes after theirs.
    if sql.is_postgresql() and mark.candidate is None and last > mark.settled and sql.fetch(_ALL_WRITERS_HAVE_AN_XID)[0][0]:
        mark.candidate, mark.candidate_xid = last, sql.fetch(_OWN_XID)[0][0]
    if (mark.settled, mark.candidate) != (settled, candidate):
        mark.save()
