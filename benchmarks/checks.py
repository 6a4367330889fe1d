"""`python -m benchmarks.checks`: what a check costs beyond what it measures, as ratios to work that everybody knows.

Parts: `start` (both boxes of a check that has nothing to do, over importing scikit-learn in a fresh process), `fairness` (the measuring part
of the check over fairlearn's MetricFrame with the same rates on the same arrays) and `throughput` (short check runs by an instance with more
and more workers). What is compared takes turns, and medians are compared, so that whoever else uses the machine slows down both.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any

from scripts.stack import ROOT, Stack, commands, free_port
from workflows.runner import sandbox
from workflows.runner.environments import Environment
from workflows.runner.sandbox import Isolation, Limits, Outcome, Status

PAGE = ROOT / "docs" / "benchmarks-checks.md"
PARTS = ("start", "fairness", "throughput")
WORKERS = (1, 2, 4)
_SECONDS = 900.0


@dataclass(frozen=True)
class Ratio:
    """One line of the page. bound: what it is to stay within, in words, or ""."""

    part: str
    what: str
    value: float
    bound: str = ""


def main(arguments: list[str] | None = None) -> int:
    """Measure, print the ratios, and write the page if asked to."""
    given = _arguments(arguments)
    found: list[Ratio] = []
    with tempfile.TemporaryDirectory(prefix="countersign-benchmark-") as name:
        folder = Path(name)
        if "start" in given.parts:
            found += start(folder, given.repeats)
        if "fairness" in given.parts:
            found += fairness(folder, given.rows, given.repeats)
        if "throughput" in given.parts:
            found += throughput(folder, given.runs, given.workers, given.rounds)
    print("\n".join(table(found)))
    if given.write_docs:
        PAGE.write_text(page([*found, *kept(given.parts)]))
        print(f"wrote {PAGE.relative_to(ROOT)}")
    return 0


def _arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.checks", description=__doc__.partition("\n")[0])
    parser.add_argument("--parts", type=lambda text: text.split(","), default=list(PARTS), help=f"some of {','.join(PARTS)}")
    parser.add_argument("--repeats", type=int, default=15, help="of each side of a ratio")
    parser.add_argument("--rows", type=int, default=1_000_000, help="of the fairness measurement")
    parser.add_argument(
        "--runs", type=int, default=1000, help="check runs for each number of workers, shared out over the rounds"
    )
    parser.add_argument("--rounds", type=int, default=2, help="in which the numbers of workers take turns")
    parser.add_argument("--workers", type=lambda text: [int(each) for each in text.split(",")], default=list(WORKERS))
    parser.add_argument("--write-docs", action="store_true", help=f"put the ratios into docs/{PAGE.name}; other parts stay")
    given = parser.parse_args(arguments)
    if unknown := set(given.parts) - set(PARTS):
        parser.error(f"there is no part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    return given


def start(folder: Path, repeats: int) -> Iterator[Ratio]:
    """Yield how long both boxes take to start, find nothing to do and end, over importing scikit-learn."""
    model = tiny_model(folder / "start")
    boxes, importing = _in_turns(
        [
            lambda: run_sandbox("signature-schema", model, asks=True),
            lambda: subprocess.run([sys.executable, "-c", "import sklearn"], check=True, cwd=folder),
        ],
        repeats,
    )
    yield Ratio(
        "start", "both boxes of a check with nothing to do, over importing scikit-learn", boxes / importing, "at most 0.3"
    )


def tiny_model(folder: Path) -> Path:
    """Write the smallest thing that is a model's folder."""
    folder.mkdir(parents=True)
    (folder / "MLmodel").write_text("flavors: {}\n")
    return folder


def run_sandbox(check: str, model: Path, *, asks: bool) -> Outcome:
    """Run a check as a worker does. asks: with a second box that the model would answer from. Raises RuntimeError if it fails."""
    isolation = Isolation.BUBBLEWRAP if sandbox.detect().available else Isolation.PROCESS
    outcome = sandbox.run(
        {"check": check, "parameters": {}, "dataset": None, "seed": 0},
        model_dir=model,
        dataset_path=None,
        limits=Limits(),
        isolation=isolation,
        heartbeat=lambda _: True,
        answering=Environment(Path(sys.executable), None, "the worker's own") if asks else None,
    )
    if outcome.status is not Status.COMPLETED:
        raise RuntimeError(f"{check} ended with {outcome.error_code}: {outcome.error_message}\n{outcome.log_tail}")
    return outcome


def fairness(folder: Path, rows: int, repeats: int) -> Iterator[Ratio]:
    """Yield the time of the check's measuring part over MetricFrame's, and what both hold in memory beside the arrays."""
    import numpy as np
    import pandas as pd
    from fairlearn import metrics as fair
    from sklearn.metrics import precision_score

    from governance.checks.fairness import Fairness
    from governance.checks.subject import DatasetSpec, Subject

    random = np.random.default_rng(5)
    scores = random.random(rows)
    sensitive = pd.DataFrame(
        {
            "sex": np.array(["female", "male"])[random.integers(2, size=rows)],
            "age": np.array(["under 25", "25 to 39", "40 to 59", "60 and over"])[random.integers(4, size=rows)],
        }
    )
    frame = sensitive.assign(y=(random.random(rows) < scores).astype(int))
    place = tiny_model(folder / "fairness")
    frame.to_parquet(place / "rows.parquet", index=False)
    subject = Subject(place, DatasetSpec(place / "rows.parquet", "y", 1), predictor=_Scored(scores))
    truth, decided = subject.positives, subject.decisions(0.5)  # read and asked for before anything is measured
    subject.scores()
    rates = {
        "selection_rate": fair.selection_rate,
        "true_positive_rate": fair.true_positive_rate,
        "false_positive_rate": fair.false_positive_rate,
        "precision": precision_score,
    }

    def ours() -> None:
        list(Fairness(("sex", "age")).run(subject))

    def theirs() -> None:
        for name in sensitive:
            found = fair.MetricFrame(metrics=rates, y_true=truth, y_pred=decided, sensitive_features=sensitive[name])
            found.by_group, found.difference(), found.ratio()  # reading it is what is measured
            promised = fair.MetricFrame(
                metrics=fair.mean_prediction, y_true=truth, y_pred=scores, sensitive_features=sensitive[name]
            )
            promised.by_group  # noqa: B018

    mine, others = _in_turns([ours, theirs], max(1, repeats // 5))
    words = f"{rows:,} rows and two features: the check's measuring part, over MetricFrame"
    yield Ratio("fairness", f"{words}, time", mine / others, "at most 3")
    peaks = [_peak(each) for each in (ours, theirs)]
    yield Ratio("fairness", f"{words}, peak of memory", peaks[0] / peaks[1])
    arrays = int(frame.memory_usage(deep=True).sum()) + scores.nbytes
    yield Ratio("fairness", "the check's peak of memory beyond the rows, over the rows", peaks[0] / arrays, "bounded: at most 2")


class _Scored:
    """A predictor that has its answers already."""

    def __init__(self, scores: Any) -> None:
        self._scores = scores

    def load(self) -> None:
        """Do nothing."""

    def predict(self, rows: Any) -> Any:
        """Return the label of each row."""
        return (self._scores[: len(rows)] >= 0.5).astype(int)

    def probabilities(self, rows: Any) -> tuple[list[Any], Any]:
        """Return the probability of both labels."""
        import numpy as np

        scores = self._scores[: len(rows)]
        return [0, 1], np.column_stack([1 - scores, scores])

    def example(self) -> None:
        """Do nothing."""


def _peak(call: Callable[[], object]) -> int:
    """Return how many bytes a call holds at most beyond what was there."""
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        call()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


def throughput(folder: Path, runs: int, workers: list[int], rounds: int) -> Iterator[Ratio]:
    """Yield the check runs in a second with more workers over those with the first number, and the share beyond the sandbox."""
    each = max(len(workers) + 1, runs // rounds)
    model = tiny_model(folder / "model")
    rates: dict[int, list[float]] = {number: [] for number in workers}
    alone: list[float] = []
    with _instance(folder / "instance") as stack:
        for turn in range(rounds):
            for number in workers:
                alone += [_timed(lambda: run_sandbox("artifact-scan", model, asks=False)) for _ in range(3)]
                rates[number].append(_rate(stack, each, number, f"{turn}-{number}"))
    first, engine = workers[0], "PostgreSQL" if os.environ.get("DATABASE_URL", "").startswith("postgres") else "SQLite"
    words = f"{runs:,} runs on {engine} and {os.cpu_count()} cores"
    per_second = {number: median(found) for number, found in rates.items()}
    for number in workers[1:]:
        bound = "above 1, and no more than there are cores to give" if number <= (os.cpu_count() or 1) else ""
        yield Ratio("throughput", f"{words}: {number} workers, over {first}", per_second[number] / per_second[first], bound)
    share = max(0.0, 1 - median(alone) * per_second[first] / first)
    yield Ratio("throughput", f"{words}: share of one worker's time beyond the sandbox (queue, election, database)", share)


@contextmanager
def _instance(home: Path) -> Iterator[Stack]:
    """Yield an instance without any process but the workers that are started for a round."""
    stack = Stack(port=free_port(), home=home, services=(), environment={"CHECKS_PER_MODEL": "0"})
    try:
        stack.start()
        yield stack
    finally:
        stack.stop()


def _rate(stack: Stack, runs: int, workers: int, mark: str) -> float:
    """Queue so many runs, start a worker process with so many children, and return the runs in a second once it is under way."""
    _ask(stack, "queue", str(runs), mark)
    command = [f"--concurrency={workers}" if each.startswith("--concurrency") else each for each in commands()["checks"]]
    stack.start_one("checks", command)
    try:
        deadline = time.monotonic() + _SECONDS
        while (told := _ask(stack, "look", mark))["waiting"]:
            stack.require_alive()
            if time.monotonic() > deadline:
                raise RuntimeError(f"{told['waiting']} of {runs} check runs were not finished; see {stack.logs / 'checks.log'}")
            time.sleep(min(5.0, 0.01 * told["waiting"] + 0.5))
    finally:
        process = stack.processes.pop("checks")
        process.terminate()
        process.wait(60)
    if told["failed"]:
        raise RuntimeError(f"{told['failed']} of {runs} check runs failed: {told['why']}")
    # What is finished first says when the workers were ready: with several, that many are in hand then.
    ends = sorted(datetime.fromisoformat(each) for each in told["finished"])
    return (len(ends) - workers) / (ends[-1] - ends[workers - 1]).total_seconds()


def _ask(stack: Stack, *arguments: str) -> dict[str, Any]:
    done = stack.run(["python", "-m", "benchmarks.check_runs", *arguments])
    if done.returncode:
        raise RuntimeError(f"check runs could not be {arguments[0]}ed:\n{done.stdout}{done.stderr}")
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def _in_turns(calls: list[Callable[[], object]], repeats: int) -> list[float]:
    """Return the median seconds of each call; they take turns, after one round that does not count."""
    for call in calls:
        call()
    taken = [[_timed(call) for call in calls] for _ in range(repeats)]
    return [median(each) for each in zip(*taken, strict=True)]


def _timed(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def table(found: list[Ratio]) -> Iterator[str]:
    """Yield the lines of a table in Markdown."""
    yield "| part | what | ratio | bound |"
    yield "| --- | --- | ---: | --- |"
    yield from (f"| {each.part} | {each.what} | {each.value:.2f} | {each.bound} |" for each in found)


_HEAD = """\
# What a check costs

`python -m benchmarks.checks --write-docs` measures this and writes this page; `--help` lists what can be chosen. It says ratios and no
times, which would say more about a machine than about a program. What is compared takes turns, and medians are compared.

"""
_FOOT = """
- **start**: two boxes with an interpreter each, ours until the check has looked at a model without an example and its result is read;
  against `python -c "import sklearn"`. Most of what is left is two namespaces and two interpreters.
- **fairness**: rows in two groupings, read and scored beforehand. MetricFrame computes four rates, their ratios and differences, and the
  mean score; the check computes these with their intervals, calibration in bands and impact ratios too.
- **throughput**: runs of `artifact-scan` on a model of one small file, on an instance whose workers are started anew for each number of
  them. Workers share the machine's cores: beyond that many, nothing can grow. The share beyond the sandbox is what is left of a worker's
  time when that of the same check in the same sandbox, started from here, is taken away.
"""


def kept(measured: list[str]) -> list[Ratio]:
    """Return what the page says of the parts that were not measured now."""
    lines = PAGE.read_text().splitlines() if PAGE.exists() else []
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    return [
        Ratio(part, what, float(value), bound) for part, what, value, bound in cells if part in PARTS and part not in measured
    ]


def page(found: list[Ratio]) -> str:
    """Return the page."""
    ordered = sorted(found, key=lambda each: PARTS.index(each.part))
    return _HEAD + "\n".join(table(ordered)) + "\n" + _FOOT


if __name__ == "__main__":
    sys.exit(main())
