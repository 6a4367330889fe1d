"""The frontier gives the tree that RFC 6962 section 2.1 defines by recursion."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from governance.merkle import Frontier, leaf_hash, node_hash


def defined(leaves: list[bytes]) -> bytes:
    """MTH as the RFC writes it."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaf_hash(leaves[0])
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return node_hash(defined(leaves[:k]), defined(leaves[k:]))


@given(st.lists(st.binary(max_size=40), max_size=70))
def test_the_root_is_the_one_the_rfc_defines(leaves: list[bytes]) -> None:
    frontier = Frontier()
    for leaf in leaves:
        frontier.append(leaf_hash(leaf))
    assert frontier.root() == defined(leaves)


def test_a_published_tree_of_eight_leaves() -> None:
    # The test vectors of the Certificate Transparency reference implementation.
    data = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
    frontier = Frontier()
    for item in data:
        frontier.append(leaf_hash(bytes.fromhex(item)))
    assert frontier.root().hex() == "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"


@given(st.lists(st.binary(max_size=10), min_size=1, max_size=30), st.integers(0, 29))
def test_a_frontier_taken_up_again_goes_on_as_if_never_left(leaves: list[bytes], cut: int) -> None:
    cut = min(cut, len(leaves))
    first = Frontier()
    for leaf in leaves[:cut]:
        first.append(leaf_hash(leaf))
    second = Frontier(first.size, first.hashes)
    for leaf in leaves[cut:]:
        second.append(leaf_hash(leaf))
    assert second.root() == defined(leaves)


def test_hashes_that_do_not_fit_the_size_are_refused() -> None:
    with pytest.raises(ValueError, match="2 full subtrees"):
        Frontier(3, [b"x"])
