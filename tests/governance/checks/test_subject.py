"""Predictions of every form become labels and probabilities, or a named error."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from governance.checks.base import CheckError, ModelPredictFailed, UnreadableInput, UnsuitableData
from governance.checks.subject import DatasetSpec, Subject


class Raw:
    """A model that answers what the test says."""

    def __init__(self, answer: Any) -> None:
        self._answer = answer

    def load(self) -> None:
        """Nothing: it is here."""

    def predict(self, rows: pd.DataFrame) -> Any:
        return self._answer

    def probabilities(self, rows: pd.DataFrame) -> Any:
        return None

    def example(self) -> None:
        raise NotImplementedError


class WithProbabilities(Raw):
    def probabilities(self, rows: pd.DataFrame) -> Any:
        return ["no", "yes"], np.asarray(self._answer, dtype=float)


def subject(tmp_path: Path, answer: Any, favourable: Any = "yes", targets: str = "yes no yes no") -> Subject:
    path = tmp_path / "rows.csv"
    path.write_text("a,y\n" + "".join(f"{index},{target}\n" for index, target in enumerate(targets.split())))
    (tmp_path / "MLmodel").write_text("flavors: {}")
    return Subject(tmp_path, DatasetSpec(path, "y", favourable), predictor=answer if isinstance(answer, Raw) else Raw(answer))


@pytest.mark.parametrize(
    "answer, scores, decisions",
    [
        (["yes", "no", "no", "no"], None, [1, 0, 0, 0]),
        (np.array([0.9, 0.1, 0.4, 0.6]), [0.9, 0.1, 0.4, 0.6], [1, 0, 0, 1]),
        (np.array([[0.9], [0.1], [0.4], [0.6]]), [0.9, 0.1, 0.4, 0.6], [1, 0, 0, 1]),
        (np.array([[0.1, 0.9], [0.9, 0.1], [0.6, 0.4], [0.4, 0.6]]), [0.9, 0.1, 0.4, 0.6], [1, 0, 0, 1]),
        (pd.DataFrame({"yes": [0.9, 0.1, 0.4, 0.6], "no": [0.1, 0.9, 0.6, 0.4]}), [0.9, 0.1, 0.4, 0.6], [1, 0, 0, 1]),
        (WithProbabilities([[0.1, 0.9], [0.9, 0.1], [0.6, 0.4], [0.4, 0.6]]), [0.9, 0.1, 0.4, 0.6], [1, 0, 0, 1]),
    ],
)
def test_every_form_of_prediction_is_read(tmp_path: Path, answer: Any, scores: Any, decisions: list[int]) -> None:
    if isinstance(answer, WithProbabilities):
        answer.predict = lambda _: ["no"] * 4  # type: ignore[method-assign]
    made = subject(tmp_path, answer)
    found = made.scores()
    assert (None if found is None else found.tolist()) == scores
    assert made.decisions(0.5).astype(int).tolist() == decisions


def test_labels_written_as_floats_are_labels(tmp_path: Path) -> None:
    made = subject(tmp_path, np.array([1.0, 0.0, 1.0, 1.0]), favourable="1", targets="1 0 1 0")
    assert made.scores() is None and made.decisions(0.5).astype(int).tolist() == [1, 0, 1, 1]
    assert made.positives.astype(int).tolist() == [1, 0, 1, 0]


@pytest.mark.parametrize(
    "answer, error, words",
    [
        (np.array([1.0, np.nan, 0.0, 1.0]), ModelPredictFailed, "no value in 1 places"),
        (["yes", None, "no", "no"], ModelPredictFailed, "no value"),
        (["yes"], ModelPredictFailed, "shape"),
        (["Yes", "No", "No", "No"], UnsuitableData, "none of the labels"),
        (np.zeros((4, 3)), ModelPredictFailed, "3 columns for 2 classes"),
        (WithProbabilities([[0.1, np.nan]] * 4), UnsuitableData, "outside 0 to 1"),
        (WithProbabilities([[0.1, 1.5]] * 4), UnsuitableData, "outside 0 to 1"),
        (WithProbabilities([[0.1, 0.2, 0.7]] * 4), ModelPredictFailed, "predict_proba gave the shape"),
    ],
)
def test_what_is_no_prediction_is_an_error_and_not_a_decision(tmp_path: Path, answer: Any, error: Any, words: str) -> None:
    with pytest.raises(error, match=words):
        subject(tmp_path, answer).decisions(0.5)


def test_a_class_the_model_does_not_know(tmp_path: Path) -> None:
    made = subject(tmp_path, WithProbabilities([[0.5, 0.5]] * 4), "maybe", "maybe no maybe no")
    with pytest.raises(UnsuitableData, match="knows the classes"):
        made.scores()


@pytest.mark.parametrize("name, content", [("rows.xlsx", "a"), ("rows.csv", ""), ("rows.parquet", "a"), ("rows.csv", 'a,b\n"')])
def test_a_data_set_that_cannot_be_read_is_a_named_error(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(CheckError) as caught:
        Subject(None, DatasetSpec(tmp_path / name, "y")).frame  # noqa: B018
    assert isinstance(caught.value, UnreadableInput | UnsuitableData) and name in caught.value.message


def test_a_target_with_gaps_says_how_many(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("a,y\n1,1\n2,\n3,\n")
    with pytest.raises(UnsuitableData, match="2 rows without a value"):
        Subject(None, DatasetSpec(tmp_path / "rows.csv", "y")).target  # noqa: B018
