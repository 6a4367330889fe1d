"""Two policies of one request that ask the same check on other data: each is judged on what it asked for."""

from __future__ import annotations

import io

from core.access import SYSTEM
from core.models import User
from governance.commands import checks as check_commands
from governance.commands.checks import CheckResult
from governance.commands.policies import bind_policy, publish_policy
from governance.models import CheckRun, CheckState, Decision
from registry.datasets import register_dataset
from tests.cast import actor
from tests.workflows.conftest import World
from workflows.assessment import assess, recompute
from workflows.commands import execution
from workflows.models import PromotionRequest

SECOND = """\
kind: Policy
name: out-of-time
parameters: {least: {type: number, default: 0.6}}
checks: [{check: performance, dataset: recent}]
requirements:
  - id: auc
    title: Ranks well on recent data
    how_to_satisfy: Train on newer data.
    satisfied_if: measurements["roc_auc"].value >= params.least
    shows: {value: 'measurements["roc_auc"].value', limit: params.least, limit_is: at_least}
"""
BINDING = "kind: Binding\nname: recent\npolicy: out-of-time\nmatch: {models: ['credit.*']}\ntargets: {stages: [Production]}\n"


def bound(world: World, pat: User) -> None:
    stream = io.BytesIO(b"x,y\n1,0\n2,1\n3,1\n")
    register_dataset(actor=actor(pat), name="recent", stream=stream, format="csv", target="y", closed=True)
    publish_policy(actor=actor(pat), document=SECOND)
    bind_policy(actor=actor(pat), document=BINDING)


def finish(request: PromotionRequest, auc: dict[str, float]) -> None:
    for run in CheckRun.objects.filter(request_links__request=request, state=CheckState.QUEUED):
        check_commands.start_check(run_id=str(run.pk), worker="w", isolation="bubblewrap")
        value = auc[run.dataset_version.dataset.name] if run.dataset_version else 1.0
        row = {"metric": "roc_auc", "value": value, "slice": "", "n": 3, "ci_low": None, "ci_high": None, "method": "test"}
        result = CheckResult(CheckState.PASSED, measurements=[row] if run.check_name == "performance" else [])
        check_commands.finish_check(actor=SYSTEM, run_id=str(run.pk), worker="w", result=result)
    execution.advance_request(actor=SYSTEM, request_id=request.pk)


def test_each_policy_is_judged_on_the_data_that_it_named(world: World, pat: User) -> None:
    bound(world, pat)
    request = world.ask(world.version())
    finish(request, {"validation": 0.8, "recent": 0.5})
    request.refresh_from_db()
    seen = assess(request)
    values = {(r.policy, r.id): (r.state, r.value) for r in seen.verdict.requirements if r.id in ("auc", "roc-auc")}
    assert values == {("out-of-time", "auc"): ("unsatisfied", 0.5), ("credit", "roc-auc"): ("satisfied", 0.8)}
    apart = {path for path in seen.parts if path.startswith("apart.")}
    assert len(apart) == 1 and apart.pop().endswith(".measurements.roc_auc")
    assert {run.dataset_version.dataset.name for run in (link.run for link in seen.checks) if run.dataset_version} == {
        "validation",
        "recent",
    }


def test_the_order_of_the_runs_changes_nothing(world: World, pat: User) -> None:
    bound(world, pat)
    outcomes = []
    for auc in ({"validation": 0.8, "recent": 0.5}, {"validation": 0.5, "recent": 0.8}):
        request = world.ask(world.version())
        finish(request, auc)
        outcomes.append({r.policy: r.value for r in assess(request).verdict.requirements if r.id in ("auc", "roc-auc")})
        PromotionRequest.objects.filter(pk=request.pk).update(state="withdrawn")
    assert outcomes[0]["out-of-time"] == 0.5 and outcomes[1]["out-of-time"] == 0.8
    assert set(outcomes[0].values()) == set(outcomes[1].values()) == {0.5, 0.8}


def test_a_decision_on_evidence_apart_can_be_recomputed(world: World, pat: User, review, ravi: User, rosa: User) -> None:  # type: ignore[no-untyped-def]
    bound(world, pat)
    request = world.ask(world.version())
    finish(request, {"validation": 0.8, "recent": 0.9})
    for reviewer in (ravi, rosa):
        review(reviewer, request)
    request.refresh_from_db()
    assert request.state in ("approved", "done")
    for decision in Decision.objects.filter(request_id=request.pk):
        again = recompute(decision)
        assert again.satisfied == (decision.outcome == "satisfied")
        assert {r.value for r in again.requirements if r.id in ("auc", "roc-auc")} == {0.8, 0.9}


def test_policies_that_ask_the_same_on_the_same_data_share_one_run(world: World, pat: User) -> None:
    publish_policy(actor=actor(pat), document=SECOND.replace("dataset: recent", "dataset: validation"))
    bind_policy(actor=actor(pat), document=BINDING)
    request = world.ask(world.version())
    finish(request, {"validation": 0.8})
    seen = assess(request)
    assert not seen.facts.apart and len([link for link in seen.checks if link.run.check_name == "performance"]) == 1
