"""Numbers as people write them: 0.79, 79 %, 0,79, 1,250, .8, 0.75 ± 0.02, 0.72 to 0.78."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_N = r"(?:\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:[.,]\d+)?|\.\d+)(?:e[-+]?\d+)?"
_PERCENT = r"\s?(?:%|percent\b|per\scent\b|percentage\spoints?\b|pp\b)"
_NUMBER = re.compile(
    rf"(?<![\w.,/+\-])(?P<first>[-+]?{_N})(?P<unit>{_PERCENT})?"
    rf"(?:\s*(?:±|\+/-|\+-)\s*(?P<spread>{_N})(?P<unit_of_spread>{_PERCENT})?"
    rf"|\s*(?:-|\bto\b)\s*(?P<last>[-+]?{_N})(?P<unit_of_last>{_PERCENT})?)?"
    r"(?![\w/%±]|[.,\-]\w)",
    re.IGNORECASE,
)
_BETWEEN = re.compile(rf"\bbetween\s+([-+]?{_N}(?:{_PERCENT})?)\s+and\s+(?=[-+]?{_N})", re.IGNORECASE)
_MANTISSA = re.compile(r"[-+]?(?P<whole>\d*)(?:\.(?P<digits>\d+))?(?:e(?P<power>[-+]?\d+))?$", re.IGNORECASE)

_ROUNDED = 4


@dataclass(frozen=True)
class Number:
    """A number in a text. low, high: what it says the value lies between; equal unless it is a range or has a spread.

    half: half of the unit of the last digit written, so that what rounds to it lies within. percent: whether it was written so; the
    values are as written, 79 for 79 %.
    """

    start: int
    end: int
    low: float
    high: float
    half: float
    percent: bool

    @property
    def value(self) -> float:
        return (self.low + self.high) / 2

    def times(self, factor: float) -> Number:
        """Return it in another unit."""
        return Number(self.start, self.end, self.low * factor, self.high * factor, self.half * factor, self.percent)


def ranges_joined(text: str) -> str:
    """Write `between 0.7 and 0.8` as `0.7 to 0.8`."""
    return _BETWEEN.sub(r"\1 to ", text)


def find(text: str) -> Iterator[Number]:
    """Yield the numbers of a text that stand alone: no part of a name, a date, a version or a path."""
    for match in _NUMBER.finditer(text):
        first, half = _read(match["first"])
        units = (match["unit"], match["unit_of_spread"], match["unit_of_last"])
        low = high = first
        if match["spread"]:
            spread, half_of_spread = _read(match["spread"])
            low, high, half = first - spread, first + spread, max(half, half_of_spread)
        elif match["last"]:
            last, half_of_last = _read(match["last"])
            low, high, half = min(first, last), max(first, last), max(half, half_of_last)
        yield Number(match.start(), match.end(), low, high, half, any(units))


def _read(text: str) -> tuple[float, float]:
    """Return the value and half the unit of its last significant digit: 0.005 for 0.79, 0.5 for 80, 50 for 3,200."""
    whole, comma, digits = text.partition(",")
    # One comma with other than three digits behind it is a decimal comma, as is one behind a mere zero.
    if comma and "," not in digits and (len(digits) != 3 or whole.strip("+-") == "0") and "." not in digits:
        text = f"{whole}.{digits}"
    text = text.replace(",", "")
    match = _MANTISSA.match(text)
    assert match is not None  # the pattern above gives nothing else
    power = int(match["power"] or 0)
    if match["digits"]:
        last = -len(match["digits"])
    else:
        rounded = len(match["whole"]) >= _ROUNDED  # the zeros at the end of a large number only hold their place
        last = len(match["whole"]) - len(match["whole"].rstrip("0")) if rounded else 0
    return float(text), 0.5 * 10.0 ** max(min(last + power, 300), -300)
