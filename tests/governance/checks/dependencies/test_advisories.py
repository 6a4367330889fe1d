"""A pinned version is judged by a list of advisories, and an open one by what it could be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from governance.checks.base import Finding, MissingColumn, MissingInput
from governance.checks.dependencies import Dependencies
from governance.checks.inventory import advisories
from governance.checks.inventory.components import collect
from governance.checks.inventory.files import Entry
from governance.checks.subject import Subject
from tests.governance.checks.dependencies.asking import ADVISORY, REQUESTS_ADVISORY, run, saved_as


@pytest.mark.parametrize("suffix", ["csv", "csv.gz", "parquet"])
def test_a_pinned_version_in_the_range_is_vulnerable(listed: Any, suffix: str) -> None:
    outcome = listed("Requests==2.30.0", REQUESTS_ADVISORY, suffix=suffix)
    assert outcome.the("vulnerable") == Finding(
        "vulnerable",
        "medium",
        "requirements.txt:1",
        "requests 2.30.0 has GHSA-j8r2: versions <2.31.0,>=2.3.0 are affected. Leaks Proxy-Authorization. "
        "Not affected: <2.3.0 or >=2.31.0.",
    )
    assert (outcome["vulnerable"], outcome["vulnerable:medium"], outcome["vulnerable:high"]) == (1.0, 1.0, 0.0)
    assert outcome.rows[0]["advisories"] == "GHSA-j8r2"


def test_a_pinned_version_out_of_the_range_is_not(listed: Any) -> None:
    for version in ("2.31.0", "2.2.9", "2.31.0.post1", "1!2.30.0"):
        outcome = listed(f"requests=={version}", REQUESTS_ADVISORY)
        assert outcome.findings == [] and outcome["vulnerable"] == 0.0 and outcome.rows[0]["advisories"] == ""


def test_an_open_version_that_could_be_in_the_range_may_be_vulnerable(listed: Any) -> None:
    for asked in ("", ">=2.0", "~=2.30", "==2.30.*"):
        outcome = listed(f"requests{asked}", REQUESTS_ADVISORY)
        assert outcome.the("possibly-vulnerable").severity == "low"
        assert "requests may come in a version that has GHSA-j8r2" in outcome.the("possibly-vulnerable").message
        assert outcome["vulnerable"] == 0.0 and outcome["unpinned"] == 1.0
    assert [rule for rule, _ in listed("requests>=2.31", REQUESTS_ADVISORY).rules] == ["unpinned"]


def test_several_rows_of_one_advisory_are_one_finding(listed: Any) -> None:
    rows = [("a", "X-1", "low", "<1.2", "Old."), ("A", "X-1", "critical", "<2.1,>=2.0", "Old."), ("a", "X-2", "high", ">=2", "")]
    outcome = listed("a==2.0.5", *rows)
    assert [(each.severity, each.message) for each in outcome.findings] == [
        ("critical", "a 2.0.5 has X-1: versions <2.1,>=2.0 are affected. Old. Not affected: (<2.0 or >=2.1) and >=1.2."),
        ("high", "a 2.0.5 has X-2: versions >=2 are affected. Not affected: <2."),
    ]
    assert outcome.rows[0]["advisories"] == "X-1, X-2"
    assert [outcome[f"vulnerable:{each}"] for each in ("info", "low", "medium", "high", "critical")] == [0, 0, 0, 1, 1]
    assert outcome["vulnerable"] == 2.0
    assert listed("a==1.5", *rows).findings == []


def test_of_two_ranges_that_hold_the_version_the_graver_counts(listed: Any) -> None:
    outcome = listed("a==1", ("a", "X-1", "critical", "<2", "Bad"), ("a", "X-1", "low", "<3", "Bad"))
    finding = outcome.the("vulnerable")
    assert finding.severity == "critical" and outcome["vulnerable"] == 1.0
    assert finding.message == "a 1 has X-1: versions <2 and <3 are affected. Bad. Not affected: >=2 and >=3."


def test_where_a_file_was_not_read_no_number_says_that_nothing_is_vulnerable(listed: Any, model: Any) -> None:
    model(conda__yaml="[")
    outcome = listed("requests==2.31.0", REQUESTS_ADVISORY)
    assert outcome["vulnerable"] is None
    assert outcome.measurements["dependencies.vulnerable", ""].method == "not known: conda.yaml could not be read"


def test_a_package_pinned_twice_is_judged_twice(listed: Any) -> None:
    assert listed("requests==2.30.0\nrequests==2.29.0", REQUESTS_ADVISORY)["vulnerable"] == 2.0


@pytest.mark.parametrize(
    "requirement, affected, rule",
    [
        ("a==2.0rc1", "<2.0", "vulnerable"),  # before the repair, though PEP 440 leaves it out of <2.0
        ("a==2.0.dev1", "<2.0", "vulnerable"),
        ("a==2.0rc2", "<2.0rc2", ""),
        ("a==2.0rc1", ">=2.0", ""),
        ("a==2.0rc1", "==2.0rc1", "vulnerable"),
        ("a==2.0rc1", "==2.*", "vulnerable"),
        ("a==2.0rc1", "<2.0,!=2.0rc1", ""),
        ("a==1.0.post1", ">1.0", "vulnerable"),
        ("a==1.0", ">1.0", ""),
        ("a==1.0+cpu", ">1.0", ""),
        ("a==1.0+cpu", "<=1.0", "vulnerable"),
        ("a==1.0+cpu", "==1.0", "vulnerable"),
        ("a==1.0+cpu", "==1.0+gpu", ""),
        ("a==1.0", "==1.0+cpu", "possibly-vulnerable"),  # pip may take that build
        ("a==1.0", "==1.0.0.0", "vulnerable"),
        ("a==1!1.0", "<2.0", ""),
        ("a==1!1.0", "<1!2.0", "vulnerable"),
        ("a==2.0", "<1!2.0", "vulnerable"),
        ("a==1.4.5", "~=1.4.2", "vulnerable"),
        ("a==1.5", "~=1.4.2", ""),
        ("a===1.0", "<2.0", "vulnerable"),
        ("a===1.0", "===1.0", "vulnerable"),
        ("a===1.0-custom!", "<2.0", "possibly-vulnerable"),  # it has no place in the order
        ("a==1.0", ">=0", "vulnerable"),
        ("a @ https://example.org/a.whl", "<2.0", "possibly-vulnerable"),
        ("a==1.0; python_version<'3'", "<2.0", "vulnerable"),
    ],
)
def test_versions_are_compared_as_pep_440_and_osv_have_it(listed: Any, requirement: str, affected: str, rule: str) -> None:
    outcome = listed(requirement, ("a", "X-1", "high", affected, ""))
    assert [each for each, _ in outcome.rules if each.endswith("vulnerable")] == ([rule] if rule else [])
    assert outcome["vulnerable:high"] == float(rule == "vulnerable")


versions = st.builds(
    lambda epoch, release, end: Version((f"{epoch}!" if epoch else "") + ".".join(map(str, release)) + end),
    st.integers(0, 1),
    st.lists(st.integers(0, 2), min_size=1, max_size=3),
    st.sampled_from(["", "a1", "rc1", ".dev0", ".post1", "rc1.dev2", ".post1.dev1"]),
)


@settings(max_examples=60)
@given(versions, versions, versions)
def test_between_introduced_and_fixed_the_order_of_versions_alone_decides(version: Version, low: Version, high: Version) -> None:
    component = collect([Entry(f"a=={version}", "here")]).components[0]
    frame = pd.DataFrame([("a", "X-1", "high", f">={low},<{high}", "")], columns=ADVISORY)
    known = advisories.read(frame, "list")
    expected = low <= version < high  # OSV schema, "Evaluation"
    assert [finding.rule for _, finding in known.on(component)] == (["vulnerable"] if expected else [])
    outside = advisories.outside(known.by_package["a"])
    assert (
        any(SpecifierSet(each).contains(version, prereleases=True) for each in outside.split(" or "))
        or expected
        or (
            low > version  # <low leaves out what comes just before it, so the sentence is narrower there, never wider
        )
    )


def test_conda_packages_are_judged_by_the_same_names(tmp_path: Path, model: Any) -> None:
    path = saved_as(pd.DataFrame([REQUESTS_ADVISORY], columns=ADVISORY), tmp_path / "a.csv")
    folder = model(conda__yaml="dependencies: [conda-forge::requests=2.30.0]")
    outcome = run(Subject(folder, others={"a": path}), Dependencies(advisories="a"))
    assert outcome.the("vulnerable").location == "conda.yaml:dependencies[0]"


@pytest.mark.parametrize(
    "row, reason",
    [
        (("requests", "X", "medium", "2.31.0", ""), "'2.31.0' is not a range"),
        (("requests", "X", "medium", "<2.31.0 >=2", ""), "is not a range"),
        (("requests", "X", "medium", "", ""), "it names no versions; >=0 means all"),
        (("requests", "X", "moderate", "<2", ""), "the severity is 'moderate' instead of one of info, low"),
        (("requests", "X", None, "<2", ""), "the severity is ''"),
        (("requests", "", "medium", "<2", ""), "it has no id"),
        ((None, "X", "medium", "<2", ""), "'' is not the name of a package"),
        (("requests==1", "X", "medium", "<2", ""), "'requests==1' is not the name"),
    ],
)
def test_a_row_that_cannot_be_read_makes_the_list_unbelievable(listed: Any, row: tuple[Any, ...], reason: str) -> None:
    other = ("other", "Y", "high", "<2", "")
    outcome = listed("requests==2.31.0", other, row)
    finding = outcome.the("unreadable-advisory")
    assert (finding.severity, finding.location) == ("medium", "advisories, row 2") and reason in finding.message
    assert outcome["vulnerable"] is None and outcome["vulnerable:high"] is None
    assert "rows of the list of advisories could not be read" in outcome.measurements["dependencies.vulnerable", ""].method
    if row[0] == "requests":  # about another package it is said as well, but spoils no number
        outcome = listed("numpy==1.0", other, row)
        assert outcome["vulnerable"] == 0.0 and outcome.the("unreadable-advisory")


def test_a_severity_may_be_spelled_in_capitals(listed: Any) -> None:
    assert listed("a==1", ("a", 7, " HIGH ", "<2", None))["vulnerable:high"] == 1.0


def test_without_a_list_nothing_is_called_safe(model: Any) -> None:
    outcome = run(model("requests==2.30.0"))
    assert outcome["vulnerable"] is None and outcome["vulnerable:critical"] is None
    assert outcome.measurements["dependencies.vulnerable", ""].method == "not measured: no list of advisories was given"


def test_a_list_that_is_missing_or_lacks_a_column_is_a_named_error(tmp_path: Path, model: Any) -> None:
    folder = model("a==1")
    with pytest.raises(MissingInput, match="the data set 'nvd'"):
        run(folder, Dependencies(advisories="nvd"))
    (tmp_path / "a.csv").write_text("package,id,severity,summary\na,X,high,\n")
    with pytest.raises(MissingColumn, match="'affected' is not in the data set nvd"):
        run(Subject(folder, others={"nvd": tmp_path / "a.csv"}), Dependencies(advisories="nvd"))
    with pytest.raises(MissingColumn, match="'version' is not in the data set nvd"):
        run(Subject(folder, others={"nvd": tmp_path / "a.csv"}), Dependencies(licences="nvd"))
