"""What a check looks at: the model and the evaluation set, of which only what is asked for is read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from governance.checks import mlmodel, tables
from governance.checks.base import MissingInput, ModelPredictFailed, SiblingMeasurement, UnsuitableData
from governance.checks.labels import are_texts, array_of, equals_label, place_of
from governance.checks.mlmodel import Signature
from governance.checks.model import Label, Model, Predictor
from governance.checks.noted import Replayed
from governance.checks.reading import Reader
from governance.checks.scoring import Output, Questions

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

_MOST_CLASSES = 10_000
_SCORED_FROM, _SCORED_TO = 0.1, 0.6


@dataclass(frozen=True)
class DatasetSpec:
    """Where the evaluation set lies and how to read it.

    path: CSV, CSV.gz, Parquet or Arrow. target: column with the truth. favourable: the label that counts as positive.
    name: how error messages call the set.
    """

    path: Path
    target: str
    favourable: Label = 1
    name: str = ""


def _ignore(done: float, text: str) -> None:
    """Drop progress that nobody asked for."""


@dataclass
class Subject:
    """The model version under a check, with its evaluation set and a seed.

    model_path: its files, to be read and never loaded here. predictor: what answers for it; second: what answers for it in another fresh
    process, for checks that ask again. others: where further data sets lie, by the names that the check's parameters give them.
    champion: the version to compare with, on the same rows and seed; None if there is none. What it has read is shared with it, and with
    other subjects made from this one. Rows are read and scored in batches, so that a large set needs memory for what is kept of each row
    alone: `frame` and `features` hold all of it, and are for checks of small sets. card, earlier_card: the sections of the
    version's model card and of the newest one before it, as text by name. measured: what the other checks of the policy measured.

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
    card: Mapping[str, str] = field(default_factory=dict)
    earlier_card: Mapping[str, str] = field(default_factory=dict)
    measured: tuple[SiblingMeasurement, ...] = ()
    readers: dict[tuple[Path, str, frozenset[str]], Reader] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Let the champion read where this one does."""
        if self.champion is not None:
            self.champion.readers = self.readers

    @property
    def model_dir(self) -> Path:
        """The folder that holds `MLmodel`."""
        if self.model_path is None:
            raise MissingInput("a model", "Start it for a model version that has artifacts.")
        return self.model_path

    @cached_property
    def mlmodel(self) -> Mapping[str, Any]:
        """The parsed `MLmodel` file."""
        return mlmodel.read(self.model_dir / "MLmodel")

    @cached_property
    def signature(self) -> Signature | None:
        """The model signature, or None if the model was saved without one."""
        return mlmodel.signature(self.mlmodel)

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

    @property
    def reader(self) -> Reader:
        """What reads the evaluation set."""
        how = self._dataset().path, self.dataset_name, self._texts
        if how not in self.readers:
            self.readers[how] = Reader(*how)
        return self.readers[how]

    @property
    def frame(self) -> pd.DataFrame:
        """The evaluation set, at least one row."""
        return self.reader.frame

    @property
    def row_count(self) -> int:
        """The number of rows of the evaluation set, at least one."""
        return self.reader.row_count

    def other(self, name: str) -> pd.DataFrame:
        """Return a further data set that a parameter names, at least one row. Raises MissingInput, UnreadableInput."""
        return tables.read_table(self._other(name), name=name, texts=self._texts)

    def other_reader(self, name: str) -> Reader:
        """Return what reads a further data set. Raises MissingInput."""
        return Reader(self._other(name), name, self._texts)

    def _other(self, name: str) -> Path:
        if name not in self.others:
            raise MissingInput(f"the data set {name!r}", "Register it, and name it in the parameters of the check.")
        return self.others[name]

    @cached_property
    def _texts(self) -> frozenset[str]:
        """The columns that the signature declares as texts: in a file of numbers, codes such as 01 would lose what tells them apart."""
        if self.model_path is None or not (self.model_path / "MLmodel").exists() or self.signature is None:
            return frozenset()
        return frozenset(column.name for column in self.signature.inputs if column.name and column.type == "string")

    def column(self, name: str, needed_for: str) -> pd.Series:
        """Return a column of the evaluation set. Raises MissingColumn."""
        return self.reader.column(name, needed_for)

    @cached_property
    def target(self) -> np.ndarray:
        """The truth, shape (n,). Raises UnsuitableData if a value is missing."""
        values = self.column(self._dataset().target, "the target")
        if bool(values.isna().any()):
            raise UnsuitableData(
                f"Column {values.name!r} of {self.dataset_name} is the target and has {int(values.isna().sum())} rows "
                "without a value. Remove those rows."
            )
        return array_of(values)

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
    def feature_names(self) -> list[str]:
        """The columns that the signature asks for, in its order; without one, all columns but the target. Raises MissingColumn."""
        given = self.reader.names
        asked = [column for column in self.signature.inputs if column.name] if self.signature else []
        if not asked:
            return [name for name in given if name != self._dataset().target]
        self.reader.require([str(column.name) for column in asked if column.required], "the model signature")
        return [str(column.name) for column in asked if column.name in given]

    @property
    def features(self) -> pd.DataFrame:
        """These columns of all rows."""
        return self.frame[self.feature_names]

    def rows(self, places: np.ndarray) -> pd.DataFrame:
        """Return the features of the rows at these places, in this order, numbered from 0."""
        return self.reader.rows(places, self.feature_names)

    def batches(self) -> Iterator[pd.DataFrame]:
        """Return the features of all rows, batch by batch, telling how far that is. Raises MissingColumn.

        Whoever answered before needs only to know which rows they are, so of these the columns are not read again.
        """
        names = self.feature_names
        return self._told(self.reader.batches([] if isinstance(self.predictor, Replayed) else names))

    def _told(self, batches: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        done, rows = 0, self.row_count
        for batch in batches:
            self.progress(_SCORED_FROM + (_SCORED_TO - _SCORED_FROM) * done / rows, f"Scoring row {done + 1:,} of {rows:,}")
            yield batch
            done += len(batch)

    @cached_property
    def _output(self) -> Output:
        batches = self.batches()
        asked = Questions(self.model, self._class_names)
        output = Output(self._place_of_favourable or 0)
        for rows in batches:
            output.add(asked.output(rows))
        return output

    def predict(self) -> np.ndarray:
        """Return one label (or, for a regression, one number) per row, computed once. Shape (n,).

        Of a model that gives a probability per class, the label is the class with the highest one.
        """
        import numpy as np

        output = self._output
        if output.columns is None:
            return output.values
        return np.asarray(self._labels_of(output.columns)[output.values])

    def labels(self, features: pd.DataFrame) -> np.ndarray:
        """Return the same as predict() for changed features; not cached."""
        import numpy as np

        output = self._answer(features)
        return output if output.ndim == 1 else np.asarray(self._labels_of(output.shape[1])[np.argmax(output, axis=1)])

    def _answer(self, features: pd.DataFrame) -> np.ndarray:
        return self.model.output(features, self._class_names)

    def _labels_of(self, columns: int) -> np.ndarray:
        """Return the label of each column of a table. Raises ModelPredictFailed if they differ in number."""
        if len(self._classes) != columns:
            raise ModelPredictFailed(f"it returned {columns} columns for {len(self._classes)} classes")
        return self._classes

    def scores(self) -> np.ndarray | None:
        """Return the probability of the favourable label in [0, 1] per row, computed once, or None. Shape (n,).

        Raises UnsuitableData for what is no probability: it would count as a decision against the person.
        """
        return self._scores

    @cached_property
    def _scores(self) -> np.ndarray | None:
        import numpy as np

        scores = self._probabilities()
        if scores is None:
            scores = self._scores_in(self._output)
        if scores is not None and not bool(np.all((scores >= 0) & (scores <= 1))):
            raise UnsuitableData("The model gives probabilities that are missing or outside 0 to 1. Repair its predict_proba.")
        return scores

    def _probabilities(self) -> np.ndarray | None:
        import numpy as np

        asked, parts = Questions(self.model), []
        for rows in self.batches():
            given = asked.probabilities(rows)
            if given is None:
                return None
            parts.append(self._favourable_column(*given).copy())  # of the whole table it would be a view
        return np.concatenate(parts)

    def score(self, features: pd.DataFrame) -> np.ndarray:
        """Return the same as scores() for changed features, of a model that has scores; not cached."""
        given = self.model.probabilities(features)
        if given is not None:
            return self._favourable_column(*given)
        output = self._answer(features)
        return output if output.ndim == 1 else self._favourable_column(self._classes.tolist(), output)

    def _scores_in(self, output: Output) -> np.ndarray | None:
        """Read model output as probabilities of the favourable label, or return None if it is labels."""
        import numpy as np

        if output.columns is not None:
            if output.columns != len(self._classes) or output.column.dtype.kind != "f":
                return None
            if self._place_of_favourable is None:
                raise self._unknown_favourable(self._classes.tolist())
            return output.column
        values = output.values
        if values.dtype.kind != "f":
            return None
        in_range = bool(np.all((values >= 0) & (values <= 1)))
        # Labels saved as 0.0 and 1.0 are labels still: only a value between them shows a probability.
        return values if in_range and bool(np.any((values > 0) & (values < 1))) else None

    def decisions(self, threshold: float) -> np.ndarray:
        """Return whether each row is decided favourably: score >= threshold, or else the label. Bool, shape (n,)."""
        scores = self.scores()
        return scores >= threshold if scores is not None else self._chosen(self.predict())

    def _chosen(self, labels: np.ndarray) -> np.ndarray:
        classes = self._classes.tolist()
        if not any(equals_label(labels, each).any() for each in classes):
            raise UnsuitableData(
                f"The model answers {labels[0]!r}, which is none of the labels {classes!r} in the target. "
                "Bring the labels of the data set and of the model together."
            )
        return equals_label(labels, self.favourable)

    def _favourable_column(self, classes: list[Label], table: np.ndarray) -> np.ndarray:
        import numpy as np

        place = place_of(self.favourable, np.asarray(classes))
        if place is None:
            raise self._unknown_favourable(classes)
        return np.asarray(table[:, place])

    def _unknown_favourable(self, classes: Sequence[Label]) -> UnsuitableData:
        return UnsuitableData(
            f"The model knows the classes {classes!r}, not the favourable label {self.favourable!r} of "
            f"{self.dataset_name}. Correct the favourable label of the data set."
        )

    @cached_property
    def _classes(self) -> np.ndarray:
        """The different values of the target, sorted."""
        import numpy as np
        import pandas as pd

        return np.unique(pd.unique(self.target) if are_texts(self.target) else self.target)

    @property
    def _class_names(self) -> list[str]:
        """The same as names of columns. No table has a column for each of very many: those are the numbers of a regression."""
        return [str(each) for each in self._classes.tolist()] if len(self._classes) <= _MOST_CLASSES else []

    @cached_property
    def _place_of_favourable(self) -> int | None:
        return place_of(self.favourable, self._classes)

    def _dataset(self) -> DatasetSpec:
        if self.dataset is None:
            raise MissingInput("an evaluation set", "Bind one to the model, with the column that holds the target.")
        return self.dataset
