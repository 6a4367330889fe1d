"""Every background job and every beat: ids in, one command."""

from __future__ import annotations

import os
import socket
from datetime import timedelta
from typing import Any

from celery import shared_task

from artifacts import commands as artifact_commands
from core import jobs
from core.access import SYSTEM
from core.errors import Conflict
from governance import ledger
from governance.partitions import RUN_CHECK
from webhooks import delivery, fanout
from workflows import checking, election, mail, partitioning, printing
from workflows.commands import break_glass, execution, inbox, re_reviews, waivers
from workflows.commands import requests as request_commands
from workflows.lifecycle import ADVANCE, EXECUTE


@shared_task(name="workflows.run_job")
def run_job(*, job_id: int, **_: object) -> None:
    """Do a job, if it is still to be done."""
    jobs.run(job_id)


@shared_task(name="workflows.run_next")
def run_next(*, name: str, queue: str, **_: object) -> None:
    """Do the job that is next by election."""
    jobs.run_next(name, queue)


@shared_task(name="workflows.sweep")
def sweep(**_: object) -> None:
    """Take up what lost workers left and what no message announced."""
    jobs.sweep()
    checking.settle_orphans()


@shared_task(name="workflows.sequence_ledger")
def sequence_ledger(*, whole: bool = False, **_: object) -> None:
    """Give committed events their place, batch after batch; what comes while a last small one is written waits for the next beat."""
    while ledger.sequence(whole=whole) == ledger.BATCH:
        pass


@shared_task(name="workflows.tidy_broker")
def tidy_broker(**_: object) -> None:
    """Remove the files of messages that were taken, where the broker is a folder."""
    jobs.tidy_broker()


@shared_task(name="workflows.collect_artifacts")
def collect_artifacts(**_: object) -> None:
    """Remove contents that nothing names any more, and what uploads that were cut off left."""
    artifact_commands.collect_unreferenced(older_than=timedelta(days=1))


@shared_task(name="workflows.expire_requests")
def expire_requests(**_: object) -> None:
    """Close requests whose time ended."""
    request_commands.expire_requests(actor=SYSTEM)


@shared_task(name="workflows.expire_waivers")
def expire_waivers(**_: object) -> None:
    """Note the waivers whose time ended."""
    waivers.expire_waivers(actor=SYSTEM)


@shared_task(name="workflows.remind_and_escalate")
def remind_and_escalate(**_: object) -> None:
    """Remind of reviews that are due, and escalate what is late."""
    while inbox.remind_and_escalate(actor=SYSTEM):
        pass


@shared_task(name="workflows.fan_out_events")
def fan_out_events(**_: object) -> None:
    """Queue what endpoints are to be told of, and take up deliveries that no job attends to."""
    while fanout.fan_out() == fanout.BATCH:
        pass
    delivery.take_up_unattended()


@shared_task(name="workflows.tidy_deliveries")
def tidy_deliveries(**_: object) -> None:
    """Remove what became of old deliveries."""
    delivery.tidy()


@shared_task(name="workflows.tidy_printouts")
def tidy_printouts(**_: object) -> None:
    """Remove what was printed long ago."""
    printing.tidy()


@shared_task(name="workflows.end_emergencies")
def end_emergencies(**_: object) -> None:
    """End the emergencies whose time is over."""
    break_glass.end_what_is_over(actor=SYSTEM)


@shared_task(name="workflows.due_re_reviews")
def due_re_reviews(**_: object) -> None:
    """Ask for the re-reviews whose time has come, and escalate those not done in time."""
    re_reviews.due_re_reviews(actor=SYSTEM)


@jobs.handler(delivery.DELIVER)
def deliver(*, delivery_id: str, attempt: int, **_: Any) -> None:
    """Send an event to an endpoint."""
    delivery.deliver(delivery_id=delivery_id, attempt=attempt)


@jobs.handler(printing.PRINT)
def print_out(*, digest: str, **_: Any) -> None:
    """Print a document."""
    printing.print_out(digest=digest)


@jobs.handler(ADVANCE)
def advance_request(*, request_id: int, **_: Any) -> None:
    """Move a request on."""
    execution.advance_request(actor=SYSTEM, request_id=request_id)


@jobs.handler(EXECUTE)
def execute_request(*, request_id: int, **_: Any) -> None:
    """Carry out an approved request. Safe to run twice: the second time it is not approved any more, and nothing is done."""
    try:
        execution.execute_request(actor=SYSTEM, request_id=request_id)
    except Conflict as error:
        if error.code != "not_approved":
            raise


@jobs.handler(break_glass.REVERT)
def revert_break_glass(*, break_glass_id: int, **_: Any) -> None:
    """Put back what an emergency moved away. Safe to run twice, and after somebody did it by hand: it is not in force any more."""
    try:
        break_glass.revert_break_glass(actor=SYSTEM, break_glass_id=break_glass_id)
    except Conflict as error:
        if error.code != "wrong_state":
            raise


@jobs.handler(RUN_CHECK, elect=election.next_check)
def run_check(*, run_id: str, lease: jobs.Lease, partition_id: int | None = None, **_: Any) -> None:
    """Measure a check run, or ask the model about one of its partitions."""
    if partition_id is None:
        checking.run_check(run_id=run_id, worker=worker_name(), lease=lease)
    else:
        partitioning.score(partition_id=partition_id, worker=worker_name(), lease=lease)


@jobs.handler(mail.BUNDLE)
def bundle_mail(*, user_ids: list[int], **_: Any) -> None:
    """Queue a message for each person that was told something."""
    mail.bundle(user_ids=user_ids)


@jobs.handler(mail.SEND)
def send_mail(*, user_id: int, **_: Any) -> None:
    """Send a person what is new."""
    mail.send(user_id=user_id)


def worker_name() -> str:
    """Return who works here, as evidence names it."""
    return f"{socket.gethostname()}:{os.getpid()}"
