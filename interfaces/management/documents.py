"""Read documents given by file name, and say in refusals which file was meant."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from core.errors import DomainError, Invalid


@contextmanager
def reading(path: Path) -> Iterator[str]:
    """Give the text of a file. Raises Invalid if it cannot be read; a refusal of the body is raised again with the file's name."""
    try:
        # As bytes: a document's digest is over its text as it is, whatever its line ends.
        text = path.read_bytes().decode()
    except (OSError, UnicodeDecodeError) as error:
        raise Invalid(f"{path}: {error}") from error
    try:
        yield text
    except DomainError as error:
        mistakes = [m["message"] if isinstance(m, Mapping) else str(m) for m in error.details.get("mistakes", ())]
        lines = [error.message, *(m for m in mistakes if m not in error.message)]
        raise Invalid("\n".join(f"{path}: {line}" for line in lines), code=error.code) from error
