"""Take in what pipelines elsewhere measured, and have the requests that wait for it judged again."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Any, Literal

import msgspec
from django.db import transaction

from core import access
from core.access import Actor, Permission
from core.canonical import canonical
from core.errors import Conflict, Denied, Invalid
from core.models import User
from governance import attestations
from governance.commands import reports
from governance.commands.checks import dataset_version
from governance.commands.reports import Pipeline, ReportedCheck, Verified
from governance.models import CheckRun
from governance.results import Rows
from governance.schemas import CHECK_NAME
from registry import rows
from registry.models import DatasetVersion
from workflows.commands import findings
from workflows.reported import tell_requests
from workflows.runner.results import InvalidResult, reported_result

_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")  # as canonical JSON writes it; PostgreSQL takes it in no text

_Digest = Annotated[str, msgspec.Meta(pattern="^(sha256:[0-9a-f]{64})?$")]
_Rows = list[dict[str, Any]]


class _Pipeline(msgspec.Struct, forbid_unknown_fields=True):
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    url: Annotated[str, msgspec.Meta(pattern=r"^(https?://\S+)?$", max_length=1000)] = ""
    commit: Annotated[str, msgspec.Meta(max_length=100)] = ""


class _Report(msgspec.Struct, forbid_unknown_fields=True):
    check: Annotated[str, msgspec.Meta(pattern=CHECK_NAME, max_length=100)]
    revision: Annotated[str, msgspec.Meta(min_length=1, max_length=40)]
    content_digest: Annotated[_Digest, msgspec.Meta(min_length=1)]
    outcome: Literal["passed", "warned", "failed"]
    pipeline: _Pipeline
    parameters: dict[str, Any] = {}
    dataset: Annotated[str, msgspec.Meta(max_length=200)] = ""
    dataset_digest: _Digest = ""
    measurements: _Rows = []
    findings: _Rows = []
    tables: _Rows = []


@transaction.atomic
def report_check(
    *,
    actor: Actor,
    model_name: str,
    version: int,
    report: Mapping[str, Any] | None = None,
    envelope: Mapping[str, Any] | None = None,
) -> tuple[CheckRun, bool]:
    """Keep what a pipeline measured on a version; return its check run, and whether it is new. Nothing is kept of what is refused.

    Give the report itself or, in its place, a DSSE envelope around an in-toto test result that carries it, signed with a key of the
    account that reports. The content is the version's, digest by digest.
    Raises NotFound for a version that is absent or hidden; Denied for who is no service account with the right to report; Conflict
    for a version whose content is not kept here; Invalid, with a code of its own for each, for a report that is malformed
    (``invalid_report``, ``malformed_envelope``), on other content (``wrong_subject``), on an unknown data set (``unknown_dataset``),
    or whose signature does not hold (``bad_signature``, ``unknown_key``, ``key_not_valid``).
    """
    subject = rows.version(actor, Permission.MODEL_READ, model_name, version, lock=True)
    access.require(actor, Permission.EVIDENCE_REPORT)
    reporter = User.objects.filter(username=actor.username, is_service=True).first()
    if reporter is None:
        raise Denied("Only a service account reports evidence: somebody answers for it, and stands back from deciding.")
    if (report is None) == (envelope is None):
        raise Invalid("Give the report, or the envelope that carries it; not both.", code="invalid_report")
    if not subject.content_digest:
        raise Conflict(f"The content of {subject} is not kept here, so nothing can be said of it.", code="content_elsewhere")
    signature = None
    if envelope is not None:
        signature, report = _opened(reporter, envelope, subject.content_digest)
    given = _read(report or {})
    if given.content_digest != subject.content_digest:
        raise Invalid(
            f"The report is about {given.content_digest}; the content of {subject} is {subject.content_digest}.",
            code="wrong_subject",
        )
    run, made = reports.keep_report(actor=actor, reporter=reporter, version=subject, report=_checked(given), signature=signature)
    if made:
        findings.raise_from_check(actor=actor, run=run)
        tell_requests(run)
    return run, made


def _opened(reporter: User, envelope: Mapping[str, Any], content: str) -> tuple[Verified, dict[str, Any]]:
    """Return the verified envelope and the report in it, with the content and the outcome that its statement says."""
    try:
        signed = attestations.read_envelope(envelope)
    except attestations.Malformed as error:
        raise Invalid(f"The envelope was not taken: {error}.", code="malformed_envelope") from None
    signature = reports.verified(reporter, signed)
    try:
        said = attestations.read_statement(signed.payload)
    except attestations.Malformed as error:
        raise Invalid(f"The envelope was not taken: {error}.", code="malformed_envelope") from None
    if content.removeprefix("sha256:") not in said.subjects:
        raise Invalid(f"No subject of the statement has the SHA-256 of the version's content, {content}.", code="wrong_subject")
    own = {"content_digest": content, "outcome": said.result.lower()}
    if twice := sorted(own.keys() & said.report.keys()):
        raise Invalid(f"The statement itself says {', '.join(twice)}; leave that out of the report.", code="invalid_report")
    report = {**said.report, **own}
    pipeline = report.get("pipeline")
    if said.url and isinstance(pipeline, dict):
        report["pipeline"] = {"url": said.url, **pipeline}
    return signature, report


def _read(report: Mapping[str, Any]) -> _Report:
    try:
        text = canonical(dict(report))
        given = msgspec.convert(dict(report), type=_Report, strict=True)
    except (ValueError, RecursionError) as cause:
        raise Invalid(f"The report was not taken: {str(cause)[:500]}.", code="invalid_report") from None
    if _NUL.search(text):
        raise Invalid("The report was not taken: it holds the character NUL.", code="invalid_report")
    if given.dataset and given.dataset_digest:
        raise Invalid(
            "Name the data set that is registered here, or give the digest of another; not both.", code="invalid_report"
        )
    return given


def _checked(given: _Report) -> ReportedCheck:
    try:
        found = reported_result(given.measurements, given.findings, given.tables)
    except InvalidResult as error:
        raise Invalid(f"The report was not taken: {error}.", code="invalid_report") from None
    dataset = dataset_version(given.dataset) if given.dataset else _registered(given.dataset_digest)
    return ReportedCheck(
        check=given.check,
        revision=given.revision,
        parameters=given.parameters,
        dataset=dataset,
        dataset_digest="" if dataset else given.dataset_digest,
        outcome=given.outcome,
        pipeline=Pipeline(given.pipeline.name, given.pipeline.url, given.pipeline.commit),
        rows=Rows.of(*([asdict(row) for row in part] for part in (found.measurements, found.findings, found.tables))),
    )


def _registered(digest: str) -> DatasetVersion | None:
    """Return the data set of a digest, the newest if several have it."""
    found = (
        DatasetVersion.objects.select_related("dataset").filter(blob_id=digest.removeprefix("sha256:"))
        if digest
        else DatasetVersion.objects.none()
    )
    return found.order_by("-pk").first()
