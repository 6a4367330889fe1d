"""What a check looks at: the model and the evaluation set, each read once and only when asked for."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from governance.checks.base import MissingColumn, MissingInput, ModelPredictFailed, UnreadableInput, UnsuitableData
from governance.checks.model import Label, Model, Predictor

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

_MLMODEL_LIMIT_BYTES = 8 * 1024 * 1024


@dataclass(frozen=True)
class DatasetSpec:
    """Where the evaluation set lies and how to read it.

    path: CSV, CSV.gz or Parquet. target: column with the truth. favourable: the label that counts as positive.
    name: how error messages call the set.
    """

    path: Path
    target: str
    favourable: Label = 1
    name: str = ""


@dataclass(frozen=True)
class Column:
    """One input or output of the model signature; outputs and tensors may have no name."""

    name: str | None
    type: str
    required: bool = True


@dataclass(frozen=True)
class Signature:
    """What the model says it takes and gives."""

    inputs: tuple[Column, ...]
    outputs: tuple[Column, ...]


def _ignore(done: float, text: str) -> None:
    """Drop progress that nobody asked for."""


@dataclass
class Subject:
    """The model version under a check, with its evaluation set and a seed.

    model_path: its files, to be read and never loaded here. predictor: what answers for it; second: what answers for it in another fresh
    process, for checks that ask again. others: where further data sets lie, by the names that the check's parameters give them.
    champion: the version to compare with, on the same rows and seed; None if there is none.

    Attributes raise CheckError: MissingInput, MissingColumn, UnreadableInput, ModelLoadFailed, ModelPredictFailed.
    """

    model_path: Path | None = None
    dataset: DatasetSpec | None = None
    seed: int = 0
    progress: Callable[[float, str], None] = field(default=_ignore)
    predictor: Predictor | None = None
    others: Mapping[str, Path] = field(default_factory=dict)
    second: Predictor | None = None
    champion: Subject | None = None

    @property
    def model_dir(self) -> Path:
        """The folder that holds `MLmodel`."""
        if self.model_path is None:
            raise MissingInput("a model", "Start it for a model version that has artifacts.")
        return self.model_path

    @cached_property
    def mlmodel(self) -> Mapping[str, Any]:
        """The parsed `MLmodel` file."""
        path = self.model_dir / "MLmodel"
        try:
            if path.stat().st_size > _MLMODEL_LIMIT_BYTES:
                raise UnreadableInput("The MLmodel file", f"it is larger than {_MLMODEL_LIMIT_BYTES} bytes")
            parsed = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as cause:
            raise UnreadableInput("The MLmodel file", str(cause)) from cause
        if not isinstance(parsed, dict):
            raise UnreadableInput("The MLmodel file", "it is not a mapping")
        return parsed

    @cached_property
    def signature(self) -> Signature | None:
        """The model signature, or None if the model was saved without one."""
        raw = self.mlmodel.get("signature")
        if not isinstance(raw, dict) or not raw.get("inputs"):
            return None
        return Signature(_columns(raw.get("inputs")), _columns(raw.get("outputs")))

    @cached_property
    def model(self) -> Model:
        """The model, loaded by its predictor."""
        if self.predictor is None:
            raise MissingInput("a model", "Start it for a model version that has artifacts.")
        self.progress(0.05, "Loading the model")
        return Model(self.predictor)

    @cached_property
    def again(self) -> Model:
        """The same model, loaded once more by a process of its own."""
        if self.second is None:
            raise MissingInput("a second process of the model", "Start it for a check that asks again.")
        return Model(self.second)

    @property
    def dataset_name(self) -> str:
        """How to call the evaluation set in a sentence."""
        spec = self._dataset()
        return spec.name or spec.path.name

    @cached_property
    def frame(self) -> pd.DataFrame:
        """The evaluation set, at least one row."""
        return _table(self._dataset().path, self.dataset_name, self._texts)

    def other(self, name: str) -> pd.DataFrame:
        """Return a further data set that a parameter names, at least one row. Raises MissingInput, UnreadableInput."""
        if name not in self.others:
            raise MissingInput(f"the data set {name!r}", "Register it, and name it in the parameters of the check.")
        return _table(self.others[name], name, self._texts)

    @property
    def _texts(self) -> dict[str, type[str]]:
        """The columns that the signature declares as texts: in a file of numbers, codes such as 01 would lose what tells them apart."""
        declared = (
            self.signature.inputs
            if self.model_path is not None and (self.model_path / "MLmodel").exists() and self.signature
            else ()
        )
        return {column.name: str for column in declared if column.name and column.type == "string"}

    def column(self, name: str, needed_for: str) -> pd.Series:
        """Return a column of the evaluation set. Raises MissingColumn."""
        if name not in self.frame.columns:
            raise MissingColumn(name, self.dataset_name, needed_for)
        return self.frame[name]

    @cached_property
    def target(self) -> np.ndarray:
        """The truth, shape (n,). Raises UnsuitableData if a value is missing."""
        values = self.column(self._dataset().target, "the target")
        if bool(values.isna().any()):
            raise UnsuitableData(
                f"Column {values.name!r} of {self.dataset_name} is the target and has {int(values.isna().sum())} rows "
                "without a value. Remove those rows."
            )
        truth: np.ndarray = values.to_numpy()
        return truth

    @cached_property
    def positives(self) -> np.ndarray:
        """Whether the truth of each row is the favourable label: bool, shape (n,). Raises UnsuitableData if none is."""
        positives = equals_label(self.target, self.favourable)
        if not bool(positives.any()):
            raise UnsuitableData(
                f"No row of {self.dataset_name} has the favourable label {self.favourable!r} in the target column "
                f"{self._dataset().target!r}. Correct the favourable label of the data set."
            )
        return positives

    @property
    def favourable(self) -> Label:
        """The label that counts as positive."""
        return self._dataset().favourable

    def with_favourable(self, label: Label | None) -> Subject:
        """Return the subject with another favourable label; the same one for None or the label it has already."""
        if label is None or label == self.favourable:
            return self
        return replace(self, dataset=replace(self._dataset(), favourable=label))

    @cached_property
    def features(self) -> pd.DataFrame:
        """The columns that the signature asks for, in its order; without one, all columns but the target."""
        names = [column for column in self.signature.inputs if column.name] if self.signature else []
        if not names:
            return self.frame.drop(columns=[self._dataset().target], errors="ignore")
        for column in names:
            if column.required and column.name not in self.frame.columns:
                raise MissingColumn(str(column.name), self.dataset_name, "the model signature")
        return self.frame[[str(column.name) for column in names if column.name in self.frame.columns]]

    @cached_property
    def _output(self) -> np.ndarray:
        self.progress(0.3, "Scoring the data")
        return self._answer(self.features)

    def _answer(self, features: pd.DataFrame) -> np.ndarray:
        return self.model.output(features, [str(each) for each in self._classes_in_target().tolist()])

    def predict(self) -> np.ndarray:
        """Return one label (or, for a regression, one number) per row, computed once. Shape (n,).

        Of a model that gives a probability per class, the label is the class with the highest one.
        """
        return self._as_labels(self._output)

    def labels(self, features: pd.DataFrame) -> np.ndarray:
        """Return the same as predict() for changed features; not cached."""
        return self._as_labels(self._answer(features))

    def _as_labels(self, output: np.ndarray) -> np.ndarray:
        if output.ndim == 1:
            return output
        import numpy as np

        classes = self._classes_in_target()
        if len(classes) != output.shape[1]:
            raise ModelPredictFailed(f"it returned {output.shape[1]} columns for {len(classes)} classes")
        return np.asarray(classes[np.argmax(output, axis=1)])

    def scores(self) -> np.ndarray | None:
        """Return the probability of the favourable label in [0, 1] per row, computed once, or None. Shape (n,).

        Raises UnsuitableData for what is no probability: it would count as a decision against the person.
        """
        return self._scores

    @cached_property
    def _scores(self) -> np.ndarray | None:
        import numpy as np

        given = self.model.probabilities(self.features)
        scores = self._scores_in(self._output) if given is None else self._favourable_column(*given)
        if scores is not None and not bool(np.all((scores >= 0) & (scores <= 1))):
            raise UnsuitableData("The model gives probabilities that are missing or outside 0 to 1. Repair its predict_proba.")
        return scores

    def score(self, features: pd.DataFrame) -> np.ndarray:
        """Return the same as scores() for changed features, of a model that has scores; not cached."""
        given = self.model.probabilities(features)
        if given is not None:
            return self._favourable_column(*given)
        output = self._answer(features)
        return output if output.ndim == 1 else self._favourable_column(self._classes_in_target().tolist(), output)

    def _scores_in(self, output: np.ndarray) -> np.ndarray | None:
        """Read model output as probabilities of the favourable label, or return None if it is labels."""
        import numpy as np

        if output.dtype.kind != "f":
            return None
        if output.ndim == 2:
            classes = self._classes_in_target().tolist()
            return self._favourable_column(classes, output) if len(classes) == output.shape[1] else None
        in_range = bool(np.all((output >= 0) & (output <= 1)))
        # Labels saved as 0.0 and 1.0 are labels still: only a value between them shows a probability.
        return output if in_range and bool(np.any((output > 0) & (output < 1))) else None

    def decisions(self, threshold: float) -> np.ndarray:
        """Return whether each row is decided favourably: score >= threshold, or else the label. Bool, shape (n,)."""
        scores = self.scores()
        return scores >= threshold if scores is not None else self._chosen(self.predict())

    def _chosen(self, labels: np.ndarray) -> np.ndarray:
        classes = self._classes_in_target().tolist()
        if not any(equals_label(labels, each).any() for each in classes):
            raise UnsuitableData(
                f"The model answers {labels[0]!r}, which is none of the labels {classes!r} in the target. "
                "Bring the labels of the data set and of the model together."
            )
        return equals_label(labels, self.favourable)

    def _favourable_column(self, classes: list[Label], table: np.ndarray) -> np.ndarray:
        import numpy as np

        wanted = equals_label(np.asarray(classes), self.favourable)
        if not bool(wanted.any()):
            raise UnsuitableData(
                f"The model knows the classes {classes!r}, not the favourable label {self.favourable!r} of "
                f"{self.dataset_name}. Correct the favourable label of the data set."
            )
        return np.asarray(table[:, int(np.argmax(wanted))])

    def _classes_in_target(self) -> np.ndarray:
        import numpy as np

        return np.unique(self.target)

    def _dataset(self) -> DatasetSpec:
        if self.dataset is None:
            raise MissingInput("an evaluation set", "Bind one to the model, with the column that holds the target.")
        return self.dataset


def _table(path: Path, name: str, texts: Mapping[str, type[str]]) -> pd.DataFrame:
    import pandas as pd

    try:
        if path.name.endswith(".parquet"):
            frame = pd.read_parquet(path)
        elif path.name.endswith((".csv", ".csv.gz")):
            frame = pd.read_csv(path, dtype=texts)
        else:
            raise UnreadableInput(f"The data set {name}", "use CSV, CSV.gz or Parquet")
    except (OSError, ValueError) as cause:
        raise UnreadableInput(f"The data set {name}", str(cause)) from cause
    if not len(frame):
        raise UnsuitableData(f"The data set {name} has no rows.")
    return frame


def equals_label(values: np.ndarray, label: Label) -> np.ndarray:
    """Return where `values` is `label`: bool, shape (n,).

    A CSV holds 1 where a policy says "1" and a model answers 1.0, so a label that reads as a number is compared as one
    with numbers, and everything else as text.
    """
    import numpy as np

    number = _as_number(label)
    if values.dtype.kind in "biuf" and number is not None:
        return np.asarray(values == number)
    return np.asarray([str(value) == str(label) for value in values.tolist()], dtype=bool)


def _as_number(label: Label) -> float | None:
    try:
        return float(label)
    except ValueError:
        return None


def _columns(raw: object) -> tuple[Column, ...]:
    """Read inputs or outputs of a signature; MLflow stores them as JSON text inside the YAML."""
    try:
        items = json.loads(raw) if isinstance(raw, str) else raw
    except ValueError as cause:
        raise UnreadableInput("The model signature", str(cause)) from cause
    if not isinstance(items, list):
        return ()
    return tuple(
        Column(item.get("name"), str(item.get("type", "")), bool(item.get("required", True)))
        for item in items
        if isinstance(item, dict)
    )
