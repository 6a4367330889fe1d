"""Which calls no writer of models makes, although the name that is called is a known one.

A list of names cannot say how much `bytearray` is asked for. What is refused here takes memory or time without end, or
calls what honest pickles only refer to.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from governance.checks.scanning import allowlist
from governance.checks.scanning.symbols import Global, Instance, reads_as

_MOST_ITEMS = 1 << 24
_LONGEST_WALK = 1000
_BUILTINS = ("builtins", "__builtin__")
_RESERVE = frozenset({"bytes", "bytearray"})
_COMPUTE = frozenset({"int", "float", "str", "complex"})
_ARRAYS = frozenset({"numpy.ndarray", "numpy.ma.core._mareconstruct", "numpy.ma.core.MaskedArray", "numpy.ma.MaskedArray"})
_RECONSTRUCT = frozenset(f"{module}._reconstruct" for module in ("numpy.core.multiarray", "numpy._core.multiarray"))
_PLAIN_CODECS = frozenset({"latin1", "latin-1", "iso-8859-1", "utf-8", "utf8", "ascii"})


@dataclass(frozen=True)
class Objection:
    """Why a call is not made by a writer of models. rule: of the finding."""

    rule: str
    reason: str


def objection(called: Global, arguments: Any) -> Objection | None:
    """Return what is wrong with the call, or None. arguments: as they lie on the stack of the follower."""
    given = arguments if isinstance(arguments, tuple) else (arguments,)
    if called.module in _BUILTINS:
        return _of_builtins(called.name, given)
    if reads_as(called, "copyreg._reconstructor", "copy_reg._reconstructor"):
        base = given[1] if len(given) > 1 else None
        return objection(base, given[2:]) if isinstance(base, Global) and base != called else None
    if reads_as(called, "_codecs.encode"):
        codec = given[1] if len(given) > 1 else "utf-8"
        plain = isinstance(codec, str) and codec.lower() in _PLAIN_CODECS
        return None if plain else Objection("odd-call", "asks for a codec by a name that no writer of pickles uses")
    if reads_as(called, "fractions.Fraction"):
        plain = all(isinstance(each, int) or (isinstance(each, str) and "e" not in each.lower()) for each in given)
        return None if plain else Objection("bomb", "makes a fraction of a number with an exponent, which can have any size")
    if str(called) in _ARRAYS | _RECONSTRUCT or called.module.startswith("scipy.sparse"):
        return Objection("bomb", "asks for a huge array") if _cells(given) > _MOST_ITEMS else None
    if allowlist.is_function(called.module, called.name):
        return Objection("odd-call", "calls a function, to which honest pickles only refer")
    return None


def _of_builtins(name: str, given: tuple[Any, ...]) -> Objection | None:
    whole = [each for each in given if isinstance(each, int) and not isinstance(each, bool)]
    if name in _RESERVE and any(each > _MOST_ITEMS for each in whole):
        return Objection("bomb", "asks for a huge run of bytes")
    if name == "range" and (len(whole) != len(given) or max(map(abs, whole), default=0) > _MOST_ITEMS):
        return Objection("bomb", "makes a range that cannot be unrolled in memory")
    if name in _COMPUTE and any(isinstance(each, Instance) for each in given):
        return Objection("bomb", "computes a number or text of any length from the result of another call")
    return None


def _cells(given: Any) -> int:
    """Return the largest product of the whole numbers of one tuple among the arguments, which may be a shape."""
    most, waiting, seen = 0, [given], 0
    while waiting and seen < _LONGEST_WALK:
        items = waiting.pop()
        seen += 1
        product = 1
        for each in items[:_LONGEST_WALK]:
            if isinstance(each, tuple):
                waiting.append(each)
            elif isinstance(each, int) and not isinstance(each, bool):
                product *= min(abs(each), _MOST_ITEMS + 1)
                if product > _MOST_ITEMS:
                    return product
        most = max(most, product)
    return most
