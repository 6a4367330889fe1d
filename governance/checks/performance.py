"""Predictive performance on an evaluation set, whole and by slice, and beside the champion."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import ClassVar, Literal

from governance.checks import groups
from governance.checks.base import Result
from governance.checks.groups import Feature
from governance.checks.subject import Subject
from governance.checks.tasks.answers import Answers
from governance.checks.tasks.binary import Binary
from governance.checks.tasks.champion import against_champion
from governance.checks.tasks.multiclass import Multiclass
from governance.checks.tasks.regression import Regression
from governance.checks.tasks.retrieval import Retrieval


@dataclass(frozen=True)
class Performance:
    """Measure how well the model predicts.

    Binary: `roc_auc`, `pr_auc`, `accuracy`, `precision`, `recall`, `f1` in [0, 1]; `brier` in [0, 1] and `log_loss` in
    nats, both best at 0. Multiclass: `accuracy`, `balanced_accuracy`, `precision`, `recall` and `f1`, each `.macro` and
    `.weighted`, `roc_auc` as the mean of each class against the rest and `roc_auc.hand_till` in [0, 1]; `cohen_kappa` at most 1;
    `log_loss` in nats; by class (slice `class=…`) `precision`, `recall`, `f1` and `roc_auc`. Regression: `rmse`, `mae`,
    `median_absolute_error` and `max_error` in units of the target, `mape` as a fraction of it, `r2` at most 1. Ranking:
    `ndcg@…` by cutoff, `map` and `mrr` in [0, 1], means over queries. With a champion, each but the last two of a regression and
    those by class also as `….difference`: this version minus the champion on the same rows.

    Intervals are 95 %: DeLong for areas, Wilson for shares, Tango for the difference of two, order statistics for a median, else the
    bootstrap of rows or, in a ranking, of queries. What is not defined on the rows (one class, nothing selected, no
    probabilities) is None with the reason in `method`.
    Raises MissingColumn, UnsuitableData, ModelLoadFailed, ModelPredictFailed; a champion that fails raises nothing.
    """

    name: ClassVar[str] = "performance"
    revision: ClassVar[str] = "2"
    needs_model: ClassVar[bool] = True
    needs_dataset: ClassVar[bool] = True
    compares: ClassVar[bool] = True

    task: Literal["binary", "multiclass", "regression", "ranking"] = field(
        default="binary", metadata={"description": "What the model predicts."}
    )
    threshold: float = field(
        default=0.5,
        metadata={"minimum": 0, "maximum": 1, "description": "Score from which a row is decided favourably."},
    )
    slices: tuple[str | Feature, ...] = field(
        default=(), metadata={"description": "Columns, or numbers cut into bands, to measure by."}
    )
    resamples: int = field(
        default=1000,
        metadata={"minimum": 100, "maximum": 10_000, "description": "Draws of the bootstrap that intervals rest on."},
    )
    query: str = field(default="", metadata={"description": "Ranking: the column that says which query a row belongs to."})
    cutoffs: tuple[int, ...] = field(default=(10,), metadata={"description": "Ranking: how many places NDCG looks at."})
    relevant_from: float = field(
        default=1.0, metadata={"description": "Ranking: grade in the target from which a row is relevant for MAP and MRR."}
    )

    def __post_init__(self) -> None:
        """Raise ValueError for a ranking without queries or with places that are none."""
        if self.task == "ranking" and not self.query:
            raise ValueError("'query' must name a column for the task 'ranking'")
        if not self.cutoffs or min(self.cutoffs) < 1:
            raise ValueError(f"'cutoffs' must be whole numbers from 1, got {list(self.cutoffs)}")

    @property
    def asks_rows(self) -> str:
        """What the model is asked about each row (see ``Check``)."""
        return {"multiclass": "both", "regression": "predictions"}.get(self.task, "probabilities")

    def run(self, subject: Subject) -> Iterator[Result]:
        """Yield measurements for the whole set, then for each slice, then tables, then the comparison with the champion."""
        answers = self._ask(subject)
        subject.progress(0.6, "Measuring")
        slices = [groups.split(subject, feature) for feature in self.slices]
        yield from answers.measurements("")
        for slice_, rows in chain.from_iterable(slices):
            yield from answers.on(rows).measurements(slice_)
        yield from answers.tables()
        yield from against_champion(subject, answers, self._ask, slices)

    def _ask(self, subject: Subject) -> Answers:
        from governance.checks.statistics.bootstrap import Bootstrap

        bootstrap = Bootstrap(self.resamples, subject.seed, "queries" if self.task == "ranking" else "rows")
        if self.task == "multiclass":
            return Multiclass.of(subject, bootstrap)
        if self.task == "regression":
            return Regression.of(subject, bootstrap)
        if self.task == "ranking":
            return Retrieval.of(subject, self.query, self.cutoffs, self.relevant_from, bootstrap)
        return Binary.of(subject, self.threshold, bootstrap)
