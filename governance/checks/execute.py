"""Run one check in this process and write what it measured: the entry point of the sandbox's child.

`python -m governance.checks.execute SPEC_JSON OUT_DIR [NAME:READ_FD:WRITE_FD ...]`. SPEC_JSON is a file with {check, parameters, model_dir,
champion_dir, dataset: {path, target, favourable, name} or null, others: {name: path}, seed, card: {section: text}, earlier_card:
{section: text}, measured: [{check, run, metric, slice, value, ci_low, ci_high}]}. OUT_DIR receives `progress.jsonl`, and at the end `result.json`, moved
into place in one step. With part: {run, start, stop, asks, most_bytes} nothing is measured: the models are asked about these rows, and
OUT_DIR receives their `answers` (see ``noted``). With answers: {run, files: [{path, start, stop}]} these stand for the models. The descriptors lead to predictors, of the `model`, of the same model `again`, and of the `champion`: no code of a
model runs here, so it cannot write the result.
The exit status is 0 when a result was written, whatever it says.
"""

from __future__ import annotations

import json
import math
import os
import platform
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import MappingProxyType
from typing import Any

from governance.checks import catalogue
from governance.checks.base import Cell, CheckError, Finding, Measurement, NotApplicable, Result, SiblingMeasurement, Table
from governance.checks.model import Predictor, Remote
from governance.checks.noted import Noted, Notes, Part, Replayed, note
from governance.checks.subject import DatasetSpec, Subject

LONGEST_TEXT = 2000
_LONGEST = {"method": 300, "location": 1500}  # what the register keeps
MOST_ROWS = 5000
MOST_RESULTS = 10_000
ANSWERS = "answers"
_VERSION_DONE = 0.6
_PACKAGES = ("mlflow", "mlflow-skinny", "scikit-learn", "skops", "numpy", "pandas", "scipy", "picklescan")


class Progress:
    """Appends progress to a file, one line each, at most 20 a second: more would only fill the folder."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._last = -1.0

    def __call__(self, done: float, text: str) -> None:
        """Append a line unless one was written just now. done: in [0, 1]."""
        now = time.monotonic()
        if now - self._last < 0.05 and done < 1.0:
            return
        self._last = now
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"done": min(max(done, 0.0), 1.0), "text": text[:200]}) + "\n")


def execute(spec: Mapping[str, Any], out_dir: Path, predictors: Mapping[str, Predictor] = MappingProxyType({})) -> dict[str, Any]:
    """Run the check of `spec` and return the result document. Whatever goes wrong becomes its `error`."""
    started = time.monotonic()
    progress = Progress(out_dir / "progress.jsonl")
    results: list[Result] = []
    error: dict[str, str] | None = None
    skipped = False
    try:
        if spec.get("part"):
            _note(spec, progress, predictors, out_dir / ANSWERS)
        else:
            results = _run(spec, progress, _replayed(spec) or predictors)
    except CheckError as cause:
        skipped = isinstance(cause, NotApplicable)
        error = {"code": cause.code, "message": cause.message[:LONGEST_TEXT]}
    except MemoryError:
        error = {"code": "out_of_memory", "message": "The memory limit was reached. Raise it, or use fewer rows."}
    except Exception as cause:  # noqa: BLE001  # the last place that can still say what happened
        message = f"The check itself failed with {type(cause).__name__}: {cause}. Report this with the log of the run."
        error = {"code": "check_failed", "message": message[:LONGEST_TEXT]}
    progress(1.0, "Done")
    return document(results, error, time.monotonic() - started, skipped=skipped)


def _run(spec: Mapping[str, Any], progress: Progress, predictors: Mapping[str, Predictor]) -> list[Result]:
    try:
        check = catalogue.build(spec["check"], spec.get("parameters") or {})
    except ValueError as cause:
        raise CheckError("invalid_parameters", str(cause)) from cause
    progress(0.01, f"Starting {check.name}")
    results = []
    for result in check.run(_subject(spec, progress, predictors)):
        results.append(result)
        if len(results) > MOST_RESULTS:
            raise CheckError("too_many_results", f"The check gave more than {MOST_RESULTS} results. Use fewer slices.")
    return results


def _note(spec: Mapping[str, Any], progress: Progress, predictors: Mapping[str, Predictor], path: Path) -> None:
    """Write down what the models answer to some of the rows."""
    most_bytes = spec["part"]["most_bytes"]
    part = Part(**{name: value for name, value in spec["part"].items() if name != "most_bytes"})
    with path.open("xb") as file:
        note(_subject(spec, progress, predictors), part, Notes(file, most_bytes, part))


def _replayed(spec: Mapping[str, Any]) -> dict[str, Predictor]:
    """Return what gives noted answers again in the place of the models, if there are any."""
    given = spec.get("answers")
    if not given:
        return {}
    noted = Noted([(Path(each["path"]), each["start"], each["stop"]) for each in given["files"]], given["run"])
    return {of: Replayed(noted, of) for of in ("model", "champion")}


def _subject(spec: Mapping[str, Any], progress: Progress, predictors: Mapping[str, Predictor]) -> Subject:
    dataset = spec.get("dataset")
    model_dir, champion_dir = spec.get("model_dir"), spec.get("champion_dir")
    evaluation = DatasetSpec(**{**dataset, "path": Path(dataset["path"])}) if dataset else None
    seed = int(spec.get("seed") or 0)
    others = {name: Path(path) for name, path in (spec.get("others") or {}).items()}
    champion = None
    if champion_dir:
        tell = partial(_of_champion, progress)
        champion = Subject(Path(champion_dir), evaluation, seed, tell, predictors.get("champion"), others)
    return Subject(
        Path(model_dir) if model_dir else None,
        evaluation,
        seed,
        progress,
        predictors.get("model"),
        others,
        predictors.get("again"),
        champion=champion,
        card=spec.get("card") or {},
        earlier_card=spec.get("earlier_card") or {},
        measured=tuple(SiblingMeasurement(**row) for row in spec.get("measured") or ()),
    )


def _of_champion(progress: Progress, done: float, text: str) -> None:
    """Tell progress of the champion, which is asked when this version has been measured."""
    progress(_VERSION_DONE + (1 - _VERSION_DONE) * done, f"Champion: {text}")


def document(results: Iterable[Result], error: dict[str, str] | None, seconds: float, *, skipped: bool = False) -> dict[str, Any]:
    """Return the result as JSON-like data without NaN or infinity. An error, or a reason to skip, leaves no partial measurements behind."""
    kept = [] if error else list(results)
    return {
        "status": "skipped" if skipped else "error" if error else "completed",
        "error": error,
        "measurements": [_as_data(each) for each in kept if isinstance(each, Measurement)],
        "findings": [_as_data(each) for each in kept if isinstance(each, Finding)],
        "tables": [_table(each) for each in kept if isinstance(each, Table)],
        "environment": environment(),
        "seconds": round(seconds, 3),
    }


def _as_data(result: Measurement | Finding) -> dict[str, Any]:
    if isinstance(result, Measurement):
        result = _finite(result)
    row = {key: _cell(value) for key, value in asdict(result).items()}
    for key, longest in _LONGEST.items():
        if isinstance(text := row.get(key), str):
            row[key] = text[:longest]
    return row


def _finite(measurement: Measurement) -> Measurement:
    """Write a value that JSON cannot carry as None, and say so: a NaN must not look like a number that was measured."""
    if measurement.value is not None and not math.isfinite(measurement.value):
        note = f"not computed: the result was {measurement.value}"
        return replace(measurement, value=None, method="; ".join(filter(None, [note, measurement.method])))
    return measurement


def _table(table: Table) -> dict[str, Any]:
    rows = [[_cell(cell) for cell in row] for row in table.rows[:MOST_ROWS]]
    return {"name": table.name, "title": table.title, "columns": list(table.columns), "rows": rows}


def _cell(value: Any) -> Cell:
    """Return a plain JSON value: numpy numbers become Python's, what is not finite None, long text is cut."""
    if isinstance(value, str):  # half of a surrogate pair is no text that could be written
        return value[:LONGEST_TEXT].encode("utf-8", "replace").decode().replace("\x00", "\ufffd")
    if hasattr(value, "item"):
        value = value.item()
    if value is None or isinstance(value, bool):
        return None if value is None else int(value)
    return value if isinstance(value, int) else float(value) if math.isfinite(value) else None


def environment() -> dict[str, str]:
    """Return the versions that the numbers rest on."""
    versions = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return versions


def write(result: Mapping[str, Any], path: Path) -> None:
    """Write JSON in one step, so that a reader never sees half of it."""
    unfinished = path.with_suffix(".part")
    unfinished.write_text(json.dumps(result, allow_nan=False), encoding="utf-8")
    unfinished.replace(path)


def main(arguments: list[str]) -> None:
    """Run the check of the spec file."""
    spec_file, out_dir, *pipes = arguments
    predictors = {
        name: Remote(os.fdopen(int(read_from), "rb"), os.fdopen(int(write_to), "wb"))
        for name, read_from, write_to in (each.split(":") for each in pipes)
    }
    result = execute(json.loads(Path(spec_file).read_text(encoding="utf-8")), Path(out_dir), predictors)
    write(result, Path(out_dir) / "result.json")
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1:])
