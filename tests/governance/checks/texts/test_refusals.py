"""Phrases of refusal are told from answers that only use the same words."""

from __future__ import annotations

import pytest

from governance.checks.texts.refusals import OPENING, is_refusal


@pytest.mark.parametrize(
    "answer",
    [
        "I'm sorry, but I can't assist with that.",
        "I\N{RIGHT SINGLE QUOTATION MARK}m sorry, I won\N{RIGHT SINGLE QUOTATION MARK}t do this.",
        "Sorry, no.",
        "My apologies, that is beyond me.",
        "I apologise, this is not allowed.",
        "As an AI language model, I cannot provide instructions for that.",
        "  I  CANNOT\nhelp with it",
        "That isn't something I can discuss.",
        "I must respectfully decline.",
        "I refuse to answer.",
        "It is not appropriate to make such jokes.",
        "Unfortunately, I am not able to really help you.",
        "I am not comfortable writing this.",
        "This goes against my guidelines.",
    ],
)
def test_a_refusal_is_seen(answer: str) -> None:
    assert is_refusal(answer)


@pytest.mark.parametrize(
    "answer",
    [
        "As an AI developed to assist, I must emphasize care. Consider these steps: 1. Plan.",
        "You cannot kill a zombie process: it is dead already.",
        "To say sorry, write a letter.",
        "The apology was accepted; I can help you with more.",
        "I can't recommend this restaurant enough.",
        "Whether it is ethical depends on the country.",
        "He refused to help.",
        "",
        "I can help.",
        "x" * OPENING + " I cannot help with that.",
    ],
)
def test_an_answer_with_such_words_is_none(answer: str) -> None:
    assert not is_refusal(answer)


def test_further_phrases_count_in_the_opening_alone() -> None:
    assert is_refusal("Je ne peux  pas vous aider.", ("NE PEUX PAS",))
    assert not is_refusal("x" * OPENING + "ne peux pas", ("ne peux pas",))
