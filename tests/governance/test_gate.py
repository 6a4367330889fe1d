"""The gate opens only on evidence: what is missing, broken or unjudged keeps it shut."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.canonical import canonical
from governance.expressions import VARIABLES
from governance.facts import (
    CheckFact,
    DiscussionFacts,
    Facts,
    FindingFact,
    Measured,
    ModelFacts,
    OpenFinding,
    PersonFact,
    RequestFacts,
    ReviewFact,
    VersionFacts,
    WaiverFact,
)
from governance.gate import PinnedPolicy, State, Verdict, judge
from governance.policy import CompiledPolicy, compile_policy
from governance.reads import Reads

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


def version(auc: float | None = 0.8, state: str = "passed") -> VersionFacts:
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


def judged(satisfied_if: str, *more: str, before: str = "", after: str = "") -> Callable[[Facts], Verdict]:
    """Return what judges by a policy with one requirement. more: further fields of it; before, after: of the policy."""
    own = "".join(f"\n    {line}" for line in more)
    policy = compile_policy(
        f"kind: Policy\nname: p\n{before}\nrequirements:\n  - id: a\n    title: A\n    how_to_satisfy: Do.\n"
        f"    satisfied_if: >-\n      {satisfied_if}{own}\n{after}\n"
    )
    return lambda seen: judge([PinnedPolicy(policy, {})], seen)


EVERYTHING = Reads(frozenset((name,) for name in (*VARIABLES, "params")))


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


def test_a_requirement_on_what_is_shown_without_a_limit_tells_what_was_asked() -> None:
    policy = judged("version.number > 7")
    (blocking,) = policy(facts(version())).blocking
    assert blocking.reason == "not met: version.number > 7"


def test_what_cannot_be_stored_is_not_shown() -> None:
    shown = {
        'measurements["auc"].value / 0.0': None,  # infinite
        'measurements["auc"].ci_low': None,  # not measured
        'measurements["auc"].value * -0.0': 0.0,
        "9007199254740993": "9007199254740993",  # beyond what JSON's numbers hold
        'dyn(["a"])': None,
        "version.number": 1,
    }
    bare = msgspec.structs.replace(version(), measurements={"auc": Measured("auc", 0.8)})
    for expression, value in shown.items():
        result = judged("version.present", f"shows: {{value: '{expression}'}}")(facts(bare)).requirements[0]
        assert (result.value, str(result.value)) == (value, str(value)), expression
        assert canonical(msgspec.to_builtins(result))


def test_an_expression_without_end_is_stopped_and_blocks() -> None:
    many = msgspec.structs.replace(version(), card={f"section {i}": "x" for i in range(200)})
    cubed = "version.card.all(a, version.card.all(b, version.card.all(c, a + b + c != '')))"
    result = judged(cubed)(facts(many)).requirements[0]
    assert (result.state, result.reason) == (State.ERROR, "cannot be evaluated: Iteration budget exceeded [INTERNAL]")


# What gains by absence


LOOKS_THROUGH = [
    "!findings.exists(f, f.severity == 'critical')",
    "version.findings.size() == 0",
    "measurements.all(m, !m.startsWith('impact') || measurements[m].value > 0.8)",
    "!('auc' in measurements) || measurements['auc'].value > 0.1",
    "!has(measurements.auc)",
    "version.checks.all(c, version.checks[c].state == 'passed')",
]


@pytest.mark.parametrize("expression", LOOKS_THROUGH)
def test_nothing_found_counts_only_once_every_check_is_complete(expression: str) -> None:
    policy = judged(expression, before="checks: [{check: scan}]")
    clean = VersionFacts(present=True, checks={"scan": CheckFact("scan", "passed")})
    found = {
        state: policy(facts(msgspec.structs.replace(clean, checks=checks))).requirements[0]
        for state, checks in {
            "passed": clean.checks,
            "running": {"scan": CheckFact("scan", "running")},
            "failed": {"scan": CheckFact("scan", "error")},
            "absent": {},
        }.items()
    }
    assert found["passed"].state is State.SATISFIED
    assert found["running"].state in (State.PENDING, State.UNSATISFIED)
    assert found["failed"].state in (State.ERROR, State.UNSATISFIED)
    assert found["absent"].state is State.ERROR
    assert found["absent"].reason == "cannot be evaluated: not all checks are complete: scan did not run"


def test_a_step_or_an_override_that_hangs_on_findings_waits_for_every_check_too() -> None:
    policy = judged(
        "version.number > 7",
        "override_if: findings.size() == 0",
        before="checks: [{check: scan}]",
        after="steps: [{name: deep, applies_if: findings.size() > 0, factors: [{group: reviewer, count: 1}]}]",
    )
    failed = VersionFacts(present=True, number=1, checks={"scan": CheckFact("scan", "error")})
    complete = msgspec.structs.replace(failed, checks={"scan": CheckFact("scan", "passed")})
    assert [r.state for r in policy(facts(complete)).requirements] == [State.OVERRIDDEN, State.NOT_APPLICABLE]
    assert [r.state for r in policy(facts(failed)).requirements] == [State.UNSATISFIED, State.ERROR]
    running = msgspec.structs.replace(failed, checks={"scan": CheckFact("scan", "running")})
    assert [r.state for r in policy(facts(running)).requirements] == [State.UNSATISFIED, State.PENDING]


# Steps


ORDERED = """\
kind: Policy
name: p
order: {order}
requirements:
  - {{id: a, title: A, how_to_satisfy: x, satisfied_if: version.present}}
steps:
  - {{name: first, title: First line, factors: [{{group: owner, count: 1}}]}}
  - {{name: rare, applies_if: model.risk_tier == "low", factors: [{{group: nobody, count: 9}}]}}
  - {{name: second, factors: [{{group: risk, count: 1}}, {{group: legal, count: 1}}]}}
"""
PEOPLE = (PersonFact("olga", ("owner",)), PersonFact("rita", ("risk",)), PersonFact("lena", ("legal",)))


def staffed(*approved: str, people: tuple[PersonFact, ...] = PEOPLE) -> Facts:
    reviews = tuple(ReviewFact(p.username, "approve", p.groups, True) for p in people if p.username in approved)
    return msgspec.structs.replace(facts(version(), approvals=0), reviews=reviews, people=people)


def steps(order: str, seen: Facts) -> dict[str, tuple[State, bool]]:
    policy = compile_policy(ORDERED.format(order=order))
    return {r.id: (r.state, r.open) for r in judge([PinnedPolicy(policy, {})], seen).requirements if r.kind == "approval"}


def test_a_sequential_step_waits_for_those_before_it() -> None:
    waiting, done = (State.PENDING, False), (State.SATISFIED, False)
    assert steps("sequential", staffed()) == {
        "first-owner": (State.PENDING, True),
        "rare-nobody": (State.NOT_APPLICABLE, False),
        "second-risk": waiting,
        "second-legal": waiting,
    }
    after = steps("sequential", staffed("olga"))
    assert after["first-owner"] == done and after["second-risk"] == after["second-legal"] == (State.PENDING, True)
    assert {state for state, _ in steps("sequential", staffed("olga", "rita", "lena")).values()} == {
        State.SATISFIED,
        State.NOT_APPLICABLE,
    }


def test_parallel_steps_are_open_at_once() -> None:
    assert {key: is_open for key, (_, is_open) in steps("parallel", staffed()).items()} == {
        "first-owner": True,
        "rare-nobody": False,
        "second-risk": True,
        "second-legal": True,
    }


@pytest.mark.parametrize("order", ["sequential", "parallel"])
def test_a_factor_that_nobody_can_fill_is_an_error_that_blocks_and_says_so(order: str) -> None:
    policy = compile_policy(ORDERED.format(order=order))
    verdict = judge([PinnedPolicy(policy, {})], staffed(people=PEOPLE[:2]))
    (broken,) = [r for r in verdict.blocking if r.state is State.ERROR]
    assert broken.id == "second-legal"
    assert broken.reason == "no reviewer can be resolved: 1 more of legal must approve, and 0 may"
    assert broken.how_to_satisfy == "Add people to the group legal who had no part in the work and hold the right to review."
    # Once somebody can, it waits like any other.
    assert steps(order, staffed())["second-legal"][0] is State.PENDING


def test_a_step_whose_condition_cannot_be_evaluated_blocks() -> None:
    policy = judged(
        "version.present",
        after="""steps: [{name: deep, applies_if: 'measurements["f1"].value < 0.5', factors: [{group: reviewer, count: 1}]}]""",
    )
    verdict = policy(facts(version()))
    (blocking,) = verdict.blocking
    assert (blocking.state, blocking.reason) == (State.ERROR, 'cannot be evaluated: there is no "f1"')
    assert policy(facts(version(state="running"))).blocking[0].state is State.PENDING


@pytest.mark.parametrize("approvals", [1, 5])
def test_one_objection_outweighs_any_number_of_approvals(approvals: int) -> None:
    for verdict in ("reject", "request_changes"):
        objection = ReviewFact("ravi", verdict, ("reviewer",), True)
        seen = facts(version(), approvals=approvals)
        objected = msgspec.structs.replace(seen, reviews=(*seen.reviews, objection))
        (blocking,) = [r for r in judge(PINNED, objected).blocking if r.id == "no-open-objection"]
        assert blocking.reason == "ravi asked for changes or rejected"
        stale = msgspec.structs.replace(seen, reviews=(*seen.reviews, msgspec.structs.replace(objection, counts=False)))
        assert "no-open-objection" not in states(stale)


def test_a_rollback_needs_only_its_own_steps_while_the_earlier_approvals_stand() -> None:
    policy = judged(
        "version.present",
        after="""\
steps: [{name: review, factors: [{group: reviewer, count: 2}]}]
rollback: {steps: [{name: return, factors: [{group: reviewer, count: 1}]}]}""",
    )
    one = facts(version(), approvals=1)

    def asked(kind: str, stand: bool) -> bool:
        return policy(
            msgspec.structs.replace(one, request=msgspec.structs.replace(one.request, kind=kind, earlier_approval=stand))
        ).satisfied

    assert asked("rollback", True)
    assert not asked("rollback", False)
    assert not asked("promotion", True)


# Overrides and waivers


OUTCOMES = {  # satisfied_if -> state, on a version with a measurement auc of 0.8 and a scan that is over
    "version.present": State.SATISFIED,
    "!version.present": State.UNSATISFIED,
    'measurements["f1"].value > 0.5': State.ERROR,
}


@pytest.mark.parametrize("override", ["true", "false", 'measurements["f1"].value > 0.5'])
@pytest.mark.parametrize("satisfied_if", OUTCOMES)
def test_an_override_turns_only_what_is_unsatisfied(satisfied_if: str, override: str) -> None:
    state = OUTCOMES[satisfied_if]
    expected = State.OVERRIDDEN if state is State.UNSATISFIED and override == "true" else state
    (result,) = judged(satisfied_if, f"override_if: '{override}'")(facts(version())).requirements
    assert result.state is expected
    assert result.passes == (expected in (State.SATISFIED, State.OVERRIDDEN))
    if expected is State.OVERRIDDEN:
        assert result.reason == "not met: !version.present; overridden: true"
    if state is State.UNSATISFIED and override.startswith("measurements"):
        assert result.reason.endswith('whether it is overridden cannot be evaluated: there is no "f1"')


def test_an_override_does_not_turn_what_is_pending_or_does_not_apply() -> None:
    running = facts(version(state="running"))
    assert judged('measurements["f1"].value > 0.5', "override_if: 'true'")(running).requirements[0].state is State.PENDING
    idle = judged("!version.present", "override_if: 'true'", "applies_if: champion.present")
    assert idle(facts(version())).requirements[0].state is State.NOT_APPLICABLE


WAIVER = WaiverFact(7, "p", "a", "version", "late data", "watched daily", "wanda", "2027-01-01T00:00:00Z")
BOARD = "waivers: {approved_by: board, max_days: 30}"


@pytest.mark.parametrize("waivable", [True, False])
@pytest.mark.parametrize("satisfied_if", OUTCOMES)
def test_a_waiver_lets_pass_only_what_is_waivable_and_not_met(satisfied_if: str, waivable: bool) -> None:
    state = OUTCOMES[satisfied_if]
    policy = judged(satisfied_if, f"waivable: {str(waivable).lower()}", after=BOARD)
    seen = msgspec.structs.replace(facts(version()), waivers=(WAIVER,))
    (result,) = policy(seen).requirements
    waived = waivable and state is not State.SATISFIED
    assert result.state is (State.WAIVED if waived else state)
    assert result.waiver == (7 if waived else None)
    if waived:
        assert result.reason.endswith("; waived until 2027-01-01 by wanda: watched daily")


def test_a_waiver_is_for_one_requirement_of_one_policy_that_allows_waivers() -> None:
    def outcome(waiver: WaiverFact, after: str = BOARD) -> State:
        seen = msgspec.structs.replace(facts(version()), waivers=(waiver,))
        return judged("!version.present", after=after)(seen).requirements[0].state

    assert outcome(WAIVER) is State.WAIVED
    assert outcome(msgspec.structs.replace(WAIVER, requirement="b")) is State.UNSATISFIED
    assert outcome(msgspec.structs.replace(WAIVER, policy="q")) is State.UNSATISFIED
    assert outcome(WAIVER, after="expires_after_days: 30") is State.UNSATISFIED


def test_a_waiver_is_never_for_what_is_pending_and_never_for_a_step() -> None:
    policy = judged(
        'measurements["f1"].value > 0.5', after=f"{BOARD}\nsteps: [{{name: review, factors: [{{group: reviewer, count: 9}}]}}]"
    )
    for_all = tuple(msgspec.structs.replace(WAIVER, requirement=name) for name in ("a", "review-reviewer", "review"))
    seen = msgspec.structs.replace(facts(version(state="running")), waivers=for_all)
    assert [r.state for r in policy(seen).requirements] == [State.PENDING, State.ERROR]
    over = msgspec.structs.replace(seen, version=version())
    assert [r.state for r in policy(over).requirements] == [State.WAIVED, State.ERROR]


# Modes


@pytest.mark.parametrize("mode", ["warn", "shadow"])
def test_a_policy_that_is_not_enforced_tells_and_never_blocks(mode: str) -> None:
    bad, good = facts(version(0.1), approvals=0), facts(version())
    silent = [PinnedPolicy(POLICY, {}, mode=mode)]
    assert judge(silent, bad).blocking == () and not judge(silent, bad).satisfied
    assert [r.state for r in judge(silent, bad).requirements] == [r.state for r in judge(PINNED, bad).requirements]
    # Alone it opens nothing either: no policy in force is no permission.
    assert not judge(silent, good).satisfied and all(r.passes for r in judge(silent, good).requirements)
    # Beside one in force it changes nothing.
    for seen in (bad, good):
        assert judge(PINNED + silent, seen).satisfied == judge(PINNED, seen).satisfied


def test_every_enforced_policy_must_be_satisfied() -> None:
    other = compile_policy(
        "kind: Policy\nname: q\nrequirements: [{id: a, title: A, how_to_satisfy: x, satisfied_if: champion.present}]"
    )
    assert judge(PINNED, facts(version())).satisfied
    assert not judge([*PINNED, PinnedPolicy(other, {})], facts(version())).satisfied


def test_what_applies_to_nothing_opens_nothing() -> None:
    idle = judged("true == true", "applies_if: champion.present")(facts(version()))
    assert [r.state for r in idle.requirements] == [State.NOT_APPLICABLE]
    assert not idle.satisfied


# Laws


LAWS = compile_policy("""\
kind: Policy
name: p
parameters:
  limit: {type: number, default: 0.5}
checks:
  - check: scan
  - check: performance
requirements:
  - {id: auc, title: A, how_to_satisfy: x, satisfied_if: 'measurements["auc"].value >= params.limit', shows: {value: 'measurements["auc"].value', limit: params.limit}}
  - {id: lower, title: A, how_to_satisfy: x, satisfied_if: 'measurements.auc.ci_low >= 0.2 || measurements.auc.n > 100'}
  - {id: every, title: A, how_to_satisfy: x, satisfied_if: 'measurements.all(m, measurements[m].value > 0.1)'}
  - {id: optional, title: A, how_to_satisfy: x, satisfied_if: '!("f1" in measurements) || measurements["f1"].value > 0.3'}
  - {id: clean, title: A, how_to_satisfy: x, satisfied_if: '!findings.exists(f, f.severity == "critical")', override_if: 'findings.size() == 1'}
  - {id: card, title: A, how_to_satisfy: x, satisfied_if: '"use" in version.card && version.card["use"].size() > 3'}
  - {id: champion, title: A, how_to_satisfy: x, applies_if: champion.present, satisfied_if: 'champion.measurements["auc"].value - measurements["auc"].value <= 0.1'}
steps:
  - {name: one, factors: [{group: owner, count: 1}]}
  - {name: two, applies_if: 'findings.size() > 0 || measurements["auc"].value < 0.9', factors: [{group: risk, count: 1}]}
""")
METRICS = {"auc": "performance", "f1": "performance", "scan.files": "scan"}

measured = st.builds(
    lambda value, n, low: Measured("m", value, n=n, ci_low=low, method="Wilson – 95 %"),
    st.floats(-1, 1),
    st.none() | st.integers(0, 500),
    st.none() | st.floats(-1, 1),
)
findings = st.lists(
    st.builds(
        FindingFact, st.just("scan"), st.sampled_from(["a", "b"]), st.sampled_from(["low", "critical"]), st.text(), st.text()
    ),
    max_size=2,
)
versions = st.builds(
    lambda measurements, found, states, card: VersionFacts(
        present=True,
        measurements=measurements,
        findings=tuple(found),
        checks={name: CheckFact(name, state) for name, state in states.items()},
        card=card,
    ),
    st.dictionaries(st.sampled_from(sorted(METRICS)), measured),
    findings,
    st.dictionaries(st.sampled_from(["scan", "performance"]), st.sampled_from(["passed", "failed"] * 2 + ["error", "running"])),
    st.dictionaries(st.sampled_from(["use", "außerdem"]), st.text(max_size=9)),
)
reviews = st.lists(
    st.builds(
        ReviewFact,
        st.sampled_from(["ravi", "rosa", "olga"]),
        st.sampled_from(["approve", "approve", "reject", "abstain"]),
        st.sampled_from([("owner",), ("risk",), ("owner", "risk")]),
        st.booleans(),
    ),
    max_size=3,
    unique_by=lambda review: review.reviewer,
)
anything = st.builds(
    lambda own, champion, reviewed, staff: msgspec.structs.replace(
        facts(own, champion),
        reviews=tuple(reviewed),
        people=tuple(staff),
        open_findings=(OpenFinding(1, "Späte Daten", "high", "review", 1),),
        discussion=DiscussionFacts(2, 1),
    ),
    versions,
    st.just(VersionFacts()) | versions,
    reviews,
    st.lists(st.builds(PersonFact, st.sampled_from(["pia", "paul"]), st.sampled_from([("owner",), ("risk",)])), max_size=2),
)
# Facts that open the gate more often than chance would: all of it good.
good = st.builds(
    lambda auc, f1, staff: msgspec.structs.replace(
        facts(
            VersionFacts(
                present=True,
                measurements={"auc": Measured("auc", auc, n=300, ci_low=auc - 0.01), "f1": Measured("f1", f1)},
                checks={name: CheckFact(name, "passed") for name in ("scan", "performance")},
                card={"use": "scoring"},
            )
        ),
        reviews=(ReviewFact("olga", "approve", ("owner",), True), *staff),
    ),
    st.floats(0.4, 1),
    st.floats(0.2, 1),
    st.sampled_from([(), (ReviewFact("rosa", "approve", ("risk",), True),)]),
)


def verdict_of(seen: Facts, policy: CompiledPolicy = LAWS) -> Verdict:
    return judge([PinnedPolicy(policy, {})], seen)


def without(seen: Facts, lost: str) -> Facts:
    """Return facts in which evidence is lost: a check with all it found, a measurement, an approval, a card, the people."""
    kind, _, name = lost.partition(" ")
    own = seen.version
    if kind in ("broken", "never-run"):
        checks = {key: each for key, each in own.checks.items() if key != name}
        if kind == "broken":
            checks[name] = CheckFact(name, "error")
        own = msgspec.structs.replace(
            own,
            checks=checks,
            measurements={key: each for key, each in own.measurements.items() if METRICS[key] != name},
            findings=tuple(each for each in own.findings if each.check != name),
        )
    elif kind == "measurement":
        # One that could not be computed, of a check that is complete, is a law only for requirements that name it.
        own = msgspec.structs.replace(own, measurements={key: each for key, each in own.measurements.items() if key != name})
    elif kind == "card":
        own = msgspec.structs.replace(own, card={})
    elif kind == "approval":
        return msgspec.structs.replace(
            seen, reviews=tuple(r for r in seen.reviews if not (r.reviewer == name and r.verdict == "approve"))
        )
    elif kind == "people":
        return msgspec.structs.replace(seen, people=())
    return msgspec.structs.replace(seen, version=own)


LOSSES = [
    "broken scan", "broken performance", "never-run scan", "never-run performance", "measurement auc", "card", "people",
    "approval olga", "approval ravi", "approval rosa",
]  # fmt: skip


@pytest.mark.parametrize("lost", LOSSES)
@given(seen=anything | good)
def test_losing_evidence_never_opens_the_gate(lost: str, seen: Facts) -> None:
    assert verdict_of(seen).satisfied or not verdict_of(without(seen, lost)).satisfied


@pytest.mark.parametrize("lost", [lost for lost in LOSSES if lost not in ("people", "approval ravi")])
def test_a_gate_that_is_open_shuts_when_what_it_needs_is_lost(lost: str) -> None:
    reviewed = (ReviewFact("olga", "approve", ("owner",), True), ReviewFact("rosa", "approve", ("risk",), True))
    own = VersionFacts(
        present=True,
        measurements={"auc": Measured("auc", 0.8, n=300), "scan.files": Measured("scan.files", 4.0)},
        checks={name: CheckFact(name, "passed") for name in ("scan", "performance")},
        card={"use": "scoring"},
    )
    whole = msgspec.structs.replace(facts(own), reviews=reviewed)
    assert verdict_of(whole).satisfied
    assert not verdict_of(without(whole, lost)).satisfied


@given(seen=anything | good)
def test_a_verdict_is_recomputed_from_its_stored_facts_byte_for_byte(seen: Facts) -> None:
    stored = canonical(msgspec.to_builtins(seen))
    again = msgspec.json.decode(stored, type=Facts)
    assert canonical(msgspec.to_builtins(verdict_of(again))) == canonical(msgspec.to_builtins(verdict_of(seen)))
    assert canonical(msgspec.to_builtins(again)) == stored


def test_a_negative_zero_which_json_does_not_know_changes_nothing() -> None:
    policy = judged('1.0 / measurements["auc"].value > 0.0')
    seen = facts(msgspec.structs.replace(version(), measurements={"auc": Measured("auc", -0.0)}))
    again = msgspec.json.decode(canonical(msgspec.to_builtins(seen)), type=Facts)
    assert policy(seen) == policy(again)


@given(seen=anything | good)
def test_a_stored_verdict_reads_back_as_it_was(seen: Facts) -> None:
    verdict = verdict_of(seen)
    stored = canonical(msgspec.to_builtins(verdict))
    again = msgspec.json.decode(stored, type=Verdict)
    assert canonical(msgspec.to_builtins(again)) == stored
    assert again.satisfied == verdict.satisfied and [r.id for r in again.blocking] == [r.id for r in verdict.blocking]


@given(seen=anything | good)
def test_what_a_policy_does_not_read_changes_nothing(seen: Facts) -> None:
    everything = dataclasses.replace(LAWS, reads=EVERYTHING)
    assert verdict_of(seen, everything) == verdict_of(seen)


@given(seen=anything | good)
def test_it_is_open_exactly_if_something_was_judged_and_nothing_blocks(seen: Facts) -> None:
    verdict = verdict_of(seen)
    applying = [r for r in verdict.requirements if r.state is not State.NOT_APPLICABLE]
    assert verdict.satisfied == (bool(applying) and all(r.passes for r in applying))
    assert all(r.reason for r in verdict.requirements)
    assert all(r.how_to_satisfy for r in verdict.blocking if r.state is not State.PENDING or r.kind == "evidence")


@pytest.mark.parametrize("size", ["x" * 100_000])
def test_a_long_text_in_a_card_is_no_trouble(size: str) -> None:
    assert judge(PINNED, facts(msgspec.structs.replace(version(), card={"intended_use": size}))).satisfied
