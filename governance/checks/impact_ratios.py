"""Impact ratios as the rules on New York City Local Law 144 want them published."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from governance.checks.base import Cell, Finding, Measurement, Table
from governance.checks.groups import Groups

if TYPE_CHECKING:
    from governance.checks.statistics.parity import Estimate
    from governance.checks.statistics.rates import Share

Status = Literal["counted", "unknown", "left out"]
_MOST_NAMED = 20
_COLUMNS = (
    "feature", "group", "rows", "share_of_rows", "selected", "selection_rate", "impact_ratio", "ci_low", "ci_high",
    "above_median", "scoring_rate", "scoring_impact_ratio", "scoring_ci_low", "scoring_ci_high", "status",
)  # fmt: skip
_NO_SCORES = "not computed: the model gives labels and no probabilities"


@dataclass(frozen=True)
class Category:
    """A group of people in the audit.

    status: "unknown" for rows that lack a value and "left out" for a category that is too small; neither has ratios, nor can it be the
    highest that the others are compared with. above_median: rows scored above the median of all rows; None without scores.
    impact_ratio, scoring_impact_ratio: None also if nobody is selected, or scored above the median, in any category that counts.
    """

    slice: str
    feature: str
    group: str
    status: Status
    share_of_rows: float
    selected: Share
    impact_ratio: Estimate | None
    above_median: Share | None
    scoring_impact_ratio: Estimate | None


def categories(
    groups: Groups, selected: Sequence[Share], above_median: Sequence[Share] | None, left_out_below: float
) -> list[Category]:
    """Return the category of each group, with the rates and ratios that it has.

    left_out_below: share of all rows in [0, 1]; smaller categories are left out of the ratios.
    Source: 6 RCNY 5-300 (scoring rate, impact ratio) and 5-301(b) to (d); ratios are those of 29 CFR 1607.4(D).
    """
    total = sum(each.whole for each in selected)
    shares = [each.whole / total for each in selected]
    statuses: list[Status] = [
        "unknown" if groups.is_unknown(index) else "left out" if share < left_out_below else "counted"
        for index, share in enumerate(shares)
    ]
    ratios = _ratios(statuses, selected)
    scoring_ratios = _ratios(statuses, above_median) if above_median else [None] * len(groups)
    return [
        Category(
            groups.slices[index],
            groups.feature,
            groups.names[index],
            statuses[index],
            shares[index],
            selected[index],
            ratios[index],
            above_median[index] if above_median else None,
            scoring_ratios[index],
        )
        for index in range(len(groups))
    ]


def _ratios(statuses: Sequence[Status], shares: Sequence[Share]) -> list[Estimate | None]:
    from governance.checks.statistics.parity import ratios_to_highest

    counted = [index for index, status in enumerate(statuses) if status == "counted"]
    by_index = dict(zip(counted, ratios_to_highest([shares[index] for index in counted]) or (), strict=False))
    return [by_index.get(index) for index in range(len(shares))]


def scoring(category: Category) -> Iterator[Measurement]:
    """Yield the scoring rate of a category, and its ratio to the highest."""
    share, ratio = category.above_median, category.scoring_impact_ratio
    if share is None:
        yield Measurement("scoring_rate", None, category.slice, category.selected.whole, method=_NO_SCORES)
        yield Measurement("scoring_impact_ratio", None, category.slice, category.selected.whole, method=_NO_SCORES)
        return
    yield Measurement(
        "scoring_rate",
        share.value,
        category.slice,
        share.whole,
        *share.interval,
        "share scored above the median; 95 % Wilson interval",
    )
    if ratio is None:
        reason = "nobody is scored above the median" if category.status == "counted" else f"the category is {category.status}"
        yield Measurement("scoring_impact_ratio", None, category.slice, share.whole, method=f"not computed: {reason}")
        return
    ending = "; 95 % Katz interval" if ratio.interval[0] is not None else ""
    yield Measurement(
        "scoring_impact_ratio",
        ratio.value,
        category.slice,
        share.whole,
        *ratio.interval,
        f"scoring rate / highest scoring rate{ending}",
    )


def left_out(found: Sequence[Category], left_out_below: float) -> Iterator[Finding]:
    """Yield one finding that names the categories left out of the ratios of a feature, if there are any."""
    small = [each for each in found if each.status == "left out"]
    if not small:
        return
    named = "; ".join(
        f"{each.group}: {each.selected.whole} rows, {100 * each.selected.part / each.selected.whole:.1f} % selected"
        for each in small[:_MOST_NAMED]
    )
    more = f"; and {len(small) - _MOST_NAMED} more in the table" if len(small) > _MOST_NAMED else ""
    yield Finding(
        "categories-left-out",
        "info",
        small[0].feature,
        f"Without an impact ratio, having less than {100 * left_out_below:g} % of the rows; name them in the published summary, with "
        f"the reason. {named}{more}.",
    )


def table(found: Sequence[Category]) -> Table:
    """Return the table of all categories."""
    return Table("impact_ratios", "Impact ratios by category", _COLUMNS, tuple(map(_row, found)))


def _row(each: Category) -> tuple[Cell, ...]:
    above, ratio, scored = each.above_median, each.impact_ratio, each.scoring_impact_ratio
    return (
        each.feature, each.group, each.selected.whole, each.share_of_rows, each.selected.part, each.selected.value,
        *((ratio.value, *ratio.interval) if ratio else (None, None, None)),
        *((above.part, above.value) if above else (None, None)),
        *((scored.value, *scored.interval) if scored else (None, None, None)),
        each.status,
    )  # fmt: skip
