"""Run a management command in this process and look at what it printed."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

Run = Callable[..., str]
Refused = Callable[..., CommandError]

POLICY = """\
kind: Policy
name: has-reviewers
title: Somebody looked
requirements:
  - id: always
    title: Always holds
    satisfied_if: "true"
    how_to_satisfy: Nothing is needed.
steps:
  - name: review
    factors: [{group: reviewer, count: 1}]
"""
BINDING = """\
kind: Binding
name: production
policy: has-reviewers
targets:
  stages: [Production]
"""


@pytest.fixture
def run(db: None) -> Run:
    """Run a command and return what it printed."""

    def call(name: str, *arguments: str) -> str:
        out = io.StringIO()
        call_command(name, *arguments, stdout=out)
        return out.getvalue()

    return call


@pytest.fixture
def refused(run: Run) -> Refused:
    """Run a command that must fail and return its error."""

    def call(name: str, *arguments: str) -> CommandError:
        with pytest.raises(CommandError) as raised:
            run(name, *arguments)
        return raised.value

    return call


@pytest.fixture
def policy_file(tmp_path: Path) -> Path:
    path = tmp_path / "policy.yaml"
    path.write_text(POLICY)
    return path


@pytest.fixture
def binding_file(tmp_path: Path) -> Path:
    path = tmp_path / "binding.yaml"
    path.write_text(BINDING)
    return path
