"""What /proc says about processes."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


def tasks_of_user() -> int:
    """Return how many processes and threads this user has: the kernel counts all of them, not only the child's."""
    total = 0
    for entry in _processes():
        try:
            if entry.stat().st_uid == os.geteuid():
                total += sum(1 for _ in (entry / "task").iterdir())
        except OSError:
            continue  # gone since it was listed
    return total


def cpu_seconds_below(root: int) -> float:
    """Return the processor time of the busiest process among `root` and what descends from it; 0.0 if it is gone.

    The kernel's account of waited-for children does not reach through bwrap, which leaves its own child unwaited.
    """
    used: dict[int, float] = {}
    children: dict[int, list[int]] = defaultdict(list)
    for entry in _processes():
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue  # gone since it was listed
        used[int(entry.name)] = (int(fields[11]) + int(fields[12])) / _TICKS_PER_SECOND
        children[int(fields[1])].append(int(entry.name))
    busiest, waiting = 0.0, [root]
    while waiting:
        pid = waiting.pop()
        busiest = max(busiest, used.get(pid, 0.0))
        waiting += children[pid]
    return busiest


def _processes() -> Iterator[Path]:
    return (entry for entry in Path("/proc").iterdir() if entry.name.isdigit())
