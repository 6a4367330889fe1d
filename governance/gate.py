"""Requirements and steps + facts -> verdict: the only code that decides. Pure, so any past decision can be recomputed.

The states are Gerrit's for submit requirements (not applicable, satisfied, unsatisfied, overridden, error) with pending and
waived added; anything that cannot be evaluated keeps the gate shut.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import msgspec

from core.canonical import LARGEST_INTEGER
from governance import staffing
from governance.expressions import evaluate
from governance.facts import REPORTED, CheckFact, Facts, UnaskedFact, WaiverFact
from governance.policy import OBJECTION, UNASKED, CheckRequest, CompiledPolicy, Requirement, Step, factor_id

# Stored with each decision: a verdict is byte for byte the same only under the revision of the gate that reached it.
REVISION = 2
RUNNING_STATES = ("queued", "preparing", "running")
# Both were measured to the end: that a check found something grave is for requirements to judge. "completed" is how facts of before
# the two were told apart call them, and their decisions can be recomputed still.
MEASURED = ("passed", "failed", "completed")
OBJECTIONS = ("reject", "request_changes")


class State(StrEnum):
    NOT_APPLICABLE = "not_applicable"
    SATISFIED = "satisfied"
    UNSATISFIED = "unsatisfied"
    OVERRIDDEN = "overridden"
    WAIVED = "waived"
    PENDING = "pending"
    ERROR = "error"


_PASSING = (State.SATISFIED, State.NOT_APPLICABLE, State.OVERRIDDEN, State.WAIVED)


class RequirementResult(msgspec.Struct, frozen=True):
    """How one requirement, or one factor of a step, came out: the numbers behind it and what to do if it blocks.

    mode: how the policy is bound; only ``enforce`` blocks. step, group, people, missing: of a factor. waiver: the id of the
    waiver that lets it pass.
    """

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
    mode: str = "enforce"
    step: str = ""
    group: str = ""
    people: tuple[str, ...] = ()
    missing: int = 0
    open: bool = False
    waiver: int | None = None

    @property
    def passes(self) -> bool:
        return self.state in _PASSING

    @property
    def blocks(self) -> bool:
        return self.mode == "enforce" and not self.passes


class Verdict(msgspec.Struct, frozen=True):
    """What the gate found. It opens only if at least one enforced requirement was judged and none blocks."""

    satisfied: bool
    requirements: tuple[RequirementResult, ...]

    @property
    def blocking(self) -> tuple[RequirementResult, ...]:
        return tuple(r for r in self.requirements if r.blocks)

    @property
    def evidence_satisfied(self) -> bool:
        """Whether everything but people's approval is there."""
        return bool(self.requirements) and not any(r.blocks for r in self.requirements if r.kind == "evidence")

    @property
    def waiting(self) -> tuple[RequirementResult, ...]:
        """The factors that wait for people now: of a step that is open, with somebody missing."""
        return tuple(r for r in self.requirements if r.open and r.missing)


@dataclass(frozen=True)
class PinnedPolicy:
    """A policy as a request pinned it: the compiled revision, the binding with its mode, and the parameters."""

    policy: CompiledPolicy
    parameters: Mapping[str, Any]
    binding: str = ""
    mode: str = "enforce"


def judge(policies: Sequence[PinnedPolicy], facts: Facts) -> Verdict:
    """Return the verdict of all policies together; every enforced one must be satisfied."""
    results: list[RequirementResult] = []
    for pinned in policies:
        results += _judge_one(pinned, facts)
    results += [_unasked(each) for each in facts.unasked]
    judged = any(r.state is not State.NOT_APPLICABLE and r.mode == "enforce" for r in results)
    return Verdict(satisfied=judged and not any(r.blocks for r in results), requirements=tuple(results))


def _unasked(fact: UnaskedFact) -> RequirementResult:
    return RequirementResult(
        policy=fact.policy,
        id=UNASKED,
        title="Every policy that guards the place is asked",
        state=State.UNSATISFIED,
        reason=f"the binding {fact.binding} guards this place since the request was made, and its policy is not asked",
        how_to_satisfy="Move the request to the policies in force (rebase).",
    )


def steps_of(policy: CompiledPolicy, facts: Facts) -> tuple[Step, ...]:
    """Return the steps that hold for a request: a rollback's are shorter, as long as the earlier approvals stand."""
    if facts.request.kind == "rollback" and facts.request.earlier_approval and policy.rollback is not None:
        return policy.rollback.steps
    return policy.steps


def _judge_one(pinned: PinnedPolicy, facts: Facts) -> list[RequirementResult]:
    policy = pinned.policy
    facts = facts.seen_by(pinned.binding or policy.name)
    context = policy.language.context(facts, policy.effective(pinned.parameters), policy.reads)
    unfinished = [c.name for c in (*facts.version.checks.values(), *facts.champion.checks.values()) if c.state in RUNNING_STATES]
    unfinished += [f"a report of {name}" for name in awaited(policy, facts)]
    waivers = {w.requirement: w for w in facts.waivers if w.policy == policy.name} if policy.waivers else {}
    incomplete = _incomplete(policy, facts)
    reported = _reported(facts) if incomplete else frozenset[str]()
    results = [
        _requirement(pinned, item, context, unfinished, _doubts(item, reported, incomplete), waivers.get(item.id))
        for item in policy.requirements
    ]
    results += _approvals(pinned, facts, context, unfinished, incomplete, bool(reported))
    if objections := [r.reviewer for r in facts.reviews if r.counts and r.verdict in OBJECTIONS]:
        results.append(
            RequirementResult(
                policy=policy.name,
                id=OBJECTION,
                title="No open objection",
                state=State.UNSATISFIED,
                reason=f"{', '.join(objections)} asked for changes or rejected",
                how_to_satisfy="Answer the objection; the reviewer can review again.",
                kind="approval",
                mode=pinned.mode,
            )
        )
    return results


def _incomplete(policy: CompiledPolicy, facts: Facts) -> str:
    """Return which of the policy's checks did not complete, in words; empty if all did."""
    states = {c.check: found.state if (found := _asked_for(c, facts)) else "" for c in policy.checks}
    return ", ".join(f"{name} {state or 'did not run'}" for name, state in states.items() if state not in MEASURED)


def awaited(policy: CompiledPolicy, facts: Facts) -> list[str]:
    """Return the checks that a policy takes from pipelines elsewhere and that none has reported yet."""
    return [c.check for c in policy.checks if c.source == REPORTED and _asked_for(c, facts) is None]


def _asked_for(check: CheckRequest, facts: Facts) -> CheckFact | None:
    """Return how a check stands that came from where the policy takes it from: a report is none where a worker is to measure."""
    found = facts.version.checks.get(check.check)
    return found if found is not None and found.source == check.source else None


def _reported(facts: Facts) -> frozenset[str]:
    """Return the keys of the measurements, the candidate's and the champion's, that pipelines elsewhere reported."""
    versions = (facts.version, facts.champion)
    return frozenset(key for version in versions for key, m in version.measurements.items() if m.source == REPORTED)


def _doubts(item: Requirement, reported: frozenset[str], incomplete: str) -> str:
    """Return which checks a requirement has to wait for.

    "No finding is critical" is true of a check that broke as well: what gains by absence waits for every check. So does what looks
    at a reported number, or it could stand in for one that a worker would have measured.
    """
    replaceable = bool(reported) and (item.any_measurement or not reported.isdisjoint(item.measurements))
    return incomplete if item.gains_by_absence or replaceable else ""


def _requirement(
    pinned: PinnedPolicy,
    item: Requirement,
    context: Any,
    unfinished: list[str],
    doubted: str,
    waiver: WaiverFact | None,
) -> RequirementResult:
    state, reason = _evaluated(item, context, unfinished)
    if doubted and state in _PASSING:
        state, reason = _unevaluated(f"not all checks are complete: {doubted}", unfinished)
    shown = _shown(item, context) if state is not State.NOT_APPLICABLE else {}
    if state is State.UNSATISFIED and not reason:
        reason = _why_not(item, shown)
    if state is State.UNSATISFIED and item.override_if is not None:
        override = evaluate(item.override_if, context)
        if doubted:
            reason = f"{reason}; whether it is overridden cannot be told: not all checks are complete: {doubted}"
        elif override.ok and override.value is True:
            state, reason = State.OVERRIDDEN, f"{reason}; overridden: {item.override_if_text}"
        elif not override.ok:
            reason = f"{reason}; whether it is overridden cannot be evaluated: {override.error}"
    used = None
    if waiver is not None and item.waivable and state in (State.UNSATISFIED, State.ERROR):
        used = waiver.id
        state = State.WAIVED
        reason = f"{reason}; waived until {waiver.expires_at[:10]} by {waiver.approved_by}: {waiver.compensating_control}"
    return RequirementResult(
        policy=pinned.policy.name,
        id=item.id,
        title=item.title,
        state=state,
        reason=reason,
        how_to_satisfy=item.how_to_satisfy,
        mode=pinned.mode,
        waiver=used,
        **shown,
    )


def _evaluated(item: Requirement, context: Any, unfinished: list[str]) -> tuple[State, str]:
    """Return the state and, unless it is plainly unsatisfied, the reason."""
    if item.applies_if is not None:
        applies = evaluate(item.applies_if, context)
        if applies.value is False and applies.ok:
            return State.NOT_APPLICABLE, "does not apply to this request"
        if applies.value is not True:
            return _unevaluated(applies.error, unfinished)
    outcome = evaluate(item.satisfied_if, context)
    if not outcome.ok or not isinstance(outcome.value, bool):
        return _unevaluated(outcome.error, unfinished)
    return (State.SATISFIED, "met") if outcome.value else (State.UNSATISFIED, "")


def _unevaluated(error: str, unfinished: list[str]) -> tuple[State, str]:
    if unfinished:
        return State.PENDING, f"waits for {', '.join(sorted(set(unfinished)))}"
    return State.ERROR, f"cannot be evaluated: {error or 'the expression gave no yes or no'}"


def _shown(item: Requirement, context: Any) -> dict[str, Any]:
    shows = item.shows
    if shows is None:
        return {}
    return {
        "value": _showable(shows.value, context),
        "limit": _showable(shows.limit, context),
        "champion": _showable(shows.champion, context),
        "limit_is": shows.limit_is,
        "evidence": shows.evidence,
    }


def _showable(expression: Any, context: Any) -> float | int | str | bool | None:
    """Return what can be shown and stored; None for what is missing, such as a first version's champion. It decides nothing."""
    value = evaluate(expression, context).value if expression is not None else None
    if isinstance(value, float):
        return value + 0.0 if math.isfinite(value) else None  # JSON knows no negative zero
    if isinstance(value, int) and abs(value) > LARGEST_INTEGER:
        return str(value)  # JSON numbers end there
    return value if isinstance(value, int | str) else None


def _why_not(item: Requirement, shown: Mapping[str, Any]) -> str:
    if shown.get("value") is None or shown.get("limit") is None:
        return f"not met: {item.satisfied_if_text}"
    relation = {"at_least": "at least", "at_most": "at most", "equal": "exactly"}[shown["limit_is"]]
    return f"measured {_number(shown['value'])}, the limit is {relation} {_number(shown['limit'])}"


def _number(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _approvals(
    pinned: PinnedPolicy, facts: Facts, context: Any, unfinished: list[str], incomplete: str, reported: bool
) -> list[RequirementResult]:
    """Judge the steps: each person counts for one factor, earlier steps first; a sequential step waits for those before."""
    policy = pinned.policy
    steps = steps_of(policy, facts)
    applying = [_applies(step, context, unfinished, incomplete if reported or step.gains_by_absence else "") for step in steps]
    asked = [step for step, (state, _) in zip(steps, applying, strict=True) if state is not State.NOT_APPLICABLE]
    seats = staffing.seats(asked, facts, author=facts.authors.get(pinned.binding, ""))
    results: list[RequirementResult] = []
    waits_for = ""
    for step, (state, reason) in zip(steps, applying, strict=True):
        found = [
            _factor(pinned, step, i, seat, facts, waits_for)
            if state is State.SATISFIED
            else _not_asked(pinned, step, i, state, reason)
            for i, seat in enumerate(seats.get(step.name) or [staffing.Seat(f, (), 0, 0) for f in step.factors])
        ]
        results += found
        if policy.sequential and not waits_for and not all(r.passes for r in found):
            waits_for = step.title
    return results


def _applies(step: Step, context: Any, unfinished: list[str], doubted: str) -> tuple[State, str]:
    if step.applies_if is None:
        return State.SATISFIED, ""
    outcome = evaluate(step.applies_if, context)
    if outcome.value is True:
        return State.SATISFIED, ""
    if outcome.value is not False:
        return _unevaluated(outcome.error, unfinished)
    if doubted:
        return _unevaluated(f"not all checks are complete: {doubted}", unfinished)
    return State.NOT_APPLICABLE, "does not apply to this request"


def _factor(pinned: PinnedPolicy, step: Step, i: int, seat: staffing.Seat, facts: Facts, waits_for: str) -> RequirementResult:
    count, group = seat.factor.count, seat.factor.group
    state, reason = State.PENDING, f"{seat.missing} more of {count} must approve"
    if seat.missing == 0:
        state, reason = State.SATISFIED, f"approved by {', '.join(seat.people)}"
    elif seat.reachable < seat.missing:
        # A step that nobody can complete must not look like one that waits.
        state = State.ERROR
        reason = f"no reviewer can be resolved: {seat.missing} more of {group} must approve, and {seat.reachable} may"
    elif waits_for:
        reason = f"waits for {waits_for}"
    return RequirementResult(
        policy=pinned.policy.name,
        id=factor_id(step.name, [f.group for f in step.factors], i),
        title=f"{step.title}: {count} of {group}",
        state=state,
        reason=reason,
        how_to_satisfy=(
            f"{count} people of the group {group} review the request. Whoever had a part in the work does not count, and nobody "
            f"counts for two factors."
            if state is not State.ERROR
            else f"Add people to the group {group} who had no part in the work and hold the right to review."
        ),
        kind="approval",
        value=len(seat.people),
        limit=count,
        limit_is="at_least",
        mode=pinned.mode,
        step=step.name,
        group=group,
        people=seat.people,
        missing=seat.missing,
        open=seat.missing > 0 and not waits_for,
    )


def _not_asked(pinned: PinnedPolicy, step: Step, i: int, state: State, reason: str) -> RequirementResult:
    factor = step.factors[i]
    return RequirementResult(
        policy=pinned.policy.name,
        id=factor_id(step.name, [f.group for f in step.factors], i),
        title=f"{step.title}: {factor.count} of {factor.group}",
        state=state,
        reason=reason,
        how_to_satisfy=(
            "Start the checks again that broke; if none did, correct when the step applies, publish the policy and rebase the request."
            if state is State.ERROR
            else ""
        ),
        kind="approval",
        mode=pinned.mode,
        step=step.name,
        group=factor.group,
    )
