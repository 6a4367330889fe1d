"""The settings an operator may give by environment: one table, read once, checked before anything starts."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parseaddr
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import environ
from django.core.exceptions import ImproperlyConfigured

BASE_DIR = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Variable:
    """One environment variable: its name, kind, default as text, what it does, and the least that an integer may be."""

    name: str
    kind: str  # text | flag | integer | list | url | path
    default: str
    meaning: str
    least: int = 1


VARIABLES: tuple[Variable, ...] = (
    Variable(
        "COUNTERSIGN_ENV", "text", "local", "`local` (one machine, the default) or `production`, which refuses insecure defaults"
    ),
    Variable("COUNTERSIGN_HOME", "path", "var", "folder of the embedded database, artifacts, broker files and logs"),
    Variable(
        "SECRET_KEY",
        "text",
        "",
        "key for sessions and signatures; required in production, made and kept in COUNTERSIGN_HOME locally",
    ),
    Variable("ALLOWED_HOSTS", "list", "", "host names this server answers to, comma separated; required in production"),
    Variable(
        "PUBLIC_URL",
        "url",
        "",
        "address people use, such as `https://models.example.org`; used in messages that say where to ask",
    ),
    Variable("DATABASE_URL", "url", "", "`postgresql://user:password@host:5432/name`; empty means SQLite in COUNTERSIGN_HOME"),
    Variable(
        "DATABASE_POOL_SIZE",
        "integer",
        "8",
        "PostgreSQL connections that a process has at most; `0`: one for each of its threads, which is what web processes do unless told otherwise",
        least=0,
    ),
    Variable("CELERY_BROKER_URL", "url", "", "`redis://host:6379/0`; empty means a broker of files in COUNTERSIGN_HOME"),
    Variable(
        "ARTIFACT_ROOT", "url", "", "folder or `s3://bucket/prefix` for artifact contents; empty means COUNTERSIGN_HOME/artifacts"
    ),
    Variable("S3_ENDPOINT_URL", "url", "", "endpoint of an S3-compatible store; empty means AWS"),
    Variable(
        "DATASET_SOURCES",
        "list",
        "",
        "folders and `s3://bucket/prefix`, comma separated, below which files may be registered as data sets; empty means uploads alone",
    ),
    Variable("SANDBOX", "text", "auto", "`bubblewrap`, `process` (resource limits only) or `auto`: bubblewrap where it works"),
    Variable(
        "SANDBOX_ALLOW_PROCESS",
        "flag",
        "false",
        "let production run checks without bubblewrap; only where workers are isolated by other means",
    ),
    Variable("SANDBOX_MEMORY_MB", "integer", "4096", "memory one check may use, in MiB"),
    Variable("CHECKS_PER_MODEL", "integer", "4", "check runs of one model at work at once; 0: no limit", 0),
    Variable("CHECKS_PER_TEAM", "integer", "0", "check runs at work at once on the models that one team owns; 0: no limit", 0),
    Variable(
        "CHECK_LIGHT_MB", "integer", "256", "a check that reads a model's files alone is light up to this size of theirs, in MiB"
    ),
    Variable(
        "CHECK_PARTITION_ROWS",
        "integer",
        "0",
        "a model is asked about a data set of more rows than this in partitions of so many, which any workers take up; rounded up to "
        "batches of 50,000; 0: never",
        0,
    ),
    Variable("SANDBOX_WALL_SECONDS", "integer", "600", "wall-clock seconds one check may take"),
    Variable(
        "MODEL_ENVIRONMENTS",
        "text",
        "build",
        "`build`: a model whose pins the worker does not satisfy is checked in an environment built from them by uv; `own`: only in the worker's",
    ),
    Variable(
        "MODEL_INDEX_URL",
        "url",
        "",
        "package index that these environments are built from; empty means the one that `UV_DEFAULT_INDEX` names",
    ),
    Variable(
        "WEBHOOKS_ALLOW_PRIVATE",
        "flag",
        "false",
        "let webhooks in production go to private addresses and over plain http; locally they always may",
    ),
    Variable(
        "EMAIL_URL",
        "url",
        "",
        "mail server for what waits for people: `smtp+tls://user:password@host:587` (STARTTLS), `smtp+ssl://…:465`, `smtp://…:25` or "
        "`consolemail://` for the log; empty means no mail, and everything is told in the app alone",
    ),
    Variable(
        "EMAIL_FROM",
        "text",
        "",
        "sender of mail, such as `Countersign <countersign@example.org>`; needed, with PUBLIC_URL, where mail is",
    ),
    Variable(
        "JOB_LEASE_SECONDS",
        "integer",
        "30",
        "seconds until the job of a worker that gives no sign of life is given to another; at least 5",
        least=5,
    ),
    Variable("TOKEN_DAYS", "integer", "90", "days until a new API token expires"),
    Variable("LOG_LEVEL", "text", "INFO", "level of the log on standard error: DEBUG, INFO, WARNING or ERROR"),
)

_SOURCE = re.compile(r"/[^/]|file:///[^/]|s3://[^/]+")
_BY_NAME = {variable.name: variable for variable in VARIABLES}


class Environment:
    """Read the table's variables from a mapping, with every mistake reported at once.

    Raises ImproperlyConfigured naming each wrong variable and what was expected of it.
    """

    def __init__(self, source: Mapping[str, str] | None = None) -> None:
        source = os.environ if source is None else source
        self._values: dict[str, Any] = {}
        mistakes = []
        for variable in VARIABLES:
            raw = source.get(variable.name, "") or variable.default
            try:
                self._values[variable.name] = _parse(variable, raw)
            except ValueError as error:
                mistakes.append(f"{variable.name}: {error}")
        mistakes += self._production_mistakes() + self._mail_mistakes()
        if mistakes:
            raise ImproperlyConfigured("The environment is not complete:\n  " + "\n  ".join(mistakes))

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    @property
    def production(self) -> bool:
        return bool(self._values.get("COUNTERSIGN_ENV") == "production")

    @property
    def home(self) -> Path:
        path = Path(self._values["COUNTERSIGN_HOME"])
        return path if path.is_absolute() else BASE_DIR / path

    def _production_mistakes(self) -> list[str]:
        env = self._values.get("COUNTERSIGN_ENV")
        if env not in ("local", "production"):
            return [f"COUNTERSIGN_ENV: expected local or production, got {env!r}"]
        if env != "production":
            return []
        mistakes = []
        if len(self._values.get("SECRET_KEY") or "") < 32:
            mistakes.append(
                "SECRET_KEY: production needs one of at least 32 characters; "
                "make one with `python -c 'import secrets; print(secrets.token_urlsafe(48))'`"
            )
        if not self._values.get("ALLOWED_HOSTS"):
            mistakes.append("ALLOWED_HOSTS: production needs the host names it answers to, comma separated")
        return mistakes

    def _mail_mistakes(self) -> list[str]:
        if not self._values.get("EMAIL_URL"):
            return []
        mistakes = []
        if not _is_sender(self._values.get("EMAIL_FROM") or ""):
            mistakes.append("EMAIL_FROM: mail needs a sender, such as `Countersign <countersign@example.org>`")
        if not self._values.get("PUBLIC_URL"):
            mistakes.append("PUBLIC_URL: mail needs it, since its links lead there")
        return mistakes


def _parse(variable: Variable, raw: str) -> Any:
    if variable.kind == "flag":
        if raw.lower() not in ("true", "false", "1", "0", "yes", "no", "on", "off"):
            raise ValueError(f"expected true or false, got {raw!r}")
        return raw.lower() in environ.Env.BOOLEAN_TRUE_STRINGS
    if variable.kind == "integer":
        if not raw.isdigit() or int(raw) < variable.least:
            raise ValueError(f"expected a whole number of at least {variable.least}, got {raw!r}")
        return int(raw)
    if variable.kind == "list":
        items = [item.strip() for item in raw.split(",") if item.strip()]
        if variable.name == "DATASET_SOURCES" and (wrong := [item for item in items if not _SOURCE.match(item)]):
            raise ValueError(f"expected absolute folders and s3://bucket/prefix, got {wrong[0]!r}")
        return items
    if variable.name == "DATABASE_URL" and raw:
        return _database(raw)
    if variable.name == "EMAIL_URL" and raw:
        return _mail_server(raw)
    if variable.name == "CELERY_BROKER_URL" and raw and urlsplit(raw).scheme not in ("redis", "rediss", "filesystem"):
        raise ValueError(f"expected redis:// or rediss://, got {raw!r}")
    if variable.name == "PUBLIC_URL" and raw and urlsplit(raw).scheme not in ("http", "https"):
        raise ValueError(f"expected an http or https address, got {raw!r}")
    if variable.name == "MODEL_ENVIRONMENTS" and raw not in ("build", "own"):
        raise ValueError(f"expected build or own, got {raw!r}")
    if variable.name == "SANDBOX" and raw not in ("auto", "bubblewrap", "process"):
        raise ValueError(f"expected auto, bubblewrap or process, got {raw!r}")
    if variable.name == "LOG_LEVEL" and raw not in ("DEBUG", "INFO", "WARNING", "ERROR"):
        raise ValueError(f"expected DEBUG, INFO, WARNING or ERROR, got {raw!r}")
    return raw


def _database(raw: str) -> dict[str, Any]:
    if urlsplit(raw).scheme not in ("postgresql", "postgres"):
        raise ValueError("expected postgresql://user:password@host:5432/name; leave it empty for SQLite")
    return dict(environ.Env.db_url_config(raw))


# scheme -> the port where none is given
_MAIL_PORTS = {"smtp": 25, "smtp+tls": 587, "smtp+ssl": 465, "consolemail": 0}


def _mail_server(raw: str) -> dict[str, Any]:
    """Return Django's settings for a mail server."""
    parts = urlsplit(raw)
    if parts.scheme not in _MAIL_PORTS or (parts.scheme != "consolemail" and not parts.hostname):
        raise ValueError(
            "expected smtp+tls://user:password@host:587, smtp+ssl://, smtp:// or consolemail://; leave it empty for no mail"
        )
    config = dict(environ.Env.email_url_config(raw))
    return {
        "EMAIL_BACKEND": config["EMAIL_BACKEND"],
        "EMAIL_HOST": config["EMAIL_HOST"] or "",
        "EMAIL_PORT": config["EMAIL_PORT"] or _MAIL_PORTS[parts.scheme],
        "EMAIL_HOST_USER": config["EMAIL_HOST_USER"] or "",
        "EMAIL_HOST_PASSWORD": config["EMAIL_HOST_PASSWORD"] or "",
        "EMAIL_USE_TLS": parts.scheme == "smtp+tls",
        "EMAIL_USE_SSL": parts.scheme == "smtp+ssl",
    }


def _is_sender(text: str) -> bool:
    name, address = parseaddr(text)
    return text.isprintable() and bool(re.fullmatch(r"[^@\s<>]+@[^@\s<>]+", address)) and (text == address or bool(name))
