"""Folders that a check works in, and their removal when whoever made them was killed."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_PREFIX = "countersign-check-"
_YOUNG_SECONDS = 600.0  # between making a folder and locking it a process may be kept waiting


@contextmanager
def folder() -> Iterator[Path]:
    """Yield a folder of this process's own, and remove it in the end. While it is in use it is locked, and the lock goes with the process."""
    path = Path(tempfile.mkdtemp(prefix=_PREFIX))
    held = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(held, fcntl.LOCK_SH)
        yield path
    finally:
        remove(path)
        os.close(held)


def remove_abandoned() -> int:
    """Remove the folders whose process was killed; return how many. Others' folders are left to them."""
    before = time.time() - _YOUNG_SECONDS
    count = 0
    for path in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        try:
            held = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError:
            continue  # gone since it was listed, or another user's
        try:
            if os.fstat(held).st_uid == os.geteuid() and os.fstat(held).st_mtime < before and _free(held):
                remove(path)
                count += 1
        finally:
            os.close(held)
    return count


def remove(path: Path) -> None:
    """Remove a folder, also where the child has taken away our right to."""

    def unlock(remove: Callable[..., Any], name: str, _: object) -> None:
        parent = Path(name).parent
        if path == parent or path in parent.parents:
            parent.chmod(0o700)
        if Path(name).is_dir() and not Path(name).is_symlink():
            Path(name).chmod(0o700)
            shutil.rmtree(name, ignore_errors=True)
        else:
            Path(name).unlink(missing_ok=True)

    shutil.rmtree(path, onerror=unlock)


def _free(held: int) -> bool:
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
