"""Registered models and their versions."""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth.models import Group, Permission
from django.db import models
from django.db.models import F
from django.db.models.functions import Left
from guardian.models import GroupObjectPermissionBase, UserObjectPermissionBase


class RiskTier(models.TextChoices):
    """Materiality: how much depends on the model (SR 26-2: exposure and purpose)."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


class RegisteredModel(models.Model):
    """A named, owned entry under which versions of one modelling purpose are kept.

    Deleting leaves a tombstone, since audit, lineage and assignments refer to it; the name becomes free again.
    ``next_number`` only grows: a version number is never used twice.
    """

    name = models.CharField(max_length=256)
    description = models.TextField(blank=True, default="")
    risk_tier = models.CharField(max_length=8, choices=RiskTier.choices, default=RiskTier.MEDIUM)
    owner_team = models.ForeignKey(Group, null=True, blank=True, on_delete=models.PROTECT, related_name="+", db_index=False)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    created_ms = models.BigIntegerField()
    updated_ms = models.BigIntegerField()
    next_number = models.PositiveIntegerField(default=1)
    is_prompt = models.BooleanField(default=False)  # MLflow keeps prompts as registered models with a tag
    deleted_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        default_permissions = ()
        permissions = [
            ("model_read", "read a model and its versions"),
            ("model_write", "register versions, edit, and ask for promotion"),
            ("model_manage", "delete a model and grant rights on it"),
        ]
        constraints = [
            models.UniqueConstraint(fields=["name"], condition=models.Q(deleted_at__isnull=True), name="one_live_model_per_name")
        ]
        indexes = [
            models.Index(fields=["owner_team"], condition=models.Q(owner_team__isnull=False), name="model_of_team"),
        ]

    def __str__(self) -> str:
        return self.name


class ModelUserPermission(UserObjectPermissionBase):
    """A person's right on one registered model."""

    content_object = models.ForeignKey(RegisteredModel, on_delete=models.CASCADE, db_index=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, db_index=False)
    permission = models.ForeignKey(Permission, on_delete=models.CASCADE, db_index=False)

    class Meta(UserObjectPermissionBase.Meta):
        # Asked with every request: of one object, this person, these rights.
        indexes = [models.Index(fields=["content_object", "user", "permission"], name="model_right_of_user")]


class ModelGroupPermission(GroupObjectPermissionBase):
    """A group's right on one registered model."""

    content_object = models.ForeignKey(RegisteredModel, on_delete=models.CASCADE, db_index=False)
    group = models.ForeignKey(Group, on_delete=models.CASCADE, db_index=False)
    permission = models.ForeignKey(Permission, on_delete=models.CASCADE, db_index=False)

    class Meta(GroupObjectPermissionBase.Meta):
        indexes = [models.Index(fields=["content_object", "group", "permission"], name="model_right_of_group")]


class RegisteredModelTag(models.Model):
    model = models.ForeignKey(RegisteredModel, on_delete=models.CASCADE, related_name="tags", db_index=False)
    key = models.CharField(max_length=250)
    value = models.TextField(blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["model", "key"], name="one_model_tag_per_key")]
        # A value can be longer than an index may hold, so searches compare its beginning first.
        indexes = [models.Index(F("key"), Left("value", 64), name="model_tag_value")]


class VersionStatus(models.TextChoices):
    PENDING = "PENDING_REGISTRATION"
    FAILED = "FAILED_REGISTRATION"
    READY = "READY"


class ModelVersion(models.Model):
    """An immutable, numbered snapshot of a model. Its content, manifest and provenance never change after registration.

    ``content_digest`` is the digest of the manifest (path, size and SHA-256 of every file): it identifies what is decided on.
    It is empty only where the files lie in a store we do not keep (``s3://`` and the like), and then no policy lets it pass;
    where none guards, people may agree to the address (``registry.identity``).
    """

    model = models.ForeignKey(RegisteredModel, on_delete=models.PROTECT, related_name="versions", db_index=False)
    number = models.PositiveIntegerField()
    description = models.TextField(null=True, blank=True)
    source = models.CharField(max_length=2200)
    storage_location = models.CharField(max_length=2200, blank=True, default="")
    run_id = models.CharField(max_length=32, blank=True, default="")  # as the client says; may name a run elsewhere
    run_link = models.CharField(max_length=2048, blank=True, default="")
    logged_model_id = models.CharField(max_length=40, blank=True, default="")
    status = models.CharField(max_length=21, choices=VersionStatus.choices, default=VersionStatus.READY)
    status_message = models.TextField(blank=True, default="")
    content_digest = models.CharField(max_length=71, blank=True, default="")
    size_bytes = models.BigIntegerField(default=0)
    mlmodel = models.JSONField(default=dict)  # the parsed MLmodel file: flavours, signature, input example
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    user_id_text = models.CharField(max_length=256, blank=True, default="")  # as another server said, of an imported version
    created_ms = models.BigIntegerField()
    updated_ms = models.BigIntegerField()
    deleted_at = models.DateTimeField(null=True, blank=True)

    first_stage: str | None = None  # no column: where one that was registered just now stands, for who shows it

    class Meta:
        constraints = [models.UniqueConstraint(fields=["model", "number"], name="one_version_per_number")]
        indexes = [
            models.Index(fields=["run_id"], name="version_run"),
            models.Index(fields=["content_digest"], name="version_digest"),
            models.Index(fields=["-updated_ms", "id"], name="version_newest"),
        ]

    def __str__(self) -> str:
        return f"{self.model.name} v{self.number}"


class ModelVersionTag(models.Model):
    version = models.ForeignKey(ModelVersion, on_delete=models.CASCADE, related_name="tags", db_index=False)
    key = models.CharField(max_length=250)
    value = models.TextField(blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["version", "key"], name="one_version_tag_per_key")]
        indexes = [models.Index(F("key"), Left("value", 64), name="version_tag_value")]


class ModelVersionFile(models.Model):
    """One line of a version's manifest. Never changed."""

    version = models.ForeignKey(ModelVersion, on_delete=models.CASCADE, related_name="files", db_index=False)
    path = models.CharField(max_length=1500)  # relative to the version's root
    digest = models.CharField(max_length=64)
    size_bytes = models.BigIntegerField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["version", "path"], name="one_manifest_line_per_path")]
