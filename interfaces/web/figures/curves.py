"""Curves in the unit square: ROC, precision and recall, calibration."""

from __future__ import annotations

from typing import Any

from interfaces.web import charts
from interfaces.web.figures.comparison import Comparison, Drawing, number, points
from interfaces.web.pages import words


def roc(compared: Comparison) -> Drawing | None:
    """Draw the ROC curve with its area, over the diagonal of chance."""
    curve = points(compared.records, "false_positive_rate", "true_positive_rate")
    if not curve:
        return None
    before = points(compared.champion, "false_positive_rate", "true_positive_rate")
    area = compared.measured("roc_auc")
    svg = charts.roc(curve, before, label=_said("ROC curve", compared, area), names=_names(compared, area))
    return Drawing(svg, f"{compared.curves} The diagonal is chance.")


def precision_recall(compared: Comparison) -> Drawing | None:
    """Draw precision over recall with its area, over the prevalence, which is what guessing at random attains.

    Source: Saito and Rehmsmeier (2015), PLOS ONE 10(3), e0118432, on the baseline.
    """
    rows = compared.records
    curve = points(rows, "recall", "precision")
    if not curve:
        return None
    prevalence = next((number(row["prevalence"]) for row in rows if "prevalence" in row), _prevalence(compared))
    area = compared.measured("pr_auc")
    label = _said("Precision-recall curve", compared, area)
    if prevalence is not None:
        label += f"; chance {words.number(prevalence, 2)}"
    svg = charts.precision_recall(
        curve,
        points(compared.champion, "recall", "precision"),
        prevalence=prevalence,
        label=label,
        names=_names(compared, area),
    )
    level = " The level line is chance: the share of favourable rows." if prevalence is not None else ""
    return Drawing(svg, f"{compared.curves}{level}")


def calibration(compared: Comparison) -> Drawing | None:
    """Draw the share observed over the mean score, bin by bin; empty bins are left out of the numbers, too."""
    rows = compared.records
    dots = points(rows, "mean_score", "share_favourable")
    if not dots:
        return None
    worst = max(abs(x - y) for x, y in dots)
    svg = charts.calibration(
        dots,
        points(compared.champion, "mean_score", "share_favourable"),
        label=f"Calibration of {compared.version} in {words.count_of(len(dots), 'bin')}; "
        f"the farthest is {worst:.2f} from the diagonal",
        names=(compared.version, compared.other),
    )
    empty = frozenset(i for i, row in enumerate(rows) if row.get("rows") == 0)
    return Drawing(svg, f"{compared.curves} The diagonal is perfect.", empty)


def _prevalence(compared: Comparison) -> float | None:
    """Return the share of favourable rows as the run's confusion matrix of two classes has it."""
    for table in compared.run.tables:
        if table.name == "confusion_matrix":
            counts: dict[Any, float] = {row[0]: sum(number(value) or 0.0 for value in row[1:]) for row in table.rows}
            total: float = sum(counts.values(), 0.0)
            if counts.keys() == {"favourable", "unfavourable"} and total > 0:
                return counts["favourable"] / total
    return None


def _names(compared: Comparison, area: float | None) -> tuple[str, str]:
    return (compared.version if area is None else f"{compared.version}  {words.number(area)}"), compared.other


def _said(what: str, compared: Comparison, area: float | None) -> str:
    known = f", area {words.number(area)}" if area is not None else ""
    return f"{what} of {compared.version}{known}{f', beside {compared.other}' if compared.twin else ''}"
