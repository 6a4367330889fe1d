"""How far apart the rates of groups are, as ratios and as differences."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter

from governance.checks.statistics.intervals import NO_INTERVAL, Interval, katz, newcombe
from governance.checks.statistics.rates import Confusion, Share

_WORDS = {
    "selection_rate": "selection rate",
    "recall": "true positive rate",
    "false_positive_rate": "false positive rate",
    "precision": "positive predictive value",
}
# Each criterion asks that these rates be equal. Equalized odds has two, and the worse one counts.
_CRITERIA = (
    ("demographic_parity", ("selection_rate",)),
    ("equal_opportunity", ("recall",)),
    ("equalized_odds", ("recall", "false_positive_rate")),
    ("predictive_parity", ("precision",)),
)


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval, of which there may be none."""

    value: float
    interval: Interval = NO_INTERVAL


@dataclass(frozen=True)
class Parity:
    """One criterion as a number over all groups. value: None if it could not be computed, and then `method` says why."""

    metric: str
    value: float | None
    interval: Interval
    method: str


def parities(counts: Sequence[Confusion]) -> Iterator[Parity]:
    """Yield the ratio and the difference of each criterion. counts: one per group, at least two.

    The interval is that of the two groups furthest apart, as if they had been chosen beforehand: with many groups it is too narrow.
    Source: Dwork et al. 2012 (demographic parity); Hardt, Price and Srebro 2016 (equal opportunity, equalized odds); Chouldechova,
    Big Data 5 (2017), 153-163 (predictive parity).
    """
    for criterion, rates in _CRITERIA:
        shares = {_WORDS[rate]: [attrgetter(rate)(each) for each in counts] for rate in rates}
        yield _parity(
            f"{criterion}_ratio", shares, ratio, min, "lowest / highest", "lesser of the ratios lowest / highest of", "Katz"
        )
        yield _parity(f"{criterion}_difference", shares, gap, max, "highest - lowest", "greater of the gaps in", "Newcombe")


def _parity(
    metric: str,
    shares: dict[str, list[Share]],
    measure: Callable[[Sequence[Share]], Estimate | None],
    worst: Callable[..., Estimate],
    of_one: str,
    of_several: str,
    interval: str,
) -> Parity:
    found = {words: measure(each) for words, each in shares.items()}
    for words, estimate in found.items():
        if estimate is None:
            empty = any(not share.whole for share in shares[words])
            reason = f"a group has no rows to take its {words} of" if empty else f"the highest {words} is 0"
            return Parity(metric, None, NO_INTERVAL, f"not computed: {reason}")
    chosen = worst((each for each in found.values() if each is not None), key=attrgetter("value"))
    method = f"{of_one if len(found) == 1 else of_several} {' and '.join(found)}"
    ending = f"95 % {interval} interval" if chosen.interval != NO_INTERVAL else "no interval: both are 1"
    return Parity(metric, chosen.value, chosen.interval, f"{method}; {ending}")


def ratio(shares: Sequence[Share]) -> Estimate | None:
    """Return lowest / highest share in [0, 1]; 1 is parity. None if one has no rows, or all are 0."""
    ends = _ends(shares)
    if ends is None or not ends[1].part:
        return None
    lowest, highest = ends
    return Estimate(_value(lowest) / _value(highest), katz(lowest, highest))


def gap(shares: Sequence[Share]) -> Estimate | None:
    """Return highest - lowest share in [0, 1]; 0 is parity. None if one has no rows: a gap must not shrink by that."""
    ends = _ends(shares)
    if ends is None:
        return None
    lowest, highest = ends
    return Estimate(_value(highest) - _value(lowest), newcombe(highest, lowest))


def ratios_to_highest(shares: Sequence[Share]) -> list[Estimate] | None:
    """Return each share over the highest, in [0, 1]; None if all are 0. The highest itself has no interval. shares: with rows."""
    reference = max(range(len(shares)), key=lambda index: (_value(shares[index]), shares[index].whole), default=None)
    if reference is None or not shares[reference].part:
        return None
    highest = shares[reference]
    return [
        Estimate(_value(each) / _value(highest), NO_INTERVAL if index == reference else katz(each, highest))
        for index, each in enumerate(shares)
    ]


def _ends(shares: Sequence[Share]) -> tuple[Share, Share] | None:
    """Return the lowest and the highest share; of equal ones that with more rows, which tells more."""
    if any(not share.whole for share in shares):
        return None
    return min(shares, key=lambda each: (_value(each), -each.whole)), max(shares, key=lambda each: (_value(each), each.whole))


def _value(share: Share) -> float:
    return share.part / share.whole
