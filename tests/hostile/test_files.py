"""Every class of hostile artifacts is found by its rule, at its place, without running it and within bounds."""

from __future__ import annotations

import pickle
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from governance.checks import catalogue
from governance.checks.artifact_scan import ArtifactScan
from governance.checks.base import Finding, Table
from governance.checks.subject import Subject
from tests.hostile.cases import MLMODEL, Hostile
from tests.hostile.generator import FILES
from tests.hostile.pickles import ONE, as_zip

ROOT = Path(__file__).resolve().parents[2]

GRAVE = ("medium", "high", "critical")


def scanned(folder: Path, **parameters: object) -> list[Finding]:
    found = ArtifactScan(**parameters).run(Subject(folder))  # type: ignore[arg-type]
    return [each for each in found if isinstance(each, Finding) and each.severity in GRAVE]


@pytest.mark.parametrize("case", FILES, ids=lambda case: f"{case.family}: {case.name}")
def test_each_class_is_found(case: Hostile, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    folder = case.into(tmp_path / "model", str(marker))
    started = time.process_time()
    found = scanned(folder, **case.parameters)
    assert time.process_time() - started < 10
    assert not marker.exists()
    caught = [each for each in found if each.rule == case.rule and each.location.startswith(case.file)]
    assert caught, found
    if case.at_byte:
        assert any(re.search(r"at byte \d+", each.message) for each in caught), caught


def test_bombs_are_looked_into_in_little_memory_and_time(tmp_path: Path) -> None:
    """In a process that may have as much memory as a check's usually may, and that tells how much it took."""
    bombs = [case for case in FILES if case.rule in ("bomb", "too-large", "broken-pickle") and not case.parameters]
    for number, case in enumerate(bombs):
        case.into(tmp_path / str(number), str(tmp_path / "marker"))
    code = (
        "import resource, sys; from pathlib import Path; from tests.hostile.test_files import scanned;"
        "resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30)); resource.setrlimit(resource.RLIMIT_CPU, (60, 60));"
        f"found = [scanned(Path({str(tmp_path)!r}, str(n))) for n in range({len(bombs)})];"
        "assert all(found), found;"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert len(bombs) > 20 and int(done.stdout) < 800
    assert not (tmp_path / "marker").exists()


def test_a_scan_with_the_formats_that_a_policy_allows(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "MLmodel").write_text(MLMODEL)
    (folder / "model.pkl").write_bytes(pickle.dumps([1]))
    (folder / "requirements.txt").write_text("numpy==2.0\n")
    (folder / "weights.zip").write_bytes(as_zip(model_dot_pkl=pickle.dumps([1])))
    assert scanned(folder) == [] == scanned(folder, allowed_formats=("pickle", "archive"))
    refused = scanned(folder, allowed_formats=("safetensors", "onnx", "skops"), format_severity="critical")
    assert {(each.rule, each.severity, each.location) for each in refused} == {
        ("format-not-allowed", "critical", "model.pkl"),
        ("format-not-allowed", "critical", "weights.zip"),
    }
    with pytest.raises(ValueError, match="allowed_formats"):
        catalogue.build("artifact-scan", {"allowed_formats": ["tarball"]})


def test_what_a_scan_says_can_be_stored_and_sent(tmp_path: Path) -> None:
    """Names of a hostile file can hold zeros, escapes of a terminal, and halves of characters."""
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "a\udcff\x1b[2J").write_bytes(ONE["zero in a name"][2](""))
    (folder / "b.pkl").write_bytes(ONE["half a character"][2](""))
    results = list(ArtifactScan().run(Subject(folder)))
    said = [text for each in results if isinstance(each, Finding) for text in (each.location, each.message)]
    said += [str(cell) for each in results if isinstance(each, Table) for row in each.rows for cell in row]
    assert len(said) > 8 and all(text.isprintable() and text.encode() for text in said)
