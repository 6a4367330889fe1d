"""Load a model by its MLflow flavour, turning whatever its code raises into a named error."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from governance.checks.base import ModelLoadFailed, ModelPredictFailed

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

Label = str | int | float | bool


class Model:
    """A loaded model: labels, and the probability of one class when the model has it.

    Every call runs code of the model's author. Whatever it raises becomes ModelPredictFailed, also SystemExit; only
    MemoryError passes, because it means that a limit was met and not that the model is wrong.
    """

    def __init__(self, pyfunc: Any, raw: Any) -> None:
        self._pyfunc = pyfunc
        self._raw = raw

    def answer(self, given: Any) -> Any:
        """Return what the model predicts for any input it takes, unchanged."""
        try:
            return self._pyfunc.predict(given)
        except MemoryError:
            raise
        except (Exception, SystemExit) as cause:
            raise ModelPredictFailed(cause) from cause

    def output(self, features: pd.DataFrame, classes: Sequence[str] = ()) -> np.ndarray:
        """Return what the model predicts, one row per row of `features`: shape (n,) or (n, columns).

        classes: of a table with a column for each of them, these columns in this order.
        """
        import numpy as np  # the catalogue is read without numpy
        import pandas as pd

        answer = self.answer(features)
        if isinstance(answer, pd.DataFrame) and classes and set(classes) <= set(map(str, answer.columns)):
            answer = answer.rename(columns=str)[list(classes)]
        output = np.asarray(answer)
        if output.ndim == 2 and output.shape[1] == 1:
            output = output[:, 0]
        if output.ndim not in (1, 2) or len(output) != len(features):
            raise ModelPredictFailed(f"it returned the shape {output.shape} for {len(features)} rows")
        missing = int(np.asarray(pd.isna(output)).sum())
        if missing:
            raise ModelPredictFailed(f"it returned no value in {missing} places")
        return output

    def probabilities(self, features: pd.DataFrame) -> tuple[list[Label], np.ndarray] | None:
        """Return the classes and the probability of each, shape (n, classes), or None if the model has no such method."""
        import numpy as np

        if not (hasattr(self._raw, "predict_proba") and hasattr(self._raw, "classes_")):
            return None
        try:
            table = np.asarray(self._raw.predict_proba(features), dtype=float)
            classes = np.asarray(self._raw.classes_).tolist()
        except MemoryError:
            raise
        except (Exception, SystemExit) as cause:
            raise ModelPredictFailed(cause) from cause
        if table.shape != (len(features), len(classes)):
            raise ModelPredictFailed(f"predict_proba gave the shape {table.shape} for {len(features)} rows")
        return classes, table


def load(model_dir: Path) -> Model:
    """Load the model in `model_dir`. Raises ModelLoadFailed with what its code raised; MemoryError passes."""
    try:
        from mlflow import pyfunc

        loaded = pyfunc.load_model(str(model_dir))
        return Model(loaded, _raw(loaded))
    except MemoryError:
        raise
    except (Exception, SystemExit) as cause:
        raise ModelLoadFailed(cause) from cause


def _raw(loaded: Any) -> Any:
    """Return the model inside the pyfunc wrapper, or None: only some flavours give it away."""
    try:
        return loaded.get_raw_model()
    except (AttributeError, NotImplementedError):
        return None


def input_example(model_dir: Path) -> Any | None:
    """Return the input example saved with the model, or None. Raises ModelLoadFailed if it cannot be read."""
    try:
        from mlflow.models import Model as Saved

        return Saved.load(str(model_dir)).load_input_example(str(model_dir))
    except MemoryError:
        raise
    except Exception as cause:
        raise ModelLoadFailed(cause) from cause
