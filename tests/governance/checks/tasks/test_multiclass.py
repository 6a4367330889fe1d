"""Three classes of iris and wine, compared with scikit-learn."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from scipy.stats import norm
from sklearn import metrics
from sklearn.datasets import load_iris, load_wine
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier

from governance.checks.base import Measurement, ModelPredictFailed, Table, UnsuitableData
from governance.checks.performance import Performance
from governance.checks.statistics.bootstrap import Bootstrap
from governance.checks.tasks.multiclass import Multiclass
from tests.governance.checks.answering import Answering, Rows

EXACT = {"rel": 1e-9, "abs": 1e-9}
CHECK = Performance(task="multiclass", slices=("half",), resamples=200)


def read(name: str, folder: Any) -> tuple[Rows, Answering, Answering]:
    """Return the rows that were not trained on, with a good model and a worse one, on two features each."""
    bunch = {"iris": load_iris, "wine": load_wine}[name](as_frame=True)
    frame = bunch.frame.copy()
    if name == "iris":
        frame["target"] = np.asarray(bunch.target_names)[frame["target"]]
    frame["half"] = np.where(np.arange(len(frame)) % 4 < 2, "a", "b")
    columns = bunch.feature_names[:2]
    train = np.arange(len(frame)) % 3 == 0
    rows = Rows.write(folder, frame[~train].reset_index(drop=True), "target")
    good = make_pipeline(StandardScaler(), LogisticRegression()).fit(frame.loc[train, columns], frame.loc[train, "target"])
    worse = DecisionTreeClassifier(max_depth=2, random_state=0).fit(frame.loc[train, columns[:1]], frame.loc[train, "target"])
    return rows, Answering(good, columns), Answering(worse, columns[:1])


@pytest.fixture(scope="module", params=["iris", "wine"])
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    rows, good, worse = read(request.param, tmp_path_factory.mktemp(request.param))
    return rows, good, worse, list(CHECK.run(rows.subject(good, worse)))


def measured(results: Any) -> dict[tuple[str, str], Measurement]:
    return {(each.metric, each.slice): each for each in results if isinstance(each, Measurement)}


def theirs(truth: Any, decided: Any, table: Any, classes: Any) -> dict[str, float]:
    numbers = {
        "accuracy": metrics.accuracy_score(truth, decided),
        "balanced_accuracy": metrics.balanced_accuracy_score(truth, decided),
        "cohen_kappa": metrics.cohen_kappa_score(truth, decided),
        "log_loss": metrics.log_loss(truth, table, labels=classes),
        "roc_auc": metrics.roc_auc_score(truth, table, multi_class="ovr", labels=classes),
        "roc_auc.hand_till": metrics.roc_auc_score(truth, table, multi_class="ovo", labels=classes),
    }
    for average in ("macro", "weighted"):
        scores = metrics.precision_recall_fscore_support(truth, decided, average=average, zero_division=0.0)
        numbers |= {f"{name}.{average}": score for name, score in zip(("precision", "recall", "f1"), scores, strict=False)}
    return numbers


@pytest.mark.parametrize("slice_", ["", "half=a", "half=b"])
def test_every_metric_and_difference_agrees_with_scikit_learn(case: Any, slice_: str) -> None:
    rows, good, worse, results = case
    found = measured(results)
    kept = rows.frame[rows.frame["half"] == slice_[-1]] if slice_ else rows.frame
    both = [
        theirs(kept["target"], each.predict(kept), each.probabilities(kept)[1], each.model.classes_) for each in (good, worse)
    ]
    for metric, value in both[0].items():
        each, gap = found[metric, slice_], found[f"{metric}.difference", slice_]
        assert each.value == pytest.approx(value, **EXACT), metric
        assert gap.value == pytest.approx(value - both[1][metric], **EXACT), metric
        for interval in (each, gap):
            assert interval.ci_low is not None and interval.ci_high is not None and interval.value is not None, metric
            assert interval.ci_low < interval.value < interval.ci_high, metric


def test_every_class_is_measured_against_the_rest(case: Any) -> None:
    rows, good, _, results = case
    found, truth = measured(results), rows.frame["target"]
    decided, (classes, table) = good.predict(rows.frame), good.probabilities(rows.frame)
    per_class = metrics.precision_recall_fscore_support(truth, decided, labels=classes)
    for place, name in enumerate(classes):
        for metric, values in zip(("precision", "recall", "f1"), per_class, strict=False):
            assert found[metric, f"class={name}"].value == pytest.approx(values[place], **EXACT)
        area = metrics.roc_auc_score(truth == name, table[:, place])
        assert found["roc_auc", f"class={name}"].value == pytest.approx(area, **EXACT)
    (confusion,) = (each for each in results if isinstance(each, Table) and each.name == "confusion_matrix")
    assert confusion.columns == ("truth", *(f"decided_{name}" for name in classes))
    expected = metrics.confusion_matrix(truth, decided, labels=classes).tolist()
    assert confusion.rows == tuple((str(name), *row) for name, row in zip(classes, expected, strict=True))


def influence_by_definition(rows: np.ndarray, positive: np.ndarray, scores: np.ndarray, n: int) -> np.ndarray:
    x, y = scores[positive][:, None], scores[~positive][None, :]
    psi = (x > y) + 0.5 * (x == y)
    found = np.zeros(n)
    found[rows[positive]] = (psi.mean(axis=1) - psi.mean()) / math.sqrt(psi.shape[0] * (psi.shape[0] - 1))
    found[rows[~positive]] = (psi.mean(axis=0) - psi.mean()) / math.sqrt(psi.shape[1] * (psi.shape[1] - 1))
    return found


def test_the_intervals_of_mean_areas_agree_with_all_pairs_of_rows(case: Any) -> None:
    rows, good, _, results = case
    truth, (classes, table) = rows.frame["target"].to_numpy(), good.probabilities(rows.frame)
    n, found = len(truth), measured(results)
    every = np.arange(n)
    rest = [influence_by_definition(every, truth == name, table[:, place], n) for place, name in enumerate(classes)]
    pairs = []
    for i, j in combinations(range(len(classes)), 2):
        of_pair = np.flatnonzero((truth == classes[i]) | (truth == classes[j]))
        pairs += [influence_by_definition(of_pair, truth[of_pair] == classes[k], table[of_pair, k], n) for k in (i, j)]
    for metric, parts in (("roc_auc", rest), ("roc_auc.hand_till", pairs)):
        half = norm.ppf(0.975) * math.sqrt(np.sum(np.mean(parts, axis=0) ** 2))
        each = found[metric, ""]
        assert each.value is not None
        assert each.ci_low == pytest.approx(each.value - half, **EXACT)
        assert each.ci_high == pytest.approx(min(1.0, each.value + half), **EXACT)


def test_two_classes_give_the_interval_of_delong(credit: Any) -> None:
    """With two classes each area is the other's, so their mean has the interval of one."""
    binary = measured(Performance(resamples=100).run(credit.subject()))
    several = measured(Performance(task="multiclass", resamples=100).run(credit.subject()))
    for metric in ("roc_auc", "log_loss", "accuracy"):
        mine, other = several[metric, ""], binary[metric, ""]
        assert (mine.value, mine.ci_low, mine.ci_high) == pytest.approx((other.value, other.ci_low, other.ci_high), **EXACT)
    assert several["roc_auc.hand_till", ""].value == pytest.approx(binary["roc_auc", ""].value, **EXACT)
    assert several["recall", "class=1"].value == binary["recall", ""].value


def test_labels_alone_and_tables_without_names_are_read(tmp_path: Any) -> None:
    rows, good, _ = read("wine", tmp_path)
    labels = Answering(LinearSVC().fit(rows.frame[good.columns], rows.frame["target"].astype(float)), good.columns)
    found = measured(CHECK.run(rows.subject(labels)))
    right = labels.predict(rows.frame) == rows.frame["target"]
    assert found["accuracy", ""].value == right.mean()  # classes 0.0 and 0 are one
    assert found["roc_auc", ""].value is None and "no probabilities" in found["roc_auc", ""].method
    assert ("roc_auc", "class=0") not in found

    class Table(Answering):
        def predict(self, rows: Any) -> Any:
            return self.model.predict_proba(rows[self.columns])

    tabled, named = (measured(CHECK.run(rows.subject(each))) for each in (Table(good.model, good.columns, False), good))
    assert tabled == named


def test_a_model_that_does_not_fit_the_target_is_refused(tmp_path: Any) -> None:
    rows, good, _ = read("wine", tmp_path)

    @replace_probabilities
    def too_much(table: Any) -> Any:
        return table * 0.5

    @replace_probabilities
    def negative(table: Any) -> Any:
        return table - 0.5

    for wrong, says in ((too_much, "do not add up to 1"), (negative, "outside 0 to 1")):
        with pytest.raises(UnsuitableData, match=says):
            list(CHECK.run(rows.subject(wrong(good.model, good.columns))))
    strange = LogisticRegression().fit(rows.frame[good.columns], rows.frame["target"].map("class {}".format))
    with pytest.raises(UnsuitableData, match="'class 0', which is none of the labels"):
        list(CHECK.run(rows.subject(Answering(strange, good.columns))))

    class Wide(Answering):
        def predict(self, rows: Any) -> Any:
            return np.full((len(rows), 4), 0.25)

    with pytest.raises(ModelPredictFailed, match="4 columns for 3 classes"):
        list(CHECK.run(rows.subject(Wide(good.model, good.columns, False))))


def replace_probabilities(change: Any) -> type[Answering]:
    class Changed(Answering):
        def probabilities(self, rows: Any) -> Any:
            classes, table = super().probabilities(rows) or ([], None)
            return classes, change(table)

    return Changed


def test_a_class_that_one_side_lacks_counts_without_an_error(tmp_path: Any) -> None:
    """The model does not know class 2, and the set has no row of class 0."""
    rows, good, _ = read("wine", tmp_path)
    known = rows.frame[rows.frame["target"] != 2]
    blind = Answering(LogisticRegression().fit(known[good.columns], known["target"]), good.columns)
    others = Rows.write(tmp_path, rows.frame[rows.frame["target"] != 0].reset_index(drop=True), "target")
    found = measured(CHECK.run(others.subject(blind, good)))
    truth, decided = others.frame["target"], blind.predict(others.frame)
    assert found["recall", "class=2"].value == 0 and found["recall", "class=0"].value is None
    assert found["balanced_accuracy", ""].value == pytest.approx(
        metrics.recall_score(truth, decided, average="macro", labels=[1, 2])
    )
    assert found["roc_auc", ""].method.startswith("each class against the rest, mean over 2 of 3 classes")
    assert found["roc_auc", "class=0"].method == "not computed: only one class is present"
    certain_mistake = -math.log(np.finfo(float).eps)
    assert (found["log_loss", ""].value or 0) > (truth == 2).mean() * certain_mistake * 0.99
    assert found["accuracy.difference", ""].value == pytest.approx(
        (decided == truth).mean() - (good.predict(others.frame) == truth).mean()
    )


def test_many_classes_make_a_long_confusion_table() -> None:
    names = tuple(str(each) for each in range(70))
    truth = np.arange(140) % 70
    answers = Multiclass(names, truth, np.where(truth < 69, truth, 0), None, Bootstrap(100))
    (table,) = answers.tables()
    assert table.columns == ("truth", "decided", "rows") and len(table.rows) == 70
    assert ("69", "0", 2) in table.rows
    (square,) = replace(answers, classes=names[:60], truth=truth % 60, decided=truth % 60).tables()
    assert len(square.columns) == 61 and len(square.rows) == 60


def test_a_champion_of_more_classes_is_compared_by_their_names(tmp_path: Any) -> None:
    """Class 1 is the first that the version knows, and the second that the champion knows."""
    rows, good, _ = read("wine", tmp_path)
    kept = rows.frame[rows.frame["target"] != 0].reset_index(drop=True)
    truth, others = kept["target"], Rows.write(tmp_path, kept, "target")
    mine = Answering(LogisticRegression().fit(kept[good.columns], truth), good.columns)
    found = measured(CHECK.run(others.subject(mine, good)))
    decided = [each.predict(kept) for each in (mine, good)]
    for metric, score in (("accuracy", metrics.accuracy_score), ("cohen_kappa", metrics.cohen_kappa_score)):
        gap = score(truth, decided[0]) - score(truth, decided[1])
        assert found[f"{metric}.difference", ""].value == pytest.approx(gap, **EXACT)
    tables = [each.model.predict_proba(kept[good.columns]) for each in (mine, good)]
    losses = [metrics.log_loss(truth, table, labels=known) for table, known in zip(tables, ([1, 2], [0, 1, 2]), strict=True)]
    assert found["log_loss.difference", ""].value == pytest.approx(losses[0] - losses[1], **EXACT)
    narrow, wide = measured(CHECK.run(others.subject(mine))), measured(CHECK.run(others.subject(good)))
    for metric in ("roc_auc", "roc_auc.hand_till", "f1.macro"):
        gap = (narrow[metric, ""].value or 0) - (wide[metric, ""].value or 0)
        low, high = found[f"{metric}.difference", ""].ci_low, found[f"{metric}.difference", ""].ci_high
        assert found[f"{metric}.difference", ""].value == pytest.approx(gap, **EXACT)
        assert low is not None and high is not None and low <= gap <= high
