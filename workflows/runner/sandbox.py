"""Run one check in processes that are kept apart, watched and bounded: one measures, and the model answers from another.

No code of the model runs where the result is written, so a model can give wrong answers and nothing more.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from governance.checks.execute import ANSWERS
from workflows.runner import layout, results, scratch
from workflows.runner.bubblewrap import Detection, detect
from workflows.runner.child import Child, End
from workflows.runner.environments import Environment
from workflows.runner.layout import Inputs, Job, Pipes, Respondent
from workflows.runner.limits import PRINTED_BYTES, Limits
from workflows.runner.outcome import MESSAGES, Isolation, Outcome, Progress, Status

__all__ = ["Detection", "Isolation", "Limits", "Outcome", "Progress", "Status", "detect", "run"]

Heartbeat = Callable[[Progress], bool]
_TICK_SECONDS = 0.05
_BEAT_SECONDS = 1.0
_GRACE_SECONDS = 1.0
_OF_THE_MODEL = frozenset({"model_load_failed", "model_predict_failed"})


def run(
    spec: Mapping[str, Any],
    *,
    model_dir: Path | None,
    dataset_path: Path | None,
    limits: Limits,
    isolation: Isolation,
    heartbeat: Heartbeat,
    others: Mapping[str, Path] = MappingProxyType({}),
    answering: Environment | None = None,
    asks_again: bool = False,
    champion: tuple[Path, Environment | None] | None = None,
    answers: Sequence[Path] = (),
    noted: Path | None = None,
) -> Outcome:
    """Run the check that `spec` describes and return how it ended; never raises for what the child does.

    spec: {check, parameters, dataset: {target, favourable, name} or null, seed}; the paths are filled in here.
    others: where further data sets lie, by the names that the parameters give them. answering: the environment that the model answers from;
    without one it cannot be asked. asks_again: another fresh process answers for the model too. champion: the files of the version to
    compare with, and its environment. answers: files of noted answers, which stand for the models. noted: where to put the answers that a spec
    with a part asks for; there is a file once the run has completed.
    heartbeat: called about once a second with the latest progress; False cancels the run. What it raises stops the child
    and is raised again. Bubblewrap that does not work is an error: a run is never moved to a weaker isolation.
    """
    started = time.monotonic()
    if isolation is Isolation.BUBBLEWRAP and not detect().available:
        return _failure(Status.ERROR, "isolation_unavailable", isolation, limits, started, detail=detect().reason)
    with scratch.folder() as folder:
        asked = []
        if model_dir is not None and answering is not None:
            asked += [Respondent(name, model_dir, answering) for name in (["model", "again"] if asks_again else ["model"])]
        if champion is not None and champion[1] is not None:
            asked.append(Respondent("champion", champion[0], champion[1]))
        with ExitStack() as open_here:
            pipes = {each.name: open_here.enter_context(Pipes()) for each in asked}
            inputs = Inputs(model_dir, dataset_path, others, champion[0] if champion else None, tuple(answers))
            measuring = layout.measuring(folder, spec, inputs, isolation, limits, pipes)
            soon = dataset_path is not None
            predicting = {
                each.name: layout.predicting(folder, each, isolation, limits, pipes[each.name], soon=soon) for each in asked
            }
            most = 2 * limits.result_bytes + (8 << 20) + (limits.file_bytes if noted is not None else 0)
            watch = _Watch(measuring, predicting, limits, heartbeat, started, most)
            open_here.close()
            ended = watch.until_the_end()
        outcome = _outcome(ended, folder / "out", isolation, limits, started)
        if noted is None or outcome.status is not Status.COMPLETED:
            return outcome
        try:
            results.take(folder / "out" / ANSWERS, noted, limits.file_bytes)
        except results.InvalidResult as cause:
            return _failure(Status.ERROR, "invalid_result", isolation, limits, started, log=outcome.log_tail, detail=str(cause))
        return outcome


@dataclass(frozen=True)
class _Ended:
    """How they ended. verdict: why we stopped them, or ""."""

    verdict: str
    measuring: End
    predicting: tuple[End, ...]


class _Watch:
    """Starts the processes and keeps looking at them until the measuring one has ended, or stops them for a reason."""

    def __init__(
        self,
        measuring: Job,
        predicting: Mapping[str, Job],
        limits: Limits,
        heartbeat: Heartbeat,
        started: float,
        most_written: int,
    ) -> None:
        self._limits = limits
        self._most_written = most_written
        self._heartbeat = heartbeat
        self._deadline = started + limits.wall_seconds
        self._next_beat = started
        self._first_look = started + _BEAT_SECONDS
        self._folder = measuring.cwd.parent
        self._scratch = [self._folder / "tmp", *(self._folder / f"{name}-tmp" for name in predicting)]
        self._children: list[Child] = []
        try:
            for job in (measuring, *predicting.values()):
                self._children.append(Child(job, limits))
        except BaseException:
            for each in self._children:
                each.stop()
            raise
        self._measuring, *self._predicting = self._children

    def until_the_end(self) -> _Ended:
        verdict = ""
        try:
            while True:
                measured, *_ = [each.has_ended() for each in self._children]  # the output of all is to be taken
                if measured or (verdict := self._reason_to_stop()):
                    break
                self._measuring.wait(_TICK_SECONDS)
        except BaseException:  # the heartbeat's
            for each in self._children:
                each.stop()
            raise
        measuring = self._measuring.stop()
        # Without anybody to answer they end by themselves, unless one had ended before for a reason that is to be told.
        return _Ended(verdict, measuring, tuple(each.stop(after=0.0 if verdict else _GRACE_SECONDS) for each in self._predicting))

    def _reason_to_stop(self) -> str:
        now = time.monotonic()
        if now > self._deadline:
            return "wall_time_limit"
        if any(each.printed > PRINTED_BYTES for each in self._children):
            return "output_limit"
        if now < self._next_beat:
            return ""
        self._next_beat = now + _BEAT_SECONDS
        if now > self._first_look:  # to look through all of /proc takes longer than what has only just started can have used
            for each in self._children:
                each.look()
        out = self._folder / "out"
        if _bytes_in(out) > self._most_written or self._scratch_bytes() > self._limits.file_bytes:
            return "output_limit"
        progress = results.read_progress(out / "progress.jsonl") or Progress(0.0, "Starting")
        return "" if self._heartbeat(replace(progress, log=_printed(each.log for each in self._children))) else "cancelled"

    def _scratch_bytes(self) -> int:
        # Under bubblewrap scratch space is in memory, and bounded as such.
        return max(map(_bytes_in, self._scratch))


def _bytes_in(folder: Path) -> int:
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                total += (Path(place) / name).lstat().st_size + 512
            except OSError:
                continue  # gone since it was listed
    return total


def _printed(logs: Iterable[bytes]) -> str:
    return results.printable(b"".join(logs).decode("utf-8", "replace"))


def _outcome(ended: _Ended, out_dir: Path, isolation: Isolation, limits: Limits, started: float) -> Outcome:
    log = _printed(end.log for end in (*ended.predicting, ended.measuring))
    if ended.verdict:
        status = {"wall_time_limit": Status.TIMED_OUT, "cancelled": Status.CANCELLED}.get(ended.verdict, Status.ERROR)
        return _failure(status, ended.verdict, isolation, limits, started, log=log)
    try:
        result = results.read_result(out_dir / "result.json", limits.result_bytes)
    except results.InvalidResult as cause:
        return _failure(Status.ERROR, "invalid_result", isolation, limits, started, log=log, detail=str(cause))
    if ended.measuring.returncode != 0 or result is None:
        code, detail = _why_no_result(ended.measuring, limits, isolation)
        return _failure(Status.ERROR, code, isolation, limits, started, log=log, detail=detail)
    broken = next((end for end in ended.predicting if end.returncode), None)
    if result.error_code in _OF_THE_MODEL and broken:
        code, detail = _why_no_result(broken, limits, isolation)  # says more than that it did not answer
        return _failure(Status.ERROR, code, isolation, limits, started, log=log, detail=detail)
    return Outcome(
        Status.SKIPPED if result.skipped else Status.ERROR if result.error_code else Status.COMPLETED,
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


def _why_no_result(end: End, limits: Limits, isolation: Isolation) -> tuple[str, str]:
    """Return (error code, detail). bwrap passes a signal of its child on as 128 + its number."""
    returncode, log = end.returncode or 0, results.printable(end.log.decode("utf-8", "replace"))
    killed_by = -returncode if returncode < 0 else returncode - 128 if returncode > 128 else 0
    if killed_by == signal.SIGXCPU or (killed_by == signal.SIGKILL and end.cpu_seconds >= limits.cpu_seconds):
        return "cpu_limit", ""
    # Nobody here sent it, so the kernel did: its killer of last resort, when the machine's memory was gone.
    if killed_by == signal.SIGKILL or (killed_by in (signal.SIGABRT, signal.SIGSEGV) and _ran_out_of_memory(log)):
        return "out_of_memory", ""
    if killed_by == signal.SIGXFSZ:
        return "output_limit", ""
    if killed_by in {each.value for each in signal.Signals}:
        return "killed_by_signal", signal.Signals(killed_by).name
    if returncode and isolation is Isolation.BUBBLEWRAP and "bwrap: " in log[:200]:
        return "sandbox_failed", log.strip()[:500]
    if returncode and _ran_out_of_memory(log):
        return "out_of_memory", ""
    return "no_result", str(returncode)


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
