"""Run one check in a child process that is kept apart, watched and bounded."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import governance.checks
from workflows.runner import bubblewrap, processes, results
from workflows.runner.bubblewrap import Bind, Detection, detect
from workflows.runner.limits import LOG_BYTES, PRINTED_BYTES, Limits
from workflows.runner.outcome import MESSAGES, Isolation, Outcome, Progress, Status

__all__ = ["Detection", "Isolation", "Limits", "Outcome", "Progress", "Status", "detect", "run"]

Heartbeat = Callable[[Progress], bool]
_TICK_SECONDS = 0.05
_PIPE_BYTES = 1 << 20  # what an ordinary user may ask for; a chatty child then waits less for the next look
_BEAT_SECONDS = 1.0


def run(
    spec: Mapping[str, Any],
    *,
    model_dir: Path | None,
    dataset_path: Path | None,
    limits: Limits,
    isolation: Isolation,
    heartbeat: Heartbeat,
) -> Outcome:
    """Run the check that `spec` describes and return how it ended; never raises for what the child does.

    spec: {check, parameters, dataset: {target, favourable, name} or null, seed}; the paths are filled in here.
    heartbeat: called about once a second with the latest progress; False cancels the run. What it raises stops the child
    and is raised again. Bubblewrap that does not work is an error: a run is never moved to a weaker isolation.
    """
    started = time.monotonic()
    if isolation is Isolation.BUBBLEWRAP and not detect().available:
        return _failure(Status.ERROR, "isolation_unavailable", isolation, limits, started, detail=detect().reason)
    folder = Path(tempfile.mkdtemp(prefix="countersign-check-"))
    try:
        job = _prepare(folder, spec, model_dir, dataset_path, isolation, limits)
        end = _Watch(job, limits, heartbeat, started).until_the_end()
        return _outcome(end, job, isolation, limits, started)
    finally:
        _remove(folder)


@dataclass(frozen=True)
class _Job:
    command: list[str]
    environment: dict[str, str]
    out_dir: Path
    cwd: Path


@dataclass(frozen=True)
class _End:
    """How the child ended. verdict: why we stopped it, or "". returncode: negative for a signal. cpu_seconds: of its busiest
    process, as seen at the last heartbeat."""

    verdict: str
    returncode: int
    cpu_seconds: float
    log: bytes


def _prepare(
    folder: Path,
    spec: Mapping[str, Any],
    model_dir: Path | None,
    dataset_path: Path | None,
    isolation: Isolation,
    limits: Limits,
) -> _Job:
    """Lay out the input and output folders. They belong to this process's user, which is the child's user as well."""
    for name in ("in", "out", "tmp"):
        (folder / name).mkdir(mode=0o700)
    boxed = isolation is Isolation.BUBBLEWRAP
    inside_model = bubblewrap.INPUT / "model" if boxed else model_dir
    inside_data = bubblewrap.INPUT / "data" / dataset_path.name if boxed and dataset_path else dataset_path
    spec_file = folder / "in" / "spec.json"
    spec_file.write_text(json.dumps(_with_paths(spec, model_dir and inside_model, inside_data)), encoding="utf-8")
    arguments = [str(bubblewrap.interpreter()), "-s", "-P", "-m", "governance.checks.execute"]
    if not boxed:
        environment = _environment(folder / "tmp", _project())
        return _Job([*arguments, str(spec_file), str(folder / "out")], environment, folder / "out", folder / "tmp")
    binds = _binds(folder, spec_file, model_dir, dataset_path)
    arguments += [str(bubblewrap.INPUT / "spec.json"), str(bubblewrap.OUTPUT)]
    environment = _environment(Path("/tmp"), bubblewrap.CODE)  # noqa: S108  # inside of the sandbox
    command = bubblewrap.command(arguments, binds=binds, environment=environment, scratch_bytes=limits.file_bytes)
    return _Job(command, {}, folder / "out", folder / "tmp")


def _with_paths(spec: Mapping[str, Any], model_dir: Path | None, dataset_path: Path | None) -> dict[str, Any]:
    dataset = spec.get("dataset")
    if dataset is not None and dataset_path is not None:
        dataset = {**dataset, "path": str(dataset_path)}
    return {**spec, "model_dir": str(model_dir) if model_dir else None, "dataset": dataset if dataset_path else None}


def _binds(folder: Path, spec_file: Path, model_dir: Path | None, dataset_path: Path | None) -> list[Bind]:
    code = Path(governance.checks.__path__[0])
    binds = [
        Bind(code.parent / "__init__.py", bubblewrap.CODE / "governance" / "__init__.py"),
        Bind(code, bubblewrap.CODE / "governance" / "checks"),
        Bind(spec_file, bubblewrap.INPUT / "spec.json"),
        Bind(folder / "out", bubblewrap.OUTPUT, writable=True),
    ]
    if model_dir is not None:
        binds.append(Bind(model_dir.resolve(), bubblewrap.INPUT / "model"))
    if dataset_path is not None:
        binds.append(Bind(dataset_path.resolve(), bubblewrap.INPUT / "data" / dataset_path.name))
    return binds


def _project() -> Path:
    return Path(governance.checks.__path__[0]).parents[1]


def _environment(scratch: Path, code: Path) -> dict[str, str]:
    """Return the whole environment of the child: no secret of the worker is in it."""
    one_thread = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS", "LOKY_MAX_CPU_COUNT")
    return {
        **dict.fromkeys(one_thread, "1"),
        "PATH": "/nowhere",
        "HOME": str(scratch),
        "TMPDIR": str(scratch),
        "LANG": "C.UTF-8",
        "TZ": "UTC",
        "PYTHONPATH": str(code),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONHASHSEED": "0",
        "PYTHONUNBUFFERED": "1",
        "MLFLOW_TRACKING_URI": f"file:{scratch}",
        "GIT_PYTHON_REFRESH": "quiet",
    }


class _Watch:
    """Starts the child and keeps looking at it until it has ended, or stops it for a reason."""

    def __init__(self, job: _Job, limits: Limits, heartbeat: Heartbeat, started: float) -> None:
        self._job = job
        self._limits = limits
        self._heartbeat = heartbeat
        self._deadline = started + limits.wall_seconds
        self._next_beat = started
        self._printed = 0
        self._cpu_seconds = 0.0
        self._log = bytearray()

    def until_the_end(self) -> _End:
        process = subprocess.Popen(
            self._job.command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=self._job.environment,
            cwd=self._job.cwd,
            start_new_session=True,
            preexec_fn=self._limits.applied_before_exec(),  # it makes system calls only
        )
        assert process.stdout is not None
        os.set_blocking(process.stdout.fileno(), False)
        fcntl.fcntl(process.stdout.fileno(), fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        verdict = ""
        try:
            while True:
                self._drain(process.stdout.fileno())
                if process.poll() is not None:
                    break
                verdict = verdict or self._reason_to_stop(process.pid)
                if verdict:
                    _kill(process.pid)
                time.sleep(_TICK_SECONDS)
        finally:
            # Also what the child has left behind, and everything if the heartbeat raised.
            _kill(process.pid)
            process.wait()
            self._drain(process.stdout.fileno())
            process.stdout.close()
        return _End(verdict, process.returncode, self._cpu_seconds, bytes(self._log))

    def _reason_to_stop(self, pid: int) -> str:
        now = time.monotonic()
        if now > self._deadline:
            return "wall_time_limit"
        if self._printed > PRINTED_BYTES:
            return "output_limit"
        if now < self._next_beat:
            return ""
        self._next_beat = now + _BEAT_SECONDS
        self._cpu_seconds = max(self._cpu_seconds, processes.cpu_seconds_below(pid))
        if _bytes_in(self._job.out_dir) > 2 * self._limits.result_bytes + (8 << 20):
            return "output_limit"
        progress = results.read_progress(self._job.out_dir / "progress.jsonl")
        return "" if self._heartbeat(progress or Progress(0.0, "Starting")) else "cancelled"

    def _drain(self, descriptor: int) -> None:
        """Take what was printed and keep its end: an unread pipe would stop the child, an unbounded log the worker."""
        for _ in range(64):
            try:
                piece = os.read(descriptor, 1 << 16)
            except BlockingIOError:
                return
            if not piece:
                return
            self._printed += len(piece)
            self._log = (self._log + piece)[-LOG_BYTES:]


def _kill(group: int) -> None:
    try:
        os.killpg(group, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return


def _bytes_in(folder: Path) -> int:
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                total += (Path(place) / name).lstat().st_size + 512
            except OSError:
                continue  # gone since it was listed
    return total


def _outcome(end: _End, job: _Job, isolation: Isolation, limits: Limits, started: float) -> Outcome:
    log = results.printable(end.log.decode("utf-8", "replace"))
    if end.verdict:
        status = {"wall_time_limit": Status.TIMED_OUT, "cancelled": Status.CANCELLED}.get(end.verdict, Status.ERROR)
        return _failure(status, end.verdict, isolation, limits, started, log=log)
    try:
        result = results.read_result(job.out_dir / "result.json", limits.result_bytes)
    except results.InvalidResult as cause:
        return _failure(Status.ERROR, "invalid_result", isolation, limits, started, log=log, detail=str(cause))
    if end.returncode != 0 or result is None:
        code, detail = _why_no_result(end, limits, isolation, log)
        return _failure(Status.ERROR, code, isolation, limits, started, log=log, detail=detail)
    return Outcome(
        Status.ERROR if result.error_code else Status.COMPLETED,
        isolation,
        time.monotonic() - started,
        result.error_code,
        result.error_message,
        result.measurements,
        result.findings,
        result.tables,
        log,
        result.environment,
    )


def _why_no_result(end: _End, limits: Limits, isolation: Isolation, log: str) -> tuple[str, str]:
    """Return (error code, detail). bwrap passes a signal of its child on as 128 + its number."""
    killed_by = -end.returncode if end.returncode < 0 else end.returncode - 128 if end.returncode > 128 else 0
    if killed_by == signal.SIGXCPU or (killed_by == signal.SIGKILL and end.cpu_seconds >= limits.cpu_seconds):
        return "cpu_limit", ""
    # Nobody here sent it, so the kernel did: its killer of last resort, when the machine's memory was gone.
    if killed_by == signal.SIGKILL or (killed_by in (signal.SIGABRT, signal.SIGSEGV) and _ran_out_of_memory(log)):
        return "out_of_memory", ""
    if killed_by == signal.SIGXFSZ:
        return "output_limit", ""
    if killed_by in {each.value for each in signal.Signals}:
        return "killed_by_signal", signal.Signals(killed_by).name
    if end.returncode and isolation is Isolation.BUBBLEWRAP and "bwrap: " in log[:200]:
        return "sandbox_failed", log.strip()[:500]
    if end.returncode and _ran_out_of_memory(log):
        return "out_of_memory", ""
    return "no_result", str(end.returncode)


def _ran_out_of_memory(log: str) -> bool:
    return any(sign in log[-4000:] for sign in ("MemoryError", "std::bad_alloc", "Cannot allocate memory", "out of memory"))


def _failure(
    status: Status, code: str, isolation: Isolation, limits: Limits, started: float, *, log: str = "", detail: str = ""
) -> Outcome:
    message = MESSAGES[code].format(
        detail=detail,
        wall_seconds=limits.wall_seconds,
        cpu_seconds=limits.cpu_seconds,
        memory_mib=limits.memory_bytes / (1 << 20),
    )
    return Outcome(status, isolation, time.monotonic() - started, code, message, log_tail=log)


def _remove(folder: Path) -> None:
    """Remove the folder, also where the child has taken away our right to."""

    def unlock(remove: Callable[..., Any], path: str, _: object) -> None:
        parent = Path(path).parent
        if folder == parent or folder in parent.parents:
            parent.chmod(0o700)
        if Path(path).is_dir() and not Path(path).is_symlink():
            Path(path).chmod(0o700)
            shutil.rmtree(path, ignore_errors=True)
        else:
            Path(path).unlink(missing_ok=True)

    shutil.rmtree(folder, onerror=unlock)
