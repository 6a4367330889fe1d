"""Predictive performance on an evaluation set, whole and by slice."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Literal

from governance.checks import groups
from governance.checks.base import Measurement, Result, Table, UnsuitableData
from governance.checks.groups import Feature
from governance.checks.subject import Subject

if TYPE_CHECKING:
    import numpy as np

    from governance.checks.statistics.rates import Share

_MOST_CURVE_POINTS = 200
_CALIBRATION_BINS = 10
_WILSON = "95 % Wilson interval"
_NO_SCORES = "not computed: the model gives labels and no probabilities"
_ONE_CLASS = "not computed: only one class is present"


@dataclass(frozen=True)
class Performance:
    """Measure how well the model predicts.

    Binary: `roc_auc`, `pr_auc`, `accuracy`, `precision`, `recall`, `f1` in [0, 1]; `brier` in [0, 1] and `log_loss` in
    nats, both best at 0. Regression: `rmse` and `mae` in units of the target, `r2` at most 1. What is not defined on the
    rows (one class, nothing selected, no probabilities) is None with the reason in `method`.
    Raises MissingColumn, UnsuitableData, ModelLoadFailed, ModelPredictFailed.
    """

    name: ClassVar[str] = "performance"
    revision: ClassVar[str] = "1"
    needs_model: ClassVar[bool] = True
    needs_dataset: ClassVar[bool] = True

    task: Literal["binary", "regression"] = field(default="binary", metadata={"description": "What the model predicts."})
    threshold: float = field(
        default=0.5,
        metadata={"minimum": 0, "maximum": 1, "description": "Score from which a row is decided favourably."},
    )
    slices: tuple[str | Feature, ...] = field(
        default=(), metadata={"description": "Columns, or numbers cut into bands, to measure by."}
    )

    def run(self, subject: Subject) -> Iterator[Result]:
        """Yield measurements for the whole set, then for each slice, then the tables of the curves."""
        if self.task == "regression":
            yield from self._regression(subject)
        else:
            yield from self._binary(subject)

    def _binary(self, subject: Subject) -> Iterator[Result]:
        positive, decided, scores = subject.positives, subject.decisions(self.threshold), subject.scores()
        for slice_, rows in _slices(subject, self.slices):
            yield from _decision_metrics(slice_, positive[rows], decided[rows], self.threshold)
            yield from _score_metrics(slice_, positive[rows], None if scores is None else scores[rows])
        yield _confusion_table(positive, decided)
        if scores is not None and not positive.all():
            yield from _curves(positive, scores)

    def _regression(self, subject: Subject) -> Iterator[Result]:
        truth, predicted = _numbers(subject.target, "The target"), _numbers(subject.predict(), "The prediction")
        for slice_, rows in _slices(subject, self.slices):
            yield from _regression_metrics(slice_, truth[rows], predicted[rows])


def _slices(subject: Subject, features: tuple[str | Feature, ...]) -> Iterator[tuple[str, np.ndarray]]:
    import numpy as np

    yield "", np.ones(len(subject.frame), dtype=bool)
    for feature in features:
        yield from groups.split(subject, feature)


def _decision_metrics(slice_: str, positive: np.ndarray, decided: np.ndarray, threshold: float) -> Iterator[Measurement]:
    from governance.checks.statistics.rates import confusion

    counts, n = confusion(positive, decided), len(positive)
    for metric, share in (("accuracy", counts.accuracy), ("precision", counts.precision), ("recall", counts.recall)):
        yield measured_share(metric, slice_, share, f"decided at {threshold:g}; {_WILSON}")
    reason = "" if counts.f1 is not None else "not computed: nothing is positive; "
    yield Measurement("f1", counts.f1, slice_, n, method=f"{reason}decided at {threshold:g}")


def measured_share(metric: str, slice_: str, share: Share, method: str) -> Measurement:
    """Return a share with its Wilson interval; n is the number of rows divided by."""
    low, high = share.interval
    return Measurement(metric, share.value, slice_, share.whole, low, high, method if share.whole else "not computed: no rows")


def _score_metrics(slice_: str, positive: np.ndarray, scores: np.ndarray | None) -> Iterator[Measurement]:
    from governance.checks.statistics import ranking, rates

    n = len(positive)
    if scores is None:
        for metric in ("roc_auc", "pr_auc", "log_loss", "brier"):
            yield Measurement(metric, None, slice_, n, method=_NO_SCORES)
        return
    if positive.any() and not positive.all():
        low, high = ranking.delong_interval(positive, scores) or (None, None)
        method = "DeLong et al. 1988, 95 % interval" if low is not None else "too few rows for an interval"
        yield Measurement("roc_auc", ranking.roc_auc(positive, scores), slice_, n, low, high, method)
        yield Measurement("pr_auc", ranking.average_precision(positive, scores), slice_, n, method="average precision")
    else:
        yield Measurement("roc_auc", None, slice_, n, method=_ONE_CLASS)
        yield Measurement("pr_auc", None, slice_, n, method=_ONE_CLASS)
    yield Measurement("log_loss", rates.log_loss(positive, scores), slice_, n, method="nats per row")
    yield Measurement("brier", rates.brier(positive, scores), slice_, n, method="Brier 1950, mean squared error")


def _confusion_table(positive: np.ndarray, decided: np.ndarray) -> Table:
    from governance.checks.statistics.rates import confusion

    counts = confusion(positive, decided)
    return Table(
        "confusion_matrix",
        "Truth and decision",
        ("truth", "decided_favourable", "decided_unfavourable"),
        (
            ("favourable", counts.true_positives, counts.false_negatives),
            ("unfavourable", counts.false_positives, counts.true_negatives),
        ),
    )


def _curves(positive: np.ndarray, scores: np.ndarray) -> Iterator[Table]:
    from governance.checks.statistics import ranking, rates

    yield Table(
        "roc_curve",
        "ROC curve",
        ("false_positive_rate", "true_positive_rate", "threshold"),
        tuple(ranking.roc_points(positive, scores, _MOST_CURVE_POINTS)),
    )
    yield Table(
        "calibration",
        "Calibration",
        ("low", "high", "mean_score", "share_favourable", "rows"),
        tuple(rates.calibration(positive, scores, _CALIBRATION_BINS)),
    )


def _numbers(values: np.ndarray, what: str) -> np.ndarray:
    import numpy as np

    if values.dtype.kind not in "biuf" or not bool(np.all(np.isfinite(values))):
        raise UnsuitableData(f"{what} of a regression must be finite numbers.")
    return values.astype(float)


def _regression_metrics(slice_: str, truth: np.ndarray, predicted: np.ndarray) -> Iterator[Measurement]:
    """Yield the errors in units of the target, and R squared (1 at best). Source: Draper and Smith 1998, chapter 1."""
    import numpy as np

    errors, n = predicted - truth, len(truth)
    spread = float(np.sum((truth - truth.mean()) ** 2))
    yield Measurement("rmse", float(np.sqrt(np.mean(errors**2))), slice_, n, method="root mean squared error")
    yield Measurement("mae", float(np.mean(np.abs(errors))), slice_, n, method="mean absolute error")
    r2 = 1.0 - float(np.sum(errors**2)) / spread if spread else None
    yield Measurement("r2", r2, slice_, n, method="" if spread else "not computed: the target does not vary")
