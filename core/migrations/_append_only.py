"""Triggers that refuse UPDATE and DELETE (and TRUNCATE on PostgreSQL), on both engines."""

from __future__ import annotations

from typing import Any

from django.db import migrations

_MESSAGE = "is append-only: rows are never changed or deleted"


class AppendOnly(migrations.RunPython):
    """A step that leaves these tables append-only."""

    def __init__(self, tables: tuple[str, ...]) -> None:
        super().__init__(*_both_ways(tables))
        self.tables = tables


def append_only(*tables: str) -> AppendOnly:
    """Return a migration step that makes these tables append-only."""
    return AppendOnly(tables)


def lifted(*tables: str) -> migrations.RunPython:
    """Return a migration step that lifts this, for a change of the tables; SQLite loses their triggers on the way anyhow.

    ``append_only`` must follow in the same migration.
    """
    return migrations.RunPython(*reversed(_both_ways(tables)))


def _both_ways(tables: tuple[str, ...]) -> tuple[Any, Any]:
    def add(apps: Any, schema_editor: Any) -> None:
        make = _postgresql if schema_editor.connection.vendor == "postgresql" else _sqlite
        for table in tables:
            for statement in make(table):
                schema_editor.execute(statement)

    def remove(apps: Any, schema_editor: Any) -> None:
        suffix = "ON {table}" if schema_editor.connection.vendor == "postgresql" else ""
        for table in tables:
            for verb in ("update", "delete", "truncate"):
                schema_editor.execute(f"DROP TRIGGER IF EXISTS {table}_no_{verb} {suffix.format(table=table)}")

    return add, remove


def _sqlite(table: str) -> list[str]:
    return [
        f"CREATE TRIGGER {table}_no_{verb} BEFORE {verb.upper()} ON {table} BEGIN SELECT RAISE(ABORT, '{table} {_MESSAGE}'); END"
        for verb in ("update", "delete")
    ]


def _postgresql(table: str) -> list[str]:
    function = (
        "CREATE OR REPLACE FUNCTION countersign_append_only() RETURNS trigger LANGUAGE plpgsql AS $$ "
        f"BEGIN RAISE EXCEPTION '%% {_MESSAGE}', TG_TABLE_NAME USING ERRCODE = 'restrict_violation'; END $$"
    )
    rows = [
        f"CREATE TRIGGER {table}_no_{verb} BEFORE {verb.upper()} ON {table} FOR EACH ROW EXECUTE FUNCTION countersign_append_only()"
        for verb in ("update", "delete")
    ]
    whole = f"CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table} EXECUTE FUNCTION countersign_append_only()"
    return [function, *rows, whole]
