"""The text of a card without its markup: words, sentences, tables."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field

_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_IMAGE = re.compile(r"!\[[^\]\n]{0,500}\]\([^)\n]{0,500}\)")
_LINK = re.compile(r"\[([^\]\n]{0,500})\]\([^)\n]{0,500}\)")
_TAG = re.compile(r"</?[A-Za-z][^<>\n]{0,200}>")
_MARKS = re.compile(r"\*\*|__|~~|`+|\*")
_DASHES = str.maketrans(dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2212", "-"))
_NEW_BLOCK = re.compile(r"^\s*(?:[-+*•]\s|\d+[.)]\s|#{1,6}\s|>|$)")
_LEAD = re.compile(r"^\s*(?:[-+*•]\s+|\d+[.)]\s+|#{1,6}\s+|>\s*)+")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[^\s\da-z])|(?<=;)\s+")
# Unicode Standard Annex 29: an ideograph or kana stands for a word of its own, since nothing separates them.
_WORD = re.compile(
    "[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff]|[^\\W\\d_\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff]+(?:['’-][^\\W\\d_]+)*"
)
_RULE = re.compile(r"\|?(?:\s*:?-+:?\s*\|)*(?:\s*:?-+:?)?")
_BAR = re.compile(r"(?<!\\)\|")
_SHINGLE = 3
_WRAPPED = 60  # a line as long as this may go on in the next one, whatever that begins with


@dataclass(frozen=True)
class MarkdownTable:
    """A table with its head; rows may be shorter or longer than it."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Prose:
    """A text taken apart. sentences: in order, those of tables left out."""

    sentences: tuple[str, ...]
    tables: tuple[MarkdownTable, ...] = field(default=())


def plain(text: str) -> str:
    """Return the text without Markdown's and HTML's marks, its signs in their compatible form (NFKC) and every dash a hyphen."""
    text = unicodedata.normalize("NFKC", _COMMENT.sub(" ", text)).translate(_DASHES)
    return _MARKS.sub("", _TAG.sub(" ", _LINK.sub(r"\1", _IMAGE.sub(" ", text))))


def read(text: str) -> Prose:
    """Take a section apart into sentences and Markdown tables; a line that begins a list's item or a heading begins a sentence."""
    blocks: list[str] = []
    tables: list[MarkdownTable] = []
    lines = plain(text).splitlines()
    at = 0
    while at < len(lines):
        if at + 1 < len(lines) and "|" in lines[at] and "|" in lines[at + 1] and _RULE.fullmatch(lines[at + 1].strip()):
            end = at + 2
            while end < len(lines) and "|" in lines[end]:
                end += 1
            tables.append(MarkdownTable(_cells(lines[at]), tuple(map(_cells, lines[at + 2 : end]))))
            at = end
            blocks.append("")
            continue
        wrapped = at > 0 and (len(lines[at - 1]) >= _WRAPPED or lines[at].lstrip()[:1].islower())
        if _NEW_BLOCK.match(lines[at]) or not blocks or not wrapped:
            blocks.append(_LEAD.sub("", lines[at]))
        else:
            blocks[-1] = f"{blocks[-1]} {lines[at].strip()}" if blocks[-1] else lines[at].strip()
        at += 1
    pieces = (piece.strip() for block in blocks for piece in _SENTENCE_END.split(block))
    return Prose(tuple(piece for piece in pieces if piece), tuple(tables))


def words(text: str) -> list[str]:
    """Return the words of a text that `plain` has seen, in lower case; numbers are none."""
    return [word.casefold() for word in _WORD.findall(text)]


def similarity(one: Sequence[str], other: Sequence[str]) -> float:
    """Return how much two lists of words share: the Jaccard index of their runs of three words, in [0, 1].

    Source: Broder 1997, "On the resemblance and containment of documents", w-shingles. Shorter lists are compared as a whole.
    """
    first, second = _shingles(one), _shingles(other)
    return len(first & second) / len(first | second) if first and second else 0.0


def _shingles(given: Sequence[str]) -> frozenset[tuple[str, ...]]:
    if len(given) < _SHINGLE:
        return frozenset([tuple(given)] if given else [])
    return frozenset(tuple(given[at : at + _SHINGLE]) for at in range(len(given) - _SHINGLE + 1))


def _cells(line: str) -> tuple[str, ...]:
    cells = [cell.strip().replace("\\|", "|") for cell in _BAR.split(line.strip())]
    if cells and not cells[0]:
        cells = cells[1:]
    return tuple(cells[:-1] if cells and not cells[-1] else cells)
