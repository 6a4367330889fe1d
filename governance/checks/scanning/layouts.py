"""Know the archives of frameworks by the names of their members, and which of those are bare numbers."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

_STORAGE = re.compile(r"(.+/)?(data|constants|tensors)/\d+\Z")
_EXPORTED = re.compile(r"(.+/)?data/(weights/weight|constants/tensor)_\d+\Z")  # torch/export/pt2_archive/constants.py
_SHARD = re.compile(r"variables\.data-\d{5}-of-\d{5}\Z")  # beside variables.index of TensorFlow


@dataclass(frozen=True)
class Layout:
    """kind: which archive it is. numbers: members without a form of their own, which the framework reads by offset alone."""

    kind: str
    numbers: frozenset[str] = frozenset()


def layout(names: Iterable[str], suffix: str) -> Layout:
    """Return the layout of a zip archive with these members."""
    known = set(names)
    ends = {name.rpartition("/")[2] for name in known}
    if "data.pkl" in ends and ("version" in ends or ".data/version" in known):
        code = "constants.pkl" in ends or any("/code/" in f"/{name}" and name.endswith(".py") for name in known)
        numbers = frozenset(name for name in known if _STORAGE.match(name))
        return Layout("torchscript" if code else "torch", numbers)
    if "archive_format" in ends and any(name.endswith("models/model.json") for name in known):
        return Layout("torch", frozenset(name for name in known if _EXPORTED.match(name)))
    if suffix == ".skops" or "schema.json" in known:
        return Layout("skops")
    if suffix == ".keras" or {"config.json", "metadata.json"} <= known:
        return Layout("keras")
    if known and all(name.endswith(".npy") for name in known):
        return Layout("numpy arrays")
    return Layout("zip")


def is_shard(name: str) -> bool:
    """Return whether TensorFlow keeps bare numbers in a file of this name."""
    return bool(_SHARD.match(name))
