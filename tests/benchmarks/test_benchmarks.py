"""The benchmarks measure both servers, say ratios, and leave nothing behind."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks import once as occasions
from benchmarks import report
from benchmarks.client import Request
from benchmarks.load import Measured, measure
from benchmarks.once import Once
from benchmarks.operations import OPERATIONS
from benchmarks.report import Results
from benchmarks.servers import FASTEST, OURS
from scripts.stack import ROOT

needs_wrk = pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed")
needs_mlflow = pytest.mark.skipif(importlib.util.find_spec("mlflow") is None, reason="mlflow is not installed")
# The embedded engine, whatever the suite runs on: once is enough.
once = pytest.mark.skipif(bool(os.environ.get("DATABASE_URL")), reason="the same as in the run on SQLite")


def _command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "benchmarks", *arguments]


def _environment(folder: Path, **more: str) -> dict[str, str]:
    return {**os.environ, "TMPDIR": str(folder), "BENCH_DATABASE_URL": "", **more}


def _processes_in(folder: Path) -> list[str]:
    """Return the processes whose command or folder is in this folder."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            words = (entry / "cmdline").read_bytes().decode(errors="replace") if entry.name.isdigit() else ""
            if words and (str(folder) in words or str(folder) in os.readlink(entry / "cwd")):
                found.append(words)
        except OSError:  # it ended while we looked
            continue
    return found


@once
@needs_wrk
@needs_mlflow
def test_two_operations_give_ratios_without_errors_and_nothing_is_left(tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    command = _command("--quick", "--ops", "get_model_version,set_tag", "--json", str(out))
    done = subprocess.run(command, cwd=ROOT, env=_environment(tmp_path), capture_output=True, text=True, timeout=170, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(re.findall(r"^ +mlflow-fastest .* \d[\d.]*x$", done.stdout, re.MULTILINE)) == 2, done.stdout
    measured = json.loads(out.read_text())
    assert list(measured) == ["get_model_version", "set_tag"]
    for servers in measured.values():
        assert list(servers) == [OURS, FASTEST]
        for found in servers.values():
            assert all(
                each["errors"] == 0 and each["answers"] > 10 and each["p50_ms"] <= each["p99_ms"] for each in found["rounds"]
            )
            assert all(each > 0 for each in found["processor_ms"])
        assert servers[FASTEST]["times_ours"] > 0
    assert _processes_in(tmp_path) == [] and list(tmp_path.iterdir()) == [out]


@once
@needs_wrk
@needs_mlflow
def test_a_signal_in_the_middle_stops_the_servers_too(tmp_path: Path) -> None:
    running = subprocess.Popen(_command("--quick"), cwd=ROOT, env=_environment(tmp_path), stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 90
        while not any("mlflow" in words and str(tmp_path) in words for words in _processes_in(tmp_path)):
            assert running.poll() is None and time.monotonic() < deadline
            time.sleep(0.1)
        running.send_signal(signal.SIGINT)
        assert running.wait(60) == 130
    finally:
        running.kill()
        running.wait()
    assert _processes_in(tmp_path) == [] and list(tmp_path.iterdir()) == []


def test_without_wrk_the_message_says_how_to_get_it(tmp_path: Path) -> None:
    environment = _environment(tmp_path, PATH=str(tmp_path))
    done = subprocess.run(_command("--quick"), cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "apt-get install wrk" in done.stderr and "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_an_operation_that_does_not_exist_is_named(tmp_path: Path) -> None:
    environment = _environment(tmp_path)
    command = _command("--ops", "get_nothing")
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2 and "get_nothing" in done.stderr


@needs_wrk
def test_refused_requests_are_errors_and_not_answers(tmp_path: Path) -> None:
    server = subprocess.Popen(
        [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "--directory", str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert server.stdout is not None
        port = re.search(r"port (\d+)", server.stdout.readline())
        assert port is not None
        found = measure(f"http://127.0.0.1:{port[1]}", {}, [Request("GET", "/absent")], seconds=1, connections=1, folder=tmp_path)
    finally:
        server.kill()
        server.communicate()
    assert found.errors >= found.answers > 0 and found.per_second == 0


def _results(ours: float, theirs: float) -> Results:
    results = Results()
    for name, per_second in ((OURS, ours), (FASTEST, theirs)):
        results.add("get_run", name, Measured(per_second, 1000 / per_second, 2000 / per_second, 0, 100), 100 / per_second)
    return results


def test_the_documents_get_ratios_and_no_times(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    page = tmp_path / "benchmarks.md"
    page.write_text("before\n<!-- SQLite -->\nold\n<!-- end -->\nafter\n<!-- PostgreSQL -->\nkept\n<!-- end -->\n")
    monkeypatch.setattr(report, "PAGE", page)
    report.write_page(_results(1234.0, 300.0), "SQLite")
    text = page.read_text()
    assert "| `get_run` | 4.1x | 4.1x | 4.1x |" in text
    assert "old" not in text and "kept" in text and text.startswith("before\n") and "1234" not in text
    with pytest.raises(ValueError, match="no place for Oracle"):
        report.write_page(_results(2.0, 1.0), "Oracle")


def test_what_is_measured_once_is_told_as_ratios_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    page = tmp_path / "benchmarks.md"
    page.write_text("<!-- SQLite -->\n<!-- end -->\n<!-- SQLite, once -->\nold\n<!-- end -->\n")
    monkeypatch.setattr(report, "PAGE", page)
    results = _results(1234.0, 300.0)
    results.once = {OURS: Once(2.0, 100.0, 600.0, 2000.0, 20.0), FASTEST: Once(8.0, 550.0, 300.0, 1900.0, 8.0)}
    report.write_page(results, "SQLite")
    told = page.read_text().partition("<!-- SQLite, once -->\n")[2].splitlines()
    assert [line.split("|")[2].strip() for line in told[2:6]] == ["4.0x", "5.5x", "2.0x", "1.1x"]
    assert results.as_json()["once"][OURS]["start_seconds"] == 2.0


@once
@needs_mlflow
def test_a_large_file_and_the_memory_it_takes_are_measured(tmp_path: Path) -> None:
    found = occasions.measure(tmp_path, "", [], file_bytes=8_388_608)[OURS]
    assert found.start_seconds > 0 and found.memory_mb > 20
    assert found.upload_mb_s > 1 and found.download_mb_s > 1 and found.growth_mb < 32
    assert _processes_in(tmp_path) == []


def test_every_operation_is_in_the_documents_for_both_engines() -> None:
    text = report.PAGE.read_text()
    for engine in ("SQLite", "PostgreSQL"):
        table = text.partition(f"<!-- {engine} -->\n")[2].partition("<!-- end -->")[0]
        assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) == list(OPERATIONS), engine
