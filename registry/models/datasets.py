"""Data sets that checks measure on: registered by someone other than the submitter, versioned and digested."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils import timezone

from artifacts.models import Blob

_FORMATS = [("csv", "CSV"), ("csv.gz", "CSV, gzip"), ("parquet", "Parquet"), ("arrow", "Arrow IPC")]


class Dataset(models.Model):
    """A named data set. A closed one is read by checks only, so that nobody tunes a model to it."""

    name = models.CharField(max_length=200, unique=True)
    description = models.TextField(blank=True, default="")
    closed = models.BooleanField(default=False)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(default=timezone.now)


class DatasetVersion(models.Model):
    """One fixed content of a data set, identified by its SHA-256. Never changed."""

    dataset = models.ForeignKey(Dataset, on_delete=models.PROTECT, related_name="versions", db_index=False)
    number = models.PositiveIntegerField()
    blob = models.ForeignKey(Blob, on_delete=models.PROTECT, related_name="+")
    format = models.CharField(max_length=10, choices=_FORMATS)
    target = models.CharField(max_length=200)  # the column that holds the true outcome
    row_count = models.BigIntegerField()
    columns = models.JSONField()  # [{"name", "type"}] in file order
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["dataset", "number"], name="one_dataset_version_per_number")]

    def __str__(self) -> str:
        return f"{self.dataset.name}@v{self.number}"

    @property
    def digest(self) -> str:
        return f"sha256:{self.blob_id}"


class DataContract(models.Model):
    """A revision of what a data set promises about its columns, as written. The newest holds for versions to come. Never changed."""

    dataset = models.ForeignKey(Dataset, on_delete=models.PROTECT, related_name="contracts", db_index=False)
    number = models.PositiveIntegerField()
    document = models.TextField()
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["dataset", "number"], name="one_data_contract_per_number")]

    def __str__(self) -> str:
        return f"{self.dataset.name}/contract/{self.number}"


class ContractReport(models.Model):
    """How a version kept the contract that held when it was registered. Never changed; a version without one met no contract."""

    version = models.OneToOneField(DatasetVersion, on_delete=models.PROTECT, related_name="report")
    contract = models.ForeignKey(DataContract, on_delete=models.PROTECT, related_name="+")
    satisfied = models.BooleanField()
    document = models.JSONField()  # registry.conformance.Report
