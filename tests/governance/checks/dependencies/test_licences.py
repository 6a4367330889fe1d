"""A package's licence is what its list or its metadata says, and is compared as an expression of SPDX."""

from __future__ import annotations

import re
from email.message import Message
from importlib import metadata
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from governance.checks.base import CheckError, Finding
from governance.checks.dependencies import Dependencies
from governance.checks.inventory import licences, spdx
from governance.checks.inventory.components import collect
from governance.checks.inventory.files import Entry
from tests.governance.checks.dependencies.asking import run


@pytest.mark.parametrize(
    "expression, met",
    [
        ("MIT", True),
        ("GPL-3.0-only", False),
        ("MIT OR GPL-3.0-only", True),
        ("MIT AND GPL-3.0-only", False),
        ("MIT AND Apache-2.0", True),
        ("GPL-3.0-only OR MIT AND Apache-2.0", True),  # AND binds tighter
        ("GPL-3.0-only AND MIT OR Apache-2.0", True),
        ("GPL-3.0-only AND (MIT OR Apache-2.0)", False),
        ("(GPL-3.0-only OR MIT) AND (Apache-2.0 OR GPL-3.0-only)", True),
        ("(MIT OR Apache-2.0) AND GPL-3.0-only", False),
        ("((MIT))", True),
        ("Apache-2.0+", True),
        ("GPL-2.0-only WITH Classpath-exception-2.0", True),
        ("GPL-2.0-only", False),
        ("GPL-2.0-only WITH GCC-exception-2.0", False),
        ("Apache-2.0 WITH LLVM-exception", True),  # an exception only adds permissions
        ("MIT AND GPL-2.0-only WITH Classpath-exception-2.0", True),
        ("LicenseRef-ours", True),
        ("LicenseRef-theirs", False),
    ],
)
def test_a_licence_expression_is_satisfied_or_not(expression: str, met: bool) -> None:
    allowed = spdx.choice(["mit", "Apache-2.0", "GPL-2.0-only WITH Classpath-exception-2.0", "LicenseRef-ours"])
    assert spdx.satisfied(spdx.canonical(expression.lower() if "LicenseRef" not in expression else expression), allowed) is met


LEAVES = ["MIT", "Apache-2.0", "BSD-3-Clause", "GPL-3.0-only", "ISC"]
expressions = st.recursive(
    st.sampled_from(LEAVES),
    lambda inner: st.tuples(inner, st.sampled_from([" AND ", " OR "]), inner, st.booleans()).map(
        lambda parts: f"({''.join(parts[:3])})" if parts[3] else "".join(parts[:3])
    ),
    max_leaves=8,
)


@settings(max_examples=60)
@given(expressions, st.sets(st.sampled_from(LEAVES)))
def test_expressions_mean_what_the_same_words_mean_in_python(expression: str, allowed: set[str]) -> None:
    python = re.sub("|".join(LEAVES), lambda name: str(name[0] in allowed), expression).replace("AND", "and").replace("OR", "or")
    assert spdx.satisfied(spdx.canonical(expression), allowed) is eval(python)


@pytest.mark.parametrize(
    "text", ["", "Apache", "MIT AND", "(MIT", "MIT OR OR MIT", "MIT WITH MIT", "MIT/Apache-2.0", "(" * 600 + "MIT"]
)
def test_what_is_no_expression_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="SPDX expression"):
        spdx.canonical(text)


def test_a_long_expression_is_refused_before_it_is_read() -> None:
    with pytest.raises(ValueError, match="too long"):
        spdx.canonical("(" * 2000)


def test_a_licence_that_is_not_allowed_is_refused(listed: Any) -> None:
    stated = [("Numpy", "1.26.4", "gpl-3.0-only"), ("six", None, "MIT")]
    outcome = listed("numpy==1.26.4\nsix==1.16.0", stated=stated, allowed=("MIT", "BSD-3-Clause"))
    assert outcome.findings == [
        Finding(
            "licence-not-allowed",
            "high",
            "requirements.txt:1",
            "numpy 1.26.4 comes under GPL-3.0-only; allowed are BSD-3-Clause, MIT.",
        )
    ]
    assert (outcome["licences_refused"], outcome["licences_unknown"]) == (1.0, 0.0)
    assert [row["licence"] for row in outcome.rows] == ["GPL-3.0-only", "MIT"]
    allowed = listed("numpy==1.26.4\nsix==1.16.0", stated=stated, allowed=("MIT", "GPL-3.0-only"))
    assert allowed.findings == [] and allowed["licences_refused"] == 0.0


def test_without_a_choice_nothing_is_refused(listed: Any) -> None:
    outcome = listed("numpy==1.26.4", stated=[("numpy", None, "GPL-3.0-only")])
    assert outcome.findings == [] and outcome["licences_refused"] is None
    assert outcome.measurements["dependencies.licences_refused", ""].method == "not judged: no allowed licences were given"


def test_the_row_for_the_version_goes_before_the_row_for_all(listed: Any) -> None:
    stated = [
        ("a", None, "GPL-3.0-only"),
        ("a", "1.0", "MIT"),
        ("a", "==2.10", "ISC"),
        ("a", "3", "MIT OR ISC"),
        ("a", "3", "Zlib"),
    ]
    for asked, licence in [("==1.0.0", "MIT"), ("==2.10", "ISC"), ("==2.1", "GPL-3.0-only"), ("", "GPL-3.0-only")]:
        assert listed(f"a{asked}", stated=stated).rows[0]["licence"] == licence
    assert listed("a==3.0", stated=stated).rows[0]["licence"] == "(MIT OR ISC) AND Zlib"


def test_a_licence_that_nobody_states_is_unknown(listed: Any) -> None:
    stated = [("a", "1.0.1", "MIT"), ("b", None, "MIT")]
    outcome = listed("a==2.0.0\nb\nnumpy==9999", stated=stated)
    assert sorted(each.location for each in outcome.findings if each.rule == "unknown-licence") == [
        "requirements.txt:1",
        "requirements.txt:3",
    ]
    assert {each.severity for each in outcome.findings} == {"low"} and outcome["licences_unknown"] == 2.0


def test_an_unknown_licence_is_counted_always_and_a_finding_only_when_licences_matter(model: Any) -> None:
    folder = model("no-such-package==1.0")
    assert run(folder).findings == [] and run(folder)["licences_unknown"] == 1.0
    assert run(folder, Dependencies(allowed_licences=("MIT",))).the("unknown-licence").severity == "low"


@pytest.mark.parametrize(
    "row, reason",
    [
        (("a", None, "Apache"), "'Apache' is not an SPDX expression"),
        (("a", None, None), "'' is not an SPDX expression"),
        (("a", "latest", "MIT"), "'latest' is not a version"),
        ((None, None, "MIT"), "'' is not the name of a package"),
    ],
)
def test_a_row_of_licences_that_cannot_be_read_is_said(listed: Any, row: tuple[Any, ...], reason: str) -> None:
    outcome = listed("a==1", stated=[("b", None, "MIT"), row])
    finding = outcome.the("unreadable-licence")
    assert (finding.severity, finding.location) == ("medium", "licences, row 2") and reason in finding.message
    assert outcome["licences_unknown"] == 1.0


def test_a_version_that_a_table_turned_into_a_number_is_not_believed(listed: Any) -> None:
    stated = [("a", "1.10", "MIT"), ("b", "2.0", "MIT"), ("c", None, "ISC")]  # a CSV of these is read as 1.1 and 2.0
    outcome = listed("a==1.10\nb==2.0", stated=stated)
    assert (
        "the version 1.1 was read as a number, and may have lost a zero; write ==1.1" in outcome.the("unreadable-licence").message
    )
    assert [row["licence"] for row in outcome.rows] == ["", "MIT"]
    assert [row["licence"] for row in listed("a==1.10", stated=stated, suffix="parquet").rows] == ["MIT"]


@pytest.mark.parametrize("given", [("Apache",), ("MIT OR ISC",), ("",), ("(MIT)",)])
def test_an_allowed_licence_must_be_one_that_spdx_knows(model: Any, given: tuple[str, ...]) -> None:
    with pytest.raises(CheckError, match="Parameter 'allowed_licences'") as raised:
        run(model("a==1"), Dependencies(allowed_licences=given))
    assert raised.value.code == "invalid_parameters"


class Installed:
    """A distribution with the fields of its metadata."""

    def __init__(self, version: str, *fields: tuple[str, str]) -> None:
        self.version = version
        self.metadata = Message()
        for name, value in fields:
            self.metadata[name] = value


MIT = ("Classifier", "License :: OSI Approved :: MIT License")
MPL = ("Classifier", "License :: OSI Approved :: Mozilla Public License 2.0 (MPL 2.0)")
BSD = ("Classifier", "License :: OSI Approved :: BSD License")


@pytest.mark.parametrize(
    "requirement, fields, licence",
    [
        ("a==1.0", [("License-Expression", "mit or isc"), MPL], "MIT OR ISC"),
        ("a==1.0", [("License-Expression", "Apache"), MIT], ""),
        ("a==1.0", [MIT], "MIT"),
        ("a==1.0", [("Classifier", "License :: OSI Approved"), MIT, ("Classifier", "Topic :: Software")], "MIT"),
        ("a==1.0", [MIT, MPL], "MIT AND MPL-2.0"),
        ("a==1.0", [BSD], ""),  # which of them is not said (PEP 639)
        ("a==1.0", [MIT, BSD], ""),
        ("a==1.0", [("License", "MIT")], ""),
        ("a==1.0", [], ""),
        ("a==1.1", [MIT], ""),
        ("a>=1.0", [MIT], ""),
        ("a==1.0; python_version<'3'", [MIT], "MIT"),
    ],
)
def test_what_is_installed_here_tells_its_licence(
    monkeypatch: pytest.MonkeyPatch, requirement: str, fields: list[tuple[str, str]], licence: str
) -> None:
    monkeypatch.setattr(metadata, "distribution", lambda name: Installed("1.0+cpu", *fields))
    assert licences.installed(collect([Entry(requirement, "here")]).components[0]) == licence


def test_a_conda_package_is_not_taken_for_the_project_of_the_same_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "distribution", lambda name: Installed("1.0", MIT))
    assert licences.installed(collect([Entry("a==1.0", "here", conda=True)]).components[0]) == ""


def test_the_classifiers_are_spelled_as_licences_of_spdx() -> None:
    assert all(spdx.canonical(each) == each for each in licences._CLASSIFIERS.values())
    assert not any("BSD License" in each or "Apache Software License" in each for each in licences._CLASSIFIERS)
