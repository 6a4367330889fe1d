"""The servers that are compared, on one engine with the same number of workers: Countersign as it is deployed, and MLflow twice."""

from __future__ import annotations

import importlib.util
import os
import sys
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from subprocess import Popen
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql

from benchmarks import bulk, processes
from benchmarks.bulk import Order
from benchmarks.client import Client
from scripts.stack import LONG_RUNNING, Stack, commands, free_port

WORKERS = 2  # as docker-compose.yml says of ours
OURS, DEFAULT, FASTEST = "countersign", "mlflow-default", "mlflow-fastest"

# What a user gets who types `mlflow server`; and Flask without the bridge to ASGI, in threads, without the runner of jobs.
_MLFLOW: dict[str, tuple[list[str], dict[str, str]]] = {
    DEFAULT: ([], {}),
    FASTEST: (
        ["--gunicorn-opts", "-k gthread --threads 8 --log-level warning"],
        {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
    ),
}
_FRESH = {"DATABASE_URL": "", "CELERY_BROKER_URL": "", "ARTIFACT_ROOT": "", "COUNTERSIGN_ENV": "local", "LOG_LEVEL": "WARNING"}


class NotServing(Exception):
    """A server to compare did not start. The message has the end of its log."""


@dataclass(frozen=True)
class Server:
    """A server that answers. ``roots`` are the processes that it consists of, with all their children."""

    name: str
    url: str
    roots: tuple[int, ...]
    headers: dict[str, str] = field(default_factory=dict)
    bulk: Callable[[Order], None] | None = None  # puts the large data set into its database
    started_in: float = 0.0  # seconds to the first answer

    def client(self) -> Client:
        """Return a client of it."""
        return Client(self.name, self.url, self.headers)


@contextmanager
def databases(server_url: str) -> Iterator[tuple[str, str]]:
    """Make two fresh databases on a PostgreSQL server, one each, and remove them afterwards; yields their addresses."""
    parts = urlsplit(server_url)
    mark = uuid.uuid4().hex[:8]
    names = [f"benchmark_{mark}_countersign", f"benchmark_{mark}_mlflow"]
    admin = urlunsplit(parts._replace(path="/postgres"))
    with psycopg.connect(admin, autocommit=True) as connection:
        for name in names:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    try:
        yield urlunsplit(parts._replace(path=f"/{names[0]}")), urlunsplit(parts._replace(path=f"/{names[1]}"))
    finally:
        with psycopg.connect(admin, autocommit=True) as connection:
            for name in names:
                connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


@contextmanager
def databases_for(folder: Path, server_url: str) -> Iterator[tuple[str, str]]:
    """Yield the addresses of two empty databases, ours and MLflow's: on a PostgreSQL server, or files if there is none."""
    if not server_url:
        yield "", f"sqlite:///{folder / 'mlflow.db'}"
        return
    with databases(server_url) as (ours, theirs):
        driver = "psycopg2" if importlib.util.find_spec("psycopg2") else "psycopg"
        yield ours, urlunsplit(urlsplit(theirs)._replace(scheme=f"postgresql+{driver}"))


@contextmanager
def running(folder: Path, server_url: str, against: list[str]) -> Iterator[list[Server]]:
    """Start Countersign and the MLflow set-ups asked for; yields them, and stops all that was started.

    server_url: a PostgreSQL server, or "" for SQLite. Raises NotServing, or StackError from ours.
    """
    with ExitStack() as everything:
        ours, theirs = everything.enter_context(databases_for(folder, server_url))
        servers = [everything.enter_context(countersign(folder / "countersign", ours))]
        # One after another: the first makes the tables both use.
        servers += [everything.enter_context(mlflow(name, folder, theirs)) for name in against]
        yield servers


@contextmanager
def countersign(home: Path, database: str, services: Sequence[str] = LONG_RUNNING) -> Iterator[Server]:
    """Start an instance on a database ("" for a file) and yield it. Raises StackError."""
    stack = Stack(port=free_port(), home=home, environment={**_FRESH, "DATABASE_URL": database}, services=())
    try:
        stack.start()  # brings the database up to date
        began = time.monotonic()
        for name in services:
            stack.start_one(name, commands()[name])
        stack.wait_healthy()
        started_in = time.monotonic() - began
        token = stack.manage("create_user", "dana", "--role", "data-scientist", "--token").strip()
        roots = tuple(process.pid for process in stack.processes.values())

        def put_in(order: Order) -> None:
            done = stack.run(["python", "-m", "benchmarks.bulk", order.as_json()])
            if done.returncode:
                raise NotServing(f"the large data set could not be put in:\n{done.stderr[-2000:]}")

        yield Server(OURS, stack.url, roots, {"Authorization": f"Bearer {token}"}, put_in, started_in)
    finally:
        stack.stop()


@contextmanager
def mlflow(name: str, folder: Path, database: str) -> Iterator[Server]:
    """Start a set-up of MLflow on a database and yield it. Raises NotServing."""
    if importlib.util.find_spec("mlflow") is None:
        raise NotServing("the package mlflow is not installed: make setup")
    options, settings = _MLFLOW[name]
    port, log = free_port(), folder / f"{name}.log"
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("MLFLOW_", "DJANGO_"))}
    # MLflow starts gunicorn and uvicorn by their names.
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment.get('PATH', '')}"
    environment |= {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true", **settings}
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", str(WORKERS)]
    command += ["--backend-store-uri", database, "--artifacts-destination", str(folder / "mlflow-artifacts"), *options]
    began = time.monotonic()
    process = processes.start(command, folder=folder, environment=environment, log=log)
    try:
        url = f"http://127.0.0.1:{port}"
        wait_for(process, url, name, log)
        started_in = time.monotonic() - began
        put_in = partial(bulk.fill_mlflow, database, "mlflow-artifacts:")
        yield Server(name, url, (process.pid,), bulk=put_in, started_in=started_in)
    finally:
        processes.end(process)


def wait_for(process: Popen[bytes], url: str, name: str, log: Path, seconds: float = 180) -> None:
    """Return once a server answers. Raises NotServing with the end of its log."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{url}/health", timeout=5) as answer:
                if answer.status == 200:
                    return
        except OSError:
            time.sleep(0.2)
    raise NotServing(f"{name} did not start; the end of its log:\n" + "\n".join(log.read_text().splitlines()[-25:]))
