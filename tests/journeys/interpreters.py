"""The Python of each unmodified client, in an environment of its own that is made the first time."""

from __future__ import annotations

import os
import re
import subprocess
from functools import cache

import pytest

from scripts.stack import ROOT


@cache
def interpreter(client: str) -> str:
    """Return the Python of a client's environment. Skips the test if no package index can be reached."""
    made = subprocess.run(["sh", "scripts/client.sh", client], cwd=ROOT, capture_output=True, text=True, check=False)
    if made.returncode:
        require_an_index(made.stderr)
    assert made.returncode == 0, made.stderr
    return made.stdout.strip()


def interpreter_with_torch() -> str:
    """Return the Python that TORCH_PYTHON names, else that of the client ``torch-3``.

    Skips the test if the index has no build of PyTorch for processors alone: the other brings gigabytes of drivers.
    """
    if named := os.environ.get("TORCH_PYTHON", ""):
        return named
    try:
        return interpreter("torch-3")
    except AssertionError as failed:
        if re.search(r"no version of torch==\S+\+cpu", str(failed)):
            pytest.skip(
                "the package index has no build of PyTorch for processors alone; TORCH_PYTHON may name an interpreter with one"
            )
        raise


def require_an_index(said: str) -> None:
    """Skip if the package index cannot be reached; whatever else went wrong is the caller's to tell."""
    if re.search(r"dns error|client error \(Connect\)|Network is unreachable|offline", said, re.IGNORECASE):
        pytest.skip(f"no package index can be reached: {said[-300:]}")
