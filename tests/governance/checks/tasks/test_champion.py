"""This version beside a champion that is better, equal, of another kind, or broken."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.stats import norm
from sklearn import metrics
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC

from governance.checks.base import Measurement, Table
from governance.checks.performance import Performance
from governance.checks.statistics.paired import discordant
from tests.governance.checks.answering import Answering, Rows
from tests.governance.checks.conftest import FEATURES

EXACT = {"rel": 1e-9, "abs": 1e-9}
CHECK = Performance(slices=("sex",), resamples=300)
COMPARED = ["accuracy", "precision", "recall", "f1", "roc_auc", "pr_auc", "log_loss", "brier"]
FEW = ["duration_months", "credit_amount", "age"]


@pytest.fixture(scope="module")
def case(credit: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    rows = Rows.write(tmp_path_factory.mktemp("credit"), credit.test, "good_credit")
    simple = LogisticRegression(max_iter=5000).fit(credit.test[FEW], credit.truth)
    return rows, Answering(credit.pipeline, FEATURES), Answering(simple, FEW)


def measured(results: Any) -> dict[tuple[str, str], Measurement]:
    return {(each.metric, each.slice): each for each in results if isinstance(each, Measurement)}


@pytest.fixture(scope="module")
def found(case: Any) -> Any:
    rows, mine, other = case
    return measured(CHECK.run(rows.subject(mine, other)))


@pytest.mark.parametrize("slice_", ["", "sex=female", "sex=male"])
def test_every_difference_agrees_with_scikit_learn(case: Any, found: Any, slice_: str) -> None:
    rows, *models = case
    kept = rows.frame[rows.frame["sex"] == slice_[4:]] if slice_ else rows.frame
    truth = kept["good_credit"].to_numpy()
    scores = [each.probabilities(kept)[1][:, 1] for each in models]
    decided = [each >= 0.5 for each in scores]
    theirs = {
        "accuracy": metrics.accuracy_score, "precision": metrics.precision_score, "recall": metrics.recall_score,
        "f1": metrics.f1_score, "roc_auc": metrics.roc_auc_score, "pr_auc": metrics.average_precision_score,
        "log_loss": metrics.log_loss, "brier": metrics.brier_score_loss,
    }  # fmt: skip
    for place, (metric, score) in enumerate(theirs.items()):
        mine, other = (score(truth, each) for each in (decided if place < 4 else scores))
        gap = found[f"{metric}.difference", slice_]
        assert gap.value == pytest.approx(mine - other, **EXACT), metric
        assert gap.ci_low < gap.value < gap.ci_high, metric
    right = [each == (truth == 1) for each in decided]
    accuracy, recall = found["accuracy.difference", slice_], found["recall.difference", slice_]
    assert (accuracy.ci_low, accuracy.ci_high) == discordant(*right).interval and accuracy.n == len(truth)
    positives = [each[truth == 1] for each in right]
    assert (recall.ci_low, recall.ci_high) == discordant(*positives).interval and recall.n == truth.sum()
    errors = (scores[0] - truth) ** 2 - (scores[1] - truth) ** 2
    brier = found["brier.difference", slice_]
    half = norm.ppf(0.975) * errors.std(ddof=1) / np.sqrt(len(errors))
    assert (brier.ci_low, brier.ci_high) == pytest.approx((errors.mean() - half, errors.mean() + half), abs=0.25 * half)


def test_without_a_champion_nothing_is_compared_and_nothing_else_changes(case: Any, found: Any) -> None:
    rows, mine, _ = case
    alone = list(CHECK.run(rows.subject(mine)))
    assert measured(alone) == {key: each for key, each in found.items() if not key[0].endswith(".difference")}
    assert "against_champion" not in {each.name for each in alone if isinstance(each, Table)}


def test_a_version_does_not_differ_from_itself(case: Any) -> None:
    rows, mine, _ = case
    subject = rows.subject(mine, mine)
    results = list(Performance(resamples=100).run(subject))
    (table,) = (each for each in results if isinstance(each, Table) and each.name == "against_champion")
    assert [row[0] for row in table.rows] == COMPARED
    assert all(row[3] == 0 and row[4] <= 0 <= row[5] for row in table.rows)
    assert subject.champion is not None and subject.champion.frame is subject.frame  # read once


def test_a_champion_of_labels_alone_is_compared_in_its_decisions(case: Any) -> None:
    rows, mine, _ = case
    labels = Answering(LinearSVC().fit(rows.frame[FEW], rows.frame["good_credit"]), FEW)
    for first, second, says in (
        (mine, labels, "the champion gives labels and no probabilities"),
        (labels, mine, "the model gives labels and no probabilities"),
    ):
        gaps = measured(Performance(resamples=100).run(rows.subject(first, second)))
        assert gaps["accuracy.difference", ""].value is not None
        for metric in ("roc_auc", "pr_auc", "log_loss", "brier"):
            assert gaps[f"{metric}.difference", ""].value is None
            assert gaps[f"{metric}.difference", ""].method == f"not computed: {says}"


def test_a_champion_that_fails_leaves_the_versions_own_numbers(case: Any, found: Any, tmp_path: Any) -> None:
    rows, mine, _ = case

    class Broken(Answering):
        def predict(self, rows: Any) -> Any:
            raise RuntimeError("out of order")

        probabilities = predict

    results = list(CHECK.run(rows.subject(mine, Broken(None, []))))
    now = measured(results)
    assert now["roc_auc", ""] == found["roc_auc", ""]
    for metric in COMPARED:
        gap = now[f"{metric}.difference", ""]
        assert gap.value is None and "the champion cannot be compared" in gap.method and "out of order" in gap.method
    subject = rows.subject(mine, mine)
    subject.champion = Rows.write(tmp_path, rows.frame.iloc[:50], "good_credit").subject(mine)
    assert "it was given 50 rows and this version 400" in measured(CHECK.run(subject))["f1.difference", ""].method
