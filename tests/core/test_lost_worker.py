"""Workers killed with real processes and the embedded broker: a job is taken up again, and what is left of a worker goes on."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from scripts.stack import Stack, commands, free_port
from tests import databases

# The embedded engines, whatever the suite runs on: once is enough.
pytestmark = pytest.mark.skipif(bool(os.environ.get("DATABASE_URL")), reason="the same as in the run on SQLite")
_AGE_THE_LEASE = """
import django; django.setup()
from datetime import timedelta
from core.models import Job
from django.utils import timezone
print(Job.objects.filter(state="running").update(lease_until=timezone.now() - timedelta(seconds=1)))
"""
_ENQUEUE = """
import sys
import django; django.setup()
from core import jobs
jobs.enqueue("test.slow", folder=sys.argv[1])
"""
_STATE = """
import django; django.setup()
from core.models import Job
job = Job.objects.order_by("pk").first(); print(job.state, job.attempts)
"""


def _pool(worker: int) -> list[int]:
    children = Path(f"/proc/{worker}/task/{worker}/children").read_text().split()
    return [int(pid) for pid in children]


def _until(holds: Callable[[], bool], what: str, stack: Stack) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        stack.require_alive()
        assert time.monotonic() < deadline, f"{what} did not come:\n{stack.tail('worker')}"
        time.sleep(0.1)


@pytest.mark.timeout(240)
def test_a_job_survives_the_worker_that_was_killed_at_it(tmp_path: Path) -> None:
    # The embedded engines, whatever the suite runs on: this is their broker's weakest spot.
    stack = Stack(port=free_port(), home=tmp_path / "home", environment={"DATABASE_URL": "", "CELERY_BROKER_URL": ""})
    work = tmp_path / "work"
    work.mkdir()
    what = commands()
    stack.logs.mkdir(parents=True)
    databases.fill(stack.home)
    try:
        stack.start_one("worker", [*what["worker"], "--include", "tests.core.slow_job"])
        assert stack.run(["python", "-c", _ENQUEUE, str(work)]).returncode == 0
        _until((work / "attempt-1").exists, "the first attempt", stack)

        os.killpg(stack.processes["worker"].pid, signal.SIGKILL)
        stack.processes.pop("worker").wait()
        assert stack.run(["python", "-c", _STATE]).stdout == "running 1\n"

        stack.start_one("worker", [*what["worker"], "--include", "tests.core.slow_job"])
        stack.start_one("beat", what["beat"])
        time.sleep(1)
        assert not (work / "attempt-2").exists(), "the lease of the first attempt still holds"
        assert stack.run(["python", "-c", _AGE_THE_LEASE]).stdout == "1\n"
        _until((work / "attempt-2").exists, "the second attempt", stack)
        _until(lambda: stack.run(["python", "-c", _STATE]).stdout == "done 2\n", "the end of the job", stack)

        for pool_process in _pool(stack.processes["worker"].pid):
            os.kill(pool_process, signal.SIGKILL)  # idle, and so perhaps the one that waits at the head of the queue
        assert stack.run(["python", "-c", _ENQUEUE, str(work)]).returncode == 0
        _until((work / "attempt-3").exists, "another job of the worker whose processes were killed", stack)
    finally:
        stack.stop()
