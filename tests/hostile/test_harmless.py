"""What the tools write is not refused: no finding of medium or worse on any of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from governance.checks.scanning.blobs import Inspector
from governance.checks.scanning.limits import Limits
from tests.hostile import harmless
from tests.hostile.cases import MLMODEL
from tests.hostile.test_files import scanned


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[object]]:
    """The findings on one folder with all of the files, by file."""
    folder = tmp_path_factory.mktemp("harmless")
    (folder / "MLmodel").write_text(MLMODEL)
    for name, build in harmless.FILES.items():
        content = build()
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    by_file: dict[str, list[object]] = {}
    for each in scanned(folder):
        by_file.setdefault(each.location.partition("!")[0].partition(":")[0], []).append(each)
    return by_file


@pytest.mark.parametrize("name", ["MLmodel", *harmless.FILES])
def test_what_a_tool_writes_has_no_finding(found: dict[str, list[object]], name: str) -> None:
    assert found.get(name, []) == []


def test_estimators_of_every_kind_and_form_have_no_finding(tmp_path: Path) -> None:
    (tmp_path / "MLmodel").write_text(MLMODEL)
    harmless.write_estimators(tmp_path)
    assert len(list(tmp_path.iterdir())) > 200
    assert scanned(tmp_path) == []


def test_a_changed_byte_makes_no_reader_fail() -> None:
    """Each reader names what is wrong; that one trips over it is caught as well, and would be a mistake of ours."""
    random = np.random.default_rng(3)
    for name, build in harmless.FILES.items():
        content = build()
        original = content.encode() if isinstance(content, str) else content
        for _ in range(12 if original else 0):
            data = bytearray(original)
            data[random.integers(len(data))] = random.integers(256)
            end = random.integers(1, len(data) + 1) if random.random() < 0.2 else len(data)
            seen = Inspector(Limits()).inspect(Path(name).name, bytes(data[:end]), name)
            assert not [each for each in seen.findings if "a reader failed" in each.message]
