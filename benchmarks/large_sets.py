"""`python -m benchmarks.large_sets`: what memory and time a check takes on a large set, in the processes that a worker runs it in.

A set of ten columns is generated, of which the model takes six; performance by slice, fairness, and drift against the set itself run on it as
Parquet and as CSV. Peaks are of resident memory (VmHWM). No server is needed. With --partition-rows the model is asked about so many rows at
a time, as workers do it one after the other, and what it answered is measured together: what each part takes, and whether the numbers are
those of one piece.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import threading
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import processes
from governance.checks import catalogue
from governance.checks.noted import borders
from workflows.runner import sandbox
from workflows.runner.environments import Environment
from workflows.runner.limits import Limits

_FEATURES = ["income", "debt", "age", "tenure", "region", "employment"]
_PARAMETERS: dict[str, dict[str, Any]] = {
    "performance": {"slices": ["region", {"column": "age", "edges": [30, 50]}]},
    "fairness": {"sensitive": ["sex", {"column": "age", "edges": [30, 50]}], "intersections": [["sex", "age"]]},
    "drift": {"reference": "applications"},
}
_BLOCK_ROWS = 250_000
_LOOK_SECONDS = 0.05
_REGIONS = [f"administrative region number {number:02d} of the country" for number in range(16)]
_EMPLOYMENT = ["employed without a fixed term", "employed for a fixed term", "self-employed", "not employed at present"]


@dataclass(frozen=True)
class Taken:
    """How a run ended. peaks_mb: by process, the one that measures and the one that the model answers from. told: its progress, in [0, 1]."""

    outcome: sandbox.Outcome
    peaks_mb: dict[str, float]
    told: list[float]


def write_rows(path: Path, rows: int) -> None:
    """Write a set of so many rows, block by block, as Parquet or CSV by the name of the file."""
    import pyarrow
    from pyarrow import csv, parquet

    writer = None
    for start in range(0, rows, _BLOCK_ROWS):
        table = pyarrow.Table.from_pandas(_block(start, min(_BLOCK_ROWS, rows - start)), preserve_index=False)
        if writer is None:
            kind = parquet.ParquetWriter if path.suffix == ".parquet" else csv.CSVWriter
            writer = kind(path, table.schema)
        writer.write_table(table)
    assert writer is not None
    writer.close()


def _block(start: int, rows: int) -> Any:
    import numpy as np
    import pandas as pd

    random = np.random.default_rng([7, start])
    income, debt = random.gamma(4.0, 8000.0, rows).round(2), random.gamma(2.0, 5000.0, rows).round(2)
    good = random.random(rows) < 1 / (1 + np.exp(-(income - debt - 15_000) / 15_000))
    return pd.DataFrame(
        {
            "income": income,
            "debt": debt,
            "age": random.integers(18, 90, rows),
            "tenure": random.integers(0, 400, rows),
            "region": random.choice(_REGIONS, rows),
            "employment": random.choice(_EMPLOYMENT, rows),
            "sex": random.choice(["female", "male"], rows),
            "applied_on": np.datetime64("2024-01-01") + random.integers(0, 700, rows).astype("timedelta64[D]"),
            "reference": [f"application-{number:012d}" for number in range(start, start + rows)],
            "good": good.astype("int64"),
        }
    )


def save_model(folder: Path) -> Path:
    """Train a classifier on a block of such rows, save it as MLflow does, and return where."""
    import mlflow.sklearn
    from mlflow.models import infer_signature
    from sklearn.compose import make_column_transformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    rows = _block(0, 5000)
    columns = make_column_transformer((OneHotEncoder(), ["region", "employment"]), remainder=StandardScaler())
    model = make_pipeline(columns, LogisticRegression(max_iter=500)).fit(rows[_FEATURES], rows["good"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        signature = infer_signature(rows[_FEATURES].head(), rows["good"].head())
        mlflow.sklearn.save_model(
            model, str(folder), signature=signature, serialization_format="cloudpickle", pip_requirements=["scikit-learn"]
        )
    return folder


class _Peaks:
    """Notes the highest resident memory of the runner's processes below this one until it is left."""

    _NAMES = {"governance.checks.execute": "measuring", "predictor.py": "model"}

    def __init__(self) -> None:
        self.megabytes: dict[str, float] = {}
        self._left = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._left.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._left.wait(_LOOK_SECONDS):
            for pid in processes.tree([os.getpid()]):
                try:
                    command = (Path("/proc") / str(pid) / "cmdline").read_text()
                    peak = processes.peak_mb([pid])
                except OSError:  # it ended while we looked
                    continue
                for sign, name in self._NAMES.items():
                    if sign in command:
                        self.megabytes[name] = max(peak, self.megabytes.get(name, 0.0))


def run(
    check: str,
    rows: Path,
    model: Path,
    limits: Limits,
    isolation: sandbox.Isolation,
    more: dict[str, Any] | None = None,
    **given: Any,
) -> Taken:
    """Run a check on a set as a worker does, and note what its processes took. more, given: added to the spec, and handed to the sandbox."""
    told: list[float] = []

    def beat(progress: sandbox.Progress) -> bool:
        told.append(progress.done)
        return True

    peaks = _Peaks()
    dataset = {"target": "good", "favourable": 1, "name": "applications"}
    with peaks:
        outcome = sandbox.run(
            {"check": check, "parameters": _PARAMETERS[check], "dataset": dataset, "seed": 0, **(more or {})},
            model_dir=model,
            dataset_path=rows,
            others={"applications": rows},
            limits=limits,
            isolation=isolation,
            heartbeat=beat,
            **{"answering": Environment(Path(sys.executable), None, "the worker's own"), **given},
        )
    return Taken(outcome, peaks.megabytes, told)


def run_in_partitions(
    check: str, rows: Path, model: Path, limits: Limits, isolation: sandbox.Isolation, borders: list[tuple[int, int]]
) -> tuple[list[Taken], Taken]:
    """Ask the model about one partition after the other, then measure: return what each took, and what the measuring did."""
    asks = catalogue.asks_rows(check, _PARAMETERS[check])
    with tempfile.TemporaryDirectory(prefix="countersign-benchmark-") as folder:
        taken, noted = [], [Path(folder) / f"answers-{start}" for start, _ in borders]
        for (start, stop), path in zip(borders, noted, strict=True):
            part = {"run": check, "start": start, "stop": stop, "asks": asks, "most_bytes": limits.file_bytes}
            taken.append(run(check, rows, model, limits, isolation, {"part": part}, noted=path))
        files = [{"start": start, "stop": stop} for start, stop in borders]
        answers = {"answers": {"run": check, "files": files}}
        return taken, run(check, rows, model, limits, isolation, answers, answers=noted, answering=None)


def _told_of_partitions(check: str, rows: Path, model: Path, limits: Limits, given: argparse.Namespace, whole: Taken) -> bool:
    """Print what partitions took beside one piece; return whether they failed or the numbers differ."""
    cut = borders(given.rows, given.partition_rows)
    parts, measured = run_in_partitions(check, rows, model, limits, sandbox.Isolation(given.isolation), cut)
    seconds = [each.outcome.seconds for each in parts]
    same = (measured.outcome.measurements, measured.outcome.tables) == (whole.outcome.measurements, whole.outcome.tables)
    print(
        f"    {len(cut)} partitions: {min(seconds):,.0f} to {max(seconds):,.0f} s each, measured in {measured.outcome.seconds:,.0f} s; "
        f"the same numbers: {same} {measured.outcome.error_message}",
        flush=True,
    )
    return not same


def main(arguments: list[str] | None = None) -> int:
    """Return 0 if all runs completed, 1 otherwise."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.large_sets", description=__doc__)
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--memory-mib", type=int, default=Limits().memory_bytes >> 20, help="address space of each process")
    parser.add_argument("--partition-rows", type=int, default=0, help="0: in one piece alone")
    parser.add_argument("--formats", default="parquet,csv")
    parser.add_argument("--isolation", choices=[each.value for each in sandbox.Isolation], default="bubblewrap")
    given = parser.parse_args(arguments)
    limits = Limits(memory_bytes=given.memory_mib << 20, cpu_seconds=3600, wall_seconds=3600.0)
    failed = False
    with tempfile.TemporaryDirectory(prefix="countersign-benchmark-") as folder:
        model = save_model(Path(folder) / "model")
        for suffix in given.formats.split(","):
            rows = Path(folder) / f"rows.{suffix}"
            write_rows(rows, given.rows)
            print(f"{given.rows:,} rows, {suffix}: {rows.stat().st_size / 1e6:,.0f} MB on disk", flush=True)
            for check in _PARAMETERS:
                taken = run(check, rows, model, limits, sandbox.Isolation(given.isolation))
                failed |= taken.outcome.status is not sandbox.Status.COMPLETED
                peaks = ", ".join(f"{name} {peak:,.0f} MB" for name, peak in sorted(taken.peaks_mb.items()))
                print(
                    f"  {check}: {taken.outcome.status} in {taken.outcome.seconds:,.0f} s; peaks: {peaks}; "
                    f"{len(taken.outcome.measurements)} measurements {taken.outcome.error_message}",
                    flush=True,
                )
                if given.partition_rows and catalogue.asks_rows(check, _PARAMETERS[check]):
                    failed |= _told_of_partitions(check, rows, model, limits, given, taken)
            rows.unlink()
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
