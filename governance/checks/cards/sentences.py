"""Read the claims of a sentence: names and numbers from left to right, and the words between and around them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from governance.checks.cards import numbers, wording
from governance.checks.cards.claimed import Claim, Vocabulary
from governance.checks.cards.names import Found, Name, Part
from governance.checks.cards.numbers import Number
from governance.checks.cards.wording import Relation

Item = Found[Name] | Found[Part] | Number


def claims(section: str, sentence: str, vocabulary: Vocabulary) -> Iterator[Claim]:
    """Yield the claims of a sentence, from left to right."""
    yield from _Sentence(section, sentence, vocabulary).claims()


@dataclass
class _Draft:
    """A claim while its sentence is read. start, said: where its name and number begin and end. begin, end: the words that belong to it.

    clause: where its own clause begins.
    """

    name: Name
    number: Number
    relation: Relation
    start: int
    said: int
    begin: int
    clause: int
    end: int


class _Sentence:
    def __init__(self, section: str, text: str, vocabulary: Vocabulary) -> None:
        self._section, self._shown = section, " ".join(text.split())[: wording.LONGEST]
        self._text = wording.SETTING.sub(lambda match: " " * len(match[0]), numbers.ranges_joined(text))
        self._metrics = _merged(list(vocabulary.metrics.find(self._text)), self._text)
        self._free = wording.blanked(self._text, self._metrics)
        self._slices = list(vocabulary.slices.find(self._free))
        self._numbers = list(numbers.find(wording.blanked(self._free, self._slices)))

    def claims(self) -> Iterator[Claim]:
        """Yield the claims. What is said before or after a list of them holds for all."""
        drafts = [draft for draft in self._drafts() if self._says_what_is(draft)]
        for drafts_listed in self._lists(drafts):
            yield from self._of_list(drafts_listed)

    def _lists(self, drafts: Iterable[_Draft]) -> Iterator[list[_Draft]]:
        """Yield the claims that are strung together, such as `a recall of 0.7 and an accuracy of 0.8`."""
        together: list[_Draft] = []
        for draft in drafts:
            if together and not wording.LISTED.fullmatch(self._text, together[-1].said, draft.start):
                yield together
                together = []
            together.append(draft)
        if together:
            yield together

    def _of_list(self, drafts: Sequence[_Draft]) -> Iterator[Claim]:
        first, last = drafts[0], drafts[-1]
        around = [(first.begin, first.number.start), (last.number.end, last.end)]
        doubts = (wording.about_something_else(self._text, *scope) for scope in around)
        of_all = next(filter(None, doubts), "")
        parts_before: frozenset[Part] = frozenset()
        for draft in drafts:
            parts = self._parts(draft.begin, draft.end) or parts_before
            parts_before = self._parts(draft.begin, draft.number.start) or parts_before
            number, doubt = wording.in_unit(draft.number, draft.name)
            if number is not None:
                doubt = doubt or of_all or wording.about_something_else(self._text, draft.begin, draft.end)
                doubt = doubt or ("" if parts else self._unknown_group(draft))
                yield Claim(self._section, self._shown, draft.name, number, draft.relation, parts, doubt)

    def _says_what_is(self, draft: _Draft) -> bool:
        goal = wording.GOALS.search(self._free, draft.clause, draft.end)
        return goal is None and wording.CONDITIONS.search(self._text, draft.begin, draft.end) is None

    def _drafts(self) -> Iterator[_Draft]:
        items: list[Item] = [*self._metrics, *self._slices, *self._numbers]
        items.sort(key=lambda item: item.start)
        begin, at = 0, 0
        last: Name | None = None
        while at < len(items):
            item = items[at]
            found: tuple[Name, Number, Relation, int] | None = None
            if isinstance(item, Number):
                found = self._number_first(items, at, last)
            elif isinstance(item.meaning, Name):
                found = self._metric_first(items, at)
            if found is None:
                at += 1
                continue
            last, number, relation, at = found
            said = max(number.end, items[at - 1].end)
            breaks = [match.end() for match in wording.END_OF_CLAUSE.finditer(self._text, begin, item.start)]
            end = self._end_of_clause(said)
            yield _Draft(last, number, relation, item.start, said, begin, max(breaks, default=begin), end)
            begin = end

    def _metric_first(self, items: Sequence[Item], at: int) -> tuple[Name, Number, Relation, int] | None:
        """Return what joins a metric with the next number: `ROC AUC for women is 0.79`."""
        metric = items[at]
        assert isinstance(metric, Found) and isinstance(metric.meaning, Name)
        for place in range(at + 1, len(items)):
            item = items[place]
            if isinstance(item, Number):
                relation = wording.link(self._text[items[place - 1].end : item.start])
                between = wording.TOKENS.findall(self._text[metric.end : item.start])
                if relation is None or len(between) > wording.MOST_BETWEEN or self._counts(item):
                    return None
                return metric.meaning, item, relation, place + 1
            if isinstance(item.meaning, Name):
                return None
        return None

    def _number_first(self, items: Sequence[Item], at: int, last: Name | None) -> tuple[Name, Number, Relation, int] | None:
        """Return what a number belongs to that no metric precedes: `79 % accuracy`, or after a claim `and 0.72 for men`, `men 0.72`."""
        number = items[at]
        assert isinstance(number, Number)
        before, after = items[at - 1] if at else None, items[at + 1] if at + 1 < len(items) else None
        words_before = wording.TOKENS.findall(self._text[before.end if before else 0 : number.start].casefold())
        if words_before and words_before[-1] in ("at", "from", "by"):
            return None
        gap = self._text[number.end : after.start] if after else ""
        if isinstance(after, Found) and isinstance(after.meaning, Name) and re.fullmatch(r"[\s-]{0,3}(?:in\s|of\s)?", gap):
            return after.meaning, number, "=", at + 2
        if last is None or before is None:
            return None
        relation = wording.link(self._text[before.end : number.start])
        is_group = isinstance(before, Found) and isinstance(before.meaning, tuple)
        if is_group and relation is not None and not (isinstance(after, Found) and wording.OF_A_GROUP.match(gap)):
            return last, number, relation, at + 1
        follows = isinstance(after, Found) and isinstance(after.meaning, tuple) and wording.OF_A_GROUP.match(gap)
        if follows and all(word in wording.APPROXIMATE or word in ("and", "but", "while", "is", "for") for word in words_before):
            return last, number, "=", at + 2
        return None

    def _counts(self, number: Number) -> bool:
        """Whether a whole number counts what the next word names, such as `accuracy of 300 rows`."""
        written = self._text[number.start : number.end].replace(",", "")
        follows = re.match(r"\s+([^\W\d_]+)", self._text[number.end : number.end + 40])
        return written.isdigit() and follows is not None and follows[1].casefold() not in wording.AFTER_A_NUMBER

    def _end_of_clause(self, start: int) -> int:
        """Return where what follows a number ends: with its clause, or where the next metric is named."""
        found = wording.END_OF_CLAUSE.search(self._text, start)
        ends = [item.start for item in self._metrics if item.start >= start][:1]
        return min([*ends, found.start() if found else len(self._text)])

    def _unknown_group(self, draft: _Draft) -> str:
        """Return which group a claim names that nothing was measured by, as a reason; empty if it names none."""
        before = [item for item in self._metrics if draft.begin <= item.start < draft.number.start]
        pieces = [self._text[before[-1].end : draft.number.start]] if before else []
        pieces.append(self._text[draft.number.end : draft.end])
        for piece in pieces:
            found = wording.GROUP_PHRASE.search(piece)
            if found and (doubt := wording.unknown_group(found["phrase"])):
                return doubt
        return ""

    def _parts(self, begin: int, end: int) -> frozenset[Part]:
        return frozenset(item.meaning for item in self._slices if begin <= item.start and item.end <= end)


def _merged(found: list[Found[Name]], text: str) -> list[Found[Name]]:
    """Take `area under the ROC curve (AUC)` for one name."""
    kept: list[Found[Name]] = []
    for item in found:
        before = kept[-1] if kept else None
        if before and before.meaning == item.meaning and re.fullmatch(r"\s*[(,]\s*", text[before.end : item.start]):
            closing = item.end + 1 if text[item.end : item.end + 1] == ")" else item.end
            kept[-1] = replace(before, end=closing)
        else:
            kept.append(item)
    return kept
