"""Nobody approves what they made: over everyone in the version's provenance, superusers included. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Maker:
    """Someone who had a part in what is decided on; responsible is the person behind a service account."""

    username: str
    part: str  # such as "asked for this promotion"
    responsible: str = ""


def parts_of(username: str, makers: tuple[Maker, ...]) -> list[str]:
    """Return what a person did that bars them from deciding, in words; empty if nothing."""
    own = [f"you {maker.part}" for maker in makers if maker.username == username]
    behind = [f"you answer for {maker.username}, who {maker.part}" for maker in makers if maker.responsible == username]
    return own + behind


def as_mapping(makers: tuple[Maker, ...]) -> Mapping[str, str]:
    """Return who is barred and why, for showing beside the people who may decide."""
    barred: dict[str, str] = {}
    for maker in makers:
        barred.setdefault(maker.username, maker.part)
        if maker.responsible:
            barred.setdefault(maker.responsible, f"answers for {maker.username}, who {maker.part}")
    return barred
