"""Recomputing stored decisions, one by one and all of them."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest

from core.canonical import canonical, text_digest
from core.errors import Denied, NotFound
from governance import gate
from governance.commands.policies import bind_policy, end_binding, publish_parameters, publish_policy
from governance.models import Decision, PolicyRevision
from tests.cast import actor
from tests.interfaces.management.conftest import refused, run  # noqa: F401 fixtures
from tests.workflows.conftest import BINDING, POLICY
from workflows.commands import execution
from workflows.queries.replays import replay, replay_all, replayed

pytestmark = pytest.mark.django_db


@pytest.fixture
def decision(world, ravi, rosa, review, pat) -> Decision:
    """The decision to carry a request out, under two policies, one of which only warns."""
    publish_policy(actor=actor(pat), document=POLICY.replace("name: credit", "name: other"))
    publish_parameters(actor=actor(pat), document="kind: Parameters\nname: strict\npolicy: other\nvalues: {limit: 0.99}\n")
    bind_policy(actor=actor(pat), document=BINDING.replace("credit", "other", 2) + "mode: warn\nparameters: strict\n")
    request = world.in_review(auc=0.9)
    for reviewer in (ravi, rosa):
        review(reviewer, request)
    execution.execute_request(actor=actor(world.dana), request_id=request.pk)
    return Decision.objects.get(request_id=request.pk, purpose="execute")


def altered(decision: Decision, **changes: Any) -> Decision:
    """Return the decision as it would be with other columns, stored under an id of its own."""
    fields = {f.name: getattr(decision, f.name) for f in Decision._meta.fields if f.name != "id"}
    return Decision.objects.create(**{**fields, **changes})


def test_a_decision_comes_out_byte_for_byte_the_same_whatever_happened_since(decision, ravi, pat) -> None:
    end_binding(actor=actor(pat), name="other")
    bind_policy(actor=actor(pat), document=BINDING + "mode: shadow\n")
    publish_policy(actor=actor(pat), document=POLICY.replace("default: 0.7", "default: 0.99"))
    found = replay(actor(ravi), decision.pk)
    assert (found.same, found.compared, found.problem, found.differences) == (True, "bytes", "", [])
    assert found.recomputed_digest == found.verdict_digest == decision.verdict_digest
    assert found.verdict is not None and {(r.policy, r.mode) for r in found.verdict.requirements} == {
        ("credit", "enforce"),
        ("other", "warn"),
    }
    assert any(not r.passes for r in found.verdict.requirements if r.policy == "other") and found.verdict.satisfied


def test_mode_and_binding_are_part_of_what_is_recomputed(decision) -> None:
    """Were the warning taken for a blocking one, the verdict would be another."""
    enforced = [{**pin, "mode": "enforce"} for pin in decision.policies]
    found = replayed(altered(decision, policies=enforced))
    assert not found.same and found.problem == "" and found.differences == []
    assert found.verdict is not None and not found.verdict.satisfied


def test_facts_verdict_or_outcome_altered_is_told_as_that(decision) -> None:
    facts = json.loads(decision.facts)
    facts["version"]["measurements"]["roc_auc"]["value"] = 0.1
    verdict = json.loads(decision.verdict)
    verdict["requirements"][0]["state"] = "waived"
    found = replayed(altered(decision, facts=canonical(facts)))
    assert not found.same and found.problem == "the facts are not those that the digest was made of"
    assert [(d.policy, d.id, d.stored, d.recomputed) for d in found.differences] == [
        ("credit", "roc-auc", "satisfied", "unsatisfied")
    ]
    found = replayed(altered(decision, verdict=canonical(verdict)))
    assert not found.same and found.problem == "the verdict is not the one that the digest was made of"
    assert [(d.id, d.stored, d.recomputed) for d in found.differences] == [("roc-auc", "waived", "satisfied")]
    found = replayed(altered(decision, outcome="blocked"))
    assert not found.same and found.problem == "the outcome is not the verdict's"
    # Altered with care, digest and all: what remains is that it does not come out the same.
    text = canonical(verdict)
    found = replayed(altered(decision, verdict=text, verdict_digest=text_digest(text)))
    assert not found.same and found.problem == "" and len(found.differences) == 1


def test_under_another_gate_the_states_are_compared(decision) -> None:
    verdict = json.loads(decision.verdict)
    verdict["requirements"][0]["reason"] = "worded otherwise then"
    text = canonical(verdict)
    then = {"verdict": text, "verdict_digest": text_digest(text)}
    assert not replayed(altered(decision, **then)).same
    found = replayed(altered(decision, gate_revision=gate.REVISION - 1, **then))
    assert found.same and found.compared == "states" and found.gate_revision == gate.REVISION - 1
    verdict["requirements"][0]["state"] = "overridden"
    text = canonical(verdict)
    found = replayed(altered(decision, gate_revision=gate.REVISION - 1, verdict=text, verdict_digest=text_digest(text)))
    assert not found.same and [(d.stored, d.recomputed) for d in found.differences] == [("overridden", "satisfied")]


def test_what_cannot_be_recomputed_says_why(decision) -> None:
    gone = [{**pin, "digest": "sha256:0"} for pin in decision.policies]
    found = replayed(altered(decision, policies=gone))
    assert not found.same and "the revision sha256:0 of credit is gone" in found.problem and found.verdict is None
    policy = PolicyRevision.objects.get(policy__name="credit").policy
    old = PolicyRevision.objects.create(policy=policy, number=9, digest="sha256:9", document="kind: Policy\napprovals: []\n")
    found = replayed(altered(decision, policies=[{**decision.policies[0], "digest": old.digest}]))
    assert "of an earlier release that this one cannot read" in found.problem
    facts = canonical({"request": {}})
    found = replayed(altered(decision, facts=facts, facts_digest=text_digest(facts)))
    assert "the facts are of an earlier release" in found.problem


def test_only_who_sees_the_model_recomputes_and_only_auditors_all(decision, aude, ravi, mallory) -> None:
    assert replay(actor(aude), decision.pk).same
    with pytest.raises(NotFound):
        replay(actor(mallory), decision.pk)
    with pytest.raises(NotFound):
        replay(actor(aude), uuid.uuid4())
    assert [found.same for found in replay_all(actor(aude))] == [True, True]
    with pytest.raises(Denied):
        list(replay_all(actor(ravi)))


# The command.


def test_the_command_recomputes_one_or_all(decision, run) -> None:  # noqa: F811
    assert run("replay_decision", str(decision.pk)).startswith(f"{decision.pk}: same, byte for byte under gate revision")
    assert run("replay_decision", "--all") == "2 recomputed, 0 differ\n"


def test_the_command_tells_what_differs_with_status_1(decision, refused, capsys) -> None:  # noqa: F811
    facts = json.loads(decision.facts)
    facts["version"]["measurements"]["roc_auc"]["value"] = 0.1
    wrong = altered(decision, facts=canonical(facts))
    for which in (str(wrong.pk), "--all"):
        assert refused("replay_decision", which).returncode == 1
    assert refused("replay_decision", str(uuid.uuid4())).returncode == 2
    assert "ID" in str(refused("replay_decision"))
