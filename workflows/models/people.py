"""What waits for whom, what is being talked about, and who is told."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from registry.models import ModelVersion
from workflows.models.requests import PromotionRequest


class ReviewTask(models.Model):
    """A factor of a request that waits for people of a group: the row behind the inboxes. Kept equal to the gate's verdict.

    Inboxes are asked for on every page, so what they sort and leave out by stands in the row: who cannot do the task, and how
    pressing it is.
    """

    request = models.ForeignKey(PromotionRequest, on_delete=models.CASCADE, related_name="tasks")
    policy = models.CharField(max_length=100)
    step = models.CharField(max_length=100)
    group = models.CharField(max_length=150)
    factor = models.CharField(max_length=260)  # the result's id, unique within the policy
    missing = models.PositiveSmallIntegerField()
    opened_at = models.DateTimeField(default=timezone.now)
    due_at = models.DateTimeField(null=True, blank=True)
    escalate_to = models.CharField(max_length=150, blank=True, default="")
    closed_at = models.DateTimeField(null=True, blank=True)
    # Without an index of its own, which would be chosen where the order that task_claimed gives is the cheaper one.
    claimed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="claimed_tasks", db_index=False
    )
    claimed_at = models.DateTimeField(null=True, blank=True)
    claim_ends_at = models.DateTimeField(null=True, blank=True)  # then it lapses by itself
    press_at = models.DateTimeField(default=timezone.now)  # its place in inboxes: when due, else behind all that are, by age
    attend_at = models.DateTimeField(null=True, blank=True)  # when the clock must remind or escalate next
    # Ids of accounts, each between spaces: who had a part in the work, was heard already, or does not fit the factor.
    not_for = models.TextField(blank=True, default="")
    reminded_at = models.DateTimeField(null=True, blank=True)
    escalated_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["request", "policy", "factor"], condition=Q(closed_at__isnull=True), name="one_open_task_per_factor"
            )
        ]
        indexes = [
            models.Index(fields=["group", "press_at", "id"], condition=Q(closed_at__isnull=True), name="task_of_group"),
            models.Index(fields=["press_at", "id"], condition=Q(closed_at__isnull=True), name="task_pressing"),
            models.Index(
                fields=["press_at", "id"], condition=Q(closed_at__isnull=True, claimed_by__isnull=False), name="task_claimed"
            ),
            models.Index(fields=["attend_at"], condition=Q(closed_at__isnull=True), name="task_to_attend"),
            models.Index(
                fields=["escalate_to", "press_at", "id"],
                condition=Q(closed_at__isnull=True, escalated_at__isnull=False),
                name="task_escalated_to",
            ),
        ]


class ThreadAnchor(models.TextChoices):
    REQUEST = "request"
    REQUIREMENT = "requirement"
    MEASUREMENT = "measurement"
    CARD = "card"
    VERSION = "version"  # without a request


class Thread(models.Model):
    """A discussion on one thing: a request, a requirement, a measurement, a card field, or a version."""

    version = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="threads")
    request = models.ForeignKey(PromotionRequest, null=True, on_delete=models.PROTECT, related_name="threads", db_index=False)
    anchor_kind = models.CharField(max_length=11, choices=ThreadAnchor.choices)
    anchor = models.CharField(max_length=300, blank=True, default="")  # policy/requirement, measurement key or card section
    opened_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    opened_at = models.DateTimeField(default=timezone.now)
    resolved_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    resolved_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [models.Index(fields=["request", "opened_at"], name="thread_of_request")]


class Comment(models.Model):
    """A contribution to a thread. Editing keeps the text before in the audit event."""

    thread = models.ForeignKey(Thread, on_delete=models.PROTECT, related_name="comments")
    author = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    text = models.TextField()
    mentions = models.JSONField(default=list)  # usernames
    created_at = models.DateTimeField(default=timezone.now)
    edited_at = models.DateTimeField(null=True, blank=True)
    deleted_at = models.DateTimeField(null=True, blank=True)


class Notification(models.Model):
    """A line to a person, in the app and perhaps by mail. path: the page it is about."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="notifications", db_index=False)
    request = models.ForeignKey(PromotionRequest, null=True, on_delete=models.CASCADE, related_name="notifications")
    kind = models.CharField(max_length=40)
    text = models.CharField(max_length=300)
    path = models.CharField(max_length=300, blank=True, default="")
    created_at = models.DateTimeField(default=timezone.now)
    read_at = models.DateTimeField(null=True, blank=True)
    mailed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [models.Index(fields=["user", "-created_at"], name="notification_newest")]


class MailPreference(models.Model):
    """Whether a person wants mail; who said nothing gets it."""

    user = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="mail_preference")
    wanted = models.BooleanField(default=True)
