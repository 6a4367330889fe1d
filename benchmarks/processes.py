"""Trees of processes: start one that ends with us, see what processor time it used, end all of it."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_PR_SET_PDEATHSIG = 1


def start(command: list[str], *, folder: Path, environment: dict[str, str], log: Path) -> subprocess.Popen[bytes]:
    """Start a program in a session of its own, which gets a SIGTERM should this process be killed."""
    with log.open("ab") as out:
        return subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_end_with_us,
        )


def _end_with_us() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _table() -> dict[int, tuple[int, str, float]]:
    """Return parent, time of start and seconds of processor time (with those of children that ended) of every process."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except (FileNotFoundError, ProcessLookupError):  # it ended while we looked
                continue
            if fields[0] != "Z":
                found[int(entry.name)] = (int(fields[1]), fields[19], sum(map(int, fields[11:15])) / _TICKS)
    return found


def tree(roots: Iterable[int]) -> dict[int, tuple[str, float]]:
    """Return the processes of the trees at these roots: their time of start and seconds of processor time."""
    table = _table()
    children = defaultdict(list)
    for pid, (parent, _, _) in table.items():
        children[parent].append(pid)
    found: dict[int, tuple[str, float]] = {}
    waiting = list(roots)
    while waiting:
        pid = waiting.pop()
        if pid in table and pid not in found:
            found[pid] = table[pid][1:]
            waiting += children[pid]
    return found


def processor_seconds(roots: Iterable[int]) -> float:
    """Return the processor time the trees have used so far."""
    return sum(seconds for _, seconds in tree(roots).values())


def memory_mb(roots: Iterable[int]) -> float:
    """Return the memory that the trees hold, what they share counted once (PSS, proc(5)), in megabytes."""
    return sum(_field(pid, "smaps_rollup", "Pss:") for pid in tree(roots)) / 1e3


def watch_peak(roots: Iterable[int]) -> float:
    """Begin to note the peak of the trees' resident memory anew; return what it is now, in megabytes."""
    members = list(tree(roots))
    for pid in members:
        (Path("/proc") / str(pid) / "clear_refs").write_text("5")
    return sum(_field(pid, "status", "VmRSS:") for pid in members) / 1e3


def peak_mb(roots: Iterable[int]) -> float:
    """Return the sum of the peaks since ``watch_peak``, in megabytes."""
    return sum(_field(pid, "status", "VmHWM:") for pid in tree(roots)) / 1e3


def _field(pid: int, file: str, name: str) -> int:
    """Return a field of /proc in kilobytes."""
    text = (Path("/proc") / str(pid) / file).read_text()
    return next((int(line.split()[1]) for line in text.splitlines() if line.startswith(name)), 0)


def end(process: subprocess.Popen[bytes], seconds: float = 15.0) -> None:
    """End a program with all its descendants, politely first."""
    members = {pid: began for pid, (began, _) in tree([process.pid]).items()}
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(seconds)
    deadline = time.monotonic() + 3
    while (left := _still_there(members)) and time.monotonic() < deadline:
        time.sleep(0.05)
    for pid in left:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.wait()


def _still_there(members: dict[int, str]) -> list[int]:
    table = _table()
    return [pid for pid, began in members.items() if pid in table and table[pid][1] == began]
