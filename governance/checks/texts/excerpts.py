"""How texts of a model are shown to people."""

from __future__ import annotations


def excerpt(text: str, longest: int) -> str:
    """Return the beginning of a text, at most so many characters, without those that no page or JSON document can carry."""
    cut = text if len(text) <= longest else text[: longest - 1] + "…"
    return "".join(each if each.isprintable() or each in "\n\t" else "\N{REPLACEMENT CHARACTER}" for each in cut)
