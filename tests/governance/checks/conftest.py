"""Real models on German Credit, trained once."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import pandas as pd
import pytest

from governance.checks import predictor
from governance.checks.predictor import Loaded
from governance.checks.subject import DatasetSpec, Subject

ROOT = Path(__file__).resolve().parents[3]
GERMAN_CREDIT = ROOT / "demo" / "data" / "german_credit.csv.gz"
FEATURES = ["status", "duration_months", "credit_history", "credit_amount", "savings", "employment", "housing", "age"]


@dataclass(frozen=True)
class Credit:
    """The trained pipeline, where it is saved, and the rows it was not trained on."""

    pipeline: Any
    skops: Path
    cloudpickle: Path
    test: pd.DataFrame
    test_path: Path

    def subject(self, model_dir: Path | None = None, **dataset: Any) -> Subject:
        """Return a subject on the test rows."""
        spec = {"path": self.test_path, "target": "good_credit", "favourable": 1, **dataset}
        return subject(model_dir or self.skops, DatasetSpec(**spec))

    @property
    def truth(self) -> Any:
        return self.test["good_credit"].to_numpy()

    @property
    def scores(self) -> Any:
        return self.pipeline.predict_proba(self.test[FEATURES])[:, 1]


def subject(model_dir: Path, dataset: DatasetSpec | None = None) -> Subject:
    """Return a subject whose model answers in this process, since it is our own."""
    return Subject(model_dir, dataset, predictor=Loaded(str(model_dir)))


@contextmanager
def answering(model_dir: Path) -> Iterator[tuple[BinaryIO, BinaryIO]]:
    """Start a predictor as the sandbox does; yields where its answers are read and where it is asked."""
    (requests_out, requests_in), (answers_out, answers_in) = os.pipe(), os.pipe()
    command = [sys.executable, "-s", "-P", predictor.__file__, str(model_dir), str(requests_out), str(answers_in)]
    process = subprocess.Popen(command, pass_fds=(requests_out, answers_in), cwd=model_dir)
    os.close(requests_out)
    os.close(answers_in)
    with os.fdopen(answers_out, "rb") as source, os.fdopen(requests_in, "wb") as target:
        yield source, target
    assert process.wait(20) == 0  # it ends when nobody can ask any more


def save(model: Any, path: Path, serialization: str, example: pd.DataFrame | None, **more: Any) -> Path:
    """Save with mlflow, without asking the network for requirements."""
    import mlflow.sklearn
    from mlflow.models import infer_signature

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if example is not None:
            more |= {"signature": infer_signature(example, model.predict(example)), "input_example": example.head(3)}
        mlflow.sklearn.save_model(model, str(path), serialization_format=serialization, pip_requirements=["scikit-learn"], **more)
    return path


@pytest.fixture(scope="session")
def credit(tmp_path_factory: pytest.TempPathFactory) -> Credit:
    from sklearn.compose import make_column_transformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    frame = pd.read_csv(GERMAN_CREDIT)
    train, test = frame.iloc[:600], frame.iloc[600:].reset_index(drop=True)
    words = [name for name in FEATURES if frame[name].dtype.kind not in "iuf"]
    columns = make_column_transformer((OneHotEncoder(handle_unknown="ignore"), words), remainder=StandardScaler())
    pipeline = make_pipeline(columns, LogisticRegression(max_iter=1000)).fit(train[FEATURES], train["good_credit"])
    folder = tmp_path_factory.mktemp("credit")
    test.to_csv(folder / "test.csv", index=False)
    return Credit(
        pipeline,
        save(pipeline, folder / "skops", "skops", train[FEATURES]),
        save(pipeline, folder / "cloudpickle", "cloudpickle", train[FEATURES]),
        test,
        folder / "test.csv",
    )


@pytest.fixture
def saved(tmp_path: Path) -> Any:
    """A function that saves any sklearn-like model and returns the folder."""

    def save_here(model: Any, name: str = "model", serialization: str = "cloudpickle", **more: Any) -> Path:
        return save(model, tmp_path / name, serialization, more.pop("example", None), **more)

    return save_here
