"""Bars: one level for each group, feature or bin, with the champion's and the lines that people go by."""

from __future__ import annotations

from collections.abc import Iterable

from interfaces.web import charts
from interfaces.web.charts import Bar
from interfaces.web.figures.comparison import Comparison, Drawing, Record, groups, number
from interfaces.web.pages import words

_MOST_FEATURES = 12
_MOST_BINS = 30
_WORST_OF_A_KIND = 4
_FOUR_FIFTHS = 0.8  # 29 CFR 1607.4 D
_MODERATE, _LARGE = 0.1, 0.25  # Siddiqi (2006), Credit Risk Scorecards, on the population stability index


def impact_ratios(compared: Comparison) -> Drawing | None:
    """Draw each group's selection rate as a share of the highest, with the policy's limit, or four fifths without one."""
    before = compared.before("impact_ratio", "feature", "group")
    # A table about rates has the intervals of the rates; only one about ratios has those of the ratios.
    own = "selection_rate" not in (compared.records or [{}])[0]
    bars: list[Bar] = []
    said: list[str] = []
    for (feature,), rows in groups(compared.records, "feature"):
        if feature:
            bars.append(Bar(words.sentence(feature), heading=True))
        for row in rows:
            group, ratio = str(row["group"]), number(row["impact_ratio"])
            low, high = (number(row.get("ci_low")), number(row.get("ci_high"))) if own else (None, None)
            bars.append(Bar(group, ratio, before.get((str(row.get("feature")), group)), low, high))
            said.append(f"{feature} {group} {words.number(ratio, 2)}".strip())
    if not said:
        return None
    levels = set(compared.limits.values())
    one = levels.pop() if len(levels) == 1 else None
    label = f"Selection rate relative to the group selected most, {compared.version}: {', '.join(said)}; "
    lines: list[tuple[float, str]] = []
    if one is None:
        lines = [(_FOUR_FIFTHS, "four fifths")]
        label += f"four-fifths line at {words.number(_FOUR_FIFTHS, 1)}"
    else:
        label += f"limit {words.number(one, 2)}"
    full = max([1.0, *(bar.high for bar in bars if bar.high is not None)])
    svg = charts.bars(bars, label=label, limit=one, lines=lines, full=1.0 if full <= 1.0 else charts.round_up(full))
    return Drawing(svg, f"As a share of the group selected most. {compared.bars}")


def attribution(compared: Comparison) -> Drawing | None:
    """Draw the features that matter most, as far as a table lists them first."""
    before = compared.before("attribution", "feature")
    bars = [
        Bar(
            str(row["feature"]),
            number(row["attribution"]),
            before.get((str(row["feature"]),)),
            number(row.get("ci_low")),
            number(row.get("ci_high")),
        )
        for row in compared.records[:_MOST_FEATURES]
    ]
    if not bars:
        return None
    svg = charts.bars(bars, label=f"Attribution of {compared.version}: {_said(bars)}", places=3)
    return Drawing(svg, f"How much ranking worsens when a feature is shuffled. {compared.bars}")


def feature_drift(compared: Comparison) -> Drawing | None:
    """Draw the population stability index of the features that drifted most, with the two lines of common practice."""
    before = compared.before("psi", "feature")
    ranked = sorted(compared.records, key=lambda row: -(number(row["psi"]) or 0.0))[:_MOST_FEATURES]
    bars = [Bar(str(row["feature"]), number(row["psi"]), before.get((str(row["feature"]),))) for row in ranked]
    if not bars:
        return None
    large = sum(bar.value is not None and bar.value >= _LARGE for bar in bars)
    label = (
        f"Population stability index by feature, {compared.version}: {_said(bars)}; "
        f"{large} of {words.count_of(len(bars), 'feature')} at or above {_LARGE}"
    )
    lines = [(_MODERATE, f"{_MODERATE} moderate"), (_LARGE, f"{_LARGE} large")]
    return Drawing(charts.bars(bars, label=label, lines=lines), f"PSI against the reference. {compared.bars}")


def drift_bins(compared: Comparison) -> Drawing | None:
    """Draw how the rows spread over the bins of each feature now, beside the reference."""
    bars: list[Bar] = []
    moved: list[str] = []
    for (feature,), rows in groups(compared.records, "feature"):
        if bars and len(bars) + len(rows) + 1 > _MOST_BINS:
            break
        bars.append(Bar(feature, heading=True))
        bars += [Bar(str(row["bin"]), number(row["share_now"]), number(row["share_reference"])) for row in rows]
        most = max(rows, key=_moved)
        moved.append(f"{feature} {most['bin']} from {_share(most['share_reference'])} to {_share(most['share_now'])}")
    if not bars:
        return None
    label = f"Share of rows by feature and bin, {compared.version}. The bin of each that moved most: {', '.join(moved)}"
    return Drawing(charts.bars(bars, label=label), "Bar now, ring in the reference; the features that drifted most.")


def perturbations(compared: Comparison) -> Drawing | None:
    """Draw the share of decisions flipped (of a regression: the change) by kind of perturbation, the worst features of each."""
    rows = compared.records
    unit = next((name for name in ("flipped", "change") if rows and name in rows[0]), "")
    if not unit:
        return None
    before = compared.before(unit, "perturbation", "feature")
    bars: list[Bar] = []
    said: list[str] = []
    for (kind,), found in groups(rows, "perturbation"):
        known = sorted((row for row in found if number(row[unit]) is not None), key=lambda row: -float(row[unit]))
        if not known:
            continue
        bars.append(Bar(words.sentence(kind), heading=True))
        for row in known[:_WORST_OF_A_KIND]:
            same = before.get((kind, str(row.get("feature"))))
            name = str(row.get("feature") or "all at once")
            bars.append(Bar(name, number(row[unit]), same, number(row.get("ci_low")), number(row.get("ci_high"))))
        said.append(f"{words.sentence(kind).lower()} {words.number(number(known[0][unit]))} ({known[0].get('feature') or 'all'})")
    if not bars:
        return None
    what = "Share of decisions flipped" if unit == "flipped" else "Change of the prediction"
    label = f"{what} by perturbation, {compared.version}, the worst of each: {', '.join(said)}"
    return Drawing(charts.bars(bars, label=label, places=3), f"{what}, the worst features of each kind. {compared.bars}")


def _said(bars: Iterable[Bar]) -> str:
    return ", ".join(f"{bar.label} {words.number(bar.value)}" for bar in bars)


def _moved(row: Record) -> float:
    return abs((number(row["share_now"]) or 0.0) - (number(row["share_reference"]) or 0.0))


def _share(value: object) -> str:
    share = number(value)
    return "none" if share is None else f"{share:.0%}"
