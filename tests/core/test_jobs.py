"""A job's row is the truth: claimed once, taken up again when its worker is lost, put back with back-off, ended by a refusal."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection, transaction
from django.utils import timezone

from core import jobs
from core.errors import Conflict
from core.models import Job, JobState

pytestmark = pytest.mark.django_db(transaction=True)


class Work:
    """A handler that notes each call and then does what the test says."""

    def __init__(self) -> None:
        self.calls: list[dict[str, Any]] = []
        self.then: Any = lambda lease: None

    def __call__(self, *, lease: jobs.Lease, **arguments: Any) -> None:
        self.calls.append(arguments)
        self.then(lease)


@pytest.fixture
def work() -> Iterator[Work]:
    done = Work()
    jobs.handler("test.work")(done)
    yield done
    del jobs._handlers["test.work"]


@pytest.fixture
def nudged(monkeypatch) -> list[int]:
    """The ids that the broker was told of."""
    told: list[int] = []
    monkeypatch.setattr("core.jobs.current_app.send_task", lambda name, kwargs, **_: told.append(kwargs["job_id"]))
    return told


def _enqueue(**options: Any) -> Job:
    with transaction.atomic():
        job = jobs.enqueue("test.work", **options)
    assert job is not None
    return job


def _fail(error: Exception) -> Any:
    def then(lease: jobs.Lease) -> None:
        raise error

    return then


def test_a_worker_is_told_only_after_the_commit(work: Work, nudged: list[int]) -> None:
    with transaction.atomic():
        job = jobs.enqueue("test.work", number=7)
        assert nudged == []
    assert nudged == [job.pk]
    jobs.run(job.pk)
    assert work.calls == [{"number": 7}]
    job.refresh_from_db()
    assert (job.state, job.attempts, job.lease_until) == (JobState.DONE, 1, None)


def test_what_is_rolled_back_is_never_done(work: Work, nudged: list[int]) -> None:
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        jobs.enqueue("test.work")
        raise ZeroDivisionError
    assert nudged == [] and not Job.objects.exists()


def test_a_broker_that_is_away_does_not_fail_the_caller(work: Work, monkeypatch, caplog) -> None:
    def away(*_: object, **__: object) -> None:
        raise ConnectionError("no broker")

    monkeypatch.setattr("core.jobs.current_app.send_task", away)
    job = _enqueue()
    assert "the sweeper will take it up" in caplog.text
    assert Job.objects.get(pk=job.pk).state == JobState.QUEUED


def test_only_one_of_many_workers_gets_a_job(work: Work, nudged: list[int]) -> None:
    job = _enqueue()
    barrier = threading.Barrier(4)

    def compete() -> None:
        barrier.wait()
        try:
            jobs.run(job.pk)
        finally:
            connection.close()

    threads = [threading.Thread(target=compete) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(work.calls) == 1
    jobs.run(job.pk)
    assert len(work.calls) == 1


def test_one_open_job_per_key_and_another_once_it_is_done(work: Work, nudged: list[int]) -> None:
    first = _enqueue(key="version-1")
    with transaction.atomic():
        assert jobs.enqueue("test.work", key="version-1") is None
    jobs.run(first.pk)
    assert _enqueue(key="version-1").pk != first.pk


def test_a_job_for_later_waits(work: Work, nudged: list[int]) -> None:
    job = _enqueue(delay=timedelta(minutes=5))
    jobs.run(job.pk)
    nudged.clear()
    assert jobs.sweep() == 0 and work.calls == []
    with time_machine.travel(timezone.now() + timedelta(minutes=6)):
        assert jobs.sweep() == 1
        jobs.run(job.pk)
    assert nudged == [job.pk] and len(work.calls) == 1


def test_a_failure_is_tried_again_with_growing_pauses_and_then_given_up(work: Work, nudged: list[int]) -> None:
    work.then = _fail(jobs.Retry("the store is away"))
    job = _enqueue(max_attempts=3)
    pauses = []
    now = timezone.now()
    for _ in range(3):
        with time_machine.travel(now, tick=False):
            jobs.run(job.pk)
        job.refresh_from_db()
        pauses.append((job.run_after - now).total_seconds())
        now = max(now, job.run_after)
    assert pauses[:2] == [2.0, 4.0]
    assert (job.state, job.attempts, job.error) == (JobState.FAILED, 3, "the store is away")
    assert job.finished_at is not None


def test_a_bug_is_tried_again_and_shown(work: Work, nudged: list[int]) -> None:
    work.then = _fail(ZeroDivisionError("oops"))
    job = _enqueue()
    with pytest.raises(ZeroDivisionError):
        jobs.run(job.pk)
    job.refresh_from_db()
    assert (job.state, job.error) == (JobState.QUEUED, "ZeroDivisionError: oops")


def test_a_refusal_is_an_answer_and_not_tried_again(work: Work, nudged: list[int]) -> None:
    work.then = _fail(Conflict("The request was withdrawn."))
    job = _enqueue()
    jobs.run(job.pk)
    job.refresh_from_db()
    assert (job.state, job.attempts, job.error) == (JobState.FAILED, 1, "conflict: The request was withdrawn.")


def test_a_job_whose_lease_ran_out_is_swept_up_and_done_by_another(work: Work, nudged: list[int]) -> None:
    job = _enqueue()
    Job.objects.filter(pk=job.pk).update(
        state=JobState.RUNNING, worker="lost", attempts=1, lease_until=timezone.now() + timedelta(seconds=5)
    )
    nudged.clear()
    jobs.sweep()
    assert nudged == []
    Job.objects.filter(pk=job.pk).update(lease_until=timezone.now() - timedelta(seconds=1))
    jobs.sweep()
    assert nudged == [job.pk]
    jobs.run(job.pk)
    job.refresh_from_db()
    assert (job.state, job.attempts, len(work.calls)) == (JobState.DONE, 2, 1)


def test_a_job_that_loses_every_worker_is_given_up(work: Work, nudged: list[int]) -> None:
    job = _enqueue(max_attempts=2)
    Job.objects.filter(pk=job.pk).update(
        state=JobState.RUNNING, worker="lost", attempts=2, lease_until=timezone.now() - timedelta(seconds=1)
    )
    assert jobs.sweep() == 0
    job.refresh_from_db()
    assert job.state == JobState.FAILED and "worker was lost" in job.error


def test_a_worker_that_lost_its_job_learns_it_and_changes_nothing(work: Work, nudged: list[int], settings) -> None:
    settings.JOB_LEASE_SECONDS = 0.2

    def until_lost(lease: jobs.Lease) -> None:
        Job.objects.filter(pk=job.pk).update(worker="another")
        deadline = time.monotonic() + 10
        while lease.held() and time.monotonic() < deadline:
            time.sleep(0.02)
        assert not lease.held()

    work.then = until_lost
    job = _enqueue()
    jobs.run(job.pk)
    job.refresh_from_db()
    assert (job.state, job.worker) == (JobState.RUNNING, "another")


def test_a_lease_is_renewed_while_the_work_goes_on(work: Work, nudged: list[int], settings) -> None:
    settings.JOB_LEASE_SECONDS = 0.2

    def until_renewed(lease: jobs.Lease) -> None:
        first = Job.objects.get(pk=job.pk).lease_until
        deadline = time.monotonic() + 10
        while Job.objects.get(pk=job.pk).lease_until == first and time.monotonic() < deadline:
            time.sleep(0.02)
        assert Job.objects.get(pk=job.pk).lease_until > first and lease.held()

    work.then = until_renewed
    job = _enqueue()
    jobs.run(job.pk)
    job.refresh_from_db()
    assert job.state == JobState.DONE


def test_a_cancelled_job_is_not_begun_and_a_running_one_stops(work: Work, nudged: list[int], settings) -> None:
    waiting = _enqueue(key="waiting")
    assert jobs.cancel(key="waiting") is True
    assert jobs.cancel(key="waiting") is False
    jobs.run(waiting.pk)
    assert work.calls == []

    settings.JOB_LEASE_SECONDS = 0.2

    def until_cancelled(lease: jobs.Lease) -> None:
        assert jobs.cancel(key="running")
        deadline = time.monotonic() + 10
        while lease.held() and time.monotonic() < deadline:
            time.sleep(0.02)
        raise jobs.Cancelled

    work.then = until_cancelled
    running = _enqueue(key="running")
    jobs.run(running.pk)
    running.refresh_from_db()
    assert running.state == JobState.CANCELLED


def test_what_takes_minutes_goes_to_workers_of_its_own(work: Work, settings, monkeypatch) -> None:
    queues: list[str] = []
    monkeypatch.setattr("core.jobs.current_app.send_task", lambda name, kwargs, queue, **_: queues.append(queue))
    _enqueue()
    settings.JOB_QUEUES = {"test.work": "checks"}
    _enqueue()
    _enqueue(queue="elsewhere")
    assert queues == ["countersign", "checks", "elsewhere"]
    with time_machine.travel(timezone.now() + jobs.nudge_again(), tick=False):
        jobs.sweep()
    assert queues[3:] == queues[:3]


def test_the_sweeper_does_not_tell_workers_again_of_what_they_were_just_told(work: Work, nudged: list[int]) -> None:
    jobs_made = [_enqueue().pk for _ in range(3)]
    assert jobs.sweep() == 0 and nudged == jobs_made
    with time_machine.travel(timezone.now() + jobs.nudge_again(), tick=False):
        assert (jobs.sweep(), jobs.sweep()) == (3, 0)
    assert nudged == jobs_made * 2


def test_two_handlers_of_one_name_stop_the_start(work: Work) -> None:
    with pytest.raises(ValueError, match=r"two handlers for the job test\.work"):
        jobs.handler("test.work")(lambda **_: None)


def test_only_old_messages_that_were_taken_are_removed(settings, tmp_path) -> None:
    taken, messages = tmp_path / "taken", tmp_path / "messages"
    taken.mkdir(), messages.mkdir()
    settings.CELERY_BROKER_TRANSPORT_OPTIONS = {"processed_folder": str(taken), "data_folder_out": str(messages)}
    for path in (taken / "taken.msg", messages / ".half-written", messages / "waiting.msg"):
        path.touch()
    assert jobs.tidy_broker() == 0
    with time_machine.travel(timezone.now() + timedelta(hours=2)):
        assert jobs.tidy_broker() == 2
    assert [path.name for path in messages.iterdir()] == ["waiting.msg"]
    settings.CELERY_BROKER_TRANSPORT_OPTIONS = {"visibility_timeout": 3600}
    assert jobs.tidy_broker() == 0
