"""A document that was written on a page: its lines, and the mistakes at them."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

from django import forms

from interfaces.web.errors import Mistake, Problem


@dataclass(frozen=True)
class Line:
    """A line of a document with what is wrong in it."""

    number: int
    text: str
    mistakes: tuple[Mistake, ...]


@dataclass(frozen=True)
class Difference:
    """A line of a comparison. sign: ``add``, ``del``, ``gap`` for what was left out, or nothing."""

    sign: str
    text: str


@dataclass(frozen=True)
class Comparison:
    """How one text became another, with a few lines around each change."""

    lines: tuple[Difference, ...]
    added: int
    removed: int


def source(form: forms.Form, problem: Problem | None) -> tuple[Line, ...]:
    """Return the lines of a document that was not taken, or none if it has no mistakes to show."""
    if problem is None or not problem.mistakes:
        return ()
    return lines(str(form["document"].value() or ""), problem.mistakes)


def lines(text: str, mistakes: Sequence[Mistake] = ()) -> tuple[Line, ...]:
    """Return a text's lines. A mistake beyond the end, as of a text that breaks off, is shown at the last line."""
    found = text.rstrip("\n").splitlines() or [""]
    return tuple(
        Line(number, line, tuple(each for each in mistakes if min(max(1, each.line), len(found)) == number))
        for number, line in enumerate(found, 1)
    )


def compared(older: str, newer: str, *, around: int = 3) -> Comparison:
    """Return what differs between two texts."""
    before, after = older.splitlines(), newer.splitlines()
    shown: list[Difference] = []
    for group in difflib.SequenceMatcher(a=before, b=after, autojunk=False).get_grouped_opcodes(around):
        if group[0][1] > 0 or shown:
            shown.append(Difference("gap", f"from line {group[0][3] + 1}"))
        for tag, a1, a2, b1, b2 in group:
            if tag == "equal":
                shown += [Difference("", line) for line in after[b1:b2]]
                continue
            shown += [Difference("del", line) for line in before[a1:a2]]
            shown += [Difference("add", line) for line in after[b1:b2]]
    return Comparison(tuple(shown), sum(each.sign == "add" for each in shown), sum(each.sign == "del" for each in shown))
