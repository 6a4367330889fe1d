"""The few places where PostgreSQL and SQLite spell the same statement differently."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, TypeVar

from django.db import connection
from django.db.models import Model

M = TypeVar("M", bound=Model)

# Tag values may be long, and an index row may not: the index holds, and a search first compares, this many characters.
INDEXED_VALUE_CHARACTERS = 64
# Few enough that no row's columns exceed what a statement may have as parameters.
_ROWS_OF_AN_INSERT = 1000


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


def insert(rows: Sequence[Model], suffix: str = "") -> list[int]:
    """Insert rows of one kind by one statement and return their ids; ``bulk_create`` takes longer to build it than this to run.

    suffix: such as ``ON CONFLICT DO NOTHING``; the ids of rows that it leaves out are not among those returned.
    """
    ids: list[int] = []
    for i in range(0, len(rows), _ROWS_OF_AN_INSERT):
        some = rows[i : i + _ROWS_OF_AN_INSERT]
        head, fields = _columns_of(type(some[0]))
        row_marks = f"({', '.join(['%s'] * len(fields))})"
        values = [f.get_db_prep_save(getattr(row, f.attname), connection) for row in some for f in fields]
        ids += [pk for (pk,) in fetch(f"{head} VALUES {', '.join([row_marks] * len(some))} {suffix} RETURNING id", values)]
    return ids


def insert_one(row: M, suffix: str = "") -> M | None:
    """Insert a row and return it with its id, or None if ``suffix`` left it out."""
    ids = insert([row], suffix)
    if not ids:
        return None
    row.pk = ids[0]
    row._state.adding, row._state.db = False, connection.alias
    return row


@cache
def _columns_of(model: type[Model]) -> tuple[str, list[Any]]:
    fields: list[Any] = [field for field in model._meta.concrete_fields if not field.primary_key]
    return f"INSERT INTO {model._meta.db_table} ({', '.join(field.column for field in fields)})", fields


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
    """Return the clause that locks the rows of one table, though not against rows that refer to them.

    On SQLite the transaction holds the write lock from its beginning.
    """
    return f"FOR NO KEY UPDATE OF {of}" if postgresql() else ""


def value_prefix(expression: str) -> str:
    """Return the expression that the index on a tag's value holds."""
    function = "LEFT" if postgresql() else "SUBSTR"
    arguments = f"{expression}, {INDEXED_VALUE_CHARACTERS}" if postgresql() else f"{expression}, 1, {INDEXED_VALUE_CHARACTERS}"
    return f"{function}({arguments})"
