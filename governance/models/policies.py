"""What must be true, where, and with which thresholds."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils import timezone


class Policy(models.Model):
    """A named set of requirements; its texts are the revisions."""

    name = models.CharField(max_length=100, unique=True)
    created_at = models.DateTimeField(default=timezone.now)


class PolicyRevision(models.Model):
    """One published text of a policy. Never changed; requests pin it by digest."""

    policy = models.ForeignKey(Policy, on_delete=models.PROTECT, related_name="revisions", db_index=False)
    number = models.PositiveIntegerField()
    digest = models.CharField(max_length=71)
    document = models.TextField()  # the YAML as written
    published_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    published_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["policy", "number"], name="one_revision_per_number"),
            models.UniqueConstraint(fields=["policy", "digest"], name="one_revision_per_text"),
        ]

    def __str__(self) -> str:
        return f"{self.policy.name} v{self.number}"


class TargetKind(models.TextChoices):
    STAGE = "stage"
    ALIAS = "alias"


class BindingMode(models.TextChoices):
    ENFORCE = "enforce"
    WARN = "warn"
    SHADOW = "shadow"


class ParameterSet(models.Model):
    """One published revision of named parameter values. Never changed."""

    name = models.CharField(max_length=100)
    number = models.PositiveIntegerField()
    policy = models.ForeignKey(Policy, on_delete=models.PROTECT, related_name="parameter_sets")
    values = models.JSONField()
    digest = models.CharField(max_length=71)
    published_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    published_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["name", "number"], name="one_parameter_set_per_number")]


class Binding(models.Model):
    """Says which models' way to which stages and aliases a policy guards, since when, how, and with which parameters.

    Never edited: a change ends one row (``valid_to``) and begins another. ``valid_from`` may lie ahead.
    """

    name = models.CharField(max_length=100)
    policy = models.ForeignKey(Policy, on_delete=models.PROTECT, related_name="bindings")
    models_matching = models.JSONField(default=list)  # shell patterns on model names; empty means every model
    risk_tiers = models.JSONField(default=list)  # empty means every tier
    tags = models.JSONField(default=dict)  # model tags that must be equal
    stages = models.JSONField(default=list)
    aliases = models.JSONField(default=list)
    mode = models.CharField(max_length=7, choices=BindingMode.choices, default=BindingMode.ENFORCE)
    parameters = models.JSONField(default=dict)
    parameters_name = models.CharField(max_length=100, blank=True, default="")  # of the published set they were taken from
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    valid_from = models.DateTimeField(default=timezone.now)
    valid_to = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["name"], condition=models.Q(valid_to__isnull=True), name="one_current_binding_per_name"
            )
        ]
