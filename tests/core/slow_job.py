"""A job for a real worker (``celery worker --include tests.core.slow_job``): the first attempt never ends, the second does at once."""

from __future__ import annotations

import time
from pathlib import Path

from core import jobs


@jobs.handler("test.slow")
def slow(*, folder: str, **_: object) -> None:
    """Leave one file for each attempt."""
    attempts = len(list(Path(folder).iterdir())) + 1
    (Path(folder) / f"attempt-{attempts}").touch()
    if attempts == 1:
        time.sleep(600)
