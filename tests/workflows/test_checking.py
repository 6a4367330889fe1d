"""A check run from the queue to its evidence, with real models in the real sandbox."""

from __future__ import annotations

import io
import os
import tempfile
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pytest
from django.db import transaction
from django.utils import timezone
from sklearn.linear_model import LogisticRegression

from core import jobs
from core.jobs import Lease
from core.models import AuditEvent, Job, User
from governance.commands import checks as check_commands
from governance.commands.checks import ResolvedCheck, queue_check, resolve_checks
from governance.models import MEASURED, CheckRun, Measurement
from governance.policy import compile_policy
from registry import commands as registry_commands
from registry.datasets import register_dataset
from registry.models import EdgeKind, LineageEdge, ModelVersion, RegisteredModel
from tests.cast import actor
from tracking.commands.files import put_run_artifact
from tracking.commands.runs import create_run
from workflows import checking
from workflows.runner import sandbox

pytestmark = pytest.mark.django_db(transaction=True)

ROWS = pd.DataFrame({"x": [0.0, 1.0, 2.0, 3.0] * 20, "z": [1.0, 0.0, 1.0, 0.0] * 20, "y": [0, 0, 1, 1] * 20})


def saved_sklearn(folder: Path) -> Path:
    model = LogisticRegression().fit(ROWS[["x", "z"]], ROWS["y"])
    signature = mlflow.models.infer_signature(ROWS[["x", "z"]], model.predict(ROWS[["x", "z"]]))
    mlflow.sklearn.save_model(model, folder / "model", signature=signature)
    return folder / "model"


def saved_pyfunc(folder: Path, body: str) -> Path:
    """Save a model from code whose predict does this."""
    code = folder / "model.py"
    code.write_text(
        "import os, mlflow\nclass Model(mlflow.pyfunc.PythonModel):\n"
        f"    def predict(self, context, model_input, params=None):\n        {body}\n        return [0] * len(model_input)\n"
        "mlflow.models.set_model(Model())\n"
    )
    signature = mlflow.models.infer_signature(ROWS[["x", "z"]], [0])
    mlflow.pyfunc.save_model(folder / "model", python_model=str(code), signature=signature, pip_requirements=[])
    return folder / "model"


def register(user: User, folder: Path) -> ModelVersion:
    who = actor(user)
    run = create_run(actor=who, experiment_id=0).run_id
    for file in (p for p in folder.rglob("*") if p.is_file()):
        content = file.read_bytes()
        path = f"model/{file.relative_to(folder)}"
        put_run_artifact(actor=who, run_id=run, path=path, stream=io.BytesIO(content), expected_bytes=len(content))
    if not RegisteredModel.objects.filter(name="m").exists():
        registry_commands.create_model(actor=who, name="m")
    return registry_commands.register_version(actor=who, model_name="m", source=f"runs:/{run}/model", run_id=run)


def queued(
    dana: User,
    pat: User,
    version: ModelVersion,
    rows: pd.DataFrame = ROWS,
    check: str = "performance",
    champion: ModelVersion | None = None,
) -> CheckRun:
    content = rows.to_csv(index=False).encode()
    register_dataset(actor=actor(pat), name="validation", stream=io.BytesIO(content), format="csv", target="y", closed=True)
    policy = compile_policy(
        f"kind: Policy\nname: p\nchecks: [{{check: {check}, dataset: validation}}]\n"
        "requirements: [{id: a, title: A, how_to_satisfy: a, satisfied_if: 'true'}]\n"
    )
    (resolved,) = resolve_checks(policy, {})
    with transaction.atomic():
        return queue_check(actor=actor(dana), version=version, check=resolved, champion=champion)


def queued_scan(dana: User, version: ModelVersion) -> CheckRun:
    with transaction.atomic():
        return queue_check(actor=actor(dana), version=version, check=ResolvedCheck("artifact-scan", "1", {}, None))


def queued_with_reference(dana: User, version: ModelVersion) -> CheckRun:
    policy = compile_policy(
        "kind: Policy\nname: p\nchecks: [{check: drift, dataset: validation, with: {reference: training}}]\n"
        "requirements: [{id: a, title: A, how_to_satisfy: a, satisfied_if: 'true'}]\n"
    )
    (resolved,) = resolve_checks(policy, {})
    with transaction.atomic():
        return queue_check(actor=actor(dana), version=version, check=resolved)


def carried_out(run: CheckRun) -> CheckRun:
    checking.run_check(run_id=str(run.pk), worker="test-worker", lease=Lease())
    run.refresh_from_db()
    return run


def test_a_real_model_is_measured_and_the_evidence_kept(
    dana: User, pat: User, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (tmp_path / "countersign-check-of-a-killed-worker").mkdir()
    os.utime(tmp_path / "countersign-check-of-a-killed-worker", (0, 0))
    run = carried_out(queued(dana, pat, register(dana, saved_sklearn(tmp_path))))
    assert (run.state, run.error_message) == ("passed", "")
    assert not list(tmp_path.glob("countersign-check-*"))
    assert Measurement.objects.get(run=run, metric="roc_auc", slice="").value == 1.0
    assert run.result_digest.startswith("sha256:")
    assert run.tables.filter(name="roc_curve").exists()
    assert AuditEvent.objects.filter(action="check.finished", subject_id=str(run.pk)).count() == 1
    assert run.environment["model environment"] == "the worker's own, which satisfies the model's requirements"
    assert carried_out(run).finished_at == run.finished_at


def test_a_further_data_set_is_pinned_read_and_part_of_what_was_measured(dana: User, pat: User, tmp_path: Path) -> None:
    version = register(dana, saved_sklearn(tmp_path))
    for name, rows in (("validation", ROWS), ("training", ROWS.assign(z=5.0))):
        stream = io.BytesIO(rows.to_csv(index=False).encode())
        register_dataset(actor=actor(pat), name=name, stream=stream, format="csv", target="y", closed=True)
    run = carried_out(queued_with_reference(dana, version))
    assert (run.state, run.error_message, run.parameters) == ("passed", "", {"reference": "training@v1"})
    drifted = {each.slice: each.value for each in Measurement.objects.filter(run=run, metric="drift.ks")}
    assert drifted == {"x": 0.0, "z": 1.0}
    measured_on = {edge.source.key for edge in LineageEdge.objects.filter(kind=EdgeKind.EVALUATED_ON).select_related("source")}
    assert measured_on == {"dataset:validation@v1", "dataset:training@v1"}
    assert queued_with_reference(dana, version) == run
    stream = io.BytesIO(ROWS.to_csv(index=False).encode())
    register_dataset(actor=actor(pat), name="training", stream=stream, format="csv", target="y", closed=True)
    another = queued_with_reference(dana, version)
    assert another != run and another.parameters == {"reference": "training@v2"}


@pytest.mark.parametrize(
    "requirement, code, words",
    [
        ("evil @ https://example.org/evil.whl", "requirement_refused", "names an address"),
        ("scikit-learn==0.1", "environment_unavailable", "scikit-learn==0.1"),
    ],
)
def test_an_environment_that_cannot_be_had_ends_the_run_and_says_which_requirement(
    dana: User, pat: User, tmp_path: Path, settings: Any, requirement: str, code: str, words: str
) -> None:
    settings.MODEL_ENVIRONMENTS = "own"
    model = saved_sklearn(tmp_path)
    (model / "requirements.txt").write_text(f"mlflow\n{requirement}\n")
    version = register(dana, model)
    run = carried_out(queued(dana, pat, version))
    assert (run.state, run.error_code) == ("error", code) and words in run.error_message
    scan = carried_out(queued_scan(dana, version))  # files can be looked into without it
    assert scan.state in MEASURED and "model environment" not in scan.environment


def test_a_check_that_is_not_installed_here_ends_the_run_and_is_named(dana: User, tmp_path: Path) -> None:
    version = register(dana, saved_sklearn(tmp_path))
    with transaction.atomic():
        run = queue_check(actor=actor(dana), version=version, check=ResolvedCheck("gone-with-its-package", "1", {}, None))
    run = carried_out(run)
    assert (run.state, run.error_code) == ("error", "invalid_parameters") and "gone-with-its-package" in run.error_message


def test_a_data_set_without_a_needed_column_is_a_clear_error(dana: User, pat: User, tmp_path: Path) -> None:
    run = carried_out(queued(dana, pat, register(dana, saved_sklearn(tmp_path)), ROWS.drop(columns="z")))
    assert (run.state, run.error_code) == ("error", "missing_column")
    assert "'z'" in run.error_message
    assert "validation@v1" in run.error_message
    assert not Measurement.objects.exists()


@pytest.mark.parametrize(
    ("body", "state", "code"),
    [
        ("raise RuntimeError('broken on purpose')", "error", "model_predict_failed"),
        ("os._exit(0)", "error", "model_predict_failed"),
        ("x = b'x' * (1 << 40)", "error", None),
        ("import time; time.sleep(600)", "timed_out", "wall_time_limit"),
    ],
)
def test_a_hostile_model_gives_a_named_error_and_nothing_half_written(
    dana: User, pat: User, tmp_path: Path, settings: Any, body: str, state: str, code: str | None
) -> None:
    settings.SANDBOX_WALL_SECONDS = 12 if state == "timed_out" else 60
    run = carried_out(queued(dana, pat, register(dana, saved_pyfunc(tmp_path, body))))
    assert run.state == state, run.error_message
    assert code is None or run.error_code == code
    assert run.error_message
    assert not Measurement.objects.exists()


def test_a_run_that_is_taken_away_is_left_to_its_new_worker(dana: User, pat: User, tmp_path: Path, settings: Any) -> None:
    settings.SANDBOX_WALL_SECONDS = 60
    run = queued(dana, pat, register(dana, saved_pyfunc(tmp_path, "import time; time.sleep(50)")))
    lease = Lease()
    threading.Timer(6, lease.lose).start()
    with pytest.raises(jobs.Cancelled):
        checking.run_check(run_id=str(run.pk), worker="slow", lease=lease)
    run.refresh_from_db()
    assert run.state == "running"
    assert not AuditEvent.objects.filter(action="check.finished").exists()


def test_a_run_whose_job_is_gone_is_settled_and_its_request_is_not_stuck(dana: User, pat: User, tmp_path: Path) -> None:
    run = queued(dana, pat, register(dana, saved_sklearn(tmp_path)))
    assert checking.settle_orphans() == 0
    Job.objects.update(state="failed")
    assert checking.settle_orphans() == 0
    CheckRun.objects.update(created_at=timezone.now() - timedelta(minutes=5))
    assert checking.settle_orphans() == 1
    run.refresh_from_db()
    assert (run.state, run.error_code) == ("error", "worker_lost")


def test_a_run_is_prepared_and_then_runs_and_shows_what_it_prints(
    dana: User, pat: User, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[str, str]] = []
    report = check_commands.report_progress

    def noted(**given: Any) -> bool:
        held = report(**given)
        run = CheckRun.objects.get(pk=given["run_id"])
        seen.append((run.state, run.log))
        return held

    monkeypatch.setattr(check_commands, "report_progress", noted)
    monkeypatch.setattr(sandbox, "_BEAT_SECONDS", 0.1)
    body = "print('said aloud', flush=True); import time; time.sleep(1.5); return [1] * len(model_input)"
    run = queued(dana, pat, register(dana, saved_pyfunc(tmp_path, body)))
    monkeypatch.setattr(checking.environments, "provide", _telling(checking.environments.provide))
    assert carried_out(run).state in MEASURED
    states = [state for state, _ in seen]
    assert states[0] == "preparing" and set(states) == {"preparing", "running"} and states == sorted(states)
    assert any("said aloud" in log for _, log in seen) and "said aloud" in run.log


def _telling(provide: Any) -> Any:
    def provide_and_tell(asked: Any, builder: Any, tell: Any) -> Any:
        tell("Making an environment")
        return provide(asked, builder, tell)

    return provide_and_tell


def test_what_is_compared_with_the_champion_is_measured_on_both(dana: User, pat: User, tmp_path: Path) -> None:
    champion = register(dana, saved_sklearn(tmp_path))
    (tmp_path / "two").mkdir()
    version = register(dana, saved_pyfunc(tmp_path / "two", "return [1] * len(model_input)"))
    run = queued(dana, pat, version, champion=champion)
    assert run.compared_with == champion and queued(dana, pat, version).compared_with is None
    assert carried_out(run).error_message == ""
    difference = Measurement.objects.get(run=run, metric="accuracy.difference", slice="")
    assert difference.value is not None and difference.value < 0  # always the same answer against a model that learned
    assert run.environment["champion environment"]
