"""The process that a model answers from: it loads the model and does what the measuring process asks, and nothing else.

`python predictor.py MODEL_DIR READ_FD WRITE_FD [--soon]`. It stands alone, so that it runs in the model's own environment, which has none of
this project's packages: the standard library until it is asked something, then mlflow, numpy, pandas and pyarrow.

A message is two lengths (big-endian, 4 bytes each), a JSON header and bytes. Requests: `{"op": "load"}`, `{"op": "example"}`, and
`{"op": "predict", "kinds": {column: kind}}` or `probabilities` with an Arrow stream of rows. Arrow has one null and one type of text, so the
kind says what a column was: `none` or `nan`, objects with that for what is missing, or `text`, the type of newer pandas, with NaN.
Answers: see `_answered`, and `{"error": {"kind", "text"}}`, where kind is `load`, `predict` or `memory`. Whoever reads an answer
treats it as hostile: all code of the model runs here, and can write what it likes.
"""

from __future__ import annotations

import json
import os
import struct
import sys
from typing import Any, BinaryIO

LENGTHS = struct.Struct(">II")
LONGEST_TEXT = 2000


class Loaded:
    """A model in this process. What its code raises passes as it is."""

    def __init__(self, model_dir: str) -> None:
        self._dir = model_dir
        self._model: Any = None

    @property
    def is_loaded(self) -> bool:
        """Whether its code has run to the end once."""
        return self._model is not None

    def load(self) -> Any:
        """Return the model, loaded once by its MLflow flavour."""
        if self._model is None:
            from mlflow import pyfunc

            self._model = pyfunc.load_model(self._dir)
        return self._model

    def predict(self, rows: Any) -> Any:
        """Return what the model gives for a data frame."""
        return self.load().predict(rows)

    def probabilities(self, rows: Any) -> tuple[list[Any], Any] | None:
        """Return the classes and a probability of each for every row, or None of a model that has no such method."""
        import numpy as np

        raw = self._raw()
        if not (hasattr(raw, "predict_proba") and hasattr(raw, "classes_")):
            return None
        return np.asarray(raw.classes_).tolist(), np.asarray(raw.predict_proba(rows), dtype=float)

    def example(self) -> None:
        """Let the model score the example that was saved with it."""
        from mlflow.models import Model

        example = Model.load(self._dir).load_input_example(self._dir)
        self.load().predict(example)

    def _raw(self) -> Any:
        try:
            return self.load().get_raw_model()
        except (AttributeError, NotImplementedError):  # not every flavour gives it away
            return None


def serve(model: Loaded, source: BinaryIO, target: BinaryIO) -> None:
    """Answer requests until there are no more."""
    while (message := read(source)) is not None:
        try:
            answer, content = _answer(model, *message)
        except MemoryError:
            answer, content = {"error": {"kind": "memory", "text": "The memory limit was reached."}}, b""
        except (Exception, SystemExit) as cause:  # noqa: BLE001  # whatever it is, it is the model's
            text = f"{type(cause).__name__}: {cause}"[:LONGEST_TEXT]
            answer, content = {"error": {"kind": "predict" if model.is_loaded else "load", "text": text}}, b""
        write(target, answer, content)


def read(source: BinaryIO, most_bytes: int = 1 << 32) -> tuple[dict[str, Any], bytes] | None:
    """Return a message, or None at the end. Raises ValueError for one that is cut off, too long or no JSON object."""
    lengths = source.read(LENGTHS.size)
    if not lengths:
        return None
    if len(lengths) < LENGTHS.size:
        raise ValueError("a message was cut off")
    head, body = LENGTHS.unpack(lengths)
    if head + body > most_bytes:
        raise ValueError(f"a message of {head + body} bytes is too long")
    header, content = source.read(head), source.read(body)
    if (len(header), len(content)) != (head, body):
        raise ValueError("a message was cut off")
    message = json.loads(header)
    if not isinstance(message, dict):
        raise ValueError("a message has no header")
    return message, content


def write(target: BinaryIO, header: dict[str, Any], content: bytes = b"") -> None:
    """Send a message."""
    head = json.dumps(header).encode()
    target.write(LENGTHS.pack(len(head), len(content)))
    target.write(head)
    target.write(content)
    target.flush()


def _answer(model: Loaded, request: dict[str, Any], content: bytes) -> tuple[dict[str, Any], bytes]:
    if request["op"] == "load":
        model.load()
        return {}, b""
    if request["op"] == "example":
        model.example()
        return {}, b""
    rows = _rows(content, request["kinds"])
    if request["op"] == "predict":
        return _answered(model.predict(rows))
    found = model.probabilities(rows)
    if found is None:
        return {"classes": None}, b""
    classes, table = found
    header, values = _answered(table)
    return {"classes": [_plain(each) for each in classes], **header}, values


def _rows(content: bytes, kinds: dict[str, str]) -> Any:
    import numpy as np
    import pandas as pd
    import pyarrow

    rows = pyarrow.ipc.open_stream(content).read_all().to_pandas()
    for name, kind in kinds.items():
        if kind == "text" and rows[name].dtype != object:
            continue  # this pandas has the type too
        values = rows[name].to_numpy(dtype=object, copy=True)
        values[pd.isna(values)] = None if kind == "none" else np.nan
        rows[name] = pd.Series(values, dtype=object, index=rows.index)
    return rows


def _answered(given: Any) -> tuple[dict[str, Any], bytes]:
    """Return `{"shape", "dtype"}` with the numbers' bytes, or `{"shape", "values"}` with texts and the like; and "columns" of a table."""
    import numpy as np
    import pandas as pd

    header: dict[str, Any] = {}
    if isinstance(given, pd.DataFrame):
        header["columns"] = [str(name) for name in given.columns]
    values = np.asarray(given)
    header["shape"] = list(values.shape)
    if values.dtype.kind in "biuf":
        values = np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("<") if values.dtype.itemsize > 1 else values.dtype)
        return {**header, "dtype": values.dtype.str}, values.tobytes()
    pairs = zip(np.asarray(pd.isna(values)).ravel().tolist(), values.ravel().tolist())  # noqa: B905  # the model's Python may be old
    return {**header, "values": [None if missing else _plain(value) for missing, value in pairs]}, b""


def _plain(value: Any) -> Any:
    return value if isinstance(value, (bool, int, float, str)) else str(value)


def main(arguments: list[str]) -> None:
    """Serve over two descriptors that are open already, and leave without the model's exit handlers, threads or destructors."""
    model_dir, read_from, write_to, *soon = arguments
    source, target = os.fdopen(int(read_from), "rb"), os.fdopen(int(write_to), "wb")
    if soon:  # while the measuring process gets ready
        import mlflow.pyfunc  # noqa: F401
    serve(Loaded(model_dir), source, target)
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1:])
