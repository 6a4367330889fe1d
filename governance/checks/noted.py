"""A model's answers to the rows of a part of the evaluation set, noted in a file, and given again in the place of the model.

A file is a sequence of messages as between the processes of a check (see ``predictor``). The first says which run and rows it is of:
`{"run", "start", "stop"}`. Each other one is the answer to a batch of ROWS_AT_ONCE rows, as it came from the model, behind
`{"of", "op", "start", "rows", "answer"}`; or, instead of `answer`, why the champion gave none: `error: {"code", "message"}`. So what is
measured of noted answers is what would have been measured of the model's own: they are read by the same code, and trusted no more.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from governance.checks import predictor
from governance.checks.base import CheckError, MissingInput
from governance.checks.model import ROWS_AT_ONCE, Model, Remote

if TYPE_CHECKING:
    import pandas as pd

    from governance.checks.subject import Subject

LOAD = "load"
_OPS = frozenset({LOAD, "predict", "probabilities"})
_MOST_HEADER_BYTES = 64 << 20


class InvalidAnswers(CheckError):
    """Noted answers are not what was noted."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__("invalid_answers", f"The answers noted in {path.name} were refused: {reason}. Run the check again.")


@dataclass(frozen=True)
class Part:
    """Rows of the evaluation set, from start (counted from 0) to before stop, that a run asks about. start: a multiple of ROWS_AT_ONCE.

    asks: as the check says it (see ``Check``). run: its id.
    """

    run: str
    start: int
    stop: int
    asks: str


def borders(rows: int, at_most: int) -> list[tuple[int, int]]:
    """Return where partitions of so many rows begin and end: of whole batches, so that the model is sent the same ones as in one piece."""
    step = -(-at_most // ROWS_AT_ONCE) * ROWS_AT_ONCE
    return [(start, min(start + step, rows)) for start in range(0, rows, step)]


class Notes:
    """Writes answers to a file, up to so many bytes. Raises CheckError for more."""

    def __init__(self, target: BinaryIO, most_bytes: int, part: Part) -> None:
        self._target, self._left = target, most_bytes
        self._write({"run": part.run, "start": part.start, "stop": part.stop})

    def add(self, of: str, op: str, start: int, rows: int, answer: dict[str, Any], content: bytes) -> None:
        """Note what was answered to a batch."""
        self._write({"of": of, "op": op, "start": start, "rows": rows, "answer": answer}, content)

    def add_error(self, of: str, op: str, start: int, rows: int, error: CheckError) -> None:
        """Note why there is no answer to a batch, or, for `load`, to any."""
        self._write({"of": of, "op": op, "start": start, "rows": rows, "error": {"code": error.code, "message": error.message}})

    def _write(self, header: dict[str, Any], content: bytes = b"") -> None:
        head = json.dumps(header).encode()
        self._left -= predictor.LENGTHS.size + len(head) + len(content)
        if self._left < 0 or len(head) > _MOST_HEADER_BYTES:
            raise CheckError(
                "answers_too_large",
                "The model's answers to one partition of the rows take too much space. Let its operator set smaller partitions.",
            )
        predictor.write(self._target, header, content)


def note(subject: Subject, part: Part, notes: Notes) -> None:
    """Ask the model, then the champion if there is one, about the rows of a part, and note the answers.

    A fault of the model's is raised, one of the champion's noted: that is no fault of the version's. Raises CheckError.
    """
    asked = [("model", subject)] if subject.champion is None else [("model", subject), ("champion", subject.champion)]
    for number, (name, of) in enumerate(asked):

        def tell(done: float, row: int, number: int = number, name: str = name) -> None:
            whose = "" if name == "model" else "Champion: "
            subject.progress((number + done) / len(asked), f"{whose}Scoring row {row + 1:,} of the rows up to {part.stop:,}")

        _Asking(name, of, part, notes, tell).through()


class _Asking:
    """Puts the questions of a check about one batch after the other. A model that gives no probabilities is asked for them once."""

    def __init__(self, name: str, of: Subject, part: Part, notes: Notes, tell: Callable[[float, int], None]) -> None:
        self._name, self._of, self._part, self._notes, self._tell = name, of, part, notes, tell
        self._at = LOAD, part.start, 0
        self._gives_probabilities = part.asks != "predictions"

    def through(self) -> None:
        try:
            self._ask()
        except CheckError as error:
            if self._name == "model":
                raise
            self._notes.add_error(self._name, *self._at, error)

    def _ask(self) -> None:
        remote, part = self._of.predictor, self._part
        if not isinstance(remote, Remote):
            raise MissingInput("a model that answers from a process of its own", "Start it in the sandbox.")
        Model(remote)
        start = part.start
        for rows in self._of.reader.batches(self._of.feature_names, start=start):
            self._tell((start - part.start) / (part.stop - part.start), start)
            if part.asks == "both":
                self._about("predict", remote, rows, start)
            if self._gives_probabilities:
                answer = self._about("probabilities", remote, rows, start)
                self._gives_probabilities = answer.get("classes", "") is not None
            if part.asks != "both" and not self._gives_probabilities:
                self._about("predict", remote, rows, start)
            start += len(rows)
            if start >= part.stop:
                return

    def _about(self, op: str, remote: Remote, rows: pd.DataFrame, start: int) -> dict[str, Any]:
        self._at = op, start, len(rows)
        answer, content = remote.answer(op, rows)
        self._notes.add(self._name, op, start, len(rows), answer, content)
        return answer


@dataclass(frozen=True)
class _Place:
    """Where an answer stands. error: what there is instead."""

    path: Path
    offset: int
    rows: int
    error: CheckError | None


class Noted:
    """The answers of all parts of a run. Raises InvalidAnswers for what is no such file, or of another run or other rows."""

    def __init__(self, files: Iterable[tuple[Path, int, int]], run: str) -> None:
        """Look through the files: each with the rows that it is to be of."""
        self._places: dict[tuple[str, str, int], _Place] = {}
        self._load_errors: dict[str, CheckError] = {}
        for path, start, stop in files:
            self._look_through(path, {"run": run, "start": start, "stop": stop})

    def load_error(self, of: str) -> CheckError | None:
        """Return why a model could not be loaded."""
        return self._load_errors.get(of)

    def answer(self, of: str, op: str, rows: pd.DataFrame) -> tuple[dict[str, Any], bytes]:
        """Return what was answered to these rows, which are a batch as it was asked about. Raises CheckError, also a noted one."""
        start = int(rows.index[0])
        place = self._places.get((of, op, start))
        if place is None or place.rows != len(rows):
            raise CheckError(
                "invalid_answers",
                f"No answer of the {of} to {op} was noted for the {len(rows):,} rows from {start + 1:,} on. Run the check again.",
            )
        if place.error is not None:
            raise place.error
        with place.path.open("rb") as file:
            file.seek(place.offset)
            header, length = _header(file, place.path)
            return header["answer"], file.read(length)

    def _look_through(self, path: Path, expected: Mapping[str, Any]) -> None:
        with path.open("rb") as file:
            size = path.stat().st_size
            while (offset := file.tell()) < size:
                header, length = _header(file, path)
                if file.seek(length, 1) > size:
                    raise InvalidAnswers(path, "it was cut off")
                if offset:
                    self._keep(path, offset, header, expected["start"], expected["stop"])
                elif header != expected:
                    raise InvalidAnswers(path, "it is of another run or of other rows")

    def _keep(self, path: Path, offset: int, header: dict[str, Any], first: int, stop: int) -> None:
        of, op, start, rows = (header.get(name) for name in ("of", "op", "start", "rows"))
        if of not in ("model", "champion") or op not in _OPS or type(start) is not int or type(rows) is not int:
            raise InvalidAnswers(path, "an answer does not say what it is to")
        error = _error(header, path)
        if op == LOAD:
            if error is None:
                raise InvalidAnswers(path, "an answer is to no rows")
            self._load_errors.setdefault(of, error)
            return
        if start % ROWS_AT_ONCE or not first <= start < stop or rows != min(ROWS_AT_ONCE, stop - start):
            raise InvalidAnswers(path, f"an answer is to {rows} rows from {start} on, which are no batch of its part")
        if (of, op, start) in self._places:
            raise InvalidAnswers(path, f"there are two answers to the rows from {start} on")
        self._places[of, op, start] = _Place(path, offset, rows, error)


class Replayed(Remote):
    """A predictor that gives the noted answers of a model again. It needs no rows, only which they are: see ``Subject.batches``."""

    def __init__(self, noted: Noted, of: str) -> None:
        self._noted, self._of = noted, of

    def load(self) -> None:
        """Raise what loading it raised."""
        if (error := self._noted.load_error(self._of)) is not None:
            raise error

    def answer(self, op: str, rows: pd.DataFrame) -> tuple[dict[str, Any], bytes]:
        """Return what was answered to these rows."""
        return self._noted.answer(self._of, op, rows)

    def example(self) -> None:
        """Raise MissingInput: nothing but rows was asked about."""
        raise MissingInput("the model itself", "Start it in one piece.")


def _header(file: BinaryIO, path: Path) -> tuple[dict[str, Any], int]:
    """Return the header of the next message, and the length of the bytes that come after it."""
    lengths = file.read(predictor.LENGTHS.size)
    if len(lengths) < predictor.LENGTHS.size:
        raise InvalidAnswers(path, "it was cut off")
    head, body = predictor.LENGTHS.unpack(lengths)
    if head > _MOST_HEADER_BYTES:
        raise InvalidAnswers(path, f"an answer begins with {head} bytes")
    try:
        header = json.loads(file.read(head))
    except (ValueError, RecursionError) as cause:
        raise InvalidAnswers(path, f"an answer cannot be read ({cause})") from cause
    if not isinstance(header, dict):
        raise InvalidAnswers(path, "an answer has no header")
    return header, body


def _error(header: Mapping[str, Any], path: Path) -> CheckError | None:
    """Return the error that stands in the place of an answer. Raises InvalidAnswers where neither is there."""
    error = header.get("error")
    if error is None and isinstance(header.get("answer"), dict):
        return None
    if not isinstance(error, dict) or not all(isinstance(error.get(name), str) for name in ("code", "message")):
        raise InvalidAnswers(path, "it holds neither an answer nor an error")
    return CheckError(error["code"], error["message"])
