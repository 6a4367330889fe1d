"""Experiments and what their runs logged, as the MLflow client writes it. Times are Unix milliseconds, as on the wire."""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth.models import Group, Permission
from django.db import models
from django.utils import timezone
from guardian.models import GroupObjectPermissionBase, UserObjectPermissionBase


class Lifecycle(models.TextChoices):
    ACTIVE = "active"
    DELETED = "deleted"


class RunStatus(models.TextChoices):
    RUNNING = "RUNNING"
    SCHEDULED = "SCHEDULED"
    FINISHED = "FINISHED"
    FAILED = "FAILED"
    KILLED = "KILLED"


class Experiment(models.Model):
    """A named set of runs. Names stay taken while an experiment is deleted but can be restored."""

    name = models.CharField(max_length=500, unique=True)
    artifact_location = models.CharField(max_length=2048, blank=True)
    lifecycle_stage = models.CharField(max_length=8, choices=Lifecycle.choices, default=Lifecycle.ACTIVE)
    created_ms = models.BigIntegerField()
    updated_ms = models.BigIntegerField()
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+", db_index=False
    )

    class Meta:
        default_permissions = ()
        permissions = [
            ("experiment_read", "read an experiment and its runs"),
            ("experiment_write", "log runs to an experiment"),
            ("experiment_manage", "delete an experiment and grant rights on it"),
        ]
        indexes = [models.Index(fields=["-created_ms", "id"], name="experiment_newest")]


class ExperimentUserPermission(UserObjectPermissionBase):
    """A person's right on one experiment."""

    content_object = models.ForeignKey(Experiment, on_delete=models.CASCADE, db_index=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, db_index=False)
    permission = models.ForeignKey(Permission, on_delete=models.CASCADE, db_index=False)

    class Meta(UserObjectPermissionBase.Meta):
        # Asked with every request: of one object, this person, these rights.
        indexes = [models.Index(fields=["content_object", "user", "permission"], name="experiment_right_of_user")]


class ExperimentGroupPermission(GroupObjectPermissionBase):
    """A group's right on one experiment."""

    content_object = models.ForeignKey(Experiment, on_delete=models.CASCADE, db_index=False)
    group = models.ForeignKey(Group, on_delete=models.CASCADE, db_index=False)
    permission = models.ForeignKey(Permission, on_delete=models.CASCADE, db_index=False)

    class Meta(GroupObjectPermissionBase.Meta):
        indexes = [models.Index(fields=["content_object", "group", "permission"], name="experiment_right_of_group")]


class ExperimentTag(models.Model):
    experiment = models.ForeignKey(Experiment, on_delete=models.CASCADE, related_name="tags", db_index=False)
    key = models.CharField(max_length=250)
    value = models.TextField(blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["experiment", "key"], name="one_experiment_tag_per_key")]


class Run(models.Model):
    """One recorded execution."""

    id = models.CharField(max_length=32, primary_key=True)
    experiment = models.ForeignKey(Experiment, on_delete=models.PROTECT, related_name="runs", db_index=False)
    name = models.CharField(max_length=250)
    user_id_text = models.CharField(max_length=256, blank=True)  # as the client says; created_by is who it was
    status = models.CharField(max_length=9, choices=RunStatus.choices, default=RunStatus.RUNNING)
    start_ms = models.BigIntegerField(default=0)
    end_ms = models.BigIntegerField(null=True)
    deleted_ms = models.BigIntegerField(null=True)
    lifecycle_stage = models.CharField(max_length=8, choices=Lifecycle.choices, default=Lifecycle.ACTIVE)
    artifact_uri = models.CharField(max_length=2200)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+", db_index=False
    )

    class Meta:
        indexes = [models.Index(fields=["experiment", "-start_ms", "id"], name="run_newest")]


# What is logged to a run is written by the hundred. Its key is the run's and its own, so that one index does for both, and the
# reference to the run is not looked up again for every row: runs are never removed, and who logs holds the run's row.


class RunTag(models.Model):
    pk = models.CompositePrimaryKey("run_id", "key")
    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="tags", db_index=False, db_constraint=False)
    key = models.CharField(max_length=250)
    value = models.TextField(blank=True)


class Param(models.Model):
    """A parameter of a run; never changed once logged."""

    pk = models.CompositePrimaryKey("run_id", "key")
    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="params", db_index=False, db_constraint=False)
    key = models.CharField(max_length=250)
    value = models.TextField(blank=True)


class MetricPoint(models.Model):
    """One point of a metric's history. A NaN is stored as 0 with its flag; infinities are clamped, as MLflow's SQL store does."""

    pk = models.CompositePrimaryKey("run_id", "key", "timestamp_ms", "step", "value", "is_nan", "model_id")
    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="metric_points", db_index=False, db_constraint=False)
    key = models.CharField(max_length=250)
    timestamp_ms = models.BigIntegerField()
    step = models.BigIntegerField(default=0)
    value = models.FloatField()
    is_nan = models.BooleanField(default=False)
    model_id = models.CharField(max_length=40, blank=True, default="")
    dataset_name = models.CharField(max_length=500, blank=True, default="")
    dataset_digest = models.CharField(max_length=36, blank=True, default="")

    class Meta:
        indexes = [models.Index(fields=["model_id"], condition=~models.Q(model_id=""), name="metric_point_model")]


class LatestMetric(models.Model):
    """The point of a metric with the greatest (step, timestamp, value): kept by one upsert so that reads never scan history."""

    pk = models.CompositePrimaryKey("run_id", "key")
    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="latest_metrics", db_index=False, db_constraint=False)
    key = models.CharField(max_length=250)
    timestamp_ms = models.BigIntegerField()
    step = models.BigIntegerField(default=0)
    value = models.FloatField()
    is_nan = models.BooleanField(default=False)
    model_id = models.CharField(max_length=40, blank=True, default="")
    dataset_name = models.CharField(max_length=500, blank=True, default="")
    dataset_digest = models.CharField(max_length=36, blank=True, default="")

    class Meta:
        indexes = [models.Index(fields=["key", "value", "run"], name="latest_metric_value")]


class InputDataset(models.Model):
    """A data set as a client described it; one row per (experiment, name, digest)."""

    experiment = models.ForeignKey(Experiment, on_delete=models.CASCADE, related_name="input_datasets", db_index=False)
    name = models.CharField(max_length=500)
    digest = models.CharField(max_length=36)
    source_type = models.CharField(max_length=36, blank=True)
    source = models.TextField(blank=True)
    schema = models.TextField(null=True, blank=True)
    profile = models.TextField(null=True, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["experiment", "name", "digest"], name="one_input_dataset")]


class RunInput(models.Model):
    """A data set that a run used. ``tags`` is a list of {key, value}; the first writing wins."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="dataset_inputs", db_index=False)
    dataset = models.ForeignKey(InputDataset, on_delete=models.CASCADE, related_name="run_inputs")
    tags = models.JSONField(default=list)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["run", "dataset"], name="one_run_input")]


class LoggedModelStatus(models.TextChoices):
    PENDING = "LOGGED_MODEL_PENDING"
    READY = "LOGGED_MODEL_READY"
    UPLOAD_FAILED = "LOGGED_MODEL_UPLOAD_FAILED"


class LoggedModel(models.Model):
    """A model that a run produced (MLflow 3), not yet registered under any name."""

    id = models.CharField(max_length=40, primary_key=True)  # m- and 32 hex
    experiment = models.ForeignKey(Experiment, on_delete=models.PROTECT, related_name="logged_models", db_index=False)
    name = models.CharField(max_length=500)
    model_type = models.CharField(max_length=500, blank=True, default="")
    status = models.CharField(max_length=30, choices=LoggedModelStatus.choices, default=LoggedModelStatus.PENDING)
    artifact_uri = models.CharField(max_length=2200)
    source_run_id = models.CharField(max_length=32, blank=True, default="")
    created_ms = models.BigIntegerField()
    updated_ms = models.BigIntegerField()
    deleted_ms = models.BigIntegerField(null=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+", db_index=False
    )

    class Meta:
        indexes = [models.Index(fields=["experiment", "-created_ms", "id"], name="logged_model_newest")]


class LoggedModelTag(models.Model):
    model = models.ForeignKey(LoggedModel, on_delete=models.CASCADE, related_name="tags", db_index=False)
    key = models.CharField(max_length=250)
    value = models.TextField(blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["model", "key"], name="one_logged_model_tag_per_key")]


class LoggedModelParam(models.Model):
    model = models.ForeignKey(LoggedModel, on_delete=models.CASCADE, related_name="params", db_index=False)
    key = models.CharField(max_length=250)
    value = models.TextField(blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["model", "key"], name="one_logged_model_param_per_key")]


class RunModelLink(models.Model):
    """A logged model that a run took as input or gave as output."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="model_links", db_index=False)
    model_id = models.CharField(max_length=40)
    direction = models.CharField(max_length=6, choices=[("input", "input"), ("output", "output")])
    step = models.BigIntegerField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["run", "model_id", "direction"], name="one_run_model_link")]
        indexes = [models.Index(fields=["model_id"], name="run_model_link_model")]


class TraceState(models.TextChoices):
    UNSPECIFIED = "STATE_UNSPECIFIED"
    OK = "OK"
    ERROR = "ERROR"
    IN_PROGRESS = "IN_PROGRESS"


class Trace(models.Model):
    """What one call of a traced application did, in short; its spans are a file among the experiment's artifacts."""

    id = models.CharField(max_length=50, primary_key=True)  # chosen by the client: tr- and 32 hex
    experiment = models.ForeignKey(Experiment, on_delete=models.PROTECT, related_name="traces", db_index=False)
    request_ms = models.BigIntegerField()
    execution_ms = models.BigIntegerField(null=True)
    state = models.CharField(max_length=17, choices=TraceState.choices, default=TraceState.UNSPECIFIED)
    client_request_id = models.CharField(max_length=250, blank=True, default="")
    request_preview = models.TextField(blank=True, default="")
    response_preview = models.TextField(blank=True, default="")
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+", db_index=False
    )

    class Meta:
        indexes = [models.Index(fields=["experiment", "-request_ms", "id"], name="trace_newest")]


class TraceTag(models.Model):
    trace = models.ForeignKey(Trace, on_delete=models.CASCADE, related_name="tags", db_index=False)
    key = models.CharField(max_length=250)
    value = models.TextField(blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["trace", "key"], name="one_trace_tag_per_key")]


class TraceMetadata(models.Model):
    """What the client noted of a trace when it was made; unlike tags it is not changed by hand later."""

    trace = models.ForeignKey(Trace, on_delete=models.CASCADE, related_name="metadata", db_index=False)
    key = models.CharField(max_length=250)
    value = models.TextField(blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["trace", "key"], name="one_trace_metadata_per_key")]


class TraceRun(models.Model):
    """A trace that a run looked at, beside those it made itself."""

    trace = models.ForeignKey(Trace, on_delete=models.CASCADE, related_name="run_links", db_index=False)
    run_id = models.CharField(max_length=32)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["trace", "run_id"], name="one_trace_run")]
        indexes = [models.Index(fields=["run_id"], name="trace_run_run")]


class TraceAssessment(models.Model):
    """Somebody's feedback on a trace, or what they expected of it. ``body`` is the client's own description, kept as it came."""

    id = models.CharField(max_length=50, primary_key=True)  # a- and 32 hex
    trace = models.ForeignKey(Trace, on_delete=models.CASCADE, related_name="assessments", db_index=False)
    body = models.JSONField()
    is_valid = models.BooleanField(default=True)  # until another one overrides it
    created_ms = models.BigIntegerField()
    updated_ms = models.BigIntegerField()
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+", db_index=False
    )

    class Meta:
        indexes = [models.Index(fields=["trace", "created_ms", "id"], name="trace_assessment_order")]


class ImportOrigin(models.Model):
    """Another server that things were brought over from, by the name it is remembered under: its address unless given another."""

    name = models.CharField(max_length=500, unique=True)
    created_at = models.DateTimeField(default=timezone.now)


class ImportedKind(models.TextChoices):
    EXPERIMENT = "experiment"
    RUN = "run"
    LOGGED_MODEL = "logged_model"
    MODEL = "model"
    VERSION = "version"
    STAGE = "stage"  # where a version stood: its mark is the stage's name
    ALIAS = "alias"  # its mark is the number of the version


class Imported(models.Model):
    """What one import brought, so that the next goes on where it stood and doubles nothing.

    ``mark`` is the digest of what the source said last; empty while not all of it is here. ``files_mark`` is that of the list of
    its artifacts. ``location`` is where these lie at the source.
    """

    origin = models.ForeignKey(ImportOrigin, on_delete=models.PROTECT, related_name="imported", db_index=False)
    kind = models.CharField(max_length=12, choices=ImportedKind.choices)
    source_id = models.CharField(max_length=600)
    local_id = models.CharField(max_length=600)
    location = models.CharField(max_length=2200, blank=True, default="")
    mark = models.CharField(max_length=64, blank=True, default="")
    files_mark = models.CharField(max_length=64, blank=True, default="")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["origin", "kind", "source_id"], name="one_import_of_each")]
        indexes = [models.Index(fields=["kind", "local_id"], name="imported_as")]
