"""Requirements files are read to the last line, or said not to have been; nothing that could not be read is clean."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from governance.checks.base import MissingInput
from governance.checks.dependencies import Dependencies
from governance.checks.inventory import files
from governance.checks.subject import Subject
from tests.governance.checks.dependencies.asking import run


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
