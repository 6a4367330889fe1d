"""The time as the tracking protocol writes it."""

from __future__ import annotations

import time


def now_ms() -> int:
    """Return the time as Unix milliseconds."""
    return time.time_ns() // 1_000_000
