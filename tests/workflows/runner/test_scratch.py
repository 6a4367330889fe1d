"""A folder goes with its check, and where the worker was killed, with the next one; what others use is left to them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from config.environment import BASE_DIR
from workflows.runner import scratch

_HOLD = """
from workflows.runner import scratch
with scratch.folder() as folder:
    (folder / "data.csv").write_text("x")
    print(folder, flush=True)
    input()
"""


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def _age(*paths: Path) -> None:
    for path in paths:
        os.utime(path, (0, 0))


def test_a_folder_is_removed_in_the_end_also_where_a_child_took_our_right_to(place: Path) -> None:
    with scratch.folder() as folder:
        (folder / "locked").mkdir()
        (folder / "locked" / "file").touch()
        (folder / "locked").chmod(0)
    assert list(place.iterdir()) == []


def test_the_folder_of_a_process_is_removed_once_that_was_killed_and_not_before(place: Path) -> None:
    command = [sys.executable, "-c", _HOLD]
    environment = {**os.environ, "TMPDIR": str(place)}
    with subprocess.Popen(
        command, cwd=BASE_DIR, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        folder = Path(holder.stdout.readline().strip())
        _age(folder)
        assert scratch.remove_abandoned() == 0 and (folder / "data.csv").exists()
        holder.send_signal(signal.SIGKILL)
    (place / "countersign-check-a-file").touch()
    (place / "countersign-check-link").symlink_to(place)
    (place / "another").mkdir()
    _age(place / "countersign-check-a-file", place / "another")
    assert scratch.remove_abandoned() == 1
    assert sorted(path.name for path in place.iterdir()) == ["another", "countersign-check-a-file", "countersign-check-link"]


def test_a_folder_that_was_only_just_made_is_left(place: Path) -> None:
    (place / "countersign-check-new").mkdir()
    assert scratch.remove_abandoned() == 0
    _age(place / "countersign-check-new")
    assert scratch.remove_abandoned() == 1
