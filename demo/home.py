"""The demo's folder: it begins its story anew each time, and never loses what is not its own."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from scripts.stack import DEMO_MARK

_INSTANCE = (
    "countersign.sqlite3",
    "countersign.sqlite3-wal",
    "countersign.sqlite3-shm",
    "artifacts",
    "broker",
    "logs",
    "tampered",
)


def begin_anew(home: Path) -> Path | None:
    """Empty the home of an earlier demo. An instance that no demo made is moved aside; return where to, if there was one."""
    mark = home / DEMO_MARK
    present = [home / name for name in _INSTANCE if (home / name).exists()]
    kept = None
    if mark.exists():
        for path in present:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    elif (home / _INSTANCE[0]).exists():
        kept = home / f"kept-{time.strftime('%Y%m%d-%H%M%S')}"
        kept.mkdir()
        for path in present:
            path.rename(kept / path.name)
    home.mkdir(parents=True, exist_ok=True)
    mark.touch()
    return kept
