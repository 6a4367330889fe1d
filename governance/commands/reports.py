"""Keep what a pipeline elsewhere measured: verified if it is signed, and once however often it is reported."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone

from core import access, audit
from core.access import Actor, Permission
from core.audit import Event
from core.canonical import digest
from core.errors import Invalid
from core.models import User
from governance import attestations, results
from governance.attestations import Signed
from governance.commands.checks import measured_state
from governance.models import Attestation, CheckRun, CheckSource, CheckState, Report, SigningKey
from governance.models.reported import VALID
from registry.models import DatasetVersion, ModelVersion

FAILED = "failed"


@dataclass(frozen=True)
class Pipeline:
    """Which pipeline measured, in which of its runs, and from which commit."""

    name: str
    url: str = ""
    commit: str = ""


@dataclass(frozen=True)
class ReportedCheck:
    """A check that ran elsewhere, with all that it found; rows are validated. dataset_digest: of data that is not registered here."""

    check: str
    revision: str
    parameters: Mapping[str, Any]
    dataset: DatasetVersion | None
    dataset_digest: str
    outcome: str  # passed, warned or failed
    pipeline: Pipeline
    rows: results.Rows


@dataclass(frozen=True)
class Verified:
    """An envelope, and the registered key that one of its signatures was made with."""

    envelope: Signed
    key: SigningKey


def verified(reporter: User, envelope: Signed) -> Verified:
    """Return which of the account's keys signed an envelope.

    Raises Invalid for a signature that none of them made (``bad_signature`` where the envelope names one of them, else
    ``unknown_key``), or that was made with one that is not valid now (``key_not_valid``).
    """
    now = timezone.now()
    keys = {key.public_key: key for key in SigningKey.objects.filter(owner=reporter).order_by("pk")}
    # Several keys may have signed: one that is valid is enough.
    for valid in (True, False):
        tried = [pem for pem, key in keys.items() if (key.state(now) == VALID) is valid]
        pem = attestations.verifying_key(envelope, tried)
        if pem is not None and valid:
            return Verified(envelope, keys[pem])
        if pem is not None:
            state = keys[pem].state(now).replace("_", " ")
            raise Invalid(f"The signature was made with the key {keys[pem].name}, which is {state}.", code="key_not_valid")
    if {key_id for key_id, _ in envelope.signatures} & {key.key_id for key in keys.values()}:
        raise Invalid(
            "The signature does not fit: what is signed was changed, or the key is another than the envelope says.",
            code="bad_signature",
        )
    raise Invalid(
        f"None of the signatures was made with a key that is registered for {reporter.username}; a platform admin registers keys.",
        code="unknown_key",
    )


@transaction.atomic
def keep_report(
    *, actor: Actor, reporter: User, version: ModelVersion, report: ReportedCheck, signature: Verified | None = None
) -> tuple[CheckRun, bool]:
    """Return the check run of a report, and whether it is new: the same report of the same account is the same run.

    reporter: the service account that the actor is. version: one that the actor may see. Raises Denied without the right to report.
    """
    access.require(actor, Permission.EVIDENCE_REPORT)
    inputs = {
        "check": report.check,
        "revision": report.revision,
        "parameters": dict(report.parameters),
        "content": version.content_digest,
        "dataset": report.dataset.digest if report.dataset else report.dataset_digest or None,
    }
    said = digest(
        {
            **inputs,
            "model": version.model_id,
            "version": version.number,
            "outcome": report.outcome,
            "pipeline": asdict(report.pipeline),
            "result": report.rows.digest,
            "reporter": reporter.username,
            "signed": [signature.envelope.payload_digest, signature.key.key_id] if signature else None,
        }
    )
    try:
        with transaction.atomic():
            run = _new_run(reporter, version, report, digest({**inputs, "reported": said}), signature)
            Report.objects.create(
                run=run,
                pipeline=report.pipeline.name,
                run_url=report.pipeline.url,
                commit=report.pipeline.commit,
                outcome=report.outcome,
                dataset_digest=report.dataset_digest,
                reported_by=reporter,
                digest=said,
            )
    except IntegrityError:  # reported before, or by another request at the same instant
        return CheckRun.objects.select_related("version__model", "dataset_version__dataset").get(report__digest=said), False
    if signature is not None:
        Attestation.objects.create(
            run=run,
            envelope=signature.envelope.as_json(),
            payload_digest=signature.envelope.payload_digest,
            key=signature.key,
        )
    report.rows.write(run)
    results.record_evaluation(run)
    audit.record(
        actor,
        Event.CHECK_REPORTED,
        subject=("check_run", run.pk),
        scope=f"model:{version.model_id}",
        after={
            "check": run.check_name,
            "version": version.number,
            "content": run.content_digest,
            "state": run.state,
            "inputs": run.inputs_digest,
            "result": run.result_digest,
            "pipeline": report.pipeline.name,
            "run_url": report.pipeline.url,
            "report": said,
            "signed": {"key": signature.key.key_id, "payload": signature.envelope.payload_digest} if signature else None,
        },
    )
    return run, True


def _new_run(reporter: User, version: ModelVersion, report: ReportedCheck, inputs: str, signature: Verified | None) -> CheckRun:
    return CheckRun.objects.create(
        version=version,
        source=CheckSource.REPORTED,
        signed_by=signature.key.key_id if signature else "",
        check_name=report.check,
        check_revision=report.revision,
        parameters=dict(report.parameters),
        dataset_version=report.dataset,
        content_digest=version.content_digest,
        inputs_digest=inputs,
        state=CheckState.FAILED if report.outcome == FAILED else measured_state(report.rows.findings),
        progress=1.0,
        result_digest=report.rows.digest,
        tables_digest=report.rows.tables_digest,
        requested_by=reporter.username,
        finished_at=timezone.now(),
    )
