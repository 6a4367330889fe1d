"""How the tables of the built-in checks are drawn, by the tables' names. The names are written into evidence: never rename."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from interfaces.web.figures import attribution, curves, forest, levels, matrix, panels, residuals
from interfaces.web.figures.comparison import Comparison, Drawing


@dataclass(frozen=True)
class Kind:
    """A way to draw, and the columns without which it cannot. It returns None where there is nothing to draw."""

    draw: Callable[[Comparison], Drawing | None]
    needs: tuple[str, ...]

    def of(self, compared: Comparison) -> Drawing | None:
        """Return the drawing, or None if a plug-in has put something else under the same name."""
        return self.draw(compared) if set(self.needs) <= set(compared.table.columns) else None


KINDS: Mapping[str, Kind] = {
    "roc_curve": Kind(curves.roc, ("false_positive_rate", "true_positive_rate")),
    "pr_curve": Kind(curves.precision_recall, ("recall", "precision")),
    "calibration": Kind(curves.calibration, ("mean_score", "share_favourable")),
    "group_calibration": Kind(panels.group_calibration, ("group", "mean_score", "share_favourable")),
    "confusion_matrix": Kind(matrix.confusion, ("truth",)),
    "selection_rates": Kind(levels.impact_ratios, ("feature", "group", "impact_ratio")),
    "impact_ratios": Kind(levels.impact_ratios, ("group", "impact_ratio")),
    "feature_attribution": Kind(levels.attribution, ("feature", "attribution")),
    "attribution_values": Kind(attribution.swarm, ("feature", "value", "shapley")),
    "feature_drift": Kind(levels.feature_drift, ("feature", "psi")),
    "drift_bins": Kind(levels.drift_bins, ("feature", "bin", "share_reference", "share_now")),
    "perturbations": Kind(levels.perturbations, ("perturbation", "feature")),
    "residuals": Kind(residuals.residuals, residuals.NEEDS),
    "against_champion": Kind(forest.differences, ("metric", "difference")),
}
