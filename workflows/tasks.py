"""Every message a worker understands: ids in, one call each, nothing returned."""

from __future__ import annotations

from celery import shared_task

from core import jobs


@shared_task(name=jobs.RUN_TASK, acks_late=True, ignore_result=True)
def run_job(*, job_id: int, **_: object) -> None:  # **_: old workers survive new arguments
    """Do one job, if it is still to be done. Safe to run twice."""
    jobs.run(job_id)


@shared_task(name="workflows.sweep", ignore_result=True)
def sweep(**_: object) -> None:
    """Take up what a lost worker left and what nobody was told of."""
    jobs.sweep()


@shared_task(name="workflows.tidy_broker", ignore_result=True)
def tidy_broker(**_: object) -> None:
    """Remove the files of messages that were taken, where the broker is a folder."""
    jobs.tidy_broker()
