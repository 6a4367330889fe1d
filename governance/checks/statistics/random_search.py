"""Adversarial changes by random search: only answers of the model are asked for, never its gradients."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Ask = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Box:
    """How far each of k features may move; all shape (k,).

    low, high: ends that are never left. deviation: what a radius is counted in. whole: bool, moves by whole numbers only.
    """

    low: np.ndarray
    high: np.ndarray
    deviation: np.ndarray
    whole: np.ndarray


class RandomSearch:
    """Look for a small change of each row that flips its decision: first a small radius, then few features.

    values: float, shape (n, k); what is not finite never moves. ask: takes changed values, shape (n, k), and returns
    whether each decision is flipped (bool) and how far it is from that (float, lower is closer, in any unit), both shape (n,).
    What is found exists; what is not found may exist all the same.

    Every proposal is a corner of the box of this radius, and kept if it brings a row closer: Andriushchenko et al. 2020
    (Square Attack). A direction and then its opposite: Guo et al. 2019 (SimBA).
    """

    def __init__(self, values: np.ndarray, box: Box, ask: Ask, random: np.random.Generator) -> None:
        self.found = np.zeros(len(values), dtype=bool)
        self._values, self._box, self._ask, self._random = values, box, ask, random
        self._direction = random.choice([-1.0, 1.0], size=values.shape)  # 0: this feature stays as it is
        self._radius = np.zeros(len(values))

    def widen(self, radius: float, steps: int) -> None:
        """Ask `steps` times: for rows not found yet within `radius` standard deviations, for the others with fewer features."""
        self._radius[~self.found] = radius
        closest = np.full(len(self._values), np.inf)
        for step in range(steps):
            proposed = np.where(self.found[:, None], self._narrowed(), self._turned(step, steps))
            flipped, distance = self._ask(self._moved(proposed))
            better = flipped | (~self.found & (distance <= closest))
            self._direction[better] = proposed[better]
            closest[better] = distance[better]
            self.found |= flipped

    def features_changed(self) -> np.ndarray:
        """Return how many features the smallest change found moves, one number per row found, each at least 1."""
        differs = np.isfinite(self._values) & (self._moved(self._direction) != self._values)
        return np.asarray(differs.sum(axis=1)[self.found])

    def _turned(self, step: int, steps: int) -> np.ndarray:
        """Return the direction so far, then its opposite, then turned in fewer and fewer features, at last in one."""
        if step < 2:
            return self._direction * (1.0, -1.0)[step]
        rows, features = self._direction.shape
        turned = self._random.random((rows, features)) < 0.5 * (1.0 - step / steps)
        turned[np.arange(rows), self._random.integers(features, size=rows)] = True
        return np.where(turned, -self._direction, self._direction)

    def _narrowed(self) -> np.ndarray:
        """Return the direction with some features, at most about half of them, left as they were."""
        rows, features = self._direction.shape
        kept = self._random.random((rows, features)) >= 0.5 * self._random.random((rows, 1))
        return self._direction * kept

    def _moved(self, direction: np.ndarray) -> np.ndarray:
        step = direction * self._radius[:, None] * self._box.deviation
        step = np.where(self._box.whole, np.trunc(step), step)  # rounding up would leave the radius
        moved = np.clip(self._values + step, self._box.low, self._box.high)
        return np.where(np.isfinite(self._values), moved, self._values)
