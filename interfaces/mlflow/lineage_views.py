"""What runs used and what they gave: data sets and logged models."""

from __future__ import annotations

from typing import Annotated, Any

from core.access import Actor
from core.errors import Invalid
from interfaces.mlflow.messages import I64, ONE_STATEMENT, Ids, KeyValue, Message, distinct, present
from interfaces.mlflow.routing import Route
from interfaces.mlflow.run_views import RunId, well_formed
from tracking import queries
from tracking.commands import lineage as commands
from tracking.commands.lineage import DatasetInput
from tracking.queries import experiment_number


class DatasetMessage(Message, frozen=True):
    name: str | None = None
    digest: str | None = None
    source_type: str | None = None
    source: str | None = None
    schema: str | None = None
    profile: str | None = None


class DatasetInputMessage(Message, frozen=True):
    tags: list[KeyValue] | None = None
    dataset: DatasetMessage | None = None


class ModelInput(Message, frozen=True):
    model_id: str


class ModelOutput(Message, frozen=True):
    model_id: str
    step: I64 | None = None


class LogInputs(Message, frozen=True):
    run_id: str
    datasets: Annotated[list[DatasetInputMessage], ONE_STATEMENT] | None = None
    models: Annotated[list[ModelInput], ONE_STATEMENT] | None = None


class LogOutputs(RunId, frozen=True, kw_only=True):
    models: Annotated[list[ModelOutput], ONE_STATEMENT]


class SearchDatasets(Message, frozen=True):
    experiment_ids: Ids | None = None


def log_inputs(actor: Actor, message: LogInputs) -> None:
    """Note the data sets and models a run used."""
    datasets = []
    for item in message.datasets or ():
        given = item.dataset or DatasetMessage()
        datasets.append(
            DatasetInput(
                name=given.name or "",
                digest=given.digest or "",
                source_type=given.source_type or "",
                source=given.source or "",
                schema=given.schema,
                profile=given.profile,
                tags=list(distinct(item.tags).items()),
            )
        )
    commands.log_inputs(
        actor=actor,
        run_id=well_formed(message.run_id),
        datasets=datasets,
        model_ids=[item.model_id for item in message.models or ()],
    )


def log_outputs(actor: Actor, message: LogOutputs) -> None:
    """Note the models a run gave. The old name of the run's id stands in for the new one when it is asked for, but names none."""
    if not message.run_id and (message.run_id is not None or not message.run_uuid):
        raise Invalid("Missing value for required parameter 'run_id'.")
    commands.log_outputs(
        actor=actor, run_id=message.run_id or "", models=[(item.model_id, item.step or 0) for item in message.models]
    )


def search_datasets(actor: Actor, message: SearchDatasets) -> dict[str, Any]:
    """Return the data sets that runs of experiments used."""
    given = message.experiment_ids or []
    if not 1 <= len(given) <= 20:
        raise Invalid("Give 1 to 20 values of 'experiment_ids'.")
    found = queries.dataset_summaries(actor, [experiment_number(text) for text in given])
    return present(
        dataset_summaries=[
            present(experiment_id=str(experiment_id), name=name, digest=digest, context=context)
            for experiment_id, name, digest, context in found
        ]
    )


ROUTES: list[Route] = [
    Route("POST", "mlflow/runs/log-inputs", log_inputs, LogInputs),
    Route("POST", "mlflow/runs/outputs", log_outputs, LogOutputs),
    Route("POST", "mlflow/experiments/search-datasets", search_datasets, SearchDatasets, ajax_only=True),
]
