"""Rankings are compared with scikit-learn query by query, and ties with the mean over all orders of the tied rows."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from sklearn import metrics

from governance.checks.statistics.retrieval import Rankings

EXACT = {"rel": 1e-9, "abs": 1e-9}
RANDOM = np.random.default_rng(23)


def rankings(query: np.ndarray, grade: np.ndarray, scores: np.ndarray) -> Rankings:
    return Rankings(query, grade.astype(float), grade >= 1, scores)


def reciprocal_rank(relevant: np.ndarray, scores: np.ndarray) -> float:
    return 1.0 / (1 + int(np.flatnonzero(relevant[np.argsort(-scores, kind="stable")])[0]))


@pytest.mark.parametrize("digits", [1, 12])
@pytest.mark.parametrize("most", [1, 5, 10, 100])
def test_ndcg_agrees_with_scikit_learn_with_and_without_ties(digits: int, most: int) -> None:
    query = RANDOM.permutation(np.repeat(np.arange(12), RANDOM.integers(2, 30, 12)))
    grade = np.where(query == 7, 0, RANDOM.integers(0, 4, len(query)))
    scores = RANDOM.random(len(query)).round(digits)
    found = rankings(query, grade, scores).ndcg(most)
    for each in range(12):
        rows = query == each
        if not grade[rows].any():
            assert np.isnan(found[each])
        else:
            assert found[each] == pytest.approx(metrics.ndcg_score([grade[rows]], [scores[rows]], k=most), **EXACT)


def test_precision_and_rank_agree_with_scikit_learn_where_no_scores_are_tied() -> None:
    query = RANDOM.permutation(np.repeat(np.arange(10), 15))
    grade, scores = RANDOM.integers(0, 3, 150), RANDOM.random(150)
    found = rankings(query, grade, scores)
    for each in range(10):
        relevant, of_query = grade[query == each] >= 1, scores[query == each]
        precision = metrics.average_precision_score(relevant, of_query)
        assert found.average_precision[each] == pytest.approx(precision, **EXACT)
        assert found.reciprocal_rank[each] == pytest.approx(reciprocal_rank(relevant, of_query), **EXACT)


@pytest.mark.parametrize(
    "grade, scores",
    [
        ([0, 1, 0, 1, 2, 0], [0.5, 0.5, 0.5, 0.5, 0.5, 0.5]),
        ([0, 1, 0, 1, 2, 0], [0.9, 0.5, 0.5, 0.5, 0.1, 0.1]),
        ([1, 1, 0, 0, 0, 1], [0.2, 0.2, 0.7, 0.7, 0.7, 0.2]),
        ([1, 0], [0.3, 0.3]),
        ([2], [0.3]),
    ],
)
def test_ties_count_as_the_mean_over_all_orders(grade: list[int], scores: list[float]) -> None:
    """Every order of all rows is taken; a stable sort then leaves the tied ones in it."""
    means = []
    for order in permutations(range(len(grade))):
        relevant, of_query = np.array(grade)[list(order)] >= 1, np.array(scores)[list(order)]
        places = np.flatnonzero(relevant[np.argsort(-of_query, kind="stable")]) + 1
        precision = np.mean(np.arange(1, len(places) + 1) / places)
        means.append((precision, reciprocal_rank(relevant, of_query)))
    # Another query beside it, so that offsets into the rows are not those into the query.
    query = np.array([0] * 3 + [1] * len(grade))
    found = rankings(query, np.array([1, 0, 1, *grade]), np.array([0.5, 0.5, 0.9, *scores]))
    assert (found.average_precision[1], found.reciprocal_rank[1]) == pytest.approx(tuple(np.mean(means, axis=0)), **EXACT)


def test_a_query_without_a_relevant_row_has_no_number() -> None:
    found = rankings(np.array([0, 0, 1, 1]), np.array([0, 0, 1, 0]), np.array([0.1, 0.2, 0.4, 0.4]))
    assert np.isnan(found.average_precision[0]) and np.isnan(found.reciprocal_rank[0]) and np.isnan(found.ndcg(10)[0])
    assert found.average_precision[1] == found.reciprocal_rank[1] == 0.75
