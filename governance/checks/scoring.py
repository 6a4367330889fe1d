"""What a model answers to all rows, asked for batch by batch and kept in as little memory as it takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from governance.checks.base import ModelPredictFailed
from governance.checks.labels import are_texts
from governance.checks.model import Label, Model

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

_MOST_CODES = 256  # different values whose places fit into a byte
_ELSEWISE = "from one part of the rows to the next"


class Questions:
    """Asks a model about one batch after the other, and sees that each answer has the form of the first one.

    classes: by which a table with named columns is read (see ``Model.output``). Raises ModelPredictFailed.
    """

    def __init__(self, model: Model, classes: Sequence[str] = ()) -> None:
        self._model, self._classes = model, classes
        self._form: tuple[tuple[int, ...], list[str] | None] | None = None
        self._known: list[Label] | None = None
        self._has_probabilities: bool | None = None

    def output(self, rows: pd.DataFrame) -> np.ndarray:
        """Return what the model predicts for a batch: shape (n,) or (n, columns)."""
        output, names = self._model.named_output(rows, self._classes)
        form = output.shape[1:], names
        if self._form is None:
            self._form = form
        if form[0] != self._form[0]:
            raise ModelPredictFailed(f"it returned another number of columns {_ELSEWISE}")
        if form[1] != self._form[1]:
            raise ModelPredictFailed(f"it names its columns differently {_ELSEWISE}")
        return output

    def probabilities(self, rows: pd.DataFrame) -> tuple[list[Label], np.ndarray] | None:
        """Return the classes and the probability of each for a batch, or None of a model that gave none for the first one."""
        if self._has_probabilities is False:
            return None
        given = self._model.probabilities(rows)
        if self._has_probabilities is None:
            self._has_probabilities = given is not None
            self._known = given[0] if given is not None else None
        elif given is None or given[0] != self._known:
            raise ModelPredictFailed(f"it knows different classes {_ELSEWISE}")
        return given


class Values:
    """A value for each row, added part by part. Of labels each part is held as places among its different values, a byte each."""

    def __init__(self) -> None:
        self._parts: list[tuple[np.ndarray | None, np.ndarray]] = []

    def add(self, part: np.ndarray) -> None:
        """Add the values of the next rows, shape (n,)."""
        self._parts.append(_coded(part))

    def whole(self) -> np.ndarray:
        """Return all values in the type that holds those of all parts, shape (n,)."""
        import numpy as np

        if len(self._parts) > 1 and all(codes is None for codes, _ in self._parts):
            self._parts = [(None, np.concatenate([values for _, values in self._parts]))]
        type_of_all = np.concatenate([values[:0] for _, values in self._parts]).dtype
        expanded = [values if codes is None else values.astype(type_of_all, copy=False)[codes] for codes, values in self._parts]
        return expanded[0] if len(expanded) == 1 else np.concatenate(expanded)


class Output:
    """What a model predicts for all rows. Of a table it keeps which column is the highest, and one column.

    kept: the place of that column. columns: their number, or None of a model that gives one value for each row.
    """

    def __init__(self, kept: int) -> None:
        self._kept = kept
        self.columns: int | None = None
        self._column, self._values = Values(), Values()

    def add(self, output: np.ndarray) -> None:
        """Add the answers to the next rows: shape (n,) or (n, columns)."""
        import numpy as np

        if output.ndim == 1:
            self._values.add(output)
            return
        self.columns = output.shape[1]
        if self.columns:
            self._values.add(np.argmax(output, axis=1))
            self._column.add(output[:, min(self._kept, self.columns - 1)].copy())

    @property
    def values(self) -> np.ndarray:
        """The values or, of a table, the place of the highest in each row. Shape (n,)."""
        return self._values.whole()

    @property
    def column(self) -> np.ndarray:
        """The column that was kept of a table. Shape (n,)."""
        return self._column.whole()


def _coded(values: np.ndarray) -> tuple[np.ndarray | None, np.ndarray]:
    """Return the place of each value among the different ones, and those; or None and the values, where that is not shorter."""
    import numpy as np
    import pandas as pd

    if values.dtype.kind not in "biuO" or (values.dtype.kind == "O" and not are_texts(values)):
        return None, values
    codes, different = pd.factorize(values)
    if len(different) > _MOST_CODES:
        return None, values
    return codes.astype(np.uint8), np.asarray(different, dtype=values.dtype)
