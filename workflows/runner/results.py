"""Read what a check found: what the child left in its folder, which a hostile model may have written, or what a pipeline reported."""

from __future__ import annotations

import math
import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from core.canonical import LARGEST_INTEGER
from governance.checks.base import Finding, Measurement, Table
from workflows.runner.outcome import Progress

MOST_MEASUREMENTS = 10_000
MOST_FINDINGS = 10_000
MOST_TABLES = 50
MOST_ROWS = 5000
_PROGRESS_TAIL_BYTES = 4096
_BLOCK_BYTES = 1 << 20

# As long as the columns of the register are, at most.
_Name = Annotated[str, msgspec.Meta(max_length=200)]
_ShortName = Annotated[str, msgspec.Meta(max_length=100)]
_Method = Annotated[str, msgspec.Meta(max_length=300)]
_Location = Annotated[str, msgspec.Meta(max_length=1500)]
_Text = Annotated[str, msgspec.Meta(max_length=2000)]
_Count = Annotated[int, msgspec.Meta(ge=0, le=LARGEST_INTEGER)]
_Whole = Annotated[int, msgspec.Meta(ge=-LARGEST_INTEGER, le=LARGEST_INTEGER)]
_Cell = _Text | _Whole | float | None


_Given = Iterable[Mapping[str, Any]]
_MEASUREMENT: dict[str, Any] = {"slice": "", "n": None, "ci_low": None, "ci_high": None, "method": ""}


class InvalidResult(Exception):
    """The result is not what a check can write."""


class _Strict(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Refuses fields that nobody expects."""


class _Measurement(_Strict, frozen=True):
    metric: _ShortName
    value: float | None
    slice: _Name
    n: _Count | None
    ci_low: float | None
    ci_high: float | None
    method: _Method


class _Finding(_Strict, frozen=True):
    rule: _ShortName
    severity: Literal["info", "low", "medium", "high", "critical"]
    location: _Location
    message: _Text


class _Table(_Strict, frozen=True):
    name: _ShortName
    title: _Name
    columns: Annotated[tuple[_Name, ...], msgspec.Meta(max_length=64)]
    rows: Annotated[tuple[tuple[_Cell, ...], ...], msgspec.Meta(max_length=MOST_ROWS)]


class _Progress(msgspec.Struct, frozen=True):
    done: float
    text: str


class _Error(_Strict, frozen=True):
    code: Annotated[str, msgspec.Meta(pattern="^[a-z][a-z0-9_]{0,63}$")]
    message: _Text


class _Document(_Strict, frozen=True):
    status: Literal["completed", "error", "skipped"]
    error: _Error | None
    measurements: Annotated[tuple[_Measurement, ...], msgspec.Meta(max_length=MOST_MEASUREMENTS)]
    findings: Annotated[tuple[_Finding, ...], msgspec.Meta(max_length=MOST_FINDINGS)]
    tables: Annotated[tuple[_Table, ...], msgspec.Meta(max_length=MOST_TABLES)]
    environment: Annotated[dict[_Name, _Name], msgspec.Meta(max_length=64)]
    seconds: Annotated[float, msgspec.Meta(ge=0)]


class Result(msgspec.Struct, frozen=True):
    """A result that has passed: bounded, finite, and consistent with its status. error_code: also of a check that was skipped."""

    skipped: bool
    error_code: str
    error_message: str
    measurements: tuple[Measurement, ...]
    findings: tuple[Finding, ...]
    tables: tuple[Table, ...]
    environment: dict[str, str]


def read_result(path: Path, limit_bytes: int) -> Result | None:
    """Return the result in `path`, or None if there is none. Raises InvalidResult with the reason."""
    raw = _read(path, limit_bytes)
    if raw is None:
        return None
    try:
        document = msgspec.json.decode(raw, type=_Document, strict=True)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as cause:
        raise InvalidResult(str(cause)[:500]) from cause
    return _result(document)


def reported_result(measurements: _Given, findings: _Given, tables: _Given) -> Result:
    """Return what was measured elsewhere, if it is within the bounds of what the child may write. Raises InvalidResult with the reason.

    Rows are JSON objects; members that may be empty may be left out.
    """
    given: dict[str, Any] = {
        "status": "completed",
        "error": None,
        "measurements": [{**_MEASUREMENT, **each} for each in measurements],
        "findings": [{"location": "", **each} for each in findings],
        "tables": [{"title": "", **each} for each in tables],
        "environment": {},
        "seconds": 0.0,
    }
    try:
        document = msgspec.convert(given, type=_Document, strict=True)
    except (msgspec.ValidationError, RecursionError) as cause:
        raise InvalidResult(str(cause)[:500]) from cause
    _fits(document)
    return _result(document)


def _fits(document: _Document) -> None:
    """Refuse what is longer than the columns that keep it."""
    texts = [(text, most) for m in document.measurements for text, most in ((m.metric, 100), (m.method, 300))]
    texts += [(text, most) for f in document.findings for text, most in ((f.rule, 100), (f.location, 1500))]
    texts += [(table.name, 100) for table in document.tables]
    for text, most in texts:
        if len(text) > most:
            raise InvalidResult(f"{text[:40]!r}… is longer than {most} characters")


def _result(document: _Document) -> Result:
    _check(document)
    return Result(
        document.status == "skipped",
        document.error.code if document.error else "",
        document.error.message if document.error else "",
        tuple(Measurement(**msgspec.structs.asdict(each)) for each in document.measurements),
        tuple(Finding(**msgspec.structs.asdict(each)) for each in document.findings),
        tuple(Table(**msgspec.structs.asdict(each)) for each in document.tables),
        document.environment,
    )


def _check(document: _Document) -> None:
    if (document.status == "completed") != (document.error is None):
        raise InvalidResult("its status and its error contradict each other")
    if document.error and (document.measurements or document.findings or document.tables):
        raise InvalidResult("it carries an error and measurements at once")
    for each in document.measurements:
        if not all(value is None or math.isfinite(value) for value in (each.value, each.ci_low, each.ci_high)):
            raise InvalidResult(f"{each.metric} is not a finite number")
    _once([f"{each.metric}[{each.slice}]" for each in document.measurements], "measurement")
    _once([table.name for table in document.tables], "table")
    for table in document.tables:
        if any(len(row) != len(table.columns) for row in table.rows):
            raise InvalidResult(f"a row of the table {table.name} has another length than its columns")
        if any(isinstance(cell, float) and not math.isfinite(cell) for row in table.rows for cell in row):
            raise InvalidResult(f"the table {table.name} holds a number that is not finite")


def _once(names: list[str], what: str) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise InvalidResult(f"the {what} {name} is there twice")
        seen.add(name)


def read_progress(path: Path) -> Progress | None:
    """Return the last whole line of progress, or None if there is none that can be believed."""
    try:
        raw = _read(path, 1 << 30, tail_bytes=_PROGRESS_TAIL_BYTES)
    except InvalidResult:
        return None
    for line in reversed((raw or b"").splitlines()):
        try:
            progress = msgspec.json.decode(line, type=_Progress)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            continue
        return Progress(min(max(progress.done, 0.0), 1.0), printable(progress.text)[:200])
    return None


def take(path: Path, target: Path, limit_bytes: int) -> None:
    """Copy a file that the child wrote to a new one, without reading what is in it. Raises InvalidResult if there is no plain file."""
    with _opened(path, limit_bytes) as opened:
        if opened is None:
            raise InvalidResult(f"there is no {path.name}")
        descriptor, size = opened
        with target.open("xb") as file:
            for start in range(0, size, _BLOCK_BYTES):
                file.write(_read_all(descriptor, start, min(size, start + _BLOCK_BYTES)))


def _read(path: Path, limit_bytes: int, tail_bytes: int = 0) -> bytes | None:
    """Return the bytes of a plain file; never of a link, nor of a pipe, which would keep us waiting."""
    with _opened(path, limit_bytes) as opened:
        if opened is None:
            return None
        descriptor, size = opened
        # The child may still be writing: never read more than what was measured.
        return _read_all(descriptor, max(0, size - tail_bytes) if tail_bytes else 0, size)


@contextmanager
def _opened(path: Path, limit_bytes: int) -> Iterator[tuple[int, int] | None]:
    """Yield the descriptor of a plain file and its length, or None if there is no file. Raises InvalidResult for anything else."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        yield None
        return
    except OSError as cause:
        raise InvalidResult(f"{path.name} cannot be opened as a plain file ({cause.strerror})") from cause
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
            raise InvalidResult(f"{path.name} is not a plain file")
        if status.st_size > limit_bytes:
            raise InvalidResult(f"{path.name} is larger than {limit_bytes} bytes")
        yield descriptor, status.st_size
    finally:
        os.close(descriptor)


def _read_all(descriptor: int, start: int, end: int) -> bytes:
    pieces = []
    while start < end and (piece := os.pread(descriptor, end - start, start)):
        pieces.append(piece)
        start += len(piece)
    return b"".join(pieces)


def printable(text: str) -> str:
    """Return the text without control characters, which could rewrite a terminal or a log line; line ends stay."""
    return "".join(each if each.isprintable() or each in "\n\t" else "\N{REPLACEMENT CHARACTER}" for each in text)
