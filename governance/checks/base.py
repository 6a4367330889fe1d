"""What a check is, and the three kinds of thing it can report."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, Protocol

if TYPE_CHECKING:
    from governance.checks.subject import Subject

Severity = Literal["info", "low", "medium", "high", "critical"]
SEVERITIES: tuple[Severity, ...] = ("info", "low", "medium", "high", "critical")
Cell = str | float | int | None


@dataclass(frozen=True)
class Measurement:
    """One number about the model.

    metric: dotted or plain name, e.g. `roc_auc`; the unit and range are the metric's, stated by the check that emits it.
    value: finite, or None when it could not be computed, and then `method` says why.
    slice: `sex=female` for one group, `sex` for an aggregate over the groups of a feature, "" for the whole set.
    n: rows the value rests on. ci_low, ci_high: interval whose kind and level `method` names.
    """

    metric: str
    value: float | None
    slice: str = ""
    n: int | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    method: str = ""


@dataclass(frozen=True)
class Finding:
    """One observation in words: which rule, how severe, where, and what it means."""

    rule: str
    severity: Severity
    location: str
    message: str


@dataclass(frozen=True)
class Table:
    """Rows kept as data, from which pages draw curves and bars. Every row is as long as `columns`."""

    name: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]


Result = Measurement | Finding | Table


@dataclass(frozen=True)
class SiblingMeasurement:
    """A number that another check of the same policy measured on the same version. run: the id of its check run."""

    check: str
    run: str
    metric: str
    slice: str
    value: float
    ci_low: float | None = None
    ci_high: float | None = None


class Check(Protocol):
    """A frozen dataclass: its fields are the policy's parameters, `run` measures.

    name: written into policies, never renamed. revision: changes whenever the same input may give another result, so
    that older evidence is not mistaken for fresh. needs_model: the model's files. needs_dataset: an evaluation set. A check that looks at
    the files alone says `asks_model: ClassVar[bool] = False`: the model's environment is then not needed, and the model not started.
    One that asks it in a second, fresh process too says `asks_again: ClassVar[bool] = True` (`subject.again`), and one that compares
    with the version in the place that is asked for `compares: ClassVar[bool] = True` (`subject.champion`). One that reads the model card
    says `reads_card: ClassVar[bool] = True` (`subject.card`, `subject.earlier_card`), and is asked for again when the card changes; one
    that reads what the other checks of its policy measured `reads_measurements: ClassVar[bool] = True` (`subject.measured`), and begins
    when these have ended. One that needs a graphics processor says `resource_class: ClassVar[str] = "gpu"`. One that asks the model (and
    the champion) nothing but its answers to all rows of the evaluation set, in their order, says which in `asks_rows`, a ClassVar or a
    property: `probabilities` (and predictions of a model that gives none), `predictions`, or `both`. A large set may then be asked
    about in partitions, on several machines.
    """

    name: ClassVar[str]
    revision: ClassVar[str]
    needs_model: ClassVar[bool]
    needs_dataset: ClassVar[bool]

    def run(self, subject: Subject) -> Iterator[Result]:
        """Yield results one by one. Raises CheckError when the subject cannot be measured."""
        ...


class CheckError(Exception):
    """The subject cannot be measured: a stable `code` for machines, a sentence that says what to do for people."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class MissingColumn(CheckError):
    """The evaluation set lacks a column."""

    def __init__(self, column: str, dataset: str, needed_for: str) -> None:
        super().__init__(
            "missing_column",
            f"Column {column!r} is not in the data set {dataset}; it is needed for {needed_for}. "
            "Add the column to the data set, or correct its name in the policy or the model signature.",
        )


class MissingInput(CheckError):
    """The check was started without something it needs."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__("missing_input", f"This check needs {what}. {remedy}")


class UnreadableInput(CheckError):
    """A file that should be readable is not."""

    def __init__(self, what: str, reason: str) -> None:
        super().__init__("unreadable_input", f"{what} cannot be read: {reason}")


class UnsuitableData(CheckError):
    """The data can be read, but the measure is not defined on it."""

    def __init__(self, message: str) -> None:
        super().__init__("unsuitable_data", message)


class NotApplicable(CheckError):
    """There is nothing to measure: this kind of check does not fit this kind of model. The run is skipped, which is no fault and no proof."""

    def __init__(self, reason: str) -> None:
        super().__init__("not_applicable", reason)


class ModelLoadFailed(CheckError):
    """The model's own code raised while it was loaded."""

    def __init__(self, cause: BaseException | str) -> None:
        super().__init__(
            "model_load_failed",
            f"The model could not be loaded: {_reason(cause)}. "
            "Load it with mlflow.pyfunc.load_model in a clean environment, repair it and register a new version.",
        )


class ModelPredictFailed(CheckError):
    """The model's own code raised while it was predicting, or gave something that is not a prediction per row."""

    def __init__(self, cause: BaseException | str) -> None:
        super().__init__(
            "model_predict_failed",
            f"The model could not score the data: {_reason(cause)}. "
            "Call predict on the same rows, compare them with the model signature, and register a repaired version.",
        )


def _reason(cause: BaseException | str) -> str:
    return cause if isinstance(cause, str) else f"{type(cause).__name__}: {cause}"
