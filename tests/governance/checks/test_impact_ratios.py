"""Impact ratios are compared with fairlearn on the categories that count."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import fairlearn.metrics as fairlearn
import numpy as np
import pandas as pd
import pytest
from scipy import stats

from governance.checks.base import Finding, Measurement, Table
from governance.checks.fairness import Fairness
from governance.checks.subject import DatasetSpec, Subject

EXACT = {"rel": 1e-9, "abs": 1e-9}
ROWS = 1000
CHECK = Fairness(("sex", "race"), intersections=(("sex", "race"),), left_out_below=0.02)


class Audited(Subject):
    """A subject whose tool has scored already."""

    def scores(self) -> np.ndarray:
        return self.frame["score"].to_numpy()

    def decisions(self, threshold: float) -> np.ndarray:
        return self.scores() >= threshold


@pytest.fixture(scope="module")
def people() -> pd.DataFrame:
    random = np.random.default_rng(144)
    race = random.choice(["Asian", "Black", "Hispanic", "White"], ROWS, p=[0.2, 0.2, 0.25, 0.35]).astype(object)
    race[:15] = "Native"  # less than 2 %, and all of them selected
    race[15:30] = None
    score = random.random(ROWS).round(2)
    score[:30] = 0.9
    return pd.DataFrame({"sex": random.choice(["female", "male"], ROWS), "race": race, "score": score, "y": score > 0.5})


@pytest.fixture(scope="module")
def results(people: pd.DataFrame) -> list[Any]:
    audited = Audited(None, DatasetSpec(Path("people.csv"), "y"))
    audited.reader.frame = people
    return list(CHECK.run(audited))


@pytest.fixture(scope="module")
def rows(results: list[Any]) -> pd.DataFrame:
    (table,) = [each for each in results if isinstance(each, Table) and each.name == "impact_ratios"]
    return pd.DataFrame(table.rows, columns=table.columns).set_index(["feature", "group"])


def counted(people: pd.DataFrame) -> pd.DataFrame:
    return people[people["race"].notna() & (people["race"] != "Native")]


@pytest.mark.parametrize("feature, by", [("sex", ["sex"]), ("race", ["race"]), ("sex&race", ["sex", "race"])])
def test_the_rates_and_ratios_agree_with_fairlearn(people: pd.DataFrame, rows: pd.DataFrame, feature: str, by: list[str]) -> None:
    known = people if by == ["sex"] else counted(people)
    for chosen, rate, ratio in (
        (known["score"] >= 0.5, "selection_rate", "impact_ratio"),
        (known["score"] > people["score"].median(), "scoring_rate", "scoring_impact_ratio"),
    ):
        frame = fairlearn.MetricFrame(
            metrics=fairlearn.selection_rate, y_true=known["y"], y_pred=chosen, sensitive_features=known[by]
        )
        for group, expected in frame.by_group.items():
            row = rows.loc[feature, group if isinstance(group, str) else " & ".join(group)]
            assert row["status"] == "counted"
            assert row[rate] == pytest.approx(expected, **EXACT)
            assert row[ratio] == pytest.approx(expected / frame.by_group.max(), **EXACT)


def test_the_intervals_are_those_of_the_relative_risk(rows: pd.DataFrame) -> None:
    race = rows.loc["race"][rows.loc["race"]["status"] == "counted"]
    for count, ratio, low, high in (
        ("selected", "impact_ratio", "ci_low", "ci_high"),
        ("above_median", "scoring_impact_ratio", "scoring_ci_low", "scoring_ci_high"),
    ):
        best = race[ratio].idxmax()
        assert race.loc[best, ratio] == 1.0 and pd.isna(race.loc[best, low])
        for group in race.index.drop(best):
            cells = (int(race.loc[each, column]) for each in (group, best) for column in (count, "rows"))
            expected = stats.contingency.relative_risk(*cells).confidence_interval(0.95)
            assert (race.loc[group, low], race.loc[group, high]) == pytest.approx((expected.low, expected.high), **EXACT)


def test_small_and_unknown_categories_keep_their_counts_and_set_no_standard(people: pd.DataFrame, rows: pd.DataFrame) -> None:
    for group, status in (("Native", "left out"), ("missing", "unknown")):
        row = rows.loc["race", group]
        assert (row["status"], row["rows"], row["selected"], row["selection_rate"]) == (status, 15, 15, 1.0)
        assert row["share_of_rows"] == pytest.approx(0.015, **EXACT)
        assert pd.isna(row["impact_ratio"]) and pd.isna(row["scoring_impact_ratio"])
    assert rows.loc["race"]["rows"].sum() == rows.loc["sex&race"]["rows"].sum() == ROWS
    assert set(rows.loc["sex&race"]["status"]) == {"counted", "left out", "unknown"}


def test_what_is_left_out_is_named(results: list[Any], rows: pd.DataFrame) -> None:
    found = {each.location: each for each in results if isinstance(each, Finding) and each.rule == "categories-left-out"}
    assert set(found) == {"race", "sex&race"} and {each.severity for each in found.values()} == {"info"}
    assert "less than 2 % of the rows" in found["race"].message
    assert "Native: 15 rows, 100.0 % selected" in found["race"].message
    left_out = rows.loc["sex&race"].query("status == 'left out'")
    assert all(f"{group}: {row['rows']} rows" in found["sex&race"].message for group, row in left_out.iterrows())


def test_without_a_limit_nothing_is_left_out(people: pd.DataFrame) -> None:
    audited = Audited(None, DatasetSpec(Path("people.csv"), "y"))
    audited.reader.frame = people
    found = list(Fairness(("race",)).run(audited))
    (table,) = [each for each in found if isinstance(each, Table) and each.name == "impact_ratios"]
    assert {row[1]: row[-1] for row in table.rows}["Native"] == "counted"
    assert not [each for each in found if isinstance(each, Finding) and each.rule == "categories-left-out"]


def test_scoring_rates_can_be_judged_by_a_policy(results: list[Any], rows: pd.DataFrame) -> None:
    found = {(each.metric, each.slice): each for each in results if isinstance(each, Measurement)}
    for group in ("Asian", "Black", "Hispanic", "White"):
        row = rows.loc["race", group]
        assert found["scoring_rate", f"race={group}"].value == row["scoring_rate"]
        assert found["scoring_impact_ratio", f"race={group}"].value == row["scoring_impact_ratio"]
    assert found["scoring_rate", "race=Native"].value == 1.0
    given = found["scoring_impact_ratio", "race=Native"]
    assert (given.value, given.method) == (None, "not computed: the category is left out")
    assert found["scoring_impact_ratio", "race=missing"].method == "not computed: the category is unknown"
    assert found["impact_ratio", "race=missing"].value is not None  # of all groups, as policies know it
