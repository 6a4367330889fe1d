"""A feature with its values changed: with noise, gone, swapped, beyond what occurs, or never seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


@dataclass(frozen=True)
class Spread:
    """Lowest, highest and standard deviation (over n) of a number's finite values, all in its own unit; low < high."""

    low: float
    high: float
    deviation: float


@dataclass(frozen=True)
class Observed:
    """A feature in the rows used, with what the whole evaluation set says about it.

    values: shape (n,). spread: of a number that varies, else None. categories: each text or truth value that occurs, with
    how often, in the index; empty for all else (numbers, dates, mixtures).
    """

    values: pd.Series
    spread: Spread | None
    categories: pd.Series


def observe(column: pd.Series, chosen: np.ndarray) -> Observed:
    """Return what is observed of a column. chosen: places of the rows used."""
    counts = column.value_counts(sort=False) if _has_categories(column) else column[:0].value_counts()
    spread = spread_of(numbers(column)) if column.dtype.kind in "iuf" else None
    return Observed(column.iloc[chosen].reset_index(drop=True), spread, counts[counts > 0])


def _has_categories(column: pd.Series) -> bool:
    import pandas as pd

    return pd.api.types.infer_dtype(column, skipna=True) in ("string", "boolean", "categorical")


def numbers(column: pd.Series) -> np.ndarray:
    """Return a numeric column as floats, NaN where it has no value. Shape (n,)."""
    values: np.ndarray = column.to_numpy(dtype=float, na_value=float("nan"))
    return values


def spread_of(values: np.ndarray) -> Spread | None:
    """Return the spread of the finite values, or None if they do not vary. values: float, shape (n,)."""
    import numpy as np

    known = values[np.isfinite(values)]
    if not len(known) or known.min() == known.max():
        return None
    return Spread(float(known.min()), float(known.max()), float(known.std()))


def with_numbers(column: pd.Series, values: np.ndarray) -> pd.Series:
    """Return the column with other numbers in its own type: whole ones are rounded, and kept to what the type can hold.

    What was missing or infinite stays. values: float, shape (n,).
    """
    import numpy as np
    import pandas as pd

    before = numbers(column)
    changed = np.where(np.isfinite(before), values, before)
    if column.dtype.kind in "iu":
        limits = np.iinfo(getattr(column.dtype, "numpy_dtype", column.dtype))
        # The highest whole number of 64 bits is no float; the next float above it would overflow.
        changed = np.rint(np.clip(changed, limits.min, np.nextafter(float(limits.max), 0.0)))
    return pd.Series(changed, index=column.index, name=column.name).astype(column.dtype)


def noisy(feature: Observed, deviations: float, random: np.random.Generator) -> pd.Series | None:
    """Return the numbers with normal noise of so many standard deviations, cut to the observed range, or None."""
    import numpy as np

    if (spread := feature.spread) is None:
        return None
    before = numbers(feature.values)
    after = before + deviations * spread.deviation * random.standard_normal(len(before))
    return with_numbers(feature.values, np.clip(after, spread.low, spread.high))


def beyond_range(feature: Observed, share: float, random: np.random.Generator) -> pd.Series | None:
    """Return numbers `share` of the observed range above the highest or below the lowest, by lot, or None.

    Whole numbers are rounded outwards. A type that ends at the range (unsigned and 0) holds its last value instead.
    """
    import numpy as np

    if (spread := feature.spread) is None:
        return None
    distance = share * (spread.high - spread.low)
    if feature.values.dtype.kind in "iu":
        distance = float(np.ceil(distance))
    above = random.random(len(feature.values)) < 0.5
    return with_numbers(feature.values, np.where(above, spread.high + distance, spread.low - distance))


def missing(feature: Observed) -> pd.Series | None:
    """Return the feature without any value, or None if it has none anyway."""
    import numpy as np

    if bool(feature.values.isna().all()):
        return None
    return feature.values.where(np.zeros(len(feature.values), dtype=bool))


def swapped(feature: Observed, random: np.random.Generator) -> pd.Series | None:
    """Return each category replaced by another that occurs, or None without two. A row without a value stays as it is."""
    import numpy as np

    counts = feature.categories.to_numpy(dtype=np.int64)
    if len(counts) < 2:
        return None
    own: np.ndarray = feature.categories.index.get_indexer(feature.values)
    drawn = feature.categories.index.take(another(np.maximum(own, 0), counts, random)).to_series(index=feature.values.index)
    return feature.values.where(own < 0, drawn).astype(feature.values.dtype)


def another(own: np.ndarray, counts: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Return for each row a category other than its own, drawn by frequency. Shape (n,).

    own: place of each row's category in `counts`, shape (n,). counts: how often each category occurs, positive, at least two.
    """
    import numpy as np

    end = np.cumsum(counts)
    start = end - counts
    drawn = random.integers(0, end[-1] - counts[own])
    # All occurrences stand in one line; those of the own category are left out by stepping over them.
    return np.asarray(np.searchsorted(end, drawn + np.where(drawn >= start[own], counts[own], 0), side="right"))


def unseen(feature: Observed) -> pd.Series | None:
    """Return the texts replaced by one that does not occur, or None for what is no text. A row without a value stays."""
    known = list(feature.categories.index)
    if not known or not all(isinstance(each, str) for each in known):
        return None
    values, name = feature.values, "unseen"
    while name in known:
        name += "-"
    if hasattr(values, "cat") and name not in values.cat.categories:
        values = values.cat.add_categories([name])
    return values.where(values.isna(), name)
