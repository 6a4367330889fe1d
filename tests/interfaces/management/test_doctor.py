"""doctor."""

from __future__ import annotations

import os

import pytest

from interfaces.management.commands import doctor


def test_a_healthy_instance_is_told_piece_by_piece(run, settings, tmp_path) -> None:
    settings.ARTIFACT_ROOT = str(tmp_path / "artifacts")
    settings.SANDBOX, settings.SANDBOX_ALLOW_PROCESS, settings.UV_PROGRAM = "process", True, "/usr/bin/uv"
    lines = {line.split()[1]: line.split()[0] for line in run("doctor").splitlines()}
    assert lines == {
        "database": "ok",
        "broker": "ok",
        "storage": lines["storage"],
        "sandbox": "warning",
        "models": "ok",
        "account": "warning" if os.getuid() == 0 else "ok",
    }
    assert lines["storage"] != "failure"
    assert list((tmp_path / "artifacts").iterdir()) == []


def test_artifacts_that_cannot_be_written_are_a_failure(refused, settings, tmp_path) -> None:
    (tmp_path / "file").write_text("")
    settings.ARTIFACT_ROOT = str(tmp_path / "file" / "artifacts")
    error = refused("doctor")
    assert error.returncode == 1 and "storage" in str(error)


def test_checks_without_any_sandbox_are_a_failure_where_that_is_not_allowed(settings, monkeypatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    settings.SANDBOX, settings.SANDBOX_ALLOW_PROCESS = "auto", True
    assert doctor.sandbox().state == "warning"
    settings.SANDBOX_ALLOW_PROCESS = False
    assert doctor.sandbox().state == "failure"
    assert "checks will refuse to run" in doctor.sandbox().sentence


@pytest.mark.parametrize(("uid", "state"), [(0, "warning"), (1000, "ok")])
def test_running_as_root_is_told(uid: int, state: str, monkeypatch) -> None:
    monkeypatch.setattr(os, "getuid", lambda: uid)
    assert doctor.account().state == state


def test_a_sandbox_that_bubblewrap_cannot_make_is_told_with_its_reason(settings, monkeypatch, tmp_path) -> None:
    settings.SANDBOX, settings.SANDBOX_ALLOW_PROCESS = "bubblewrap", True
    fake = tmp_path / "bwrap"
    fake.write_text("#!/bin/sh\necho 'No permissions to create new namespace' >&2\nexit 1\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    found = doctor.sandbox()
    assert found.state == "failure" and "No permissions to create new namespace" in found.sentence


@pytest.mark.parametrize(
    ("how", "program", "index", "state", "words"),
    [
        ("build", "/usr/bin/uv", "https://packages.example.org/simple", "ok", "from packages.example.org"),
        ("build", "/usr/bin/uv", "", "ok", "MODEL_INDEX_URL names another"),
        ("build", "", "", "warning", "uv is not installed"),
        ("own", "/usr/bin/uv", "", "ok", "MODEL_ENVIRONMENTS=own"),
    ],
)
def test_what_builds_the_environments_of_models_is_told(how, program, index, state, words, settings, monkeypatch) -> None:
    monkeypatch.delenv("UV_DEFAULT_INDEX", raising=False)
    settings.MODEL_ENVIRONMENTS, settings.UV_PROGRAM, settings.MODEL_INDEX_URL = how, program, index
    found = doctor.models()
    assert found.state == state and words in found.sentence
