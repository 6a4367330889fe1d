"""Carry out a check run: lay out the content, measure in the sandbox, keep what came back."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
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
from governance import partitions
from governance.checks import catalogue
from governance.commands import checks as check_commands
from governance.commands.checks import CheckResult
from governance.models import UNFINISHED, CheckPartition, CheckRun, CheckState
from registry.models import DatasetVersion, ModelVersion
from workflows.commands import findings
from workflows.lifecycle import ADVANCE, EXECUTE, wake
from workflows.models import PromotionRequest
from workflows.runner import environments, sandbox, scratch
from workflows.runner.environments import Builder, Environment, EnvironmentFailed
from workflows.runner.limits import LOG_BYTES
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
    """Measure a queued run and record the result. Safe to run twice: a finished run is left alone.

    One that is to be asked about in partitions has these queued instead, and goes on from their answers when it is elected again. Raises
    Later then.
    """
    kept_apart = isolation()
    if partitions.are_open(run_id):
        raise jobs.Later
    isolations = partitions.isolations(run_id) or {kept_apart.value}
    weakest = Isolation.PROCESS if Isolation.PROCESS.value in isolations else kept_apart
    run = check_commands.start_check(run_id=run_id, worker=worker, isolation=weakest.value)
    if run is None:
        return
    if missing := check_commands.without_result(run):
        message = f"It reads what {', '.join(missing)} measured, which ended without a result. Run the checks again."
        finish(run, worker, CheckResult(state=CheckState.ERROR, error_code="nothing_to_rest_on", error_message=message))
        return
    if partitions.divide(run_id=run_id, worker=worker):
        raise jobs.Later
    scored = list(run.partitions.select_related("answers").order_by("start"))
    scratch.remove_abandoned()  # here, since only the hosts of checks have them

    def heartbeat(progress: Progress, state: CheckState = CheckState.RUNNING) -> bool:
        done = partitions.SCORED + (1 - partitions.SCORED) * progress.done if scored else progress.done
        shown = check_commands.report_progress(
            run_id=run_id, worker=worker, done=done, text=progress.text, log=progress.log, state=state
        )
        return shown and lease.held()

    with scratch.folder() as folder:
        try:
            prepared = prepare(run, folder, lambda text: heartbeat(Progress(0.0, text), CheckState.PREPARING), asked=not scored)
        except EnvironmentFailed as error:
            finish(run, worker, failed(error))
            return
        outcome = sandbox.run(
            {**spec(run), "answers": _answers(run, scored)},
            model_dir=prepared.model,
            dataset_path=prepared.dataset,
            limits=limits(),
            isolation=kept_apart,
            heartbeat=heartbeat,
            others=prepared.others,
            answering=prepared.answering,
            asks_again=catalogue.asks_again(run.check_name),
            champion=prepared.champion,
            answers=[answers_file(each, folder) for each in scored],
        )
    if not lease.held():
        raise jobs.Cancelled
    finish(run, worker, result(outcome, prepared.said() | _said_of(scored), "".join(each.log for each in scored)))


@dataclass(frozen=True)
class Prepared:
    """What lies ready for a run. champion: the files of what it is compared with, and what answers for them, if anything is to."""

    model: Path | None
    dataset: Path | None
    others: Mapping[str, Path]
    answering: Environment | None
    champion: tuple[Path, Environment | None] | None

    def said(self) -> dict[str, str]:
        """Return which environments answered, as evidence names them."""
        said = {"model environment": self.answering.said} if self.answering else {}
        other = self.champion[1] if self.champion else None
        return said | ({"champion environment": other.said} if other else {})


def prepare(run: CheckRun, folder: Path, tell: Callable[[str], object], *, asked: bool = True) -> Prepared:
    """Lay out files and provide environments, if a model is to be asked. Raises EnvironmentFailed."""

    def environment(files: Path) -> Environment | None:
        return environments.provide(environments.asked_by(files), builder(), tell) if asked else None

    model = _model_files(run.version, folder / "model") if catalogue.needs_model(run.check_name) else None
    champion = answering = None
    if model is not None and catalogue.asks_model(run.check_name):
        answering = environment(model)
        if run.compared_with is not None:
            files = _model_files(run.compared_with, folder / "champion")
            champion = (files, environment(files))
    others = {
        name: _dataset_file(other, folder / f"other-{number}")
        for number, (name, other) in enumerate(check_commands.further_datasets(run).items())
    }
    dataset = _dataset_file(run.dataset_version, folder / "data") if run.dataset_version else None
    return Prepared(model, dataset, others, answering, champion)


def _answers(run: CheckRun, scored: Sequence[CheckPartition]) -> dict[str, Any] | None:
    """Return what stands for the models of a run that was asked about in partitions, without the places of the files."""
    if not scored:
        return None
    return {"run": str(run.pk), "files": [{"start": each.start, "stop": each.stop} for each in scored]}


def answers_file(partition: CheckPartition, folder: Path) -> Path:
    """Put the answers to a partition there."""
    path = folder / f"answers-to-rows-{partition.start + 1}-to-{partition.stop}"
    assert partition.answers_id is not None
    materialise(store(), partition.answers_id, path)
    return path


def _said_of(scored: Sequence[CheckPartition]) -> dict[str, str]:
    """Return which environments answered about partitions, and how many these were, as evidence names them."""
    if not scored:
        return {}
    names = sorted({name for each in scored for name in each.said})
    said = {name: "; ".join(sorted({each.said[name] for each in scored if name in each.said})) for name in names}
    return {**said, "partitions": f"{len(scored)}, of {scored[0].stop - scored[0].start:,} rows or what was left"}


def settle_orphans() -> int:
    """End the check runs whose job is gone for good, and wake requests that should have moved; return how many of both."""
    before = timezone.now() - timedelta(seconds=_GRACE)
    busy = Job.objects.filter(state__in=[JobState.QUEUED, JobState.RUNNING])
    count = 0
    for run in partitions.stranded():
        _orphaned(run)
        count += 1
    working = set(busy.filter(name=partitions.RUN_CHECK).values_list("key", flat=True))
    for run in CheckRun.objects.filter(state__in=UNFINISHED, created_at__lt=before):
        if f"check:{run.pk}" not in working:
            _orphaned(run)
            count += 1
    if count:
        jobs.nudge_waiting(partitions.RUN_CHECK)  # what rests on them need not wait any longer
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


def spec(run: CheckRun) -> dict[str, Any]:
    """Return what the measuring process is told of a run."""
    dataset = run.dataset_version
    return {
        "check": run.check_name,
        "parameters": run.parameters,
        "seed": _SEED,
        "dataset": {"name": str(dataset), "target": dataset.target} if dataset else None,
        **check_commands.read_besides(run),
    }


def failed(error: EnvironmentFailed) -> CheckResult:
    """Return the result of a run whose model cannot be asked."""
    return CheckResult(CheckState.ERROR, error_code=error.code, error_message=error.message)


def result(outcome: Outcome, said: Mapping[str, str], log_before: str = "") -> CheckResult:
    """Return what came of a run. said: which environments answered. log_before: what was printed by those that asked before."""
    found = [asdict(row) for row in outcome.findings]
    measured = outcome.status is Status.COMPLETED
    return CheckResult(
        state=check_commands.measured_state(found) if measured else CheckState(outcome.status.value),
        error_code=outcome.error_code,
        error_message=outcome.error_message,
        measurements=[asdict(row) for row in outcome.measurements],
        findings=found,
        tables=[asdict(row) for row in outcome.tables],
        environment={**outcome.environment, **said},
        log=(log_before + outcome.log_tail)[-LOG_BYTES:],
    )


def finish(run: CheckRun, worker: str, result: CheckResult) -> None:
    """Keep the result of a run that is this worker's, and wake the requests that wait for it."""
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
    finish(run, run.worker, CheckResult(state=CheckState.ERROR, error_code="worker_lost", error_message=message))
