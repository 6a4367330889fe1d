"""YAML that strangers wrote, such as a model's: a small text may refer to one value many times and so stand for a huge one."""

from __future__ import annotations

from typing import Any

import yaml

MOST_VALUES = 50_000


def load(text: str) -> Any:
    """Return what the text says, by the safe loader.

    Raises ValueError that says why, also for a text that would come to more than ``MOST_VALUES`` values once every alias and merge key
    is followed: it is counted before anything is made of it.
    """
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)(text)
    try:
        root = loader.get_single_node()
        if root is None:
            return None
        if _values(root, {}) > MOST_VALUES:
            raise ValueError(f"it comes to more than {MOST_VALUES} values")
        return loader.construct_document(root)
    except (yaml.YAMLError, RecursionError) as error:
        raise ValueError(str(error)[:300]) from None
    finally:
        loader.dispose()


def _values(node: yaml.Node, known: dict[int, int]) -> int:
    """Return how many values a node comes to; one within itself has no end."""
    if isinstance(node, yaml.ScalarNode):
        return 1
    if id(node) not in known:
        known[id(node)] = MOST_VALUES + 1  # as long as it is not counted: an alias inside leads back here
        below = node.value if isinstance(node, yaml.SequenceNode) else [each for pair in node.value for each in pair]
        known[id(node)] = min(1 + sum(_values(each, known) for each in below), MOST_VALUES + 1)
    return known[id(node)]
