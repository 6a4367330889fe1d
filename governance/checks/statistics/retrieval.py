"""How well scores order the rows of each query, the best first; where scores are tied, the mean over all their orders."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.special import gammaln


@dataclass(frozen=True, eq=False)
class Rankings:
    """The rows of all queries.

    query: number of each row's query, from 0, none left out. grade: how relevant the row is, 0 not at all. relevant: whether it
    counts as relevant where only that counts, bool. scores: the higher, the earlier. Each of shape (n,), at least one row.
    Source of the means over ties: McSherry and Najork, ECIR 2008, 414-421.
    """

    query: np.ndarray
    grade: np.ndarray
    relevant: np.ndarray
    scores: np.ndarray

    def ndcg(self, most: int) -> np.ndarray:
        """Return the normalised discounted cumulative gain of the first `most` rows of each query, in [0, 1], or NaN.

        The gain is the grade, the discount log2 of 1 + the place. NaN of a query without a graded row. Shape (queries,).
        Source: Järvelin and Kekäläinen, ACM TOIS 20 (2002), 422-446, with the discount from the first place on.
        """
        discount = np.where(self._place <= most, 1.0 / np.log2(self._place + 1.0), 0.0)
        mean_discount = np.add.reduceat(discount, self._tie_starts) / self._tie_sizes
        gained = self._by_query(self.grade[self._order] * mean_discount[self._tie])
        # Grades replace scores for the ideal order; the places of a query are the same ones.
        ideal = self._by_query(self.grade[np.lexsort((-self.grade, self.query))] * discount)
        return np.where(ideal > 0, gained / np.where(ideal > 0, ideal, 1.0), np.nan)

    @cached_property
    def average_precision(self) -> np.ndarray:
        """The mean precision at the place of each relevant row in each query, in [0, 1], NaN without one. Shape (queries,).

        Source: Manning, Raghavan and Schuetze 2008, section 8.4.
        """
        others = (self._offset - 1) * (self._tie_relevant - 1) / np.maximum(self._tie_size - 1, 1)
        expected = self._tie_relevant / self._tie_size * (self._earlier + others + 1) / self._place
        return self._over_relevant(self._by_query(np.where(self._tie_relevant > 0, expected, 0.0)))

    @cached_property
    def reciprocal_rank(self) -> np.ndarray:
        """One over the place of the first relevant row of each query, in [0, 1], NaN without one. Shape (queries,).

        Source: Voorhees, TREC-8 (1999), question answering track.
        """
        leading = (self._earlier == 0) & (self._tie_relevant > 0) & (self._tie_size - self._offset >= self._tie_relevant - 1)
        size, relevant, offset = (each[leading] for each in (self._tie_size, self._tie_relevant, self._offset))
        first = np.exp(_log_binomial(size - offset, relevant - 1) - _log_binomial(size, relevant))
        expected = np.zeros(len(self.query))
        expected[leading] = first / self._place[leading]
        found = self._by_query(expected)
        return np.where(self._relevant_in_query > 0, found, np.nan)

    @cached_property
    def _order(self) -> np.ndarray:
        return np.lexsort((-self.scores, self.query))

    @cached_property
    def _ordered_query(self) -> np.ndarray:
        return np.asarray(self.query[self._order])

    @cached_property
    def _query_starts(self) -> np.ndarray:
        return np.flatnonzero(np.diff(self._ordered_query, prepend=-1))

    @cached_property
    def _place(self) -> np.ndarray:
        """The place of each row in its query from 1, in the order of the scores."""
        return np.asarray(np.arange(len(self.query)) - self._query_starts[self._ordered_query] + 1.0)

    @cached_property
    def _tie_starts(self) -> np.ndarray:
        scores = self.scores[self._order]
        begins = np.ones(len(scores), dtype=bool)
        begins[1:] = (scores[1:] != scores[:-1]) | (self._ordered_query[1:] != self._ordered_query[:-1])
        return np.flatnonzero(begins)

    @cached_property
    def _tie_sizes(self) -> np.ndarray:
        return np.diff(self._tie_starts, append=len(self.query))

    @cached_property
    def _tie(self) -> np.ndarray:
        return np.repeat(np.arange(len(self._tie_starts)), self._tie_sizes)

    @cached_property
    def _tie_size(self) -> np.ndarray:
        return np.asarray(self._tie_sizes[self._tie].astype(float))

    @cached_property
    def _offset(self) -> np.ndarray:
        """The place of each row among those tied with it, from 1."""
        return np.asarray(np.arange(len(self.query)) - self._tie_starts[self._tie] + 1.0)

    @cached_property
    def _tie_relevant(self) -> np.ndarray:
        return np.asarray(np.add.reduceat(self.relevant[self._order].astype(float), self._tie_starts)[self._tie])

    @cached_property
    def _earlier(self) -> np.ndarray:
        """The relevant rows of the query before those tied with each row."""
        before = np.cumsum(self.relevant[self._order]) - self.relevant[self._order]
        return np.asarray((before[self._tie_starts][self._tie] - before[self._query_starts][self._ordered_query]).astype(float))

    @cached_property
    def _relevant_in_query(self) -> np.ndarray:
        return np.bincount(self.query, weights=self.relevant.astype(float))

    def _by_query(self, ordered: np.ndarray) -> np.ndarray:
        return np.bincount(self._ordered_query, weights=ordered)

    def _over_relevant(self, sums: np.ndarray) -> np.ndarray:
        counts = self._relevant_in_query
        return np.where(counts > 0, sums / np.maximum(counts, 1.0), np.nan)


def _log_binomial(n: np.ndarray, k: np.ndarray) -> np.ndarray:
    return np.asarray(gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1))
