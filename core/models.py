"""Who acts, what was done, and what is still to do."""

from __future__ import annotations

from django.contrib.auth.models import AbstractUser
from django.contrib.contenttypes.models import ContentType
from django.db import models
from django.utils import timezone


class User(AbstractUser):
    """A person or a service account. A service account has a person who answers for it."""

    is_service = models.BooleanField(default=False)
    responsible = models.ForeignKey("self", null=True, blank=True, on_delete=models.PROTECT, related_name="service_accounts")

    class Meta(AbstractUser.Meta):
        constraints = [
            models.CheckConstraint(
                name="only_services_have_a_responsible_person",
                condition=models.Q(is_service=True) | models.Q(responsible__isnull=True),
            )
        ]

    @property
    def display_name(self) -> str:
        return self.get_full_name() or self.username


class ApiToken(models.Model):
    """A bearer credential, known to us only by its digest. Never changed but for revocation."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="tokens")
    name = models.CharField(max_length=100)
    prefix = models.CharField(max_length=12)
    digest = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True, blank=True)


class PromisedRight(models.Model):
    """A right on one object for a name that has no account or group yet. It allows nothing; ``core.grants`` keeps it later."""

    kind = models.CharField(max_length=7)  # user, service or group
    name = models.CharField(max_length=150)
    content_type = models.ForeignKey(ContentType, on_delete=models.CASCADE, related_name="+", db_index=False)
    object_id = models.BigIntegerField()
    level = models.CharField(max_length=6)
    scope = models.CharField(max_length=300)  # of the events about the object
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["kind", "name", "content_type", "object_id"], name="one_promise_per_name_and_object")
        ]
        indexes = [models.Index(fields=["content_type", "object_id"], name="promised_on_object")]


class AuditEvent(models.Model):
    """One state change, written in the transaction that made it. Never updated, never deleted (triggers).

    ``body`` is the canonical JSON of the whole event and is what the ledger hashes; the other columns repeat parts of it
    for searching, and verification compares them with it.
    """

    id = models.BigAutoField(primary_key=True)
    occurred_at = models.DateTimeField()
    action = models.CharField(max_length=80)
    actor = models.CharField(max_length=150)
    subject_type = models.CharField(max_length=40)
    subject_id = models.CharField(max_length=300)
    scope = models.CharField(max_length=300, blank=True, default="")  # the registered model or experiment it belongs to
    request_id = models.CharField(max_length=40, blank=True, default="")
    body = models.TextField()

    class Meta:
        indexes = [
            models.Index(fields=["subject_type", "subject_id", "id"], name="audit_subject"),
            models.Index(fields=["scope", "id"], name="audit_scope"),
            models.Index(fields=["actor", "id"], name="audit_actor"),
            models.Index(fields=["action", "id"], name="audit_action"),
        ]


class LedgerEntry(models.Model):
    """The place of a committed event in the hash tree. Never updated, never deleted (triggers)."""

    position = models.BigIntegerField(primary_key=True)
    event = models.OneToOneField(AuditEvent, on_delete=models.PROTECT, related_name="entry")
    leaf_hash = models.CharField(max_length=64)

    class Meta:
        verbose_name_plural = "ledger entries"


class LedgerCheckpoint(models.Model):
    """The size and root of the hash tree after one batch. Never updated, never deleted (triggers)."""

    size = models.BigIntegerField(primary_key=True)
    root_hash = models.CharField(max_length=64)
    frontier = models.JSONField()  # RFC 6962 hashes of the full subtrees, largest first: all that appending needs
    last_event_id = models.BigIntegerField()
    created_at = models.DateTimeField(default=timezone.now)


class LedgerMark(models.Model):
    """How far back the sequencer need not look: one row, which only a sequencer moves, under its lock.

    Every event up to ``settled`` that is or ever will be committed has its place. ``candidate`` is the next such id, once each
    transaction before ``candidate_xid`` has ended (PostgreSQL).
    """

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    settled = models.BigIntegerField(default=0)
    candidate = models.BigIntegerField(null=True)
    candidate_xid = models.BigIntegerField(null=True)

    class Meta:
        constraints = [models.CheckConstraint(name="one_ledger_mark", condition=models.Q(id=1))]


class JobState(models.TextChoices):
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Job(models.Model):
    """Work to be done outside a request. This row is the truth; the broker's message is only a nudge.

    A running job holds a lease that its worker renews; a lease that ran out puts the job back in the queue.
    queue: which workers are told of it. nudged_at: when they were told last, so that the sweeper need not tell them all the time.
    """

    name = models.CharField(max_length=80)
    arguments = models.JSONField(default=dict)
    key = models.CharField(max_length=200, null=True, blank=True)  # at most one open job per key
    state = models.CharField(max_length=10, choices=JobState.choices, default=JobState.QUEUED)
    attempts = models.PositiveSmallIntegerField(default=0)
    max_attempts = models.PositiveSmallIntegerField(default=3)
    queue = models.CharField(max_length=40, blank=True, default="")
    run_after = models.DateTimeField(default=timezone.now)
    nudged_at = models.DateTimeField(null=True, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)
    worker = models.CharField(max_length=120, blank=True, default="")
    error = models.TextField(blank=True, default="")
    created_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["key"], condition=models.Q(state__in=["queued", "running"]), name="one_open_job_per_key"
            ),
        ]
        indexes = [
            models.Index(fields=["run_after"], condition=models.Q(state="queued"), name="job_queued"),
            models.Index(fields=["lease_until"], condition=models.Q(state="running"), name="job_leased"),
        ]
