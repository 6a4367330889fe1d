"""What a requirement asks for, in pip's words and in conda's."""

from __future__ import annotations

from typing import Any

import pytest

from tests.governance.checks.dependencies.asking import one, run


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
