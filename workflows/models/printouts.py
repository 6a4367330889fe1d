"""What was put on paper: a document as HTML, and as PDF once a worker has printed it."""

from __future__ import annotations

from django.db import models
from django.utils import timezone


class Printout(models.Model):
    """A document by the SHA-256 of its HTML; the PDF of the same HTML is the same. It can be made again, so it may be removed.

    The HTML is kept until it is printed. It says what the person who asked may see: only who has the same HTML gets the PDF.
    """

    digest = models.CharField(max_length=71, primary_key=True)
    html = models.TextField()
    pdf = models.BinaryField(null=True)
    error = models.TextField(blank=True, default="")
    asked_at = models.DateTimeField(default=timezone.now)

    class Meta:
        indexes = [models.Index(fields=["asked_at"], name="printout_age")]
