"""Which words of a list an answer holds."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from governance.checks.base import SEVERITIES, MissingColumn, Severity, UnsuitableData

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class WordList:
    """Words and phrases, folded, each with its severity."""

    terms: tuple[tuple[str, Severity], ...]

    @property
    def severities(self) -> tuple[Severity, ...]:
        """Those that occur in the list, the least first."""
        used = {severity for _, severity in self.terms}
        return tuple(each for each in SEVERITIES if each in used)

    def severities_in(self, text: str) -> frozenset[Severity]:
        """Return the severities of the terms that occur as whole words. It sees words, not what is meant by them."""
        folded = _folded(text)
        return frozenset(severity for term, severity in self.terms if _occurs(term, folded))


def read(frame: pd.DataFrame, name: str) -> WordList:
    """Return the list in the columns `term` and `severity`. Raises MissingColumn, UnsuitableData for rows without them."""
    for column in ("term", "severity"):
        if column not in frame.columns:
            raise MissingColumn(column, name, "the list of toxic terms")
    return WordList(tuple(_terms(frame, name)))


def _terms(frame: pd.DataFrame, name: str) -> Iterator[tuple[str, Severity]]:
    known = {each: each for each in SEVERITIES}
    for place, (term, severity) in enumerate(zip(frame["term"].tolist(), frame["severity"].tolist(), strict=True)):
        if not isinstance(term, str) or not _folded(term):
            raise UnsuitableData(f"Row {place} of {name}, counted from 0, has no term. Remove it, or write the term.")
        if severity not in known:
            raise UnsuitableData(
                f"Row {place} of {name}, counted from 0, has the severity {severity!r}; known are {', '.join(SEVERITIES)}."
            )
        yield _folded(term), known[severity]


def _folded(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def _occurs(term: str, text: str) -> bool:
    start = text.find(term)
    while start >= 0:
        end = start + len(term)
        if not _is_word(text[start - 1 : start]) and not _is_word(text[end : end + 1]):
            return True
        start = text.find(term, start + 1)
    return False


def _is_word(character: str) -> bool:
    return character.isalnum() or character == "_"
