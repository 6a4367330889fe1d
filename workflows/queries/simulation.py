"""What a draft of a policy would have made of past requests, from the facts that were stored when they were decided."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from time import monotonic
from typing import Any
from uuid import UUID

import msgspec
from django.utils import timezone

from core import access
from core.access import Actor, Permission
from core.canonical import canonical
from core.documents import DocumentError
from core.errors import Denied, Invalid
from governance import gate, validation
from governance.facts import Facts
from governance.gate import PinnedPolicy, RequirementResult, State
from governance.models import Decision, DecisionPurpose
from governance.policy import CompiledPolicy
from workflows.models import PromotionRequest, RequestPolicy

DAYS = 90
MOST_DAYS = 730
MOST_REQUESTS = 1000
# A draft is somebody's unpublished text: what it costs to judge by it must not keep a worker of the server for long.
MOST_SECONDS = 10

_PASSING = frozenset({State.SATISFIED, State.NOT_APPLICABLE, State.OVERRIDDEN, State.WAIVED})
_MAY = (Permission.PROMOTION_REVIEW, Permission.POLICY_PUBLISH, Permission.AUDIT_READ)


@dataclass(frozen=True)
class RequirementChange:
    """A requirement whose state would be another. ``then`` is null for one that the draft adds, ``now`` for one it drops."""

    id: str
    title: str
    then: str | None
    now: str | None
    then_reason: str
    now_reason: str


@dataclass(frozen=True)
class SimulatedRequest:
    """A past request under the policy it was decided with and under the draft, each for this policy alone.

    then: null if this policy did not judge it. parameters_left_out: what it was bound with that the draft does not take.
    other_gate: whether another revision of the gate decided, so that a difference need not be the draft's.
    """

    request: int
    reference: str
    model: str
    version: int
    target_kind: str
    target: str
    state: str
    decision: UUID
    decided_at: datetime
    then: str | None
    now: str
    changes: list[RequirementChange]
    parameters_left_out: list[str]
    other_gate: bool


@dataclass(frozen=True)
class RequirementCount:
    """How one requirement of the draft comes out over all requests judged."""

    id: str
    title: str
    blocking: int
    changed: int


@dataclass(frozen=True)
class Simulation:
    """A draft over past requests, newest first.

    skipped: requests without a stored decision that this policy had a part in. unreadable: those whose facts are of a release
    that this one cannot read. truncated: whether there are more requests than were judged. newly_blocked, newly_satisfied:
    how many would have come out the other way. notes: what to know before believing it.
    """

    policy: str
    digest: str
    since: datetime
    judged: int
    skipped: int
    unreadable: int
    truncated: bool
    changed: int
    newly_blocked: int
    newly_satisfied: int
    notes: list[str]
    requirements: list[RequirementCount]
    requests: list[SimulatedRequest]


def simulate(
    actor: Actor,
    *,
    name: str,
    document: str,
    days: int = DAYS,
    parameters: Mapping[str, Any] | None = None,
    every: bool = False,
) -> Simulation:
    """Return what a draft of a policy would have made of the requests of the last ``days``; writes nothing, three statements.

    The draft is judged with the parameters that each request was judged with, as far as the draft takes them; ``parameters``
    go before those. every: also requests that this policy did not judge. Only requests on models the actor may see.
    Raises Invalid for a draft with mistakes, one of another name, and parameters that are missing or do not fit; Denied for
    who may neither review, publish nor audit.
    """
    _require(actor)
    draft = _draft(name, document)
    given = dict(parameters or {})
    if unfit := [message for key in given for message in _unfit(draft, {key: given[key]})]:
        raise Invalid(f"The parameters do not fit the draft: {'; '.join(unfit)}.", code="wrong_parameters", mistakes=unfit)
    since = timezone.now() - timedelta(days=days)
    rows = PromotionRequest.objects.select_related("model", "version").filter(created_at__gte=since)
    if not every:
        rows = rows.filter(pk__in=RequestPolicy.objects.filter(revision__policy__name=name).values("request_id"))
    visible = access.visible(actor, rows.order_by("-created_at", "-pk"), Permission.MODEL_READ, "model")
    found = list(visible[: MOST_REQUESTS + 1])
    return _Simulating(draft, given, every).over(found[:MOST_REQUESTS], since, more=len(found) > MOST_REQUESTS)


class _Simulating:
    """One draft over many decisions, counting as it goes."""

    def __init__(self, draft: CompiledPolicy, given: Mapping[str, Any], every: bool) -> None:
        self._draft, self._given, self._every = draft, given, every
        self._fitting: dict[str, tuple[dict[str, Any], list[str]]] = {}
        self._titles: dict[str, str] = {}
        self._blocking, self._changed = Counter[str](), Counter[str]()
        self._groups_not_noted, self._checks_not_run = set[str](), set[str]()
        self._unreadable = self._not_judged = 0

    def over(self, requests: list[PromotionRequest], since: datetime, *, more: bool) -> Simulation:
        decided = _newest_decisions(request.pk for request in requests)
        by_id = {request.pk: request for request in requests}
        made: dict[int, SimulatedRequest] = {}
        began = monotonic()
        late = False
        # Newest first, so that what a slow draft leaves out is the oldest.
        newest_first = sorted(decided.items(), key=lambda pair: pair[0], reverse=True)
        for decision in _decisions([pk for _, pk in newest_first]):
            if monotonic() - began > MOST_SECONDS:
                late = True
                break
            simulated = self._simulated(by_id[decision.request_id or 0], decision)
            if simulated is not None:
                made[simulated.request] = simulated
        shown = [made[request.pk] for request in requests if request.pk in made]
        return Simulation(
            policy=self._draft.name,
            digest=self._draft.digest,
            since=since,
            judged=len(shown),
            skipped=len(requests) - len(decided) + self._not_judged,
            unreadable=self._unreadable,
            truncated=more or late,
            changed=sum(bool(each.changes) for each in shown),
            newly_blocked=sum((each.then, each.now) == ("satisfied", "blocked") for each in shown),
            newly_satisfied=sum((each.then, each.now) == ("blocked", "satisfied") for each in shown),
            notes=list(self._notes(late)),
            requirements=[
                RequirementCount(id_, title, self._blocking[id_], self._changed[id_]) for id_, title in self._titles.items()
            ],
            requests=shown,
        )

    def _simulated(self, request: PromotionRequest, decision: Decision) -> SimulatedRequest | None:
        pins = [pin for pin in decision.policies if pin["policy"] == self._draft.name]
        if not pins and not self._every:
            self._not_judged += 1
            return None
        try:
            facts = msgspec.json.decode(decision.facts, type=Facts)
        except msgspec.DecodeError:
            self._unreadable += 1
            return None
        stored = json.loads(decision.verdict)["requirements"]
        self._note_gaps(facts, stored)
        left_out: list[str] = []
        now: list[list[RequirementResult]] = []
        for pin in pins or [{"binding": "", "parameters": {}}]:
            values, unused = self._values(pin["parameters"], request)
            left_out += unused
            judged = gate.judge([PinnedPolicy(self._draft, values, pin["binding"])], facts)
            now.append(list(judged.requirements))
        then = [each for each in stored if each["policy"] == self._draft.name]
        return SimulatedRequest(
            request=request.pk,
            reference=request.reference,
            model=request.model.name,
            version=request.version.number,
            target_kind=request.target_kind,
            target=request.target,
            state=request.state,
            decision=decision.pk,
            decided_at=decision.decided_at,
            then=_outcome(each["state"] for each in then) if pins else None,
            now=_outcome(each.state for results in now for each in results),
            changes=self._changes(then, now) if pins else self._new(now),
            parameters_left_out=sorted(set(left_out)),
            other_gate=decision.gate_revision != gate.REVISION,
        )

    def _values(self, bound: Mapping[str, Any], request: PromotionRequest) -> tuple[dict[str, Any], list[str]]:
        """Return what to judge with, and the names of what the request was bound with and the draft does not take."""
        key = canonical(dict(bound))
        if key not in self._fitting:
            fitting = {name: value for name, value in bound.items() if not _unfit(self._draft, {name: value})}
            values = {**fitting, **self._given}
            if wrong := self._draft.wrong_parameters(values):
                raise Invalid(
                    f"{request.reference} cannot be judged by the draft: {'; '.join(wrong)}. Give what is missing under parameters.",
                    code="wrong_parameters",
                    mistakes=wrong,
                )
            self._fitting[key] = (values, [name for name in bound if name not in values])
        return self._fitting[key]

    def _changes(self, then: list[dict[str, Any]], now: list[list[RequirementResult]]) -> list[RequirementChange]:
        """Pair what was found with what would be; a policy bound twice has each requirement once for each binding, in order."""
        before: dict[tuple[int, str], dict[str, Any]] = {}
        met = Counter[str]()
        for each in then:
            before[met[each["id"]], each["id"]] = each
            met[each["id"]] += 1
        changes = []
        for n, results in enumerate(now):
            for result in results:
                self._count(result)
                old = before.pop((n, result.id), None)
                if old is None or old["state"] != result.state:
                    changes.append(_change(old, result))
        changes += [_change(old, None) for old in before.values()]
        self._changed.update({change.id for change in changes})
        return changes

    def _new(self, now: list[list[RequirementResult]]) -> list[RequirementChange]:
        for result in (result for results in now for result in results):
            self._count(result)
        return [_change(None, result) for results in now for result in results if result.state not in _PASSING]

    def _count(self, result: RequirementResult) -> None:
        self._titles.setdefault(result.id, result.title)
        self._blocking[result.id] += result.state not in _PASSING

    def _note_gaps(self, facts: Facts, stored: Iterable[Mapping[str, Any]]) -> None:
        """Note what the draft looks for and nobody gathered then, since another text of the policy did not ask for it."""
        noted = {each.get("group", "") for each in stored}
        steps = gate.steps_of(self._draft, facts)
        self._groups_not_noted |= {factor.group for step in steps for factor in step.factors} - noted
        self._checks_not_run |= {check.check for check in self._draft.checks} - set(facts.version.checks)

    def _notes(self, late: bool) -> Iterator[str]:
        if late:
            yield f"Judging took longer than {MOST_SECONDS} seconds; the oldest requests were left out."
        if self._groups_not_noted:
            yield (
                f"Who could still review for {', '.join(sorted(self._groups_not_noted))} was not noted with every request: there only "
                f"reviews that were given fill its steps, and a step that lacks some reads as one that nobody can fill."
            )
        if self._checks_not_run:
            yield (
                f"The checks {', '.join(sorted(self._checks_not_run))} had not run for every request: requirements on what they "
                f"measure cannot be evaluated there."
            )


def _require(actor: Actor) -> None:
    access.require(actor, Permission.POLICY_READ)
    if not any(actor.grants(permission) for permission in _MAY):
        raise Denied(
            f"{actor.username or 'You'} may not do this: it needs the right to review, to publish policies or to audit; ask a "
            f"platform admin."
        )


def _draft(name: str, document: str) -> CompiledPolicy:
    try:
        draft = validation.policy(document)
    except DocumentError as error:
        raise Invalid(
            f"The draft has {len(error.mistakes)} mistake{'s' * (len(error.mistakes) != 1)}: {error}",
            code="malformed_policy",
            mistakes=[{"line": m.line, "column": m.column, "message": m.message} for m in error.mistakes],
        ) from None
    if draft.name != name:
        raise Invalid(f"The draft is of the policy {draft.name}, not of {name}; simulate it there, or correct its name.")
    return draft


def _unfit(draft: CompiledPolicy, value: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with a value itself, apart from those that are not given."""
    missing = draft.wrong_parameters({})
    return [message for message in draft.wrong_parameters(value) if message not in missing]


def _newest_decisions(request_ids: Iterable[int]) -> dict[int, UUID]:
    rows = Decision.objects.filter(
        request_id__in=list(request_ids), purpose__in=[DecisionPurpose.APPROVE, DecisionPurpose.EXECUTE]
    )
    found = rows.order_by("decided_at", "pk").values_list("request_id", "pk")
    return {request_id: pk for request_id, pk in found if request_id is not None}


def _decisions(ids: list[UUID]) -> Iterator[Decision]:
    """Yield decisions, those on the newest requests first, a few at a time: each holds all that its gate saw."""
    return Decision.objects.filter(pk__in=ids).order_by("-request_id").iterator(chunk_size=50)


def _outcome(states: Iterable[str]) -> str:
    """Return the outcome of one policy alone, as the gate reaches it, whether or not it was bound to block."""
    found = list(states)
    judged = any(state != State.NOT_APPLICABLE for state in found)
    return "satisfied" if judged and all(state in _PASSING for state in found) else "blocked"


def _change(old: Mapping[str, Any] | None, new: RequirementResult | None) -> RequirementChange:
    return RequirementChange(
        id=new.id if new else (old or {})["id"],
        title=new.title if new else (old or {})["title"],
        then=old["state"] if old else None,
        now=new.state.value if new else None,
        then_reason=old["reason"] if old else "",
        now_reason=new.reason if new else "",
    )
