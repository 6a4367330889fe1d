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
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import mlflow
import pytest
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression

from scripts.stack import ROOT, Stack, commands, free_port
from tests.journeys.faults import Faults, Processes, Redis, age, until
from tests.live import own_database
from workflows.runner import scratch

RUNS = int(os.environ.get("FAULT_RUNS") or 9)
SEED = int(os.environ.get("FAULT_SEED") or 20260331)
SERVERS = os.environ.get("CELERY_BROKER_URL", "").startswith("redis")
EACH_KIND = 7  # so many faults come without a pause
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
    """An instance whose workers are found to be lost soon, with a folder of its own for what checks leave behind."""
    (tmp_path / "scratch").mkdir()
    with own_database() as url:
        environment = {
            "DATABASE_URL": url,
            "CELERY_BROKER_URL": broker.url if broker else "",
            "JOB_LEASE_SECONDS": "5",
            "MODEL_ENVIRONMENTS": "own",
            "TMPDIR": str(tmp_path / "scratch"),
        }
        made = Stack(port=free_port(), home=tmp_path / "home", environment=environment)
        made.logs.mkdir(parents=True)
        yield made
        made.stop()


def saved(folder: Path) -> tuple[Path, Path]:
    """Train a small model on real data (Street et al. 1993) and return its files and the rows to measure it on."""
    data = load_breast_cancer(as_frame=True).frame[["mean radius", "mean texture", "target"]].rename(columns={"target": "y"})
    features = data[["mean radius", "mean texture"]]
    model = LogisticRegression().fit(features[::2], data["y"][::2])
    signature = mlflow.models.infer_signature(features, model.predict(features))
    mlflow.sklearn.save_model(model, folder / "model", signature=signature, pip_requirements=["mlflow", "scikit-learn"])
    data[1::2].to_csv(folder / "rows.csv", index=False)
    return folder / "model", folder / "rows.csv"


class Side:
    """Starts what the instance's side does, each in a process of its own."""

    def __init__(self, stack: Stack, folder: Path) -> None:
        self._stack, self.log, self.watched = stack, folder / "side.log", folder / "watched.jsonl"
        self.watched.touch()
        self._started: list[subprocess.Popen[bytes]] = []

    def begin(self, *arguments: str) -> subprocess.Popen[bytes]:
        with self.watched.open("ab") as lines, self.log.open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-W", "ignore", "-m", "tests.journeys.fault_side", *arguments],
                cwd=ROOT,
                env=self._stack.environment,
                stdout=lines,
                stderr=log,
            )
        self._started.append(process)
        return process

    def seen(self) -> dict[str, Any]:
        """Return the last whole line that the one who looks on has written."""
        lines = self.watched.read_text().rpartition("\n")[0].splitlines()
        return dict(json.loads(lines[-1])) if lines else {}

    def end(self) -> None:
        for process in self._started:
            process.kill()
            process.wait()


@pytest.fixture
def side(stack: Stack, tmp_path: Path) -> Iterator[Side]:
    made = Side(stack, tmp_path)
    yield made
    made.end()


def test_every_run_ends_once_whatever_is_killed(
    stack: Stack, broker: Redis | None, side: Side, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    began = time.monotonic()
    faults = Faults(stack, broker, lambda: bool(side.seen().get("unfinished", True)), SEED)
    with ThreadPoolExecutor(1) as aside:
        migrating = aside.submit(stack.run, commands()["migrate"])
        model, rows = saved(tmp_path)
    assert migrating.result().returncode == 0, migrating.result().stderr
    faults.start()
    assert side.begin("prepare", str(rows), *SUBMITTERS).wait() == 0, side.log.read_text()
    models = [f"{'whole' if number % 4 == 1 else 'light'}.{number}" for number in range(-(-RUNS // 3))]
    asking = [side.begin("ask", name, str(model), *models[place :: len(SUBMITTERS)]) for place, name in enumerate(SUBMITTERS)]
    side.begin("watch", str(3 * len(models)))
    until(lambda: side.seen().get("states"), lambda: "the first run")
    plan = faults.plan(RUNS // 4)
    for number, kind in enumerate(plan):
        share = max(0.0, (number - EACH_KIND) / len(plan))  # what more there is goes on until the end
        until(lambda least=share: ended(side) >= least * 3 * len(models), lambda: f"more of {side.seen()}", 300)
        faults.happen(kind)
        stack.require_alive()
    assert [process.wait(120) for process in asking] == [0] * len(asking), side.log.read_text()
    told = until(lambda: side.seen().get("told"), lambda: f"the end of {side.seen()}", 120 + 10 * RUNS)
    stack.require_alive()
    everything = faults.processes()
    stack.stop()
    until(lambda: not Processes().alive(everything), lambda: f"the end of {Processes().alive(everything)}", 15)
    age(tmp_path / "scratch")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "scratch"))
    left = scratch.remove_abandoned()
    print(
        json.dumps(
            {
                "seconds": round(time.monotonic() - began),
                "faults": faults.done,
                "folders removed in the end": left,
                **summary(told),
            }
        )
    )

    assert len(told["runs"]) == 3 * len(models) and set(told["runs"].values()) <= FINAL
    assert told["events"]["check.queued"] == told["events"]["check.finished"] == sorted(told["runs"])
    assert told["events"]["promotion.ready_for_review"] == sorted(told["requests"])
    assert list(told["requests"].values()) == ["in_review"] * len(models)
    assert told["ledger"]["intact"] and told["ledger"]["pending"] == 0
    assert told["evidence of no measured run"] == 0
    assert told["evidence that does not fit its digest"] == []
    assert set(told["results by check"].values()) == {1}, "the same check on the same model gave two results"
    assert told["errors"].keys() <= OF_A_KILLED_SANDBOX | {"worker_lost"}
    assert sum(n for code, n in told["errors"].items() if code in OF_A_KILLED_SANDBOX) <= faults.done["sandbox"]
    assert faults.done.keys() >= ({"machine", "sandbox", "broker"} if RUNS < 100 else set(plan)), faults.done
    assert faults.sandboxes_gone > 0
    assert list((tmp_path / "scratch").glob("countersign-*")) == []


def ended(side: Side) -> int:
    states = side.seen()["states"]
    return sum(states.get(state, 0) for state in FINAL)


def summary(told: dict[str, Any]) -> dict[str, Any]:
    kept = ("errors", "attempts", "jobs", "results by check", "ledger")
    return {"runs": Counter(told["runs"].values()), **{name: told[name] for name in kept}}
