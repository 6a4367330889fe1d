"""The few places where PostgreSQL and SQLite spell the same statement differently."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import connection

# Tag values may be long, and an index row may not: the index holds, and a search first compares, this many characters.
INDEXED_VALUE_CHARACTERS = 64


def postgresql() -> bool:
    """Return whether the database is PostgreSQL; the other one is SQLite."""
    return connection.vendor == "postgresql"


def fetch(statement: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
    """Return the rows of one statement."""
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return list(cursor.fetchall())


def run(statement: str, parameters: Sequence[Any]) -> int:
    """Do one statement and return how many rows it changed."""
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return int(cursor.rowcount)


def json_object(**members: str) -> str:
    """Return the expression of a JSON object: member name -> expression of its value."""
    pairs = ", ".join(f"'{name}', {expression}" for name, expression in members.items())
    return f"json_build_object({pairs})" if postgresql() else f"json_object({pairs})"


def json_array(element: str, rows: str) -> str:
    """Return the expression of a JSON array with one element for each of the rows (a FROM clause and what follows)."""
    if postgresql():
        return f"COALESCE((SELECT json_agg({element}) FROM {rows}), '[]'::json)"
    return f"json((SELECT json_group_array({element}) FROM {rows}))"


def as_text(expression: str) -> str:
    """Return a JSON expression as text, so that it is decoded once, here, and not by the driver."""
    return f"({expression})::text" if postgresql() else expression


def for_update(of: str) -> str:
    """Return the clause that locks the rows of one table. On SQLite the transaction holds the write lock from its beginning."""
    return f"FOR UPDATE OF {of}" if postgresql() else ""


def value_prefix(expression: str) -> str:
    """Return the expression that the index on a tag's value holds."""
    function = "LEFT" if postgresql() else "SUBSTR"
    arguments = f"{expression}, {INDEXED_VALUE_CHARACTERS}" if postgresql() else f"{expression}, 1, {INDEXED_VALUE_CHARACTERS}"
    return f"{function}({arguments})"
