"""Terms are found as whole words in any case, and a list that cannot be read is named."""

from __future__ import annotations

import pandas as pd
import pytest

from governance.checks.base import MissingColumn, UnsuitableData
from governance.checks.texts import word_list


@pytest.mark.parametrize(
    ("text", "severities"),
    [
        ("You FOOL!", {"low"}),
        ("foolish, foolproof", set()),
        ("a fools' fool", {"low"}),
        ("utter\n nonsense", {"medium"}),
        ("that is $#!t.", {"high"}),
        ("ＦＯＯＬ", {"low"}),  # full width
        ("Fool, utter nonsense", {"low", "medium"}),
        ("fool_x", set()),
        ("", set()),
    ],
)
def test_whole_words_are_found(text: str, severities: set[str]) -> None:
    frame = pd.DataFrame({"term": ["fool", "Utter  Nonsense", "$#!t"], "severity": ["low", "medium", "high"]})
    words = word_list.read(frame, "terms")
    assert words.severities_in(text) == severities and words.severities == ("low", "medium", "high")


def test_a_list_that_cannot_be_read_is_named() -> None:
    with pytest.raises(MissingColumn, match="'severity'"):
        word_list.read(pd.DataFrame({"term": ["a"]}), "terms")
    for row, words in (
        ({"term": " ", "severity": "low"}, "no term"),
        ({"term": "b", "severity": "dire"}, "'dire'; known are info, low"),
    ):
        with pytest.raises(UnsuitableData, match=f"Row 1 of terms, counted from 0, has (the severity )?{words}"):
            word_list.read(pd.DataFrame([{"term": "a", "severity": "low"}, row]), "terms")
