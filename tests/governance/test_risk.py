"""Which waivers and findings the gate gets to see, at which time, and in how many statements."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from core import commands as core_commands
from core.models import User
from governance import risk
from governance.models import FindingRecord, Waiver, WaiverRuling
from registry import commands as registry_commands
from registry.models import ModelVersion, RegisteredModel
from tests.cast import ROOT, actor

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 3, 31, 23, 30, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture
def versions(dana: User) -> list[ModelVersion]:
    """Two versions of one model, and one of another."""
    made = []
    for name, number in (("credit", 1), ("credit", 2), ("other", 1)):
        model = RegisteredModel.objects.filter(name=name).first()
        model = model or registry_commands.create_model(actor=actor(dana), name=name)
        made.append(ModelVersion.objects.create(model=model, number=number, source="x", created_ms=0, updated_ms=0))
    return made


def waived(
    version: ModelVersion, by: User, *rulings: tuple[str, User | None, datetime], whole: bool = False, **given: Any
) -> Waiver:
    """Write a waiver with what was ruled on it."""
    waiver = Waiver.objects.create(
        model=version.model,
        version=None if whole else version,
        policy=given.get("policy", "credit"),
        requirement=given.get("requirement", "roc-auc"),
        reason="The data are late.",
        compensating_control="Half the limit.",
        requested_by=by,
        requested_at=NOW - 9 * DAY,
        expires_at=given.get("expires_at", NOW + DAY),
    )
    for verdict, user, at in rulings:
        WaiverRuling.objects.create(waiver=waiver, verdict=verdict, ruled_by=user, ruled_at=at)
    return waiver


def ids(version: ModelVersion, at: datetime = NOW) -> list[int]:
    return [fact.id for fact in risk.waiver_facts(version, at)]


def test_a_waiver_counts_from_its_approval_until_it_is_revoked_or_ends(
    versions: list[ModelVersion], dana: User, ravi: User
) -> None:
    approved = ("approved", ravi, NOW - 2 * DAY)
    one = waived(versions[0], dana, approved, ("revoked", ravi, NOW + DAY / 2))
    waived(versions[0], dana)
    waived(versions[0], dana, ("refused", ravi, NOW - DAY))
    assert ids(versions[0]) == [one.pk]
    assert ids(versions[0], NOW - 3 * DAY) == []
    assert ids(versions[0], NOW + DAY / 2) == []
    ending = waived(versions[1], dana, approved)
    assert ids(versions[1], ending.expires_at - timedelta(microseconds=1)) == [ending.pk]
    assert ids(versions[1], ending.expires_at) == []


def test_a_waiver_counts_for_its_version_or_for_every_version_of_its_model(
    versions: list[ModelVersion], dana: User, ravi: User
) -> None:
    approved = ("approved", ravi, NOW - DAY)
    own = waived(versions[0], dana, approved, expires_at=NOW + 2 * DAY)
    whole = waived(versions[0], dana, approved, whole=True)
    assert (ids(versions[0]), ids(versions[1]), ids(versions[2])) == ([whole.pk, own.pk], [whole.pk], [])
    (fact,) = risk.waiver_facts(versions[1], NOW)
    assert (fact.scope, fact.approved_by, fact.expires_at) == ("model", "ravi", "2026-04-01T23:30:00+00:00")
    assert (fact.policy, fact.requirement, fact.compensating_control) == ("credit", "roc-auc", "Half the limit.")


def test_hands_are_who_asked_who_approved_and_who_answers_for_them(
    versions: list[ModelVersion], dana: User, ravi: User, rosa: User
) -> None:
    robot = core_commands.ensure_user(actor=ROOT, username="ci", roles=["data-scientist"], service_of="rosa")
    waived(versions[0], robot, ("approved", ravi, NOW - DAY))
    waived(versions[0], dana, ("refused", rosa, NOW - DAY))
    waived(versions[0], dana, ("approved", ravi, NOW - DAY), policy="other", whole=True)
    assert risk.waiver_hands(versions[0], NOW, ["credit"]) == {
        "ravi": "approved the waiver of roc-auc (credit)",
        "ci": "asked for the waiver of roc-auc (credit)",
        "rosa": "answers for ci, who asked for the waiver of roc-auc (credit)",
    }
    assert sorted(risk.waiver_hands(versions[0], NOW)) == ["ci", "dana", "ravi", "rosa"]
    assert risk.waiver_hands(versions[2], NOW) == {}


def test_open_findings_are_those_of_every_version_and_late_from_the_day_after(versions: list[ModelVersion], ravi: User) -> None:
    def raised(version: ModelVersion, **given: Any) -> FindingRecord:
        return FindingRecord.objects.create(model=version.model, version=version, source="reviewer", severity="high", **given)

    late = raised(versions[0], title="Late", owner=ravi, due_on=date(2026, 3, 30))
    due = raised(versions[1], title="Due", due_on=date(2026, 3, 31))
    raised(versions[0], title="Closed", status="closed", due_on=date(2026, 3, 1))
    raised(versions[2], title="Of another model")
    first, second = risk.open_finding_facts(versions[0].model, NOW)
    assert (first.id, first.title, first.version, first.owner, first.due, first.overdue) == (
        late.pk, "Late", 1, "ravi", "2026-03-30", True,
    )  # fmt: skip
    assert (second.id, second.version, second.owner, second.overdue) == (due.pk, 2, "", False)
    assert [f.overdue for f in risk.open_finding_facts(versions[0].model, NOW + DAY / 2)] == [True, True]


def test_each_costs_one_statement(versions: list[ModelVersion], dana: User, ravi: User, django_assert_num_queries: Any) -> None:
    for _ in range(3):
        waived(versions[0], dana, ("approved", ravi, NOW - DAY))
        FindingRecord.objects.create(
            model=versions[0].model, version=versions[0], source="check", severity="low", title="x", owner=dana
        )
    for ask in (
        lambda: risk.waiver_facts(versions[0], NOW),
        lambda: list(risk.waiver_hands(versions[0], NOW)) * 2,
        lambda: risk.open_finding_facts(versions[0].model, NOW),
    ):
        with django_assert_num_queries(1):
            assert len(ask()) >= 3
