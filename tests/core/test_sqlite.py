"""Writers on SQLite queue: each gets its turn soon, none is refused, and a turn ends with the process that had it."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from django.db import OperationalError

from core.sqlite.base import DatabaseWrapper, _Turn

pytestmark = pytest.mark.django_db  # which lets a test connect at all

SETTINGS = {
    "ENGINE": "core.sqlite", "CONN_MAX_AGE": None, "CONN_HEALTH_CHECKS": False, "AUTOCOMMIT": True, "ATOMIC_REQUESTS": False,
    "TIME_ZONE": None, "USER": "", "PASSWORD": "", "HOST": "", "PORT": "", "TEST": {},
}  # fmt: skip
OPTIONS = {"transaction_mode": "IMMEDIATE", "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"}
WRITE = """
import sys, time
sys.path.insert(0, "{root}")
from tests.core.test_sqlite import connect, write
from pathlib import Path
connection = connect(Path("{file}"))
print("ready", flush=True)
write(connection, {times})
"""


def connect(file: Path, timeout: float = 20) -> DatabaseWrapper:
    made = DatabaseWrapper({**SETTINGS, "NAME": str(file), "OPTIONS": {**OPTIONS, "timeout": timeout}}, "apart")
    made.ensure_connection()
    return made


def begin(connection: DatabaseWrapper) -> None:
    connection.set_autocommit(False, force_begin_transaction_with_broken_autocommit=True)


def end(connection: DatabaseWrapper) -> None:
    connection.commit()
    connection.set_autocommit(True)


def write(connection: DatabaseWrapper, times: int) -> None:
    """Add one to the counter so many times, reading first."""
    for _ in range(times):
        begin(connection)
        with connection.cursor() as cursor:
            cursor.execute("SELECT n FROM counter")
            (n,) = cursor.fetchone()
            cursor.execute("UPDATE counter SET n = %s", [n + 1])
        end(connection)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "some.sqlite3"
    with sqlite3.connect(path) as made:
        made.execute("CREATE TABLE counter (n INTEGER)")
        made.execute("INSERT INTO counter VALUES (0)")
    return path


def counted(file: Path) -> int:
    ((n,),) = sqlite3.connect(file).execute("SELECT n FROM counter")
    return int(n)


def elsewhere(file: Path, times: int) -> subprocess.Popen[str]:
    """Write from another process, and return once it begins."""
    code = WRITE.format(root=Path(__file__).parents[2], file=file, times=times)
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    process.stdout.close()
    return process


def test_sixteen_writers_of_four_processes_all_write_and_none_is_refused(file: Path) -> None:
    """Each reads what it changes, so a write that overlapped another would be missing from the count."""
    others = [elsewhere(file, 200) for _ in range(3)]
    threads = [threading.Thread(target=lambda: write(connect(file), 50)) for _ in range(13)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [other.wait(60) for other in others] == [0, 0, 0]
    assert counted(file) == 3 * 200 + 13 * 50


def test_a_turn_ends_with_its_process(file: Path) -> None:
    other = elsewhere(file, 1_000_000)
    while not counted(file):
        time.sleep(0.01)
    os.kill(other.pid, signal.SIGKILL)
    other.wait(10)
    before = counted(file)
    write(connect(file), 1)
    assert counted(file) == before + 1


def test_a_writer_that_waits_too_long_is_told_as_sqlite_would(file: Path) -> None:
    held, late = connect(file), connect(file, timeout=0.2)
    begin(held)
    said: list[str] = []

    def come() -> None:
        try:
            write(late, 1)
        except OperationalError as error:
            said.append(str(error))

    thread = threading.Thread(target=come)
    thread.start()
    thread.join(10)
    assert said == ["database is locked"]
    end(held)
    write(late, 1)  # and can write afterwards
    assert counted(file) == 1


@pytest.mark.parametrize("finish", ["rollback", "close", "failed begin"])
def test_a_turn_is_given_up_however_its_transaction_ends(file: Path, finish: str) -> None:
    first, second = connect(file, timeout=0.2), connect(file, timeout=2)
    if finish == "failed begin":
        outsider = sqlite3.connect(file, isolation_level=None)
        outsider.execute("BEGIN IMMEDIATE")
        with pytest.raises(OperationalError, match="locked"):
            begin(first)
        outsider.rollback()
    else:
        begin(first)
        first.rollback() if finish == "rollback" else first.close()
    write(second, 1)
    assert counted(file) == 1


def test_a_child_of_a_process_that_is_writing_gets_its_turn(file: Path) -> None:
    """A server that forks its workers may do so while one of its threads has the turn. (A connection is not to be taken along.)"""
    held = _Turn(file, patience=5)
    held.take()
    child = os.fork()
    if not child:
        try:
            _Turn(file, patience=5).take()
        except BaseException:
            os._exit(1)
        os._exit(0)
    time.sleep(0.2)  # it waits for this process's turn to end
    assert os.waitpid(child, os.WNOHANG) == (0, 0)
    held.give()
    assert os.waitpid(child, 0)[1] == 0


def test_a_commit_is_synced_before_its_caller_goes_on_and_while_the_next_one_writes(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What lay in the files when they were synced is what the disk would have after a power failure."""
    first, second = connect(file), connect(file, timeout=2)
    synced: list[str] = []
    kept: list[int] = []

    def look_on(descriptor: int) -> None:
        synced.append(Path(os.readlink(f"/proc/self/fd/{descriptor}")).name)
        place = tmp_path / f"after {len(synced)}"
        place.mkdir()
        for name in (file.name, f"{file.name}-wal"):
            shutil.copy(file.parent / name, place)
        kept.append(counted(place / file.name))
        if len(synced) == 1:
            write(second, 1)  # it is nobody's turn any more

    monkeypatch.setattr("core.sqlite.base.os.fdatasync", look_on)
    write(first, 1)
    assert synced == ["some.sqlite3-wal"] * 2
    assert kept == [1, 2]


def test_what_is_written_outside_a_transaction_is_synced_by_sqlite(file: Path) -> None:
    connection = connect(file)
    levels = []
    for finish in (end, DatabaseWrapper.rollback):
        begin(connection)
        finish(connection)
        connection.set_autocommit(True)
        with connection.cursor() as cursor:
            levels += cursor.execute("PRAGMA synchronous").fetchall()
    assert levels == [(2,), (2,)]


def test_a_disk_that_fails_is_told(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    connection = connect(file)

    def fail(_: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr("core.sqlite.base.os.fdatasync", fail)
        with pytest.raises(OperationalError, match="disk I/O error"):
            write(connection, 1)
    connection.set_autocommit(True)
    write(connection, 1)


def test_a_database_without_a_log_is_left_to_sqlite(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some file systems cannot have one, and SQLite then keeps a journal instead."""
    monkeypatch.setitem(OPTIONS, "init_command", "PRAGMA journal_mode=DELETE; PRAGMA synchronous=FULL;")
    monkeypatch.setattr("core.sqlite.base.os.fdatasync", lambda _: pytest.fail("there is nothing to sync"))
    connection = connect(file)
    begin(connection)
    with connection.cursor() as cursor:
        assert cursor.execute("PRAGMA synchronous").fetchone() == (2,)
        cursor.execute("UPDATE counter SET n = 7")
    end(connection)
    assert counted(file) == 7
