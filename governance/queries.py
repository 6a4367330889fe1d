"""Policies, bindings, check runs and audit events as pages and the API read them."""

from __future__ import annotations

import inspect
import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.utils import timezone

from core import access
from core.access import Actor, Permission
from core.errors import NotFound
from core.models import AuditEvent, LedgerCheckpoint
from governance import ledger
from governance.bindings import in_force, in_force_or_to_come
from governance.checks import bom, catalogue
from governance.checks.dependencies import COMPONENTS, Dependencies
from governance.models import (
    Binding,
    CheckRun,
    EvidenceTable,
    Finding,
    Measurement,
    ParameterSet,
    Policy,
    PolicyRevision,
)
from governance.reported import ReportRow, reports_of


@dataclass(frozen=True)
class BindingRow:
    """A policy bound: where, how and with what. state: ``in_force``, ``to_come``, ``ended``, or ``taken_back`` before it began."""

    name: str
    policy: str
    mode: str
    models: list[str]
    risk_tiers: list[str]
    tags: dict[str, str]
    stages: list[str]
    aliases: list[str]
    parameters: dict[str, Any]
    parameters_name: str
    created_by: str
    valid_from: datetime
    valid_to: datetime | None
    state: str


@dataclass(frozen=True)
class RevisionRow:
    policy: str
    number: int
    digest: str
    document: str
    published_by: str
    published_at: datetime


@dataclass(frozen=True)
class PolicyRow:
    """A policy with its newest revision first, and the bindings that put it in force, now or later."""

    name: str
    revisions: list[RevisionRow]
    bindings: list[BindingRow]
    to_come: list[BindingRow]


@dataclass(frozen=True)
class ParametersRow:
    """One published revision of named parameters."""

    name: str
    number: int
    policy: str
    values: dict[str, Any]
    digest: str
    published_by: str
    published_at: datetime


@dataclass(frozen=True)
class ParametersHistory:
    """Named parameters with their newest revision first, and the bindings, in force or to come, that go by them."""

    name: str
    policy: str
    revisions: list[ParametersRow]
    bindings: list[str]


def policies(actor: Actor, *, name: str = "") -> list[PolicyRow]:
    """Return every policy, or the one of a name, with its revisions and its bindings, by name; three statements."""
    access.require(actor, Permission.POLICY_READ)
    only = {"policy__name": name} if name else {}
    revisions: dict[str, list[RevisionRow]] = defaultdict(list)
    for row in PolicyRevision.objects.select_related("policy", "published_by").filter(**only).order_by("-number"):
        revisions[row.policy.name].append(_revision(row))
    now = timezone.now()
    bound: dict[tuple[str, str], list[BindingRow]] = defaultdict(list)
    rows = Binding.objects.select_related("policy", "created_by").filter(in_force_or_to_come(now), **only)
    for binding in rows.order_by("name", "-valid_from"):
        bound[binding.policy.name, _binding_state(binding, now)].append(_binding(binding, now))
    names = Policy.objects.filter(**({"name": name} if name else {})).order_by("name").values_list("name", flat=True)
    return [PolicyRow(each, revisions[each], bound[each, "in_force"], bound[each, "to_come"]) for each in names]


def policy(actor: Actor, name: str) -> PolicyRow:
    """Return one policy. Raises NotFound."""
    found = policies(actor, name=name)
    if not found:
        raise NotFound(f"There is no policy {name!r}.")
    return found[0]


def bindings(actor: Actor, *, past: bool = False, as_of: datetime | None = None) -> list[BindingRow]:
    """Return the bindings in force, now or at another moment, or with ``past`` all there ever were; by name and time."""
    access.require(actor, Permission.POLICY_READ)
    now = timezone.now()
    rows = Binding.objects.select_related("policy", "created_by").order_by("name", "-valid_from", "-pk")
    return [_binding(row, now) for row in (rows if past else rows.filter(in_force(as_of or now)))]


def binding(actor: Actor, name: str) -> BindingRow:
    """Return the binding of a name that is in force, else the one that is to come. Raises NotFound."""
    access.require(actor, Permission.POLICY_READ)
    now = timezone.now()
    rows = Binding.objects.select_related("policy", "created_by").filter(in_force_or_to_come(now), name=name)
    found = rows.order_by("valid_from").first()
    if found is None:
        raise NotFound(f"There is no binding {name!r} in force or to come.")
    return _binding(found, now)


def bound(actor: Actor, row: Binding) -> BindingRow:
    """Return a binding as lists show it; its policy is read with it."""
    access.require(actor, Permission.POLICY_READ)
    return _binding(row, timezone.now())


def parameters(actor: Actor) -> list[ParametersRow]:
    """Return the newest values of all named parameters, by name; one statement."""
    access.require(actor, Permission.POLICY_READ)
    rows = ParameterSet.objects.select_related("policy", "published_by").order_by("name", "number")
    return list({row.name: _parameters(row) for row in rows}.values())


def parameters_history(actor: Actor, name: str) -> ParametersHistory:
    """Return named parameters with all their revisions and the bindings that go by them; two statements. Raises NotFound."""
    access.require(actor, Permission.POLICY_READ)
    rows = ParameterSet.objects.select_related("policy", "published_by").filter(name=name).order_by("-number")
    revisions = [_parameters(row) for row in rows]
    if not revisions:
        raise NotFound(f"There are no parameters {name!r}.")
    using = Binding.objects.filter(in_force_or_to_come(timezone.now()), parameters_name=name)
    names = using.order_by("name").values_list("name", flat=True)
    return ParametersHistory(name, revisions[0].policy, revisions, list(dict.fromkeys(names)))


@dataclass(frozen=True)
class MeasurementRow:
    metric: str
    slice: str
    value: float | None
    n: int | None
    ci_low: float | None
    ci_high: float | None
    method: str


@dataclass(frozen=True)
class FindingRow:
    check: str
    rule: str
    severity: str
    location: str
    message: str


@dataclass(frozen=True)
class TableRow:
    """A table of evidence, as data."""

    check: str
    name: str
    title: str
    columns: list[str]
    rows: list[list[Any]]


@dataclass(frozen=True)
class CheckKind:
    """A check that policies can ask for, with the JSON Schema of its parameters.

    package: name and version of the distribution that brings it, "" for Countersign's own.
    """

    name: str
    revision: str
    package: str
    description: str
    needs_model: bool
    needs_dataset: bool
    asks_model: bool
    compares: bool
    parameters: dict[str, Any]


@dataclass(frozen=True)
class CheckRunRow:
    """A check run with what it found; where it was reported, with whence."""

    id: UUID
    model: str
    version: int
    check: str
    check_revision: str
    parameters: dict[str, Any]
    dataset: str
    dataset_digest: str
    content_digest: str
    inputs_digest: str
    result_digest: str
    state: str
    progress: float
    progress_text: str
    error_code: str
    error_message: str
    worker: str
    isolation: str
    resource_class: str
    compared_with: int | None  # the number of the version that was the champion then
    environment: dict[str, Any]
    requested_by: str
    source: str
    report: ReportRow | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    measurements: list[MeasurementRow]
    findings: list[FindingRow]
    tables: list[TableRow]
    log: str


def check_runs(actor: Actor) -> QuerySet[CheckRun]:
    """Return the check runs the actor may see, newest first, for lists that page."""
    rows = CheckRun.objects.select_related("version__model", "dataset_version__dataset", "compared_with").order_by(
        "-created_at", "id"
    )
    return access.visible(actor, rows, Permission.MODEL_READ, "version__model")


def check_kinds(actor: Actor) -> list[CheckKind]:
    """Return every check that policies can ask for, by name."""
    access.require(actor, Permission.POLICY_READ)
    return [
        CheckKind(
            name=name,
            revision=check.revision,
            package=catalogue.package(name),
            description=inspect.cleandoc(check.__doc__ or ""),
            needs_model=check.needs_model,
            needs_dataset=check.needs_dataset,
            asks_model=catalogue.asks_model(name),
            compares=bool(getattr(check, "compares", False)),
            parameters=catalogue.parameters_schema(check),
        )
        for name, check in catalogue.available().items()
    ]


def check_run(actor: Actor, run_id: UUID | str) -> CheckRunRow:
    """Return one check run in full. Raises NotFound."""
    found = check_runs(actor).filter(pk=run_id).first()
    if found is None:
        raise NotFound(f"There is no check run {run_id}, or you may not see it.")
    return detailed([found])[0]


def bill_of_materials(actor: Actor, run_id: UUID | str) -> dict[str, Any]:
    """Return the packages that a run of `dependencies` listed, as a CycloneDX document whose serial number is the run's id.

    Raises NotFound, also for a run that listed none.
    """
    table = EvidenceTable.objects.select_related("run__version__model").filter(
        run__in=check_runs(actor).filter(pk=run_id).order_by(), run__check_name=Dependencies.name, name=COMPONENTS
    )
    listed = table.first()
    if listed is None:
        raise NotFound(f"There is no run {run_id} of the check {Dependencies.name} that ended well, or you may not see it.")
    version = listed.run.version
    return bom.cyclonedx(
        listed.rows, subject_name=version.model.name, subject_version=str(version.number), serial=UUID(str(listed.run_id))
    )


def detailed(runs: Iterable[CheckRun]) -> list[CheckRunRow]:
    """Return check runs with their measurements, findings, tables and reports, in three statements for all, or five with reports."""
    runs = list(runs)
    ids = [run.pk for run in runs]
    measurements: dict[Any, list[MeasurementRow]] = defaultdict(list)
    for m in Measurement.objects.filter(run__in=ids).order_by("pk"):
        measurements[m.run_id].append(MeasurementRow(m.metric, m.slice, m.value, m.n, m.ci_low, m.ci_high, m.method))
    checks = {run.pk: run.check_name for run in runs}
    findings: dict[Any, list[FindingRow]] = defaultdict(list)
    for f in Finding.objects.filter(run__in=ids).order_by("pk"):
        findings[f.run_id].append(FindingRow(checks[f.run_id], f.rule, f.severity, f.location, f.message))
    tables: dict[Any, list[TableRow]] = defaultdict(list)
    for t in EvidenceTable.objects.filter(run__in=ids).order_by("pk"):
        tables[t.run_id].append(TableRow(checks[t.run_id], t.name, t.title, t.columns, t.rows))
    reports = reports_of(runs)
    return [_check_run(run, measurements[run.pk], findings[run.pk], tables[run.pk], reports.get(run.pk)) for run in runs]


@dataclass(frozen=True)
class AuditEventRow:
    """An audit event with its place in the ledger; position is None until it was sequenced."""

    id: int
    occurred_at: datetime
    action: str
    actor: str
    subject_type: str
    subject_id: str
    scope: str
    request_id: str
    body: dict[str, Any]
    position: int | None
    leaf_hash: str


def audit_events(
    actor: Actor,
    *,
    action: str = "",
    by: str = "",
    subject: str = "",
    scope: str = "",
    before_id: int | None = None,
    limit: int = 50,
) -> list[AuditEventRow]:
    """Return audit events, newest first, before an id if one is given (keyset paging).

    action: an event's name or its beginning, such as ``promotion``. by: an account's name. subject: ``type`` or ``type:id``.
    scope: ``model:<id>`` or ``experiment:<id>``.
    """
    access.require(actor, Permission.AUDIT_READ)
    rows = AuditEvent.objects.select_related("entry").order_by("-id")
    if action:
        rows = rows.filter(action=action) if "." in action else rows.filter(action__startswith=f"{action}.")
    if by:
        rows = rows.filter(actor=by)
    if subject:
        kind, _, identity = subject.partition(":")
        rows = rows.filter(subject_type=kind, **({"subject_id": identity} if identity else {}))
    if scope:
        rows = rows.filter(scope=scope)
    if before_id is not None:
        rows = rows.filter(id__lt=before_id)
    return [_event(row) for row in rows[: min(limit, 1000)]]


def audit_event(actor: Actor, event_id: int) -> AuditEventRow:
    """Return one audit event. Raises NotFound."""
    access.require(actor, Permission.AUDIT_READ)
    row = AuditEvent.objects.select_related("entry").filter(pk=event_id).first()
    if row is None:
        raise NotFound(f"There is no audit event {event_id}.")
    return _event(row)


@dataclass(frozen=True)
class LedgerHead:
    """How far the ledger is sequenced; ``pending`` events have no place yet."""

    size: int
    root_hash: str
    created_at: datetime | None
    pending: int


def ledger_head() -> LedgerHead:
    """Return the newest checkpoint; it holds no secrets, so anyone signed in may see it."""
    head = LedgerCheckpoint.objects.order_by("-size").first()
    waiting = ledger.pending()
    return LedgerHead(head.size, head.root_hash, head.created_at, waiting) if head else LedgerHead(0, "", None, waiting)


def _name(user: Any) -> str:
    return user.username if user is not None else ""


def _revision(row: PolicyRevision) -> RevisionRow:
    return RevisionRow(row.policy.name, row.number, row.digest, row.document, _name(row.published_by), row.published_at)


def _parameters(row: ParameterSet) -> ParametersRow:
    return ParametersRow(row.name, row.number, row.policy.name, row.values, row.digest, _name(row.published_by), row.published_at)


def _binding_state(row: Binding, now: datetime) -> str:
    if row.valid_to is not None and row.valid_to <= row.valid_from:
        return "taken_back"
    if row.valid_from > now:
        return "to_come"
    return "in_force" if row.valid_to is None or row.valid_to > now else "ended"


def _binding(row: Binding, now: datetime) -> BindingRow:
    return BindingRow(
        name=row.name,
        policy=row.policy.name,
        mode=row.mode,
        models=row.models_matching,
        risk_tiers=row.risk_tiers,
        tags=row.tags,
        stages=row.stages,
        aliases=row.aliases,
        parameters=row.parameters,
        parameters_name=row.parameters_name,
        created_by=_name(row.created_by),
        valid_from=row.valid_from,
        valid_to=row.valid_to,
        state=_binding_state(row, now),
    )


def _check_run(
    run: CheckRun,
    measurements: list[MeasurementRow],
    findings: list[FindingRow],
    tables: list[TableRow],
    report: ReportRow | None,
) -> CheckRunRow:
    dataset = run.dataset_version
    return CheckRunRow(
        id=run.pk,
        model=run.version.model.name,
        version=run.version.number,
        check=run.check_name,
        check_revision=run.check_revision,
        parameters=run.parameters,
        dataset=str(dataset) if dataset else "",
        dataset_digest=dataset.digest if dataset else report.dataset_digest if report else "",
        content_digest=run.content_digest,
        inputs_digest=run.inputs_digest,
        result_digest=run.result_digest,
        state=run.state,
        progress=run.progress,
        progress_text=run.progress_text,
        error_code=run.error_code,
        error_message=run.error_message,
        worker=run.worker,
        isolation=run.isolation,
        resource_class=run.resource_class,
        compared_with=run.compared_with.number if run.compared_with else None,
        environment=run.environment,
        requested_by=run.requested_by,
        source=run.source,
        report=report,
        created_at=run.created_at,
        started_at=run.started_at,
        finished_at=run.finished_at,
        measurements=measurements,
        findings=findings,
        tables=tables,
        log=run.log,
    )


def _event(row: AuditEvent) -> AuditEventRow:
    entry = getattr(row, "entry", None)
    return AuditEventRow(
        id=row.pk,
        occurred_at=row.occurred_at,
        action=row.action,
        actor=row.actor,
        subject_type=row.subject_type,
        subject_id=row.subject_id,
        scope=row.scope,
        request_id=row.request_id,
        body=json.loads(row.body),
        position=entry.position if entry else None,
        leaf_hash=entry.leaf_hash if entry else "",
    )
