"""A governed model with one version whose checks can be finished by hand, as a worker would."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from core.access import SYSTEM
from core.models import User
from governance.commands import checks as check_commands
from governance.commands.checks import CheckResult
from governance.commands.policies import bind_policy, publish_policy
from governance.models import CheckRun, CheckState
from registry import commands as registry_commands
from registry.datasets import register_dataset
from registry.models import ModelVersion
from tests.cast import actor
from tracking.commands.files import put_run_artifact
from tracking.commands.runs import create_run
from workflows.commands import execution
from workflows.commands import requests as request_commands
from workflows.commands import reviews as review_commands
from workflows.models import PromotionRequest

POLICY = """\
kind: Policy
name: credit
parameters:
  limit: {type: number, default: 0.7}
checks:
  - check: performance
    dataset: validation
requirements:
  - id: roc-auc
    title: ROC AUC
    how_to_satisfy: Improve the model.
    satisfied_if: measurements["roc_auc"].value >= params.limit
    shows: {value: 'measurements["roc_auc"].value', limit: params.limit}
steps:
  - {name: review, title: Review, factors: [{group: reviewer, count: 2}]}
expires_after_days: 30
"""
BINDING = "kind: Binding\nname: credit\npolicy: credit\nmatch: {models: ['credit.*']}\ntargets: {stages: [Production], aliases: [champion]}\n"


@dataclass
class World:
    """What the tests of the workflow act on."""

    dana: User
    pat: User
    made: int = field(default=0)

    def version(self, model: str = "credit.risk", owner: User | None = None) -> ModelVersion:
        """Register a version with content of its own."""
        self.made += 1
        who = actor(owner or self.dana)
        run = create_run(actor=who, experiment_id=0).run_id
        content = f"n: {self.made}\n".encode()
        put_run_artifact(actor=who, run_id=run, path="model/MLmodel", stream=io.BytesIO(content), expected_bytes=len(content))
        return registry_commands.register_version(actor=who, model_name=model, source=f"runs:/{run}/model", run_id=run)

    def ask(self, version: ModelVersion, **options: Any) -> PromotionRequest:
        """Ask for Production."""
        given = {"target": "Production", "reason": "Better.", **options}
        return request_commands.request_promotion(
            actor=actor(self.dana), model_name=version.model.name, version=version.number, **given
        )

    def finish(self, request: PromotionRequest, auc: float | None = 0.8) -> None:
        """Finish the request's checks with this ROC AUC, or with an error, and move the request on."""
        for run in CheckRun.objects.filter(request_links__request=request, state=CheckState.QUEUED):
            check_commands.start_check(run_id=str(run.pk), worker="w", isolation="bubblewrap")
            row = {"metric": "roc_auc", "value": auc, "slice": "", "n": 300, "ci_low": None, "ci_high": None, "method": "test"}
            result = (
                CheckResult(CheckState.PASSED, measurements=[row])
                if auc is not None
                else CheckResult(CheckState.ERROR, error_code="model_load_failed", error_message="It does not load.")
            )
            check_commands.finish_check(actor=SYSTEM, run_id=str(run.pk), worker="w", result=result)
        execution.advance_request(actor=SYSTEM, request_id=request.pk)

    def in_review(self, auc: float = 0.8, **options: Any) -> PromotionRequest:
        """Return a request whose checks are finished."""
        request = self.ask(self.version(), **options)
        self.finish(request, auc)
        request.refresh_from_db()
        return request


def build(dana: User, pat: User) -> World:
    registry_commands.create_model(actor=actor(dana), name="credit.risk")
    register_dataset(
        actor=actor(pat), name="validation", stream=io.BytesIO(b"x,y\n1,0\n2,1\n"), format="csv", target="y", closed=True
    )
    publish_policy(actor=actor(pat), document=POLICY)
    bind_policy(actor=actor(pat), document=BINDING)
    return World(dana, pat)


@pytest.fixture
def world(dana: User, pat: User) -> World:
    return build(dana, pat)


@pytest.fixture
def review() -> Callable[..., Any]:
    def give(user: User, request: PromotionRequest, verdict: str = "approve", comment: str = "") -> Any:
        return review_commands.submit_review(actor=actor(user), request_id=request.pk, verdict=verdict, comment=comment)

    return give
