"""SQLite with a queue of writers: Django's backend, whose transactions wait for one another in the order they came.

SQLite has a waiting writer ask again after ever longer pauses, so under load chance decides who writes next: a few wait for seconds
while the lock is free most of the time. Here a writer takes an advisory lock on a file beside the database before it begins, and the
kernel wakes the first who waits when the one before has committed (flock(2)). Whoever does not take part, such as a backup
with SQLite's own program, is still waited for as SQLite does it. The lock goes with the process that held it.

A commit is on the disk before its caller goes on, as with ``synchronous=FULL``, but is synced after the turn was given up: the next
writer need not wait for the disk. SQLite's log is written in the order of the commits, so to sync it is to sync all before, too.
"""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Iterable
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from django.db.backends.sqlite3 import base
from django.db.utils import OperationalError

_FULL = 2


class _Cursor(base.SQLiteCursorWrapper):
    """Django's cursor, which remembers the statements that it put into SQLite's words."""

    def convert_query(self, query: str, *, param_names: Iterable[str] | None = None) -> str:
        """Return a statement with SQLite's placeholders; the statements of this project are the same few, time and again."""
        return _with_marks(query) if param_names is None else str(super().convert_query(query, param_names=param_names))


@lru_cache(maxsize=256)
def _with_marks(query: str) -> str:
    return base.FORMAT_QMARK_REGEX.sub("?", query).replace("%%", "%")


class DatabaseWrapper(base.DatabaseWrapper):
    """A connection whose transactions queue. An in-memory database has no others to wait for."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._turn: _Turn | None = None
        self._log: str | None = None  # where commits are synced here, and not by SQLite

    def create_cursor(self, name: str | None = None) -> Any:
        """Return a cursor that remembers statements."""
        return self.connection.cursor(factory=_Cursor)

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        """Connect, with a place in the queue of this file's writers."""
        connection = super().get_new_connection(conn_params)
        if not self.is_in_memory_db():
            database = Path(conn_params["database"])
            self._turn = _Turn(database, patience=conn_params.get("timeout", 5.0))
            (mode,), (level,) = (connection.execute(f"PRAGMA {name}").fetchone() for name in ("journal_mode", "synchronous"))
            self._log = f"{database}-wal" if (mode, level) == ("wal", _FULL) else None
        return connection

    def _start_transaction_under_autocommit(self) -> None:
        if self._turn is None:
            super()._start_transaction_under_autocommit()  # type: ignore[misc]  # the stubs leave it out
            return
        self._turn.take()
        try:
            if self._log is not None:
                self.connection.execute("PRAGMA synchronous=NORMAL")
            super()._start_transaction_under_autocommit()  # type: ignore[misc]  # the stubs leave it out
        except BaseException:
            self._give_turn()
            raise

    def _commit(self) -> None:
        # If it fails, a rollback follows.
        super()._commit()  # type: ignore[misc]  # the stubs leave it out
        if self._give_turn() and self._log is not None:
            _sync(self._log)

    def _rollback(self) -> None:
        try:
            super()._rollback()  # type: ignore[misc]  # the stubs leave it out
        finally:
            self._give_turn()

    def _close(self) -> None:
        try:
            super()._close()  # type: ignore[misc]  # the stubs leave it out
        finally:
            if self._turn is not None:
                self._turn.leave()
                self._turn = None

    def _give_turn(self) -> bool:
        """Let the next one write, and return whether it was this connection's turn."""
        if self._turn is None or not self._turn.mine:
            return False
        try:
            if self._log is not None:  # what is written outside of transactions is synced by SQLite itself
                self.connection.execute("PRAGMA synchronous=FULL")
        finally:
            self._turn.give()
        return True


def _sync(log: str) -> None:
    """Return when what was written to SQLite's log is on the disk. Raises OperationalError if the disk fails.

    SQLite locks nothing on this file itself, whose locks would go when it is closed here.
    """
    try:
        descriptor = os.open(log, os.O_RDONLY)
        try:
            os.fdatasync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise OperationalError(f"disk I/O error: {error}") from error


class _Turn:
    """A connection's place in the queue. patience: seconds that it waits for the other threads of its process."""

    def __init__(self, database: Path, patience: float) -> None:
        self._database = database
        # An object, so that it is closed with a connection that its thread never closed.
        self._file = database.with_name(database.name + "-queue").open("ab")
        self._patience = patience
        self.mine = False

    def take(self) -> None:
        """Wait until it is this connection's turn. Raises OperationalError as SQLite would if that takes too long.

        One thread of a process waits for the other processes, and the others for that one: the kernel's lock knows no time limit.
        """
        threads = _threads(self._database)
        if not threads.acquire(timeout=self._patience):
            raise OperationalError("database is locked")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX)
        except BaseException:
            threads.release()
            raise
        self.mine = True

    def give(self) -> None:
        """Let the next one write. Does nothing without the turn."""
        if self.mine:
            self.mine = False
            fcntl.flock(self._file, fcntl.LOCK_UN)
            _threads(self._database).release()

    def leave(self) -> None:
        """Give up the place."""
        self.give()
        self._file.close()


@cache
def _threads(database: Path) -> threading.Lock:
    """Return the lock that the threads of this process wait for."""
    return threading.Lock()


# A thread that held one lives on in the parent alone.
os.register_at_fork(after_in_child=_threads.cache_clear)
