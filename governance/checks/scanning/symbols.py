"""What following a pickle puts on its stack in place of the real things."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Global:
    """A name that the pickle imports."""

    module: str
    name: str

    def __str__(self) -> str:
        """Write it as a person would."""
        return f"{self.module}.{self.name}"


@dataclass(eq=False, repr=False)
class Instance:
    """The result of a call that would have happened.

    It is compared by identity and never written out: a pickle can share parts so that either would take forever.
    """

    made_by: Any
    arguments: Any
    states: list[Any] = field(default_factory=list)


def reads_as(value: Any, *names: str) -> bool:
    """Return whether the value is one of these imported names."""
    return isinstance(value, Global) and str(value) in names
