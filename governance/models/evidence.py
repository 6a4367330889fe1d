"""What was measured and written about a version, and what a gate decided on it."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.utils import timezone

from artifacts.models import Blob
from core.models import Job
from registry.models import DatasetVersion, ModelVersion


class CheckState(models.TextChoices):
    """Where a check run stands. ``passed`` and ``failed`` were measured to the end, ``failed`` with a finding of high severity or worse;
    neither decides anything. ``skipped``: this kind of check does not fit this kind of model."""

    QUEUED = "queued"
    PREPARING = "preparing"
    RUNNING = "running"
    PASSED = "passed"
    FAILED = "failed"
    ERROR = "error"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"
    SKIPPED = "skipped"


UNFINISHED = (CheckState.QUEUED, CheckState.PREPARING, CheckState.RUNNING)
AT_WORK = (CheckState.PREPARING, CheckState.RUNNING)
MEASURED = (CheckState.PASSED, CheckState.FAILED)
GRAVE = ("high", "critical")


class ResourceClass(models.TextChoices):
    """What a check run needs of the worker that takes it up."""

    LIGHT = "light"
    CPU = "cpu"
    GPU = "gpu"


class CheckSource(models.TextChoices):
    """Who measured: a worker of this installation, in the sandbox, or a pipeline elsewhere, as it says."""

    WORKER = "worker"
    REPORTED = "reported"


class CheckRun(models.Model):
    """One execution of a check on one content. A finished one is never changed.

    ``inputs_digest`` covers check, revision, parameters, content, data sets, what it is compared with, the cards it reads and what it rests
    on: equal inputs may reuse an earlier result. ``resource_class`` and ``job`` say which workers may take it up, and through which row
    of the queue. ``rests_on`` are the runs whose measurements it reads: it is taken up once they have ended. ``card_digest`` is of the
    card that it reads, empty if it reads none; ``earlier_card`` is the newest of the versions before. One with the source ``reported`` was
    measured elsewhere: it has a ``Report``, and is signed if ``signed_by`` is the id of a ``SigningKey``.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    version = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="check_runs", db_index=False)
    source = models.CharField(max_length=8, choices=CheckSource.choices, default=CheckSource.WORKER)
    signed_by = models.CharField(max_length=71, blank=True, default="")
    check_name = models.CharField(max_length=100)
    check_revision = models.CharField(max_length=40)
    parameters = models.JSONField(default=dict)
    dataset_version = models.ForeignKey(DatasetVersion, null=True, on_delete=models.PROTECT, related_name="check_runs")
    compared_with = models.ForeignKey(ModelVersion, null=True, on_delete=models.PROTECT, related_name="+")  # the champion of then
    rests_on = models.ManyToManyField("self", symmetrical=False, related_name="carries")
    card_digest = models.CharField(max_length=71, blank=True, default="")
    earlier_card = models.ForeignKey("ModelCard", null=True, on_delete=models.PROTECT, related_name="+", db_index=False)
    content_digest = models.CharField(max_length=71)
    inputs_digest = models.CharField(max_length=71)
    resource_class = models.CharField(max_length=5, choices=ResourceClass.choices, default=ResourceClass.CPU)
    job = models.ForeignKey(Job, null=True, on_delete=models.SET_NULL, related_name="+")
    state = models.CharField(max_length=10, choices=CheckState.choices, default=CheckState.QUEUED)
    progress = models.FloatField(default=0.0)  # fraction in [0, 1]
    progress_text = models.CharField(max_length=300, blank=True, default="")
    error_code = models.CharField(max_length=60, blank=True, default="")
    error_message = models.TextField(blank=True, default="")
    log = models.TextField(blank=True, default="")
    worker = models.CharField(max_length=120, blank=True, default="")
    isolation = models.CharField(max_length=20, blank=True, default="")
    environment = models.JSONField(default=dict)
    result_digest = models.CharField(max_length=71, blank=True, default="")  # over measurements, findings and tables
    tables_digest = models.CharField(max_length=71, blank=True, default="")  # over the tables alone
    requested_by = models.CharField(max_length=150)
    created_at = models.DateTimeField(default=timezone.now)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["inputs_digest"],
                condition=models.Q(state__in=["queued", "preparing", "running", "passed", "failed", "skipped"]),
                name="one_live_check_run_per_inputs",
            )
        ]
        indexes = [models.Index(fields=["version", "check_name", "-created_at"], name="check_run_of_version")]


class CheckPartition(models.Model):
    """Rows of the evaluation set, from start to before stop, that a run asks about in a job of its own. Gone when the run has ended.

    ``answers`` is what was answered, None as long as it is open; the run goes on when none is. ``said``: which environments answered.
    """

    run = models.ForeignKey(CheckRun, on_delete=models.CASCADE, related_name="partitions", db_index=False)
    start = models.BigIntegerField()
    stop = models.BigIntegerField()
    job = models.ForeignKey(Job, null=True, on_delete=models.SET_NULL, related_name="+")
    worker = models.CharField(max_length=120, blank=True, default="")
    isolation = models.CharField(max_length=20, blank=True, default="")
    progress = models.FloatField(default=0.0)  # fraction in [0, 1]
    log = models.TextField(blank=True, default="")
    said = models.JSONField(default=dict)
    answers = models.ForeignKey(Blob, null=True, on_delete=models.PROTECT, related_name="+")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["run", "start"], name="one_partition_per_start")]


class Measurement(models.Model):
    """A typed number with its slice, sample size, interval and method. Never changed."""

    run = models.ForeignKey(CheckRun, on_delete=models.CASCADE, related_name="measurements", db_index=False)
    metric = models.CharField(max_length=100)
    slice = models.CharField(max_length=200, blank=True, default="")
    value = models.FloatField(null=True)
    n = models.BigIntegerField(null=True)
    ci_low = models.FloatField(null=True)
    ci_high = models.FloatField(null=True)
    method = models.CharField(max_length=300, blank=True, default="")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["run", "metric", "slice"], name="one_measurement_per_slice")]


class Severity(models.TextChoices):
    INFO = "info"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


class Finding(models.Model):
    """A problem that a check found, with the place it found it at. Never changed; what becomes of it is a ``FindingRecord``."""

    run = models.ForeignKey(CheckRun, on_delete=models.CASCADE, related_name="findings")
    rule = models.CharField(max_length=100)
    severity = models.CharField(max_length=8, choices=Severity.choices)
    location = models.CharField(max_length=1500, blank=True, default="")
    message = models.TextField()


class EvidenceTable(models.Model):
    """A table that a check made, such as a ROC curve: stored as data, drawn when read. Never changed."""

    run = models.ForeignKey(CheckRun, on_delete=models.CASCADE, related_name="tables", db_index=False)
    name = models.CharField(max_length=100)
    title = models.CharField(max_length=200, blank=True, default="")
    columns = models.JSONField()
    rows = models.JSONField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["run", "name"], name="one_table_per_name")]


class ModelCard(models.Model):
    """What people should know about a version (Mitchell et al. 2019). Never edited: a change is a new revision."""

    version = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="cards", db_index=False)
    revision = models.PositiveIntegerField()
    sections = models.JSONField()  # section name -> text
    digest = models.CharField(max_length=71)
    written_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    written_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["version", "revision"], name="one_card_per_revision")]


class EvidenceSnapshot(models.Model):
    """What a reviewer had before them, part by part, stored once under its digest. Never changed."""

    digest = models.CharField(max_length=71, primary_key=True)
    parts = models.TextField()  # canonical JSON: path, such as card.intended_use -> value or digest
    created_at = models.DateTimeField(default=timezone.now)


class DecisionPurpose(models.TextChoices):
    APPROVE = "approve"
    EXECUTE = "execute"
    OBSERVE = "observe"  # a direct move that a policy watches without blocking
    REEVALUATE = "reevaluate"  # what holds a place, judged anew
    BREAK_GLASS = "break_glass"


class Decision(models.Model):
    """What a gate found at one moment: the facts it saw and the verdict it reached, both as canonical JSON. Never changed.

    The verdict is a pure function of (policy revision, parameters, facts), so it can be recomputed from this row alone.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    version = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="decisions")
    request_id = models.BigIntegerField(null=True, db_index=True)  # none when nobody asked, as for a direct move under warn
    purpose = models.CharField(max_length=11, choices=DecisionPurpose.choices)
    outcome = models.CharField(max_length=12, choices=[("satisfied", "satisfied"), ("blocked", "blocked")])
    gate_revision = models.PositiveIntegerField(default=1)
    policies = models.JSONField()  # [{"binding", "policy", "revision", "digest", "parameters", "mode"}]
    facts = models.TextField()
    facts_digest = models.CharField(max_length=71)
    verdict = models.TextField()
    verdict_digest = models.CharField(max_length=71)
    decided_at = models.DateTimeField(default=timezone.now)
