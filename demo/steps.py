"""Say what happens, and stop at the first thing that does not hold."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager


class StepFailed(Exception):
    """Something that the demo promises did not happen."""


def say(text: str) -> None:
    """Print a line at once, also into a pipe."""
    print(text, flush=True)


def hold(condition: object, promise: str) -> None:
    """Print a promise that holds. Raises StepFailed if it does not."""
    if not condition:
        raise StepFailed(promise)
    say(f"    ok  {promise}")


def progress(text: str) -> None:
    """Show how far something is: over the same place on a terminal, as lines elsewhere."""
    if sys.stdout.isatty():
        sys.stdout.write(f"\r\033[K    ..  {text}")
        sys.stdout.flush()
    else:
        say(f"    ..  {text}")


def progress_over() -> None:
    """Leave the place where progress was shown."""
    if sys.stdout.isatty():
        sys.stdout.write("\r\033[K")


@contextmanager
def step(number: int, title: str) -> Iterator[None]:
    """Head a step and time it."""
    say(f"\n{number}. {title}")
    started = time.monotonic()
    yield
    say(f"    {time.monotonic() - started:.1f} s")
