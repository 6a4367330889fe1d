"""Laws of the tables, read from the models."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.apps import apps
from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.db.models import ForeignKey, Model, OneToOneField, UniqueConstraint
from guardian.models import GroupObjectPermissionAbstract, UserObjectPermissionAbstract

from config.environment import BASE_DIR
from core.sql import is_postgresql


def _own_models() -> Iterator[type[Model]]:
    for app in apps.get_app_configs():
        if Path(app.path).is_relative_to(BASE_DIR) and "site-packages" not in app.path:
            yield from app.get_models()


def _first_columns(model: type[Model]) -> set[str]:
    """Return the fields that an index over all rows begins with, apart from those that a field brings itself."""
    meta = model._meta
    unique = [c.fields[0] for c in meta.constraints if isinstance(c, UniqueConstraint) and c.fields and c.condition is None]
    plain = [index.fields[0].lstrip("-") for index in meta.indexes if index.fields and index.condition is None]
    return {*unique, *plain}


def test_no_write_pays_for_an_index_that_another_one_makes_needless() -> None:
    needless = [
        f"{model._meta.label}.{field.name}"
        for model in _own_models()
        for field in model._meta.local_fields
        if isinstance(field, ForeignKey) and not isinstance(field, OneToOneField)
        if field.db_index and field.name in _first_columns(model)
        if not issubclass(model, UserObjectPermissionAbstract | GroupObjectPermissionAbstract)  # their fields are guardian's
    ]
    assert not needless, "say db_index=False, since another index begins with the same column"


def test_the_law_of_indexes_looks_at_tables_that_have_some() -> None:
    assert sum(bool(_first_columns(model)) for model in _own_models()) > 30


def _append_only_tables() -> list[str]:
    steps = [step for migration in MigrationLoader(connection).disk_migrations.values() for step in migration.operations]
    return sorted({table for step in steps if hasattr(step, "tables") for table in step.tables})


def _triggers() -> set[tuple[str, str]]:
    with connection.cursor() as cursor:
        if is_postgresql():
            cursor.execute("SELECT tgrelid::regclass::text, tgname FROM pg_trigger WHERE NOT tgisinternal")
        else:
            cursor.execute("SELECT tbl_name, name FROM sqlite_master WHERE type = 'trigger'")
        return set(cursor.fetchall())


@pytest.mark.django_db
def test_no_later_migration_makes_a_table_changeable_again() -> None:
    tables = _append_only_tables()
    assert len(tables) > 15
    there = _triggers()
    assert not [table for table in tables for verb in ("update", "delete") if (table, f"{table}_no_{verb}") not in there]


@pytest.mark.django_db
def test_the_database_has_every_constraint_and_index_that_the_models_name() -> None:
    missing = []
    with connection.cursor() as cursor:
        for model in _own_models():
            there = connection.introspection.get_constraints(cursor, model._meta.db_table)
            missing += [named.name for named in (*model._meta.constraints, *model._meta.indexes) if named.name not in there]
    assert not missing, "a migration lost them"
