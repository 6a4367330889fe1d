"""Group fairness beside fairlearn and scipy."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from governance.checks.fairness import Fairness
from scripts.ground_truth import intervals
from scripts.ground_truth.agreement import Chapter, by
from scripts.ground_truth.data import Rows, classifier

_FAIR = "fairlearn"
_NEWCOMBE = "Newcombe 1998, method 10, 95 %"


def fairness(chapter: Chapter, rows: Rows, sensitive: tuple[str, ...]) -> None:
    """Compare the rates of each group, of each intersection, and how far they are apart. sensitive: two columns of texts."""
    from fairlearn import metrics as fair
    from sklearn.calibration import calibration_curve

    model = classifier(rows)
    found = chapter.run(Fairness(sensitive, intersections=(sensitive,)), rows.subject(model))
    truth, scores = rows.truth == 1, model.predict_proba(rows.test[rows.features])[:, 1]
    decided = scores >= 0.5
    above = scores > np.median(scores)
    groupings = {each: rows.test[[each]] for each in sensitive} | {"&".join(sensitive): rows.test[list(sensitive)]}
    by_group: dict[str, dict[str, float]] = {}
    by_feature: dict[str, dict[str, float]] = {}
    ends: dict[str, dict[str, tuple[Any, Any]]] = {}

    def note(metric: str, slices: Mapping[Any, float]) -> None:
        by_group.setdefault(metric, {}).update(slices)

    rates: Mapping[str, tuple[str, Callable[..., float]]] = {
        "selection_rate": ("share decided favourably", fair.selection_rate),
        "true_positive_rate": ("Hardt et al. 2016", fair.true_positive_rate),
        "false_positive_rate": ("Hardt et al. 2016", fair.false_positive_rate),
        "positive_predictive_value": ("Chouldechova 2017", _precision()),
    }
    for feature, columns in groupings.items():
        names = _slices(columns)
        frames = {
            metric: fair.MetricFrame(metrics=function, y_true=truth, y_pred=decided, sensitive_features=names)
            for metric, (_, function) in rates.items()
        }
        for metric, frame in frames.items():
            note(metric, frame.by_group.to_dict())
        selected = frames["selection_rate"].by_group
        note("impact_ratio", (selected / selected.max()).to_dict())
        scored = fair.MetricFrame(metrics=fair.selection_rate, y_true=truth, y_pred=above, sensitive_features=names).by_group
        note("scoring_rate", scored.to_dict())
        note("scoring_impact_ratio", (scored / scored.max()).to_dict())
        promised = fair.MetricFrame(metrics=fair.mean_prediction, y_true=truth, y_pred=scores, sensitive_features=names)
        came = fair.MetricFrame(metrics=fair.mean_prediction, y_true=truth, y_pred=truth, sensitive_features=names)
        gaps = promised.by_group - came.by_group
        note("calibration_gap", gaps.to_dict())
        note("calibration_error", {each: _expected_error(calibration_curve, truth, scores, names == each) for each in gaps.index})
        groups = {each: (names == each).to_numpy() for each in gaps.index}
        apart = {
            "demographic_parity_ratio": fair.demographic_parity_ratio(truth, decided, sensitive_features=names),
            "demographic_parity_difference": fair.demographic_parity_difference(truth, decided, sensitive_features=names),
            "equal_opportunity_ratio": fair.equal_opportunity_ratio(truth, decided, sensitive_features=names),
            "equal_opportunity_difference": fair.equal_opportunity_difference(truth, decided, sensitive_features=names),
            "equalized_odds_ratio": fair.equalized_odds_ratio(truth, decided, sensitive_features=names),
            "equalized_odds_difference": fair.equalized_odds_difference(truth, decided, sensitive_features=names),
            "predictive_parity_ratio": frames["positive_predictive_value"].ratio(),
            "predictive_parity_difference": frames["positive_predictive_value"].difference(),
            "calibration_difference": gaps.max() - gaps.min(),
            "smallest_group": min(each.sum() for each in groups.values()),
        }
        # Without a negative row fairlearn takes the false positive rate for 0, and the check says that there is none.
        lacking = {each for each, inside in groups.items() if truth[inside].all()}
        by_group["false_positive_rate"] |= dict.fromkeys(lacking, np.nan)
        if lacking:
            apart |= {"equalized_odds_ratio": np.nan, "equalized_odds_difference": np.nan}
        for metric, value in apart.items():
            by_feature.setdefault(metric, {})[feature] = float(value)
        _ends(ends, feature, groups, truth, decided, scores)
    for metric, (method, function) in rates.items():
        reference = by(_FAIR, f"metrics.MetricFrame, {function.__name__}")
        chapter.values(found, metric, method, reference, rows.name, by_group[metric])
    for metric, method in {
        "impact_ratio": "29 CFR 1607.4(D)",
        "scoring_rate": "6 RCNY 5-300, share scored above the median",
        "scoring_impact_ratio": "6 RCNY 5-300",
    }.items():
        reference = by(_FAIR, "metrics.MetricFrame, selection_rate")
        chapter.values(found, metric, method, reference, rows.name, by_group[metric])
    reference = by(_FAIR, "metrics.MetricFrame, mean_prediction")
    chapter.values(found, "calibration_gap", "Cox 1958, as a difference", reference, rows.name, by_group["calibration_gap"])
    method, reference = "Naeini et al. 2015, 10 bands", by("scikit-learn", "calibration.calibration_curve")
    chapter.values(found, "calibration_error", method, reference, rows.name, by_group["calibration_error"])
    for metric, slices in by_feature.items():
        chapter.values(found, metric, *_SOURCES[metric.rpartition("_")[0]](metric), rows.name, slices)
    for metric, (method, reference) in _intervals().items():
        chapter.ends(found, metric, method, reference, rows.name, ends[metric])


def _precision() -> Callable[..., float]:
    from sklearn.metrics import precision_score

    def precision(y_true: Any, y_pred: Any) -> float:
        return float(precision_score(y_true, y_pred, zero_division=np.nan))

    precision.__name__ = "precision_score"
    return precision


def _slices(columns: pd.DataFrame) -> pd.Series:
    """Return the slice of each row, as the check writes it."""
    texts = [f"{name}=" + columns[name].astype(str) for name in columns]
    joined = texts[0]
    for each in texts[1:]:
        joined = joined + "&" + each
    return joined.rename("slice")


def _expected_error(curve: Any, truth: np.ndarray, scores: np.ndarray, inside: pd.Series) -> float:
    """Return the expected calibration error of some rows from scikit-learn's curve, whose bands are as wide as numpy's."""
    rows = inside.to_numpy()
    share, mean = curve(truth[rows], scores[rows], n_bins=10, strategy="uniform")
    # The curve leaves out bands without rows, and says not how many the others have; both bands are closed above.
    counts = np.bincount(np.searchsorted(np.linspace(0, 1, 11)[1:-1], scores[rows]), minlength=10)
    return float(np.average(np.abs(share - mean), weights=counts[counts > 0]))


def _ends(
    ends: dict[str, dict[str, tuple[Any, Any]]],
    feature: str,
    groups: Mapping[str, np.ndarray],
    truth: np.ndarray,
    decided: np.ndarray,
    scores: np.ndarray,
) -> None:
    selected = {each: (int((decided & rows).sum()), int(rows.sum())) for each, rows in groups.items()}
    rightly = {each: (int((decided & truth & rows).sum()), int((truth & rows).sum())) for each, rows in groups.items()}
    low, high = _extremes(selected)
    for each, rows in groups.items():
        ends.setdefault("selection_rate", {})[each] = intervals.wilson(*selected[each])
        if rightly[each][1]:
            ends.setdefault("true_positive_rate", {})[each] = intervals.wilson(*rightly[each])
        if selected[each] != high and selected[each][0]:
            ends.setdefault("impact_ratio", {})[each] = intervals.katz(selected[each], high)
        gap = stats.ttest_1samp(scores[rows] - truth[rows], 0.0).confidence_interval(0.95)
        if rows.sum() > 1:
            ends.setdefault("calibration_gap", {})[each] = gap.low, gap.high
    if low[0]:
        ends.setdefault("demographic_parity_ratio", {})[feature] = intervals.katz(low, high)
    ends.setdefault("demographic_parity_difference", {})[feature] = intervals.newcombe(high, low)
    if all(whole for _, whole in rightly.values()):
        lowest, highest = _extremes(rightly)
        ends.setdefault("equal_opportunity_difference", {})[feature] = intervals.newcombe(highest, lowest)
    means = {each: float(np.mean(scores[rows] - truth[rows])) for each, rows in groups.items()}
    first, second = (groups[pick(means, key=lambda each: means[each])] for pick in (max, min))
    if min(first.sum(), second.sum()) > 1:
        welch = stats.ttest_ind(scores[first] - truth[first], scores[second] - truth[second], equal_var=False)
        found = welch.confidence_interval(0.95)
        ends.setdefault("calibration_difference", {})[feature] = found.low, found.high


def _extremes(shares: Mapping[str, tuple[int, int]]) -> Sequence[tuple[int, int]]:
    """Return the lowest and the highest share; of equal ones that with more rows."""
    given = list(shares.values())
    return min(given, key=lambda each: (each[0] / each[1], -each[1])), max(given, key=lambda each: (each[0] / each[1], each[1]))


def _of_fairlearn(source: str) -> Callable[[str], tuple[str, str]]:
    return lambda metric: (source, by(_FAIR, f"metrics.{metric}"))


def _of_frame(source: str, function: str) -> Callable[[str], tuple[str, str]]:
    def named(metric: str) -> tuple[str, str]:
        return source, by(_FAIR, f"metrics.MetricFrame({function}).{metric.rpartition('_')[2]}")

    return named


_SOURCES: Mapping[str, Callable[[str], tuple[str, str]]] = {
    "demographic_parity": _of_fairlearn("Dwork et al. 2012"),
    "equal_opportunity": _of_fairlearn("Hardt et al. 2016"),
    "equalized_odds": _of_fairlearn("Hardt et al. 2016, the worse of both rates"),
    "predictive_parity": _of_frame("Chouldechova 2017", "precision_score"),
    "calibration": _of_frame("Cox 1958, highest less lowest gap", "mean_prediction"),
    "smallest": lambda _: ("rows", by("pandas", "Series.value_counts")),
}


def _intervals() -> Mapping[str, tuple[str, str]]:
    wilson = "Wilson 1927, 95 %", by("scipy", "stats.binomtest(...).proportion_ci")
    katz = "Katz et al. 1978, 95 %", by("scipy", "stats.contingency.relative_risk")
    newcombe = _NEWCOMBE, f"the definition on {by('scipy', 'stats.binomtest')}"
    return {
        "selection_rate": wilson,
        "true_positive_rate": wilson,
        "impact_ratio": katz,
        "calibration_gap": ("Student 1908, 95 %", by("scipy", "stats.ttest_1samp")),
        "demographic_parity_ratio": katz,
        "demographic_parity_difference": newcombe,
        "equal_opportunity_difference": newcombe,
        "calibration_difference": ("Welch 1947, 95 %", by("scipy", "stats.ttest_ind, equal_var=False")),
    }
