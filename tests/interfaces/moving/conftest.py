"""A real MLflow server, filled by its own client, shared by all tests of a process: it only is read."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from benchmarks import processes
from benchmarks.servers import wait_for
from scripts.stack import free_port
from tests.interfaces.management.conftest import binding_file, policy_file, refused, run

__all__ = ["binding_file", "policy_file", "refused", "run"]

_QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}


@dataclass(frozen=True)
class Mlflow:
    """A server that answers, its database and where it keeps artifacts. The ids are of what was logged to it."""

    url: str
    database: Path
    artifacts: Path
    outer: str
    inner: str
    model: str

    @property
    def address(self) -> str:
        return f"sqlite:///{self.database}"

    def copy(self, folder: Path) -> Mlflow:
        """Return a copy of database and artifacts, which a test may change."""
        with sqlite3.connect(self.database) as held, sqlite3.connect(folder / "copy.db") as made:
            held.backup(made)
        shutil.copytree(self.artifacts, folder / "artifacts")
        return Mlflow(self.url, folder / "copy.db", folder / "artifacts", self.outer, self.inner, self.model)

    def alter(self, *statements: str) -> None:
        """Change the database as its server would."""
        with sqlite3.connect(self.database) as held:
            for statement in statements:
                held.execute(statement)


@pytest.fixture(scope="session")
def mlflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mlflow]:
    folder, port = tmp_path_factory.mktemp("mlflow"), free_port()
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("MLFLOW_", "DJANGO_"))} | _QUIET
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment.get('PATH', '')}"
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}", "--serve-artifacts"]
    command += ["--artifacts-destination", str(folder / "artifacts")]
    process = processes.start(command, folder=folder, environment=environment, log=folder / "server.log")
    try:
        url = f"http://127.0.0.1:{port}"
        wait_for(process, url, "mlflow", folder / "server.log")
        filling = Path(__file__).with_name("filling.py")
        told = subprocess.run(
            [sys.executable, str(filling), url], env=environment, cwd=folder, capture_output=True, text=True, check=True
        )
        yield Mlflow(url, folder / "mlflow.db", folder / "artifacts", *told.stdout.split()[-3:])
    finally:
        processes.end(process)


_MAKE = """
import sys
from alembic import command
from mlflow.store.db.utils import _get_alembic_config, create_sqlalchemy_engine
from mlflow.store.tracking.dbmodels.initial_models import Base
for address, revision in zip(sys.argv[1::2], sys.argv[2::2]):
    Base.metadata.create_all(create_sqlalchemy_engine(address))
    command.upgrade(_get_alembic_config(address), revision)
"""


def make_databases(**revisions: str) -> None:
    """Make databases by MLflow's own migrations: address -> up to which revision."""
    given = [part for address, revision in revisions.items() for part in (address, revision)]
    subprocess.run([sys.executable, "-c", _MAKE, *given], check=True, capture_output=True, env=os.environ | _QUIET)


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return an empty database of now, and one of a server from before MLflow 3."""
    folder = tmp_path_factory.mktemp("made")
    new, old = folder / "new.db", folder / "old.db"
    make_databases(**{f"sqlite:///{new}": "head", f"sqlite:///{old}": "f5a4f2784254"})
    return new, old


@pytest.fixture(autouse=True)
def _no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TOKEN", "USERNAME", "PASSWORD"):
        monkeypatch.delenv(f"MLFLOW_TRACKING_{name}", raising=False)
