"""Which bindings cover a model, by name, traits, mode and time."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from governance.bindings import any_bound_by_trait, bindings_by_trait, bindings_for
from governance.models import Binding, Policy
from registry import commands as registry_commands
from registry.models import RegisteredModel
from tests.cast import actor

pytestmark = pytest.mark.django_db


@pytest.fixture
def model(dana) -> RegisteredModel:
    registry_commands.create_model(actor=actor(dana), name="credit.risk", tags={"team": "retail"})
    return RegisteredModel.objects.get()


def bound(name: str, **fields: object) -> Binding:
    policy, _ = Policy.objects.get_or_create(name="p")
    return Binding.objects.create(name=name, policy=policy, stages=["Production"], **fields)


def found(model: RegisteredModel, **options: object) -> list[str]:
    return [b.name for b in bindings_for(model, kind="stage", target="Production", **options)]


def test_a_binding_covers_by_name_tier_and_tags_all_together(model) -> None:
    bound("any")
    bound("by-name", models_matching=["fraud.*", "credit.*"])
    bound("other-name", models_matching=["fraud.*"])
    bound("by-case", models_matching=["Credit.*"])
    bound("by-tag", tags={"team": "retail"})
    bound("other-tag", tags={"team": "retail", "region": "eu"})
    bound("by-tier", risk_tiers=[model.risk_tier])
    bound("other-tier", risk_tiers=["none-such"])
    assert found(model) == ["any", "by-name", "by-tag", "by-tier"]
    assert bindings_for(model, kind="alias", target="Production") == []
    assert bindings_for(model, kind="stage", target="Staging") == []


def test_in_force_is_from_its_beginning_to_just_before_its_end(model) -> None:
    now = timezone.now()
    bound("one", valid_from=now, valid_to=now + timedelta(hours=1))
    bound("two", valid_from=now + timedelta(hours=1))
    bound("never", valid_from=now + timedelta(hours=2), valid_to=now + timedelta(hours=2))
    moments = [
        now - timedelta(microseconds=1),
        now,
        now + timedelta(minutes=59),
        now + timedelta(hours=1),
        now + timedelta(hours=2),
    ]
    assert [found(model, at=at) for at in moments] == [[], ["one"], ["one"], ["two"], ["two"]]


def test_a_trait_counts_also_for_a_binding_to_come(model) -> None:
    assert not any_bound_by_trait()
    bound("plain")
    bound("watching", tags={"team": "retail"}, mode="shadow")
    assert not any_bound_by_trait() and any_bound_by_trait(modes=("shadow",))
    bound("tomorrow", tags={"team": "retail"}, valid_from=timezone.now() + timedelta(days=1))
    bound("gone", risk_tiers=[model.risk_tier], valid_to=timezone.now())
    assert any_bound_by_trait()
    assert [b.name for b in bindings_by_trait(model)] == ["tomorrow"]
    assert [b.name for b in bindings_by_trait(model, modes=("shadow",))] == ["watching"]


def test_the_lookup_takes_one_statement_more_for_tags_and_none_for_each_binding(model, django_assert_num_queries) -> None:
    for i in range(5):
        bound(f"b{i}")
    with django_assert_num_queries(1):
        assert bindings_for(model, kind="stage", target="Staging") == []
    with django_assert_num_queries(2):
        assert [b.policy.name for b in bindings_for(model, kind="stage", target="Production")] == ["p"] * 5
    for i in range(5):
        bound(f"t{i}", tags={"team": "retail"})
    with django_assert_num_queries(3):
        assert len(bindings_for(model, kind="stage", target="Production")) == 10
