"""What is read in batches is what is read whole, and takes the memory of a batch."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from governance.checks import tables
from governance.checks.base import MissingColumn, ModelPredictFailed, UnreadableInput, UnsuitableData
from governance.checks.labels import array_of, equals_label
from governance.checks.performance import Performance
from governance.checks.reading import Reader
from governance.checks.scoring import Questions, Values
from governance.checks.subject import DatasetSpec, Subject
from tests.governance.checks.conftest import ROOT

FRAME = pd.DataFrame(
    {
        "number": [3, 1, 2, 3, 9, 1, 7],
        "gaps": [0.5, None, 2.0, 2.0, None, 1.0, 0.5],
        "text": ["b", None, "a", "b", "c", "a", "b"],
        "late": ["1", "1", "2", "3", "4", "5", "x"],
    }
)


@pytest.fixture(params=["rows.csv", "rows.parquet", "rows.arrow"])
def reader(request: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Reader:
    """Return what reads the frame, two rows at a time."""
    path = tmp_path / request.param
    write = {".csv": FRAME.to_csv, ".parquet": FRAME.to_parquet, ".arrow": lambda path, index: FRAME.to_feather(path)}
    write[path.suffix](path, index=False)
    monkeypatch.setattr("governance.checks.reading.ROWS_AT_ONCE", 2)
    monkeypatch.setattr("governance.checks.reading._CELLS_AT_ONCE", 15)
    monkeypatch.setattr(Reader.batches, "__defaults__", (2,))
    return Reader(path, "rows")


def test_columns_and_rows_are_those_of_the_whole(reader: Reader) -> None:
    whole = tables.read_table(reader.path)
    assert (reader.row_count, reader.names) == (7, list(FRAME))
    for name in reader.names:
        pd.testing.assert_series_equal(reader.column(name, "a test"), whole[name])
    in_turn = dict(reader.columns_in_turn(reader.names))
    pd.testing.assert_frame_equal(pd.DataFrame(in_turn), whole)
    for places in ([0, 3, 6], [6, 0, 0, 5], [4]):
        expected = whole[["text", "number"]].iloc[places].reset_index(drop=True)
        pd.testing.assert_frame_equal(reader.rows(np.array(places), ["text", "number"]), expected)
    assert [len(each) for each in reader.batches([])] == [2, 2, 2, 1]
    assert reader._frame is None


def test_codes_are_those_of_the_whole_column(reader: Reader) -> None:
    whole = tables.read_table(reader.path)
    for name in reader.names:
        codes, different = reader.coded(name, "a test")
        expected, values = whole[name].factorize()
        assert codes.tolist() == expected.tolist() and different.tolist() == values.tolist()


def test_a_column_that_is_not_there_is_named(reader: Reader) -> None:
    for ask in (reader.column, reader.coded):
        with pytest.raises(MissingColumn, match="'other'"):
            ask("other", "a test")


def test_a_set_without_rows_is_refused(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("a,b\n")
    with pytest.raises(UnsuitableData, match="no rows"):
        _ = Reader(tmp_path / "rows.csv", "rows").row_count


@pytest.mark.parametrize(
    "parts",
    [
        [np.array([1, 0, 1]), np.array([5, 1])],
        [np.array([1, 0]), np.array([0.5])],
        [np.array(["a", "b", "a"], dtype=object), np.array(["c"], dtype=object)],
        [np.array([1, "a", True, 1.0], dtype=object)],
        [np.array([True, False]), np.array([True])],
        [np.arange(300), np.array([7])],
    ],
)
def test_values_kept_in_parts_are_the_values(parts: list[np.ndarray]) -> None:
    kept, expected = Values(), np.concatenate(parts)
    for part in parts:
        kept.add(part)
    found = kept.whole()
    assert found.dtype == expected.dtype and list(map(repr, found.tolist())) == list(map(repr, expected.tolist()))


@pytest.mark.parametrize(
    "values",
    [
        np.array(["yes", "no", "yes"], dtype=object),
        np.array([1, "1", 1.0, True, "True"], dtype=object),
        np.array([True, False]),
        np.array([1.0, 0.0, np.nan]),
        np.array(["1", "1.0"]),
    ],
    ids=["texts", "a mixture", "booleans", "numbers", "fixed width"],
)
@pytest.mark.parametrize("label", ["yes", "1", 1, True, 1.0, "True", "nan"])
def test_a_label_is_found_as_row_by_row(values: np.ndarray, label: Any) -> None:
    def is_label(value: Any) -> bool:
        try:
            return bool(value == float(label)) if values.dtype.kind in "biuf" else str(value) == str(label)
        except ValueError:
            return str(value) == str(label)

    assert equals_label(values, label).tolist() == [is_label(each) for each in values.tolist()]


def test_equal_texts_of_a_column_are_one_object() -> None:
    found = array_of(pd.Series(["good", "bad", "good"]))
    assert found.tolist() == ["good", "bad", "good"] and found[0] is found[2] and found.dtype == object


class Changing:
    """A model that answers otherwise from the second request on."""

    def __init__(self, *answers: Any) -> None:
        self._answers = list(answers)

    def load(self) -> None:
        """Do nothing: it is here."""

    def predict(self, rows: pd.DataFrame) -> Any:
        return self._answers.pop(0)

    def probabilities(self, rows: pd.DataFrame) -> Any:
        return self._answers.pop(0)

    def example(self) -> None:
        """Do nothing: there is none."""


@pytest.mark.parametrize(
    "ask, answers, says",
    [
        ("output", (np.zeros(1), np.zeros((1, 2))), "number of columns"),
        ("output", (pd.DataFrame({"a": [1], "b": [0]}), pd.DataFrame({"b": [1], "a": [0]})), "names its columns differently"),
        ("probabilities", ((["a", "b"], np.ones((1, 2))), (["b", "a"], np.ones((1, 2)))), "different classes"),
        ("probabilities", ((["a", "b"], np.ones((1, 2))), None), "different classes"),
    ],
)
def test_a_model_that_changes_the_form_of_its_answers_is_refused(ask: str, answers: tuple[Any, Any], says: str) -> None:
    from governance.checks.model import Model

    asked, rows = Questions(Model(Changing(*answers))), pd.DataFrame({"x": [1]})
    getattr(asked, ask)(rows)
    with pytest.raises(ModelPredictFailed, match=says):
        getattr(asked, ask)(rows)


def test_scoring_tells_how_far_it_is_and_reads_no_more_than_it_needs(credit: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = credit.subject()
    expected = list(Performance(slices=("sex",)).run(whole))
    monkeypatch.setattr(Reader.batches, "__defaults__", (100,))
    told: list[tuple[float, str]] = []
    subject = credit.subject()
    subject.progress = lambda done, text: told.append((done, text))
    found = list(Performance(slices=("sex",)).run(subject))
    np.testing.assert_allclose(subject.scores(), whole.scores(), rtol=1e-12)  # BLAS rounds by the size of a part
    assert [each.method for each in found[:8]] == [each.method for each in expected[:8]]  # type: ignore[union-attr]
    assert told[1:5] == [(pytest.approx(0.1 + 0.125 * part), f"Scoring row {100 * part + 1} of 400") for part in range(4)]
    assert subject.reader._frame is None and list(subject.reader._columns) == ["good_credit"]


def test_another_favourable_label_reads_nothing_again(credit: Any) -> None:
    subject = credit.subject()
    target = subject.column("good_credit", "a test")
    assert subject.with_favourable(0).column("good_credit", "a test") is target


def test_an_impossible_date_in_the_mlmodel_file_is_a_named_error(tmp_path: Path) -> None:
    (tmp_path / "MLmodel").write_text("utc_time_created: 2024-13-01\n")
    with pytest.raises(UnreadableInput, match="MLmodel"):
        _ = Subject(tmp_path, DatasetSpec(tmp_path / "rows.csv", "y")).mlmodel


_MEASURE = """
import re, sys
from pathlib import Path
import numpy as np
from governance.checks.fairness import Fairness
from governance.checks.performance import Performance
from governance.checks.reading import Reader
from governance.checks.subject import DatasetSpec, Subject

Reader.batches.__defaults__ = (10_000,)

class Mean:
    def load(self): pass
    def probabilities(self, rows): return [0, 1], np.column_stack([1 - rows.mean(axis=1), rows.mean(axis=1)])

folder, name = Path(sys.argv[1]), sys.argv[2]
for check in (Performance(slices=("group",)), Fairness(("group",))):
    list(check.run(Subject(folder, DatasetSpec(folder / name, "y"), predictor=Mean())))
print(int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) * 1024)
"""


def test_more_rows_take_less_memory_than_they_fill(tmp_path: Path) -> None:
    columns, random, peaks = 100, np.random.default_rng(0), {}
    inputs = ", ".join(f'{{"name": "x{index}", "type": "double"}}' for index in range(columns))
    (tmp_path / "MLmodel").write_text(f"signature:\n  inputs: '[{inputs}]'\n")
    for rows in (50_000, 200_000):
        frame = pd.DataFrame(random.random((rows, columns)), columns=[f"x{index}" for index in range(columns)])
        frame["group"], frame["y"] = random.choice(["a", "b"], rows), random.integers(0, 2, rows)
        frame.to_parquet(tmp_path / f"{rows}.parquet", row_group_size=10_000, compression=None, use_dictionary=False)
        command = [sys.executable, "-c", _MEASURE, str(tmp_path), f"{rows}.parquet"]
        environment = {**os.environ, "ARROW_DEFAULT_MEMORY_POOL": "system"}  # as in the sandbox
        done = subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, timeout=120)
        peaks[rows] = int(done.stdout)
    # Held whole and copied for the model, they would take more than three times that.
    assert peaks[200_000] - peaks[50_000] < 150_000 * 8 * columns
