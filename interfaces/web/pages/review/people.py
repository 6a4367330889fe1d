"""Who approved as what, who could, who may not; and the reviews so far."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.utils.safestring import SafeString

from governance.gate import RequirementResult
from interfaces.web import charts
from interfaces.web.pages import words
from interfaces.web.pages.words import Status
from workflows.queries.deciding import Deciding, FactorTask
from workflows.queries.requests import RequestPage, ReviewRow, SignatureRow

_STALE = "stale, to be reviewed again: "


@dataclass(frozen=True)
class Filled:
    """Somebody whose approval fills a place of a factor."""

    name: str
    me: bool
    note: str


@dataclass(frozen=True)
class Factor:
    """So many people of a group. could: who could fill what is missing. claim: who took it on; mine: whether that is the reader.

    task: what can be taken on and given back; None where nothing waits.
    """

    group: str
    count: str
    status: Status
    pips: SafeString | None
    note: str
    how: str
    filled: tuple[Filled, ...]
    could: tuple[str, ...]
    missing: int
    task: int | None
    claim: str
    claimed_until: datetime | None
    mine: bool
    may_claim: bool
    due: str
    due_tone: str
    escalation: str


@dataclass(frozen=True)
class Step:
    """Factors that are asked for together; steps stand in their order."""

    policy: str
    title: str
    status: Status
    note: str
    factors: tuple[Factor, ...]


@dataclass(frozen=True)
class Barred:
    """Somebody who may not decide, and the part in the work that keeps them from it."""

    name: str
    me: bool
    why: str


@dataclass(frozen=True)
class GivenReview:
    """A review as it was given. counts: whether the gate hears it; if not, why. stale: what it was given on has changed.

    note: what changed since without mattering. whose: in whose place it was given.
    """

    name: str
    me: bool
    whose: str
    status: Status
    comment: str
    at: datetime
    digest: str
    counts: bool
    stale: bool
    why_not: str
    replaced: bool
    note: str
    signature: SignatureRow | None


def steps(page: RequestPage, around: Deciding, *, names: Mapping[str, str], me: str, now: datetime) -> tuple[Step, ...]:
    """Return the steps of the policies that can block, in order, each with its factors."""
    found: dict[tuple[str, str], list[RequirementResult]] = {}
    for result in page.verdict.requirements:
        if result.kind == "approval" and result.step and result.mode == "enforce":
            found.setdefault((result.policy, result.step), []).append(result)
    latest = {row.reviewer: row for row in page.reviews if row.is_latest}
    seats = {(seat.policy, seat.factor, seat.group) for seat in around.seats}
    return tuple(
        Step(
            policy=policy,
            title=results[0].title.rpartition(": ")[0] or words.sentence(step),
            status=_status(results),
            note=_step_note(results),
            factors=tuple(
                _factor(
                    result,
                    around.tasks.get((result.policy, result.id, result.group)),
                    (result.policy, result.id, result.group) in seats,
                    latest,
                    names,
                    me,
                    now,
                )
                for result in results
            ),
        )
        for (policy, step), results in found.items()
    )


def reviews(page: RequestPage, *, names: Mapping[str, str], me: str) -> tuple[GivenReview, ...]:
    """Return the reviews so far, the latest first."""
    return tuple(_given(row, names, me) for row in reversed(page.reviews))


def barred(page: RequestPage, me: str) -> tuple[Barred, ...]:
    """Return who may not decide because of the part they had, the reader first."""
    shown = [
        Barred(
            person.display_name, person.username == me, "; ".join(_without_name(why, person.username) for why in person.reasons)
        )
        for person in page.people
        if not person.eligible
    ]
    return tuple(sorted(shown, key=lambda each: (not each.me, each.name)))


def approvals(results: Iterable[RequirementResult]) -> tuple[int, int]:
    """Return how many approvals are there and how many the policies that can block ask for."""
    asked = [r for r in results if r.kind == "approval" and r.step and r.mode == "enforce" and r.state.value != "not_applicable"]
    given = sum(len(r.people) for r in asked)
    return given, given + sum(r.missing for r in asked)


def _status(results: Sequence[RequirementResult]) -> Status:
    if all(r.state.value == "not_applicable" for r in results):
        return Status("wait", "Not needed")
    if any(r.state.value == "error" for r in results):
        return words.requirement("error")
    return Status("pass", "Complete") if all(r.passes for r in results) else Status("wait", "Waiting")


def _step_note(results: Sequence[RequirementResult]) -> str:
    """Return what a step as a whole waits for."""
    reasons = {r.reason for r in results if r.missing and not r.open and r.reason.startswith("waits for ")}
    return "; ".join(sorted(_sentence(reason) for reason in reasons))


def _factor(
    result: RequirementResult,
    task: FactorTask | None,
    fits_me: bool,
    latest: Mapping[str, ReviewRow],
    names: Mapping[str, str],
    me: str,
    now: datetime,
) -> Factor:
    given, count = len(result.people), len(result.people) + result.missing
    asked = result.state.value in ("satisfied", "pending", "error") and count > 0
    due, tone = words.due(task.due_at, now) if task is not None and task.due_at else ("", "")
    claimed = task.claimed_by if task is not None else ""
    return Factor(
        group=result.group,
        count=f"{given} of {count}" if asked else "",
        status=words.requirement(result.state.value, "approval"),
        pips=charts.pips(
            given, count, tone=words.requirement(result.state.value, "approval").tone, label=f"{given} of {count} given"
        )
        if asked
        else None,
        note=_sentence(result.reason) if result.state.value == "error" else "",
        how=result.how_to_satisfy if result.state.value == "error" else "",
        filled=tuple(_filled(name, latest.get(name), names, me) for name in result.people),
        could=tuple("you" if name == me else names.get(name, name) for name in task.could) if task is not None else (),
        missing=result.missing,
        task=task.id if task is not None else None,
        claim="you" if claimed and claimed == me else names.get(claimed, claimed),
        claimed_until=task.claimed_until if task is not None else None,
        mine=bool(claimed) and claimed == me,
        may_claim=task is not None and fits_me and not claimed,
        due=due,
        due_tone=tone,
        escalation=_escalation(task) if task is not None else "",
    )


def _escalation(task: FactorTask) -> str:
    if not task.escalate_to:
        return ""
    return f"Escalated to {task.escalate_to}" if task.escalated else f"Escalates to {task.escalate_to} when late"


def _filled(name: str, row: ReviewRow | None, names: Mapping[str, str], me: str) -> Filled:
    notes = []
    if row is not None:
        if row.on_behalf_of:
            notes.append(f"for {names.get(row.on_behalf_of, row.on_behalf_of)}")
        notes.append(words.moment(row.created_at))
    return Filled("You" if name == me else names.get(name, name), name == me, ", ".join(notes))


def _given(row: ReviewRow, names: Mapping[str, str], me: str) -> GivenReview:
    stale = row.is_latest and not row.counts and row.why_not.startswith(_STALE)
    return GivenReview(
        name="You" if row.reviewer == me else row.reviewer_name,
        me=row.reviewer == me,
        whose=names.get(row.on_behalf_of, row.on_behalf_of),
        status=words.verdict(row.verdict),
        comment=row.comment,
        at=row.created_at,
        digest=row.evidence_digest,
        counts=row.counts,
        stale=stale,
        why_not=_sentence(row.why_not.removeprefix(_STALE)),
        replaced=not row.is_latest,
        note=_sentence(row.note),
        signature=row.signature,
    )


def _without_name(reason: str, username: str) -> str:
    return _sentence(reason.removeprefix(f"{username} "))


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
