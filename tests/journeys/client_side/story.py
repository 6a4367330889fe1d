"""What a client does, told step by step: each step's outcome is a line of JSON for the test that started this process.

Everything in this folder runs in the client's own interpreter, which has the client and what it drags in, and nothing of ours.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from typing import TypeVar

Step = Callable[[], None]
F = TypeVar("F", bound=Step)

CLIENT = os.environ["JOURNEY_CLIENT"]  # such as mlflow-3
PREFIX = os.environ.get("JOURNEY_PREFIX", CLIENT)  # of all names, since clients share a server
IS_3 = CLIENT.endswith("-3")
STEPS: list[tuple[str, Step]] = []


def step(*clients: str) -> Callable[[F], F]:
    """Tell this function as a step of its chapter, for these clients or for every one."""

    def add(function: F) -> F:
        if not clients or CLIENT in clients:
            STEPS.append((function.__module__, function))
        return function

    return add


def check(holds: object, said: object = "") -> None:
    """Raise AssertionError unless it holds."""
    if not holds:
        raise AssertionError(said)


@contextlib.contextmanager
def refused(code: str, *words: str) -> Iterator[None]:
    """Expect the client to raise its own error with this code, and each of these words in its message."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        check(error.error_code == code, f"{error.error_code} instead of {code}: {error}")
        missing = [word for word in words if word not in str(error)]
        check(not missing, f"{missing} not in: {error}")
    else:
        raise AssertionError(f"nothing was refused; expected {code}")


@contextlib.contextmanager
def acting_as(name: str) -> Iterator[None]:
    """Send another person's token: the client reads it from its environment at each request."""
    own = os.environ["MLFLOW_TRACKING_TOKEN"]
    os.environ["MLFLOW_TRACKING_TOKEN"] = os.environ[f"TOKEN_{name.upper()}"]
    try:
        yield
    finally:
        os.environ["MLFLOW_TRACKING_TOKEN"] = own


def main(chapters: list[str]) -> None:
    out = sys.stdout
    for chapter in chapters:
        importlib.import_module(chapter)
    for chapter, function in STEPS:
        begun, said, error = time.monotonic(), io.StringIO(), ""
        try:
            with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
                function()
        except Exception:
            error = f"{traceback.format_exc()}\nwhat it printed:\n{said.getvalue()[-3000:]}"
        seconds = round(time.monotonic() - begun, 2)
        line = {"chapter": chapter, "step": function.__name__, "seconds": seconds, "error": error}
        print(json.dumps(line), file=out, flush=True)


if __name__ == "__main__":
    sys.modules["story"] = sys.modules["__main__"]  # what the chapters import is this very module
    main(sys.argv[1:])
