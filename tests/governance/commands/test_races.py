"""Policies published, bound and brought in at the same instant: one after the other, whichever comes first."""

from __future__ import annotations

from datetime import datetime
from itertools import pairwise
from typing import Any

import pytest

from core.access import Actor
from core.errors import Conflict, Invalid
from governance import sync
from governance.commands.policies import bind_policy, publish_parameters, publish_policy
from governance.commands.sync import sync_policies
from governance.models import Binding, ParameterSet, PolicyRevision
from governance.policy import compile_policy
from governance.sync import Source
from tests.cast import actor, person
from tests.governance.commands.test_policies import BINDING, MANDATORY, NAMED, PARAMETERS, POLICY, limited
from tests.workflows.test_races import at_once

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def admin() -> Actor:
    who = actor(person("pat", "platform-admin"))
    publish_policy(actor=who, document=POLICY)
    publish_policy(actor=who, document=POLICY.replace("name: credit", "name: other"))
    return who


def _periods() -> list[tuple[datetime, Any]]:
    return list(Binding.objects.order_by("valid_from", "pk").values_list("valid_from", "valid_to"))


def test_a_name_bound_by_several_at_once_has_one_binding_at_each_moment(admin) -> None:
    documents = [limited(0.1 * i) for i in range(1, 4)] + [limited(0.9).replace("policy: credit", "policy: other")]
    results = at_once(*(lambda text=text: bind_policy(actor=admin, document=text) for text in documents))
    assert {type(result) for result in results} <= {Binding, Conflict} and Binding in {type(result) for result in results}
    periods = _periods()
    assert [end for _, end in periods].count(None) == 1
    assert all(end == begin for (_, end), (begin, _) in pairwise(periods)), "neither gap nor overlap"


def test_a_text_and_a_binding_that_do_not_fit_one_another_never_both_pass(admin) -> None:
    for _ in range(3):
        results = at_once(
            lambda: publish_policy(actor=admin, document=MANDATORY),
            lambda: bind_policy(actor=admin, document=BINDING),
        )
        newest = compile_policy(PolicyRevision.objects.filter(policy__name="credit").latest("number").document)
        bound = Binding.objects.filter(policy__name="credit", valid_to__isnull=True).first()
        assert [type(r) for r in results if isinstance(r, Exception)] in ([Conflict], [Invalid])
        assert bound is None or newest.wrong_parameters(bound.parameters) == []


def test_values_published_while_a_binding_takes_them_reach_it(admin) -> None:
    publish_parameters(actor=admin, document=PARAMETERS)
    at_once(
        lambda: publish_parameters(actor=admin, document=PARAMETERS.replace("0.8", "0.9")),
        lambda: bind_policy(actor=admin, document=NAMED),
    )
    assert ParameterSet.objects.count() == 2
    assert Binding.objects.get(valid_to__isnull=True).parameters == {"limit": 0.9}


def test_a_folder_brought_in_twice_at_once_is_brought_in_once(admin) -> None:
    texts = [POLICY + "# next\n", PARAMETERS, NAMED]
    sources = [Source(f"{i}.yaml", text) for i, text in enumerate(texts)]
    results = at_once(*(lambda: sync_policies(actor=admin, sources=sources) for _ in range(3)))
    assert [type(result) for result in results] == [sync.Plan] * 3
    assert sorted(len(result.changing) for result in results) == [0, 0, 3]
    assert PolicyRevision.objects.filter(policy__name="credit").count() == 2 and Binding.objects.count() == 1
