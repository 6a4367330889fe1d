"""Data sets that checks measure on: register a file as a version, and read what there is."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, Literal

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet

from artifacts.commands import kept, note_content
from artifacts.sources import open_source
from artifacts.store import Received, Source, store
from core import access, audit
from core.access import SYSTEM_ROLE, Actor, Permission
from core.audit import Event
from core.errors import Conflict, Denied, Invalid, NotFound
from registry.conformance import Report, compare, without_values
from registry.contracts import compile_contract
from registry.models import ContractReport, DataContract, Dataset, DatasetVersion
from registry.tables import FORMATS, Table, format_of, read

ContractMode = Literal["enforce", "warn"]

_NAME = re.compile(r"\w[\w .+-]{0,199}\Z")
_REFERENCE = re.compile(r"(?P<name>[^@]+)(?:@v?(?P<number>\d{1,9}))?\Z")
_MAX_DESCRIPTION = 20_000


@dataclass(frozen=True)
class DatasetVersionSummary:
    """One content of a data set. digest: ``sha256:...``; columns: (name, type) in file order.

    keeps_contract: whether it kept the contract that held when it was registered; None if there was none.
    """

    id: int
    reference: str  # name@v2
    number: int
    digest: str
    size_bytes: int
    format: str
    target: str
    row_count: int
    columns: list[tuple[str, str]]
    keeps_contract: bool | None
    created_by: str
    created_at: datetime


@dataclass(frozen=True)
class _New:
    """What is to be registered, as it was asked for and as it was found."""

    name: str
    format: str
    target: str
    description: str
    closed: bool
    origin: str
    received: Received
    table: Table
    contract: DataContract | None
    report: Report | None


@dataclass(frozen=True)
class DatasetSummary:
    """A data set with its versions, newest first. The content of a closed one is read by checks only."""

    name: str
    description: str
    closed: bool
    created_by: str
    created_at: datetime
    versions: list[DatasetVersionSummary]


def register_dataset(
    *,
    actor: Actor,
    name: str,
    stream: Source,
    format: str,
    target: str,
    description: str = "",
    closed: bool = False,
    contract: ContractMode = "enforce",
    origin: str = "upload",
) -> DatasetVersion:
    """Store a file as the next version of a data set, which is made if need be; the same content again gives its version.

    format: csv, csv.gz, parquet or arrow. target: the column with the true outcome. closed: from now on only checks may read it; that
    is never taken back here. contract: refuse a file that breaks the data set's contract, or keep it with the report (``warn``).
    origin: where the file came from, for the record. The bytes are received and read before the transaction begins.
    Raises Denied, Invalid for a file that cannot be read, has no rows, has no such column (naming those it has) or breaks the contract
    (code ``contract_violated``, with its ``report``), or Conflict if the contract changed meanwhile.
    """
    access.require(actor, Permission.DATASET_REGISTER)
    _check_request(name, format, description)
    with store().receive(stream) as received:
        table = read(received.temporary, format)
        _check_target(table, target)
        known = _registered(name, received.digest, format, target)
        held = _contract_of(name) if known is None else None
        private = closed or Dataset.objects.filter(name=name, closed=True).exists()
        report = _compared(received.temporary, format, held, private=private)
        if report is not None and not report.satisfied and contract == "enforce":
            raise _violated(name, report)
        with kept(received):
            return _insert(actor, _New(name, format, target, description, closed, origin, received, table, held, report))


def register_source(*, actor: Actor, source: str, format: str = "", **asked: Any) -> DatasetVersion:
    """Register a file from a folder of the server or a bucket, as ``register_dataset`` does what is uploaded.

    source: ``s3://bucket/key`` or an absolute path, below what DATASET_SOURCES names. format: what the name ends in, if empty.
    Raises the same as ``register_dataset``, Invalid for a place that may not be read from, or NotFound.
    """
    access.require(actor, Permission.DATASET_REGISTER)
    form = format or format_of(source)
    with open_source(source, settings.DATASET_SOURCES, settings.S3_ENDPOINT_URL) as stream:
        return register_dataset(actor=actor, stream=stream, format=form, origin=source, **asked)


def datasets(actor: Actor, *, text: str = "", after: str = "", limit: int | None = None) -> list[DatasetSummary]:
    """Return the data sets by name: all, or the first so many after a name. text: found in the name. Raises Denied."""
    access.require(actor, Permission.DATASET_READ)
    rows = Dataset.objects.all()
    if text:
        rows = rows.filter(name__icontains=text)
    if after:
        rows = rows.filter(name__gt=after)
    return _summaries(rows.order_by("name")[:limit])


def dataset(actor: Actor, name: str) -> DatasetSummary:
    """Return one data set with its versions. Raises Denied, NotFound."""
    access.require(actor, Permission.DATASET_READ)
    found = _summaries(Dataset.objects.filter(name=name))
    if not found:
        raise NotFound(f"There is no data set {name!r}.")
    return found[0]


def dataset_version(actor: Actor, reference: str) -> DatasetVersionSummary:
    """Return the version that ``name@v2`` means, or the newest for ``name``. Raises Denied, Invalid, NotFound."""
    access.require(actor, Permission.DATASET_READ)
    return _summary(find_version(reference))


def find_version(reference: str) -> DatasetVersion:
    """Return the row that ``name@v2`` means, or the newest for ``name``. Raises Invalid, NotFound."""
    parts = _REFERENCE.match(reference)
    if parts is None:
        raise Invalid(f"{reference!r} names no data set: write `name` or `name@v2`.")
    rows = DatasetVersion.objects.filter(dataset__name=parts["name"]).select_related("dataset", "blob", "created_by", "report")
    if parts["number"]:
        rows = rows.filter(number=int(parts["number"]))
    found = rows.order_by("-number").first()
    if found is None:
        raise NotFound(f"There is no data set {reference!r}.")
    return found


def open_content(actor: Actor, reference: str) -> BinaryIO:
    """Return the file of a version. Raises Denied for a closed data set, unless a check asks; Invalid, NotFound."""
    access.require(actor, Permission.DATASET_READ)
    version = find_version(reference)
    if version.dataset.closed and SYSTEM_ROLE not in actor.roles:
        raise Denied(f"The data set {version.dataset.name!r} is closed: only checks read it, so that no model is tuned to it.")
    return store().open(version.blob_id)


@transaction.atomic
def _insert(actor: Actor, new: _New) -> DatasetVersion:
    dataset, created = Dataset.objects.get_or_create(
        name=new.name, defaults={"description": new.description, "closed": new.closed, "created_by_id": actor.user_id}
    )
    dataset = Dataset.objects.select_for_update().get(pk=dataset.pk)  # versions of one data set are numbered one by one
    closing = new.closed and not dataset.closed
    if closing:
        dataset.closed = True
        dataset.save(update_fields=["closed"])
    version = _registered(new.name, new.received.digest, new.format, new.target)
    if version is None:
        if _contract_of(new.name) != new.contract:
            raise Conflict(f"The contract of {new.name!r} was changed while the file was read. Register it again.")
        note_content(new.received)
        newest = DatasetVersion.objects.filter(dataset=dataset).order_by("-number").values_list("number", flat=True).first()
        version = DatasetVersion.objects.create(
            dataset=dataset,
            number=(newest or 0) + 1,
            blob_id=new.received.digest,
            format=new.format,
            target=new.target,
            row_count=new.table.row_count,
            columns=[{"name": column, "type": kind} for column, kind in new.table.columns],
            created_by_id=actor.user_id,
        )
        if new.contract is not None and new.report is not None:
            # Closed meanwhile, by somebody else: then its values are not to be kept either.
            report = without_values(new.report) if dataset.closed else new.report
            ContractReport.objects.create(
                version=version, contract=new.contract, satisfied=report.satisfied, document=asdict(report)
            )
    elif not closing:
        return version
    audit.record(
        actor,
        Event.DATASET_REGISTERED,
        subject=("dataset", str(version)),
        after={
            "digest": version.digest,
            "format": new.format,
            "target": new.target,
            "rows": version.row_count,
            "closed": dataset.closed,
            "new": created,
            "origin": new.origin,
            **({"contract": new.report.contract, "keeps_contract": new.report.satisfied} if new.report else {}),
        },
    )
    return version


def _registered(name: str, digest: str, form: str, target: str) -> DatasetVersion | None:
    """Return the version with this content already."""
    same = DatasetVersion.objects.filter(dataset__name=name, blob_id=digest, format=form, target=target)
    return same.select_related("dataset").order_by("number").first()


def _contract_of(name: str) -> DataContract | None:
    return DataContract.objects.filter(dataset__name=name).order_by("-number").first()


def _compared(path: Path, form: str, contract: DataContract | None, *, private: bool) -> Report | None:
    if contract is None:
        return None
    report = compare(path, form, compile_contract(contract.document), contract.number)
    return without_values(report) if private else report


def _violated(name: str, report: Report) -> Invalid:
    first = report.violations[0]
    where = f"column {first.column!r}" if first.column else "the file"
    more = f" and {len(report.violations) - 1} more" if len(report.violations) > 1 else ""
    return Invalid(
        f"The file breaks revision {report.contract} of the contract of {name!r}: {where} has {first.found} against the rule "
        f"{first.rule} ({first.expected}){more}. Correct the file or the contract, or register it with `contract: warn`.",
        code="contract_violated",
        report=asdict(report),
    )


def _check_request(name: str, format: str, description: str) -> None:
    if not _NAME.match(name):
        raise Invalid(f"{name!r} cannot name a data set: use letters, digits, spaces and . _ + -, at most 200 of them.")
    if format not in FORMATS:
        raise Invalid(f"There is no format {format!r}; the formats are {', '.join(FORMATS)}.")
    if len(description) > _MAX_DESCRIPTION:
        raise Invalid(f"A description has at most {_MAX_DESCRIPTION} characters.")


def _check_target(table: Table, target: str) -> None:
    names = [name for name, _ in table.columns]
    if target not in names:
        shown = ", ".join(names[:50]) + (" and more" if len(names) > 50 else "")
        raise Invalid(f"There is no column {target!r} that could be the target; the columns are {shown}.", columns=names[:1000])


def _summaries(rows: QuerySet[Dataset]) -> list[DatasetSummary]:
    found = list(rows.select_related("created_by"))
    versions: dict[int, list[DatasetVersionSummary]] = defaultdict(list)
    of_them = DatasetVersion.objects.filter(dataset__in=[row.pk for row in found])
    for row in of_them.select_related("dataset", "blob", "created_by", "report").order_by("-number"):
        versions[row.dataset_id].append(_summary(row))
    return [
        DatasetSummary(
            name=row.name,
            description=row.description,
            closed=row.closed,
            created_by=row.created_by.username if row.created_by else "",
            created_at=row.created_at,
            versions=versions[row.pk],
        )
        for row in found
    ]


def _summary(row: DatasetVersion) -> DatasetVersionSummary:
    return DatasetVersionSummary(
        id=row.pk,
        reference=str(row),
        number=row.number,
        digest=row.digest,
        size_bytes=row.blob.size_bytes,
        format=row.format,
        target=row.target,
        row_count=row.row_count,
        columns=[(column["name"], column["type"]) for column in row.columns],
        keeps_contract=row.report.satisfied if hasattr(row, "report") else None,
        created_by=row.created_by.username if row.created_by else "",
        created_at=row.created_at,
    )
