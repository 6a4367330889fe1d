"""Promotion requests with what they pin, and the reviews on them."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from governance.models import Binding, BindingMode, CheckRun, PolicyRevision, TargetKind
from registry.models import ModelVersion, RegisteredModel

# A draft asks for nothing yet, so it keeps nobody from asking.
OPEN_STATES = ("checking", "in_review", "changes_requested", "approved", "executing")


class RequestKind(models.TextChoices):
    PROMOTION = "promotion"
    ROLLBACK = "rollback"  # back to a version that held the place before
    RE_REVIEW = "re_review"  # the version that holds the place keeps it


class RequestState(models.TextChoices):
    DRAFT = "draft"
    CHECKING = "checking"
    IN_REVIEW = "in_review"
    CHANGES_REQUESTED = "changes_requested"
    APPROVED = "approved"
    EXECUTING = "executing"
    DONE = "done"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"
    SUPERSEDED = "superseded"
    FAILED = "failed"


class PromotionRequest(models.Model):
    """A proposal to give a version a stage or an alias, bound to the exact content that is decided on."""

    kind = models.CharField(max_length=9, choices=RequestKind.choices, default=RequestKind.PROMOTION)
    model = models.ForeignKey(RegisteredModel, on_delete=models.PROTECT, related_name="promotion_requests")
    version = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="promotion_requests", db_index=False)
    target_kind = models.CharField(max_length=5, choices=TargetKind.choices)
    target = models.CharField(max_length=255)
    from_stage = models.CharField(max_length=40, blank=True, default="")
    reason = models.TextField()
    archive_existing = models.BooleanField(default=True)
    state = models.CharField(max_length=17, choices=RequestState.choices, default=RequestState.CHECKING)
    subject_digest = models.CharField(max_length=71)
    champion = models.ForeignKey(ModelVersion, null=True, on_delete=models.PROTECT, related_name="+")
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="promotion_requests", db_index=False
    )
    created_at = models.DateTimeField(default=timezone.now)
    updated_at = models.DateTimeField(default=timezone.now)
    closed_at = models.DateTimeField(null=True, blank=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    escalated_at = models.DateTimeField(null=True, blank=True)  # its time ended and the policy escalates instead of closing
    generation = models.PositiveIntegerField(default=1)  # of the pinned policies that hold
    demanded_at = models.DateTimeField(null=True, blank=True)  # when somebody said that it may be carried out
    hold = models.CharField(max_length=300, blank=True, default="")  # why an approved request is not carried out yet
    valid_until = models.DateTimeField(null=True, blank=True)  # of what was approved: a re-review is due then
    superseded_by = models.ForeignKey("self", null=True, blank=True, on_delete=models.PROTECT, related_name="supersedes")
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
            models.Index(fields=["-created_at", "-id"], name="request_newest"),
            models.Index(fields=["-created_at", "-id"], condition=Q(state__in=OPEN_STATES), name="request_newest_open"),
            models.Index(fields=["requested_by", "-created_at", "-id"], name="request_of_person"),
        ]

    @property
    def reference(self) -> str:
        return f"REQ-{self.pk}"


class RequestPolicy(models.Model):
    """A policy revision and its parameters, pinned by a request. Never changed: a rebase pins another generation."""

    request = models.ForeignKey(PromotionRequest, on_delete=models.CASCADE, related_name="policies", db_index=False)
    # None where no binding guards the target and somebody asked all the same: the policy is then the built-in one.
    binding = models.ForeignKey(Binding, null=True, on_delete=models.PROTECT, related_name="+")
    revision = models.ForeignKey(PolicyRevision, on_delete=models.PROTECT, related_name="+")
    parameters = models.JSONField()
    mode = models.CharField(max_length=7, choices=BindingMode.choices, default=BindingMode.ENFORCE)
    generation = models.PositiveIntegerField(default=1)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["request", "binding", "generation"], name="one_pin_per_binding")]


class RequestCheck(models.Model):
    """A check run whose evidence a request relies on: the candidate's own, or the champion's for comparison."""

    request = models.ForeignKey(PromotionRequest, on_delete=models.CASCADE, related_name="checks", db_index=False)
    run = models.ForeignKey(CheckRun, on_delete=models.PROTECT, related_name="request_links")
    role = models.CharField(max_length=9, choices=[("candidate", "candidate"), ("champion", "champion")])

    class Meta:
        constraints = [models.UniqueConstraint(fields=["request", "run"], name="one_link_per_check_run")]


class PolicyCheck(models.Model):
    """Which pinned policy asked for a check run: two policies may ask the same check on other data or with other parameters."""

    policy = models.ForeignKey(RequestPolicy, on_delete=models.CASCADE, related_name="checks", db_index=False)
    link = models.ForeignKey(RequestCheck, on_delete=models.CASCADE, related_name="asked_by")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["policy", "link"], name="one_policy_check_per_run")]


class ReviewVerdict(models.TextChoices):
    APPROVE = "approve"
    REQUEST_CHANGES = "request_changes"
    REJECT = "reject"
    ABSTAIN = "abstain"


class Review(models.Model):
    """One person's verdict on one evidence digest. Inserted, never updated; the latest of a person counts."""

    request = models.ForeignKey(PromotionRequest, on_delete=models.PROTECT, related_name="reviews", db_index=False)
    reviewer = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="reviews")
    verdict = models.CharField(max_length=15, choices=ReviewVerdict.choices)
    comment = models.TextField(blank=True, default="")
    evidence_digest = models.CharField(max_length=71)  # of the EvidenceSnapshot that was before the reviewer
    groups = models.JSONField(default=list)  # the groups it can count for, as they were when deciding
    delegation = models.ForeignKey("workflows.Delegation", null=True, on_delete=models.PROTECT, related_name="reviews")
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        indexes = [models.Index(fields=["request", "reviewer", "-id"], name="review_latest")]


class Signature(models.Model):
    """A reviewer's electronic signature on a review: who, when, what it means and the exact statement. Never changed.

    After 21 CFR 11.50 (printed name, date and time, meaning), 11.70 (bound to the record) and 11.200 (signed with both
    components of the identity).
    """

    review = models.OneToOneField(Review, on_delete=models.PROTECT, related_name="signature")
    printed_name = models.CharField(max_length=300)
    meaning = models.CharField(max_length=200)
    statement = models.TextField()
    statement_digest = models.CharField(max_length=71)
    signed_at = models.DateTimeField(default=timezone.now)


class Delegation(models.Model):
    """A person hands their part in reviewing to another for a time. Never changed but for its end being brought forward."""

    delegator = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="delegations_given")
    delegate = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="delegations_held", db_index=False
    )
    groups = models.JSONField(default=list)  # of the delegator's; empty means all of them
    reason = models.TextField()
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(default=timezone.now)
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(name="a_delegation_ends_after_it_starts", condition=Q(ends_at__gt=models.F("starts_at"))),
            models.CheckConstraint(name="nobody_delegates_to_themselves", condition=~Q(delegator=models.F("delegate"))),
        ]
        indexes = [models.Index(fields=["delegate", "ends_at"], name="delegation_held")]
