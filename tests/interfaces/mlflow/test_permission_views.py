"""Databricks' permissions on registered models: its unmodified client against a live server, and what it would not send."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from databricks.sdk.errors import BadRequest, NotFound, PermissionDenied, ResourceConflict
from databricks.sdk.service.ml import (
    RegisteredModelAccessControlRequest,
    RegisteredModelPermissionLevel,
    RegisteredModelPermissions,
)
from django.conf import LazySettings

from core import commands as core_commands
from core.models import AuditEvent, User
from registry import commands as registry_commands
from registry.models import RegisteredModel
from tests.cast import ROOT, actor, person
from tests.interfaces.mlflow.conftest import Caller, Registry

Asked, Level = RegisteredModelAccessControlRequest, RegisteredModelPermissionLevel


@pytest.fixture(autouse=True)
def artifact_root(tmp_path: Path, settings: LazySettings) -> None:
    settings.ARTIFACT_ROOT = str(tmp_path / "artifacts")


@pytest.fixture
def model_id(dana: User) -> str:
    """The id of a model of Dana's."""
    return str(registry_commands.create_model(actor=actor(dana), name="m").pk)


def shown(found: RegisteredModelPermissions, *, inherited: bool = False) -> dict[str, list[str]]:
    """Return who has which rights, those that were granted or those that come from elsewhere."""
    rights: dict[str, list[str]] = {}
    for entry in found.access_control_list or []:
        name = str(entry.user_name or entry.group_name or entry.service_principal_name)
        levels = [
            p.permission_level.value for p in entry.all_permissions or [] if p.permission_level and bool(p.inherited) == inherited
        ]
        if levels:
            rights[name] = levels
    return rights


def test_a_script_of_databricks_reads_gives_and_takes_rights(
    registry: Registry, dana: User, ravi: User, mallory: User, model_id: str
) -> None:
    levels = registry(ravi).get_permission_levels(model_id).permission_levels or []
    assert [level.permission_level for level in levels] == [Level.CAN_READ, Level.CAN_EDIT, Level.CAN_MANAGE]
    assert all(level.description for level in levels)

    found = registry(dana).get_permissions(model_id)
    assert (found.object_id, found.object_type) == (f"/registered-models/{model_id}", "registered-model")
    assert shown(found) == {"dana": ["CAN_MANAGE"]}
    roles = ("auditor", "incident-responder", "platform-admin", "reviewer")
    assert shown(found, inherited=True) == {role: ["CAN_READ"] for role in roles}
    reviewer = next(entry for entry in found.access_control_list or [] if entry.group_name == "reviewer")
    assert [p.inherited_from_object for p in reviewer.all_permissions or []] == [["roles/reviewer"]]

    with pytest.raises(NotFound):
        registry(mallory).get_model("m")
    given = registry(dana).update_permissions(
        model_id, access_control_list=[Asked(user_name="mallory", permission_level=Level.CAN_EDIT)]
    )
    assert shown(given) == {"dana": ["CAN_MANAGE"], "mallory": ["CAN_EDIT"]}
    registry(mallory).update_model("m", description="mine too")
    replaced = registry(dana).set_permissions(
        model_id, access_control_list=[Asked(group_name="reviewer", permission_level=Level.CAN_EDIT)]
    )
    assert shown(replaced) == {"dana": ["CAN_MANAGE"], "reviewer": ["CAN_EDIT"]}, "one's own right stays"
    assert shown(replaced, inherited=True)["reviewer"] == ["CAN_READ"]
    with pytest.raises(NotFound):
        registry(mallory).get_model("m")
    registry(ravi).update_model("m", description="reviewers may edit now")


def test_each_change_is_on_record_and_a_list_that_is_refused_changes_nothing(
    registry: Registry, dana: User, mallory: User, model_id: str
) -> None:
    client = registry(dana)
    client.update_permissions(model_id, access_control_list=[Asked(user_name="mallory", permission_level=Level.CAN_READ)])
    client.update_permissions(model_id, access_control_list=[Asked(user_name="mallory", permission_level=Level.CAN_EDIT)])
    client.update_permissions(model_id, access_control_list=[Asked(user_name="mallory", permission_level=Level.CAN_EDIT)])
    with pytest.raises(BadRequest, match="who may decide on a stage is what the policy"):
        client.set_permissions(
            model_id,
            access_control_list=[
                Asked(user_name="mallory", permission_level=Level.CAN_MANAGE),
                Asked(user_name="ravi", permission_level=Level.CAN_MANAGE_PRODUCTION_VERSIONS),
            ],
        )
    client.set_permissions(model_id)
    rows = AuditEvent.objects.filter(action__startswith="access.", scope=f"model:{model_id}").order_by("id")
    events = [json.loads(row.body) for row in rows]
    mallory_has = {"to": "user:mallory", "level": "read"}
    assert [(e["action"], e["actor"]["name"], e.get("before"), e.get("after")) for e in events] == [
        ("access.granted", "dana", None, {**mallory_has, "promised": False}),
        ("access.granted", "dana", mallory_has, {"to": "user:mallory", "level": "write", "promised": False}),
        ("access.revoked", "dana", {"to": "user:mallory", "level": "write"}, None),
    ]


def test_who_may_not_manage_is_refused_and_who_may_not_see_finds_nothing(
    registry: Registry, dana: User, ravi: User, aude: User, pat: User, mallory: User, model_id: str
) -> None:
    wanted = [Asked(user_name="mallory", permission_level=Level.CAN_MANAGE)]
    for user, refusal in ((ravi, PermissionDenied), (mallory, NotFound)):
        client = registry(user)
        for call in (client.set_permissions, client.update_permissions):
            with pytest.raises(refusal):
                call(model_id, access_control_list=wanted)
        with pytest.raises(refusal):
            client.get_permissions(model_id)
    with pytest.raises(NotFound):
        registry(mallory).get_permission_levels(model_id)
    assert shown(registry(aude).get_permissions(model_id)) == {"dana": ["CAN_MANAGE"]}, "who audits may read"
    with pytest.raises(PermissionDenied):
        registry(aude).update_permissions(model_id, access_control_list=wanted)
    assert shown(registry(pat).update_permissions(model_id, access_control_list=wanted)) == {
        "dana": ["CAN_MANAGE"],
        "mallory": ["CAN_MANAGE"],
    }, "who manages accounts may"
    for unknown in ("7777", "none", "9" * 30):
        with pytest.raises(NotFound):
            registry(pat).get_permissions(unknown)


def test_nobody_removes_the_last_who_manages(registry: Registry, dana: User, pat: User, mallory: User, model_id: str) -> None:
    def only(name: str, level: Level) -> list[Asked]:
        return [Asked(user_name=name, permission_level=level)]

    with pytest.raises(ResourceConflict, match="Your own right"):
        registry(dana).update_permissions(model_id, access_control_list=only("dana", Level.CAN_READ))
    with pytest.raises(ResourceConflict, match="Your own right"):
        registry(dana).set_permissions(model_id, access_control_list=only("dana", Level.CAN_READ))
    with pytest.raises(ResourceConflict, match="Nobody who has an account"):
        registry(pat).set_permissions(model_id, access_control_list=only("mallory", Level.CAN_EDIT))
    for nobody in (
        Asked(user_name="ghost@example.com", permission_level=Level.CAN_MANAGE),
        Asked(group_name="empty", permission_level=Level.CAN_MANAGE),
    ):
        with pytest.raises(ResourceConflict, match="Nobody who has an account"):
            registry(pat).set_permissions(model_id, access_control_list=[nobody])
    assert shown(registry(dana).get_permissions(model_id)) == {"dana": ["CAN_MANAGE"]}
    assert shown(registry(pat).set_permissions(model_id, access_control_list=only("mallory", Level.CAN_MANAGE))) == {
        "mallory": ["CAN_MANAGE"]
    }, "another manager is there"
    with pytest.raises(NotFound):
        registry(dana).get_model("m")


def test_a_right_is_promised_to_a_name_that_has_no_account_yet(registry: Registry, dana: User, model_id: str) -> None:
    wanted = [
        Asked(user_name="someone@example.com", permission_level=Level.CAN_EDIT),
        Asked(group_name="quants", permission_level=Level.CAN_READ),
        Asked(service_principal_name="ci-bot", permission_level=Level.CAN_READ),
    ]
    promised = {"ci-bot": ["CAN_READ"], "quants": ["CAN_READ"], "someone@example.com": ["CAN_EDIT"], "dana": ["CAN_MANAGE"]}
    assert shown(registry(dana).set_permissions(model_id, access_control_list=wanted)) == promised
    someone = person("someone@example.com", groups=("quants",))
    impostor = person("ci-bot")  # a person, and not the service account that was meant
    bot = core_commands.ensure_user(actor=ROOT, username="ci-bot2", service_of="dana")
    quant = person("quinn", groups=("quants",))
    registry(someone).update_model("m", description="as was promised")
    assert registry(quant).get_model("m").registered_model_databricks is not None
    for nobody in (impostor, bot):
        with pytest.raises(NotFound):
            registry(nobody).get_model("m")
    assert shown(registry(dana).get_permissions(model_id)) == promised
    kept = AuditEvent.objects.filter(action="access.granted", actor=ROOT.username, scope=f"model:{model_id}")
    assert sorted(kept.values_list("subject_type", "subject_id")) == [("group", "quants"), ("user", "someone@example.com")]


@pytest.mark.django_db
def test_the_owner_team_keeps_what_it_has_as_such(dana: User, mallory: User) -> None:
    person("tess", groups=("credit",))
    model = registry_commands.create_model(actor=actor(dana), name="owned", owner_team="credit")
    caller = Permissions(dana, model)
    (team,) = [entry for entry in caller.put() if entry.get("group_name") == "credit"]
    assert team["all_permissions"] == [
        {"permission_level": "CAN_EDIT", "inherited": True, "inherited_from_object": ["owner-team"]}
    ]
    refused = caller.refused("PATCH", [{"group_name": "credit", "permission_level": "CAN_READ"}])
    assert refused == (409, "RESOURCE_CONFLICT")
    caller.put({"group_name": "credit", "permission_level": "CAN_MANAGE"})
    (team,) = [entry for entry in caller.put() if entry.get("group_name") == "credit"]
    assert team["all_permissions"][0]["permission_level"] == "CAN_EDIT", "less than write it never has"


@pytest.mark.django_db
def test_who_gives_away_their_teams_right_is_answered_with_what_stands_now(dana: User, ravi: User) -> None:
    tess = person("tess", "data-scientist", groups=("credit",))
    model = registry_commands.create_model(actor=actor(dana), name="m")
    Permissions(dana, model).put({"group_name": "credit", "permission_level": "CAN_MANAGE"})
    entries = Permissions(tess, model).put({"user_name": "ravi", "permission_level": "CAN_MANAGE"})
    assert [entry["user_name"] for entry in entries if "user_name" in entry] == ["ravi"]
    assert Permissions(tess, model).refused("PUT", []) == (404, "RESOURCE_DOES_NOT_EXIST")


class Permissions:
    """Someone who writes the protocol by hand."""

    def __init__(self, user: User, model: RegisteredModel) -> None:
        self.caller, self.address = Caller(user), f"/api/2.0/permissions/registered-models/{model.pk}"

    def put(self, *entries: dict[str, str]) -> list[dict[str, Any]]:
        return list(self.caller.ok("PUT", self.address, access_control_list=list(entries))["access_control_list"])

    def refused(self, method: str, entries: Any) -> tuple[int, str]:
        return self.caller.refused(method, self.address, access_control_list=entries)


@pytest.mark.django_db
@pytest.mark.parametrize(
    "entries",
    [
        "all",
        [{"permission_level": "CAN_READ"}],
        [{"user_name": "ravi"}],
        [{"user_name": "ravi", "group_name": "g", "permission_level": "CAN_READ"}],
        [{"user_name": "ravi", "permission_level": "CAN_DO"}],
        [{"user_name": "ravi", "permission_level": "CAN_MANAGE_STAGING_VERSIONS"}],
        [{"user_name": "ravi", "permission_level": "CAN_READ"}, {"user_name": "ravi", "permission_level": "CAN_EDIT"}],
        [{"service_principal_name": "ravi", "permission_level": "CAN_READ"}],
        [{"user_name": "x" * 151, "permission_level": "CAN_READ"}],
        [{"user_name": "a\nb", "permission_level": "CAN_READ"}],
        [{"group_name": "system", "permission_level": "CAN_READ"}],
        [{"user_name": f"u{i}", "permission_level": "CAN_READ"} for i in range(201)],
    ],
)
def test_what_makes_no_sense_is_refused_and_changes_nothing(dana: User, ravi: User, model_id: str, entries: Any) -> None:
    caller = Permissions(dana, RegisteredModel.objects.get(pk=model_id))
    for method in ("PUT", "PATCH"):
        assert caller.refused(method, entries) == (400, "INVALID_PARAMETER_VALUE")
    assert not AuditEvent.objects.filter(action__in=["access.granted", "access.revoked"]).exists()
