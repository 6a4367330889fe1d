"""Which requests were answered under an idempotency key, and with what."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils import timezone


class IdempotentAnswer(models.Model):
    """The answer to one request, kept in the transaction that made its change, so that asking again changes nothing.

    ``request_digest`` covers method, address, media type and body: the key alone does not say that it is the same request.
    """

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+", db_index=False)
    key = models.CharField(max_length=255)
    request_digest = models.CharField(max_length=71)
    status = models.PositiveSmallIntegerField(default=0)
    location = models.CharField(max_length=2200, blank=True, default="")
    body = models.TextField(blank=True, default="")
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "key"], name="one_answer_per_idempotency_key")]
        indexes = [models.Index(fields=["user", "created_at"], name="idempotent_answer_age")]
