"""Workers, sandboxes and the broker are killed in the middle of many check runs: each ends once, none is lost, none is doubled.

FAULT_RUNS=200 does the whole; FAULT_SEED chooses other moments. With DATABASE_URL and a Redis in CELERY_BROKER_URL, on PostgreSQL and on
a Redis of its own.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow
import pytest
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression

from scripts.stack import ROOT, Stack, commands, free_port
from tests.journeys.faults import Faults, Processes, Redis, seen, until
from tests.live import own_database

RUNS = int(os.environ.get("FAULT_RUNS") or 12)
SEED = int(os.environ.get("FAULT_SEED") or 20260331)
SERVERS = os.environ.get("CELERY_BROKER_URL", "").startswith("redis")
SUBMITTERS = ("dana", "rita", "omar")
FINAL = {"passed", "failed", "error", "timed_out", "cancelled", "skipped"}
# Nobody here can tell who killed it; a predicting process that is gone may also be told of by the one that measures.
OF_A_KILLED_SANDBOX = {
    "out_of_memory",
    "killed_by_signal",
    "no_result",
    "sandbox_failed",
    "model_load_failed",
    "model_predict_failed",
}

pytestmark = [
    pytest.mark.journey,
    pytest.mark.timeout(300 + 20 * RUNS),
    pytest.mark.skipif(SERVERS and shutil.which("redis-server") is None, reason="there is no redis-server to kill"),
]


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Redis | None]:
    if not SERVERS:
        yield None
        return
    (tmp_path / "redis").mkdir()
    server = Redis(tmp_path / "redis")
    yield server
    server.kill()


@pytest.fixture
def stack(tmp_path: Path, broker: Redis | None) -> Iterator[Stack]:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with own_database() as url:
        environment = {
            "DATABASE_URL": url,
            "CELERY_BROKER_URL": broker.url if broker else "",
            "JOB_LEASE_SECONDS": "5",
            "MODEL_ENVIRONMENTS": "own",
            "TMPDIR": str(scratch),
        }
        made = Stack(port=free_port(), home=tmp_path / "home", environment=environment)
        made.logs.mkdir(parents=True)
        migrated = made.run(commands()["migrate"])
        assert migrated.returncode == 0, migrated.stderr
        yield made
        made.stop()


def side(stack: Stack, *arguments: str) -> list[str]:
    return [sys.executable, "-W", "ignore", "-m", "tests.journeys.fault_side", *arguments]


def saved(folder: Path) -> tuple[Path, Path]:
    """Train a small model on real data (Wolberg et al. 1995) and return its files and the rows to measure it on."""
    data = load_breast_cancer(as_frame=True).frame[["mean radius", "mean texture", "target"]].rename(columns={"target": "y"})
    features = data[["mean radius", "mean texture"]]
    model = LogisticRegression().fit(features[::2], data["y"][::2])
    signature = mlflow.models.infer_signature(features, model.predict(features))
    mlflow.sklearn.save_model(model, folder / "model", signature=signature, pip_requirements=["mlflow", "scikit-learn"])
    data[1::2].to_csv(folder / "rows.csv", index=False)
    return folder / "model", folder / "rows.csv"


def test_every_run_ends_once_whatever_is_killed(stack: Stack, broker: Redis | None, tmp_path: Path) -> None:
    began = time.monotonic()
    model, rows = saved(tmp_path)
    prepared = subprocess.run(
        side(stack, "prepare", str(rows), *SUBMITTERS), cwd=ROOT, env=stack.environment, capture_output=True, text=True
    )
    assert prepared.returncode == 0, prepared.stderr
    watched = tmp_path / "watched.jsonl"
    faults = Faults(stack, broker, watched, SEED)
    models = [f"{'whole' if number % 4 == 3 else 'light'}.{number}" for number in range(-(-RUNS // 3))]
    runs = 3 * len(models)
    faults.start()
    with watched.open("wb") as lines, (tmp_path / "side.log").open("wb") as log:
        looking_on = subprocess.Popen(side(stack, "watch", str(runs)), cwd=ROOT, env=stack.environment, stdout=lines, stderr=log)
        asking = [
            subprocess.Popen(
                side(stack, "ask", name, str(model), *models[place :: len(SUBMITTERS)]),
                cwd=ROOT,
                env=stack.environment,
                stderr=log,
            )
            for place, name in enumerate(SUBMITTERS)
        ]
        try:
            until(lambda: seen(watched).get("runs"), "the first run")
            for kind in faults.plan(RUNS // 4):
                faults.happen(kind)
            assert [process.wait(120) for process in asking] == [0] * len(asking), (tmp_path / "side.log").read_text()
            until(lambda: seen(watched).get("settled"), f"the end of {seen(watched)}", 120 + 10 * RUNS)
        finally:
            for process in (looking_on, *asking):
                process.kill()
                process.wait()
    stack.require_alive()
    everything = Processes().below(os.getpid())
    stack.manage("sequence_ledger")
    verified = stack.manage("verify_ledger")
    told = counted(stack)
    stack.stop()
    print(json.dumps({"seconds": time.monotonic() - began, "faults": faults.done, **summary(told)}))

    assert Counter(told["runs"].values()).keys() <= FINAL and len(told["runs"]) == runs
    assert told["events"]["check.queued"] == told["events"]["check.finished"] == sorted(told["runs"])
    assert told["events"]["promotion.ready_for_review"] == sorted(told["requests"])
    assert set(told["requests"].values()) == {"in_review"} and len(told["requests"]) == len(models)
    assert {key.partition("|")[2] for key in told["jobs"]} <= {"done", "failed"}, told["jobs"]
    assert told["evidence of no measured run"] == 0
    assert told["evidence that does not fit its digest"] == []
    assert set(told["results by check"].values()) == {1}, "the same check on the same model gave two results"
    of_sandboxes = sum(n for code, n in told["errors"].items() if code in OF_A_KILLED_SANDBOX)
    assert of_sandboxes <= faults.done["sandbox"]
    assert told["errors"].keys() <= OF_A_KILLED_SANDBOX | {"worker_lost"}
    assert "is intact" in verified and "newer events" not in verified, verified
    assert faults.done.keys() >= {"machine", "sandbox", "broker"} and faults.sandboxes_gone > 0, faults.done
    assert not Processes().alive(everything)


def counted(stack: Stack) -> dict[str, Any]:
    done = subprocess.run(side(stack, "count"), cwd=ROOT, env=stack.environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def summary(told: dict[str, Any]) -> dict[str, Any]:
    kept = ("errors", "attempts", "jobs", "results by check")
    return {"runs": Counter(told["runs"].values()), **{name: told[name] for name in kept}}
