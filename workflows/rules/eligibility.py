"""Whether a person's review can count for what a gate waits for, by their groups. Pure."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass

from governance.gate import RequirementResult, Verdict


@dataclass(frozen=True)
class Obstacle:
    """Why somebody's review could count for nothing: a code for programs and a sentence for people."""

    code: str
    reason: str


def obstacle(name: str, groups: Set[str], verdict: Verdict) -> Obstacle | None:
    """Return what keeps a member of these groups from reviewing now, or None.

    A group that is not asked at all; or, of a sequential policy, one whose step is not open yet. A policy without steps asks
    everybody who may review.
    """
    factors = [r for r in verdict.requirements if r.group and r.mode == "enforce" and r.state != "not_applicable"]
    asked = {r.group for r in factors}
    if not asked:
        return None
    if not asked & groups:
        return Obstacle("not_asked", f"it asks for {', '.join(sorted(asked))}, and {name} is in none of these groups")
    waiting = {r.group for r in factors if r.open}
    if waiting and not waiting & groups and (later := _not_open(factors, groups)):
        return Obstacle("step_not_open", f"the step {', '.join(later)} is not open yet; first comes {', '.join(sorted(waiting))}")
    return None


def _not_open(factors: list[RequirementResult], groups: Set[str]) -> list[str]:
    return sorted({r.step for r in factors if r.group in groups and r.missing and not r.open})
