"""Who outside is told of events, what each was sent, and how far the ledger was read for them."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.utils import timezone

from core.models import AuditEvent
from registry.models import RegisteredModel


class EndpointState(models.TextChoices):
    ACTIVE = "active"
    DISABLED = "disabled"
    TESTING = "testing"  # told of nothing but tests


class EndpointFormat(models.TextChoices):
    """In whose words and shape an endpoint is told, and signed how: a module of ``webhooks.formats`` each."""

    STANDARD = "standard"
    DATABRICKS = "databricks"
    MLFLOW = "mlflow", "MLflow"


class WebhookEndpoint(models.Model):
    """An address outside that is told of events. It receives what the account that made it may read, and nothing else.

    Its secrets are not here: ours are derived from the installation's key and a salt (``webhooks.signing``), those that its
    owner chose are sealed with that key (``webhooks.sealing``). Deleting leaves a tombstone, since deliveries and audit events
    refer to it.
    """

    name = models.CharField(max_length=100)
    description = models.CharField(max_length=1000, blank=True, default="")
    format = models.CharField(max_length=10, choices=EndpointFormat.choices, default=EndpointFormat.STANDARD)
    url = models.CharField(max_length=2000)
    verify_certificate = models.BooleanField(default=True)
    events = models.JSONField(default=list)  # as its format names them: ours by names, prefixes such as "promotion.*", or "*"
    # Limits it to the events of this model.
    model = models.ForeignKey(RegisteredModel, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    # Of a secret made here; empty in formats whose receivers choose their own.
    secret_salt = models.CharField(max_length=64, blank=True, default="")
    secret_check = models.CharField(
        max_length=16, blank=True, default=""
    )  # tells that SECRET_KEY is another than when it was made
    previous_salt = models.CharField(max_length=64, blank=True, default="")
    previous_secret_ends_at = models.DateTimeField(null=True, blank=True)
    sealed_secret = models.TextField(blank=True, default="")
    sealed_authorization = models.TextField(blank=True, default="")  # the header to send, of a receiver that asks for one
    state = models.CharField(max_length=8, choices=EndpointState.choices, default=EndpointState.ACTIVE)
    reason = models.CharField(max_length=300, blank=True, default="")  # why it is disabled
    failing_since = models.DateTimeField(null=True, blank=True)  # the first failure since the last success
    held_until = models.DateTimeField(null=True, blank=True)  # while it fails or is slow, its other deliveries wait for this time
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(default=timezone.now)
    updated_at = models.DateTimeField(default=timezone.now)  # when somebody last changed what it is, not how it fares
    deleted_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [models.Index(fields=["name", "id"], condition=models.Q(deleted_at__isnull=True), name="webhook_live_name")]

    def __str__(self) -> str:
        return self.name


class WebhookCursor(models.Model):
    """The ledger's position up to which endpoints were served. One row; whoever moves it holds its lock."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    position = models.BigIntegerField(default=0)  # the next one to read

    class Meta:
        constraints = [models.CheckConstraint(name="one_webhook_cursor", condition=models.Q(id=1))]


class DeliveryState(models.TextChoices):
    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"


class WebhookDelivery(models.Model):
    """One event for one endpoint, or a test without an event. Its id goes out as ``webhook-id`` with every attempt.

    ``attempts`` only grows; ``attempts_before`` says how many of them came before the present round, which begins anew when
    somebody sends it again.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    endpoint = models.ForeignKey(WebhookEndpoint, on_delete=models.PROTECT, related_name="deliveries", db_index=False)
    event = models.ForeignKey(AuditEvent, null=True, on_delete=models.PROTECT, related_name="+", db_index=False)
    kind = models.CharField(max_length=60, blank=True, default="")  # what a foreign format calls the event, or a test's example
    state = models.CharField(max_length=9, choices=DeliveryState.choices, default=DeliveryState.PENDING)
    attempts = models.PositiveSmallIntegerField(default=0)
    attempts_before = models.PositiveSmallIntegerField(default=0)
    next_attempt_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    delivered_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name_plural = "webhook deliveries"
        constraints = [models.UniqueConstraint(fields=["endpoint", "event"], name="one_delivery_per_endpoint_and_event")]
        indexes = [
            models.Index(fields=["endpoint", "-created_at", "-id"], name="webhook_delivery_newest"),
            models.Index(fields=["next_attempt_at"], condition=models.Q(state="pending"), name="webhook_delivery_pending"),
            models.Index(fields=["created_at"], name="webhook_delivery_age"),
        ]


class DeliveryAttempt(models.Model):
    """What came of sending a delivery once. Inserted, never updated."""

    delivery = models.ForeignKey(WebhookDelivery, on_delete=models.CASCADE, related_name="tries")
    at = models.DateTimeField(default=timezone.now)
    status_code = models.PositiveSmallIntegerField(null=True)  # of the answer; none came if it is empty
    duration_ms = models.PositiveIntegerField(default=0)
    response = models.TextField(blank=True, default="")  # its beginning, at most 2 KB
    error = models.CharField(max_length=500, blank=True, default="")  # why it does not count as delivered
