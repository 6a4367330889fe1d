"""Risk tiers: from answers, overridden by two people, and what a change of tier asks of what is in place."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import IntegrityError, transaction

from core import commands as core_commands
from core.access import SYSTEM, grant
from core.errors import Conflict, Denied, DomainError, Invalid, NotFound
from core.models import AuditEvent, Job, User
from governance.commands.policies import bind_policy, publish_policy
from governance.models import Decision, FindingRecord, QuestionnaireRevision, TierAssessment
from governance.questionnaire import bundled
from registry.models import RegisteredModel
from tests.cast import ROOT, actor, person
from tests.workflows.conftest import POLICY, World, build
from tests.workflows.test_races import at_once
from workflows.assessment import assess, recompute
from workflows.commands import catalog, execution, findings, tiers
from workflows.commands import reviews as review_commands
from workflows.lifecycle import ADVANCE
from workflows.models import ReReview
from workflows.queries import risk as risk_queries

pytestmark = pytest.mark.django_db

QUESTIONS = """\
kind: Questionnaire
name: short
title: Short
source: our own
questions:
  - id: exposure
    text: How much depends on it?
    choices:
      - {value: little, label: Little, points: 0}
      - {value: some, label: Some, points: 5}
      - {value: much, label: Much, points: 10}
  - id: people
    text: Does it decide about people?
    choices:
      - {value: no-one, label: About nobody, points: 0}
      - {value: customers, label: About customers, points: 1, at_least: medium}
tiers:
  - {tier: low, from: 0}
  - {tier: medium, from: 5}
  - {tier: high, from: 10}
"""
LOW = {"exposure": "little", "people": "no-one"}
MEDIUM = {"exposure": "some", "people": "no-one"}
HIGH = {"exposure": "much", "people": "customers"}

# What models of the tier high must meet besides: more, and reviewed by somebody else.
STRICT = POLICY.replace("name: credit", "name: strict", 1).replace("default: 0.7", "default: 0.9")
STRICT += "validity: {re_review_on: [tier_changed]}\n"
STRICT_BINDING = "kind: Binding\nname: strict\npolicy: strict\nmatch: {risk_tiers: [high]}\ntargets: {stages: [Production]}\n"


@pytest.fixture
def world(world: World) -> World:
    tiers.publish_questionnaire(actor=actor(world.pat), document=QUESTIONS)
    return world


def assessing(user: User, answers: dict[str, str] = HIGH, **given: Any) -> TierAssessment:
    return tiers.assess_tier(
        actor=actor(user), **{"model_name": "credit.risk", "questionnaire": "short", "answers": answers, **given}
    )


def ruling(user: User, assessment: TierAssessment, verdict: str = "confirmed", comment: str = "Agreed.") -> TierAssessment:
    return tiers.rule_tier_override(actor=actor(user), assessment_id=assessment.pk, verdict=verdict, comment=comment)


def tier() -> str:
    return RegisteredModel.objects.get(name="credit.risk").risk_tier


def recorded(*actions: str) -> list[str]:
    return list(AuditEvent.objects.filter(action__in=actions).order_by("id").values_list("action", flat=True))


def by_hand(user: User, wanted: str) -> None:
    catalog.update_model(actor=actor(user), model_name="credit.risk", risk_tier=wanted)


def in_production(world: World, reviewers: list[User]) -> None:
    request = world.in_review()
    for reviewer in reviewers:
        review_commands.submit_review(actor=actor(reviewer), request_id=request.pk, verdict="approve")
    execution.execute_request(actor=SYSTEM, request_id=request.pk)


def bind_strict(pat: User) -> None:
    publish_policy(actor=actor(pat), document=STRICT)
    bind_policy(actor=actor(pat), document=STRICT_BINDING)


def test_a_questionnaire_is_published_in_revisions(world: World, pat: User, dana: User) -> None:
    again = tiers.publish_questionnaire(actor=actor(pat), document=QUESTIONS)
    assert (again.number, again.published_by) == (1, pat)
    changed = QUESTIONS.replace("points: 5", "points: 6")
    assert tiers.publish_questionnaire(actor=actor(pat), document=changed).number == 2
    with pytest.raises(Denied):
        tiers.publish_questionnaire(actor=actor(dana), document=QUESTIONS)
    with pytest.raises(Invalid) as refused:
        tiers.publish_questionnaire(actor=actor(pat), document=QUESTIONS.replace("from: 5", "from: 12"))
    assert refused.value.code == "malformed_questionnaire"
    assert refused.value.details["mistakes"][0]["line"] > 15
    assert recorded("questionnaire.published") == ["questionnaire.published"] * 2


def test_every_bundled_questionnaire_can_be_published_and_is_listed_before_it_is(
    world: World, pat: User, dana: User, mallory: User
) -> None:
    listed = {row.name: row.number for row in risk_queries.questionnaires(actor(dana))}
    assert listed == {"short": 1, **dict.fromkeys(bundled(), 0)}
    for document in bundled().values():
        tiers.publish_questionnaire(actor=actor(pat), document=document)
    assert {row.number for row in risk_queries.questionnaires(actor(dana))} == {1}
    assert risk_queries.questionnaire(actor(dana), "materiality").published_by == "pat"
    with pytest.raises(NotFound):
        risk_queries.questionnaire(actor(dana), "none-such")
    with pytest.raises(Denied):
        risk_queries.questionnaires(actor(mallory))


def test_answers_give_the_tier_at_once_and_can_be_read_with_it_later(world: World, dana: User, pat: User) -> None:
    assert tier() == "medium"
    assessing(dana)
    assert tier() == "high"
    assert recorded("tier.assessed", "model.updated") == ["tier.assessed", "model.updated"]
    tiers.publish_questionnaire(actor=actor(pat), document=QUESTIONS.replace("Little", "Next to nothing"))
    assessing(dana, LOW)
    assert tier() == "low"
    shown = risk_queries.model_tier(actor(dana), "credit.risk")
    assert (shown.tier, [(a.tier, a.score, a.questionnaire_number) for a in shown.history]) == (
        "low", [("low", 0, 2), ("high", 11, 1)],
    )  # fmt: skip
    assert [(a.text, a.label, a.points) for a in shown.history[1].answers] == [
        ("How much depends on it?", "Much", 10),
        ("Does it decide about people?", "About customers", 1),
    ]
    assert shown.history[1].reasons[0] == "11 points in sum: high begins at 10"


def test_only_who_manages_the_model_assesses_it(world: World, dana: User, ravi: User, mallory: User) -> None:
    writer = person("will", "data-scientist")
    grant(RegisteredModel.objects.get(name="credit.risk"), "model_write", users=[writer.pk])
    for user in (writer, ravi):
        with pytest.raises(Denied):
            assessing(user)
    with pytest.raises(NotFound):
        assessing(mallory)
    assert not TierAssessment.objects.exists()
    assert assessing(dana).assessed_by == dana


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"questionnaire": "none-such"}, NotFound),
        ({"answers": {"exposure": "much"}}, Invalid),
        ({"answers": {**HIGH, "exposure": "huge"}}, Invalid),
        ({"answers": {**HIGH, "colour": "red"}}, Invalid),
        ({"override_tier": "none", "override_reason": "x"}, Invalid),
        ({"override_tier": "high", "override_reason": "x"}, Invalid),
        ({"override_tier": "low", "override_reason": " "}, Invalid),
        ({"override_reason": "x"}, Invalid),
    ],
)
def test_what_makes_no_sense_is_not_assessed(world: World, dana: User, given: dict[str, Any], error: type[DomainError]) -> None:
    with pytest.raises(error):
        assessing(dana, **given)
    assert (TierAssessment.objects.count(), tier()) == (0, "medium")


def test_wrong_answers_are_told_one_by_one(world: World, dana: User) -> None:
    with pytest.raises(Invalid) as refused:
        assessing(dana, {"exposure": "huge"})
    assert sorted(refused.value.details["answers"]) == ["exposure", "people"]


def test_another_tier_than_the_answers_give_holds_once_a_second_person_confirms_it(world: World, dana: User, ravi: User) -> None:
    assessment = assessing(dana, MEDIUM, override_tier="high", override_reason="Soon used for pricing too.")
    assert (tier(), assessment.tier) == ("medium", "medium")
    confirmed = ruling(ravi, assessment)
    assert (tier(), confirmed.tier, confirmed.ruled_by) == ("high", "high", ravi)
    assert recorded("tier.assessed", "tier.override_proposed", "tier.override_confirmed") == [
        "tier.assessed", "tier.override_proposed", "tier.override_confirmed",
    ]  # fmt: skip
    with pytest.raises(Conflict) as refused:
        ruling(ravi, assessment, "refused")
    assert refused.value.code == "ruled"


def test_a_refused_proposal_leaves_the_tier_of_the_answers(world: World, dana: User, ravi: User) -> None:
    assessment = assessing(dana, MEDIUM, override_tier="low", override_reason="A pilot.")
    ruling(ravi, assessment, "refused", "Pilots count as well.")
    assert (tier(), recorded("tier.override_refused")) == ("medium", ["tier.override_refused"])
    (shown,) = risk_queries.model_tier(actor(dana), "credit.risk").history
    assert (shown.tier, shown.override_tier, shown.ruling, shown.ruled_by) == ("medium", "low", "refused", "ravi")
    assert shown.ruling_comment == "Pilots count as well."


@pytest.mark.parametrize(
    "who", ["assessor", "answers for the assessor", "maker", "asked for a promotion", "no reviewer", "superuser"]
)
def test_nobody_near_to_the_model_rules_on_its_tier(world: World, dana: User, ravi: User, who: str) -> None:
    model = RegisteredModel.objects.get(name="credit.risk")
    reviewing = who not in ("no reviewer", "superuser")
    near = person("nora", "data-scientist", *(["reviewer"] if reviewing else ["auditor"]))
    assessor = dana
    if who == "superuser":
        User.objects.filter(pk=near.pk).update(is_superuser=True)
    if who == "assessor":
        assessor = near
    if who == "answers for the assessor":
        assessor = core_commands.ensure_user(actor=ROOT, username="robot", roles=["data-scientist"], service_of="nora")
    if who in ("maker", "asked for a promotion"):
        grant(model, "model_write", users=[near.pk])
    if who == "maker":
        world.version(owner=near)
    if who == "asked for a promotion":
        from workflows.commands import requests as request_commands

        world.version()
        request_commands.request_promotion(
            actor=actor(near), model_name="credit.risk", version=1, target="Production", reason="Better."
        )
    if assessor != dana:
        grant(model, "model_manage", users=[assessor.pk])
    assessment = assessing(assessor, MEDIUM, override_tier="low", override_reason="A pilot.")
    for verdict in ("confirmed", "refused"):
        with pytest.raises(Denied) as refused:
            ruling(near, assessment, verdict)
        assert (refused.value.code == "separation_of_duties") == reviewing
    assert tier() == "medium"
    ruling(ravi, assessment)
    assert tier() == "low"


def test_a_ruling_needs_a_verdict_a_comment_and_something_proposed(world: World, dana: User, ravi: User, mallory: User) -> None:
    plain = assessing(dana, LOW)
    with pytest.raises(Conflict) as refused:
        ruling(ravi, plain)
    assert refused.value.code == "nothing_proposed"
    older = assessing(dana, MEDIUM, override_tier="low", override_reason="A pilot.")
    newer = assessing(dana, MEDIUM, override_tier="low", override_reason="A pilot.")
    with pytest.raises(Conflict) as refused:
        ruling(ravi, older)
    assert (refused.value.code, refused.value.details["assessment"]) == ("superseded", newer.pk)
    with pytest.raises(Invalid, match="Say why"):
        ruling(ravi, newer, comment="")
    with pytest.raises(Invalid):
        ruling(ravi, newer, "maybe")
    for act in (lambda: ruling(mallory, newer), lambda: risk_queries.tier_assessment(actor(mallory), newer.pk)):
        with pytest.raises(NotFound):
            act()
    with pytest.raises(NotFound):
        ruling(ravi, TierAssessment(pk=999))
    with pytest.raises(NotFound):
        risk_queries.model_tier(actor(mallory), "credit.risk")
    assert ruling(ravi, newer).ruling == "confirmed"


def test_by_hand_an_assessed_tier_can_be_raised_and_not_lowered(world: World, dana: User) -> None:
    by_hand(dana, "low")
    by_hand(dana, "medium")
    assessing(dana, MEDIUM)
    with pytest.raises(Conflict) as refused:
        by_hand(dana, "low")
    assert (refused.value.code, tier()) == ("assess_again", "medium")
    by_hand(dana, "high")
    assert tier() == "high"
    assessing(dana, MEDIUM)
    assert tier() == "medium"


def test_a_lower_tier_does_not_slip_past_a_binding_but_a_higher_one_may_leave_one(
    world: World, dana: User, pat: User, ravi: User
) -> None:
    bind_strict(pat)
    bind_policy(actor=actor(pat), document=STRICT_BINDING.replace("name: strict", "name: light", 1).replace("[high]", "[medium]"))
    assessing(dana)  # leaves the binding of medium models
    assert tier() == "high"
    with pytest.raises(Denied) as refused:
        assessing(dana, LOW)
    assert (refused.value.code, tier(), TierAssessment.objects.count()) == ("leaves_policy", "high", 1)
    proposed = assessing(dana, override_tier="low", override_reason="A pilot.")
    with pytest.raises(Denied) as refused:
        ruling(ravi, proposed)
    assert (refused.value.code, tier()) == ("leaves_policy", "high")
    ruling(person("paula", "reviewer", "platform-admin"), proposed)
    assert tier() == "low"


def test_a_change_of_tier_judges_what_is_in_place_anew(world: World, dana: User, ravi: User, rosa: User, pat: User) -> None:
    in_production(world, [ravi, rosa])
    bind_strict(pat)
    assessing(dana, MEDIUM)
    assert recorded("gate.evaluated") == []  # the same tier as before
    assessing(dana)
    decision = Decision.objects.get(purpose="reevaluate")
    assert {p["policy"] for p in decision.policies} == {"credit", "strict"}
    assert '"risk_tier":"high"' in decision.facts
    assert recorded("gate.evaluated") == ["gate.evaluated"]
    assert recompute(decision).requirements
    finding = FindingRecord.objects.get()
    assert (finding.key, finding.source, finding.severity) == ("tier:stage:Production", "re_review", "high")
    assert "0.9" in finding.description and "nobody approved it under the policy strict" in finding.description
    again = ReReview.objects.get()
    assert (again.cause, again.target, again.version.number) == ("tier_changed", "Production", 1)
    assert again.detail.startswith("the risk tier went from medium to high")


def test_what_meets_the_policies_of_the_new_tier_is_left_in_peace(world: World, dana: User, ravi: User, rosa: User) -> None:
    in_production(world, [ravi, rosa])
    assessing(dana)
    assert recorded("gate.evaluated") == ["gate.evaluated"]
    assert Decision.objects.filter(purpose="reevaluate").count() == 1
    assert (FindingRecord.objects.count(), ReReview.objects.count()) == (0, 0)


def test_a_tier_raised_by_hand_or_confirmed_judges_anew_as_well(
    world: World, dana: User, ravi: User, rosa: User, pat: User
) -> None:
    in_production(world, [ravi, rosa])
    bind_strict(pat)
    by_hand(dana, "high")
    finding = FindingRecord.objects.get()
    findings.close_finding(actor=actor(rosa), finding_id=finding.pk, comment="Another tier is proposed.")
    bind_policy(actor=actor(pat), document=STRICT_BINDING.replace("[high]", "[high, medium]"))
    # Ravi reviewed it, which is no part in making it.
    ruling(ravi, assessing(dana, override_tier="medium", override_reason="Rarely used."))
    finding.refresh_from_db()
    assert (tier(), finding.status) == ("medium", "open")
    assert recorded("gate.evaluated") == ["gate.evaluated"] * 2
    assert recorded("finding.raised", "finding.closed", "finding.reopened") == [
        "finding.raised", "finding.closed", "finding.reopened",
    ]  # fmt: skip


def test_open_requests_are_judged_again_with_the_new_tier(world: World, dana: User) -> None:
    request = world.in_review()

    def woken() -> int:
        return Job.objects.filter(name=ADVANCE, arguments={"request_id": request.pk}, state="queued").delete()[0]

    woken()
    assessing(dana)
    assert woken() >= 1
    request.refresh_from_db()
    assert assess(request).facts.model.risk_tier == "high"
    assessing(dana, MEDIUM)
    assert woken() >= 1
    by_hand(dana, "high")
    assert woken() >= 1


def test_the_history_costs_the_same_however_often_a_model_was_assessed(
    world: World, dana: User, django_assert_num_queries: Any
) -> None:
    for answers in (HIGH, LOW, MEDIUM, HIGH):
        assessing(dana, answers)
    me = actor(dana)
    with django_assert_num_queries(2):
        assert len(risk_queries.model_tier(me, "credit.risk").history) == 4


def test_the_database_keeps_questionnaires_as_published(world: World) -> None:
    for wrong in (
        lambda: QuestionnaireRevision.objects.create(name="short", number=1, digest="x", document="x"),
        lambda: QuestionnaireRevision.objects.update(document="x"),
        lambda: QuestionnaireRevision.objects.all().delete(),
    ):
        with pytest.raises(IntegrityError), transaction.atomic():
            wrong()


# At the same instant.


@pytest.fixture
def crowd(transactional_db: None) -> World:
    world = build(person("dana", "data-scientist"), person("pat", "platform-admin"))
    tiers.publish_questionnaire(actor=actor(world.pat), document=QUESTIONS)
    return world


def test_of_two_who_rule_at_once_one_does(crowd: World) -> None:
    people = [person(name, "reviewer") for name in ("ravi", "rosa", "olga", "otto")]
    assessment = assessing(crowd.dana, MEDIUM, override_tier="high", override_reason="Soon more.")
    results = at_once(
        *(lambda p=p, v=v: ruling(p, assessment, v) for p, v in zip(people, ("confirmed", "refused") * 2, strict=True))
    )
    assert sorted(type(r).__name__ for r in results) == ["Conflict"] * 3 + ["TierAssessment"]
    ruled = TierAssessment.objects.get().ruling
    assert (ruled, tier()) in (("confirmed", "high"), ("refused", "medium"))
    assert len(recorded("tier.override_confirmed", "tier.override_refused")) == 1


def test_a_ruling_and_a_new_assessment_at_once_leave_the_tier_of_the_later(crowd: World) -> None:
    ravi = person("ravi", "reviewer")
    proposed = assessing(crowd.dana, MEDIUM, override_tier="high", override_reason="Soon more.")
    ruled, _ = at_once(lambda: ruling(ravi, proposed), lambda: assessing(crowd.dana, LOW))
    assert tier() == "low"
    assert isinstance(ruled, TierAssessment) or ruled.code == "superseded"


def test_of_two_who_publish_at_once_each_text_has_a_number(crowd: World) -> None:
    texts = [QUESTIONS.replace("points: 5", f"points: {n}") for n in (6, 7, 8)]
    results = at_once(*(lambda t=t: tiers.publish_questionnaire(actor=actor(crowd.pat), document=t) for t in texts))
    assert {type(r).__name__ for r in results} <= {"QuestionnaireRevision", "Conflict"}
    numbers = list(QuestionnaireRevision.objects.order_by("number").values_list("number", flat=True))
    assert numbers == list(range(1, len(numbers) + 1)) and len(numbers) > 1
