"""What holds a place is reviewed again: when its approval lapses and when something happened; late ones are escalated."""

from __future__ import annotations

import io
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from core import commands as core_commands
from core.access import SYSTEM, grant
from core.errors import Denied, Invalid, NotFound
from core.models import AuditEvent, User
from governance.commands.policies import bind_policy, publish_policy
from governance.models import FindingRecord
from registry import commands as registry_commands
from registry.models import ModelVersion, RegisteredModel
from tests.cast import ROOT, actor, person
from tests.workflows.conftest import BINDING, POLICY, World, build
from tests.workflows.test_break_glass import ask as ask_emergency
from tests.workflows.test_break_glass import confirm, holding, promoted, revert
from tests.workflows.test_races import at_once
from tracking.commands.files import put_run_artifact
from tracking.commands.lineage import DatasetInput, log_inputs
from tracking.commands.runs import create_run
from workflows import tasks
from workflows.commands import catalog, re_reviews
from workflows.commands.calendar import publish_calendar
from workflows.models import Notification, ReReview
from workflows.queries import operations
from workflows.rollbacks import earlier_request

pytestmark = pytest.mark.django_db

CAUSES = "dataset_recalled, vulnerability, drift, incident, tier_changed, waiver_expired"
VALIDITY = f"validity: {{days: 90, re_review_on: [{CAUSES}], due: 3 business days, escalate_to: model-risk}}\ncalendar: berlin\n"
START = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)  # a Monday
LAPSE = START + timedelta(days=90)  # the Sunday of Easter, after the clock was moved


def publish(pat: User, tail: str = VALIDITY, name: str = "credit") -> None:
    publish_policy(actor=actor(pat), document=POLICY.replace("name: credit", f"name: {name}") + tail)


@pytest.fixture
def lasting(dana: User, pat: User) -> World:
    """A governed model, since before the tests' time, under a policy whose approvals hold for 90 days."""
    with at(START - timedelta(days=1)):
        world = build(dana, pat)
        publish_calendar(
            actor=actor(pat),
            name="berlin",
            zone="Europe/Berlin",
            weekdays=range(5),
            opens=time(9),
            closes=time(17),
            holidays=[date(2026, 4, 3), date(2026, 4, 6)],
        )
        publish(pat)
    return world


@pytest.fixture
def rita(db: None) -> User:
    """Of the group that late re-reviews escalate to."""
    return person("rita", "reviewer", groups=("model-risk",))


def at(moment: datetime) -> Any:
    return time_machine.travel(moment, tick=True)


def report(user: User, cause: str = "drift", model: str = "credit.risk", **options: Any) -> list[ReReview]:
    given = {"detail": "PSI of income is 0.31.", **options}
    return re_reviews.report_event(actor=actor(user), model_name=model, cause=cause, **given)


def still_open() -> list[tuple[int, str, str]]:
    rows = ReReview.objects.filter(closed_at__isnull=True).order_by("pk")
    return list(rows.values_list("version__number", "target", "cause"))


def events(action: str) -> int:
    return AuditEvent.objects.filter(action=f"re_review.{action}").count()


# By the clock.


def test_an_approval_lapses_and_a_re_review_that_is_not_done_in_time_is_escalated_once(lasting: World, rita: User) -> None:
    with at(START):
        request = promoted(lasting)
        assert request.valid_until.date() == LAPSE.date()
    with at(LAPSE - timedelta(minutes=1)):
        assert re_reviews.due_re_reviews(actor=SYSTEM) == 0
    with at(LAPSE + timedelta(minutes=1)):
        tasks.due_re_reviews()
        tasks.due_re_reviews()
        assert still_open() == [(1, "Production", "clock")]
        row = ReReview.objects.get()
        # Sunday, Easter Monday: counted from Tuesday 09:00 in Berlin, which is 07:00 UTC by now.
        assert row.due_at == datetime(2026, 4, 10, 7, 0, tzinfo=UTC)
        assert (row.escalate_to, row.opened_by) == ("model-risk", None)
        assert row.detail == f"The approval of {request.reference} held until 2026-04-05."
        assert Notification.objects.filter(user=lasting.dana, text__contains="must be reviewed again by 2026-04-10").count() == 1
        assert operations.re_review_rows(operations.re_reviews(actor(rita), state="overdue")) == []
    with at(row.due_at + timedelta(minutes=1)):
        tasks.due_re_reviews()
        tasks.due_re_reviews()
        row.refresh_from_db()
        assert row.overdue_at is not None and row.closed_at is None
        assert Notification.objects.filter(user=rita, text__contains="was due on 2026-04-10").count() == 1
        finding = FindingRecord.objects.get()
        assert (finding.source, finding.severity, finding.version.number) == ("re_review", "medium", 1)
        (shown,) = operations.re_review_rows(operations.re_reviews(actor(rita), state="overdue", model="credit.risk"))
        assert shown.overdue and shown.cause == "clock"
    assert (events("opened"), events("overdue"), events("closed"), holding()) == (1, 1, 0, [1])


def test_a_re_review_request_renews_the_approval_and_closes_what_asked_for_it(lasting: World) -> None:
    with at(START):
        version = promoted(lasting).version
    with at(LAPSE + timedelta(hours=1)):
        tasks.due_re_reviews()
        report(lasting.dana)
        assert [cause for _, _, cause in still_open()] == ["clock", "drift"]
        again = promoted(lasting, version, kind="re_review", reason="Nothing changed.")
        assert still_open() == []
        assert {row.closed_by_request for row in ReReview.objects.all()} == {again}
        assert again.valid_until.date() == (LAPSE + timedelta(days=90)).date()
        tasks.due_re_reviews()
        assert still_open() == []
    with at(LAPSE + timedelta(days=90, hours=2)):
        tasks.due_re_reviews()
        assert still_open() == [(1, "Production", "clock")]
        assert again.reference in ReReview.objects.get(closed_at__isnull=True).detail
    assert (events("opened"), events("closed"), holding()) == (3, 2, [1])


def test_the_clock_asks_for_each_place_by_the_request_that_gave_it(lasting: World) -> None:
    with at(START):
        version = promoted(lasting).version
    with at(START + timedelta(days=30)):
        promoted(lasting, version, target="champion", target_kind="alias")
    with at(LAPSE + timedelta(hours=1)):
        tasks.due_re_reviews()
        assert still_open() == [(1, "Production", "clock")]
    with at(LAPSE + timedelta(days=31)):
        tasks.due_re_reviews()
        assert still_open() == [(1, "Production", "clock"), (1, "champion", "clock")]


def test_what_left_its_place_needs_no_re_review(lasting: World) -> None:
    with at(START):
        promoted(lasting)
    with at(START + timedelta(days=1)):
        promoted(lasting)
        report(lasting.dana)
        assert still_open() == [(2, "Production", "drift")]
    with at(START + timedelta(days=2)):
        promoted(lasting)
        (closed,) = ReReview.objects.all()
        assert (closed.outcome, closed.closed_by_request) == ("The version left the place", None)
        report(lasting.dana)
        catalog.transition_stage(actor=actor(lasting.dana), model_name="credit.risk", version=3, stage="Archived")
        assert len(still_open()) == 1
        tasks.due_re_reviews()
        assert still_open() == []
    with at(LAPSE + timedelta(days=10)):
        tasks.due_re_reviews()
        assert (still_open(), events("opened"), events("closed")) == ([], 2, 2)


def test_without_validity_an_approval_holds_and_of_several_the_shortest_counts(dana: User, pat: User) -> None:
    with at(START):
        world = build(dana, pat)
        assert promoted(world).valid_until is None
        publish(pat, "validity: {days: 365}\n")
        publish(pat, "validity: {days: 30}\n", "strict")
        publish(pat, "validity: {days: 1}\n", "shadowed")
        bind_policy(actor=actor(pat), document=BINDING.replace("name: credit\npolicy: credit", "name: strict\npolicy: strict"))
        shadowed = BINDING.replace("name: credit\npolicy: credit", "name: shadowed\npolicy: shadowed\nmode: shadow")
        bind_policy(actor=actor(pat), document=shadowed)
        assert promoted(world).valid_until.date() == date(2026, 2, 4)
    with at(datetime(2026, 2, 4, 12, tzinfo=UTC)):
        tasks.due_re_reviews()
        # Nothing was said of when it is due: ten business days by the default calendar.
        assert ReReview.objects.get().due_at.date() == date(2026, 2, 18)


def test_the_beat_costs_the_same_however_many_places_are_well(lasting: World, pat: User) -> None:
    counts = []
    for name in ("credit.a", "credit.b", "credit.c"):
        registry_commands.create_model(actor=actor(lasting.dana), name=name)
        promoted(lasting, lasting.version(model=name))
        with CaptureQueriesContext(connection) as seen:
            re_reviews.due_re_reviews(actor=SYSTEM)
        counts.append(len(seen))
    assert len(set(counts)) == 1


# When something happened.


def test_an_event_asks_only_where_the_newest_policy_names_it(lasting: World, pat: User, aude: User) -> None:
    promoted(lasting)
    version = lasting.version()
    promoted(lasting, version, target="champion", target_kind="alias")
    catalog.transition_stage(actor=actor(lasting.dana), model_name="credit.risk", version=version.number, stage="Staging")
    opened = report(aude, "incident", detail="INC-9")
    assert [(r.version.number, r.target) for r in opened] == [(1, "Production"), (2, "champion")]
    assert report(aude, "incident", detail="INC-10") == []  # open already
    assert [(r.version.number, r.target, r.detail) for r in report(aude, version=2, detail="PSI")] == [(2, "champion", "PSI")]
    publish(pat, "validity: {re_review_on: [vulnerability]}\n")
    ReReview.objects.update(closed_at=timezone.now())
    assert report(aude, "incident") == []
    assert len(report(aude, "vulnerability")) == 2
    assert opened[0].opened_by == aude


@pytest.mark.parametrize(
    ("roles", "right", "service", "allowed"),
    [
        (("auditor",), "", False, {"drift", "vulnerability", "incident"}),
        (("platform-admin",), "", False, {"drift", "vulnerability", "incident"}),
        (("data-scientist",), "model_manage", False, {"drift", "vulnerability", "incident"}),
        (("data-scientist",), "model_write", False, set()),
        (("reviewer",), "", False, set()),
        (("incident-responder",), "", False, set()),
        (("data-scientist",), "model_write", True, {"drift", "vulnerability"}),
        (("data-scientist",), "model_read", True, set()),
    ],
)
def test_who_may_report_what(lasting: World, roles: tuple[str, ...], right: str, service: bool, allowed: set[str]) -> None:
    version = promoted(lasting).version
    if service:
        reporter = core_commands.ensure_user(actor=ROOT, username="monitor", roles=list(roles), service_of="dana")
    else:
        reporter = person("otto", *roles)
    if right:
        grant(version.model, right, users=[reporter.pk])
    for cause in ("drift", "vulnerability", "incident"):
        if cause in allowed:
            assert len(report(reporter, cause)) == 1
        else:
            with pytest.raises(Denied):
                report(reporter, cause)
    assert len(still_open()) == len(allowed)


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"cause": "clock"}, Invalid, "no event 'clock' to report"),
        ({"cause": "tier_changed"}, Invalid, "there are dataset_recalled"),
        ({"detail": " "}, Invalid, "Say what happened"),
        ({"detail": "x" * 10_001}, Invalid, "at most 10000"),
        ({"dataset": "validation@v1"}, Invalid, "goes with dataset_recalled"),
        ({"cause": "dataset_recalled"}, Invalid, "Name the data set"),
        ({"cause": "dataset_recalled", "dataset": "no-such@v1"}, NotFound, "No lineage knows"),
        ({"version": 9}, NotFound, "no version 9"),
        ({"model": "no.such"}, NotFound, "no registered model"),
    ],
)
def test_what_makes_no_sense_is_refused(
    lasting: World, aude: User, options: dict[str, Any], kind: type[Exception], message: str
) -> None:
    promoted(lasting)
    with pytest.raises(kind, match=message):
        report(aude, **options)
    assert still_open() == []


def test_who_may_not_see_the_model_learns_nothing(lasting: World, mallory: User) -> None:
    promoted(lasting)
    with pytest.raises(NotFound):
        report(mallory)
    assert list(operations.re_reviews(actor(mallory))) == []


def trained_on(world: World, dataset: DatasetInput, model: str) -> ModelVersion:
    """Register a version from a logged model's run that used this data."""
    who = actor(world.dana)
    run = create_run(actor=who, experiment_id=0).run_id
    log_inputs(actor=who, run_id=run, datasets=[dataset])
    content = f"n: {run}\n".encode()
    put_run_artifact(actor=who, run_id=run, path="model/MLmodel", stream=io.BytesIO(content), expected_bytes=len(content))
    return registry_commands.register_version(actor=who, model_name=model, source=f"runs:/{run}/model", run_id=run)


def test_a_recalled_data_set_concerns_every_model_in_use_that_was_trained_or_measured_on_it(
    lasting: World, pat: User, aude: User, ravi: User
) -> None:
    loans, other = DatasetInput("loans", "1a2b"), DatasetInput("loans", "ffff")
    for name in ("credit.one", "credit.two", "credit.three", "credit.four"):
        registry_commands.create_model(actor=actor(lasting.dana), name=name)
    promoted(lasting, trained_on(lasting, loans, "credit.one"))
    promoted(lasting, trained_on(lasting, other, "credit.two"))
    trained_on(lasting, loans, "credit.three")  # stands nowhere
    promoted(lasting, trained_on(lasting, loans, "credit.four"), target="champion", target_kind="alias")
    copied = registry_commands.register_version(
        actor=actor(lasting.dana), model_name="credit.risk", source="models:/credit.three/1"
    )
    promoted(lasting, copied)

    opened = report(aude, "dataset_recalled", model="credit.two", dataset="loans 1a2b", detail="Consent withdrawn.")
    assert sorted((r.model.name, r.target) for r in opened) == [
        ("credit.four", "champion"), ("credit.one", "Production"), ("credit.risk", "Production")
    ]  # fmt: skip
    assert {r.detail for r in opened} == {"loans 1a2b: Consent withdrawn."}
    assert report(aude, "dataset_recalled", model="credit.two", dataset="loans 1a2b") == []
    ReReview.objects.update(closed_at=timezone.now())

    # Every version was measured on the validation data.
    assert len(report(aude, "dataset_recalled", dataset="validation@v1")) == 4
    ReReview.objects.update(closed_at=timezone.now())
    assert len(report(aude, "dataset_recalled", dataset="dataset:validation@v1")) == 4
    ReReview.objects.update(closed_at=timezone.now())

    # Who manages one model speaks for that one only.
    owner = person("otto", "data-scientist")
    grant(RegisteredModel.objects.get(name="credit.one"), "model_manage", users=[owner.pk])
    (only,) = report(owner, "dataset_recalled", model="credit.one", dataset="validation@v1")
    assert only.model.name == "credit.one"


def test_which_models_a_recall_concerns_is_found_by_one_walk(lasting: World, aude: User) -> None:
    def statements() -> int:
        with CaptureQueriesContext(connection) as seen:
            report(aude, "dataset_recalled", dataset="validation@v1", detail="x")
        return sum("RECURSIVE" in query["sql"] for query in seen)

    promoted(lasting)
    assert statements() == 1
    for i in range(3):
        registry_commands.create_model(actor=actor(lasting.dana), name=f"credit.{i}")
        promoted(lasting, lasting.version(model=f"credit.{i}"))
    assert statements() == 1
    assert len(still_open()) == 4


# Beside emergencies and rollbacks.


def test_what_an_emergency_displaced_is_reviewed_again_when_it_comes_back(lasting: World, aude: User) -> None:
    ines, ivo = person("ines", "incident-responder"), person("ivo", "incident-responder")
    promoted(lasting)
    report(aude, "incident", version=1)
    row = confirm(ivo, ask_emergency(ines, lasting.version()))
    tasks.due_re_reviews()
    assert still_open() == [(1, "Production", "incident")]
    report(aude, "dataset_recalled", dataset="validation@v1")
    assert still_open()[1:] == [(1, "Production", "dataset_recalled")]
    revert(actor(ines), row)
    tasks.due_re_reviews()
    assert len(still_open()) == 2 and holding() == [1]


def test_the_clock_does_not_ask_for_what_stands_somewhere_by_emergency(lasting: World) -> None:
    ines, ivo = person("ines", "incident-responder"), person("ivo", "incident-responder")
    with at(START):
        promoted(lasting)
        first = ModelVersion.objects.get(number=1)
        promoted(lasting)
    with at(LAPSE - timedelta(minutes=5)):
        row = confirm(ivo, ask_emergency(ines, first))
    with at(LAPSE + timedelta(minutes=5)):
        tasks.due_re_reviews()
        assert (holding(), still_open()) == ([1], [])
        revert(actor(ines), row)
        tasks.due_re_reviews()
        assert (holding(), still_open()) == ([2], [(2, "Production", "clock")])


def test_the_request_that_gave_a_version_its_place_is_found(lasting: World) -> None:
    with at(START):
        first = promoted(lasting)
        assert earlier_request(first.version, target_kind="stage", target="Production") == first
    with at(START + timedelta(days=1)):
        promoted(lasting, first.version, kind="re_review")
        assert earlier_request(first.version, target_kind="stage", target="Production") == first
        promoted(lasting)
        back = promoted(lasting, first.version, kind="rollback")
        assert earlier_request(first.version, target_kind="stage", target="Production") == back
        assert earlier_request(first.version, target_kind="alias", target="champion") is None
        assert holding() == [1]


@pytest.mark.django_db(transaction=True)
def test_of_two_who_report_the_same_at_once_one_opens_it() -> None:
    world = build(person("dana", "data-scientist"), person("pat", "platform-admin"))
    publish(world.pat)
    promoted(world)
    reporters = [person("aude", "auditor"), person("amos", "auditor")]
    opened = at_once(*(lambda who=who: report(who) for who in reporters))
    assert sorted(len(rows) for rows in opened) == [0, 1]
    assert (still_open(), events("opened")) == ([(1, "Production", "drift")], 1)


@pytest.mark.django_db(transaction=True)
def test_two_beats_at_once_escalate_once() -> None:
    world = build(person("dana", "data-scientist"), person("pat", "platform-admin"))
    publish(world.pat)
    promoted(world)
    report(world.pat)
    ReReview.objects.update(due_at=timezone.now())
    at_once(tasks.due_re_reviews, tasks.due_re_reviews)
    assert (events("overdue"), FindingRecord.objects.count()) == (1, 1)
