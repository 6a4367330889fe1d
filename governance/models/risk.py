"""What is known to be wrong, what may be missed for a time, and how much a model matters."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from governance.models.evidence import CheckRun, Severity
from registry.models import ModelVersion, RegisteredModel


class WaiverScope(models.TextChoices):
    VERSION = "version"
    MODEL = "model"


class Waiver(models.Model):
    """A request that a requirement of a policy may be missed until a day, with what reduces the risk meanwhile. Never changed.

    What became of it are its ``WaiverRuling`` rows: in force means approved, neither revoked nor past ``expires_at``.
    """

    model = models.ForeignKey(RegisteredModel, on_delete=models.PROTECT, related_name="waivers", db_index=False)
    version = models.ForeignKey(ModelVersion, null=True, on_delete=models.PROTECT, related_name="waivers")  # none: every version
    policy = models.CharField(max_length=100)
    requirement = models.CharField(max_length=100)
    reason = models.TextField()
    compensating_control = models.TextField()
    requested_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    requested_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(name="a_waiver_ends_after_it_begins", condition=Q(expires_at__gt=models.F("requested_at")))
        ]
        indexes = [models.Index(fields=["model", "policy", "requirement"], name="waiver_of_requirement")]

    @property
    def scope(self) -> str:
        return WaiverScope.VERSION if self.version_id else WaiverScope.MODEL


class WaiverVerdict(models.TextChoices):
    APPROVED = "approved"
    REFUSED = "refused"
    REVOKED = "revoked"
    EXPIRED = "expired"  # noted once by the clock; the waiver counted no more from its end on


class WaiverRuling(models.Model):
    """What was decided about a waiver. Inserted, never updated; at most one of each kind."""

    waiver = models.ForeignKey(Waiver, on_delete=models.PROTECT, related_name="rulings", db_index=False)
    verdict = models.CharField(max_length=8, choices=WaiverVerdict.choices)
    ruled_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )  # none: the clock
    comment = models.TextField(blank=True, default="")
    ruled_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["waiver", "verdict"], name="one_ruling_of_a_kind"),
            models.UniqueConstraint(
                fields=["waiver"], condition=Q(verdict__in=["approved", "refused"]), name="a_waiver_is_approved_or_refused"
            ),
        ]


class FindingSource(models.TextChoices):
    REVIEWER = "reviewer"
    CHECK = "check"
    MONITOR = "monitor"
    WAIVER = "waiver"
    RE_REVIEW = "re_review"


class FindingStatus(models.TextChoices):
    OPEN = "open"
    CLOSED = "closed"


class FindingRecord(models.Model):
    """A problem with a model, kept until it is closed with evidence; it counts for every version of the model.

    The row holds how things are; each change is a ``FindingChange`` with what was before.
    """

    model = models.ForeignKey(RegisteredModel, on_delete=models.PROTECT, related_name="findings", db_index=False)
    version = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="finding_records")  # raised on this one
    source = models.CharField(max_length=9, choices=FindingSource.choices)
    key = models.CharField(
        max_length=300, blank=True, default=""
    )  # of what would raise it again, such as check:artifact-scan:rule:place
    title = models.CharField(max_length=200)
    description = models.TextField(blank=True, default="")
    severity = models.CharField(max_length=8, choices=Severity.choices)
    status = models.CharField(max_length=6, choices=FindingStatus.choices, default=FindingStatus.OPEN)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="owned_findings")
    due_on = models.DateField(null=True)
    raised_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )  # none: the system
    raised_at = models.DateTimeField(default=timezone.now)
    closed_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["model", "key"], condition=~Q(key=""), name="one_finding_per_key"),
        ]
        indexes = [models.Index(fields=["model", "status"], name="finding_of_model")]


class FindingChange(models.Model):
    """One step in the life of a finding. Inserted, never updated."""

    finding = models.ForeignKey(FindingRecord, on_delete=models.PROTECT, related_name="changes")
    action = models.CharField(max_length=8)  # raised | updated | closed | reopened
    by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField(default=timezone.now)
    comment = models.TextField(blank=True, default="")
    evidence_run = models.ForeignKey(CheckRun, null=True, on_delete=models.PROTECT, related_name="+")
    before = models.JSONField(default=dict)
    after = models.JSONField(default=dict)


class QuestionnaireRevision(models.Model):
    """One published text of a risk questionnaire. Never changed."""

    name = models.CharField(max_length=100)
    number = models.PositiveIntegerField()
    digest = models.CharField(max_length=71)
    document = models.TextField()
    published_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    published_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["name", "number"], name="one_questionnaire_per_number")]


class TierAssessment(models.Model):
    """Answers to a questionnaire with the score and tier they give, and perhaps another tier that somebody proposed.

    Never changed but for the ruling on the proposal, once.
    """

    model = models.ForeignKey(RegisteredModel, on_delete=models.PROTECT, related_name="tier_assessments", db_index=False)
    questionnaire = models.ForeignKey(QuestionnaireRevision, on_delete=models.PROTECT, related_name="+")
    answers = models.JSONField()
    score = models.IntegerField()
    scored_tier = models.CharField(max_length=6)
    reasons = models.JSONField(default=list)
    override_tier = models.CharField(max_length=6, blank=True, default="")
    override_reason = models.TextField(blank=True, default="")
    assessed_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    assessed_at = models.DateTimeField(default=timezone.now)
    ruling = models.CharField(max_length=9, blank=True, default="")  # of the override: confirmed | refused
    ruled_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    ruled_at = models.DateTimeField(null=True)
    ruling_comment = models.TextField(blank=True, default="")

    class Meta:
        indexes = [models.Index(fields=["model", "-assessed_at"], name="tier_of_model")]

    @property
    def tier(self) -> str:
        """The tier in force by this assessment: the proposed one only once a second person confirmed it."""
        return self.override_tier if self.ruling == "confirmed" else self.scored_tier
