"""A request under every rule there is: two steps of several groups, a signature, a waiver, policies that only look on, a stand-in."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.utils import timezone

from core.models import User
from governance.commands.policies import bind_policy, end_binding, publish_policy
from registry import commands as registry_commands
from tests.cast import actor, person
from tests.interfaces.web.conftest import CARD, MODEL, PASSWORD, Scene
from workflows.commands import discussion, findings, waivers
from workflows.commands import requests as request_commands
from workflows.commands import reviews as review_commands
from workflows.commands.delegations import create_delegation
from workflows.models import PromotionRequest, Review
from workflows.queries import requests as request_queries
from workflows.queries.deciding import statement_to_sign

STRICT = """\
kind: Policy
name: strict
title: Credit decisions, strictly
parameters:
  min_parity: {type: number, default: 0.8}
checks:
  - check: performance
    dataset: german-credit-validation
  - check: fairness
    dataset: german-credit-validation
    with: {sensitive: [sex, {column: age, name: age_group, edges: [25, 40, 60]}]}
requirements:
  - id: roc-auc
    title: ROC AUC
    satisfied_if: measurements["roc_auc"].value >= 0.7
    how_to_satisfy: Improve the model.
    shows:
      value: measurements["roc_auc"].value
      limit: "0.7"
      champion: champion.measurements["roc_auc"].value
      evidence: performance
  - id: parity-age
    title: Parity ratio, age group
    satisfied_if: measurements["demographic_parity_ratio[age_group]"].value >= params.min_parity
    how_to_satisfy: Find the features that stand in for age and train again.
    shows: {value: 'measurements["demographic_parity_ratio[age_group]"].value', limit: params.min_parity, evidence: fairness}
  - id: accuracy
    title: Accuracy
    satisfied_if: measurements["accuracy"].value >= 0.9
    override_if: '"accepted" in model.tags && model.tags["accepted"] == "yes"'
    how_to_satisfy: Improve the model, or have the owner accept it with the tag accepted.
    waivable: false
    shows: {value: 'measurements["accuracy"].value', limit: "0.9", evidence: performance}
order: sequential
steps:
  - name: validation
    title: Validation
    due: 3 business days
    escalate_to: heads-of-risk
    factors:
      - {group: model-risk, count: 2}
  - name: compliance
    title: Compliance
    factors:
      - {group: compliance, count: 1}
waivers: {approved_by: risk-officers, max_days: 180}
signature: {meanings: [reviewed and agreed, responsibility taken]}
materiality: {card.monitoring_plan: immaterial}
validity: {days: 365, re_review_on: [drift], due: 10 business days, escalate_to: heads-of-risk}
expires_after_days: 30
"""
WATCH = """\
kind: Policy
name: {name}
requirements:
  - id: brier
    title: Brier score
    satisfied_if: measurements["brier"].value <= 0.1
    how_to_satisfy: Calibrate the scores.
    shows: {{value: 'measurements["brier"].value', limit: "0.1", limit_is: at_most, evidence: performance}}
"""
BINDING = """\
kind: Binding
name: {name}
policy: {name}
mode: {mode}
match: {{models: ["{model}"]}}
targets: {{stages: [Production]}}
"""


@dataclass
class Governed:
    """The scene with its further people: rita and tom of model-risk, carla of compliance, wim who may waive."""

    scene: Scene
    rita: User
    tom: User
    carla: User
    wim: User

    def asked(self, *, parity: float = 0.78, **options: Any) -> PromotionRequest:
        """Return a request in review."""
        return self.scene.finish(self.scene.ask(self.scene.register(card=CARD)), parity=parity, **options)

    def waive(self, request: PromotionRequest) -> None:
        """Have the parity by age waived for the request's version."""
        asked = waivers.request_waiver(
            actor=actor(self.scene.dana),
            model_name=MODEL,
            version=request.version.number,
            policy="strict",
            requirement="parity-age",
            reason="Few rows of the young.",
            compensating_control="A credit officer looks at every refusal of an applicant under 25.",
            expires_at=timezone.now() + timedelta(days=10),
        )
        waivers.rule_waiver(actor=actor(self.wim), waiver_id=asked.pk, verdict="approved", comment="Watched monthly.")

    def sign(self, request: PromotionRequest, who: User, verdict: str = "approve", **given: str) -> Review:
        """Give a signed review, as the page does."""
        meaning = given.pop("meaning", "reviewed and agreed")
        whose = given.get("on_behalf_of", "")
        text = statement_to_sign(actor(who), request.pk, verdict=verdict, meaning=meaning, on_behalf_of=whose)
        assert text is not None
        return review_commands.submit_review(
            actor=actor(who),
            request_id=request.pk,
            verdict=verdict,
            comment=given.pop("comment", "Weighed."),
            evidence_digest=request_queries.request_page(actor(who), request.pk).evidence_digest,
            signature=review_commands.Signing(PASSWORD, meaning, text.digest),
            **given,
        )

    def approved(self, request: PromotionRequest) -> PromotionRequest:
        """Have everybody approve who is asked."""
        for user in (self.rita, self.tom, self.carla):
            self.sign(request, user)
        request.refresh_from_db()
        return request

    def stand_in(self, delegator: User, delegate: User) -> None:
        """Have one stand in for the other for a week."""
        create_delegation(
            actor=actor(delegator), delegate=delegate.username, ends_at=timezone.now() + timedelta(days=7), reason="On leave."
        )

    def found(self, version: int) -> None:
        """Put a problem of a version on record."""
        findings.raise_finding(
            actor=actor(self.scene.ravi),
            model_name=MODEL,
            version=version,
            title="Outcomes of the over 60 are thin",
            severity="high",
            owner="dana",
            due_on=(timezone.now() - timedelta(days=3)).date(),
        )

    def talk(self, request: PromotionRequest) -> None:
        """Begin two discussions, one of them resolved."""
        thread = discussion.open_thread(
            actor=actor(self.rita),
            request_id=request.pk,
            anchor_kind="requirement",
            anchor="strict/parity-age",
            text="The group under 25 has 46 rows. @dana is that enough?",
        )
        discussion.add_comment(actor=actor(self.scene.dana), thread_id=thread.pk, text="The interval is in the card.")
        other = discussion.open_thread(
            actor=actor(self.tom), request_id=request.pk, anchor_kind="card", anchor="limitations", text="Which region?"
        )
        discussion.resolve_thread(actor=actor(self.tom), thread_id=other.pk)

    def draft(self) -> PromotionRequest:
        """Return a draft for a new version."""
        version = self.scene.register(card=CARD)
        return request_commands.request_promotion(
            actor=actor(self.scene.dana),
            model_name=MODEL,
            version=version.number,
            target="Production",
            reason="Prepared for next week.",
            draft=True,
        )


def govern(scene: Scene) -> Governed:
    """Put the strict policy and two that only look on in force for the model, instead of the one of the demo."""
    people = [
        person("rita", "reviewer", groups=("model-risk",)),
        person("tom", "reviewer", groups=("model-risk",)),
        person("carla", "reviewer", groups=("compliance",)),
        person("wim", "auditor", groups=("risk-officers",)),
    ]
    for user in people:
        user.set_password(PASSWORD)
        user.save(update_fields=["password"])
    pat = actor(scene.pat)
    for name, mode, text in (("strict", "enforce", STRICT), ("watch", "warn", WATCH), ("trial", "shadow", WATCH)):
        publish_policy(actor=pat, document=text if name == "strict" else text.format(name=name))
        bind_policy(actor=pat, document=BINDING.format(name=name, mode=mode, model=MODEL))
    end_binding(actor=pat, name="credit-models")
    registry_commands.set_model_tag(actor=actor(scene.dana), name=MODEL, key="accepted", value="yes")
    return Governed(scene, *people)
