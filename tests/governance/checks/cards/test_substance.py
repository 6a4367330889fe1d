"""A section that only looks filled is told from one that says something."""

from __future__ import annotations

import pytest

from governance.checks.cards import prose, substance
from governance.checks.cards.substance import Read, Section

USE = "Support a credit officer in retail lending decisions up to 20,000. Never the only basis of a refusal."


def one(text: str, *phrases: str) -> Read:
    return substance.examine({"s": text}, {}, phrases)["s"]


@pytest.mark.parametrize(
    "text",
    ["", "n/a", "N/A.", "None", "TODO", "TBD", "- TODO: write this", "not applicable", "...", "—", "<insert text here>", "[Describe the data]",
     "{{ intended_use }}", "More Information Needed", "<!-- what is it for? -->", "# ", "Lorem ipsum dolor sit amet, consectetur adipiscing elit."],
)  # fmt: skip
def test_what_holds_a_place_says_nothing(text: str) -> None:
    assert one(text).words <= 2 and one(text).shortfall(3)


def test_what_is_said_beside_a_placeholder_counts_and_the_placeholder_is_named() -> None:
    read = one(f"{USE} TODO: limits.")
    assert read.placeholders == ("TODO",) and read.words == 18 and read.shortfall(10) == ""
    assert one(USE).placeholders == () and one("The todos of today and XXXL sizes").placeholders == ()
    assert one(f"{USE} Ask the desk.", "ask the desk").placeholders == ("Ask the desk",)


def test_few_words_the_same_words_and_the_words_of_another_section_are_no_substance() -> None:
    assert one("For lending.").shortfall(10) == "it has 2 words, and at least 10 are asked for"
    assert one("good " * 40).shortfall(10) == "it has 40 words, but only 1 different ones"
    read = substance.examine({"factors": USE, "metrics": f"{USE} Yes."}, {"metrics": f"{USE} Yes."}, ())
    assert read["factors"].shortfall(10) == "" and read["factors"].before is None
    assert read["metrics"].shortfall(10) == "it repeats the section factors" and read["metrics"].before == 1.0


def test_similarity_is_the_share_of_runs_of_three_words() -> None:
    # abc bcd cde against abc bcd cdf: two of four
    assert prose.similarity(list("abcde"), list("abcdf")) == pytest.approx(0.5)
    assert prose.similarity(["a"], ["a"]) == 1.0 and prose.similarity([], []) == 0.0


def test_words_sentences_and_tables_are_told_apart() -> None:
    text = "# Data\n\nFrom *one* bank, e.g. its\nbranches. Amounts in DM!\n\n- no income\n- no bureau\n\n| a | b |\n|---|---|\n| 1 | x \\| y |\nEnd."
    read = prose.read(text)
    assert read.sentences == ("Data", "From one bank, e.g. its branches.", "Amounts in DM!", "no income", "no bureau", "End.")
    (table,) = read.tables
    assert (table.head, table.rows) == (("a", "b"), (("1", "x | y"),))
    assert prose.words("Straße d'eau 3 x2 模型 卡") == ["strasse", "d'eau", "x", "模", "型", "卡"]


def test_a_section_is_known_by_the_names_in_use() -> None:
    card = {"Limitations": "a", "Out_of_scope_uses": "b", "restrictions": "c"}
    assert substance.section_of(card, "limitations") == "Limitations"
    assert substance.section_of(card, "out_of_scope") == "Out_of_scope_uses"
    assert substance.section_of(card, "training_data") is None
    with pytest.raises(ValueError, match="at least one word"):
        Section("x", 0)
