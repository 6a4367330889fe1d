"""Statements written by hand, and the words in which PostgreSQL and SQLite differ."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from functools import cache
from typing import Any

import msgspec
from django.db import DEFAULT_DB_ALIAS, IntegrityError, connections, transaction

Row = tuple[Any, ...]
Parameters = Sequence[Any] | Mapping[str, Any]
Statement = tuple[str, list[Any]]

_ROWS_PER_STATEMENT = 2000


@cache
def is_postgresql() -> bool:
    """Return whether the database is PostgreSQL; else it is SQLite."""
    return bool(database().vendor == "postgresql")


def database() -> Any:
    """Return this thread's connection itself; through ``django.db.connection`` each use of it would look it up anew."""
    return connections[DEFAULT_DB_ALIAS]


def fetch(statement: str, parameters: Parameters = ()) -> list[Row]:
    """Return all rows of a statement."""
    cursor = _cursor()
    cursor.execute(statement, parameters)
    return list(cursor.fetchall())


def fetch_unprepared(statement: str, parameters: Parameters = ()) -> list[Row]:
    """Return all rows of a statement whose best plan depends on the values searched for.

    PostgreSQL keeps one plan for all values of a statement that it has prepared; for these it must look at the values.
    """
    here = database()
    if not is_postgresql() or here.queries_logged:
        return fetch(statement, parameters)
    cursor = _cursor()
    with here.wrap_database_errors:
        cursor.cursor.execute(statement, parameters, prepare=False)
    return list(cursor.fetchall())


def fetch_one(statement: str, parameters: Parameters = ()) -> Row | None:
    """Return the first row of a statement, or None."""
    found = fetch(statement, parameters)
    return found[0] if found else None


def run(statement: str, parameters: Parameters = ()) -> int:
    """Carry out a statement and return how many rows it touched."""
    cursor = _cursor()
    cursor.execute(statement, parameters)
    return int(cursor.rowcount)


def run_if_new(statement: str, parameters: Parameters = ()) -> int | None:
    """Carry out a statement that inserts, and return how many rows it touched; None, with nothing changed, if a key was there already."""
    try:
        with transaction.atomic() if database().in_atomic_block else nullcontext():
            return run(statement, parameters)
    except IntegrityError:
        return None


def run_many(statement: str, rows: Iterable[Parameters]) -> None:
    """Carry out a statement for each of these rows of parameters."""
    _cursor().executemany(statement, rows)


def run_all(statements: Sequence[Statement]) -> None:
    """Carry out statements of which none reads what another writes, all of them or none: in one round trip where the engine can.

    Where the caller has begun no transaction they are one of their own, on PostgreSQL by being one statement. Nothing they return
    is given back, and each must change something: PostgreSQL takes no plain SELECT among them.
    """
    if not is_postgresql():
        with nullcontext() if database().in_atomic_block else transaction.atomic():
            for statement, parameters in statements:
                run(statement, parameters)
        return
    *others, (last, _) = statements
    beside = ", ".join(f"s{at} AS ({statement})" for at, (statement, _) in enumerate(others))
    run(f"WITH {beside} {last}" if beside else last, [value for _, parameters in statements for value in parameters])


def insert(table: str, columns: dict[str, str], rows: Sequence[Sequence[Any]], suffix: str = "") -> int:
    """Insert many rows by one statement, and return how many it touched; columns and suffix as ``insertion`` takes them."""
    return run(*insertion(table, columns, rows, suffix)) if rows else 0


def insertion(table: str, columns: dict[str, str], rows: Sequence[Sequence[Any]], suffix: str = "") -> Statement:
    """Return the statement that inserts many rows.

    columns: name -> PostgreSQL type; a value of type ``jsonb`` is given as JSON text. There the rows travel as one JSON text:
    the statement is the same, and prepared, for any number of rows, and encoding them costs a tenth of what arrays cost.
    """
    names = ", ".join(columns)
    if is_postgresql():
        typed = ", ".join(f"{name} {kind}" for name, kind in columns.items())
        return (
            f"INSERT INTO {table} ({names}) SELECT {names} FROM json_to_recordset(%s::json) AS given({typed}) {suffix}",
            [_as_json(tuple(columns), [kind == "jsonb" for kind in columns.values()], rows)],
        )
    row_marks = "(" + ", ".join(["%s"] * len(columns)) + ")"
    return (
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
        run_many(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join(['%s'] * len(columns))}) {suffix}", rows)


def marks(values: Sequence[object]) -> str:
    """Return as many placeholders as there are values, for IN; ``NULL`` for none."""
    return ", ".join(["%s"] * len(values)) or "NULL"


def json_object(**fields: str) -> str:
    """Return a JSON object of SQL expressions."""
    inner = ", ".join(f"'{name}', {expression}" for name, expression in fields.items())
    return f"json_build_object({inner})" if is_postgresql() else f"json_object({inner})"


def json_array(element: str, rows: str) -> str:
    """Return the expression of a JSON array with one element for each of the rows (a FROM clause and what follows)."""
    if is_postgresql():
        return f"COALESCE((SELECT json_agg({element}) FROM {rows}), '[]'::json)"
    return f"json((SELECT json_group_array({element}) FROM {rows}))"


def json_list(item: str, source: str) -> str:
    """Return a subquery that gives a JSON list as text: one item per row of ``source``; NULL or ``[]`` for no rows."""
    if is_postgresql():
        return f"(SELECT json_agg({item})::text FROM {source})"
    return f"(SELECT json_group_array({item}) FROM {source})"


def without_nulls(item: str) -> str:
    """Return a JSON object without the fields that are null."""
    return f"json_strip_nulls({item})" if is_postgresql() else f"json_patch('{{}}', {item})"


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


def as_text(expression: str) -> str:
    """Return a JSON expression as text, so that it is decoded once, here, and not by the driver."""
    return f"({expression})::text" if is_postgresql() else expression


def row_address() -> str:
    """Return the name by which a table's rows have an address, the same for as long as one statement lasts."""
    return "ctid" if is_postgresql() else "rowid"


def for_update(of: str) -> str:
    """Return the clause that locks the rows of one table, though not against rows that refer to them.

    On SQLite the transaction holds the write lock from its beginning.
    """
    return f" FOR NO KEY UPDATE OF {of}" if is_postgresql() else ""


def for_share(of: str) -> str:
    """Return the clause that keeps the rows of one table from changing, though not from being kept so by others too."""
    return f" FOR SHARE OF {of}" if is_postgresql() else ""


def _as_json(names: tuple[str, ...], is_json: Sequence[bool], rows: Sequence[Sequence[Any]]) -> str:
    """Return rows as a JSON list of objects; a value that is JSON already is taken as it is."""
    if any(is_json):
        rows = [[msgspec.Raw(value.encode()) if raw else value for raw, value in zip(is_json, row, strict=True)] for row in rows]
    record = _record(names)
    return msgspec.json.encode([record(*row) for row in rows]).decode()


@cache
def _record(names: tuple[str, ...]) -> Callable[..., msgspec.Struct]:
    # Several times quicker to make and to write than a dictionary.
    return msgspec.defstruct("Record", [(name, Any) for name in names], frozen=True, gc=False)


def _cursor() -> Any:
    """Return the cursor of this connection, which is read to its end before the next statement.

    Django makes a new one for each statement, which takes longer than many a statement. While it logs statements, as tests have
    it do, its own way is needed.
    """
    here = database()
    if here.queries_logged:
        return here.cursor()
    held = getattr(here, "_countersign_cursor", None)
    if held is None or here.connection is None or held.connection is not here.connection:
        held = here._countersign_cursor = here.cursor()
    return held
