"""A number that a card claims, and the names by which it is found."""

from __future__ import annotations

from dataclasses import dataclass

from governance.checks.cards.names import Lexicon, Name, Part
from governance.checks.cards.numbers import Number
from governance.checks.cards.wording import Relation


@dataclass(frozen=True)
class Vocabulary:
    """The names of metrics, and those of features and groups."""

    metrics: Lexicon[Name]
    slices: Lexicon[Part]


@dataclass(frozen=True)
class Claim:
    """A number that a card gives for a metric. number: in the unit of the measurement, a share as a fraction.

    parts: the features and groups that are named with it. doubt: why it cannot be compared with what was measured, or empty.
    """

    section: str
    text: str
    name: Name
    number: Number
    relation: Relation = "="
    parts: frozenset[Part] = frozenset()
    doubt: str = ""
