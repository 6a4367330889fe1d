"""How things came about: typed nodes and dated edges that point from cause to effect."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q
from django.utils import timezone


class NodeKind(models.TextChoices):
    DATASET = "dataset"
    RUN = "run"
    LOGGED_MODEL = "logged_model"
    MODEL_VERSION = "model_version"
    STAGE = "stage"
    DEPLOYMENT = "deployment"
    CODE = "code"
    ENVIRONMENT = "environment"


class EdgeKind(models.TextChoices):
    USED = "used"  # dataset, code, environment -> run
    PRODUCED = "produced"  # run -> logged model
    REGISTERED_AS = "registered_as"  # logged model or run -> model version
    EVALUATED_ON = "evaluated_on"  # dataset -> model version
    PROMOTED_TO = "promoted_to"  # model version -> stage
    DEPLOYED_AS = "deployed_as"  # model version -> deployment


class LineageNode(models.Model):
    """A thing that lineage speaks of. ``key`` is its stable name, such as ``run:<id>`` or ``model_version:credit/3``."""

    kind = models.CharField(max_length=20, choices=NodeKind.choices)
    key = models.CharField(max_length=600, unique=True)
    label = models.CharField(max_length=600)
    scope = models.CharField(
        max_length=300, blank=True, default=""
    )  # "model:<id>" or "experiment:<id>": whose readers may see it
    attributes = models.JSONField(default=dict)
    created_at = models.DateTimeField(default=timezone.now)
    tombstoned_at = models.DateTimeField(null=True, blank=True)


class LineageEdge(models.Model):
    """Cause -> effect, valid from one time to another; an edge that still holds has no end."""

    source = models.ForeignKey(LineageNode, on_delete=models.PROTECT, related_name="edges_out")
    target = models.ForeignKey(LineageNode, on_delete=models.PROTECT, related_name="edges_in", db_index=False)
    kind = models.CharField(max_length=20, choices=EdgeKind.choices)
    valid_from = models.DateTimeField(default=timezone.now)
    valid_to = models.DateTimeField(null=True, blank=True)
    digest = models.CharField(max_length=80, blank=True, default="")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["source", "target", "kind"], condition=Q(valid_to__isnull=True), name="one_open_edge"
            ),
            models.CheckConstraint(name="no_edge_to_itself", condition=~Q(source=F("target"))),
        ]
        indexes = [models.Index(fields=["target", "source"], name="edge_upstream")]
