"""Split rows into groups by a feature, or by several at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property, reduce
from itertools import pairwise
from typing import TYPE_CHECKING

from governance.checks.base import UnsuitableData
from governance.checks.subject import Subject

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

_MOST_GROUPS = 100
_MOST_INTERSECTIONS = 400
_LONGEST_SLICE = 200  # what evidence can hold
MISSING = "missing"


@dataclass(frozen=True)
class Feature:
    """A column that forms groups; with `edges`, a number cut into bands.

    column: in the evaluation set. name: how slices call it, the column by default. edges: rising; [25, 40] gives
    "under 25", "25 to 39" (whole numbers; else "25 to under 40") and "40 and over".
    """

    column: str
    name: str = ""
    edges: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        """Raise ValueError for edges that do not rise."""
        if any(low >= high for low, high in pairwise(self.edges)):
            raise ValueError(f"the edges of {self.column!r} must rise, got {list(self.edges)}")

    @property
    def label(self) -> str:
        """How slices call it."""
        return self.name or self.column


def as_feature(given: str | Feature) -> Feature:
    """Return the feature; a bare text is the name of a column."""
    return Feature(given) if isinstance(given, str) else given


@dataclass(frozen=True)
class Groups:
    """Which group each row is in. Every row is in exactly one, and every group has rows.

    features: one name, or those that an intersection combines. values: per group, its value of each feature.
    codes: the place in `values` of each row's group, shape (n,), whole numbers.
    """

    features: tuple[str, ...]
    values: tuple[tuple[str, ...], ...]
    codes: np.ndarray

    def __iter__(self) -> Iterator[tuple[str, np.ndarray]]:
        """Yield (slice, mask), e.g. `sex=female`; one mask is made at a time."""
        for index, slice_ in enumerate(self.slices):
            yield slice_, self.codes == index

    def __len__(self) -> int:
        """Return how many groups there are."""
        return len(self.values)

    @property
    def feature(self) -> str:
        """The slice of an aggregate over the groups: `sex`, or `sex&age` for an intersection."""
        return "&".join(map(self._written, self.features))

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Each group without its feature: `female`, or `female & under 25` in an intersection."""
        return tuple(" & ".join(map(self._written, group)) for group in self.values)

    @cached_property
    def slices(self) -> tuple[str, ...]:
        """Each group with its feature: `sex=female`, or `sex=female&age=under 25` in an intersection.

        There `%`, `&` and `=` inside a name are written as `%25`, `%26` and `%3D` (RFC 3986, section 2.1), so that a slice can be
        taken apart again at `&` and then at the first `=`.
        """
        features = tuple(map(self._written, self.features))
        return tuple(
            "&".join(f"{feature}={self._written(value)}" for feature, value in zip(features, group, strict=True))
            for group in self.values
        )

    def is_unknown(self, index: int) -> bool:
        """Return whether a group is of rows that lack a value of a feature."""
        return MISSING in self.values[index]

    def _written(self, name: str) -> str:
        """A group of one feature is written as it is: policies name it so."""
        return name.replace("%", "%25").replace("&", "%26").replace("=", "%3D") if len(self.features) > 1 else name


def split(subject: Subject, given: str | Feature) -> Groups:
    """Return the groups of a feature, in the order of its bands or of its sorted values.

    Rows without a value form the group "missing", so that nobody drops out of the picture.
    Raises MissingColumn, and UnsuitableData for more than 100 groups, for a name too long to be a slice, or for bands of
    something that is not a number.
    """
    feature = as_feature(given)
    needed_for = f"the groups of {feature.label}"
    if feature.edges:
        texts, raw = _bands(subject.column(feature.column, needed_for), feature)
    else:
        texts, raw = _distinct(*subject.reader.coded(feature.column, needed_for), feature)
    order = {text: index for index, text in enumerate(texts if feature.edges else sorted(set(texts)))}
    codes, kept = _renumbered(raw, [order[text] for text in texts], len(order))
    if len(kept) > _MOST_GROUPS:
        raise _too_many(feature, len(kept))
    names = list(order)
    return _checked(Groups((feature.label,), tuple((names[index],) for index in kept), codes))


def cross(splits: Iterable[Groups]) -> Groups:
    """Return the groups of several features at once, such as women under 25. Combinations without rows are left out.

    Raises UnsuitableData for more than 400 groups, or for a name too long to be a slice.
    """
    return _checked(reduce(_pair, splits))


def _pair(left: Groups, right: Groups) -> Groups:
    import numpy as np

    pairs = left.codes.astype(np.int32) * len(right) + right.codes
    codes, kept = _renumbered(pairs, list(range(len(left) * len(right))), len(left) * len(right))
    features = left.features + right.features
    if len(kept) > _MOST_INTERSECTIONS:
        raise UnsuitableData(
            f"The features {', '.join(features)} have {len(kept)} groups together, more than {_MOST_INTERSECTIONS}. "
            "Combine fewer of them, or cut numbers into fewer bands."
        )
    return Groups(features, tuple(left.values[each // len(right)] + right.values[each % len(right)] for each in kept), codes)


def _renumbered(raw: np.ndarray, places: list[int], size: int) -> tuple[np.ndarray, list[int]]:
    """Return codes from 0 without gaps, and the place that each stands for.

    raw: whole numbers below len(places), shape (n,). places: where each belongs in an order of `size` names.
    """
    import numpy as np

    present = np.zeros(size, dtype=bool)
    present[np.asarray(places)[np.bincount(raw, minlength=len(places)) > 0]] = True
    codes = (np.cumsum(present) - 1)[places].astype(np.int16 if present.sum() < 2**15 else np.int32)
    return codes[raw], np.flatnonzero(present).tolist()


def _distinct(raw: np.ndarray, different: pd.Index, feature: Feature) -> tuple[list[str], np.ndarray]:
    """Return the text of each different value, and the place of each row's: two values may have one text, as 1 and 1.0 have."""
    texts: list[str] = []
    for value in different:
        texts.append(_text(value))
        if len(texts) > _MOST_GROUPS and len(set(texts)) > _MOST_GROUPS:
            raise _too_many(feature, len(different))
    raw[raw < 0] = len(texts)
    return [*texts, MISSING], raw


def _text(value: object) -> str:
    """Write 1.0 as 1: a missing value elsewhere turns a whole column into floats, and slices must not change by it."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _bands(values: pd.Series, feature: Feature) -> tuple[list[str], np.ndarray]:
    import numpy as np

    if values.dtype.kind not in "iuf":
        raise UnsuitableData(f"Column {feature.column!r} is not a number, so edges cannot cut it into bands.")
    names = band_names(feature.edges, whole=_is_whole(values))
    bands = np.digitize(values.to_numpy(dtype=float, na_value=np.nan), feature.edges)
    bands[values.isna().to_numpy()] = len(names)
    return [*names, MISSING], bands


def _is_whole(values: pd.Series) -> bool:
    return values.dtype.kind in "iu" or bool((values.isna() | (values == values.round())).all())


def band_names(edges: tuple[float, ...], *, whole: bool) -> list[str]:
    """Return the names of the len(edges) + 1 bands; each band holds its lower edge."""
    whole = whole and all(float(edge).is_integer() for edge in edges)
    inner = [
        f"{_edge(low)} to {_edge(high - 1)}"
        if whole and high - 1 > low
        else _edge(low)
        if whole
        else f"{_edge(low)} to under {_edge(high)}"
        for low, high in pairwise(edges)
    ]
    return [f"under {_edge(edges[0])}", *inner, f"{_edge(edges[-1])} and over"]


def _edge(number: float) -> str:
    """Write six digits, or all where six are not the number itself: two bands must not share a name."""
    short = f"{number:g}"
    return short if float(short) == number else repr(number).removesuffix(".0")


def _too_many(feature: Feature, count: int) -> UnsuitableData:
    return UnsuitableData(
        f"Column {feature.column!r} has {count} different values, more than {_MOST_GROUPS} groups. "
        "Give edges to cut a number into bands, or choose another column."
    )


def _checked(groups: Groups) -> Groups:
    longest = max(groups.slices, key=len)
    if len(longest) > _LONGEST_SLICE:
        raise UnsuitableData(
            f"The group {longest[:60]!r}... has a name of more than {_LONGEST_SLICE} characters. Use shorter values or names."
        )
    return groups
