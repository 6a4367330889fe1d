"""How many SQL statements each read takes: the same however many rows there are."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from governance.commands.cards import write_card
from governance.commands.policies import bind_policy, publish_policy
from governance.models import CheckRun, Decision
from registry import commands as registry_commands
from tests.cast import actor, person
from tests.workflows.conftest import BINDING, POLICY
from workflows.commands import catalog, execution
from workflows.commands import reviews as review_commands
from workflows.models import PromotionRequest

pytestmark = pytest.mark.django_db

MOST = {
    "models/": 5,
    "models/credit.risk/": 5,
    "models/credit.risk/versions/": 6,
    "models/credit.risk/versions/1/": 5,
    "models/credit.risk/versions/1/files/": 3,
    "models/credit.risk/versions/1/card/": 3,
    "models/credit.risk/versions/1/outlook/": 19,
    "models/credit.risk/stages/": 3,
    "models/credit.risk/aliases/": 3,
    "models/credit.risk/history/": 5,
    "stages/": 3,
    "promotion-requests/": 2,
    "promotion-requests/{request}/": 32,
    "promotion-requests/{request}/requirements/": 32,
    "promotion-requests/{request}/checks/": 3,
    "promotion-requests/{request}/reviews/": 32,
    "promotion-requests/{request}/eligibility/": 22,
    "check-runs/": 2,
    "check-runs/{run}/": 5,
    "measurements/": 2,
    "policies/": 4,
    "bindings/": 2,
    "datasets/": 3,
    "lineage/?node=model_version:credit.risk/1": 10,
    "decisions/{decision}/": 2,
    "audit/events/": 2,
    "audit/head/": 4,
    "inbox/": 12,
    "inbox/tasks/": 3,
    "notifications/": 2,
    "delegations/": 2,
    "promotion-requests/{request}/threads/": 4,
    "models/credit.risk/versions/1/threads/": 4,
    "access/conflicts/": 11,
    "tokens/": 2,
}


def statements(api: Any, users: dict[str, Any]) -> dict[str, int]:
    values = {
        "request": PromotionRequest.objects.earliest("pk").pk,
        "run": CheckRun.objects.earliest("created_at").pk,
        "decision": Decision.objects.earliest("decided_at").pk,
    }
    counts = {}
    for path in MOST:
        caller = api(users["aude"])
        address = path.format(**values)
        assert caller.get(address).status_code == 200, address  # what is read once for each process is read now
        with CaptureQueriesContext(
            connection,
        ) as seen:
            assert caller.get(address).status_code == 200
        counts[path] = len(seen)
    return counts


def test_no_read_takes_a_statement_for_each_row(api, dana, ravi, rosa, aude, pat, world) -> None:
    users = {"aude": aude}
    _grow(world, dana, [ravi, rosa], pat, 0)
    small = statements(api, users)
    for size in range(1, 6):
        _grow(world, dana, [ravi, rosa], pat, size)
    large = statements(api, users)
    assert {path: count for path, count in large.items() if count != small[path]} == {}
    assert {path: count for path, count in large.items() if count > MOST[path]} == {}


def test_a_request_with_more_reviews_takes_no_more_statements(api, aude, world) -> None:
    request = world.in_review()
    counts = []
    for i in range(6):
        reviewer = person(f"reviewer{i}", "reviewer")
        review_commands.submit_review(actor=actor(reviewer), request_id=request.pk, verdict="abstain")
        with CaptureQueriesContext(connection) as seen:
            answer = api(aude).get(f"promotion-requests/{request.pk}/")
        assert len(answer.json()["reviews"]) == i + 1
        counts.append(len(seen))
    assert len(set(counts[1:])) == 1, counts


def _grow(world: Any, dana: Any, reviewers: list[Any], pat: Any, size: int) -> None:
    """Add a model, a version that went the whole way, a policy with a binding, tags and a card."""
    name = f"other.{size}"
    registry_commands.create_model(actor=actor(dana), name=name, tags={"a": "b"})
    world.version(model=name)
    request = world.in_review()
    number = request.version.number
    write_card(actor=actor(dana), model_name="credit.risk", version=number, sections={"limits": "None."})
    registry_commands.set_version_tag(actor=actor(dana), model_name="credit.risk", number=number, key="k", value="v")
    catalog.set_alias(actor=actor(dana), model_name="credit.risk", alias=f"a{size}", version=number)
    for reviewer in reviewers:
        review_commands.submit_review(actor=actor(reviewer), request_id=request.pk, verdict="approve")
    execution.execute_request(actor=actor(dana), request_id=request.pk)
    publish_policy(actor=actor(pat), document=POLICY.replace("name: credit", f"name: p{size}"))
    binding = BINDING.replace("name: credit", f"name: b{size}", 1).replace("policy: credit", f"policy: p{size}")
    bind_policy(actor=actor(pat), document=binding.replace("Production", "Staging").replace("champion", "x"))
