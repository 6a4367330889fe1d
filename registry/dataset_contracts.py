"""Contracts of data sets: publish a revision, read what there was, and how a version keeps it."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from django.db import transaction

from artifacts.store import materialise, store
from core import access, audit
from core.access import SYSTEM_ROLE, Actor, Permission
from core.audit import Event
from core.canonical import text_digest
from core.documents import DocumentError
from core.errors import Invalid, NotFound
from registry import drafts
from registry.conformance import Report, Violation, without_values
from registry.contracts import compile_contract
from registry.datasets import find_version
from registry.models import ContractReport, DataContract, Dataset

_LARGEST = 500_000


@dataclass(frozen=True)
class ContractRevision:
    """One revision of a data set's contract. document: as written; digest: ``sha256:...`` of it."""

    dataset: str
    number: int
    document: str
    digest: str
    created_by: str
    created_at: datetime


@dataclass(frozen=True)
class ContractDraft:
    """A contract that a version keeps, for people to correct and publish. document: YAML."""

    version: str  # name@v2
    document: str


@transaction.atomic
def publish_contract(*, actor: Actor, name: str, document: str) -> DataContract:
    """Publish a text as the next revision of a data set's contract; the same text again gives the revision it has already.

    It holds for versions to come. Raises Denied, NotFound, or Invalid with every mistake's place.
    """
    access.require(actor, Permission.DATASET_REGISTER)
    _check(document)
    dataset = Dataset.objects.select_for_update().filter(name=name).first()
    if dataset is None:
        raise NotFound(f"There is no data set {name!r}.")
    newest = DataContract.objects.filter(dataset=dataset).order_by("-number").first()
    if newest is not None and newest.document == document:
        return newest
    made = DataContract.objects.create(
        dataset=dataset, number=newest.number + 1 if newest else 1, document=document, created_by_id=actor.user_id
    )
    audit.record(
        actor,
        Event.DATASET_CONTRACT_PUBLISHED,
        subject=("dataset", name),
        after={"contract": made.number, "digest": text_digest(document)},
    )
    return made


def contract_revisions(actor: Actor, name: str) -> list[ContractRevision]:
    """Return the revisions of a data set's contract, newest first. Raises Denied, NotFound."""
    access.require(actor, Permission.DATASET_READ)
    dataset = Dataset.objects.filter(name=name).first()
    if dataset is None:
        raise NotFound(f"There is no data set {name!r}.")
    rows = DataContract.objects.filter(dataset=dataset).select_related("created_by").order_by("-number")
    return [
        ContractRevision(
            dataset=name,
            number=row.number,
            document=row.document,
            digest=text_digest(row.document),
            created_by=row.created_by.username if row.created_by else "",
            created_at=row.created_at,
        )
        for row in rows
    ]


def contract_report(actor: Actor, reference: str) -> Report:
    """Return how a version kept its contract, without values of a closed data set. Raises Denied, Invalid, NotFound."""
    access.require(actor, Permission.DATASET_READ)
    version = find_version(reference)
    row = ContractReport.objects.filter(version=version).first()
    if row is None:
        raise NotFound(f"{version} met no contract when it was registered.")
    given = {**row.document, "violations": [Violation(**violation) for violation in row.document["violations"]]}
    report = Report(**given)
    # It may have been closed after the report was kept.
    return without_values(report) if version.dataset.closed and SYSTEM_ROLE not in actor.roles else report


def contract_draft(actor: Actor, reference: str) -> ContractDraft:
    """Return a contract that a version keeps; of a closed data set one that tells no values. Raises Denied, Invalid, NotFound.

    The file is read for it, so it is for those who could publish it.
    """
    access.require(actor, Permission.DATASET_REGISTER)
    version = find_version(reference)
    columns = [(column["name"], column["type"]) for column in version.columns]
    with tempfile.TemporaryDirectory(prefix="contract-") as folder:
        path = Path(folder) / "data"
        materialise(store(), version.blob_id, path)
        document = drafts.draft(path, version.format, columns, with_values=not version.dataset.closed)
    return ContractDraft(str(version), document)


def _check(document: str) -> None:
    if len(document) > _LARGEST:
        raise Invalid(f"A contract has at most {_LARGEST} characters.")
    try:
        compile_contract(document)
    except DocumentError as error:
        raise Invalid(
            f"The contract has {len(error.mistakes)} mistake{'s' * (len(error.mistakes) != 1)}: {error}",
            code="malformed_contract",
            mistakes=[{"line": m.line, "column": m.column, "message": m.message} for m in error.mistakes],
        ) from None
