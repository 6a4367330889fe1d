"""How much a check run may use."""

from __future__ import annotations

import os
import resource
from collections.abc import Callable
from dataclasses import dataclass

from workflows.runner import processes

LOG_BYTES = 64 * 1024
PRINTED_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True)
class Limits:
    """Bounds of one run.

    memory_bytes: address space of each process. cpu_seconds: processor time of each process. wall_seconds: from start to
    end. file_bytes: the longest file, and all of the scratch space. processes: and threads, besides those
    that the user has already; not enforced for root, for whom the kernel has no such limit.
    result_bytes: of the result document.
    """

    memory_bytes: int = 2 << 30
    cpu_seconds: int = 300
    wall_seconds: float = 600.0
    file_bytes: int = 256 << 20
    processes: int = 64
    result_bytes: int = 16 << 20

    def applied_before_exec(self) -> Callable[[], None]:
        """Return what the child calls between fork and exec. It only makes system calls: no lock may be taken there."""
        pairs = [
            (resource.RLIMIT_AS, self.memory_bytes, self.memory_bytes),
            # The soft limit kills with SIGXCPU, which says why; the hard one cannot be caught.
            (resource.RLIMIT_CPU, self.cpu_seconds, self.cpu_seconds + 2),
            (resource.RLIMIT_FSIZE, self.file_bytes, self.file_bytes),
            (resource.RLIMIT_CORE, 0, 0),
        ]
        if os.geteuid() != 0:
            most = processes.tasks_of_user() + self.processes
            pairs.append((resource.RLIMIT_NPROC, most, most))
        pairs = [(kind, _at_most(soft, kind), _at_most(hard, kind)) for kind, soft, hard in pairs]

        def apply() -> None:
            for kind, soft, hard in pairs:
                resource.setrlimit(kind, (soft, hard))

        return apply


def _at_most(wanted: int, kind: int) -> int:
    """Return the limit, or the one already in force if that is lower: only root may raise it."""
    hard = resource.getrlimit(kind)[1]
    return wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
