"""A large set is asked about in partitions by several workers, and measured as in one piece."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from django.conf import settings as configured
from django.db import connection, transaction
from django.utils import timezone
from sklearn.linear_model import LogisticRegression

import workflows.tasks  # noqa: F401  # where handlers and elections are made known
from artifacts.models import Blob
from artifacts.store import store
from core import jobs
from core.models import AuditEvent, Job, JobState, User
from governance import partitions
from governance.checks.model import ROWS_AT_ONCE
from governance.commands.checks import cancel_check, queue_check, resolve_checks
from governance.models import CheckPartition, CheckRun, EvidenceTable, Measurement
from governance.partitions import RUN_CHECK
from governance.policy import compile_policy
from registry.datasets import register_dataset
from registry.models import ModelVersion
from scripts.stack import ROOT
from tests.cast import actor
from tests.workflows.test_checking import register, saved_pyfunc
from workflows import checking
from workflows.runner import sandbox
from workflows.runner.sandbox import Isolation, Outcome, Progress, Status

pytestmark = pytest.mark.django_db(transaction=True)
COUNT = 2 * ROWS_AT_ONCE + 20
FAILS_LATER = "if model_input['x'].iloc[0] != 0: raise RuntimeError('broken on purpose')"


@pytest.fixture(autouse=True)
def _in_partitions(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.CHECK_PARTITION_ROWS = 1  # rounded up to a batch
    monkeypatch.setattr("core.jobs.current_app.send_task", lambda *_, **__: None)


@pytest.fixture(scope="module")
def rows() -> bytes:
    """A data set of two batches and a rest, as Parquet. x of its first row is 0."""
    random = np.random.default_rng(3)
    x, z = random.normal(size=COUNT), random.normal(size=COUNT)
    x[0] = 0.0
    frame = pd.DataFrame({"x": x, "z": z, "y": (x + random.normal(size=COUNT) > 0).astype(int)})
    return frame.to_parquet(index=False)


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory, rows: bytes) -> Path:
    folder = tmp_path_factory.mktemp("learned") / "model"
    frame = pd.read_parquet(io.BytesIO(rows)).head(500)
    model = LogisticRegression().fit(frame[["x", "z"]], frame["y"])
    signature = mlflow.models.infer_signature(frame[["x", "z"]], model.predict(frame[["x", "z"]]))
    mlflow.sklearn.save_model(model, folder, signature=signature, pip_requirements=["mlflow", "scikit-learn"])
    return folder


def queued(
    dana: User, pat: User, version: ModelVersion, rows: bytes, check: str = "performance", champion: Any = None
) -> CheckRun:
    register_dataset(actor=actor(pat), name="rows", stream=io.BytesIO(rows), format="parquet", target="y", closed=True)
    with_ = ", with: {sensitive: [{column: z, edges: [0]}]}" if check == "fairness" else ""
    policy = compile_policy(
        f"kind: Policy\nname: p\nchecks: [{{check: {check}, dataset: rows{with_}}}]\n"
        "requirements: [{id: a, title: A, how_to_satisfy: a, satisfied_if: 'true'}]\n"
    )
    (resolved,) = resolve_checks(policy, {})
    with transaction.atomic():
        return queue_check(actor=actor(dana), version=version, check=resolved, champion=champion)


def next_job() -> bool:
    """Let a worker take up what is next; return whether there was anything."""
    before = Job.objects.filter(state=JobState.QUEUED).count()
    jobs.run_next(RUN_CHECK, configured.CHECK_QUEUES["cpu"])
    return Job.objects.filter(state=JobState.QUEUED).count() != before


def nothing_is_left(blobs: set[str]) -> None:
    assert not CheckPartition.objects.exists()
    next_job()  # the run's own finds that it has ended
    assert not Job.objects.filter(name=RUN_CHECK, state__in=[JobState.QUEUED, JobState.RUNNING]).exists()
    assert set(Blob.objects.values_list("digest", flat=True)) == blobs
    kept = {path.name for path in (Path(configured.ARTIFACT_ROOT) / "sha256").rglob("*") if path.is_file()}
    assert kept >= blobs


@contextmanager
def worker() -> Iterator[subprocess.Popen[str]]:
    """A process that takes up check runs; its sandboxes end with it."""
    started = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "tests.workflows.partition_side", str(connection.settings_dict["NAME"])],
        cwd=ROOT,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "config.settings_test", "CHECK_PARTITION_ROWS": str(ROWS_AT_ONCE)},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield started
    finally:
        started.kill()
        started.wait()
        assert started.stdout is not None
        started.stdout.close()


def begun(by: subprocess.Popen[str]) -> str:
    assert by.stdout is not None
    return by.stdout.readline().strip()


def until(holds: Callable[[], bool], seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, list(CheckRun.objects.values("state", "progress_text", "error_message"))
        time.sleep(0.1)


def measured(run: CheckRun) -> tuple[list[Any], list[Any]]:
    fields = ("metric", "slice", "value", "n", "ci_low", "ci_high", "method")
    numbers = list(Measurement.objects.filter(run=run).order_by("pk").values_list(*fields))
    return numbers, list(EvidenceTable.objects.filter(run=run).order_by("pk").values_list("name", "columns", "rows"))


def test_two_workers_of_which_one_is_killed_measure_what_is_measured_in_one_piece(
    dana: User, pat: User, settings: Any, rows: bytes, learned: Path
) -> None:
    version = register(dana, learned)
    settings.CHECK_PARTITION_ROWS = 0
    whole = queued(dana, pat, version, rows)
    assert next_job()
    whole.refresh_from_db()
    assert (whole.state, whole.error_message) == ("passed", "") and "partitions" not in whole.environment
    CheckRun.objects.filter(pk=whole.pk).update(state="error")  # so that the same inputs are measured again
    blobs = set(Blob.objects.values_list("digest", flat=True))

    settings.CHECK_PARTITION_ROWS = ROWS_AT_ONCE
    run = queued(dana, pat, version, rows)
    with worker() as first:
        assert begun(first) == "run"
        lost = int(begun(first))
        with worker() as second:
            until(lambda: CheckPartition.objects.exclude(worker="").count() == 2)
            os.killpg(first.pid, signal.SIGKILL)
            first.wait()
            assert CheckPartition.objects.get(pk=lost).answers_id is None
            at_it = Job.objects.filter(pk=CheckPartition.objects.get(pk=lost).job_id, state=JobState.RUNNING)
            assert at_it.update(lease_until=timezone.now() - timedelta(seconds=1)) == 1
            jobs.sweep()
            until(lambda: not Job.objects.filter(state__in=[JobState.QUEUED, JobState.RUNNING], name=RUN_CHECK).exists())
            assert begun(second) != "run"
    run.refresh_from_db()
    assert (run.state, run.error_message) == ("passed", "")
    assert run.environment["partitions"] == "3, of 50,000 rows or what was left"
    assert measured(run) == measured(whole) and run.result_digest == whole.result_digest
    assert run.environment.items() >= whole.environment.items()
    assert sorted(Job.objects.filter(name=RUN_CHECK, arguments__run_id=str(run.pk)).values_list("attempts", flat=True)) == [
        *(1, 1, 1, 2),
    ]
    assert AuditEvent.objects.filter(action="check.finished", subject_id=str(run.pk)).count() == 1
    nothing_is_left(blobs)


def test_a_model_that_fails_in_the_second_partition_ends_the_run_and_leaves_nothing(
    dana: User, pat: User, rows: bytes, tmp_path: Path
) -> None:
    run = queued(dana, pat, register(dana, saved_pyfunc(tmp_path, FAILS_LATER)), rows, "fairness")
    blobs = set(Blob.objects.values_list("digest", flat=True))
    assert next_job()
    run.refresh_from_db()
    assert (run.state, run.progress_text) == ("running", "0 of 3 partitions scored")
    assert next_job()
    (answered,) = Blob.objects.exclude(digest__in=blobs).values_list("digest", flat=True)
    assert store().holds(answered)
    assert next_job()
    run.refresh_from_db()
    assert (run.state, run.error_code) == ("error", "model_predict_failed") and "broken on purpose" in run.error_message
    assert not store().holds(answered) and not Measurement.objects.exists()
    nothing_is_left(blobs)


@pytest.fixture
def answering(monkeypatch: pytest.MonkeyPatch) -> list[Callable[[], object]]:
    """What happens while a partition is scored: the sandbox is left out, and there is an answer unless the run is stopped."""
    happens: list[Callable[[], object]] = []

    def run(spec: dict[str, Any], *, noted: Path, heartbeat: Callable[[Progress], bool], **_: Any) -> Outcome:
        if happens:
            happens.pop(0)()
        goes_on = heartbeat(Progress(0.5, "Scoring"))
        noted.write_bytes(str(spec["part"]).encode())
        return Outcome(Status.COMPLETED if goes_on else Status.CANCELLED, Isolation.PROCESS, 1.0)

    monkeypatch.setattr(sandbox, "run", run)
    return happens


def test_cancelling_ends_all_partitions(
    dana: User, pat: User, rows: bytes, learned: Path, answering: list[Callable[[], object]]
) -> None:
    run = queued(dana, pat, register(dana, learned), rows)
    blobs = set(Blob.objects.values_list("digest", flat=True))
    assert next_job() and next_job()
    run.refresh_from_db()
    assert run.progress == pytest.approx(partitions.SCORED / 3 / 2)  # the one that was answered has not been reported on since
    (answered,) = Blob.objects.exclude(digest__in=blobs).values_list("digest", flat=True)
    answering.append(lambda: cancel_check(actor=actor(dana), run_id=str(run.pk)))
    jobs.run_next(RUN_CHECK, configured.CHECK_QUEUES["cpu"])
    run.refresh_from_db()
    assert (run.state, run.error_code) == ("cancelled", "cancelled")
    states = Job.objects.filter(name=RUN_CHECK).order_by("pk").values_list("state", flat=True)
    assert list(states) == ["cancelled", "done", "cancelled", "cancelled"]
    assert not store().holds(answered)
    nothing_is_left(blobs)


def test_a_run_waits_for_its_partitions_and_these_count_as_runs_of_the_model(
    dana: User, pat: User, rows: bytes, learned: Path, settings: Any, answering: list[Callable[[], object]]
) -> None:
    settings.CHECKS_PER_MODEL = 2
    run = queued(dana, pat, register(dana, learned), rows)
    assert next_job()
    first, second, third = CheckPartition.objects.order_by("start")
    assert [(each.start, each.stop) for each in (first, second, third)] == [(0, 50_000), (50_000, 100_000), (100_000, COUNT)]
    Job.objects.filter(pk__in=[first.job_id, second.job_id]).update(state=JobState.RUNNING)
    assert not next_job(), "the model has as many at work as it may"
    Job.objects.filter(pk__in=[first.job_id, second.job_id]).update(state=JobState.QUEUED)
    assert [next_job() for _ in range(2)] == [True, True]
    Job.objects.filter(pk=third.job_id).update(state=JobState.RUNNING)
    assert not next_job(), "a partition is open"
    with pytest.raises(jobs.Later):
        checking.run_check(run_id=str(run.pk), worker="w", lease=jobs.Lease())
    assert Job.objects.get(pk=run.job_id).attempts == 0


def test_a_run_whose_partition_is_lost_for_good_is_settled(
    dana: User, pat: User, rows: bytes, learned: Path, answering: list[Callable[[], object]]
) -> None:
    run = queued(dana, pat, register(dana, learned), rows)
    blobs = set(Blob.objects.values_list("digest", flat=True))
    assert next_job() and next_job() and checking.settle_orphans() == 0
    Job.objects.filter(pk=CheckPartition.objects.filter(answers=None).earliest("start").job_id).update(state=JobState.FAILED)
    assert checking.settle_orphans() == 1
    run.refresh_from_db()
    assert (run.state, run.error_code) == ("error", "worker_lost")
    nothing_is_left(blobs)


def test_answers_that_are_not_the_ones_that_were_stored_end_the_run_by_name(
    dana: User, pat: User, rows: bytes, learned: Path, answering: list[Callable[[], object]], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = queued(dana, pat, register(dana, learned), rows)
    assert [next_job() for _ in range(4)] == [True] * 4
    monkeypatch.undo()
    monkeypatch.setattr("core.jobs.current_app.send_task", lambda *_, **__: None)
    assert next_job()
    run.refresh_from_db()
    assert (run.state, run.error_code) == ("error", "invalid_answers") and "answers-to-rows-1-to-50000" in run.error_message
