"""Rights on one object: one for each holder, and promises that become rights when there is somebody to hold them."""

from __future__ import annotations

import pytest

from core import access, grants
from core.access import Permission
from core.errors import Invalid
from core.grants import Holder, HolderKind, Right
from core.models import AuditEvent, PromisedRight, User
from registry import commands as registry_commands
from registry.models import RegisteredModel
from tests.cast import ROOT, actor, person
from tracking.commands.experiments import create_experiment
from tracking.models import Experiment

pytestmark = pytest.mark.django_db


def user(name: str) -> Holder:
    return Holder(HolderKind.USER, name)


@pytest.fixture
def model(dana: User) -> RegisteredModel:
    return registry_commands.create_model(actor=actor(dana), name="m")


def may(who: User, model: RegisteredModel) -> list[str]:
    asked = (Permission.MODEL_READ, Permission.MODEL_WRITE, Permission.MODEL_MANAGE)
    return [p.value for p in asked if access.explain(actor(who), p, model).allowed]


def test_a_holder_has_one_right_and_it_is_the_last_that_was_given(model: RegisteredModel, mallory: User) -> None:
    for level, allowed in (("write", ["model:read", "model:write"]), ("manage", None), ("read", ["model:read"])):
        assert grants.give(model, user("mallory"), level, scope="model:1") is False
        assert allowed is None or may(mallory, model) == allowed
    assert grants.rights_on(model) == [
        Right(user("dana"), "manage", "Dana Example"),
        Right(user("mallory"), "read", "Mallory Example"),
    ]
    grants.take(model, user("mallory"))
    assert may(mallory, model) == []


def test_of_several_rights_the_strongest_is_told(model: RegisteredModel, mallory: User) -> None:
    access.grant(model, "model_manage", users=[mallory.pk])
    access.grant(model, "model_read", users=[mallory.pk])
    assert {right.holder.name: right.level for right in grants.rights_on(model)} == {"dana": "manage", "mallory": "manage"}


def test_a_promise_allows_nothing_until_there_is_an_account(model: RegisteredModel, dana: User) -> None:
    experiment = Experiment.objects.get(pk=create_experiment(actor=actor(dana), name="e"))
    for target, scope in ((model, f"model:{model.pk}"), (experiment, f"experiment:{experiment.pk}")):
        assert grants.give(target, user("new"), "write", scope=scope) is True
        assert grants.give(target, user("new"), "read", scope=scope) is True, "the last counts"
    assert PromisedRight.objects.count() == 2
    assert grants.rights_on(model)[-1] == Right(user("new"), "read", promised=True)
    assert grants.is_anybody([user("new")]) is False
    new = person("new")
    assert may(new, model) == ["model:read"]
    assert access.explain(actor(new), Permission.EXPERIMENT_READ, experiment).allowed
    assert not PromisedRight.objects.exists() and not grants.rights_on(model)[-1].promised
    kept = AuditEvent.objects.filter(action="access.granted", actor=ROOT.username, subject_id="new")
    assert set(kept.values_list("scope", flat=True)) == {f"model:{model.pk}", f"experiment:{experiment.pk}"}


def test_a_promise_that_was_taken_back_is_not_kept(model: RegisteredModel) -> None:
    grants.give(model, user("new"), "manage", scope="model:1")
    grants.take(model, user("new"))
    assert may(person("new"), model) == []


def test_only_people_with_an_account_are_anybody(dana: User) -> None:
    group = Holder(HolderKind.GROUP, "quants")
    assert not grants.is_anybody([user("ghost"), group, Holder(HolderKind.SERVICE, "dana")])
    person("quinn", groups=("quants",))
    assert grants.is_anybody([group])
    User.objects.filter(username__in=["quinn", "dana"]).update(is_active=False)
    assert not grants.is_anybody([group, user("dana")])


def test_a_name_of_another_kind_is_refused(model: RegisteredModel) -> None:
    for holder in (
        Holder(HolderKind.SERVICE, "dana"),
        Holder(HolderKind.GROUP, "system"),
        user(""),
        user("a\tb"),
        user("x" * 151),
    ):
        with pytest.raises(Invalid):
            grants.give(model, holder, "read", scope="model:1")
    assert len(grants.rights_on(model)) == 1
