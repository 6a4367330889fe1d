"""What the API writes where no query's own dataclass says it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from governance.facts import VersionFacts
from governance.gate import RequirementResult, Verdict
from governance.queries import RevisionRow
from registry.conformance import Report
from registry.history import Period
from workflows.queries.requests import DecisionRow, Eligibility, PinRow, RequestRow, ReviewRow, TimelineEntry


@dataclass(frozen=True)
class FieldError:
    """One mistake: where (a JSON pointer into the body, or the name of a query parameter) and what was expected."""

    detail: str
    pointer: str | None = None
    parameter: str | None = None
    line: int | None = None
    column: int | None = None


@dataclass(frozen=True)
class UnmetRequirement:
    """A requirement of a policy that keeps the gate shut, with its numbers and what to do."""

    policy: str
    id: str
    title: str
    state: str
    reason: str
    how_to_satisfy: str
    value: float | int | str | bool | None
    limit: float | int | str | bool | None
    champion: float | int | str | bool | None


@dataclass(frozen=True)
class Problem:
    """What went wrong (RFC 9457). ``code`` is stable; a policy's refusal carries policies, requirements and where to ask, that of a
    file by its data set's contract the report."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    code: str
    request_id: str
    errors: list[FieldError] | None = None
    policies: list[str] | None = None
    requirements: list[UnmetRequirement] | None = None
    ask_at: str | None = None
    ask_api: str | None = None
    report: Report | None = None


@dataclass(frozen=True)
class RequestDetail(RequestRow):
    """A promotion request with all that a reviewer decides on."""

    evidence_digest: str
    verdict: Verdict
    candidate_facts: VersionFacts
    champion_facts: VersionFacts
    policies: list[PinRow]
    reviews: list[ReviewRow]
    people: list[Eligibility]
    me: Eligibility
    may_withdraw: bool
    may_execute: bool
    may_resubmit: bool
    decisions: list[DecisionRow]
    timeline: list[TimelineEntry]


@dataclass(frozen=True)
class Outlook:
    """What stands between a version and a place, from the evidence there is; where nothing guards it, nothing is judged."""

    target_kind: str
    target: str
    governed: bool
    satisfied: bool | None
    requirements: list[RequirementResult] = field(default_factory=list)


@dataclass(frozen=True)
class PublishedPolicy(RevisionRow):
    """A policy's newest revision, and which groups it names are missing or have too few people who may review."""

    warnings: list[str]


@dataclass(frozen=True)
class CheckRunSummary:
    """A check run in a list."""

    id: UUID
    model: str
    version: int
    check: str
    check_revision: str
    parameters: dict[str, Any]
    dataset: str
    state: str
    progress: float
    progress_text: str
    error_code: str
    error_message: str
    isolation: str
    inputs_digest: str
    result_digest: str
    requested_by: str
    source: str
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


@dataclass(frozen=True)
class RequestCheckRow(CheckRunSummary):
    """A check run a request relies on: the candidate's own, or the champion's for comparison."""

    role: str


@dataclass(frozen=True)
class MeasuredRow:
    """A measurement with the version, check and run it comes from."""

    model: str
    version: int
    check: str
    run: UUID
    metric: str
    slice: str
    value: float | None
    n: int | None
    ci_low: float | None
    ci_high: float | None
    method: str
    measured_at: datetime | None


@dataclass(frozen=True)
class StageRow:
    name: str
    position: int
    is_initial: bool
    next: list[str]


@dataclass(frozen=True)
class StagePeriod:
    """A version held a stage from one time to another; without an end it still does."""

    stage: str
    version: int
    valid_from: datetime
    valid_to: datetime | None
    assigned_by: str
    request: int | None

    @classmethod
    def of(cls, p: Period) -> StagePeriod:
        """Return a period as the API writes it."""
        return cls(p.place, p.version, p.valid_from, p.valid_to, p.assigned_by, p.request_id)


@dataclass(frozen=True)
class AliasPeriod:
    """An alias named a version from one time to another; without an end it still does."""

    alias: str
    version: int
    valid_from: datetime
    valid_to: datetime | None
    assigned_by: str
    request: int | None

    @classmethod
    def of(cls, p: Period) -> AliasPeriod:
        """Return a period as the API writes it."""
        return cls(p.place, p.version, p.valid_from, p.valid_to, p.assigned_by, p.request_id)


@dataclass(frozen=True)
class HistoryRow:
    """A version held a place, a stage or an alias, from one time to another."""

    kind: str
    place: str
    version: int
    valid_from: datetime
    valid_to: datetime | None
    assigned_by: str
    request: int | None

    @classmethod
    def of(cls, p: Period) -> HistoryRow:
        """Return a period as the API writes it."""
        return cls(p.kind, p.place, p.version, p.valid_from, p.valid_to, p.assigned_by, p.request_id)


@dataclass(frozen=True)
class CardRow:
    """A revision of a version's model card."""

    revision: int
    sections: dict[str, str]
    digest: str
    written_by: str
    written_at: datetime


@dataclass(frozen=True)
class DecisionDetail:
    """A gate's decision with the facts it saw and the verdict it reached."""

    id: UUID
    model: str
    version: int
    request: int | None
    purpose: str
    outcome: str
    gate_revision: int
    policies: list[dict[str, Any]]
    facts: dict[str, Any]
    facts_digest: str
    verdict: dict[str, Any]
    verdict_digest: str
    decided_at: datetime


@dataclass(frozen=True)
class Head:
    """How far the ledger is sequenced; ``pending`` events have no place in it yet."""

    size: int
    root_hash: str
    created_at: datetime | None
    pending: int


@dataclass(frozen=True)
class LedgerProblem:
    """One thing that does not fit: which row, and how."""

    kind: str
    position: int | None
    event_id: int | None
    message: str


@dataclass(frozen=True)
class Verification:
    """What recomputing every hash of the ledger found."""

    intact: bool
    size: int
    root_hash: str
    checkpoints: int
    pending: int
    problems: list[LedgerProblem]


@dataclass(frozen=True)
class Me:
    """Who calls, and what their roles allow everywhere."""

    username: str
    display_name: str
    roles: list[str]
    permissions: list[str]
    credential: str
    responsible: str


@dataclass(frozen=True)
class TokenRow:
    """A token, known by its first characters."""

    prefix: str
    name: str
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None


@dataclass(frozen=True)
class NewTokenRow(TokenRow):
    """A new token with its secret, which is shown this once and not kept."""

    secret: str
