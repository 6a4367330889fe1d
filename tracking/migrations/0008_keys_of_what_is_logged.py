"""What is logged to a run is known by the run and its own key: one index less for each row, and no look-up of the run for each."""

from typing import Any

import django.db.models.deletion
from django.db import migrations, models

_TABLES = ("runtag", "param", "metricpoint", "latestmetric")


class TakeKeys(migrations.SeparateDatabaseAndState):
    """Change the tables to what the models say; Django has no step from one column as the key to several."""

    reversible = False

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        change = _in_place if schema_editor.connection.vendor == "postgresql" else _anew
        for name in _TABLES:
            change(schema_editor, from_state.apps.get_model(app_label, name), to_state.apps.get_model(app_label, name))


def _in_place(schema_editor: Any, old: Any, new: Any) -> None:
    table = old._meta.db_table
    with schema_editor.connection.cursor() as cursor:
        held = schema_editor.connection.introspection.get_constraints(cursor, table)
    schema_editor.execute("SET CONSTRAINTS ALL IMMEDIATE")
    given_up = [name for name, of in held.items() if of["foreign_key"] or (of["unique"] and not of["primary_key"])]
    drops = ", ".join(f"DROP CONSTRAINT {schema_editor.quote_name(name)}" for name in given_up)
    key = ", ".join(field.column for field in new._meta.pk_fields)
    schema_editor.execute(f"ALTER TABLE {table} {drops}, DROP COLUMN id, ADD PRIMARY KEY ({key})")


def _anew(schema_editor: Any, old: Any, new: Any) -> None:
    table = old._meta.db_table
    for index in old._meta.indexes:
        schema_editor.remove_index(old, index)
    schema_editor.alter_db_table(old, table, f"{table}_before")
    schema_editor.create_model(new)
    columns = ", ".join(field.column for field in new._meta.concrete_fields if field.column)
    schema_editor.execute(f"INSERT INTO {table} ({columns}) SELECT {columns} FROM {table}_before ORDER BY id")
    schema_editor.execute(f"DROP TABLE {table}_before")


class Migration(migrations.Migration):
    dependencies = [("tracking", "0007_statistics_of_pairs")]
    operations = [
        TakeKeys(
            state_operations=[
                migrations.RemoveConstraint(
                    model_name="latestmetric",
                    name="one_latest_metric",
                ),
                migrations.RemoveConstraint(
                    model_name="metricpoint",
                    name="one_metric_point",
                ),
                migrations.RemoveConstraint(
                    model_name="param",
                    name="one_param_per_key",
                ),
                migrations.RemoveConstraint(
                    model_name="runtag",
                    name="one_run_tag_per_key",
                ),
                migrations.RemoveField(
                    model_name="latestmetric",
                    name="id",
                ),
                migrations.RemoveField(
                    model_name="metricpoint",
                    name="id",
                ),
                migrations.RemoveField(
                    model_name="param",
                    name="id",
                ),
                migrations.RemoveField(
                    model_name="runtag",
                    name="id",
                ),
                migrations.AddField(
                    model_name="latestmetric",
                    name="pk",
                    field=models.CompositePrimaryKey(
                        "run_id", "key", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                migrations.AddField(
                    model_name="metricpoint",
                    name="pk",
                    field=models.CompositePrimaryKey(
                        "run_id",
                        "key",
                        "timestamp_ms",
                        "step",
                        "value",
                        "is_nan",
                        "model_id",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                migrations.AddField(
                    model_name="param",
                    name="pk",
                    field=models.CompositePrimaryKey(
                        "run_id", "key", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                migrations.AddField(
                    model_name="runtag",
                    name="pk",
                    field=models.CompositePrimaryKey(
                        "run_id", "key", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                migrations.AlterField(
                    model_name="latestmetric",
                    name="run",
                    field=models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="latest_metrics",
                        to="tracking.run",
                    ),
                ),
                migrations.AlterField(
                    model_name="metricpoint",
                    name="run",
                    field=models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="metric_points",
                        to="tracking.run",
                    ),
                ),
                migrations.AlterField(
                    model_name="param",
                    name="run",
                    field=models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="params",
                        to="tracking.run",
                    ),
                ),
                migrations.AlterField(
                    model_name="runtag",
                    name="run",
                    field=models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="tags",
                        to="tracking.run",
                    ),
                ),
            ]
        )
    ]
