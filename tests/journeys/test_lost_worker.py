"""A worker that is killed in the middle of a check: the check is taken up again and ends exactly once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from scripts.stack import Stack, commands, free_port
from tests import databases

# The embedded engines, whatever the suite runs on: there the message of a killed worker is lost for good.
pytestmark = [
    pytest.mark.journey,
    pytest.mark.timeout(400),
    pytest.mark.skipif(bool(os.environ.get("DATABASE_URL")), reason="the same as in the run on SQLite"),
]

SLOW_MODEL = """
import time, mlflow
class Slow(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        time.sleep(12)
        return [0, 1] * (len(model_input) // 2)
mlflow.models.set_model(Slow())
"""
REGISTER = """
import sys, mlflow, pandas as pd
mlflow.set_experiment("slow")
with mlflow.start_run():
    mlflow.pyfunc.log_model(
        name="model", python_model=sys.argv[1], registered_model_name="slow", pip_requirements=[],
        signature=mlflow.models.infer_signature(pd.DataFrame({"x": [1.0]}), [0]),
    )
"""
POLICY = """
kind: Policy
name: slow
checks: [{check: performance, dataset: rows}]
requirements: [{id: measured, title: Measured, how_to_satisfy: Wait., satisfied_if: 'measurements["accuracy"].value == 1.0'}]
"""
BINDING = "{kind: Binding, name: slow, policy: slow, match: {models: [slow]}, targets: {stages: [Production]}}"


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    embedded = {"DATABASE_URL": "", "CELERY_BROKER_URL": "", "DJANGO_SETTINGS_MODULE": "config.settings"}
    databases.fill(tmp_path / "home")
    with Stack(port=free_port(), home=tmp_path / "home", environment=embedded) as running:
        yield running


def until(condition: Callable[[], Any], seconds: float = 150) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.3)
    return found


def test_a_check_whose_worker_is_killed_ends_exactly_once(stack: Stack, tmp_path: Path) -> None:
    def session(name: str, role: str) -> requests.Session:
        made = requests.Session()
        made.headers["Authorization"] = f"Bearer {stack.manage('create_user', name, '--role', role, '--token').strip()}"
        return made

    api = f"{stack.url}/api/v1"
    dana, pat, aude = session("dana", "data-scientist"), session("pat", "platform-admin"), session("aude", "auditor")
    rows = "x,y\n" + "1.0,0\n2.0,1\n" * 20
    upload = pat.post(f"{api}/datasets/?name=rows&format=csv&target=y", data=rows, headers={"Content-Type": "text/csv"})
    assert upload.status_code == 201, upload.text
    for path, document in (("policies", POLICY), ("bindings", BINDING)):
        answer = pat.post(f"{api}/{path}/", json={"document": document})
        assert answer.status_code == 201, answer.text
    code = tmp_path / "slow.py"
    code.write_text(SLOW_MODEL)
    token = str(dana.headers["Authorization"]).removeprefix("Bearer ")
    environment = {
        **os.environ,
        "MLFLOW_TRACKING_URI": stack.url,
        "MLFLOW_TRACKING_TOKEN": token,
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    subprocess.run([sys.executable, "-W", "ignore", "-c", REGISTER, str(code)], env=environment, check=True, cwd=tmp_path)
    asked = dana.post(
        f"{api}/promotion-requests/", json={"model": "slow", "version": 1, "target": "Production", "reason": "Test."}
    )
    assert asked.status_code == 201, asked.text
    request = f"{api}/promotion-requests/{asked.json()['id']}/"

    def check() -> Any:
        return dana.get(f"{request}checks/").json()[0]

    until(lambda: check()["state"] == "running" and check()["progress"] > 0)
    first = check()["started_at"]
    os.killpg(stack.processes["checks"].pid, signal.SIGKILL)
    stack.processes.pop("checks").wait()
    assert check()["state"] == "running"
    stack.start_one("checks", commands()["checks"])

    until(lambda: dana.get(request).json()["state"] != "checking")
    ended = check()
    assert (ended["state"], ended["error_message"]) == ("passed", "")
    assert ended["started_at"] > first
    finished = aude.get(f"{api}/audit/events/", params={"action": "check.finished"}).json()["results"]
    assert [event["subject_id"] for event in finished] == [ended["id"]]
    measured = dana.get(f"{api}/measurements/", params={"model": "slow", "metric": "accuracy"}).json()["results"]
    assert [row["value"] for row in measured if row["slice"] == ""] == [1.0]
