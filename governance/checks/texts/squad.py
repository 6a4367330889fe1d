"""How far a text agrees with the one expected, as the Stanford Question Answering Dataset counts it."""

from __future__ import annotations

import re
import string
from collections import Counter

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalise(text: str) -> str:
    """Return the text in lower case, without ASCII punctuation and English articles, with single spaces.

    Source: Rajpurkar et al. 2016, section 6.1, as their evaluation script does it: in this order.
    """
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def token_f1(answer: str, expected: str) -> float:
    """Return the harmonic mean of precision and recall of the normalised words, each as often as it occurs; in [0, 1].

    If one of them has no words, 1 if neither has any, else 0. Source: Rajpurkar et al. 2016, section 6.1; texts without words:
    the evaluation script of Rajpurkar et al. 2018.
    """
    given, wanted = normalise(answer).split(), normalise(expected).split()
    if not given or not wanted:
        return float(given == wanted)
    # 2PR / (P + R) with P = common / given and R = common / wanted.
    return 2 * (Counter(given) & Counter(wanted)).total() / (len(given) + len(wanted))
