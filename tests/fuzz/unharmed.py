"""Run within an instance's environment: print what is wrong with its database and its files, line by line; nothing if all is well."""

from __future__ import annotations

from collections.abc import Iterator

import django

django.setup()

from django.apps import apps  # noqa: E402
from django.conf import settings  # noqa: E402
from django.db import connection, models  # noqa: E402
from django.db.models import Count, F, Max, Q  # noqa: E402

from artifacts.models import Blob  # noqa: E402
from artifacts.store import store  # noqa: E402
from governance import ledger  # noqa: E402
from registry.models import ModelVersion, RegisteredModel  # noqa: E402
from tracking.models import LatestMetric, MetricPoint  # noqa: E402


def engine() -> Iterator[str]:
    """Ask the engine to look through its pages and indexes."""
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("PRAGMA integrity_check")
            yield from (f"integrity: {row[0]}" for row in cursor.fetchall() if row[0] != "ok")
            cursor.execute("PRAGMA foreign_key_check")
            yield from (f"foreign key: {row}" for row in cursor.fetchall())
            return
        cursor.execute("CREATE EXTENSION IF NOT EXISTS amcheck")
        cursor.execute(
            "SELECT bt_index_check(c.oid, true) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am a ON a.oid = c.relam"
            " JOIN pg_namespace n ON n.oid = c.relnamespace WHERE a.amname = 'btree' AND n.nspname = 'public' AND i.indisvalid"
        )  # raises for one that is damaged
        cursor.fetchall()


def foreign_keys() -> Iterator[str]:
    """Follow every foreign key of every row."""
    for model in apps.get_models():
        for field in model._meta.concrete_fields:
            if isinstance(field, models.ForeignKey):
                there = field.related_model._base_manager.values(field.target_field.attname)
                rows = model._base_manager.filter(**{f"{field.attname}__isnull": False})
                lost = rows.exclude(**{f"{field.attname}__in": there}).count()
                if lost:
                    yield f"{model.__name__}.{field.name}: {lost} rows point to nothing"


def our_own() -> Iterator[str]:
    """Look at what we promise: the ledger, places, version numbers, latest metrics and the content of files."""
    while ledger.sequence(whole=True):
        pass
    yield from (f"ledger: {problem.message}" for problem in ledger.verify().problems)
    current = Count("stage_assignments", filter=Q(stage_assignments__valid_to__isnull=True))
    versions = ModelVersion.objects.filter(deleted_at__isnull=True).annotate(current=current)
    yield from (f"{version} stands in {version.current} stages" for version in versions.exclude(current=1))
    numbered = RegisteredModel.objects.annotate(highest=Max("versions__number"))
    yield from (
        f"{model} would give number {model.next_number} twice" for model in numbered.filter(highest__gte=F("next_number"))
    )
    for latest in LatestMetric.objects.all():
        points = MetricPoint.objects.filter(run=latest.run_id, key=latest.key)
        greatest = points.order_by("-step", "-timestamp_ms", "-value").values_list("step", "timestamp_ms", "value").first()
        if greatest != (latest.step, latest.timestamp_ms, latest.value):
            yield f"the latest {latest.key!r} of run {latest.run_id} is not the greatest of its points"
    for blob in Blob.objects.all():
        if not store().holds(blob.digest):
            yield f"the content {blob.digest} is gone from {settings.ARTIFACT_ROOT}"


if __name__ == "__main__":
    for line in (*engine(), *foreign_keys(), *our_own()):
        print(line)
