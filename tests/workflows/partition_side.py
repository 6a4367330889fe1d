"""A worker of checks as a process of its own: `python -m tests.workflows.partition_side DATABASE`. Says which job it begins, and with "." that none waits."""

from __future__ import annotations

import sys
import time
from typing import Any

import django
from django.conf import settings

settings.DATABASES["default"]["NAME"] = sys.argv[1]
django.setup()

from core import jobs  # noqa: E402
from governance.partitions import RUN_CHECK  # noqa: E402
from workflows import tasks  # noqa: E402


def work() -> None:
    """Take up one job after the other until the process is killed."""
    jobs.current_app.send_task = lambda *_, **__: None  # nobody else is to be told
    do = jobs._handlers[RUN_CHECK]

    def tell(**given: Any) -> None:
        print(given.get("partition_id", "run"), flush=True)
        do(**given)

    jobs._handlers[RUN_CHECK] = tell
    assert tasks.run_next.name == jobs.RUN_NEXT_TASK
    while True:
        jobs.run_next(RUN_CHECK, settings.CHECK_QUEUES["cpu"])
        time.sleep(0.1)


work()
