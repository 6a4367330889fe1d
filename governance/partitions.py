"""Partitions of the evaluation set of a check run: each is asked about in a job of its own, and the run goes on when none is open.

Nothing is counted and nobody is told: that a partition is open keeps its run from being elected, so the last one in need not know it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial

from django.conf import settings
from django.db import transaction
from django.db.models import Avg, Count, QuerySet

from artifacts import commands as artifact_commands
from artifacts.store import Received
from core import jobs
from core.models import Job, JobState
from governance.checks import catalogue
from governance.checks.noted import borders
from governance.models import AT_WORK, UNFINISHED, CheckPartition, CheckRun, CheckState

RUN_CHECK = "workflows.run_check"  # the job that carries out a run, or asks about one of its partitions
SCORED = 0.6  # the share of a run's progress that asking the model is shown as
_MOST_LOG = 8192


def are_open(run_id: str) -> bool:
    """Return whether a run waits for answers."""
    return CheckPartition.objects.filter(run__pk=run_id, answers=None).exists()


def isolations(run_id: str) -> set[str]:
    """Return how the models were kept apart that answered for a run."""
    return set(CheckPartition.objects.filter(run__pk=run_id).values_list("isolation", flat=True))


def asks(run: CheckRun) -> str:
    """Return what the run asks about each row of its set in partitions, or "" if it is measured in one piece."""
    at_most, dataset = settings.CHECK_PARTITION_ROWS, run.dataset_version
    if not at_most or dataset is None or len(borders(dataset.row_count, at_most)) < 2:
        return ""
    return catalogue.asks_rows(run.check_name, run.parameters)


@transaction.atomic
def divide(*, run_id: str, worker: str) -> bool:
    """Queue the partitions of a run that is this worker's; return whether there are any to wait for.

    Not those of one that had them before. Raises Cancelled for a run that is no longer this worker's.
    """
    run = CheckRun.objects.select_for_update().filter(pk=run_id, state__in=AT_WORK, worker=worker).first()
    if run is None:
        raise jobs.Cancelled
    if run.partitions.exists() or not asks(run):
        return False
    assert run.dataset_version is not None
    cut = borders(run.dataset_version.row_count, settings.CHECK_PARTITION_ROWS)
    for start, stop in cut:
        one = CheckPartition.objects.create(run=run, start=start, stop=stop)
        queue = settings.CHECK_QUEUES[run.resource_class]
        key = f"check:{run.pk}:{start}"
        one.job = jobs.enqueue(RUN_CHECK, key=key, queue=queue, run_id=str(run.pk), partition_id=one.pk)
        one.save(update_fields=["job"])
    run.state, run.worker, run.progress_text = CheckState.RUNNING, "", f"0 of {len(cut)} partitions scored"
    run.save(update_fields=["state", "worker", "progress_text"])
    return True


def start_partition(*, partition_id: int, worker: str, isolation: str) -> CheckPartition | None:
    """Take a partition into work, or one whose worker was lost; None when it is scored, or its run has ended."""
    taken = CheckPartition.objects.filter(pk=partition_id, answers=None, run__state__in=AT_WORK)
    if not taken.update(worker=worker, isolation=isolation, progress=0.0):
        return None
    return CheckPartition.objects.select_related(
        "run__version__model", "run__compared_with", "run__dataset_version__dataset", "run__dataset_version__blob"
    ).get(pk=partition_id)


def report_progress(*, partition: CheckPartition, worker: str, done: float, log: str = "") -> bool:
    """Show how far the run is by how far its partitions are; return False when this one is no longer this worker's."""
    if not _mine(partition.pk, worker).update(progress=done, log=log[-_MOST_LOG:]):
        return False
    shown = CheckPartition.objects.filter(run=partition.run_id).aggregate(
        done=Avg("progress"), scored=Count("answers"), of=Count("pk")
    )
    text = f"{shown['scored']} of {shown['of']} partitions scored"
    at_work = CheckRun.objects.filter(pk=partition.run_id, state__in=AT_WORK)
    return bool(at_work.update(progress=SCORED * (shown["done"] or 0.0), progress_text=text))


@transaction.atomic
def keep_answers(*, partition_id: int, worker: str, answers: Received, said: Mapping[str, str], log: str) -> bool:
    """Keep what was answered about a partition; return False when it is no longer this worker's.

    Content that no other run has, so that it can be removed with this one.
    """
    mine = _mine(partition_id, worker).select_for_update().first()
    if mine is None:
        return False
    artifact_commands.note_content(answers)
    mine.answers_id, mine.said, mine.log, mine.progress = answers.digest, dict(said), log[-_MOST_LOG:], 1.0
    mine.save(update_fields=["answers", "said", "log", "progress"])
    return True


def remove(run_id: str) -> None:
    """End the partitions of a run that has ended, in the caller's transaction: their jobs, their rows, and what was answered."""
    rows = list(CheckPartition.objects.select_for_update().filter(run__pk=run_id))
    for each in rows:
        jobs.cancel(key=f"check:{run_id}:{each.start}")
    CheckPartition.objects.filter(pk__in=[each.pk for each in rows]).delete()
    digests = [each.answers_id for each in rows if each.answers_id]
    if digests:
        transaction.on_commit(partial(artifact_commands.collect, digests))


def stranded() -> Iterable[CheckRun]:
    """Return the runs that wait for a partition whose job is gone for good."""
    busy = Job.objects.filter(state__in=[JobState.QUEUED, JobState.RUNNING])
    lost = CheckPartition.objects.filter(answers=None).exclude(job__in=busy)
    return CheckRun.objects.filter(pk__in=lost.values("run"), state__in=UNFINISHED)


def _mine(partition_id: int, worker: str) -> QuerySet[CheckPartition]:
    return CheckPartition.objects.filter(pk=partition_id, worker=worker, answers=None)
