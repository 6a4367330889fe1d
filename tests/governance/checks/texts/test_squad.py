"""Agreement is what the definition says, written out a second time."""

from __future__ import annotations

import re
import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from governance.checks.texts.squad import normalise, token_f1

WORDS = st.lists(st.sampled_from(["The", "a", "An", "theme", "cat", "CAT", "sat.", "--", "x-y", "naïve", "\n"]), max_size=8)


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("The Denver Broncos!", "denver broncos"),
        ("  a\tcat,  an owl ", "cat owl"),
        ("theatre of the absurd", "theatre of absurd"),
        ("U.S.A.", "usa"),
        ("the-end", "theend"),  # punctuation goes first
        ("«Ünï»", "«ünï»"),  # only that of ASCII
        ("The", ""),
    ],
)
def test_texts_are_normalised_as_in_the_paper(text: str, normal: str) -> None:
    assert normalise(text) == normal


def reference(answer: str, expected: str) -> float:
    """Precision and recall by taking away one common word after the other, and their harmonic mean."""

    def words(text: str) -> list[str]:
        kept = "".join(each for each in text.lower() if each not in string.punctuation)
        return [each for each in re.split(r"\s+", kept) if each and each not in ("a", "an", "the")]

    given_words, wanted = words(answer), words(expected)
    left, common = list(wanted), 0
    for word in given_words:
        if word in left:
            left.remove(word)
            common += 1
    if not given_words or not wanted:
        return float(given_words == wanted)
    precision, recall = common / len(given_words), common / len(wanted)
    return 2 * precision * recall / (precision + recall) if common else 0.0


@given(answer=WORDS.map(" ".join), expected=WORDS.map(" ".join))
@settings(max_examples=200, deadline=None)
def test_f1_is_the_harmonic_mean_of_precision_and_recall(answer: str, expected: str) -> None:
    assert token_f1(answer, expected) == pytest.approx(reference(answer, expected), rel=1e-9, abs=1e-12)
    assert token_f1(answer, expected) == token_f1(expected, answer)


def test_words_count_as_often_as_they_occur() -> None:
    assert token_f1("cat cat dog", "cat dog dog") == pytest.approx(2 / 3, rel=1e-9)
    assert token_f1("", "the") == 1.0 and token_f1("cat", "the") == 0.0
