"""What stands around a request where it is decided: who could fill what, waivers, findings, discussions, and newer policies.

The request itself with its verdict is in `requests.request_page`; this is read beside it, in a constant number of statements but
for the newer policies, which are read only where there are any.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from django.utils import timezone

from core import access
from core.access import Actor, Permission
from core.errors import NotFound
from core.models import User
from governance.bindings import bindings_for
from governance.gate import RequirementResult
from governance.models import BindingMode, PolicyRevision
from governance.policy import CompiledPolicy, Requirement, Step, compile_policy
from workflows.assessment import Pin, assess, pin_of, pins_of
from workflows.commands.reviews import statement_for
from workflows.models import PromotionRequest, ReviewTask, ReviewVerdict
from workflows.queries import people, requests, risk
from workflows.queries.people import StandIn, ThreadRow, standing_in
from workflows.queries.requests import RequestPage
from workflows.queries.risk import FindingSummary, WaiverRow
from workflows.rules.eligibility import obstacle
from workflows.rules.signing import Statement

FactorKey = tuple[str, str, str]  # policy, factor, group
Members = Mapping[str, list[tuple[int, str]]]  # group -> account's id and name


@dataclass(frozen=True)
class FactorTask:
    """A factor that waits for people now: until when, who took it on, and the accounts that could fill it, by name."""

    id: int
    due_at: datetime | None
    overdue: bool
    escalate_to: str
    escalated: bool
    claimed_by: str
    claimed_until: datetime | None
    could: list[str]


@dataclass(frozen=True)
class Seat:
    """A place that the reader's approval could fill now, as a member of a group. nth: 2 where one of two is filled.

    on_behalf_of: whose place they would take; empty for their own.
    """

    policy: str
    factor: str
    group: str
    nth: int
    of: int
    on_behalf_of: str


@dataclass(frozen=True)
class PolicyChange:
    """How what is in force now differs from what a request pinned. before, after: revisions; None where it is not bound.

    parameters: name, value before, value now. requirements: title, and whether it was added, removed or changed.
    """

    policy: str
    binding: str
    before: int | None
    after: int | None
    mode_before: str
    mode_after: str
    parameters: list[tuple[str, Any, Any]]
    requirements: list[tuple[str, str]]
    steps_differ: bool


@dataclass(frozen=True)
class Deciding:
    """What the reader sees around a request.

    tasks: by policy, factor and group. stands_in_for: whose place the reader may take here. waivers: those in force of the
    request's policies, by ``policy/requirement``. waivable: (policy, requirement) of what the reader may ask a waiver for.
    findings: open on the model, from whichever version. rebase: what a rebase would change. names: account -> display name of
    everybody in it.
    """

    tasks: Mapping[FactorKey, FactorTask] = field(default_factory=dict)
    seats: list[Seat] = field(default_factory=list)
    stands_in_for: list[str] = field(default_factory=list)
    waivers: Mapping[str, WaiverRow] = field(default_factory=dict)
    waivable: frozenset[tuple[str, str]] = frozenset()
    findings: list[FindingSummary] = field(default_factory=list)
    threads: list[ThreadRow] = field(default_factory=list)
    rebase: list[PolicyChange] = field(default_factory=list)
    names: Mapping[str, str] = field(default_factory=dict)


def deciding(actor: Actor, page: RequestPage) -> Deciding:
    """Return what stands around a request. Raises NotFound when the actor may not see it."""
    at = timezone.now()
    row = requests.requests(actor).get(pk=page.request.id)
    tasks = {(t.policy, t.factor, t.group): t for t in row.tasks.filter(closed_at=None).select_related("claimed_by")}
    waiting = [result for result in page.verdict.waiting if result.mode == BindingMode.ENFORCE]
    acting = _acting(actor, page, at)
    policies = _policies(page)
    found = risk.waiver_rows(risk.waivers(actor, model=row.model.name, version=row.version.number, state="in_force"))
    waivers = [waiver for waiver in found if waiver.policy in policies]
    findings = risk.finding_rows(risk.findings(actor, model=row.model.name, status="open"))
    names = {review.on_behalf_of for review in page.reviews} | {place.username for place in acting}
    names |= {ruling.by for waiver in waivers for ruling in waiver.rulings}
    threads = people.thread_rows(actor, people.threads(actor, request_id=row.pk))
    names |= {finding.owner for finding in findings} | {thread.resolved_by for thread in threads}
    return Deciding(
        tasks=_tasks(tasks, _members(page, {key[2] for key in tasks}), at),
        seats=_seats(actor, page, waiting, tasks, acting),
        stands_in_for=[place.username for place in acting],
        waivers={f"{waiver.policy}/{waiver.requirement}": waiver for waiver in reversed(waivers)},
        waivable=_waivable(policies) if access.explain(actor, Permission.PROMOTION_REQUEST, row.model).allowed else frozenset(),
        findings=findings,
        threads=threads,
        rebase=_rebase(actor, row) if page.may_rebase else [],
        names={user.username: user.display_name for user in User.objects.filter(username__in=names - {""})},
    )


def statement_to_sign(actor: Actor, request_id: int, *, verdict: str, meaning: str, on_behalf_of: str = "") -> Statement | None:
    """Return exactly what the actor would sign now, with its digest; None for a verdict or meaning that there is not.

    Raises NotFound when the request is absent or hidden.
    """
    row = requests.requests(actor).filter(pk=request_id).first()
    if row is None:
        raise NotFound(f"There is no promotion request {request_id}, or you may not see it.")
    seen = assess(row)
    if actor.user_id is None or verdict not in ReviewVerdict.values or meaning not in seen.signature_meanings:
        return None
    reviewer = User.objects.get(pk=actor.user_id)
    return statement_for(row, seen, reviewer, verdict=verdict, meaning=meaning, on_behalf_of=on_behalf_of)


def _may_decide(actor: Actor, page: RequestPage) -> bool:
    """Return whether nothing but the groups they are in could keep the actor from deciding."""
    barred = any(person.username == actor.username and not person.eligible for person in page.people)
    return page.request.state == "in_review" and actor.grants(Permission.PROMOTION_REVIEW) and not barred


def _acting(actor: Actor, page: RequestPage, at: datetime) -> list[StandIn]:
    """Return whose place the actor may take on this request, as the command that records reviews will have it."""
    if not _may_decide(actor, page):
        return []
    barred = {person.username for person in page.people if not person.eligible}
    return [
        place
        for place in standing_in(actor.user_id, at)
        if place.username not in barred and obstacle(place.username, place.groups, page.verdict) is None
    ]


def _seats(
    actor: Actor,
    page: RequestPage,
    waiting: Iterable[RequirementResult],
    tasks: Mapping[FactorKey, ReviewTask],
    acting: Iterable[StandIn],
) -> list[Seat]:
    if not _may_decide(actor, page):
        return []
    # Whose review went stale may give it again, although the task's row is only told so when the request is judged next.
    again = any(row.reviewer == actor.username and row.is_latest and not row.counts for row in page.reviews)
    found = []
    for result in waiting:
        task = tasks.get((result.policy, result.id, result.group))
        not_for = task.not_for if task is not None else ""
        if f" {actor.user_id} " in not_for and not again:
            continue
        places = [""] if result.group in actor.roles else []
        places += [p.username for p in acting if result.group in p.groups and f" {p.user_id} " not in not_for]
        nth, of = len(result.people) + 1, len(result.people) + result.missing
        found += [Seat(result.policy, result.id, result.group, nth, of, whose) for whose in places]
    return found


def _members(page: RequestPage, groups: Collection[str]) -> Members:
    """Return the people who could still decide, by group; one statement."""
    could = [person.username for person in page.people if person.eligible]
    rows = User.groups.through.objects.filter(user__username__in=could, group__name__in=list(groups))
    found: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for group, user_id, name in rows.order_by("user__username").values_list("group__name", "user_id", "user__username"):
        found[group].append((user_id, name))
    return found


def _tasks(tasks: Mapping[FactorKey, ReviewTask], members: Members, at: datetime) -> dict[FactorKey, FactorTask]:
    return {key: _task(task, members.get(key[2], []), at) for key, task in tasks.items()}


def _task(task: ReviewTask, members: Iterable[tuple[int, str]], at: datetime) -> FactorTask:
    holds = task.claimed_by is not None and task.claim_ends_at is not None and task.claim_ends_at > at
    return FactorTask(
        id=task.pk,
        due_at=task.due_at,
        overdue=task.due_at is not None and task.due_at <= at,
        escalate_to=task.escalate_to,
        escalated=task.escalated_at is not None,
        claimed_by=task.claimed_by.username if task.claimed_by is not None and holds else "",
        claimed_until=task.claim_ends_at if holds else None,
        could=[name for user_id, name in members if f" {user_id} " not in task.not_for],
    )


def _policies(page: RequestPage) -> dict[str, CompiledPolicy]:
    """Return the policies as the request pinned them, by name; one statement."""
    rows = PolicyRevision.objects.filter(digest__in=[pin.digest for pin in page.policies]).select_related("policy")
    pinned = {(pin.policy, pin.revision) for pin in page.policies}
    return {row.policy.name: compile_policy(row.document) for row in rows if (row.policy.name, row.number) in pinned}


def _waivable(policies: Mapping[str, CompiledPolicy]) -> frozenset[tuple[str, str]]:
    return frozenset(
        (name, item.id) for name, policy in policies.items() if policy.waivers for item in policy.requirements if item.waivable
    )


def _rebase(actor: Actor, row: PromotionRequest) -> list[PolicyChange]:
    """Return what would be different after a rebase, as the actor may see it; a few statements for each binding."""
    bindings = bindings_for(row.model, kind=row.target_kind, target=row.target, modes=tuple(BindingMode.values))
    now = {pin.binding: pin for pin in map(pin_of, bindings)}
    before = {pin.binding: pin for pin in pins_of(row)}
    if any(pin.mode == BindingMode.ENFORCE for pin in now.values()):
        names = sorted({*before, *now})
    else:
        names = sorted({*before, *now} - {""})  # where nothing blocks, the built-in policy stays
    changes = [_policy_change(name, before.get(name), now.get(name)) for name in names]
    found = [change for change in changes if change is not None]
    if requests.sees_trials(actor):
        return found
    return [change for change in map(_without_trial, found) if change.before is not None or change.after is not None]


def _without_trial(change: PolicyChange) -> PolicyChange:
    """Return a change as if no policy were on trial; then before and after may both be None."""
    before = change.before if change.mode_before != BindingMode.SHADOW else None
    after = change.after if change.mode_after != BindingMode.SHADOW else None
    both = before is not None and after is not None
    return replace(
        change,
        before=before,
        after=after,
        steps_differ=change.steps_differ and both,
        parameters=change.parameters if both else [],
    )


def _policy_change(binding: str, before: Pin | None, now: Pin | None) -> PolicyChange | None:
    if before is not None and now is not None and before.reference() == now.reference():
        return None
    either = now or before
    if either is None:
        return None
    old = before.compiled.effective(before.parameters) if before else {}
    new = now.compiled.effective(now.parameters) if now else {}
    return PolicyChange(
        policy=either.policy,
        binding=binding,
        before=before.revision if before else None,
        after=now.revision if now else None,
        mode_before=before.mode if before else "",
        mode_after=now.mode if now else "",
        parameters=[
            (name, old.get(name), new.get(name))
            for name in sorted({*old, *new})
            if before and now and old.get(name) != new.get(name)
        ],
        requirements=_requirement_changes(before, now),
        steps_differ=before is not None and now is not None and _asked(before.compiled.steps) != _asked(now.compiled.steps),
    )


def _requirement_changes(before: Pin | None, now: Pin | None) -> list[tuple[str, str]]:
    old = {item.id: item for item in before.compiled.requirements} if before else {}
    new = {item.id: item for item in now.compiled.requirements} if now else {}
    changes = []
    for name in dict.fromkeys([*new, *old]):
        if name not in old:
            changes.append((new[name].title, "added"))
        elif name not in new:
            changes.append((old[name].title, "removed"))
        elif _said(old[name]) != _said(new[name]):
            changes.append((new[name].title, "changed"))
    return changes


def _said(item: Requirement) -> tuple[object, ...]:
    """Return what a requirement says, without its compiled expressions."""
    return item.title, item.satisfied_if_text, item.override_if_text, item.applies_if is None, item.waivable, item.material


def _asked(steps: Iterable[Step]) -> list[tuple[object, ...]]:
    return [(step.name, step.factors, str(step.due), step.escalate_to) for step in steps]
