"""The gate opens only on evidence: what is missing, broken or unjudged keeps it shut."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.canonical import canonical
from governance.facts import CheckFact, Facts, Measured, ModelFacts, PersonFact, RequestFacts, ReviewFact, VersionFacts
from governance.gate import PinnedPolicy, State, judge
from governance.policy import compile_policy

POLICY = compile_policy("""\
kind: Policy
name: p
parameters:
  limit: {type: number, default: 0.7}
requirements:
  - id: auc
    title: AUC
    how_to_satisfy: Improve it.
    satisfied_if: measurements["auc"].value >= params.limit
    shows: {value: 'measurements["auc"].value', limit: params.limit, champion: 'champion.measurements["auc"].value'}
  - id: interval
    title: Interval
    how_to_satisfy: Measure more rows.
    satisfied_if: measurements["auc"].ci_low <= 1.0
  - id: against-champion
    title: Against the champion
    applies_if: champion.present
    how_to_satisfy: Improve it.
    satisfied_if: champion.measurements["auc"].value - measurements["auc"].value <= 0.01
  - id: clean
    title: Clean
    how_to_satisfy: Remove it.
    satisfied_if: '!findings.exists(f, f.severity == "critical") && "scan" in version.checks'
steps:
  - name: review
    title: Review
    factors:
      - {group: reviewer, count: 2}
""")
PINNED = [PinnedPolicy(POLICY, {})]


def version(auc: float | None = 0.8, state: str = "completed") -> VersionFacts:
    measured = {} if auc is None else {"auc": Measured("auc", auc, n=300, ci_low=auc - 0.05, ci_high=auc + 0.05)}
    return VersionFacts(present=True, number=1, measurements=measured, checks={"scan": CheckFact("scan", state)})


def facts(own: VersionFacts, champion: VersionFacts | None = None, approvals: int = 2) -> Facts:
    return Facts(
        request=RequestFacts(1, "dana", "stage", "Production", "None"),
        model=ModelFacts("m", "high"),
        version=own,
        champion=champion or VersionFacts(),
        reviews=tuple(ReviewFact(f"r{i}", "approve", ("reviewer",), True) for i in range(approvals)),
        people=tuple(PersonFact(f"p{i}", ("reviewer",)) for i in range(2)),
    )


def states(of: Facts) -> dict[str, State]:
    return {r.id: r.state for r in judge(PINNED, of).requirements}


def test_everything_met_opens_it() -> None:
    assert judge(PINNED, facts(version())).satisfied


def test_a_limit_missed_says_measured_against_limit() -> None:
    verdict = judge(PINNED, facts(version(0.6)))
    (blocking,) = verdict.blocking
    assert (blocking.state, blocking.value, blocking.limit) == (State.UNSATISFIED, 0.6, 0.7)
    assert blocking.reason == "measured 0.6, the limit is at least 0.7"


def test_missing_evidence_is_an_error_once_the_checks_are_over_and_pending_before() -> None:
    assert states(facts(version(None)))["auc"] is State.ERROR
    assert states(facts(version(None, state="running")))["auc"] is State.PENDING


def test_an_interval_that_was_not_measured_satisfies_no_comparison() -> None:
    bare = msgspec.structs.replace(version(), measurements={"auc": Measured("auc", 0.8)})
    assert states(facts(bare))["interval"] is State.UNSATISFIED


def test_the_champion_is_compared_with_only_where_there_is_one() -> None:
    assert states(facts(version()))["against-champion"] is State.NOT_APPLICABLE
    assert states(facts(version(0.8), version(0.9)))["against-champion"] is State.UNSATISFIED
    assert states(facts(version(0.8), version(None)))["against-champion"] is State.ERROR


def test_approvals_are_counted_and_an_objection_blocks() -> None:
    assert states(facts(version(), approvals=1))["review-reviewer"] is State.PENDING
    objecting = msgspec.structs.replace(
        facts(version()), reviews=(*facts(version()).reviews, ReviewFact("r9", "request_changes", ("reviewer",), True))
    )
    assert not judge(PINNED, objecting).satisfied


def test_a_review_that_does_not_count_does_not_count() -> None:
    stale = tuple(ReviewFact(f"r{i}", "approve", ("reviewer",), False, "stale") for i in range(5))
    assert not judge(PINNED, msgspec.structs.replace(facts(version()), reviews=stale)).satisfied


def test_no_policy_judges_nothing_and_stays_shut() -> None:
    assert not judge([], facts(version())).satisfied


@given(
    auc=st.one_of(st.none(), st.floats(0, 1)),
    drop=st.sampled_from(["measurements", "checks", "reviews"]),
    approvals=st.integers(0, 4),
    champion=st.one_of(st.none(), st.floats(0, 1)),
)
def test_losing_evidence_never_opens_the_gate(auc: float | None, drop: str, approvals: int, champion: float | None) -> None:
    whole = facts(version(auc), version(champion) if champion is not None else None, approvals)
    if drop == "reviews":
        less = msgspec.structs.replace(whole, reviews=whole.reviews[1:])
    else:
        less = msgspec.structs.replace(whole, version=msgspec.structs.replace(whole.version, **{drop: {}}))
    assert judge(PINNED, whole).satisfied or not judge(PINNED, less).satisfied


@given(auc=st.floats(0, 1), approvals=st.integers(0, 3))
def test_a_verdict_is_recomputed_from_its_stored_facts_byte_for_byte(auc: float, approvals: int) -> None:
    seen = facts(version(auc), approvals=approvals)
    stored = canonical(msgspec.to_builtins(seen))
    again = msgspec.json.decode(stored, type=Facts)
    assert canonical(msgspec.to_builtins(judge(PINNED, again))) == canonical(msgspec.to_builtins(judge(PINNED, seen)))


@pytest.mark.parametrize("size", ["x" * 100_000])
def test_a_long_text_in_a_card_is_no_trouble(size: str) -> None:
    assert judge(PINNED, facts(msgspec.structs.replace(version(), card={"intended_use": size}))).satisfied
