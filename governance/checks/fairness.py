"""Group fairness: who is selected, who is rightly selected, and who is promised too much."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from governance.checks import fairness_results, groups, impact_ratios
from governance.checks.base import Cell, CheckError, Finding, Measurement, Result, Table, UnsuitableData
from governance.checks.fairness_results import Measured
from governance.checks.groups import Feature, Groups
from governance.checks.impact_ratios import Category
from governance.checks.subject import Subject

if TYPE_CHECKING:
    import numpy as np

_MOST_NAMED = 20


@dataclass(frozen=True)
class Fairness:
    """Measure how decisions and scores differ between the groups of sensitive features, and of their intersections.

    Per group, in [0, 1]: `selection_rate`, `true_positive_rate`, `false_positive_rate`, `positive_predictive_value`,
    `impact_ratio` (its selection rate over the highest), `scoring_rate` (share scored above the median of all rows),
    `scoring_impact_ratio` (that over the highest), `calibration_error` (expected calibration error in 10 bands of equal width);
    in [-1, 1] `calibration_gap`, the mean of score - truth. Per feature: `demographic_parity_ratio`, `equal_opportunity_ratio`,
    `equalized_odds_ratio`, `predictive_parity_ratio` in [0, 1], 1 is parity; in [0, 1] with 0 as parity the same as `..._difference`,
    and in [0, 2] `calibration_difference`, the highest less the lowest gap; `smallest_group` in rows. What the rows do not give is
    None with the reason in `method`, which also names the interval.

    An intersection has slices such as `sex=female&age=under 25`, and `sex&age` over all its groups. With a champion, the table
    `parity_against_champion` has each ratio and difference of both. A champion that cannot be asked is a finding.
    Raises MissingColumn, UnsuitableData for a feature with one group or with too many, ModelLoadFailed, ModelPredictFailed.

    Source: Dwork et al. 2012 (demographic parity); Hardt, Price and Srebro 2016 (equal opportunity, equalized odds); Chouldechova 2017
    (predictive parity); Naeini et al. 2015 (calibration error); Buolamwini and Gebru 2018 (intersections); 29 CFR 1607.4(D) (impact
    ratio); 6 RCNY 5-300 and 5-301 (scoring rate, `impact_ratios`). Intervals: Wilson 1927, Newcombe 1998, Katz et al. 1978, Student
    1908, Welch 1947; see `statistics.intervals`.
    """

    name: ClassVar[str] = "fairness"
    revision: ClassVar[str] = "2"
    needs_model: ClassVar[bool] = True
    needs_dataset: ClassVar[bool] = True
    compares: ClassVar[bool] = True
    asks_rows: ClassVar[str] = "probabilities"

    sensitive: tuple[str | Feature, ...] = field(
        metadata={"minItems": 1, "description": "Columns, or numbers cut into bands, that form the groups."}
    )
    threshold: float = field(
        default=0.5,
        metadata={"minimum": 0, "maximum": 1, "description": "Score from which a row is decided favourably."},
    )
    favourable: str | int | float | bool | None = field(
        default=None, metadata={"description": "The label that helps the person; the data set's by default."}
    )
    minimum_group: int = field(default=30, metadata={"minimum": 1, "description": "Groups with fewer rows are pointed out."})
    intersections: tuple[tuple[str, ...], ...] = field(
        default=(),
        metadata={"description": "Features to combine, as lists of two or more of their names, such as [[sex, age]]."},
    )
    left_out_below: float = field(
        default=0.0,
        metadata={
            "minimum": 0,
            "maximum": 1,
            "description": "Groups with a smaller share of the rows have no ratio in the table of impact ratios, and are named; "
            "6 RCNY 5-301(d) allows 0.02.",
        },
    )

    def __post_init__(self) -> None:
        """Raise ValueError without a sensitive feature, since a check of nothing must not look like a clean one, and for unclear names."""
        if not self.sensitive:
            raise ValueError("'sensitive' must name at least one feature")
        names = [groups.as_feature(each).label for each in self.sensitive]
        if len(set(names)) < len(names):
            raise ValueError(f"'sensitive' names a feature twice: {', '.join(names)}")
        for each in self.intersections:
            if len(set(each)) < max(2, len(each)):
                raise ValueError(f"each of 'intersections' combines two or more different features, got {list(each)}")
            if "&".join(each) in names:
                raise ValueError(f"a feature of 'sensitive' has the name of an intersection: {'&'.join(each)}")
            if unknown := [name for name in each if name not in names]:
                raise ValueError(f"'intersections' names {unknown[0]!r}, which is not in 'sensitive': {', '.join(names)}")
        if len({frozenset(each) for each in self.intersections}) < len(self.intersections):
            raise ValueError("'intersections' combines the same features twice")

    def run(self, subject: Subject) -> Iterator[Result]:
        """Yield the numbers of every group and feature, notes on small groups, and the tables."""
        import numpy as np

        subject = subject.with_favourable(self.favourable)
        positive, decided, scores = subject.positives, subject.decisions(self.threshold), subject.scores()
        subject.progress(0.6, "Comparing the groups")
        all_groups = list(self._groups(subject))
        above_median = None if scores is None else scores > np.median(scores)
        measured = [fairness_results.measure(each, positive, decided, scores, above_median) for each in all_groups]
        found: list[Category] = []
        for each in measured:
            yield from fairness_results.rates(each)
            yield from fairness_results.criteria(each)
            yield from fairness_results.calibration(each)
            yield from self._small_groups(each)
            of_feature = impact_ratios.categories(each.groups, each.selected, each.above_median, self.left_out_below)
            for category in of_feature:
                yield from impact_ratios.scoring(category)
            yield from impact_ratios.left_out(of_feature, self.left_out_below)
            found += of_feature
        yield fairness_results.selection_rates(measured)
        yield impact_ratios.table(found)
        if scores is not None:
            yield fairness_results.group_calibration(measured)
        if subject.champion is not None:
            yield self._against(subject.champion, positive, measured)

    def _groups(self, subject: Subject) -> Iterator[Groups]:
        """Yield the groups of each feature, then of each intersection."""
        by_name: dict[str, Groups] = {}
        for feature in self.sensitive:
            split = groups.split(subject, feature)
            if len(split) < 2:
                raise UnsuitableData(
                    f"Feature {split.feature!r} has one group only ({split.names[0]}), so nothing can be compared. "
                    "Use an evaluation set with more than one group."
                )
            by_name[split.feature] = split
        yield from by_name.values()
        for names in self.intersections:
            yield groups.cross(by_name[name] for name in names)

    def _small_groups(self, each: Measured) -> Iterator[Result]:
        sizes = [share.whole for share in each.selected]
        yield Measurement("smallest_group", float(min(sizes)), each.groups.feature, sum(sizes), method="rows")
        small = [(slice_, size) for slice_, size in zip(each.groups.slices, sizes, strict=True) if size < self.minimum_group]
        if len(each.groups.features) == 1:
            for slice_, size in small:
                yield Finding(
                    "small-group",
                    "low",
                    slice_,
                    f"Only {size} rows, fewer than {self.minimum_group}: its rates are uncertain. "
                    "Read the interval, add rows, or merge it with another group.",
                )
        elif small:
            # Intersections are small by nature: one note on all of them, or nobody would read any.
            named = "; ".join(f"{slice_} ({size})" for slice_, size in small[:_MOST_NAMED])
            more = f"; and {len(small) - _MOST_NAMED} more" if len(small) > _MOST_NAMED else ""
            yield Finding(
                "small-group",
                "low",
                each.groups.feature,
                f"{len(small)} of {len(sizes)} groups have fewer than {self.minimum_group} rows, and their rates are uncertain. "
                f"Read the intervals, add rows, or combine fewer features. {named}{more}.",
            )

    def _against(self, champion: Subject, positive: np.ndarray, measured: list[Measured]) -> Table | Finding:
        """Return the criteria of both versions on the same rows, or why the champion has none."""
        from governance.checks.statistics.grouped import confusions
        from governance.checks.statistics.parity import parities

        try:
            decided = champion.with_favourable(self.favourable).decisions(self.threshold)
        except CheckError as cause:
            return Finding(
                "champion-not-measured", "info", "champion", f"Parity cannot be compared with the champion. {cause.message}"
            )
        rows: list[tuple[Cell, ...]] = []
        for each in measured:
            theirs = parities(confusions(each.groups.codes, len(each.groups), positive, decided))
            for own, other in zip(parities(each.counts), theirs, strict=True):
                change = own.value - other.value if own.value is not None and other.value is not None else None
                rows.append((each.groups.feature, own.metric, own.value, other.value, change))
        return Table(
            "parity_against_champion",
            "Parity against the champion",
            ("feature", "metric", "version", "champion", "change"),
            tuple(rows),
        )
