"""What the child leaves is refused unless it is exactly what a check can write."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from governance.checks.base import Finding, Measurement, Table
from governance.checks.execute import document
from workflows.runner import results
from workflows.runner.outcome import Progress

LIMIT = 1 << 20
GOOD = document(
    [Measurement("roc_auc", 0.7, n=3), Finding("r", "low", "here", "why"), Table("t", "T", ("x", "y"), ((1, "a"), (None, 0.5)))],
    None,
    0.1,
)


def write(path: Path, value: Any) -> Path:
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    return path


def test_what_a_check_writes_is_read_unchanged(tmp_path: Path) -> None:
    result = results.read_result(write(tmp_path / "r", GOOD), LIMIT)
    assert result is not None and result.error_code == ""
    assert result.measurements == (Measurement("roc_auc", 0.7, n=3),)
    assert result.findings == (Finding("r", "low", "here", "why"),)
    assert result.tables == (Table("t", "T", ("x", "y"), ((1, "a"), (None, 0.5))),)
    assert results.read_result(tmp_path / "absent", LIMIT) is None


MEASUREMENT = GOOD["measurements"][0]


@pytest.mark.parametrize(
    "change",
    [
        {"extra": 1},
        {"status": "passed"},
        {"status": "error"},
        {"error": {"code": "x", "message": "y"}},
        {"status": "error", "error": {"code": "x", "message": "y"}},
        {"status": "error", "measurements": [], "findings": [], "tables": [], "error": {"code": "<b>", "message": ""}},
        {"seconds": -1},
        {"measurements": [{**MEASUREMENT, "value": "0.9"}]},
        {"measurements": [{**MEASUREMENT, "value": True}]},
        {"measurements": [{**MEASUREMENT, "n": -1}]},
        {"measurements": [{**MEASUREMENT, "metric": "m" * 201}]},
        {"measurements": [{**MEASUREMENT, "method": "m" * 2001}]},
        {"measurements": [{**MEASUREMENT, "more": 1}]},
        {"measurements": [{"metric": "roc_auc", "value": 1.0}]},
        {"measurements": [MEASUREMENT] * 10_001},
        {"findings": [{"rule": "r", "severity": "fatal", "location": "", "message": ""}]},
        {"tables": [{"name": "t", "title": "T", "columns": ["x"], "rows": [[1, 2]]}]},
        {"tables": [{"name": "t", "title": "T", "columns": ["x"], "rows": [[[1]]]}]},
        {"tables": [{"name": "t", "title": "T", "columns": ["x"], "rows": [[1]] * 5001}]},
        {"environment": {str(index): "" for index in range(65)}},
    ],
)
def test_anything_else_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    with pytest.raises(results.InvalidResult):
        results.read_result(write(tmp_path / "r", {**GOOD, **change}), LIMIT)


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "NaN", '"\\ud800"', json.dumps(GOOD).replace("0.7", "NaN"), "\x00"])
def test_broken_json_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(results.InvalidResult):
        results.read_result(write(tmp_path / "r", text), LIMIT)


@pytest.mark.parametrize("number", ["1e999", "-1e999", "Infinity"])
def test_numbers_that_are_not_finite_are_refused(tmp_path: Path, number: str) -> None:
    with pytest.raises(results.InvalidResult):
        results.read_result(write(tmp_path / "r", json.dumps(GOOD).replace("0.7", number)), LIMIT)
    with pytest.raises(results.InvalidResult):
        results.read_result(write(tmp_path / "r", json.dumps(GOOD).replace("0.5", number)), LIMIT)


def test_only_a_plain_file_of_bounded_size_is_read(tmp_path: Path) -> None:
    write(tmp_path / "real", GOOD)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    os.link(tmp_path / "real", tmp_path / "hard")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "large").write_bytes(b" " * (LIMIT + 1))
    for name in ("link", "hard", "pipe", "folder", "large"):
        with pytest.raises(results.InvalidResult):
            results.read_result(tmp_path / name, LIMIT)


@given(st.binary(max_size=300))
def test_no_bytes_make_the_reader_fail_in_another_way(tmp_path_factory: pytest.TempPathFactory, raw: bytes) -> None:
    path = tmp_path_factory.mktemp("fuzz") / "r"
    path.write_bytes(raw)
    results.read_progress(path)
    with pytest.raises(results.InvalidResult):
        results.read_result(path, LIMIT)


def test_progress_is_the_last_line_that_can_be_believed(tmp_path: Path) -> None:
    path = tmp_path / "p"
    assert results.read_progress(path) is None
    write(path, '{"done": 0.5, "text": "half"}\n{"done": "all"}\n{"done": 0.')
    assert results.read_progress(path) == Progress(0.5, "half")
    write(path, json.dumps({"done": 7, "text": "\x1b[2Jgone" + "x" * 900}) + "\n")
    progress = results.read_progress(path)
    assert progress is not None and progress.done == 1.0 and len(progress.text) == 200 and "\x1b" not in progress.text
    path.write_bytes(b"x" * (1 << 20) + b'\n{"done": 0.25, "text": "end"}\n')
    assert results.read_progress(path) == Progress(0.25, "end")
