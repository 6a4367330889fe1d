"""One number for each row that a model is asked about."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from governance.checks.base import ModelPredictFailed
from governance.checks.labels import equals_label
from governance.checks.subject import Subject

if TYPE_CHECKING:
    import pandas as pd

Kind = Literal["probability", "label", "number"]

IN_WORDS: dict[Kind, str] = {
    "probability": "the probability of the favourable label",
    "label": "the decision (1 favourable, else 0)",
    "number": "the prediction, in its unit",
}


class Answers:
    """What a model answers, as one number per row.

    kind: `probability` of the favourable label in [0, 1]; of a model without, `label`, 1 if that is the favourable one, else 0; of a regression the
    `number`. Raises UnsuitableData if no row of the data set, or no answer, bears a label that is known.
    """

    def __init__(self, subject: Subject, task: Literal["binary", "regression"]) -> None:
        self._subject = subject
        self.kind: Kind = "number"
        if task == "binary":
            _ = subject.positives
            self.kind = "label" if subject.scores() is None else "probability"
        if self.kind == "label":
            subject.decisions(0.5)

    def __call__(self, rows: pd.DataFrame) -> np.ndarray:
        """Return an answer per row: float, shape (n,). Raises ModelPredictFailed for what is no number, or no probability."""
        if self.kind == "label":
            return equals_label(self._subject.labels(rows), self._subject.favourable).astype(float)
        given = self._subject.score(rows) if self.kind == "probability" else self._subject.labels(rows)
        if given.dtype.kind not in "biuf" or not bool(np.all(np.isfinite(given))):
            raise ModelPredictFailed("it gave answers that are no finite numbers")
        if self.kind == "probability" and not bool(np.all((given >= 0) & (given <= 1))):
            raise ModelPredictFailed("it gave probabilities outside 0 to 1")
        return given.astype(float)
