"""What pandas' CSV parser makes of a whole column, from its parts: one text of each class, in the order in which they came.

The parser tries whole numbers, then floats, then booleans, and takes texts if nothing fits. What stops it, and what it then tries, depends
on the first text of its kind alone: so a column of one text of each class ("witnesses") in the order of their first appearance ends as
the whole column does. The parser itself is asked, so that no rule of it is written down twice.
"""

from __future__ import annotations

import io
import re
from enum import Enum
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

_INTEGER = re.compile(r"\s*[+-]?[0-9]+\s*\Z")
_SMALLEST, _LARGEST, _LARGEST_UNSIGNED = -(2**63), 2**63 - 1, 2**64 - 1


class Kind(Enum):
    """What a column is; the values of the first four are names of numpy types."""

    INTEGER = "int64"
    UNSIGNED = "uint64"
    FLOAT = "float64"
    BOOLEAN = "bool"
    MISSING_BOOLEAN = "booleans with missing values"
    LARGE_INTEGER = "integers of Python"
    TEXT = "text"
    LITERAL_TEXT = "text, in which missing values stay as they are written"


class _Class(Enum):
    """A class of texts that the parser does not tell apart; the value stands for all of it."""

    MISSING = "NA"
    INTEGER = "1"
    NEGATIVE = "-1"
    UNSIGNED = "18446744073709551615"
    ABOVE = "99999999999999999999"
    BELOW = "-99999999999999999999"
    FLOAT = "0.5"
    BOOLEAN = "True"
    TEXT = "text"
    # An integer or a float: a missing value beside whole numbers makes both the same floats.
    UNKNOWN = ""


class Witnesses:
    """The classes that a column has shown so far, in order."""

    def __init__(self) -> None:
        self._seen: dict[_Class, None] = {}

    def see(self, values: pd.Series) -> None:
        """Take in the next part of the column, as the parser reads it alone."""
        present = values.dropna()
        if len(present) < len(values):
            self._add(_Class.MISSING)
        if not len(present):
            return
        kind = values.dtype.kind if hasattr(values.dtype, "kind") else "O"
        if kind in "iu":
            self._add(_Class.INTEGER, *([_Class.NEGATIVE] if present.min() < 0 else []))
            if present.max() > _LARGEST:
                self._add(_Class.UNSIGNED)
        elif kind == "f":
            self._see_floats(present, whole=len(present) == len(values))
        elif kind == "b" or isinstance(present.iloc[0], bool):
            self._add(_Class.BOOLEAN)
        else:
            self.see_texts(present)

    def see_texts(self, values: pd.Series) -> None:
        """Take in the next part of the column, as it is written."""
        if bool(values.isna().any()):
            self._add(_Class.MISSING)
        for each in values.dropna():
            found = _integer_class(each) if isinstance(each, int) else _class_of(each)
            self._add(found)
            if found is _Class.TEXT:
                return  # no attempt at anything but text goes past it

    def kind(self) -> Kind | None:
        """Return what the whole column is; None if that needs to be known of floats that may have been written as integers."""
        if _Class.UNKNOWN not in self._seen:
            return _kind_of(tuple(self._seen))
        integers = _kind_of(tuple(_Class.INTEGER if each is _Class.UNKNOWN else each for each in self._seen))
        floats = _kind_of(tuple(_Class.FLOAT if each is _Class.UNKNOWN else each for each in self._seen))
        return integers if integers is floats else None

    def _see_floats(self, present: pd.Series, *, whole: bool) -> None:
        if whole or not bool((present == present.round()).all()) or bool((present.abs() > _LARGEST).any()):
            self._add(_Class.FLOAT)
            return
        self._add(_Class.UNKNOWN)
        if present.min() < 0:
            self._add(_Class.NEGATIVE)

    def _add(self, *classes: _Class) -> None:
        for each in classes:
            self._seen.setdefault(each)


def _class_of(text: str) -> _Class:
    if _INTEGER.match(text):
        return _integer_class(int(text))
    try:
        number = float(text)
    except ValueError:
        return _ask(text)
    # What Python reads and the parser does not: 1_000, digits of other scripts; `nan` is a missing value.
    return _Class.FLOAT if number == number and text.isascii() and "_" not in text else _ask(text)


def _integer_class(number: int) -> _Class:
    if number > _LARGEST:
        return _Class.ABOVE if number > _LARGEST_UNSIGNED else _Class.UNSIGNED
    if number < 0:
        return _Class.BELOW if number < _SMALLEST else _Class.NEGATIVE
    return _Class.INTEGER


@lru_cache(maxsize=4096)
def _ask(text: str) -> _Class:
    """Return the class of a text by what the parser makes of it alone."""
    values = _parse([text])
    if bool(values.isna().all()):
        return _Class.MISSING
    kind = values.dtype.kind
    return _Class.FLOAT if kind == "f" else _Class.BOOLEAN if kind == "b" else _Class.TEXT


@lru_cache(maxsize=4096)
def _kind_of(classes: tuple[_Class, ...]) -> Kind:
    values = _parse([each.value for each in classes])
    kind = values.dtype.kind
    if kind in "iufb":
        return {"i": Kind.INTEGER, "u": Kind.UNSIGNED, "f": Kind.FLOAT, "b": Kind.BOOLEAN}[kind]
    present = values.dropna()
    if not len(present):
        return Kind.TEXT  # of no rows
    if isinstance(present.iloc[0], bool):
        return Kind.MISSING_BOOLEAN
    if isinstance(present.iloc[0], int):
        return Kind.LARGE_INTEGER
    return Kind.LITERAL_TEXT if len(present) == len(values) and _Class.MISSING in classes else Kind.TEXT


def _parse(texts: list[str]) -> pd.Series:
    import csv

    import pandas as pd

    written = io.StringIO()
    writer = csv.writer(written, quoting=csv.QUOTE_ALL)
    writer.writerows([["x"], *([text] for text in texts)])
    return pd.read_csv(io.StringIO(written.getvalue()), low_memory=False, skip_blank_lines=False)["x"]
