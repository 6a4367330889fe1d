"""Drift beside scipy and pandas."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy import stats
from scipy.spatial.distance import jensenshannon

from governance.checks.drift import Drift
from scripts.ground_truth.agreement import Chapter, by
from scripts.ground_truth.data import Answering, Rows, classifier, regressor

_PSI = "Siddiqi 2006, ten quantile bins; 1/2 added to each where one is empty"


def drift(chapter: Chapter, rows: Rows) -> None:
    """Compare the rows with those that the model was trained on, some of their values gone and some moved."""
    rows = _moved(rows)
    reference = rows.folder / "reference.parquet"
    subject = rows.subject(_Probabilities(classifier(rows)), others={"train": reference})
    _ = rows.written
    rows.train.to_parquet(reference, index=False)
    found = chapter.run(Drift("train"), subject)
    numbers = [name for name in rows.features if rows.train[name].dtype.kind in "iuf"]
    words = [name for name in rows.features if name not in numbers]
    counts = {name: _numbers(rows.train[name], rows.test[name]) for name in numbers}
    counts |= {name: _words(rows.train[name], rows.test[name]) for name in words}
    psi = {name: _psi(each) for name, each in counts.items()}
    name = rows.name
    entropy = by("scipy", "stats.entropy, both ways")
    chapter.values(found, "drift.psi", _PSI, entropy, name, psi)
    chapter.values(found, "drift.worst_psi", "the greatest of the features", entropy, name, max(psi.values()))
    js = {each: float(jensenshannon(*found_counts, base=2)) for each, found_counts in counts.items()}
    source = "Lin 1991; Endres and Schindelin 2003"
    chapter.values(found, "drift.js", source, by("scipy", "spatial.distance.jensenshannon, base=2"), name, js)
    before, after = rows.train, rows.test
    ks = {each: stats.ks_2samp(before[each].dropna(), after[each].dropna()).statistic for each in numbers}
    chapter.values(found, "drift.ks", "Smirnov 1948", by("scipy", "stats.ks_2samp"), name, ks)
    if words:
        cramer = {each: stats.contingency.association(_used(counts[each]), method="cramer") for each in words}
        reference_ = by("scipy", "stats.contingency.association, method='cramer'")
        chapter.values(found, "drift.chi2", "Cramér's V, Cramér 1946, chapter 21", reference_, name, cramer)
        unseen = {each: float((after[each].notna() & ~after[each].isin(before[each])).mean()) for each in words}
        chapter.values(found, "drift.unseen", "share of rows", by("pandas", "Series.isin"), name, unseen)
    outside = {
        each: float((after[each].notna() & ~after[each].between(before[each].min(), before[each].max())).mean())
        for each in numbers
    }
    chapter.values(found, "drift.out_of_range", "share of rows", by("pandas", "Series.between"), name, outside)
    gone = {each: float(after[each].isna().mean() - before[each].isna().mean()) for each in rows.features}
    chapter.values(found, "drift.missing", "difference of shares", by("pandas", "Series.isna"), name, gone)
    predicted = [rows.answering(_Probabilities(classifier(rows))).probabilities(each)[1][:, 1] for each in (before, after)]
    _predictions(chapter, found, name, *predicted)
    frame = after[[*rows.features, rows.target]]
    quality = {
        "quality.duplicate_rows": (float(frame.duplicated().mean()), "DataFrame.duplicated"),
        "quality.missing": (float(frame.isna().to_numpy().mean()), "DataFrame.isna"),
        "quality.constant_features": (float((after[rows.features].nunique(dropna=False) == 1).sum()), "DataFrame.nunique"),
    }
    for metric, (value, function) in quality.items():
        chapter.values(found, metric, "of the evaluation set", by("pandas", function), name, value)
    _labels(chapter, rows, reference)
    _regression(chapter, rows, reference)


class _Probabilities(Answering):
    """A model that takes rows with gaps: what is missing becomes what is most frequent."""

    def __init__(self, model: Any, probable: bool = True) -> None:
        super().__init__(model, list(model.feature_names_in_), probable)

    def predict(self, rows: pd.DataFrame) -> Any:
        return super().predict(_filled(rows))

    def probabilities(self, rows: pd.DataFrame) -> tuple[list[Any], Any] | None:
        return super().probabilities(_filled(rows))


def _filled(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.fillna({name: 0 if rows[name].dtype.kind in "iuf" else "none" for name in rows})


def _moved(rows: Rows) -> Rows:
    """Return the rows with gaps and new values, so that nothing of the check is left at 0."""
    kept = rows.only(rows.features)
    test, first = kept.test.copy(), kept.features[0]
    number = next(name for name in kept.features if test[name].dtype.kind in "iuf")
    test[number] = test[number].astype(float) * 1.1
    test.loc[test.index[::9], number] = np.nan
    if test[first].dtype.kind not in "iuf":
        test.loc[test.index[::11], first] = "new"
    test["constant"], train = 1.0, kept.train.assign(constant=1.0)
    return Rows(kept.name, kept.folder / "moved", train, test, kept.target, [*kept.features, "constant"])


def _labels(chapter: Chapter, rows: Rows, reference: Any) -> None:
    model = _Probabilities(classifier(rows), probable=False)
    found = chapter.run(Drift("train"), rows.subject(model, others={"train": reference}))
    given = _words(*(pd.Series(model.predict(each)) for each in (rows.train, rows.test)))
    value = stats.contingency.association(_used(given), method="cramer")
    chapter.values(
        found, "drift.prediction_chi2", "Cramér's V of the labels", by("scipy", "stats.contingency.association, method='cramer'"),
        rows.name, value,
    )  # fmt: skip


def _regression(chapter: Chapter, rows: Rows, reference: Any) -> None:
    model = _Probabilities(regressor(rows))
    found = chapter.run(Drift("train", task="regression"), rows.subject(model, others={"train": reference}))
    _predictions(chapter, found, rows.name, *(model.predict(each) for each in (rows.train, rows.test)))


def _predictions(chapter: Chapter, found: Any, name: str, before: np.ndarray, after: np.ndarray) -> None:
    psi = _psi(_numbers(pd.Series(before), pd.Series(after)))
    chapter.values(found, "drift.prediction_psi", _PSI, by("scipy", "stats.entropy, both ways"), name, psi)
    ks = float(stats.ks_2samp(before, after).statistic)
    chapter.values(found, "drift.prediction_ks", "Smirnov 1948", by("scipy", "stats.ks_2samp"), name, ks)


def _numbers(before: pd.Series, after: pd.Series) -> np.ndarray:
    """Return the rows per bin, shape (2, bins), those without a value last; cut at quantiles of the first (Hyndman and Fan 1996, 1)."""
    known = before.dropna().to_numpy(dtype=float)
    edges = np.unique(np.quantile(known, np.arange(1, 10) / 10, method="inverted_cdf"))
    if edges[0] == known.min():
        edges = np.insert(edges, 0, np.nextafter(edges[0], -np.inf))
    return np.array(
        [
            [*np.bincount(np.digitize(each.dropna(), edges, right=True), minlength=len(edges) + 1), each.isna().sum()]
            for each in (before, after)
        ]
    )


def _words(before: pd.Series, after: pd.Series) -> np.ndarray:
    names = sorted({*before.dropna(), *after.dropna()})
    return np.array([[*((each == name).sum() for name in names), each.isna().sum()] for each in (before, after)])


def _used(counts: np.ndarray) -> np.ndarray:
    return counts[:, counts.any(axis=0)]


def _psi(counts: np.ndarray) -> float:
    used = _used(counts).astype(float)
    before, after = used + 0.5 if (used == 0).any() else used
    return float(stats.entropy(before, after) + stats.entropy(after, before))
