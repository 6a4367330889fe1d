"""Findings: who raises and closes them, what checks raise, and how long they count."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from core.access import SYSTEM, grant
from core.errors import Conflict, Denied, DomainError, Invalid, NotFound
from core.models import AuditEvent, Job, User
from governance import risk
from governance.commands.policies import publish_policy
from governance.models import CheckRun, CheckState, Finding, FindingChange, FindingRecord
from registry.models import ModelVersion, RegisteredModel
from tests.cast import actor, person
from tests.workflows.conftest import POLICY, World, build
from tests.workflows.test_races import at_once
from workflows.assessment import assess
from workflows.commands import findings
from workflows.lifecycle import ADVANCE
from workflows.models import Notification
from workflows.queries import risk as risk_queries

pytestmark = pytest.mark.django_db

NO_GRAVE = POLICY.replace(
    "steps:\n",
    """\
  - id: no-open-high
    title: No open high finding
    how_to_satisfy: Close it.
    satisfied_if: open_findings.all(f, f.severity != "high" && f.severity != "critical")
steps:
""",
)


@pytest.fixture
def version(world: World) -> ModelVersion:
    return world.version()


def raising(user: User, **changes: Any) -> FindingRecord:
    given = {"model_name": "credit.risk", "title": "Drifts in winter", "severity": "high", **changes}
    return findings.raise_finding(actor=actor(user), **given)


def closing(user: User, finding: FindingRecord, comment: str = "Retrained, see v2.", **given: Any) -> FindingRecord:
    return findings.close_finding(actor=actor(user), finding_id=finding.pk, comment=comment, **given)


def updating(user: User, finding: FindingRecord, **changes: Any) -> FindingRecord:
    return findings.update_finding(actor=actor(user), finding_id=finding.pk, **changes)


def reopening(user: User, finding: FindingRecord, comment: str = "It is back.") -> FindingRecord:
    return findings.reopen_finding(actor=actor(user), finding_id=finding.pk, comment=comment)


def checked(version: ModelVersion, *found: tuple[str, str, str], state: str = CheckState.PASSED) -> CheckRun:
    """Write a check run that found these: rule, severity and place of each."""
    run = CheckRun.objects.create(
        version=version, check_name="artifact-scan", check_revision="1", content_digest=version.content_digest,
        inputs_digest=f"sha256:{uuid.uuid4()}", requested_by="dana", state=state,
    )  # fmt: skip
    for rule, severity, location in found:
        Finding.objects.create(run=run, rule=rule, severity=severity, location=location, message=f"{rule} is not safe")
    return run


def from_check(run: CheckRun) -> int:
    with transaction.atomic():
        return findings.raise_from_check(actor=SYSTEM, run=run)


def events(finding: FindingRecord) -> list[tuple[str, str]]:
    rows = AuditEvent.objects.filter(subject_type="finding", subject_id=str(finding.pk)).order_by("id")
    return list(rows.values_list("action", "actor"))


def test_a_finding_lives_from_raised_to_closed_and_back_with_every_step_kept(
    version: ModelVersion, ravi: User, rosa: User, dana: User
) -> None:
    finding = raising(ravi, owner="dana", due_on=date(2027, 3, 31), description="AUC falls to 0.6.")
    assert (finding.version, finding.source, finding.raised_by, finding.owner) == (version, "reviewer", ravi, dana)
    updating(ravi, finding, severity="critical", comment="Worse than thought.")
    run = checked(version)
    closing(rosa, finding, check_run=str(run.pk))
    finding.refresh_from_db()
    assert finding.status == "closed" and finding.closed_at is not None
    reopening(dana, finding)
    finding.refresh_from_db()
    assert (finding.status, finding.closed_at) == ("open", None)
    assert events(finding) == [
        ("finding.raised", "ravi"), ("finding.updated", "ravi"), ("finding.closed", "rosa"), ("finding.reopened", "dana"),
    ]  # fmt: skip
    detail = risk_queries.finding(actor(dana), finding.pk)
    assert [(s.action, s.by, s.comment) for s in detail.steps] == [
        ("raised", "ravi", ""),
        ("updated", "ravi", "Worse than thought."),
        ("closed", "rosa", "Retrained, see v2."),
        ("reopened", "dana", "It is back."),
    ]
    assert (detail.steps[1].before["severity"], detail.steps[1].after["severity"]) == ("high", "critical")
    assert detail.steps[2].check_run == run.pk


def test_reviewers_auditors_and_who_may_write_the_model_raise_findings_and_nobody_else(
    version: ModelVersion, dana: User, ravi: User, aude: User, mallory: User
) -> None:
    for user in (dana, ravi, aude):
        assert raising(user).raised_by == user
    reader = person("rhea", "data-scientist")
    grant(version.model, "model_read", users=[reader.pk])
    with pytest.raises(Denied):
        raising(reader)
    with pytest.raises(NotFound):
        raising(mallory)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"title": " "}, Invalid),
        ({"title": "x" * 201}, Invalid),
        ({"severity": "grave"}, Invalid),
        ({"owner": "nobody"}, Invalid),
        ({"version": 9}, NotFound),
        ({"model_name": "none-such"}, NotFound),
    ],
)
def test_what_makes_no_sense_is_not_put_on_record(
    version: ModelVersion, ravi: User, changes: dict[str, Any], error: type[DomainError]
) -> None:
    with pytest.raises(error):
        raising(ravi, **changes)
    assert not FindingRecord.objects.exists()


def test_a_model_without_versions_has_nothing_to_find(world: World, ravi: User) -> None:
    with pytest.raises(Invalid, match="no version"):
        raising(ravi)


def test_an_open_finding_counts_for_every_later_version_until_it_is_closed(
    world: World, pat: User, ravi: User, rosa: User
) -> None:
    publish_policy(actor=actor(pat), document=NO_GRAVE)
    world.version()
    finding = raising(ravi, version=1)
    request = world.in_review()
    assert request.version.number == 2

    def outcome() -> str:
        (result,) = (r for r in assess(request).verdict.requirements if r.id == "no-open-high")
        return result.state.value

    assert outcome() == "unsatisfied"
    closing(rosa, finding)
    assert outcome() == "satisfied"
    reopening(rosa, finding)
    assert outcome() == "unsatisfied"


@pytest.mark.parametrize("severity", ["high", "critical"])
def test_a_grave_finding_is_closed_by_a_second_pair_of_eyes(
    version: ModelVersion, dana: User, ravi: User, rosa: User, aude: User, severity: str
) -> None:
    finding = raising(ravi, severity=severity, owner="rosa")
    for user in (dana, rosa):  # who made the version, and who owns the finding
        with pytest.raises(Denied) as refused:
            closing(user, finding)
        assert refused.value.code == "second_pair_of_eyes"
    updating(rosa, finding, owner="dana")
    with pytest.raises(Denied, match="you own it, or did"):
        closing(rosa, finding)
    assert closing(aude, finding).status == "closed"
    other = raising(ravi, severity=severity)
    assert closing(ravi, other).status == "closed"


def test_a_maker_who_may_review_does_not_close_a_grave_finding_on_their_own_work(world: World, ravi: User) -> None:
    both = person("mira", "reviewer", "data-scientist")
    grant(RegisteredModel.objects.get(name="credit.risk"), "model_write", users=[both.pk])
    world.version(owner=both)
    finding = raising(ravi)
    with pytest.raises(Denied, match="registered this version"):
        closing(both, finding)
    assert closing(ravi, finding).status == "closed"


def test_a_lesser_finding_is_closed_by_its_owner_or_whoever_may_raise_one(
    version: ModelVersion, dana: User, ravi: User, mallory: User
) -> None:
    reader = person("rhea", "data-scientist")
    grant(version.model, "model_read", users=[reader.pk])
    finding = raising(ravi, severity="medium")
    with pytest.raises(Denied):
        closing(reader, finding)
    with pytest.raises(NotFound):
        closing(mallory, finding)
    updating(ravi, finding, owner="rhea")
    assert closing(reader, finding).status == "closed"
    assert closing(dana, raising(ravi, severity="low")).status == "closed"


def test_closing_needs_evidence(version: ModelVersion, world: World, dana: User, ravi: User) -> None:
    from registry import commands as registry_commands

    registry_commands.create_model(actor=actor(dana), name="credit.other")
    elsewhere = checked(world.version(model="credit.other"))
    finding = raising(ravi)
    with pytest.raises(Invalid, match="with evidence"):
        closing(ravi, finding, comment=" ")
    for run in (elsewhere, checked(version, state=CheckState.ERROR)):
        with pytest.raises(Invalid):
            closing(ravi, finding, check_run=run.pk)
    with pytest.raises(Invalid):
        closing(ravi, finding, check_run=uuid.uuid4())
    closing(ravi, finding)
    with pytest.raises(Conflict):
        closing(ravi, finding)
    with pytest.raises(Conflict):
        updating(ravi, finding, severity="low")


def test_a_grave_finding_is_not_made_less_pressing_by_its_owner_or_maker(
    version: ModelVersion, dana: User, ravi: User, rosa: User
) -> None:
    finding = raising(ravi, owner="rosa", due_on=date(2027, 1, 31))
    easier: list[dict[str, Any]] = [{"severity": "medium"}, {"due_on": date(2027, 2, 1)}, {"due_on": ""}]
    for user in (rosa, dana):
        for change in easier:
            with pytest.raises(Denied) as refused:
                updating(user, finding, **change)
            assert refused.value.code == "second_pair_of_eyes"
    updating(dana, finding, due_on=date(2027, 1, 1))
    updating(rosa, finding, severity="critical")
    updating(ravi, finding, severity="medium", due_on="")
    finding.refresh_from_db()
    assert (finding.severity, finding.due_on) == ("medium", None)
    updating(rosa, finding, severity="low")


def test_a_change_that_changes_nothing_is_refused(version: ModelVersion, ravi: User, mallory: User) -> None:
    finding = raising(ravi, owner="ravi")
    for change in ({}, {"severity": "high"}, {"owner": "ravi"}):
        with pytest.raises(Invalid, match="Nothing would change"):
            updating(ravi, finding, **change)
    assert updating(ravi, finding, owner="").owner is None
    with pytest.raises(NotFound):
        updating(mallory, finding, severity="low")


def test_reopening_needs_a_reason_and_a_closed_finding(version: ModelVersion, ravi: User, mallory: User) -> None:
    finding = raising(ravi)
    with pytest.raises(Conflict):
        reopening(ravi, finding)
    closing(ravi, finding)
    with pytest.raises(Invalid):
        reopening(ravi, finding, " ")
    with pytest.raises(NotFound):
        reopening(mallory, finding)
    assert reopening(ravi, finding).status == "open"


def test_owners_are_told_and_open_requests_judged_again(world: World, dana: User, ravi: User, rosa: User) -> None:
    request = world.in_review()

    def woken() -> int:
        return Job.objects.filter(name=ADVANCE, arguments={"request_id": request.pk}, state="queued").delete()[0]

    woken()
    finding = raising(ravi, owner="dana")
    assert woken() == 1
    for act in (
        lambda: updating(ravi, finding, severity="critical"),
        lambda: closing(rosa, finding),
        lambda: reopening(rosa, finding),
    ):
        act()
        assert woken() == 1
    updating(ravi, finding, owner="ravi")
    told = Notification.objects.filter(kind="finding").order_by("pk").values_list("user__username", "text")
    assert [(name, text.partition(" was ")[2].partition(":")[0]) for name, text in told] == [
        ("dana", "raised"), ("dana", "opened again"),
    ]  # fmt: skip


def test_checks_raise_what_is_grave_once_for_each_place(version: ModelVersion, world: World) -> None:
    run = checked(version, ("pickle", "critical", "model.pkl"), ("pickle", "high", "other.pkl"), ("size", "low", "model.pkl"))
    assert from_check(run) == 2
    first, second = FindingRecord.objects.order_by("pk")
    assert (first.key, first.severity, first.source) == ("check:artifact-scan:pickle:model.pkl", "critical", "check")
    assert (first.raised_by, first.owner, first.version) == (None, None, version)
    assert first.title == "artifact-scan: pickle is not safe"
    assert second.key == "check:artifact-scan:pickle:other.pkl"
    assert events(first) == [("finding.raised", "countersign")]
    assert first.changes.get().evidence_run == run
    assert from_check(checked(world.version(), ("pickle", "critical", "model.pkl"))) == 1
    assert FindingRecord.objects.count() == 2
    assert FindingChange.objects.count() == 2


def test_a_check_that_finds_a_closed_problem_again_opens_it_again(version: ModelVersion, world: World, ravi: User) -> None:
    from_check(checked(version, ("pickle", "high", "model.pkl")))
    finding = FindingRecord.objects.get()
    closing(ravi, finding)
    newer = world.version()
    from_check(checked(newer, ("pickle", "critical", "model.pkl")))
    finding.refresh_from_db()
    assert (finding.status, finding.version, finding.severity, finding.closed_at) == ("open", newer, "critical", None)
    assert events(finding)[-1] == ("finding.reopened", "countersign")
    assert finding.changes.latest("pk").comment == f"found by artifact-scan on {newer}"


def test_of_one_problem_found_twice_in_a_run_the_graver_counts(version: ModelVersion) -> None:
    from_check(checked(version, ("pickle", "critical", "a"), ("pickle", "high", "a")))
    assert FindingRecord.objects.get().severity == "critical"


def test_a_place_too_long_for_a_key_is_told_apart_all_the_same(version: ModelVersion) -> None:
    long = "x" * 1400
    run = checked(version, ("pickle", "high", long + "a"), ("pickle", "high", long + "b"))
    assert (from_check(run), from_check(run)) == (2, 2)
    keys = list(FindingRecord.objects.values_list("key", flat=True))
    assert len(set(keys)) == 2 and {len(key) for key in keys} == {300}


def test_the_register_is_filtered_and_shows_only_what_one_may_see(
    version: ModelVersion, dana: User, ravi: User, mallory: User, django_assert_num_queries: Any
) -> None:
    today = datetime.now(UTC).date()
    late = raising(ravi, severity="low", owner="dana", due_on=today - timedelta(days=1))
    due = raising(ravi, severity="high", due_on=today)
    done = closing(ravi, raising(ravi, severity="low", due_on=today - timedelta(days=9)))

    def shown(**filters: Any) -> set[int]:
        return {row.id for row in risk_queries.finding_rows(risk_queries.findings(actor(dana), **filters))}

    assert shown(model="credit.risk") == {late.pk, due.pk, done.pk}
    assert shown(model="other") == set()
    assert shown(severity="low") == {late.pk, done.pk}
    assert shown(status="open") == {late.pk, due.pk}
    assert shown(owner="dana") == shown(overdue=True) == {late.pk}
    assert shown(overdue=False) == {due.pk, done.pk}
    assert shown(source="check") == set()
    assert [f.overdue for f in risk.open_finding_facts(version.model, datetime.now(UTC))] == [True, False]
    assert list(risk_queries.findings(actor(mallory))) == []
    with pytest.raises(NotFound):
        risk_queries.finding(actor(mallory), late.pk)
    me = actor(dana)
    with django_assert_num_queries(1):
        assert len(risk_queries.finding_rows(risk_queries.findings(me))) == 3


def test_the_database_keeps_one_finding_per_key_and_its_steps_as_they_are(version: ModelVersion, ravi: User) -> None:
    def put(key: str) -> FindingRecord:
        return FindingRecord.objects.create(
            model=version.model, version=version, source="check", key=key, title="x", severity="low"
        )

    put("a")
    put("")
    put("")
    raising(ravi)
    for wrong in (
        lambda: put("a"),
        lambda: FindingChange.objects.update(comment="x"),
        lambda: FindingChange.objects.all().delete(),
    ):
        with pytest.raises(IntegrityError), transaction.atomic():
            wrong()


# At the same instant.


@pytest.fixture
def crowd(transactional_db: None) -> ModelVersion:
    return build(person("dana", "data-scientist"), person("pat", "platform-admin")).version()


def test_two_runs_that_find_the_same_at_once_raise_one_finding(crowd: ModelVersion) -> None:
    rules = [("pickle", "high", "a"), ("pickle", "high", "b"), ("size", "critical", "c")]
    runs = [checked(crowd, *rules), checked(crowd, *reversed(rules)), checked(crowd, *rules[1:], rules[0])]
    acts: list[Callable[[], int]] = [lambda run=run: from_check(run) for run in runs]
    assert at_once(*acts) == [3, 3, 3]
    assert FindingRecord.objects.count() == 3
    assert AuditEvent.objects.filter(action="finding.raised").count() == 3
    for finding in FindingRecord.objects.all():
        closing(person("rosa", "reviewer"), finding)
    assert at_once(*acts) == [3, 3, 3]
    assert AuditEvent.objects.filter(action="finding.reopened").count() == 3


def test_of_two_who_close_at_once_one_does(crowd: ModelVersion) -> None:
    people = [person(name, "reviewer") for name in ("ravi", "rosa", "olga")]
    finding = raising(people[0])
    results = at_once(*(lambda p=p: closing(p, finding) for p in people))
    assert sorted(type(r).__name__ for r in results) == ["Conflict", "Conflict", "FindingRecord"]
    assert AuditEvent.objects.filter(action="finding.closed").count() == 1
