"""Whether a model answers the same rows alike: in another process, again, in another order or batch, and as at training."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from governance.checks.base import (
    Cell,
    Finding,
    Measurement,
    ModelPredictFailed,
    Result,
    Severity,
    Table,
    UnsuitableData,
)
from governance.checks.explainability import sample
from governance.checks.subject import Subject
from governance.checks.tasks.measured import measured_share
from governance.checks.texts.excerpts import excerpt

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from governance.checks.model import Model

_SHOWN = 5
_MOST_TABLE_ROWS = 50  # of each comparison
_LONGEST_SHOWN = 60
_LOG = "the comparison with the predictions logged at training"
_NOT_LOGGED = "not measured: no predictions logged at training were given"
_LABELS = "not computed: the answers are labels, which are compared as shares alone"
_LONE = "not computed: one row has no other order, and no neighbours"
_NOT_FINITE = "not computed: one of the two answers is not finite where the other is"


@dataclass(frozen=True)
class Reproducibility:
    """Measure whether the model gives the same predictions for the same rows, bit for bit or within a tolerance.

    Five comparisons with the model's first answer: `process`, of the same model in a second fresh process; `repeat`, asked
    again in the same process, at once and at the end; `order`, the same rows in another order; `batch`, in parts of each of
    `batch_sizes` rows; `logged`, the predictions that a data set says were made at training. `reproducibility.X_difference` is
    the largest absolute difference in units of the prediction (probabilities in [0, 1]), None for labels and texts: those are compared as
    `reproducibility.X_identical_share`, the share of rows in [0, 1] whose whole answer is the same, which of the second process
    is called `reproducibility.identical_share`. Whole numbers count as labels, classes and their probabilities as one answer.
    With a tolerance of 0 numbers must be equal; 0 and -0 are, and so are two NaN. What repeats are told: a model that draws
    numbers differs in both `process` and `repeat`, one that keeps state only in `repeat`. Not seen: what the model fixes on the
    first rows it ever gets, and what another machine, library or number of threads would change.
    Findings call a difference rounding if at least half of the digits of the column's largest value agree.
    Raises MissingInput, MissingColumn, UnsuitableData, ModelLoadFailed, ModelPredictFailed (for the rows as they are).

    Source: Pineau et al. 2021 (reproducibility: same data and code, same results); Goldberg 1991 (sums in another order round
    otherwise); Wilson 1927 (intervals of the shares).
    """

    name: ClassVar[str] = "reproducibility"
    revision: ClassVar[str] = "1"
    needs_model: ClassVar[bool] = True
    needs_dataset: ClassVar[bool] = True
    asks_again: ClassVar[bool] = True

    tolerance: float = field(
        default=0.0,
        metadata={"minimum": 0, "description": "Largest absolute difference that counts as the same; 0: bit for bit."},
    )
    rows: int = field(
        default=200, metadata={"minimum": 1, "maximum": 100_000, "description": "Rows used; more are sampled down."}
    )
    batch_sizes: tuple[int, ...] = field(
        default=(1, 7), metadata={"minItems": 1, "description": "Rows per request when the same rows are asked for in parts."}
    )
    logged: str | None = field(
        default=None,
        metadata={"dataset": True, "description": "Data set with the features and the predictions logged at training."},
    )
    prediction_column: str = field(
        default="prediction",
        metadata={
            "minLength": 1,
            "description": "Its column of predictions: labels, numbers, or the favourable label's probability.",
        },
    )

    def __post_init__(self) -> None:
        """Raise ValueError for batches that are none, or of no rows."""
        if not self.batch_sizes or min(self.batch_sizes) < 1:
            raise ValueError(f"'batch_sizes' must be whole numbers from 1, got {list(self.batch_sizes)}")

    def run(self, subject: Subject) -> Iterator[Result]:
        """Yield two measurements for each comparison, findings that name what is not reproducible, and the rows that differ."""
        import numpy as np

        random = np.random.default_rng(subject.seed)
        chosen = sample(random, subject.row_count, self.rows)
        rows = subject.rows(chosen)
        compared = [*self._asked(subject, rows, chosen, random), self._with_log(subject, random)]
        for each in compared:
            yield from _measured(each, self.tolerance)
        yield from _findings(compared, self.tolerance)
        yield from _table(compared)

    def _asked(
        self, subject: Subject, rows: pd.DataFrame, chosen: np.ndarray, random: np.random.Generator
    ) -> Iterator[Comparison]:
        here, there = _Asked(subject.model), _Asked(subject.again)
        subject.progress(0.1, "Asking both processes")
        first = here.answer(rows)
        process = [self._pair("in a second process", first, there.answer(rows))]
        again = self._pair("asked again at once", first, here.answer(rows))
        subject.progress(0.4, "Asking in another order")
        order = self._trial("order", chosen, lambda: [self._pair("in another order", first, _shuffled(here, rows, random))])
        subject.progress(0.5, "Asking in batches")
        sizes = [size for size in self.batch_sizes if size < len(rows)]
        batch = self._trial(
            "batch", chosen, lambda: [self._pair(f"in batches of {size}", first, _in_batches(here, rows, size)) for size in sizes]
        )
        subject.progress(0.8, "Asking again")
        repeat = [again, self._pair("asked again after all others", first, here.answer(rows))]
        yield Comparison("process", chosen, process)
        yield Comparison("repeat", chosen, repeat)
        yield order if len(rows) > 1 else Comparison("order", chosen, [], _LONE)
        unsplit = _LONE if len(rows) == 1 else "not computed: no batch size is less than the number of rows"
        yield batch if sizes else Comparison("batch", chosen, [], unsplit)

    def _trial(self, kind: str, places: np.ndarray, ask: Callable[[], list[Pair]]) -> Comparison:
        """Ask for rows in another arrangement, which the model may refuse; that is told, and not the end of the check."""
        try:
            return Comparison(kind, places, ask())
        except ModelPredictFailed as cause:
            said = cause.message.partition(". Call predict")[0].strip().splitlines()[0].rstrip(".")
            return Comparison(kind, places, [], f"not computed: {said}", refused=True)

    def _with_log(self, subject: Subject, random: np.random.Generator) -> Comparison:
        import numpy as np

        if not self.logged:
            return Comparison("logged", np.arange(0), [], _NOT_LOGGED)
        subject.progress(0.9, "Comparing with the log")
        log, features = subject.other_reader(self.logged), subject.feature_names
        log.require([*features, self.prediction_column], _LOG)
        logged = log.column(self.prediction_column, _LOG)
        if missing := int(logged.isna().sum()):
            raise UnsuitableData(f"Column {logged.name!r} of {self.logged} has {missing} rows without a prediction. Remove them.")
        places = sample(random, log.row_count, self.rows)
        rows = log.rows(places, features)
        then, now = _as_logged(subject, rows, logged.iloc[places])
        return Comparison("logged", places, [self._pair("as logged at training", [then], [now])])

    def _pair(self, how: str, first: list[np.ndarray], other: list[np.ndarray]) -> Pair:
        return Pair(how, first, other, self.tolerance)


class _Asked:
    """One process of the model. Its probabilities are asked for as long as it has any."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._has_probabilities = True

    def answer(self, rows: pd.DataFrame) -> list[np.ndarray]:
        """Return the answer to each row as columns of shape (n,): what it predicts, and the probability of each class."""
        output = self._model.output(rows)
        columns = [output] if output.ndim == 1 else list(output.T)
        given = self._model.probabilities(rows) if self._has_probabilities else None
        self._has_probabilities = given is not None
        return columns if given is None else [*columns, *given[1].T]


def _shuffled(here: _Asked, rows: pd.DataFrame, random: np.random.Generator) -> list[np.ndarray]:
    """Ask for the rows in another order, and return the answers in the first one."""
    import numpy as np

    order = random.permutation(len(rows))
    if bool((order == np.arange(len(rows))).all()):
        order = order[::-1]
    back = np.argsort(order)
    return [column[back] for column in here.answer(rows.iloc[order].reset_index(drop=True))]


def _in_batches(here: _Asked, rows: pd.DataFrame, size: int) -> list[np.ndarray]:
    import numpy as np

    starts = range(0, len(rows), size)
    parts = [here.answer(rows.iloc[start : start + size].reset_index(drop=True)) for start in starts]
    if len({len(part) for part in parts}) > 1:
        raise ModelPredictFailed("it returned another number of columns from one batch to the next")
    return [np.concatenate(columns) for columns in zip(*parts, strict=True)]


def _as_logged(subject: Subject, rows: pd.DataFrame, logged: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """Return what was logged and what the model answers now, both as numbers, or else as texts.

    Fractions logged by a classifier are the probability of the favourable label. Raises UnsuitableData if it gives none.
    """
    then = logged.to_numpy()
    if logged.dtype.kind in "iuf":
        output = subject.model.output(rows)
        if output.ndim == 1 and output.dtype.kind == "f":
            return then if then.dtype.kind == "f" else then.astype(float), output
        if logged.dtype.kind == "f" and bool((then % 1 != 0).any()):
            scores = subject.score(rows)
            if scores.dtype.kind != "f":
                raise UnsuitableData(
                    f"Column {logged.name!r} holds fractions, but the model answers labels without probabilities. "
                    "Log what it answers, or name the column of the labels."
                )
            return then, scores
    return _texts(then), _texts(subject.labels(rows))


def _texts(labels: np.ndarray) -> np.ndarray:
    import numpy as np

    texts = np.empty(len(labels), dtype=object)
    # A CSV may hold 1.0 where the model answers 1.
    texts[:] = [str(int(each)) if isinstance(each, float) and each.is_integer() else str(each) for each in labels.tolist()]
    return texts


class Pair:
    """Two answers to the same rows, each as columns of shape (n,). how: words for what the other one was made under.

    gaps: largest absolute difference of each row, shape (n,), inf if only one is finite, or None without a column of numbers.
    same: bool, whether the whole answers agree within the tolerance. grave: bool, whether they differ by more than rounding.
    """

    def __init__(self, how: str, first: list[np.ndarray], other: list[np.ndarray], tolerance: float) -> None:
        import numpy as np

        self.how, self.first, self.other = how, first, other
        rows = len(first[0])
        self.gaps: np.ndarray | None = None
        self.same = np.full(rows, len(first) == len(other))
        self.grave = ~self.same
        for one, two in zip(first, other, strict=False):
            numbers = _numbers(one), _numbers(two)
            if numbers[0] is None or numbers[1] is None:
                equal = np.asarray([a == b for a, b in zip(one.tolist(), two.tolist(), strict=True)], dtype=bool)
                self.same &= equal
                self.grave |= ~equal
            else:
                gaps = _gaps(numbers[0], numbers[1])
                self.gaps = gaps if self.gaps is None else np.maximum(self.gaps, gaps)
                self.same &= gaps <= tolerance
                self.grave |= (gaps > tolerance) & (gaps > _rounding(numbers[0], numbers[1]))

    @property
    def largest(self) -> float | None:
        """The largest difference of any row, or None without numbers."""
        return None if self.gaps is None else float(self.gaps.max())

    def shown(self, row: int) -> tuple[str, str]:
        """Return the two answers to a row, short: of several columns the first one that differs."""
        for one, two in zip(self.first, self.other, strict=False):
            if one[row : row + 1].tolist() != two[row : row + 1].tolist():
                return _short(one[row]), _short(two[row])
        return f"{len(self.first)} columns", f"{len(self.other)} columns"


def _numbers(column: np.ndarray) -> np.ndarray | None:
    """Return a column as numbers if it holds fractions, also in a table of mixed columns; whole numbers may name classes."""
    import numpy as np

    if column.dtype.kind == "f":
        return column
    values = column.tolist() if column.dtype == object else []
    return np.asarray(values, dtype=float) if {float} <= {type(each) for each in values} <= {float, int} else None


def _gaps(one: np.ndarray, two: np.ndarray) -> np.ndarray:
    import numpy as np

    with np.errstate(invalid="ignore", over="ignore"):
        gaps = np.abs(one.astype(float) - two.astype(float))
    gaps[(one == two) | (np.isnan(one) & np.isnan(two))] = 0.0
    return np.where(np.isnan(gaps), math.inf, gaps)


def _rounding(one: np.ndarray, two: np.ndarray) -> float:
    """Return half of the digits that the coarser type has at the largest value of both."""
    import numpy as np

    finite = np.concatenate([each[np.isfinite(each)].astype(float) for each in (one, two)])
    precision = max(float(np.finfo(each.dtype).eps) for each in (one, two))
    return math.sqrt(precision) * float(np.abs(finite).max(initial=0.0))


def _short(value: Any) -> str:
    plain = value.item() if hasattr(value, "item") else value
    return excerpt(plain if isinstance(plain, str) else repr(plain), _LONGEST_SHOWN)


@dataclass(frozen=True)
class Comparison:
    """The same rows answered under other circumstances, in one pair or several, or the reason why there is none.

    places: of the rows in their data set, from 0. refused: the model gave no answer when asked so.
    """

    kind: str
    places: np.ndarray
    pairs: list[Pair]
    reason: str = ""
    refused: bool = False

    @cached_property
    def same(self) -> np.ndarray:
        """Whether each row has the same answer in all pairs; bool, shape (n,)."""
        import numpy as np

        same: np.ndarray = np.logical_and.reduce([pair.same for pair in self.pairs])
        return same

    @property
    def differs(self) -> bool:
        """Whether an answer is not the same."""
        return bool(self.pairs) and not bool(self.same.all())

    @property
    def differs_gravely(self) -> bool:
        """Whether an answer differs by more than rounding."""
        return any(bool(pair.grave.any()) for pair in self.pairs)

    @cached_property
    def worst(self) -> Pair:
        """The pair to tell of: one that differs gravely before others, then by the largest difference and the most rows."""
        return max(self.pairs, key=lambda each: (bool(each.grave.any()), each.largest or 0.0, int((~each.same).sum())))

    @property
    def largest(self) -> float | None:
        """The largest difference of all pairs, or None without numbers."""
        return max((each.largest for each in self.pairs if each.largest is not None), default=None)


def _measured(compared: Comparison, tolerance: float) -> Iterator[Measurement]:
    from governance.checks.statistics.rates import Share

    kind, n = compared.kind, len(compared.places)
    share = "reproducibility.identical_share" if kind == "process" else f"reproducibility.{kind}_identical_share"
    if not compared.pairs:
        yield Measurement(f"reproducibility.{kind}_difference", None, n=n, method=compared.reason)
        yield Measurement(share, None, n=n, method=compared.reason)
        return
    hows = ", ".join(pair.how for pair in compared.pairs)
    largest, method = compared.largest, f"largest absolute difference, {hows}"
    if largest is None:
        method = _LABELS
    elif not math.isfinite(largest):
        largest, method = None, _NOT_FINITE
    yield Measurement(f"reproducibility.{kind}_difference", largest, n=n, method=method)
    equal = f"equal within {tolerance:g}" if tolerance else "equal bit for bit"
    yield measured_share(share, "", Share(int(compared.same.sum()), n), f"rows {equal}, {hows}; 95 % Wilson interval")


def _findings(compared: list[Comparison], tolerance: float) -> Iterator[Finding]:
    """Yield one finding for each cause. Drawing and keeping state hide what order and batches would show, so those say so."""
    found = {each.kind: each for each in compared}
    grave = {kind for kind, each in found.items() if each.differs_gravely}
    if {"process", "repeat"} <= grave:
        yield _finding("random-answers", "high", found["repeat"], _RANDOM)
    elif "repeat" in grave:
        yield _finding("keeps-state", "high", found["repeat"], _STATE)
    elif "process" in grave:
        yield _finding("differs-by-process", "high", found["process"], _PROCESS)
    if "repeat" not in grave:
        if "order" in grave:
            yield _finding("depends-on-order", "high", found["order"], _ORDER)
        if "batch" in grave:
            yield _finding("depends-on-batch", "high", found["batch"], _BATCH)
    if "logged" in grave:
        yield _finding("differs-from-log", "high", found["logged"], _LOGGED)
    for each in compared:
        if each.differs and each.kind not in grave:
            yield _finding("rounding", "info", each, _ROUNDING)
        if each.refused:
            message = f"The model gives no answer when asked by another {each.kind}. {each.reason.partition(': ')[2]}. {_REFUSED}"
            yield Finding(f"refuses-{each.kind}", "medium", each.kind, message)


_RANDOM = (
    "The second process answers otherwise, too, so the model draws numbers, or reads the clock. Nothing can be said of order "
    "and batches. Fix its seeds when it answers, or have it return an average."
)
_STATE = (
    "The second process gave the same first answers, so the model keeps something from one request to the next, such as a "
    "count, a cache or a generator with a fixed seed. Nothing can be said of order and batches. Have it answer from its input alone."
)
_PROCESS = (
    "Within one process the answers repeat, so something is drawn or read when the model is loaded: a layer that is not restored, "
    "the order of a set, the clock, a file that is not its own. Restore all of it from the artifact."
)
_ORDER = (
    "The answer to a row depends on the rows before it. Answer each row by itself, or register what is asked for as one input."
)
_BATCH = (
    "The answer to a row depends on those asked for with it, such as by a mean of the batch or normalisation left in training "
    "mode. Use statistics that were fixed at training."
)
_LOGGED = (
    "Either these are not the predictions of this version, or data, code or libraries have changed since. Compare the environment "
    "and the preprocessing with those of the training run."
)
_ROUNDING = (
    "These are differences of rounding: sums in another order or with another instruction set end in other digits, and CSV "
    "may lose the last one. Give a tolerance if that is meant."
)
_REFUSED = "Whoever asks in production may ask so: make sure it answers any number of rows in any order."


def _finding(rule: str, severity: Severity, compared: Comparison, meaning: str) -> Finding:
    import numpy as np

    pair = compared.worst
    rows = np.nonzero(~pair.same)[0].tolist()
    largest = pair.largest
    by = f", by up to {largest:.3g}" if largest and math.isfinite(largest) else ""
    shown = "; ".join(f"row {int(compared.places[row])}: {' and '.join(pair.shown(row))}" for row in rows[:_SHOWN])
    more = ", …" if len(rows) > _SHOWN else ""
    told = f"{len(rows)} of {len(pair.same)} rows are answered otherwise {pair.how}{by}."
    return Finding(rule, severity, compared.kind, f"{told} {meaning} First, counted from 0: {shown}{more}.")


def _table(compared: Iterable[Comparison]) -> Iterator[Table]:
    rows = tuple(row for each in compared for row in _differing(each))
    if rows:
        title = "Rows that are answered otherwise, counted from 0"
        yield Table("irreproducible_rows", title, ("comparison", "how", "row", "first", "other", "difference"), rows)


def _differing(compared: Comparison) -> Iterator[tuple[Cell, ...]]:
    import numpy as np

    if not compared.pairs:
        return
    pair = compared.worst
    for row in np.nonzero(~pair.same)[0].tolist()[:_MOST_TABLE_ROWS]:
        gap = None if pair.gaps is None else float(pair.gaps[row])
        yield (compared.kind, pair.how, int(compared.places[row]), *pair.shown(row), gap)
