"""Whose check run is next: fair between those who ask, within what a model and a team may have at once."""

from __future__ import annotations

import io
import threading
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db import connection, transaction

import workflows.tasks  # noqa: F401  # where handlers and elections are made known
from core import jobs
from core.models import Job, JobState, User
from governance.commands.checks import ResolvedCheck, queue_check
from governance.models import CheckRun
from governance.partitions import RUN_CHECK
from registry import commands as registry_commands
from registry.models import ModelVersion, RegisteredModel
from tests.cast import actor, person
from tracking.commands.files import put_run_artifact
from tracking.commands.runs import create_run

pytestmark = pytest.mark.django_db(transaction=True)
LIGHT = "checks-light"


@pytest.fixture(autouse=True)
def _without_a_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.jobs.current_app.send_task", lambda *_, **__: None)


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Whose runs were taken up, and of which model, in order; each ends at once."""
    order: list[tuple[str, str]] = []

    def note(*, run_id: str, **_: Any) -> None:
        run = CheckRun.objects.select_related("version__model").get(pk=run_id)
        order.append((run.requested_by, run.version.model.name))

    monkeypatch.setitem(jobs._handlers, RUN_CHECK, note)
    return order


def queue(by: User, model: str, count: int, size: int = 0) -> list[CheckRun]:
    """Queue so many scans of one version, each with other parameters."""
    version = ModelVersion.objects.filter(model__name=model).first() or _registered(by, model)
    ModelVersion.objects.filter(pk=version.pk).update(size_bytes=size)
    version.refresh_from_db()
    runs = []
    for _ in range(count):
        check = ResolvedCheck("artifact-scan", "1", {"most_files": CheckRun.objects.count() + 1}, None)
        with transaction.atomic():
            runs.append(queue_check(actor=actor(by), version=version, check=check))
    return runs


def _registered(by: User, model: str) -> ModelVersion:
    who = actor(by)
    registry_commands.create_model(actor=who, name=model)
    run = create_run(actor=who, experiment_id=0).run_id
    content = f"name: {model}\n".encode()
    put_run_artifact(actor=who, run_id=run, path="model/MLmodel", stream=io.BytesIO(content), expected_bytes=len(content))
    return registry_commands.register_version(actor=who, model_name=model, source=f"runs:/{run}/model", run_id=run)


def take(run: CheckRun) -> None:
    """Have a worker at a run."""
    Job.objects.filter(pk=run.job_id).update(state=JobState.RUNNING)


def test_who_has_less_at_work_comes_first_and_the_oldest_of_equals(dana: User, done: list[tuple[str, str]]) -> None:
    rita = person("rita", "data-scientist")
    many = queue(dana, "a", 3)
    queue(rita, "b", 2)
    take(many[0])
    for _ in range(4):
        jobs.run_next(RUN_CHECK, LIGHT)
    assert done == [("rita", "b"), ("rita", "b"), ("dana", "a"), ("dana", "a")]
    jobs.run_next(RUN_CHECK, LIGHT)  # one message too many finds nothing
    assert len(done) == 4


def test_a_model_at_its_limit_is_passed_over_and_holds_up_no_other(
    dana: User, done: list[tuple[str, str]], settings: Any
) -> None:
    settings.CHECKS_PER_MODEL = 2
    first = queue(dana, "a", 4)
    queue(dana, "b", 1)
    take(first[0]), take(first[1])
    jobs.run_next(RUN_CHECK, LIGHT)
    jobs.run_next(RUN_CHECK, LIGHT)
    assert done == [("dana", "b")]
    Job.objects.filter(pk=first[0].job_id).update(state=JobState.DONE)
    jobs.run_next(RUN_CHECK, LIGHT)
    assert done[1:] == [("dana", "a")]


def test_a_team_at_its_limit_is_passed_over(dana: User, done: list[tuple[str, str]], settings: Any) -> None:
    settings.CHECKS_PER_TEAM = 1
    (busy,) = queue(dana, "a", 1)
    queue(dana, "b", 1), queue(dana, "free", 1)
    RegisteredModel.objects.filter(name__in=["a", "b"]).update(owner_team=Group.objects.create(name="lending"))
    take(busy)
    jobs.run_next(RUN_CHECK, LIGHT)
    jobs.run_next(RUN_CHECK, LIGHT)
    assert done == [("dana", "free")]


def test_the_limit_holds_however_many_workers_ask_at_once(dana: User, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.CHECKS_PER_MODEL = 2
    queue(dana, "a", 6)
    at_work, most, counting, leave = 0, 0, threading.Lock(), threading.Event()

    def stay(**_: Any) -> None:
        nonlocal at_work, most
        with counting:
            at_work += 1
            most = max(most, at_work)
        assert leave.wait(20)

    monkeypatch.setitem(jobs._handlers, RUN_CHECK, stay)
    asked = threading.Barrier(6)

    def worker() -> None:
        try:
            asked.wait()
            jobs.run_next(RUN_CHECK, LIGHT)
        finally:
            connection.close()

    workers = [threading.Thread(target=worker) for _ in range(6)]
    for each in workers:
        each.start()
    idle = [each for each in workers if not _still(each)]
    leave.set()
    for each in workers:
        each.join(20)
    assert (most, len(idle)) == (2, 4)
    assert Job.objects.filter(state=JobState.DONE).count() == 2 and Job.objects.filter(state=JobState.QUEUED).count() == 4


def _still(worker: threading.Thread) -> bool:
    worker.join(3)
    return worker.is_alive()


def test_what_reads_files_alone_is_light_unless_they_are_large(dana: User, settings: Any) -> None:
    (small,), (large,) = queue(dana, "a", 1, size=1000), queue(dana, "b", 1, size=settings.CHECK_LIGHT_BYTES + 1)
    assert (small.resource_class, large.resource_class) == ("light", "cpu")
    assert [Job.objects.get(pk=each.job_id).queue for each in (small, large)] == [LIGHT, "checks-cpu"]


def test_one_that_asks_the_model_needs_a_processor_and_one_that_says_so_a_graphics_processor(
    dana: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = queue(dana, "a", 1)[0].version

    def needs(name: str) -> str:
        with transaction.atomic():
            return queue_check(actor=actor(dana), version=version, check=ResolvedCheck(name, "1", {}, None)).resource_class

    assert needs("performance") == "cpu"
    from governance.checks.performance import Performance

    monkeypatch.setattr(Performance, "resource_class", "gpu", raising=False)
    monkeypatch.setattr(Performance, "revision", "another")
    with transaction.atomic():
        run = queue_check(actor=actor(dana), version=version, check=ResolvedCheck("performance", "another", {}, None))
    assert (run.resource_class, Job.objects.get(pk=run.job_id).queue) == ("gpu", "checks-gpu")


def test_the_workers_are_told_of_the_rest_once_a_run_has_ended(
    dana: User, done: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    queue(dana, "a", 2)
    told: list[tuple[str, dict[str, str]]] = []
    monkeypatch.setattr("core.jobs.current_app.send_task", lambda name, kwargs, queue, **_: told.append((queue, kwargs)))
    jobs.run_next(RUN_CHECK, LIGHT)
    assert told == [(LIGHT, {"name": RUN_CHECK, "queue": LIGHT})]
    jobs.run_next(RUN_CHECK, LIGHT)
    assert len(told) == 1
