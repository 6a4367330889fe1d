"""How far apart two distributions are, one of them the reference."""

from __future__ import annotations

import math

import numpy as np
from scipy.special import chdtrc, kolmogorov

_PSEUDOCOUNT = 0.5


def quantile_edges(reference: np.ndarray, bins: int) -> np.ndarray:
    """Return rising edges, of which bin 0 is x <= edges[0], bin i is edges[i - 1] < x <= edges[i], and the last one the rest.

    reference: numbers without NaN, shape (n,); each edge is one of them. Ties can make it fewer than bins - 1 edges, and no
    rows give none. Source: Hyndman and Fan 1996, definition 1, which never computes between two values, so infinity may be one.
    """
    if not len(reference):
        return np.empty(0)
    ordered = np.sort(reference)
    last_of_bin = (np.arange(1, bins) * len(ordered) + bins - 1) // bins - 1
    edges = np.unique(ordered[last_of_bin])
    # Where the lowest value fills the first bin alone, lower values must not hide in it: a constant that changed has drifted.
    return np.append(np.nextafter(edges[0], -np.inf), edges) if edges[0] == ordered[0] else edges


def bin_counts(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Return how many values lie in each of the len(edges) + 1 bins. Values outside the edges are in the first and last."""
    return np.bincount(np.searchsorted(edges, values), minlength=len(edges) + 1)


def is_smoothed(counts: np.ndarray) -> bool:
    """Return whether a bin has rows of one set only, so that `psi` must smooth. counts: shape (2, bins)."""
    return bool((_in_use(counts) == 0).any())


def psi(counts: np.ndarray) -> float:
    """Return the population stability index in nats, from 0; there is no upper end.

    counts: rows per bin, shape (2, bins), the reference first; each set has rows. Bins empty in both do not count. If a bin
    is empty in one set, 1/2 is added to every bin of both: the logarithm of 0 would be infinite.
    Source: Siddiqi 2006; Yurdakul 2018; it is the divergence J of Kullback and Leibler 1951. Smoothing: Manning, Raghavan and
    Schuetze 2008, section 11.3.2.
    """
    used = _in_use(counts)
    before, now = _shares(used + _PSEUDOCOUNT if is_smoothed(used) else used)
    return float(np.sum((now - before) * np.log(now / before)))


def jensen_shannon(counts: np.ndarray) -> float:
    """Return the Jensen-Shannon distance to base 2 in [0, 1]: 0 for equal shares, 1 if no bin has rows of both sets.

    counts: as for `psi`; nothing is smoothed. Source: Lin 1991 (divergence); Endres and Schindelin 2003 (its root is a metric).
    """
    shares = _shares(counts)
    middle = np.broadcast_to(shares.mean(axis=0), shares.shape)
    some = shares > 0
    divergence = float(np.sum(shares[some] * np.log2(shares[some] / middle[some]))) / 2
    return math.sqrt(min(max(divergence, 0.0), 1.0))


def kolmogorov_smirnov(reference: np.ndarray, now: np.ndarray) -> tuple[float, float]:
    """Return the largest distance of the two cumulative distributions in [0, 1], and the p-value for "no difference".

    reference, now: numbers without NaN, shapes (n,) and (m,), neither empty. The p-value is that of the limit for many rows.
    Source: Smirnov 1948.
    """
    places = np.concatenate([reference, now])
    cumulative = [np.searchsorted(np.sort(each), places, side="right") / len(each) for each in (reference, now)]
    statistic = float(np.max(np.abs(cumulative[0] - cumulative[1])))
    effective = len(reference) * len(now) / (len(reference) + len(now))
    return statistic, float(kolmogorov(math.sqrt(effective) * statistic))


def cramers_v(counts: np.ndarray) -> tuple[float, float]:
    """Return Cramér's V of the two sets in [0, 1], and the p-value of chi-square without continuity correction.

    counts: as for `psi`. One bin in use gives 0 and a p-value of 1. Source: Pearson 1900; Cramér 1946, chapter 21.
    """
    used = _in_use(counts)
    total = used.sum()
    expected = np.outer(used.sum(axis=1), used.sum(axis=0)) / total
    chi_square = float(np.sum((used - expected) ** 2 / expected))
    freedom = used.shape[1] - 1
    return min(1.0, math.sqrt(chi_square / total)), float(chdtrc(freedom, chi_square)) if freedom else 1.0


def _in_use(counts: np.ndarray) -> np.ndarray:
    return counts[:, counts.any(axis=0)]


def _shares(counts: np.ndarray) -> np.ndarray:
    return np.asarray(counts / counts.sum(axis=1, keepdims=True))
