"""What came out of a check run, and the words for what went wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from governance.checks.base import Finding, Measurement, Table


class Isolation(StrEnum):
    """How the child is kept apart. PROCESS only limits it: use it for models whose authors are trusted."""

    BUBBLEWRAP = "bubblewrap"
    PROCESS = "process"


class Status(StrEnum):
    """How a run ended. Only `completed` carries measurements."""

    COMPLETED = "completed"
    SKIPPED = "skipped"
    ERROR = "error"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"


@dataclass(frozen=True)
class Progress:
    """How far the child says it is. done: in [0, 1]. text: printable, at most 200 characters; written by the child. log: what the
    processes printed last, printable."""

    done: float
    text: str
    log: str = ""


@dataclass(frozen=True)
class Outcome:
    """The end of a run. error_code is stable, error_message says what to do, or why it was skipped; both "" for a completed run.

    log_tail: what the child printed last, printable. environment: versions the numbers rest on, as the child says.
    seconds: wall-clock time, measured here.
    """

    status: Status
    isolation: Isolation
    seconds: float
    error_code: str = ""
    error_message: str = ""
    measurements: tuple[Measurement, ...] = ()
    findings: tuple[Finding, ...] = ()
    tables: tuple[Table, ...] = ()
    log_tail: str = ""
    environment: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


MESSAGES: Mapping[str, str] = MappingProxyType(
    {
        "isolation_unavailable": "The check could not be isolated, so it was not started: {detail}. Install bubblewrap and allow "
        "user namespaces on the worker, or choose process isolation for models whose authors you trust.",
        "sandbox_failed": "The sandbox did not start: {detail}. Run the doctor command on the worker.",
        "wall_time_limit": "The check took longer than {wall_seconds:g} seconds and was stopped. Raise the limit, use fewer rows, or "
        "look for code in the model that waits.",
        "cpu_limit": "The check used more than {cpu_seconds:g} seconds of processor time and was stopped. Raise the limit, use "
        "fewer rows, or look for a loop in the model that does not end.",
        "out_of_memory": "The check needed more than {memory_mib:g} MiB of memory and was stopped. Raise the limit, use fewer rows, "
        "or register a smaller model.",
        "output_limit": "The check printed or wrote too much and was stopped. Remove the output from the model's code.",
        "no_result": "The process ended with status {detail} and left no result. Code of the model probably left the process; "
        "read the log, and load the model in a clean environment.",
        "killed_by_signal": "The process was killed by {detail}. A native library of the model probably crashed; read the log, and "
        "compare its versions with the model's requirements.",
        "invalid_result": "The result was refused: {detail}. Only code of the model can have changed it; review that code.",
        "cancelled": "The run was cancelled. Start it again when you need it.",
    }
)
