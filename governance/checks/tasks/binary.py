"""Decisions between two labels, and the probability of the favourable one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

from governance.checks.base import Measurement, Table
from governance.checks.tasks.measured import (
    DELONG,
    FEW_ROWS,
    TANGO,
    WILSON,
    Difference,
    measured_share,
    paired,
    undefined,
    with_interval,
)

if TYPE_CHECKING:
    import numpy as np

    from governance.checks.statistics.bootstrap import Bootstrap
    from governance.checks.statistics.rates import Confusion
    from governance.checks.statistics.weighted import Statistic
    from governance.checks.subject import Subject

_MOST_CURVE_POINTS = 200
_CALIBRATION_BINS = 10
_NO_SCORES = "the model gives labels and no probabilities"
_ONE_CLASS = "only one class is present"
_OF_SCORES = {
    "pr_auc": "average precision",
    "log_loss": "nats per row",
    "brier": "Brier 1950, mean squared error",
}


@dataclass(frozen=True, eq=False)
class Binary:
    """Truth, decision and probability of each row, shape (n,); scores: None of a model that gives labels alone."""

    positive: np.ndarray
    decided: np.ndarray
    scores: np.ndarray | None
    threshold: float
    bootstrap: Bootstrap

    compared: ClassVar[tuple[str, ...]] = (
        "accuracy", "precision", "recall", "f1", "roc_auc", "pr_auc", "log_loss", "brier",
    )  # fmt: skip

    @classmethod
    def of(cls, subject: Subject, threshold: float, bootstrap: Bootstrap) -> Binary:
        """Ask the model. Raises CheckError."""
        return cls(subject.positives, subject.decisions(threshold), subject.scores(), threshold, bootstrap)

    def on(self, rows: np.ndarray) -> Binary:
        """Return the answers on some rows: bool, shape (n,)."""
        scores = None if self.scores is None else self.scores[rows]
        return replace(self, positive=self.positive[rows], decided=self.decided[rows], scores=scores)

    def measurements(self, slice_: str) -> Iterator[Measurement]:
        """Yield the numbers of the decisions, then those of the probabilities."""
        yield from self._of_decisions(slice_)
        yield from self._of_scores(slice_)

    def differences(self, champion: Binary) -> list[Difference]:
        """Return the numbers beside those of the champion on the same rows."""
        return [*self._of_both_decisions(champion), *self._of_both_scores(champion)]

    def tables(self) -> Iterator[Table]:
        """Yield the confusion matrix and, with probabilities of rows of both classes, the curves."""
        from governance.checks.statistics import ranking, rates

        counts = self._counts
        yield Table(
            "confusion_matrix",
            "Truth and decision",
            ("truth", "decided_favourable", "decided_unfavourable"),
            (
                ("favourable", counts.true_positives, counts.false_negatives),
                ("unfavourable", counts.false_positives, counts.true_negatives),
            ),
        )
        if self.scores is None or not self._has_both:
            return
        yield Table(
            "roc_curve",
            "ROC curve",
            ("false_positive_rate", "true_positive_rate", "threshold"),
            tuple(ranking.roc_points(self.positive, self.scores, _MOST_CURVE_POINTS)),
        )
        yield Table(
            "pr_curve",
            "Precision-recall curve",
            ("recall", "precision", "threshold"),
            tuple(ranking.precision_recall_points(self.positive, self.scores, _MOST_CURVE_POINTS)),
        )
        yield Table(
            "calibration",
            "Calibration",
            ("low", "high", "mean_score", "share_favourable", "rows"),
            tuple(rates.calibration(self.positive, self.scores, _CALIBRATION_BINS)),
        )

    @cached_property
    def _counts(self) -> Confusion:
        from governance.checks.statistics.rates import confusion

        return confusion(self.positive, self.decided)

    @property
    def _has_both(self) -> bool:
        return bool(self.positive.any()) and not bool(self.positive.all())

    def _of_decisions(self, slice_: str) -> Iterator[Measurement]:
        import numpy as np

        from governance.checks.statistics.paired import f1_of_counts

        counts, decided = self._counts, f"decided at {self.threshold:g}"
        for metric, share in (("accuracy", counts.accuracy), ("precision", counts.precision), ("recall", counts.recall)):
            yield measured_share(metric, slice_, share, f"{decided}; {WILSON}")
        if counts.f1 is None:
            yield Measurement("f1", None, slice_, len(self.positive), method=f"not computed: nothing is positive; {decided}")
            return
        cells = np.array([counts.true_positives, counts.false_positives, counts.false_negatives, counts.true_negatives])
        interval = self.bootstrap.counted(cells, f1_of_counts)["f1"]
        yield with_interval("f1", slice_, counts.f1, len(self.positive), interval, decided)

    def _of_scores(self, slice_: str) -> Iterator[Measurement]:
        n = len(self.positive)
        if self.scores is None:
            for metric in ("roc_auc", *_OF_SCORES):
                yield Measurement(metric, None, slice_, n, method=f"not computed: {_NO_SCORES}")
            return
        yield self._area(slice_, self.scores)
        known = {metric: each for metric, each in self._statistics.items() if each is not None}
        intervals = dict(zip(known, self.bootstrap.intervals(list(known.values())), strict=True))
        for metric, method in _OF_SCORES.items():
            if metric in known:
                yield with_interval(metric, slice_, known[metric].value, n, intervals[metric], method)
            else:
                yield Measurement(metric, None, slice_, n, method=f"not computed: {_ONE_CLASS}")

    @cached_property
    def _area_alone(self) -> float | None:
        from governance.checks.statistics.ranking import roc_auc

        return roc_auc(self.positive, self.scores) if self.scores is not None and self._has_both else None

    def _area(self, slice_: str, scores: np.ndarray) -> Measurement:
        from governance.checks.statistics import ranking

        n = len(scores)
        if not self._has_both:
            return Measurement("roc_auc", None, slice_, n, method=f"not computed: {_ONE_CLASS}")
        found = ranking.delong_interval(self.positive, scores)
        low, high = found or (None, None)
        return Measurement("roc_auc", self._area_alone, slice_, n, low, high, DELONG if found else FEW_ROWS)

    @cached_property
    def _statistics(self) -> dict[str, Statistic | None]:
        """The numbers of the probabilities that are means over rows, or made of such; None where one is not defined."""
        from governance.checks.statistics import rates, weighted

        if self.scores is None:
            return dict.fromkeys(_OF_SCORES)
        return {
            "pr_auc": weighted.average_precision(self.positive, self.scores) if self._has_both else None,
            "log_loss": weighted.mean(rates.row_log_loss(self.positive, self.scores), 0.0),
            "brier": weighted.mean(rates.row_brier(self.positive, self.scores), 0.0, 1.0),
        }

    def _of_both_decisions(self, champion: Binary) -> Iterator[Difference]:
        import numpy as np

        from governance.checks.statistics import paired as pairs

        right, others = self.decided == self.positive, champion.decided == self.positive
        cells = pairs.decision_cells(self.positive, self.decided, champion.decided)
        intervals = self.bootstrap.counted(cells, pairs.decision_differences)
        for metric in ("accuracy", "precision", "recall", "f1"):
            mine, theirs = self._decided(metric), champion._decided(metric)
            n = len(self.positive)
            if mine is None or theirs is None:
                yield undefined(metric, n, "nothing is positive, or nothing selected", mine, theirs)
            elif metric in intervals:
                interval = intervals[metric]
                yield Difference(metric, n, mine, theirs, interval.low, interval.high, interval.method)
            else:
                rows = self.positive if metric == "recall" else np.ones(n, dtype=bool)
                found = pairs.discordant(right[rows], others[rows])
                yield Difference(metric, found.rows, mine, theirs, *found.interval, TANGO)

    def _decided(self, metric: str) -> float | None:
        counts = self._counts
        values = {"accuracy": counts.accuracy.value, "precision": counts.precision.value, "recall": counts.recall.value}
        return values.get(metric, counts.f1)

    def _of_both_scores(self, champion: Binary) -> Iterator[Difference]:
        n = len(self.positive)
        missing = _NO_SCORES if self.scores is None else "the champion gives labels and no probabilities"
        yield self._both_areas(champion, missing)
        reason = missing if self.scores is None or champion.scores is None else _ONE_CLASS
        yield from paired(self.bootstrap, self._statistics, champion._statistics, n, reason)

    def _both_areas(self, champion: Binary, missing: str) -> Difference:
        from governance.checks.statistics import ranking

        n = len(self.positive)
        if self.scores is None or champion.scores is None or not self._has_both:
            return undefined("roc_auc", n, missing if self._has_both else _ONE_CLASS, self._area_alone, champion._area_alone)
        found = ranking.delong_difference(self.positive, self.scores, champion.scores)
        low, high = found or (None, None)
        method = DELONG if found else FEW_ROWS
        return Difference("roc_auc", n, self._area_alone, champion._area_alone, low, high, method)
