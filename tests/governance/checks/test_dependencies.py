"""What a model asks for is read to the last line, or said not to have been; nothing that could not be read is clean."""

from __future__ import annotations

import json
import os
import platform
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from email.message import Message
from importlib import metadata
from pathlib import Path
from typing import Any
from uuid import UUID

import jsonschema
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from governance.checks import catalogue, execute, parameters
from governance.checks.base import CheckError, Finding, Measurement, MissingColumn, MissingInput, Table
from governance.checks.bom import cyclonedx
from governance.checks.dependencies import Dependencies
from governance.checks.inventory import advisories, files, licences, spdx
from governance.checks.inventory.components import collect
from governance.checks.inventory.files import Entry
from governance.checks.subject import Subject
from tests.governance.checks.conftest import subject

ADVISORY = ["package", "id", "severity", "affected", "summary"]
COLUMNS = ("name", "version", "purl", "licence", "source", "advisories")
SERIAL = UUID("3e671687-395b-41f5-a30f-a58921a69b79")
REQUESTS_ADVISORY = ("requests", "GHSA-j8r2", "medium", "<2.31.0,>=2.3.0", "Leaks Proxy-Authorization.")


@dataclass(frozen=True)
class Outcome:
    """What one run gave."""

    findings: list[Finding]
    measurements: dict[tuple[str, str], Measurement]
    table: Table

    def __getitem__(self, metric: str) -> float | None:
        name, _, slice = metric.partition(":")
        return self.measurements[f"dependencies.{name}", slice].value

    @property
    def rules(self) -> list[tuple[str, str]]:
        return sorted((each.rule, each.location) for each in self.findings)

    @property
    def rows(self) -> list[dict[str, Any]]:
        return [dict(zip(self.table.columns, row, strict=True)) for row in self.table.rows]

    def the(self, rule: str) -> Finding:
        found = [each for each in self.findings if each.rule == rule]
        assert len(found) == 1, self.findings
        return found[0]


def run(model: Subject | Path, check: Dependencies = Dependencies()) -> Outcome:  # noqa: B008  # it is frozen
    results = list(check.run(Subject(model) if isinstance(model, Path) else model))
    measurements = {(each.metric, each.slice): each for each in results if isinstance(each, Measurement)}
    table = results[-1]
    assert isinstance(table, Table) and table.columns == COLUMNS and all(len(row) == len(COLUMNS) for row in table.rows)
    return Outcome([each for each in results if isinstance(each, Finding)], measurements, table)


@pytest.fixture
def model(tmp_path: Path) -> Callable[..., Path]:
    """A function that writes a model's files; a dot in a name is written as __."""

    def write(requirements: str | bytes | None = None, **others: str | bytes) -> Path:
        folder = tmp_path / "model"
        folder.mkdir(exist_ok=True)
        named = {"requirements.txt": requirements, **{name.replace("__", "."): text for name, text in others.items()}}
        for name, content in named.items():
            if content is not None:
                (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        return folder

    return write


@pytest.fixture
def listed(tmp_path: Path, model: Any) -> Callable[..., Outcome]:
    """A function that runs the check on requirements with a list of advisories, and perhaps of licences."""

    def review(
        requirements: str,
        *known: tuple[Any, ...],
        stated: list[tuple[Any, ...]] | None = None,
        allowed: tuple[str, ...] = (),
        suffix: str = "csv",
    ) -> Outcome:
        others = {}
        if known:
            frame = pd.DataFrame(known, columns=ADVISORY)
            others["advisories"] = saved_as(frame, tmp_path / f"advisories.{suffix}")
        if stated is not None:
            frame = pd.DataFrame(stated, columns=["package", "version", "licence"])
            others["licences"] = saved_as(frame, tmp_path / f"licences.{suffix}")
        check = Dependencies(
            advisories="advisories" if known else "", licences="licences" if stated else "", allowed_licences=allowed
        )
        return run(replace(Subject(model(requirements)), others=others), check)

    return review


def saved_as(frame: pd.DataFrame, path: Path) -> Path:
    frame.to_parquet(path) if path.suffix == ".parquet" else frame.to_csv(path, index=False)
    return path


def one(text: str, *, conda: bool = False) -> tuple[str, str, str, list[str]]:
    """Return (name, version, purl, rules) of a single requirement; the first three are "" if it names no component."""
    inventory = collect([Entry(text, "here", conda)])
    rules = [each.rule for each in inventory.findings]
    if not inventory.components:
        assert rules and inventory.nameless == 1  # whatever names no component is said and counted
        return "", "", "", rules
    assert inventory.nameless == 0
    component = inventory.components[0]
    return component.name, component.version, component.purl, rules


# -- what a requirement asks for -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text, name, version, purl",
    [
        ("numpy==1.26.4", "numpy", "1.26.4", "pkg:pypi/numpy@1.26.4"),
        ("Scikit_Learn == 1.4.0", "scikit-learn", "1.4.0", "pkg:pypi/scikit-learn@1.4.0"),
        ("ruamel.yaml(==0.18.6)", "ruamel-yaml", "0.18.6", "pkg:pypi/ruamel-yaml@0.18.6"),
        ("a===1.0", "a", "1.0", "pkg:pypi/a@1.0"),
        ("a===1.0-Custom", "a", "1.0-Custom", "pkg:pypi/a@1.0-Custom"),  # equality of text, not of versions
        ("a==1!2.0", "a", "1!2.0", "pkg:pypi/a@1%212.0"),
        ("torch==2.1.0+cu118", "torch", "2.1.0+cu118", "pkg:pypi/torch@2.1.0%2Bcu118"),
        ("a==v1.0-RC.1", "a", "1.0rc1", "pkg:pypi/a@1.0rc1"),
        ("a==1.0.dev3", "a", "1.0.dev3", "pkg:pypi/a@1.0.dev3"),
        ("a==1.0.post1", "a", "1.0.post1", "pkg:pypi/a@1.0.post1"),
        ("requests[security,socks]==2.31.0", "requests", "2.31.0", "pkg:pypi/requests@2.31.0"),
        ('pywin32==306; sys_platform == "win32"', "pywin32", "306", "pkg:pypi/pywin32@306"),
        ("a==1.0,>=0.5", "a", "1.0", "pkg:pypi/a@1.0"),
        ("a==1.0,==1.0.0", "a", None, None),  # one version, spelled twice
    ],
)
def test_an_exact_pin_is_a_version(text: str, name: str, version: str | None, purl: str | None) -> None:
    found = one(text)
    if version is None:
        assert found[3] == ["unpinned"]  # which of the two spellings is meant is not guessed
    else:
        assert found == (name, version, purl, [])


@pytest.mark.parametrize(
    "asked", ["", ">=1.0", "~=1.4.2", "==1.*", "!=1.0", "<2,>1", "[extra]", ">=1.0rc1", '; python_version<"4"']
)
def test_anything_else_is_unpinned(asked: str) -> None:
    assert one(f"numpy{asked}") == ("numpy", "", "pkg:pypi/numpy", ["unpinned"])


@pytest.mark.parametrize(
    "text, name",
    [
        ("numpy @ https://example.org/numpy.whl", "numpy"),
        ("numpy@git+ssh://git@example.org/numpy", "numpy"),
        ("git+https://example.org/a.git#egg=a", ""),
        ("https://example.org/a-1.0.zip", ""),
        ("file:///tmp/a.whl", ""),
        ("./local", ""),
        ("../a[extra]", ""),
        ("~/a", ""),
        ("folder/a", ""),
        ("C:\\a", ""),
        ("a-1.0-py3-none-any.whl", ""),
        ("a-1.0.tar.gz", ""),
        ("-e .", ""),
        ("-e.", ""),
        ("--editable=.", ""),
        ("--index-url https://example.org/simple", ""),
        ("-ihttps://example.org/simple", ""),
        ("--extra-index-url=https://example.org/simple", ""),
        ("--extra-ind=https://example.org/simple", ""),  # pip takes the beginning of an option
        ("--pre --find-links https://example.org", ""),
    ],
)
def test_what_comes_from_an_address_is_said(text: str, name: str) -> None:
    assert one(text) == (name, "", "", ["direct-reference"])


@pytest.mark.parametrize(
    "text",
    [
        *("!!", "numpy==", "numpy=1.0", "numpy 1.0", "numpy==1.0==2.0.", "numpy>=one", "ｎumpy==1.0", "numpy==${VERSION}"),
        *("-r other.txt", "-c constraints.txt", "--pre", "numpy==1.0; os=='x'", "numpy==1.0\nevil==2.0"),
        *("a" * 1001, "a==1" + "0" * 1000, "a==1; " + "(" * 900 + 'python_version<"4"', "numpy;" + "(" * 5000),
    ],
)
def test_what_is_no_requirement_is_said(text: str) -> None:
    assert one(text) == ("", "", "", ["unreadable-requirement"])


def test_an_option_beside_a_requirement_is_not_lost() -> None:
    assert one("numpy==1.0 --hash=sha256:abc --hash sha256:def") == ("numpy", "1.0", "pkg:pypi/numpy@1.0", [])
    assert one("numpy==1.0 --index-url https://example.org")[3] == ["direct-reference"]
    assert one("numpy==1.0 --config-settings=x=y")[3] == ["unreadable-requirement"]
    assert one("numpy==1.0\n--extra-index-url https://example.org")[3] == ["direct-reference"]  # two lines in one item


@pytest.mark.parametrize(
    "text, version, purl",
    [
        ("python=3.11.7", "3.11.7", "pkg:conda/python@3.11.7"),
        ("numpy==1.26", "1.26", "pkg:conda/numpy@1.26"),
        ("numpy=1.26=py311_0", "1.26", "pkg:conda/numpy@1.26"),
        ("numpy 1.26 py311_0", "1.26", "pkg:conda/numpy@1.26"),
        ("numpy 1.26", "1.26", "pkg:conda/numpy@1.26"),
        ("conda-forge::OpenSSL=1.1.1w", "1.1.1w", "pkg:conda/openssl@1.1.1w?channel=conda-forge"),
        ("main/noarch::numpy==1.0", "1.0", "pkg:conda/numpy@1.0?channel=main"),
        ("_libgcc_mutex==0.1", "0.1", "pkg:conda/_libgcc_mutex@0.1"),
    ],
)
def test_conda_pins_in_its_own_words(text: str, version: str, purl: str) -> None:
    assert one(text, conda=True)[1:] == (version, purl, [])


@pytest.mark.parametrize(
    "text, rule",
    [
        ("numpy", "unpinned"),
        ("numpy=1.26", "unpinned"),  # conda reads 1.26.*
        ("numpy=1.26.*", "unpinned"),
        ("numpy 1.26*", "unpinned"),
        ("numpy>=1.2,<2", "unpinned"),
        ("numpy >=1.2, <2", "unpinned"),
        ("https://example.org/numpy.conda", "direct-reference"),
        ("https://example.org/channel::numpy=1.0.0", "direct-reference"),
        ("./numpy.tar.bz2", "direct-reference"),
        ("numpy-1.0.conda", "direct-reference"),
        ("numpy[url=https://example.org/x.conda]", "direct-reference"),
        ("numpy[version='1.0.0']", "unreadable-requirement"),
        ("numpy 1.2|1.3", "unreadable-requirement"),
        ("numpy=1.0.0\nevil=1.0.0", "unreadable-requirement"),
        ("x" * 1001, "unreadable-requirement"),
    ],
)
def test_what_conda_leaves_open_is_said(text: str, rule: str) -> None:
    assert one(text, conda=True)[3] == [rule]


def test_the_installers_that_mlflow_names_without_a_version_are_not_called_unpinned(model: Any) -> None:
    conda, env = "dependencies: [pip<=24.0, numpy]", "build_dependencies: [pip, setuptools, wheel, numpy]"
    outcome = run(model("", conda__yaml=conda, python_env__yaml=env))
    assert [(each.rule, each.location) for each in outcome.findings] == [
        ("unpinned", "conda.yaml:dependencies[1]"),
        ("unpinned", "python_env.yaml:build_dependencies[3]"),
    ]
    assert outcome["unpinned"] == 2.0 and outcome["components"] == 6.0
    outcome = run(model("setuptools", conda__yaml="dependencies: [{pip: [pip]}]"))
    assert outcome["unpinned"] == 2.0 + 1.0  # where a model asks for them itself they count


# -- the files -----------------------------------------------------------------------------------------------------------


def test_all_three_files_are_read_and_their_places_named(model: Any) -> None:
    outcome = run(
        model(
            "\ufeff# a comment\r\n\r\nNumPy==1.26.4 \\\r\n    --hash=sha256:ab\r\nrequests==2.31.0  # why\r\n",
            conda__yaml="channels: [conda-forge]\ndependencies:\n- python=3.11.7\n- pip<=24.0\n- pip:\n  - numpy==1.26.4\n",
            python_env__yaml="python: 3.11.7\nbuild_dependencies: [pip==24.0]\ndependencies: [-r requirements.txt]\n",
        )
    )
    assert outcome.findings == []
    assert [(row["name"], row["version"], row["source"]) for row in outcome.rows] == [
        ("numpy", "1.26.4", "requirements.txt:3, conda.yaml:dependencies[2].pip[0]"),
        ("pip", "", "conda.yaml:dependencies[1]"),
        ("pip", "24.0", "python_env.yaml:build_dependencies[0]"),
        ("python", "3.11.7", "conda.yaml:dependencies[0]"),
        ("requests", "2.31.0", "requirements.txt:5"),
    ]
    assert (outcome["components"], outcome["unpinned"]) == (5.0, 0.0)
    assert outcome.measurements["dependencies.unpinned", ""].n == 5


def test_lines_are_joined_as_pip_joins_them(model: Any) -> None:
    folder = model("a==1.0 \\\n# not part of it\nb\\\n==2.0\n#c==3.0 \\\nd==4.0\ne==5.0#6\nf==6.0 \\")
    outcome = run(folder)
    assert [(row["name"], row["version"], row["source"]) for row in outcome.rows] == [
        ("a", "1.0", "requirements.txt:1"),
        ("b", "2.0", "requirements.txt:3"),
        ("d", "4.0", "requirements.txt:6"),
        ("f", "6.0", "requirements.txt:8"),
    ]
    assert outcome.rules == [("unreadable-requirement", "requirements.txt:7")]  # without a space it is no comment


def test_the_unpinned_are_counted_with_what_names_no_package(model: Any) -> None:
    text = "a\nb>=1\nc==1\nd @ https://example.org/d.whl\ngit+https://example.org/e\n!!\n"
    outcome = run(model(text, conda__yaml="dependencies: [{pip: [a, 1.5, c==1]}, {npm: [left-pad]}]"))
    assert outcome["components"] == 4.0
    assert outcome["unpinned"] == 2 + 1 + 1 + 1 + 2
    assert {(each.rule, each.severity) for each in outcome.findings} == {
        ("unpinned", "low"),
        ("direct-reference", "high"),
        ("unreadable-requirement", "medium"),
    }
    assert [each.location for each in outcome.findings if each.rule == "unpinned"] == [
        "requirements.txt:1, conda.yaml:dependencies[0].pip[0]",
        "requirements.txt:2",
    ]
    assert [each.severity for each in outcome.findings] == ["high"] * 2 + ["medium"] * 3 + ["low"] * 2  # the worst first


@pytest.mark.parametrize(
    "text, conflict",
    [
        ("a==1\na==2", True),
        ("a==1,==2", True),
        ("a==1\na>=2", True),
        ("a===1x\na===2x", True),
        ("a==1\na==2; python_version<'3'", True),
        ("a==1\nA==1.0.0", False),
        ("a==1\na", False),
        ("a==1.0\na==1.0+cpu", False),  # the public version stands for all of its builds
        ("a==1; python_version<'3'\na==2; python_version>='3'", False),
        ("a==1; python_version<'3'\na==2; python_version<'3'", True),
        ("a==1.0+cpu\na==1.0+gpu", True),
        ("a===1x\na===1x; python_version<'3'", False),
        ("a>=1\na==2.0rc1", False),
    ],
)
def test_pins_that_no_version_satisfies_are_a_conflict(model: Any, text: str, conflict: bool) -> None:
    found = [each for each in run(model(text)).findings if each.rule == "conflicting-pins"]
    assert [(each.severity, each.message[:14]) for each in found] == ([("medium", "No version of ")] if conflict else [])


def test_a_conflict_between_two_files_names_both(model: Any) -> None:
    outcome = run(model("numpy==1.26.4", conda__yaml="dependencies: [numpy=2.0.1]"))
    finding = outcome.the("conflicting-pins")
    assert finding.location == "requirements.txt:1, conda.yaml:dependencies[0]"
    assert "==1.26.4 and ==2.0.1" in finding.message


BOMB = "a: &a [x, x]\n" + "".join(f"{b}: &{b} [*{a}, *{a}, *{a}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True))


@pytest.mark.parametrize(
    "name, content, reason",
    [
        ("requirements.txt", b"numpy==1.0\n\xff", "not UTF-8"),
        ("requirements.txt", "numpy==1.0".encode("utf-16"), "not UTF-8"),
        ("requirements.txt", b"numpy==1.0\n\0", "zero byte"),
        ("requirements.txt", b"# -*- coding: utf-7 -*-\n+AG4-umpy==1.0", "encoding b'utf-7'"),
        ("requirements.txt", b"\n# vim: fileencoding=latin-1\nnumpy==1.0", "encoding b'latin-1'"),
        ("requirements.txt", b"# coding: no-such-thing\nnumpy==1.0", "encoding b'no-such-thing'"),
        ("requirements.txt", b"#" * (files.LARGEST_BYTES + 1), "larger than 1048576 bytes"),
        ("requirements.txt", b"a==1\n" * (files.MOST_ENTRIES + 1), "more than 1500 requirements"),
        ("conda.yaml", b"[" * 2000, "RecursionError"),
        ("conda.yaml", b"dependencies:\n- " + b"{a: " * 5000, "RecursionError"),
        ("conda.yaml", BOMB.encode(), "an alias or a tag"),
        ("conda.yaml", b"a: &a {x: 1}\n<<: *a\n", "an alias or a tag"),
        ("conda.yaml", b"dependencies: !!python/object/apply:os.getcwd []", "an alias or a tag"),
        ("conda.yaml", b"dependencies: [!!binary bnVtcHk=]", "an alias or a tag"),
        ("conda.yaml", b"dependencies: [" + b"9" * 5000 + b"]", "ValueError"),
        ("conda.yaml", b"dependencies: [2001-02-30]", "ValueError"),
        ("conda.yaml", b"dependencies: [1, 2", "ParserError"),
        ("conda.yaml", b"a: 1\n---\nb: 2\n", "ComposerError"),
        ("conda.yaml", b"? {a: 1}\n: b\n", "ConstructorError"),
        ("conda.yaml", b"a: \x07", "ReaderError"),
        ("conda.yaml", b"- a\n", "not a mapping"),
        ("conda.yaml", b"", "not a mapping"),
        ("conda.yaml", b"dependencies: numpy", "'dependencies' is not a list"),
        ("conda.yaml", b"dependencies: [{pip: numpy}]", "'pip' is not a list"),
        ("python_env.yaml", b"build_dependencies: {a: 1}", "'build_dependencies' is not a list"),
        ("python_env.yaml", b"dependencies: [" + b"a, " * files.MOST_ENTRIES + b"a]", "more than 1500 requirements"),
    ],
)
def test_a_file_that_cannot_be_read_is_never_clean(model: Any, name: str, content: bytes, reason: str) -> None:
    folder = model("six==1.16.0")
    (folder / name).write_bytes(content)
    outcome = run(folder, Dependencies(allowed_licences=("MIT",)))
    finding = outcome.the("unreadable-file")
    assert (finding.severity, finding.location) == ("high", name) and reason in finding.message
    for metric in ("unpinned", "licences_unknown", "licences_refused", "vulnerable", "vulnerable:critical"):
        assert outcome[metric] is None, metric
    assert outcome.measurements["dependencies.unpinned", ""].method == f"not known: {name} could not be read"
    assert outcome["components"] == (0.0 if name == "requirements.txt" else 1.0)


def test_what_is_no_plain_file_is_not_opened(model: Any, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("numpy==1.0")
    folder = model()
    (folder / "requirements.txt").symlink_to(tmp_path / "secret")
    os.mkfifo(folder / "conda.yaml")  # whoever opened it would wait for ever
    (folder / "python_env.yaml").mkdir()
    outcome = run(folder)
    assert outcome.rules == [("unreadable-file", name) for name in ("conda.yaml", "python_env.yaml", "requirements.txt")]
    assert outcome.rows == []


def test_a_model_without_requirements_is_not_clean(model: Any) -> None:
    outcome = run(model())
    assert outcome.the("no-requirements").severity == "medium"
    assert outcome["components"] == 0.0 and outcome["unpinned"] is None
    with pytest.raises(MissingInput):
        run(Subject())


def test_an_empty_list_of_requirements_is_one(model: Any) -> None:
    outcome = run(model("# nothing\n"))
    assert outcome.findings == [] and outcome["unpinned"] == 0.0


def test_a_file_that_another_names_must_be_there(model: Any) -> None:
    outcome = run(model(python_env__yaml="dependencies: [-r requirements.txt]"))
    assert outcome.rules == [("unreadable-requirement", "python_env.yaml:dependencies[0]")]


def test_a_thousand_findings_are_cut_after_the_worst(model: Any) -> None:
    outcome = run(model("".join(f"a{index}\n" for index in range(1000)) + "./local\n"))
    assert len(outcome.findings) == 500 and outcome.findings[0].rule == "direct-reference"
    assert outcome["unpinned"] == 1001.0


def test_many_requirements_of_one_package_take_no_time(model: Any) -> None:
    lines = [f"a!={index}.0" for index in range(700)] + [f'a!={index}.1; python_version<"3.{index}"' for index in range(700)]
    outcome = run(model("\n".join(lines)))
    assert len(outcome.rows) == 1 and outcome.the("unpinned").location.endswith(" and 1395 more")
    assert len(outcome.findings[0].message) < 400


# -- advisories ----------------------------------------------------------------------------------------------------------


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


# -- licences ------------------------------------------------------------------------------------------------------------


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


# -- from end to end -----------------------------------------------------------------------------------------------------


def test_a_model_as_mlflow_saves_it(saved: Any, tmp_path: Path) -> None:
    from sklearn.linear_model import LinearRegression

    folder = saved(LinearRegression().fit([[0.0], [1.0]], [0.0, 1.0]))
    outcome = run(subject(folder))
    by_name = {row["name"]: row for row in outcome.rows}
    assert by_name["mlflow"]["purl"] == f"pkg:pypi/mlflow@{metadata.version('mlflow')}"
    assert by_name["python"]["purl"] == f"pkg:conda/python@{platform.python_version()}"
    assert outcome.the("unpinned").location == "requirements.txt:2, conda.yaml:dependencies[2].pip[1]"
    assert "scikit-learn may be installed" in outcome.findings[0].message  # as conftest asks for it
    assert outcome["unpinned"] == 1.0 and outcome["components"] == len(outcome.rows) and len(outcome.findings) == 1

    version = metadata.version("scikit-learn")
    for name in ("requirements.txt", "conda.yaml"):
        (folder / name).write_text((folder / name).read_text().replace("scikit-learn", f"scikit-learn=={version}"))
    known = [("scikit-learn", "X-1", "high", f"<={version}", "Bad."), ("scikit-learn", "X-2", "high", f">{version}", "Worse.")]
    path = saved_as(pd.DataFrame(known, columns=ADVISORY), tmp_path / "known.csv")
    check = Dependencies(advisories="known", allowed_licences=("BSD-3-Clause",))
    outcome = run(replace(subject(folder), others={"known": path}), check)
    assert outcome.the("vulnerable").message.startswith(f"scikit-learn {version} has X-1")
    row = next(row for row in outcome.rows if row["name"] == "scikit-learn")
    assert (row["licence"], row["advisories"]) == ("BSD-3-Clause", "X-1")
    assert outcome["unpinned"] == 0.0 and outcome["licences_refused"] == 0.0 and outcome["vulnerable:high"] == 1.0
    assert {each.rule for each in outcome.findings} == {"vulnerable", "unknown-licence"}


def test_the_check_runs_where_checks_are_executed(model: Any, tmp_path: Path) -> None:
    path = saved_as(pd.DataFrame([REQUESTS_ADVISORY], columns=ADVISORY), tmp_path / "a.csv")
    spec = {
        "check": "dependencies",
        "parameters": {"advisories": "known", "allowed_licences": ["MIT"]},
        "model_dir": str(model("requests==2.30.0")),
        "dataset": None,
        "others": {"known": str(path)},
        "seed": 0,
    }
    result = execute.execute(spec, tmp_path)
    assert result["status"] == "completed"
    assert "vulnerable" in [each["rule"] for each in result["findings"]]
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    document = cyclonedx(result["tables"][0]["rows"], subject_name="m", subject_version="1", serial=SERIAL)
    assert document["components"][0]["purl"] == "pkg:pypi/requests@2.30.0"


def test_the_parameters_are_described_and_converted() -> None:
    described = parameters.schema(Dependencies)
    assert described["required"] == []
    assert described["properties"]["advisories"]["dataset"] is True and described["properties"]["licences"]["dataset"] is True
    assert jsonschema.Draft202012Validator(described).is_valid({"advisories": "osv", "allowed_licences": ["MIT"]})
    assert catalogue.build("dependencies", {"allowed_licences": ["MIT"]}) == Dependencies(allowed_licences=("MIT",))
    with pytest.raises(ValueError, match="'allowed_licences': expected a list"):
        catalogue.build("dependencies", {"allowed_licences": "MIT"})


# -- the bill of materials -----------------------------------------------------------------------------------------------

ROWS = [
    ("numpy", "1.26.4", "pkg:pypi/numpy@1.26.4", "BSD-3-Clause", "requirements.txt:1", ""),
    ("numpy", "", "pkg:conda/numpy", "", "conda.yaml:dependencies[1]", ""),
    ("foreign", "", "", "", "requirements.txt:2", ""),
    ("requests", "2.30.0", "pkg:pypi/requests@2.30.0", "Apache-2.0 OR LicenseRef-ours", "requirements.txt:3", "GHSA-j8r2"),
]
# What CycloneDX 1.6 (bom-1.6.schema.json) demands of the parts that are written here.
TEXT = {"type": "string", "minLength": 1}
COMPONENT = {
    "type": "object",
    "required": ["type", "name", "bom-ref"],
    "additionalProperties": False,
    "properties": {
        "type": {"enum": ["library", "machine-learning-model"]},
        "bom-ref": TEXT,
        "name": TEXT,
        "version": TEXT,
        "purl": {"type": "string", "pattern": "^pkg:(pypi|conda)/[^ ]+$"},
        "licenses": {
            "type": "array",
            "minItems": 1,
            "maxItems": 1,  # an expression stands alone
            "items": {
                "type": "object",
                "required": ["expression"],
                "additionalProperties": False,
                "properties": {"expression": TEXT},
            },
        },
        "properties": {"type": "array", "items": {"type": "object", "required": ["name", "value"]}},
    },
}
CYCLONEDX = {
    "type": "object",
    "required": ["bomFormat", "specVersion", "serialNumber", "version", "metadata", "components", "dependencies", "compositions"],
    "additionalProperties": False,
    "properties": {
        "bomFormat": {"const": "CycloneDX"},
        "specVersion": {"const": "1.6"},
        "serialNumber": {"pattern": "^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"},
        "version": {"type": "integer", "minimum": 1},
        "metadata": {"type": "object", "required": ["component"], "properties": {"component": COMPONENT}},
        "components": {"type": "array", "uniqueItems": True, "items": COMPONENT},
        "dependencies": {"type": "array", "uniqueItems": True, "items": {"type": "object", "required": ["ref"]}},
        "compositions": {
            "items": {"properties": {"aggregate": {"enum": ["complete", "incomplete", "unknown", "not_specified"]}}}
        },
    },
}


def test_the_table_becomes_a_cyclonedx_document() -> None:
    document = cyclonedx(ROWS, subject_name="credit-risk", subject_version="7", serial=SERIAL)
    jsonschema.Draft202012Validator(CYCLONEDX).validate(document)
    assert document["metadata"]["component"] == {
        "type": "machine-learning-model",
        "bom-ref": "model:credit-risk@7",
        "name": "credit-risk",
        "version": "7",
    }
    assert [each["bom-ref"] for each in document["components"]] == [
        "foreign@",
        "pkg:conda/numpy",
        "pkg:pypi/numpy@1.26.4",
        "pkg:pypi/requests@2.30.0",
    ]
    assert document["components"][0] == {
        "type": "library",
        "bom-ref": "foreign@",
        "name": "foreign",
        "properties": [{"name": "countersign:source", "value": "requirements.txt:2"}],
    }
    assert document["components"][3] == {
        "type": "library",
        "bom-ref": "pkg:pypi/requests@2.30.0",
        "name": "requests",
        "version": "2.30.0",
        "licenses": [{"expression": "Apache-2.0 OR LicenseRef-ours"}],
        "purl": "pkg:pypi/requests@2.30.0",
        "properties": [{"name": "countersign:source", "value": "requirements.txt:3"}],
    }
    assert document["dependencies"] == [
        {"ref": "model:credit-risk@7", "dependsOn": [each["bom-ref"] for each in document["components"]]}
    ]
    assert document["compositions"] == [{"aggregate": "incomplete", "dependencies": ["model:credit-risk@7"]}]


def test_equal_input_gives_equal_bytes_in_any_order() -> None:
    named = {"subject_name": "m", "subject_version": "1", "serial": SERIAL}
    first = json.dumps(cyclonedx(ROWS, **named))
    assert json.dumps(cyclonedx([list(row) for row in reversed(ROWS)], **named)) == first
    assert json.dumps(cyclonedx(ROWS[1:], **named)) != first
    assert cyclonedx([], **named)["components"] == []


def test_references_are_unique_whatever_a_model_asks_for(model: Any) -> None:
    text = "a==1\na==2\na\na>=3\na @ https://example.org/a\na===1x\na==1+cpu\nb @ https://example.org/b\n"
    outcome = run(
        model(text, conda__yaml="dependencies: [a==1, a=1, conda-forge::a==1, {pip: [a==1, 'a @ https://example.org/z']}]")
    )
    document = cyclonedx(outcome.table.rows, subject_name="a", subject_version="1", serial=SERIAL)
    jsonschema.Draft202012Validator(CYCLONEDX).validate(document)
    references = [each["bom-ref"] for each in [document["metadata"]["component"], *document["components"]]]
    assert len(set(references)) == len(references) == len(outcome.rows) + 1
