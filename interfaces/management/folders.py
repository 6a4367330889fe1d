"""Read a folder of policies, parameters and bindings, such as a git checkout: every document with the file and line it stands at."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import yaml

from governance.sync import FileMistake, Source

LARGEST = 1_000_000  # bytes of a file


def read_folder(root: Path) -> tuple[list[Source], list[FileMistake]]:
    """Return the documents in all ``*.yaml`` below a folder, by file name, and what cannot be read.

    Whatever begins with a dot is left alone, such as ``.git``. A link that leads out of the folder is a mistake: passing over
    what it names would read as if it were gone.
    """
    if not root.is_dir():
        return [], [FileMistake(str(root), 1, 1, "there is no such folder")]
    sources: list[Source] = []
    mistakes: list[FileMistake] = []
    for path in sorted(_files(root), key=lambda path: path.relative_to(root).parts):
        shown = str(path)
        try:
            sources += documents(shown, _text(root.resolve(), path))
        except yaml.YAMLError as error:
            mistakes.append(_malformed(shown, error))
        except (OSError, RuntimeError, ValueError) as error:  # RuntimeError: links in a circle
            mistakes.append(FileMistake(shown, 1, 1, str(error)))
    return sources, mistakes


def documents(file: str, text: str) -> list[Source]:
    """Return the documents of a file. One that stands alone is the file's text, byte for byte; several are parted by ``---``."""
    events = yaml.parse(text, Loader=yaml.SafeLoader)
    begins = [event.start_mark.line for event in events if isinstance(event, yaml.DocumentStartEvent) and event.start_mark]
    if len(begins) == 1:
        return [Source(file, text)]
    lines = text.splitlines(keepends=True)
    found = []
    for begin, end in zip(begins, [*begins, len(lines)][1:], strict=True):
        # The first may begin without a marker; what stands beside a marker is part of its document.
        marked = _BARE.match(lines[begin]) if begin < len(lines) else None
        first = begin + 1 if marked else begin
        body = "".join(lines[first:end])
        if any(line.strip() and not line.lstrip().startswith("#") for line in body.splitlines()):
            found.append(Source(file, body, first))
    return found


_BARE = re.compile(r"---\s*(#.*)?$")


def _files(root: Path) -> Iterator[Path]:
    for entry in root.iterdir():
        if entry.name.startswith("."):
            continue
        if entry.is_dir() and not entry.is_symlink():
            yield from _files(entry)
        elif entry.suffix in (".yaml", ".yml") or (entry.is_symlink() and entry.is_dir()):
            yield entry


def _text(root: Path, path: Path) -> str:
    """Return a file's text. Raises ValueError, saying what to do, for what is not read."""
    if not path.resolve().is_relative_to(root):
        raise ValueError("is a link out of the folder; put the file itself here")
    if path.is_dir():
        return ""  # a link to what is read under its own name
    if path.suffix == ".yml":
        raise ValueError("only files ending in .yaml are read; rename it")
    if not path.is_file():
        raise ValueError("is not a file; take it out")
    if path.stat().st_size > LARGEST:
        raise ValueError(f"is larger than {LARGEST:,} bytes; part it")
    try:
        return path.read_bytes().decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"is not UTF-8: byte {error.start} does not belong there") from None


def _malformed(file: str, error: yaml.YAMLError) -> FileMistake:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    mark = error.problem_mark if isinstance(error, yaml.MarkedYAMLError) else None
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    return FileMistake(file, line, column, f"not valid YAML: {getattr(error, 'problem', None) or error}")
