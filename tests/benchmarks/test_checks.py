"""What a check costs is told as ratios, and nothing is left behind."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from benchmarks import checks
from benchmarks.checks import Ratio
from workflows.runner import sandbox

once = pytest.mark.skipif(bool(os.environ.get("DATABASE_URL")), reason="the same as in the run on SQLite")


@once
@pytest.mark.skipif(not sandbox.detect().available, reason=sandbox.detect().reason)
def test_the_sandbox_starts_in_a_fraction_of_an_import(tmp_path: Path) -> None:
    (found,) = checks.start(tmp_path, repeats=1)
    assert found.part == "start" and 0 < found.value < 1


@once
def test_fairness_is_measured_on_the_arrays_that_fairlearn_gets(tmp_path: Path) -> None:
    time, memory, beyond = checks.fairness(tmp_path, rows=5000, repeats=1)
    assert time.value > 0 and "MetricFrame, time" in time.what
    assert memory.value > 0 and 0 < beyond.value < 20


@once
def test_runs_are_counted_on_an_instance_that_is_gone_afterwards(tmp_path: Path) -> None:
    (share,) = checks.throughput(tmp_path, runs=3, workers=[1], rounds=1)
    assert 0 <= share.value < 1 and "beyond the sandbox" in share.what
    logs = [path.read_text() for path in (tmp_path / "instance" / "logs").glob("*.log")]
    assert logs and not any("Traceback" in each for each in logs)


def test_the_page_has_ratios_and_keeps_what_was_not_measured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(checks, "PAGE", tmp_path / "page.md")
    checks.PAGE.write_text(checks.page([Ratio("throughput", "runs", 1.5), Ratio("start", "boxes", 0.1234, "at most 0.3")]))
    text = checks.page([Ratio("start", "boxes", 0.2, "at most 0.3"), *checks.kept(["start"])])
    assert "| start | boxes | 0.20 | at most 0.3 |" in text and "0.12" not in text
    assert "| throughput | runs | 1.50 |  |" in text and text.index("| start |") < text.index("| throughput |")


def test_a_part_that_does_not_exist_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        checks.main(["--parts", "nothing"])
    assert ended.value.code == 2 and "there is no part nothing" in capsys.readouterr().err


def test_the_page_in_the_documents_is_one_of_a_whole_run() -> None:
    told = checks.PAGE.read_text()
    assert all(f"| {part} |" in told for part in checks.PARTS)
