"""Models of every flavour, trained and saved by a client of MLflow in its own environment, are measured here as they were there.

What is trained is in client_side/flavours.py. The models answer as they do under a check: in a box, in the environment that their pins ask
for, which is the worker's own or one that is built.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from demo.data_split import split
from governance.checks import execute
from governance.checks.model import Remote
from tests.journeys.interpreters import interpreter, interpreter_with_torch, require_an_index
from tests.workflows.runner.test_environments import UV, index
from workflows.runner import environments, layout, sandbox
from workflows.runner.child import Child
from workflows.runner.environments import Builder, Environment, EnvironmentFailed
from workflows.runner.layout import Pipes, Respondent
from workflows.runner.sandbox import Isolation, Limits, Status

pytestmark = [pytest.mark.timeout(400), pytest.mark.skipif(not UV.exists(), reason="uv was not set up")]

SCRIPT = Path(__file__).parent / "client_side" / "flavours.py"
ISOLATION = Isolation.BUBBLEWRAP if sandbox.detect().available else Isolation.PROCESS
OWN = (
    *(
        "sklearn_pickle",
        "sklearn_cloudpickle",
        "sklearn_by_default",
        "without_a_signature",
        "of_other_types",
        "of_a_trained_network",
    ),
    *("of_classes_in_words", "of_an_amount", "of_texts", "with_code_and_artifacts"),
)
BUILT = (
    *("xgboost_classifier", "xgboost_booster", "lightgbm_classifier", "lightgbm_booster"),
    *("onnx_with_a_table_of_probabilities", "onnx_with_a_map_of_probabilities", "onnx_of_named_columns"),
)
GRAVE = {"medium", "high", "critical"}
REVIEWS = {
    1: ["paid on time", "always pays", "good customer", "happy to lend again", "never late"],
    0: ["never paid", "always late", "bad customer", "lost money", "defaulted twice"],
}


@dataclass(frozen=True)
class Trained:
    """What a client told of a model: what it is for, and how it scored where it was trained, on rows that it had not seen."""

    folder: Path
    rows: Path
    task: str
    target: str
    expected: dict[str, float]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the rows lie: German Credit, with values missing in two categories, codes with a leading zero, and opinions in words."""
    folder = tmp_path_factory.mktemp("flavours")
    for name, part in zip(("training", "validation"), split(), strict=True):
        rows = part.assign(
            branch=(part["credit_amount"] % 7).map("{:02d}".format), insured=(part["telephone"] == "A192").astype(int)
        )
        rows.loc[::9, "savings"] = None
        rows.loc[::7, "purpose"] = None
        rows.to_csv(folder / f"{name}.csv", index=False)
    places = ("in spring", "in autumn", "with us", "elsewhere")
    said = [(f"{words} {place}", good) for place in places for good in REVIEWS for words in REVIEWS[good]]
    pd.DataFrame(said, columns=["text", "good"]).sample(frac=1, random_state=0).to_csv(folder / "reviews.csv", index=False)
    return folder


def train(folder: Path, client: str, python: str) -> dict[str, Trained]:
    """Have a client train and save all of its models, and return them by name."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "PYTHONWARNINGS": "ignore",
        "GIT_PYTHON_REFRESH": "quiet",
        "OMP_NUM_THREADS": "1",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_TRACKING_URI": f"file:{folder / 'runs'}",
    }
    command = [python, str(SCRIPT), str(folder), client]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr[-5000:]
    told = [json.loads(line) for line in done.stdout.splitlines()]
    return {
        each["model"]: Trained(
            folder / each["model"],
            folder / f"{each.get('rows', 'validation')}.csv",
            each["task"],
            each["target"],
            each["expected"],
        )
        for each in told
    }


@pytest.fixture(scope="module")
def trained(folder: Path) -> dict[str, Trained]:
    """The models of the clients that are locked, by name."""
    found: dict[str, Trained] = {}
    for client in ("mlflow-3", "onnx"):
        found |= train(folder, client, interpreter(client))
    return found


@pytest.fixture(scope="module")
def builder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Builder]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in index().items():
            patch.setenv(name, value)
        yield Builder(tmp_path_factory.mktemp("environments"), UV, timeout_seconds=300)


def provided(model: Trained, builder: Builder) -> Environment:
    """Return the environment that the model's pins ask for."""
    try:
        return environments.provide(environments.asked_by(model.folder), builder, lambda _: None)
    except EnvironmentFailed as failed:
        require_an_index(failed.message)
        raise


@contextmanager
def answering(model: Trained, environment: Environment, scratch: Path) -> Iterator[Remote]:
    """Let the model answer from a process of its own, in the box and with the limits that a check gives it."""
    limits, pipes = Limits(), Pipes()
    respondent = Respondent("model", model.folder, environment)
    job = layout.predicting(scratch, respondent, ISOLATION, limits, pipes, soon=True)
    child = Child(job, limits)
    source, target = os.dup(pipes.answers_out), os.dup(pipes.requests_in)
    pipes.close()
    try:
        with os.fdopen(source, "rb") as answers, os.fdopen(target, "wb") as requests:
            yield Remote(answers, requests)
    finally:
        child.stop(after=5.0)


def measured(model: Trained, check: str, remote: Remote, out: Path, **parameters: Any) -> dict[str, Any]:
    """Return what a check measures, which must come to its end."""
    dataset = {"path": str(model.rows), "target": model.target, "name": model.rows.name}
    spec = {"check": check, "parameters": parameters, "model_dir": str(model.folder), "dataset": dataset, "seed": 0}
    result = execute.execute(spec, out, {"model": remote})
    assert (result["status"], result["error"]) == ("completed", None), f"{check}: {result['error']}"
    return result


def whole(result: dict[str, Any]) -> dict[str, float]:
    """Return the measurements on all rows together."""
    return {each["metric"]: each["value"] for each in result["measurements"] if each["slice"] == ""}


def require_measured_as_it_was(model: Trained, environment: Environment, out: Path) -> None:
    """Return if every check that fits the model comes to its end, and performance to what the client computed."""
    with answering(model, environment, out) as remote:
        scan = measured(model, "artifact-scan", remote, out)
        grave = {each["rule"] for each in scan["findings"] if each["severity"] in GRAVE}
        worst = {each["severity"] for each in scan["findings"]} & {"high", "critical"}
        has_code = model.folder.name == "with_code_and_artifacts"
        assert (grave, worst) == ({"custom-code", "code"} if has_code else set(), set()), scan["findings"]

        signature = whole(measured(model, "signature-schema", remote, out))
        assert signature["signature.present"] == (model.folder.name != "without_a_signature")
        assert signature["input_example.scores"] in (1.0, None)

        scores = whole(measured(model, "performance", remote, out, task=model.task, resamples=100))
        assert {name: scores[name] for name in model.expected} == pytest.approx(model.expected, rel=0, abs=1e-9)

        if model.task != "multiclass":
            explained = measured(model, "explainability", remote, out, task=model.task, rows=100, repeats=2)
            assert any(abs(each["value"] or 0) > 0 for each in explained["measurements"] if each["metric"] == "attribution")
        if model.task == "binary" and model.rows.stem == "validation":
            fair = measured(model, "fairness", remote, out, sensitive=["sex"])
            rates = {each["slice"]: each["value"] for each in fair["measurements"] if each["metric"] == "selection_rate"}
            assert set(rates) == {"sex=female", "sex=male"}


@pytest.mark.parametrize("name", [*OWN, *BUILT])
def test_a_model_is_measured_as_it_was_where_it_was_trained(
    trained: dict[str, Trained], builder: Builder, tmp_path: Path, name: str
) -> None:
    environment = provided(trained[name], builder)
    assert (environment.folder is None) == (name in OWN)
    require_measured_as_it_was(trained[name], environment, tmp_path)


def test_no_model_was_left_out(trained: dict[str, Trained]) -> None:
    assert set(trained) == {*OWN, *BUILT}


@pytest.mark.parametrize("name", ["sklearn_by_default", "with_code_and_artifacts", "xgboost_classifier", "onnx_of_named_columns"])
def test_the_whole_runner_says_the_same(trained: dict[str, Trained], builder: Builder, name: str) -> None:
    model = trained[name]
    outcome = sandbox.run(
        {"check": "performance", "parameters": {"resamples": 100}, "dataset": {"target": model.target}, "seed": 0},
        model_dir=model.folder,
        dataset_path=model.rows,
        limits=Limits(),
        isolation=ISOLATION,
        heartbeat=lambda _: True,
        answering=provided(model, builder),
    )
    assert (outcome.status, outcome.error_message) == (Status.COMPLETED, "")
    scores = {each.metric: each.value for each in outcome.measurements if each.slice == ""}
    assert {name: scores[name] for name in model.expected} == pytest.approx(model.expected, rel=0, abs=1e-9)


@pytest.mark.torch
def test_networks_of_pytorch_are_measured_as_they_were_where_they_were_trained(folder: Path, tmp_path: Path) -> None:
    python = Path(interpreter_with_torch())
    answering_there = Environment(python, python.parents[1], "where it was trained")
    models = train(folder, "torch-3", str(python))
    assert set(models) == {"pytorch_by_default", "pytorch_pickle"}
    for name, model in models.items():
        (tmp_path / name).mkdir()
        require_measured_as_it_was(model, answering_there, tmp_path / name)
