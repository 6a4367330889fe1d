"""Shapley values are compared with closed forms and with their definition."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations
from typing import Any

import numpy as np
import pytest

from governance.checks.statistics.shapley import Estimate, Plan, estimate, plan

Function = Callable[[Any], Any]


class Game:
    """A function of rows, asked as a model is; it counts the rows and remembers how many came at once."""

    def __init__(self, function: Function, rows: np.ndarray) -> None:
        self._function, self._rows = function, rows
        self.calls: list[int] = []

    def __call__(self, places: np.ndarray) -> np.ndarray:
        self.calls.append(len(places))
        return np.asarray(self._function(self._rows[places, np.arange(self._rows.shape[1])]), dtype=float)


def rows(number: int, features: int, seed: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(number, features))


def shapley(function: Function, table: np.ndarray, planned: Plan, seed: int = 0) -> Estimate:
    return estimate(Game(function, table), planned, np.random.default_rng(seed), lambda done: None)


def by_definition(function: Function, explained: np.ndarray, background: np.ndarray) -> np.ndarray:
    """The mean over all orders of the features of what each adds when it joins: Shapley 1953."""
    features = explained.shape[1]
    values = np.zeros_like(explained)
    orders = list(permutations(range(features)))
    for order in orders:
        mixed = np.repeat(background[None], len(explained), axis=0)
        before = function(mixed.reshape(-1, features)).reshape(mixed.shape[:2]).mean(axis=1)
        for feature in order:
            mixed[:, :, feature] = explained[:, None, feature]
            after = function(mixed.reshape(-1, features)).reshape(mixed.shape[:2]).mean(axis=1)
            values[:, feature] += (after - before) / len(orders)
            before = after
    return values


def linear(x: np.ndarray) -> Any:
    return x @ np.array([2.0, -1.0, 0.5, 0.0]) + 3.0


def entangled(x: np.ndarray) -> Any:
    """Features 0 and 1 matter alike, 4 not at all."""
    return np.tanh(x[:, 0] + x[:, 1]) + x[:, 0] * x[:, 1] * x[:, 2] + np.maximum(x[:, 2], x[:, 3])


def test_of_a_linear_model_a_value_is_the_weight_times_the_distance_from_the_mean() -> None:
    table, weights = rows(17, 4), np.array([2.0, -1.0, 0.5, 0.0])
    expected = weights * (table[:7] - table[7:].mean(axis=0))
    # Without interactions every permutation says the same, so that sampling is exact as soon as each background row is used.
    for rounds in (0, 1, 3):
        found = shapley(linear, table, Plan(4, 7, 10, rounds))
        assert found.values == pytest.approx(expected, abs=1e-9)
        assert found.base == pytest.approx(linear(table[7:]).mean(), abs=1e-9)
        assert (found.values[:, 3] == 0.0).all(), "a feature that changes no answer has exactly 0"


def test_an_interaction_is_shared_out_equally() -> None:
    """f = x y against one row (a, b): Shapley value of x is (x - a)(y + b) / 2, and so for y."""
    table = np.array([[3.0, 5.0], [-1.0, 2.0], [1.0, 2.0]])
    found = shapley(lambda x: x[:, 0] * x[:, 1], table, Plan(2, 2, 1, 0))
    x, (a, b) = table[:2], table[2]
    expected = np.column_stack([(x[:, 0] - a) * (x[:, 1] + b) / 2, (x[:, 1] - b) * (x[:, 0] + a) / 2])
    assert found.values == pytest.approx(expected, abs=1e-9)
    # All three of a product, from nothing: a third each. A pair of permutations is exact for two features, and not for three.
    ones = np.array([[1.0, 1.0, 1.0], [1.0, 1.0, 1.0], [0.0, 0.0, 0.0]])
    assert shapley(lambda x: x.prod(axis=1), ones, Plan(3, 2, 1, 0)).values == pytest.approx(np.full((2, 3), 1 / 3), abs=1e-9)


def test_all_coalitions_give_what_the_definition_says() -> None:
    table = rows(9, 5)
    found = shapley(entangled, table, Plan(5, 4, 5, 0))
    assert found.values == pytest.approx(by_definition(entangled, table[:4], table[4:]), abs=1e-9)
    assert (found.errors == 0.0).all() and (found.values[:, 4] == 0.0).all()


def test_features_that_matter_alike_have_alike_values() -> None:
    table = rows(6, 5)
    table[:, 1] = table[:, 0]
    found = shapley(entangled, table, Plan(5, 3, 3, 0)).values
    assert found[:, 0] == pytest.approx(found[:, 1], abs=1e-9)
    sampled = shapley(entangled, table, Plan(5, 3, 3, 300))
    assert np.abs(sampled.values[:, 0] - sampled.values[:, 1]).max() <= 4 * 2**0.5 * sampled.errors.max()


def test_samples_are_as_near_as_their_error_says_and_add_up_exactly() -> None:
    table = rows(46, 5)
    exact = shapley(entangled, table, Plan(5, 40, 6, 0))
    coarse, fine = (shapley(entangled, table, Plan(5, 40, 6, rounds), seed=11) for rounds in (4, 64))
    for found in (coarse, fine):
        away = np.abs(found.values - exact.values)
        used = found.errors > 0
        assert (away[~used] < 1e-12).all() and not used[:, 4].any()
        assert (away[used] <= 5 * found.errors[used]).all()
        assert (away[used] <= 1.96 * found.errors[used]).mean() >= 0.95
        assert found.values.sum(axis=1) + found.base == pytest.approx(found.answers, abs=1e-9)
        assert found.additivity.max() < 1e-12
    assert np.sqrt(((fine.values - exact.values) ** 2).mean()) < np.sqrt(((coarse.values - exact.values) ** 2).mean()) / 2
    assert np.isnan(shapley(entangled, table, Plan(5, 45, 1, 1)).errors).all(), "one permutation shows no spread"


def test_an_estimate_is_made_again_by_its_seed() -> None:
    table = rows(8, 5)
    first, again, other = (shapley(entangled, table, Plan(5, 4, 4, 2), seed).values for seed in (5, 5, 6))
    assert (first == again).all() and (first != other).any()


def test_a_model_is_asked_for_as_many_rows_as_planned_in_few_calls() -> None:
    table = rows(60, 9)
    for planned in (Plan(9, 40, 20, 5), Plan(3, 40, 20, 0), Plan(1, 40, 20, 1)):
        game = Game(lambda x: x[:, 0], table[:, : planned.features])
        found = estimate(game, planned, np.random.default_rng(0), lambda done: None)
        assert sum(game.calls) == planned.model_rows
        # The rows as they are, the coalitions in parts, and the explained rows and the background once more.
        assert len(game.calls) == 3 + -(-planned.walks * planned.coalitions // 50_000) and max(game.calls) <= 50_000
        assert found.values[:, 0] == pytest.approx(table[:40, 0] - table[40:, 0].mean(), abs=1e-9)


def test_answers_that_vary_do_not_add_up() -> None:
    table, random = rows(12, 4), np.random.default_rng(1)
    noisy = shapley(lambda x: linear(x) + random.normal(scale=0.01, size=len(x)), table, Plan(4, 6, 6, 0))
    assert 0.005 < noisy.additivity.max() < 0.1
    # It answers the same each time it is asked for the same rows together, but looks at the others.
    among = shapley(lambda x: linear(x) - linear(x).mean(), table, Plan(4, 6, 6, 0))
    assert among.additivity.min() > 0.01
    assert shapley(linear, table, Plan(4, 6, 6, 0)).additivity.max() < 1e-12


def test_a_plan_keeps_to_its_budget_and_uses_it() -> None:
    assert plan(5, 100, 50, 200_000) == Plan(5, 100, 50, 0)
    assert plan(8, 100, 50, 200_000) == Plan(8, 100, 50, 2), "all coalitions of 8 features would be 1.3 million rows"
    assert plan(9, 2, 1, 10**6) == Plan(9, 2, 1, 31249), "never all coalitions of 9"
    for features in (1, 2, 7, 20, 300):
        for budget in (700, 3000, 200_000):
            found = plan(features, 100, 50, budget)
            if found is None:
                assert Plan(features, 2, 1, 1).model_rows > budget
                continue
            assert found.model_rows <= budget and found.explained >= 2 and found.background >= 1
            if found.rounds and features > 1:
                assert budget < found.model_rows + found.explained * found.background * found.coalitions
    assert plan(300, 100, 50, 700) is None
