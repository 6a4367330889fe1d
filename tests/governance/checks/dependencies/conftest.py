"""A model that asks for something, and lists to judge it by."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from governance.checks.dependencies import Dependencies
from governance.checks.subject import Subject
from tests.governance.checks.dependencies.asking import ADVISORY, Outcome, run, saved_as


@pytest.fixture
def model(tmp_path: Path) -> Callable[..., Path]:
    """A function that writes a model's files; a dot in a name is written as __."""

    def write(requirements: str | bytes | None = None, **others: str | bytes) -> Path:
        folder = tmp_path / "model"
        folder.mkdir(exist_ok=True)
        named = {"requirements.txt": requirements, **{name.replace("__", "."): text for name, text in others.items()}}
        for name, content in named.items():
            if content is not None:
                (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        return folder

    return write


@pytest.fixture
def listed(tmp_path: Path, model: Any) -> Callable[..., Outcome]:
    """A function that runs the check on requirements with a list of advisories, and perhaps of licences."""

    def review(
        requirements: str,
        *known: tuple[Any, ...],
        stated: list[tuple[Any, ...]] | None = None,
        allowed: tuple[str, ...] = (),
        suffix: str = "csv",
    ) -> Outcome:
        others = {}
        if known:
            frame = pd.DataFrame(known, columns=ADVISORY)
            others["advisories"] = saved_as(frame, tmp_path / f"advisories.{suffix}")
        if stated is not None:
            frame = pd.DataFrame(stated, columns=["package", "version", "licence"])
            others["licences"] = saved_as(frame, tmp_path / f"licences.{suffix}")
        check = Dependencies(
            advisories="advisories" if known else "", licences="licences" if stated else "", allowed_licences=allowed
        )
        return run(replace(Subject(model(requirements)), others=others), check)

    return review
