"""How often a key has a value: PostgreSQL takes the two for independent, and chose a scan of all parameters to find a run by one."""

from typing import Any

from django.db import migrations

_TABLES = ("tracking_param", "tracking_runtag")


def add(apps: Any, schema_editor: Any) -> None:
    if schema_editor.connection.vendor == "postgresql":
        for table in _TABLES:
            schema_editor.execute(f"CREATE STATISTICS {table}_pairs (mcv) ON key, value FROM {table}")
            schema_editor.execute(f"ALTER STATISTICS {table}_pairs SET STATISTICS 1000")


def remove(apps: Any, schema_editor: Any) -> None:
    if schema_editor.connection.vendor == "postgresql":
        for table in _TABLES:
            schema_editor.execute(f"DROP STATISTICS {table}_pairs")


class Migration(migrations.Migration):
    dependencies = [("tracking", "0006_rights_by_object")]
    operations = [migrations.RunPython(add, remove)]
