"""The workspace registry of Databricks: its unmodified client against a live server, and what no client of it would send."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import time_machine
from databricks.sdk.errors import BadRequest, NotFound, PermissionDenied, ResourceConflict
from databricks.sdk.service.ml import ActivityAction, ActivityType, CommentActivityAction
from django.conf import LazySettings
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from core.access import grant
from core.models import AuditEvent, User
from governance.commands.policies import bind_policy, publish_policy
from registry import commands as registry_commands
from registry.models import ModelVersion, RegisteredModel, StageTransition
from tests.cast import actor, person
from tests.interfaces.mlflow.conftest import Caller, Registry
from tests.workflows.conftest import POLICY, World, build
from workflows.commands import execution
from workflows.commands import reviews as review_commands
from workflows.models import OPEN_STATES, PromotionRequest, Review

ON_DEMAND = """\
kind: Policy
name: on-demand
requirements: [{id: kept, title: Kept, how_to_satisfy: Keep it., satisfied_if: version.digest != ""}]
steps: [{name: review, title: Review, factors: [{group: reviewer, count: 1}]}]
release: {execute: on_demand}
"""
REQUESTS, COMMENTS = "transition-requests/", "comments/"


@pytest.fixture(autouse=True)
def artifact_root(tmp_path: Path, settings: LazySettings) -> None:
    settings.ARTIFACT_ROOT = str(tmp_path / "artifacts")


@pytest.fixture
def world(dana: User, pat: User) -> World:
    """A model of Dana's under a policy that asks two reviewers for Production, and another one under none."""
    made = build(dana, pat)
    registry_commands.create_model(actor=actor(dana), name="free")
    return made


def stage_of(version: ModelVersion) -> str:
    return str(version.stage_assignments.get(valid_to__isnull=True).stage_id)


def place(version: ModelVersion) -> dict[str, str]:
    return {"name": version.model.name, "version": str(version.number)}


# --- the unmodified client -------------------------------------------------------------------------------------------------


def test_a_request_is_listed_approved_and_carried_out_in_one_call(
    registry: Registry, dana: User, ravi: User, pat: User, world: World
) -> None:
    version = world.version(model="free")
    asked = registry(dana).create_transition_request("free", "1", "production", comment="please").request
    assert asked is not None
    assert (asked.to_stage, asked.comment, asked.user_id) == ("Production", "please", "dana")
    assert asked.available_actions == [ActivityAction.CANCEL_TRANSITION_REQUEST]
    (listed,) = registry(ravi).list_transition_requests("free", "1")
    assert (listed.activity_type, listed.from_stage, listed.to_stage) == (ActivityType.REQUESTED_TRANSITION, "None", "Production")
    assert (listed.comment, listed.user_id) == ("please", "dana")
    activity = registry(ravi).approve_transition_request("free", "1", "Production", False, comment="fine").activity
    assert activity is not None
    assert (activity.activity_type, activity.user_id, activity.comment) == (ActivityType.APPROVED_REQUEST, "ravi", "fine")
    assert (activity.from_stage, activity.to_stage) == ("None", "Production")
    assert "version 1 holds Production" in str(activity.system_comment)
    assert stage_of(version) == "Production"
    assert list(registry(ravi).list_transition_requests("free", "1")) == []
    assert list(Review.objects.values_list("reviewer__username", "verdict", "comment")) == [("ravi", "approve", "fine")]
    executed = AuditEvent.objects.get(action="promotion.executed")
    assert executed.actor == "countersign", "the worker's step, in the approver's call"


def test_an_approval_that_is_not_enough_is_recorded_and_says_what_is_missing(
    registry: Registry, dana: User, ravi: User, rosa: User, pat: User, world: World
) -> None:
    request = world.in_review(reason="Better.")
    name, number = request.model.name, str(request.version.number)
    first = registry(ravi).approve_transition_request(name, number, "Production", True).activity
    assert first is not None and first.activity_type is ActivityType.APPROVED_REQUEST
    assert "not moved yet" in str(first.system_comment)
    assert "Review: 2 of reviewer (1 more of 2 must approve)" in str(first.system_comment)
    assert stage_of(request.version) == "None"
    assert len(list(registry(dana).list_transition_requests(name, number))) == 1
    second = registry(rosa).approve_transition_request(name, number, "Production", True).activity
    assert second is not None and "was carried out" in str(second.system_comment)
    assert stage_of(request.version) == "Production"


def test_nobody_approves_their_own_request_and_the_refusal_names_the_rule(
    registry: Registry, dana: User, pat: User, world: World
) -> None:
    version = world.version(model="free")
    registry(dana).create_transition_request("free", "1", "Staging")
    with pytest.raises(PermissionDenied, match="you asked for this promotion"):
        registry(dana).approve_transition_request("free", "1", "Staging", False)
    assert stage_of(version) == "None"
    assert not Review.objects.exists()
    assert AuditEvent.objects.get(action="access.refused").actor == "dana"


def test_a_guarded_stage_is_not_moved_to_and_the_refusal_names_policy_and_requirements(
    registry: Registry, dana: User, pat: User, world: World
) -> None:
    version = world.version()
    with pytest.raises(PermissionDenied, match=r"policy credit v1.*ROC AUC"):
        registry(dana).transition_stage("credit.risk", "1", "Production", False, comment="quick")
    assert stage_of(version) == "None"
    assert not AuditEvent.objects.filter(action="thread.opened").exists(), "the comment is not kept without the move"
    moved = registry(dana).transition_stage("credit.risk", "1", "Staging", False, comment="trying").model_version_databricks
    assert moved is not None
    assert (moved.current_stage, moved.version, moved.user_id) == ("Staging", "1", "dana")
    assert moved.permission_level is not None and moved.permission_level.value == "CAN_MANAGE"
    assert version.threads.get().comments.get().text == "trying"


def test_a_request_is_rejected_or_taken_back_and_the_version_stays(
    registry: Registry, dana: User, ravi: User, pat: User, world: World
) -> None:
    version = world.version(model="free")
    registry(dana).create_transition_request("free", "1", "Staging")
    with pytest.raises(BadRequest, match="Say why"):
        registry(ravi).reject_transition_request("free", "1", "Staging")
    rejected = registry(ravi).reject_transition_request("free", "1", "Staging", comment="no").activity
    assert rejected is not None
    assert (rejected.activity_type, rejected.comment, rejected.user_id) == (ActivityType.REJECTED_REQUEST, "no", "ravi")
    with pytest.raises(NotFound):
        registry(ravi).approve_transition_request("free", "1", "Staging", False)
    registry(dana).create_transition_request("free", "1", "Staging")
    with pytest.raises(NotFound):
        registry(dana).delete_transition_request("free", "1", "Staging", creator="ravi")
    gone = registry(dana).delete_transition_request("free", "1", "Staging", creator="dana", comment="later").activity
    assert gone is not None
    assert (gone.activity_type, gone.comment, gone.user_id) == (ActivityType.CANCELLED_REQUEST, "later", "dana")
    assert list(PromotionRequest.objects.order_by("pk").values_list("state", flat=True)) == ["rejected", "withdrawn"]
    assert stage_of(version) == "None"


def test_a_comment_is_written_changed_and_deleted_by_its_author_alone(
    registry: Registry, dana: User, ravi: User, pat: User, world: World
) -> None:
    world.version(model="free")
    made = registry(ravi).create_comment("free", "1", "first words").comment
    assert made is not None and made.id is not None
    assert (made.comment, made.user_id) == ("first words", "ravi")
    assert made.available_actions == [CommentActivityAction.EDIT_COMMENT, CommentActivityAction.DELETE_COMMENT]
    with pytest.raises(PermissionDenied):
        registry(dana).update_comment(made.id, "mine")
    changed = registry(ravi).update_comment(made.id, "better words").comment
    assert changed is not None
    assert (changed.id, changed.comment, changed.creation_timestamp) == (made.id, "better words", made.creation_timestamp)
    assert int(changed.last_updated_timestamp or 0) >= int(made.creation_timestamp or 0)
    registry(ravi).delete_comment(made.id)
    with pytest.raises(NotFound):
        registry(ravi).update_comment(made.id, "again")


def test_models_are_listed_and_shown_with_the_callers_right(
    registry: Registry, dana: User, ravi: User, pat: User, mallory: User, world: World
) -> None:
    assert [model.name for model in registry(ravi).list_models(max_results=1)] == ["credit.risk", "free"]
    assert list(registry(mallory).list_models()) == []
    model = RegisteredModel.objects.get(name="free")
    grant(model, "model_write", users=[mallory.pk])
    for user, level in ((dana, "CAN_MANAGE"), (mallory, "CAN_EDIT"), (ravi, "CAN_READ")):
        shown = registry(user).get_model("free").registered_model_databricks
        assert shown is not None and shown.permission_level is not None
        assert (shown.id, shown.user_id, shown.permission_level.value) == (str(model.pk), "dana", level)
    with pytest.raises(NotFound):
        registry(mallory).get_model("credit.risk")


def test_a_version_that_lies_elsewhere_is_agreed_to_by_its_address_where_no_policy_guards(
    registry: Registry, dana: User, ravi: User, pat: User, world: World
) -> None:
    for model in ("free", "credit.risk"):
        registry(dana).create_model_version(model, "s3://bucket/model")
    registry(dana).create_transition_request("free", "1", "Production", comment="as ever")
    (listed,) = registry(dana).list_transition_requests("free", "1")
    assert "what is approved is the address" in str(listed.system_comment)
    activity = registry(ravi).approve_transition_request("free", "1", "Production", False).activity
    assert activity is not None and "was carried out" in str(activity.system_comment)
    with pytest.raises(ResourceConflict, match=r"s3://bucket/model.*Production is guarded by credit"):
        registry(dana).create_transition_request("credit.risk", "1", "Production")


# --- the protocol ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "fields", "answer"),
    [
        ("POST", REQUESTS + "create", {"stage": "Limbo"}, (400, "INVALID_PARAMETER_VALUE")),
        ("POST", REQUESTS + "create", {}, (400, "INVALID_PARAMETER_VALUE")),
        ("POST", REQUESTS + "create", {"stage": "Staging", "version": "one"}, (400, "INVALID_PARAMETER_VALUE")),
        ("POST", REQUESTS + "create", {"stage": "Staging", "version": "7"}, (404, "RESOURCE_DOES_NOT_EXIST")),
        ("POST", REQUESTS + "create", {"stage": "Staging", "name": "ghost"}, (404, "RESOURCE_DOES_NOT_EXIST")),
        ("POST", REQUESTS + "create", {"stage": "Staging", "comment": "x" * 10_001}, (400, "INVALID_PARAMETER_VALUE")),
        ("POST", REQUESTS + "create", {"stage": "None"}, (409, "RESOURCE_CONFLICT")),
        ("GET", REQUESTS + "list", {"version": "7"}, (404, "RESOURCE_DOES_NOT_EXIST")),
        ("GET", REQUESTS + "list", {"name": "ghost"}, (404, "RESOURCE_DOES_NOT_EXIST")),
        ("POST", REQUESTS + "approve", {"stage": "Staging"}, (400, "INVALID_PARAMETER_VALUE")),
        (
            "POST",
            REQUESTS + "approve",
            {"stage": "Staging", "archive_existing_versions": False},
            (404, "RESOURCE_DOES_NOT_EXIST"),
        ),
        ("POST", REQUESTS + "reject", {"stage": "Staging", "comment": "no"}, (404, "RESOURCE_DOES_NOT_EXIST")),
        ("POST", REQUESTS + "reject", {"stage": "Limbo", "comment": "no"}, (400, "INVALID_PARAMETER_VALUE")),
        ("DELETE", REQUESTS + "delete", {"stage": "Staging", "creator": "dana"}, (404, "RESOURCE_DOES_NOT_EXIST")),
        ("DELETE", REQUESTS + "delete", {"stage": "Staging"}, (400, "INVALID_PARAMETER_VALUE")),
        ("POST", COMMENTS + "create", {"comment": " "}, (400, "INVALID_PARAMETER_VALUE")),
        ("POST", COMMENTS + "create", {"comment": "x", "version": "7"}, (404, "RESOURCE_DOES_NOT_EXIST")),
        ("PATCH", COMMENTS + "update", {"id": "7", "comment": "x"}, (404, "RESOURCE_DOES_NOT_EXIST")),
        ("PATCH", COMMENTS + "update", {"id": "none", "comment": "x"}, (404, "RESOURCE_DOES_NOT_EXIST")),
        ("DELETE", COMMENTS + "delete", {"id": "9" * 30}, (404, "RESOURCE_DOES_NOT_EXIST")),
        ("POST", "databricks/model-versions/transition-stage", {"stage": "Staging"}, (400, "INVALID_PARAMETER_VALUE")),
        (
            "POST",
            "databricks/model-versions/transition-stage",
            {"stage": "Archived", "archive_existing_versions": True},
            (400, "INVALID_PARAMETER_VALUE"),
        ),
        ("GET", "databricks/registered-models/get", {"name": "ghost"}, (404, "RESOURCE_DOES_NOT_EXIST")),
        ("GET", "registered-models/list", {"max_results": -1}, (400, "INVALID_PARAMETER_VALUE")),
    ],
)
def test_a_refusal_has_the_protocols_code_and_changes_nothing(
    world: World, dana: User, method: str, path: str, fields: dict[str, Any], answer: tuple[int, str]
) -> None:
    world.version(model="free")
    assert Caller(dana).refused(method, path, **{"name": "free", "version": "1", **fields}) == answer
    assert not PromotionRequest.objects.exists()


def test_an_outsider_is_told_of_nothing(world: World, dana: User, mallory: User) -> None:
    version = world.version(model="free")
    Caller(dana).ok("POST", REQUESTS + "create", **place(version), stage="Staging")
    comment = Caller(dana).ok("POST", COMMENTS + "create", **place(version), comment="secret")["comment"]
    stranger = Caller(mallory)
    for method, path, fields in (
        ("POST", REQUESTS + "create", {"stage": "Production"}),
        ("GET", REQUESTS + "list", {}),
        ("POST", REQUESTS + "approve", {"stage": "Staging", "archive_existing_versions": False}),
        ("POST", REQUESTS + "reject", {"stage": "Staging", "comment": "no"}),
        ("DELETE", REQUESTS + "delete", {"stage": "Staging", "creator": "dana"}),
        ("POST", COMMENTS + "create", {"comment": "x"}),
        ("PATCH", COMMENTS + "update", {"id": comment["id"], "comment": "x"}),
        ("DELETE", COMMENTS + "delete", {"id": comment["id"]}),
        ("POST", "databricks/model-versions/transition-stage", {"stage": "Staging", "archive_existing_versions": False}),
        ("GET", "databricks/registered-models/get", {}),
    ):
        assert stranger.refused(method, path, **place(version), **fields) == (404, "RESOURCE_DOES_NOT_EXIST"), path
    assert list(PromotionRequest.objects.values_list("state", flat=True)) == ["checking"]


def test_ids_are_texts_and_times_numbers(world: World, dana: User, ravi: User) -> None:
    version = world.version(model="free")
    before = int(timezone.now().timestamp() * 1000)
    asked = Caller(dana).ok("POST", REQUESTS + "create", **place(version), stage="Staging")["request"]
    assert "comment" not in asked, "none was given"
    assert before <= asked["creation_timestamp"] <= before + 60_000
    (listed,) = Caller(dana).ok("GET", REQUESTS + "list", **place(version))["requests"]
    assert "comment" not in listed
    assert listed["id"] == f"request-{PromotionRequest.objects.get().pk}"
    given = Caller(ravi).ok("POST", REQUESTS + "approve", **place(version), stage="staging", archive_existing_versions=False)
    assert given["activity"]["id"] == f"review-{Review.objects.get().pk}"
    assert type(given["activity"]["creation_timestamp"]) is int
    assert Caller(dana).ok("GET", REQUESTS + "list", **place(version)) == {}
    comment = Caller(dana).ok("POST", COMMENTS + "create", **place(version), comment="x")["comment"]
    assert type(comment["id"]) is str and comment["last_updated_timestamp"] == comment["creation_timestamp"]


def test_available_actions_are_those_that_would_be_accepted(
    world: World, dana: User, ravi: User, rosa: User, aude: User, pat: User
) -> None:
    request = world.in_review()
    where = place(request.version)

    def actions(user: User) -> list[str]:
        (listed,) = Caller(user).ok("GET", REQUESTS + "list", **where)["requests"]
        return list(listed.get("available_actions", []))

    decide = ["APPROVE_TRANSITION_REQUEST", "REJECT_TRANSITION_REQUEST"]
    assert {user.username: actions(user) for user in (dana, ravi, aude)} == {
        "dana": ["CANCEL_TRANSITION_REQUEST"],
        "ravi": decide,
        "aude": [],
    }
    # Rosa may review and manages the model, but it was she who registered this version.
    ModelVersion.objects.filter(pk=request.version_id).update(created_by=rosa)
    grant(request.model, "model_manage", users=[rosa.pk])
    assert actions(rosa) == ["CANCEL_TRANSITION_REQUEST"]
    assert Caller(rosa).refused("POST", REQUESTS + "approve", **where, stage="Production", archive_existing_versions=True) == (
        403,
        "PERMISSION_DENIED",
    )
    Caller(rosa).ok("DELETE", REQUESTS + "delete", **where, stage="Production", creator="dana")


def test_while_checks_run_nobody_is_offered_a_decision_and_none_is_taken(world: World, ravi: User) -> None:
    request = world.ask(world.version())
    (listed,) = Caller(ravi).ok("GET", REQUESTS + "list", **place(request.version))["requests"]
    assert "available_actions" not in listed
    status, body = Caller(ravi)(
        "POST", REQUESTS + "approve", **place(request.version), stage="Production", archive_existing_versions=True
    )
    assert (status, body["error_code"]) == (409, "RESOURCE_CONFLICT")
    assert "checks" in body["message"]
    assert not Review.objects.exists()


def test_a_move_and_its_comment_are_kept_together_or_not_at_all(world: World, dana: User) -> None:
    version = world.version(model="free")
    move = {**place(version), "stage": "Staging", "archive_existing_versions": False}
    path = "databricks/model-versions/transition-stage"
    crowd = " ".join(f"@somebody{i}" for i in range(30))
    assert Caller(dana).refused("POST", path, **move, comment=crowd) == (400, "INVALID_PARAMETER_VALUE")
    assert stage_of(version) == "None"
    Caller(dana).ok("POST", path, **move, comment=" ")
    assert (stage_of(version), version.threads.count()) == ("Staging", 0)


def test_a_re_review_moves_nothing_and_is_no_transition(world: World, dana: User, ravi: User) -> None:
    version = world.version(model="free")
    Caller(dana).ok("POST", "model-versions/transition-stage", **place(version), stage="Staging")
    asked = world.ask(version, target="Staging", kind="re_review")
    assert Caller(ravi).ok("GET", REQUESTS + "list", **place(version)) == {}
    assert Caller(ravi).refused(
        "POST", REQUESTS + "approve", **place(version), stage="Staging", archive_existing_versions=False
    ) == (404, "RESOURCE_DOES_NOT_EXIST")
    asked.refresh_from_db()
    assert asked.state == "checking"


def test_an_approval_cannot_change_what_happens_to_the_version_in_the_stage(world: World, dana: User, ravi: User) -> None:
    old, new = world.version(model="free"), world.version(model="free")
    Caller(dana).ok("POST", "model-versions/transition-stage", **place(old), stage="Production")
    Caller(dana).ok("POST", REQUESTS + "create", **place(new), stage="Production")
    approve = {**place(new), "stage": "Production"}
    status, body = Caller(ravi)("POST", REQUESTS + "approve", **approve, archive_existing_versions=False)
    assert (status, body["error_code"]) == (409, "RESOURCE_CONFLICT")
    assert "archive_existing_versions true" in body["message"]
    assert not Review.objects.exists()
    Caller(ravi).ok("POST", REQUESTS + "approve", **approve, archive_existing_versions=True)
    assert (stage_of(old), stage_of(new)) == ("Archived", "Production")


def test_a_request_to_archive_leaves_the_other_versions_where_they_are(world: World, dana: User, ravi: User) -> None:
    gone, bad = world.version(model="free"), world.version(model="free")
    Caller(dana).ok("POST", "model-versions/transition-stage", **place(gone), stage="Archived")
    Caller(dana).ok("POST", REQUESTS + "create", **place(bad), stage="archived")
    since = gone.stage_assignments.get(valid_to__isnull=True).valid_from
    approve = {**place(bad), "stage": "Archived"}
    assert Caller(ravi).refused("POST", REQUESTS + "approve", **approve, archive_existing_versions=True) == (
        400,
        "INVALID_PARAMETER_VALUE",
    )
    Caller(ravi).ok("POST", REQUESTS + "approve", **approve, archive_existing_versions=False)
    assert stage_of(bad) == "Archived"
    assert gone.stage_assignments.get(valid_to__isnull=True).valid_from == since


def test_a_request_that_is_held_is_approved_and_says_what_it_waits_for(world: World, dana: User, ravi: User, pat: User) -> None:
    publish_policy(actor=actor(pat), document=ON_DEMAND)
    bind_policy(
        actor=actor(pat),
        document="kind: Binding\nname: on-demand\npolicy: on-demand\nmatch: {models: [free]}\ntargets: {stages: [Production]}\n",
    )
    version = world.version(model="free")
    Caller(dana).ok("POST", REQUESTS + "create", **place(version), stage="Production")
    approve = {**place(version), "stage": "Production", "archive_existing_versions": True}
    activity = Caller(ravi).ok("POST", REQUESTS + "approve", **approve)["activity"]
    assert "not moved yet" in activity["system_comment"]
    assert "waits for somebody to carry it out" in activity["system_comment"]
    assert stage_of(version) == "None"
    (listed,) = Caller(ravi).ok("GET", REQUESTS + "list", **place(version))["requests"]
    assert "approved: waits for somebody" in listed["system_comment"]


def test_an_approval_whose_execution_fails_is_not_told_as_a_move(world: World, dana: User, ravi: User) -> None:
    version = world.version(model="free")
    Caller(dana).ok("POST", REQUESTS + "create", **place(version), stage="Production")
    StageTransition.objects.filter(from_stage_id="None", to_stage_id="Production").delete()
    activity = Caller(ravi).ok(
        "POST", REQUESTS + "approve", **place(version), stage="Production", archive_existing_versions=False
    )["activity"]
    assert "not moved" in activity["system_comment"] and "no step from None to Production" in activity["system_comment"]
    assert (stage_of(version), PromotionRequest.objects.get().state) == ("None", "failed")


def test_an_approval_that_a_worker_carries_out_first_still_tells_the_truth(
    world: World, dana: User, ravi: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = world.version(model="free")
    Caller(dana).ok("POST", REQUESTS + "create", **place(version), stage="Staging")
    carry_out = execution.execute_request

    def after_a_worker(**options: Any) -> PromotionRequest:
        carry_out(**options)
        return carry_out(**options)

    monkeypatch.setattr(execution, "execute_request", after_a_worker)
    activity = Caller(ravi).ok("POST", REQUESTS + "approve", **place(version), stage="Staging", archive_existing_versions=False)[
        "activity"
    ]
    assert "was carried out" in activity["system_comment"]
    assert AuditEvent.objects.filter(action="promotion.executed").count() == 1


def test_where_the_policy_asks_for_a_signature_the_refusal_says_where_to_sign(
    world: World, dana: User, ravi: User, pat: User
) -> None:
    publish_policy(actor=actor(pat), document=POLICY + "signature: {meanings: [approval]}\n")
    request = world.in_review()
    status, body = Caller(ravi)(
        "POST", REQUESTS + "approve", **place(request.version), stage="Production", archive_existing_versions=True
    )
    assert (status, body["error_code"]) == (403, "PERMISSION_DENIED")
    assert f"/requests/{request.pk}/" in body["message"]
    assert not Review.objects.exists()


def test_a_comment_is_not_changed_after_a_day(world: World, dana: User) -> None:
    version = world.version(model="free")
    made = Caller(dana).ok("POST", COMMENTS + "create", **place(version), comment="x")["comment"]
    with time_machine.travel(timezone.now() + timedelta(hours=25), tick=True):
        assert Caller(dana).refused("PATCH", COMMENTS + "update", id=made["id"], comment="y") == (409, "RESOURCE_CONFLICT")


def test_what_databricks_deletes_may_come_in_the_body_or_in_the_query_string_of_any_client(world: World, dana: User) -> None:
    version = world.version(model="free")
    caller = Caller(dana)
    ids = [caller.ok("POST", COMMENTS + "create", **place(version), comment="x")["comment"]["id"] for _ in range(2)]
    caller.ok("DELETE", COMMENTS + "delete", id=ids[0])
    address = f"/api/2.0/mlflow/{COMMENTS}delete?id={ids[1]}"
    assert caller.client.delete(address, **caller.headers).json() == {}
    assert caller.client.delete(address, **caller.headers).status_code == 404


@pytest.mark.parametrize(
    ("method", "path", "fields", "most"),
    [
        ("GET", "registered-models/list", {}, 2),
        ("GET", "databricks/registered-models/get", {}, 5),
        ("GET", REQUESTS + "list", {}, 40),
        ("POST", COMMENTS + "create", {"comment": "x"}, 15),
        ("POST", "databricks/model-versions/transition-stage", {"stage": "Staging", "archive_existing_versions": False}, 40),
        ("POST", REQUESTS + "create", {"stage": "Staging", "comment": "y"}, 40),
        ("POST", REQUESTS + "approve", {"stage": "Production", "archive_existing_versions": True}, 100),
        ("POST", REQUESTS + "reject", {"stage": "Production", "comment": "no"}, 60),
        ("DELETE", REQUESTS + "delete", {"stage": "Production", "creator": "dana"}, 20),
    ],
)
def test_a_call_takes_as_many_statements_however_much_there_is(
    world: World, method: str, path: str, fields: dict[str, Any], most: int
) -> None:
    """Each time on another version, with more models, versions, requests and reviews about than before."""
    callers = [person(f"caller{i}", "reviewer", "data-scientist") for i in range(3)]
    grant(RegisteredModel.objects.get(name="credit.risk"), "model_manage", users=[user.pk for user in callers])
    counts = []
    for i, user in enumerate(callers):
        for n in range(i * 3):
            registry_commands.create_model(actor=actor(world.dana), name=f"other.{i}.{n}")
        request = world.in_review()
        for n in range(i * 3):
            abstaining = person(f"abstaining{i}.{n}", "reviewer")
            review_commands.submit_review(actor=actor(abstaining), request_id=request.pk, verdict="abstain")
        caller = Caller(user)
        where = place(request.version)
        with CaptureQueriesContext(connection) as statements:
            caller.ok(method, path, **where, **fields)
        counts.append(len(statements))
        PromotionRequest.objects.filter(state__in=OPEN_STATES).update(state="withdrawn")
    assert counts[1] >= counts[2], counts  # the first reads what is read once in a process
    assert counts[2] <= most, counts
