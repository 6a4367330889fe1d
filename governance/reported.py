"""Reports of pipelines elsewhere, their signatures, and the keys of these, as pages and the API read them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from core import access
from core.access import Actor, Permission
from core.errors import NotFound
from governance.models import Attestation, CheckRun, CheckSource, Report, SigningKey


@dataclass(frozen=True)
class SignatureRow:
    """The signature that a report came with: which key verified it and when, and when that key was revoked since, if it was."""

    key_id: str
    key_name: str
    algorithm: str
    verified: bool
    verified_at: datetime
    payload_digest: str
    key_revoked_at: datetime | None


@dataclass(frozen=True)
class ReportRow:
    """Where a reported check run comes from. dataset_digest: of data that is not registered here."""

    pipeline: str
    run_url: str
    commit: str
    outcome: str
    dataset_digest: str
    reported_by: str
    reported_at: datetime
    signature: SignatureRow | None


@dataclass(frozen=True)
class SigningKeyRow:
    """A public key that a service account signs its reports with. state: ``valid``, ``not_yet_valid``, ``expired`` or ``revoked``."""

    key_id: str
    name: str
    algorithm: str
    public_key: str
    owner: str
    registered_by: str
    registered_at: datetime
    valid_from: datetime
    valid_to: datetime
    revoked_at: datetime | None
    state: str


@dataclass(frozen=True)
class SignedRow:
    """A report whose signature a key verified."""

    run_id: UUID
    check: str
    model: str
    version: int
    verified_at: datetime


def reports_of(runs: Iterable[CheckRun]) -> dict[Any, ReportRow]:
    """Return the reports of those runs that were reported, by the run's id; two statements, none if no run was."""
    ids = [run.pk for run in runs if run.source == CheckSource.REPORTED]
    if not ids:
        return {}
    signatures = {row.run_id: _signature(row) for row in Attestation.objects.select_related("key").filter(run__in=ids)}
    return {
        row.run_id: ReportRow(
            pipeline=row.pipeline,
            run_url=row.run_url,
            commit=row.commit,
            outcome=row.outcome,
            dataset_digest=row.dataset_digest,
            reported_by=row.reported_by.username,
            reported_at=row.reported_at,
            signature=signatures.get(row.run_id),
        )
        for row in Report.objects.select_related("reported_by").filter(run__in=ids)
    }


def envelope(actor: Actor, run_id: UUID) -> dict[str, Any]:
    """Return the signed envelope that a check run was reported in. Raises NotFound, also for a run without one."""
    rows = access.visible(actor, Attestation.objects.all(), Permission.MODEL_READ, "run__version__model")
    found = rows.filter(run_id=run_id).values_list("envelope", flat=True).first()
    if found is None:
        raise NotFound(f"There is no signed report {run_id}, or you may not see it.")
    return dict(found)


def signing_keys(actor: Actor, *, now: datetime) -> list[SigningKeyRow]:
    """Return all signing keys, newest first; for auditors and platform admins."""
    access.require(actor, Permission.AUDIT_READ)
    return [_key(row, now) for row in SigningKey.objects.select_related("owner").order_by("-registered_at", "-pk")]


def signing_key(actor: Actor, key_id: str, *, now: datetime) -> SigningKeyRow:
    """Return one signing key. Raises NotFound."""
    access.require(actor, Permission.AUDIT_READ)
    found = SigningKey.objects.select_related("owner").filter(key_id=key_id).first()
    if found is None:
        raise NotFound(f"There is no signing key {key_id!r}.")
    return _key(found, now)


def signed_with(actor: Actor, key_id: str, *, limit: int) -> list[SignedRow]:
    """Return the latest reports that a key verified, of models that the actor may see, newest first. Raises Denied."""
    access.require(actor, Permission.AUDIT_READ)
    rows = access.visible(actor, Attestation.objects.filter(key__key_id=key_id), Permission.MODEL_READ, "run__version__model")
    return [
        SignedRow(row.run_id, row.run.check_name, row.run.version.model.name, row.run.version.number, row.verified_at)
        for row in rows.select_related("run__version__model").order_by("-verified_at", "-pk")[:limit]
    ]


def _signature(row: Attestation) -> SignatureRow:
    key = row.key
    return SignatureRow(key.key_id, key.name, key.algorithm, True, row.verified_at, row.payload_digest, key.revoked_at)


def _key(row: SigningKey, now: datetime) -> SigningKeyRow:
    return SigningKeyRow(
        key_id=row.key_id,
        name=row.name,
        algorithm=row.algorithm,
        public_key=row.public_key,
        owner=row.owner.username,
        registered_by=row.registered_by,
        registered_at=row.registered_at,
        valid_from=row.valid_from,
        valid_to=row.valid_to,
        revoked_at=row.revoked_at,
        state=row.state(now),
    )
