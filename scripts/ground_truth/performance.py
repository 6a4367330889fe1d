"""Predictive performance beside scikit-learn and scipy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from scipy import stats

from governance.checks.performance import Performance
from scripts.ground_truth import intervals
from scripts.ground_truth.agreement import EXACT, Chapter, Found, Pair, by, interval_of
from scripts.ground_truth.data import Rows, classifier, regressor

_RESAMPLES = 1000
_SK = "scikit-learn"
_DELONG = "DeLong et al. 1988, 95 %"
_PAIRS = "the definition, over every pair of rows"
_WILSON = "Wilson 1927, 95 %"


def binary(chapter: Chapter, rows: Rows, *, slow: bool) -> None:
    """Compare decisions between two labels, alone and against a champion."""
    from sklearn import metrics

    model, champion = classifier(rows), classifier(rows, rows.features[: len(rows.features) // 2])
    found = chapter.run(Performance(resamples=_RESAMPLES if slow else 100), rows.subject(model, champion))
    truth = rows.truth == 1
    scores, theirs = (each.predict_proba(rows.test[rows.features])[:, 1] for each in (model, champion))
    of_decisions: Mapping[str, tuple[str, Any]] = {
        "accuracy": ("share of right decisions", metrics.accuracy_score),
        "precision": ("van Rijsbergen 1979", metrics.precision_score),
        "recall": ("van Rijsbergen 1979", metrics.recall_score),
        "f1": ("van Rijsbergen 1979", metrics.f1_score),
    }
    of_scores: Mapping[str, tuple[str, Any]] = {
        "roc_auc": ("area under the curve, Hanley and McNeil 1982", metrics.roc_auc_score),
        "pr_auc": ("average precision, Manning et al. 2008, 8.4", metrics.average_precision_score),
        "log_loss": ("nats per row, Good 1952", metrics.log_loss),
        "brier": ("Brier 1950", metrics.brier_score_loss),
    }
    decided, others = scores >= 0.5, theirs >= 0.5
    for group, mine, champions in ((of_decisions, decided, others), (of_scores, scores, theirs)):
        for metric, (method, function) in group.items():
            reference = by(_SK, f"metrics.{function.__name__}")
            value, other = function(truth, mine), function(truth, champions)
            chapter.values(found, metric, method, reference, rows.name, value)
            chapter.values(found, f"{metric}.difference", f"{method}; less the champion's", reference, rows.name, value - other)
    of = {
        "accuracy": (decided == truth, len(truth)),
        "precision": (decided & truth, decided.sum()),
        "recall": (decided & truth, truth.sum()),
    }
    for metric, (part, whole) in of.items():
        _wilson(chapter, found, metric, rows, {"": (int(part.sum()), int(whole))})
    chapter.ends(found, "roc_auc", _DELONG, _PAIRS, rows.name, intervals.delong(truth, [scores]))
    chapter.ends(found, "roc_auc.difference", _DELONG, _PAIRS, rows.name, intervals.delong(truth, [scores, theirs]))
    right, also = decided == truth, others == truth
    for metric, chosen in (("accuracy.difference", np.ones(len(truth), bool)), ("recall.difference", truth)):
        alone = int((right & ~also & chosen).sum()), int((also & ~right & chosen).sum())
        if not all(alone):
            continue  # the likelihood has its maximum at the border
        reference = "the likelihood, maximised by scipy's `optimize.brentq`"
        expected = intervals.tango(*alone, int(chosen.sum()))
        chapter.ends(found, metric, "score interval, Tango 1998, 95 %", reference, rows.name, expected)
    if len(truth) > 10_000:
        of_rows = {"log_loss": -np.log(np.where(truth, scores, 1 - scores)), "brier": (scores - truth) ** 2}
        champions_rows = {"log_loss": -np.log(np.where(truth, theirs, 1 - theirs)), "brier": (theirs - truth) ** 2}
        for metric, mine in of_rows.items():
            _delta(chapter, found, metric, rows, mine)
            _delta(chapter, found, f"{metric}.difference", rows, mine - champions_rows[metric])
    elif slow:
        mean = np.mean
        _bootstrap(chapter, found, "brier", rows, [(scores - truth) ** 2], mean)
        gap = (scores - truth) ** 2 - (theirs - truth) ** 2
        _bootstrap(chapter, found, "brier.difference", rows, [gap], mean)
        _bootstrap(chapter, found, "log_loss", rows, [-np.log(np.where(truth, scores, 1 - scores))], mean)
        _bootstrap(chapter, found, "pr_auc", rows, [truth, scores], metrics.average_precision_score)
        _bootstrap(chapter, found, "f1", rows, [truth, decided], metrics.f1_score, "percentile")


def multiclass(chapter: Chapter, rows: Rows) -> None:
    """Compare decisions between several labels."""
    from sklearn import metrics

    model, champion = classifier(rows), classifier(rows, rows.features[:2])
    found = chapter.run(Performance(task="multiclass", resamples=100), rows.subject(model, champion))
    given = rows.test[rows.features]
    truth, classes = rows.truth, model.classes_.tolist()
    numbers: dict[str, tuple[str, str, list[float]]] = {}

    def add(metric: str, method: str, function: Any, probable: bool = False, **more: Any) -> None:
        answers = [each.predict_proba(given) if probable else each.predict(given) for each in (model, champion)]
        words = "".join(f", {name}={value!r}" for name, value in more.items() if name in ("average", "multi_class"))
        reference = by(_SK, f"metrics.{function.__name__}{words}")
        numbers[metric] = method, reference, [float(function(truth, each, **more)) for each in answers]

    add("accuracy", "share of right decisions", metrics.accuracy_score)
    add("balanced_accuracy", "mean recall, Brodersen et al. 2010", metrics.balanced_accuracy_score)
    add("cohen_kappa", "Cohen 1960", metrics.cohen_kappa_score)
    for average in ("macro", "weighted"):
        for name in ("precision", "recall", "f1"):
            function = getattr(metrics, f"{name}_score")
            add(f"{name}.{average}", f"{average} mean, Sokolova and Lapalme 2009", function, average=average, zero_division=0)
    add("log_loss", "nats per row, Good 1952", metrics.log_loss, True, labels=classes)
    add("roc_auc", "each class against the rest, Fawcett 2006", metrics.roc_auc_score, True, multi_class="ovr")
    add("roc_auc.hand_till", "M of Hand and Till 2001", metrics.roc_auc_score, True, multi_class="ovo")
    for metric, (method, reference, (mine, other)) in numbers.items():
        chapter.values(found, metric, method, reference, rows.name, mine)
        chapter.values(found, f"{metric}.difference", f"{method}; less the champion's", reference, rows.name, mine - other)
    decided, table = model.predict(given), model.predict_proba(given)
    for name in ("precision", "recall", "f1"):
        function = getattr(metrics, f"{name}_score")
        each = dict(zip(classes, function(truth, decided, average=None, labels=classes, zero_division=0), strict=True))
        by_class = {f"class={label}": value for label, value in each.items()}
        reference = by(_SK, f"metrics.{name}_score, average=None")
        chapter.values(found, name, "of each class, van Rijsbergen 1979", reference, rows.name, by_class)
    areas = {f"class={label}": metrics.roc_auc_score(truth == label, table[:, place]) for place, label in enumerate(classes)}
    chapter.values(found, "roc_auc", "of each class against the rest", by(_SK, "metrics.roc_auc_score"), rows.name, areas)
    ends = {f"class={label}": intervals.delong(truth == label, [table[:, place]]) for place, label in enumerate(classes)}
    chapter.ends(found, "roc_auc", f"of each class, {_DELONG}", _PAIRS, rows.name, ends)
    recalls = {
        f"class={label}": (int((decided[truth == label] == label).sum()), int((truth == label).sum())) for label in classes
    }
    _wilson(chapter, found, "recall", rows, recalls)


def regression(chapter: Chapter, rows: Rows) -> None:
    """Compare predicted numbers."""
    from sklearn import metrics

    model, champion = regressor(rows), regressor(rows, rows.features[:3])
    found = chapter.run(Performance(task="regression", resamples=100), rows.subject(model, champion))
    given, truth = rows.test[rows.features], rows.truth.astype(float)
    mine, theirs = model.predict(given), champion.predict(given)
    of: Mapping[str, tuple[str, Callable[[Any, Any], float]]] = {
        "rmse": ("root of the mean squared error", metrics.root_mean_squared_error),
        "mae": ("mean absolute error", metrics.mean_absolute_error),
        "r2": ("Draper and Smith 1998, chapter 1", metrics.r2_score),
        "mape": ("mean absolute error as a share of the target", metrics.mean_absolute_percentage_error),
        "median_absolute_error": ("median", metrics.median_absolute_error),
        "max_error": ("greatest absolute error", metrics.max_error),
    }
    for metric, (method, function) in of.items():
        reference = by(_SK, f"metrics.{function.__name__}")
        if metric == "mape" and not truth.all():
            continue
        chapter.values(found, metric, method, reference, rows.name, function(truth, mine))
        if (f"{metric}.difference", "") in found:
            gap = function(truth, mine) - function(truth, theirs)
            chapter.values(found, f"{metric}.difference", f"{method}; less the champion's", reference, rows.name, gap)
    errors = np.abs(truth - mine)
    expected = stats.quantile_test(errors, p=0.5).confidence_interval(0.95)
    chapter.ends(
        found, "median_absolute_error", "order statistics, Conover 1999, 3.2", by("scipy", "stats.quantile_test"), rows.name,
        (expected.low, expected.high),
    )  # fmt: skip
    if len(truth) > 10_000:
        _delta(chapter, found, "mae", rows, errors)
        _delta(chapter, found, "mae.difference", rows, errors - np.abs(truth - theirs))


def ranking(chapter: Chapter, rows: Rows, query: str) -> None:
    """Compare an order of rows within queries. The scores of a query must all differ: scikit-learn breaks ties of MAP otherwise."""
    from sklearn import metrics

    model, champion = regressor(rows), regressor(rows, rows.features[1:])
    found = chapter.run(Performance(task="ranking", query=query, cutoffs=(3, 10), resamples=100), rows.subject(model, champion))

    def means(given: np.ndarray) -> dict[str, float]:
        per_query: dict[str, list[float]] = {"ndcg@3": [], "ndcg@10": [], "map": [], "mrr": []}
        for each in rows.test[query].unique():
            inside = (rows.test[query] == each).to_numpy()
            grade, score = rows.truth[inside].astype(float), given[inside]
            if not grade.any():
                continue
            for place in (3, 10):
                found = metrics.ndcg_score([grade], [score], k=place) if len(grade) > 1 else 1.0
                per_query[f"ndcg@{place}"].append(found)
            per_query["map"].append(metrics.average_precision_score(grade >= 1, score))
            per_query["mrr"].append(1.0 / stats.rankdata(-score)[grade >= 1].min())
        return {metric: float(np.mean(values)) for metric, values in per_query.items()}

    mine, theirs = (means(each.predict(rows.test[rows.features])) for each in (model, champion))
    named = {
        "ndcg@3": ("Järvelin and Kekäläinen 2002, mean over queries", by(_SK, "metrics.ndcg_score")),
        "ndcg@10": ("Järvelin and Kekäläinen 2002, mean over queries", by(_SK, "metrics.ndcg_score")),
        "map": ("mean average precision, Manning et al. 2008, 8.4", by(_SK, "metrics.average_precision_score")),
        "mrr": ("Voorhees 1999, mean over queries", by("scipy", "stats.rankdata")),
    }
    for metric, (method, reference) in named.items():
        chapter.values(found, metric, method, reference, rows.name, mine[metric])
        if (f"{metric}.difference", "") in found:
            gap = mine[metric] - theirs[metric]
            chapter.values(found, f"{metric}.difference", f"{method}; less the champion's", reference, rows.name, gap)


def _wilson(chapter: Chapter, found: Found, metric: str, rows: Rows, counts: Mapping[str, tuple[int, int]]) -> None:
    expected = {slice_: intervals.wilson(*each) for slice_, each in counts.items()}
    reference = by("scipy", "stats.binomtest(...).proportion_ci")
    chapter.ends(found, metric, _WILSON, reference, rows.name, expected)


def _delta(chapter: Chapter, found: Found, metric: str, rows: Rows, values: np.ndarray) -> None:
    half = intervals.Z * float(stats.sem(values))
    mean = float(np.mean(values))
    expected = (mean - half, mean + half)
    chapter.ends(found, metric, "delta method, Efron 1982, 95 %", by("scipy", "stats.sem"), rows.name, expected)


def _bootstrap(
    chapter: Chapter, found: Found, metric: str, rows: Rows, data: list[np.ndarray], statistic: Any, method: str = "BCa"
) -> None:
    (low, high), tolerance = intervals.bootstrap(data, statistic, method, _RESAMPLES, _RESAMPLES)
    each = found[metric, ""]
    assert tolerance > EXACT
    chapter.add(
        interval_of(metric),
        f"{method} bootstrap, Efron and Tibshirani 1993, 95 %",
        by("scipy", f"stats.bootstrap, method={method!r}, {_RESAMPLES} resamples"),
        rows.name,
        [Pair(each.ci_low, low, tolerance), Pair(each.ci_high, high, tolerance)],
        "Monte Carlo, see above",
    )
