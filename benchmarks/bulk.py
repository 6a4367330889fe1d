"""The large data set, written straight into the databases: through the protocol it would take an MLflow server hours.

The rows are those that the calls of ``dataset`` would leave; what is asked before each operation shows whether they are.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Any, TypeVar

from benchmarks import dataset
from benchmarks.dataset import BEGAN_MS, Size

T = TypeVar("T")
_BATCH = 5_000
_CURVES = 100  # runs that share the metric points
_KEYS = 10  # metrics of each of them


@dataclass(frozen=True)
class Order:
    """What to put in. reading, curves: ids of experiments that are there."""

    size: Size
    reading: str
    curves: str

    def as_json(self) -> str:
        """Return it as an argument for another process."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Order:
        """Read what ``as_json`` gave."""
        value = json.loads(text)
        return cls(Size(**value["size"]), value["reading"], value["curves"])


def run_id(number: int) -> str:
    """Return the id of a run that is only read."""
    return f"{number:032x}"


def _curve_id(number: int) -> str:
    return f"c{number:031x}"


def _points(size: Size) -> Iterator[tuple[str, str, int]]:
    """Yield run, metric and step of each point."""
    steps = size.more_points // (_CURVES * _KEYS)
    for run in range(_CURVES):
        for key in range(_KEYS):
            for step in range(steps):
                yield _curve_id(run), f"curve-{key}", step


def _chunks(items: Iterable[T]) -> Iterator[list[T]]:
    waiting = iter(items)
    while some := list(islice(waiting, _BATCH)):
        yield some


def fill_mlflow(database: str, artifacts: str, order: Order) -> None:
    """Fill the database of an MLflow server that has made its tables."""
    import sqlalchemy
    from mlflow.store.model_registry.dbmodels import models as registry
    from mlflow.store.tracking.dbmodels import models as tracking

    size = order.size
    engine = sqlalchemy.create_engine(database)
    named = {"workspace": "default"}
    at = {"creation_time": BEGAN_MS, "last_updated_time": BEGAN_MS}
    versions = [(model, version) for model in range(size.models) for version in range(1, size.versions + 1)]
    with engine.begin() as connection:

        def put(table: Any, rows: Iterable[dict[str, Any]]) -> None:
            for some in _chunks(rows):
                connection.execute(sqlalchemy.insert(table), some)

        def of_model(number: int) -> dict[str, Any]:
            return {**named, "name": dataset.model_name(number)}

        put(
            registry.SqlRegisteredModel,
            ({**of_model(n), **at, "description": dataset.model_description(n)} for n in range(size.models)),
        )
        put(
            registry.SqlRegisteredModelTag,
            ({**of_model(n), **tag} for n in range(size.models) for tag in dataset.model_tags(n)),
        )
        put(
            registry.SqlModelVersion,
            (
                {
                    **of_model(model),
                    **at,
                    "version": version,
                    "description": "",
                    "current_stage": "None",
                    "source": dataset.source(model, version),
                    "storage_location": dataset.source(model, version),
                    "run_id": run_id(dataset.run_of(size, model)) if version == 1 else "",
                    "run_link": "",
                    "status": "READY",
                }
                for model, version in versions
            ),
        )
        put(
            registry.SqlModelVersionTag,
            (
                {**of_model(model), "version": version, **tag}
                for model, version in versions
                for tag in dataset.version_tags(size, model, version)
            ),
        )
        put(
            registry.SqlRegisteredModelAlias,
            ({**of_model(n), "alias": "champion", "version": dataset.champion(size)} for n in range(size.models)),
        )

        def run(identity: str, experiment: str) -> dict[str, Any]:
            return {
                "run_uuid": identity,
                "name": identity[-8:],
                "source_type": "UNKNOWN",
                "source_name": "",
                "entry_point_name": "",
                "source_version": "",
                "user_id": "dana",
                "status": "RUNNING",
                "start_time": BEGAN_MS,
                "lifecycle_stage": "active",
                "artifact_uri": f"{artifacts}/{experiment}/{identity}/artifacts",
                "experiment_id": int(experiment),
            }

        put(tracking.SqlRun, (run(run_id(n), order.reading) for n in range(size.runs)))
        put(tracking.SqlRun, (run(_curve_id(n), order.curves) for n in range(_CURVES)))
        put(
            tracking.SqlTag,
            ({"run_uuid": run_id(n), "key": "mlflow.runName", "value": run_id(n)[-8:]} for n in range(size.runs)),
        )
        for table in (tracking.SqlMetric, tracking.SqlLatestMetric):
            put(
                table,
                (
                    {"run_uuid": run_id(n), "key": key, "value": value, "timestamp": BEGAN_MS, "step": 1, "is_nan": False}
                    for n in range(size.runs)
                    for key, value in dataset.run_metrics(n)
                ),
            )
        put(
            tracking.SqlParam,
            (
                {"run_uuid": run_id(n), "key": key, "value": value}
                for n in range(size.runs)
                for key, value in dataset.run_params(n)
            ),
        )
        put(
            tracking.SqlMetric,
            (
                {
                    "run_uuid": run,
                    "key": key,
                    "value": 1 / (step + 1),
                    "timestamp": BEGAN_MS + step,
                    "step": step,
                    "is_nan": False,
                }
                for run, key, step in _points(size)
            ),
        )
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        # As the database would be after a while: PostgreSQL sees to it by itself, but not within seconds.
        connection.execute(sqlalchemy.text("VACUUM"))
        connection.execute(sqlalchemy.text("ANALYZE"))
    engine.dispose()


def fill_countersign(order: Order) -> None:
    """Fill the database of this process's settings; the models belong to the account ``dana``."""
    import django

    django.setup()
    from django.contrib.auth.models import Permission
    from django.db import connection, transaction

    from core.models import User
    from registry.models import (
        AliasAssignment,
        ModelUserPermission,
        ModelVersion,
        ModelVersionTag,
        RegisteredModel,
        RegisteredModelTag,
        StageAssignment,
    )
    from tracking.models import LatestMetric, MetricPoint, Param, Run, RunTag

    size = order.size
    began = datetime.fromtimestamp(BEGAN_MS / 1000, UTC)
    at = {"created_ms": BEGAN_MS, "updated_ms": BEGAN_MS}

    def put(rows: Iterable[Any]) -> list[Any]:
        kept = []
        for some in _chunks(rows):
            kept += type(some[0]).objects.bulk_create(some, batch_size=1000 if connection.vendor == "postgresql" else None)
        return kept

    with transaction.atomic():
        dana = User.objects.get(username="dana")
        models = put(
            RegisteredModel(
                name=dataset.model_name(n),
                description=dataset.model_description(n),
                created_by=dana,
                next_number=size.versions + 1,
                **at,
            )
            for n in range(size.models)
        )
        manage = Permission.objects.get(content_type__app_label="registry", codename="model_manage")
        put(ModelUserPermission(user=dana, permission=manage, content_object=model) for model in models)
        put(RegisteredModelTag(model=model, **tag) for n, model in enumerate(models) for tag in dataset.model_tags(n))
        versions = put(
            ModelVersion(
                model=model,
                number=number,
                description="",
                source=dataset.source(n, number),
                storage_location=dataset.source(n, number),
                run_id=run_id(dataset.run_of(size, n)) if number == 1 else "",
                created_by=dana,
                **at,
            )
            for n, model in enumerate(models)
            for number in range(1, size.versions + 1)
        )
        put(
            ModelVersionTag(version=version, **tag)
            for place, version in enumerate(versions)
            for tag in dataset.version_tags(size, place // size.versions, version.number)
        )
        put(
            StageAssignment(version=version, model_id=version.model_id, stage_id="None", valid_from=began, assigned_by="dana")
            for version in versions
        )
        put(
            AliasAssignment(model_id=version.model_id, alias="champion", version=version, valid_from=began, assigned_by="dana")
            for version in versions
            if version.number == dataset.champion(size)
        )

        def run(identity: str, experiment: str) -> Run:
            return Run(
                id=identity,
                experiment_id=int(experiment),
                name=identity[-8:],
                user_id_text="dana",
                start_ms=BEGAN_MS,
                artifact_uri=f"mlflow-artifacts:/{experiment}/{identity}/artifacts",
                created_by=dana,
            )

        put(run(run_id(n), order.reading) for n in range(size.runs))
        put(run(_curve_id(n), order.curves) for n in range(_CURVES))
        put(RunTag(run_id=run_id(n), key="mlflow.runName", value=run_id(n)[-8:]) for n in range(size.runs))
        for table in (MetricPoint, LatestMetric):
            put(
                table(run_id=run_id(n), key=key, value=value, timestamp_ms=BEGAN_MS, step=1)
                for n in range(size.runs)
                for key, value in dataset.run_metrics(n)
            )
        put(Param(run_id=run_id(n), key=key, value=value) for n in range(size.runs) for key, value in dataset.run_params(n))
        put(
            MetricPoint(run_id=run, key=key, value=1 / (step + 1), timestamp_ms=BEGAN_MS + step, step=step)
            for run, key, step in _points(size)
        )
    with connection.cursor() as cursor:
        cursor.execute("VACUUM")  # as in fill_mlflow
        cursor.execute("ANALYZE")


if __name__ == "__main__":
    fill_countersign(Order.from_json(sys.argv[1]))
