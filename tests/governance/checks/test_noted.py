"""What is measured of answers that were noted in parts is what is measured of the model itself, and nothing else is taken for answers."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from governance.checks import catalogue, predictor
from governance.checks.base import CheckError
from governance.checks.execute import ANSWERS, execute
from governance.checks.model import ROWS_AT_ONCE, Remote
from governance.checks.noted import Noted

COUNT = 2 * ROWS_AT_ONCE + 7
STEPS = [(0, ROWS_AT_ONCE), (ROWS_AT_ONCE, 2 * ROWS_AT_ONCE), (2 * ROWS_AT_ONCE, COUNT)]


class Scripted:
    """A model that answers by these functions of the rows. `probabilities` may be None."""

    is_loaded = True

    def __init__(self, predict: Any, probabilities: Any = None, classes: Any = (0, 1)) -> None:
        self._predict, self._probabilities, self._classes = predict, probabilities, list(classes)

    def load(self) -> None:
        """Be ready."""

    def predict(self, rows: pd.DataFrame) -> Any:
        return self._predict(rows)

    def probabilities(self, rows: pd.DataFrame) -> Any:
        return None if self._probabilities is None else (self._classes, self._probabilities(rows))


def serve(model: Any, read_from: int, write_to: int) -> None:
    with os.fdopen(read_from, "rb") as source, os.fdopen(write_to, "wb") as target:
        predictor.serve(model, source, target)


@contextmanager
def answering(models: dict[str, Scripted]) -> Iterator[dict[str, Remote]]:
    """Yield predictors at the other end of real pipes, each asked from a thread."""
    with ExitStack() as held:
        found = {}
        for name, model in models.items():
            (requests_out, requests_in), (answers_out, answers_in) = os.pipe(), os.pipe()
            ends = [held.enter_context(os.fdopen(answers_out, "rb")), held.enter_context(os.fdopen(requests_in, "wb"))]
            threading.Thread(target=serve, args=(model, requests_out, answers_in), daemon=True).start()
            found[name] = Remote(*ends)
        yield found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The evaluation set, and the files of a model without a signature."""
    made = tmp_path_factory.mktemp("noted")
    random = np.random.default_rng(5)
    x = random.normal(size=COUNT)
    truth = (x + random.normal(size=COUNT) > 0).astype(int)
    frame = pd.DataFrame({"x": x, "sex": np.where(random.random(COUNT) < 0.4, "female", "male"), "query": np.arange(COUNT) // 40})
    frame.assign(y=truth, three=np.array(["low", "middle", "high"])[(truth + (x > 1)).astype(int)]).to_parquet(
        made / "rows.parquet", index=False, row_group_size=30_011
    )
    (made / "MLmodel").write_text("flavors: {}\n")
    return made


def spec(folder: Path, check: str, target: str, parameters: dict[str, Any], **more: Any) -> dict[str, Any]:
    dataset = {"path": str(folder / "rows.parquet"), "target": target, "favourable": 1, "name": "rows"}
    dirs = {"model_dir": str(folder), "champion_dir": str(folder)}
    return {"check": check, "parameters": parameters, **dirs, "dataset": dataset, "seed": 3, **more}


def noted(given: dict[str, Any], models: dict[str, Scripted], out: Path, most_bytes: int = 1 << 28) -> list[dict[str, Any]]:
    """Note the answers to each part, in a folder and by processes of its own, and return how that ended."""
    ended = []
    for start, stop in STEPS:
        (out / str(start)).mkdir(parents=True)
        asks = catalogue.asks_rows(given["check"], given["parameters"])
        part = {"run": "r", "start": start, "stop": stop, "asks": asks, "most_bytes": most_bytes}
        with answering(models) as predictors:
            ended.append(execute({**given, "part": part}, out / str(start), predictors))
    return ended


def replayed(given: dict[str, Any], out: Path) -> dict[str, Any]:
    files = [{"path": str(out / str(start) / ANSWERS), "start": start, "stop": stop} for start, stop in STEPS]
    return execute({**given, "answers": {"run": "r", "files": files}}, out)


def logistic(rows: pd.DataFrame, by: float = 1.0) -> np.ndarray:
    p = 1 / (1 + np.exp(-by * rows["x"].to_numpy()))
    return np.column_stack([1 - p, p])


def named(rows: pd.DataFrame) -> np.ndarray:
    return np.where(rows["x"] > 1, "high", np.where(rows["x"] > 0, "middle", "low")).astype(object)


def thirds(rows: pd.DataFrame) -> np.ndarray:
    two = logistic(rows)
    return np.column_stack([two[:, 1] / 4, two[:, 0], two[:, 1] * 3 / 4])


def broken_later(rows: pd.DataFrame) -> np.ndarray:
    if len(rows) < ROWS_AT_ONCE:
        raise RuntimeError("broken on purpose")
    return logistic(rows)


PROBABLE = Scripted(lambda rows: (rows["x"] > 0).astype(int), logistic)
LABELS = Scripted(lambda rows: (rows["x"] > 0.1).astype(int))
NUMBERS = Scripted(lambda rows: rows["x"] * 0.3 + 0.4)
CLASSES = Scripted(named, thirds, ("high", "low", "middle"))
FAILING = Scripted(lambda rows: broken_later(rows)[:, 1], broken_later)
SEX = {"sensitive": ["sex"]}


@pytest.mark.parametrize(
    ("check", "target", "parameters", "model", "champion"),
    [
        ("performance", "y", {"slices": ["sex"], "resamples": 100}, PROBABLE, LABELS),
        ("performance", "y", {"task": "regression", "resamples": 100}, NUMBERS, NUMBERS),
        ("performance", "three", {"task": "multiclass", "resamples": 100}, CLASSES, CLASSES),
        ("performance", "y", {"task": "ranking", "query": "query", "resamples": 100}, NUMBERS, PROBABLE),
        ("performance", "y", {"resamples": 100}, LABELS, FAILING),
        ("fairness", "y", SEX, PROBABLE, NUMBERS),
        ("fairness", "y", SEX, LABELS, FAILING),
    ],
    ids=["binary", "regression", "multiclass", "ranking", "a champion that fails", "fairness", "fairness beside one that fails"],
)
def test_what_is_measured_of_parts_is_what_is_measured_in_one_piece(
    folder: Path, tmp_path: Path, check: str, target: str, parameters: dict[str, Any], model: Scripted, champion: Scripted
) -> None:
    given = spec(folder, check, target, parameters)
    models = {"model": model, "champion": champion}
    with answering(models) as predictors:
        whole = execute(given, tmp_path, predictors)
    assert whole["error"] is None and len(whole["measurements"]) > 5
    assert [each["error"] for each in noted(given, models, tmp_path)] == [None] * len(STEPS)
    found = replayed(given, tmp_path)
    assert {**found, "seconds": 0} == {**whole, "seconds": 0}
    assert ("broken on purpose" in json.dumps(found)) == (champion is FAILING)


def test_a_fault_of_the_version_ends_the_part_as_it_ends_the_whole(folder: Path, tmp_path: Path) -> None:
    given = spec(folder, "fairness", "y", SEX)
    with answering({"model": FAILING, "champion": LABELS}) as predictors:
        whole = execute(given, tmp_path, predictors)
    ended = noted(given, {"model": FAILING, "champion": LABELS}, tmp_path)
    assert [each["error"] for each in ended] == [None, None, whole["error"]]
    assert whole["error"]["code"] == "model_predict_failed" and "broken on purpose" in whole["error"]["message"]


def test_answers_that_take_too_much_space_are_refused_while_they_are_noted(folder: Path, tmp_path: Path) -> None:
    ended = noted(spec(folder, "fairness", "y", SEX), {"model": PROBABLE, "champion": LABELS}, tmp_path, most_bytes=100_000)
    assert ended[0]["error"]["code"] == "answers_too_large"
    assert all(path.stat().st_size <= 100_000 for path in tmp_path.rglob(ANSWERS))


def test_a_check_that_asks_anything_else_is_not_divided() -> None:
    asking = {name: catalogue.asks_rows(name, {}) for name in catalogue.available()}
    assert {name for name, asks in asking.items() if asks} == {"performance"}  # fairness needs its features named
    assert catalogue.asks_rows("fairness", SEX) == "probabilities" and catalogue.asks_rows("gone", {}) == ""


HEAD = {"of": "model", "op": "probabilities", "start": 0, "rows": ROWS_AT_ONCE}
TABLE = {"classes": [0, 1], "shape": [ROWS_AT_ONCE, 2], "dtype": "<f8"}
FIRST = {"run": "r", "start": 0, "stop": ROWS_AT_ONCE}
HALF = np.full((ROWS_AT_ONCE, 2), 0.5).tobytes()


@pytest.mark.parametrize(
    ("messages", "code", "words"),
    [
        ([({**FIRST, "run": "another"}, b"")], "invalid_answers", "of another run"),
        ([({**FIRST, "start": ROWS_AT_ONCE}, b"")], "invalid_answers", "of other rows"),
        ([(FIRST, b"")], "invalid_answers", "No answer of the model to probabilities"),
        ([(FIRST, b""), ({**HEAD, "rows": 3, "answer": TABLE}, HALF)], "invalid_answers", "no batch"),
        ([(FIRST, b""), ({**HEAD, "start": 7, "answer": TABLE}, HALF)], "invalid_answers", "no batch"),
        ([(FIRST, b""), ({**HEAD, "of": "judge", "answer": TABLE}, HALF)], "invalid_answers", "what it is to"),
        ([(FIRST, b""), (HEAD, HALF)], "invalid_answers", "neither an answer nor an error"),
        ([(FIRST, b""), *[({**HEAD, "answer": TABLE}, HALF)] * 2], "invalid_answers", "two answers"),
        ([(FIRST, b""), ({**HEAD, "answer": TABLE}, HALF[:-8])], "model_predict_failed", "cannot be read"),
        ([(FIRST, b""), ({**HEAD, "answer": {**TABLE, "dtype": "|O"}}, HALF)], "model_predict_failed", "cannot be read"),
        ([(FIRST, b""), ({**HEAD, "answer": {**TABLE, "shape": [5, 2]}}, HALF[:80])], "model_predict_failed", "(5, 2)"),
        ([(FIRST, b""), ({**HEAD, "answer": TABLE}, HALF[:-8] + np.float64(np.nan).tobytes())], "unsuitable_data", "missing"),
    ],
)
def test_whatever_else_stands_in_a_file_is_refused_by_name(
    folder: Path, tmp_path: Path, messages: list[tuple[dict[str, Any], bytes]], code: str, words: str
) -> None:
    with (tmp_path / "noted").open("wb") as file:
        for header, content in messages:
            predictor.write(file, header, content)
    frame = pd.read_parquet(folder / "rows.parquet").head(ROWS_AT_ONCE)
    frame.to_parquet(tmp_path / "rows.parquet", index=False)
    given = spec(folder, "fairness", "y", SEX)
    given["dataset"]["path"], given["champion_dir"] = str(tmp_path / "rows.parquet"), None
    files = [{"path": str(tmp_path / "noted"), "start": 0, "stop": ROWS_AT_ONCE}]
    error = execute({**given, "answers": {"run": "r", "files": files}}, tmp_path)["error"]
    assert error["code"] == code and words in error["message"], error


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (predictor.LENGTHS.pack(9, 0) + b"[1, 2, 3]", "no header"),
        (predictor.LENGTHS.pack(2, 1 << 31) + b"{}", "cut off"),
        (predictor.LENGTHS.pack((1 << 32) - 1, 0) + b"{}", "begins with 4294967295 bytes"),
        (predictor.LENGTHS.pack(4, 0) + b"\x80\x04N.", "cannot be read"),  # a pickle
        (b"\0\0", "cut off"),
    ],
)
def test_a_file_of_anything_else_is_refused(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "noted").write_bytes(content)
    with pytest.raises(CheckError, match=words):
        Noted([(tmp_path / "noted", 0, 5)], "r")
