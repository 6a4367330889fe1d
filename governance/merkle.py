"""The hash tree of RFC 6962 section 2.1: leaves, nodes, and a frontier that grows one leaf at a time. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable


def leaf_hash(data: bytes) -> bytes:
    """Return SHA-256(0x00 || data). Source: RFC 6962 section 2.1."""
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return SHA-256(0x01 || left || right). Source: RFC 6962 section 2.1."""
    return hashlib.sha256(b"\x01" + left + right).digest()


class Frontier:
    """The hashes of the full subtrees of a tree, largest first: all that appending and the root need.

    Raises ValueError if the number of hashes does not fit the size: a tree of n leaves has as many as n has one-bits.
    """

    def __init__(self, size: int = 0, hashes: Iterable[bytes] = ()) -> None:
        self.size = size
        self.hashes = list(hashes)
        if len(self.hashes) != size.bit_count():
            raise ValueError(f"a tree of {size} leaves has {size.bit_count()} full subtrees, not {len(self.hashes)}")

    def append(self, leaf: bytes) -> None:
        """Add a leaf's hash, merging equal subtrees: one merge for each low one-bit of the size."""
        size, carried = self.size, leaf
        while size & 1:
            carried = node_hash(self.hashes.pop(), carried)
            size >>= 1
        self.hashes.append(carried)
        self.size += 1

    def root(self) -> bytes:
        """Return the tree's hash; that of no leaves is SHA-256 of nothing."""
        if not self.hashes:
            return hashlib.sha256(b"").digest()
        *rest, carried = self.hashes
        for left in reversed(rest):
            carried = node_hash(left, carried)
        return carried
