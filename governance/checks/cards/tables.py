"""Read the claims of a Markdown table: a metric names a row or a column, and cells without a number say of whom."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from governance.checks.cards import numbers, wording
from governance.checks.cards.claimed import Claim, Vocabulary
from governance.checks.cards.names import Found, Name
from governance.checks.cards.numbers import Number
from governance.checks.cards.prose import MarkdownTable


def claims(section: str, table: MarkdownTable, vocabulary: Vocabulary) -> Iterator[Claim]:
    """Yield the claims of a table: a metric names a row or a column, and other cells without a number say of whom."""
    heads = [next(vocabulary.metrics.find(cell), None) for cell in table.head]
    for row in table.rows:
        cells = [
            (_only_number(cell, vocabulary) if at or heads[0] else None, cell) for at, cell in enumerate(row[: len(table.head)])
        ]
        named, named_in = next(
            ((found, cell) for number, cell in cells if number is None and (found := next(vocabulary.metrics.find(cell), None))),
            (None, ""),
        )
        of_whom = [
            cell
            for at, (number, cell) in enumerate(cells)
            if number is None and (at == 0 or wording.OF_WHOM.search(table.head[at]))
        ]
        said = list(dict.fromkeys([*of_whom, *([named_in] if named_in else [])]))
        for column, (number, cell) in enumerate(cells):
            name = named or heads[column]
            head = table.head[column]
            if number is None or name is None:
                continue
            if not named and wording.NO_VALUE_COLUMNS.search(_without(head, heads[column])):
                continue
            if named and wording.NO_VALUE_COLUMNS.search(head):
                continue
            yield from _of_cell(section, cell, number, name, [*said, head], vocabulary, " | ".join([*said, head, cell]))


def _of_cell(
    section: str, cell: str, number: Number, name: Found[Name], around: Sequence[str], vocabulary: Vocabulary, shown: str
) -> Iterator[Claim]:
    scope = " , ".join(around)
    free = wording.blanked(scope, list(vocabulary.metrics.find(scope)))
    if wording.GOALS.search(free) or wording.GOALS.search(cell):
        return
    in_this_unit, doubt = wording.in_unit(
        number if number.percent or "%" not in scope else replace(number, percent=True), name.meaning
    )
    if in_this_unit is None:
        return
    relation = wording.link(cell[: number.start]) or "="
    slices = list(vocabulary.slices.find(free))
    parts = frozenset(item.meaning for item in slices)
    doubt = doubt or wording.about_something_else(scope, 0, len(scope))
    doubt = doubt or ("" if parts else wording.unknown_group(wording.blanked(free, slices)))
    yield Claim(section, shown[: wording.LONGEST], name.meaning, in_this_unit, relation, parts, doubt)


def _only_number(cell: str, vocabulary: Vocabulary) -> Number | None:
    """Return the number that a cell holds, perhaps with its interval in brackets behind it; None for any other cell."""
    text = numbers.ranges_joined(cell)
    found = list(numbers.find(text))
    if not found or next(vocabulary.slices.find(text), None) is not None:
        return None
    before, after = text[: found[0].start].strip(" ~≈=<>≥≤"), text[found[0].end :].strip()
    return found[0] if not before and (not after or after[0] in "([*†" or len(after) <= 4) else None


def _without(head: str, found: Found[Name] | None) -> str:
    return head[: found.start] + head[found.end :] if found else head
