"""What pipelines elsewhere reported, the signatures on it, and the keys that these were verified with."""

from __future__ import annotations

from datetime import datetime

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from governance.models.evidence import CheckRun

VALID = "valid"


class Report(models.Model):
    """Where a reported check run comes from. Never changed (triggers).

    ``digest`` is over all that was reported and by whom: the same again is the same run. ``dataset_digest`` is what the pipeline says
    of data that is not registered here.
    """

    run = models.OneToOneField(CheckRun, on_delete=models.PROTECT, primary_key=True, related_name="report")
    pipeline = models.CharField(max_length=200)
    run_url = models.CharField(max_length=1000, blank=True, default="")
    commit = models.CharField(max_length=100, blank=True, default="")
    outcome = models.CharField(max_length=6)  # passed, warned or failed
    dataset_digest = models.CharField(max_length=71, blank=True, default="")
    reported_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="reports")
    digest = models.CharField(max_length=71, unique=True)
    reported_at = models.DateTimeField(default=timezone.now)


class SigningKey(models.Model):
    """A public key that a service account may sign its reports with. Never changed but for revocation.

    ``key_id`` is ``sha256:`` and the digest of the key's DER form (SubjectPublicKeyInfo), so nobody chooses it.
    """

    key_id = models.CharField(max_length=71, unique=True)
    name = models.CharField(max_length=100)
    algorithm = models.CharField(max_length=20)  # ed25519 or ecdsa-p256
    public_key = models.TextField()  # PEM
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="signing_keys")
    registered_by = models.CharField(max_length=150)
    registered_at = models.DateTimeField(default=timezone.now)
    valid_from = models.DateTimeField(default=timezone.now)
    valid_to = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(name="a_signing_key_ends_after_it_begins", condition=Q(valid_to__gt=F("valid_from")))
        ]

    def state(self, now: datetime) -> str:
        """Return ``valid``, or why the key is not valid at a moment: ``revoked``, ``not_yet_valid`` or ``expired``."""
        if self.revoked_at is not None and self.revoked_at <= now:
            return "revoked"
        if now < self.valid_from:
            return "not_yet_valid"
        return "expired" if now >= self.valid_to else VALID


class Attestation(models.Model):
    """The signed envelope that a report came in, and the key that it was verified with. Never changed (triggers)."""

    run = models.OneToOneField(CheckRun, on_delete=models.PROTECT, primary_key=True, related_name="attestation")
    envelope = models.JSONField()  # DSSE: payload, payloadType, signatures
    payload_digest = models.CharField(max_length=71)
    key = models.ForeignKey(SigningKey, on_delete=models.PROTECT, related_name="attestations")
    verified_at = models.DateTimeField(default=timezone.now)
