"""Waivers: who may ask, who may rule, what they let pass, and what happens when they end."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from core import commands as core_commands
from core.access import SYSTEM, grant
from core.errors import Conflict, Denied, DomainError, Invalid, NotFound
from core.models import AuditEvent, Job, User
from governance.commands.policies import publish_policy
from governance.models import FindingRecord, Waiver, WaiverRuling
from registry.models import RegisteredModel
from tests.cast import ROOT, actor, person
from tests.workflows.conftest import POLICY, World
from tests.workflows.test_races import at_once
from workflows.assessment import assess
from workflows.commands import execution, waivers
from workflows.commands import requests as request_commands
from workflows.commands import reviews as review_commands
from workflows.lifecycle import ADVANCE
from workflows.models import Delegation, Notification, PromotionRequest, ReReview
from workflows.queries import risk as risk_queries

Reviewing = Callable[..., Any]
pytestmark = pytest.mark.django_db

WAIVABLE = POLICY.replace(
    "steps:\n",
    """\
  - {id: digest, title: Digest, how_to_satisfy: Register again., satisfied_if: version.digest != "", waivable: false}
waivers: {approved_by: model-risk, max_days: 90}
validity: {re_review_on: [waiver_expired]}
steps:
""",
)


@pytest.fixture
def world(world: World) -> World:
    publish_policy(actor=actor(world.pat), document=WAIVABLE)
    return world


@pytest.fixture
def mark(db: None) -> User:
    """A person of the group that rules on waivers."""
    return person("mark", "reviewer", groups=("model-risk",))


def asking(user: User, **changes: Any) -> Waiver:
    given: dict[str, Any] = {
        "model_name": "credit.risk",
        "version": 1,
        "policy": "credit",
        "requirement": "roc-auc",
        "reason": "The new bureau data arrive in May.",
        "compensating_control": "Limits are halved until then.",
        "expires_at": timezone.now() + timedelta(days=60),
        **changes,
    }
    return waivers.request_waiver(actor=actor(user), **given)


def ruling(user: User, waiver: Waiver, verdict: str = "approved", comment: str = "Acceptable for the time.") -> WaiverRuling:
    return waivers.rule_waiver(actor=actor(user), waiver_id=waiver.pk, verdict=verdict, comment=comment)


def state(waiver: Waiver) -> str:
    return risk_queries.waiver_rows([Waiver.objects.get(pk=waiver.pk)])[0].state


def outcome(request: PromotionRequest, requirement: str = "roc-auc") -> tuple[str, int | None]:
    (result,) = (r for r in assess(request).verdict.requirements if r.id == requirement)
    return result.state.value, result.waiver


def end(waiver: Waiver) -> None:
    """Let a waiver's time have passed, by going around the trigger that keeps the row as it is."""
    with connection.cursor() as cursor:
        off, on = "SET session_replication_role = replica", "SET session_replication_role = DEFAULT"
        if connection.vendor == "sqlite":
            cursor.execute("SELECT sql FROM sqlite_master WHERE name = 'governance_waiver_no_update'")
            off, on = "DROP TRIGGER governance_waiver_no_update", cursor.fetchone()[0]
        cursor.execute(off)
        now = timezone.now()
        Waiver.objects.filter(pk=waiver.pk).update(requested_at=now - timedelta(days=60), expires_at=now - timedelta(seconds=1))
        cursor.execute(on)


def in_production(world: World, reviewers: list[User], waiver_by: User) -> tuple[PromotionRequest, Waiver]:
    """Return a request that was carried out although its ROC AUC falls short, and the waiver that let it."""
    request = world.in_review(auc=0.61)
    waiver = asking(world.dana, version=request.version.number)
    ruling(waiver_by, waiver)
    for reviewer in reviewers:
        review_commands.submit_review(
            actor=actor(reviewer), request_id=request.pk, verdict="approve", comment="With halved limits."
        )
    execution.execute_request(actor=SYSTEM, request_id=request.pk)
    request.refresh_from_db()
    assert request.state == "done"
    return request, waiver


def test_an_approved_waiver_lets_its_requirement_be_missed_and_no_other(
    world: World, dana: User, mark: User, ravi: User, rosa: User, review: Reviewing
) -> None:
    request = world.in_review(auc=0.61)
    assert outcome(request) == ("unsatisfied", None)
    waiver = asking(dana)
    assert outcome(request) == ("unsatisfied", None)
    assert ruling(mark, waiver).verdict == "approved"
    assert outcome(request) == ("waived", waiver.pk)
    assert outcome(request, "digest") == ("satisfied", None)
    with pytest.raises(Invalid):
        review(ravi, request)
    review(ravi, request, comment="With halved limits.")
    review(rosa, request, comment="Likewise.")
    request.refresh_from_db()
    assert request.state == "approved"
    events = AuditEvent.objects.filter(subject_type="waiver", subject_id=str(waiver.pk)).order_by("id")
    assert list(events.values_list("action", "actor")) == [("waiver.requested", "dana"), ("waiver.approved", "mark")]


def test_a_refused_waiver_changes_nothing(world: World, dana: User, mark: User) -> None:
    request = world.in_review(auc=0.61)
    waiver = asking(dana)
    ruling(mark, waiver, "refused", "Improve the model.")
    assert (outcome(request), state(waiver)) == (("unsatisfied", None), "refused")
    assert AuditEvent.objects.get(subject_type="waiver", action="waiver.refused").actor == "mark"
    assert asking(dana).pk != waiver.pk


def test_a_waiver_of_a_model_counts_for_every_version_and_one_of_a_version_for_it_alone(
    world: World, dana: User, mark: User
) -> None:
    first = world.in_review(auc=0.61)
    ruling(mark, asking(dana))
    request_commands.withdraw_request(actor=actor(dana), request_id=first.pk)
    second = world.in_review(auc=0.61)
    assert outcome(second) == ("unsatisfied", None)
    whole = asking(dana, version=None)
    ruling(mark, whole)
    assert outcome(second) == ("waived", whole.pk)


@pytest.mark.parametrize(
    ("changes", "error", "says"),
    [
        ({"reason": " "}, Invalid, "Say why"),
        ({"compensating_control": ""}, Invalid, "compensating control"),
        ({"requirement": "nothing"}, Invalid, "it has roc-auc"),
        ({"requirement": "digest"}, Conflict, "does not let digest be waived"),
        ({"policy": "none-such"}, NotFound, "no policy"),
        ({"version": 9}, NotFound, "no version 9"),
        ({"model_name": "no-such"}, NotFound, "no registered model"),
        ({"expires_at": timezone.now() - timedelta(days=1)}, Invalid, "in the future"),
        ({"expires_at": timezone.now() + timedelta(days=91)}, Invalid, "90 days at most"),
    ],
)
def test_a_waiver_needs_reason_control_end_and_something_that_can_be_waived(
    world: World, dana: User, changes: dict[str, Any], error: type[DomainError], says: str
) -> None:
    world.version()
    with pytest.raises(error, match=says):
        asking(dana, **changes)
    assert not Waiver.objects.exists()
    assert asking(dana, expires_at=timezone.now() + timedelta(days=90) - timedelta(minutes=1)).scope == "version"


def test_a_policy_without_waivers_takes_none(world: World, dana: User, pat: User) -> None:
    world.version()
    publish_policy(actor=actor(pat), document=POLICY + "description: As it was.\n")
    with pytest.raises(Conflict) as refused:
        asking(dana)
    assert refused.value.code == "not_waivable"


def test_the_revision_an_open_request_pins_says_what_may_be_waived(world: World, dana: User, pat: User, mark: User) -> None:
    pinned = world.in_review(auc=0.61)
    publish_policy(actor=actor(pat), document=WAIVABLE.replace("max_days: 90", "max_days: 7"))
    assert asking(dana, version=pinned.version.number).pk
    other = world.version()
    with pytest.raises(Invalid, match="7 days at most"):
        asking(dana, version=other.number)
    request_commands.withdraw_request(actor=actor(dana), request_id=pinned.pk)
    with pytest.raises(Invalid, match="7 days at most"):
        ruling(mark, Waiver.objects.get())


def test_who_may_write_the_model_may_ask_and_nobody_else(world: World, dana: User, ravi: User, mallory: User) -> None:
    world.version()
    with pytest.raises(Denied):
        asking(ravi)
    with pytest.raises(NotFound):
        asking(mallory)
    assert asking(dana).requested_by == dana


def test_one_of_a_kind_is_undecided_at_a_time(world: World, dana: User, mark: User) -> None:
    world.version()
    first = asking(dana)
    with pytest.raises(Conflict) as refused:
        asking(dana)
    assert refused.value.details["waiver"] == first.pk
    assert asking(dana, version=None).pk
    ruling(mark, first)
    renewal = asking(dana)
    waivers.revoke_waiver(actor=actor(dana), waiver_id=renewal.pk, comment="A mistake in the reason.")
    assert state(renewal) == "revoked"
    late = asking(dana)
    end(late)
    assert asking(dana).pk


@pytest.mark.parametrize("who", ["outside the group", "superuser", "requester", "maker", "asked for the promotion", "reviewer",
                                 "stood in for", "service account", "answers for the requester"])  # fmt: skip
def test_nobody_near_to_what_is_waived_rules_on_it(
    world: World, dana: User, ravi: User, mark: User, review: Reviewing, who: str
) -> None:
    model = RegisteredModel.objects.get(name="credit.risk")
    request = world.in_review(auc=0.61)
    near = person(
        "nora", "reviewer", "data-scientist", groups=() if who in ("outside the group", "superuser") else ("model-risk",)
    )
    requester: User = dana
    if who == "superuser":
        User.objects.filter(pk=near.pk).update(is_superuser=True, is_staff=True)
    if who in ("requester", "maker", "asked for the promotion"):
        grant(model, "model_write", users=[near.pk])
    if who == "requester":
        requester = near
    if who == "maker":
        request_commands.withdraw_request(actor=actor(dana), request_id=request.pk)
        version = world.version(owner=near)
        request = world.ask(version)
    if who == "asked for the promotion":
        request_commands.withdraw_request(actor=actor(dana), request_id=request.pk)
        request = request_commands.request_promotion(
            actor=actor(near), model_name="credit.risk", version=1, target="Production", reason="Better."
        )
    if who == "reviewer":
        review(near, request, comment="Fine.")
    if who == "stood in for":
        now = timezone.now()
        Delegation.objects.create(
            delegator=near, delegate=ravi, reason="Leave.", starts_at=now - timedelta(days=1), ends_at=now + timedelta(days=1),
            created_by=near,
        )  # fmt: skip
        review_commands.submit_review(
            actor=actor(ravi), request_id=request.pk, verdict="approve", comment="For Nora.", on_behalf_of="nora"
        )
    if who in ("service account", "answers for the requester"):
        robot = core_commands.ensure_user(actor=ROOT, username="robot", groups=["model-risk"], service_of="nora")
        if who == "service account":
            near = robot
            grant(model, "model_read", users=[robot.pk])
        else:
            grant(model, "model_write", users=[robot.pk])
            requester = robot
    waiver = asking(requester, version=request.version.number)
    for verdict in ("approved", "refused"):
        with pytest.raises(Denied) as refused:
            ruling(near, waiver, verdict)
    if who not in ("outside the group", "superuser", "service account"):
        assert refused.value.code == "separation_of_duties"
    assert not WaiverRuling.objects.exists()
    assert ruling(mark, waiver).ruled_by == mark


def test_who_made_what_a_waiver_of_the_whole_model_would_help_does_not_rule_on_it(world: World, dana: User, mark: User) -> None:
    maker = person("mira", "data-scientist", groups=("model-risk",))
    grant(RegisteredModel.objects.get(name="credit.risk"), "model_write", users=[maker.pk])
    world.version(owner=maker)
    newest = world.version()
    own = asking(dana, version=newest.number)
    request = request_commands.request_promotion(
        actor=actor(dana), model_name="credit.risk", version=1, target="Production", reason="Better."
    )
    whole = asking(dana, version=None)
    with pytest.raises(Denied, match="registered this version"):
        ruling(maker, whole)
    assert ruling(maker, own).verdict == "approved"
    request_commands.withdraw_request(actor=actor(dana), request_id=request.pk)
    assert ruling(maker, whole).verdict == "approved"


def test_who_abstained_may_rule(world: World, dana: User, mark: User, review: Reviewing) -> None:
    request = world.in_review(auc=0.61)
    waiver = asking(dana)
    review(mark, request)
    with pytest.raises(Denied, match=request.reference):
        ruling(mark, waiver)
    review(mark, request, "abstain")
    assert ruling(mark, waiver).verdict == "approved"


def test_who_waived_or_asked_for_it_cannot_review(world: World, dana: User, mark: User, ravi: User, review: Reviewing) -> None:
    request = world.in_review(auc=0.61)
    ruling(mark, asking(dana))
    with pytest.raises(Denied, match="approved the waiver of roc-auc") as refused:
        review(mark, request, comment="Fine.")
    assert refused.value.code == "separation_of_duties"
    assert review(ravi, request, comment="Fine.").verdict == "approve"


def test_a_ruling_needs_a_verdict_and_a_comment_and_comes_once(world: World, dana: User, mark: User) -> None:
    world.version()
    waiver = asking(dana)
    with pytest.raises(Invalid, match="Say why"):
        ruling(mark, waiver, comment=" ")
    for verdict in ("revoked", "expired", "maybe"):
        with pytest.raises(Invalid):
            ruling(mark, waiver, verdict)
    ruling(mark, waiver)
    for verdict in ("approved", "refused"):
        with pytest.raises(Conflict) as refused:
            ruling(person("max", "reviewer", groups=("model-risk",)), waiver, verdict)
        assert refused.value.code == "ruled"


def test_a_waiver_that_ended_before_the_ruling_is_not_ruled_on(world: World, dana: User, mark: User) -> None:
    world.version()
    waiver = asking(dana)
    end(waiver)
    with pytest.raises(Conflict) as refused:
        ruling(mark, waiver)
    assert refused.value.code == "waiver_ended"
    assert (state(waiver), waivers.expire_waivers()) == ("expired", 0)


def test_a_waiver_one_may_not_see_is_not_there(world: World, dana: User, mallory: User) -> None:
    world.version()
    waiver = asking(dana)
    hidden = person("hal", groups=("model-risk",))
    for user in (mallory, hidden):
        for act in (
            lambda who=user: ruling(who, waiver),
            lambda who=user: waivers.revoke_waiver(actor=actor(who), waiver_id=waiver.pk, comment="x"),
            lambda who=user: risk_queries.waiver(actor(who), waiver.pk),
        ):
            with pytest.raises(NotFound):
                act()
    with pytest.raises(NotFound):
        ruling(dana, Waiver(pk=999))


def test_revoking_ends_a_waiver_at_once_and_asks_for_what_its_end_asks_for(
    world: World, dana: User, ravi: User, rosa: User, mark: User, aude: User
) -> None:
    request, waiver = in_production(world, [ravi, rosa], mark)
    for user in (ravi, aude):
        with pytest.raises(Denied):
            waivers.revoke_waiver(actor=actor(user), waiver_id=waiver.pk, comment="No.")
    with pytest.raises(Invalid, match="Say why"):
        waivers.revoke_waiver(actor=actor(mark), waiver_id=waiver.pk, comment="")
    waivers.revoke_waiver(actor=actor(mark), waiver_id=waiver.pk, comment="Limits were not halved.")
    assert state(waiver) == "revoked"
    finding = FindingRecord.objects.get()
    assert (finding.key, finding.source, finding.version) == (f"waiver:{waiver.pk}", "waiver", request.version)
    assert ReReview.objects.get().cause == "waiver_expired"
    with pytest.raises(Conflict) as refused:
        waivers.revoke_waiver(actor=actor(mark), waiver_id=waiver.pk, comment="Again.")
    assert refused.value.code == "not_in_force"


def test_an_approval_that_stood_on_a_waiver_falls_with_it(
    world: World, dana: User, ravi: User, rosa: User, mark: User, review: Reviewing
) -> None:
    request = world.in_review(auc=0.61)
    waiver = asking(dana)
    ruling(mark, waiver)
    review(ravi, request, comment="With halved limits.")
    review(rosa, request, comment="Likewise.")
    request.refresh_from_db()
    assert request.state == "approved"
    end(waiver)
    execution.execute_request(actor=SYSTEM, request_id=request.pk)  # before anybody noted the end
    request.refresh_from_db()
    assert (request.state, outcome(request)) == ("in_review", ("unsatisfied", None))


def test_who_may_write_the_model_may_give_a_waiver_up(world: World, dana: User, mark: User) -> None:
    world.version()
    waiver = asking(dana)
    ruling(mark, waiver)
    assert waivers.revoke_waiver(actor=actor(dana), waiver_id=waiver.pk, comment="The data came.").verdict == "revoked"
    assert not FindingRecord.objects.exists()  # nothing stood on it


def test_the_end_is_noted_once_with_a_finding_and_a_re_review(
    world: World, dana: User, ravi: User, rosa: User, mark: User
) -> None:
    request, waiver = in_production(world, [ravi, rosa], mark)
    assert waivers.expire_waivers(actor=SYSTEM) == 0
    end(waiver)
    assert (waivers.expire_waivers(actor=SYSTEM), waivers.expire_waivers(actor=SYSTEM)) == (1, 0)
    assert state(waiver) == "expired"
    assert AuditEvent.objects.filter(action="waiver.expired", subject_id=str(waiver.pk)).count() == 1
    finding = FindingRecord.objects.get()
    assert (finding.key, finding.source, finding.severity, finding.status) == (f"waiver:{waiver.pk}", "waiver", "high", "open")
    assert (finding.owner, finding.raised_by, finding.version) == (dana, None, request.version)
    assert "Production" in finding.description and "0.61" in finding.description
    again = ReReview.objects.get()
    assert (again.cause, again.version, again.target) == ("waiver_expired", request.version, "Production")
    assert f"waiver {waiver.pk}" in again.detail
    assert Notification.objects.filter(user=dana, kind="waiver", text__contains="has ended").count() == 1


def test_an_end_without_consequence_leaves_no_finding(world: World, dana: User, ravi: User, rosa: User, mark: User) -> None:
    _, waiver = in_production(world, [ravi, rosa], mark)
    renewal = asking(dana, version=None)
    ruling(mark, renewal)
    end(waiver)
    assert waivers.expire_waivers() == 1
    assert (FindingRecord.objects.count(), ReReview.objects.count()) == (0, 0)
    waivers.revoke_waiver(actor=actor(mark), waiver_id=renewal.pk, comment="Enough.")
    assert FindingRecord.objects.get().key == f"waiver:{renewal.pk}"


def test_no_re_review_is_opened_where_the_policy_does_not_ask_for_it(
    world: World, dana: User, pat: User, ravi: User, rosa: User, mark: User
) -> None:
    publish_policy(actor=actor(pat), document=WAIVABLE.replace("validity: {re_review_on: [waiver_expired]}\n", ""))
    _, waiver = in_production(world, [ravi, rosa], mark)
    end(waiver)
    assert waivers.expire_waivers() == 1
    assert (FindingRecord.objects.count(), ReReview.objects.count()) == (1, 0)


def test_people_who_rule_are_told_and_open_requests_judged_again(world: World, dana: User, mark: User, ravi: User) -> None:
    request = world.in_review(auc=0.61)

    def woken() -> int:
        return Job.objects.filter(name=ADVANCE, arguments={"request_id": request.pk}, state="queued").delete()[0]

    woken()
    waiver = asking(dana)
    assert list(Notification.objects.filter(kind="waiver").values_list("user__username", flat=True)) == ["mark"]
    assert woken() == 1
    ruling(mark, waiver)
    assert woken() == 1
    assert Notification.objects.filter(kind="waiver", user=dana, text__contains="was approved").count() == 1
    waivers.revoke_waiver(actor=actor(mark), waiver_id=waiver.pk, comment="No.")
    assert woken() == 1


def test_the_register_is_filtered_and_shows_only_what_one_may_see(
    world: World, dana: User, mark: User, mallory: User, django_assert_num_queries: Any
) -> None:
    world.version()
    world.version()
    made = {"in_force": asking(dana), "refused": asking(dana, version=2), "revoked": asking(dana, version=None)}
    ruling(mark, made["in_force"])
    ruling(mark, made["refused"], "refused")
    ruling(mark, made["revoked"])
    waivers.revoke_waiver(actor=actor(mark), waiver_id=made["revoked"].pk, comment="No.")
    made["expired"] = asking(dana, version=None)
    end(made["expired"])
    made["undecided"] = asking(dana, version=2)
    for wanted in risk_queries.WAIVER_STATES:
        rows = risk_queries.waivers(actor(dana), state=wanted)
        assert [(r.id, r.state) for r in risk_queries.waiver_rows(rows)] == [(made[wanted].pk, wanted)]
    of_second = risk_queries.waivers(actor(dana), model="credit.risk", version=2, policy="credit", requirement="roc-auc")
    assert {w.pk for w in of_second} == {made[name].pk for name in ("refused", "revoked", "expired", "undecided")}
    assert list(risk_queries.waivers(actor(mallory))) == []
    me = actor(dana)
    with django_assert_num_queries(2):
        assert len(risk_queries.waiver_rows(risk_queries.waivers(me))) == 5
    row = risk_queries.waiver(actor(dana), made["revoked"].pk)
    assert [(r.verdict, r.by) for r in row.rulings] == [("approved", "mark"), ("revoked", "mark")]


def test_the_database_keeps_waivers_and_rulings_as_they_are(world: World, dana: User, mark: User) -> None:
    world.version()
    waiver = asking(dana)
    ruling(mark, waiver)
    for wrong in (
        lambda: WaiverRuling.objects.create(waiver=waiver, verdict="refused", ruled_by=mark),
        lambda: WaiverRuling.objects.create(waiver=waiver, verdict="approved", ruled_by=mark),
        lambda: Waiver.objects.create(
            model=waiver.model, policy="credit", requirement="x", reason="x", compensating_control="x", requested_by=dana,
            requested_at=timezone.now(), expires_at=timezone.now() - timedelta(days=1),
        ),
        lambda: Waiver.objects.filter(pk=waiver.pk).update(expires_at=timezone.now() + timedelta(days=900)),
        lambda: WaiverRuling.objects.all().delete(),
    ):  # fmt: skip
        with pytest.raises(IntegrityError), transaction.atomic():
            wrong()
    assert WaiverRuling.objects.create(waiver=waiver, verdict="revoked", ruled_by=mark).pk


# Two people at the same instant.


@pytest.fixture
def crowd(transactional_db: None) -> Waiver:
    from tests.workflows.conftest import build

    world = build(person("dana", "data-scientist"), person("pat", "platform-admin"))
    publish_policy(actor=actor(world.pat), document=WAIVABLE)
    world.in_review(auc=0.61)
    return asking(world.dana)


def test_of_two_who_rule_at_once_one_does(crowd: Waiver) -> None:
    people = [person(f"m{i}", "reviewer", groups=("model-risk",)) for i in range(4)]
    results = at_once(*(lambda p=p, v=v: ruling(p, crowd, v) for p, v in zip(people, ("approved", "refused") * 2, strict=True)))
    assert sorted(type(r).__name__ for r in results) == ["Conflict", "Conflict", "Conflict", "WaiverRuling"]
    assert WaiverRuling.objects.count() == 1
    assert AuditEvent.objects.filter(action__in=["waiver.approved", "waiver.refused"]).count() == 1


def test_nobody_rules_and_reviews_at_once_and_has_both_count(crowd: Waiver) -> None:
    both = person("mark", "reviewer", groups=("model-risk",))
    request = PromotionRequest.objects.get()
    at_once(
        lambda: ruling(both, crowd),
        lambda: review_commands.submit_review(actor=actor(both), request_id=request.pk, verdict="approve", comment="Fine."),
    )
    counting = [review.reviewer for review in assess(request).facts.reviews if review.counts]
    approved = WaiverRuling.objects.filter(verdict="approved").exists()
    assert approved != bool(counting), (approved, counting)


def test_of_two_who_ask_for_the_same_at_once_one_does(crowd: Waiver) -> None:
    dana = User.objects.get(username="dana")
    waivers.revoke_waiver(actor=actor(dana), waiver_id=crowd.pk, comment="Anew.")
    results = at_once(*(lambda: asking(dana) for _ in range(3)))
    assert sorted(type(r).__name__ for r in results) == ["Conflict", "Conflict", "Waiver"]


def test_an_end_is_noted_once_by_two_beats(crowd: Waiver) -> None:
    ruling(person("mark", "reviewer", groups=("model-risk",)), crowd)
    end(crowd)
    assert sorted(at_once(waivers.expire_waivers, waivers.expire_waivers, waivers.expire_waivers)) == [0, 0, 1]
    assert WaiverRuling.objects.filter(verdict="expired").count() == 1
