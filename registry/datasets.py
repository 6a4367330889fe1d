"""Data sets that checks measure on: register a file as a version, and read what there is."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from typing import BinaryIO

from django.db import transaction

from artifacts.models import Blob
from artifacts.store import Received, store
from core import access, audit
from core.access import SYSTEM_ROLE, Actor, Permission
from core.audit import Event
from core.errors import Denied, Invalid, NotFound
from registry.models import Dataset, DatasetVersion
from registry.tables import FORMATS, Table, read

_NAME = re.compile(r"\w[\w .+-]{0,199}\Z")
_REFERENCE = re.compile(r"(?P<name>[^@]+)(?:@v?(?P<number>\d{1,9}))?\Z")
_MAX_DESCRIPTION = 20_000


@dataclass(frozen=True)
class DatasetVersionSummary:
    """One content of a data set. digest: ``sha256:...``; columns: (name, type) in file order."""

    id: int
    reference: str  # name@v2
    number: int
    digest: str
    size_bytes: int
    format: str
    target: str
    row_count: int
    columns: list[tuple[str, str]]
    created_by: str
    created_at: datetime


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
    *, actor: Actor, name: str, stream: BinaryIO, format: str, target: str, description: str = "", closed: bool = False
) -> DatasetVersion:
    """Store a file as the next version of a data set, which is made if need be; the same content again gives its version.

    format: csv, csv.gz or parquet. target: the column with the true outcome. closed: from now on only checks may read it; that
    is never taken back here. The bytes are received and read before the transaction begins.
    Raises Denied, or Invalid for a file that cannot be read, has no rows, or has no such column (naming those it has).
    """
    access.require(actor, Permission.DATASET_REGISTER)
    if not _NAME.match(name):
        raise Invalid(f"{name!r} cannot name a data set: use letters, digits, spaces and . _ + -, at most 200 of them.")
    if format not in FORMATS:
        raise Invalid(f"There is no format {format!r}; the formats are {', '.join(FORMATS)}.")
    if len(description) > _MAX_DESCRIPTION:
        raise Invalid(f"A description has at most {_MAX_DESCRIPTION} characters.")
    with store().receive(stream) as received:
        table = read(received.temporary, format)
        _check_target(table, target)
        store().keep(received)
        return _insert(actor, name, received, format, target, table, description, closed)


def datasets(actor: Actor) -> list[DatasetSummary]:
    """Return every data set, by name. Raises Denied."""
    access.require(actor, Permission.DATASET_READ)
    versions: dict[int, list[DatasetVersionSummary]] = defaultdict(list)
    for row in DatasetVersion.objects.select_related("dataset", "blob", "created_by").order_by("-number"):
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
        for row in Dataset.objects.select_related("created_by").order_by("name")
    ]


def dataset_version(actor: Actor, reference: str) -> DatasetVersionSummary:
    """Return the version that ``name@v2`` means, or the newest for ``name``. Raises Denied, Invalid, NotFound."""
    access.require(actor, Permission.DATASET_READ)
    return _summary(find_version(reference))


def find_version(reference: str) -> DatasetVersion:
    """Return the row that ``name@v2`` means, or the newest for ``name``. Raises Invalid, NotFound."""
    parts = _REFERENCE.match(reference)
    if parts is None:
        raise Invalid(f"{reference!r} names no data set: write `name` or `name@v2`.")
    rows = DatasetVersion.objects.filter(dataset__name=parts["name"]).select_related("dataset", "blob", "created_by")
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
def _insert(
    actor: Actor, name: str, received: Received, form: str, target: str, table: Table, description: str, closed: bool
) -> DatasetVersion:
    dataset, created = Dataset.objects.get_or_create(
        name=name, defaults={"description": description, "closed": closed, "created_by_id": actor.user_id}
    )
    dataset = Dataset.objects.select_for_update().get(pk=dataset.pk)  # versions of one data set are numbered one by one
    closing = closed and not dataset.closed
    if closing:
        dataset.closed = True
        dataset.save(update_fields=["closed"])
    same = DatasetVersion.objects.filter(dataset=dataset, blob_id=received.digest, format=form, target=target)
    version = same.select_related("dataset").order_by("number").first()
    if version is None:
        blob, _ = Blob.objects.get_or_create(digest=received.digest, defaults={"size_bytes": received.size_bytes})
        newest = DatasetVersion.objects.filter(dataset=dataset).order_by("-number").values_list("number", flat=True).first()
        version = DatasetVersion.objects.create(
            dataset=dataset,
            number=(newest or 0) + 1,
            blob=blob,
            format=form,
            target=target,
            row_count=table.row_count,
            columns=[{"name": column, "type": kind} for column, kind in table.columns],
            created_by_id=actor.user_id,
        )
    elif not closing:
        return version
    audit.record(
        actor,
        Event.DATASET_REGISTERED,
        subject=("dataset", str(version)),
        after={
            "digest": version.digest,
            "format": form,
            "target": target,
            "rows": version.row_count,
            "closed": dataset.closed,
            "new": created,
        },
    )
    return version


def _check_target(table: Table, target: str) -> None:
    names = [name for name, _ in table.columns]
    if target not in names:
        shown = ", ".join(names[:50]) + (" and more" if len(names) > 50 else "")
        raise Invalid(f"There is no column {target!r} that could be the target; the columns are {shown}.", columns=names[:1000])


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
        created_by=row.created_by.username if row.created_by else "",
        created_at=row.created_at,
    )
