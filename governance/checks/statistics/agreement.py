"""How far two rankings of the same things agree."""

from __future__ import annotations

import math

import numpy as np


def kendall_tau(first: np.ndarray, second: np.ndarray) -> float | None:
    """Return Kendall's tau-b in [-1, 1] of two scores of the same things, or None if one of them ranks nothing.

    first, second: shape (n,); 1 is the same order, 0 none in common. Source: Kendall 1945 (tau with ties).
    """
    one, other = _signs(first), _signs(second)
    weight = math.sqrt(float((one**2).sum()) * float((other**2).sum()))
    return float((one * other).sum()) / weight if weight else None


def kendall_distance(first: np.ndarray, second: np.ndarray) -> float | None:
    """Return the share of pairs that the two scores rank the other way round, in [0, 1], or None with fewer than two things.

    A pair tied in one score only counts one half. Source: Fagin et al. 2006, "Comparing partial rankings", K with p = 1/2, over all pairs.
    """
    one, other = _signs(first), _signs(second)
    return float(np.abs(one - other).mean()) / 2 if len(one) else None


def greatest(scores: np.ndarray, most: int) -> list[int]:
    """Return the places of at most so many scores above 0, the highest first; of equal ones the earlier place."""
    order = np.argsort(-scores, kind="stable")[:most]
    return [place for place in order.tolist() if scores[place] > 0]


def overlap(first: set[str], second: set[str]) -> float | None:
    """Return the share that both have of the larger one, in [0, 1], or None if both are empty."""
    largest = max(len(first), len(second))
    return len(first & second) / largest if largest else None


def _signs(scores: np.ndarray) -> np.ndarray:
    """Return how each pair of places is ordered: -1, 0 or 1, shape (n (n - 1) / 2,)."""
    one, other = np.triu_indices(len(scores), k=1)
    return np.asarray(np.sign(scores[one] - scores[other]))
