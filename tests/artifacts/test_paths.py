"""Which paths are safe, and how addresses name them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from artifacts import paths
from core.errors import Invalid


@pytest.mark.parametrize(
    "path",
    ["..", "a/../b", "/etc/passwd", "%2e%2e/x", "%252e%252e/x", "..%2fx", "%2fetc", "a\\..\\b", "\\\\host\\x", "C:\\x", "c:x", "file:x",
     "FILE:///etc", "a#b", "a%23b", "a\x00b", "a%00b", "a\nb", "x" * 501, "a/" * 800 + "b", "%25" * 20 + "2525252525252525252525252e"],
)  # fmt: skip
def test_a_path_that_leads_elsewhere_is_refused(path: str) -> None:
    with pytest.raises(Invalid):
        paths.safe(path)


@pytest.mark.parametrize(
    ("path", "clean"),
    [("a/b.txt", "a/b.txt"), ("a//b/./c/", "a/b/c"), ("", ""), ("a..b/...", "a..b/..."), ("50% off/ü x", "50% off/ü x")],
)
def test_a_harmless_path_is_kept_without_empty_steps(path: str, clean: str) -> None:
    assert paths.safe(path) == clean


@given(st.text(max_size=40))
def test_a_safe_path_stays_below_its_root_and_is_stable(text: str) -> None:
    try:
        clean = paths.safe(text)
    except Invalid:
        return
    assert not clean.startswith("/")
    assert ".." not in clean.split("/")
    assert paths.safe(clean) == clean


def test_addresses_of_this_server_name_paths_and_others_do_not() -> None:
    assert paths.path_of("mlflow-artifacts:/3/run/artifacts") == "3/run/artifacts"
    assert paths.path_of(paths.uri("a/b")) == "a/b"
    assert paths.path_of("s3://bucket/x") is None
    assert paths.path_of("mlflow-artifacts://elsewhere:1/x") is None
    with pytest.raises(Invalid):
        paths.path_of("mlflow-artifacts:/a/../b")


def test_a_file_path_names_a_file() -> None:
    assert paths.safe_file("a/b") == "a/b"
    for wrong in ("a/", "", "."):
        with pytest.raises(Invalid):
            paths.safe_file(wrong)
