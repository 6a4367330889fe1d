"""Explanations beside scikit-learn, and Shapley values beside their closed form and their definition."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from itertools import combinations
from typing import Any

import numpy as np
from scipy import stats

from governance.checks.explainability import Explainability
from scripts.ground_truth.agreement import EXACT, Chapter, Found, Pair, by
from scripts.ground_truth.data import Rows, classifier, regressor

_BOTH = "5 standard errors: sqrt(s²/R + s'²/R') of the shuffles of both"


def permutation(chapter: Chapter, rows: Rows, repeats: int) -> None:
    """Compare the drop of the ROC AUC, averaged over so many shuffles of each, with that of scikit-learn."""
    from sklearn.inspection import permutation_importance
    from sklearn.metrics import roc_auc_score

    rows = rows.only(rows.features, 1000)
    model = classifier(rows)
    found = chapter.run(
        Explainability(repeats=repeats, resamples=2, sensitive=(rows.features[0],), forbidden=(rows.features[1],)),
        rows.subject(model),
    )
    given = rows.test[rows.features]
    base = roc_auc_score(rows.truth, model.predict_proba(given)[:, 1])
    baseline = by("scikit-learn", "metrics.roc_auc_score")
    chapter.values(found, "explainability.baseline", "ROC AUC on the rows as they are", baseline, rows.name, base)
    theirs = permutation_importance(model, given, rows.truth, scoring="roc_auc", n_repeats=repeats, random_state=5)
    pairs = []
    for place, name in enumerate(rows.features):
        # The spread of a shuffle is the same in both, so that of scikit-learn's stands for both.
        error = float(theirs.importances[place].std(ddof=1)) * math.sqrt(2 / repeats)
        pairs.append(Pair(found["attribution", name].value, float(theirs.importances_mean[place]), max(5 * error, EXACT)))
    chapter.add(
        "attribution",
        f"permutation, Breiman 2001; mean drop of the ROC AUC over {repeats} shuffles",
        by("scikit-learn", "inspection.permutation_importance, scoring='roc_auc'"),
        rows.name,
        pairs,
        _BOTH,
    )


def linear(chapter: Chapter, rows: Rows, most: int, draws: int) -> None:
    """Compare Shapley values of linear models with w (x - mean x), and what is made of them. All rows are explained and the background."""
    rows = rows.only(rows.features, most)
    model, champion = regressor(rows), regressor(rows, rows.features[: len(rows.features) - 1][::2])
    chosen = tuple(rows.features[:2])
    check = Explainability(
        task="regression", method="shapley", explained=most, background=most, budget=1_000_000, resamples=200,
        sensitive=chosen, forbidden=chosen[:1],
    )  # fmt: skip
    found = chapter.run(check, rows.subject(model, champion))
    values, others = _linear_values(model, rows, rows.features), _linear_values(champion, rows, rows.features)
    mean, theirs = np.abs(values).mean(axis=0), np.abs(others).mean(axis=0)
    closed, name = "closed form w (x - mean x), Štrumbelj and Kononenko 2014", rows.name
    source = "mean absolute Shapley value, Lundberg and Lee 2017"
    by_feature = dict(zip(rows.features, mean.tolist(), strict=True))
    chapter.values(found, "attribution", source, closed, name, by_feature)
    ends = {
        each: tuple(stats.ttest_1samp(np.abs(values[:, place]), 0.0).confidence_interval(0.95))
        for place, each in enumerate(rows.features)
        if mean[place]
    }
    ends = {each: (max(0.0, low), high) for each, (low, high) in ends.items()}
    chapter.ends(found, "attribution", "Student 1908, 95 %", by("scipy", "stats.ttest_1samp on the closed form"), name, ends)
    answers = float(model.predict(rows.test[rows.features]).mean())
    chapter.values(found, "explainability.baseline", "mean answer of the background", "numpy.mean", name, answers)
    share = {each: by_feature[each] / mean.sum() for each in chosen}
    share[""] = sum(share.values())
    chapter.values(found, "explainability.sensitive_share", "share of the sum of attributions", closed, name, share)
    forbidden = {chosen[0]: share[chosen[0]], "": share[chosen[0]]}
    chapter.values(found, "explainability.forbidden_share", "share of the sum of attributions", closed, name, forbidden)
    _rankings(chapter, found, name, mean, theirs)
    _stability(chapter, found, name, np.abs(values), draws)
    for metric in ("explainability.additivity_error", "explainability.mean_additivity_error", "explainability.sampling_error"):
        if (metric, "") in found and (metric != "explainability.sampling_error" or len(rows.features) <= 8):
            chapter.values(found, metric, "efficiency of Shapley 1953", "0 by the axiom", name, 0.0)


def enumerated(chapter: Chapter, rows: Rows, columns: list[str], most: int) -> None:
    """Compare Shapley values of a forest with their definition, over all coalitions."""
    rows = rows.only(columns, most)
    model = classifier(rows, trees=True)
    found = chapter.run(
        Explainability(method="shapley", explained=most, background=most, budget=1_000_000, resamples=2), rows.subject(model)
    )
    given = rows.test[columns].reset_index(drop=True)
    place = model.classes_.tolist().index(1)

    def worth(row: int, coalition: tuple[int, ...]) -> float:
        mixed = given.copy()
        for index in coalition:
            mixed[columns[index]] = given[columns[index]].iloc[row]
        return float(model.predict_proba(mixed)[:, place].mean())

    values = np.array([_by_definition(partial(worth, row), len(columns)) for row in range(len(given))])
    expected = dict(zip(columns, np.abs(values).mean(axis=0).tolist(), strict=True))
    source = "mean absolute Shapley value, Lundberg and Lee 2017"
    reference = "the definition of Shapley 1953, over every coalition"
    chapter.values(found, "attribution", source, reference, rows.name, expected)
    chapter.values(found, "explainability.sampling_error", "none where every coalition is asked", "0", rows.name, 0.0)


def _by_definition(worth: Callable[[tuple[int, ...]], float], features: int) -> list[float]:
    """Return the Shapley value of each feature. Source: Shapley 1953."""
    known = {coalition: worth(coalition) for size in range(features + 1) for coalition in combinations(range(features), size)}
    values = []
    for feature in range(features):
        value = 0.0
        for coalition, without in known.items():
            if feature not in coalition:
                weight = 1 / (features * math.comb(features - 1, len(coalition)))
                value += weight * (known[tuple(sorted((*coalition, feature)))] - without)
        values.append(value)
    return values


def _linear_values(model: Any, rows: Rows, features: list[str]) -> np.ndarray:
    """Return w (x - mean x) of each row and feature, from the answers to rows that differ in one feature. Shape (n, m)."""
    given = rows.test[features].reset_index(drop=True)
    start = given.iloc[[0]]
    zero = model.predict(start)[0]
    values = np.empty(given.shape)
    for place, name in enumerate(features):
        moved = given.copy()
        moved.loc[:, [each for each in features if each != name]] = start[[each for each in features if each != name]].to_numpy()
        gone = model.predict(moved) - zero
        values[:, place] = gone - gone.mean()
    values[np.abs(values) < 1e-9] = 0.0
    return values


def _rankings(chapter: Chapter, found: Found, name: str, mine: np.ndarray, theirs: np.ndarray) -> None:
    """Compare the distance of two rankings. Ties count one half in Kendall's distance, as in (1 - tau-a) / 2."""
    tops = [set(np.argsort(-each, kind="stable")[:10][np.sort(each)[::-1][:10] > 0].tolist()) for each in (mine, theirs)]
    ranked = sorted(tops[0] | tops[1])
    pairs = len(ranked) * (len(ranked) - 1) / 2
    one, other = mine[ranked], theirs[ranked]
    tied = [sum(math.comb(count, 2) for count in np.unique(each, return_counts=True)[1]) for each in (one, other)]
    tau_a = stats.kendalltau(one, other).statistic * math.sqrt((pairs - tied[0]) * (pairs - tied[1])) / pairs
    chapter.values(
        found, "explainability.ranking_shift", "Kendall distance, Fagin et al. 2006", by("scipy", "stats.kendalltau"), name,
        (1 - tau_a) / 2,
    )  # fmt: skip
    five = [set(np.argsort(-each, kind="stable")[:5][np.sort(each)[::-1][:5] > 0].tolist()) for each in (mine, theirs)]
    overlap = len(five[0] & five[1]) / max(map(len, five))
    chapter.values(found, "explainability.top_overlap", "share of the five greatest", "numpy.argsort", name, overlap)


def _stability(chapter: Chapter, found: Found, name: str, magnitudes: np.ndarray, draws: int) -> None:
    """Compare the mean tau of 200 resamples with that of others."""
    random, mean = np.random.default_rng(11), magnitudes.mean(axis=0)
    top = np.argsort(-mean, kind="stable")[:10]
    top = top[mean[top] > 0]
    drawn = random.integers(len(magnitudes), size=(draws, len(magnitudes)))
    taus = [stats.kendalltau(mean[top], magnitudes[each].mean(axis=0)[top]).statistic for each in drawn]
    tolerance = max(5 * float(np.std(taus)) * math.sqrt(1 / 200 + 1 / draws), EXACT)
    each = found["explainability.stability", ""]
    chapter.add(
        "explainability.stability",
        "mean Kendall tau-b over resamples, Kendall 1945",
        by("scipy", "stats.kendalltau on resamples of the closed form"),
        name,
        [Pair(each.value, float(np.mean(taus)), tolerance)],
        f"5 standard errors: s sqrt(1/200 + 1/{draws}) of the taus",
    )
