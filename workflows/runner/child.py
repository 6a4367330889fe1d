"""A process that was started, watched and bounded, and how it ended."""

from __future__ import annotations

import ctypes
import fcntl
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass

from workflows.runner import processes
from workflows.runner.layout import Job
from workflows.runner.limits import LOG_BYTES, Limits

_PR_SET_PDEATHSIG = 1
_PIPE_BYTES = 1 << 20  # what an ordinary user may ask for; a chatty child then waits less for the next look


@dataclass(frozen=True)
class End:
    """How a process ended. returncode: negative for a signal, None if it had to be ended by us. cpu_seconds: of its busiest process,
    as seen at the last heartbeat."""

    returncode: int | None
    cpu_seconds: float
    log: bytes


class Child:
    """A process that was started, with all that it starts; what it prints is kept from its end."""

    def __init__(self, job: Job, limits: Limits) -> None:
        self.printed = 0
        self._cpu_seconds = 0.0
        self._log = bytearray()
        self._process = subprocess.Popen(
            job.command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=job.environment,
            cwd=job.cwd,
            start_new_session=True,
            pass_fds=job.descriptors,
            preexec_fn=_before_exec(limits),
        )
        self._end = os.pidfd_open(self._process.pid)
        assert self._process.stdout is not None
        self._output = self._process.stdout.fileno()
        os.set_blocking(self._output, False)
        fcntl.fcntl(self._output, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)

    def has_ended(self) -> bool:
        """Whether it has, after taking what it printed: an unread pipe would stop it, an unbounded log the worker."""
        self._drain()
        return self._process.poll() is not None

    def wait(self, seconds: float) -> None:
        """Return once it has ended, at the latest after so many seconds; it is not asked again and again meanwhile."""
        waiting = select.poll()
        waiting.register(self._end, select.POLLIN)
        waiting.poll(seconds * 1000)

    @property
    def log(self) -> bytes:
        """What it printed last."""
        return bytes(self._log)

    def look(self) -> None:
        """Note the processor time it has used."""
        self._cpu_seconds = max(self._cpu_seconds, processes.cpu_seconds_below(self._process.pid))

    def stop(self, after: float = 0.0) -> End:
        """Return how it ended, ending it after so many seconds; and what it has left behind is ended too."""
        if after:
            self.wait(after)
        returncode = self._process.poll()
        _kill(self._process.pid)
        self._process.wait()
        os.close(self._end)
        self._drain()
        assert self._process.stdout is not None
        self._process.stdout.close()
        return End(returncode, self._cpu_seconds, self.log)

    def _drain(self) -> None:
        for _ in range(64):
            try:
                piece = os.read(self._output, 1 << 16)
            except BlockingIOError:
                return
            if not piece:
                return
            self.printed += len(piece)
            self._log = (self._log + piece)[-LOG_BYTES:]


def _before_exec(limits: Limits) -> Callable[[], None]:
    """Return what the child calls between fork and exec. It only makes system calls: no lock may be taken there.

    Besides bounding the child, it has the kernel kill it with the thread that started it, so that nothing outlives a worker.
    """
    apply, starter = limits.applied_before_exec(), os.getpid()
    control = ctypes.CDLL(None).prctl if sys.platform == "linux" else None

    def before() -> None:
        apply()
        if control is not None:
            control(_PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != starter:  # it was killed before we could ask
                os._exit(1)

    return before


def _kill(group: int) -> None:
    try:
        os.killpg(group, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return
