"""Which content stands at which path, and which paths may no longer change."""

from __future__ import annotations

from django.db import models
from django.utils import timezone


class Blob(models.Model):
    """Content known by its SHA-256 (64 hex). Stored once however often it is referred to; never changed."""

    digest = models.CharField(max_length=64, primary_key=True)
    size_bytes = models.BigIntegerField()
    created_at = models.DateTimeField(default=timezone.now)


class Removal(models.Model):
    """Content whose row is gone and which is to be removed from the store, unless it has a row again by then."""

    digest = models.CharField(max_length=64, primary_key=True)


class ArtifactFile(models.Model):
    """A file in the artifact tree, such as ``3/<run id>/artifacts/plots/roc.png``; paths never start with a slash."""

    folder = models.CharField(max_length=1500)
    name = models.CharField(max_length=500)
    blob = models.ForeignKey(Blob, on_delete=models.PROTECT, related_name="files")
    updated_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["folder", "name"], name="one_file_per_path")]
        # For "this folder and all below" in byte order, whatever the collation of the PostgreSQL database.
        indexes = [models.Index(fields=["folder"], name="artifact_folder_prefix", opclasses=["varchar_pattern_ops"])]

    @property
    def path(self) -> str:
        return f"{self.folder}/{self.name}" if self.folder else self.name


class FrozenTree(models.Model):
    """A folder whose content a registered version relies on: nothing below it may be written or deleted."""

    path = models.CharField(max_length=1500)
    holder = models.CharField(max_length=120)  # such as "model-version:17"
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["path", "holder"], name="one_freeze_per_holder")]


class Upload(models.Model):
    """A file on its way in parts. It is gone when the file is whole, given up, or a day has passed."""

    id = models.CharField(max_length=32, primary_key=True)
    path = models.CharField(max_length=1500)
    parts_announced = models.IntegerField()
    created_at = models.DateTimeField(default=timezone.now, db_index=True)


class UploadPart(models.Model):
    """A part that has arrived; like all contents it is stored by its digest."""

    upload = models.ForeignKey(Upload, on_delete=models.CASCADE, related_name="parts", db_index=False)
    number = models.IntegerField()  # from 1
    blob = models.ForeignKey(Blob, on_delete=models.PROTECT, related_name="+")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["upload", "number"], name="one_upload_part_per_number")]
