"""Hold what a card claims against what was measured."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from governance.checks.base import SiblingMeasurement
from governance.checks.cards.claimed import Claim
from governance.checks.cards.names import Part, parts_of

_NOT_MEASURED = "no check of the policy measured it"
_OF_OTHERS = "it was not measured for what the claim names"
_OF_GROUPS = "it was measured by group only, and the claim names none"


@dataclass(frozen=True)
class Tolerance:
    """How far a number may be off beyond rounding. relative: to what was measured. interval: whether one within the measured interval agrees."""

    absolute: float = 0.0
    relative: float = 0.0
    interval: bool = True


@dataclass(frozen=True)
class Held:
    """A claim beside the measurement closest to it. measured, low, high: in the unit of what the claim names, such as a Gini coefficient.

    agrees: None where nothing is there to compare with, and `reason` says why.
    """

    claim: Claim
    agrees: bool | None
    reason: str = ""
    source: SiblingMeasurement | None = None
    measured: float | None = None
    low: float | None = None
    high: float | None = None


def hold(claim: Claim, measured: Sequence[SiblingMeasurement], tolerance: Tolerance) -> Held:
    """Compare a claim with the measurements of its metric and group.

    Several may fit, such as those on two data sets, or of a ratio for each feature where none is named: one that agrees is enough, and
    only a claim that none of them bears out is contradicted.
    """
    if claim.doubt:
        return Held(claim, None, claim.doubt)
    of_metric = [each for each in measured if each.metric in claim.name.metrics]
    if not of_metric:
        return Held(claim, None, _NOT_MEASURED)
    fitting = _of_slice(claim.parts, of_metric)
    if not fitting:
        return Held(claim, None, _OF_OTHERS if claim.parts else _OF_GROUPS)
    held = [_compared(claim, each, tolerance) for each in fitting]
    return min(held, key=lambda each: (not each.agrees, abs((each.measured or 0.0) - claim.number.value)))


def _of_slice(parts: frozenset[Part], measured: Iterable[SiblingMeasurement]) -> list[SiblingMeasurement]:
    """Return the measurements of what is named: the groups; else the features of these; without any the whole, or each feature's."""
    by_slice: dict[frozenset[Part], list[SiblingMeasurement]] = {}
    for each in measured:
        by_slice.setdefault(parts_of(each.slice), []).append(each)
    groups = frozenset(part for part in parts if part[1] is not None)
    of_groups = frozenset((feature, None) for feature, _ in groups)
    features = frozenset(part for part in parts if part[1] is None) - of_groups
    for wanted in (groups | features, of_groups | features):
        if wanted in by_slice:
            return by_slice[wanted]
    if parts:
        return []
    return [each for named, found in by_slice.items() if all(group is None for _, group in named) for each in found]


def _compared(claim: Claim, source: SiblingMeasurement, tolerance: Tolerance) -> Held:
    name, number = claim.name, claim.number

    def told(value: float | None) -> float | None:
        return None if value is None else name.scale * value + name.shift

    value = name.scale * source.value + name.shift
    ends = sorted(end for end in (told(source.ci_low), told(source.ci_high)) if end is not None)
    low, high = (ends[0], ends[1]) if len(ends) == 2 else (None, None)
    exact = 1e-9 * max(1.0, abs(value))
    slack = max(tolerance.absolute, tolerance.relative * abs(value)) + exact
    if claim.relation == ">=":
        agrees = value + slack >= number.low
    elif claim.relation == "<=":
        agrees = value - slack <= number.high
    else:
        off = max(number.half + exact, slack)
        agrees = number.low - off <= value <= number.high + off
        if not agrees and tolerance.interval and low is not None and high is not None:
            agrees = low - slack <= number.high and number.low <= high + slack
    return Held(claim, agrees, "", source, value, low, high)
