"""Every class of hostile artifacts is found by its rule, at its place, without running it and within bounds."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from governance.checks.artifact_scan import ArtifactScan
from governance.checks.base import Finding
from governance.checks.subject import Subject
from tests.hostile.cases import Hostile
from tests.hostile.generator import FILES

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
