"""The rates and gaps are compared with fairlearn."""

from __future__ import annotations

from typing import Any

import fairlearn.metrics as fairlearn
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from governance.checks.base import Finding, Measurement, Table, UnsuitableData
from governance.checks.catalogue import build
from governance.checks.fairness import Fairness, largest_gap, smallest_ratio
from governance.checks.groups import Feature, band_names

EXACT = {"rel": 1e-9, "abs": 1e-9}
AGE = Feature("age", edges=(25, 40, 60))


def measured(results: Any) -> dict[tuple[str, str], Measurement]:
    return {(each.metric, each.slice): each for each in results if isinstance(each, Measurement)}


@pytest.fixture(scope="module")
def results(credit: Any) -> list[Any]:
    return list(Fairness(("sex", AGE), threshold=0.7).run(credit.subject()))


def groups_of(credit: Any, feature: str) -> np.ndarray:
    if feature == "sex":
        return credit.test["sex"].to_numpy()
    return np.asarray(band_names(AGE.edges, whole=True))[np.digitize(credit.test["age"], AGE.edges)]


@pytest.mark.parametrize("feature", ["sex", "age"])
def test_every_gap_agrees_with_fairlearn(credit: Any, results: list[Any], feature: str) -> None:
    groups, decided, found = groups_of(credit, feature), credit.scores >= 0.7, measured(results)
    for metric in (
        "demographic_parity_ratio",
        "demographic_parity_difference",
        "equal_opportunity_difference",
        "equalized_odds_difference",
    ):
        expected = getattr(fairlearn, metric)(credit.truth, decided, sensitive_features=groups)
        assert found[metric, feature].value == pytest.approx(expected, **EXACT), metric


@pytest.mark.parametrize("feature", ["sex", "age"])
def test_every_rate_agrees_with_fairlearn(credit: Any, results: list[Any], feature: str) -> None:
    functions = {
        "selection_rate": fairlearn.selection_rate,
        "true_positive_rate": fairlearn.true_positive_rate,
        "false_positive_rate": fairlearn.false_positive_rate,
    }
    groups, decided, found = groups_of(credit, feature), credit.scores >= 0.7, measured(results)
    frame = fairlearn.MetricFrame(metrics=functions, y_true=credit.truth, y_pred=decided, sensitive_features=groups)
    for group, row in frame.by_group.iterrows():
        for metric in functions:
            assert found[metric, f"{feature}={group}"].value == pytest.approx(row[metric], **EXACT)
        assert found["selection_rate", f"{feature}={group}"].n == (groups == group).sum()
        ratio = row["selection_rate"] / frame.by_group["selection_rate"].max()
        assert found["impact_ratio", f"{feature}={group}"].value == pytest.approx(ratio, **EXACT)


def test_the_table_holds_each_group_once(credit: Any, results: list[Any]) -> None:
    table = next(each for each in results if isinstance(each, Table))
    assert [row[:2] for row in table.rows] == [
        ("sex", "female"),
        ("sex", "male"),
        ("age", "under 25"),
        ("age", "25 to 39"),
        ("age", "40 to 59"),
        ("age", "60 and over"),
    ]
    assert all(len(row) == len(table.columns) for row in table.rows)


def test_small_groups_are_pointed_out(credit: Any) -> None:
    found = list(Fairness((AGE,), minimum_group=50).run(credit.subject()))
    notes = {each.location for each in found if isinstance(each, Finding)}
    sizes = {f"age={group}": int((groups_of(credit, "age") == group).sum()) for group in band_names(AGE.edges, whole=True)}
    assert notes == {slice_ for slice_, size in sizes.items() if size < 50} != set()
    assert measured(found)["smallest_group", "age"].value == min(sizes.values())


def test_rows_without_a_value_form_a_group_of_their_own(credit: Any, tmp_path: Any) -> None:
    frame = credit.test.copy()
    frame.loc[:9, "sex"] = None
    frame["age_again"] = frame["age"].astype(float)
    frame.loc[:4, "age_again"] = None
    frame.to_csv(tmp_path / "gaps.csv", index=False)
    check = Fairness(("sex", Feature("age_again", "age", (40,))))
    found = measured(check.run(credit.subject(path=tmp_path / "gaps.csv")))
    assert found["selection_rate", "sex=missing"].n == 10
    assert found["selection_rate", "age=missing"].n == 5


def test_the_favourable_label_of_the_policy_wins(credit: Any) -> None:
    found = measured(Fairness(("sex",), favourable="0", threshold=0.5).run(credit.subject()))
    female = (credit.test["sex"] == "female").to_numpy()
    assert found["selection_rate", "sex=female"].value == pytest.approx((1 - credit.scores[female] >= 0.5).mean(), **EXACT)


def test_one_group_cannot_be_compared(credit: Any, tmp_path: Any) -> None:
    credit.test[credit.test["sex"] == "male"].to_csv(tmp_path / "men.csv", index=False)
    with pytest.raises(UnsuitableData, match="one group only"):
        list(Fairness(("sex",)).run(credit.subject(path=tmp_path / "men.csv")))


def test_a_check_of_no_feature_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one feature"):
        build("fairness", {"sensitive": []})


def test_nobody_selected_has_no_ratio(credit: Any) -> None:
    found = measured(Fairness(("sex",), threshold=1.0).run(credit.subject()))
    assert found["demographic_parity_ratio", "sex"].value is None
    assert found["demographic_parity_difference", "sex"].value == 0.0


@given(st.lists(st.floats(0, 1), min_size=2, max_size=8), st.booleans())
def test_gap_and_ratio_stay_in_range_and_never_hide_a_missing_group(rates: list[float], gap: bool) -> None:
    assert 0.0 <= (largest_gap([*rates]) or 0.0) <= 1.0
    ratio = smallest_ratio([*rates])
    assert ratio is None if max(rates) == 0 else ratio is not None and 0.0 <= ratio <= 1.0
    assert largest_gap([*rates, None]) is None and smallest_ratio([*rates, None]) is None


@pytest.mark.parametrize(
    "edges, whole, names",
    [
        ((25, 40, 60), True, ["under 25", "25 to 39", "40 to 59", "60 and over"]),
        ((25, 40), False, ["under 25", "25 to under 40", "40 and over"]),
        ((0.5, 1.5), True, ["under 0.5", "0.5 to under 1.5", "1.5 and over"]),
        ((1, 2, 3), True, ["under 1", "1", "2", "3 and over"]),
        ((18,), True, ["under 18", "18 and over"]),
    ],
)
def test_bands_are_named_as_people_say_them(edges: tuple[float, ...], whole: bool, names: list[str]) -> None:
    assert band_names(edges, whole=whole) == names
