"""Publish policies, bind them, write model cards, and keep what checks measured."""

from __future__ import annotations

import fnmatch
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.utils import timezone

from core import access, audit, jobs
from core.access import Actor, Permission
from core.audit import Event
from core.canonical import digest
from core.errors import Conflict, Invalid, NotFound
from governance.checks import catalogue
from governance.documents import DocumentError
from governance.models import (
    Binding,
    CheckRun,
    CheckState,
    EvidenceTable,
    Finding,
    Measurement,
    ModelCard,
    Policy,
    PolicyRevision,
)
from governance.policy import CheckRequest, CompiledPolicy, compile_policy, parse_binding
from registry import lineage
from registry.models import DatasetVersion, EdgeKind, ModelVersion, NodeKind, RegisteredModel, Stage

LIVE = (CheckState.QUEUED, CheckState.RUNNING, CheckState.COMPLETED)
RUN_CHECK = "workflows.run_check"


@transaction.atomic
def publish_policy(*, actor: Actor, document: str) -> PolicyRevision:
    """Publish a policy's text as its next revision; the same text again gives the revision it has already.

    Raises Invalid with every mistake's line, column and remedy; Denied without the right to publish.
    """
    access.require(actor, Permission.POLICY_PUBLISH)
    compiled = _compiled(document)
    _validate_checks(compiled)
    policy, _ = Policy.objects.select_for_update().get_or_create(name=compiled.name)
    latest = policy.revisions.order_by("-number").first()
    if latest is not None and latest.digest == compiled.digest:
        return latest
    if policy.revisions.filter(digest=compiled.digest).exists():
        raise Conflict("An earlier revision has this very text; change a word, so that the record shows which one was meant.")
    revision = PolicyRevision.objects.create(
        policy=policy,
        number=latest.number + 1 if latest else 1,
        digest=compiled.digest,
        document=document,
        published_by_id=actor.user_id,
    )
    audit.record(
        actor,
        Event.POLICY_PUBLISHED,
        subject=("policy", compiled.name),
        before={"revision": latest.number, "digest": latest.digest} if latest else None,
        after={"revision": revision.number, "digest": revision.digest},
    )
    return revision


@transaction.atomic
def bind_policy(*, actor: Actor, document: str) -> Binding:
    """Put a policy in force as a binding document says; a binding of the same name ends where this one begins.

    Raises Invalid for a mistake in the document, an unknown stage, wrong parameters or a data set that is not registered;
    NotFound for a policy that was never published.
    """
    access.require(actor, Permission.POLICY_PUBLISH)
    try:
        wanted = parse_binding(document)
    except DocumentError as error:
        raise _invalid("binding", error) from None
    policy = Policy.objects.filter(name=wanted.policy).first()
    revision = policy.revisions.order_by("-number").first() if policy else None
    if policy is None or revision is None:
        raise NotFound(f"There is no policy {wanted.policy!r}; publish it before you bind it.")
    compiled = compile_policy(revision.document)
    stages = set(Stage.objects.values_list("name", flat=True))
    wrong = [
        f"there is no stage {name}; the stages are {', '.join(sorted(stages))}" for name in wanted.stages if name not in stages
    ]
    wrong += compiled.wrong_parameters(wanted.parameters)
    if wrong:
        raise Invalid("The binding cannot be put in force: " + "; ".join(wrong) + ".", mistakes=wrong)
    resolve_checks(compiled, wanted.parameters)
    now = timezone.now()
    ended = Binding.objects.filter(name=wanted.name, valid_to__isnull=True)
    before = ended.values("pk", "parameters").first()
    ended.update(valid_to=now)
    binding = Binding.objects.create(
        name=wanted.name,
        policy=policy,
        models_matching=list(wanted.models),
        risk_tiers=list(wanted.risk_tiers),
        tags=dict(wanted.tags),
        stages=list(wanted.stages),
        aliases=list(wanted.aliases),
        parameters=dict(wanted.parameters),
        created_by_id=actor.user_id,
        valid_from=now,
    )
    audit.record(
        actor,
        Event.BINDING_CREATED,
        subject=("binding", wanted.name),
        before=before,
        after={
            "policy": wanted.policy,
            "models": list(wanted.models),
            "risk_tiers": list(wanted.risk_tiers),
            "tags": dict(wanted.tags),
            "stages": list(wanted.stages),
            "aliases": list(wanted.aliases),
            "parameters": dict(wanted.parameters),
        },
    )
    return binding


@transaction.atomic
def end_binding(*, actor: Actor, name: str) -> None:
    """Take a binding out of force. Raises NotFound if there is none of this name."""
    access.require(actor, Permission.POLICY_PUBLISH)
    if not Binding.objects.filter(name=name, valid_to__isnull=True).update(valid_to=timezone.now()):
        raise NotFound(f"There is no binding {name!r} in force.")
    audit.record(actor, Event.BINDING_ENDED, subject=("binding", name))


@transaction.atomic
def write_card(*, actor: Actor, model_name: str, version: int, sections: Mapping[str, str]) -> ModelCard:
    """Write the next revision of a version's model card; sections not given are gone from it.

    Raises Invalid for a section that is not text, NotFound for a version that is absent or hidden.
    """
    subject = _version(actor, model_name, version)
    access.require(actor, Permission.MODEL_WRITE, subject.model)
    for name, text in sections.items():
        if not isinstance(text, str) or not name.replace("_", "").isalnum() or len(text) > 50_000:
            raise Invalid(
                f"The section {name!r} must be a name of letters, digits and _ with a text of at most 50,000 characters."
            )
    value = digest({"sections": dict(sections)})
    latest = subject.cards.order_by("-revision").first()
    if latest is not None and latest.digest == value:
        return latest
    try:
        with transaction.atomic():
            card = ModelCard.objects.create(
                version=subject,
                revision=latest.revision + 1 if latest else 1,
                sections=dict(sections),
                digest=value,
                written_by_id=actor.user_id,
            )
    except IntegrityError:
        raise Conflict("Someone else wrote the card just now; read it and write again.") from None
    audit.record(
        actor,
        Event.CARD_WRITTEN,
        subject=("model_version", f"{model_name}/{version}"),
        scope=f"model:{subject.model_id}",
        before={"digest": latest.digest} if latest else None,
        after={"revision": card.revision, "digest": value, "sections": sorted(sections)},
    )
    return card


@dataclass(frozen=True)
class ResolvedCheck:
    """A check with its parameters and the exact data set version it measures on."""

    name: str
    revision: str
    parameters: Mapping[str, Any]
    dataset: DatasetVersion | None


def resolve_checks(policy: CompiledPolicy, parameters: Mapping[str, Any]) -> list[ResolvedCheck]:
    """Return what a policy asks to be measured, ready to be queued.

    Raises Invalid for a parameter the check does not take, and for a data set that is absent or that the check lacks.
    """
    values = policy.effective(parameters)
    return [_resolved(request.resolved(values)) for request in policy.checks]


def queue_check(*, actor: Actor, version: ModelVersion, check: ResolvedCheck) -> CheckRun:
    """Return the check run for these inputs: one that is there already, or a new one in the queue.

    Runs in the caller's transaction. A run that ended in an error is not reused.
    """
    inputs = digest(
        {
            "check": check.name,
            "revision": check.revision,
            "parameters": dict(check.parameters),
            "content": version.content_digest,
            "dataset": check.dataset.digest if check.dataset else None,
        }
    )
    existing = CheckRun.objects.filter(inputs_digest=inputs, state__in=LIVE).first()
    if existing is not None:
        return existing
    try:
        with transaction.atomic():
            run = CheckRun.objects.create(
                id=uuid.uuid4(),
                version=version,
                check_name=check.name,
                check_revision=check.revision,
                parameters=dict(check.parameters),
                dataset_version=check.dataset,
                content_digest=version.content_digest,
                inputs_digest=inputs,
                requested_by=actor.username,
            )
    except IntegrityError:  # another request asked for the same at the same instant; theirs serves both
        return CheckRun.objects.get(inputs_digest=inputs, state__in=LIVE)
    audit.record(
        actor,
        Event.CHECK_QUEUED,
        subject=("check_run", run.pk),
        scope=f"model:{version.model_id}",
        after={"check": check.name, "version": version.number, "inputs": inputs},
    )
    jobs.enqueue(RUN_CHECK, key=f"check:{run.pk}", run_id=str(run.pk))
    return run


def start_check(*, run_id: str, worker: str, isolation: str) -> CheckRun | None:
    """Take a queued run, or one whose worker was lost, into work; None when it is finished already.

    The job's lease decides who works; this only follows it, so no actor is asked.
    """
    taken = CheckRun.objects.filter(pk=run_id, state__in=[CheckState.QUEUED, CheckState.RUNNING]).update(
        state=CheckState.RUNNING, worker=worker, isolation=isolation, started_at=timezone.now(), progress=0.0, progress_text=""
    )
    if not taken:
        return None
    return CheckRun.objects.select_related("version__model", "dataset_version__dataset", "dataset_version__blob").get(pk=run_id)


def report_progress(*, run_id: str, worker: str, done: float, text: str) -> bool:
    """Show how far a run is; return False when it is no longer this worker's."""
    return bool(
        CheckRun.objects.filter(pk=run_id, state=CheckState.RUNNING, worker=worker).update(
            progress=done, progress_text=text[:300]
        )
    )


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
    evidence: dict[str, list[dict[str, Any]]] = {
        "measurements": list(map(dict, result.measurements)),
        "findings": list(map(dict, result.findings)),
        "tables": list(map(dict, result.tables)),
    }
    finished = CheckRun.objects.filter(pk=run_id, state=CheckState.RUNNING, worker=worker).update(
        state=result.state,
        progress=1.0,
        progress_text="",
        error_code=result.error_code,
        error_message=result.error_message,
        environment=dict(result.environment or {}),
        log=result.log,
        result_digest=digest(evidence) if result.state == CheckState.COMPLETED else "",
        finished_at=timezone.now(),
    )
    if not finished:
        return None
    run = CheckRun.objects.select_related("version__model", "dataset_version__dataset").get(pk=run_id)
    if result.state == CheckState.COMPLETED:
        Measurement.objects.bulk_create([Measurement(run=run, **row) for row in evidence["measurements"]])
        Finding.objects.bulk_create([Finding(run=run, **row) for row in evidence["findings"]])
        EvidenceTable.objects.bulk_create([EvidenceTable(run=run, **row) for row in evidence["tables"]])
        _record_evaluation(run)
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


def _record_evaluation(run: CheckRun) -> None:
    """Draw in the lineage on which data set the version was measured."""
    dataset = run.dataset_version
    if dataset is None:
        return
    data = lineage.node(NodeKind.DATASET, str(dataset), str(dataset), digest=dataset.digest, rows=dataset.row_count)
    lineage.link(data, lineage.version_node(run.version), EdgeKind.EVALUATED_ON, digest=dataset.digest)


def bindings_for(model: RegisteredModel, *, kind: str, target: str) -> list[Binding]:
    """Return the bindings in force that guard a model's way to a stage or alias, by name."""
    rows = Binding.objects.filter(valid_to__isnull=True).select_related("policy").order_by("name")
    return _covering(model, [row for row in rows if target in (row.stages if kind == "stage" else row.aliases)])


def bindings_by_trait(model: RegisteredModel) -> list[Binding]:
    """Return the bindings in force that cover a model because of its tags or its risk tier, by name."""
    return _covering(model, list(_bound_by_trait().order_by("name")))


def any_bound_by_trait() -> bool:
    """Return whether any binding in force goes by tags or risk tiers at all."""
    return _bound_by_trait().exists()


def _bound_by_trait() -> QuerySet[Binding]:
    return Binding.objects.filter(valid_to__isnull=True).exclude(tags={}, risk_tiers=[])


def _covering(model: RegisteredModel, bindings: list[Binding]) -> list[Binding]:
    tags = dict(model.tags.values_list("key", "value")) if any(b.tags for b in bindings) else {}
    return [
        b
        for b in bindings
        if (not b.models_matching or any(fnmatch.fnmatchcase(model.name, pattern) for pattern in b.models_matching))
        and (not b.risk_tiers or model.risk_tier in b.risk_tiers)
        and all(tags.get(key) == value for key, value in b.tags.items())
    ]


def _compiled(document: str) -> CompiledPolicy:
    try:
        return compile_policy(document)
    except DocumentError as error:
        raise _invalid("policy", error) from None


def _invalid(what: str, error: DocumentError) -> Invalid:
    return Invalid(
        f"The {what} has {len(error.mistakes)} mistake{'s' * (len(error.mistakes) != 1)}: {error}",
        code=f"malformed_{what}",
        mistakes=[{"line": m.line, "column": m.column, "message": m.message} for m in error.mistakes],
    )


def _validate_checks(policy: CompiledPolicy) -> None:
    known = catalogue.available()
    for request in policy.checks:
        if request.check not in known:
            raise Invalid(f"There is no check {request.check!r}; there are {', '.join(known)}.", code="unknown_check")


def _resolved(request: CheckRequest) -> ResolvedCheck:
    try:
        check = catalogue.build(request.check, request.parameters)
    except ValueError as error:
        raise Invalid(str(error), code="wrong_check_parameters") from None
    dataset = _dataset(request.dataset) if request.dataset else None
    if check.needs_dataset and dataset is None:
        raise Invalid(f"The check {request.check} measures on a data set; the policy must name one under dataset.")
    return ResolvedCheck(request.check, check.revision, request.parameters, dataset)


def _dataset(name: str) -> DatasetVersion:
    plain, _, number = name.partition("@v")
    rows = DatasetVersion.objects.select_related("dataset", "blob").filter(dataset__name=plain)
    found = rows.filter(number=int(number)).first() if number.isdigit() else rows.order_by("-number").first()
    if found is None:
        raise Invalid(f"There is no data set {name!r}; register it before a policy measures on it.", code="unknown_dataset")
    return found


def _version(actor: Actor, model_name: str, number: int) -> ModelVersion:
    rows = ModelVersion.objects.select_related("model").filter(
        model__name=model_name, model__deleted_at__isnull=True, number=number, deleted_at__isnull=True
    )
    found = access.visible(actor, rows, Permission.MODEL_READ, "model").first()
    if found is None:
        raise NotFound(f"There is no version {number} of {model_name!r}, or you may not see it.")
    return found
