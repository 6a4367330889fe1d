"""A bank's register in small: one credit model in Production, its successor under review, and what was measured on both."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from core.access import SYSTEM
from core.models import User
from governance.commands import checks as check_commands
from governance.commands.cards import write_card
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

PASSWORD = "a long enough password"
MODEL = "credit.german-risk"
POLICIES = Path(__file__).parents[3] / "demo" / "policies"
CARD = {
    "intended_use": "Ranks retail loan applications; a credit officer decides every case.",
    "training_data": "Statlog German Credit, 700 of 1,000 cases, protected attributes left out.",
    "limitations": "One bank, one region, early 1990s. The group 60 and over has few rows.",
    "ethical_considerations": "Parity by sex and age group is measured before each promotion.",
    "monitoring_plan": "Selection rates by group and ROC AUC are measured monthly.",
}
MLMODEL = """\
flavors:
  python_function:
    loader_module: mlflow.sklearn
    python_version: 3.11.9
  sklearn:
    serialization_format: skops
signature:
  inputs: '[{"type": "long", "name": "duration_months", "required": true}, {"type": "double", "name": "credit_amount", "required": true}]'
  outputs: '[{"type": "double", "required": true}]'
note: %d
"""


def _row(
    metric: str, value: float, slice_: str = "", n: int = 300, low: float | None = None, high: float | None = None
) -> dict[str, Any]:
    return {
        "metric": metric,
        "slice": slice_,
        "value": value,
        "n": n,
        "ci_low": low,
        "ci_high": high,
        "method": "as measured in a test",
    }


def measured(check: str, better: bool, parity: float) -> CheckResult:
    """Return what a worker would report of a check, for the older or the newer version."""
    done = CheckState.PASSED
    auc = 0.793 if not better else 0.786
    if check == "artifact-scan":
        return CheckResult(done, measurements=[_row("scan.findings", 0.0, n=6)])
    if check == "signature-schema":
        return CheckResult(done, measurements=[_row("signature.inputs", 2.0, n=2)])
    if check == "reproducibility":
        return CheckResult(done, measurements=[_row("reproducibility.identical_share", 1.0, n=200)])
    if check == "performance":
        curve = [[i / 40, min(1.0, (i / 40) ** (0.33 if better else 0.3)), 1 - i / 40] for i in range(41)]
        bins = [
            [i / 10, (i + 1) / 10, i / 10 + 0.05, min(1.0, max(0.0, i / 10 + 0.05 + (-1) ** i * 0.03)), 30] for i in range(10)
        ]
        return CheckResult(
            done,
            measurements=[
                _row("roc_auc", auc, low=auc - 0.05, high=auc + 0.05),
                _row("brier", 0.167 if better else 0.164),
                _row("accuracy", 0.74),
            ],
            tables=[
                {
                    "name": "roc_curve",
                    "title": "ROC curve",
                    "columns": ["false_positive_rate", "true_positive_rate", "threshold"],
                    "rows": curve,
                },
                {
                    "name": "calibration",
                    "title": "Calibration",
                    "columns": ["low", "high", "mean_score", "share_favourable", "rows"],
                    "rows": bins,
                },
            ],
        )
    if check == "fairness":
        groups = [
            ("sex", "male", 207, 1.0),
            ("sex", "female", 93, 0.91),
            ("age_group", "under 25", 46, parity),
            ("age_group", "25 to 40", 157, 1.0),
        ]
        return CheckResult(
            done,
            measurements=[
                _row("demographic_parity_ratio", 0.91, "sex"),
                _row("demographic_parity_ratio", parity, "age_group"),
                *[_row("selection_rate", 0.7 * ratio, f"{feature}={group}", n) for feature, group, n, ratio in groups],
            ],
            findings=[
                {
                    "rule": "small-group",
                    "severity": "low",
                    "location": "age_group=60 and over",
                    "message": "Only 17 rows: its rates are uncertain.",
                }
            ],
            tables=[
                {
                    "name": "selection_rates",
                    "title": "Selection rates by group",
                    "columns": ["feature", "group", "rows", "selected", "selection_rate", "ci_low", "ci_high", "impact_ratio"],
                    "rows": [[f, g, n, round(0.7 * r * n), 0.7 * r, 0.6 * r, 0.8 * r, r] for f, g, n, r in groups],
                }
            ],
        )
    features = [
        ("checking_status", 0.112),
        ("duration_months", 0.087),
        ("credit_history", 0.031),
        ("savings_status", 0.018),
        ("age", 0.004),
    ]
    return CheckResult(
        done,
        measurements=[_row("explainability.features", float(len(features)))],
        tables=[
            {
                "name": "feature_attribution",
                "title": "Feature attribution by permutation",
                "columns": ["feature", "attribution", "ci_low", "ci_high"],
                "rows": [[name, value, value - 0.004, value + 0.004] for name, value in features],
            }
        ],
    )


@dataclass
class Scene:
    """What the pages show. The people who decide have a password, since a signature asks for it."""

    dana: User
    ravi: User
    rosa: User
    aude: User
    pat: User
    made: int = 0

    def register(self, model: str = MODEL, card: dict[str, str] | None = None) -> ModelVersion:
        """Register a version with content of its own, by Dana."""
        self.made += 1
        who = actor(self.dana)
        run = create_run(actor=who, experiment_id=0, name=f"amber-heron-{400 + self.made}").run_id
        content = (MLMODEL % self.made).encode()
        put_run_artifact(actor=who, run_id=run, path="model/MLmodel", stream=io.BytesIO(content), expected_bytes=len(content))
        version = registry_commands.register_version(actor=who, model_name=model, source=f"runs:/{run}/model", run_id=run)
        if card is not None:
            write_card(actor=who, model_name=model, version=version.number, sections=card)
        return version

    def ask(self, version: ModelVersion, reason: str = "It treats applicants under 25 more evenly.") -> PromotionRequest:
        """Ask for Production, by Dana."""
        return request_commands.request_promotion(
            actor=actor(self.dana), model_name=version.model.name, version=version.number, target="Production", reason=reason
        )

    def finish(self, request: PromotionRequest, *, parity: float = 0.84, leave: tuple[str, ...] = ()) -> PromotionRequest:
        """Finish the request's checks as a worker would, but for those to leave, and move it on."""
        for run in CheckRun.objects.filter(request_links__request=request, state=CheckState.QUEUED).distinct():
            if run.check_name in leave:
                continue
            check_commands.start_check(run_id=str(run.pk), worker="w", isolation="bubblewrap")
            result = measured(run.check_name, run.version.number > 1, parity)
            check_commands.finish_check(actor=SYSTEM, run_id=str(run.pk), worker="w", result=result)
        execution.advance_request(actor=SYSTEM, request_id=request.pk)
        request.refresh_from_db()
        return request

    def approve(self, request: PromotionRequest, *people: User) -> PromotionRequest:
        """Sign an approval for each of the people."""
        for person in people:
            review_commands.submit_review(actor=actor(person), request_id=request.pk, verdict="approve")
        request.refresh_from_db()
        return request

    def promoted(self) -> PromotionRequest:
        """Return the request that brought the first version to Production."""
        request = self.approve(self.finish(self.ask(self.register(card=CARD), "The first."), parity=0.9), self.ravi, self.rosa)
        execution.execute_request(actor=SYSTEM, request_id=request.pk)
        request.refresh_from_db()
        return request

    def under_review(self, **options: Any) -> PromotionRequest:
        """Return a request whose checks are finished and which waits on reviewers."""
        return self.finish(self.ask(self.register(card=CARD)), **options)


def build(people: dict[str, User]) -> Scene:
    """Make the model, the data set and the policy."""
    for user in people.values():
        user.set_password(PASSWORD)
        user.save(update_fields=["password"])
    dana, pat = actor(people["dana"]), actor(people["pat"])
    registry_commands.create_model(
        actor=dana, name=MODEL, description="Probability that a retail loan applicant defaults within 24 months"
    )
    register_dataset(
        actor=pat, name="german-credit-validation", stream=io.BytesIO(b"x,y\n1,0\n2,1\n"), format="csv", target="y", closed=True
    )
    publish_policy(actor=pat, document=(POLICIES / "credit-production.yaml").read_text())
    bind_policy(actor=pat, document=(POLICIES / "credit-binding.yaml").read_text())
    return Scene(**people)


@pytest.fixture
def scene(dana: User, ravi: User, rosa: User, aude: User, pat: User) -> Scene:
    return build({"dana": dana, "ravi": ravi, "rosa": rosa, "aude": aude, "pat": pat})


@pytest.fixture
def signed_in() -> Callable[[User], Client]:
    """Return a browser of this person."""

    def client(user: User) -> Client:
        browser = Client()
        browser.force_login(user)
        return browser

    return client
