"""MLflow orders names by their bytes; PostgreSQL's default collation does not, so the order needs an index of its own."""

from typing import Any

from django.db import migrations


def add(apps: Any, schema_editor: Any) -> None:
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(
            'CREATE INDEX live_model_name_bytes ON registry_registeredmodel (name COLLATE "C") WHERE deleted_at IS NULL'
        )


def remove(apps: Any, schema_editor: Any) -> None:
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("DROP INDEX live_model_name_bytes")


class Migration(migrations.Migration):
    dependencies = [("registry", "0003_tag_value_indexes")]
    operations = [migrations.RunPython(add, remove)]
