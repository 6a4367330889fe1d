"""Where PostgreSQL and SQLite need different words for the same statement."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from django.db import connection

Row = tuple[Any, ...]


def is_postgresql() -> bool:
    """Return whether the database is PostgreSQL; else it is SQLite."""
    return connection.vendor == "postgresql"


def fetch(statement: str, parameters: Sequence[Any] = ()) -> list[Row]:
    """Return all rows of a statement."""
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return list(cursor.fetchall())


def fetch_one(statement: str, parameters: Sequence[Any] = ()) -> Row | None:
    """Return the first row of a statement, or None."""
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        row: Row | None = cursor.fetchone()
        return row


def run(statement: str, parameters: Sequence[Any] = ()) -> int:
    """Carry out a statement and return how many rows it touched."""
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return int(cursor.rowcount)


def insert(table: str, columns: dict[str, str], rows: Sequence[Sequence[Any]], suffix: str = "") -> int:
    """Insert many rows by one statement, and return how many it touched.

    columns: name -> PostgreSQL type; a value of type ``jsonb`` is given as JSON text. There the rows travel as one JSON text:
    the statement is the same, and prepared, for any number of rows, and encoding them costs a tenth of what arrays cost.
    """
    if not rows:
        return 0
    names = ", ".join(columns)
    if is_postgresql():
        kinds = list(columns.items())
        records = [
            {
                name: msgspec.Raw(value.encode()) if kind == "jsonb" else value
                for (name, kind), value in zip(kinds, row, strict=True)
            }
            for row in rows
        ]
        typed = ", ".join(f"{name} {kind}" for name, kind in kinds)
        return run(
            f"INSERT INTO {table} ({names}) SELECT {names} FROM json_to_recordset(%s::json) AS given({typed}) {suffix}",
            [msgspec.json.encode(records).decode()],
        )
    row_marks = "(" + ", ".join(["%s"] * len(columns)) + ")"
    return run(
        f"INSERT INTO {table} ({names}) VALUES {', '.join([row_marks] * len(rows))} {suffix}",
        [value for row in rows for value in row],
    )


def insert_many(table: str, columns: dict[str, str], rows: Sequence[Sequence[Any]], suffix: str = "") -> None:
    """Insert any number of rows, by as few statements as the engine likes best. columns and suffix as ``insert`` takes them."""
    if is_postgresql():
        for start in range(0, len(rows), _ROWS_PER_STATEMENT):
            insert(table, columns, rows[start : start + _ROWS_PER_STATEMENT], suffix)
        return
    if rows:
        with connection.cursor() as cursor:
            cursor.executemany(
                f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join(['%s'] * len(columns))}) {suffix}", rows
            )


_ROWS_PER_STATEMENT = 2000


def marks(values: Sequence[object]) -> str:
    """Return as many placeholders as there are values, for IN; ``NULL`` for none."""
    return ", ".join(["%s"] * len(values)) or "NULL"


def json_list(item: str, source: str) -> str:
    """Return a subquery that gives a JSON list as text: one item per row of ``source``; NULL or ``[]`` for no rows."""
    if is_postgresql():
        return f"(SELECT json_agg({item})::text FROM {source})"
    return f"(SELECT json_group_array({item}) FROM {source})"


def json_object(**fields: str) -> str:
    """Return a JSON object of SQL expressions."""
    inner = ", ".join(f"'{name}', {expression}" for name, expression in fields.items())
    return f"json_build_object({inner})" if is_postgresql() else f"json_object({inner})"


def without_nulls(item: str) -> str:
    """Return a JSON object without the fields that are null."""
    return f"json_strip_nulls({item})" if is_postgresql() else f"json_patch('{{}}', {item})"


def as_text(expression: str) -> str:
    """Return a JSON expression as text, so that it is decoded once, here, and not by the driver."""
    return f"({expression})::text" if is_postgresql() else expression


def as_json(expression: str) -> str:
    """Return a stored JSON text or column as JSON, to be put into another."""
    return expression if is_postgresql() else f"json({expression})"


def json_number(value: str, is_nan: str) -> str:
    """Return a double as PostgreSQL's JSON, shortest text that reads back the same; NaN as text.

    SQLite prints too few digits, so there numbers are read as such (see ``queries``).
    """
    return f"CASE WHEN {is_nan} THEN to_json('NaN'::text) ELSE to_json({value}) END"


def ordered(expression: str) -> str:
    """Return a text expression that sorts by code point whatever the database's collation."""
    return f'({expression}) COLLATE "C"' if is_postgresql() else expression


def for_update(alias: str) -> str:
    """Return what locks the rows read, though not against rows that refer to them.

    SQLite locks the whole database when the transaction begins.
    """
    return f" FOR NO KEY UPDATE OF {alias}" if is_postgresql() else ""
