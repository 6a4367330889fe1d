"""The report of rights that one account should not hold together: every kind of conflict, and who may read it."""

from __future__ import annotations

from typing import Any

import pytest

from core import commands as core_commands
from core.access import Role, grant
from core.errors import Denied
from core.models import User
from governance.commands.policies import bind_policy, publish_policy
from registry import commands as registry_commands
from registry.models import RegisteredModel
from tests.cast import ROOT, actor, person
from tests.workflows.conftest import BINDING, POLICY
from workflows.queries import people
from workflows.rules import role_conflicts as rules

pytestmark = pytest.mark.django_db


def found(reader: User) -> dict[str, list[str]]:
    """Return the codes of conflicts by account."""
    codes: dict[str, list[str]] = {}
    for row in people.role_conflicts(actor(reader)):
        codes.setdefault(row.user, []).append(row.code)
    return codes


def test_the_table_names_roles_that_exist_and_each_pair_once() -> None:
    pairs = [frozenset((first, second)) for first, second, _, _ in rules.ROLE_PAIRS]
    assert len(set(pairs)) == len(pairs) and {name for pair in pairs for name in pair} == {role.value for role in Role}
    # An auditor who acts audits themselves, whatever the act is.
    assert {frozenset(("auditor", role.value)) for role in Role if role != Role.AUDITOR} <= set(pairs)
    assert all(severity in ("medium", "high") and why for _, _, severity, why in rules.ROLE_PAIRS)


@pytest.mark.parametrize("pair", [(first, second) for first, second, _, _ in rules.ROLE_PAIRS])
def test_each_pair_of_roles_is_found_and_neither_alone(aude: User, pair: tuple[str, str]) -> None:
    person("both", *pair)
    for role in pair:
        person(f"only-{role}", role)
    assert found(aude) == {"both": ["roles"]}
    (row,) = people.role_conflicts(actor(aude))
    assert (row.first, row.second) == (f"role {pair[0]}", f"role {pair[1]}") and row.user_name == "Both Example"


def test_who_waives_and_reviews_under_one_policy(aude: User, pat: User) -> None:
    def policy(name: str, reviews: str, waives: str) -> str:
        return (
            POLICY.replace("name: credit", f"name: {name}")
            .replace("steps:", f"waivers: {{approved_by: {waives}, max_days: 30}}\nsteps:")
            .replace("group: reviewer", f"group: {reviews}")
            .replace("dataset: validation", "dataset: validation")
        )

    def bind(name: str) -> None:
        bind_policy(
            actor=actor(pat), document=BINDING.replace("credit\np", f"{name}\np").replace("policy: credit", f"policy: {name}")
        )

    import io

    from registry.datasets import register_dataset

    register_dataset(actor=actor(pat), name="validation", stream=io.BytesIO(b"x,y\n1,0\n2,1\n"), format="csv", target="y")
    publish_policy(actor=actor(pat), document=policy("one", "risk", "board"))
    publish_policy(actor=actor(pat), document=policy("two", "legal", "risk"))
    person("both", "reviewer", groups=("risk", "board"))
    person("apart", "reviewer", groups=("legal", "board"))
    person("other", "reviewer", groups=("legal", "risk"))
    assert found(aude) == {}  # nothing is bound, so nothing is in force
    bind("one")
    assert found(aude) == {"both": ["waives_and_reviews"]}
    bind("two")
    assert found(aude) == {"both": ["waives_and_reviews"], "other": ["waives_and_reviews"]}
    (row,) = [row for row in people.role_conflicts(actor(aude)) if row.user == "both"]
    assert (row.first, row.second) == ("group board approves waivers of one", "group risk reviews under one")
    assert row.severity == "high"


def test_reviewers_who_may_change_governed_models(world: Any, dana: User, aude: User) -> None:
    model = RegisteredModel.objects.get()
    free = registry_commands.create_model(actor=actor(dana), name="marketing.uplift")
    direct, reads, elsewhere = (person(name, "reviewer") for name in ("direct", "reads", "elsewhere"))
    by_team = person("by-team", "reviewer", groups=("scoring",))
    writes = person("writes", "data-scientist")
    assert found(aude) == {}
    grant(model, "model_write", users=[direct.pk, writes.pk])
    grant(model, "model_manage", groups=[by_team.groups.get(name="scoring").pk])
    grant(model, "model_read", users=[reads.pk])
    grant(RegisteredModel.objects.get(name="marketing.uplift"), "model_write", users=[elsewhere.pk])
    assert free and found(aude) == {"by-team": ["reviews_and_writes"], "direct": ["reviews_and_writes"]}
    assert {row.second for row in people.role_conflicts(actor(aude))} == {"write on credit.risk"}
    direct.is_active = False
    direct.save()
    assert set(found(aude)) == {"by-team"}


def test_models_that_a_binding_covers_by_tier_or_tag_are_governed_too(world: Any, dana: User, pat: User, aude: User) -> None:
    from governance.models import Binding

    Binding.objects.all().delete()
    bind_policy(
        actor=actor(pat),
        document="kind: Binding\nname: tags\npolicy: credit\nmatch: {tags: {regulated: 'yes'}}\ntargets: {stages: [Production]}\n",
    )
    model = RegisteredModel.objects.get()
    grant(model, "model_write", users=[person("vera", "reviewer").pk])
    assert found(aude) == {}
    model.tags.create(key="regulated", value="yes")
    assert set(found(aude)) == {"vera"}


def test_a_program_with_the_right_to_review(aude: User) -> None:
    core_commands.ensure_user(actor=ROOT, username="ci", roles=["data-scientist"], service_of="aude")
    assert found(aude) == {}
    core_commands.ensure_user(actor=ROOT, username="bot", roles=["reviewer"], service_of="aude")
    assert found(aude) == {"bot": ["service_reviews"]}


def test_many_models_are_told_as_one_conflict() -> None:
    (one,) = rules.by_grants(f"m{i:02}" for i in range(13))
    assert one.second.endswith("m09 and 3 more") and list(rules.by_grants([])) == []


def test_only_auditors_and_admins_read_it(dana: User, ravi: User, aude: User, pat: User, mallory: User) -> None:
    for reader in (aude, pat):
        assert people.role_conflicts(actor(reader)) == []
    for reader in (dana, ravi, mallory):
        with pytest.raises(Denied):
            people.role_conflicts(actor(reader))


def test_the_report_takes_the_same_statements_however_many_accounts(
    world: Any, aude: User, django_assert_num_queries: Any
) -> None:
    model = RegisteredModel.objects.get()
    for i in range(6):
        grant(model, "model_write", users=[person(f"p{i}", "reviewer", "data-scientist", groups=(f"g{i}",)).pk])
    with django_assert_num_queries(9):
        assert len(people.role_conflicts(actor(aude))) == 12
    for i in range(6, 12):
        registry_commands.create_model(actor=actor(world.dana), name=f"credit.m{i}")
        more = RegisteredModel.objects.get(name=f"credit.m{i}")
        grant(more, "model_write", users=[person(f"p{i}", "reviewer", "auditor", groups=(f"g{i}",)).pk])
    with django_assert_num_queries(9):
        assert len(people.role_conflicts(actor(aude))) == 24
