"""The settings table: what is wrong is named with what was expected, and production refuses insecure defaults."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from config.environment import BASE_DIR, Environment

GOOD_KEY = "k" * 40


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("COUNTERSIGN_ENV", "staging", "expected local or production, got 'staging'"),
        ("DATABASE_URL", "mysql://h/db", "expected postgresql://"),
        ("CELERY_BROKER_URL", "amqp://h", "expected redis://"),
        ("PUBLIC_URL", "models.example.org", "expected an http or https address"),
        ("DATASET_SOURCES", "/srv/data, data", "expected absolute folders and s3://bucket/prefix, got 'data'"),
        ("SANDBOX", "docker", "expected auto, bubblewrap or process"),
        ("SANDBOX_ALLOW_PROCESS", "perhaps", "expected true or false, got 'perhaps'"),
        ("SANDBOX_WALL_SECONDS", "0", "expected a whole number of at least 1"),
        ("TOKEN_DAYS", "ninety", "expected a whole number of at least 1, got 'ninety'"),
        ("LOG_LEVEL", "loud", "expected DEBUG, INFO, WARNING or ERROR"),
    ],
)
def test_a_wrong_value_is_told_with_its_name_and_what_was_expected(name: str, value: str, expected: str) -> None:
    Environment({})
    with pytest.raises(ImproperlyConfigured) as raised:
        Environment({name: value})
    assert f"{name}: {expected}" in str(raised.value)


def test_every_mistake_is_told_at_once() -> None:
    with pytest.raises(ImproperlyConfigured) as raised:
        Environment({"COUNTERSIGN_ENV": "production", "TOKEN_DAYS": "x", "SANDBOX": "y"})
    for name in ("SECRET_KEY", "ALLOWED_HOSTS", "TOKEN_DAYS", "SANDBOX"):
        assert f"\n  {name}: " in str(raised.value)


def test_values_come_typed_and_an_empty_one_is_the_default() -> None:
    env = Environment({"ALLOWED_HOSTS": "a.example, b.example", "SANDBOX_ALLOW_PROCESS": "yes", "TOKEN_DAYS": ""})
    assert env["ALLOWED_HOSTS"] == ["a.example", "b.example"]
    assert env["SANDBOX_ALLOW_PROCESS"] is True
    assert env["TOKEN_DAYS"] == 90
    assert env.home == BASE_DIR / "var" and not env.production


@pytest.mark.parametrize("key", ["", "short", "x" * 31])
def test_production_needs_a_long_secret_key(key: str) -> None:
    given = {"COUNTERSIGN_ENV": "production", "ALLOWED_HOSTS": "h"}
    assert Environment({**given, "SECRET_KEY": GOOD_KEY}).production
    with pytest.raises(ImproperlyConfigured, match="at least 32 characters"):
        Environment({**given, "SECRET_KEY": key})


def _manage_check(tmp_path: Path, **given: str) -> subprocess.CompletedProcess[str]:
    keep = {name: os.environ[name] for name in ("PATH", "LANG", "HOME") if name in os.environ}
    return subprocess.run(
        [sys.executable, "manage.py", "check"],
        cwd=BASE_DIR,
        env={**keep, "COUNTERSIGN_HOME": str(tmp_path), **given},
        capture_output=True,
        text=True,
    )


def test_a_production_process_does_not_start_without_its_key(tmp_path: Path) -> None:
    refused = _manage_check(tmp_path, COUNTERSIGN_ENV="production", ALLOWED_HOSTS="models.example.org")
    assert refused.returncode != 0
    assert "SECRET_KEY: production needs one" in refused.stderr
    assert not (tmp_path / "secret_key").exists()

    started = _manage_check(tmp_path, COUNTERSIGN_ENV="production", ALLOWED_HOSTS="models.example.org", SECRET_KEY=GOOD_KEY)
    assert started.returncode == 0, started.stderr


def test_a_local_key_is_made_once_and_readable_by_its_owner_alone(tmp_path: Path) -> None:
    assert _manage_check(tmp_path).returncode == 0
    key = (tmp_path / "secret_key").read_text()
    assert len(key) >= 48
    assert (tmp_path / "secret_key").stat().st_mode & 0o077 == 0
    assert _manage_check(tmp_path).returncode == 0
    assert (tmp_path / "secret_key").read_text() == key
