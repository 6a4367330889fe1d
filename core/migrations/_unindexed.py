"""A foreign key loses its index without its table being written anew, which is how Django would go about it on SQLite."""

from __future__ import annotations

from django.db import migrations, models


def unindexed(model_name: str, name: str, field: models.Field, index: str) -> migrations.SeparateDatabaseAndState:
    """Return the migration step. field: as it is from now on. index: its name; one over text has a twin for patterns on PostgreSQL."""
    table, column = index[: -len("_id_01234567")].removesuffix(f"_{name}"), f"{name}_id"
    return migrations.SeparateDatabaseAndState(
        state_operations=[migrations.AlterField(model_name, name, field)],
        database_operations=[
            migrations.RunSQL(
                [f'DROP INDEX IF EXISTS "{index}"', f'DROP INDEX IF EXISTS "{index}_like"'],
                f'CREATE INDEX "{index}" ON "{table}" ("{column}")',
            )
        ],
    )
