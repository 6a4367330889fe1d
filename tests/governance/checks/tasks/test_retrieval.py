"""Rows of many queries, ranked by a regression and by a classifier of grades."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn import metrics
from sklearn.linear_model import LinearRegression, LogisticRegression

from governance.checks.base import Measurement, MissingColumn, Table, UnsuitableData
from governance.checks.performance import Performance
from tests.governance.checks.answering import Answering, Rows

EXACT = {"rel": 1e-9, "abs": 1e-9}
CHECK = Performance(task="ranking", query="search", cutoffs=(3, 10), slices=("language",), resamples=500)


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Any:
    random = np.random.default_rng(31)
    frame = pd.DataFrame(
        {"search": random.integers(0, 30, 450), "match": random.normal(size=450), "age": random.normal(size=450)}
    )
    frame["language"] = np.where(frame["search"] < 12, "de", "en")
    frame["search"] = "query " + frame["search"].astype(str)
    frame["grade"] = np.clip((frame["match"] + 0.3 * frame["age"] + random.normal(size=450)).round(), 0, 3).astype(int)
    frame.loc[frame["search"] == "query 5", "grade"] = 0
    rows = Rows.write(tmp_path_factory.mktemp("searches"), frame, "grade")
    models = [
        Answering(LinearRegression().fit(frame[columns], frame["grade"]), columns) for columns in (["match", "age"], ["age"])
    ]
    results = list(CHECK.run(rows.subject(*models)))
    return rows, models, results, {(each.metric, each.slice): each for each in results if isinstance(each, Measurement)}


def theirs(frame: pd.DataFrame, scores: np.ndarray) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {"ndcg@3": [], "ndcg@10": [], "map": [], "mrr": []}
    for _, rows in frame.assign(score=scores).groupby("search"):
        if not rows["grade"].any():
            continue
        for most in (3, 10):
            found[f"ndcg@{most}"].append(metrics.ndcg_score([rows["grade"]], [rows["score"]], k=most))
        found["map"].append(metrics.average_precision_score(rows["grade"] >= 1, rows["score"]))
        ordered = (rows.sort_values("score", ascending=False)["grade"] >= 1).to_numpy()
        found["mrr"].append(1.0 / (1 + ordered.argmax()))
    return found


@pytest.mark.parametrize("slice_", ["", "language=de", "language=en"])
def test_every_metric_and_difference_agrees_with_scikit_learn(case: Any, slice_: str) -> None:
    rows, models, _, found = case
    kept = rows.frame[rows.frame["language"] == slice_[-2:]] if slice_ else rows.frame
    mine, others = (theirs(kept, each.predict(kept)) for each in models)
    for metric, values in mine.items():
        each, gap = found[metric, slice_], found[f"{metric}.difference", slice_]
        assert each.value == pytest.approx(np.mean(values), **EXACT) and each.n == len(values), metric
        assert gap.value == pytest.approx(np.mean(values) - np.mean(others[metric]), **EXACT), metric
        low, high = stats.ttest_rel(values, others[metric]).confidence_interval(0.95)
        assert (gap.ci_low, gap.ci_high) == pytest.approx((low, high), abs=0.07)
        assert "resamples of queries" in each.method


def test_the_table_shows_the_spread_over_queries(case: Any) -> None:
    rows, models, results, _ = case
    (table,) = (each for each in results if isinstance(each, Table) and each.name == "queries")
    values = theirs(rows.frame, models[0].predict(rows.frame))
    assert table.columns == ("share_of_queries", "ndcg@3", "ndcg@10", "map", "mrr")
    assert [row[0] for row in table.rows] == [each / 10 for each in range(11)]
    assert [row[3] for row in table.rows] == pytest.approx(np.quantile(values["map"], np.linspace(0, 1, 11)), **EXACT)


def test_a_classifier_of_grades_ranks_by_its_mean_grade(case: Any) -> None:
    rows, models, _, _ = case
    columns = models[0].columns
    graded = Answering(LogisticRegression().fit(rows.frame[columns], rows.frame["grade"]), columns)
    found = {each.metric: each for each in CHECK.run(rows.subject(graded)) if isinstance(each, Measurement) and not each.slice}
    mean = graded.model.predict_proba(rows.frame[columns]) @ graded.model.classes_
    assert found["ndcg@10"].value == pytest.approx(np.mean(theirs(rows.frame, mean)["ndcg@10"]), **EXACT)
    assert found["map"].method.startswith("mean over queries, 1 without a relevant row left out; ")
    named = Answering(LogisticRegression().fit(rows.frame[columns], rows.frame["grade"].map("grade {}".format)), columns)
    with pytest.raises(UnsuitableData, match="which are no grades"):
        list(CHECK.run(rows.subject(named)))


def test_rows_without_a_query_or_with_a_grade_that_is_none_are_refused(case: Any, tmp_path: Any) -> None:
    rows, models, _, _ = case
    head = rows.frame.iloc[:50]
    for frame, says in (
        (head.assign(search=head["search"].where(head.index > 3)), "'search' names the query and has rows without a value"),
        (head.assign(grade=head["grade"] - 1), "grades below 0"),
        (head.assign(grade="good"), "must be finite numbers"),
    ):
        with pytest.raises(UnsuitableData, match=says):
            list(CHECK.run(Rows.write(tmp_path, frame, "grade").subject(models[0])))
    with pytest.raises(MissingColumn, match="'session'"):
        list(Performance(task="ranking", query="session").run(rows.subject(models[0])))


def test_nothing_relevant_leaves_no_number(case: Any, tmp_path: Any) -> None:
    rows, models, _, _ = case
    dull = Rows.write(tmp_path, rows.frame.iloc[:50].assign(grade=0), "grade")
    results = list(Performance(task="ranking", query="search").run(dull.subject(*models)))
    found = {each.metric: each for each in results if isinstance(each, Measurement)}
    for metric in ("ndcg@10", "map", "mrr", "ndcg@10.difference", "map.difference"):
        assert (found[metric].value, found[metric].method) == (None, "not computed: no query has a relevant row")
