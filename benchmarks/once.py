"""What load does not tell: how soon a server answers after its start, what it holds in memory, and how fast a large file goes.

Each server runs alone for this, on a database that is up to date, so that none waits for another. Of Countersign it is the web
server alone too, since that is what is compared; what the workers beside it hold is told apart.
"""

from __future__ import annotations

import http.client
import os
import time
from contextlib import AbstractContextManager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from statistics import median
from urllib.parse import urlsplit

from benchmarks import processes, servers
from benchmarks.client import FILES, WrongAnswer, post
from benchmarks.servers import OURS, Server

_BLOCK = 1024 * 1024
_SETTLED_SECONDS = 5
_TIMES = 3


@dataclass(frozen=True)
class Once:
    """One server: seconds to its first answer; megabytes at rest; megabytes a second each way; megabytes it grew by meanwhile."""

    start_seconds: float
    memory_mb: float
    upload_mb_s: float
    download_mb_s: float
    growth_mb: float


def measure(folder: Path, server_url: str, against: list[str], *, file_bytes: int = 256 * _BLOCK) -> dict[str, Once]:
    """Return this of ours and of each set-up of MLflow. Raises NotServing, StackError, WrongAnswer."""
    with servers.databases_for(folder, server_url) as (ours, theirs):
        found = {OURS: _of(servers.countersign(folder / "alone", ours, services=("web",)), file_bytes)}
        for name in against:
            with servers.mlflow(name, folder, theirs):
                pass  # makes the tables, which is no start to compare
            found[name] = _of(servers.mlflow(name, folder, theirs), file_bytes)
    return found


def _of(starting: AbstractContextManager[Server], file_bytes: int) -> Once:
    with starting as server:
        time.sleep(_SETTLED_SECONDS)
        memory = processes.memory_mb(server.roots)
        experiment = str(server.client().ask(post("experiments/create", name=f"large files, {server.name}"))["experiment_id"])
        before = processes.watch_peak(server.roots)
        rates = [
            _large_file(server, f"{FILES}{experiment}/large/{time_no}.bin", time_no, file_bytes) for time_no in range(_TIMES)
        ]
        growth = processes.peak_mb(server.roots) - before
        uploads, downloads = zip(*rates, strict=True)
        return Once(server.started_in, memory, median(uploads), median(downloads), growth)


def _large_file(server: Server, path: str, number: int, file_bytes: int) -> tuple[float, float]:
    """Send a file and fetch it; return megabytes a second of both. Raises WrongAnswer."""
    # Another content each time, since equal content is kept once.
    content = number.to_bytes(8, "big") * (file_bytes // 8)
    os.sync()  # what was written before is not to be waited for by what is written now
    began = time.perf_counter()
    status, _ = _ask(server, "PUT", path, content)
    sent = time.perf_counter()
    if status != 200:
        raise WrongAnswer(f"{server.name}: PUT {path}: {status}")
    status, length = _ask(server, "GET", path, b"")
    fetched = time.perf_counter()
    if (status, length) != (200, file_bytes):
        raise WrongAnswer(f"{server.name}: GET {path}: {status}, {length} bytes")
    megabytes = file_bytes / 1e6
    return megabytes / (sent - began), megabytes / (fetched - sent)


def _ask(server: Server, method: str, path: str, body: bytes) -> tuple[int, int]:
    """Return status and length of the answer; http.client, since it sends and reads without looking into what it carries."""
    parts = urlsplit(server.url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=120, blocksize=_BLOCK)
    connection.request(method, path, BytesIO(body) if body else None, {**server.headers, "Content-Length": str(len(body))})
    answer = connection.getresponse()
    length = 0
    while read := answer.readinto(_buffer):
        length += read
    connection.close()
    return answer.status, length


_buffer = bytearray(_BLOCK)
