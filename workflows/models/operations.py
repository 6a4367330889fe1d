"""When things may be carried out, what bypassed the gate in an emergency, and what must be looked at again."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from governance.models import TargetKind
from registry.models import ModelVersion, RegisteredModel
from workflows.models.requests import PromotionRequest


class BusinessCalendarRow(models.Model):
    """A published business calendar. Never edited: publishing anew ends one row and begins another."""

    name = models.CharField(max_length=100)
    zone = models.CharField(max_length=64)  # IANA name
    weekdays = models.JSONField()  # 0 is Monday
    opens = models.TimeField()
    closes = models.TimeField()
    holidays = models.JSONField(default=list)  # ISO dates
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    valid_from = models.DateTimeField(default=timezone.now)
    valid_to = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["name"], condition=Q(valid_to__isnull=True), name="one_current_calendar_per_name")
        ]


class FreezeWindow(models.Model):
    """A time, perhaps recurring, in which nothing is carried out for the models and targets it covers. Never edited."""

    name = models.CharField(max_length=100)
    reason = models.CharField(max_length=300)
    starts = models.CharField(max_length=19)  # local time, such as 2026-12-20T00:00
    duration_minutes = models.PositiveIntegerField()
    zone = models.CharField(max_length=64)  # IANA name
    rrule = models.CharField(max_length=300, blank=True, default="")  # RFC 5545; empty: once
    models_matching = models.JSONField(default=list)  # shell patterns on model names; empty means every model
    risk_tiers = models.JSONField(default=list)  # empty means every tier
    stages = models.JSONField(default=list)  # with aliases: empty means every target
    aliases = models.JSONField(default=list)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    valid_from = models.DateTimeField(default=timezone.now)
    valid_to = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["name"], condition=Q(valid_to__isnull=True), name="one_current_freeze_per_name")
        ]


class BreakGlassState(models.TextChoices):
    REQUESTED = "requested"
    IN_FORCE = "in_force"
    REVERTED = "reverted"  # what stood there before stands there again; the review after is open
    CLOSED = "closed"  # reviewed
    REFUSED = "refused"


class BreakGlass(models.Model):
    """An emergency move past the gate: two people, an incident, an end, and a review after it that stays open."""

    model = models.ForeignKey(RegisteredModel, on_delete=models.PROTECT, related_name="emergencies")
    version = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="+")
    target_kind = models.CharField(max_length=5, choices=TargetKind.choices)
    target = models.CharField(max_length=255)
    reason = models.TextField()
    incident = models.CharField(max_length=100)
    minutes = models.PositiveIntegerField()
    state = models.CharField(max_length=9, choices=BreakGlassState.choices, default=BreakGlassState.REQUESTED)
    requested_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    requested_at = models.DateTimeField(default=timezone.now)
    confirmed_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    confirmed_at = models.DateTimeField(null=True, blank=True)
    ends_at = models.DateTimeField(null=True, blank=True)
    displaced = models.ForeignKey(
        ModelVersion, null=True, on_delete=models.PROTECT, related_name="+"
    )  # what held the place before
    from_stage = models.CharField(max_length=40, blank=True, default="")  # where the version itself stood before
    reverted_at = models.DateTimeField(null=True, blank=True)
    outcome = models.TextField(blank=True, default="")  # how it ended, in words
    reviewed_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    reviewed_at = models.DateTimeField(null=True, blank=True)
    review_note = models.TextField(blank=True, default="")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["model", "target_kind", "target"],
                condition=Q(state__in=["requested", "in_force"]),
                name="one_emergency_per_target",
            )
        ]
        indexes = [models.Index(fields=["state", "ends_at"], name="emergency_by_state")]


class ReReviewCause(models.TextChoices):
    CLOCK = "clock"
    DATASET_RECALLED = "dataset_recalled"
    VULNERABILITY = "vulnerability"
    DRIFT = "drift"
    INCIDENT = "incident"
    TIER_CHANGED = "tier_changed"
    WAIVER_EXPIRED = "waiver_expired"


class ReReview(models.Model):
    """What holds a place must be reviewed again. Closed by a request that was carried out, or by leaving the place."""

    model = models.ForeignKey(RegisteredModel, on_delete=models.PROTECT, related_name="re_reviews")
    version = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="re_reviews")
    target_kind = models.CharField(max_length=5, choices=TargetKind.choices)
    target = models.CharField(max_length=255)
    cause = models.CharField(max_length=16, choices=ReReviewCause.choices)
    detail = models.TextField(blank=True, default="")
    opened_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )  # none: the system
    opened_at = models.DateTimeField(default=timezone.now)
    due_at = models.DateTimeField()
    escalate_to = models.CharField(max_length=150, blank=True, default="")
    overdue_at = models.DateTimeField(null=True, blank=True)  # when its being late was noted
    closed_at = models.DateTimeField(null=True, blank=True)
    closed_by_request = models.ForeignKey(PromotionRequest, null=True, on_delete=models.PROTECT, related_name="+")
    outcome = models.CharField(max_length=200, blank=True, default="")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["version", "target_kind", "target", "cause"],
                condition=Q(closed_at__isnull=True),
                name="one_open_re_review",
            )
        ]
        indexes = [models.Index(fields=["due_at"], condition=Q(closed_at__isnull=True), name="re_review_due")]
