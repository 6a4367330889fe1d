"""What a draft would have made of past requests."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from core import access
from core.canonical import canonical
from core.errors import Denied, Invalid
from core.models import AuditEvent
from governance import gate
from governance.commands.policies import bind_policy, publish_policy
from governance.models import Decision
from registry.models import RegisteredModel
from tests.cast import actor, person
from tests.workflows.conftest import BINDING, POLICY
from workflows.commands import execution
from workflows.models import PromotionRequest
from workflows.queries import simulation
from workflows.queries.simulation import SimulatedRequest, Simulation

pytestmark = pytest.mark.django_db


@pytest.fixture
def done(world, ravi, rosa, review):
    """Return what takes a request with this ROC AUC all the way."""

    def carry(auc: float, **options: Any) -> PromotionRequest:
        request = world.in_review(auc=auc, **options)
        for reviewer in (ravi, rosa):
            review(reviewer, request)
        execution.execute_request(actor=actor(world.dana), request_id=request.pk)
        request.refresh_from_db()
        assert request.state == "done"
        return request

    return carry


def simulate(user: Any, document: str, **options: Any) -> Simulation:
    return simulation.simulate(actor(user), name=options.pop("name", "credit"), document=document, **options)


def stricter(limit: float) -> str:
    return POLICY.replace("default: 0.7", f"default: {limit}")


def outcomes(found: Simulation) -> list[tuple[int, str | None, str]]:
    return [(each.request, each.then, each.now) for each in found.requests]


def changes(each: SimulatedRequest) -> list[tuple[str, str | None, str | None]]:
    return [(change.id, change.then, change.now) for change in each.changes]


def test_a_stricter_limit_blocks_what_it_would_have_blocked_and_says_why(done, ravi) -> None:
    weak, strong = done(0.75), done(0.9)
    before = (Decision.objects.count(), AuditEvent.objects.count())
    found = simulate(ravi, stricter(0.8))
    assert outcomes(found) == [(strong.pk, "satisfied", "satisfied"), (weak.pk, "satisfied", "blocked")]
    assert (found.judged, found.changed, found.newly_blocked, found.newly_satisfied) == (2, 1, 1, 0)
    (change,) = found.requests[1].changes
    assert (change.id, change.then, change.now) == ("roc-auc", "satisfied", "unsatisfied")
    assert change.then_reason == "met" and change.now_reason == "measured 0.75, the limit is at least 0.8"
    assert [(count.id, count.blocking, count.changed) for count in found.requirements] == [
        ("roc-auc", 1, 1),
        ("review-reviewer", 0, 0),
    ]
    assert found.notes == [] and not found.truncated and not found.requests[0].other_gate
    assert (Decision.objects.count(), AuditEvent.objects.count()) == before, "nothing is written"


def test_the_text_in_force_changes_nothing(done, ravi) -> None:
    done(0.9)
    found = simulate(ravi, POLICY)
    assert (found.judged, found.changed) == (1, 0) and found.requests[0].changes == []


def test_the_newest_decision_of_a_request_is_looked_at(done, ravi) -> None:
    request = done(0.9)
    purposes = dict(Decision.objects.filter(request_id=request.pk).values_list("purpose", "pk"))
    assert set(purposes) == {"approve", "execute"}
    assert simulate(ravi, POLICY).requests[0].decision == purposes["execute"]


def test_each_request_is_judged_with_the_parameters_it_was_bound_with(done, world, ravi, pat) -> None:
    bind_policy(actor=actor(pat), document=BINDING + "parameters: {limit: 0.85}\n")
    request = done(0.9)
    found = simulate(ravi, stricter(0.95))
    assert outcomes(found) == [(request.pk, "satisfied", "satisfied")], "the binding's 0.85 goes before the default"
    found = simulate(ravi, stricter(0.95), parameters={"limit": 0.92})
    assert outcomes(found) == [(request.pk, "satisfied", "blocked")]
    other = POLICY.replace("limit: {type: number, default: 0.7}", "least: {type: number, default: 0.91}").replace(
        "params.limit", "params.least"
    )
    (each,) = simulate(ravi, other).requests
    assert each.parameters_left_out == ["limit"] and each.now == "blocked"
    text = POLICY.replace("limit: {type: number, default: 0.7}", "limit: {type: text, default: high}")
    flag = text.replace("limit: params.limit}", 'limit: "0.7"}').replace("params.limit", "0.7")
    assert simulate(ravi, flag).requests[0].parameters_left_out == ["limit"]


def test_parameters_that_are_missing_or_do_not_fit_are_refused(done, ravi) -> None:
    request = done(0.9)
    mandatory = POLICY.replace(", default: 0.7", "")
    with pytest.raises(Invalid, match=f"REQ-{request.pk} cannot be judged by the draft: parameter limit has no default"):
        simulate(ravi, mandatory)
    assert simulate(ravi, mandatory, parameters={"limit": 0.5}).requests[0].now == "satisfied"
    for wrong in ({"limti": 1}, {"limit": "high"}):
        with pytest.raises(Invalid, match="do not fit the draft"):
            simulate(ravi, POLICY, parameters=wrong)


def test_requirements_that_are_added_and_dropped_are_told_apart_from_those_that_change(done, ravi) -> None:
    done(0.9)
    text = POLICY.replace("id: roc-auc", "id: roc-auc-2") + "# another\n"
    (each,) = simulate(ravi, text).requests
    assert changes(each) == [("roc-auc-2", None, "satisfied"), ("roc-auc", "satisfied", None)]
    assert each.now == "satisfied"


def test_a_policy_bound_twice_is_compared_binding_by_binding(done, ravi, pat) -> None:
    bind_policy(actor=actor(pat), document=BINDING.replace("name: credit", "name: again", 1) + "parameters: {limit: 0.85}\n")
    done(0.9)
    (each,) = simulate(ravi, POLICY).requests
    assert each.changes == [] and each.now == "satisfied"
    found = simulate(ravi, stricter(0.95))
    assert changes(found.requests[0]) == [("roc-auc", "satisfied", "unsatisfied")], "the other is bound with a limit of its own"


def test_what_nobody_gathered_then_is_said(done, ravi) -> None:
    done(0.9)
    draft = POLICY.replace("group: reviewer, count: 2", "group: model-risk, count: 1").replace(
        "check: performance", "check: fairness"
    )
    draft = draft.replace("    dataset: validation\n", "    dataset: validation\n    with: {sensitive: [x]}\n")
    found = simulate(ravi, draft)
    assert "Who could still review for model-risk was not noted" in found.notes[0]
    assert "The checks fairness had not run for every request" in found.notes[1]
    assert found.requests[0].now == "blocked"


def test_requests_without_a_decision_are_skipped_and_counted(done, world, ravi) -> None:
    done(0.9)
    world.in_review(auc=0.8)
    found = simulate(ravi, POLICY)
    assert (found.judged, found.skipped) == (1, 1)


def test_a_new_policy_is_tried_on_requests_that_another_judged(done, ravi) -> None:
    weak, strong = done(0.75), done(0.9)
    draft = stricter(0.8).replace("name: credit", "name: strict")
    assert simulate(ravi, draft, name="strict").requests == []
    found = simulate(ravi, draft, name="strict", every=True)
    assert outcomes(found) == [(strong.pk, None, "satisfied"), (weak.pk, None, "blocked")]
    assert changes(found.requests[1]) == [("roc-auc", None, "unsatisfied")]
    with pytest.raises(Invalid, match="of the policy strict, not of credit"):
        simulate(ravi, draft)


def test_only_requests_of_the_time_asked_for(done, ravi) -> None:
    old, new = done(0.75), done(0.9)
    PromotionRequest.objects.filter(pk=old.pk).update(created_at=timezone.now() - timedelta(days=100))
    assert [each.request for each in simulate(ravi, POLICY).requests] == [new.pk]
    assert [each.request for each in simulate(ravi, POLICY, days=101).requests] == [new.pk, old.pk]


def test_who_may_and_who_may_not(done, dana, ravi, aude, pat, mallory) -> None:
    done(0.9)
    for user in (ravi, aude, pat):
        assert simulate(user, POLICY).judged == 1
    for user in (dana, mallory):  # dana may read policies and her model, but neither reviews, publishes nor audits
        with pytest.raises(Denied):
            simulate(user, POLICY)


def test_requests_on_models_one_may_not_see_are_not_among_them(done, monkeypatch) -> None:
    """Every role that may simulate sees all models today; should one not, the query holds."""
    request = done(0.9)
    ina = person("ina", "reviewer")
    grants = access.ROLE_GRANTS["reviewer"] - {access.Permission.MODEL_READ}
    monkeypatch.setitem(access.ROLE_GRANTS, "reviewer", grants)
    assert (simulate(ina, POLICY).judged, simulate(ina, POLICY).skipped) == (0, 0)
    access.grant(RegisteredModel.objects.get(pk=request.model_id), "model_read", users=[ina.pk])
    assert simulate(ina, POLICY).judged == 1


def test_a_draft_with_mistakes_is_refused_with_their_places(ravi, world) -> None:
    with pytest.raises(Invalid) as refused:
        simulate(ravi, POLICY.replace("measurements[", "measuremnts["))
    assert refused.value.details["mistakes"][0]["line"] == 12


def test_it_takes_three_statements_however_many_requests_there_are(done, ravi) -> None:
    counts, who = [], actor(ravi)
    for _ in range(3):
        done(0.9)
        with CaptureQueriesContext(connection) as seen:
            simulation.simulate(who, name="credit", document=POLICY)
        counts.append(len(seen))
    assert counts == [3, 3, 3]


def test_it_is_bounded_in_number_and_in_time(done, ravi, monkeypatch) -> None:
    requests = [done(auc) for auc in (0.75, 0.8, 0.9)]
    monkeypatch.setattr(simulation, "MOST_REQUESTS", 2)
    found = simulate(ravi, POLICY)
    assert found.truncated and [each.request for each in found.requests] == [requests[2].pk, requests[1].pk]
    monkeypatch.setattr(simulation, "MOST_REQUESTS", 3)
    assert not simulate(ravi, POLICY).truncated
    ticks = iter(range(0, 1000, 8))
    monkeypatch.setattr(simulation, "monotonic", lambda: next(ticks))
    found = simulate(ravi, POLICY)
    assert found.truncated and [each.request for each in found.requests] == [requests[2].pk]
    assert "longer than 10 seconds" in found.notes[0]


def _stored(request: PromotionRequest, **changes: Any) -> Decision:
    """Store another decision on a request, as an earlier release would have."""
    newest = Decision.objects.filter(request_id=request.pk).latest("decided_at")
    fields = {f.name: getattr(newest, f.name) for f in Decision._meta.fields if f.name not in ("id", "decided_at")}
    return Decision.objects.create(**{**fields, **changes})


def test_a_decision_of_another_gate_is_marked_and_unreadable_facts_are_counted(done, ravi) -> None:
    first, second = done(0.8), done(0.9)
    _stored(first, gate_revision=gate.REVISION - 1)
    facts = json.loads(Decision.objects.filter(request_id=second.pk).latest("decided_at").facts)
    _stored(second, facts=canonical({**facts, "reviews": [{"reviewer": "ravi", "roles": ["reviewer"]}]}))
    found = simulate(ravi, POLICY)
    assert [(each.request, each.other_gate) for each in found.requests] == [(first.pk, True)]
    assert (found.judged, found.unreadable) == (1, 1)


def test_the_outcome_is_of_this_policy_alone(done, world, ravi, pat) -> None:
    """Another policy that blocks, and a mode that does not, change nothing of what this one says."""
    publish_policy(actor=actor(pat), document=stricter(0.99).replace("name: credit", "name: other"))
    bind_policy(actor=actor(pat), document=BINDING.replace("credit", "other", 2) + "mode: warn\n")
    request = done(0.9)
    assert outcomes(simulate(ravi, POLICY)) == [(request.pk, "satisfied", "satisfied")]
    draft = stricter(0.99).replace("name: credit", "name: other") + "# the same\n"
    assert outcomes(simulate(ravi, draft, name="other")) == [(request.pk, "blocked", "blocked")]
    relaxed = POLICY.replace("name: credit", "name: other")
    found = simulate(ravi, relaxed, name="other")
    assert found.newly_satisfied == 1 and msgspec.json.encode(found)
