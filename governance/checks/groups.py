"""Split rows into groups by a feature."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from governance.checks.base import UnsuitableData
from governance.checks.subject import Subject

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

_MOST_GROUPS = 100
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


def as_feature(given: str | Feature) -> Feature:
    """Return the feature; a bare text is the name of a column."""
    return Feature(given) if isinstance(given, str) else given


@dataclass(frozen=True)
class Groups:
    """Masks of the rows, one per group, under the name of the feature. Every row is in exactly one group."""

    feature: str
    masks: dict[str, np.ndarray]

    def __iter__(self) -> Iterator[tuple[str, np.ndarray]]:
        """Yield (slice, mask), e.g. `sex=female`."""
        for group, mask in self.masks.items():
            yield f"{self.feature}={group}", mask


def split(subject: Subject, given: str | Feature) -> Groups:
    """Return the groups of a feature, in the order of its bands or of its sorted values.

    Rows without a value form the group "missing", so that nobody drops out of the picture.
    Raises MissingColumn, and UnsuitableData for more than 100 groups or bands of something that is not a number.
    """
    feature = as_feature(given)
    values = subject.column(feature.column, f"the groups of {feature.name or feature.column}")
    labels, order = _banded(values, feature) if feature.edges else _plain(values)
    present = [group for group in order if bool((labels == group).any())]
    if len(present) > _MOST_GROUPS:
        raise UnsuitableData(
            f"Column {feature.column!r} has {len(present)} different values, more than {_MOST_GROUPS} groups. "
            "Give edges to cut a number into bands, or choose another column."
        )
    return Groups(feature.name or feature.column, {group: labels == group for group in present})


def _plain(values: pd.Series) -> tuple[np.ndarray, list[str]]:
    labels = values.astype(object).where(values.notna(), MISSING).map(_text).to_numpy()
    return labels, sorted(set(labels.tolist()))


def _text(value: object) -> str:
    """Write 1.0 as 1: a missing value elsewhere turns a whole column into floats, and slices must not change by it."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _banded(values: pd.Series, feature: Feature) -> tuple[np.ndarray, list[str]]:
    import numpy as np

    if values.dtype.kind not in "iuf":
        raise UnsuitableData(f"Column {feature.column!r} is not a number, so edges cannot cut it into bands.")
    names = band_names(feature.edges, whole=_is_whole(values))
    bands = np.digitize(values.to_numpy(dtype=float), feature.edges)
    labels = np.asarray(names, dtype=object)[bands]
    labels[values.isna().to_numpy()] = MISSING
    return labels, [*names, MISSING]


def _is_whole(values: pd.Series) -> bool:
    known = values.dropna()
    return bool((known == known.round()).all())


def band_names(edges: tuple[float, ...], *, whole: bool) -> list[str]:
    """Return the names of the len(edges) + 1 bands; each band holds its lower edge."""
    whole = whole and all(float(edge).is_integer() for edge in edges)
    inner = [
        f"{low:g} to {high - 1:g}" if whole and high - 1 > low else f"{low:g}" if whole else f"{low:g} to under {high:g}"
        for low, high in pairwise(edges)
    ]
    return [f"under {edges[0]:g}", *inner, f"{edges[-1]:g} and over"]
