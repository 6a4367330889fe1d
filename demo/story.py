"""What every part of the demo's story needs: its people, the client's own process, waiting, and reading answers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from typing import Any

import requests

from demo.cast import Client
from demo.steps import StepFailed, hold, progress, progress_over
from scripts.stack import ROOT, Stack

MODEL = "credit.german-risk"
CARD = {
    "intended_use": "Support a credit officer in retail lending decisions up to 20,000. Never the only basis of a refusal.",
    "training_data": "Statlog German Credit (Hofmann 1994), 700 of 1,000 cases; protected attributes were left out.",
    "limitations": "Cases from one bank in the early 1990s; amounts in Deutsche Mark; no income, no bureau data.",
    "ethical_considerations": "Parity by sex and age group is measured on held-out cases before each promotion.",
    "monitoring_plan": "Selection rates by group and ROC AUC are measured monthly; a ratio below 0.8 calls for review.",
}
_PATIENCE = 240.0


class Story:
    """One running instance and the people at it. Methods raise StepFailed at the first promise that does not hold."""

    def __init__(self, stack: Stack, people: dict[str, Client]) -> None:
        self.stack, self.people = stack, people
        self.dana, self.ravi, self.rosa = people["dana"], people["ravi"], people["rosa"]
        self.aude, self.pat = people["aude"], people["pat"]
        self._client: subprocess.Popen[str] | None = None

    def close(self) -> None:
        """End the client's process."""
        if self._client is not None:
            self._client.terminate()
            self._client.wait()

    def train(self, *options: str) -> dict[str, Any]:
        done = subprocess.run(
            [sys.executable, "-m", "demo.train", *options],
            cwd=ROOT, env=self.client_environment(), capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            raise StepFailed(f"training failed:\n{done.stdout}{done.stderr}")
        return dict(json.loads(done.stdout.strip().splitlines()[-1]))

    def client_says(self, expression: str) -> str:
        """Return what the unmodified client gives for an expression, or the error it raises."""
        if self._client is None:
            command = [sys.executable, "-W", "ignore", "-m", "demo.client"]
            self._client = subprocess.Popen(
                command, cwd=ROOT, env=self.client_environment(), text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
        stdin, stdout = self._client.stdin, self._client.stdout
        if stdin is None or stdout is None:
            raise StepFailed("the client has no pipes")
        stdin.write(json.dumps(expression) + "\n")
        stdin.flush()
        while line := stdout.readline():  # the client may print notes of its own
            if line.startswith('{"answer"'):
                return str(json.loads(line)["answer"])
        raise StepFailed(f"the client ended while it evaluated {expression}")

    def client_environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "MLFLOW_TRACKING_URI": self.stack.url,
            "MLFLOW_TRACKING_TOKEN": self.dana.token,
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "GIT_PYTHON_REFRESH": "quiet",
        }

    def ask(self, version: int, reason: str) -> int:
        body = {"model": MODEL, "version": version, "target_kind": "stage", "target": "Production", "reason": reason}
        request = result_of(self.dana.post("promotion-requests/", body, headers={"Idempotency-Key": f"demo-{version}"}), 201)
        again = result_of(self.dana.post("promotion-requests/", body, headers={"Idempotency-Key": f"demo-{version}"}), 201)
        hold(request["id"] == again["id"], f"{request['reference']} is open; asking again with the same key changes nothing")
        return int(request["id"])

    def checked(self, request: int) -> dict[str, Any]:
        shown: set[str] = set()

        def finished() -> bool:
            for link in result_of(self.dana.get(f"promotion-requests/{request}/checks/")):
                check = link
                line = f"{check['check']}: {check['state']} {check['progress']:.0%} {check['progress_text']}".strip()
                if link["role"] == "candidate" and line not in shown:
                    shown.add(line)
                    progress(line)
            return bool(result_of(self.dana.get(f"promotion-requests/{request}/"))["state"] != "checking")

        self.until(finished, "the checks to finish")
        progress_over()
        return dict(result_of(self.dana.get(f"promotion-requests/{request}/requirements/")))

    def until(self, done: Any, what: str) -> None:
        deadline = time.monotonic() + _PATIENCE
        while not done():
            self.stack.require_alive()
            if time.monotonic() > deadline:
                raise StepFailed(f"waited {_PATIENCE:.0f} s for {what}")
            time.sleep(0.3)


def result_of(answer: requests.Response, status: int = 200) -> Any:
    if answer.status_code != status:
        raise StepFailed(
            f"{answer.request.method} {answer.url} answered {answer.status_code}, not {status}: {answer.text[:1000]}"
        )
    return answer.json()


def holders(placements: list[dict[str, Any]], stage: str) -> list[int]:
    return [row["version"] for row in placements if row["stage"] == stage]


def numbers(requirement: dict[str, Any]) -> str:
    value, limit = requirement.get("value"), requirement.get("limit")
    if value is None:
        return ""
    shown = f"{value:.3f}" if isinstance(value, float) else str(value)
    return f"{shown} (limit {requirement['limit_is'].replace('_', ' ')} {limit})" if limit is not None else shown
