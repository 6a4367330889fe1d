"""Judges of answers, which other distributions bring along."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Protocol

from governance.checks.base import CheckError

ENTRY_POINT_GROUP = "countersign.judges"


class Judge(Protocol):
    """What an entry point of the group `countersign.judges` leads to, under the judge's own name.

    name: written into policies, never renamed. revision: changes whenever the same answer may be given another score. It runs in
    the measuring process: without a network, within the limits of the check, and trusted as a check is.
    """

    @property
    def name(self) -> str:
        """How policies call it."""

    @property
    def revision(self) -> str:
        """Which edition of it this is."""

    def judge(self, prompt: str, answer: str, expected: str | None) -> float:
        """Return how good the answer is, in [0, 1]; expected: the first of the answers that are accepted, if any is known."""


@dataclass(frozen=True)
class Bench:
    """The judges that a check calls, in the order of their names there."""

    judges: tuple[Judge, ...]

    def scores(self, prompt: str, answer: str, expected: str | None) -> tuple[float, ...]:
        """Return the score that each judge gives, in [0, 1]. Raises CheckError for one that fails, or gives something else.

        What a judge raises is named by its kind alone, since its words may repeat the answer.
        """
        return tuple(_score(each, prompt, answer, expected) for each in self.judges)


def call(names: Iterable[str]) -> Bench:
    """Return the judges of these names; `NAME@REVISION` asks for one revision.

    Raises CheckError for a name that none or several have here, for another revision, and for what is no judge.
    """
    installed = list(entry_points(group=ENTRY_POINT_GROUP))
    return Bench(tuple(_called(name, installed) for name in dict.fromkeys(names)))


def _called(wanted: str, installed: list[EntryPoint]) -> Judge:
    name, _, revision = wanted.partition("@")
    found = [each for each in installed if each.name == name]
    if not found:
        known = ", ".join(sorted({each.name for each in installed})) or "none"
        raise CheckError(
            "unknown_judge",
            f"The judge {name!r} is not installed here; installed are: {known}. Install the distribution that brings it where "
            "checks run, or correct the name in the policy.",
        )
    if len(found) > 1:
        raise CheckError("invalid_judge", f"The judge {name!r} is brought by {len(found)} distributions. Remove all but one.")
    judge = _loaded(found[0])
    if revision and revision != judge.revision:
        raise CheckError(
            "unknown_judge",
            f"The judge {name!r} is installed in revision {judge.revision!r}, and the policy asks for {revision!r}. "
            "Install that one, or change the policy.",
        )
    return judge


def _loaded(entry: EntryPoint) -> Judge:
    try:
        loaded: Any = entry.load()
        judge = loaded() if isinstance(loaded, type) else loaded
    except Exception as cause:
        message = f"The judge {entry.name!r} cannot be loaded: {type(cause).__name__}: {cause}. Repair its distribution."
        raise CheckError("invalid_judge", message) from cause
    texts = getattr(judge, "name", None), getattr(judge, "revision", None)
    if texts[0] != entry.name or not isinstance(texts[1], str) or not callable(getattr(judge, "judge", None)):
        raise CheckError(
            "invalid_judge",
            f"What the entry point {entry.name!r} leads to is no judge: it needs that name, a text as revision, a method judge.",
        )
    typed: Judge = judge
    return typed


def _score(judge: Judge, prompt: str, answer: str, expected: str | None) -> float:
    try:
        given: Any = judge.judge(prompt, answer, expected)
    except (MemoryError, CheckError):
        raise
    except Exception as cause:
        raise CheckError("judge_failed", f"The judge {judge.name!r} failed with {type(cause).__name__}. Repair it.") from cause
    number = given.item() if hasattr(given, "item") else given
    if isinstance(number, bool) or not isinstance(number, int | float) or not math.isfinite(number) or not 0 <= number <= 1:
        raise CheckError("judge_failed", f"The judge {judge.name!r} gave a {type(given).__name__} that is no number in [0, 1].")
    return float(number)
