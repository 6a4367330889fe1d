"""Groups are compared with those that pandas finds row by row."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from governance.checks.base import UnsuitableData
from governance.checks.groups import Feature, Groups, band_names, cross, split
from governance.checks.subject import DatasetSpec, Subject


@pytest.fixture
def holding(tmp_path: Path) -> Any:
    """A function that gives a subject whose evaluation set has these columns, with their types."""

    def hold(**columns: Any) -> Subject:
        pd.DataFrame(columns).to_parquet(tmp_path / "set.parquet")
        return Subject(None, DatasetSpec(tmp_path / "set.parquet", "y"))

    return hold


def members(groups: Groups) -> dict[str, list[int]]:
    return {slice_: np.flatnonzero(mask).tolist() for slice_, mask in groups}


@pytest.mark.parametrize(
    "column, expected",
    [
        (pd.Series(["b", "a", None, "b"]), {"x=a": [1], "x=b": [0, 3], "x=missing": [2]}),
        (pd.Series(["missing", None, "a"]), {"x=a": [2], "x=missing": [0, 1]}),
        (pd.Series([1.0, None, 0.5, 1.0]), {"x=0.5": [2], "x=1": [0, 3], "x=missing": [1]}),
        (pd.Series([10, 9, 10], dtype="Int64"), {"x=10": [0, 2], "x=9": [1]}),
        (pd.Series([True, False]), {"x=False": [1], "x=True": [0]}),
        (pd.Series(["b", "a", None]).astype("category"), {"x=a": [1], "x=b": [0], "x=missing": [2]}),
        (pd.Series(pd.to_datetime(["2026-01-02", "2026-01-01"])), {"x=2026-01-01 00:00:00": [1], "x=2026-01-02 00:00:00": [0]}),
    ],
    ids=["texts", "a text that reads missing", "numbers", "whole numbers", "booleans", "categories", "dates"],
)
def test_each_value_is_a_group_and_so_are_the_rows_without_one(holding: Any, column: Any, expected: dict[str, list[int]]) -> None:
    assert members(split(holding(x=column), "x")) == expected


def test_two_values_that_read_the_same_are_one_group(holding: Any) -> None:
    subject = holding(y=[0, 1, 0, 1])
    subject.frame["x"] = pd.Series([1, "1", 1.0, "b"], dtype=object)
    assert members(split(subject, "x")) == {"x=1": [0, 1, 2], "x=b": [3]}


def test_bands_hold_their_lower_edge_and_empty_ones_are_no_group(holding: Any) -> None:
    subject = holding(age=pd.Series([25, 24, 70, None], dtype="Int64"))
    groups = split(subject, Feature("age", "years", (25, 40, 60)))
    assert members(groups) == {"years=under 25": [1], "years=25 to 39": [0], "years=60 and over": [2], "years=missing": [3]}
    assert [groups.is_unknown(index) for index in range(4)] == [False, False, False, True]


def test_an_intersection_has_every_combination_that_has_rows(holding: Any) -> None:
    subject = holding(sex=["f", "m", "f", "m", None], age=[20, 30, 40, 30, 20], town=["a", "a", "b", "b", "b"])
    groups = cross([split(subject, "sex"), split(subject, Feature("age", edges=(30,))), split(subject, "town")])
    assert groups.feature == "sex&age&town"
    assert members(groups) == {
        "sex=f&age=under 30&town=a": [0],
        "sex=f&age=30 and over&town=b": [2],
        "sex=m&age=30 and over&town=a": [1],
        "sex=m&age=30 and over&town=b": [3],
        "sex=missing&age=under 30&town=b": [4],
    }
    assert groups.names[0] == "f & under 30 & a"
    assert [groups.is_unknown(index) for index in range(5)] == [False] * 4 + [True]


@given(st.lists(st.tuples(st.text(min_size=1), st.text()), min_size=2, max_size=4))
def test_the_slice_of_an_intersection_can_be_taken_apart(pairs: list[tuple[str, str]]) -> None:
    features, values = zip(*pairs, strict=True)
    (slice_,) = Groups(features, (values,), np.zeros(1, dtype=int)).slices
    parts = [part.partition("=") for part in slice_.split("&")]
    assert [(unquote(feature), unquote(value)) for feature, _, value in parts] == pairs


def test_a_group_of_one_feature_is_written_as_it_is() -> None:
    groups = Groups(("dept",), (("R&D = 100%",),), np.zeros(1, dtype=int))
    assert (groups.feature, groups.slices, groups.names) == ("dept", ("dept=R&D = 100%",), ("R&D = 100%",))


def test_too_many_groups_are_refused_with_advice(holding: Any) -> None:
    subject = holding(a=np.arange(10_000) % 100, b=np.arange(10_000) // 100, c=np.arange(10_000))
    assert len(split(subject, "a")) == 100
    with pytest.raises(UnsuitableData, match=r"'c' has 10000 different values, more than 100 groups. Give edges"):
        split(subject, "c")
    with pytest.raises(UnsuitableData, match=r"a, b have 10000 groups together, more than 400. Combine fewer"):
        cross([split(subject, "a"), split(subject, "b")])
    with pytest.raises(UnsuitableData, match="'c' has 102 different values"):
        split(subject, Feature("c", edges=tuple(range(1, 102))))


def test_a_name_that_evidence_cannot_hold_is_refused(holding: Any) -> None:
    subject = holding(x=["a" * 199, "b"], y=["c" * 150, "d" * 150], z=["e" * 60, "f" * 60])
    with pytest.raises(UnsuitableData, match="more than 200 characters"):
        split(subject, "x")
    with pytest.raises(UnsuitableData, match="more than 200 characters"):
        cross([split(subject, "y"), split(subject, "z")])


@pytest.mark.parametrize(
    "edges, whole, names",
    [
        ((25, 40, 60), True, ["under 25", "25 to 39", "40 to 59", "60 and over"]),
        ((25, 40), False, ["under 25", "25 to under 40", "40 and over"]),
        ((0.5, 1.5), True, ["under 0.5", "0.5 to under 1.5", "1.5 and over"]),
        ((1, 2, 3), True, ["under 1", "1", "2", "3 and over"]),
        ((18,), True, ["under 18", "18 and over"]),
        ((1234567.0, 1234569.0), True, ["under 1234567", "1234567 to 1234568", "1234569 and over"]),
    ],
)
def test_bands_are_named_as_people_say_them(edges: tuple[float, ...], whole: bool, names: list[str]) -> None:
    assert band_names(edges, whole=whole) == names
