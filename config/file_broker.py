"""The broker of files, made safe for several processes: Kombu's shows a message to readers before it is written.

A reader that meets the half-written file fails on it, and a Celery worker ends. Here a message gets its name once it is whole, and
the table of queues is read and written under a lock of its own.
"""

from __future__ import annotations

import fcntl
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import time_ns
from typing import Any

from kombu.transport import filesystem
from kombu.utils.json import dumps


class Channel(filesystem.Channel):
    """Kombu's channel of files with whole messages and one writer of the table at a time."""

    def _put(self, queue: str, payload: Any, **_: Any) -> None:  # type: ignore[override]  # Kombu's two bases differ
        folder = Path(self.data_folder_out)
        hidden = folder / f".{uuid.uuid4().hex}"  # readers look for names that end in the queue's
        hidden.write_bytes(dumps(payload).encode())
        # Names are taken in their order, oldest first; the clock's digits stay the same in number.
        hidden.replace(folder / f"{time_ns()}_{uuid.uuid4().hex}.{queue}.msg")

    def get_table(self, exchange: str) -> Any:
        with self._locked():
            return super().get_table(exchange)

    def _queue_bind(self, *args: Any) -> None:
        with self._locked():
            super()._queue_bind(*args)

    def _delete(self, *args: Any, **options: Any) -> None:
        with self._locked():
            super()._delete(*args, **options)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        folder = Path(self.control_folder)
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


class Transport(filesystem.Transport):
    """Kombu's transport of files with our channel."""

    Channel = Channel
