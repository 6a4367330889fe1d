"""A risk questionnaire -> points -> a tier; every mistake in the document with its line and column. Pure.

The tier is that of the highest threshold which the sum of points reaches, raised to the highest `at_least` of a chosen answer. So the
same answers always give the same tier, and reading the document is enough to check it by hand.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

from core.canonical import text_digest
from core.documents import DocumentError, Marks, Mistake, loaded, mistake, schema_mistakes

TIERS = ("low", "medium", "high")
BUNDLED = Path(__file__).parent / "questionnaires"

_NAME = {"type": "string", "pattern": "^[a-z0-9][a-z0-9-]{0,99}$"}
_TEXT = {"type": "string", "minLength": 1}
_POINTS = {"type": "integer", "minimum": -1000, "maximum": 1000}

QUESTIONNAIRE_SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "Countersign risk questionnaire",
    "type": "object",
    "additionalProperties": False,
    "required": ["kind", "name", "title", "source", "questions", "tiers"],
    "properties": {
        "kind": {"const": "Questionnaire"},
        "name": _NAME,
        "title": _TEXT,
        "description": {"type": "string"},
        "source": _TEXT,  # the standard and the section it follows
        "questions": {
            "type": "array",
            "minItems": 1,
            "maxItems": 60,
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["id", "text", "choices"],
                "properties": {
                    "id": _NAME,
                    "text": _TEXT,
                    "help": {"type": "string"},
                    "choices": {
                        "type": "array",
                        "minItems": 2,
                        "maxItems": 30,
                        "items": {
                            "type": "object",
                            "additionalProperties": False,
                            "required": ["value", "label", "points"],
                            "properties": {"value": _NAME, "label": _TEXT, "points": _POINTS, "at_least": {"enum": list(TIERS)}},
                        },
                    },
                },
            },
        },
        "tiers": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["tier", "from"],
                "properties": {
                    "tier": {"enum": list(TIERS)},
                    "from": {"type": "integer", "minimum": -100_000, "maximum": 100_000},
                },
            },
        },
    },
}


class AnswerError(Exception):
    """Answers that cannot be scored: what is wrong with each, by the question's id."""

    def __init__(self, mistakes: Mapping[str, str]) -> None:
        super().__init__("\n".join(f"{question}: {message}" for question, message in mistakes.items()))
        self.mistakes = dict(mistakes)


@dataclass(frozen=True)
class Choice:
    value: str
    label: str
    points: int
    at_least: str | None


@dataclass(frozen=True)
class Question:
    id: str
    text: str
    help: str
    choices: tuple[Choice, ...]


@dataclass(frozen=True)
class Scored:
    """What answers come to, and why: first how the points gave a tier, then what raised it, then each answer's share."""

    score: int
    tier: str
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class CompiledQuestionnaire:
    """A published questionnaire, ready to be answered. `thresholds` are the points from which each of TIERS begins."""

    name: str
    title: str
    description: str
    source: str
    digest: str
    questions: tuple[Question, ...]
    thresholds: tuple[int, ...]

    def score(self, answers: Mapping[str, str]) -> Scored:
        """Return the score and tier of answers, given as the chosen value by question. Raises AnswerError with all that is wrong."""
        chosen = self._chosen(answers)
        points = sum(choice.points for _, choice in chosen)
        reached = _reached(self.thresholds, points)
        rank = max([reached, *(TIERS.index(choice.at_least) for _, choice in chosen if choice.at_least)])
        reasons = [f"{_points(points)} in sum: {TIERS[reached]} begins at {self.thresholds[reached]}"]
        if rank > reached:
            reasons += [f"at least {TIERS[rank]}: {q.text} {c.label}" for q, c in chosen if c.at_least == TIERS[rank]]
        reasons += [f"{_points(c.points)}: {q.text} {c.label}" for q, c in sorted(chosen, key=lambda pair: -pair[1].points)]
        return Scored(points, TIERS[rank], tuple(reasons))

    def _chosen(self, answers: Mapping[str, str]) -> list[tuple[Question, Choice]]:
        ids = [question.id for question in self.questions]
        wrong = {id: f"there is no such question; the questionnaire asks {', '.join(ids)}" for id in answers if id not in ids}
        chosen = []
        for question in self.questions:
            values = [choice.value for choice in question.choices]
            if question.id not in answers:
                wrong[question.id] = f"not answered; choose one of {', '.join(values)}"
            elif answers[question.id] not in values:
                wrong[question.id] = f"{answers[question.id]!r} is not among its choices; choose one of {', '.join(values)}"
            else:
                chosen.append((question, question.choices[values.index(answers[question.id])]))
        if wrong:
            raise AnswerError(wrong)
        return chosen


@lru_cache(maxsize=128)
def compile_questionnaire(document: str) -> CompiledQuestionnaire:
    """Return the compiled questionnaire. Raises DocumentError with every mistake's line, column and remedy."""
    value, marks = loaded(document)
    _refuse(list(schema_mistakes(value, marks, QUESTIONNAIRE_SCHEMA)))
    _refuse(list(_meaning_mistakes(value, marks)))
    questions = tuple(_question(item) for item in value["questions"])
    thresholds = tuple(int(item["from"]) for item in value["tiers"])
    _refuse(list(_reach_mistakes(questions, thresholds, marks)))
    return CompiledQuestionnaire(
        name=value["name"],
        title=value["title"],
        description=value.get("description", ""),
        source=value["source"],
        digest=text_digest(document),
        questions=questions,
        thresholds=thresholds,
    )


def bundled() -> dict[str, str]:
    """Return the documents of the questionnaires that come with the product, by name."""
    return {path.stem: path.read_text() for path in sorted(BUNDLED.glob("*.yaml"))}


def _refuse(mistakes: list[Mistake]) -> None:
    if mistakes:
        raise DocumentError(sorted(mistakes, key=lambda m: (m.line, m.column)))


def _question(item: dict[str, Any]) -> Question:
    choices = (Choice(c["value"], c["label"], int(c["points"]), c.get("at_least")) for c in item["choices"])
    return Question(item["id"], item["text"], item.get("help", ""), tuple(choices))


def _meaning_mistakes(value: Any, marks: Marks) -> Iterator[Mistake]:
    for i, id in _repeated([question["id"] for question in value["questions"]]):
        yield mistake(marks, ("questions", i, "id"), f"the id {id} is used twice; each question needs its own")
    for i, question in enumerate(value["questions"]):
        for j, name in _repeated([choice["value"] for choice in question["choices"]]):
            path = ("questions", i, "choices", j, "value")
            yield mistake(marks, path, f"the value {name} is used twice in {question['id']}; each choice needs its own")
    yield from _tier_mistakes(value["tiers"], marks)


def _tier_mistakes(tiers: list[dict[str, Any]], marks: Marks) -> Iterator[Mistake]:
    names = [item["tier"] for item in tiers]
    repeated = list(_repeated(names))
    for i, name in repeated:
        yield mistake(marks, ("tiers", i, "tier"), f"the tier {name} stands here a second time; keep one")
    if missing := [tier for tier in TIERS if tier not in names]:
        yield mistake(marks, (("key", "tiers"),), f"tiers lacks {', '.join(missing)}; give low, medium and high")
    elif not repeated and names != list(TIERS):
        yield mistake(marks, (("key", "tiers"),), "tiers must stand in the order low, medium, high")
    if tiers[0]["from"] > 0:
        yield mistake(marks, ("tiers", 0, "from"), f"from is {tiers[0]['from']}; the first tier must begin at 0 or below")
    for i in range(1, len(tiers)):
        before, after = tiers[i - 1]["from"], tiers[i]["from"]
        if after <= before:
            yield mistake(
                marks, ("tiers", i, "from"), f"from is {after}; it must be above {before}, where the tier before begins"
            )


def _repeated(names: Sequence[str]) -> Iterator[tuple[int, str]]:
    """Yield position and name of each that stood earlier already."""
    for i, name in enumerate(names):
        if name in names[:i]:
            yield i, name


def _reach_mistakes(questions: tuple[Question, ...], thresholds: tuple[int, ...], marks: Marks) -> Iterator[Mistake]:
    """Yield a mistake for points below the first tier, and for each tier that no answers lead to."""
    least, sums = _sums(questions)
    most = least + max(sums).bit_length() - 1
    if least < thresholds[0]:
        yield mistake(marks, ("tiers", 0, "from"), f"answers can sum up to {least}; the first tier must begin there or below")
        return
    reached = {
        max(floor, rank)
        for floor, of_floor in enumerate(sums)
        for rank, (begins, ends) in enumerate(pairwise((*thresholds, max(most, *thresholds) + 1)))
        if (of_floor >> max(0, begins - least)) & ((1 << max(0, ends - max(begins, least))) - 1)
    }
    for rank, tier in enumerate(TIERS):
        if rank not in reached:
            reason = f"no answers lead to {tier}: they sum up to {least} at least and {most} at most; change points or from"
            yield mistake(marks, ("tiers", rank), reason)


def _sums(questions: tuple[Question, ...]) -> tuple[int, list[int]]:
    """Return the least sum of points, and all sums by the rank to which the answers raise the tier at least.

    The sums of a rank are the bits of a number, the lowest standing for the least sum, which keeps many questions cheap.
    """
    least, sums = 0, [1, 0, 0]
    for question in questions:
        lowest = min(choice.points for choice in question.choices)
        least += lowest
        added = [0, 0, 0]
        for choice in question.choices:
            for floor in range(len(TIERS)):
                added[max(floor, TIERS.index(choice.at_least or "low"))] |= sums[floor] << choice.points - lowest
        sums = added
    return least, sums


def _reached(thresholds: tuple[int, ...], points: int) -> int:
    """Return the rank of the highest tier that points reach."""
    return max((rank for rank, begins in enumerate(thresholds) if points >= begins), default=0)


def _points(number: int) -> str:
    return f"{number} point" if abs(number) == 1 else f"{number} points"
