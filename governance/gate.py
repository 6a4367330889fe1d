"""Requirements + facts -> verdict: the only code that decides. Pure, so any past decision can be recomputed.

The states are Gerrit's for submit requirements, with pending added; anything that cannot be evaluated keeps the gate shut.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import msgspec

from governance.expressions import Value, evaluate
from governance.facts import Facts
from governance.policy import Approval, CompiledPolicy, Requirement

RUNNING_STATES = ("queued", "running")


class State(StrEnum):
    NOT_APPLICABLE = "not_applicable"
    SATISFIED = "satisfied"
    UNSATISFIED = "unsatisfied"
    PENDING = "pending"
    ERROR = "error"


_PASSING = (State.SATISFIED, State.NOT_APPLICABLE)


class RequirementResult(msgspec.Struct, frozen=True):
    """How one requirement came out, with the numbers behind it and what to do if it blocks."""

    policy: str
    id: str
    title: str
    state: State
    reason: str
    how_to_satisfy: str
    kind: str = "evidence"  # or "approval"
    value: float | int | str | bool | None = None
    limit: float | int | str | bool | None = None
    champion: float | int | str | bool | None = None
    limit_is: str = ""
    evidence: str = ""

    @property
    def blocks(self) -> bool:
        return self.state not in _PASSING


class Verdict(msgspec.Struct, frozen=True):
    """What the gate found. It opens only if at least one requirement was judged and none blocks."""

    satisfied: bool
    requirements: tuple[RequirementResult, ...]

    @property
    def blocking(self) -> tuple[RequirementResult, ...]:
        return tuple(r for r in self.requirements if r.blocks)

    @property
    def evidence_satisfied(self) -> bool:
        """Whether everything but people's approval is there."""
        return bool(self.requirements) and not any(r.blocks for r in self.requirements if r.kind == "evidence")


@dataclass(frozen=True)
class PinnedPolicy:
    """A policy as a request pinned it: the compiled revision and the binding's parameters."""

    policy: CompiledPolicy
    parameters: Mapping[str, Any]


def judge(policies: Sequence[PinnedPolicy], facts: Facts) -> Verdict:
    """Return the verdict of all policies together; every one of them must be satisfied."""
    results: list[RequirementResult] = []
    for pinned in policies:
        results += _judge_one(pinned, facts)
    judged = any(r.state is not State.NOT_APPLICABLE for r in results)
    return Verdict(satisfied=judged and not any(r.blocks for r in results), requirements=tuple(results))


def _judge_one(pinned: PinnedPolicy, facts: Facts) -> list[RequirementResult]:
    policy = pinned.policy
    context = policy.language.context(facts, policy.effective(pinned.parameters))
    unfinished = [c.name for c in (*facts.version.checks.values(), *facts.champion.checks.values()) if c.state in RUNNING_STATES]
    results = [_requirement(policy.name, item, context, unfinished) for item in policy.requirements]
    results += [_approval(policy.name, item, facts) for item in policy.approvals]
    if objections := [r.reviewer for r in facts.reviews if r.counts and r.verdict in ("reject", "request_changes")]:
        results.append(
            RequirementResult(
                policy=policy.name,
                id="no-open-objection",
                title="No open objection",
                state=State.UNSATISFIED,
                reason=f"{', '.join(objections)} asked for changes or rejected",
                how_to_satisfy="Answer the objection; the reviewer can review again.",
                kind="approval",
            )
        )
    return results


def _requirement(policy: str, item: Requirement, context: Mapping[str, Any], unfinished: list[str]) -> RequirementResult:
    shown = _shown(item, context)

    def result(state: State, reason: str) -> RequirementResult:
        return RequirementResult(
            policy=policy, id=item.id, title=item.title, state=state, reason=reason, how_to_satisfy=item.how_to_satisfy, **shown
        )

    if item.applies_if is not None:
        applies = evaluate(item.applies_if, context)
        if applies.value is False and applies.ok:
            return result(State.NOT_APPLICABLE, "does not apply to this request")
        if applies.value is not True:
            return result(*_unevaluated(applies, unfinished))
    outcome = evaluate(item.satisfied_if, context)
    if not outcome.ok or not isinstance(outcome.value, bool):
        return result(*_unevaluated(outcome, unfinished))
    if outcome.value:
        return result(State.SATISFIED, "met")
    return result(State.UNSATISFIED, _why_not(item, shown))


def _unevaluated(outcome: Value, unfinished: list[str]) -> tuple[State, str]:
    if unfinished:
        return State.PENDING, f"waits for {', '.join(sorted(set(unfinished)))}"
    return State.ERROR, f"cannot be evaluated: {outcome.error or 'the expression gave no yes or no'}"


def _shown(item: Requirement, context: Mapping[str, Any]) -> dict[str, Any]:
    if item.shows is None:
        return {}

    def value(compiled: Any) -> Any:
        # What is shown may be missing, such as a first version's champion; it decides nothing.
        outcome = evaluate(compiled, context) if compiled is not None else Value(None)
        if not outcome.ok or (isinstance(outcome.value, float) and outcome.value != outcome.value):
            return None
        return outcome.value

    return {
        "value": value(item.shows.value),
        "limit": value(item.shows.limit),
        "champion": value(item.shows.champion),
        "limit_is": item.shows.limit_is,
        "evidence": item.shows.evidence,
    }


def _why_not(item: Requirement, shown: Mapping[str, Any]) -> str:
    if shown.get("value") is None or shown.get("limit") is None:
        return f"not met: {item.satisfied_if_text}"
    relation = {"at_least": "at least", "at_most": "at most", "equal": "exactly"}[shown["limit_is"]]
    return f"measured {_number(shown['value'])}, the limit is {relation} {_number(shown['limit'])}"


def _number(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _approval(policy: str, item: Approval, facts: Facts) -> RequirementResult:
    counted = [r.reviewer for r in facts.reviews if r.counts and r.verdict == "approve" and item.role in r.roles]
    missing = item.count - len(counted)
    return RequirementResult(
        policy=policy,
        id=f"approvals-{item.role}",
        title=f"Approvals by {item.role}",
        state=State.SATISFIED if missing <= 0 else State.PENDING,
        reason=f"approved by {', '.join(counted)}" if missing <= 0 else f"{missing} more of {item.count} must approve",
        how_to_satisfy=(
            f"People with the role {item.role} review the request; who asked for it, who made the version and who ran its training do not count."
        ),
        kind="approval",
        value=len(counted),
        limit=item.count,
        limit_is="at_least",
    )
