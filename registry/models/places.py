"""Where versions stand and stood: stages and aliases as assignments with a period of validity.

'What was in Production on 31 March' is a query on these rows: valid_from <= t and (valid_to is null or valid_to > t).
"""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q

from registry.models.catalog import ModelVersion, RegisteredModel


class Stage(models.Model):
    """A named state in a model's life. One of them is where every version begins."""

    name = models.CharField(max_length=40, primary_key=True)
    position = models.PositiveSmallIntegerField(unique=True)
    is_initial = models.BooleanField(default=False)

    class Meta:
        ordering = ["position"]
        constraints = [models.UniqueConstraint(fields=["is_initial"], condition=Q(is_initial=True), name="one_initial_stage")]


class StageTransition(models.Model):
    """An allowed step of the stage graph."""

    from_stage = models.ForeignKey(Stage, on_delete=models.CASCADE, related_name="steps_out", db_index=False)
    to_stage = models.ForeignKey(Stage, on_delete=models.CASCADE, related_name="steps_in")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["from_stage", "to_stage"], name="one_step_between_stages")]


class StageAssignment(models.Model):
    """A version held a stage from one time to another; the current one has no end. Written only by ``registry.placement``."""

    version = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="stage_assignments", db_index=False)
    model = models.ForeignKey(RegisteredModel, on_delete=models.PROTECT, related_name="stage_assignments", db_index=False)
    stage = models.ForeignKey(Stage, on_delete=models.PROTECT, related_name="+", db_index=False)
    valid_from = models.DateTimeField()
    valid_to = models.DateTimeField(null=True, blank=True)
    assigned_by = models.CharField(max_length=150)
    request_id = models.BigIntegerField(null=True, blank=True)  # the promotion request that authorised it, if one was needed

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["version"], condition=Q(valid_to__isnull=True), name="one_current_stage_per_version"),
            models.CheckConstraint(
                name="stage_period_runs_forward", condition=Q(valid_to__isnull=True) | Q(valid_to__gte=F("valid_from"))
            ),
        ]
        indexes = [models.Index(fields=["model", "stage", "valid_from"], name="stage_history")]


class AliasAssignment(models.Model):
    """An alias named a version from one time to another; the current one has no end. Written only by ``registry.placement``."""

    model = models.ForeignKey(RegisteredModel, on_delete=models.PROTECT, related_name="alias_assignments")
    alias = models.CharField(max_length=255)
    version = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="alias_assignments", db_index=False)
    valid_from = models.DateTimeField()
    valid_to = models.DateTimeField(null=True, blank=True)
    assigned_by = models.CharField(max_length=150)
    request_id = models.BigIntegerField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["model", "alias"], condition=Q(valid_to__isnull=True), name="one_version_per_alias"),
            models.CheckConstraint(
                name="alias_period_runs_forward", condition=Q(valid_to__isnull=True) | Q(valid_to__gte=F("valid_from"))
            ),
        ]
        indexes = [models.Index(fields=["version"], condition=Q(valid_to__isnull=True), name="alias_of_version")]
