"""What happens next: promotion requests, reviews and notifications."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from governance.models import Binding, CheckRun, PolicyRevision, TargetKind
from registry.models import ModelVersion, RegisteredModel

OPEN_STATES = ("checking", "in_review", "changes_requested", "approved")


class RequestState(models.TextChoices):
    CHECKING = "checking"
    IN_REVIEW = "in_review"
    CHANGES_REQUESTED = "changes_requested"
    APPROVED = "approved"
    DONE = "done"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"
    SUPERSEDED = "superseded"
    FAILED = "failed"


class PromotionRequest(models.Model):
    """A proposal to give a version a stage or an alias, bound to the exact content that is decided on."""

    model = models.ForeignKey(RegisteredModel, on_delete=models.PROTECT, related_name="promotion_requests")
    version = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="promotion_requests")
    target_kind = models.CharField(max_length=5, choices=TargetKind.choices)
    target = models.CharField(max_length=255)
    from_stage = models.CharField(max_length=40, blank=True, default="")
    reason = models.TextField()
    archive_existing = models.BooleanField(default=True)
    state = models.CharField(max_length=17, choices=RequestState.choices, default=RequestState.CHECKING)
    subject_digest = models.CharField(max_length=71)
    champion = models.ForeignKey(ModelVersion, null=True, on_delete=models.PROTECT, related_name="+")
    requested_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="promotion_requests")
    created_at = models.DateTimeField(default=timezone.now)
    updated_at = models.DateTimeField(default=timezone.now)
    closed_at = models.DateTimeField(null=True, blank=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    failure = models.TextField(blank=True, default="")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["model", "target_kind", "target"], condition=Q(state__in=OPEN_STATES), name="one_open_request_per_target"
            )
        ]
        indexes = [
            models.Index(fields=["state", "-created_at"], name="request_by_state"),
            models.Index(fields=["version", "-created_at"], name="request_of_version"),
        ]

    @property
    def reference(self) -> str:
        return f"REQ-{self.pk}"


class RequestPolicy(models.Model):
    """A policy revision and its parameters, pinned by a request when it was opened. Never changed."""

    request = models.ForeignKey(PromotionRequest, on_delete=models.CASCADE, related_name="policies")
    binding = models.ForeignKey(Binding, on_delete=models.PROTECT, related_name="+")
    revision = models.ForeignKey(PolicyRevision, on_delete=models.PROTECT, related_name="+")
    parameters = models.JSONField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["request", "binding"], name="one_pin_per_binding")]


class RequestCheck(models.Model):
    """A check run whose evidence a request relies on: the candidate's own, or the champion's for comparison."""

    request = models.ForeignKey(PromotionRequest, on_delete=models.CASCADE, related_name="checks")
    run = models.ForeignKey(CheckRun, on_delete=models.PROTECT, related_name="request_links")
    role = models.CharField(max_length=9, choices=[("candidate", "candidate"), ("champion", "champion")])

    class Meta:
        constraints = [models.UniqueConstraint(fields=["request", "run"], name="one_link_per_check_run")]


class ReviewVerdict(models.TextChoices):
    APPROVE = "approve"
    REQUEST_CHANGES = "request_changes"
    REJECT = "reject"
    ABSTAIN = "abstain"


class Review(models.Model):
    """One person's verdict on one evidence digest. Inserted, never updated; the latest of a person counts."""

    request = models.ForeignKey(PromotionRequest, on_delete=models.PROTECT, related_name="reviews")
    reviewer = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="reviews")
    verdict = models.CharField(max_length=15, choices=ReviewVerdict.choices)
    comment = models.TextField(blank=True, default="")
    evidence_digest = models.CharField(max_length=71)
    roles = models.JSONField(default=list)  # the reviewer's roles when deciding
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        indexes = [models.Index(fields=["request", "reviewer", "-id"], name="review_latest")]


class Notification(models.Model):
    """A line in a person's inbox about a request."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="notifications")
    request = models.ForeignKey(PromotionRequest, on_delete=models.CASCADE, related_name="notifications")
    kind = models.CharField(max_length=40)
    text = models.CharField(max_length=300)
    created_at = models.DateTimeField(default=timezone.now)
    read_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [models.Index(fields=["user", "-created_at"], name="notification_newest")]
