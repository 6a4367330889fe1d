"""One whole instance with real processes: it comes up healthy, keeps to itself, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.stack import LONG_RUNNING, ROOT, Stack, StackError, free_port

# The embedded engines, whatever the suite runs on: once is enough.
pytestmark = pytest.mark.skipif(bool(os.environ.get("DATABASE_URL")), reason="the same as in the run on SQLite")
EMBEDDED = {"DATABASE_URL": "", "CELERY_BROKER_URL": ""}
DATABASE = "countersign.sqlite3"


def _alive(pid: int) -> bool:
    """Return whether a process runs; one that ended but was not yet waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def _group(leader: int) -> set[int]:
    """Return the processes of a group."""
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if os.getpgid(int(entry.name)) == leader and _alive(int(entry.name)):
                    found.add(int(entry.name))
            except ProcessLookupError:
                continue
    return found


def _all_end(pids: set[int], seconds: float = 30) -> bool:
    deadline = time.monotonic() + seconds
    while any(_alive(pid) for pid in pids):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with Stack(port=free_port(), home=tmp_path_factory.mktemp("home"), environment=EMBEDDED) as running:
        yield running


@pytest.fixture
def home(stack: Stack, tmp_path: Path) -> Path:
    """A home whose database is up to date, as after an earlier run: making it anew takes most of a start."""
    folder = tmp_path / "home"
    folder.mkdir()
    with sqlite3.connect(stack.home / DATABASE) as source, sqlite3.connect(folder / DATABASE) as target:
        source.backup(target)
    return folder


def test_an_instance_answers_and_runs_its_three_processes(stack: Stack) -> None:
    with urllib.request.urlopen(f"{stack.url}/health", timeout=10) as answer:
        assert answer.status == 200
    assert tuple(stack.processes) == LONG_RUNNING
    stack.require_alive()
    assert stack.manage("create_user", "dana", "--role", "data-scientist", "--token").startswith("cs_")
    assert {f"{name}.log" for name in LONG_RUNNING} <= {path.name for path in stack.logs.iterdir()}


def test_a_command_that_fails_says_why(stack: Stack) -> None:
    with pytest.raises(StackError, match="cs_nothing"):
        stack.manage("revoke_token", "cs_nothing")


def test_a_home_serves_one_instance_and_a_port_too(stack: Stack, tmp_path: Path) -> None:
    for second, why in (
        (Stack(port=free_port(), home=stack.home, environment=EMBEDDED), "another instance uses"),
        (Stack(port=stack.port, home=tmp_path, environment=EMBEDDED), f"port {stack.port} cannot be used"),
    ):
        with pytest.raises(StackError, match=why):
            second.start()
        second.stop()
    stack.require_alive()


def test_a_second_instance_runs_beside_the_first_and_stopping_it_leaves_nothing(stack: Stack, home: Path) -> None:
    with Stack(port=free_port(), home=home, environment=EMBEDDED) as second:
        assert second.url != stack.url
        pids = {pid for process in second.processes.values() for pid in _group(process.pid)}
        assert len(pids) > len(LONG_RUNNING), "web and worker have children"
    assert not [pid for pid in pids if _alive(pid)]
    stack.require_alive()
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", second.port)) != 0


def test_a_wrong_setting_stops_the_start_and_is_told(tmp_path: Path) -> None:
    stack = Stack(port=free_port(), home=tmp_path, environment={**EMBEDDED, "TOKEN_DAYS": "many"})
    with pytest.raises(StackError, match="TOKEN_DAYS: expected a whole number"):
        stack.start()
    stack.stop()


def _supervisor(home: Path, log: Path) -> subprocess.Popen[bytes]:
    environment = {**os.environ, **EMBEDDED}
    with log.open("wb") as out:
        return subprocess.Popen(
            [sys.executable, "-m", "scripts.stack", "--port", str(free_port()), "--home", str(home)],
            cwd=ROOT,
            env=environment,
            stdout=out,
            stderr=subprocess.STDOUT,
        )


def _children(pid: int) -> set[int]:
    return {int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}


def _ready(supervisor: subprocess.Popen[bytes], log: Path) -> set[int]:
    """Wait until an instance says it is ready; return its processes."""
    deadline = time.monotonic() + 90
    while "is ready" not in log.read_text():
        assert supervisor.poll() is None and time.monotonic() < deadline, log.read_text()
        time.sleep(0.1)
    return _children(supervisor.pid)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_everything_with_success(number: signal.Signals, home: Path, tmp_path: Path) -> None:
    supervisor = _supervisor(home, tmp_path / "log")
    try:
        children = _ready(supervisor, tmp_path / "log")
        supervisor.send_signal(number)
        assert supervisor.wait(40) == 0
        assert len(children) == len(LONG_RUNNING) and _all_end(children, 1)
    finally:
        supervisor.kill()
        supervisor.wait()


def test_a_process_that_dies_stops_everything_loudly(home: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    supervisor = _supervisor(home, log)
    try:
        children = _ready(supervisor, log)
        beat = next(pid for pid in children if b"beat" in Path(f"/proc/{pid}/cmdline").read_bytes())
        os.kill(beat, signal.SIGKILL)
        assert supervisor.wait(40) == 1
        assert "beat ended with status -9" in log.read_text()
        assert _all_end(children, 1)
    finally:
        supervisor.kill()
        supervisor.wait()


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's death signal is Linux's")
def test_a_supervisor_that_is_killed_takes_its_processes_along(home: Path, tmp_path: Path) -> None:
    supervisor = _supervisor(home, tmp_path / "log")
    try:
        children = _ready(supervisor, tmp_path / "log")
        supervisor.kill()
        supervisor.wait()
        assert _all_end(children)
    finally:
        supervisor.kill()
        supervisor.wait()
