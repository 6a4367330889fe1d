"""Queue checks and keep what they measured."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone

from core import access, audit, jobs
from core.access import Actor, Permission
from core.audit import Event
from core.canonical import digest
from core.errors import Conflict, Invalid, NotFound
from governance import partitions, results
from governance.checks import catalogue, parameters
from governance.checks.base import Check
from governance.evidence import NO_CARD
from governance.facts import REPORTED
from governance.models import (
    AT_WORK,
    GRAVE,
    MEASURED,
    UNFINISHED,
    CheckPartition,
    CheckRun,
    CheckState,
    Measurement,
    ModelCard,
    ResourceClass,
)
from governance.policy import CheckRequest, CompiledPolicy
from registry.models import DatasetVersion, ModelVersion

LIVE = (*UNFINISHED, *MEASURED, CheckState.SKIPPED)


@dataclass(frozen=True)
class ResolvedCheck:
    """A check with its parameters and the exact data set version it measures on. others: those that its parameters name, by parameter."""

    name: str
    revision: str
    parameters: Mapping[str, Any]
    dataset: DatasetVersion | None
    others: Mapping[str, DatasetVersion] = field(default_factory=dict)


def resolve_checks(policy: CompiledPolicy, parameters: Mapping[str, Any]) -> list[ResolvedCheck]:
    """Return what a policy asks workers to measure, ready to be queued.

    Raises Invalid for a parameter the check does not take, and for a data set that is absent or that the check lacks.
    """
    values = policy.effective(parameters)
    return [_resolved(request.resolved(values)) for request in policy.checks if request.source != REPORTED]


def reported_checks(policy: CompiledPolicy, parameters: Mapping[str, Any]) -> list[ResolvedCheck]:
    """Return what a policy asks pipelines elsewhere to report, without a revision. They need not be installed here.

    Raises Invalid for a data set that is absent.
    """
    values = policy.effective(parameters)
    asked = [request.resolved(values) for request in policy.checks if request.source == REPORTED]
    return [ResolvedCheck(c.check, "", c.parameters, dataset_version(c.dataset) if c.dataset else None) for c in asked]


def queue_check(
    *,
    actor: Actor,
    version: ModelVersion,
    check: ResolvedCheck,
    champion: ModelVersion | None = None,
    siblings: Sequence[CheckRun] = (),
) -> CheckRun:
    """Return the check run for these inputs: one that is there already, or a new one in the queue.

    champion: what a check that compares is to compare with. siblings: the runs whose measurements one that reads these is to read. Runs
    in the caller's transaction. A run that ended in an error is not reused.
    """
    kind = catalogue.available().get(check.name)
    compared = champion if getattr(kind, "compares", False) and champion is not None and champion.content_digest else None
    given: dict[str, Any] = {
        "check": check.name,
        "revision": check.revision,
        "parameters": dict(check.parameters),
        "content": version.content_digest,
        "dataset": check.dataset.digest if check.dataset else None,
    }
    if check.others:
        given["others"] = {parameter: other.digest for parameter, other in check.others.items()}
    if compared is not None:
        given["compared_with"] = compared.content_digest
    card = _cards(version) if getattr(kind, "reads_card", False) else _Cards()
    given |= card.given
    rests_on = {run.pk: run for run in siblings} if getattr(kind, "reads_measurements", False) else {}
    if rests_on:
        given["rests_on"] = sorted(run.inputs_digest for run in rests_on.values())
    inputs = digest(given)
    existing = CheckRun.objects.filter(inputs_digest=inputs, state__in=LIVE).first()
    if existing is not None:
        if existing.state == CheckState.QUEUED and rests_on:
            existing.rests_on.set(rests_on.values())  # one of them may have been run again meanwhile
        return existing
    run_id = uuid.uuid4()
    needs = _resource_class(kind, version)
    try:
        with transaction.atomic():
            run = CheckRun.objects.create(
                id=run_id,
                version=version,
                compared_with=compared,
                resource_class=needs,
                job=jobs.enqueue(
                    partitions.RUN_CHECK, key=f"check:{run_id}", queue=settings.CHECK_QUEUES[needs], run_id=str(run_id)
                ),
                check_name=check.name,
                check_revision=check.revision,
                parameters=dict(check.parameters),
                dataset_version=check.dataset,
                card_digest=card.digest,
                earlier_card=card.earlier,
                content_digest=version.content_digest,
                inputs_digest=inputs,
                requested_by=actor.username,
            )
            run.rests_on.set(rests_on.values())
    except IntegrityError:  # another request asked for the same at the same instant; theirs serves both
        return CheckRun.objects.get(inputs_digest=inputs, state__in=LIVE)
    audit.record(
        actor,
        Event.CHECK_QUEUED,
        subject=("check_run", run.pk),
        scope=f"model:{version.model_id}",
        after={
            "check": check.name,
            "version": version.number,
            "inputs": inputs,
            **({"card": card.digest} if card.digest else {}),
            **({"rests_on": [str(pk) for pk in rests_on]} if rests_on else {}),
        },
    )
    return run


@transaction.atomic
def queue_on_new_card(*, actor: Actor, version: ModelVersion, run: CheckRun) -> CheckRun:
    """Return the run that measures the same as one before it, with the card of now; a new one, or one that is there already."""
    kind = catalogue.available().get(run.check_name)
    revision = kind.revision if kind is not None else run.check_revision
    check = ResolvedCheck(run.check_name, revision, run.parameters, run.dataset_version, further_datasets(run))
    return queue_check(actor=actor, version=version, check=check, champion=run.compared_with, siblings=list(run.rests_on.all()))


@dataclass(frozen=True)
class _Cards:
    """What a run reads of cards: the digest of the version's own, empty if it reads none, and the newest of the versions before."""

    digest: str = ""
    earlier: ModelCard | None = None

    @property
    def given(self) -> dict[str, str]:
        own = {"card": self.digest} if self.digest else {}
        return own | ({"earlier_card": self.earlier.digest} if self.earlier else {})


def _cards(version: ModelVersion) -> _Cards:
    own = version.cards.order_by("-revision").first()
    before = ModelCard.objects.filter(
        version__model=version.model_id, version__number__lt=version.number, version__deleted_at__isnull=True
    )
    return _Cards(own.digest if own else NO_CARD, before.order_by("-version__number", "-revision").first())


def _resource_class(kind: type[Check] | None, version: ModelVersion) -> ResourceClass:
    """Return what a run needs: what the check says it does, else ``light`` if it only reads files and they are not large."""
    said = getattr(kind, "resource_class", None)
    if said is not None:
        return ResourceClass(said)
    light = kind is not None and not catalogue.asks_model(kind.name)
    if kind is not None and kind.needs_model and version.size_bytes > settings.CHECK_LIGHT_BYTES:
        light = False
    return ResourceClass.LIGHT if light else ResourceClass.CPU


def further_datasets(run: CheckRun) -> dict[str, DatasetVersion]:
    """Return the data sets that the parameters of a run name, by these names. A check that is not installed here names none."""
    try:
        check = catalogue.build(run.check_name, run.parameters)
    except ValueError:
        return {}  # the run itself ends with this error, in words
    return {name: dataset_version(name) for name in parameters.dataset_names(check).values()}


def start_check(*, run_id: str, worker: str, isolation: str) -> CheckRun | None:
    """Take a queued run, or one whose worker was lost, into work; None when it is finished already.

    It is prepared first: files are laid out, an environment is built. The job's lease decides who works; this only follows it, so no
    actor is asked.
    """
    waiting = CheckRun.objects.filter(pk=run_id, state__in=UNFINISHED)
    if CheckPartition.objects.filter(run__pk=run_id).exists():  # it began when they were made
        taken = waiting.update(state=CheckState.RUNNING, worker=worker, isolation=isolation)
    else:
        taken = waiting.update(
            state=CheckState.PREPARING,
            worker=worker,
            isolation=isolation,
            started_at=timezone.now(),
            progress=0.0,
            progress_text="",
        )
    if not taken:
        return None
    return CheckRun.objects.select_related(
        "version__model", "compared_with", "dataset_version__dataset", "dataset_version__blob", "earlier_card"
    ).get(pk=run_id)


def without_result(run: CheckRun) -> list[str]:
    """Return the checks that a run rests on and that ended without a result."""
    ended = run.rests_on.exclude(state__in=[*MEASURED, CheckState.SKIPPED])
    return sorted(set(ended.values_list("check_name", flat=True)))


def read_besides(run: CheckRun) -> dict[str, Any]:
    """Return what a check is given besides files: the sections of the cards, and what the runs that it rests on measured."""
    given: dict[str, Any] = {}
    if run.card_digest:
        own = run.version.cards.filter(digest=run.card_digest).first()
        given["card"] = own.sections if own else {}
        given["earlier_card"] = run.earlier_card.sections if run.earlier_card else {}
    rows = Measurement.objects.filter(run__carries=run, value__isnull=False).select_related("run")
    measured = [
        {
            "check": row.run.check_name,
            "run": str(row.run_id),
            "metric": row.metric,
            "slice": row.slice,
            "value": row.value,
            "ci_low": row.ci_low,
            "ci_high": row.ci_high,
        }
        for row in rows.order_by("run__check_name", "pk")
    ]
    return {**given, "measured": measured} if measured else given


def report_progress(
    *, run_id: str, worker: str, done: float, text: str, log: str = "", state: CheckState = CheckState.RUNNING
) -> bool:
    """Show how far a run is, and what it has printed; return False when it is no longer this worker's."""
    return bool(
        CheckRun.objects.filter(pk=run_id, state__in=AT_WORK, worker=worker).update(
            state=state, progress=done, progress_text=text[:300], log=log
        )
    )


@transaction.atomic
def cancel_check(*, actor: Actor, run_id: str) -> CheckRun:
    """End a run that has not ended: nothing that its worker may still bring back is kept.

    Raises NotFound for a run that is absent or hidden, Denied, or Conflict for one that has ended.
    """
    run = CheckRun.objects.select_related("version__model").filter(pk=run_id).first()
    if run is None or not access.explain(actor, Permission.MODEL_READ, run.version.model).allowed:
        raise NotFound(f"There is no check run {run_id}, or you may not see it.")
    access.require(actor, Permission.PROMOTION_REQUEST, run.version.model)
    said = f"{actor.username} cancelled it. Run the checks of the request again when you need its result."
    cancelled = CheckRun.objects.filter(pk=run.pk, state__in=UNFINISHED).update(
        state=CheckState.CANCELLED, error_code="cancelled", error_message=said, progress_text="", finished_at=timezone.now()
    )
    if not cancelled:
        raise Conflict("This check run has ended; there is nothing to cancel.", code="check_ended")
    jobs.cancel(key=f"check:{run.pk}")
    partitions.remove(str(run.pk))
    audit.record(
        actor,
        Event.CHECK_CANCELLED,
        subject=("check_run", run.pk),
        scope=f"model:{run.version.model_id}",
        after={"check": run.check_name, "version": run.version.number, "inputs": run.inputs_digest},
    )
    run.refresh_from_db()
    return run


def measured_state(findings: Sequence[Mapping[str, Any]]) -> CheckState:
    """Return the state of a run that measured to the end: ``failed`` with a finding of high severity or worse, else ``passed``."""
    return CheckState.FAILED if any(row["severity"] in GRAVE for row in findings) else CheckState.PASSED


@dataclass(frozen=True)
class CheckResult:
    """What a worker brings back from a check; rows are plain JSON values, already validated by the runner."""

    state: CheckState
    error_code: str = ""
    error_message: str = ""
    measurements: Sequence[Mapping[str, Any]] = ()
    findings: Sequence[Mapping[str, Any]] = ()
    tables: Sequence[Mapping[str, Any]] = ()
    environment: Mapping[str, Any] | None = None
    log: str = ""


@transaction.atomic
def finish_check(*, actor: Actor, run_id: str, worker: str, result: CheckResult) -> CheckRun | None:
    """Keep what a check found, all of it or nothing; None when the run is no longer this worker's."""
    access.require(actor, Permission.MODEL_WRITE)
    found = results.Rows.of(result.measurements, result.findings, result.tables)
    finished = CheckRun.objects.filter(pk=run_id, state__in=AT_WORK, worker=worker).update(
        state=result.state,
        progress=1.0,
        progress_text="",
        error_code=result.error_code,
        error_message=result.error_message,
        environment=dict(result.environment or {}),
        log=result.log,
        result_digest=found.digest if result.state in MEASURED else "",
        tables_digest=found.tables_digest,
        finished_at=timezone.now(),
    )
    if not finished:
        return None
    partitions.remove(run_id)
    run = CheckRun.objects.select_related("version__model", "dataset_version__dataset").get(pk=run_id)
    if result.state in MEASURED:
        found.write(run)
        results.record_evaluation(run, further_datasets(run).values())
    audit.record(
        actor,
        Event.CHECK_FINISHED,
        subject=("check_run", run.pk),
        scope=f"model:{run.version.model_id}",
        after={
            "check": run.check_name,
            "version": run.version.number,
            "state": run.state,
            "inputs": run.inputs_digest,
            "result": run.result_digest,
            "error": run.error_code,
        },
    )
    return run


def _resolved(request: CheckRequest) -> ResolvedCheck:
    try:
        check = catalogue.build(request.check, request.parameters)
    except ValueError as error:
        raise Invalid(str(error), code="wrong_check_parameters") from None
    dataset = dataset_version(request.dataset) if request.dataset else None
    if check.needs_dataset and dataset is None:
        raise Invalid(f"The check {request.check} measures on a data set; the policy must name one under dataset.")
    others = {parameter: dataset_version(name) for parameter, name in parameters.dataset_names(check).items()}
    exact = {parameter: str(other) for parameter, other in others.items()}  # the version, so that a later one is another input
    return ResolvedCheck(request.check, check.revision, {**request.parameters, **exact}, dataset, others)


def dataset_version(name: str) -> DatasetVersion:
    """Return a version of a data set by ``name@v2``, or the newest by ``name``. Raises Invalid if there is none."""
    plain, _, number = name.partition("@v")
    rows = DatasetVersion.objects.select_related("dataset", "blob").filter(dataset__name=plain)
    found = rows.filter(number=int(number)).first() if number.isdecimal() else rows.order_by("-number").first()
    if found is None:
        raise Invalid(f"There is no data set {name!r}; register it before a policy measures on it.", code="unknown_dataset")
    return found
