"""What holds a governed place without a decision of ours, because it held it at the server it came from."""

from __future__ import annotations

from django.db import models
from django.utils import timezone

from governance.models import TargetKind
from registry.models import ModelVersion, RegisteredModel


class Grandfathered(models.Model):
    """An import gave a version a governed place without anybody having decided on it here. Never changed.

    The one exception to the rule that whatever holds a governed place was decided on. It counts as long as the version holds the
    place and no request for it was carried out since.
    """

    model = models.ForeignKey(RegisteredModel, on_delete=models.PROTECT, related_name="grandfathered")
    version = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="grandfathered", db_index=False)
    target_kind = models.CharField(max_length=5, choices=TargetKind.choices)
    target = models.CharField(max_length=255)
    policies = models.JSONField()  # those that governed the place, as "name v3"
    origin = models.CharField(max_length=500)  # the server it came from
    imported_by = models.CharField(max_length=150)
    imported_at = models.DateTimeField(default=timezone.now)

    class Meta:
        indexes = [models.Index(fields=["version", "target_kind", "target"], name="grandfathered_place")]
