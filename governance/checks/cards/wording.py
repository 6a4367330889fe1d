"""The words around a number in a card: what joins it with a name, what makes it a goal, what says of whom it is."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

from governance.checks.cards.names import Found, Name, Part
from governance.checks.cards.numbers import Number

Relation = Literal["=", ">=", "<="]


def _set(text: str) -> frozenset[str]:
    return frozenset(text.split())


LONGEST = 300
MOST_BETWEEN = 14

APPROXIMATE = _set("about around approximately approx roughly nearly circa ca only just some almost a an the now currently ~ ( [")
LINKS = _set(
    "of is was are were be equals equal reaches reached reaching achieves achieved attains attained scores scored has had gives gave yields "
    "yielded shows showed = : remains comes lies"
)
_AT_LEAST = (
    "at least",
    "not less than",
    "no less than",
    "above",
    "over",
    "more than",
    "greater than",
    "higher than",
    "exceeds",
    "> =",
    ">",
)
_AT_MOST = ("at most", "not more than", "no more than", "below", "under", "less than", "lower than", "up to", "< =", "<")
_BOUNDS: tuple[tuple[str, Relation], ...] = (
    *((each, ">=") for each in (*_AT_LEAST, "≥")),
    *((each, "<=") for each in (*_AT_MOST, "≤")),
)
# A clause with one of these says what should be, or what would be if, and not what is.
GOALS = re.compile(
    r"\b(?:must|should|shall|will|would|could|may|might|can|cannot|target(?:s|ed)?|goals?|aim(?:s|ed)?|thresholds?|limits?|requir\w+|need(?:s|ed)?"
    r"|minimum|maximum|falls?|drops?|alert|alarm|calls|triggers?|accept(?:able|ance)\w*|expect\w*|hope\w*|never|no[nt]?(?!\s(?:less|more)\sthan)|polic(?:y|ies)|floor"
    r"|ceiling|budget)\b",
    re.IGNORECASE,
)
CONDITIONS = re.compile(r"\b(?:if|when|whenever|unless|until|once|where|assuming|provided)\b", re.IGNORECASE)
# One with one of these is about something else than what the checks measured this version on.
ELSEWHERE = re.compile(
    r"\b(?:training|train|in[- ]sample|cross[- ]validat\w+|folds?|development|champion|previous(?:ly)?|predecessor|earlier|former(?:ly)?|baselines?"
    r"|benchmarks?|literature|published|competitors?|humans?|experts?|dummy|random\s(?:guess\w*|classifier|choice)|guess\w*|pilot|respectively|versions?\s\d+|v\d+|vendor\w*)\b",
    re.IGNORECASE,
)
SETTING = re.compile(
    r"\b(?:at|with|using|for|under)\s+(?:a|an|the)?\s*(?:decision\s+|classification\s+|probability\s+)?(?:threshold|cut-?off)s?(?:\s+of|\s*=)?\s*[\d.,]+\s?%?"
    r"|[(\[]\s*(?:\d+(?:\.\d+)?\s?%\s*)?\b(?:CI|confidence intervals?|intervals?|n)\b[^()\[\]]*[)\]]|\b\d+\s?%\s+(?:CI|confidence intervals?|intervals?)\b",
    re.IGNORECASE,
)
END_OF_CLAUSE = re.compile(r"[,;()\[\]]|\b(?:and|but|while|whereas|against|versus|vs|compared|than|or|up|down)\b", re.IGNORECASE)
LISTED = re.compile(r"[\s,;/&()]*(?:\b(?:and|with|an?|the|its)\b[\s,]*)*", re.IGNORECASE)
GROUP_PHRASE = re.compile(r"\b(?:for|among|within|across|by)\s+(?P<phrase>.+)$", re.IGNORECASE | re.DOTALL)
OF_A_GROUP = re.compile(r"^[\s,]*(?:for|among|within|in|of|on|\()\s*(?:the\s+|all\s+)?$", re.IGNORECASE)
TOKENS = re.compile(r"[^\W\d_]+|[<>≥≤=:~(\[]")
# Words that say nothing of a group: the whole of what was measured is meant.
NEUTRAL = _set(
    "the a an all each every this that our its these those of on in at and to both overall whole entire total full model models version "
    "scorecard classifier system candidate evaluation validation test testing tests held out holdout hold unseen independent set sets data "
    "dataset sample samples cases rows applicants applications applicant customers clients people persons individuals observations population "
    "examples instances records predictions prediction period task target outcome favourable label value values score scores result results "
    "measured measurement metric metrics we it which estimate estimated average mean point groups group"
)
OF_WHOM = re.compile(
    r"\b(?:groups?|slices?|segments?|subgroups?|features?|population|class(?:es)?|categor(?:y|ies)|data|dataset|set|split)\b",
    re.IGNORECASE,
)
NO_VALUE_COLUMNS = re.compile(
    r"\b(?:ci|interval|lower|upper|low|high|n|rows|count|support|sd|std|se|p|error bars?|margin|unit|date|weight|rank)\b",
    re.IGNORECASE,
)


# What may follow a number without being what it counts: `79 for women`, `3,200 EUR`.
AFTER_A_NUMBER = _set(
    "for on in among and but with while over at by as to within eur usd gbp chf dm euros dollars days months years hours minutes seconds"
)


def in_unit(number: Number, name: Name) -> tuple[Number | None, str]:
    """Return a number in the unit of the measurement, or None if it can be no value of the metric; and why it cannot be compared."""
    if number.percent:
        return (number.times(0.01), "") if name.share else (number, "it is in percent, and the measurement is not a share")
    if name.share and max(abs(number.low), abs(number.high)) > 1:
        return (number.times(0.01), "") if max(abs(number.low), abs(number.high)) <= 100 else (None, "")
    return number, ""


def link(between: str) -> Relation | None:
    """Return how the text between a name and a number joins them; None if it does not."""
    words = [word.casefold() for word in TOKENS.findall(between)]
    _drop_last(words, APPROXIMATE)
    said = f" {' '.join(words)}"
    bounds = [(phrase, relation) for phrase, relation in _BOUNDS if said.endswith(f" {phrase}")]
    if bounds:
        return max(bounds, key=lambda bound: len(bound[0]))[1]
    return "=" if not words or words[-1] in LINKS or set(words) <= {"score", "value", "rate"} else None


def _drop_last(words: list[str], which: frozenset[str]) -> None:
    while words and words[-1] in which:
        words.pop()


def blanked(text: str, found: Sequence[Found[Name] | Found[Part]]) -> str:
    """Return a text of the same length in which what was found is blanked out."""
    for item in found:
        text = text[: item.start] + "_" * (item.end - item.start) + text[item.end :]
    return text


def about_something_else(text: str, begin: int, end: int) -> str:
    """Return why what is said there cannot be compared with what was measured, or empty."""
    found = ELSEWHERE.search(text, begin, end)
    return f"it is about something else than what was measured ({found[0].casefold()})" if found else ""


def unknown_group(text: str) -> str:
    """Return why a text that names a group which nothing was measured by cannot be compared; empty if it names none."""
    left = [word for word in re.findall(r"[^\W\d_]{2,}", text) if word.casefold() not in NEUTRAL | LINKS]
    return f"nothing was measured by what it names ({' '.join(left[:4])})" if left else ""
