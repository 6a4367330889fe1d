"""What is said of attributions, however they were measured."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from governance.checks.attribution.attributions import Attributions
from governance.checks.attribution.explained import Explained
from governance.checks.base import Finding, Measurement, Result, Table
from governance.checks.statistics import agreement
from governance.checks.subject import Subject

_RANKED = 10  # features whose order counts; below, it is chance
_TOP = 5


def require(subject: Subject, names: tuple[str, ...], needed_for: str) -> None:
    """Raise MissingColumn for a name that neither the data set nor the model knows: a mistyped one would look unused."""
    for name in names:
        if name not in subject.feature_names:
            subject.column(name, needed_for)


def rests_on(found: Attributions, baseline: float, method: str) -> tuple[Measurement, ...]:
    """Return how many features and rows there are, and the baseline, which is what the method says."""
    return (
        Measurement("explainability.features", float(len(found.features)), n=found.rows, method="count"),
        Measurement("explainability.rows", float(found.rows), n=found.rows, method="count"),
        Measurement("explainability.baseline", baseline, n=found.rows, method=method),
    )


def costs(explained: Explained) -> Iterator[Measurement]:
    """Yield the background rows, the model rows, and the greatest standard error of a Shapley value in the unit of the answers."""
    planned, rows = explained.planned, len(explained.places)
    yield Measurement("explainability.background", float(planned.background), n=rows, method="count")
    yield Measurement("explainability.model_rows", float(planned.model_rows), n=rows, method="count")
    error = float(explained.found.errors.max())
    if np.isnan(error):
        yield Measurement(
            "explainability.sampling_error", None, n=rows, method="not computed: one permutation per row shows no spread"
        )
    else:
        method = f"greatest standard error of a Shapley value, {explained.how}"
        yield Measurement("explainability.sampling_error", error, n=rows, method=method)


def stability(found: Attributions) -> Measurement:
    """Return how alike the greatest features are ranked in resamples of the rows, in [-1, 1], 1 the same in all."""
    top = agreement.greatest(found.values, _RANKED)
    taus = [agreement.kendall_tau(found.values[top], each[top]) for each in found.resampled]
    known = [each for each in taus if each is not None]
    metric = "explainability.stability"
    if len(top) < 2 or not known:
        return Measurement(
            metric, None, n=found.rows, method="not computed: fewer than two features matter, or no resample could be ranked"
        )
    low, high = np.quantile(known, (0.025, 0.975)).tolist()
    method = (
        f"mean Kendall tau-b with the ranking of the {len(top)} greatest features over {len(known)} bootstrap samples of the rows; "
        "2.5 % and 97.5 % quantile of them"
    )
    return Measurement(metric, float(np.mean(known)), "", found.rows, low, high, method)


def ranking_shift(found: Attributions, champion: Attributions | str) -> Iterator[Measurement]:
    """Yield how far the ranking is from the champion's. champion: its attributions, or why there are none."""
    reason = champion if isinstance(champion, str) else ""
    distance, shared = None, None
    if not isinstance(champion, str):
        distance, shared = _compared(found.by_feature(), champion.by_feature())
        reason = "fewer than two features matter to either"
    method = f"Kendall distance over the {_RANKED} greatest features of either, ties count one half; 0 is the same order"
    yield _shift("explainability.ranking_shift", distance, found.rows, method, reason)
    yield _shift(
        "explainability.top_overlap", shared, found.rows, f"share of the {_TOP} greatest features that both have", reason
    )


def _compared(mine: dict[str, float], others: dict[str, float]) -> tuple[float | None, float | None]:
    # A feature that a model does not take cannot matter to it.
    names = sorted({*mine, *others})
    scores = [np.array([each.get(name, 0.0) for name in names]) for each in (mine, others)]
    ranked = sorted({place for each in scores for place in agreement.greatest(each, _RANKED)})
    tops = [{names[place] for place in agreement.greatest(each, _TOP)} for each in scores]
    return agreement.kendall_distance(scores[0][ranked], scores[1][ranked]), agreement.overlap(*tops)


def _shift(metric: str, value: float | None, rows: int, method: str, reason: str) -> Measurement:
    return Measurement(metric, value, "", rows, method=method if value is not None else f"not computed: {reason}")


def shares(metric: str, found: Attributions, names: tuple[str, ...]) -> list[Measurement]:
    """Return the share of all attribution that each of these features has, and all of them together (slice "")."""
    if not names:
        return []
    unique = tuple(dict.fromkeys(names))
    sets = {"": set(unique)} | {name: {name} for name in unique}
    return [_share(metric, slice_, found, features) for slice_, features in sets.items()]


def _share(metric: str, slice_: str, found: Attributions, features: set[str]) -> Measurement:
    if not features & set(found.features):
        return Measurement(metric, 0.0, slice_, found.rows, 0.0, 0.0, "the model does not take it")
    share = found.share(features)
    if share is None:
        return Measurement(metric, None, slice_, found.rows, method="not computed: no feature has any attribution")
    method = f"share of the sum of all absolute attributions by {found.name}; 95 % t interval of a ratio"
    return Measurement(metric, share[0], slice_, found.rows, share[1], share[2], method)


def forbidden_findings(measured: list[Measurement], limit: float) -> Iterator[Finding]:
    """Yield a finding for each forbidden feature that the model uses beyond chance, or by more than the limit."""
    for each in measured:
        if each.slice and each.value is not None and ((each.ci_low or 0.0) > 0.0 or each.value > limit):
            yield Finding(
                "forbidden-feature",
                "high",
                each.slice,
                f"The model uses {each.slice}, which is forbidden: {each.value:.2%} of all attribution (95 % interval {each.ci_low:.2%} to "
                f"{each.ci_high:.2%}). Train it without the feature, and without what is computed from it.",
            )


def consistency(explained: Explained) -> Iterator[Result]:
    """Yield how far the values are from adding up to a fresh answer, in the unit of the answers, and a finding if they do not."""
    errors = explained.found.additivity
    method = "|sum of the Shapley values + base - answer|, base and answer asked for again"
    yield Measurement("explainability.additivity_error", float(errors.max()), "", len(errors), method=f"greatest {method}")
    yield Measurement("explainability.mean_additivity_error", float(errors.mean()), "", len(errors), method=f"mean {method}")
    if errors.max() > explained.rounding:
        yield Finding(
            "answers-vary",
            "medium",
            "explainability.additivity_error",
            f"Asked for the same rows again, the model answered otherwise: its explanations are off by up to {errors.max():.3g}. "
            "Fix the model's seeds, and let an answer depend on its own row alone.",
        )


def ranking(found: Attributions, measured: list[Measurement]) -> Table:
    """Return the attributions, the greatest first."""
    ranked = sorted(measured, key=lambda each: (-(each.value or 0.0), each.slice))
    return Table(
        "feature_attribution",
        f"Feature attribution by {found.name}",
        ("feature", "attribution", "ci_low", "ci_high"),
        tuple((each.slice, each.value, each.ci_low, each.ci_high) for each in ranked),
    )
