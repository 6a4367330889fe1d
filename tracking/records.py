"""What queries return. Lists of tags and the like stay the JSON the database made until somebody looks into them."""

from __future__ import annotations

from typing import TypeVar

import msgspec


class Pair(msgspec.Struct, frozen=True):
    """A tag or parameter."""

    key: str
    value: str


class MetricValue(msgspec.Struct, frozen=True, omit_defaults=True):
    """A point of a metric. A NaN is the text "NaN", as it travels."""

    key: str
    value: float | str
    timestamp: int
    step: int
    run_id: str = ""
    model_id: str = ""
    dataset_name: str = ""
    dataset_digest: str = ""


class DatasetUse(msgspec.Struct, frozen=True):
    """A data set that a run used, as the client described it."""

    dataset: dict[str, str]
    tags: list[Pair] = []


class ExperimentRecord(msgspec.Struct, frozen=True):
    """An experiment."""

    experiment_id: int
    name: str
    artifact_location: str
    lifecycle_stage: str
    created_ms: int
    updated_ms: int
    tags_json: str | None = None

    @property
    def tags(self) -> list[Pair]:
        """Return the tags."""
        return _read(self.tags_json, Pair)


class RunRecord(msgspec.Struct, frozen=True):
    """A run with all it logged; of each metric the latest point."""

    run_id: str
    experiment_id: int
    name: str
    user_id: str
    status: str
    start_ms: int
    end_ms: int | None
    lifecycle_stage: str
    artifact_uri: str
    params_json: str | None = None
    metrics_json: str | None = None
    tags_json: str | None = None
    dataset_inputs_json: str | None = None
    model_inputs_json: str | None = None
    model_outputs_json: str | None = None

    @property
    def params(self) -> list[Pair]:
        """Return the parameters."""
        return _read(self.params_json, Pair)

    @property
    def metrics(self) -> list[MetricValue]:
        """Return the latest point of each metric."""
        return _read(self.metrics_json, MetricValue)

    @property
    def tags(self) -> list[Pair]:
        """Return the tags."""
        return _read(self.tags_json, Pair)

    @property
    def dataset_inputs(self) -> list[DatasetUse]:
        """Return the data sets the run used."""
        return _read(self.dataset_inputs_json, DatasetUse)


class LoggedModelRecord(msgspec.Struct, frozen=True):
    """A model that a run produced, with all points of its metrics."""

    model_id: str
    experiment_id: int
    name: str
    model_type: str
    status: str
    artifact_uri: str
    source_run_id: str
    created_ms: int
    updated_ms: int
    deleted_ms: int | None
    params_json: str | None = None
    tags_json: str | None = None
    metrics: list[MetricValue] = []

    @property
    def params(self) -> list[Pair]:
        """Return the parameters."""
        return _read(self.params_json, Pair)

    @property
    def tags(self) -> list[Pair]:
        """Return the tags."""
        return _read(self.tags_json, Pair)


T = TypeVar("T")


def _read(text: str | None, item: type[T]) -> list[T]:
    return msgspec.json.decode(text, type=list[item]) if text else []  # type: ignore[valid-type]
