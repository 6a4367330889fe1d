"""YAML of strangers is counted before anything is made of it."""

from __future__ import annotations

import time

import pytest
import yaml

from core import foreign_yaml


def test_what_is_plain_comes_out_as_the_safe_loader_reads_it() -> None:
    text = "a: &x [1, 2.5, null, yes]\nb: *x\nc: {<<: {d: 1}, e: 2026-01-01}\n"
    assert foreign_yaml.load(text) == yaml.safe_load(text)
    assert foreign_yaml.load("") is None and foreign_yaml.load("just text") == "just text"


@pytest.mark.parametrize(
    "text",
    [
        "a0: &a0 [x, x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]\n" for i in range(1, 60)),
        "a0: &a0 {k: v}\n" + "".join(f"a{i}: &a{i} {{<<: [*a{i - 1}, *a{i - 1}]}}\n" for i in range(1, 60)),
        "&a [*a]",
        "&a {b: {c: *a}}",
    ],
)
def test_a_small_text_that_stands_for_a_huge_one_is_refused_at_once(text: str) -> None:
    begun = time.process_time()
    with pytest.raises(ValueError, match="more than 50000 values"):
        foreign_yaml.load(text)
    assert time.process_time() - begun < 1


@pytest.mark.parametrize("text", ["a: [", "!!python/object/apply:os.system [id]", "d: 2026-99-99", "a: 1\n---\nb: 2", "[" * 5000])
def test_what_cannot_be_read_says_why(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        foreign_yaml.load(text)
