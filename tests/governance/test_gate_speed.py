"""Judging costs little more than evaluating: facts are turned into a context only as far as a policy reads them."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable

import msgspec
import pytest

from governance.facts import CheckFact, Facts, Measured, ModelFacts, PersonFact, RequestFacts, ReviewFact, VersionFacts
from governance.gate import PinnedPolicy, judge
from governance.policy import CompiledPolicy, compile_policy

MEASUREMENTS, REQUIREMENTS, LARGEST_RATIO = 200, 12, 5.0


def policy(item: str, after: str = "") -> CompiledPolicy:
    """Return a policy of twelve requirements; ``KEY`` stands for another measurement in each."""
    items = "".join(
        f"\n  - id: r{i}\n    title: R{i}\n    how_to_satisfy: Improve it.\n{item.replace('KEY', f'metric_{i * 16}[group={i}]')}"
        for i in range(REQUIREMENTS)
    )
    return compile_policy(
        f"kind: Policy\nname: p\nparameters:\n  limit: {{type: number, default: 0.1}}\nrequirements:{items}\n{after}"
    )


LEAN = """\
    satisfied_if: measurements["KEY"].value >= params.limit
"""
FULL = """\
    applies_if: model.risk_tier == "high"
    satisfied_if: measurements["KEY"].value >= params.limit && measurements["KEY"].n >= 100
    shows:
      value: measurements["KEY"].value
      limit: params.limit
      champion: champion.measurements["KEY"].value
"""
ALL = """\
    satisfied_if: measurements.all(m, measurements[m].value >= params.limit)
"""
STEPS = """\
steps:
  - {name: first, factors: [{group: owner, count: 1}]}
  - {name: second, factors: [{group: reviewer, count: 2}]}
"""


def version() -> VersionFacts:
    keys = [f"metric_{i}[group={i // 16}]" for i in range(MEASUREMENTS)]
    return VersionFacts(
        present=True,
        measurements={
            key: Measured(key.partition("[")[0], 0.8, "group", 300, 0.75, 0.85, "95 % Wilson interval") for key in keys
        },
        checks={"performance": CheckFact("performance", "passed", "run", "sha256:0")},
        card={"intended_use": "x" * 2000, "limitations": "y" * 2000},
    )


FACTS = Facts(
    request=RequestFacts(1, "dana", "stage", "Production", "None"),
    model=ModelFacts("m", "high", {"team": "risk"}),
    version=version(),
    champion=version(),
    reviews=tuple(ReviewFact(name, "approve", ("reviewer",), True) for name in ("ravi", "rosa")),
    people=(PersonFact("olga", ("owner",)),),
)


def bare(compiled: CompiledPolicy) -> Callable[[], None]:
    """Return what evaluates the same expressions one after the other, on a context that stands already, and does nothing else."""
    context = compiled.language.context(FACTS, compiled.effective({}))
    expressions = [
        expression.compiled
        for r in compiled.requirements
        for expression in (r.applies_if, r.satisfied_if, *((r.shows.value, r.shows.limit, r.shows.champion) if r.shows else ()))
        if expression is not None
    ]

    def run() -> None:
        for expression in expressions:
            expression.eval(activation=context)

    return run


def judging(compiled: CompiledPolicy) -> Callable[[], None]:
    """Return what judges facts that it has not seen before: no cache helps."""
    stored = msgspec.json.encode(FACTS)
    fresh = [msgspec.json.decode(stored, type=Facts) for _ in range(50)]
    pinned, turn = [PinnedPolicy(compiled, {})], iter(range(10**9))

    def run() -> None:
        judge(pinned, fresh[next(turn) % len(fresh)])

    return run


def fastest(*candidates: Callable[[], None], rounds: int = 40, times: int = 5) -> list[float]:
    """Return the seconds of one call of each, the best of many rounds in which they take turns."""
    best = [float("inf")] * len(candidates)
    gc.collect()
    gc.disable()
    try:
        for _ in range(rounds):
            for i, run in enumerate(candidates):
                began = time.perf_counter()
                for _ in range(times):
                    run()
                best[i] = min(best[i], (time.perf_counter() - began) / times)
    finally:
        gc.enable()
    return best


@pytest.mark.parametrize(
    ("item", "after"), [(LEAN, ""), (FULL, ""), (FULL, STEPS), (ALL, "")], ids=["lean", "full", "with steps", "all of them"]
)
def test_twelve_requirements_over_two_hundred_measurements_cost_less_than_five_times_their_evaluation(
    item: str, after: str, record_property: Callable[[str, object], None]
) -> None:
    compiled = policy(item, after)
    assert len(FACTS.version.measurements) == MEASUREMENTS and len(compiled.requirements) == REQUIREMENTS
    assert not [r for r in judge([PinnedPolicy(compiled, {})], FACTS).requirements if r.kind == "evidence" and not r.passes]
    judged, evaluated = fastest(judging(compiled), bare(compiled))
    record_property("microseconds", [round(judged * 1e6), round(evaluated * 1e6)])
    assert judged / evaluated < LARGEST_RATIO, f"{judged * 1e6:.0f} us against {evaluated * 1e6:.0f} us"
