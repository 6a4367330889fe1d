"""Rows of a query, the most relevant to be put first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from governance.checks.base import Measurement, Table, UnsuitableData
from governance.checks.tasks.measured import Difference, paired, with_interval

if TYPE_CHECKING:
    import numpy as np

    from governance.checks.statistics.bootstrap import Bootstrap
    from governance.checks.statistics.retrieval import Rankings
    from governance.checks.statistics.weighted import Statistic
    from governance.checks.subject import Subject

_NOTHING_RELEVANT = "no query has a relevant row"


@dataclass(frozen=True, eq=False)
class Retrieval:
    """The query of each row as a number, its grade, and the score it is ordered by, each of shape (n,).

    cutoffs: the places that NDCG looks at. relevant_from: the grade from which a row is relevant where only that counts.
    """

    query: np.ndarray
    grade: np.ndarray
    scores: np.ndarray
    cutoffs: tuple[int, ...]
    relevant_from: float
    bootstrap: Bootstrap

    @classmethod
    def of(cls, subject: Subject, query: str, cutoffs: tuple[int, ...], relevant_from: float, bootstrap: Bootstrap) -> Retrieval:
        """Ask the model. Raises CheckError."""
        import pandas as pd

        numbers, _ = pd.factorize(subject.column(query, "the queries"))
        if bool((numbers < 0).any()):
            raise UnsuitableData(f"Column {query!r} names the query and has rows without a value. Remove those rows.")
        grade = _finite(subject.target, "The target of a ranking must be finite numbers, the grade of relevance.")
        if bool((grade < 0).any()):
            raise UnsuitableData("The target of a ranking has grades below 0. Grade what is not relevant 0.")
        return cls(numbers, grade, _scores(subject), cutoffs, relevant_from, bootstrap)

    @property
    def compared(self) -> tuple[str, ...]:
        """The names of the metrics."""
        return (*(f"ndcg@{each}" for each in self.cutoffs), "map", "mrr")

    def on(self, rows: np.ndarray) -> Retrieval:
        """Return the answers on some rows: bool, shape (n,). A query keeps those of its rows that are among them."""
        import numpy as np

        _, query = np.unique(self.query[rows], return_inverse=True)
        return replace(self, query=query, grade=self.grade[rows], scores=self.scores[rows])

    def measurements(self, slice_: str) -> Iterator[Measurement]:
        """Yield the mean over queries of each metric; n is the number of queries that have a relevant row."""
        known = {metric: each for metric, each in self._statistics.items() if each is not None}
        intervals = {
            metric: interval
            for metrics in _by_rows(known).values()
            for metric, interval in zip(metrics, self.bootstrap.intervals([known[each] for each in metrics]), strict=True)
        }
        for metric in self.compared:
            if metric in known:
                each, left_out = known[metric], len(self._by_query[metric]) - known[metric].rows
                method = "mean over queries" + (f", {left_out} without a relevant row left out" if left_out else "")
                yield with_interval(metric, slice_, each.value, each.rows, intervals[metric], method)
            else:
                yield Measurement(metric, None, slice_, 0, method=f"not computed: {_NOTHING_RELEVANT}")

    def differences(self, champion: Retrieval) -> list[Difference]:
        """Return the numbers beside those of the champion on the same queries."""
        found: list[Difference] = []
        for metric, mine in self._statistics.items():
            n = mine.rows if mine is not None else 0
            found += paired(self.bootstrap, {metric: mine}, {metric: champion._statistics[metric]}, n, _NOTHING_RELEVANT)
        return found

    def tables(self) -> Iterator[Table]:
        """Yield how the metrics are spread over the queries, at their deciles."""
        import numpy as np

        shares = np.linspace(0.0, 1.0, 11)
        columns = [values[np.isfinite(values)] for values in self._by_query.values()]
        if all(len(values) for values in columns):
            spread = [np.quantile(values, shares).tolist() for values in columns]
            yield Table(
                "queries",
                "Spread over the queries",
                ("share_of_queries", *self.compared),
                tuple(zip(shares.round(1).tolist(), *spread, strict=True)),
            )

    @cached_property
    def _by_query(self) -> dict[str, np.ndarray]:
        from governance.checks.statistics.retrieval import Rankings

        rankings: Rankings = Rankings(self.query, self.grade, self.grade >= self.relevant_from, self.scores)
        gains = {f"ndcg@{each}": rankings.ndcg(each) for each in self.cutoffs}
        return {**gains, "map": rankings.average_precision, "mrr": rankings.reciprocal_rank}

    @cached_property
    def _statistics(self) -> dict[str, Statistic | None]:
        import numpy as np

        from governance.checks.statistics import weighted

        known = {metric: values[np.isfinite(values)] for metric, values in self._by_query.items()}
        return {metric: weighted.mean(values, 0.0, 1.0) if len(values) else None for metric, values in known.items()}


def _by_rows(known: dict[str, Statistic]) -> dict[int, list[str]]:
    """Return the metrics by how many queries they rest on: a query may have graded rows and none that counts as relevant."""
    found: dict[int, list[str]] = {}
    for metric, each in known.items():
        found.setdefault(each.rows, []).append(metric)
    return found


def _scores(subject: Subject) -> np.ndarray:
    """Return what the rows are ordered by: the number predicted or, of a classifier of grades, the mean of its grades.

    Source of the latter: Li, Burges and Wu, NIPS 2007 (McRank), section 3.
    """
    import numpy as np

    from governance.checks.scoring import Questions

    asked, means = Questions(subject.model), []
    for rows in subject.batches():
        given = asked.probabilities(rows)
        if given is None:
            return _finite(subject.predict(), "The prediction of a ranking must be finite numbers to order the rows by.")
        classes, table = given
        numbers = [each for each in classes if isinstance(each, int | float)]
        if len(numbers) < len(classes):
            raise UnsuitableData(f"The model knows the classes {classes!r}, which are no grades to order the rows by.")
        means.append(table @ np.asarray(numbers, dtype=float))
    return _finite(np.concatenate(means), "The model gives probabilities that are missing. Repair its predict_proba.")


def _finite(values: np.ndarray, otherwise: str) -> np.ndarray:
    import numpy as np

    if values.dtype.kind not in "biuf" or not bool(np.all(np.isfinite(values))):
        raise UnsuitableData(otherwise)
    return values.astype(float)
