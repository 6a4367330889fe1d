"""The model under a check as the measuring process sees it: it answers from a process of its own, and what it answers is not trusted."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

from governance.checks import predictor
from governance.checks.base import CheckError, ModelLoadFailed, ModelPredictFailed, UnsuitableData

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

Label = str | int | float | bool

ROWS_AT_ONCE = 50_000
_MOST_BYTES = 1 << 30
_NUMBERS = frozenset({"|b1", "|i1", "|u1", *(f"<{kind}" for kind in ("i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8"))})


class Predictor(Protocol):
    """What answers for the model. Whatever these raise but MemoryError is the model's fault; see ``Model``."""

    def load(self) -> Any:
        """Make ready."""

    def predict(self, rows: pd.DataFrame) -> Any:
        """Return what the model gives for these rows."""

    def probabilities(self, rows: pd.DataFrame) -> tuple[list[Any], Any] | None:
        """Return the classes and a table of their probabilities, or None."""

    def example(self) -> None:
        """Score the example saved with the model."""


class Remote:
    """A predictor at the other end of two pipes (see ``predictor``). Raises what a ``Model`` does."""

    def __init__(self, source: BinaryIO, target: BinaryIO) -> None:
        self._source = source
        self._target = target

    def load(self) -> None:
        """Have the model loaded there."""
        self._ask({"op": "load"})

    def predict(self, rows: pd.DataFrame) -> Any:
        """Return the answers to all rows, asked for in parts: an array, or a data frame of a model that names its columns."""
        import numpy as np
        import pandas as pd

        parts = [predicted(*self.answer("predict", part), len(part)) for part in _parts(rows)]
        columns = parts[0][1]
        if any(names != columns for _, names in parts):
            raise ModelPredictFailed("it names its columns differently from one part of the rows to the next")
        values = np.concatenate([values for values, _ in parts]) if len(parts) > 1 else parts[0][0]
        return values if columns is None else pd.DataFrame(values, columns=columns)

    def probabilities(self, rows: pd.DataFrame) -> tuple[list[Any], Any] | None:
        """Return classes and probabilities, asked for in parts."""
        import numpy as np

        tables: list[np.ndarray] = []
        known = None
        for part in _parts(rows):
            header, content = self.answer("probabilities", part)
            classes = header.get("classes", "")
            if classes is None and not tables:
                return None
            if not (isinstance(classes, list) and all(isinstance(each, str | int | float) for each in classes)):
                raise ModelPredictFailed("its classes are no labels")
            if tables and classes != known:
                raise ModelPredictFailed("it knows different classes from one part of the rows to the next")
            known = classes
            tables.append(predicted(header, content, len(part))[0])
        assert known is not None
        return known, np.concatenate(tables)

    def example(self) -> None:
        """Have the example scored there."""
        self._ask({"op": "example"})

    def answer(self, op: str, rows: pd.DataFrame) -> tuple[dict[str, Any], bytes]:
        """Return what is answered to `predict` or `probabilities` of these rows, as it came: see ``predictor``."""
        return self._ask(*_request(op, rows))

    def _ask(self, request: dict[str, Any], rows: bytes = b"") -> tuple[dict[str, Any], bytes]:
        try:
            predictor.write(self._target, request, rows)
            message = predictor.read(self._source, _MOST_BYTES)
        except (OSError, ValueError, RecursionError) as cause:
            raise ModelPredictFailed(f"its process did not answer ({cause})") from cause
        if message is None:
            raise ModelPredictFailed("its process ended while it was asked")
        header, content = message
        if (error := header.get("error")) is not None:
            raise _failure(error)
        return header, content


def predicted(header: dict[str, Any], content: bytes, rows: int) -> tuple[np.ndarray, list[str] | None]:
    """Return the answered values and the names of their columns, if they have any. Raises ModelPredictFailed for what is neither."""
    import numpy as np

    shape, dtype, columns = header.get("shape"), header.get("dtype"), header.get("columns")
    if not (isinstance(shape, list) and len(shape) in (1, 2) and all(type(n) is int and n >= 0 for n in shape)):
        raise ModelPredictFailed(f"it returned the shape {shape!r} for {rows} rows")
    if columns is not None and not (_are_texts(columns) and shape[1:] == [len(columns)]):
        raise ModelPredictFailed("its columns and their names differ in number")
    size = math.prod(shape)
    if isinstance(dtype, str) and dtype in _NUMBERS and size * np.dtype(dtype).itemsize == len(content):
        return np.frombuffer(content, dtype=dtype).reshape(shape), columns
    given = header.get("values")
    if not isinstance(given, list) or len(given) != size or not all(isinstance(v, str | int | float | None) for v in given):
        raise ModelPredictFailed("its answer cannot be read")
    values = np.empty(size, dtype=object)
    values[:] = given
    return values.reshape(shape), columns


class Model:
    """A model: labels, and the probability of one class when the model has it.

    Every call runs code of the model's author. Whatever it raises becomes ModelPredictFailed or ModelLoadFailed, also SystemExit; only
    MemoryError passes, because it means that a limit was met and not that the model is wrong.
    """

    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor
        self._guard(predictor.load, ModelLoadFailed)

    def answer_example(self) -> None:
        """Have the model score the example that was saved with it."""
        self._guard(self._predictor.example, ModelPredictFailed)

    def output(self, features: pd.DataFrame, classes: Sequence[str] = ()) -> np.ndarray:
        """Return what the model predicts, one row per row of `features`: shape (n,) or (n, columns).

        classes: of a table with a column for each of them, these columns in this order.
        """
        return self.named_output(features, classes)[0]

    def named_output(self, features: pd.DataFrame, classes: Sequence[str] = ()) -> tuple[np.ndarray, list[str] | None]:
        """Return the same, with the names of its columns if the model names them."""
        import numpy as np  # the catalogue is read without numpy
        import pandas as pd

        answer = self._guard(lambda: self._predictor.predict(features), ModelPredictFailed)
        if isinstance(answer, pd.DataFrame) and classes and set(classes) <= set(map(str, answer.columns)):
            answer = answer.rename(columns=str)[list(classes)]
        elif isinstance(answer, pd.DataFrame) and classes and answer.shape[1] > 1:
            _require_probabilities(answer)
        names = list(map(str, answer.columns)) if isinstance(answer, pd.DataFrame) else None
        output = np.asarray(answer)
        if output.ndim == 2 and output.shape[1] == 1:
            output = output[:, 0]
        if output.ndim not in (1, 2) or len(output) != len(features):
            raise ModelPredictFailed(f"it returned the shape {output.shape} for {len(features)} rows")
        missing = int(np.asarray(pd.isna(output)).sum())
        if missing:
            raise ModelPredictFailed(f"it returned no value in {missing} places")
        return output, names

    def probabilities(self, features: pd.DataFrame) -> tuple[list[Label], np.ndarray] | None:
        """Return the classes and the probability of each, shape (n, classes), or None if the model has no such method."""
        import numpy as np

        found = self._guard(lambda: self._predictor.probabilities(features), ModelPredictFailed)
        if found is None:
            return None
        classes, table = found[0], np.asarray(found[1])
        if table.dtype.kind != "f" or table.shape != (len(features), len(classes)):
            raise ModelPredictFailed(f"predict_proba gave the shape {table.shape} for {len(features)} rows")
        return classes, table

    @staticmethod
    def _guard(call: Any, failed: type[ModelLoadFailed | ModelPredictFailed]) -> Any:
        try:
            return call()
        except (MemoryError, CheckError):
            raise
        except (Exception, SystemExit) as cause:
            raise failed(cause) from cause


def _require_probabilities(answer: pd.DataFrame) -> None:
    """Raise ModelPredictFailed for named columns that are neither classes nor the probabilities of such: label and score, for instance."""
    import numpy as np

    values = answer.to_numpy()
    if values.dtype.kind != "f" or not bool(np.all(np.abs(values.sum(axis=1) - 1) < 1e-3)):
        raise ModelPredictFailed(
            f"it returned the columns {', '.join(map(str, answer.columns))}, which are neither the classes of the target nor their "
            "probabilities. Let predict return one column, or one for each class and named as it"
        )


def _parts(rows: pd.DataFrame) -> list[pd.DataFrame]:
    return [rows.iloc[start : start + ROWS_AT_ONCE] for start in range(0, len(rows), ROWS_AT_ONCE)]


def _request(op: str, rows: pd.DataFrame) -> tuple[dict[str, Any], bytes]:
    """Return the message that carries these rows. Raises UnsuitableData for a column that no table can hold."""
    import pyarrow

    try:
        table = pyarrow.Table.from_pandas(rows, preserve_index=False)
    except pyarrow.ArrowException as cause:
        raise UnsuitableData(f"The rows cannot be handed to the model: {cause}. Give each column values of one type.") from cause
    sink = io.BytesIO()
    with pyarrow.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    kinds = {str(name): _kind(rows[name]) for name in rows.columns if rows[name].dtype.kind == "O"}
    return {"op": op, "kinds": {name: kind for name, kind in kinds.items() if kind}}, sink.getvalue()


def _kind(column: pd.Series) -> str:
    """Return what the predictor makes of a column that Arrow has no type for, or "" (see ``predictor``)."""
    if column.dtype == object:
        missing = column[column.isna()]
        return "nan" if len(missing) and isinstance(missing.iloc[0], float) else "none"
    return "text" if column.dtype == "str" else ""


def _are_texts(given: object) -> bool:
    return isinstance(given, list) and all(isinstance(each, str) for each in given)


def _failure(error: object) -> Exception:
    """Return what a predictor's error means here."""
    kind, text = (error.get("kind"), str(error.get("text", ""))) if isinstance(error, dict) else ("", str(error))
    if kind == "memory":
        return MemoryError()
    return (
        ModelLoadFailed(text[: predictor.LONGEST_TEXT]) if kind == "load" else ModelPredictFailed(text[: predictor.LONGEST_TEXT])
    )
