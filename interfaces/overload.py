"""Tell a database that cannot answer just now from a mistake of ours: the one is worth another try, and the client is told so."""

from __future__ import annotations

import sqlite3

import psycopg
import psycopg_pool
from django.db import OperationalError

RETRY_AFTER_SECONDS = 2
SENTENCE = "The database is too busy to answer, or cannot be reached. Nothing of this request was kept; try again in a moment."

# PostgreSQL, Appendix A: a dead-lock's victim, too few resources, a lock not to be had, shut down or starting.
_PASSING = ("40P01", "40001", "53", "55P03", "57P")


def is_passing(error: BaseException | None) -> bool:
    """Return whether a database refused for a reason that passes: locked, out of connections, shutting down or away."""
    if not isinstance(error, OperationalError):
        return False
    cause = error.__cause__
    if isinstance(cause, sqlite3.OperationalError):
        return cause.sqlite_errorname.startswith(("SQLITE_BUSY", "SQLITE_LOCKED"))
    if isinstance(cause, psycopg_pool.PoolTimeout):
        return True
    # Without a code it did not come to the server.
    return isinstance(cause, psycopg.OperationalError) and (cause.sqlstate is None or cause.sqlstate.startswith(_PASSING))
