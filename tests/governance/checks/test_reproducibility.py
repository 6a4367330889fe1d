"""Models that are not reproducible, each in its own way, are told apart; an honest one passes bit for bit."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from governance.checks import execute
from governance.checks.base import Finding, Measurement, MissingColumn, MissingInput, ModelPredictFailed, Table, UnsuitableData
from governance.checks.catalogue import build
from governance.checks.model import Remote
from governance.checks.predictor import Loaded
from governance.checks.reproducibility import Pair, Reproducibility
from governance.checks.subject import DatasetSpec, Subject
from tests.governance.checks.conftest import FEATURES, answering
from tests.governance.checks.scripted import save_script

EXACT = {"rel": 1e-9, "abs": 1e-12}
X = np.random.default_rng(7).normal(size=40)
ROWS = pd.DataFrame({"x": X, "word": [f"w{place % 3}" for place in range(40)]})

# What each model runs when it is loaded, and when it is asked for `rows`.
MODELS = {
    "honest": ("pass", "return (rows['x'] * 2).to_numpy()"),
    "counting": ("self.asked = 0", "self.asked += 1\nreturn (rows['x'] + self.asked).to_numpy()"),
    "seeded": ("self.random = np.random.default_rng(3)", "return (rows['x'] + self.random.normal(size=len(rows))).to_numpy()"),
    "random": ("pass", "return (rows['x'] + np.random.default_rng().normal(size=len(rows))).to_numpy()"),
    "unrestored": ("self.weight = np.random.default_rng().normal()", "return (rows['x'] * self.weight).to_numpy()"),
    "cumulative": ("pass", "return rows['x'].cumsum().to_numpy()"),
    "centred": ("pass", "return (rows['x'] - rows['x'].mean()).to_numpy()"),
    "remembering": ("self.seen = 0", "seen, self.seen = self.seen, len(rows)\nreturn (rows['x'] + (seen not in (0, 40))).to_numpy()"),
    "rounding": ("pass", "return (rows['x'] * (1.0 + (len(rows) == 7) * 1e-12)).to_numpy()"),
    "labels": ("pass", "return np.where(rows['x'] + 0 * len(rows) > 0, 'yes', 'no')"),
    "ranks": ("pass", "return np.where(rows['x'] >= rows['x'].max(), 'top', 'other')"),
    "classes": ("pass", "return (rows['x'] > 0).astype(int).to_numpy()"),
    "mixed": ("self.n = 0", "self.n += 1\nreturn pd.DataFrame({'label': rows['word'], 'score': rows['x'] + self.n * 0.25})"),
    "large": ("pass", "if len(rows) < 5:\n    raise ValueError('at least five rows')\nreturn rows['x'].to_numpy()"),
    "unsteady": ("pass", "return rows[['x']].to_numpy() if len(rows) == 1 else np.column_stack([rows['x']] * 2)"),
    "holes": ("pass", "return np.where(rows.index < 1, np.inf, rows['x'])"),
}  # fmt: skip


@dataclass(frozen=True)
class Shelf:
    """Where the models are saved, and the rows they are asked for."""

    folder: Path
    rows: Path

    def subject(self, name: str, **more: Any) -> Subject:
        """Return a subject with two copies of the model, each loaded by itself."""
        model = self.folder / name
        spec = DatasetSpec(more.pop("rows", self.rows), "y", 1)
        return Subject(model, spec, predictor=Loaded(str(model)), second=Loaded(str(model)), **more)


@pytest.fixture(scope="session")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    folder = tmp_path_factory.mktemp("reproducibility")
    for name, (load, predict) in MODELS.items():
        save_script(folder / name, predict, load)
    ROWS.assign(y=(X > 0).astype(int)).to_parquet(folder / "rows.parquet")
    return Shelf(folder, folder / "rows.parquet")


def measured(results: list[Any]) -> dict[str, Measurement]:
    return {each.metric.removeprefix("reproducibility."): each for each in results if isinstance(each, Measurement)}


def found(results: list[Any]) -> dict[str, Finding]:
    return {each.rule: each for each in results if isinstance(each, Finding)}


def run(subject: Subject, **parameters: Any) -> list[Any]:
    return list(Reproducibility(**parameters).run(subject))


def test_an_honest_model_repeats_itself_bit_for_bit(shelf: Shelf) -> None:
    results = run(shelf.subject("honest"))
    values = measured(results)
    assert list(values) == [
        "process_difference", "identical_share", "repeat_difference", "repeat_identical_share", "order_difference",
        "order_identical_share", "batch_difference", "batch_identical_share", "logged_difference", "logged_identical_share",
    ]  # fmt: skip
    for name in ("process", "repeat", "order", "batch"):
        assert values[f"{name}_difference"].value == 0.0 and values[f"{name}_difference"].n == 40
    share = values["identical_share"]
    assert (share.value, share.n, share.ci_high) == (1.0, 40, 1.0) and "bit for bit" in share.method
    assert share.ci_low == pytest.approx(1 / (1 + 1.959963984540054**2 / 40), **EXACT)  # Wilson at 40 of 40
    assert values["logged_difference"].value is None and "not measured" in values["logged_difference"].method
    assert len(results) == len(values), "neither findings nor a table"


@pytest.mark.parametrize(
    ("model", "rules", "differing"),
    [
        ("counting", {"keeps-state"}, {"repeat", "order", "batch"}),
        ("seeded", {"keeps-state"}, {"repeat", "order", "batch"}),
        ("random", {"random-answers"}, {"process", "repeat", "order", "batch"}),
        ("unrestored", {"differs-by-process"}, {"process"}),
        ("cumulative", {"depends-on-order", "depends-on-batch"}, {"order", "batch"}),
        ("centred", {"depends-on-batch", "rounding"}, {"order", "batch"}),
        ("remembering", {"keeps-state"}, {"repeat", "batch"}),
        ("rounding", {"rounding"}, {"batch"}),
        ("ranks", {"depends-on-batch"}, {"batch"}),
    ],
)
def test_each_kind_of_irreproducibility_has_its_name(shelf: Shelf, model: str, rules: set[str], differing: set[str]) -> None:
    results = run(shelf.subject(model))
    values = measured(results)
    names = {"process": "identical_share"}
    apart = {
        kind for kind in ("process", "repeat", "order", "batch") if values[names.get(kind, f"{kind}_identical_share")].value != 1
    }
    assert set(found(results)) - {"rounding"} == rules - {"rounding"}
    assert apart - {"order"} == differing - {"order"}
    if model != "centred":  # whose mean may round by the order, or not
        assert apart == differing and set(found(results)) == rules


def test_the_numbers_are_those_of_numpy(shelf: Shelf) -> None:
    values = measured(run(shelf.subject("centred"), batch_sizes=[7]))
    parts = np.concatenate([X[start : start + 7] - X[start : start + 7].mean() for start in range(0, 40, 7)])
    assert values["batch_difference"].value == pytest.approx(np.abs(parts - (X - X.mean())).max(), **EXACT)
    assert values["batch_identical_share"].value == np.mean(parts == X - X.mean())
    counting = measured(run(shelf.subject("counting"), batch_sizes=[7]))
    # Asked at first, again, in another order, in six batches, and again: the last is the tenth time.
    assert counting["repeat_difference"].value == pytest.approx(9, **EXACT)
    assert counting["order_difference"].value == pytest.approx(2, **EXACT)
    assert counting["batch_difference"].value == pytest.approx(8, **EXACT)
    random = np.random.default_rng(3)
    drawn = [random.normal(size=40) for _ in range(2)]
    seeded = measured(run(shelf.subject("seeded"), batch_sizes=[40]))
    assert (seeded["repeat_difference"].value or 0) >= np.abs(drawn[1] - drawn[0]).max() - 1e-12
    assert seeded["batch_difference"].value is None and "no batch size" in seeded["batch_difference"].method


def test_a_tolerance_lets_small_differences_pass(shelf: Shelf) -> None:
    largest = measured(run(shelf.subject("rounding")))["batch_difference"].value
    assert largest == pytest.approx(np.abs(X).max() * 1e-12, rel=1e-3)
    results = run(shelf.subject("rounding"), tolerance=1e-9)
    assert measured(results)["batch_identical_share"].value == 1.0 and not found(results)
    assert measured(results)["batch_difference"].value == largest
    assert "within 1e-09" in measured(results)["batch_identical_share"].method
    gross = run(shelf.subject("counting"), tolerance=5.0)
    assert measured(gross)["order_identical_share"].value == 1.0 and "keeps-state" in found(gross)
    assert not found(run(shelf.subject("counting"), tolerance=100.0))


def test_a_finding_shows_the_first_rows_that_differ(shelf: Shelf) -> None:
    results = run(shelf.subject("counting"))
    finding = found(results)["keeps-state"]
    assert (finding.severity, finding.location) == ("high", "repeat")
    first = float(X[0] + 1)
    assert "40 of 40 rows are answered otherwise asked again after all others, by up to" in finding.message
    assert f"counted from 0: row 0: {first!r} and " in finding.message and finding.message.count("row ") == 5
    table = next(each for each in results if isinstance(each, Table))
    rows = [dict(zip(table.columns, row, strict=True)) for row in table.rows]
    assert table.name == "irreproducible_rows" and {row["comparison"] for row in rows} == {"repeat", "order", "batch"}
    assert float(rows[1]["other"]) - float(rows[1]["first"]) == pytest.approx(rows[1]["difference"], **EXACT)


def test_the_places_named_are_those_in_the_data_set(shelf: Shelf) -> None:
    results = run(shelf.subject("counting", seed=5), rows=3)
    rows = next(each for each in results if isinstance(each, Table)).rows
    places = [row[2] for row in rows if row[0] == "repeat"]
    assert places == sorted(set(places)) and len(places) == 3 and places != [0, 1, 2]
    for row in rows:
        assert float(str(row[3])) == pytest.approx(X[int(str(row[2]))] + 1, **EXACT)
    assert measured(results)["identical_share"].n == 3
    assert results == run(shelf.subject("counting", seed=5), rows=3) != run(shelf.subject("counting", seed=6), rows=3)


def test_labels_are_compared_as_shares_alone(shelf: Shelf) -> None:
    for model in ("labels", "classes"):
        values = measured(run(shelf.subject(model)))
        assert values["process_difference"].value is None and "labels" in values["process_difference"].method
        assert values["identical_share"].value == values["batch_identical_share"].value == 1.0
    values = measured(run(shelf.subject("ranks"), batch_sizes=[1]))
    assert values["batch_identical_share"].value == 1 / 40  # alone, each row is the top
    assert values["batch_difference"].value is None


def test_a_table_of_labels_and_numbers_is_one_answer(shelf: Shelf) -> None:
    values = measured(run(shelf.subject("mixed"), batch_sizes=[20]))
    assert values["identical_share"].value == 1.0 and values["process_difference"].value == 0.0
    assert values["repeat_difference"].value == pytest.approx(1.25, **EXACT) and values["repeat_identical_share"].value == 0.0


def test_a_model_that_refuses_a_batch_is_told_and_not_failed(shelf: Shelf) -> None:
    results = run(shelf.subject("large"))
    values, finding = measured(results), found(results)["refuses-batch"]
    assert values["batch_difference"].value is None and "at least five rows" in values["batch_difference"].method
    assert values["order_identical_share"].value == values["repeat_identical_share"].value == 1.0
    assert (finding.severity, finding.location) == ("medium", "batch") and "at least five rows" in finding.message
    with pytest.raises(ModelPredictFailed, match="at least five rows"):
        run(shelf.subject("large"), rows=4)


def test_answers_of_another_form_are_no_answers_alike(shelf: Shelf) -> None:
    results = run(shelf.subject("unsteady"), batch_sizes=[1])
    assert measured(results)["batch_identical_share"].value == 0.0
    assert "2 columns and 1 columns" in found(results)["depends-on-batch"].message
    mixed = run(shelf.subject("unsteady"), batch_sizes=[3])  # of 40 rows the last batch has one
    assert "another number of columns" in (measured(mixed)["batch_difference"].method)


def test_what_is_not_finite_is_not_a_small_difference(shelf: Shelf) -> None:
    values = measured(run(shelf.subject("holes"), batch_sizes=[20]))
    assert values["process_difference"].value == 0.0, "two infinities are the same"
    assert values["batch_difference"].value is None and "not finite" in values["batch_difference"].method
    assert values["batch_identical_share"].value == 39 / 40
    pair = Pair("", [np.array([math.nan, math.nan, 0.0])], [np.array([math.nan, 1.0, -0.0])], 0.0)
    assert pair.same.tolist() == [True, False, True] and pair.gaps is not None and pair.gaps.tolist() == [0.0, math.inf, 0.0]


def test_one_row_has_no_order_and_no_batches(shelf: Shelf) -> None:
    values = measured(run(shelf.subject("honest"), rows=1))
    assert values["identical_share"].value == 1.0
    for kind in ("order", "batch"):
        assert values[f"{kind}_identical_share"].value is None and "one row" in values[f"{kind}_difference"].method


def test_probabilities_are_compared_beside_labels(credit: Any) -> None:
    subject = replace(credit.subject(), second=Loaded(str(credit.skops)))
    results = run(subject, tolerance=1e-12, rows=20, batch_sizes=[7])
    values = measured(results)
    assert values["process_difference"].value == 0.0 and values["identical_share"].value == 1.0
    batch = values["batch_difference"].value
    assert batch is not None and batch < 1e-12 and not found(results)  # BLAS rounds by the size of a batch


def test_another_process_is_asked(shelf: Shelf) -> None:
    with answering(shelf.folder / "unrestored") as there:
        results = run(replace(shelf.subject("unrestored"), second=Remote(*there)), rows=5)
    values = measured(results)
    assert (values["process_difference"].value or 0) > 0 and values["repeat_difference"].value == 0.0
    assert set(found(results)) == {"differs-by-process"}


@pytest.fixture
def log(tmp_path: Path) -> Callable[..., Path]:
    def write(frame: pd.DataFrame, name: str = "log.parquet") -> Path:
        path = tmp_path / name
        frame.to_parquet(path) if name.endswith("parquet") else frame.to_csv(path, index=False)
        return path

    return write


def test_predictions_logged_at_training_are_compared(shelf: Shelf, log: Callable[..., Path]) -> None:
    then = ROWS.assign(prediction=X * 2)
    then.loc[[4, 9], "prediction"] += [0.5, -0.125]
    results = run(shelf.subject("honest", others={"log": log(then)}), logged="log")
    values, finding = measured(results), found(results)["differs-from-log"]
    assert values["logged_difference"].value == pytest.approx(0.5, **EXACT) and values["logged_identical_share"].value == 38 / 40
    assert "row 4: " in finding.message and "row 9: " in finding.message and finding.location == "logged"
    exact = run(shelf.subject("honest", others={"log": log(ROWS.assign(prediction=X * 2))}), logged="log")
    assert measured(exact)["logged_identical_share"].value == 1.0 and not found(exact)


def test_logged_labels_and_probabilities_of_a_classifier(credit: Any, log: Callable[..., Path]) -> None:
    rows = credit.test[FEATURES].head(20)
    subject = replace(credit.subject(), second=Loaded(str(credit.skops)))
    sizes = {"rows": 20, "batch_sizes": [10], "logged": "log"}
    for predicted in (credit.pipeline.predict(rows), credit.pipeline.predict(rows).astype(float)):
        values = measured(
            run(replace(subject, others={"log": log(rows.assign(label=predicted))}), **sizes, prediction_column="label")
        )
        assert values["logged_identical_share"].value == 1.0 and values["logged_difference"].value is None
    scores = credit.pipeline.predict_proba(rows)[:, 1]
    path = log(rows.assign(prediction=scores.round(3)))
    results = run(replace(subject, others={"log": path}), **sizes, tolerance=0.0005 + 1e-9)
    assert measured(results)["logged_difference"].value == pytest.approx(np.abs(scores.round(3) - scores).max(), abs=1e-9)
    assert measured(results)["logged_identical_share"].value == 1.0


def test_a_log_of_numbers_in_short_is_rounding_and_no_other_model(shelf: Shelf, log: Callable[..., Path]) -> None:
    short = ROWS.assign(prediction=(X * 2).astype("float32"))
    results = run(shelf.subject("honest", others={"log": log(short)}), logged="log")
    assert (found(results)["rounding"].severity, found(results)["rounding"].location) == ("info", "logged")
    assert 0 < (measured(results)["logged_difference"].value or 0) < 1e-6


def test_a_log_that_cannot_be_compared_says_why(shelf: Shelf, log: Callable[..., Path]) -> None:
    def compare(frame: pd.DataFrame, model: str = "honest") -> None:
        run(shelf.subject(model, others={"log": log(frame)}), logged="log")

    with pytest.raises(MissingInput, match="'log'"):
        run(shelf.subject("honest"), logged="log")
    with pytest.raises(MissingColumn, match=r"'prediction'.*log"):
        compare(ROWS)
    with pytest.raises(MissingColumn, match="'word'"):
        compare(ROWS[["x"]].assign(prediction=1.0))
    with pytest.raises(UnsuitableData, match="2 rows without a prediction"):
        compare(ROWS.assign(prediction=[None, None, *X[2:]]))
    with pytest.raises(UnsuitableData, match="holds fractions"):
        compare(ROWS.assign(prediction=X), "labels")


def test_parameters_and_the_second_process_are_asked_for(shelf: Shelf) -> None:
    assert build("reproducibility", {"batch_sizes": [2], "logged": None, "tolerance": 1}) == Reproducibility(
        1.0, batch_sizes=(2,)
    )
    assert Reproducibility.asks_again
    for wrong in ({"tolerance": -1}, {"rows": 0}, {"batch_sizes": []}, {"batch_sizes": [0]}):
        with pytest.raises(ValueError, match="reproducibility"):
            build("reproducibility", wrong)
    with pytest.raises(MissingInput, match="second process"):
        run(replace(shelf.subject("honest"), second=None))
    document = execute.document(run(shelf.subject("random")), None, 0.1)
    assert document["status"] == "completed" and all(len(each["message"]) < 2000 for each in document["findings"])
