"""Which check run is taken up next: the one whose submitter has the fewest at work, within what a model and a team may have at once.

Source: least-work fair queueing among submitters, as in the fair-share schedulers of clusters (Henry 1984, "The Fair Share Scheduler").
"""

from __future__ import annotations

from collections import Counter

from django.conf import settings
from django.db import connection
from django.db.models import F, Q, QuerySet, Window
from django.db.models.functions import RowNumber
from django.utils import timezone

from core.models import JobState
from governance.models import UNFINISHED, CheckPartition, CheckRun

_LOCK = 0x436865636B  # "Check"


def next_check(queue: str) -> int | None:
    """Return the job of the check run, or of the partition of one, to take up next from a queue, or None.

    In the transaction that claims it, one at a time. Those whose model or whose team has as many at work as it may are passed over.
    """
    if connection.vendor == "postgresql":  # SQLite's IMMEDIATE transaction already has the database to itself
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
    whose = ("requested_by", "version__model_id", "version__model__owner_team_id")
    at_work = [
        *CheckRun.objects.filter(job__state=JobState.RUNNING).values_list(*whose),
        *CheckRun.objects.filter(partitions__job__state=JobState.RUNNING).values_list(*whose),
    ]
    of_people = Counter(person for person, _, _ in at_work)
    of_models = Counter(model for _, model, _ in at_work)
    of_teams: Counter[int | None] = Counter(team for _, _, team in at_work)
    may = [
        (of_people[person], created_at, job_id)
        for job_id, person, created_at, model, team in (*_waiting(queue), *_partitions_waiting(queue))
        if _within(settings.CHECKS_PER_MODEL, of_models[model])
        and (team is None or _within(settings.CHECKS_PER_TEAM, of_teams[team]))
    ]
    return min(may)[-1] if may else None


def _waiting(queue: str) -> QuerySet[CheckRun, tuple[int, str, object, int, int | None]]:
    """Return the oldest of each submitter for each model: only these can be next, however many wait behind them.

    One that rests on a run which has not ended yet, or that has an open partition, is not there at all, so it holds up nobody.
    """
    oldest = Window(RowNumber(), partition_by=[F("requested_by"), F("version__model_id")], order_by=[F("created_at"), F("pk")])
    due = Q(job__state=JobState.QUEUED, job__queue=queue, job__run_after__lte=timezone.now())
    return (
        CheckRun.objects.filter(due)
        .exclude(pk__in=CheckRun.objects.filter(rests_on__state__in=UNFINISHED).values("pk"))
        .exclude(pk__in=CheckPartition.objects.filter(answers=None).values("run"))
        .annotate(turn=oldest)
        .filter(turn=1)
        .values_list("job_id", "requested_by", "created_at", "version__model_id", "version__model__owner_team_id")
    )


def _partitions_waiting(queue: str) -> QuerySet[CheckPartition, tuple[int, str, object, int, int | None]]:
    """Return the first of each submitter for each model, as above."""
    oldest = Window(
        RowNumber(),
        partition_by=[F("run__requested_by"), F("run__version__model_id")],
        order_by=[F("run__created_at"), F("run"), F("start")],
    )
    due = Q(answers=None, job__state=JobState.QUEUED, job__queue=queue, job__run_after__lte=timezone.now())
    return (
        CheckPartition.objects.filter(due)
        .annotate(turn=oldest)
        .filter(turn=1)
        .values_list(
            "job_id", "run__requested_by", "run__created_at", "run__version__model_id", "run__version__model__owner_team_id"
        )
    )


def _within(most: int, count: int) -> bool:
    return not most or count < most
