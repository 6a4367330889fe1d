"""The model card beside the measurements: queued last, measured on what the others found, and again when the card changes."""

from __future__ import annotations

import io
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pytest
from django.db import transaction
from sklearn.linear_model import LogisticRegression

import workflows.tasks  # noqa: F401  # where handlers and elections are made known
from core import jobs
from core.access import SYSTEM
from core.models import AuditEvent, Job, JobState, User
from governance.commands import checks as check_commands
from governance.commands.checks import CheckResult
from governance.commands.policies import bind_policy, publish_policy
from governance.models import CheckRun, CheckState, EvidenceSnapshot, Measurement
from governance.partitions import RUN_CHECK
from registry import commands as registry_commands
from registry.datasets import register_dataset
from registry.models import ModelVersion, RegisteredModel
from tests.cast import actor
from tracking.commands.files import put_run_artifact
from tracking.commands.runs import create_run
from workflows import checking
from workflows.assessment import assess
from workflows.commands import requests as request_commands
from workflows.commands import reviews as review_commands
from workflows.commands.evidence import write_card
from workflows.lifecycle import ADVANCE
from workflows.models import PromotionRequest

pytestmark = pytest.mark.django_db(transaction=True)

ROWS = pd.DataFrame({"x": [0.0, 1.0, 2.0, 3.0] * 20, "z": [1.0, 0.0, 1.0, 0.0] * 20, "y": [0, 0, 1, 1] * 20})
POLICY = """\
kind: Policy
name: honest
checks:
  - {check: model-card, with: {required: [intended_use, metrics], least_words: 5}}
  - {check: performance, dataset: validation}
  - {check: signature-schema}
requirements:
  - id: card-agrees
    title: The card says what was measured
    how_to_satisfy: Correct the card.
    satisfied_if: measurements["card.claims_contradicted"].value == 0.0 && measurements["card.claims_agreeing"].value > 0.0
steps:
  - {name: review, title: Review, factors: [{group: reviewer, count: 1}]}
"""
BINDING = "kind: Binding\nname: honest\npolicy: honest\nmatch: {models: [m]}\ntargets: {stages: [Production]}\n"
USE = "It tells two kinds of flowers apart, for nobody's harm."
WRONG = {"intended_use": USE, "metrics": "On the validation data the accuracy is 0.62 and the ROC AUC is 1.0."}
RIGHT = {"intended_use": USE, "metrics": "On the validation data the accuracy is 1.00 and the ROC AUC is 1.0."}


@pytest.fixture(autouse=True)
def _without_a_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.jobs.current_app.send_task", lambda *_, **__: None)


@pytest.fixture
def others_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have all checks but the model card's end at once, with an accuracy of 1."""
    real = jobs._handlers[RUN_CHECK]

    def handle(*, run_id: str, lease: jobs.Lease) -> None:
        if CheckRun.objects.get(pk=run_id).check_name == "model-card":
            real(run_id=run_id, lease=lease)
            return
        check_commands.start_check(run_id=run_id, worker="w", isolation="bubblewrap")
        row = {"metric": "accuracy", "value": 1.0, "slice": "", "n": 80, "ci_low": None, "ci_high": None, "method": "by hand"}
        result = CheckResult(CheckState.PASSED, measurements=[row])
        check_commands.finish_check(actor=SYSTEM, run_id=run_id, worker="w", result=result)

    monkeypatch.setitem(jobs._handlers, RUN_CHECK, handle)


@pytest.fixture(scope="session")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that is always right on the rows above."""
    folder = tmp_path_factory.mktemp("flowers") / "model"
    model = LogisticRegression(C=100).fit(ROWS[["x", "z"]], ROWS["y"])
    signature = mlflow.models.infer_signature(ROWS[["x", "z"]], model.predict(ROWS[["x", "z"]]))
    mlflow.sklearn.save_model(model, folder, signature=signature)
    return folder


@pytest.fixture
def governed(dana: User, pat: User, saved: Path) -> ModelVersion:
    """The model as a version whose place asks for an honest card."""
    content = ROWS.to_csv(index=False).encode()
    register_dataset(actor=actor(pat), name="validation", stream=io.BytesIO(content), format="csv", target="y", closed=True)
    publish_policy(actor=actor(pat), document=POLICY)
    bind_policy(actor=actor(pat), document=BINDING)
    registry_commands.create_model(actor=actor(dana), name="m")
    return register(dana, saved)


def register(dana: User, saved: Path) -> ModelVersion:
    who = actor(dana)
    run = create_run(actor=who, experiment_id=0).run_id
    for file in (p for p in saved.rglob("*") if p.is_file()):
        stream = io.BytesIO(file.read_bytes())
        path = f"model/{file.relative_to(saved)}"
        put_run_artifact(actor=who, run_id=run, path=path, stream=stream, expected_bytes=file.stat().st_size)
    return registry_commands.register_version(actor=who, model_name="m", source=f"runs:/{run}/model", run_id=run)


def ask(dana: User, version: ModelVersion) -> PromotionRequest:
    return request_commands.request_promotion(
        actor=actor(dana), model_name="m", version=version.number, target="Production", reason="Better."
    )


def card(dana: User, sections: dict[str, str]) -> None:
    write_card(actor=actor(dana), model_name="m", version=1, sections=sections)


def take_up(queue: str) -> str:
    """Have a worker look once at a queue; returns the check it carried out, or nothing."""
    ended = set(CheckRun.objects.exclude(finished_at=None).values_list("pk", flat=True))
    jobs.run_next(RUN_CHECK, queue)
    return ", ".join(CheckRun.objects.exclude(finished_at=None).exclude(pk__in=ended).values_list("check_name", flat=True))


def move_on() -> None:
    """Do the jobs that judge requests, until none is left."""
    while job := Job.objects.filter(name=ADVANCE, state=JobState.QUEUED).order_by("pk").first():
        jobs.run(job.pk)


def run_of(request: PromotionRequest, check: str = "model-card") -> CheckRun:
    return CheckRun.objects.get(request_links__request=request, check_name=check)


def value(run: CheckRun, metric: str) -> float | None:
    return Measurement.objects.get(run=run, metric=metric, slice="").value


def lost(run: CheckRun) -> CheckRun:
    """Have a run end as one does whose worker is gone for good."""
    Job.objects.filter(pk=run.job_id).update(state=JobState.FAILED)
    CheckRun.objects.filter(pk=run.pk).update(created_at=run.created_at - timedelta(minutes=5))
    assert checking.settle_orphans() >= 1
    return run


def state(request: PromotionRequest) -> str:
    request.refresh_from_db()
    return request.state


def test_a_card_that_contradicts_is_found_out_and_once_corrected_passes(dana: User, ravi: User, governed: ModelVersion) -> None:
    card(dana, WRONG)
    request = ask(dana, governed)
    first = run_of(request)
    assert sorted(first.rests_on.values_list("check_name", flat=True)) == ["performance", "signature-schema"]
    # The card is light work, yet its worker leaves it alone until both others have ended; whatever the order of these.
    assert take_up("checks-light") == ""
    assert take_up("checks-cpu") == "performance"
    assert take_up("checks-light") == ""
    assert take_up("checks-cpu") == "signature-schema"
    assert take_up("checks-light") == "model-card"
    assert Job.objects.get(pk=first.job_id).attempts == 1
    move_on()
    first.refresh_from_db()
    assert (first.state, state(request)) == ("failed", "in_review"), first.error_message
    assert (value(first, "card.claims_contradicted"), value(first, "card.claims_agreeing")) == (1.0, 1.0)
    (grave,) = first.findings.filter(severity="high")
    assert str(run_of(request, "performance").pk) in grave.message and "says 0.62" in grave.message
    assert assess(request).verdict.requirements[0].state.value == "unsatisfied"

    review_commands.submit_review(actor=actor(ravi), request_id=request.pk, verdict="approve", comment="")
    card(dana, RIGHT)
    # From here on what was read of the older card counts for nothing, also before anybody has queued anything.
    between = assess(request)
    assert between.verdict.requirements[0].state.value == "pending" and not between.facts.version.checks["model-card"].result
    move_on()
    second = run_of(request)
    assert second != first and state(request) == "checking"
    assert set(second.rests_on.all()) == set(first.rests_on.all())
    assert second.card_digest != first.card_digest and AuditEvent.objects.filter(action="promotion.checks_started").count() == 1
    assert take_up("checks-cpu") == "" and take_up("checks-light") == "model-card"
    move_on()
    second.refresh_from_db()
    assert (second.state, value(second, "card.claims_contradicted")) == ("passed", 0.0)
    after = assess(request)
    assert state(request) == "in_review" and after.verdict.requirements[0].state.value == "satisfied"
    assert not after.standings[0].fact.counts and "card metrics changed" in after.standings[0].fact.why_not
    seen = json.loads(EvidenceSnapshot.objects.get(digest=request.reviews.get().evidence_digest).parts)
    assert seen["measurements.card.claims_contradicted"][0] == 1.0

    card(dana, WRONG)  # equal inputs: what was measured of it before is there already
    move_on()
    assert run_of(request) == first and state(request) == "in_review"


@pytest.mark.usefixtures("others_by_hand")
def test_the_card_waits_for_the_others_in_the_other_order_too_and_holds_up_nobody(dana: User, governed: ModelVersion) -> None:
    request = ask(dana, governed)
    assert (run_of(request).card_digest, run_of(request).resource_class) != ("", "cpu")
    assert Job.objects.filter(name=RUN_CHECK, queue="checks-cpu").count() == 2
    CheckRun.objects.filter(check_name="signature-schema").update(created_at=run_of(request, "performance").created_at)
    CheckRun.objects.filter(check_name="performance").update(created_at=run_of(request).created_at)
    assert take_up("checks-cpu") == "signature-schema"
    assert take_up("checks-light") == ""
    assert take_up("checks-cpu") == "performance"
    assert take_up("checks-light") == "model-card"
    move_on()
    assert state(request) == "in_review" and value(run_of(request), "card.missing_sections") == 2.0


@pytest.mark.usefixtures("others_by_hand")
def test_a_sibling_without_a_result_ends_it_and_both_are_run_again(dana: User, governed: ModelVersion) -> None:
    card(dana, RIGHT)
    request = ask(dana, governed)
    broken = lost(run_of(request, "performance"))
    assert take_up("checks-light") == ""
    assert take_up("checks-cpu") == "signature-schema"
    assert take_up("checks-light") == "model-card"
    unread = run_of(request)
    assert (unread.state, unread.error_code) == ("error", "nothing_to_rest_on") and "performance" in unread.error_message
    move_on()
    request_commands.rerun_checks(actor=actor(dana), request_id=request.pk)
    again = run_of(request)
    assert again != unread and again.inputs_digest == unread.inputs_digest
    assert broken not in again.rests_on.all() and run_of(request, "performance") in again.rests_on.all()
    assert request.checks.count() == 3
    assert take_up("checks-cpu") == "performance" and take_up("checks-light") == "model-card"
    assert run_of(request).state == "passed"


def test_one_that_waits_follows_a_sibling_that_is_run_again(dana: User, governed: ModelVersion) -> None:
    request = ask(dana, governed)
    waiting, broken = run_of(request), lost(run_of(request, "performance"))
    request_commands.rerun_checks(actor=actor(dana), request_id=request.pk)
    assert run_of(request) == waiting and broken not in waiting.rests_on.all()
    assert run_of(request, "performance") in waiting.rests_on.all()


@pytest.mark.usefixtures("others_by_hand")
def test_an_approved_request_goes_back_to_have_its_card_read(dana: User, ravi: User, governed: ModelVersion) -> None:
    card(dana, RIGHT)
    request = ask(dana, governed)
    for queue in ("checks-cpu", "checks-cpu", "checks-light"):
        take_up(queue)
    move_on()
    review_commands.submit_review(actor=actor(ravi), request_id=request.pk, verdict="approve", comment="")
    assert state(request) == "approved"
    card(dana, {**RIGHT, "contact": "dana"})
    move_on()
    assert state(request) == "checking" and run_of(request).state == CheckState.QUEUED
    assert not assess(request).verdict.satisfied


def test_the_newest_card_of_the_versions_before_is_read_besides(dana: User, governed: ModelVersion, saved: Path) -> None:
    card(dana, RIGHT)
    later = register(dana, saved)
    write_card(actor=actor(dana), model_name="m", version=2, sections={**RIGHT, "intended_use": "Another one."})
    run = run_of(ask(dana, later))
    assert run.earlier_card == governed.cards.get()
    given: dict[str, Any] = checking.spec(run)
    assert given["card"]["intended_use"] == "Another one." and given["earlier_card"] == RIGHT
    assert "measured" not in given


def test_what_is_asked_for_under_another_policy_is_no_sibling(dana: User, pat: User, governed: ModelVersion) -> None:
    other = POLICY.replace("name: honest", "name: other").replace("least_words: 5", "least_words: 6")
    other = other.replace("  - {check: performance, dataset: validation}\n", "  - {check: artifact-scan}\n")
    publish_policy(actor=actor(pat), document=other)
    bind_policy(actor=actor(pat), document=BINDING.replace("honest", "other"))
    request = ask(dana, governed)
    rests = {
        run.parameters["least_words"]: sorted(run.rests_on.values_list("check_name", flat=True))
        for run in CheckRun.objects.filter(request_links__request=request, check_name="model-card")
    }
    assert rests == {5: ["performance", "signature-schema"], 6: ["artifact-scan", "signature-schema"]}
    assert RegisteredModel.objects.count() == 1
    with transaction.atomic():
        assert CheckRun.objects.filter(rests_on__check_name="model-card").count() == 0
