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
        self._texts: bool | None = None

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
        model, raw = self.load(), self._raw()
        rows = self._wanted(rows, raw)
        if _is_session(raw):
            return _of_session(raw, rows)[1]
        if self._takes_texts(raw, rows):
            how = model.metadata.flavors["python_function"].get("predict_fn") or "predict"
            return getattr(raw, how)(rows.iloc[:, 0])
        return model.predict(rows)

    def probabilities(self, rows: Any) -> tuple[list[Any], Any] | None:
        """Return the classes and a probability of each for every row, or None of a model that does not say them."""
        import numpy as np

        raw = self._raw()
        if _is_session(raw):
            classes, table = _of_session(raw, self._wanted(rows, raw))
            return None if classes is None else (classes, table)
        if not (hasattr(raw, "predict_proba") and hasattr(raw, "classes_")):
            return None
        rows = self._wanted(rows, raw)
        given = raw.predict_proba(rows.iloc[:, 0] if self._takes_texts(raw, rows) else rows)
        return np.asarray(raw.classes_).tolist(), np.asarray(given, dtype=float)

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

    def _wanted(self, rows: Any, raw: Any) -> Any:
        """Return the rows as the signature declares them; without one, the columns that the model itself names."""
        schema = self.load().metadata.get_input_schema()
        if schema is not None:
            return _as_declared(rows, schema)
        names = getattr(raw, "feature_names_in_", None)
        return rows if names is None or not set(names) <= set(rows.columns) else rows[list(names)]

    def _takes_texts(self, raw: Any, rows: Any) -> bool:
        """Return whether it takes the one column of texts by itself, as scikit-learn's vectorisers do.

        Such a one takes a table for its columns' names, whatever the rows, and gives one answer: so it is told by giving it two rows.
        """
        if rows.shape[1] != 1 or rows.iloc[:, 0].dtype.kind != "O" or not hasattr(raw, "predict"):
            return False
        if self._texts is None:
            try:
                self._texts = len(raw.predict(rows.iloc[[0, 0]])) == 1
            except Exception:  # noqa: BLE001  # then it is asked as every model is, and what it raises is told
                self._texts = False
        return self._texts


def _as_declared(rows: Any, schema: Any) -> Any:
    """Return the rows with the types that the model's signature declares, where every value keeps its meaning.

    A file of rows has numbers where the signature tells float from double. MLflow's server reads rows by the signature
    (`mlflow.pyfunc.scoring_server`, `parse_csv_input`), while `predict` refuses what differs, even whole numbers for double.
    """
    columns = [each for each in schema.inputs if getattr(each, "name", None) in rows.columns]
    if not columns and schema.is_tensor_spec() and len(schema.inputs) == 1:  # one tensor of all columns
        kind, shape = schema.inputs[0].type.name, schema.inputs[0].shape
        if len(shape) == 2 and shape[1] not in (-1, rows.shape[1]):
            raise ValueError(
                f"the signature asks for a tensor of {shape[1]} columns without naming them, and the rows have {rows.shape[1]}: give a "
                "data set that has these and the target alone, or name them in the signature"
            )
        return rows.assign(**{name: _cast(rows[name], kind) for name in rows.columns})
    return rows.assign(**{each.name: _cast(rows[each.name], getattr(each.type, "name", "")) for each in columns})


_FLOATS = {"float": "float32", "double": "float64", "float16": "float16", "float32": "float32", "float64": "float64"}
_WHOLE = {"integer": "int32", "long": "int64", "int8": "int8", "int16": "int16", "int32": "int32", "int64": "int64"}


def _cast(values: Any, kind: str) -> Any:
    """Return a column with a type's name in a signature, or as it is if that would change a value: MLflow then says what is wrong."""
    import numpy as np
    import pandas as pd

    is_number = isinstance(values.dtype, np.dtype) and values.dtype.kind in "iuf"
    if kind in _FLOATS and is_number:
        return values.astype(_FLOATS[kind])
    if kind in _WHOLE and is_number:
        bounds = np.iinfo(_WHOLE[kind])
        fits = np.isfinite(values) & (values == np.floor(values)) & (values >= bounds.min) & (values <= bounds.max)
        return values.astype(_WHOLE[kind]) if bool(fits.all()) else values
    if kind in ("boolean", "bool") and is_number:
        return values.astype(bool) if bool(values.isin([0, 1]).all()) else values
    if kind == "string" and is_number and values.dtype.kind != "f":
        return values.map(str)
    if kind == "datetime" and values.dtype.kind == "O":
        return pd.to_datetime(values)
    return values


def _is_session(raw: Any) -> bool:
    """Return whether the model is a session of ONNX Runtime."""
    return type(raw).__module__.partition(".")[0] == "onnxruntime"


_TENSORS = {"tensor(float)": "float32", "tensor(double)": "float64", "tensor(bool)": "bool", "tensor(string)": "object"}


def _of_session(session: Any, rows: Any) -> tuple[list[Any] | None, Any]:
    """Return the classes, if they are said, and the answer of an ONNX model: its table of probabilities, else its first output.

    It is asked itself, since MLflow's wrapper flattens each output for a table of one row each, and fails where a classifier gives a label
    and a probability of each class. Classes are said where these are maps (ONNX-ML, operator ZipMap).
    """
    import numpy as np

    inputs = session.get_inputs()
    kinds = [_TENSORS.get(each.type, each.type[len("tensor(") : -1]) for each in inputs]
    if len(inputs) == 1:
        feeds = {inputs[0].name: rows.to_numpy(dtype=kinds[0])}
    else:
        feeds = {
            each.name: rows[[each.name]].to_numpy(dtype=kind) if len(each.shape) == 2 else rows[each.name].to_numpy(dtype=kind)
            for each, kind in zip(inputs, kinds)  # noqa: B905  # the model's Python may be old
        }
    outputs = session.run(None, feeds)
    for output in outputs:
        if isinstance(output, list) and output and isinstance(output[0], dict):
            classes = list(output[0])
            return classes, np.asarray([[row[each] for each in classes] for row in output], dtype=float)
    tables = [each for each in outputs if isinstance(each, np.ndarray) and each.dtype.kind == "f" and each.ndim == 2]
    return None, next((each for each in tables if each.shape[1] > 1), outputs[0])


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
