"""Queue short check runs on the instance that the environment names, or look how far they are: `queue NUMBER MARK` or `look MARK`."""

from __future__ import annotations

import io
import json
import sys

import django

django.setup()

from django.db import transaction  # noqa: E402  # settings come first

from core.access import Actor  # noqa: E402
from core.commands import ensure_user  # noqa: E402
from governance.commands.checks import ResolvedCheck, queue_check  # noqa: E402
from governance.models import MEASURED, UNFINISHED, CheckRun  # noqa: E402
from interfaces.credentials import actor_of_user  # noqa: E402
from registry import commands  # noqa: E402
from registry.models import ModelVersion  # noqa: E402
from tracking.commands.files import put_run_artifact  # noqa: E402
from tracking.commands.runs import create_run  # noqa: E402

_OPERATOR = Actor(user_id=None, username="operator", roles=frozenset({"platform-admin"}), credential="command-line")
_CHECK = "artifact-scan"


def queue(number: int, mark: str) -> None:
    """Queue so many runs of one check. Each claims a revision of its own, as equal inputs would be measured once."""
    version = ModelVersion.objects.first() or _version()
    for place in range(number):
        with transaction.atomic():
            queue_check(actor=_OPERATOR, version=version, check=ResolvedCheck(_CHECK, f"{mark}-{place}", {}, None))


def look(mark: str) -> dict[str, object]:
    """Return how many of these runs wait, how many failed, why, and when the others were finished."""
    runs = CheckRun.objects.filter(check_revision__startswith=f"{mark}-")
    failed = runs.exclude(state__in=[*UNFINISHED, *MEASURED])
    first = failed.first()
    return {
        "waiting": runs.filter(state__in=UNFINISHED).count(),
        "failed": failed.count(),
        "why": first.error_message if first else "",
        "finished": [each.isoformat() for each in runs.filter(state__in=MEASURED).values_list("finished_at", flat=True) if each],
    }


def _version() -> ModelVersion:
    who = actor_of_user(ensure_user(actor=_OPERATOR, username="dana", roles=("data-scientist",)), "benchmark")
    run = create_run(actor=who, experiment_id=0).run_id
    content = b"flavors: {}\n"
    put_run_artifact(actor=who, run_id=run, path="model/MLmodel", stream=io.BytesIO(content), expected_bytes=len(content))
    commands.create_model(actor=who, name="tiny")
    return commands.register_version(actor=who, model_name="tiny", source=f"runs:/{run}/model", run_id=run)


if __name__ == "__main__":
    task, *rest = sys.argv[1:]
    if task == "queue":
        queue(int(rest[0]), rest[1])
        print("{}")
    else:
        print(json.dumps(look(rest[0])))
