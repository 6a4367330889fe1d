"""Ask a model about one partition of a large evaluation set, in a sandbox of its own, and keep what it answered."""

from __future__ import annotations

import logging
from typing import Any

from artifacts.store import store
from core import jobs
from core.jobs import Lease
from governance import partitions
from governance.checks import catalogue
from governance.models import CheckPartition
from workflows import checking
from workflows.runner import sandbox, scratch
from workflows.runner.environments import EnvironmentFailed
from workflows.runner.limits import Limits
from workflows.runner.sandbox import Progress, Status

log = logging.getLogger(__name__)


def score(*, partition_id: int, worker: str, lease: Lease) -> None:
    """Keep the answers to a partition, or end its run with what went wrong. Safe to run twice.

    Raises Cancelled where the run has ended meanwhile, or another worker has this.
    """
    kept_apart = checking.isolation()
    partition = partitions.start_partition(partition_id=partition_id, worker=worker, isolation=kept_apart.value)
    if partition is None:
        return
    run, limits = partition.run, checking.limits()
    scratch.remove_abandoned()

    def heartbeat(progress: Progress) -> bool:
        held = partitions.report_progress(partition=partition, worker=worker, done=progress.done, log=progress.log)
        return held and lease.held()

    with scratch.folder() as folder:
        try:
            prepared = checking.prepare(run, folder, lambda _: heartbeat(Progress(0.0, "")))
        except EnvironmentFailed as error:
            checking.finish(run, run.worker, checking.failed(error))
            return
        noted = folder / "noted"
        outcome = sandbox.run(
            {**checking.spec(run), "part": _part(partition, limits)},
            model_dir=prepared.model,
            dataset_path=prepared.dataset,
            limits=limits,
            isolation=kept_apart,
            heartbeat=heartbeat,
            answering=prepared.answering,
            champion=prepared.champion,
            noted=noted,
        )
        if outcome.status is Status.CANCELLED or not lease.held():
            raise jobs.Cancelled
        if outcome.status is not Status.COMPLETED:
            checking.finish(run, run.worker, checking.result(outcome, prepared.said()))
            return
        with noted.open("rb") as file, store().receive(file) as received:
            kept = partitions.keep_answers(
                partition_id=partition_id, worker=worker, answers=received, said=prepared.said(), log=outcome.log_tail
            )
    if not kept:
        log.warning("a partition of check run %s was scored by another worker; these answers are dropped", run.pk)


def _part(partition: CheckPartition, limits: Limits) -> dict[str, Any]:
    """Return what the measuring process is told of a partition."""
    run = partition.run
    return {
        "run": str(run.pk),
        "start": partition.start,
        "stop": partition.stop,
        "asks": catalogue.asks_rows(run.check_name, run.parameters),
        "most_bytes": limits.file_bytes,
    }
