"""Work outside a request: the row is the truth, the broker's message only says that there is one."""

from __future__ import annotations

import logging
import math
import os
import socket
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from celery import current_app
from django.conf import settings
from django.db import IntegrityError, connection, transaction
from django.db.models import F, Min, Q
from django.utils import timezone

from core.errors import DomainError
from core.models import Job, JobState

RUN_TASK = "workflows.run_job"
RUN_NEXT_TASK = "workflows.run_next"

log = logging.getLogger(__name__)

Handler = Callable[..., None]
Elect = Callable[[str], int | None]
_handlers: dict[str, Handler] = {}
_elections: dict[str, Elect] = {}


class Cancelled(Exception):
    """The job's row was taken from this worker: cancelled, or given to another after a lost lease."""


class Retry(Exception):
    """What failed may succeed later: put the job back, with back-off, while attempts are left."""


class Later(Exception):
    """The job waits for something that its election knows of: put it back as if nobody had begun it."""


def handler(name: str, *, elect: Elect | None = None) -> Callable[[Handler], Handler]:
    """Register the function that does jobs of this name. It takes the job's arguments as keywords and may run twice.

    elect: for jobs that are not simply done in turn: called with a queue's name, in the transaction that claims, it returns the id of
    the queued job to do next, or None. It sees to it that no other election of the same queue goes on meanwhile.
    """

    def register(function: Handler) -> Handler:
        if name in _handlers:
            raise ValueError(f"two handlers for the job {name}")
        _handlers[name] = function
        if elect is not None:
            _elections[name] = elect
        return function

    return register


def handler_names() -> frozenset[str]:
    """Return the names that can be enqueued."""
    return frozenset(_handlers)


def enqueue(
    name: str, *, key: str | None = None, max_attempts: int = 3, delay: timedelta = timedelta(), queue: str = "", **arguments: Any
) -> Job | None:
    """Insert a job in the caller's transaction and nudge a worker once that has committed.

    key: at most one open job has it; if one is open already, nothing is inserted and None is returned. queue: which workers are told;
    the one that settings give the name otherwise.
    """
    now = timezone.now()
    queue = queue or settings.JOB_QUEUES.get(name, settings.CELERY_TASK_DEFAULT_QUEUE)
    told = None if delay else now
    job = Job(
        name=name, arguments=arguments, key=key, max_attempts=max_attempts, run_after=now + delay, queue=queue, nudged_at=told
    )
    try:
        with transaction.atomic():
            job.save(force_insert=True)
    except IntegrityError:
        return None
    transaction.on_commit(lambda: nudge(job.pk, name, queue))
    return job


def nudge(job_id: int, name: str, queue: str) -> None:
    """Tell the workers. A broker that is away costs a sweep, never the job, so its failure is not the caller's."""
    task: str = RUN_TASK
    arguments: dict[str, Any] = {"job_id": job_id}
    if name in _elections:
        task, arguments = RUN_NEXT_TASK, {"name": name, "queue": queue}  # whichever is its turn then
    try:
        current_app.send_task(task, kwargs=arguments, queue=queue, retry=False)
    except Exception:
        log.warning("no broker for job %s; the sweeper will take it up", job_id, exc_info=True)


def run(job_id: int) -> None:
    """Claim a job and do it, if it is still to be done. Safe to call twice: only one caller gets the claim."""
    worker = _worker()
    if _claim(job_id, worker):
        _do(job_id, worker)


def run_next(name: str, queue: str) -> None:
    """Do the job of this name that its election chooses, if there is one."""
    worker = _worker()
    with transaction.atomic():
        chosen = _elections[name](queue)
        claimed = chosen is not None and _claim(chosen, worker)
    if chosen is not None and claimed:
        try:
            _do(chosen, worker)
        finally:
            nudge_waiting(name)


def nudge_waiting(name: str) -> None:
    """Tell the workers of each queue of a job that waits for its election: what kept it back may have ended."""
    waiting = Job.objects.filter(name=name, state=JobState.QUEUED, run_after__lte=timezone.now())
    for queue, job_id in waiting.values("queue").annotate(first=Min("pk")).values_list("queue", "first"):
        nudge(job_id, name, queue)


def _lease() -> timedelta:
    return timedelta(seconds=settings.JOB_LEASE_SECONDS)


def nudge_again() -> timedelta:
    """Return how long after a worker was told of a job that waits the sweeper tells one again."""
    return 2 * _lease()


def _renew_seconds() -> float:
    return float(settings.JOB_LEASE_SECONDS) / 4  # so that one or two that come late lose nothing


def _worker() -> str:
    return f"{socket.gethostname()}:{os.getpid()}:{threading.get_ident()}"


def _claim(job_id: int, worker: str) -> bool:
    now = timezone.now()
    return bool(
        Job.objects.filter(pk=job_id, state=JobState.QUEUED, run_after__lte=now).update(
            state=JobState.RUNNING, worker=worker, lease_until=now + _lease(), attempts=F("attempts") + 1
        )
    )


def _do(job_id: int, worker: str) -> None:
    job = Job.objects.get(pk=job_id)
    with _renewing(job, worker) as lease:
        try:
            _handlers[job.name](**job.arguments, lease=lease)
        except Cancelled:
            return
        except Later:
            _mine(job, worker).update(
                state=JobState.QUEUED, lease_until=None, worker="", nudged_at=None, attempts=F("attempts") - 1
            )
            return
        except Retry as error:
            _put_back(job, worker, str(error))
            return
        except DomainError as error:  # a refusal is an answer, not a fault: trying again gives the same
            _finish(job, worker, JobState.FAILED, f"{error.code}: {error.message}")
            return
        except Exception as error:
            _put_back(job, worker, f"{type(error).__name__}: {error}")
            raise
    _finish(job, worker, JobState.DONE)


class Lease:
    """A worker's hold on a job; handlers of long work ask it whether to go on."""

    def __init__(self) -> None:
        self._lost = threading.Event()

    def held(self) -> bool:
        """Return False once the row was cancelled or given to another worker."""
        return not self._lost.is_set()

    def lose(self) -> None:
        self._lost.set()


class _renewing:
    """Renew the lease from a thread while the handler works."""

    def __init__(self, job: Job, worker: str) -> None:
        self._job, self._worker, self._stop, self._lease = job, worker, threading.Event(), Lease()
        self._thread = threading.Thread(target=self._renew, daemon=True)

    def __enter__(self) -> Lease:
        self._thread.start()
        return self._lease

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(timeout=_renew_seconds())

    def _renew(self) -> None:
        try:
            while not self._stop.wait(_renew_seconds()):
                held = _mine(self._job, self._worker).update(lease_until=timezone.now() + _lease())
                if not held:
                    self._lease.lose()
                    return
        finally:
            connection.close()


def sweep() -> int:
    """Put back what a lost worker left, nudge what waits and no worker was told of lately; return how many jobs were nudged."""
    now = timezone.now()
    lost = Job.objects.filter(state=JobState.RUNNING, lease_until__lt=now)
    lost.filter(attempts__gte=F("max_attempts")).update(
        state=JobState.FAILED, finished_at=now, error="the worker was lost, and no attempt is left"
    )
    lost.update(state=JobState.QUEUED, lease_until=None, worker="", run_after=now, nudged_at=None)
    untold = Q(nudged_at__isnull=True) | Q(nudged_at__lt=now - nudge_again())
    waiting = list(
        Job.objects.filter(untold, state=JobState.QUEUED, run_after__lte=now)
        .order_by("run_after")
        .values_list("pk", "name", "queue")[:200]
    )
    Job.objects.filter(pk__in=[job_id for job_id, *_ in waiting]).update(nudged_at=now)
    for job_id, name, queue in waiting:
        nudge(job_id, name, queue)
    return len(waiting)


def tidy_broker(older_than: timedelta = timedelta(hours=1)) -> int:
    """Remove the messages that workers took this long ago, and those whose writer was killed before they had their name, where the
    broker is a folder of files; return how many."""
    options = settings.CELERY_BROKER_TRANSPORT_OPTIONS
    if "processed_folder" not in options:
        return 0
    before = (timezone.now() - older_than).timestamp()
    taken, messages = (Path(str(options[name])) for name in ("processed_folder", "data_folder_out"))
    old = [path for path in (*taken.iterdir(), *messages.glob(".*")) if _written_at(path) < before]
    for path in old:
        path.unlink(missing_ok=True)
    return len(old)


def _written_at(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:  # it has its name by now
        return math.inf


def cancel(*, key: str) -> bool:
    """Cancel the open job with this key; a running handler learns of it from its lease. Return whether there was one."""
    return bool(
        Job.objects.filter(key=key, state__in=[JobState.QUEUED, JobState.RUNNING]).update(
            state=JobState.CANCELLED, finished_at=timezone.now()
        )
    )


def _mine(job: Job, worker: str) -> Any:
    return Job.objects.filter(pk=job.pk, state=JobState.RUNNING, worker=worker)


def _finish(job: Job, worker: str, state: JobState, error: str = "") -> None:
    _mine(job, worker).update(state=state, finished_at=timezone.now(), lease_until=None, error=error[:10_000])


def _put_back(job: Job, worker: str, error: str) -> None:
    if job.attempts >= job.max_attempts:
        _finish(job, worker, JobState.FAILED, error)
        return
    back_off = timedelta(seconds=2 ** min(job.attempts, 8))
    _mine(job, worker).update(
        state=JobState.QUEUED,
        run_after=timezone.now() + back_off,
        lease_until=None,
        worker="",
        nudged_at=None,
        error=error[:10_000],
    )
