"""The attribution of every feature, however it was measured."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from governance.checks.base import Result, Table


@dataclass(frozen=True)
class Attributions:
    """How much each of m features matters to a model.

    features: their names. units: what the attribution is the mean of, shape (units, m): the drops of each round of shuffling, or the absolute
    Shapley values of each explained row. resampled: the attribution in each resample of the rows, shape (resamples, m). rows: how many it
    rests on. name: of the method; method: all of it, with the interval, in words. lowest: what no attribution can be
    below.
    """

    features: tuple[str, ...]
    units: np.ndarray
    resampled: np.ndarray
    rows: int
    name: str
    method: str
    lowest: float = -math.inf

    @property
    def values(self) -> np.ndarray:
        """The attribution of each feature, shape (m,)."""
        return np.asarray(self.units.mean(axis=0))

    def by_feature(self) -> dict[str, float]:
        """Return feature -> attribution."""
        return dict(zip(self.features, self.values.tolist(), strict=True))

    def share(self, features: set[str]) -> tuple[float, float, float] | None:
        """Return the share of these features in the sum of all absolute attributions, and its 95 % interval, all in [0, 1].

        None if no feature has any attribution, and so nothing can be shared.
        """
        from governance.checks.statistics.ratio import ratio_and_half_width

        signed = self.units * np.sign(self.values)
        totals = signed.sum(axis=1)
        if not totals.any():
            return None
        chosen = np.array([name in features for name in self.features])
        share, half = ratio_and_half_width(signed[:, chosen].sum(axis=1), totals)
        return share, max(0.0, share - half), min(1.0, share + half)


@dataclass(frozen=True)
class Measured:
    """Attributions, what they rest on, and the drawings that only this way of measuring gives."""

    attributions: Attributions
    rests_on: tuple[Result, ...]
    drawings: tuple[Table, ...] = ()
