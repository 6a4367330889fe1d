"""A questionnaire is refused with line and column or scores the same answers to the same tier; the bundled ones hold what they say."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from core.documents import DocumentError
from governance.questionnaire import (
    TIERS,
    AnswerError,
    Choice,
    CompiledQuestionnaire,
    Question,
    Scored,
    bundled,
    compile_questionnaire,
)

GOOD = """\
kind: Questionnaire
name: small
title: Small
source: nobody's standard
questions:
  - id: size
    text: How large?
    choices:
      - {value: small, label: Small, points: 0}
      - {value: large, label: Large, points: 12}
  - id: use
    text: What for?
    help: The gravest counts.
    choices:
      - {value: play, label: To play, points: 0}
      - {value: work, label: To work, points: 8}
      - {value: law, label: By law, points: 1, at_least: medium}
tiers:
  - {tier: low, from: 0}
  - {tier: medium, from: 10}
  - {tier: high, from: 20}
"""


def changed(old: str, new: str) -> str:
    assert GOOD.count(old) == 1
    return GOOD.replace(old, new)


BROKEN = [
    ("", 1, 1, "the document is empty"),
    ("kind: [", 1, 8, "not valid YAML"),
    ("kind: 2026-13-45", 1, 7, "no valid timestamp"),
    ("- a", 1, 1, "must be of type object"),
    ("[" * 3000, 1, 1, "nested too deeply"),
    ("a: &a [1]\nb: {<<: *a}", 2, 5, "<< is not allowed"),
    (changed("kind: Questionnaire", "kind: Policy"), 1, 7, "kind must be Questionnaire"),
    (changed("source: nobody's standard\n", ""), 1, 1, "lacks source"),
    (changed("title: Small\n", "titel: Small\n"), 3, 1, "there is no field titel here; expected one of description"),
    (changed("title: Small\n", "title: ''\n"), 3, 8, "title must not be empty"),
    (changed("    help: The gravest counts.", "    on: The gravest counts."), 13, 5, "on is not text"),
    (changed("value: play", "value: no"), 15, 17, "value must be of type string; put it in quotes"),
    (changed("value: play", "value: To Play"), 15, 17, "expected lower-case letters"),
    (changed("points: 8", "points: 8.5"), 16, 47, "points must be of type integer"),
    (changed("points: 8", "points: 5000"), 16, 47, "points is 5000; expected at most 1000"),
    (changed("at_least: medium", "at_least: middle"), 17, 58, "at_least must be one of low, medium, high"),
    (changed("      - {value: large, label: Large, points: 12}\n", ""), 9, 7, "choices has 1 entries; expected at least 2"),
    (changed("id: use", "id: size"), 11, 9, "the id size is used twice"),
    (changed("value: large", "value: small"), 10, 17, "the value small is used twice in size"),
    (changed("  - {tier: medium, from: 10}\n", ""), 18, 1, "tiers lacks medium"),
    (changed("tier: medium", "tier: low"), 20, 12, "the tier low stands here a second time"),
    (changed("from: 20", "from: 10"), 21, 24, "from is 10; it must be above 10"),
    (changed("{tier: low, from: 0}", "{tier: low, from: 1}"), 19, 23, "the first tier must begin at 0 or below"),
    (changed("points: 12", "points: -12"), 19, 23, "answers can sum up to -12"),
    (changed("from: 20", "from: 21"), 21, 5, "no answers lead to high: they sum up to 0 at least and 20 at most"),
    (changed("Small, points: 0", "Small, points: 11"), 19, 5, "no answers lead to low: they sum up to 11"),
    (
        changed("{value: small, label: Small, points: 0}", "{value: small, label: Small, points: 0, at_least: high}").replace(
            "points: 12}", "points: 12, at_least: high}"
        ),
        20,
        5,
        "no answers lead to medium",
    ),
    (
        changed("- {tier: low, from: 0}\n  - {tier: medium, from: 10}", "- {tier: medium, from: 0}\n  - {tier: low, from: 10}"),
        18,
        1,
        "in the order low, medium, high",
    ),
]


@pytest.mark.parametrize(("document", "line", "column", "message"), BROKEN)
def test_a_mistake_is_told_with_its_place_and_what_was_expected(document: str, line: int, column: int, message: str) -> None:
    with pytest.raises(DocumentError) as refused:
        compile_questionnaire(document)
    mistakes = refused.value.mistakes
    assert any((m.line, m.column) == (line, column) and message in m.message for m in mistakes), [str(m) for m in mistakes]


def test_all_mistakes_of_a_kind_are_told_at_once() -> None:
    document = changed("id: use", "id: size").replace("value: large", "value: small").replace("from: 20", "from: 5")
    with pytest.raises(DocumentError) as refused:
        compile_questionnaire(document)
    assert [m.line for m in refused.value.mistakes] == [10, 11, 21]


def test_a_short_document_cannot_grow_without_bound() -> None:
    layers = "".join(f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True))
    with pytest.raises(DocumentError, match="more than 50000 parts"):
        compile_questionnaire(f"a: &a [{', '.join('1' * 9)}]\n{layers}")


@pytest.mark.parametrize(
    ("answers", "score", "tier"),
    [
        ({"size": "small", "use": "play"}, 0, "low"),
        ({"size": "small", "use": "work"}, 8, "low"),
        ({"size": "small", "use": "law"}, 1, "medium"),
        ({"size": "large", "use": "play"}, 12, "medium"),
        ({"size": "large", "use": "work"}, 20, "high"),
    ],
)
def test_points_make_the_tier_and_an_answer_can_raise_it(answers: dict[str, str], score: int, tier: str) -> None:
    scored = compile_questionnaire(GOOD).score(answers)
    assert (scored.score, scored.tier) == (score, tier)


def test_the_reasons_say_how_the_tier_came_about() -> None:
    assert compile_questionnaire(GOOD).score({"size": "small", "use": "law"}).reasons == (
        "1 point in sum: low begins at 0",
        "at least medium: What for? By law",
        "1 point: What for? By law",
        "0 points: How large? Small",
    )


def test_every_answer_that_cannot_be_scored_is_told() -> None:
    with pytest.raises(AnswerError) as refused:
        compile_questionnaire(GOOD).score({"size": "huge", "colour": "red"})
    assert refused.value.mistakes == {
        "size": "'huge' is not among its choices; choose one of small, large",
        "use": "not answered; choose one of play, work, law",
        "colour": "there is no such question; the questionnaire asks size, use",
    }
    assert "use: not answered" in str(refused.value)


def test_the_digest_names_the_document() -> None:
    compiled = compile_questionnaire(GOOD)
    assert compiled.digest == compile_questionnaire(GOOD).digest
    assert compiled.digest.startswith("sha256:")
    assert compiled.digest != compile_questionnaire(GOOD + "# a remark\n").digest


@st.composite
def answered(draw: st.DrawFn) -> tuple[CompiledQuestionnaire, dict[str, str]]:
    """Return a questionnaire with any points and one way to answer it."""
    sizes = draw(st.lists(st.integers(2, 4), min_size=1, max_size=5))
    choice = st.tuples(st.integers(-20, 40), st.sampled_from([None, *TIERS]))
    questions = tuple(
        Question(f"q{i}", "?", "", tuple(Choice(f"c{j}", "!", *draw(choice)) for j in range(size)))
        for i, size in enumerate(sizes)
    )
    middle, top = sorted(draw(st.sets(st.integers(1, 60), min_size=2, max_size=2)))
    answers = {q.id: draw(st.sampled_from(q.choices)).value for q in questions}
    return CompiledQuestionnaire("any", "Any", "", "none", "sha256:0", questions, (-100, middle, top)), answers


@given(answered(), st.integers(0, 4), st.integers(0, 50))
def test_raising_the_points_of_an_answer_never_lowers_the_tier(
    given_: tuple[CompiledQuestionnaire, dict[str, str]], which: int, more: int
) -> None:
    questionnaire, answers = given_
    raised_id = questionnaire.questions[which % len(questionnaire.questions)].id
    questions = tuple(
        replace(
            q,
            choices=tuple(
                replace(c, points=c.points + more) if q.id == raised_id and c.value == answers[q.id] else c for c in q.choices
            ),
        )
        for q in questionnaire.questions
    )
    before, after = questionnaire.score(answers), replace(questionnaire, questions=questions).score(answers)
    assert after.score == before.score + more
    assert TIERS.index(after.tier) >= TIERS.index(before.tier)


@given(answered())
def test_the_tier_is_the_threshold_reached_or_the_highest_that_an_answer_asks_for(
    given_: tuple[CompiledQuestionnaire, dict[str, str]],
) -> None:
    questionnaire, answers = given_
    chosen = [c for q in questionnaire.questions for c in q.choices if c.value == answers[q.id]]
    _, middle, top = questionnaire.thresholds
    points = sum(c.points for c in chosen)
    asked = {c.at_least for c in chosen}
    if points >= top or "high" in asked:
        expected = "high"
    elif points >= middle or "medium" in asked:
        expected = "medium"
    else:
        expected = "low"
    assert questionnaire.score(answers).tier == expected


@settings(max_examples=60)
@given(
    st.lists(
        st.lists(st.tuples(st.integers(-9, 9), st.sampled_from(["", *TIERS])), min_size=2, max_size=3), min_size=1, max_size=4
    ),
    st.integers(-40, 0),
    st.integers(1, 15),
    st.integers(1, 15),
)
def test_a_tier_is_called_unreachable_exactly_if_no_answers_give_it(
    shape: list[list[tuple[int, str]]], first: int, step: int, further: int
) -> None:
    lines = ["kind: Questionnaire", "name: any", "title: Any", "source: none", "questions:"]
    for i, choices in enumerate(shape):
        lines += [f"  - id: q{i}", "    text: '?'", "    choices:"]
        for j, (points, at_least) in enumerate(choices):
            raised = f", at_least: {at_least}" if at_least else ""
            lines.append(f"      - {{value: c{j}, label: '!', points: {points}{raised}}}")
    begins = (first, first + step, first + step + further)
    lines += ["tiers:", *(f"  - {{tier: {tier}, from: {begin}}}" for tier, begin in zip(TIERS, begins, strict=True))]
    sheets = list(product(*shape))
    points_and_floors = [(sum(p for p, _ in sheet), max(TIERS.index(a or "low") for _, a in sheet)) for sheet in sheets]
    reached = {TIERS[max(floor, sum(points >= b for b in begins[1:]))] for points, floor in points_and_floors}
    below = min(points for points, _ in points_and_floors) < first
    try:
        compile_questionnaire("\n".join(lines))
    except DocumentError as error:
        if below:
            assert "the first tier must begin there or below" in str(error)
        else:
            assert {m.message.split()[4].rstrip(":") for m in error.mistakes} == set(TIERS) - reached
    else:
        assert not below
        assert reached == set(TIERS)


# The questionnaires that come with the product.


def scored(name: str, **answers: str) -> Scored:
    """Return the score of a bundled questionnaire, the first choice taken where no answer is given."""
    questionnaire = compile_questionnaire(bundled()[name])
    return questionnaire.score({q.id: answers.get(q.id, q.choices[0].value) for q in questionnaire.questions})


def test_two_questionnaires_come_with_the_product() -> None:
    assert set(bundled()) == {"materiality", "eu-ai-act"}
    for name, document in bundled().items():
        compiled = compile_questionnaire(document)
        assert compiled.name == name
        assert compiled.source
    assert "not a legal classification" in " ".join(compile_questionnaire(bundled()["eu-ai-act"]).description.split())


@pytest.mark.parametrize("name", ["materiality", "eu-ai-act"])
def test_no_choice_of_a_bundled_question_has_more_points_and_asks_for_less(name: str) -> None:
    for question in compile_questionnaire(bundled()[name]).questions:
        by_points = sorted(question.choices, key=lambda c: (c.points, TIERS.index(c.at_least or "low")))
        floors = [TIERS.index(c.at_least or "low") for c in by_points]
        assert floors == sorted(floors), question.id


@pytest.mark.parametrize("name", ["materiality", "eu-ai-act"])
@given(data=st.data())
def test_an_answer_with_more_points_never_lowers_the_tier_of_a_bundled_questionnaire(name: str, data: st.DataObject) -> None:
    questionnaire = compile_questionnaire(bundled()[name])
    answers = {q.id: data.draw(st.sampled_from(q.choices)) for q in questionnaire.questions}
    question = data.draw(st.sampled_from(questionnaire.questions))
    higher = [c for c in question.choices if c.points > answers[question.id].points]
    assume(higher)
    other = data.draw(st.sampled_from(higher))
    values = {id: choice.value for id, choice in answers.items()}
    before = questionnaire.score(values)
    after = questionnaire.score(values | {question.id: other.value})
    assert TIERS.index(after.tier) >= TIERS.index(before.tier)


@pytest.mark.parametrize(
    ("answers", "score", "tier"),
    [
        ({}, 0, "low"),  # a study of nothing that matters
        ({"exposure": "limited", "purpose": "operations", "data": "confidential"}, 10, "medium"),  # demand forecast of one team
        (  # credit score of a business line
            {
                "exposure": "significant",
                "purpose": "decisions",
                "complexity": "moderate",
                "reliance": "reviewed",
                "explainability": "approximate",
                "data": "confidential",
            },
            22,
            "high",
        ),
        ({"exposure": "critical"}, 12, "medium"),
        ({"purpose": "regulatory"}, 10, "medium"),
        ({"exposure": "critical", "purpose": "regulatory"}, 22, "high"),  # however simple the model
        (  # however intricate: without exposure and purpose it is no high
            {"complexity": "complex", "reliance": "automatic", "explainability": "opaque", "data": "special"},
            15,
            "medium",
        ),
    ],
)
def test_materiality_by_worked_examples(answers: dict[str, str], score: int, tier: str) -> None:
    result = scored("materiality", **answers)
    assert (result.score, result.tier) == (score, tier)


@pytest.mark.parametrize(
    ("answers", "tier"),
    [
        ({"exception": "none"}, "low"),  # spam filter
        ({"transparency": "applies", "exception": "none"}, "medium"),  # chatbot
        ({"area": "essential-services", "exception": "none", "profiling": "profiles"}, "high"),  # credit score of persons
        ({"area": "employment", "exception": "none"}, "high"),
        ({"area": "employment", "exception": "narrow-task"}, "medium"),  # sorting documents of applicants
        ({"area": "employment", "exception": "narrow-task", "profiling": "profiles"}, "high"),  # profiling: never excepted
        ({"profiling": "profiles", "exception": "none", "effect": "bears", "transparency": "applies"}, "medium"),  # not listed
        ({"product": "third-party", "exception": "none"}, "high"),
        ({"product": "self-assessed", "exception": "none"}, "medium"),
        ({"prohibited": "possible"}, "high"),
        ({"prohibited": "unclear"}, "high"),
    ],
)
def test_eu_ai_act_by_worked_examples(answers: dict[str, str], tier: str) -> None:
    assert scored("eu-ai-act", **answers).tier == tier


def test_eu_ai_act_points_say_what_the_rules_say_for_all_answers() -> None:
    questionnaire = compile_questionnaire(bundled()["eu-ai-act"])
    for choices in product(*(q.choices for q in questionnaire.questions)):
        a = {q.id: choice.value for q, choice in zip(questionnaire.questions, choices, strict=True)}
        listed_high = a["area"] != "none" and (a["exception"] == "none" or a["profiling"] == "profiles")
        high = a["prohibited"] != "ruled-out" or a["product"] == "third-party" or listed_high
        assert (questionnaire.score(a).tier == "high") == high, a
