"""Carry out a check run: lay out the content, measure in the sandbox, keep what came back."""

from __future__ import annotations

import logging
import tempfile
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import transaction
from django.utils import timezone

from artifacts.store import materialise, store
from core import jobs
from core.access import SYSTEM
from core.jobs import Lease
from core.models import Job, JobState
from governance.checks import catalogue
from governance.commands import checks as check_commands
from governance.commands.checks import CheckResult
from governance.models import CheckRun, CheckState
from registry.models import DatasetVersion
from workflows.commands import findings
from workflows.lifecycle import ADVANCE, EXECUTE, wake
from workflows.models import PromotionRequest
from workflows.runner import environments, sandbox
from workflows.runner.environments import Builder, Environment, EnvironmentFailed
from workflows.runner.sandbox import Isolation, Limits, Outcome, Progress

log = logging.getLogger(__name__)

_SEED = 20260331
_GRACE = 60  # seconds a fresh row may be without its job: the sweep and the transaction that makes both can cross


def isolation() -> Isolation:
    """Return how models are kept apart here. Raises ImproperlyConfigured where only a weaker way than allowed works."""
    if settings.SANDBOX != "process":
        usable = sandbox.detect()
        if usable.available:
            return Isolation.BUBBLEWRAP
        if settings.SANDBOX == "bubblewrap":
            raise ImproperlyConfigured(f"SANDBOX is bubblewrap, but it does not work here: {usable.reason}")
    if not settings.SANDBOX_ALLOW_PROCESS:
        raise ImproperlyConfigured(
            "Models would be loaded without bubblewrap. Install it, or set SANDBOX_ALLOW_PROCESS=true where workers are isolated otherwise."
        )
    return Isolation.PROCESS


def limits() -> Limits:
    """Return what one check may use."""
    return Limits(
        memory_bytes=settings.SANDBOX_MEMORY_BYTES,
        cpu_seconds=settings.SANDBOX_WALL_SECONDS,
        wall_seconds=settings.SANDBOX_WALL_SECONDS,
    )


def builder() -> Builder:
    """Return how environments for models are built here."""
    builds = settings.UV_PROGRAM and settings.MODEL_ENVIRONMENTS == "build"
    return Builder(settings.HOME / "environments", Path(settings.UV_PROGRAM) if builds else None, settings.MODEL_INDEX_URL)


def run_check(*, run_id: str, worker: str, lease: Lease) -> None:
    """Measure a queued run and record the result. Safe to run twice: a finished run is left alone."""
    kept_apart = isolation()
    run = check_commands.start_check(run_id=run_id, worker=worker, isolation=kept_apart.value)
    if run is None:
        return

    def heartbeat(progress: Progress) -> bool:
        shown = check_commands.report_progress(run_id=run_id, worker=worker, done=progress.done, text=progress.text)
        return shown and lease.held()

    with tempfile.TemporaryDirectory(prefix="countersign-check-") as folder:
        model = _model_files(run, Path(folder) / "model")
        answering = None
        if catalogue.asks_model(run.check_name):
            try:
                answering = environments.provide(
                    environments.asked_by(model), builder(), lambda text: heartbeat(Progress(0.0, text))
                )
            except EnvironmentFailed as error:
                _finish(run, worker, CheckResult(CheckState.ERROR, error_code=error.code, error_message=error.message))
                return
        dataset = _dataset_file(run.dataset_version, Path(folder) / "data") if run.dataset_version else None
        others = {
            name: _dataset_file(other, Path(folder) / f"other-{number}")
            for number, (name, other) in enumerate(check_commands.further_datasets(run).items())
        }
        outcome = sandbox.run(
            _spec(run),
            model_dir=model,
            dataset_path=dataset,
            limits=limits(),
            isolation=kept_apart,
            heartbeat=heartbeat,
            others=others,
            answering=answering,
        )
    if not lease.held():
        raise jobs.Cancelled
    _finish(run, worker, _result(outcome, answering))


def settle_orphans() -> int:
    """End the check runs whose job is gone for good, and wake requests that should have moved; return how many of both."""
    before = timezone.now() - timedelta(seconds=_GRACE)
    busy = Job.objects.filter(state__in=[JobState.QUEUED, JobState.RUNNING])
    count = 0
    working = set(busy.filter(name=check_commands.RUN_CHECK).values_list("key", flat=True))
    for run in CheckRun.objects.filter(state__in=[CheckState.QUEUED, CheckState.RUNNING], created_at__lt=before):
        if f"check:{run.pk}" not in working:
            _orphaned(run)
            count += 1
    for name, states in ((ADVANCE, ["checking"]), (EXECUTE, ["approved", "executing"])):
        waiting = PromotionRequest.objects.filter(state__in=states, updated_at__lt=before).values_list("pk", flat=True)
        for request_id in waiting:
            with transaction.atomic():
                count += jobs.enqueue(name, key=f"{name}:{request_id}", request_id=request_id) is not None
    return count


def _model_files(run: CheckRun, folder: Path) -> Path:
    """Put the version's files where the sandbox can read them."""
    folder.mkdir()
    for file in run.version.files.all():
        path = folder / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        materialise(store(), file.digest, path)
    return folder


def _dataset_file(dataset: DatasetVersion, path: Path) -> Path:
    """Put a data set there, with the ending that tells its format."""
    path = path.with_name(f"{path.name}.{dataset.format}")
    materialise(store(), dataset.blob_id, path)
    return path


def _spec(run: CheckRun) -> dict[str, Any]:
    dataset = run.dataset_version
    return {
        "check": run.check_name,
        "parameters": run.parameters,
        "seed": _SEED,
        "dataset": {"name": str(dataset), "target": dataset.target} if dataset else None,
    }


def _result(outcome: Outcome, answering: Environment | None) -> CheckResult:
    return CheckResult(
        state=CheckState(outcome.status.value),
        error_code=outcome.error_code,
        error_message=outcome.error_message,
        measurements=[asdict(row) for row in outcome.measurements],
        findings=[asdict(row) for row in outcome.findings],
        tables=[asdict(row) for row in outcome.tables],
        environment={**outcome.environment, **({"model environment": answering.said} if answering else {})},
        log=outcome.log_tail,
    )


def _finish(run: CheckRun, worker: str, result: CheckResult) -> None:
    with transaction.atomic():
        finished = check_commands.finish_check(actor=SYSTEM, run_id=str(run.pk), worker=worker, result=result)
        if finished is None:
            log.warning("check run %s was finished by another worker; this result is dropped", run.pk)
            return
        findings.raise_from_check(actor=SYSTEM, run=finished)
        for request_id in run.request_links.values_list("request_id", flat=True):
            wake(request_id)


def _orphaned(run: CheckRun) -> None:
    CheckRun.objects.filter(pk=run.pk, state=CheckState.QUEUED).update(state=CheckState.RUNNING, worker=run.worker)
    message = "The worker was lost, or failed again and again, while it carried out this check. Run the checks again."
    _finish(run, run.worker, CheckResult(state=CheckState.ERROR, error_code="worker_lost", error_message=message))
