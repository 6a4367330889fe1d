"""What a run used and what it gave: data sets and logged models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec
from django.db import transaction

from core import audit, sql
from core.access import Actor
from core.audit import Event
from core.errors import Invalid
from tracking.commands.runs import OpenRun, open_run
from tracking.queries import readable, require_logged_models


@dataclass(frozen=True)
class DatasetInput:
    """A data set as a client describes it, with the tags of its use."""

    name: str
    digest: str
    source_type: str = ""
    source: str = ""
    schema: str | None = None
    profile: str | None = None
    tags: Sequence[tuple[str, str]] = field(default_factory=tuple)


@transaction.atomic
def log_inputs(*, actor: Actor, run_id: str, datasets: Sequence[DatasetInput] = (), model_ids: Sequence[str] = ()) -> None:
    """Note which data sets and logged models a run used. One noted before stays as it was.

    Raises NotFound for a run or model the actor may not see, Denied, Invalid.
    """
    for given in datasets:
        _check_dataset(given)
    found = open_run(actor, run_id)
    _link_datasets(found, datasets)
    _link_models(actor, run_id, [(model_id, 0) for model_id in model_ids], "input")
    audit.record(
        actor,
        Event.RUN_INPUTS_LOGGED,
        subject=("run", run_id),
        scope=found.scope,
        after={"datasets": [{"name": d.name, "digest": d.digest} for d in datasets], "models": list(model_ids)},
    )


@transaction.atomic
def log_outputs(*, actor: Actor, run_id: str, models: Sequence[tuple[str, int]]) -> None:
    """Note which logged models a run gave, each with the step it belongs to. Raises NotFound, Denied, and Invalid for one noted before."""
    found = open_run(actor, run_id)
    if _link_models(actor, run_id, models, "output") < len(models):
        raise Invalid(
            "One of these models is an output of the run already, and an output never changes: leave it out.", code="BAD_REQUEST"
        )
    audit.record(
        actor,
        Event.RUN_LOGGED,
        subject=("run", run_id),
        scope=found.scope,
        models=[{"model_id": model_id, "step": str(step)} for model_id, step in models],
    )


def _check_dataset(given: DatasetInput) -> None:
    for what, text, most in (
        ("name", given.name, 500),
        ("digest", given.digest, 36),
        ("source type", given.source_type, 36),
        ("source", given.source, 65_535),
        ("schema", given.schema or "", 1_048_575),
        ("profile", given.profile or "", 16_777_215),
    ):
        if len(text) > most:
            raise Invalid(f"The {what} of a data set has at most {most} characters.")
    for key, value in given.tags:
        if not key or len(key) > 255 or len(value) > 500:
            raise Invalid("The tag of an input has a key of 1 to 255 characters and a value of at most 500.")


def _link_datasets(found: OpenRun, datasets: Sequence[DatasetInput]) -> None:
    if not datasets:
        return
    by_key = {(d.name, d.digest): d for d in reversed(datasets)}  # the first of equal ones wins
    sql.insert(
        "tracking_inputdataset",
        {
            "experiment_id": "bigint",
            "name": "text",
            "digest": "text",
            "source_type": "text",
            "source": "text",
            "schema": "text",
            "profile": "text",
        },
        [(found.experiment_id, d.name, d.digest, d.source_type, d.source, d.schema, d.profile) for d in by_key.values()],
        "ON CONFLICT (experiment_id, name, digest) DO NOTHING",
    )
    names = [d.name for d in by_key.values()]
    ids = {
        (name, digest): key
        for key, name, digest in sql.fetch(
            f"SELECT id, name, digest FROM tracking_inputdataset WHERE experiment_id = %s AND name IN ({sql.marks(names)})",
            [found.experiment_id, *names],
        )
    }
    sql.insert(
        "tracking_runinput",
        {"run_id": "text", "dataset_id": "bigint", "tags": "jsonb"},
        [
            (found.run_id, ids[key], msgspec.json.encode([{"key": k, "value": v} for k, v in dict(d.tags).items()]).decode())
            for key, d in reversed(by_key.items())
        ],
        "ON CONFLICT (run_id, dataset_id) DO NOTHING",
    )


def _link_models(actor: Actor, run_id: str, models: Sequence[tuple[str, int]], direction: str) -> int:
    """Link these models to the run, and return how many were not before."""
    if not models:
        return 0
    require_logged_models(actor, {model_id for model_id, _ in models}, readable)
    return sql.insert(
        "tracking_runmodellink",
        {"run_id": "text", "model_id": "text", "direction": "text", "step": "bigint"},
        [(run_id, model_id, direction, step) for model_id, step in dict(models).items()],
        "ON CONFLICT (run_id, model_id, direction) DO NOTHING",
    )
