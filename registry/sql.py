"""Rows of the registry written and read by hand."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, TypeVar

from django.db import connection
from django.db.models import Model

from core.sql import Statement, database, fetch, is_postgresql

M = TypeVar("M", bound=Model)

# Tag values may be long, and an index row may not: the index holds, and a search first compares, this many characters.
INDEXED_VALUE_CHARACTERS = 64


def insert_one(row: M, suffix: str = "") -> M | None:
    """Insert a row by one statement and return it with its id, or None if ``suffix``, such as ``ON CONFLICT DO NOTHING``, left it out.

    ``save`` takes longer to build that statement than the database to run it.
    """
    statement, values = insertion_of(row)
    found = fetch(f"{statement} {suffix} RETURNING id", values)
    if not found:
        return None
    ((row.pk,),) = found
    return row


def insertion_of(row: Model) -> Statement:
    """Return the statement that inserts a row, with its id if it has one, and take the row for inserted from now on."""
    head, fields = _columns_of(type(row), row.pk is not None)
    here = database()
    row._state.adding, row._state.db = False, here.alias
    values = [field.get_db_prep_save(getattr(row, field.attname), here) for field in fields]
    return f"{head} VALUES ({', '.join(['%s'] * len(fields))})", values


@cache
def next_id(model: type[Model]) -> str:
    """Return the expression of an id that no row of a table has had; on SQLite it is the next row's, whose writer has the turn."""
    table = model._meta.db_table
    if is_postgresql():
        return f"nextval(pg_get_serial_sequence('{table}', 'id'))"
    return f"COALESCE((SELECT seq FROM sqlite_sequence WHERE name = '{table}'), 0) + 1"


@cache
def columns(model: type[Model], of: str = "") -> str:
    """Return the columns of a table in the order in which ``instances`` expects them; of: the table's alias, if it has one."""
    return ", ".join(f"{of}.{field.column}" if of else str(field.column) for field in model._meta.concrete_fields)


def instances(model: type[M], found: Sequence[tuple[Any, ...]], start: int = 0) -> list[M]:
    """Return rows as instances; from ``start`` on, each row has the ``columns`` of the model.

    What ``Model.objects.raw`` gives, at a third of its price.
    """
    converters, names = _reader(model)
    end = start + len(names)
    out = []
    for row in found:
        values = list(row[start:end])
        for at, convert, expression in converters:
            values[at] = convert(values[at], expression, connection)
        out.append(model.from_db(connection.alias, names, values))
    return out


@cache
def _reader(model: type[Model]) -> tuple[list[tuple[int, Any, Any]], list[str]]:
    fields: list[Any] = list(model._meta.concrete_fields)
    columns = [field.get_col(model._meta.db_table) for field in fields]
    converters = [
        (at, convert, column)
        for at, column in enumerate(columns)
        for convert in (*connection.ops.get_db_converters(column), *column.get_db_converters(connection))
    ]
    return converters, [field.attname for field in fields]


@cache
def _columns_of(model: type[Model], with_id: bool) -> tuple[str, list[Any]]:
    fields: list[Any] = [field for field in model._meta.concrete_fields if with_id or not field.primary_key]
    return f"INSERT INTO {model._meta.db_table} ({', '.join(field.column for field in fields)})", fields


def value_prefix(expression: str) -> str:
    """Return the expression that the index on a tag's value holds."""
    function = "LEFT" if is_postgresql() else "SUBSTR"
    arguments = f"{expression}, {INDEXED_VALUE_CHARACTERS}" if is_postgresql() else f"{expression}, 1, {INDEXED_VALUE_CHARACTERS}"
    return f"{function}({arguments})"
