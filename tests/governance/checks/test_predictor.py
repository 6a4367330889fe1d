"""A model answers from a process of its own as it would in ours, and an answer that is none is the model's failure."""

from __future__ import annotations

import io
import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from governance.checks import predictor
from governance.checks.base import ModelLoadFailed, ModelPredictFailed, UnsuitableData
from governance.checks.model import Model, Remote
from governance.checks.predictor import Loaded
from tests.governance.checks.conftest import FEATURES, answering


def test_a_model_answers_there_as_here(credit: Any) -> None:
    rows = credit.test[FEATURES]
    with answering(credit.skops) as pipes:
        there, here = Model(Remote(*pipes)), Model(Loaded(str(credit.skops)))
        np.testing.assert_array_equal(there.output(rows), here.output(rows))
        (classes, table), (classes_here, table_here) = there.probabilities(rows), here.probabilities(rows)  # type: ignore[misc]
        there.answer_example()
    assert classes == classes_here == [0, 1]
    np.testing.assert_array_equal(table, table_here)


def test_many_rows_are_asked_for_in_parts(credit: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("governance.checks.model.ROWS_AT_ONCE", 7)
    rows = credit.test[FEATURES].head(30)
    with answering(credit.skops) as pipes:
        there = Model(Remote(*pipes))
        np.testing.assert_array_equal(there.output(rows), credit.pipeline.predict(rows))
        _, table = there.probabilities(rows)  # type: ignore[misc]
    np.testing.assert_allclose(table, credit.pipeline.predict_proba(rows), rtol=1e-12)  # BLAS rounds by the size of a part


class Echo:
    """Answers with what it was given."""

    def __init__(self, given: Any = None) -> None:
        self.given = given

    def load(self) -> Echo:
        return self

    is_loaded = True

    def predict(self, rows: pd.DataFrame) -> Any:
        self.rows = rows
        return rows["x"] if self.given is None else self.given

    def probabilities(self, rows: pd.DataFrame) -> Any:
        return self.given

    def example(self) -> None:
        raise SystemExit(3)


def ask(model: Any, rows: pd.DataFrame, what: str = "predict") -> Any:
    """Ask once, through the bytes of both sides."""
    asked, answered = io.BytesIO(), io.BytesIO()
    with pytest.raises(ModelPredictFailed, match="process ended"):
        getattr(Remote(io.BytesIO(), asked), what)(rows)
    predictor.serve(model, io.BytesIO(asked.getvalue()), answered)
    return getattr(Remote(io.BytesIO(answered.getvalue()), io.BytesIO()), what)(rows)


@pytest.mark.parametrize(
    "column",
    [
        [1, 2, 3], [0.5, float("nan"), 1e300], [True, False, True], ["a", "b", "ü"], [2**62, -(2**62), 0],
        np.array([1, 2, 3], dtype=">i4"), np.array([0.1, 0.2, 0.3], dtype="float32"), [1, "a", 2.5],
    ],
    ids=str,
)  # fmt: skip
def test_answers_of_every_kind_arrive_as_they_were(column: Any) -> None:
    values = (
        np.asarray(column, dtype=object)
        if isinstance(column, list) and len({type(v) for v in column}) > 1
        else np.asarray(column)
    )
    got = ask(Echo(values), pd.DataFrame({"x": [1, 2, 3]}))
    assert got.dtype.kind == (values.dtype.kind if values.dtype.kind in "biuf" else "O")
    assert (
        got.tolist() == pytest.approx(values.tolist(), nan_ok=True) if got.dtype.kind == "f" else got.tolist() == values.tolist()
    )


def test_a_table_keeps_its_names() -> None:
    got = ask(Echo(pd.DataFrame({"good": [0.25, 0.5], "bad": [0.75, 0.5]})), pd.DataFrame({"x": [1, 2]}))
    assert list(got.columns) == ["good", "bad"] and got["bad"].tolist() == [0.75, 0.5]


def test_rows_arrive_with_their_types_and_with_what_is_missing() -> None:
    rows = pd.DataFrame(
        {
            "x": [1, 2, 3],
            "text": ["a", np.nan, "c"],
            "nan": pd.Series(["a", np.nan, "c"], dtype=object, index=[7, 8, 9]),
            "none": pd.Series(["a", None, "c"], dtype=object, index=[7, 8, 9]),
            "number": [0.5, np.nan, 1.5],
            "flag": [True, False, True],
            "when": pd.to_datetime(["2026-01-01", None, "2026-01-03"]),
            "kind": pd.Categorical(["u", "v", "u"]),
        },
        index=[7, 8, 9],
    )
    model = Echo()
    ask(model, rows)
    pd.testing.assert_frame_equal(model.rows, rows.reset_index(drop=True))
    assert isinstance(model.rows["nan"][1], float) and model.rows["none"][1] is None


def test_rows_that_no_table_holds_are_the_data_sets_fault() -> None:
    with pytest.raises(UnsuitableData, match="one type"):
        Remote(io.BytesIO(), io.BytesIO()).predict(pd.DataFrame({"x": [1, "a", {}]}))


@pytest.mark.parametrize(
    "given, kind, expected",
    [
        ([1, 2], "double", np.array([1.0, 2.0])),
        ([0.1, 2.0], "float", np.array([0.1, 2.0], dtype="float32")),
        ([1, 2**31 - 1], "integer", np.array([1, 2**31 - 1], dtype="int32")),
        ([1, 2**31], "integer", np.array([1, 2**31])),  # would not be the same number
        ([1.0, 2.0], "long", np.array([1, 2])),
        ([1.0, 2.5], "long", np.array([1.0, 2.5])),
        ([1.0, np.nan], "long", np.array([1.0, np.nan])),
        ([0, 1], "boolean", np.array([False, True])),
        ([0, 2], "boolean", np.array([0, 2])),
        ([7, 8], "string", np.array(["7", "8"], dtype=object)),
        ([7.0, 8.0], "string", np.array([7.0, 8.0])),  # 7 or 7.0, nobody knows
        (["2026-01-31"], "datetime", np.array(["2026-01-31"], dtype="datetime64[ns]")),
        (["a", None], "string", np.array(["a", None], dtype=object)),
        (["a"], "double", np.array(["a"], dtype=object)),
    ],
)
def test_a_column_is_given_as_declared_unless_a_value_would_change(given: list[Any], kind: str, expected: Any) -> None:
    cast = predictor._cast(pd.Series(given), kind).to_numpy()
    assert (cast.dtype.kind, cast.dtype.itemsize) == (expected.dtype.kind, expected.dtype.itemsize)
    pd.testing.assert_series_equal(pd.Series(cast), pd.Series(expected), check_dtype=False)


def test_columns_that_are_neither_classes_nor_probabilities_are_refused() -> None:
    rows = pd.DataFrame({"x": [1.0, 2.0]})
    answers = {
        "label and score": pd.DataFrame({"label": [0, 1], "score": [0.2, 0.7]}),
        "probabilities": pd.DataFrame({"bad": [0.8, 0.3], "good": [0.2, 0.7]}),
        "classes": pd.DataFrame({"1": [0.2, 9.0], "0": [0.8, 0.3], "rows": [1, 2]}),
    }
    with pytest.raises(ModelPredictFailed, match="columns label, score, which are neither"):
        Model(Echo(answers["label and score"])).output(rows, ["0", "1"])
    assert Model(Echo(answers["probabilities"])).output(rows, ["0", "1"]).tolist() == [[0.8, 0.2], [0.3, 0.7]]
    assert Model(Echo(answers["classes"])).output(rows, ["0", "1"]).tolist() == [[0.8, 0.2], [0.3, 9.0]]


def test_what_a_model_raises_is_told_with_its_kind(credit: Any, tmp_path: Path) -> None:
    with answering(tmp_path) as pipes, pytest.raises(ModelLoadFailed, match="MLmodel"):
        Model(Remote(*pipes))
    with answering(credit.skops) as pipes:
        model = Model(Remote(*pipes))
        with pytest.raises(ModelPredictFailed, match="status"):
            model.output(credit.test[["age"]])
        assert len(model.output(credit.test[FEATURES]))  # and it still answers
    with pytest.raises(ModelPredictFailed, match="SystemExit: 3"):
        answer = io.BytesIO()
        predictor.serve(Echo(), io.BytesIO(message({"op": "example"})), answer)  # type: ignore[arg-type]
        Remote(io.BytesIO(answer.getvalue()), io.BytesIO()).example()


def message(header: Any, content: bytes = b"") -> bytes:
    head = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack(">II", len(head), len(content)) + head + content


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\x00\x00",
        struct.pack(">II", 2**32 - 1, 2**32 - 1),
        struct.pack(">II", 10, 0) + b"{}",
        message(b"no json"),
        message(b"\xff\xfe"),
        message([]),
        message(b"[" * 100_000),
        message({}),
        message({"shape": [3]}),
        message({"shape": [-3], "dtype": "<f8"}),
        message({"shape": [True], "dtype": "|b1"}, b"x"),
        message({"shape": [3], "dtype": "<f8"}, b"x" * 23),
        message({"shape": [3], "dtype": "|O"}, b"x" * 24),
        message({"shape": [3], "dtype": "|V8"}, b"x" * 24),
        message({"shape": [3], "dtype": ["<f8"]}, b"x" * 24),
        message({"shape": [3, 1, 1], "dtype": "<f8"}, b"x" * 24),
        message({"shape": [2**40, 2**40], "dtype": "<f8"}),
        message({"shape": [2], "dtype": "<f8"}, b"x" * 16),
        message({"shape": [3], "values": [1, 2]}),
        message({"shape": [3], "values": [1, 2, {"a": []}]}),
        message({"shape": [3], "values": "abc"}),
        message({"shape": [3, 1], "dtype": "<f8", "columns": ["a", "b"]}, b"x" * 24),
        message({"shape": [3], "dtype": "<f8", "columns": ["a"]}, b"x" * 24),
        message({"shape": [3, 1], "values": [1, 2, 3], "columns": [["a"]]}),
        message({"error": 7}),
        message({"error": {"kind": ["load"], "text": {}}}),
    ],
    ids=lambda answer: repr(answer[:40]),
)
@pytest.mark.parametrize("what", ["predict", "probabilities"])
def test_an_answer_that_is_none_is_the_models_failure(answer: bytes, what: str) -> None:
    model = Model(Remote(io.BytesIO(message({}) + answer), io.BytesIO()))
    with pytest.raises(ModelPredictFailed):
        (model.output if what == "predict" else model.probabilities)(pd.DataFrame({"x": [1, 2, 3]}))


def test_classes_that_are_no_labels_are_refused() -> None:
    answer = message({"classes": [{"a": 1}, []], "shape": [2, 2], "dtype": "<f8"}, b"\0" * 32)
    with pytest.raises(ModelPredictFailed, match="classes"):
        Remote(io.BytesIO(answer), io.BytesIO()).probabilities(pd.DataFrame({"x": [1, 2]}))
