"""Unmodified clients of MLflow, each in an environment of its own, against a live server: what they do is in client_side/.

Every client is one process that tells its whole story, step by step; all of them share a server.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from scripts.stack import Stack, free_port
from tests.journeys.interpreters import interpreter, interpreter_with_torch
from tests.live import serving, tokens

pytestmark = [pytest.mark.journey, pytest.mark.timeout(400)]

CLIENT_SIDE = Path(__file__).parent / "client_side"
EVERY_CLIENT = ("logging_runs", "files", "releasing", "governance", "hiding", "command_line")
CHAPTERS = {
    "mlflow-3": (*EVERY_CLIENT, "models", "autologging"),
    "mlflow-2": (*EVERY_CLIENT, "models", "autologging"),
    "skinny-3": EVERY_CLIENT,
}
POLICY = """
kind: Policy
name: credit
requirements: [{id: kept, title: Its content is kept, how_to_satisfy: Keep it., satisfied_if: version.digest != ""}]
steps: [{name: review, title: Two others agree, factors: [{group: reviewer, count: 2}]}]
"""
BINDING = """
kind: Binding
name: credit
policy: credit
match: {models: ['governed.*', 'holder.*']}
targets: {stages: [Production], aliases: [champion]}
"""


@dataclass(frozen=True)
class Server:
    """A live instance and a token of each of its people."""

    stack: Stack
    tokens: dict[str, str]

    def environment(self, client: str, home: Path) -> dict[str, str]:
        """Return all that a client's process is told."""
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "PYTHONPATH": str(CLIENT_SIDE),
            "PYTHONWARNINGS": "ignore",
            "NO_PROXY": "127.0.0.1,localhost",
            "GIT_PYTHON_REFRESH": "quiet",
            "OMP_NUM_THREADS": "1",  # three clients share the machine
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",  # a server that fails should not be asked for minutes
            "MLFLOW_TRACKING_URI": self.stack.url,
            "MLFLOW_TRACKING_TOKEN": self.tokens[f"dana.{client}"],
            "TOKEN_DANA": self.tokens[f"dana.{client}"],
            "TOKEN_NOOR": self.tokens[f"noor.{client}"],
            "TOKEN_MALLORY": self.tokens["mallory"],
            "TOKEN_NOBODY": "cs_nobody_has_this_token",
            "JOURNEY_CLIENT": client,
            "JOURNEY_HOLDER": f"holder.{client}",
            "JOURNEY_PORT": str(free_port()),
        }


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    people = {"pat": "platform-admin", "mallory": ""}
    people |= {f"{name}.{client}": "data-scientist" for client in (*CHAPTERS, "torch-3") for name in ("dana", "noor")}
    with serving(tmp_path_factory.mktemp("server")) as stack:
        running = Server(stack, tokens(stack, people))
        for client in CHAPTERS:
            _hold_places(running, client)
        for kind, document in (("policies", POLICY), ("bindings", BINDING)):
            _send(running, "pat", "POST", f"/api/v1/{kind}/", document=document)
        yield running


def _send(server: Server, person: str, method: str, path: str, **body: Any) -> Any:
    headers = {"Authorization": f"Bearer {server.tokens[person]}"}
    answer = requests.request(method, server.stack.url + path, json=body, headers=headers, timeout=30)
    assert answer.status_code in (200, 201), answer.text
    return answer.json()


def _hold_places(server: Server, client: str) -> None:
    """Put a version where a policy will guard, while it is still free."""
    person, name, head = f"dana.{client}", f"holder.{client}", "/api/2.0/mlflow"
    _send(server, person, "POST", f"{head}/registered-models/create", name=name)
    for _ in range(2):
        _send(server, person, "POST", f"{head}/model-versions/create", name=name, source="s3://bucket/model")
    _send(server, person, "POST", f"{head}/model-versions/transition-stage", name=name, version="1", stage="Production")
    _send(server, person, "POST", f"{head}/registered-models/alias", name=name, alias="champion", version="1")


def begin(server: Server, client: str, python: str, home: Path, chapters: tuple[str, ...]) -> subprocess.Popen[str]:
    """Let a client begin to tell its story."""
    with (home / "stderr").open("w") as errors:
        return subprocess.Popen(
            [python, str(CLIENT_SIDE / "story.py"), *chapters],
            cwd=home,
            env=server.environment(client, home),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )


def told(process: subprocess.Popen[str], home: Path) -> list[dict[str, Any]]:
    """Return the steps of a story, once it has been told to its end."""
    with process:
        out, _ = process.communicate(timeout=300)
    assert process.returncode == 0, (home / "stderr").read_text()[-5000:]
    return [json.loads(line) for line in out.splitlines()]


def require_held(steps: list[dict[str, Any]]) -> None:
    """Return if there are steps and every one of them held."""
    assert steps
    failed = [f"{step['step']}: {step['error']}" for step in steps if step["error"]]
    assert not failed, "\n\n".join(failed)


@pytest.fixture(scope="module")
def stories(server: Server) -> Iterator[dict[str, list[dict[str, Any]]]]:
    """Return what each client told. They tell it side by side, as clients do."""
    with tempfile.TemporaryDirectory() as place:
        homes = {client: Path(place) / client for client in CHAPTERS}
        processes = {}
        try:
            for client, chapters in CHAPTERS.items():
                homes[client].mkdir()
                processes[client] = begin(server, client, interpreter(client), homes[client], chapters)
            heard = {client: told(process, homes[client]) for client, process in processes.items()}
            (server.stack.home / "stories.json").write_text(json.dumps(heard, indent=1))
            yield heard
        finally:
            for process in processes.values():
                process.kill()
                process.wait()


@pytest.mark.parametrize(("client", "chapter"), [(client, chapter) for client, all_ in CHAPTERS.items() for chapter in all_])
def test_a_client_finds_everything_as_it_expects(stories: dict[str, Any], client: str, chapter: str) -> None:
    require_held([step for step in stories[client] if step["chapter"] == chapter])


def test_no_client_made_the_server_fail(server: Server, stories: dict[str, Any]) -> None:
    assert all(stories.values())
    log = (server.stack.logs / "web.log").read_text()
    assert "Traceback" not in log, log[-5000:]


@pytest.mark.torch
def test_pytorch_logs_by_itself_through_lightning(server: Server, tmp_path: Path) -> None:
    require_held(told(begin(server, "torch-3", interpreter_with_torch(), tmp_path, ("torch_autologging",)), tmp_path))
