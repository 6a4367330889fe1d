"""The cast, fixed and named by role, and what every test may lean on."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import cache
from django.db import connection
from django.db.backends.base.operations import BaseDatabaseOperations

from core.models import User
from tests import databases
from tests.cast import person

# Begun first, so that no process waits for the other one to end one of these at last; after them files with the most tests.
_LONGEST = (
    *("tests/workflows/test_state_machine.py", "tests/journeys", "tests/interfaces/moving", "tests/scripts/test_stack.py"),
    *(
        "tests/workflows/runner",
        "tests/hostile/test_behaviour.py",
        "tests/workflows/test_checking.py",
        "tests/benchmarks",
        "tests/core/test_lost_worker.py",
    ),
    *("tests/fuzz", "tests/governance/test_sync.py", "tests/governance/test_calendars.py"),
    "tests/browser/test_reviewing.py::test_no_situation",
    "tests/browser/test_registers.py",
    "tests/browser/test_access.py",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--engine", action="store_true", help="leave out what no other database or broker can change")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--engine"):
        left_out = [item for item in items if not _uses_an_engine(item)]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if _uses_an_engine(item)]
    size = Counter(item.path for item in items if hasattr(config, "workerinput"))
    items.sort(key=lambda item: (_rank(item), -size[item.path]))


def _rank(item: pytest.Item) -> int:
    return next((i for i, path in enumerate(_LONGEST) if item.nodeid.startswith(path)), len(_LONGEST))


def _uses_an_engine(item: pytest.Item) -> bool:
    fixtures = getattr(item, "fixturenames", ())
    marks = ("django_db", "journey", "browser")
    return any(item.get_closest_marker(mark) for mark in marks) or any(f in fixtures for f in ("db", "transactional_db"))


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings_parallel_suffix: None) -> None:
    """Let this process's database begin as a copy; Django still migrates it, which finds nothing to do."""
    if connection.vendor == "postgresql":
        connection.settings_dict["TEST"]["TEMPLATE"] = databases.template_of(os.environ["DATABASE_URL"])
        return
    make = connection.creation._create_test_db

    def copy(verbosity: int, autoclobber: bool, keepdb: bool = False) -> Any:
        path = make(verbosity, autoclobber, keepdb)
        if not keepdb:
            databases.copy_to(Path(path))
        return path

    connection.creation._create_test_db = copy


@contextmanager
def _triggers_away() -> Iterator[None]:
    """Let a test database be emptied: only the test suite, as the database's owner, ever does this."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SET session_replication_role = replica")
            yield
            cursor.execute("SET session_replication_role = DEFAULT")
            return
        cursor.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'")
        triggers = cursor.fetchall()
        for name, _ in triggers:
            cursor.execute(f"DROP TRIGGER {name}")
        yield
        for _, sql in triggers:
            cursor.execute(sql)


_flush = BaseDatabaseOperations.execute_sql_flush


# What Django would make anew after each test, the same every time.
_STAY = ("django_content_type", "auth_permission")


def _flush_append_only(self: Any, sql_list: list[str]) -> None:
    given = _deletions() if connection.vendor == "postgresql" else sql_list
    with _triggers_away():
        _flush(self, [statement for statement in given if not any(table in statement for table in _STAY)])


def _deletions() -> list[str]:
    """Return what empties the tables that have rows; to truncate all, as Django does, makes each table's files anew."""
    tables = connection.introspection.django_table_names(only_existing=True, include_views=False)
    with connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join(f"SELECT '{table}' WHERE EXISTS (SELECT FROM {table})" for table in tables))
        return [f"DELETE FROM {table}" for (table,) in cursor.fetchall()]


BaseDatabaseOperations.execute_sql_flush = _flush_append_only  # type: ignore[method-assign]


@pytest.fixture(autouse=True)
def _no_attempts_before() -> None:
    """Begin without wrong passwords: they are counted in a cache, which no rollback empties."""
    cache.clear()


@pytest.fixture
def dana(db: None) -> User:
    """The data scientist."""
    return person("dana", "data-scientist")


@pytest.fixture
def ravi(db: None) -> User:
    """A reviewer."""
    return person("ravi", "reviewer")


@pytest.fixture
def rosa(db: None) -> User:
    """Another reviewer."""
    return person("rosa", "reviewer")


@pytest.fixture
def aude(db: None) -> User:
    """The auditor."""
    return person("aude", "auditor")


@pytest.fixture
def pat(db: None) -> User:
    """The platform admin."""
    return person("pat", "platform-admin")


@pytest.fixture
def mallory(db: None) -> User:
    """The outsider: an account without any role."""
    return person("mallory")
