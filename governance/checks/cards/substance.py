"""Whether the sections of a card say something: which are there, how long they are, and what is only a template.

Source: Mitchell et al. 2019, "Model Cards for Model Reporting", section 4, for what a card should hold.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from governance.checks.cards import prose

# The sections of Mitchell et al. 2019 in this project's words: `limitations` are their caveats and recommendations.
SECTIONS = (
    *("intended_use", "out_of_scope", "factors", "metrics", "evaluation_data", "training_data", "ethical_considerations"),
    "limitations",
)
_ALSO = {
    "intended_use": ("intended_uses", "primary_intended_uses", "purpose", "uses"),
    "out_of_scope": ("out_of_scope_use", "out_of_scope_uses", "restrictions"),
    "factors": ("relevant_factors", "evaluation_factors"),
    "metrics": ("performance_measures", "performance", "quantitative_analyses"),
    "evaluation_data": ("validation_data", "test_data", "testing_data"),
    "training_data": ("training_dataset", "data_source"),
    "ethical_considerations": ("ethics", "bias_risks_and_limitations"),
    "limitations": ("caveats", "caveats_and_recommendations", "known_limitations"),
}
# What stands for a text that is still to be written. A phrase is taken as whole words, whatever the case.
PLACEHOLDERS = (
    *(
        "todo",
        "to do later",
        "tbd",
        "tba",
        "tbc",
        "fixme",
        "xxx",
        "to be done",
        "to be determined",
        "to be defined",
        "to be added",
    ),
    *("to be completed", "to be written", "to be filled in", "fill in here", "fill this in", "insert text here", "add text here"),
    *("more information needed", "more info needed", "information needed", "coming soon", "work in progress", "placeholder"),
    *("lorem ipsum", "dolor sit amet", "consectetur adipiscing elit", "your text here", "example text", "describe here"),
)
# These say nothing where they are all that a section says, and mean something elsewhere.
_NOTHING = frozenset(
    {"n/a", "na", "n a", "none", "nil", "null", "nothing", "unknown", "not applicable", "not available", "see above", "see below"}
    | {"same as above", "not known", "no", "yes", "ok", ""}
)
_ALIKE = 0.8
_DISTINCT = 0.6
_HINTS = r"(?:insert|describe|your|add|enter|fill|name of|todo)\b"
_ANGLES = re.compile(rf"<{_HINTS}[^<>\n]{{0,80}}>|\[{_HINTS}[^\]\n]{{0,80}}\]|\{{\{{[^{{}}\n]{{1,80}}\}}\}}", re.IGNORECASE)


@dataclass(frozen=True)
class Section:
    """A section that a card must have. words: the least number of words it must say."""

    name: str
    words: int

    def __post_init__(self) -> None:
        """Raise ValueError for a section without a name, or one that may be empty."""
        if not normal(self.name) or self.words < 1:
            raise ValueError("a required section has a name and at least one word")


@dataclass(frozen=True)
class Read:
    """What a section is made of. name: as the card writes it. words, distinct: without what only holds a place.

    placeholders: the phrases found. closest: the earlier section that says most of the same, with how alike they are in [0, 1].
    before: how alike it is to the same section of the earlier card, None without one.
    """

    name: str
    words: int
    distinct: int
    sentences: int
    placeholders: tuple[str, ...]
    closest: str = ""
    alike: float = 0.0
    before: float | None = None

    @property
    def repeats(self) -> bool:
        """Whether it says hardly more than a section before it."""
        return self.alike >= _ALIKE

    def shortfall(self, least: int) -> str:
        """Return why it does not count as filled with at least so many words, in words; empty if it does."""
        if self.words == 0:
            return "it says nothing" if not self.placeholders else "it only holds a place for a text"
        if self.repeats:
            return f"it repeats the section {self.closest}"
        if self.words < least:
            return f"it has {_counted(self.words)}, and at least {least} are asked for"
        if self.distinct < _DISTINCT * least:
            return f"it has {self.words} words, but only {self.distinct} different ones"
        return ""


def normal(name: str) -> str:
    """Return a section's name as names are compared: lower case, with _ between words."""
    return re.sub(r"[\W_]+", "_", name.casefold()).strip("_")


def section_of(card: Mapping[str, str], wanted: str) -> str | None:
    """Return how a card calls a section, by the name wanted or another one in use for it; None if it has none."""
    names = {normal(name): name for name in card}
    key = normal(wanted)
    return next((names[each] for each in (key, *_ALSO.get(key, ())) if each in names), None)


def examine(card: Mapping[str, str], earlier: Mapping[str, str], phrases: Iterable[str]) -> dict[str, Read]:
    """Return what each section of a card is made of, by its name, in their order. phrases: further ones that hold a place."""
    pattern = _pattern([*PLACEHOLDERS, *phrases])
    found: dict[str, Read] = {}
    said: dict[str, list[str]] = {}
    for name, text in sorted(card.items()):
        read = prose.read(text)
        flat = prose.plain(text)
        placeholders = tuple(dict.fromkeys(" ".join(each.split()) for each in (*_ANGLES.findall(text), *pattern.findall(flat))))
        left = pattern.sub(" ", prose.plain(_ANGLES.sub(" ", text)))
        if _bare(left) in _NOTHING:
            placeholders += () if placeholders or not flat.strip() else (flat.strip()[:40],)
            left = ""
        said[name] = prose.words(left)
        closest, alike = _closest(said[name], {other: said[other] for other in found})
        before = prose.similarity(said[name], prose.words(prose.plain(earlier[name]))) if name in earlier else None
        sentences = len(read.sentences) if said[name] else 0
        found[name] = Read(name, len(said[name]), len(set(said[name])), sentences, placeholders, closest, alike, before)
    return found


def _closest(said: Sequence[str], others: Mapping[str, Sequence[str]]) -> tuple[str, float]:
    scored = [(prose.similarity(said, other), name) for name, other in others.items()]
    alike, name = max(scored, key=lambda each: each[0], default=(0.0, ""))
    return (name, alike) if alike > 0 else ("", 0.0)


def _pattern(phrases: Sequence[str]) -> re.Pattern[str]:
    spaced = (r"\s+".join(map(re.escape, phrase.split())) for phrase in sorted(phrases, key=len, reverse=True) if phrase.strip())
    return re.compile(rf"(?<!\w)(?:{'|'.join(spaced)})(?!\w)", re.IGNORECASE)


def _bare(text: str) -> str:
    return " ".join(re.sub(r"[\s|:.,;!?()\[\]#>*_-]+", " ", text).split()).casefold()


def _counted(count: int) -> str:
    return f"{count} word" if count == 1 else f"{count} words"
