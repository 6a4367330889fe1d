"""Carry out a check run: lay out the content, measure in the sandbox, keep what came back."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
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
from governance.models import UNFINISHED, CheckRun, CheckState
from registry.models import DatasetVersion, ModelVersion
from workflows.commands import findings
from workflows.lifecycle import ADVANCE, EXECUTE, wake
from workflows.models import PromotionRequest
from workflows.runner import environments, sandbox, scratch
from workflows.runner.environments import Builder, Environment, EnvironmentFailed
from workflows.runner.sandbox import Isolation, Limits, Outcome, Progress, Status

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
    if missing := check_commands.without_result(run):
        message = f"It reads what {', '.join(missing)} measured, which ended without a result. Run the checks again."
        _finish(run, worker, CheckResult(state=CheckState.ERROR, error_code="nothing_to_rest_on", error_message=message))
        return
    scratch.remove_abandoned()  # here, since only the hosts of checks have them

    def heartbeat(progress: Progress, state: CheckState = CheckState.RUNNING) -> bool:
        shown = check_commands.report_progress(
            run_id=run_id, worker=worker, done=progress.done, text=progress.text, log=progress.log, state=state
        )
        return shown and lease.held()

    with scratch.folder() as folder:
        try:
            prepared = _prepare(run, folder, lambda text: heartbeat(Progress(0.0, text), CheckState.PREPARING))
        except EnvironmentFailed as error:
            _finish(run, worker, CheckResult(CheckState.ERROR, error_code=error.code, error_message=error.message))
            return
        outcome = sandbox.run(
            _spec(run),
            model_dir=prepared.model,
            dataset_path=prepared.dataset,
            limits=limits(),
            isolation=kept_apart,
            heartbeat=heartbeat,
            others=prepared.others,
            answering=prepared.answering,
            asks_again=catalogue.asks_again(run.check_name),
            champion=prepared.champion,
        )
    if not lease.held():
        raise jobs.Cancelled
    _finish(run, worker, _result(outcome, prepared))


@dataclass(frozen=True)
class _Prepared:
    """What lies ready for a run. champion: the files of what it is compared with, and what answers for them."""

    model: Path | None
    dataset: Path | None
    others: Mapping[str, Path]
    answering: Environment | None
    champion: tuple[Path, Environment] | None

    def said(self) -> dict[str, str]:
        """Return which environments answered, as evidence names them."""
        said = {"model environment": self.answering.said} if self.answering else {}
        return said | ({"champion environment": self.champion[1].said} if self.champion else {})


def _prepare(run: CheckRun, folder: Path, tell: Callable[[str], object]) -> _Prepared:
    """Lay out files and provide environments. Raises EnvironmentFailed."""
    model = _model_files(run.version, folder / "model") if catalogue.needs_model(run.check_name) else None
    champion = answering = None
    if model is not None and catalogue.asks_model(run.check_name):
        answering = environments.provide(environments.asked_by(model), builder(), tell)
        if run.compared_with is not None:
            files = _model_files(run.compared_with, folder / "champion")
            champion = (files, environments.provide(environments.asked_by(files), builder(), tell))
    others = {
        name: _dataset_file(other, folder / f"other-{number}")
        for number, (name, other) in enumerate(check_commands.further_datasets(run).items())
    }
    dataset = _dataset_file(run.dataset_version, folder / "data") if run.dataset_version else None
    return _Prepared(model, dataset, others, answering, champion)


def settle_orphans() -> int:
    """End the check runs whose job is gone for good, and wake requests that should have moved; return how many of both."""
    before = timezone.now() - timedelta(seconds=_GRACE)
    busy = Job.objects.filter(state__in=[JobState.QUEUED, JobState.RUNNING])
    count = 0
    working = set(busy.filter(name=check_commands.RUN_CHECK).values_list("key", flat=True))
    for run in CheckRun.objects.filter(state__in=UNFINISHED, created_at__lt=before):
        if f"check:{run.pk}" not in working:
            _orphaned(run)
            count += 1
    if count:
        jobs.nudge_waiting(check_commands.RUN_CHECK)  # what rests on them need not wait any longer
    for name, states in ((ADVANCE, ["checking"]), (EXECUTE, ["approved", "executing"])):
        waiting = PromotionRequest.objects.filter(state__in=states, updated_at__lt=before).values_list("pk", flat=True)
        for request_id in waiting:
            with transaction.atomic():
                count += jobs.enqueue(name, key=f"{name}:{request_id}", request_id=request_id) is not None
    return count


def _model_files(version: ModelVersion, folder: Path) -> Path:
    """Put a version's files where the sandbox can read them."""
    folder.mkdir()
    for file in version.files.all():
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
        **check_commands.read_besides(run),
    }


def _result(outcome: Outcome, prepared: _Prepared) -> CheckResult:
    found = [asdict(row) for row in outcome.findings]
    measured = outcome.status is Status.COMPLETED
    return CheckResult(
        state=check_commands.measured_state(found) if measured else CheckState(outcome.status.value),
        error_code=outcome.error_code,
        error_message=outcome.error_message,
        measurements=[asdict(row) for row in outcome.measurements],
        findings=found,
        tables=[asdict(row) for row in outcome.tables],
        environment={**outcome.environment, **prepared.said()},
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
    CheckRun.objects.filter(pk=run.pk, state=CheckState.QUEUED).update(state=CheckState.PREPARING, worker=run.worker)
    message = "The worker was lost, or failed again and again, while it carried out this check. Run the checks again."
    _finish(run, run.worker, CheckResult(state=CheckState.ERROR, error_code="worker_lost", error_message=message))
