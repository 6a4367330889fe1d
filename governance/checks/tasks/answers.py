"""What the answers to every task have in common."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol, Self

from governance.checks.base import Measurement, Table

if TYPE_CHECKING:
    import numpy as np

    from governance.checks.tasks.measured import Difference


class Answers(Protocol):
    """What a version answers on rows of the evaluation set, with the truth."""

    @property
    def compared(self) -> tuple[str, ...]:
        """The metrics that `differences` gives."""
        ...

    def on(self, rows: np.ndarray) -> Self:
        """Return the answers on some rows: bool, shape (n,)."""
        ...

    def measurements(self, slice_: str) -> Iterator[Measurement]:
        """Yield the numbers of these rows under the name of the slice, "" for the whole set."""
        ...

    def tables(self) -> Iterator[Table]:
        """Yield the tables of these rows."""
        ...

    def differences(self, champion: Self) -> list[Difference]:
        """Return the numbers beside those of another version on the same rows."""
        ...
