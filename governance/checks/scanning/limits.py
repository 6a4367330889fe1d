"""How much a scan may unpack before it gives up, so that a small file cannot become a large one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

CHUNK_BYTES = 1 << 20
_RATIO_MATTERS_FROM_BYTES = 64 << 20


class Unreadable(Exception):
    """These bytes cannot be looked into; `rule` is the rule of the finding that says so."""

    def __init__(self, message: str, rule: str = "unreadable") -> None:
        super().__init__(message)
        self.rule = rule


@dataclass
class Budget:
    """How many bytes one scan may still unpack, over all of its files: many small bombs are a bomb, too."""

    left_bytes: int = 4 << 30

    def spend(self, unpacked: int) -> None:
        """Take it away. Raises Unreadable when there is no more."""
        self.left_bytes -= unpacked
        if self.left_bytes < 0:
            raise Unreadable("the files together unpack to more than a scan may hold", "bomb")


@dataclass(frozen=True)
class Limits:
    """largest_bytes: of one file or one unpacked stream. ratio: unpacked / packed, checked from 64 MiB unpacked."""

    largest_bytes: int = 512 << 20
    ratio: int = 200
    members: int = 10_000
    depth: int = 4
    budget: Budget = field(default_factory=Budget)

    def check_size(self, unpacked: int, packed: int) -> None:
        """Raise Unreadable when the unpacked size or its ratio to the packed size is over the limit."""
        if unpacked > self.largest_bytes:
            raise Unreadable(f"it is larger than {self.largest_bytes} bytes", "too-large")
        self.check_ratio(unpacked, packed)

    def check_ratio(self, unpacked: int, packed: int) -> None:
        """Raise Unreadable when so much more comes out than went in."""
        if unpacked > _RATIO_MATTERS_FROM_BYTES and unpacked > self.ratio * max(packed, 1):
            raise Unreadable(f"it unpacks to more than {self.ratio} times its size", "bomb")

    def read(self, chunk: Callable[[int], bytes], packed: int) -> bytes:
        """Return everything that `chunk(size)` gives. Raises Unreadable over the limit, before memory is gone."""
        collected = bytearray()
        while piece := chunk(CHUNK_BYTES):
            collected += piece
            self.budget.spend(len(piece))
            self.check_size(len(collected), packed)
        return bytes(collected)
