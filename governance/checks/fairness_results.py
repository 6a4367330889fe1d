"""What the fairness check reports of groups: rates, criteria and calibration with their intervals, and the tables of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from governance.checks.base import Measurement, Table
from governance.checks.groups import Groups
from governance.checks.tasks.measured import measured_share

if TYPE_CHECKING:
    import numpy as np

    from governance.checks.statistics.grouped import Calibration
    from governance.checks.statistics.intervals import Interval, Mean
    from governance.checks.statistics.parity import Estimate
    from governance.checks.statistics.rates import Confusion, Share

_WILSON = "95 % Wilson interval"
_NO_SCORES = "not computed: the model gives labels and no probabilities"
_CALIBRATION_BINS = 10


@dataclass(frozen=True)
class Measured:
    """What was counted of each group, in the order of the groups. calibrations, above_median: None of a model without scores."""

    groups: Groups
    counts: list[Confusion]
    calibrations: list[Calibration] | None
    above_median: list[Share] | None

    @property
    def selected(self) -> list[Share]:
        """The rows decided favourably, out of all of the group."""
        return [each.selection_rate for each in self.counts]

    @property
    def impact(self) -> list[Estimate | None]:
        """Each group's selection rate over the highest; None for all if nobody is selected."""
        from governance.checks.statistics.parity import ratios_to_highest

        found = ratios_to_highest(self.selected)
        return [*found] if found else [None] * len(self.groups)


def measure(
    split: Groups, positive: np.ndarray, decided: np.ndarray, scores: np.ndarray | None, above_median: np.ndarray | None
) -> Measured:
    """Count the rows. positive, decided: bool, shape (n,). scores: in [0, 1], shape (n,). above_median: bool; both None without scores."""
    from governance.checks.statistics import grouped

    codes, size = split.codes, len(split)
    counts = grouped.confusions(codes, size, positive, decided)
    calibrations = None if scores is None else grouped.calibrations(codes, size, positive, scores, _CALIBRATION_BINS)
    return Measured(split, counts, calibrations, None if above_median is None else grouped.shares(codes, size, above_median))


def rates(each: Measured) -> Iterator[Measurement]:
    """Yield the rates of each group."""
    for slice_, counts, impact in zip(each.groups.slices, each.counts, each.impact, strict=True):
        yield measured_share("selection_rate", slice_, counts.selection_rate, _WILSON)
        yield measured_share("true_positive_rate", slice_, counts.recall, _WILSON)
        yield measured_share("false_positive_rate", slice_, counts.false_positive_rate, _WILSON)
        yield measured_share("positive_predictive_value", slice_, counts.precision, _WILSON)
        n = counts.selection_rate.whole
        if impact is None:
            yield Measurement("impact_ratio", None, slice_, n, method="not computed: nobody is selected")
        else:
            ending = "; 95 % Katz interval" if impact.interval[0] is not None else ""
            method = f"selection rate / highest selection rate{ending}"
            yield Measurement("impact_ratio", impact.value, slice_, n, *impact.interval, method)


def criteria(each: Measured) -> Iterator[Measurement]:
    """Yield each criterion over all groups."""
    from governance.checks.statistics.parity import parities

    n = sum(share.whole for share in each.selected)
    for parity in parities(each.counts):
        yield Measurement(parity.metric, parity.value, each.groups.feature, n, *parity.interval, parity.method)


def calibration(each: Measured) -> Iterator[Measurement]:
    """Yield how the scores of each group compare with what came true, and how far apart the groups are in that."""
    from governance.checks.statistics.intervals import welch

    feature, sizes = each.groups.feature, [share.whole for share in each.selected]
    if each.calibrations is None:
        for slice_, size in zip(each.groups.slices, sizes, strict=True):
            yield Measurement("calibration_gap", None, slice_, size, method=_NO_SCORES)
            yield Measurement("calibration_error", None, slice_, size, method=_NO_SCORES)
        yield Measurement("calibration_difference", None, feature, sum(sizes), method=_NO_SCORES)
        return
    for slice_, found in zip(each.groups.slices, each.calibrations, strict=True):
        gap = found.gap
        method = f"mean of score - truth; {_ending(gap.interval, 'Student')}"
        yield Measurement("calibration_gap", gap.value, slice_, gap.n, *gap.interval, method)
        method = f"expected calibration error, {_CALIBRATION_BINS} bands of equal width"
        yield Measurement("calibration_error", found.error, slice_, gap.n, method=method)
    gaps = [found.gap for found in each.calibrations]
    highest, lowest = max(gaps, key=_by_value), min(gaps, key=_by_value)
    interval = welch(highest, lowest)
    method = f"highest - lowest mean of score - truth; {_ending(interval, 'Welch')}"
    yield Measurement("calibration_difference", highest.value - lowest.value, feature, sum(sizes), *interval, method)


def _by_value(mean: Mean) -> float:
    return mean.value


def _ending(interval: Interval, name: str) -> str:
    return f"95 % {name} interval" if interval[0] is not None else "no interval: a group does not vary"


def selection_rates(measured: Sequence[Measured]) -> Table:
    """Return the selection rate of every group."""
    rows = (
        (each.groups.feature, name, share.whole, share.part, share.value, *share.interval, impact.value if impact else None)
        for each in measured
        for name, share, impact in zip(each.groups.names, each.selected, each.impact, strict=True)
    )
    return Table(
        "selection_rates",
        "Selection rates by group",
        ("feature", "group", "rows", "selected", "selection_rate", "ci_low", "ci_high", "impact_ratio"),
        tuple(rows),
    )


def group_calibration(measured: Sequence[Measured]) -> Table:
    """Return the curve of each group of a feature; those of intersections would be too many to read."""
    rows = (
        (each.groups.feature, name, band.low, band.high, band.mean_score, share.value, *share.interval, share.whole)
        for each in measured
        if len(each.groups.features) == 1
        for name, found in zip(each.groups.names, each.calibrations or (), strict=True)
        for band in found.bands
        for share in (band.positives,)
    )
    return Table(
        "group_calibration",
        "Calibration by group",
        ("feature", "group", "low", "high", "mean_score", "share_favourable", "ci_low", "ci_high", "rows"),
        tuple(rows),
    )
