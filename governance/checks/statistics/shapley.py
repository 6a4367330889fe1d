"""Shapley values of a model's answers, had by asking: exact when the budget allows, else sampled."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

MOST_EXACT = 8  # features; above, sampling is nearer the truth with fewer rows than all coalitions take

_ROWS_AT_ONCE = 50_000

Ask = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Plan:
    """How Shapley values are had, and what that costs.

    features, explained, background: how many there are of each. rounds: antithetic pairs of permutations for each explained row and
    each background row, at least 1; or 0, every coalition.
    """

    features: int
    explained: int
    background: int
    rounds: int

    @property
    def coalitions(self) -> int:
        """The coalitions asked for in one walk from a background row to an explained row, both ends left out."""
        return 2 * (self.features - 1) if self.rounds else 2**self.features - 2

    @property
    def walks(self) -> int:
        """How often the way from a background row to an explained row is gone."""
        return self.explained * self.background * max(1, self.rounds)

    @property
    def model_rows(self) -> int:
        """The rows that the model answers in all: coalitions, and every row as it is, twice."""
        return self.walks * self.coalitions + 2 * (self.explained + self.background)


def plan(features: int, explained: int, background: int, budget: int) -> Plan | None:
    """Return the best plan of at most `budget` model rows, or None if two explained rows and one of background cost more.

    features: at least 1; explained: at least 2. All coalitions of up to 8 features, else as many rounds as the budget allows; where one
    round is too much, explained rows and background shrink alike.
    """
    exact = Plan(features, explained, background, 0)
    if features <= MOST_EXACT and exact.model_rows <= budget:
        return exact
    sampled = replace(exact, rounds=1)
    while sampled.model_rows > budget:
        if sampled.explained == 2 and sampled.background == 1:
            return None
        shrunk = math.sqrt(budget / sampled.model_rows)
        sampled = replace(
            sampled, explained=max(2, int(sampled.explained * shrunk)), background=max(1, int(sampled.background * shrunk))
        )
    each_round = sampled.walks * sampled.coalitions
    return replace(sampled, rounds=1 + (budget - sampled.model_rows) // each_round) if each_round else sampled


@dataclass(frozen=True)
class Estimate:
    """Shapley values of e explained rows and m features, in the unit of the answers.

    values: shape (e, m). errors: standard error of sampling of each, shape (e, m), 0 if exact, NaN of a single walk. base: mean answer over
    the background. answers: of the explained rows, shape (e,). additivity: for each explained row |sum of values + base - answer|, where
    base and answer are asked for afresh, shape (e,): 0 up to rounding of a model that answers alike each time.
    """

    values: np.ndarray
    errors: np.ndarray
    base: float
    answers: np.ndarray
    additivity: np.ndarray


def estimate(ask: Ask, planned: Plan, random: np.random.Generator, progress: Callable[[float], None]) -> Estimate:
    """Return the Shapley values of the game "the mean answer over the background when the features in S are the explained row's".

    ask: takes places, shape (n, m), and returns answers, shape (n,). A place says from which row a feature has its value: 0 to e - 1 are the
    explained rows, what follows is the background. progress: told a share in [0, 1].

    Source: Lundberg and Lee 2017 (values of an answer); Janzing, Minorics and Blöbaum 2020 (the interventional game); Shapley 1953. Sampled:
    Castro, Gómez and Tejada 2009; each permutation with its reverse, Mitchell et al. 2022 (antithetic sampling). Each background row is used equally often,
    so that the values of a row add up to its answer less the base, whatever permutations are drawn.
    """
    ends = ask(_as_they_are(np.arange(planned.explained + planned.background), planned.features))
    answers, background = np.split(ends, [planned.explained])
    sums = np.zeros((planned.explained, planned.features))
    squares = np.zeros_like(sums)
    each = planned.background * max(1, planned.rounds)
    for walks in _chunks(planned):
        explained, start = walks // each, planned.explained + walks % planned.background
        gone = _walk(ask, planned, explained, start, random, answers[explained], ends[start])
        np.add.at(sums, explained, gone)
        np.add.at(squares, explained, gone**2)
        progress(float(walks[-1] + 1) / planned.walks)
    # Asked in other company than before: a model whose answer depends on the rows around it is found out, too.
    again = ask(_as_they_are(np.arange(planned.explained)[::-1], planned.features))[::-1]
    base_again = float(ask(_as_they_are(np.arange(planned.explained, len(ends)), planned.features)).mean())
    values = sums / each
    return Estimate(
        values,
        _standard_errors(values, squares, each) if planned.rounds else np.zeros_like(values),
        float(background.mean()),
        answers,
        np.abs(values.sum(axis=1) + base_again - again),
    )


def _as_they_are(rows: np.ndarray, features: int) -> np.ndarray:
    return np.repeat(rows[:, None], features, axis=1)


def _chunks(planned: Plan) -> list[np.ndarray]:
    """Return the numbers of the walks, in parts that are asked for at once."""
    most = max(1, _ROWS_AT_ONCE // max(1, planned.coalitions))
    return [np.arange(start, min(start + most, planned.walks)) for start in range(0, planned.walks, most)]


def _walk(
    ask: Ask,
    planned: Plan,
    explained: np.ndarray,
    background: np.ndarray,
    random: np.random.Generator,
    last: np.ndarray,
    first: np.ndarray,
) -> np.ndarray:
    """Return what each feature contributes on each walk, shape (walks, m). explained, background: the places where they end and begin."""
    walks, features = len(explained), planned.features
    order = None if not planned.rounds else random.permuted(np.tile(np.arange(features), (walks, 1)), axis=1)
    masks = _all_coalitions(features)[None] if order is None else _prefixes(order)
    sources = np.where(masks, explained[:, None, None], background[:, None, None]).reshape(-1, features)
    inner = ask(sources).reshape(walks, -1) if planned.coalitions else np.empty((walks, 0))
    if order is None:
        return _exact(np.column_stack([first, inner, last]), features)
    return _along(order, first, inner, last)


def _all_coalitions(features: int) -> np.ndarray:
    """Return all but the empty and the full coalition as bits, bool, shape (2**m - 2, m)."""
    return np.asarray(np.arange(1, 2**features - 1)[:, None] >> np.arange(features) & 1, dtype=bool)


def _exact(answers: np.ndarray, features: int) -> np.ndarray:
    """Return Shapley values by their definition. answers: of every coalition, its bits counted as a number, shape (walks, 2**m)."""
    numbers = np.arange(2**features)
    sizes = (numbers[:, None] >> np.arange(features) & 1).sum(axis=1)
    values = np.empty((len(answers), features))
    for feature in range(features):
        without = numbers[numbers >> feature & 1 == 0]
        weights = np.array([1.0 / (features * math.comb(features - 1, size)) for size in sizes[without]])
        # Differences first: a feature that changes no answer then has exactly 0.
        values[:, feature] = (answers[:, without | 1 << feature] - answers[:, without]) @ weights
    return values


def _prefixes(order: np.ndarray) -> np.ndarray:
    """Return the first k features of each permutation for k = 1 to m - 1, then all others, bool, shape (walks, 2 (m - 1), m)."""
    rank = np.argsort(order, axis=1)
    first = rank[:, None, :] < np.arange(1, order.shape[1])[None, :, None]
    return np.concatenate([first, ~first], axis=1)


def _along(order: np.ndarray, first: np.ndarray, inner: np.ndarray, last: np.ndarray) -> np.ndarray:
    """Return the mean contribution of each feature on the way along a permutation and along its reverse, shape (walks, m)."""
    there, back = np.split(inner, 2, axis=1)
    forward = np.diff(np.column_stack([first, there, last]), axis=1)
    backward = -np.diff(np.column_stack([last, back, first]), axis=1)
    contributed = np.empty(order.shape)
    np.put_along_axis(contributed, order, (forward + backward) / 2, axis=1)
    return contributed


def _standard_errors(means: np.ndarray, squares: np.ndarray, walks: int) -> np.ndarray:
    """Return the standard error of the means over so many walks each; too high rather than too low, since every background row is used."""
    if walks < 2:
        return np.full_like(means, np.nan)
    variance = np.maximum(0.0, squares / walks - means**2) * walks / (walks - 1)
    return np.asarray(np.sqrt(variance / walks))
