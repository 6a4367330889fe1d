"""Group fairness: who is selected, and who is rightly selected."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from governance.checks import groups
from governance.checks.base import Finding, Measurement, Result, Table, UnsuitableData
from governance.checks.groups import Feature, Groups
from governance.checks.subject import Subject
from governance.checks.tasks.measured import WILSON, measured_share

if TYPE_CHECKING:
    import numpy as np

    from governance.checks.statistics.rates import Confusion


@dataclass(frozen=True)
class Fairness:
    """Measure how decisions differ between the groups of sensitive features.

    Per group, in [0, 1]: `selection_rate`, `true_positive_rate`, `false_positive_rate`, `impact_ratio` (its selection
    rate over the highest). Per feature: `demographic_parity_ratio` in [0, 1], 1 is parity; in [0, 1] with 0 as parity
    `demographic_parity_difference`, `equal_opportunity_difference`, `equalized_odds_difference`; `smallest_group` in rows.
    Raises MissingColumn, UnsuitableData for a feature with one group, ModelLoadFailed, ModelPredictFailed.

    Source: Dwork et al. 2012 (demographic parity); Hardt, Price and Srebro 2016 (equal opportunity, equalized odds);
    29 CFR 1607.4(D) (impact ratio).
    """

    name: ClassVar[str] = "fairness"
    revision: ClassVar[str] = "1"
    needs_model: ClassVar[bool] = True
    needs_dataset: ClassVar[bool] = True

    sensitive: tuple[str | Feature, ...] = field(
        metadata={"minItems": 1, "description": "Columns, or numbers cut into bands, that form the groups."}
    )
    threshold: float = field(
        default=0.5,
        metadata={"minimum": 0, "maximum": 1, "description": "Score from which a row is decided favourably."},
    )
    favourable: str | int | float | bool | None = field(
        default=None, metadata={"description": "The label that helps the person; the data set's by default."}
    )
    minimum_group: int = field(default=30, metadata={"minimum": 1, "description": "Groups with fewer rows are pointed out."})

    def __post_init__(self) -> None:
        """Raise ValueError without a sensitive feature: a check of nothing must not look like a clean one."""
        if not self.sensitive:
            raise ValueError("'sensitive' must name at least one feature")

    def run(self, subject: Subject) -> Iterator[Result]:
        """Yield the rates of every group, the gaps of every feature, notes on small groups, and a table."""
        subject = subject.with_favourable(self.favourable)
        positive, decided = subject.positives, subject.decisions(self.threshold)
        rows: list[tuple[str | float | int | None, ...]] = []
        for feature in self.sensitive:
            split = groups.split(subject, feature)
            counts = _counts(split, positive, decided)
            yield from _group_rates(split.feature, counts)
            yield from _gaps(split.feature, counts)
            yield from self._small_groups(split)
            rows.extend(_table_rows(split.feature, counts))
        yield Table(
            "selection_rates",
            "Selection rates by group",
            ("feature", "group", "rows", "selected", "selection_rate", "ci_low", "ci_high", "impact_ratio"),
            tuple(rows),
        )

    def _small_groups(self, split: Groups) -> Iterator[Result]:
        sizes = {group: int(mask.sum()) for group, mask in split.masks.items()}
        yield Measurement("smallest_group", float(min(sizes.values())), split.feature, sum(sizes.values()), method="rows")
        for group, size in sizes.items():
            if size < self.minimum_group:
                yield Finding(
                    "small-group",
                    "low",
                    f"{split.feature}={group}",
                    f"Only {size} rows, fewer than {self.minimum_group}: its rates are uncertain. "
                    "Read the interval, add rows, or merge it with another group.",
                )


def _counts(split: Groups, positive: np.ndarray, decided: np.ndarray) -> dict[str, Confusion]:
    from governance.checks.statistics.rates import confusion

    if len(split.masks) < 2:
        raise UnsuitableData(
            f"Feature {split.feature!r} has one group only ({next(iter(split.masks))}), so nothing can be compared. "
            "Use an evaluation set with more than one group."
        )
    return {group: confusion(positive[mask], decided[mask]) for group, mask in split.masks.items()}


def _group_rates(feature: str, counts: dict[str, Confusion]) -> Iterator[Measurement]:
    impact = _impact_ratios(counts)
    for group, each in counts.items():
        slice_ = f"{feature}={group}"
        yield measured_share("selection_rate", slice_, each.selection_rate, WILSON)
        yield measured_share("true_positive_rate", slice_, each.recall, WILSON)
        yield measured_share("false_positive_rate", slice_, each.false_positive_rate, WILSON)
        method = "selection rate / highest selection rate" if impact[group] is not None else "not computed: nobody is selected"
        yield Measurement("impact_ratio", impact[group], slice_, each.selection_rate.whole, method=method)


def _impact_ratios(counts: dict[str, Confusion]) -> dict[str, float | None]:
    rates = {group: each.selection_rate.value or 0.0 for group, each in counts.items()}
    highest = max(rates.values())
    return {group: rate / highest if highest else None for group, rate in rates.items()}


def _gaps(feature: str, counts: dict[str, Confusion]) -> Iterator[Measurement]:
    n = sum(each.selection_rate.whole for each in counts.values())
    selection = [each.selection_rate.value for each in counts.values()]
    true_positive = [each.recall.value for each in counts.values()]
    false_positive = [each.false_positive_rate.value for each in counts.values()]
    ratio = smallest_ratio(selection)
    yield Measurement(
        "demographic_parity_ratio",
        ratio,
        feature,
        n,
        method="lowest / highest selection rate" if ratio is not None else "not computed: nobody is selected",
    )
    odds = [largest_gap(true_positive), largest_gap(false_positive)]
    for metric, value, method in (
        ("demographic_parity_difference", largest_gap(selection), "highest - lowest selection rate"),
        ("equal_opportunity_difference", odds[0], "highest - lowest true positive rate"),
        ("equalized_odds_difference", _greater(odds), "greater of the gaps in true and false positive rate"),
    ):
        reason = method if value is not None else "not computed: a group has no rows of the class needed"
        yield Measurement(metric, value, feature, n, method=reason)


def smallest_ratio(rates: list[float | None]) -> float | None:
    """Return lowest / highest rate in [0, 1]; 1 is parity. None if a rate is missing or nobody is selected at all."""
    known = [rate for rate in rates if rate is not None]
    if len(known) < len(rates) or not max(known):
        return None
    return min(known) / max(known)


def largest_gap(rates: list[float | None]) -> float | None:
    """Return highest - lowest rate in [0, 1]; 0 is parity. None if a rate is missing: a gap must not shrink by that."""
    known = [rate for rate in rates if rate is not None]
    return max(known) - min(known) if len(known) == len(rates) else None


def _greater(gaps: list[float | None]) -> float | None:
    known = [gap for gap in gaps if gap is not None]
    return max(known) if len(known) == len(gaps) else None


def _table_rows(feature: str, counts: dict[str, Confusion]) -> Iterator[tuple[str | float | int | None, ...]]:
    impact = _impact_ratios(counts)
    for group, each in counts.items():
        share = each.selection_rate
        yield (feature, group, share.whole, share.part, share.value, *share.interval, impact[group])
