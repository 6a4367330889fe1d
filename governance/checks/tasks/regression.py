"""Predicted numbers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

from governance.checks.base import Measurement, Table, UnsuitableData
from governance.checks.tasks.measured import Difference, paired, with_interval

if TYPE_CHECKING:
    import numpy as np

    from governance.checks.statistics.bootstrap import Bootstrap
    from governance.checks.statistics.weighted import Statistic
    from governance.checks.subject import Subject

_BANDS = 10
_METHODS = {
    "rmse": "root mean squared error",
    "mae": "mean absolute error",
    "r2": "",
    "mape": "mean absolute error as a fraction of the target",
}
_UNDEFINED = {"r2": "the target does not vary", "mape": "the target is 0 in some row"}


@dataclass(frozen=True, eq=False)
class Regression:
    """The true and the predicted number of each row, shape (n,), finite."""

    truth: np.ndarray
    predicted: np.ndarray
    bootstrap: Bootstrap

    compared: ClassVar[tuple[str, ...]] = tuple(_METHODS)

    @classmethod
    def of(cls, subject: Subject, bootstrap: Bootstrap) -> Regression:
        """Ask the model. Raises CheckError."""
        return cls(_numbers(subject.target, "The target"), _numbers(subject.predict(), "The prediction"), bootstrap)

    def on(self, rows: np.ndarray) -> Regression:
        """Return the answers on some rows: bool, shape (n,)."""
        return replace(self, truth=self.truth[rows], predicted=self.predicted[rows])

    def measurements(self, slice_: str) -> Iterator[Measurement]:
        """Yield the errors in units of the target, and R squared."""
        n, known = len(self.truth), {metric: each for metric, each in self._statistics.items() if each is not None}
        intervals = dict(zip(known, self.bootstrap.intervals(list(known.values())), strict=True))
        for metric, method in _METHODS.items():
            if metric in known:
                yield with_interval(metric, slice_, known[metric].value, n, intervals[metric], method)
            else:
                yield Measurement(metric, None, slice_, n, method=f"not computed: {_UNDEFINED[metric]}")
        yield from self._single_rows(slice_)

    def _single_rows(self, slice_: str) -> Iterator[Measurement]:
        """Yield what rests on one row or two of the order, of which the bootstrap says little."""
        import numpy as np

        from governance.checks.statistics.regression import median_interval

        errors, n = np.abs(self.truth - self.predicted), len(self.truth)
        found = median_interval(errors)
        low, high = found or (None, None)
        method = "interval of 95 % or more by order statistics" if found else "too few rows for an interval"
        yield Measurement("median_absolute_error", float(np.median(errors)), slice_, n, low, high, method)
        yield Measurement(
            "max_error", float(errors.max()), slice_, n, method="largest absolute error; no interval for an extreme"
        )

    def differences(self, champion: Regression) -> list[Difference]:
        """Return the numbers beside those of the champion on the same rows."""
        n = len(self.truth)
        found = paired(self.bootstrap, self._statistics, champion._statistics, n, "")
        return [
            replace(each, method=f"not computed: {_UNDEFINED[each.metric]}") if each.value is None else each for each in found
        ]

    def tables(self) -> Iterator[Table]:
        """Yield the residuals by band of the predictions."""
        from governance.checks.statistics.regression import QUANTILES, residual_bands

        quantiles = tuple(f"q{round(100 * each):02d}" for each in QUANTILES)
        yield Table(
            "residuals",
            "Residuals by predicted decile: truth less prediction",
            ("lowest_prediction", "highest_prediction", "rows", "mean", *quantiles),
            tuple(residual_bands(self.truth, self.predicted, _BANDS)),
        )

    @cached_property
    def _statistics(self) -> dict[str, Statistic | None]:
        import numpy as np

        from governance.checks.statistics import weighted
        from governance.checks.statistics.regression import percentage_errors

        errors = self.predicted - self.truth
        fractions = percentage_errors(self.truth, self.predicted)
        return {
            "rmse": weighted.root_mean_square(errors),
            "mae": weighted.mean(np.abs(errors), 0.0),
            "r2": weighted.r_squared(self.truth, self.predicted),
            "mape": None if fractions is None else weighted.mean(fractions, 0.0),
        }


def _numbers(values: np.ndarray, what: str) -> np.ndarray:
    import numpy as np

    if values.dtype.kind not in "biuf" or not bool(np.all(np.isfinite(values))):
        raise UnsuitableData(f"{what} of a regression must be finite numbers.")
    return values.astype(float)
