"""A Countersign of a test's own that serves over HTTP: the web process alone, on a database that nothing else uses."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg

from scripts.stack import Stack, free_port
from tests import databases


@contextmanager
def serving(home: Path) -> Iterator[Stack]:
    """Yield a healthy instance on SQLite, or on a new database of the PostgreSQL that DATABASE_URL names."""
    with own_database() as url:
        if not url:
            databases.fill(home)
        # Nothing works on jobs here, so their messages go to files of its own and not into a Redis that others read.
        environment = {"DATABASE_URL": url, "CELERY_BROKER_URL": ""}
        with Stack(port=free_port(), home=home, environment=environment, services=["web"]) as stack:
            yield stack


def tokens(stack: Stack, people: dict[str, str]) -> dict[str, str]:
    """Make accounts, name -> role (or none), by one command, and return a token of each."""
    done = stack.run(["python", "-m", "tests.seed", json.dumps(people)])
    assert done.returncode == 0, done.stderr
    issued: dict[str, str] = json.loads(done.stdout)
    return issued


@contextmanager
def own_database(*, empty: bool = False) -> Iterator[str]:
    """Yield the address of a new database of the PostgreSQL that DATABASE_URL names, or nothing where that is not set: SQLite.

    It is up to date, unless it is to be empty.
    """
    given = os.environ.get("DATABASE_URL", "")
    if not given:
        yield ""
        return
    name, template = f"live_{secrets.token_hex(6)}", "template1" if empty else databases.template_of(given)
    with psycopg.connect(given, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        try:
            yield urlunsplit(urlsplit(given)._replace(path=f"/{name}"))
        finally:
            connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
