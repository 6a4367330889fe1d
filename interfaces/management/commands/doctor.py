"""Say whether this machine can do what Countersign needs of it, and what to do where it cannot."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from celery import current_app
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

_EMPTY_SANDBOX = (
    "--unshare-all",
    "--unshare-user",
    "--disable-userns",
    "--ro-bind",
    "/",
    "/",
    "--proc",
    "/proc",
    "--dev",
    "/dev",
)


@dataclass(frozen=True)
class Diagnosis:
    """One answer: ``ok``, ``warning`` or ``failure``, and a sentence that says what was found and what to do."""

    state: str
    sentence: str


def database() -> Diagnosis:
    """Connect, and compare the tables with the migrations."""
    executor = MigrationExecutor(connection)
    missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
    where = "PostgreSQL" if connection.vendor == "postgresql" else f"SQLite in {settings.HOME}"
    if missing:
        return Diagnosis("failure", f"{where}: {len(missing)} migrations are missing; run `manage.py migrate`")
    return Diagnosis("ok", where)


def broker() -> Diagnosis:
    """Connect to the broker."""
    with current_app.connection_for_write() as link:
        link.ensure_connection(max_retries=1, timeout=5)
        kind = str(link.transport_cls)
    if kind == "filesystem":
        return Diagnosis("ok", f"files in {settings.HOME / 'broker'}; enough for one machine")
    return Diagnosis("ok", kind)


def storage() -> Diagnosis:
    """Write a small object where artifacts go, and remove it."""
    root = settings.ARTIFACT_ROOT
    if urlsplit(root).scheme == "s3":
        return _bucket(root)
    folder = Path(root)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=folder) as probe:
        probe.write(b"countersign")
        probe.flush()
    free = shutil.disk_usage(folder).free // 2**30
    return Diagnosis("ok" if free >= 5 else "warning", f"{folder}, {free} GiB free")


def _bucket(root: str) -> Diagnosis:
    import boto3  # an extra: only installations that keep artifacts in S3 have it

    parts = urlsplit(root)
    client = boto3.client("s3", endpoint_url=settings.S3_ENDPOINT_URL or None)
    key = f"{parts.path.strip('/')}/doctor".lstrip("/")
    client.put_object(Bucket=parts.netloc, Key=key, Body=b"countersign")
    client.delete_object(Bucket=parts.netloc, Key=key)
    return Diagnosis("ok", root)


def sandbox() -> Diagnosis:
    """Start an empty sandbox, as checks do."""
    refused = "" if settings.SANDBOX_ALLOW_PROCESS else "; checks will refuse to run"
    if settings.SANDBOX == "process":
        return Diagnosis(
            "warning" if not refused else "failure", f"SANDBOX=process: checks run with resource limits only{refused}"
        )
    program = shutil.which("bwrap")
    weaker = "warning" if settings.SANDBOX == "auto" and settings.SANDBOX_ALLOW_PROCESS else "failure"
    if program is None:
        return Diagnosis(weaker, f"bubblewrap is not installed (Debian: apt-get install bubblewrap){refused}")
    tried = subprocess.run(
        [program, *_EMPTY_SANDBOX, "/bin/true"],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    if tried.returncode:
        why = tried.stderr.strip() or f"status {tried.returncode}"
        return Diagnosis(
            weaker,
            f"bubblewrap cannot make a sandbox here ({why}); in a container, allow user namespaces (see the compose file){refused}",
        )
    return Diagnosis("ok", "bubblewrap makes a sandbox without network")


def models() -> Diagnosis:
    """Look for what builds the environments of models."""
    without = "models whose pins the worker does not satisfy are not checked, and their runs say which"
    if settings.MODEL_ENVIRONMENTS != "build":
        return Diagnosis("ok", f"MODEL_ENVIRONMENTS={settings.MODEL_ENVIRONMENTS}: {without}")
    if not settings.UV_PROGRAM:
        return Diagnosis("warning", f"uv is not installed on this host: {without}; needed where checks run only")
    index = settings.MODEL_INDEX_URL or os.environ.get("UV_DEFAULT_INDEX", "")
    told = f"from {urlsplit(index).hostname}" if index else "from uv's own default index (MODEL_INDEX_URL names another)"
    return Diagnosis("ok", f"{settings.UV_PROGRAM} builds the environments of models {told}")


def account() -> Diagnosis:
    """Look at the account the processes run under."""
    if os.getuid() == 0:
        return Diagnosis(
            "warning", "running as root: the limit on a check's processes does not bind root; run under an ordinary account"
        )
    return Diagnosis("ok", f"ordinary account, uid {os.getuid()}")


EXAMINATIONS: dict[str, Callable[[], Diagnosis]] = {
    "database": database,
    "broker": broker,
    "storage": storage,
    "sandbox": sandbox,
    "models": models,
    "account": account,
}


def examine(examination: Callable[[], Diagnosis]) -> Diagnosis:
    """Return the answer of one examination; whatever it trips over is its answer, as the others must still be made."""
    try:
        return examination()
    except Exception as error:  # noqa: BLE001
        return Diagnosis("failure", f"{type(error).__name__}: {error}".splitlines()[0])


class Command(BaseCommand):
    help = "Examine database, broker, storage, sandbox, models' environments and account; status 1 if something Countersign needs is not there."
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        failed = []
        for name, examination in EXAMINATIONS.items():
            diagnosis = examine(examination)
            self.stdout.write(f"{diagnosis.state:8} {name:9} {diagnosis.sentence}")
            if diagnosis.state == "failure":
                failed.append(name)
        if failed:
            raise CommandError(f"not ready: {', '.join(failed)}", returncode=1)
