"""MLflow's own client, unmodified and in a process of its own, against a running server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cast import bearer, person

TRACING = """
import json, mlflow
from mlflow.entities import Feedback

mlflow.set_experiment("traced")

@mlflow.trace
def inner(x):
    return x + 1

@mlflow.trace(name="outer")
def outer(x):
    return inner(x) * 2

with mlflow.start_run() as run:
    outer(3)
trace_id = mlflow.get_last_active_trace_id()
trace = mlflow.get_trace(trace_id)
search = lambda **query: [t.info.trace_id == trace_id for t in mlflow.search_traces(return_type="list", **query)]
found = [search(), search(filter_string="status = 'OK' AND name = 'outer'"), search(run_id=run.info.run_id), search(filter_string="status = 'ERROR'")]
mlflow.set_trace_tag(trace_id, "k", "v")
given = mlflow.log_feedback(trace_id=trace_id, name="good", value=True)
mlflow.log_expectation(trace_id=trace_id, name="answer", value={"x": [1, 2]})
mlflow.update_assessment(trace_id, given.assessment_id, Feedback(name="good", value=False))
mlflow.override_feedback(trace_id=trace_id, assessment_id=given.assessment_id, value=True)
info = mlflow.get_trace(trace_id).info
client = mlflow.MlflowClient()
deleted = client.delete_traces(info.experiment_id, trace_ids=[trace_id])
print(json.dumps({
    "state": trace.info.state, "spans": [span.name for span in trace.data.spans], "outputs": trace.data.spans[0].outputs, "found": found,
    "tag": info.tags["k"], "assessments": sorted((a.name, str(a.feedback.value if a.feedback else a.expectation.value), a.valid is not False) for a in info.assessments),
    "deleted": deleted, "left": len(mlflow.search_traces(return_type="list")),
}))
"""

PROMPTS = """
import json, mlflow

first = mlflow.genai.register_prompt("greeting", "Hi {{name}}", commit_message="one", tags={"t": "1"})
second = mlflow.genai.register_prompt("greeting", [{"role": "user", "content": "Hi {{name}}"}])
mlflow.genai.set_prompt_alias("greeting", "prod", 1)
client = mlflow.MlflowClient()
print(json.dumps({
    "by_alias": mlflow.genai.load_prompt("prompts:/greeting@prod").format(name="you"),
    "by_version": mlflow.genai.load_prompt("greeting", version=2).template,
    "newest": mlflow.genai.load_prompt("prompts:/greeting@latest").version,
    "prompts": [p.name for p in mlflow.genai.search_prompts()],
    "models": [m.name for m in client.search_registered_models()],
    "versions": [v.version for v in client.search_prompt_versions("greeting")],
    "missing": mlflow.genai.load_prompt("nobody", version=1, allow_missing=True),
}))
"""

PARTS = """
import json, os, sys, mlflow

mlflow.set_experiment("parts")
data = os.urandom(11 * 2**20)
with open("large.bin", "wb") as file:
    file.write(data)
with mlflow.start_run() as run:
    mlflow.log_artifact("large.bin", "sub")
path = mlflow.artifacts.download_artifacts(f"runs:/{run.info.run_id}/sub/large.bin", dst_path="down")
with open(path, "rb") as file:
    print(json.dumps({"same": file.read() == data}))
"""


@pytest.fixture
def play(transactional_db: None, live_server: Any, settings: Any, tmp_path: Path) -> Any:
    settings.ARTIFACT_ROOT = str(tmp_path / "root")
    token = bearer(person("dana", "data-scientist"))["HTTP_AUTHORIZATION"].removeprefix("Bearer ")
    (tmp_path / "work").mkdir()

    def run(script: str, **environment: str) -> tuple[Any, str]:
        """Return what the script printed last, as JSON, and all that the client complained of."""
        said = {
            "MLFLOW_TRACKING_URI": live_server.url,
            "MLFLOW_TRACKING_TOKEN": token,
            "MLFLOW_ENABLE_ASYNC_TRACE_LOGGING": "false",
            "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "GIT_PYTHON_REFRESH": "quiet",
            "NO_PROXY": "localhost,127.0.0.1",
        }
        done = subprocess.run(
            [sys.executable, "-c", script],
            cwd=tmp_path / "work",
            env={**os.environ, **said, **environment},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        complaints = "\n".join(line for line in done.stderr.splitlines() if " WARNING " in line or " ERROR " in line)
        return json.loads(done.stdout.splitlines()[-1]), complaints

    return run


def test_a_traced_application_is_traced_in_silence_and_reads_back_what_it_logged(play) -> None:
    assert play(TRACING) == (
        {
            "state": "OK",
            "spans": ["outer", "inner"],
            "outputs": 8,
            "found": [[True], [True], [True], []],
            "tag": "v",
            "assessments": [["answer", "{'x': [1, 2]}", True], ["good", "False", False], ["good", "True", True]],
            "deleted": 1,
            "left": 0,
        },
        "",
    )


def test_prompts_have_versions_and_aliases_and_are_no_models(play) -> None:
    assert play(PROMPTS) == (
        {
            "by_alias": "Hi you",
            "by_version": [{"role": "user", "content": "Hi {{name}}"}],
            "newest": 2,
            "prompts": ["greeting"],
            "models": [],
            "versions": [2, 1],
            "missing": None,
        },
        "",
    )


def test_a_large_file_goes_in_parts_both_ways_when_the_client_is_told_to(play) -> None:
    five = str(5 * 2**20)
    told = {
        "MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD": "true",
        "MLFLOW_MULTIPART_UPLOAD_MINIMUM_FILE_SIZE": five,
        "MLFLOW_MULTIPART_UPLOAD_CHUNK_SIZE": five,
        "MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD": "true",
        "MLFLOW_MULTIPART_DOWNLOAD_MINIMUM_FILE_SIZE": five,
    }
    assert play(PARTS, **told) == ({"same": True}, "")
