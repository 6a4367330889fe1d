"""All that a requirement may look at, frozen and without a database: the input of the gate, and what a decision stores."""

from __future__ import annotations

import msgspec


class Measured(msgspec.Struct, frozen=True):
    """A measurement as the gate sees it. value is never NaN: a metric that could not be computed is absent instead."""

    metric: str
    value: float
    slice: str = ""
    n: int | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    method: str = ""


class FindingFact(msgspec.Struct, frozen=True):
    """A problem that a check found."""

    check: str
    rule: str
    severity: str
    location: str
    message: str


class CheckFact(msgspec.Struct, frozen=True):
    """Where a check that the policy asked for stands; result is the digest of what it found."""

    name: str
    state: str
    run: str = ""
    result: str = ""
    reason: str = ""


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
    id: int
    requested_by: str
    target_kind: str
    target: str
    from_stage: str


class ReviewFact(msgspec.Struct, frozen=True):
    """The latest review of one person; ``counts`` is False, with the reason, for one that is stale or not allowed."""

    reviewer: str
    verdict: str
    roles: tuple[str, ...]
    counts: bool
    why_not: str = ""


class Facts(msgspec.Struct, frozen=True):
    """Everything a verdict depends on besides the policy and its parameters."""

    request: RequestFacts
    model: ModelFacts
    version: VersionFacts
    champion: VersionFacts
    reviews: tuple[ReviewFact, ...] = ()
    evidence_digest: str = ""


def measurement_key(metric: str, slice_: str) -> str:
    """Return how requirements name a measurement: ``roc_auc``, or ``demographic_parity_ratio[sex]`` for a slice."""
    return f"{metric}[{slice_}]" if slice_ else metric
