"""The client's command line, by its own entry point; only what it starts itself is a process of its own."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import mlflow
from mlflow import MlflowClient
from mlflow.cli import cli
from story import PREFIX, check, step

client = MlflowClient()


def run(*words: str) -> str:
    """Run a command of the client and return what it printed."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        cli.main(list(words), prog_name="mlflow", standalone_mode=False)
    return said.getvalue()


@step()
def experiments_from_the_command_line() -> None:
    name = f"{PREFIX}.command line"
    run("experiments", "create", "--experiment-name", name)
    experiment = client.get_experiment_by_name(name).experiment_id
    check(name in run("experiments", "search"))
    run("experiments", "rename", "--experiment-id", experiment, "--new-name", f"{name} twice")
    run("experiments", "delete", "--experiment-id", experiment)
    check(f"{name} twice" in run("experiments", "search", "--view", "deleted_only"))
    run("experiments", "restore", "--experiment-id", experiment)
    check(client.get_experiment(experiment).lifecycle_stage == "active")


@step()
def runs_from_the_command_line() -> None:
    experiment = mlflow.set_experiment(f"{PREFIX}.command line runs").experiment_id
    made = client.create_run(experiment, run_name="from here").info.run_id
    check(made in run("runs", "list", "--experiment-id", experiment))
    check(json.loads(run("runs", "describe", "--run-id", made))["info"]["run_id"] == made)
    run("runs", "delete", "--run-id", made)
    check(made not in run("runs", "list", "--experiment-id", experiment))
    run("runs", "restore", "--run-id", made)
    check(client.get_run(made).info.lifecycle_stage == "active")


@step()
def artifacts_from_the_command_line() -> None:
    made = client.create_run(mlflow.set_experiment(f"{PREFIX}.command line runs").experiment_id).info.run_id
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "given"
        folder.mkdir()
        (folder / "a.txt").write_text("a")
        run("artifacts", "log-artifact", "--local-file", str(folder / "a.txt"), "--run-id", made)
        run("artifacts", "log-artifacts", "--local-dir", str(folder), "--run-id", made, "--artifact-path", "deep")
        listed = json.loads(run("artifacts", "list", "--run-id", made))
        check([(f["path"], f["is_dir"]) for f in listed] == [("a.txt", False), ("deep", True)], listed)
        run("artifacts", "download", "--run-id", made, "--artifact-path", "deep", "--dst-path", place + "/back")
        check((Path(place) / "back" / "deep" / "a.txt").read_text() == "a")


@step("mlflow-3", "mlflow-2")
def a_registered_model_predicts_from_the_command_line() -> None:
    from models import NAME, logged, rows

    model, _, _ = logged()
    frame = rows()[0].head(5)
    with tempfile.TemporaryDirectory() as place:
        given, out = Path(place) / "in.csv", Path(place) / "out.json"
        frame.to_csv(given, index=False)
        run(
            "models", "predict", "--model-uri", f"models:/{NAME}/1", "--content-type", "csv", "--env-manager", "local",
            "--input-path", str(given), "--output-path", str(out),
        )  # fmt: skip
        check(json.loads(out.read_text())["predictions"] == model.predict(frame).tolist(), out.read_text())


@step("mlflow-3")
def a_registered_model_is_served_and_answers() -> None:
    from models import NAME, logged, rows

    model, _, _ = logged()
    frame = rows()[0].head(5)
    port = os.environ["JOURNEY_PORT"]
    program = Path(sys.executable).parent / "mlflow"
    command = [program, "models", "serve", "--model-uri", f"models:/{NAME}/1", "--env-manager", "local", "--port", port]
    log = Path("serve.log")
    with log.open("wb") as out:
        server = subprocess.Popen(
            command, stdout=out, stderr=out, env={**os.environ, "PATH": f"{program.parent}:{os.environ['PATH']}"},
            start_new_session=True,
        )  # fmt: skip
    try:
        deadline = time.monotonic() + 120
        while True:
            check(server.poll() is None and time.monotonic() < deadline, log.read_text())
            with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/ping", timeout=2):
                break
            time.sleep(0.1)
        body = json.dumps({"dataframe_split": frame.to_dict(orient="split")}).encode()
        asked = urllib.request.Request(f"http://127.0.0.1:{port}/invocations", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(asked, timeout=20) as answer:
            check(json.load(answer)["predictions"] == model.predict(frame).tolist())
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, 15)
        server.wait(20)
