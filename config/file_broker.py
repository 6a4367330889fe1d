"""The broker of files, made safe for several processes of which any may be killed: Kombu's shows a message before it is written.

A reader that meets the half-written file fails on it, and a Celery worker ends. Here a message gets its name once it is whole, one that
cannot be read is passed over, and the table of queues is replaced as a whole under a lock of its own.
"""

from __future__ import annotations

import fcntl
import logging
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import Empty
from time import time_ns
from typing import Any

from kombu.exceptions import ChannelError
from kombu.transport import filesystem
from kombu.transport.filesystem import exchange_queue_t
from kombu.utils.json import dumps

log = logging.getLogger(__name__)


class Channel(filesystem.Channel):
    """Kombu's channel of files with whole messages and one writer of the table at a time."""

    def _put(self, queue: str, payload: Any, **_: Any) -> None:  # type: ignore[override]  # Kombu's two bases differ
        folder = Path(self.data_folder_out)
        hidden = folder / f".{uuid.uuid4().hex}"  # readers look for names that end in the queue's
        hidden.write_bytes(dumps(payload).encode())
        # Names are taken in their order, oldest first; the clock's digits stay the same in number.
        hidden.replace(folder / f"{time_ns()}_{uuid.uuid4().hex}.{queue}.msg")

    def _get(self, queue: str, timeout: float | None = None) -> Any:
        while True:
            try:
                return super()._get(queue)
            except (ValueError, ChannelError):  # it was moved away before it was read, so the next one comes
                log.warning("a message in %s cannot be read; the sweeper tells of its job again", queue, exc_info=True)

    def get_table(self, exchange: str) -> Any:
        with self._locked():
            return self._table(exchange)

    def _queue_bind(self, exchange: str, routing_key: str, pattern: str, queue: str) -> None:
        row = exchange_queue_t(routing_key or "", pattern or "", queue or "")
        with self._locked():
            table = self._table(exchange)
            if row not in table:
                self._replace_table(exchange, [row, *table])

    def _delete(self, queue: str, exchange: str, routing_key: str, pattern: str, *_: Any, **__: Any) -> None:
        row = exchange_queue_t(routing_key or "", pattern or "", queue or "")
        with self._locked():
            self._purge(queue)
            table = self._table(exchange)
            if row in table:
                self._replace_table(exchange, [each for each in table if each != row])

    def _table(self, exchange: str) -> list[Any]:
        try:
            return list(super().get_table(exchange))
        except ValueError:
            log.warning("the table of queues of %s cannot be read; each worker that starts adds its own anew", exchange)
            return []

    def _replace_table(self, exchange: str, table: list[Any]) -> None:
        path = self._exchange_file(exchange)
        whole = path.with_name(f".{uuid.uuid4().hex}")
        whole.write_bytes(dumps(table).encode())
        whole.replace(path)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        folder = Path(self.control_folder)
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


class Transport(filesystem.Transport):
    """Kombu's transport of files with our channel, read by a worker's event loop as a Redis is.

    Without the loop, Celery has the processes of a pool wait for work at one pipe behind one lock. The process that holds it takes it
    along when it is killed, and the others wait for ever.
    """

    Channel = Channel
    implements = filesystem.Transport.implements.extend(asynchronous=True)

    def register_with_event_loop(self, connection: Any, loop: Any) -> None:
        """Look for messages again and again, from the loop."""
        loop.call_repeatedly(self.polling_interval, self._take)

    def _take(self) -> None:
        assert self.cycle is not None
        with suppress(Empty):
            while True:  # a channel that may not have more for now says that it has none
                self.cycle.get(self._deliver)
