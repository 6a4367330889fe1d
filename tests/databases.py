"""Databases that are up to date, copied from one that the real migrations made: migrating each anew takes ten seconds.

Such a template is kept, in ``var/templates`` or on the PostgreSQL server, until something changes that migrating may depend on.
``tests/scripts/test_stack.py`` and the demo begin with an empty home, as everybody does once.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql

from scripts.stack import ROOT

FILE = "countersign.sqlite3"
_FOLDER = ROOT / "var" / "templates"
_PREFIX, _UNFINISHED = "countersign_template_", "countersign_unfinished_template"
_PRODUCT = ("config", "core", "artifacts", "tracking", "registry", "webhooks", "governance", "workflows", "interfaces")


def fill(home: Path) -> None:
    """Put a database that is up to date into an instance's home, before its first start."""
    home.mkdir(parents=True, exist_ok=True)
    copy_to(home / FILE)


def copy_to(path: Path) -> None:
    """Make an SQLite database that is up to date."""
    for rest in ("-wal", "-shm"):  # of a run that was killed: SQLite would play its log into the copy
        path.with_name(path.name + rest).unlink(missing_ok=True)
    with _alone():
        shutil.copyfile(_template_file(), path)


def template_of(server: str) -> str:
    """Return the name of the template on the PostgreSQL server of an address, which is made if there is none."""
    name = _PREFIX + _digest()
    with _alone(), psycopg.connect(server, autocommit=True) as connection:
        there = [row[0] for row in connection.execute("SELECT datname FROM pg_database WHERE datname ~ %s", [f"^{_PREFIX}"])]
        if name not in there:
            for old in (*there, _UNFINISHED):
                connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(old)))
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(_UNFINISHED)))
            with tempfile.TemporaryDirectory(dir=_FOLDER) as home:
                _migrate(Path(home), urlunsplit(urlsplit(server)._replace(path=f"/{_UNFINISHED}")))
            change = sql.SQL("ALTER DATABASE {} RENAME TO {}")
            connection.execute(change.format(sql.Identifier(_UNFINISHED), sql.Identifier(name)))
    return name


@cache
def _digest() -> str:
    """Tell apart all the code of the product, since what runs after a migration is anywhere in it, and what it stands on."""
    found = hashlib.sha256((ROOT / "requirements" / "dev.txt").read_bytes())
    for package in _PRODUCT:
        for path in sorted((ROOT / package).rglob("*.py")):
            found.update(f"\0{path.relative_to(ROOT)}\0".encode() + path.read_bytes())
    return found.hexdigest()[:16]


@contextmanager
def _alone() -> Iterator[None]:
    """Let one process at a time make a template; the others find it made."""
    _FOLDER.mkdir(parents=True, exist_ok=True)
    with (_FOLDER / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _template_file() -> Path:
    path = _FOLDER / f"{_digest()}.sqlite3"
    if not path.exists():
        for old in _FOLDER.glob("*.sqlite3"):
            old.unlink()
        with tempfile.TemporaryDirectory(dir=_FOLDER) as home:
            _migrate(Path(home), "")
            whole = Path(home) / "whole"
            with closing(sqlite3.connect(Path(home) / FILE)) as source, closing(sqlite3.connect(whole)) as target:
                source.backup(target)  # with what may still be in the write-ahead log
            whole.rename(path)
    return path


def _migrate(home: Path, url: str) -> None:
    environment = {"COUNTERSIGN_HOME": str(home), "DATABASE_URL": url, "CELERY_BROKER_URL": ""}
    done = subprocess.run(
        [sys.executable, "manage.py", "migrate", "--no-input", "--verbosity", "0"],
        cwd=ROOT,
        env={**os.environ, **environment, "DJANGO_SETTINGS_MODULE": "config.settings"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"the migrations failed:\n{done.stdout}{done.stderr}"


if __name__ == "__main__":
    if url := os.environ.get("DATABASE_URL"):
        template_of(url)
    with _alone():
        _template_file()
