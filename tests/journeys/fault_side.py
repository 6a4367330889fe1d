"""The instance's side of test_faults.py, in processes of their own: people who ask, and one who looks on and counts in the end."""

from __future__ import annotations

import io
import json
import sys
import time
from collections import Counter
from itertools import groupby
from pathlib import Path
from typing import Any

import django

django.setup()

from django.db.models import Count  # noqa: E402

from core.canonical import digest  # noqa: E402
from core.models import AuditEvent, Job, JobState, User  # noqa: E402
from governance import ledger  # noqa: E402
from governance.commands.policies import bind_policy, publish_policy  # noqa: E402
from governance.models import MEASURED, UNFINISHED, CheckRun, EvidenceTable, Finding, Measurement  # noqa: E402
from governance.partitions import RUN_CHECK  # noqa: E402
from registry import commands as registry_commands  # noqa: E402
from registry.datasets import register_dataset  # noqa: E402
from tests.cast import actor, person  # noqa: E402
from tracking.commands.files import put_run_artifact  # noqa: E402
from tracking.commands.runs import create_run  # noqa: E402
from workflows.commands.requests import request_promotion  # noqa: E402
from workflows.models import PromotionRequest  # noqa: E402

_CHECKS = {
    "light": "[{check: artifact-scan}, {check: signature-schema}, {check: dependencies}]",
    "whole": "[{check: artifact-scan}, {check: signature-schema}, {check: performance, dataset: validation}]",
}
_POLICY = """\
kind: Policy
name: {name}
checks: {checks}
requirements: [{{id: one, title: One, how_to_satisfy: Wait., satisfied_if: 'true'}}]
steps: [{{name: review, title: Review, factors: [{{group: reviewer, count: 1}}]}}]
"""
_BINDING = "{{kind: Binding, name: {name}, policy: {name}, match: {{models: ['{name}.*']}}, targets: {{stages: [Production]}}}}\n"


def prepare(rows: str, *people: str) -> None:
    """Make accounts, a data set, and two policies of three checks each: one that reads files, and one that measures, too."""
    pat = actor(person("pat", "platform-admin"))
    for name in people:
        person(name, "data-scientist")
    with Path(rows).open("rb") as stream:
        register_dataset(actor=pat, name="validation", stream=stream, format="csv", target="y", closed=True)
    for name, checks in _CHECKS.items():
        publish_policy(actor=pat, document=_POLICY.format(name=name, checks=checks))
        bind_policy(actor=pat, document=_BINDING.format(name=name))


def ask(name: str, folder: str, *models: str) -> None:
    """As one submitter, register a version of each model and ask for Production."""
    who = actor(User.objects.get(username=name))
    for model in models:
        run = create_run(actor=who, experiment_id=0).run_id
        files = {str(path.relative_to(folder)): path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()}
        for path, content in {**files, "about.txt": model.encode()}.items():  # so that no content is another's
            put_run_artifact(actor=who, run_id=run, path=f"model/{path}", stream=io.BytesIO(content), expected_bytes=len(content))
        registry_commands.create_model(actor=who, name=model)
        registry_commands.register_version(actor=who, model_name=model, source=f"runs:/{run}/model", run_id=run)
        request_promotion(actor=who, model_name=model, version=1, target="Production", reason="Test.")


def watch(expected: str) -> None:
    """Write a line of JSON twice a second until so many runs ended and nothing is left to do; the last says what became of everything."""
    while True:
        states = Counter(CheckRun.objects.values_list("state", flat=True))
        unfinished = sum(states[state] for state in UNFINISHED)
        asked = PromotionRequest.objects.filter(state="checking").count()
        jobs = Counter(Job.objects.filter(state__in=[JobState.QUEUED, JobState.RUNNING]).values_list("name", flat=True))
        settled = sum(states.values()) == int(expected) and not (unfinished or asked or jobs)
        seen = {"unfinished": unfinished, "states": states, "checking": asked, "open jobs": jobs}
        print(json.dumps({**seen, "told": _told()} if settled else seen), flush=True)
        if settled:
            return
        time.sleep(0.5)


def _told() -> dict[str, Any]:
    while ledger.sequence(whole=True):
        pass
    verified = ledger.verify()
    events = {
        action: sorted(AuditEvent.objects.filter(action=action).values_list("subject_id", flat=True))
        for action in ("check.queued", "check.finished", "promotion.ready_for_review")
    }
    runs = list(CheckRun.objects.order_by("check_name").select_related("job"))
    measured = [run for run in runs if run.state in MEASURED]
    return {
        "ledger": {"intact": verified.intact, "pending": verified.pending, "size": verified.size},
        "runs": {str(run.pk): run.state for run in runs},
        "errors": Counter(run.error_code for run in runs if run.error_code),
        "requests": {str(key): state for key, state in PromotionRequest.objects.values_list("pk", "state")},
        "events": events,
        "jobs": {
            "|".join(row[:2]): row[2] for row in Job.objects.order_by("name").values_list("name", "state").annotate(n=Count("pk"))
        },
        "attempts": Counter(Job.objects.filter(name=RUN_CHECK).values_list("attempts", flat=True)),
        "evidence of no measured run": Measurement.objects.exclude(run__in=measured).count(),
        "evidence that does not fit its digest": [str(run.pk) for run in measured if digest(_evidence(run)) != run.result_digest],
        "results by check": {
            name: len({digest({"": _evidence(run)["measurements"]}) for run in of_one})
            for name, of_one in groupby(measured, key=lambda run: run.check_name)
        },
    }


def _evidence(run: CheckRun) -> dict[str, list[dict[str, Any]]]:
    return {
        "measurements": _rows(Measurement, run, "metric", "value", "slice", "n", "ci_low", "ci_high", "method"),
        "findings": _rows(Finding, run, "rule", "severity", "location", "message"),
        "tables": _rows(EvidenceTable, run, "name", "title", "columns", "rows"),
    }


def _rows(model: Any, run: CheckRun, *fields: str) -> list[dict[str, Any]]:
    return list(model.objects.filter(run=run).order_by("pk").values(*fields))


if __name__ == "__main__":
    {"prepare": prepare, "ask": ask, "watch": watch}[sys.argv[1]](*sys.argv[2:])
