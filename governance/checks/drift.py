"""How far the evaluation set has moved away from a reference, such as the data the model was trained on."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice, pairwise
from typing import TYPE_CHECKING, ClassVar, Literal

from governance.checks.base import Cell, Measurement, Result, Table, UnsuitableData
from governance.checks.groups import MISSING
from governance.checks.reading import Reader
from governance.checks.subject import Subject

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

_MOST_BIN_ROWS = 5000  # what a table may hold
_MOST_CATEGORIES = 50
_NO_MODEL = "not computed: no model is given"
_NO_RANGE = "not computed: the reference has no value"


@dataclass(frozen=True)
class Drift:
    """Measure how the features and the predictions differ between a reference set and the evaluation set.

    Per feature (slice = feature): `drift.psi`, the population stability index in nats, 0 for equal shares; `drift.js`, the
    Jensen-Shannon distance to base 2 in [0, 1]; of numbers `drift.ks`, the Kolmogorov-Smirnov statistic, and
    `drift.out_of_range`, the share of rows beyond the reference's lowest and highest value; of categories `drift.chi2`,
    Cramér's V, and `drift.unseen`, the share of rows in a category that the reference lacks; all in [0, 1]. `drift.missing`
    is the share of rows without a value less that of the reference, in [-1, 1]. Over all: `drift.worst_psi`, and
    `drift.features` as a count. Of the predictions: `drift.prediction_psi`, with `drift.prediction_ks` for probabilities and
    regressions, `drift.prediction_chi2` for labels. Of the evaluation set alone: `quality.duplicate_rows` and
    `quality.missing` as shares of its rows and cells, `quality.constant_features` as a count.

    Numbers are cut at quantiles of the reference, the outer bins open; each category is a bin, and so are the rows without a
    value, so that nobody drops out of the picture. Only KS leaves those out. A column counts as numbers if it holds them in
    both sets, dates as seconds since 1970 if they are stored as such, all else as categories. `method` has the p-values. Rows
    are told to be equal by hashes of 64 bits, which of five million rows err once in a million times.
    Raises MissingInput, MissingColumn, UnreadableInput, UnsuitableData without features, ModelLoadFailed, ModelPredictFailed.

    Source: Siddiqi 2006 and Yurdakul 2018 (PSI); Lin 1991, Endres and Schindelin 2003 (Jensen-Shannon); Smirnov 1948 (KS);
    Cramér 1946, chapter 21 (V). Empty bins: see `statistics.distance.psi`.
    """

    name: ClassVar[str] = "drift"
    revision: ClassVar[str] = "1"
    needs_model: ClassVar[bool] = True
    needs_dataset: ClassVar[bool] = True

    reference: str = field(
        metadata={"dataset": True, "minLength": 1, "description": "The data set to compare with, as a rule the training set."}
    )
    task: Literal["binary", "regression"] = field(default="binary", metadata={"description": "What the model predicts."})
    bins: int = field(
        default=10, metadata={"minimum": 2, "maximum": 100, "description": "Quantile bins that a number is cut into."}
    )

    def __post_init__(self) -> None:
        """Raise ValueError without a reference."""
        if not self.reference:
            raise ValueError("'reference' must name a data set")

    def run(self, subject: Subject) -> Iterator[Result]:
        """Yield the quality of the evaluation set, the drift of predictions and features, and two tables, the worst first."""
        features = _features(subject)
        reference = subject.other_reader(self.reference)
        reference.require(features, "the comparison with the evaluation set")
        yield from self._predictions(subject, features, reference)
        columns = zip(reference.columns_in_turn(features), subject.reader.columns_in_turn(features), strict=True)
        compared, constant = [], 0
        for index, ((name, before), (_, now)) in enumerate(columns):
            subject.progress(0.6 + 0.35 * index / len(features), f"Comparing {name}")
            compared.append(compare(name, before, now, self.bins))
            constant += _plain(now).nunique(dropna=False) == 1
        subject.progress(0.95, "Looking for rows that are there twice")
        yield from _quality(subject.reader, constant)
        for each in compared:
            yield from _measured(each)
        ranked = sorted(compared, key=lambda each: (-each.psi, each.name))
        method = f"largest of {len(ranked)} features: {ranked[0].name}"
        yield Measurement("drift.worst_psi", ranked[0].psi, n=subject.row_count, method=method)
        yield Measurement("drift.features", float(len(ranked)), n=subject.row_count, method="count")
        yield _feature_table(ranked)
        yield _bin_table(ranked)

    def _predictions(self, subject: Subject, features: list[str], reference: Reader) -> Iterator[Measurement]:
        if subject.predictor is None:
            yield Measurement("drift.prediction_psi", None, n=subject.row_count, method=_NO_MODEL)
            return
        before, now = self._predicted(subject, features, reference)
        compared = compare("prediction", before, now, self.bins)
        yield _psi(compared, "drift.prediction_psi")
        yield _tested(compared, "drift.prediction_")

    def _predicted(self, subject: Subject, features: list[str], reference: Reader) -> tuple[pd.Series, pd.Series]:
        import numpy as np
        import pandas as pd

        def there(answer: Callable[[pd.DataFrame], np.ndarray]) -> np.ndarray:
            return np.concatenate([answer(rows) for rows in reference.batches(features)])

        if self.task == "regression":
            return pd.Series(there(subject.labels)).infer_objects(), pd.Series(subject.predict()).infer_objects()
        scores = subject.scores()
        if scores is not None:
            return pd.Series(there(subject.score)), pd.Series(scores)
        # Labels are names even where they are numbers: class 2 does not lie between 1 and 3.
        return pd.Series(there(subject.labels), dtype=object), pd.Series(subject.predict(), dtype=object)


def _features(subject: Subject) -> list[str]:
    """Return the features the model takes or, without a model, all columns but the target. Raises UnsuitableData for none."""
    if subject.model_path is not None or subject.dataset is None:
        features = subject.feature_names
    else:
        features = [name for name in subject.reader.names if name != subject.dataset.target]
    if not features:
        raise UnsuitableData(f"The data set {subject.dataset_name} has no feature to compare. Add the columns the model takes.")
    return features


def _quality(reader: Reader, constant: int) -> Iterator[Measurement]:
    import numpy as np
    import pandas as pd

    missing, cells, rows = 0, 0, []
    for batch in reader.batches(reader.names):
        missing += int(batch.isna().to_numpy().sum())
        cells += batch.size
        plain = pd.DataFrame({place: _plain(batch[name]) for place, name in enumerate(batch)})
        rows.append(pd.util.hash_pandas_object(plain, index=False).to_numpy())
    n = reader.row_count
    duplicates = (n - len(np.unique(np.concatenate(rows)))) / n
    yield Measurement("quality.duplicate_rows", duplicates, n=n, method="rows equal to an earlier one in all columns")
    yield Measurement("quality.constant_features", float(constant), n=n, method="features with one value, or with none")
    yield Measurement("quality.missing", missing / cells, n=n, method="cells of all columns")


def _plain(values: pd.Series) -> pd.Series:
    """Return values of which equal ones are alike to the bit: lists from Parquet as texts, and one zero."""
    if values.dtype == "object":
        return values.map(str)
    return values + 0.0 if values.dtype.kind == "f" else values


@dataclass(frozen=True)
class Comparison:
    """One column in the reference and in the evaluation set.

    labels: the bins, in order, and at the end that of the rows without a value. counts: rows per bin, shape (2, bins), the
    reference first. statistic: KS of numbers, Cramér's V of categories, or None; `tested` says how, or why not; it rests on `n`
    rows of the evaluation set. outside: rows out of range or unseen, as a share of the evaluation set, or None.
    """

    name: str
    kind: Literal["number", "category"]
    labels: tuple[str, ...]
    counts: np.ndarray
    statistic: float | None
    tested: str
    n: int
    outside: float | None

    @property
    def rows(self) -> int:
        """Rows of the evaluation set."""
        return int(self.counts[1].sum())

    @cached_property
    def shares(self) -> np.ndarray:
        """The counts as shares of their set, shape (2, bins)."""
        shares: np.ndarray = self.counts / self.counts.sum(axis=1, keepdims=True)
        return shares

    @cached_property
    def psi(self) -> float:
        """The population stability index in nats."""
        from governance.checks.statistics import distance

        return distance.psi(self.counts)

    @cached_property
    def js(self) -> float:
        """The Jensen-Shannon distance in [0, 1]."""
        from governance.checks.statistics import distance

        return distance.jensen_shannon(self.counts)


def compare(name: str, reference: pd.Series, now: pd.Series, bins: int) -> Comparison:
    """Compare a column of the reference with that of the evaluation set; both have rows."""
    before, after = reference.dropna(), now.dropna()
    gaps = len(reference) - len(before), len(now) - len(after)
    # Without a value there is no type: pandas reads a column of texts as numbers once they are all missing.
    if _are_numbers([each for each in (before, after) if len(each)]):
        return _compare_numbers(name, _numbers(before), _numbers(after), gaps, bins)
    return _compare_categories(name, _counted(before), _counted(after), gaps)


def _are_numbers(columns: list[pd.Series]) -> bool:
    return all(each.dtype.kind in "iuf" for each in columns) or all(each.dtype.kind == "M" for each in columns)


def _numbers(known: pd.Series) -> np.ndarray:
    if known.dtype.kind == "M":
        known = known.dt.as_unit("us").astype("int64") / 1e6
    numbers: np.ndarray = known.to_numpy(dtype=float)
    return numbers


def _counted(known: pd.Series) -> pd.Series:
    """Return how many rows are in each category, by its name."""
    plain = known.map(_text) if known.dtype == "object" else known
    counts = plain.value_counts()
    counts = counts[counts > 0]  # of a type with categories, those that no row is in
    return counts.groupby([_text(value) for value in counts.index.tolist()]).sum()


def _text(value: object) -> str:
    """Write 1.0 as 1, as the groups do: a missing value turns a whole column into floats, and that is no drift."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _compare_numbers(name: str, before: np.ndarray, after: np.ndarray, gaps: tuple[int, int], bins: int) -> Comparison:
    import numpy as np

    from governance.checks.statistics import distance

    edges = distance.quantile_edges(before, bins)
    counts = np.column_stack([[distance.bin_counts(before, edges), distance.bin_counts(after, edges)], gaps])
    statistic, outside = None, None
    tested = f"not computed: {'the evaluation set' if len(before) else 'the reference'} has no value"
    if len(before):
        outside = float(((after < before.min()) | (after > before.max())).sum() / counts[1].sum())
    if len(before) and len(after):
        statistic, p_value = distance.kolmogorov_smirnov(before, after)
        tested = f"two-sample Kolmogorov-Smirnov on the rows with a value, p = {p_value:.3g}"
    labels = (*bin_names(edges.tolist()), MISSING)
    return Comparison(name, "number", labels, counts, statistic, tested, len(after), outside)


def _compare_categories(name: str, before: pd.Series, after: pd.Series, gaps: tuple[int, int]) -> Comparison:
    import numpy as np

    from governance.checks.statistics import distance

    found = before, after
    categories = sorted({*found[0].index, *found[1].index})
    known = np.asarray([each.reindex(categories, fill_value=0).to_numpy() for each in found], dtype=np.int64)
    counts = np.column_stack([known, gaps])
    statistic, p_value = distance.cramers_v(counts)
    tested = f"Cramér's V; chi-square, p = {p_value:.3g}"
    unseen = float(known[1, known[0] == 0].sum() / counts[1].sum())
    return Comparison(name, "category", (*categories, MISSING), counts, statistic, tested, int(counts[1].sum()), unseen)


def bin_names(edges: list[float]) -> list[str]:
    """Return the names of the len(edges) + 1 bins; each holds its upper edge."""
    if not edges:
        return ["any value"]
    # Two edges without a number between them: the bin is that of one value (see `distance.quantile_edges`).
    lone = len(edges) > 1 and math.nextafter(edges[0], math.inf) == edges[1]
    names = _written(edges[1:] if lone else edges)
    first = [f"under {names[0]}", names[0]] if lone else [f"up to {names[0]}"]
    return [*first, *(f"over {low} to {high}" for low, high in pairwise(names)), f"over {names[-1]}"]


def _written(numbers: list[float]) -> list[str]:
    short = [str(int(each)) if each.is_integer() and abs(each) < 1e15 else f"{each:g}" for each in numbers]
    return short if len(set(short)) == len(short) else [repr(each) for each in numbers]


def _measured(each: Comparison) -> Iterator[Measurement]:
    yield _psi(each, "drift.psi", each.name)
    yield Measurement("drift.js", each.js, each.name, each.rows, method="to base 2, on the bins of drift.psi")
    yield _tested(each, "drift.", each.name)
    missing = each.shares[:, -1].tolist()
    method = f"now {missing[1]:.3g}, in the reference {missing[0]:.3g}"
    yield Measurement("drift.missing", missing[1] - missing[0], each.name, each.rows, method=method)
    if each.kind == "category":
        yield Measurement("drift.unseen", each.outside, each.name, each.rows, method="rows in a category the reference lacks")
    else:
        method = "rows beyond the range of the reference" if each.outside is not None else _NO_RANGE
        yield Measurement("drift.out_of_range", each.outside, each.name, each.rows, method=method)


def _psi(each: Comparison, metric: str, slice_: str = "") -> Measurement:
    from governance.checks.statistics import distance

    bins = int(each.counts.any(axis=0).sum())
    smoothed = "; 1/2 added to each, as some are empty in one set" if distance.is_smoothed(each.counts) else ""
    return Measurement(metric, each.psi, slice_, each.rows, method=f"{bins} bins{smoothed}")


def _tested(each: Comparison, prefix: str, slice_: str = "") -> Measurement:
    metric = "ks" if each.kind == "number" else "chi2"
    return Measurement(prefix + metric, each.statistic, slice_, each.n, method=each.tested)


def _feature_table(ranked: list[Comparison]) -> Table:
    return Table(
        "feature_drift",
        "Drift by feature",
        ("feature", "kind", "psi", "js", "ks_or_cramers_v", "missing_reference", "missing_now"),
        tuple((each.name, each.kind, each.psi, each.js, each.statistic, *each.shares[:, -1].tolist()) for each in ranked),
    )


def _bin_table(ranked: list[Comparison]) -> Table:
    rows = (row for each in ranked for row in _bin_rows(each))
    return Table(
        "drift_bins",
        "Shares by feature and bin",
        ("feature", "bin", "share_reference", "share_now"),
        tuple(islice(rows, _MOST_BIN_ROWS)),
    )


def _bin_rows(each: Comparison) -> Iterator[tuple[Cell, ...]]:
    """Yield the bins in use: those of numbers in order, of categories the most changed ones first and the rest in one row."""
    import numpy as np

    used = np.flatnonzero(each.counts.any(axis=0))
    shares = each.shares
    if each.kind == "category":
        used = used[(-abs(shares[1, used] - shares[0, used])).argsort(kind="stable")]
    most = _MOST_CATEGORIES if each.kind == "category" else len(used)
    for index in used[:most].tolist():
        yield (each.name, each.labels[index], *shares[:, index].tolist())
    rest = used[most:]
    if len(rest):
        yield (each.name, f"{len(rest)} others", *shares[:, rest].sum(axis=1).tolist())
