"""SPDX licence expressions: their normal form, and whether a choice of allowed licences satisfies one.

Source: SPDX specification 3.0.1, annex "SPDX license expressions": `+` binds tighter than WITH, WITH than AND, AND than OR.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set

_LONGEST = 1000


def canonical(text: str) -> str:
    """Return the expression with identifiers and operators spelled as in the SPDX licence list.

    Raises ValueError for what is no expression, is longer than 1000 signs or names an unknown licence.
    """
    from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

    if len(text) > _LONGEST:
        raise ValueError("the licence is too long for an SPDX expression")
    try:
        return canonicalize_license_expression(text)
    except (InvalidLicenseExpression, RecursionError, MemoryError) as cause:
        raise ValueError(f"{text[:100]!r} is not an SPDX expression") from cause


def all_of(expressions: Sequence[str]) -> str:
    """Return one expression that asks for all of them, "" for none."""
    distinct = sorted(set(expressions))
    return distinct[0] if len(distinct) == 1 else " AND ".join(f"({each})" if " " in each else each for each in distinct)


def choice(identifiers: Iterable[str]) -> frozenset[str]:
    """Return the allowed licences in their normal form: each an identifier, with an exception after WITH if need be.

    Raises ValueError for anything else.
    """
    allowed = {canonical(each) for each in identifiers}
    for each in allowed:
        if {"AND", "OR", "(", ")"} & set(_tokens(each)):
            raise ValueError(f"{each!r} is more than one licence; list them one by one")
    return frozenset(allowed)


def satisfied(expression: str, allowed: Set[str]) -> bool:
    """Tell whether the allowed licences suffice for a canonical expression: for all parts of AND and for one of OR.

    `X+` may be used under X, and `X WITH E` under X, since an exception only adds permissions; not the other way about.
    """
    return _Reader(_tokens(expression), allowed).either()


def _tokens(expression: str) -> list[str]:
    return expression.replace("(", " ( ").replace(")", " ) ").split()


class _Reader:
    """Reads an expression by recursive descent, one method for each operator. Depth: that of the parentheses."""

    def __init__(self, tokens: list[str], allowed: Set[str]) -> None:
        self._tokens = tokens[::-1]
        self._allowed = allowed

    def either(self) -> bool:
        met = self._both()
        while self._next_is("OR"):
            met = self._both() or met  # the right side is read in any case
        return met

    def _both(self) -> bool:
        met = self._one()
        while self._next_is("AND"):
            met = self._one() and met
        return met

    def _one(self) -> bool:
        if self._next_is("("):
            met = self.either()
            self._next_is(")")
            return met
        licence = self._tokens.pop()
        names = {licence, licence.removesuffix("+")}
        if self._next_is("WITH"):
            names.add(f"{licence} WITH {self._tokens.pop()}")
        return bool(names & self._allowed)

    def _next_is(self, token: str) -> bool:
        if self._tokens and self._tokens[-1] == token:
            self._tokens.pop()
            return True
        return False
