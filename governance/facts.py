"""All that a requirement may look at, frozen and without a database: the input of the gate, and what a decision stores."""

from __future__ import annotations

import msgspec

WORKER, REPORTED = "worker", "reported"


class Measured(msgspec.Struct, frozen=True):
    """A measurement as the gate sees it. value is never NaN: a metric that could not be computed is absent instead.

    source: ``worker`` or ``reported``, here and below; facts of before there were reports are all of workers.
    """

    metric: str
    value: float
    slice: str = ""
    n: int | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    method: str = ""
    source: str = WORKER


class FindingFact(msgspec.Struct, frozen=True):
    """A problem that a check found."""

    check: str
    rule: str
    severity: str
    location: str
    message: str
    source: str = WORKER


class CheckFact(msgspec.Struct, frozen=True):
    """Where a check that the policy asked for stands; result is the digest of what it found, tables that of its tables alone.

    signed_by: the id of the key that a report's signature was verified with.
    """

    name: str
    state: str
    run: str = ""
    result: str = ""
    reason: str = ""
    tables: str = ""
    source: str = WORKER
    signed_by: str = ""


class VersionFacts(msgspec.Struct, frozen=True):
    """A model version with its evidence. ``present`` is False for a champion that does not exist."""

    present: bool = False
    number: int = 0
    digest: str = ""
    created_by: str = ""
    run_owner: str = ""
    signature: bool = False
    flavors: tuple[str, ...] = ()
    size_bytes: int = 0
    measurements: dict[str, Measured] = {}
    findings: tuple[FindingFact, ...] = ()
    checks: dict[str, CheckFact] = {}
    card: dict[str, str] = {}
    card_digest: str = ""


class ModelFacts(msgspec.Struct, frozen=True):
    name: str
    risk_tier: str
    tags: dict[str, str] = {}


class RequestFacts(msgspec.Struct, frozen=True):
    """What is asked. kind is ``promotion``, ``rollback`` or ``re_review``.

    earlier_approval: for a rollback, whether the approvals of the time before still stand on the evidence as it is.
    """

    id: int
    requested_by: str
    target_kind: str
    target: str
    from_stage: str
    kind: str = "promotion"
    earlier_approval: bool = False


class ReviewFact(msgspec.Struct, frozen=True):
    """The latest review of one person; ``counts`` is False, with the reason, for one that is stale or not allowed.

    groups: those the review can count for: the reviewer's own, or for a delegate those of the person stood in for.
    note: what changed since without being material, in words.
    """

    reviewer: str
    verdict: str
    groups: tuple[str, ...]
    counts: bool
    why_not: str = ""
    on_behalf_of: str = ""
    in_owner_team: bool = False
    note: str = ""


class PersonFact(msgspec.Struct, frozen=True):
    """Somebody who could still decide: active, with the right to review, in these groups, with no part in the work."""

    username: str
    groups: tuple[str, ...]
    in_owner_team: bool = False


class WaiverFact(msgspec.Struct, frozen=True):
    """A waiver in force. expires_at: RFC 3339, UTC."""

    id: int
    policy: str
    requirement: str
    scope: str  # version | model
    reason: str
    compensating_control: str
    approved_by: str
    expires_at: str


class OpenFinding(msgspec.Struct, frozen=True):
    """A finding on the model that is not closed, from whichever version it was raised on. due: ISO date or empty."""

    id: int
    title: str
    severity: str
    source: str
    version: int
    owner: str = ""
    due: str = ""
    overdue: bool = False


class CalendarFacts(msgspec.Struct, frozen=True):
    """The moment of the judgement, in UTC. now: seconds since 1970. weekday: Monday is 1, Sunday 7 (ISO 8601)."""

    now: int = 0
    date: str = ""
    weekday: int = 0
    hour: int = 0


class DiscussionFacts(msgspec.Struct, frozen=True):
    """How many threads the request has, and how many are not resolved."""

    threads: int = 0
    unresolved: int = 0


class EvidenceFacts(msgspec.Struct, frozen=True):
    """The evidence on a version and on the champion that one policy looks at."""

    version: VersionFacts
    champion: VersionFacts


class UnaskedFact(msgspec.Struct, frozen=True):
    """A binding that guards the target now and that the request does not pin: it came, or began to block, after the request."""

    binding: str
    policy: str


class Facts(msgspec.Struct, frozen=True):
    """Everything a verdict depends on besides the policy and its parameters.

    people: who could still decide, at most 50 of each group that a policy names. authors: binding -> who published the
    policy revision that it pins. unasked: what guards the target besides the policies that are judged. apart: binding -> the evidence
    that its policy looks at, where it asked a check that others ask too on other data or with other parameters.
    """

    request: RequestFacts
    model: ModelFacts
    version: VersionFacts
    champion: VersionFacts
    reviews: tuple[ReviewFact, ...] = ()
    evidence_digest: str = ""
    waivers: tuple[WaiverFact, ...] = ()
    open_findings: tuple[OpenFinding, ...] = ()
    calendar: CalendarFacts = CalendarFacts()
    discussion: DiscussionFacts = DiscussionFacts()
    people: tuple[PersonFact, ...] = ()
    authors: dict[str, str] = {}
    unasked: tuple[UnaskedFact, ...] = ()
    apart: dict[str, EvidenceFacts] = {}

    def seen_by(self, binding: str) -> Facts:
        """Return the facts as the policy of a binding sees them."""
        own = self.apart.get(binding)
        return msgspec.structs.replace(self, version=own.version, champion=own.champion) if own else self


def measurement_key(metric: str, slice_: str) -> str:
    """Return how requirements name a measurement: ``roc_auc``, or ``demographic_parity_ratio[sex]`` for a slice."""
    return f"{metric}[{slice_}]" if slice_ else metric
