"""Decisions between several labels, and the probability of each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

from governance.checks.base import Cell, Measurement, ModelPredictFailed, Table, UnsuitableData
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
    from governance.checks.statistics.multiclass import Area, Cells
    from governance.checks.statistics.weighted import Statistic
    from governance.checks.subject import Subject

_MOST_CLASSES = 200
_WIDEST_TABLE = 60  # columns that a table and its reader can bear
_MOST_TABLE_ROWS = 5000
_SUM_TOLERANCE = 1e-3  # what single precision and rounded files leave
_NO_SCORES = "the model gives labels and no probabilities"
_ONE_CLASS = "only one class is present"
_OF_DECISIONS = {
    "balanced_accuracy": "mean recall of the classes present",
    "precision.macro": "mean over classes",
    "precision.weighted": "mean over classes, weighted by rows",
    "recall.macro": "mean over classes",
    "recall.weighted": "mean over classes, weighted by rows",
    "f1.macro": "mean over classes",
    "f1.weighted": "mean over classes, weighted by rows",
    "cohen_kappa": "Cohen 1960, unweighted",
}


@dataclass(frozen=True, eq=False)
class Multiclass:
    """Truth and decision of each row as a place in `classes`, shape (n,), and the probability of each class, shape (n, classes).

    table: None of a model that gives labels alone.
    """

    classes: tuple[str, ...]
    truth: np.ndarray
    decided: np.ndarray
    table: np.ndarray | None
    bootstrap: Bootstrap

    compared: ClassVar[tuple[str, ...]] = ("accuracy", *_OF_DECISIONS, "log_loss", "roc_auc", "roc_auc.hand_till")

    @classmethod
    def of(cls, subject: Subject, bootstrap: Bootstrap) -> Multiclass:
        """Ask the model. Raises CheckError."""
        import numpy as np

        truth_codes, in_truth = _coded(subject.target)
        labels, known, table = _answer(subject)
        decided_codes, in_answer = _coded(labels)
        if not set(in_answer) & set(in_truth):
            raise UnsuitableData(
                f"The model answers {in_answer[0]!r}, which is none of the labels {in_truth[:10]!r} in the target. "
                "Bring the labels of the data set and of the model together."
            )
        classes = tuple(sorted({*in_truth, *in_answer, *known}, key=_in_order))
        if len(classes) > _MOST_CLASSES:
            raise UnsuitableData(f"The target and the model have {len(classes)} classes, more than {_MOST_CLASSES}.")
        place = {name: index for index, name in enumerate(classes)}
        return cls(
            classes,
            np.array([place[each] for each in in_truth])[truth_codes],
            np.array([place[each] for each in in_answer])[decided_codes],
            None if table is None else _placed(table, [place[each] for each in known], len(classes)),
            bootstrap,
        )

    def on(self, rows: np.ndarray) -> Multiclass:
        """Return the answers on some rows: bool, shape (n,)."""
        table = None if self.table is None else self.table[rows]
        return replace(self, truth=self.truth[rows], decided=self.decided[rows], table=table)

    def measurements(self, slice_: str) -> Iterator[Measurement]:
        """Yield the numbers over all classes and, for the whole set, those of each class under `class=…`."""
        yield from self._of_decisions(slice_)
        yield from self._of_probabilities(slice_)
        if not slice_:
            yield from self._by_class()

    def differences(self, champion: Multiclass) -> list[Difference]:
        """Return the numbers beside those of the champion on the same rows."""
        both = tuple(sorted({*self.classes, *champion.classes}, key=_in_order))
        mine, theirs = self._among(both), champion._among(both)
        return [*mine._of_both_decisions(theirs), *mine._of_both_probabilities(theirs)]

    def tables(self) -> Iterator[Table]:
        """Yield the confusion matrix: a column per class or, of more than 60 classes, a row per cell that has rows, most first."""
        cells = self._cells
        found = list(zip(cells.truth.tolist(), cells.decided.tolist(), cells.counts.tolist(), strict=True))
        if len(self.classes) <= _WIDEST_TABLE:
            matrix: list[list[Cell]] = [[name, *[0] * len(self.classes)] for name in self.classes]
            for truth, decided, count in found:
                matrix[truth][decided + 1] = count
            columns = ("truth", *(f"decided_{name}" for name in self.classes))
            rows = tuple(tuple(each) for each in matrix)
        else:
            columns = ("truth", "decided", "rows")
            ranked = sorted(found, key=lambda each: -each[2])[:_MOST_TABLE_ROWS]
            rows = tuple((self.classes[truth], self.classes[decided], count) for truth, decided, count in ranked)
        yield Table("confusion_matrix", "Truth and decision", columns, rows)

    def _among(self, classes: tuple[str, ...]) -> Multiclass:
        """Return the answers with the places of more classes."""
        import numpy as np

        places = np.array([classes.index(each) for each in self.classes])
        table = None if self.table is None else _placed(self.table, places.tolist(), len(classes))
        return replace(self, classes=classes, truth=places[self.truth], decided=places[self.decided], table=table)

    @cached_property
    def _cells(self) -> Cells:
        from governance.checks.statistics.multiclass import cells

        return cells(len(self.classes), self.truth, self.decided)[0]

    @cached_property
    def _summary(self) -> dict[str, float | None]:
        import math

        found = {name: float(values[0]) for name, values in self._cells.measured.summary().items()}
        return {name: value if math.isfinite(value) else None for name, value in found.items()}

    def _of_decisions(self, slice_: str) -> Iterator[Measurement]:
        from governance.checks.statistics.rates import Share

        n, cells = len(self.truth), self._cells
        yield measured_share("accuracy", slice_, Share(int((self.truth == self.decided).sum()), n), WILSON)
        intervals = self.bootstrap.counted(cells.counts, lambda drawn: cells.of(drawn).summary())
        for metric, method in _OF_DECISIONS.items():
            if self._summary[metric] is None:
                yield Measurement(metric, None, slice_, n, method=f"not computed: {_ONE_CLASS}")
            else:
                yield with_interval(metric, slice_, self._summary[metric], n, intervals[metric], method)

    def _of_probabilities(self, slice_: str) -> Iterator[Measurement]:
        n, loss = len(self.truth), self._log_loss
        if loss is None:
            for metric in ("log_loss", "roc_auc", "roc_auc.hand_till"):
                yield Measurement(metric, None, slice_, n, method=f"not computed: {_NO_SCORES}")
            return
        yield with_interval("log_loss", slice_, loss.value, n, self.bootstrap.intervals([loss])[0], "nats per row")
        for metric, area in self._areas.items():
            yield _measured_area(metric, slice_, area, n, self._meaning(metric, area))

    def _meaning(self, metric: str, area: Area | None) -> str:
        if metric == "roc_auc.hand_till":
            return "M of Hand and Till 2001, mean over pairs of classes"
        return f"each class against the rest, mean over {area.areas if area else 0} of {len(self.classes)} classes"

    def _by_class(self) -> Iterator[Measurement]:
        from governance.checks.statistics.multiclass import one_vs_rest
        from governance.checks.statistics.rates import Share

        cells, n = self._cells, len(self.truth)
        counts = cells.measured
        intervals = self.bootstrap.counted(cells.counts, lambda drawn: dict(zip(self.classes, cells.of(drawn).f1.T, strict=True)))
        for place, name in enumerate(self.classes):
            slice_ = f"class={name}"
            right, chosen, support = (int(each[0, place]) for each in (counts.right, counts.chosen, counts.support))
            yield measured_share("precision", slice_, Share(right, chosen), WILSON)
            yield measured_share("recall", slice_, Share(right, support), WILSON)
            if chosen + support:
                yield with_interval("f1", slice_, float(counts.f1[0, place]), n, intervals[name])
            else:
                yield Measurement("f1", None, slice_, n, method="not computed: no row is or was decided to be of the class")
            if self.table is not None:
                area = one_vs_rest(self.truth, self.table, (place,))
                yield _measured_area("roc_auc", slice_, area, n, "the class against the rest")

    @cached_property
    def _log_loss(self) -> Statistic | None:
        import numpy as np

        from governance.checks.statistics import rates, weighted

        if self.table is None:
            return None
        return weighted.mean(rates.log_loss_of(self.table[np.arange(len(self.truth)), self.truth]), 0.0)

    @cached_property
    def _areas(self) -> dict[str, Area | None]:
        from governance.checks.statistics.multiclass import hand_till, one_vs_rest

        if self.table is None:
            return {"roc_auc": None, "roc_auc.hand_till": None}
        return {"roc_auc": one_vs_rest(self.truth, self.table), "roc_auc.hand_till": hand_till(self.truth, self.table)}

    def _of_both_decisions(self, champion: Multiclass) -> Iterator[Difference]:
        from governance.checks.statistics.multiclass import cells
        from governance.checks.statistics.paired import discordant

        n = len(self.truth)
        found = discordant(self.truth == self.decided, self.truth == champion.decided)
        yield Difference("accuracy", n, self._summary["accuracy"], champion._summary["accuracy"], *found.interval, TANGO)
        first, second = cells(len(self.classes), self.truth, self.decided, champion.decided)

        def gaps(drawn: np.ndarray) -> dict[str, np.ndarray]:
            theirs = second.of(drawn).summary()
            return {name: values - theirs[name] for name, values in first.of(drawn).summary().items()}

        intervals = self.bootstrap.counted(first.counts, gaps)
        for metric in _OF_DECISIONS:
            mine, other = self._summary[metric], champion._summary[metric]
            if mine is None or other is None:
                yield undefined(metric, n, _ONE_CLASS, mine, other)
            else:
                interval = intervals[metric]
                yield Difference(metric, n, mine, other, interval.low, interval.high, interval.method)

    def _of_both_probabilities(self, champion: Multiclass) -> Iterator[Difference]:
        n = len(self.truth)
        missing = _NO_SCORES if self.table is None else "the champion gives labels and no probabilities"
        yield from paired(self.bootstrap, {"log_loss": self._log_loss}, {"log_loss": champion._log_loss}, n, missing)
        both_have = self.table is not None and champion.table is not None
        for metric, mine in self._areas.items():
            yield _area_difference(metric, mine, champion._areas[metric], n, _ONE_CLASS if both_have else missing)


def _measured_area(metric: str, slice_: str, area: Area | None, n: int, method: str) -> Measurement:
    if area is None:
        return Measurement(metric, None, slice_, n, method=f"not computed: {_ONE_CLASS}")
    if not area.enough:
        return Measurement(metric, area.value, slice_, n, method=f"{method}; {FEW_ROWS}")
    low, high = area.interval
    return Measurement(metric, area.value, slice_, n, low, high, f"{method}; {DELONG}")


def _area_difference(metric: str, mine: Area | None, champion: Area | None, n: int, reason: str) -> Difference:
    if mine is None or champion is None:
        return undefined(metric, n, reason, mine.value if mine else None, champion.value if champion else None)
    gap = mine - champion
    low, high = gap.interval if gap.enough else (None, None)
    return Difference(metric, n, mine.value, champion.value, low, high, DELONG if gap.enough else FEW_ROWS)


def _answer(subject: Subject) -> tuple[np.ndarray, list[str], np.ndarray | None]:
    """Return the label of each row, shape (n,), and the classes that the model knows with a probability of each, or none.

    A model without predict_proba may answer with a table, whose columns are the classes in the target: by name, or in order.
    """
    import numpy as np

    from governance.checks.scoring import Questions, Values

    batches = subject.batches()
    _, in_target = _coded(subject.target)
    in_target = sorted(in_target, key=_in_order)
    asked, labels, tables = Questions(subject.model, in_target), Values(), []
    classes: list[str] = []
    for rows in batches:
        output, given = asked.output(rows), asked.probabilities(rows)
        if given is not None:
            classes, table = [_text(each) for each in given[0]], given[1]
        elif output.ndim == 2:
            classes, table = in_target, output
        else:
            labels.add(output)
            continue
        if output.ndim == 2:
            if output.shape[1] != len(classes):
                raise ModelPredictFailed(f"it returned {output.shape[1]} columns for {len(classes)} classes")
            output = np.asarray(classes, dtype=object)[np.argmax(output, axis=1)]
        _check_probabilities(table)
        labels.add(output)
        tables.append(table)
    return labels.whole(), classes, np.concatenate(tables) if tables else None


def _check_probabilities(table: np.ndarray) -> None:
    import numpy as np

    if table.dtype.kind != "f" or not bool(np.all((table >= 0) & (table <= 1))):
        raise UnsuitableData("The model gives probabilities that are missing or outside 0 to 1. Repair its predict_proba.")
    if bool(np.any(np.abs(table.sum(axis=1) - 1) > _SUM_TOLERANCE)):
        raise UnsuitableData("The model gives probabilities that do not add up to 1 over the classes. Repair its predict_proba.")


def _coded(values: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Return the place of each value among the different ones, and their names; 1, 1.0 and "1" are one label."""
    import numpy as np
    import pandas as pd

    codes, different = pd.factorize(values)
    names = [_text(each) for each in np.asarray(different).tolist()]
    once = list(dict.fromkeys(names))
    return np.array([once.index(each) for each in names])[codes], once


def _text(label: object) -> str:
    return str(int(label)) if isinstance(label, float) and label.is_integer() else str(label)


def _in_order(name: str) -> tuple[float, str]:
    """Sort by number where the name is one, so that class 10 follows class 9, and by name otherwise."""
    try:
        return float(name), name
    except ValueError:
        return float("inf"), name


def _placed(table: np.ndarray, places: list[int], classes: int) -> np.ndarray:
    """Return the table with a column for each class, 0 for those that the model does not know."""
    import numpy as np

    if places == list(range(classes)):
        return table
    placed = np.zeros((len(table), classes), dtype=table.dtype)
    placed[:, places] = table
    return placed
