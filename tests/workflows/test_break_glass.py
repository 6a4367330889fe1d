"""Emergencies: who may, what stands where during and after them, and what happens when others act at the same time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from core import commands as core_commands
from core.access import SYSTEM, grant
from core.errors import Blocked, Conflict, Denied, Invalid, NotFound
from core.models import AuditEvent, Job, JobState, User
from governance.commands.policies import end_binding
from governance.models import Decision
from registry.models import AliasAssignment, ModelVersion, RegisteredModel, StageAssignment, StageTransition
from tests.cast import ROOT, actor, person
from tests.workflows.conftest import build
from tests.workflows.test_races import at_once
from workflows import lifecycle, tasks
from workflows.assessment import recompute
from workflows.commands import break_glass, calendar, catalog, execution
from workflows.commands import reviews as review_commands
from workflows.emergencies import displaced_by, in_force
from workflows.models import BreakGlass, Notification, PromotionRequest
from workflows.queries import operations

pytestmark = pytest.mark.django_db


@pytest.fixture
def ines(db: None) -> User:
    """On call."""
    return person("ines", "incident-responder")


@pytest.fixture
def ivo(db: None) -> User:
    """On call as well."""
    return person("ivo", "incident-responder")


def ask(user: User, version: ModelVersion, **changes: Any) -> BreakGlass:
    given = {
        "target": "Production",
        "reason": "Every credit is refused since ten o'clock.",
        "incident": "INC-7",
        "minutes": 60,
        **changes,
    }
    return break_glass.request_break_glass(actor=actor(user), model_name=version.model.name, version=version.number, **given)


def confirm(user: User, row: BreakGlass) -> BreakGlass:
    return break_glass.confirm_break_glass(actor=actor(user), break_glass_id=row.pk)


def revert(who: Any, row: BreakGlass) -> BreakGlass:
    return break_glass.revert_break_glass(actor=who, break_glass_id=row.pk)


def approve(request: PromotionRequest) -> PromotionRequest:
    for name in ("ravi", "rosa"):
        user = User.objects.filter(username=name).first() or person(name, "reviewer")
        review_commands.submit_review(actor=actor(user), request_id=request.pk, verdict="approve")
    return request


def promoted(world: Any, version: ModelVersion | None = None, **options: Any) -> PromotionRequest:
    """Carry a version to its target in the ordinary way."""
    request = world.ask(version or world.version(), **options)
    world.finish(request)
    execution.execute_request(actor=SYSTEM, request_id=approve(request).pk)
    request.refresh_from_db()
    assert request.state == "done"
    return request


def holding(stage: str = "Production") -> list[int]:
    rows = StageAssignment.objects.filter(stage_id=stage, valid_to__isnull=True).order_by("valid_from", "pk")
    return list(rows.values_list("version__number", flat=True))


def pointing(alias: str = "champion") -> list[int]:
    return list(AliasAssignment.objects.filter(alias=alias, valid_to__isnull=True).values_list("version__number", flat=True))


def later(minutes: float) -> Any:
    return time_machine.travel(timezone.now() + timedelta(minutes=minutes), tick=True)


def actions(row: BreakGlass) -> list[str]:
    rows = AuditEvent.objects.filter(subject_type="break_glass", subject_id=str(row.pk)).order_by("id")
    return list(rows.values_list("action", flat=True))


# There and back.


def test_two_people_move_a_version_past_the_gate_and_the_clock_moves_it_back(
    world: Any, ines: User, ivo: User, aude: User
) -> None:
    first = promoted(world)
    hotfix = world.version()
    catalog.transition_stage(actor=actor(world.dana), model_name="credit.risk", version=hotfix.number, stage="Staging")
    row = ask(ines, hotfix)
    assert (row.state, holding(), pointing()) == ("requested", [1], [])
    row = confirm(ivo, row)
    assert (row.state, row.from_stage, row.displaced, row.minutes) == ("in_force", "Staging", first.version, 60)
    assert row.ends_at - row.confirmed_at == timedelta(hours=1)
    assert (holding(), holding("Archived"), holding("Staging")) == ([2], [1], [])
    (emergency,) = operations.emergencies(actor(aude))
    assert (emergency.state, emergency.requested_by, emergency.confirmed_by) == ("in_force", "ines", "ivo")

    decision = Decision.objects.get(purpose="break_glass")
    assert (decision.version, decision.outcome, decision.request_id) == (hotfix, "blocked", None)
    assert {r.id for r in recompute(decision).blocking} == {"roc-auc", "review-reviewer"}

    job = Job.objects.get(name=break_glass.REVERT, state=JobState.QUEUED)
    assert job.run_after >= row.ends_at
    with later(59):
        assert break_glass.end_what_is_over(actor=SYSTEM) == 0
        with pytest.raises(Conflict, match="lasts until"):
            revert(SYSTEM, row)
    with later(60.1):
        tasks.run_job(job_id=job.pk)
    row.refresh_from_db()
    assert (row.state, holding(), holding("Archived"), holding("Staging")) == ("reverted", [1], [], [2])
    assert row.outcome == "credit.risk v2 went back to Staging. credit.risk v1 stands in Production again."
    again = StageAssignment.objects.get(stage_id="Production", valid_to__isnull=True)
    assert (again.request_id, again.assigned_by) == (first.pk, "countersign")

    # The review stays open until somebody else looked.
    assert [e.state for e in operations.emergencies(actor(aude))] == ["reverted"]
    break_glass.close_break_glass(actor=actor(aude), break_glass_id=row.pk, note="The hotfix was right; ask for it.")
    assert operations.emergencies(actor(aude)) == []
    assert actions(row) == [f"break_glass.{done}" for done in ("requested", "confirmed", "reverted", "reviewed")]
    assert AuditEvent.objects.filter(action="stage.assigned", actor="ivo").count() == 2


def test_an_alias_goes_there_and_back(world: Any, ines: User, ivo: User) -> None:
    promoted(world, target="champion", target_kind="alias")
    row = confirm(ivo, ask(ines, world.version(), target="champion", target_kind="alias"))
    assert (pointing(), row.displaced.number) == ([2], 1)
    revert(actor(ines), row)
    assert pointing() == [1]
    assert AliasAssignment.objects.get(alias="champion", valid_to__isnull=True).request_id is not None
    row.refresh_from_db()
    assert row.outcome == "champion points at credit.risk v1 again."


def test_a_place_that_was_empty_is_empty_again(world: Any, ines: User, ivo: User) -> None:
    version = world.version()
    stage = confirm(ivo, ask(ines, version))
    alias = confirm(ivo, ask(ines, version, target="champion", target_kind="alias"))
    assert (holding(), pointing(), stage.displaced, alias.displaced) == ([1], [1], None, None)
    assert "champion points at nothing again." in revert(actor(ivo), alias).outcome
    assert "Nothing stood in Production before." in revert(actor(ivo), stage).outcome
    assert (holding(), pointing(), holding("None")) == ([], [], [1])


def test_several_versions_of_one_stage_all_come_back_in_their_order(world: Any, ines: User, ivo: User) -> None:
    for _ in range(3):
        promoted(world, archive_existing=False)
    row = confirm(ivo, ask(ines, world.version()))
    assert (holding(), holding("Archived")) == ([4], [1, 2, 3])
    assert [v.number for v in displaced_by(row)] == [1, 2, 3] and row.displaced.number == 3
    revert(actor(ines), row)
    assert (holding(), holding("Archived"), holding("None")) == ([1, 2, 3], [], [4])
    # What another emergency moved away is not mixed with it.
    second = confirm(ivo, ask(ines, ModelVersion.objects.get(number=4)))
    assert [v.number for v in displaced_by(second)] == [1, 2, 3]
    revert(actor(ines), second)
    assert holding() == [1, 2, 3]


def test_a_version_that_was_deleted_meanwhile_does_not_come_back_and_that_is_said(world: Any, ines: User, ivo: User) -> None:
    promoted(world)
    promoted(world, world.version(), target="champion", target_kind="alias")
    version = world.version()
    stage = confirm(ivo, ask(ines, version))
    alias = confirm(ivo, ask(ines, version, target="champion", target_kind="alias"))
    for number in (1, 2):
        catalog.delete_version(actor=actor(world.dana), model_name="credit.risk", version=number)
    assert "credit.risk v1, which stood there before, was deleted" in revert(actor(ivo), stage).outcome
    assert "champion was removed, since credit.risk v2" in revert(actor(ivo), alias).outcome
    assert (holding(), pointing()) == ([], [])


def test_an_emergency_ends_also_when_its_own_version_or_the_whole_model_is_gone(
    world: Any, pat: User, ines: User, ivo: User
) -> None:
    promoted(world)
    row = confirm(ivo, ask(ines, world.version()))
    alias = confirm(ivo, ask(ines, world.version(), target="champion", target_kind="alias"))
    end_binding(actor=actor(pat), name="credit")  # as long as a policy guards the place, what stands there cannot be deleted
    catalog.delete_version(actor=actor(world.dana), model_name="credit.risk", version=2)
    outcome = revert(actor(ines), row).outcome
    assert outcome == "credit.risk v2 had left Production before. credit.risk v1 stands in Production again."
    catalog.delete_model(actor=actor(world.dana), model_name="credit.risk")
    assert revert(actor(ines), alias).outcome == "champion points at nothing again."
    assert (holding(), pointing()) == ([], [])


def test_a_version_somebody_took_away_by_hand_is_not_put_anywhere_but_the_place_is_filled(
    world: Any, ines: User, ivo: User
) -> None:
    promoted(world)
    version = world.version()
    row = confirm(ivo, ask(ines, version))
    catalog.transition_stage(actor=actor(world.dana), model_name="credit.risk", version=version.number, stage="Archived")
    assert (
        revert(actor(ivo), row).outcome == "credit.risk v2 had left Production before. credit.risk v1 stands in Production again."
    )
    assert (holding(), holding("Archived")) == ([1], [2])


def test_a_version_the_stage_graph_keeps_out_does_not_come_back(world: Any, ines: User, ivo: User) -> None:
    promoted(world)
    row = confirm(ivo, ask(ines, world.version()))
    StageTransition.objects.filter(from_stage_id="Archived", to_stage_id="Production").delete()
    assert "no step from Archived to Production; ask for it by a request" in revert(actor(ivo), row).outcome
    assert (holding(), holding("Archived")) == ([], [1])


def test_a_freeze_does_not_hold_an_emergency(world: Any, pat: User, ines: User, ivo: User) -> None:
    calendar.create_freeze(
        actor=actor(pat),
        name="all",
        reason="Audit.",
        starts="2026-01-01T00:00",
        duration_minutes=1440,
        zone="UTC",
        rrule="FREQ=DAILY",
    )
    row = confirm(ivo, ask(ines, world.version()))
    assert holding() == [1]
    with later(61):
        assert break_glass.end_what_is_over(actor=SYSTEM) == 0  # its job is queued already
        Job.objects.filter(name=break_glass.REVERT).update(state=JobState.FAILED)
        assert break_glass.end_what_is_over(actor=SYSTEM) == 1
        tasks.run_job(job_id=Job.objects.get(name=break_glass.REVERT, state=JobState.QUEUED).pk)
        assert holding() == []
        tasks.revert_break_glass(break_glass_id=row.pk)
    assert actions(row).count("break_glass.reverted") == 1


# Who may.


@pytest.mark.parametrize("roles", [(), ("data-scientist",), ("reviewer",), ("auditor",), ("platform-admin",)])
def test_without_the_right_nothing_happens(world: Any, ines: User, ivo: User, roles: tuple[str, ...]) -> None:
    version = world.version()
    other = person("otto", *roles)
    other.is_superuser = other.is_staff = True
    other.save()
    grant(version.model, "model_manage", users=[other.pk])
    with pytest.raises(Denied):
        ask(other, version)
    row = ask(ines, version)
    with pytest.raises(Denied):
        confirm(other, row)
    with pytest.raises(Denied):
        break_glass.refuse_break_glass(actor=actor(other), break_glass_id=row.pk)
    confirm(ivo, row)
    with pytest.raises(Denied):
        revert(actor(other), row)
    row.refresh_from_db()
    assert (row.state, holding()) == ("in_force", [1])


def test_who_may_not_see_the_model_finds_no_emergency(world: Any, ines: User, mallory: User) -> None:
    row = ask(ines, world.version())
    confirm(person("ivo", "incident-responder"), row)
    for act in (
        lambda: confirm(mallory, row),
        lambda: revert(actor(mallory), row),
        lambda: break_glass.refuse_break_glass(actor=actor(mallory), break_glass_id=row.pk),
        lambda: break_glass.close_break_glass(actor=actor(mallory), break_glass_id=row.pk, note="x"),
        lambda: operations.emergency(actor(mallory), row.pk),
        lambda: confirm(ines, BreakGlass(pk=10**6)),
    ):
        with pytest.raises(NotFound):
            act()
    assert operations.emergencies(actor(mallory)) == []


def test_the_second_person_is_another_one_a_human_and_had_no_part_in_the_version(world: Any, ines: User, pat: User) -> None:
    def refused(user: User, row: BreakGlass) -> str:
        user.is_superuser = True
        user.save()
        with pytest.raises(Denied) as denied:
            confirm(user, row)
        return denied.value.message

    version = world.version()
    own = ask(ines, version)
    assert "you asked for it" in refused(ines, own)
    robot = core_commands.ensure_user(actor=ROOT, username="pager", roles=["incident-responder"], service_of="ines")
    assert "a person with an account of their own" in refused(robot, own)
    break_glass.refuse_break_glass(actor=actor(ines), break_glass_id=own.pk)

    by_robot = ask(robot, version)
    assert "you answer for pager, who asked for it" in refused(ines, by_robot)
    maker = User.objects.get(username="dana")
    core_commands.ensure_user(actor=ROOT, username="dana", roles=["data-scientist", "incident-responder"])
    assert "you registered this version" in refused(maker, by_robot)
    hugo = person("hugo", "incident-responder", "data-scientist")
    pipeline = core_commands.ensure_user(actor=ROOT, username="ci", roles=["data-scientist"], service_of="hugo")
    grant(version.model, "model_write", users=[pipeline.pk])
    built = ask(ines, world.version(owner=pipeline), target="champion", target_kind="alias")
    assert "you answer for ci, who registered this version" in refused(hugo, built)
    assert confirm(hugo, by_robot).state == "in_force"
    assert not Decision.objects.filter(version=built.version).exists()


def test_the_review_after_takes_a_reviewer_or_auditor_who_was_neither(world: Any, ines: User, aude: User, pat: User) -> None:
    both = person("bea", "incident-responder", "reviewer")
    row = ask(ines, world.version())
    confirm(both, row)

    def close(user: User, note: str = "Looked at.") -> BreakGlass:
        return break_glass.close_break_glass(actor=actor(user), break_glass_id=row.pk, note=note)

    with pytest.raises(Conflict, match="is in force"):
        close(aude)
    revert(actor(ines), row)
    with pytest.raises(Denied, match="You confirmed it"):
        close(both)
    for other in (ines, pat, world.dana):
        with pytest.raises(Denied, match="reviewer or auditor"):
            close(other)
    robot = core_commands.ensure_user(actor=ROOT, username="bot", roles=["auditor"], service_of="bea")
    with pytest.raises(Denied, match="Only a person"):
        close(robot)
    with pytest.raises(Invalid):
        close(aude, note=" ")
    assert close(aude).reviewed_by == aude
    with pytest.raises(Conflict):
        close(aude)


@pytest.mark.parametrize(
    ("changes", "kind", "message"),
    [
        ({"reason": " "}, Invalid, "Say why"),
        ({"incident": ""}, Invalid, "Name the incident"),
        ({"incident": "x" * 101}, Invalid, "at most 100"),
        ({"minutes": 0}, Invalid, "1 to 1440 minutes"),
        ({"minutes": 1441}, Invalid, "1 to 1440 minutes"),
        ({"target": "Prod"}, Invalid, "the stages are"),
        ({"target_kind": "pod"}, Invalid, "stage or an alias"),
        ({"target": "no spaces", "target_kind": "alias"}, Invalid, "cannot be an alias"),
        ({"target": "Staging"}, Conflict, "move the version directly"),
        ({"version": 9}, NotFound, "no version 9"),
        ({"model_name": "no.such"}, NotFound, "no registered model"),
    ],
)
def test_what_makes_no_sense_is_refused(
    world: Any, ines: User, changes: dict[str, Any], kind: type[Exception], message: str
) -> None:
    world.version()
    given = {
        "model_name": "credit.risk", "version": 1, "target": "Production", "reason": "x", "incident": "INC-1", "minutes": 5, **changes
    }  # fmt: skip
    with pytest.raises(kind, match=message):
        break_glass.request_break_glass(actor=actor(ines), **given)
    assert not BreakGlass.objects.exists()


def test_an_emergency_for_a_place_that_is_held_already_or_cannot_be_left_is_refused(world: Any, ines: User, ivo: User) -> None:
    version = world.version()
    row = ask(ines, version)
    with pytest.raises(Conflict) as second:
        ask(ivo, world.version())
    assert second.value.code == "emergency_open" and second.value.details["emergency"] == row.pk
    confirm(ivo, row)
    with pytest.raises(Conflict, match="in force for Production"):
        ask(ivo, ModelVersion.objects.get(number=2))
    revert(actor(ivo), row)
    StageTransition.objects.filter(from_stage_id="Production", to_stage_id="None").delete()
    with pytest.raises(Conflict, match="no step from Production to None"):
        ask(ines, version)
    promoted(world, version, target="champion", target_kind="alias")
    with pytest.raises(Conflict, match="points at"):
        ask(ines, version, target="champion", target_kind="alias")


def test_a_request_can_be_refused_taken_back_and_forgotten(world: Any, ines: User, ivo: User) -> None:
    version = world.version()
    refused = break_glass.refuse_break_glass(actor=actor(ivo), break_glass_id=ask(ines, version).pk, comment="Not needed.")
    assert (refused.state, refused.outcome) == ("refused", "Refused by ivo: Not needed.")
    assert Notification.objects.filter(user=ines, kind="break_glass", text__contains="Not needed.").exists()
    back = break_glass.refuse_break_glass(actor=actor(ines), break_glass_id=ask(ines, version).pk)
    assert back.outcome == "Taken back."
    for act in (lambda: confirm(ivo, back), lambda: revert(actor(ivo), back)):
        with pytest.raises(Conflict, match="was refused or taken back"):
            act()
    forgotten = ask(ines, version)
    with later(24 * 60 + 1):
        with pytest.raises(Conflict, match="more than a day ago"):
            confirm(ivo, forgotten)
        assert break_glass.end_what_is_over(actor=SYSTEM) == 1
        assert break_glass.end_what_is_over(actor=SYSTEM) == 0
    forgotten.refresh_from_db()
    assert (forgotten.state, forgotten.outcome, holding()) == ("refused", "Nobody confirmed it within a day.", [])


def test_a_version_deleted_before_the_confirmation_is_not_placed(world: Any, ines: User, ivo: User) -> None:
    row = ask(ines, world.version())
    catalog.delete_version(actor=actor(world.dana), model_name="credit.risk", version=1)
    with pytest.raises(Conflict, match="was deleted meanwhile"):
        confirm(ivo, row)
    assert holding() == []


def test_the_gate_stays_shut_for_everything_else(world: Any, ines: User, ivo: User) -> None:
    version = world.version()
    confirm(ivo, ask(ines, version, target="champion", target_kind="alias"))
    with pytest.raises(Blocked):
        catalog.transition_stage(actor=actor(world.dana), model_name="credit.risk", version=1, stage="Production")
    with pytest.raises(Blocked):
        catalog.delete_version(actor=actor(world.dana), model_name="credit.risk", version=1)


def test_those_concerned_are_told(world: Any, ines: User, ivo: User) -> None:
    row = ask(ines, world.version())
    assert [n.user for n in Notification.objects.filter(text__contains="asks you to confirm")] == [ivo]
    confirm(ivo, row)
    told = Notification.objects.filter(text__contains="holds Production until").values_list("user__username", flat=True)
    assert sorted(told) == ["dana", "ines"]
    revert(actor(ines), row)
    told = Notification.objects.filter(text__contains="Its review is open").values_list("user__username", flat=True)
    assert sorted(told) == ["dana", "ines", "ivo"]
    assert set(Notification.objects.filter(kind="break_glass").values_list("path", flat=True)) == {f"/emergencies/{row.pk}/"}


# With ordinary requests beside it.


def test_an_ordinary_request_carried_out_meanwhile_wins_and_ends_the_emergency(world: Any, ines: User, ivo: User) -> None:
    promoted(world)
    row = ask(ines, world.version())
    request = world.ask(world.version())
    world.finish(request)
    Job.objects.all().delete()
    confirm(ivo, row)
    # What holds the place may matter to the gate, so the open request is judged again.
    assert Job.objects.filter(name=lifecycle.ADVANCE, arguments={"request_id": request.pk}).exists()
    execution.advance_request(actor=SYSTEM, request_id=request.pk)
    world.finish(request)
    execution.execute_request(actor=SYSTEM, request_id=approve(request).pk)
    row.refresh_from_db()
    assert (row.state, holding(), holding("Archived")) == ("reverted", [3], [1, 2])
    assert (
        row.outcome == f"{request.reference} was carried out, so credit.risk v3 holds Production; nothing was reverted over it."
    )
    with later(61):
        tasks.revert_break_glass(break_glass_id=row.pk)
        assert break_glass.end_what_is_over(actor=SYSTEM) == 0
    assert holding() == [3]
    assert actions(row)[-1] == "break_glass.reverted" and [e.state for e in operations.emergencies(actor(ines))] == ["reverted"]


def test_a_request_that_leaves_others_in_the_stage_does_not_leave_an_emergency_there(world: Any, ines: User, ivo: User) -> None:
    version = world.version()
    row = confirm(ivo, ask(ines, version))
    promoted(world, archive_existing=False)
    row.refresh_from_db()
    assert (row.state, holding(), holding("None")) == ("reverted", [2], [1])
    assert row.outcome.endswith("credit.risk v1 went back to None.")


def test_an_alias_that_a_request_moved_stays_moved(world: Any, ines: User, ivo: User) -> None:
    row = confirm(ivo, ask(ines, world.version(), target="champion", target_kind="alias"))
    promoted(world, target="champion", target_kind="alias")
    row.refresh_from_db()
    assert (row.state, pointing()) == ("reverted", [2])


def test_nothing_is_reverted_over_what_came_there_without_ending_the_emergency(
    world: Any, ines: User, ivo: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if the execution did not know of emergencies."""
    monkeypatch.setattr(break_glass, "superseded_by", lambda **_: None)
    version = world.version()
    stage = confirm(ivo, ask(ines, version))
    alias = confirm(ivo, ask(ines, version, target="champion", target_kind="alias"))
    new = promoted(world, archive_existing=False).version
    promoted(world, new, target="champion", target_kind="alias")
    assert "Production was given to credit.risk v2 meanwhile" in revert(actor(ines), stage).outcome
    assert "pointed at credit.risk v2 meanwhile" in revert(actor(ines), alias).outcome
    assert (holding(), holding("None"), pointing()) == ([2], [1], [2])


def test_what_was_rushed_in_can_be_asked_for_in_the_ordinary_way_and_then_stays(world: Any, ines: User, ivo: User) -> None:
    promoted(world)
    hotfix = world.version()
    request = world.ask(hotfix)
    world.finish(request)
    row = confirm(ivo, ask(ines, hotfix))
    execution.advance_request(actor=SYSTEM, request_id=request.pk)
    request.refresh_from_db()
    assert (request.state, request.champion.number) == ("in_review", 1)
    execution.execute_request(actor=SYSTEM, request_id=approve(request).pk)
    row.refresh_from_db()
    assert (row.state, holding()) == ("reverted", [2])
    assert StageAssignment.objects.get(stage_id="Production", valid_to__isnull=True).request_id == request.pk
    with later(61):
        tasks.revert_break_glass(break_glass_id=row.pk)
    assert holding() == [2]


def test_what_an_emergency_displaced_is_found_while_it_is_in_force(world: Any, ines: User, ivo: User) -> None:
    promoted(world)
    row = confirm(ivo, ask(ines, world.version()))
    model = RegisteredModel.objects.get(name="credit.risk")
    found = in_force(model, target_kind="stage", target="Production")
    assert found == row and found.displaced.number == 1
    assert in_force(model, target_kind="alias", target="champion") is None
    revert(actor(ines), row)
    assert in_force(model, target_kind="stage", target="Production") is None


def test_the_banner_costs_one_statement_by_an_index(world: Any, ines: User, ivo: User, aude: User) -> None:
    who = actor(aude)
    with CaptureQueriesContext(connection) as none:
        assert operations.emergencies(who) == []
    for _ in range(3):
        version = world.version()
        revert(actor(ines), confirm(ivo, ask(ines, version)))
    with CaptureQueriesContext(connection) as three:
        assert len(operations.emergencies(who)) == 3
    assert len(none) == len(three) == 1
    settled = BreakGlass.objects.earliest("pk")
    settled.state = "closed"
    BreakGlass.objects.bulk_create([BreakGlass(**_columns(settled)) for _ in range(2000)])
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE workflows_breakglass")
        cursor.execute(("EXPLAIN QUERY PLAN " if connection.vendor == "sqlite" else "EXPLAIN ") + three[0]["sql"])
        assert "emergency_by_state" in "".join(str(line) for line in cursor.fetchall())


def _columns(row: BreakGlass) -> dict[str, Any]:
    return {field.attname: getattr(row, field.attname) for field in row._meta.concrete_fields if not field.primary_key}


# At the same instant.


def racing() -> tuple[Any, User, User, User]:
    world = build(person("dana", "data-scientist"), person("pat", "platform-admin"))
    return world, *(person(name, "incident-responder") for name in ("ines", "ivo", "ida"))


def act_of(act: Callable[..., Any], who: User, row: BreakGlass) -> Callable[[], Any]:
    who_acts = actor(who)
    return lambda: act(actor=who_acts, break_glass_id=row.pk)


@pytest.mark.django_db(transaction=True)
def test_of_two_who_confirm_at_once_one_does() -> None:
    world, ines, ivo, ida = racing()
    row = ask(ines, world.version())
    results = at_once(act_of(break_glass.confirm_break_glass, ivo, row), act_of(break_glass.confirm_break_glass, ida, row))
    assert sorted(type(r).__name__ for r in results) == ["BreakGlass", "Conflict"]
    assert (holding(), actions(row).count("break_glass.confirmed")) == ([1], 1)
    assert Decision.objects.filter(purpose="break_glass").count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_request_is_confirmed_or_refused_never_both() -> None:
    world, ines, ivo, ida = racing()
    row = ask(ines, world.version())
    at_once(act_of(break_glass.confirm_break_glass, ivo, row), act_of(break_glass.refuse_break_glass, ida, row))
    row.refresh_from_db()
    assert (row.state, holding()) in (("in_force", [1]), ("refused", []))
    assert len(actions(row)) == 2


@pytest.mark.django_db(transaction=True)
def test_of_two_who_revert_at_once_one_does() -> None:
    world, ines, ivo, ida = racing()
    promoted(world)
    row = confirm(ivo, ask(ines, world.version()))
    results = at_once(*(act_of(break_glass.revert_break_glass, who, row) for who in (ines, ivo, ida)))
    assert sorted(type(r).__name__ for r in results) == ["BreakGlass", "Conflict", "Conflict"]
    assert (holding(), actions(row).count("break_glass.reverted")) == ([1], 1)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("archive_existing", [True, False])
def test_an_emergency_ends_while_a_request_is_carried_out_and_the_request_wins(archive_existing: bool) -> None:
    world, ines, ivo, _ = racing()
    promoted(world)
    row = confirm(ivo, ask(ines, world.version()))
    request = world.ask(world.version(), archive_existing=archive_existing)
    world.finish(request)
    approve(request)
    results = at_once(
        lambda: execution.execute_request(actor=SYSTEM, request_id=request.pk),
        act_of(break_glass.revert_break_glass, ines, row),
    )
    request.refresh_from_db()
    row.refresh_from_db()
    assert row.state == "reverted" and actions(row).count("break_glass.reverted") == 1, results
    # Either it was carried out over the emergency, or what came back first made it look again at what it is compared with.
    if request.state == "done":
        assert 3 in holding() and 2 not in holding()
    else:
        assert (request.state, holding()) == ("in_review", [1]), results


@pytest.mark.django_db(transaction=True)
def test_of_two_emergencies_for_one_place_one_is_open() -> None:
    world, ines, ivo, _ = racing()
    versions = [world.version(), world.version()]
    results = at_once(*(lambda u=u, v=v: ask(u, v) for u, v in zip((ines, ivo), versions, strict=True)))
    assert sorted(type(r).__name__ for r in results) == ["BreakGlass", "Conflict"]
    with transaction.atomic():
        assert BreakGlass.objects.count() == 1
